//! The peer of `dispatch.clef`: the same dispatches by hand with ash, as one would write them for speed.
//!
//!     clef-ash-peer next.spv [ROUNDS]
//!
//! Prints `name microseconds` lines, medians of ROUNDS rounds (default 50):
//!
//! | name | one round |
//! |---|---|
//! | `chain` | 1,000 dispatches of 256 work-items, each reading what the one before wrote: recorded, submitted once, waited for; the time of one |
//! | `chain.replayed` | as `chain`, but recorded once for all rounds |
//! | `trip.MEMORY.WAIT` | the host writes a word, one dispatch is recorded, submitted and waited for, the host reads the result; the time of one in 200 |
//!
//! MEMORY is `host` (the host's, cached) or `device` (the device's, which the host writes to), WAIT is `fence` or
//! `timeline`. What a device does not have is left out. Results are checked; a wrong one ends the program.

#![allow(unsafe_code)]

mod device;

use ash::vk;
use device::{Device, Memory, Shared};
use std::time::Instant;

const CHAIN: u32 = 1000;
const TRIPS: u32 = 200;
const WORDS: u32 = 256;

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("the first argument names next.spv");
    let rounds: usize = args.next().map_or(50, |text| text.parse().expect("rounds"));
    let device = Device::open(&std::fs::read(path).expect("next.spv"));
    chain(&device, rounds);
    for (name, memory) in [("host", Memory::Host), ("device", Memory::Device)] {
        if let (Some(x), Some(z)) = (device.shared(memory), device.shared(memory)) {
            show(&format!("trip.{name}.fence"), rounds, || trips(&device, &x, &z, false), TRIPS);
            show(&format!("trip.{name}.timeline"), rounds, || trips(&device, &x, &z, true), TRIPS);
        }
    }
}

/// Prints the median of a round's time for each of its parts. One round before warms up.
fn show(name: &str, rounds: usize, mut round: impl FnMut(), parts: u32) {
    round();
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_secs_f64() * 1e6 / f64::from(parts)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name} {:.3}", times[rounds / 2]);
}

fn chain(device: &Device, rounds: usize) {
    let (x, z) = (device.local(), device.local());
    let seen = device.shared(Memory::Host).expect("memory of the host");
    device.zero(&x);
    let mut links = 0;
    let record = |buffer| {
        device.begin(buffer, vk::CommandBufferUsageFlags::empty());
        for n in 0..CHAIN {
            let (from, to) = if n % 2 == 0 { (&x, &z) } else { (&z, &x) };
            device.dispatch(buffer, from.address, to.address, WORDS);
            let (stages, access) = (
                vk::PipelineStageFlags::COMPUTE_SHADER,
                vk::AccessFlags::SHADER_READ | vk::AccessFlags::SHADER_WRITE,
            );
            device.barrier(buffer, stages, access);
        }
        device.end(buffer);
    };
    let buffer = device.commands();
    show(
        "chain",
        rounds,
        || {
            record(buffer);
            device.run_with_fence(buffer);
            links += CHAIN;
        },
        CHAIN,
    );
    record(buffer);
    show(
        "chain.replayed",
        rounds,
        || {
            device.run_with_fence(buffer);
            links += CHAIN;
        },
        CHAIN,
    );
    // The chain's length is in the buffer: every link ran.
    device.begin(buffer, vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
    device.dispatch(buffer, x.address, seen.local.address, WORDS);
    device.barrier(buffer, vk::PipelineStageFlags::HOST, vk::AccessFlags::HOST_READ);
    device.end(buffer);
    device.run_with_fence(buffer);
    assert_eq!((seen.get(0), seen.get(WORDS - 1)), (links + 1, links + 1), "links of the chain");
}

fn trips(device: &Device, x: &Shared, z: &Shared, timeline: bool) {
    for trip in 0..TRIPS {
        x.set(0, trip);
        let buffer = device.next_commands();
        device.begin(buffer, vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        device.dispatch(buffer, x.local.address, z.local.address, WORDS);
        device.barrier(buffer, vk::PipelineStageFlags::HOST, vk::AccessFlags::HOST_READ);
        device.end(buffer);
        if timeline {
            device.run_with_timeline(buffer);
        } else {
            device.run_with_fence(buffer);
        }
        assert_eq!(z.get(0), trip + 1, "a round trip's result");
    }
}

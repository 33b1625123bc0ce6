//! What a dispatch through the HSA route costs over what the library itself costs: a measurement, run by hand.
//!
//!     cargo test --release -p clef-runtime --test hsa_cost -- --ignored --nocapture

#![allow(unsafe_code)]

mod support;

use clef_runtime::abi::Arg;
use clef_runtime::agents::{host_code, lane, table};
use clef_runtime::hsa::queue::API;
use std::time::Instant;
use support::*;

unsafe extern "C" fn nothing(_: *const Arg) {}

const ROUNDS: usize = 200;
const EACH: u64 = 500;

/// Nanoseconds for one of `EACH` rounds of `run`: the least of many.
fn least(mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        run();
        best = best.min(begun.elapsed().as_nanos() as f64 / EACH as f64);
    }
    best
}

#[test]
#[ignore = "a measurement"]
fn an_empty_dispatch() {
    let library = hsa_mock();
    let environment = [("CLEF_AGENTS", "hsa"), ("CLEF_HSA_LIBRARY", library.as_str())];
    let ended = scenario("empty", &environment, || {
        ints(1);
        let empty = at(10, kernel("empty", vec![], nothing), GPU, 0, header(2, 2));
        empty.run(&[]);
        empty.wait();
        // The same packets by hand, on a queue of their own.
        let role = table::Role::Gpu { device: 0, queue: 5 };
        let queue = (API.queue_create)(role).unwrap();
        let code = (API.code)(role, unsafe { &*std::ptr::from_ref(empty.dispatch) }).unwrap();
        let kernarg = (API.kernarg)(role, 64).unwrap();
        unsafe { host_code::write(kernarg, &*std::ptr::from_ref(empty.dispatch), &[]) };
        let signal = (API.signal_create)(0).unwrap();
        let mut index = 0_u64;
        let mut raw = || {
            (API.signal_store)(signal, EACH as i64);
            for _ in 0..EACH {
                unsafe {
                    let packet = queue.base.add((index & u64::from(queue.size - 1)) as usize);
                    (&raw mut (*packet).setup).write(1);
                    (&raw mut (*packet).body).write(table::Body {
                        kernel: table::KernelBody {
                            workgroup: [1; 3],
                            reserved: 0,
                            grid: [1; 3],
                            private_bytes: 0,
                            group_bytes: 0,
                            object: code.object,
                            kernarg: kernarg as u64,
                        },
                    });
                    (&raw mut (*packet).completion).write(signal);
                    (API.write_index)(queue, index + 1);
                    (*packet).header.store(header(2, 2), std::sync::atomic::Ordering::Release);
                }
                (API.ring)(queue, index, false, false);
                index += 1;
            }
            while (API.signal_wait_below)(signal, 1, u64::MAX) >= 1 {}
        };
        let by_hand = least(&mut raw);
        let ours = least(|| {
            for _ in 0..EACH {
                empty.run(&[]);
            }
            empty.wait();
        });
        let batched = least(|| {
            lane::clef_batch_begin();
            for _ in 0..EACH {
                empty.run(&[]);
            }
            lane::clef_batch_end();
            empty.wait();
        });
        eprintln!("ns for a dispatch: by hand {by_hand:.0}, runtime {ours:.0}, in a batch {batched:.0}");
    });
    ended.fine();
    eprint!("{}", ended.errors);
}

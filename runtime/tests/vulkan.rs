//! The Vulkan agent through the C ABI, with kernels written by hand. Skipped, with the reason, where there is no
//! Vulkan loader; with a loader everything must work (Debian's lavapipe is enough). Validation layers are on where
//! they are installed, and must stay silent.

#![allow(unsafe_code)]

mod support;

use clef_runtime::abi::{Arg, FLAG_BARRIER_BEHIND, Kernel, Phase};
use clef_runtime::buffers::clef_buffer_release;
use support::*;

#[repr(align(4))]
struct Words<T: ?Sized>(T);

static MODULE: &Words<[u8]> = &Words(*include_bytes!("fixtures/kernels.spv"));

/// `next` and `far` work on all of their second parameter.
unsafe extern "C" fn extent(args: *const Arg, out: *mut i64) {
    unsafe {
        out.write((*args.add(1)).len as i64);
        out.add(1).write(1);
        out.add(2).write(1);
    }
}

fn gpu_kernel(name: &str) -> &'static Kernel {
    let host = if name == "far" { too_far } else { next };
    let kernel = kernel(name, vec![buffer(READ), buffer(WRITE | COVERS)], host);
    let phase = leak(Phase {
        extent: Some(extent),
        spirv: MODULE.0.as_ptr().cast(),
        spirv_len: MODULE.0.len() as u64,
        entry: text(name),
        local: [64, 1, 1],
        push_len: 64,
        items: [64, 1, 1, 0],
    });
    leak(Kernel { n_phases: 1, phases: phase, ..unsafe { std::ptr::read(kernel) } })
}

/// Whether there is a loader.
fn vulkan() -> bool {
    let there = clef_runtime::vulkan::Vulkan::open();
    match there {
        Err(why) if why.contains("no Vulkan loader") => {
            eprintln!("skipped: {why}");
            false
        }
        _ => true,
    }
}

const ENVIRONMENT: [(&str, &str); 2] = [("CLEF_AGENTS", "vulkan"), ("CLEF_VULKAN_VALIDATION", "1")];

fn run(name: &str, body: fn()) -> Option<Ended> {
    (is_child() || vulkan()).then(|| scenario(name, &ENVIRONMENT, body))
}

fn silent(ended: Option<Ended>) {
    if let Some(ended) = ended {
        ended.fine();
        let said = ended.errors.to_lowercase();
        assert!(is_child() || !said.contains("validation") && !said.contains("vuid"), "{}", ended.errors);
    }
}

#[test]
fn batches_run_with_barriers_in_order() {
    silent(run("batch", || {
        let (a, b) = (ints(1000), ints(1000));
        let there = at(10, gpu_kernel("next"), GPU, 0, 0).flags(FLAG_BARRIER_BEHIND);
        let back = at(11, gpu_kernel("next"), GPU, 0, 0).flags(FLAG_BARRIER_BEHIND);
        for _ in 0..150 {
            there.run(&[a as u64, b as u64]);
            back.run(&[b as u64, a as u64]);
        }
        back.wait();
        assert_eq!((get(20, a, 0), get(20, a, 999), get(20, b, 999)), (300, 300, 299));
    }));
}

#[test]
fn queues_follow_each_other_and_the_npu_is_the_host() {
    silent(run("follow", || {
        let (a, b, c) = (ints(77), ints(77), ints(77));
        let npu = at(9, fill_kernel(), NPU, 0, header(0, 0));
        let first = at(10, gpu_kernel("next"), GPU, 0, 0).flags(FLAG_BARRIER_BEHIND);
        let second = at(11, gpu_kernel("next"), GPU, 1, 0).flags(FLAG_BARRIER_BEHIND).after(&[&first]);
        npu.run(&[a as u64, 40]);
        npu.wait();
        first.run(&[a as u64, b as u64]);
        second.run(&[b as u64, c as u64]);
        second.wait();
        assert_eq!((get(20, c, 0), get(20, c, 76)), (42, 42));
    }));
}

#[test]
fn addresses_inside_a_buffer_and_buffers_that_go_early() {
    silent(run("inner", || {
        let a = ints(64);
        for i in 0..64 {
            put(5, a, i, i as i32);
        }
        let kernel = gpu_kernel("next");
        let half = at(10, kernel, GPU, 0, 0).flags(FLAG_BARRIER_BEHIND);
        for _ in 0..10 {
            let b = ints(64);
            half.run(&[a as u64, b as u64 + 128]);
            half.wait();
            assert_eq!((get(20, b, 31), get(20, b, 32), get(20, b, 63)), (0, 1, 32));
            half.run(&[a as u64, b as u64]);
            clef_buffer_release(b.cast());
        }
    }));
}

#[test]
fn a_kernel_that_stops_is_reported() {
    let ended = run("far", || {
        let (a, b) = (ints(6), ints(6));
        let far = at(40, gpu_kernel("far"), GPU, 0, 0).flags(FLAG_BARRIER_BEHIND);
        far.run(&[a as u64, b as u64]);
        far.wait();
    });
    if let Some(ended) = ended {
        ended.ends(134, "77:5: index 6 is out of range: the length is 6");
        ended.ends(134, "in kernel `far` on the GPU, dispatched at test.clef:40:5");
    }
}

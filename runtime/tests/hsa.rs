//! The HSA route through a loaded library: packets word by word, results on coherent and incoherent memory, errors.
//!
//! The library is that of `tests/hsa_mock`.

#![allow(unsafe_code)]

mod support;

use clef_runtime::agents::lane::{clef_batch_begin, clef_batch_end};
use clef_runtime::agents::table;
use clef_runtime::buffers::{alive, clef_buffer_release};
use support::*;

fn values(b: *mut i32, n: usize) -> Vec<i32> {
    (0..n).map(|i| get(50, b, i)).collect()
}

/// A scenario on the library's agents.
fn on_mock(name: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> Ended {
    let library = hsa_mock();
    let mut all = vec![("CLEF_AGENTS", "hsa"), ("CLEF_HSA_LIBRARY", library.as_str())];
    all.extend(environment);
    scenario(name, &all, body)
}

#[test]
fn queues_run_in_order_and_waits_see_results() {
    on_mock("order", &[], || {
        let (a, b, c) = (ints(1000), ints(1000), ints(1000));
        let first = at(10, fill_kernel(), GPU, 0, header(0, 1));
        let second = at(11, next_kernel(), GPU, 1, header(1, 2)).after(&[&first]);
        let third = at(12, next_kernel(), NPU, 0, 0);
        for round in 0..3000_i32 {
            first.run(&[a as u64, round as u64]);
            second.run(&[a as u64, b as u64]);
            second.wait();
            third.run(&[b as u64, c as u64]);
            third.wait();
            if round % 7 == 0 {
                assert_eq!(values(c, 1000), vec![round + 2; 1000]);
            }
        }
    })
    .fine();
}

#[test]
fn new_buffers_are_zero_for_every_agent() {
    for seed in ["", "1", "2", "3"] {
        on_mock("zero", &[("CLEF_HSA_MOCK_SEED", seed)], || {
            for agent in [GPU, NPU] {
                let (a, b) = (ints(100), ints(100));
                let copy = at(10, next_kernel(), agent, 0, header(0, 2));
                copy.run(&[a as u64, b as u64]);
                copy.wait();
                assert_eq!(values(b, 100), [1; 100]);
                assert_eq!(values(a, 100), [0; 100]);
                clef_buffer_release(a.cast());
                clef_buffer_release(b.cast());
                assert_eq!(alive(), 0);
            }
        })
        .fine();
    }
}

#[test]
fn agents_and_hints_choose_the_memory() {
    let record = Record::new("pools");
    // Bytes that no trial at the start asks for; agents: CPU, NPU, GPU 0.
    let wanted = [
        (100_001, 1 | 1 << 8, 0, "fine"),
        (100_002, 1 | 1 << 8, 3, "fine"),
        (100_003, 1 | 1 << 8, 1, "coarse"),
        (100_004, 1 | 2 | 1 << 8, 1, "vmem"),
        (100_005, 1 | 2, 2, "vmem"),
    ];
    on_mock("pools", &[("CLEF_HSA_MOCK_LOG", record.path())], || {
        for (bytes, agents, hint, _) in wanted {
            let address =
                unsafe { clef_runtime::buffers::clef_alloc_unified(bytes, agents, hint, leak(loc(1))) };
            clef_runtime::buffers::clef_buffer_retain(address);
            assert!((0..bytes as usize).all(|n| unsafe { *address.add(n) } == 0));
            clef_buffer_release(address);
        }
        assert_eq!(alive(), 0);
    })
    .fine();
    if is_child() {
        return;
    }
    let text = std::fs::read_to_string(&record.0).unwrap();
    let kinds: Vec<&str> = text
        .lines()
        // Sizes are rounded up to whole pages.
        .filter(|l| l.starts_with("allocate ") && l.ends_with("bytes=102400"))
        .map(|l| l.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(kinds, wanted.map(|w| w.3));
}

#[test]
fn kernel_packets_have_the_words_of_the_table() {
    let words = [0x0102, 0x0902, 0x1102, 0x0302, 0x0b02, 0x1302, 0x0502, 0x0d02, 0x1502];
    let record = Record::new("kernel-words");
    on_mock("words", &[("CLEF_HSA_MOCK_LOG", record.path())], || {
        let a = ints(16);
        for acquire in 0..3 {
            for release in 0..3 {
                let fill = at(10, fill_kernel(), GPU, 0, header(acquire, release));
                fill.run(&[a as u64, 1]);
                fill.wait();
            }
        }
    })
    .fine();
    if is_child() {
        return;
    }
    let expected: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(n, word)| format!("packet gpu0.{n} kernel header={word:#06x} name=fill"))
        .collect();
    assert_eq!(record.lines(&["packet"]), expected);
}

#[test]
fn barrier_packets_have_the_words_of_the_table() {
    let words = [0x0103, 0x0903, 0x1103, 0x0303, 0x0b03, 0x1303, 0x0503, 0x0d03, 0x1503];
    let made: Vec<u16> = (0..9).map(|n| table::header(table::BARRIER_AND, n / 3, n % 3)).collect();
    assert_eq!(made, words);
    assert_eq!(table::BARRIER_HEADER, words[0]);
    let record = Record::new("barrier-words");
    on_mock("barriers", &[("CLEF_HSA_MOCK_LOG", record.path()), ("CLEF_HSA_MOCK_SEED", "1")], || {
        ints(1);
        let api = &clef_runtime::hsa::queue::API;
        let queue = (api.queue_create)(table::Role::Gpu { device: 0, queue: 3 }).unwrap();
        let signal = (api.signal_create)(9).unwrap();
        for (n, word) in words.into_iter().enumerate() {
            unsafe {
                let packet = queue.base.add(n);
                (&raw mut (*packet).body).write(table::Body {
                    barrier: table::BarrierBody { reserved: 0, dependencies: [table::Signal(0); 5] },
                });
                (&raw mut (*packet).completion).write(signal);
                (*packet).header.store(word, std::sync::atomic::Ordering::Release);
            }
            (api.write_index)(queue, n as u64 + 1);
            (api.ring)(queue, n as u64, false, false);
        }
        while (api.signal_wait_below)(signal, 1, 1_000_000) >= 1 {}
    })
    .fine();
    if is_child() {
        return;
    }
    let expected: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(n, word)| format!("packet gpu1.{n} barrier-and header={word:#06x} after="))
        .collect();
    assert_eq!(record.lines(&["packet"]), expected);
}

#[test]
fn packets_are_what_the_specification_says_byte_by_byte() {
    let record = Record::new("bytes");
    on_mock("bytes", &[("CLEF_HSA_MOCK_LOG", record.path())], || {
        let a = ints(16);
        let gpu = at(10, fill_kernel(), GPU, 0, header(2, 2));
        gpu.run(&[a as u64, 1]);
        gpu.wait();
        let npu = at(11, next_kernel(), NPU, 0, 0).flags(1);
        let b = ints(16);
        npu.run(&[a as u64, b as u64]);
        npu.wait();
    })
    .fine();
    if is_child() {
        return;
    }
    let text = std::fs::read_to_string(&record.0).unwrap();
    let bytes = |name: &str| -> Vec<u8> {
        let line = text.lines().find(|l| l.starts_with(name)).unwrap();
        let hex = line.split(" bytes=").nth(1).unwrap();
        (0..64).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
    };
    let kernel = bytes("packet gpu0.0 ");
    // header, setup, workgroup, reserved, grid, private and group bytes.
    assert_eq!(kernel[..12], [0x02, 0x15, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0]);
    assert_eq!(kernel[12..32], [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_ne!(kernel[32..40], [0; 8]);
    assert_ne!(kernel[40..48], [0; 8]);
    assert_eq!(kernel[48..56], [0; 8]);
    assert_ne!(kernel[56..64], [0; 8]);
    let npu = bytes("packet npu0.0 ");
    // header, opcode, count, reserved; completion signal; reserved; instructions; number of arguments, reserved.
    assert_eq!(npu[..8], [0x00, 0x14, 0, 0, 24, 0, 0, 0]);
    assert_ne!(npu[8..16], [0; 8]);
    assert_eq!(npu[16..20], [0; 4]);
    assert_ne!(npu[20..28], [0; 8]);
    assert_eq!(npu[28..32], [2, 0, 0, 0]);
    assert_ne!(npu[32..40], [0; 8]);
    assert_eq!(npu[40..48], 40_u64.to_le_bytes());
    assert_ne!(npu[48..56], [0; 8]);
    assert_eq!(npu[56..64], [0; 8]);
    assert_eq!(
        // What follows are the waits at the end of the program.
        record.lines(&["doorbell", "wait"])[..4],
        [
            "doorbell gpu0 newest=0 release",
            "wait gpu0.0 acquire",
            "doorbell npu0 newest=0 release",
            "wait npu0.0 acquire"
        ]
    );
}

#[test]
fn an_npu_dispatch_without_a_clean_rings_without_release() {
    let record = Record::new("clean");
    on_mock("clean", &[("CLEF_HSA_MOCK_LOG", record.path())], || {
        let a = ints(16);
        for flags in [0, 1, 0] {
            let npu = at(11, fill_kernel(), NPU, 0, 0).flags(flags);
            npu.run(&[a as u64, 1]);
            npu.wait();
        }
    })
    .fine();
    if !is_child() {
        let orders: Vec<String> =
            record.lines(&["doorbell"]).iter().map(|l| l.rsplit(' ').next().unwrap().to_owned()).collect();
        assert_eq!(orders, ["relaxed", "release", "relaxed"]);
    }
}

#[test]
fn a_batch_rings_once() {
    let record = Record::new("batch");
    on_mock("batch", &[("CLEF_HSA_MOCK_LOG", record.path())], || {
        let a = ints(16);
        let fill = at(10, fill_kernel(), GPU, 0, header(0, 2));
        clef_batch_begin();
        for n in 0..1000 {
            fill.run(&[a as u64, n]);
        }
        clef_batch_end();
        fill.wait();
        assert_eq!(values(a, 16), [999; 16]);
        // A wait inside a batch must not hang, nor one that a full ring needs.
        clef_batch_begin();
        for n in 0..3000 {
            fill.run(&[a as u64, n]);
        }
        fill.wait();
        clef_batch_end();
        assert_eq!(values(a, 16), [2999; 16]);
    })
    .fine();
    if !is_child() {
        assert_eq!(record.lines(&["doorbell"])[0], "doorbell gpu0 newest=999 release");
    }
}

#[test]
fn many_parameters_get_a_block_of_their_own() {
    on_mock("wide", &[("CLEF_HSA_MOCK_SEED", "4")], || {
        let buffers: Vec<*mut i32> = (0..20).map(|_| ints(64)).collect();
        let mut params: Vec<_> = (0..20).map(|_| buffer(WRITE | COVERS)).collect();
        params.push(scalar());
        for agent in [GPU, NPU] {
            let wide = at(
                10,
                kernel("wide", params.iter().map(copy).collect(), fill_twenty),
                agent,
                0,
                header(0, 2),
            );
            let mut args: Vec<u64> = buffers.iter().map(|b| *b as u64).collect();
            args.push(100 + u64::from(agent));
            wide.run(&args);
            wide.wait();
            for b in &buffers {
                assert_eq!(values(*b, 64), [100 + i32::from(agent); 64]);
            }
        }
    })
    .fine();
}

fn copy(p: &clef_runtime::abi::Param) -> clef_runtime::abi::Param {
    clef_runtime::abi::Param { kind: p.kind, size: p.size, effect: p.effect, reserved: 0 }
}

unsafe extern "C" fn fill_twenty(args: *const clef_runtime::abi::Arg) {
    unsafe {
        for n in 0..20 {
            let pair = [*args.add(n), *args.add(20)];
            fill(pair.as_ptr());
        }
    }
}

#[test]
fn kernels_that_stop_are_reported_with_their_line() {
    for (name, agent, role, seed) in
        [("gpu", GPU, "GPU", ""), ("npu", NPU, "NPU", ""), ("gpu-1", GPU, "GPU", "1")]
    {
        let ended = on_mock(name, &[("CLEF_HSA_MOCK_SEED", seed)], || {
            let b = ints(9);
            let bad = at(40, kernel("far", vec![buffer(READ)], too_far), agent, 0, header(2, 2));
            bad.run(&[b as u64]);
            bad.wait();
            clef_runtime::output::message(format_args!("not reached\n"));
        });
        ended.ends(134, "test.clef:77:5: index 9 is out of range: the length is 9");
        ended.ends(134, &format!("in kernel `far` on the {role}, dispatched at test.clef:40:5"));
        assert!(!ended.errors.contains("not reached"));
    }
}

#[test]
fn a_queue_that_fails_is_reported_with_kernel_and_line() {
    for (name, agent, role, seed) in
        [("gpu", GPU, "GPU", ""), ("npu", NPU, "NPU", ""), ("gpu-1", GPU, "GPU", "7")]
    {
        let ended = on_mock(name, &[("CLEF_HSA_MOCK_FAULT", "next"), ("CLEF_HSA_MOCK_SEED", seed)], || {
            let (a, b) = (ints(9), ints(9));
            let fill = at(40, fill_kernel(), agent, 0, header(0, 1));
            let bad = at(41, next_kernel(), agent, 0, header(2, 2));
            fill.run(&[a as u64, 1]);
            bad.run(&[a as u64, b as u64]);
            bad.wait();
        });
        ended.ends(
            134,
            "test.clef:41:5: the device failed: its queue returned 0x1016 (HSA_STATUS_ERROR_EXCEPTION",
        );
        ended.ends(134, &format!("in kernel `next` on the {role}, dispatched at test.clef:41:5"));
    }
}

#[test]
fn a_memory_fault_is_reported_with_kernel_and_line() {
    for seed in ["", "5"] {
        let wishes = [("CLEF_HSA_MOCK_FAULT", "memory:next"), ("CLEF_HSA_MOCK_SEED", seed)];
        let ended = on_mock(&format!("memory-{seed}"), &wishes, || {
            let (a, b) = (ints(9), ints(9));
            let fill = at(40, fill_kernel(), GPU, 0, header(0, 1));
            let bad = at(41, next_kernel(), GPU, 0, header(2, 2));
            fill.run(&[a as u64, 1]);
            bad.run(&[a as u64, b as u64]);
            bad.wait();
        });
        ended.ends(134, "test.clef:41:5: the device failed: a kernel touched the address 0xdeadf000");
        ended.ends(134, "in kernel `next` on the GPU, dispatched at test.clef:41:5");
    }
}

#[test]
fn incoherent_memory_shows_a_missing_scope() {
    // CPU fills, GPU copies, CPU reads: needs acquire system and release system.
    let run = |acquire: u16, release: u16, seed: &str| {
        let ended =
            on_mock(&format!("scope-{acquire}-{release}-{seed}"), &[("CLEF_HSA_MOCK_SEED", seed)], || {
                let (a, b) = (ints(64), ints(64));
                for i in 0..64 {
                    put(5, a, i, 7);
                }
                let copy = at(10, next_kernel(), GPU, 0, header(acquire, release));
                copy.run(&[a as u64, b as u64]);
                copy.wait();
                let right = values(b, 64) == [8; 64];
                std::process::exit(i32::from(!right));
            });
        ended.code
    };
    for seed in ["1", "2", "3", "4", "5"] {
        assert!(is_child() || run(2, 2, seed) == Some(0));
        for (acquire, release) in [(1, 2), (0, 2), (2, 1), (2, 0)] {
            let code = run(acquire, release, seed);
            // A kernel that reads what it should not is a race; the host just gets a wrong result.
            let wrong = if acquire < 2 { 135 } else { 1 };
            assert!(is_child() || code == Some(wrong), "{acquire} {release} seed {seed}: {code:?}");
        }
    }
}

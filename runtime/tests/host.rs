//! The host executor through the C ABI: order, overlap, waits, errors, the pool.

#![allow(unsafe_code)]

mod support;

use clef_runtime::abi::Arg;
use clef_runtime::buffers::{alive, clef_buffer_release};
use clef_runtime::pool::clef_parallel;
use clef_runtime::{memory, output, stop};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use support::*;

fn values(b: *mut i32, n: usize) -> Vec<i32> {
    (0..n).map(|i| get(50, b, i)).collect()
}

#[test]
fn a_queue_runs_in_order_and_a_wait_sees_the_result() {
    scenario("order", &[], || {
        let (a, b, c) = (ints(1000), ints(1000), ints(1000));
        let first = at(10, fill_kernel(), GPU, 0, header(0, 1));
        let second = at(11, next_kernel(), GPU, 0, header(1, 1));
        let third = at(12, next_kernel(), GPU, 0, header(1, 2));
        for round in 0..2000_i32 {
            first.run(&[a as u64, round as u64]);
            second.run(&[a as u64, b as u64]);
            third.run(&[b as u64, c as u64]);
            if round % 7 == 0 {
                third.wait();
                assert_eq!(values(c, 1000), vec![round + 2; 1000]);
            }
        }
    })
    .fine();
}

#[test]
fn barriers_order_queues() {
    scenario("barriers", &[("CLEF_TEST_DELAY_US", "100")], || {
        let (a, b) = (ints(64), ints(64));
        let write = at(10, fill_kernel(), GPU, 0, header(0, 1));
        let read = at(11, next_kernel(), GPU, 1, header(1, 2)).after(&[&write]);
        for round in 0..600 {
            // Keeps queue 1 from touching `a` while the next round writes it.
            if round % 8 == 0 {
                read.wait();
            }
            let write_again = round % 8 == 0;
            if write_again {
                write.run(&[a as u64, round]);
            }
            read.run(&[a as u64, b as u64]);
        }
        read.wait();
        assert_eq!(values(b, 64), vec![593; 64]);
    })
    .fine();
}

#[test]
fn a_wait_for_what_never_ran_is_nothing() {
    scenario("never", &[], || {
        let never = at(10, fill_kernel(), GPU, 0, header(0, 2));
        never.wait();
        for _ in 0..1000 {
            never.wait();
        }
    })
    .fine();
}

#[test]
fn gpu_and_npu_overlap() {
    let path = std::env::temp_dir().join(format!("clef-trace-{}.json", std::process::id()));
    let file = path.to_str().unwrap().to_owned();
    let environment = [("CLEF_TRACE", file.as_str()), ("CLEF_TEST_DELAY_US", "20000")];
    if std::env::var_os("CLEF_SCENARIO").is_none() {
        let _ = std::fs::remove_file(&path);
    }
    scenario("overlap", &environment, || {
        let (a, b) = (ints(16), ints(16));
        let gpu = at(10, fill_kernel(), GPU, 0, header(0, 2));
        let npu = at(11, fill_kernel(), NPU, 0, header(0, 2));
        gpu.run(&[a as u64, 1]);
        npu.run(&[b as u64, 2]);
        gpu.wait();
        npu.wait();
    })
    .fine();
    if is_child() {
        return;
    }
    let trace = std::fs::read_to_string(&path).unwrap();
    let intervals: Vec<(f64, f64)> = trace
        .lines()
        .filter(|l| l.contains("\"fill\""))
        .map(|l| {
            let number = |key: &str| -> f64 {
                let rest = &l[l.find(key).unwrap() + key.len()..];
                rest[..rest.find(',').unwrap()].parse().unwrap()
            };
            (number("\"ts\":"), number("\"dur\":"))
        })
        .collect();
    assert_eq!(intervals.len(), 2, "{trace}");
    let (first, second) = (intervals[0], intervals[1]);
    assert!(first.0 < second.0 + second.1 && second.0 < first.0 + first.1, "{trace}");
    assert!(trace.contains("\"GPU\"") && trace.contains("\"NPU\"") && trace.contains("test.clef:10:5"));
    let _ = std::fs::remove_file(path);
}

#[test]
fn an_unknown_address_stops_with_its_line() {
    let ended = scenario("unknown", &[], || {
        at(33, fill_kernel(), GPU, 0, header(0, 2)).run(&[0x1234, 0]);
    });
    ended.ends(134, "test.clef:33:5: argument 1 of kernel `fill` is no unified buffer (address 0x1234)");
}

#[test]
fn a_kernel_that_stops_is_reported_at_the_next_wait() {
    let kernel = || kernel("far", vec![buffer(READ)], too_far);
    let body = |agent| {
        let b = ints(9);
        let bad = at(40, kernel(), agent, 0, header(2, 2));
        bad.run(&[b as u64]);
        bad.wait();
        output::message(format_args!("not reached\n"));
    };
    for (name, agent, role) in [("stop-gpu", GPU, "GPU"), ("stop-npu", NPU, "NPU")] {
        let ended = scenario(name, &[], || body(agent));
        ended.ends(134, "test.clef:77:5: index 9 is out of range: the length is 9");
        ended.ends(134, &format!("in kernel `far` on the {role}, dispatched at test.clef:40:5"));
        assert!(!ended.errors.contains("not reached"));
    }
    scenario("stop-cpu", &[], || body(CPU)).ends(134, "test.clef:77:5: index 9");
}

#[test]
fn a_kernel_that_stops_is_reported_at_the_end_and_before_later_errors() {
    let start = || {
        let b = ints(4);
        at(40, kernel("far", vec![buffer(READ)], too_far), GPU, 0, header(2, 2)).run(&[b as u64]);
    };
    scenario("stop-end", &[], start).ends(134, "in kernel `far`");
    let ended = scenario("stop-first", &[("CLEF_TEST_DELAY_US", "1000")], || {
        start();
        stop::clef_panic_divide(leak(loc(80)));
    });
    ended.ends(134, "in kernel `far`");
    assert!(!ended.errors.contains("division"), "{}", ended.errors);
}

#[test]
fn a_host_panic_writes_what_was_printed() {
    let ended = scenario("panic", &[], || {
        unsafe { output::clef_print(string("printed\n")) };
        unsafe { stop::clef_panic_fail(string("no luck"), leak(loc(8))) };
    });
    ended.ends(134, "test.clef:8:5: no luck");
}

#[test]
fn forced_agents_that_are_not_there_are_an_error() {
    for (value, part) in
        [("hsa", "CLEF_AGENTS=hsa asks for AMD agents through HSA, but"), ("sun", "CLEF_AGENTS is `sun`")]
    {
        scenario("forced", &[("CLEF_AGENTS", value)], || {
            ints(1);
        })
        .ends(2, part);
    }
}

#[test]
fn buffers_go_with_their_last_record_behind_pending_work() {
    scenario("release", &[("CLEF_TEST_DELAY_US", "2000")], || {
        let fill = at(10, fill_kernel(), GPU, 0, header(0, 2));
        let keep = ints(8);
        for _ in 0..20 {
            let b = ints(8);
            fill.run(&[b as u64, 1]);
            clef_buffer_release(b.cast());
            assert_eq!(alive(), 1);
        }
        fill.wait();
        clef_buffer_release(keep.cast());
        assert_eq!(alive(), 0);
        clef_buffer_release(keep.cast());
    })
    .fine();
}

#[test]
fn kernels_get_lengths_behind_an_inner_address() {
    scenario("inner", &[], || {
        let b = ints(10);
        at(10, fill_kernel(), CPU, 0, 0).run(&[b as u64 + 16, 7]);
        assert_eq!(values(b, 10), [0, 0, 0, 0, 7, 7, 7, 7, 7, 7]);
    })
    .fine();
}

static SUM: AtomicI64 = AtomicI64::new(0);

unsafe extern "C" fn add_range(_: *const u8, begin: i64, end: i64) {
    SUM.fetch_add((begin..end).sum(), Ordering::Relaxed);
}

unsafe extern "C" fn nested(_: *const u8, begin: i64, end: i64) {
    for _ in begin..end {
        unsafe { clef_parallel(add_range, std::ptr::null(), 1000, 1000) };
    }
}

#[test]
fn loops_run_every_item_once_also_nested_and_from_several_threads() {
    for threads in ["1", "2", "5"] {
        scenario(&format!("pool-{threads}"), &[("CLEF_THREADS", threads)], || {
            for n in [0_i64, 1, 2, 3, 17, 1000, 65_537] {
                for cost in [1, 100_000] {
                    SUM.store(0, Ordering::Relaxed);
                    unsafe { clef_parallel(add_range, std::ptr::null(), n, cost) };
                    assert_eq!(SUM.load(Ordering::Relaxed), n * (n - 1) / 2);
                }
            }
            SUM.store(0, Ordering::Relaxed);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| unsafe {
                        for _ in 0..50 {
                            clef_parallel(nested, std::ptr::null(), 20, 1_000_000);
                        }
                    });
                }
            });
            assert_eq!(SUM.load(Ordering::Relaxed), 4 * 50 * 20 * 499_500);
        })
        .fine();
    }
}

/// The processors that each thread of a loop may use, as bits (of the first 64).
static MASKS: Mutex<BTreeMap<i64, u64>> = Mutex::new(BTreeMap::new());

unsafe extern "C" fn note_mask(_: *const u8, _: i64, _: i64) {
    let (mut bits, thread) = (0_u64, unsafe { libc::syscall(libc::SYS_gettid) });
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set);
        (0..64).filter(|&p| libc::CPU_ISSET(p, &set)).for_each(|p| bits |= 1 << p);
    }
    MASKS.lock().unwrap().insert(thread, bits);
    // Leaves items for the others.
    std::thread::sleep(std::time::Duration::from_millis(1));
}

/// The masks of the caller and of a worker, once one has helped.
fn masks() -> (u64, u64) {
    let own = unsafe { libc::syscall(libc::SYS_gettid) };
    loop {
        unsafe { clef_parallel(note_mask, std::ptr::null(), 64, 1_000_000) };
        let masks = MASKS.lock().unwrap();
        if let Some((_, &worker)) = masks.iter().find(|(thread, _)| **thread != own) {
            return (masks[&own], worker);
        }
    }
}

#[test]
fn workers_are_bound_where_asked_and_the_caller_never() {
    scenario("affinity-none", &[("CLEF_THREADS", "2")], || {
        let (own, worker) = masks();
        assert_eq!(own, worker);
    })
    .fine();
    for value in ["auto", "0"] {
        scenario(&format!("affinity-{value}"), &[("CLEF_THREADS", "2"), ("CLEF_AFFINITY", value)], || {
            let (own, worker) = masks();
            assert_eq!(worker.count_ones(), 1);
            assert_eq!(worker & own, worker);
            assert!(value == "auto" || worker == 1);
            assert!(own.count_ones() > 1 || std::thread::available_parallelism().unwrap().get() == 1);
        })
        .fine();
    }
    for (value, part) in
        [("0-x", "`0-x` is no processor"), ("1000", "names processor 1000; the process may use")]
    {
        scenario("affinity-bad", &[("CLEF_THREADS", "2"), ("CLEF_AFFINITY", value)], || {
            unsafe { clef_parallel(add_range, std::ptr::null(), 1000, 1_000_000) };
        })
        .ends(134, part);
    }
}

unsafe extern "C" fn stop_range(_: *const u8, begin: i64, _: i64) {
    stop::clef_panic_bounds(begin, 0, leak(loc(66)));
}

unsafe extern "C" fn stop_everywhere(_: *const Arg) {
    unsafe { clef_parallel(stop_range, std::ptr::null(), 1000, 1_000_000) };
}

#[test]
fn one_thread_of_a_loop_reports() {
    for (name, agent) in [("loop-cpu", CPU), ("loop-gpu", GPU)] {
        let ended = scenario(name, &[("CLEF_THREADS", "4")], || {
            at(40, kernel("all", vec![], stop_everywhere), agent, 0, header(2, 2)).run(&[]);
        });
        ended.ends(134, "test.clef:66:5: index ");
        assert!(is_child() || ended.errors.matches("index").count() == 1, "{}", ended.errors);
    }
}

#[test]
fn leaks_are_counted() {
    scenario("leak", &[("CLEF_DEBUG_LEAKS", "1")], || {
        let p = memory::clef_alloc(40);
        unsafe { memory::clef_free(p, 40) };
        memory::clef_alloc(33);
    })
    .ends(136, "leak: 1 object(s) of 40 bytes");
    scenario("no-leak", &[("CLEF_DEBUG_LEAKS", "1")], || {
        let blocks: Vec<_> = (1..3000).map(|n| (memory::clef_alloc(n), n)).collect();
        for (p, n) in blocks {
            unsafe { memory::clef_free(memory::clef_realloc(p, n, n + 50), n + 50) };
        }
    })
    .fine();
}

unsafe extern "C" fn drop_link(object: *mut u8) {
    unsafe {
        let next = object.add(8).cast::<*mut u8>().read();
        if !next.is_null() {
            memory::clef_free_deferred(next, drop_link);
        }
        memory::clef_free(object, 16);
    }
}

#[test]
fn long_chains_are_freed_without_stack() {
    scenario("chain", &[("CLEF_DEBUG_LEAKS", "1")], || {
        let mut head = std::ptr::null_mut();
        for _ in 0..1_000_000 {
            let link = memory::clef_alloc(16);
            unsafe { link.add(8).cast::<*mut u8>().write(head) };
            head = link;
        }
        unsafe { memory::clef_free_deferred(head, drop_link) };
    })
    .fine();
}

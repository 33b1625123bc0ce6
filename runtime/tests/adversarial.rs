//! Adversarial memory through the C ABI: right plans give right results under every seed; without any one of their
//! elements there is a race, and without the race's report sooner or later a wrong result.

#![allow(unsafe_code)]

mod support;

use clef_runtime::abi::{FLAG_BARRIER_BEFORE, FLAG_BARRIER_BEHIND, FLAG_CLEAN_HSA};
use support::*;

const N: usize = 100;

/// Elements of a plan, each of which can be left out by its number.
struct Plan {
    without: usize,
    next: usize,
}

impl Plan {
    fn has(&mut self) -> bool {
        self.next += 1;
        self.next - 1 != self.without
    }

    /// `value`, or `less` where this element is the one left out.
    fn or<T>(&mut self, value: T, less: T) -> T {
        if self.has() { value } else { less }
    }
}

type Program = fn(&mut Plan);

fn check(b: *mut i32, i: usize, expected: i32) {
    let got = get(60, b, i);
    if got != expected {
        eprintln!("wrong: {got} at {i}, not {expected}");
        std::process::exit(99);
    }
}

/// NPU writes a; GPU reads a, writes b; CPU reads b, then a.
fn npu_gpu_cpu(plan: &mut Plan) {
    let (a, b) = (ints(N), ints(N));
    let first = at(10, fill_kernel(), NPU, 0, header(0, 0));
    let (acquire, release) = (plan.or(2, 1), plan.or(2, 1));
    let second = at(11, next_kernel(), GPU, 0, header(acquire, release));
    first.run(&[a as u64, 5]);
    if plan.has() {
        first.wait();
    }
    second.run(&[a as u64, b as u64]);
    if plan.has() {
        second.wait();
    }
    check(b, N - 1, 6);
    check(a, 0, 5);
}

/// CPU writes a; NPU reads a, writes b; NPU reads b; CPU reads.
fn cpu_npu(plan: &mut Plan) {
    let (a, b, c) = (ints(N), ints(N), ints(N));
    for i in 0..N {
        put(10, a, i, i as i32);
    }
    let clean = plan.or(FLAG_CLEAN_HSA, 0);
    let first = at(11, next_kernel(), NPU, 0, header(0, 0)).flags(clean);
    let second = at(12, next_kernel(), NPU, 0, header(0, 0));
    first.run(&[a as u64, b as u64]);
    second.run(&[b as u64, c as u64]);
    if plan.has() {
        second.wait();
    }
    check(c, 41, 43);
    check(b, 40, 41);
}

/// GPU writes a; queue 1 reads a, writes b; CPU reads b.
fn two_queues(plan: &mut Plan) {
    let (a, b) = (ints(N), ints(N));
    let release = plan.or(1, 0);
    let (acquire, system) = (plan.or(1, 0), plan.or(2, 1));
    let first = at(10, fill_kernel(), GPU, 0, header(0, release));
    let second = at(11, next_kernel(), GPU, 1, header(acquire, system));
    let second = if plan.has() { second.after(&[&first]) } else { second };
    first.run(&[a as u64, 3]);
    second.run(&[a as u64, b as u64]);
    if plan.has() {
        second.wait();
    }
    check(b, 7, 4);
}

/// CPU fills a; GPU writes part of a; NPU reads a: the NPU needs the CPU's bytes too.
fn cpu_gpu_npu(plan: &mut Plan) {
    let (a, b) = (ints(N), ints(N));
    at(10, fill_kernel(), CPU, 0, 0).run(&[a as u64, 1]);
    let release = plan.or(2, 1);
    let half = at(11, half_kernel(), GPU, 0, header(0, release));
    half.run(&[a as u64, 2]);
    if plan.has() {
        half.wait();
    }
    let clean = plan.or(FLAG_CLEAN_HSA, 0);
    let read = at(12, next_kernel(), NPU, 0, header(0, 0)).flags(clean);
    read.run(&[a as u64, b as u64]);
    if plan.has() {
        read.wait();
    }
    check(b, 0, 3);
    check(b, N - 1, 2);
}

/// GPU writes a; `a.[0] <- 1`; GPU reads a; CPU reads.
fn partial_write_between(plan: &mut Plan) {
    let (a, b) = (ints(N), ints(N));
    let release = plan.or(2, 1);
    let first = at(10, fill_kernel(), GPU, 0, header(0, release));
    first.run(&[a as u64, 8]);
    if plan.has() {
        first.wait();
    }
    put(11, a, 0, 1);
    let (acquire, release) = (plan.or(2, 1), plan.or(2, 1));
    let second = at(12, next_kernel(), GPU, 0, header(acquire, release));
    second.run(&[a as u64, b as u64]);
    if plan.has() {
        second.wait();
    }
    check(b, 0, 2);
    check(b, 1, 9);
}

/// The same queue, covering writes, reads by the CPU, in a loop that reuses the buffers.
fn looped(plan: &mut Plan) {
    let (a, b) = (ints(N), ints(N));
    let (release, acquire, system) = (plan.or(1, 0), plan.or(1, 0), plan.or(2, 1));
    let first = at(10, fill_kernel(), GPU, 0, header(0, release));
    let second = at(11, next_kernel(), GPU, 0, header(acquire, system));
    let waits = plan.has();
    for round in 0..5 {
        first.run(&[a as u64, round]);
        second.run(&[a as u64, b as u64]);
        if waits {
            second.wait();
        }
        check(b, 9, round as i32 + 1);
    }
}

const PROGRAMS: [(&str, Program, usize); 6] = [
    ("npu_gpu_cpu", npu_gpu_cpu, 4),
    ("cpu_npu", cpu_npu, 2),
    ("two_queues", two_queues, 5),
    ("cpu_gpu_npu", cpu_gpu_npu, 4),
    ("partial_write_between", partial_write_between, 5),
    ("looped", looped, 4),
];

const WHOLE: usize = usize::MAX;

fn run(name: &str, program: Program, without: usize, environment: &[(&str, &str)]) -> Ended {
    let scenario_name = format!("{name}-{without}");
    scenario(&scenario_name, environment, || program(&mut Plan { without, next: 0 }))
}

#[test]
fn right_plans_are_right_under_every_seed() {
    for (name, program, _) in PROGRAMS {
        for seed in 0..20 {
            run(name, program, WHOLE, &[("CLEF_ADVERSARIAL", &seed.to_string())]).fine();
        }
    }
}

#[test]
fn each_missing_element_is_a_race() {
    for (name, program, elements) in PROGRAMS {
        for without in 0..elements {
            let ended = run(name, program, without, &[("CLEF_ADVERSARIAL", "1")]);
            let errors = &ended.errors;
            assert!(is_child() || ended.code == Some(135), "{name} without element {without}: {errors}");
            ended.ends(135, "race: ");
        }
    }
}

#[test]
fn each_missing_element_gives_a_wrong_result_at_last() {
    for (name, program, elements) in PROGRAMS {
        for without in 0..elements {
            let wrong = (0..60).any(|seed| {
                let seed = seed.to_string();
                let environment = [("CLEF_ADVERSARIAL", seed.as_str()), ("CLEF_RACES", "ignore")];
                run(name, program, without, &environment).code == Some(99)
            });
            assert!(is_child() || wrong, "{name} without element {without} is right under 60 seeds");
        }
    }
}

#[test]
fn a_race_names_both_accesses() {
    let ended = run("npu_gpu_cpu", npu_gpu_cpu, 2, &[("CLEF_ADVERSARIAL", "3")]);
    ended.ends(
        135,
        "test.clef:11:5: race: the GPU (kernel `next`) reads a buffer that the NPU (kernel `fill`) wrote at \
         test.clef:10:5, and nothing makes sure that the first has ended",
    );
}

/// Vulkan's rules: GPU writes a; queue 1 reads a, writes b; CPU reads b; GPU again.
fn vulkan(plan: &mut Plan) {
    let (a, b, c) = (ints(N), ints(N), ints(N));
    let first = at(10, fill_kernel(), GPU, 0, 0);
    let behind = plan.or(FLAG_BARRIER_BEHIND, 0);
    let second = at(11, next_kernel(), GPU, 1, 0).flags(behind);
    let second = if plan.has() { second.after(&[&first]) } else { second };
    let before = plan.or(FLAG_BARRIER_BEFORE, 0);
    let third = at(12, next_kernel(), GPU, 1, 0).flags(before | FLAG_BARRIER_BEHIND);
    first.run(&[a as u64, 3]);
    second.run(&[a as u64, b as u64]);
    if plan.has() {
        second.wait();
    }
    check(b, 7, 4);
    let fourth = at(13, next_kernel(), GPU, 1, 0);
    fourth.run(&[b as u64, a as u64]);
    third.run(&[a as u64, c as u64]);
    if plan.has() {
        third.wait();
    }
    check(c, 1, 6);
}

#[test]
fn the_rules_of_vulkan() {
    for seed in ["1", "2", "3"] {
        let environment = [("CLEF_ADVERSARIAL", seed), ("CLEF_AGENTS", "vulkan")];
        run("vulkan", vulkan, WHOLE, &environment).fine();
        for without in 0..5 {
            let ended = run("vulkan", vulkan, without, &environment);
            assert!(is_child() || ended.code == Some(135), "without element {without}: {}", ended.errors);
        }
    }
}

#[test]
fn a_kernel_that_stops_ends_the_run() {
    let ended = scenario("far", &[("CLEF_ADVERSARIAL", "1")], || {
        let b = ints(4);
        at(40, kernel("far", vec![buffer(READ)], too_far), GPU, 0, header(2, 2)).run(&[b as u64]);
    });
    ended.ends(134, "in kernel `far` on the GPU, dispatched at test.clef:40:5");
}

//! Running packets with incoherent memory: one at a time, in an order that the seed decides.
//!
//! Packets run on a thread of their own, but only while the host is inside a call of this library: a doorbell runs
//! some of them at random, a wait runs them until it is satisfied. So memory moves at no other time, and a seed gives
//! the same run every time. What a packet may overtake, it sometimes does: one without the barrier bit does not wait
//! for those before it.

use crate::queue::{self, Packet, Queue, Work};
use crate::shadow::{self, Place};
use crate::{EXCEPTION, lock, signal, wishes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A small generator of random numbers (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n.max(1) as u64) as usize
    }
}

struct State {
    random: Random,
    started: bool,
    /// Packets that may still run in the host's present call.
    budget: u32,
    /// A packet has run since the host last asked.
    progress: bool,
    /// Packets of each queue that have ended before an older one.
    ahead: BTreeMap<u64, BTreeSet<u64>>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
static HOST: Condvar = Condvar::new();
static MACHINE: Condvar = Condvar::new();

/// A kernel that stops never returns; then the host goes on after this time.
const PATIENCE: Duration = Duration::from_secs(1);

fn new() -> State {
    State {
        random: Random(wishes().seed.unwrap_or(0)),
        started: false,
        budget: 0,
        progress: false,
        ahead: BTreeMap::new(),
    }
}

/// Lets up to `n` packets run; whether one did.
fn allow(n: u32) -> bool {
    let mut held = lock(&STATE);
    let state = held.get_or_insert_with(new);
    if !state.started {
        state.started = std::thread::Builder::new().stack_size(8 << 20).spawn(machine).is_ok();
    }
    if state.random.below(3) == 0 {
        shadow::spontaneous(&mut state.random);
    }
    state.budget = n;
    state.progress = false;
    MACHINE.notify_all();
    let end = Instant::now() + PATIENCE;
    while held.as_ref().is_some_and(|s| s.budget > 0) && Instant::now() < end {
        held = HOST.wait_timeout(held, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
    }
    held.as_ref().is_some_and(|s| s.progress)
}

/// A doorbell: perhaps something runs at once.
pub fn rung(queue: &Queue, release: bool) {
    if queue.npu && release {
        shadow::clean();
    }
    let n = lock(&STATE).get_or_insert_with(new).random.below(4);
    // Half of the time nothing: packets that run late find more mistakes than those that run early.
    if n >= 2 {
        allow(n as u32 - 1);
    }
}

/// Runs packets until `done`, or nothing more can run and the time is over; whether it is.
pub fn run_until(limit: Option<Duration>, done: impl Fn() -> bool) -> bool {
    let end = limit.and_then(|l| Instant::now().checked_add(l));
    loop {
        if done() {
            return true;
        }
        if !allow(1) {
            if end.is_some_and(|e| Instant::now() >= e) {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// The life of the thread that runs packets.
fn machine() {
    let mut held = lock(&STATE);
    loop {
        let Some(state) = held.as_mut() else { return };
        if state.budget == 0 {
            HOST.notify_all();
            held = MACHINE.wait(held).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let ready = ready(state);
        if ready.is_empty() {
            state.budget = 0;
            continue;
        }
        let (queue, index) = ready[state.random.below(ready.len())];
        let mut random = Random(state.random.draw());
        drop(held);
        let packet = queue.packet(index);
        let fine = run(queue, &packet, &mut random);
        held = lock(&STATE);
        let Some(state) = held.as_mut() else { return };
        if fine {
            finish(state, queue, index);
            Queue::ended(&packet);
        }
        state.budget = state.budget.saturating_sub(1);
        state.progress = true;
    }
}

/// Packets that may run now.
fn ready(state: &State) -> Vec<(&'static Queue, u64)> {
    let mut ready = Vec::new();
    for queue in queue::all() {
        if queue.stopped.load(Ordering::Acquire) {
            continue;
        }
        let ahead = state.ahead.get(&queue.number());
        let mut all_before = true;
        let first = queue.read.load(Ordering::Acquire);
        for index in first..(queue.told.load(Ordering::Acquire) + 1) as u64 {
            if ahead.is_some_and(|a| a.contains(&index)) {
                continue;
            }
            if !queue.valid(index) {
                break;
            }
            let packet = queue.packet(index);
            if packet.barrier_bit && !all_before {
                break;
            }
            if satisfied(&packet) {
                ready.push((queue, index));
            }
            all_before = false;
        }
    }
    ready
}

fn satisfied(packet: &Packet) -> bool {
    let zero = |d: &u64| signal::resolve(*d).value() == 0;
    match &packet.work {
        Work::Barrier { dependencies, any: false } => dependencies.iter().all(zero),
        Work::Barrier { dependencies, any: true } => dependencies.is_empty() || dependencies.iter().any(zero),
        _ => true,
    }
}

/// Runs a packet with its fences; false if the queue failed.
fn run(queue: &'static Queue, packet: &Packet, random: &mut Random) -> bool {
    let place = Place { agent: queue.agent, queue: queue.number(), npu: queue.npu };
    if !queue.npu {
        shadow::acquire(place.agent, place.queue, packet.acquire);
    }
    match &packet.work {
        Work::Wrong(why) => {
            queue.fail(*why);
            return false;
        }
        Work::Kernel { entry, kernarg } => {
            if queue.refuses(entry, *kernarg) {
                queue.fail(EXCEPTION);
                return false;
            }
            // SAFETY: the arguments are as long as the kernel says, and stay until the packet's end.
            unsafe {
                let arguments =
                    std::slice::from_raw_parts(*kernarg as *const u8, entry.kernarg_bytes as usize).to_vec();
                shadow::run(place, entry, &arguments, random);
            }
        }
        Work::Barrier { .. } => {}
    }
    if !queue.npu {
        shadow::release(place.agent, place.queue, packet.release);
    }
    true
}

fn finish(state: &mut State, queue: &Queue, index: u64) {
    queue.taken(index);
    let ahead = state.ahead.entry(queue.number()).or_default();
    ahead.insert(index);
    let mut read = queue.read.load(Ordering::Relaxed);
    while ahead.remove(&read) {
        read += 1;
    }
    queue.read.store(read, Ordering::Release);
}

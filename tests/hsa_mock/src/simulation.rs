//! Running packets with incoherent memory: one at a time, in an order that the seed decides.
//!
//! Packets run on a thread of their own, but only while the host is inside a call of this library: a doorbell runs
//! some of them at random, a wait runs them until it is satisfied. So memory moves at no other time, and a seed gives
//! the same run every time. What a packet may overtake, it sometimes does: one without the barrier bit does not wait
//! for those before it.

use crate::code::Entry;
use crate::queue::{self, Packet, Queue, Work};
use crate::shadow::{self, Place, Use};
use crate::{EXCEPTION, lock, race, signal, wishes};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    /// Packets told of that have not run on the truth yet.
    told: VecDeque<(&'static Queue, u64)>,
    /// Kernels told of that have not ended, by their order, queue and index.
    pending: BTreeMap<u64, Pending>,
    next: u64,
}

struct Pending {
    queue: u64,
    index: u64,
    name: String,
    uses: Vec<Use>,
}

/// Whether two lists have an allocation in common that one of them writes.
fn conflict(a: &[Use], b: &[Use]) -> bool {
    a.iter().any(|a| b.iter().any(|b| a.start == b.start && (a.writes || b.writes)))
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
        told: VecDeque::new(),
        pending: BTreeMap::new(),
        next: 0,
    }
}

/// Looks for what the host has written; nothing that is told of and has not ended may use it.
fn host_writes(state: &State) {
    for start in shadow::host_writes() {
        if let Some(user) = state.pending.values().find(|p| p.uses.iter().any(|u| u.start == start)) {
            race(&format!("the host writes a buffer that kernel `{}` still uses", user.name));
        }
    }
}

/// Lets up to `n` packets run; whether one did.
fn allow(n: u32) -> bool {
    let mut held = lock(&STATE);
    let state = held.get_or_insert_with(new);
    if !state.started {
        state.started = std::thread::Builder::new().stack_size(8 << 20).spawn(machine).is_ok();
    }
    if wishes().seed != Some(0) && state.random.below(3) == 0 {
        shadow::spontaneous(&mut state.random);
    }
    state.budget = n;
    state.progress = false;
    MACHINE.notify_all();
    let end = Instant::now() + PATIENCE;
    while held.as_ref().is_some_and(|s| s.budget > 0 || !s.told.is_empty()) && Instant::now() < end {
        held = HOST.wait_timeout(held, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
    }
    held.as_ref().is_some_and(|s| s.progress)
}

/// A doorbell has told of the packets from `first` to `newest`: they run on the truth, and perhaps some packets run.
pub fn rung(queue: &'static Queue, first: u64, newest: u64, release: bool) {
    if queue.npu && release {
        shadow::clean();
    }
    let n = {
        let mut held = lock(&STATE);
        let state = held.get_or_insert_with(new);
        host_writes(state);
        state.told.extend((first..=newest).map(|index| (queue, index)));
        state.random.below(4)
    };
    // Half of the time no more: packets that run late find more mistakes than those that run early.
    let some = n >= 2 && wishes().seed != Some(0);
    allow(if some { n as u32 - 1 } else { 0 });
}

/// Runs packets until `done`, or nothing more can run and the time is over; whether it is.
pub fn run_until(limit: Option<Duration>, done: impl Fn() -> bool) -> bool {
    let end = limit.and_then(|l| Instant::now().checked_add(l));
    host_writes(lock(&STATE).get_or_insert_with(new));
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
        if let Some(&(queue, index)) = state.told.front() {
            drop(held);
            let uses = truly(queue, index);
            held = lock(&STATE);
            let Some(state) = held.as_mut() else { return };
            state.told.pop_front();
            state.next += 1;
            if let Some((name, uses)) = uses {
                state.pending.insert(state.next, Pending { queue: queue.number(), index, name, uses });
            }
            continue;
        }
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
        let uses = in_order(state, queue, index);
        drop(held);
        let packet = queue.packet(index);
        let fine = run(queue, &packet, &uses, &mut random);
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

/// Runs a packet's kernel on the truth: its name, and what it uses.
fn truly(queue: &Queue, index: u64) -> Option<(String, Vec<Use>)> {
    match queue.packet(index).work {
        Work::Kernel { entry, kernarg } if !queue.refuses(entry, kernarg) => {
            // SAFETY: the program's kernel with the program's arguments.
            let uses = unsafe { shadow::run_truly(entry, arguments(entry, kernarg)) };
            Some((entry.name(), uses))
        }
        _ => None,
    }
}

/// # Safety
/// The arguments are as long as the kernel says, and stay until the packet's end.
unsafe fn arguments(entry: &Entry, kernarg: usize) -> &[u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(kernarg as *const u8, entry.kernarg_bytes as usize) }
}

/// What a packet uses; everything that was told of before it and uses the same must have ended.
fn in_order(state: &State, queue: &Queue, index: u64) -> Vec<Use> {
    let own = state.pending.iter().find(|(_, p)| p.queue == queue.number() && p.index == index);
    let Some((order, own)) = own else { return Vec::new() };
    if let Some((_, older)) = state.pending.range(..order).find(|(_, p)| conflict(&p.uses, &own.uses)) {
        race(&format!(
            "kernel `{}` runs before kernel `{}` has ended, and they share a buffer",
            own.name, older.name
        ));
    }
    own.uses.clone()
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
fn run(queue: &'static Queue, packet: &Packet, uses: &[Use], random: &mut Random) -> bool {
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
            if queue.faults(entry) {
                return false;
            }
            if queue.refuses(entry, *kernarg) {
                queue.fail(EXCEPTION);
                return false;
            }
            // SAFETY: the program's kernel with the program's arguments.
            unsafe { shadow::run(place, entry, arguments(entry, *kernarg), uses, random) };
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
    state.pending.retain(|_, p| p.queue != queue.number() || p.index != index);
    let ahead = state.ahead.entry(queue.number()).or_default();
    ahead.insert(index);
    let mut read = queue.read.load(Ordering::Relaxed);
    while ahead.remove(&read) {
        read += 1;
    }
    queue.read.store(read, Ordering::Release);
}

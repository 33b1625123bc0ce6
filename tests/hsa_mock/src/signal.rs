//! Signals: numbers that agents change and others wait for. A queue's doorbell is a signal too.
//!
//! With incoherent memory, a load or wait of the host with acquire order is what shows it what agents have published.

use crate::queue::{self, Queue};
use crate::{
    INVALID_ARGUMENT, INVALID_SIGNAL, Status, enter, given, lock, record, shadow, simulation, status, weaken,
    wishes,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub struct Signal {
    value: AtomicI64,
    sleepers: AtomicU32,
    lock: Mutex<()>,
    changed: Condvar,
    /// The queue whose doorbell it is.
    pub doorbell_of: AtomicPtr<Queue>,
}

static ALIVE: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Rounds that a waiter looks before it sleeps.
const SPIN: u32 = 2000;

/// Nanoseconds since the first look.
pub fn now() -> u64 {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    ZERO.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Makes a signal; its handle is its address.
pub fn create(initial: i64) -> u64 {
    let signal = Box::new(Signal {
        value: AtomicI64::new(initial),
        sleepers: AtomicU32::new(0),
        lock: Mutex::new(()),
        changed: Condvar::new(),
        doorbell_of: AtomicPtr::default(),
    });
    let handle = Box::into_raw(signal) as u64;
    lock(&ALIVE).insert(handle);
    handle
}

/// The signal of a handle. Using one that is not alive is a mistake that the specification leaves open: handles are
/// never reused here, so it is at least no memory error.
pub fn resolve(handle: u64) -> &'static Signal {
    assert!(handle != 0, "the signal handle 0 was used");
    // SAFETY: handles are from `create`, whose memory is kept.
    unsafe { &*(handle as *const Signal) }
}

impl Signal {
    pub fn value(&self) -> i64 {
        self.value.load(Ordering::SeqCst)
    }

    /// Changes the value and wakes who waits.
    pub fn update(&self, f: impl Fn(i64) -> i64) -> i64 {
        let before =
            self.value.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |v| Some(f(v))).unwrap_or_default();
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _held = lock(&self.lock);
            self.changed.notify_all();
        }
        before
    }

    /// Waits until the value satisfies `done`, or the time is over; whether it does.
    pub fn wait(&self, limit: Option<Duration>, done: impl Fn(i64) -> bool) -> bool {
        for _ in 0..SPIN {
            if done(self.value()) {
                return true;
            }
            std::hint::spin_loop();
        }
        let end = limit.and_then(|l| Instant::now().checked_add(l));
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let mut held = lock(&self.lock);
        let satisfied = loop {
            if done(self.value()) {
                break true;
            }
            let left = end.map(|e| e.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break false;
            }
            let left = left.unwrap_or(Duration::from_secs(1));
            held = self.changed.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(held);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        satisfied
    }
}

/// # Safety
/// As HSA's specification has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_signal_create(
    initial: i64,
    n: u32,
    consumers: *const u64,
    signal: *mut u64,
) -> Status {
    status(enter("hsa_signal_create").and_then(|()| {
        given(signal)?;
        if n > 0 && consumers.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        // SAFETY: the caller's promise.
        unsafe { signal.write(create(initial)) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_signal_destroy(signal: u64) -> Status {
    status(
        enter("hsa_signal_destroy")
            .and_then(|()| if lock(&ALIVE).remove(&signal) { Ok(()) } else { Err(INVALID_SIGNAL) }),
    )
}

/// The host has seen something with acquire order.
fn acquired() {
    if wishes().seed.is_some() {
        shadow::host_acquires();
    }
}

fn load(signal: u64, acquire: bool) -> i64 {
    let value = resolve(signal).value();
    if acquire {
        acquired();
    }
    value
}

fn store(signal: u64, value: i64, release: bool) {
    let signal = resolve(signal);
    // SAFETY: queues are kept.
    let queue = unsafe { signal.doorbell_of.load(Ordering::Acquire).as_ref() };
    let (before, release) = queue.map_or((-1, release), |queue| queue::rung(queue, value, release));
    signal.update(|_| value);
    if let Some(queue) = queue.filter(|_| wishes().seed.is_some() && value > before) {
        simulation::rung(queue, (before + 1) as u64, value as u64, release);
    }
}

fn satisfies(condition: u32, value: i64, compare: i64) -> bool {
    match condition {
        0 => value == compare,
        1 => value != compare,
        2 => value < compare,
        _ => value >= compare,
    }
}

fn wait(handle: u64, condition: u32, compare: i64, timeout: u64, acquire: bool) -> i64 {
    if acquire && weaken::skips_wait() {
        // A value that satisfies; nobody has waited for it.
        return [compare, compare + 1, compare - 1, compare][condition.min(3) as usize];
    }
    let signal = resolve(handle);
    let done = |value| satisfies(condition, value, compare);
    let limit = (timeout < u64::MAX / 2).then(|| Duration::from_nanos(timeout));
    let satisfied = if wishes().seed.is_some() {
        simulation::run_until(limit, || done(signal.value()))
    } else {
        signal.wait(limit, done)
    };
    if acquire {
        acquired();
    }
    if satisfied && acquire {
        weaken::waited();
    }
    if satisfied && record::wanted() {
        let order = if acquire { "acquire" } else { "relaxed" };
        record::line(&format!("wait {} {order}", record::owner(handle)));
    }
    signal.value()
}

macro_rules! loads {
    ($($name:ident $acquire:literal)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $name(signal: u64) -> i64 {
            load(signal, $acquire)
        })*
    };
}

macro_rules! stores {
    ($($name:ident $release:literal)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $name(signal: u64, value: i64) {
            store(signal, value, $release);
        })*
    };
}

macro_rules! waits {
    ($($name:ident $acquire:literal)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $name(signal: u64, condition: u32, compare: i64, timeout: u64, _: u32) -> i64 {
            wait(signal, condition, compare, timeout, $acquire)
        })*
    };
}

/// Read-modify-write operations without a result: all orders of one operation.
macro_rules! changes {
    ($($name:ident $acquire:literal $op:expr;)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $name(signal: u64, value: i64) {
            let op: fn(i64, i64) -> i64 = $op;
            resolve(signal).update(|v| op(v, value));
            if $acquire {
                acquired();
            }
        })*
    };
}

macro_rules! exchanges {
    ($($name:ident $cas:ident $acquire:literal;)*) => {
        $(#[unsafe(no_mangle)]
        pub extern "C" fn $name(signal: u64, value: i64) -> i64 {
            let before = resolve(signal).update(|_| value);
            if $acquire {
                acquired();
            }
            before
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $cas(signal: u64, expected: i64, value: i64) -> i64 {
            let before = resolve(signal).update(|v| if v == expected { value } else { v });
            if $acquire {
                acquired();
            }
            before
        })*
    };
}

loads! {
    hsa_signal_load_relaxed false
    hsa_signal_load_scacquire true
    hsa_signal_load_acquire true
}

stores! {
    hsa_signal_store_relaxed false
    hsa_signal_store_screlease true
    hsa_signal_store_release true
}

waits! {
    hsa_signal_wait_relaxed false
    hsa_signal_wait_scacquire true
    hsa_signal_wait_acquire true
}

changes! {
    hsa_signal_add_relaxed false i64::wrapping_add;
    hsa_signal_add_scacquire true i64::wrapping_add;
    hsa_signal_add_screlease false i64::wrapping_add;
    hsa_signal_add_scacq_screl true i64::wrapping_add;
    hsa_signal_subtract_relaxed false i64::wrapping_sub;
    hsa_signal_subtract_scacquire true i64::wrapping_sub;
    hsa_signal_subtract_screlease false i64::wrapping_sub;
    hsa_signal_subtract_scacq_screl true i64::wrapping_sub;
    hsa_signal_and_relaxed false |a, b| a & b;
    hsa_signal_and_scacq_screl true |a, b| a & b;
    hsa_signal_or_relaxed false |a, b| a | b;
    hsa_signal_or_scacq_screl true |a, b| a | b;
    hsa_signal_xor_relaxed false |a, b| a ^ b;
    hsa_signal_xor_scacq_screl true |a, b| a ^ b;
}

exchanges! {
    hsa_signal_exchange_relaxed hsa_signal_cas_relaxed false;
    hsa_signal_exchange_scacquire hsa_signal_cas_scacquire true;
    hsa_signal_exchange_screlease hsa_signal_cas_screlease false;
    hsa_signal_exchange_scacq_screl hsa_signal_cas_scacq_screl true;
}

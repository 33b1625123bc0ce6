//! The worker pool: splits parallel loops of kernels over threads.
//!
//! - Threads start with the first loop that is worth it; they spin briefly for more work, then sleep.
//! - Their number, with the caller: `CLEF_THREADS`, else the least of the processors that the process may run on and
//!   the cgroup's quota.
//! - `CLEF_AFFINITY` binds workers to processors, see [`crate::affinity`].
//! - A loop is cut into chunks that caller and workers take from a counter, so a thread that the system delays holds
//!   up one chunk. Loops that are not worth a wake-up run on the caller.
//! - Loops may nest, and several threads may start loops at once: each takes a slot; without a free slot, the loop
//!   runs on its caller.
//!
//! Memory order: a worker announces itself in a slot (`users`) before it looks whether the slot is open, the owner
//! closes the slot before it looks whether there are users; both sequentially consistent. So the owner leaves only
//! when no worker can still touch its loop, and sees all that they wrote.

use crate::abi::ParallelBody;
use crate::futex::{self, Spin};
use crate::{affinity, start, stop};
use std::cell::{Cell, UnsafeCell};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};

/// Loops that may run at once.
const SLOTS: usize = 8;

/// Work, in scalar operations, from which a loop is split: where workers are awake, and where they must be woken.
const WORTH_AWAKE: i64 = 8 << 10;
const WORTH_ASLEEP: i64 = 64 << 10;
/// The least work of a chunk.
const CHUNK_WORK: i64 = 4 << 10;

/// How long a worker looks for work before it sleeps, in microseconds.
const WORKER_SPIN: u64 = 30;

#[derive(Clone, Copy)]
struct Loop {
    body: ParallelBody,
    env: *const u8,
    items: i64,
    chunk: i64,
    handler: Option<stop::Handler>,
}

#[repr(align(128))]
struct Slot {
    taken: AtomicBool,
    open: AtomicBool,
    users: AtomicU32,
    next: AtomicI64,
    work: UnsafeCell<Option<Loop>>,
}

// SAFETY: `work` is written by the slot's owner while it is closed and without users, read by users while open.
unsafe impl Sync for Slot {}

#[expect(clippy::declare_interior_mutable_const, reason = "only an initial value")]
const EMPTY: Slot = Slot {
    taken: AtomicBool::new(false),
    open: AtomicBool::new(false),
    users: AtomicU32::new(0),
    next: AtomicI64::new(0),
    work: UnsafeCell::new(None),
};

static SLOTS_OF_ALL: [Slot; SLOTS] = [EMPTY; SLOTS];
/// Counts openings; workers sleep on it.
static EPOCH: AtomicU32 = AtomicU32::new(0);
static SLEEPERS: AtomicU32 = AtomicU32::new(0);
/// Workers running; they start once.
static WORKERS: AtomicUsize = AtomicUsize::new(0);
static STARTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Set while a loop must not be split (adversarial memory runs kernels one by one).
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Processors that the process may use at once.
pub fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    // Reads the affinity mask and the quotas of both versions of cgroups.
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Threads that share a loop, the caller included.
pub fn threads() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let asked = start::variable_text(c"CLEF_THREADS");
        let Some(text) = asked else { return processors() };
        match text.parse::<usize>() {
            Ok(n) if (1..=1024).contains(&n) => n,
            _ => stop::fatal(format_args!("CLEF_THREADS is `{text}`; it must be a number from 1 to 1024")),
        }
    })
}

/// Runs `body` over `0..items`, split over threads; returns when all is done. `cost`: the work of one item, estimated
/// in scalar operations.
///
/// # Safety
/// `body(env, ..)` may be called from any thread for disjoint ranges.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_parallel(body: ParallelBody, env: *const u8, items: i64, cost: i64) {
    if items <= 0 {
        return;
    }
    let work = items.saturating_mul(cost.max(1));
    if work < WORTH_AWAKE || items == 1 || !worth(work) {
        // SAFETY: the caller's promise.
        return unsafe { body(env, 0, items) };
    }
    let least = (CHUNK_WORK / cost.max(1)).max(1);
    let chunk = (items / (4 * threads() as i64)).max(least);
    // SAFETY: the caller's promise.
    unsafe { split(Loop { body, env, items, chunk, handler: None }) };
}

/// Whether there are workers for a loop of that much work.
fn worth(work: i64) -> bool {
    if threads() == 1 || ALONE.get() {
        return false;
    }
    if !STARTED.load(Ordering::Acquire) {
        return work >= WORTH_ASLEEP && start_workers();
    }
    work >= WORTH_ASLEEP || (SLEEPERS.load(Ordering::Relaxed) as usize) < WORKERS.load(Ordering::Relaxed)
}

/// Runs loops on this thread only while `run` lasts.
pub fn alone<T>(run: impl FnOnce() -> T) -> T {
    let before = ALONE.replace(true);
    let result = run();
    ALONE.set(before);
    result
}

#[cold]
fn start_workers() -> bool {
    if STARTED.swap(true, Ordering::AcqRel) {
        return true;
    }
    affinity::list();
    for n in 1..threads() {
        let builder = std::thread::Builder::new().name(format!("clef-worker-{n}"));
        // Fewer threads than wanted are no error: the caller takes what they would have done.
        if builder.spawn(move || worker(n)).is_ok() {
            WORKERS.fetch_add(1, Ordering::Relaxed);
        }
    }
    true
}

fn worker(number: usize) {
    affinity::bind(number);
    loop {
        let epoch = EPOCH.load(Ordering::SeqCst);
        if help() {
            continue;
        }
        let mut spin = Spin::new(WORKER_SPIN);
        while EPOCH.load(Ordering::SeqCst) == epoch {
            if !spin.again() {
                SLEEPERS.fetch_add(1, Ordering::SeqCst);
                futex::wait(&EPOCH, epoch, 0);
                SLEEPERS.fetch_sub(1, Ordering::SeqCst);
                break;
            }
        }
    }
}

/// Works on all open loops; whether there was anything to do.
fn help() -> bool {
    let mut helped = false;
    for slot in &SLOTS_OF_ALL {
        if !slot.open.load(Ordering::Relaxed) {
            continue;
        }
        slot.users.fetch_add(1, Ordering::SeqCst);
        if slot.open.load(Ordering::SeqCst) {
            // SAFETY: the slot is open and this thread is counted, so the owner has not left.
            if let Some(work) = unsafe { *slot.work.get() } {
                let before = stop::set_handler(work.handler);
                // SAFETY: as above.
                helped |= unsafe { take_chunks(slot, &work) };
                stop::set_handler(before);
            }
        }
        slot.users.fetch_sub(1, Ordering::SeqCst);
    }
    helped
}

/// Runs chunks until there are none left; whether there was one.
unsafe fn take_chunks(slot: &Slot, work: &Loop) -> bool {
    let mut any = false;
    loop {
        let begin = slot.next.fetch_add(work.chunk, Ordering::Relaxed);
        if begin >= work.items {
            return any;
        }
        any = true;
        let end = work.items.min(begin.saturating_add(work.chunk));
        // SAFETY: ranges are disjoint; the loop's owner waits for this thread.
        unsafe { (work.body)(work.env, begin, end) };
    }
}

unsafe fn split(mut work: Loop) {
    let free = SLOTS_OF_ALL
        .iter()
        .find(|s| !s.taken.load(Ordering::Relaxed) && !s.taken.swap(true, Ordering::Acquire));
    let Some(slot) = free else {
        // SAFETY: the caller's promise.
        return unsafe { (work.body)(work.env, 0, work.items) };
    };
    work.handler = stop::set_handler(None);
    stop::set_handler(work.handler);
    slot.next.store(0, Ordering::Relaxed);
    // SAFETY: the slot is this thread's, closed and without users that get past `open`.
    unsafe { *slot.work.get() = Some(work) };
    slot.open.store(true, Ordering::SeqCst);
    EPOCH.fetch_add(1, Ordering::SeqCst);
    if SLEEPERS.load(Ordering::SeqCst) > 0 {
        futex::wake(&EPOCH, WORKERS.load(Ordering::Relaxed) as i32);
    }
    // SAFETY: as above.
    unsafe { take_chunks(slot, &work) };
    slot.open.store(false, Ordering::SeqCst);
    let mut spin = Spin::new(WORKER_SPIN);
    while slot.users.load(Ordering::SeqCst) != 0 {
        if !spin.again() {
            std::thread::yield_now();
        }
    }
    slot.taken.store(false, Ordering::Release);
}

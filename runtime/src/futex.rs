//! Waiting on memory: the kernel's futex, and the waiting loop of everything here (spin briefly, then sleep).

use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// Sleeps while `*word == expected`, at most `nanoseconds` (0: without limit). May return early.
pub fn wait(word: &AtomicU32, expected: u32, nanoseconds: u64) {
    let limit = libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanoseconds % 1_000_000_000) as libc::c_long,
    };
    let limit: *const libc::timespec = if nanoseconds == 0 { ptr::null() } else { &limit };
    let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the time outlive the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, expected, limit) };
}

/// Wakes up to `n` sleepers.
pub fn wake(word: &AtomicU32, n: i32) {
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word outlives the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, n) };
}

/// A spin that ends after a given time: short, for on a busy machine whoever is waited for needs the processor.
pub struct Spin {
    rounds: u32,
    limit: Duration,
    begun: Option<Instant>,
}

impl Spin {
    /// `micros`: how long. On a single processor it does not spin at all.
    pub fn new(micros: u64) -> Self {
        let micros = if crate::pool::processors() > 1 { micros } else { 0 };
        Self { rounds: 0, limit: Duration::from_micros(micros), begun: None }
    }

    /// One round; false when it is time to sleep.
    pub fn again(&mut self) -> bool {
        self.rounds += 1;
        // The first rounds look often: most waits here are shorter than a microsecond.
        let pauses = if self.rounds < 16 { 1 } else { 4 };
        for _ in 0..pauses {
            std::hint::spin_loop();
        }
        self.begun.get_or_insert_with(Instant::now).elapsed() < self.limit
    }
}

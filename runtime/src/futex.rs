//! Waiting on memory: the kernel's futex, and the waiting loop of everything here (spin briefly, then sleep).

use std::ptr;
use std::sync::atomic::AtomicU32;

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

/// A spin that ends after about as long as a sleep and a wake-up cost.
pub struct Spin {
    rounds: u32,
    most: u32,
}

impl Spin {
    /// `micros`: roughly how long. On a single processor it does not spin at all.
    pub fn new(micros: u32) -> Self {
        let most = if crate::pool::processors() > 1 { micros * 12 } else { 0 };
        Self { rounds: 0, most }
    }

    /// One round; false when it is time to sleep.
    pub fn again(&mut self) -> bool {
        if self.rounds >= self.most {
            return false;
        }
        self.rounds += 1;
        // The first rounds look often: most waits here are shorter than a microsecond.
        for _ in 0..if self.rounds < 16 { 1 } else { 4 } {
            std::hint::spin_loop();
        }
        true
    }
}

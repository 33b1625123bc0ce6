//! Work that follows the nesting of programs needs a deep stack.
//!
//! [`run`] gives it one: the caller's, where that is known to be deep, else a thread's. Staying on one thread matters
//! for memory: an allocator keeps what a thread freed for that thread. Only touched pages of a stack count.

use std::cell::Cell;

/// Bytes that the deepest programs within the parser's limits need, with a margin.
pub const STACK: usize = 512 << 20;

thread_local! {
    static IS_DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Tells that the calling thread has a stack of [`STACK`] bytes, so that [`run`] needs no other.
pub fn mark() {
    IS_DEEP.set(true);
}

/// Runs `work` with at least [`STACK`] bytes of stack; an error where the system gives no thread.
pub fn run<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    if IS_DEEP.get() {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let marked = || {
            mark();
            work()
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, marked)?;
        match thread.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs some hundred bytes of stack a level, and cannot be made a loop.
    fn depth(n: u32) -> u64 {
        let pad = [u64::from(n); 32];
        if n == 0 { 0 } else { 1 + std::hint::black_box(&pad)[7] - u64::from(n) + depth(n - 1) }
    }

    #[test]
    fn a_million_levels_fit() {
        assert_eq!(run(|| depth(1_000_000)).unwrap(), 1_000_000);
    }

    #[test]
    fn the_thread_is_left_only_once() {
        let ids =
            run(|| (std::thread::current().id(), run(|| std::thread::current().id()).unwrap())).unwrap();
        assert_eq!(ids.0, ids.1);
        assert_ne!(ids.0, std::thread::current().id());
    }
}

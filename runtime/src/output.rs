//! Standard output, buffered, and messages on standard error.
//!
//! Output is written when the buffer is full, at the end of a line on a terminal, before anything goes to standard
//! error, before the program reads from a terminal ([`before_read`]), when it stops and when it ends. A failed write
//! is kept and turns into a message and exit code 1 at the end; a closed pipe ends the process as in C.

use crate::abi::Sequence;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

const CAPACITY: usize = 32 << 10;

struct Output {
    bytes: Vec<u8>,
    /// Whether it is a terminal; not known before the first write.
    terminal: Option<bool>,
    /// The first error of a write, as errno.
    error: i32,
}

static OUTPUT: Mutex<Output> = Mutex::new(Output { bytes: Vec::new(), terminal: None, error: 0 });

fn output() -> MutexGuard<'static, Output> {
    OUTPUT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Output {
    fn write(&mut self, text: &[u8]) {
        if self.bytes.len() + text.len() > CAPACITY {
            self.flush();
        }
        if text.len() >= CAPACITY {
            self.error = self.error.max(write_all(1, text));
            return;
        }
        self.bytes.reserve(CAPACITY);
        self.bytes.extend_from_slice(text);
        // SAFETY: isatty has no preconditions.
        let terminal = *self.terminal.get_or_insert_with(|| unsafe { libc::isatty(1) } == 1);
        if terminal && text.contains(&b'\n') {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            self.error = self.error.max(write_all(1, &self.bytes));
            self.bytes.clear();
        }
    }
}

/// Writes all of `text`; 0, or the errno of the failure.
fn write_all(fd: i32, mut text: &[u8]) -> i32 {
    while !text.is_empty() {
        // SAFETY: the slice is valid for its length.
        let n = unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) };
        if n < 0 {
            let error = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
            if error == libc::EINTR {
                continue;
            }
            return error;
        }
        text = &text[n as usize..];
    }
    0
}

/// Writes to standard output.
pub fn print(text: &[u8]) {
    output().write(text);
}

/// Writes what is buffered; false if a write has failed since the start.
pub fn flush() -> bool {
    let mut output = output();
    output.flush();
    output.error == 0
}

/// As [`flush`], but gives up if this thread was stopped in the middle of a write (signal handlers).
pub fn try_flush() {
    if let Ok(mut output) = OUTPUT.try_lock() {
        output.flush();
    }
}

/// To be called before a read from standard input: prompts must be seen.
pub fn before_read() {
    // SAFETY: isatty has no preconditions.
    if unsafe { libc::isatty(0) } == 1 {
        flush();
    }
}

/// Writes to standard error, behind what was printed before.
pub fn error(text: &[u8]) {
    let mut output = output();
    output.flush();
    write_all(2, text);
}

/// Writes a message of the runtime's own to standard error, in one piece.
pub fn message(text: fmt::Arguments<'_>) {
    let mut line = String::new();
    let _ = line.write_fmt(text);
    error(line.as_bytes());
}

/// The error that made a write to standard output fail, in words.
pub fn failure() -> Option<String> {
    let error = output().error;
    (error != 0).then(|| std::io::Error::from_raw_os_error(error).to_string())
}

/// Writes a string to standard output.
///
/// # Safety
/// `text` is a string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_print(text: *const Sequence) {
    // SAFETY: the caller's promise.
    print(unsafe { string_bytes(text) });
}

/// Writes a string to standard error.
///
/// # Safety
/// `text` is a string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_eprint(text: *const Sequence) {
    // SAFETY: the caller's promise.
    error(unsafe { string_bytes(text) });
}

/// The bytes of a string object.
///
/// # Safety
/// `text` is a string object that outlives `'a`.
pub unsafe fn string_bytes<'a>(text: *const Sequence) -> &'a [u8] {
    // SAFETY: the caller's promise; the bytes follow the head.
    unsafe { std::slice::from_raw_parts(text.add(1).cast(), (*text).len.max(0) as usize) }
}

//! `file.*`, `console.*`, `clock.*`, `process.*`: the world outside.

use super::{elements, new_array, text};
use crate::abi::{Loc, Sequence};
use crate::output::{self, string_bytes};
use crate::start::{clef_exit, new_string};
use crate::stop::stop_at;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_file_exists(path: *const Sequence) -> bool {
    // SAFETY: the caller's promise.
    fs::exists(&*unsafe { text(path) }).unwrap_or(false)
}

/// # Safety
/// A string object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_file_can_read(path: *const Sequence) -> bool {
    // SAFETY: the caller's promise.
    let path = unsafe { text(path) };
    File::open(&*path).is_ok_and(|f| f.metadata().is_ok_and(|m| !m.is_dir()))
}

/// # Safety
/// A string object and a place.
unsafe fn read(path: *const Sequence, loc: *const Loc) -> Vec<u8> {
    // SAFETY: the caller's promise.
    let path = unsafe { text(path) };
    fs::read(&*path).unwrap_or_else(|e| stop_at(loc, format_args!("cannot read the file \"{path}\": {e}")))
}

/// # Safety
/// A string object and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_file_read_text(path: *const Sequence, loc: *const Loc) -> *mut Sequence {
    // SAFETY: the caller's promise.
    let bytes = unsafe { read(path, loc) };
    new_string(String::from_utf8_lossy(&bytes).as_bytes())
}

/// # Safety
/// A string object and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_file_read_bytes(path: *const Sequence, loc: *const Loc) -> *mut Sequence {
    // SAFETY: the caller's promise.
    new_array(&unsafe { read(path, loc) })
}

/// # Safety
/// A string object and a place.
unsafe fn write(path: *const Sequence, bytes: &[u8], append: bool, loc: *const Loc) {
    // SAFETY: the caller's promise.
    let path = unsafe { text(path) };
    let file = OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(&*path);
    if let Err(e) = file.and_then(|mut f| f.write_all(bytes)) {
        stop_at(loc, format_args!("cannot write the file \"{path}\": {e}"));
    }
}

/// # Safety
/// String objects and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_file_write_text(
    path: *const Sequence,
    content: *const Sequence,
    loc: *const Loc,
) {
    // SAFETY: the caller's promise.
    unsafe { write(path, string_bytes(content), false, loc) }
}

/// # Safety
/// String objects and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_file_append_text(
    path: *const Sequence,
    content: *const Sequence,
    loc: *const Loc,
) {
    // SAFETY: the caller's promise.
    unsafe { write(path, string_bytes(content), true, loc) }
}

/// # Safety
/// A string object, an array of bytes and a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_file_write_bytes(
    path: *const Sequence,
    bytes: *const Sequence,
    loc: *const Loc,
) {
    // SAFETY: the caller's promise.
    unsafe { write(path, elements(bytes), false, loc) }
}

/// The line that `console.next` read.
static LINE: Mutex<String> = Mutex::new(String::new());

/// Reads the next line of standard input; false at its end. An error of the system counts as the end.
#[unsafe(no_mangle)]
pub extern "C" fn clef_console_next() -> bool {
    output::before_read();
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_until(b'\n', &mut bytes).unwrap_or(0);
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    *LINE.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8_lossy(&bytes).into_owned();
    read > 0
}

/// The line that the last `console.next` read.
#[unsafe(no_mangle)]
pub extern "C" fn clef_console_line() -> *mut Sequence {
    new_string(LINE.lock().unwrap_or_else(PoisonError::into_inner).as_bytes())
}

/// Nanoseconds since the first call.
#[unsafe(no_mangle)]
pub extern "C" fn clef_clock_nanoseconds() -> i64 {
    static START: Mutex<Option<Instant>> = Mutex::new(None);
    let mut start = START.lock().unwrap_or_else(PoisonError::into_inner);
    start.get_or_insert_with(Instant::now).elapsed().as_nanos() as i64
}

/// `exit`.
#[unsafe(no_mangle)]
pub extern "C" fn clef_process_exit(code: i32) {
    clef_exit(code)
}

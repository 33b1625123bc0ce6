//! Start and end of a program, and its arguments.

use crate::abi::{Header, Sequence};
use crate::{memory, output, stop};
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Waits for the agents; called at the end where the program used them.
pub type Finish = fn();

/// Set by what needs a word at the end, so that programs without agents do not link them.
static FINISH: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Has `finish` run at the end.
pub fn at_finish(finish: Finish) {
    FINISH.store(finish as *mut (), Ordering::Release);
}

/// The first thing that a program calls.
#[unsafe(no_mangle)]
pub extern "C" fn clef_start(_argc: i32, _argv: *const *const c_char) {
    stop::watch_stack();
}

/// The last thing that a program calls: waits for pending work, reports kernels that stopped, writes what was
/// printed. The process's exit code.
#[unsafe(no_mangle)]
pub extern "C" fn clef_finish(code: i32) -> i32 {
    let finish = FINISH.load(Ordering::Acquire);
    if !finish.is_null() {
        // SAFETY: only `at_finish` stores here, and it stores a `Finish`.
        let finish: Finish = unsafe { std::mem::transmute(finish) };
        finish();
    }
    if !output::flush() {
        let reason = output::failure().unwrap_or_default();
        output::message(format_args!("clef: cannot write to standard output: {reason}\n"));
        return if code == 0 { 1 } else { code };
    }
    if variable(c"CLEF_DEBUG_LEAKS").is_some_and(|v| v != b"0") && memory::report_leaks() && code == 0 {
        return stop::LEAK;
    }
    code
}

/// `exit`: ends the program from anywhere.
#[unsafe(no_mangle)]
pub extern "C" fn clef_exit(code: i32) -> ! {
    let code = clef_finish(code);
    stop::exit(code)
}

/// An environment variable, if it is there and not empty.
pub fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: compiled programs do not change their environment; the text lives as long as the process.
    let text = unsafe { libc::getenv(name.as_ptr()) };
    if text.is_null() {
        return None;
    }
    // SAFETY: as above.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    (!bytes.is_empty()).then_some(bytes)
}

/// An environment variable as text.
pub fn variable_text(name: &CStr) -> Option<&'static str> {
    variable(name).and_then(|v| std::str::from_utf8(v).ok())
}

/// A new string object with one reference.
pub fn new_string(bytes: &[u8]) -> *mut Sequence {
    let text = memory::clef_alloc(16 + bytes.len() as i64 + 1).cast::<Sequence>();
    // SAFETY: fresh memory of that size.
    unsafe {
        text.write(Sequence { header: Header { count: 1, tag: 0 }, len: bytes.len() as i64 });
        let start = text.add(1).cast::<u8>();
        ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
        start.add(bytes.len()).write(0);
    }
    text
}

/// The program's arguments without its name: an array of strings. Bytes that are not UTF-8 become U+FFFD.
///
/// # Safety
/// `argv` has `argc` texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_args(argc: i32, argv: *const *const c_char) -> *mut Sequence {
    let n = usize::try_from(argc).unwrap_or(0).saturating_sub(1);
    let array = memory::clef_alloc(16 + 8 * n as i64).cast::<Sequence>();
    // SAFETY: fresh memory of that size; the caller's promise.
    unsafe {
        array.write(Sequence { header: Header { count: 1, tag: 0 }, len: n as i64 });
        let elements = array.add(1).cast::<*mut Sequence>();
        for i in 0..n {
            let text = CStr::from_ptr(*argv.add(i + 1)).to_string_lossy();
            elements.add(i).write(new_string(text.as_bytes()));
        }
    }
    array
}

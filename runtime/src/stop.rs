//! Stopping the program: panics of compiled code, fatal errors of the runtime, exhausted stacks.
//!
//! A panic prints `FILE:LINE:COLUMN: text` on standard error and ends the process with 134, after standard output is
//! written. Nothing is unwound. On a thread that plays an agent it does not print: it is recorded, the agent's queue
//! stops, and the host reports it at its next wait or at its end, since that is when the program learns of it.

use crate::abi::{Loc, Sequence};
use crate::output;
use std::cell::Cell;
use std::ffi::CStr;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Exit code of a stopped program.
pub const STOPPED: i32 = 134;
/// Exit code after a race in adversarial memory.
pub const RACE: i32 = 135;
/// Exit code when objects are alive at the end and `CLEF_DEBUG_LEAKS` is set.
pub const LEAK: i32 = 136;

/// What a thread does on a panic instead of ending the process: called with the number beside it. Never returns.
pub type Handler = (fn(context: usize, text: String) -> !, usize);

/// Called on the host's way out because of an error, before it prints: an agent's earlier error comes first.
pub type Before = fn();

/// Some thread is ending the process because of an error.
static STOPPING: AtomicBool = AtomicBool::new(false);

static BEFORE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static HANDLER: Cell<Option<Handler>> = const { Cell::new(None) };
}

/// Chooses what a panic on this thread does; the previous choice.
pub fn set_handler(handler: Option<Handler>) -> Option<Handler> {
    HANDLER.replace(handler)
}

/// Chooses what runs before a panic of the host is printed.
pub fn set_before(before: Before) {
    BEFORE.store(before as *mut (), Ordering::Release);
}

/// Ends the process at once, standard output written.
pub fn exit(code: i32) -> ! {
    output::flush();
    // SAFETY: ends the process; handlers of atexit are not wanted while other threads run.
    unsafe { libc::_exit(code) }
}

/// An error of the runtime that has no place in the source.
#[cold]
pub fn fatal(text: fmt::Arguments<'_>) -> ! {
    output::message(format_args!("clef: {text}\n"));
    exit(STOPPED)
}

/// A place as `FILE:LINE:COLUMN`.
pub struct Place(pub *const Loc);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: places are static descriptors of the compiled program, or null.
        let Some(loc) = (unsafe { self.0.as_ref() }) else { return f.write_str("clef") };
        if !loc.file.is_null() {
            // SAFETY: as above, a NUL-terminated text.
            f.write_str(&unsafe { CStr::from_ptr(loc.file) }.to_string_lossy())?;
            f.write_str(":")?;
        }
        write!(f, "{}:{}", loc.line, loc.column)
    }
}

/// Stops the program at a place.
#[cold]
pub fn stop_at(loc: *const Loc, text: fmt::Arguments<'_>) -> ! {
    let text = format!("{}: {text}", Place(loc));
    if let Some((handler, context)) = HANDLER.get() {
        handler(context, text);
    }
    if STOPPING.swap(true, Ordering::AcqRel) {
        // Another thread of the same loop was first; its message is the one.
        loop {
            std::thread::park();
        }
    }
    let before = BEFORE.swap(std::ptr::null_mut(), Ordering::AcqRel);
    if !before.is_null() {
        // SAFETY: only `set_before` stores here, and it stores a `Before`.
        let before: Before = unsafe { std::mem::transmute(before) };
        before();
    }
    output::message(format_args!("{text}\n"));
    exit(STOPPED)
}

/// An index outside an array, string, list or buffer.
#[cold]
#[unsafe(no_mangle)]
pub extern "C" fn clef_panic_bounds(index: i64, length: i64, loc: *const Loc) -> ! {
    stop_at(loc, format_args!("{}", bounds_text(index, length)))
}

/// The text for an index out of range.
pub fn bounds_text(index: i64, length: i64) -> String {
    format!("index {index} is out of range: the length is {length}")
}

#[cold]
#[unsafe(no_mangle)]
pub extern "C" fn clef_panic_divide(loc: *const Loc) -> ! {
    stop_at(loc, format_args!("division by zero"))
}

#[cold]
#[unsafe(no_mangle)]
pub extern "C" fn clef_panic_match(loc: *const Loc) -> ! {
    stop_at(loc, format_args!("no case of the match fits the value"))
}

#[cold]
#[unsafe(no_mangle)]
pub extern "C" fn clef_panic_step(loc: *const Loc) -> ! {
    stop_at(loc, format_args!("the step of a range is zero"))
}

#[cold]
#[unsafe(no_mangle)]
pub extern "C" fn clef_panic_length(length: i64, loc: *const Loc) -> ! {
    stop_at(loc, format_args!("a length is negative: {length}"))
}

/// `s.[i]` on a byte that is not a character of its own.
#[cold]
#[unsafe(no_mangle)]
pub extern "C" fn clef_panic_not_ascii(index: i64, loc: *const Loc) -> ! {
    stop_at(loc, format_args!("the byte at index {index} is part of a longer character"))
}

/// `failwith`.
///
/// # Safety
/// `message` is a string object.
#[cold]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_panic_fail(message: *const Sequence, loc: *const Loc) -> ! {
    // SAFETY: the caller's promise.
    let text = unsafe { output::string_bytes(message) };
    stop_at(loc, format_args!("{}", String::from_utf8_lossy(text)))
}

/// Turns a fault in the stack's guard page into a message. Only for the calling thread, the host's.
pub fn watch_stack() {
    // Also the stack on which managed buffers come to the host: drivers need some.
    const SIZE: usize = 256 << 10;
    static mut STACK: [u8; SIZE] = [0; SIZE];
    // SAFETY: called once, at the start, before there are other threads; the memory is static.
    unsafe {
        let stack = libc::stack_t { ss_sp: (&raw mut STACK).cast(), ss_flags: 0, ss_size: SIZE };
        libc::sigaltstack(&stack, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
        libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut());
    }
}

/// A fault near the stack pointer is a full stack. Any other one happens again, with the default action.
unsafe extern "C" fn on_fault(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives valid structures.
    let address = unsafe { (*info).si_addr() } as usize;
    // SAFETY: as above.
    let Some(pointer) = (unsafe { stack_pointer(context) }) else { return };
    if address.abs_diff(pointer) > 64 << 10 {
        return;
    }
    output::try_flush();
    const TEXT: &[u8] = b"clef: the stack is full: a recursion is too deep (`ulimit -s` sets the size)\n";
    // SAFETY: only async-signal-safe calls from here on.
    unsafe {
        libc::write(2, TEXT.as_ptr().cast(), TEXT.len());
        libc::_exit(STOPPED);
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn stack_pointer(context: *mut libc::c_void) -> Option<usize> {
    // SAFETY: the caller gives a signal's context.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    Some(registers[libc::REG_RSP as usize] as usize)
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn stack_pointer(_: *mut libc::c_void) -> Option<usize> {
    None
}

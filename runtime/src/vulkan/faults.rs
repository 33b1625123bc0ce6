//! Accesses of the host to managed buffers that their protection does not allow: the signal's handler hands them to
//! the buffer ([`crate::buffers::on_fault`]) and the access is made again.
//!
//! The fault is synchronous, in the program's own code (or a function of C that it called with a buffer's address), so
//! the thread holds none of the runtime's locks. Any other fault goes to the handler that was there before.

use crate::agents::lane;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static FIRST: AtomicUsize = AtomicUsize::new(usize::MAX);
static END: AtomicUsize = AtomicUsize::new(0);
static INSTALL: Once = Once::new();

/// The action that was there before.
struct Before(std::cell::UnsafeCell<std::mem::MaybeUninit<libc::sigaction>>);

// SAFETY: written once before the handler exists, then only read.
unsafe impl Sync for Before {}

static BEFORE: Before = Before(std::cell::UnsafeCell::new(std::mem::MaybeUninit::uninit()));

/// Faults in this range may be a buffer's.
pub fn watch(start: usize, bytes: usize) {
    FIRST.fetch_min(start, Ordering::Relaxed);
    END.fetch_max(start + bytes, Ordering::Relaxed);
    INSTALL.call_once(|| {
        // SAFETY: plain system call with valid structures.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGSEGV, &action, (*BEFORE.0.get()).as_mut_ptr());
        }
    });
}

unsafe extern "C" fn on_fault(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives valid structures; errno belongs to the interrupted code.
    let (address, errno) = unsafe { ((*info).si_addr() as usize, *libc::__errno_location()) };
    let ours = (FIRST.load(Ordering::Relaxed)..END.load(Ordering::Relaxed)).contains(&address);
    // SAFETY: as above.
    match ours.then(|| crate::buffers::on_fault(address, unsafe { is_write(context) })) {
        // SAFETY: as above.
        Some(Ok(true)) => unsafe { *libc::__errno_location() = errno },
        Some(Err(why)) => lane::device_failed(
            std::ptr::null(),
            &format!("a buffer could not be brought to the host: {why}"),
        ),
        // Happens again, now with the handler that was there before.
        Some(Ok(false)) | None => unsafe {
            libc::sigaction(libc::SIGSEGV, (*BEFORE.0.get()).as_ptr(), std::ptr::null_mut());
        },
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn is_write(context: *mut libc::c_void) -> bool {
    // SAFETY: the caller gives a signal's context.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    registers[libc::REG_ERR as usize] & 2 != 0
}

/// Unknown counts as a read: a write then faults once more, on the view that is now readable.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn is_write(_: *mut libc::c_void) -> bool {
    false
}

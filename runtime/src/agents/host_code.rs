//! Kernels as host functions behind a packet: what `kernel_object` and `kernarg_address` are for agents that call
//! functions of this process (the host executor, and the testing library of HSA).
//!
//! `kernel_object` is the address of [`run`]; the kernel arguments are the dispatch's address and then the resolved
//! arguments. A kernel that stops is recorded, and its thread ends there: the host reports it when it next waits.

use super::{lane, stopped};
use crate::abi::{Arg, Dispatch};
use crate::{start, stop, trace};
use std::sync::OnceLock;
use std::time::Duration;

/// Offset of the first argument: behind the dispatch's address.
pub const FIRST_ARG: usize = 8;

/// Bytes of the arguments of a kernel with so many parameters.
pub fn bytes(params: usize) -> usize {
    FIRST_ARG + size_of::<Arg>() * params
}

/// Writes the arguments of a dispatch.
///
/// # Safety
/// `to` has [`bytes`] bytes for that many arguments, aligned to 8.
pub unsafe fn write(to: *mut u8, dispatch: &'static Dispatch, args: &[Arg]) {
    // SAFETY: the caller's promise.
    unsafe {
        to.cast::<*const Dispatch>().write(dispatch);
        std::ptr::copy_nonoverlapping(args.as_ptr(), to.add(FIRST_ARG).cast::<Arg>(), args.len());
    }
}

/// A test's wish: each kernel on an agent's thread takes so much longer.
fn test_delay() -> Duration {
    static DELAY: OnceLock<Duration> = OnceLock::new();
    *DELAY.get_or_init(|| {
        let micros = start::variable_text(c"CLEF_TEST_DELAY_US").and_then(|t| t.parse().ok()).unwrap_or(0);
        Duration::from_micros(micros)
    })
}

/// Runs the kernel that `kernarg` belongs to.
///
/// # Safety
/// `kernarg` is from [`write`], and lives until this returns.
pub unsafe extern "C" fn run(kernarg: *const u8) {
    // SAFETY: the caller's promise; descriptors are static.
    let (dispatch, kernel) = unsafe {
        let dispatch = &**kernarg.cast::<*const Dispatch>();
        (dispatch, &*dispatch.kernel)
    };
    let Some(run) = kernel.host else { return };
    let begun = trace::begin();
    let context = std::ptr::from_ref(dispatch) as usize;
    let before = stop::set_handler(Some((stopped::stop_agent, context)));
    // SAFETY: the arguments were resolved for this kernel.
    unsafe { run(kernarg.add(FIRST_ARG).cast::<Arg>()) };
    stop::set_handler(before);
    let delay = test_delay();
    if !delay.is_zero() {
        std::thread::sleep(delay);
    }
    trace::kernel(begun, Some(lane::number(dispatch)), dispatch);
}

//! The host in place of an NPU that cannot run a kernel: it runs the kernel's host form where the dispatch stands, behind
//! everything that the dispatch would have followed.
//!
//! Kernels that have no files for the NPU are the host's without a word, as on a machine without an NPU. Where files are
//! there and cannot be used, a line says so once for each kernel; and where AMD agents were asked for, it is an error.

use super::{hsa_is_forced, lane, params, resolve, stopped};
use crate::abi::{Arg, Dispatch};
use crate::hsa::code::Code;
use crate::{buffers, output, stop, trace};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Kernels that were reported, by descriptor.
static REPORTED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// The code, or nothing where the host may take over.
pub fn or_host(dispatch: &Dispatch, code: Result<Code, String>) -> Result<Option<Code>, String> {
    // SAFETY: descriptors are static.
    let kernel = unsafe { &*dispatch.kernel };
    let why = match code {
        Ok(code) => return Ok(Some(code)),
        Err(why) if hsa_is_forced() || kernel.host.is_none() => return Err(why),
        Err(why) => why,
    };
    let key = std::ptr::from_ref(kernel) as usize;
    if REPORTED.lock().unwrap_or_else(PoisonError::into_inner).insert(key) {
        let (name, place) = (stopped::kernel_name(kernel), stop::Place(&dispatch.loc));
        output::message(format_args!(
            "clef: {place}: the NPU cannot run kernel `{name}`: {why}; the host runs it\n"
        ));
    }
    Ok(None)
}

/// Runs a dispatch on the caller.
///
/// # Safety
/// As [`super::clef_dispatch`].
pub unsafe fn run(number: usize, dispatch: &'static Dispatch, args: *const u64) {
    // SAFETY: descriptors are static.
    let kernel = unsafe { &*dispatch.kernel };
    let Some(host) = kernel.host else { super::no_host_form(dispatch) };
    for (other, sequence) in lane::after(dispatch, number) {
        lane::wait(other, sequence, &dispatch.loc);
    }
    lane::hand_to_host(number);
    stopped::check();
    let mut list: Vec<Arg> = Vec::new();
    // SAFETY: the caller's promise.
    unsafe { resolve(&mut buffers::table(), dispatch, params(kernel), args, false, &mut list) };
    let begun = trace::begin();
    let context = std::ptr::from_ref(dispatch) as usize;
    let before = stop::set_handler(Some((stopped::stop_here, context)));
    // SAFETY: the arguments were resolved for this kernel.
    unsafe { host(list.as_ptr()) };
    stop::set_handler(before);
    trace::kernel(begun, Some(number), dispatch);
}

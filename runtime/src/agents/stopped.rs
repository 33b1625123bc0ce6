//! Kernels that had to stop on an agent: recorded by the agent, reported by the host when it next learns of it.

use crate::abi::{Dispatch, Kernel, Loc, Status};
use crate::stop::{self, Place};
use crate::{output, trace};
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static ANY: AtomicBool = AtomicBool::new(false);
static FIRST: Mutex<Option<String>> = Mutex::new(None);

// Symbols of the compiled program that need not be there. Rust has no stable weak symbols, so the assembler makes
// words that hold their addresses, or zero.
std::arch::global_asm!(
    ".weak clef_files",
    ".weak clef_n_files",
    ".weak clef_default_agents",
    ".pushsection .data.rel.ro.clef_program, \"aw\"",
    ".balign 8",
    ".globl clef_rt_program",
    ".hidden clef_rt_program",
    "clef_rt_program:",
    ".quad clef_files",
    ".quad clef_n_files",
    ".quad clef_default_agents",
    ".popsection",
);

#[repr(C)]
struct Program {
    files: *const *const c_char,
    n_files: *const u32,
    default_agents: *const c_char,
}

unsafe extern "C" {
    static clef_rt_program: Program;
}

fn program() -> Program {
    // SAFETY: the words above; volatile, since what they hold is decided by the linker.
    unsafe { (&raw const clef_rt_program).read_volatile() }
}

/// What the program was built for: `clef_default_agents`.
pub fn default_agents() -> Option<&'static str> {
    let text = program().default_agents;
    // SAFETY: a NUL-terminated constant of the program.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().ok()).flatten()
}

/// Handler of panics on agents' threads: the thread stops for ever, the host reports.
pub fn stop_agent(dispatch: usize, text: String) -> ! {
    // SAFETY: set by `host_code` around a kernel; descriptors are static.
    let dispatch = unsafe { &*(dispatch as *const Dispatch) };
    record(describe(&text, dispatch));
    loop {
        std::thread::park();
    }
}

/// Handler of panics in kernels that the host runs itself on behalf of an agent: the program ends.
pub fn stop_here(dispatch: usize, text: String) -> ! {
    // SAFETY: as in `stop_agent`.
    let dispatch = unsafe { &*(dispatch as *const Dispatch) };
    record(describe(&text, dispatch));
    report()
}

/// Keeps the first report.
pub fn record(text: String) {
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    first.get_or_insert(text);
    ANY.store(true, Ordering::Release);
}

/// Ends the program if a kernel has stopped.
pub fn check() {
    if ANY.load(Ordering::Acquire) {
        report();
    }
}

#[cold]
fn report() -> ! {
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    output::message(format_args!("{}\n", first.as_deref().unwrap_or_default()));
    trace::write();
    stop::exit(stop::STOPPED)
}

fn describe(text: &str, dispatch: &Dispatch) -> String {
    let agent = match dispatch.agent {
        1 => "GPU",
        2 => "NPU",
        _ => "CPU",
    };
    // SAFETY: descriptors are static.
    let name = kernel_name(unsafe { &*dispatch.kernel });
    format!("{text}\n  in kernel `{name}` on the {agent}, dispatched at {}", Place(&dispatch.loc))
}

/// Records that a device failed, with the kernel that it ran, as far as that is known.
pub fn record_failure(dispatch: Option<&Dispatch>, role: super::table::Role, what: &str) {
    record(match dispatch {
        Some(dispatch) => describe(&format!("{}: {what}", Place(&dispatch.loc)), dispatch),
        None => format!("clef: {what} (on the {role})"),
    });
}

/// A kernel's name in the source.
pub fn kernel_name(kernel: &Kernel) -> String {
    if kernel.name.is_null() {
        return "?".into();
    }
    // SAFETY: a NUL-terminated constant of the program.
    unsafe { CStr::from_ptr(kernel.name) }.to_string_lossy().into_owned()
}

/// Records what a kernel on a GPU wrote into its status block.
///
/// # Safety
/// `tag` is the address of the dispatch.
pub unsafe fn record_status(status: &Status, tag: usize) {
    let what = match status.kind {
        1 => stop::bounds_text(status.index, status.len),
        2 => "division by zero".into(),
        _ => "no case of the match fits the value, or the kernel failed".into(),
    };
    let program = program();
    let mut file = std::ptr::null();
    // SAFETY: both symbols are the program's, with as many entries as it says.
    unsafe {
        if !program.files.is_null() && !program.n_files.is_null() && status.file < *program.n_files {
            file = *program.files.add(status.file as usize);
        }
        let loc = Loc { file, line: status.line, column: status.column };
        record(describe(&format!("{}: {what}", Place(&loc)), &*(tag as *const Dispatch)));
    }
}

//! `clefc`: the command line of the Clef compiler.
//!
//! This program reads and writes files, runs the stages and shows their diagnostics. It never maps LLVM: code is made
//! by `clefc-backend`, a second program that lies beside it.

mod aiecc;
mod backend;
mod bindgen;
mod chips;
mod cli;
mod commands;
mod device_code;
mod emit;
mod library;
mod link;
mod npu;
mod output;
mod project;
mod render;
mod session;
mod stages;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Memory that stages have given back goes back to the system at once: the peak of `check` is two thirds of what the
/// allocator's own choice makes it, at the same speed.
fn return_freed_memory() {
    // mimalloc.h, `mi_option_t`: the bindings have no names for these two.
    const ARENA_EAGER_COMMIT: libmimalloc_sys::mi_option_t = 4;
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: both are options of the linked mimalloc v3; setting one only writes its value.
    unsafe {
        libmimalloc_sys::mi_option_set(ARENA_EAGER_COMMIT, 0);
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 1);
    }
}

fn main() -> ExitCode {
    return_freed_memory();
    // One thread with a deep stack for all stages; what it does not touch of it costs nothing.
    let work = || {
        clef_frontend::deep::mark();
        cli::main()
    };
    let run = std::thread::Builder::new().name("clefc".to_owned()).stack_size(2 * clef_frontend::deep::STACK);
    let code = match run.spawn(work).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        Ok(Err(_)) => {
            output::bug("the compiler stopped unexpectedly (the message above says where)");
            output::BUG
        }
        Err(error) => {
            eprintln!("clefc: cannot start a thread: {error}");
            output::USAGE
        }
    };
    ExitCode::from(code)
}

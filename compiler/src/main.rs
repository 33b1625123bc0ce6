//! `clefc`: the command line of the Clef compiler.
//!
//! This program reads and writes files, runs the stages and shows their diagnostics. It never maps LLVM: code is made
//! by `clefc-backend`, a second program that lies beside it.

mod backend;
mod bindgen;
mod cli;
mod commands;
mod emit;
mod library;
mod link;
mod output;
mod project;
mod render;
mod session;
mod stages;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stack of the compiling thread. Pages are taken from the system only when touched; recursion over deep trees is
/// bounded by the parser's nesting limit well below this.
const STACK: usize = 1 << 30;

fn main() -> ExitCode {
    let run = std::thread::Builder::new().name("clefc".to_owned()).stack_size(STACK).spawn(cli::main);
    let code = match run.map(std::thread::JoinHandle::join) {
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

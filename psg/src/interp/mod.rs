//! The interpreter: the reference meaning of a graph.
//!
//! Dispatches run where they stand, one work-item after the other; native code on every agent must agree. Host floats
//! are exact IEEE. What stops a program stops the run with a text and a place, and exit code 134. Work-items of one
//! parallel loop that touch the same element, one of them writing, are an error here (natively they are a race).
//!
//! It does not run foreign functions or raw native memory: both stop the run with a text that says so. All contact with
//! the world goes through [`Console`].

mod eval;
pub mod intrinsics;
mod memory;
mod ops;
mod value;

use crate::graph::Psg;
use crate::kernel::KernelFacts;
use clef_frontend::span::Span;
pub use eval::TOO_LONG;
pub use intrinsics::World;

/// Where a program's output goes, and all else that it can reach.
pub trait Console: World {
    fn write(&mut self, text: &str, to_stderr: bool);
}

/// Why and where a program stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub code: i32,
    pub stopped: Option<Stop>,
}

/// Exit code of a program that was stopped.
const STOPPED: i32 = 134;

/// Runs a program: initialisation, then the entry point with the arguments.
pub fn run(psg: &Psg, _: &KernelFacts, args: &[String], console: &mut dyn Console) -> Outcome {
    run_at_most(psg, args, console, 0)
}

/// The same, stopped with [`TOO_LONG`] after so many runs of a body, branch or iteration (0: never). For programs that
/// nobody wrote and that may not end.
pub fn run_at_most(psg: &Psg, args: &[String], console: &mut dyn Console, regions: u64) -> Outcome {
    let mut machine = eval::Machine::new(psg, console, regions);
    match machine.program(args) {
        Ok(code) | Err(eval::Halt::Exit(code)) => Outcome { code, stopped: None },
        Err(eval::Halt::Stop(stop)) => Outcome { code: STOPPED, stopped: Some(stop) },
    }
}

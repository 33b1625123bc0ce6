//! `clefc-backend`: reads a job (postcard) from standard input or a file, writes the answer to standard output.

use clef_backends::job::{Answer, Job};
use std::io::{Read, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut input = Vec::new();
    let read = match std::env::args_os().nth(1) {
        Some(path) => std::fs::read(path).map(|bytes| input = bytes),
        None => std::io::stdin().lock().read_to_end(&mut input).map(|_| ()),
    };
    if let Err(e) = read {
        eprintln!("clefc-backend: cannot read the job: {e}");
        return ExitCode::from(101);
    }
    let answer = match postcard::from_bytes::<Job>(&input) {
        Ok(job) => clef_backends::run(&job),
        Err(e) => Answer { bug: Some(format!("the job does not decode: {e}")), ..Answer::default() },
    };
    let code = if answer.bug.is_some() { 101 } else { 0 };
    let written = postcard::to_stdvec(&answer)
        .map_err(|e| e.to_string())
        .and_then(|bytes| std::io::stdout().lock().write_all(&bytes).map_err(|e| e.to_string()));
    if let Err(e) = written {
        eprintln!("clefc-backend: cannot write the answer: {e}");
        return ExitCode::from(101);
    }
    // The process's memory goes at once; destructors would take MLIR apart piece by piece.
    std::process::exit(code)
}

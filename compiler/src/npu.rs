//! The tools of the NPU's own compiler, where they are installed.
//!
//! `aie-opt` reads what `clefc emit aie` wrote, if it is on the PATH; else a line on standard error says that nothing but
//! `clefc` has looked at it. Compiling it (`aiecc`) is the user's next step. Nothing else is started.

use crate::commands::bug;
use crate::output;
use crate::stages;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Gives the text to `aie-opt`; the exit code.
pub fn check(text: &[u8]) -> Result<u8, u8> {
    let started = Command::new("aie-opt")
        .args(["-", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        eprintln!("clefc: emitted, not compiled here: no aie-opt on the PATH (from mlir-aie)");
        return Ok(0);
    };
    if let Some(mut input) = child.stdin.take() {
        // A tool that ends early says why on its own.
        let _ = input.write_all(text);
    }
    // The text has passed our own check: what the tool refuses all the same is a mistake of the compiler.
    let fail = |what: String| bug(stages::Bug(format!("aie-opt refuses the module for the NPU: {what}")));
    match child.wait_with_output() {
        Ok(done) if done.status.success() => Ok(0),
        Ok(done) => Err(fail(String::from_utf8_lossy(&done.stderr).trim().to_owned())),
        Err(error) => Err(fail(output::reason(&error))),
    }
}

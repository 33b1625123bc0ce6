//! What a plan costs at run time: a program whose synchronisation the compiler placed synchronises exactly as often as
//! the same program with it placed by hand, in C, on the same runtime (`tests/bench/sync/`). `bench.py sync` has times.

use crate::trial;
use clef_tests::{Scratch, clefc, root, run, same};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("sync/as_often_as_by_hand", as_often),
        trial("sync/without_fences_it_is_less_often", without_fences),
    ]
}

fn folder() -> PathBuf {
    root().join("tests/bench/sync")
}

fn planned(scratch: &Scratch, options: &[&str]) -> Result<PathBuf, String> {
    let program = scratch.0.join("planned");
    let mut command = Command::new(clefc());
    command
        .args(["build", "--release"])
        .args(options)
        .arg(folder().join("planned.clef"))
        .arg("-o")
        .arg(&program);
    let done = run(&mut command, "")?;
    if done.code == 0 { Ok(program) } else { Err(done.stderr) }
}

fn by_hand(scratch: &Scratch) -> Result<PathBuf, String> {
    let program = scratch.0.join("by_hand");
    let compiler = clefc();
    let archive = compiler.parent().unwrap_or(Path::new(".")).join("../runtime/libclef_runtime.a");
    let mut command = Command::new("clang-22");
    command.args(["-O3", "-Wall", "-Werror"]).arg(folder().join("by_hand.c")).arg(archive);
    let done = run(command.args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program), "")?;
    if done.code == 0 { Ok(program) } else { Err(done.stderr) }
}

/// Output, and how often the program synchronised.
fn counted(program: &Path, what: &str) -> Result<(String, String), String> {
    let mut command = Command::new(program);
    let done = run(command.args([what, "50"]).env("CLEF_AGENTS", "host").env("CLEF_SYNC_STATS", "1"), "")?;
    if done.code == 0 && done.stderr.starts_with("clef: ") {
        Ok((done.stdout, done.stderr))
    } else {
        Err(format!("{what}: exit code {}: {}", done.code, done.stderr))
    }
}

fn as_often() -> Result<(), String> {
    let scratch = Scratch::new();
    let (planned, by_hand) = (planned(&scratch, &[])?, by_hand(&scratch)?);
    for what in ["pingpong", "pipeline", "chain"] {
        let (wanted, found) = (counted(&by_hand, what)?, counted(&planned, what)?);
        same(&format!("{what}: output"), &wanted.0, &found.0)?;
        same(&format!("{what}: synchronisation"), &wanted.1, &found.1)?;
    }
    Ok(())
}

/// The test of the test.
fn without_fences() -> Result<(), String> {
    let scratch = Scratch::new();
    let (bare, by_hand) = (planned(&scratch, &["--no-fences"])?, by_hand(&scratch)?);
    for what in ["pingpong", "pipeline", "chain"] {
        if counted(&by_hand, what)?.1 == counted(&bare, what)?.1 {
            return Err(format!("{what}: the counts do not tell"));
        }
    }
    Ok(())
}

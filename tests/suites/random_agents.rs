//! Random programs over several agents, under adversarial memory, against the interpreter's sequential meaning.
//!
//! Programs come in batches that are compiled together (`agent_programs`). Each runs under three seeds with the plan
//! for HSA and with the one for Vulkan; its output and exit code must be the interpreter's, and no race may be
//! reported. Usually 300 programs; `CLEF_LONG=1` makes it 10,000, `CLEF_RANDOM_AGENTS=first:count` takes others.
//! A failing program is made small and kept under the system's folder for temporary files.

use crate::trial;
use clef_tests::reference::{self, Meaning};
use clef_tests::shrink::shrink;
use clef_tests::{Done, Scratch, agent_programs, clefc, run};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs compiled together, in turn. In a small batch the plan is tried element by element, in a large one it is the
/// one made on demand.
const BATCHES: [u64; 2] = [8, 48];
const SEEDS: u64 = 3;
/// How often a failing program is tried in a smaller form.
const TRIES: usize = 400;

pub fn trials() -> Vec<Trial> {
    let (first, count) = super::seeds("CLEF_RANDOM_AGENTS", 300, 10_000);
    let (mut trials, mut from) = (Vec::new(), first);
    for batch in BATCHES.into_iter().cycle() {
        let size = batch.min(first + count - from);
        if size == 0 {
            break;
        }
        trials.push(trial(format!("random_agents/{from}"), move || agree(from, size as usize)));
        from += size;
    }
    trials.push(trial("random_agents/without_fences_they_go_wrong", without_fences));
    trials
}

fn agree(first: u64, count: usize) -> Result<(), String> {
    let source = agent_programs::batch(first, count);
    let folder = Scratch::new();
    let meanings = meanings(&source, first, count)?;
    let mut wrong = Vec::new();
    match build(&folder, &source, &[]) {
        Ok(binary) => {
            for (program, meaning) in &meanings {
                if let Err(why) = check(&binary, *program, meaning) {
                    wrong.push(small(*program, &why));
                }
            }
        }
        // The compiler failed: find out over which of the programs.
        Err(why) => {
            let programs = first..first + count as u64;
            let alone: Vec<u64> =
                programs.filter(|n| build(&folder, &agent_programs::batch(*n, 1), &[]).is_err()).collect();
            wrong.extend(alone.iter().map(|program| small(*program, &why)));
            if alone.is_empty() {
                wrong.push(format!("programs {first} and {} behind it, together only: {why}", count - 1));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The report of a failing program, with its smallest form.
fn small(program: u64, why: &str) -> String {
    let small = shrink(&agent_programs::batch(program, 1), TRIES, &|text| still_wrong(text, program));
    let kept = std::env::temp_dir().join(format!("clef-random-agents-{program}.clef"));
    let _ = std::fs::write(&kept, &small);
    format!("program {program}: {why}\nsmallest form, {}:\n{small}", kept.display())
}

/// The number of arguments is a value that programs branch on, and the compiler does not know.
fn arguments(program: u64) -> Vec<String> {
    let more = usize::from(program.is_multiple_of(3));
    [program.to_string()].into_iter().chain(std::iter::repeat_n("more".to_owned(), more)).collect()
}

/// What the interpreter says of each program of a batch.
fn meanings(source: &str, first: u64, count: usize) -> Result<Vec<(u64, Meaning)>, String> {
    reference::deep(|| {
        let psg = reference::graph(source)?;
        let programs = first..first + count as u64;
        Ok(programs.map(|n| (n, reference::interpret(&psg, &arguments(n)))).collect())
    })?
}

fn build(folder: &Scratch, source: &str, options: &[&str]) -> Result<PathBuf, String> {
    let file = folder.file("Random.clef", source);
    let binary = folder.0.join("program");
    let mut command = Command::new(clefc());
    command.args(["build", "--adversarial", "-O0", "--gpu", "vulkan"]).args(options).arg(&file);
    let built = run(command.arg("-o").arg(&binary), "")?;
    if built.code != 0 {
        return Err(format!("build: exit code {}\n{}", built.code, without_warnings(&built.stderr)));
    }
    Ok(binary)
}

/// Standard error without the advice about residency, of which random programs get much.
fn without_warnings(text: &str) -> String {
    text.split("\n\n").filter(|part| !part.contains("Warning")).collect::<Vec<_>>().join("\n\n")
}

fn executed(binary: &Path, program: u64, route: &str, seed: u64) -> Result<Done, String> {
    let mut command = Command::new(binary);
    command.args(arguments(program)).env("CLEF_AGENTS", route).env("CLEF_ADVERSARIAL", seed.to_string());
    run(command.env("CLEF_DEBUG_LEAKS", "1"), "")
}

/// Did the program come to its end, or to the stop that it was made with?
fn ends(meaning: &Meaning) -> bool {
    meaning.stop.as_ref().is_none_or(|s| s == "stopped")
}

fn check(binary: &Path, program: u64, meaning: &Meaning) -> Result<(), String> {
    if !ends(meaning) {
        return Err(format!("the interpreter stopped: {meaning:?}"));
    }
    for route in ["host", "vulkan"] {
        for seed in 1..=SEEDS {
            let done = executed(binary, program, route, seed)?;
            if done.code != meaning.code || done.stdout != meaning.stdout {
                return Err(format!(
                    "{route}, seed {seed}: exit code {}, expected {}\n{}--- expected\n{}--- stderr\n{}",
                    done.code, meaning.code, done.stdout, meaning.stdout, done.stderr
                ));
            }
        }
    }
    Ok(())
}

fn still_wrong(text: &str, program: u64) -> bool {
    let folder = Scratch::new();
    let Ok(meanings) = meanings(text, program, 1) else { return false };
    match build(&folder, text, &[]) {
        Ok(binary) => meanings.iter().any(|(n, m)| ends(m) && check(&binary, *n, m).is_err()),
        Err(why) => why.contains("exit code 101"),
    }
}

/// The test of the tests: without synchronisation most programs that need any give wrong results or races.
fn without_fences() -> Result<(), String> {
    let (first, count) = (1, 40);
    let source = agent_programs::batch(first, count);
    let folder = Scratch::new();
    let binary = build(&folder, &source, &["--no-fences"])?;
    let mut noticed = 0;
    for (program, meaning) in meanings(&source, first, count)? {
        noticed += usize::from(check(&binary, program, &meaning).is_err());
    }
    if noticed * 2 > count {
        Ok(())
    } else {
        Err(format!("only {noticed} of {count} programs without synchronisation went wrong"))
    }
}

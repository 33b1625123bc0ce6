//! Random well-typed programs of ordinary Clef: the interpreter and native code, without and with all optimisation,
//! must print the same and end the same.
//!
//! Programs come in batches that are compiled together. Usually 300 programs; `CLEF_LONG=1` makes it 20,000,
//! `CLEF_RANDOM_LANGUAGE=first:count` takes others. The number of a program is its seed. A failing program is made
//! small and kept in the system's folder for temporary files.

mod compound;
mod patterns;
mod program;
mod scalars;
mod statements;
mod types;

use crate::trial;
use clef_tests::shrink::shrink;
use clef_tests::{Done, Scratch, clefc, run};
use libtest_mimic::Trial;
use program::batch;
use std::path::Path;
use std::process::Command;

/// Programs compiled together.
const BATCH: u64 = 20;
/// How often a failing program is tried in a smaller form.
const TRIES: usize = 300;
const LEVELS: [&str; 2] = ["-O0", "-O3"];

pub fn trials() -> Vec<Trial> {
    let (first, count) = super::seeds("CLEF_RANDOM_LANGUAGE", 300, 20_000);
    let mut trials: Vec<Trial> = (0..count.div_ceil(BATCH))
        .map(|n| {
            let from = first + n * BATCH;
            let size = BATCH.min(count - n * BATCH);
            trial(format!("random_language/{from}"), move || agree(from, size))
        })
        .collect();
    trials.push(trial("random_language/a_seed_gives_one_program", same_again));
    trials.push(trial("random_language/a_difference_is_noticed", noticed));
    trials
}

/// One program as source text: fuzzing starts from some.
pub fn one(seed: u64) -> String {
    batch(seed, 1)
}

fn same_again() -> Result<(), String> {
    let differ = (1..50).find(|&seed| batch(seed, 1) != batch(seed, 1));
    differ.map_or(Ok(()), |seed| Err(format!("seed {seed} gave two programs")))
}

/// The test of the tests: where native code does something else, the comparison says so.
fn noticed() -> Result<(), String> {
    let (folder, source) = (Scratch::new(), batch(1, 1));
    let changed = source.replacen("printfn \"program 1\"", "printfn \"program 2\"", 1);
    let (a, b) = (folder.file("A.clef", &source), folder.file("B.clef", &changed));
    let native = build(&folder, &b, "-O0")?;
    match compare(&interpreted(&a, 0)?, &run(Command::new(native).arg("0"), "")?) {
        Err(_) => Ok(()),
        Ok(()) => Err("a program that prints something else passed".into()),
    }
}

/// Why programs of a batch fail; nothing where all is well.
fn agree(first: u64, count: u64) -> Result<(), String> {
    let Err(why) = check(&batch(first, count as usize), first, count) else { return Ok(()) };
    let alone: Vec<(u64, String)> = (first..first + count)
        .filter_map(|seed| check(&batch(seed, 1), seed, 1).err().map(|why| (seed, why)))
        .collect();
    if alone.is_empty() {
        return Err(format!("programs {first} to {}, together only: {why}", first + count - 1));
    }
    let reports: Vec<String> = alone.iter().map(|(seed, why)| small(*seed, why)).collect();
    Err(reports.join("\n"))
}

/// The report of a failing program, with its smallest form.
fn small(seed: u64, why: &str) -> String {
    let kind = kind(why);
    let fails = |text: &str| check(text, seed, 1).is_err_and(|why| self::kind(&why) == kind);
    let tries = if std::env::var("CLEF_SHRINK").is_ok_and(|v| v == "0") { 0 } else { TRIES };
    let small = shrink(&batch(seed, 1), tries, &fails);
    let kept = std::env::temp_dir().join(format!("clef-random-language-{seed}.clef"));
    let _ = std::fs::write(&kept, &small);
    format!("program {seed}: {why}\nsmallest form: {}", kept.display())
}

/// What sort of failure a report is about: shrinking must not turn one into another.
fn kind(why: &str) -> String {
    let mut lines = why.lines();
    let first = lines.next().unwrap_or_default();
    let error = lines.next().and_then(|l| l.split_once("error[")).map_or("", |(_, text)| text);
    format!("{first} {error}")
}

/// Builds and runs the programs of a source text in all ways.
fn check(source: &str, first: u64, count: u64) -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("Random.clef", source);
    let checked = run(Command::new(clefc()).args(["check", "--message-format", "short"]).arg(&file), "")?;
    if checked.code != 0 {
        let errors: Vec<&str> = checked.stderr.lines().filter(|l| !l.contains(": warning")).collect();
        return Err(format!("check: exit code {}\n{}", checked.code, errors.join("\n")));
    }
    let programs: Vec<_> =
        LEVELS.iter().map(|level| build(&folder, &file, level)).collect::<Result<_, _>>()?;
    let mut from = first;
    while from < first + count {
        let meaning = interpreted(&file, from)?;
        if ![0, 134].contains(&meaning.code) {
            return Err(format!("interpreter: exit code {}\n{}", meaning.code, meaning.stderr));
        }
        for (level, program) in LEVELS.iter().zip(&programs) {
            let done = run(Command::new(program).arg(from.to_string()).env("CLEF_DEBUG_LEAKS", "1"), "")?;
            compare(&meaning, &done).map_err(|why| format!("native {level}: {why}"))?;
        }
        // A program that stopped took those behind it along.
        let last = meaning.stdout.lines().rev().find_map(|l| l.strip_prefix("program ")?.parse::<u64>().ok());
        from = match last {
            Some(last) if meaning.code != 0 && last >= from => last + 1,
            _ => first + count,
        };
    }
    Ok(())
}

fn build(folder: &Scratch, file: &Path, level: &str) -> Result<std::path::PathBuf, String> {
    let program = folder.0.join(format!("program{level}"));
    let mut command = Command::new(clefc());
    command.args(["build", level, "--message-format", "short"]).arg(file).arg("-o").arg(&program);
    let built = run(&mut command, "")?;
    match built.code {
        0 => Ok(program),
        code => Err(format!("build {level}: exit code {code}\n{}", last_lines(&built.stderr))),
    }
}

fn interpreted(file: &Path, from: u64) -> Result<Done, String> {
    let mut command = Command::new(clefc());
    command
        .args(["run", "--interpret", "--message-format", "short"])
        .arg(file)
        .arg("--")
        .arg(from.to_string());
    run(&mut command, "")
}

fn compare(meaning: &Done, done: &Done) -> Result<(), String> {
    if meaning.code != done.code {
        let (a, b) = (last_lines(&meaning.stderr), last_lines(&done.stderr));
        return Err(format!("exit code {}, expected {}\n{b}\nexpected: {a}", done.code, meaning.code));
    }
    if meaning.stdout != done.stdout {
        let (mut a, mut b) = (meaning.stdout.lines(), done.stdout.lines());
        let mut program = "";
        loop {
            let (x, y) = (a.next(), b.next());
            program = x.filter(|l| l.starts_with("program ")).unwrap_or(program);
            if x != y || x.is_none() {
                return Err(format!("another output\nin {program}\n  expected: {x:?}\n  found:    {y:?}"));
            }
        }
    }
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.contains(": warning")).collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

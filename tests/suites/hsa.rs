//! The HSA route of whole programs through a loaded library, that of `tests/hsa_mock`: programs give the same results
//! on its agents, coherent and incoherent; plans with something missing do not; packets and waits are those of the
//! handoff table.

use crate::litmus;
use crate::trial;
use clef_tests::{Done, Scratch, clefc, files, hsa_mock, root, run, same};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds of incoherent memory for programs that must work, and at most for mutants that must not.
const SEEDS: u64 = 3;
const MUTANT_SEEDS: u64 = 24;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for path in files(&root().join("tests/run"), "clef") {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().take_while(|l| l.starts_with("//")).any(|l| l.trim() == "// agents") {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            trials.push(trial(format!("hsa/run/{name}"), move || same_as_host(&path)));
        }
    }
    for (name, line) in litmus::lines() {
        trials.push(trial(format!("hsa/litmus/{name}"), move || litmus_line(&line)));
    }
    for row in ROWS {
        trials.push(trial(format!("hsa/handoff/{}", row.name), || sequence(row)));
    }
    trials
}

fn build(source: &Path, program: &Path, options: &[&str]) -> Result<(), String> {
    let built = run(Command::new(clefc()).arg("build").arg(source).arg("-o").arg(program).args(options), "")?;
    if built.code == 0 { Ok(()) } else { Err(format!("build {options:?}: {}", built.stderr)) }
}

/// A program on the library's agents.
fn on_mock(program: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env("CLEF_AGENTS", "hsa").env("CLEF_HSA_LIBRARY", hsa_mock()).envs(environment.iter().copied());
    command
}

fn seeded(program: &Path, seed: u64, args: &[&str]) -> Result<Done, String> {
    run(on_mock(program, &[("CLEF_HSA_MOCK_SEED", &seed.to_string())]).args(args), "")
}

fn same_as_host(path: &Path) -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(path, &program, &[])?;
    let host = run(Command::new(&program).env("CLEF_AGENTS", "host"), "")?;
    let check = |how: &str, done: &Done| {
        if done.code != host.code {
            return Err(format!("{how}: exit code {} instead of {}: {}", done.code, host.code, done.stderr));
        }
        same(how, &host.stdout, &done.stdout)
    };
    check("coherent", &run(&mut on_mock(&program, &[]), "")?)?;
    for seed in 1..=SEEDS {
        check(&format!("seed {seed}"), &seeded(&program, seed, &[])?)?;
    }
    Ok(())
}

/// The program, the same result on incoherent memory, and a wrong one of every mutant of its plan.
fn litmus_line(line: &str) -> Result<(), String> {
    let text = line.split('|').nth(1).unwrap_or_default().trim();
    let folder = Scratch::new();
    let file = folder.file("Litmus.clef", litmus::expand(text)?);
    same_as_host(&file)?;
    // With an argument, `if` takes its other branch.
    let branches: &[&[&str]] = if text.contains("if {") { &[&[], &["other"]] } else { &[&[]] };
    let mut meanings = Vec::new();
    for args in branches {
        let mut command = Command::new(clefc());
        meanings.push(run(command.args(["run", "--interpret"]).arg(&file).arg("--").args(*args), "")?.stdout);
    }
    let audit = run(Command::new(clefc()).args(["audit", "--cost", "hsa-gfx1151"]).arg(&file), "")?;
    for (number, mutant) in audit.stdout.lines().filter(|l| l.starts_with('[')).enumerate() {
        let program = folder.0.join(format!("mutant{number}"));
        build(&file, &program, &["--mutant", &number.to_string()])?;
        let mut caught = false;
        for seed in 1..=MUTANT_SEEDS {
            for (args, meaning) in branches.iter().zip(&meanings) {
                let done = seeded(&program, seed, args)?;
                caught |= done.code != 0 || done.stdout != *meaning;
            }
            if caught {
                break;
            }
        }
        if !caught {
            return Err(format!("not caught by {MUTANT_SEEDS} seeds: {mutant}"));
        }
    }
    Ok(())
}

/// A row of the handoff table: a program, and what the library must be told.
struct Row {
    name: &'static str,
    program: &'static str,
    told: &'static [&'static str],
}

const ROWS: &[Row] = &[];

fn sequence(row: &Row) -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("Litmus.clef", litmus::expand(row.program)?);
    let program = folder.0.join("program");
    build(&file, &program, &[])?;
    let found = told(&folder, &program)?;
    same(row.program, &row.told.join("\n"), &found)
}

/// Packets, doorbells and waits up to the program's end, without the packets' bytes.
fn told(folder: &Scratch, program: &Path) -> Result<String, String> {
    let log: PathBuf = folder.0.join("log");
    // A seed with which nothing runs before it is waited for.
    let log_text = log.to_string_lossy().into_owned();
    let environment = [("CLEF_HSA_MOCK_LOG", log_text.as_str()), ("CLEF_TEST_DELAY_US", "20000")];
    let done = run(&mut on_mock(program, &environment), "")?;
    if done.code != 0 {
        return Err(format!("exit code {}: {}", done.code, done.stderr));
    }
    let text = fs::read_to_string(&log).map_err(|e| e.to_string())?;
    let lines = text
        .lines()
        .filter(|l| ["packet ", "doorbell ", "wait "].iter().any(|w| l.starts_with(w)))
        .map(|l| l.split(" bytes=").next().unwrap_or_default());
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

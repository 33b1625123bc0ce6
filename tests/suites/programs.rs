//! Programs that run: `tests/run/*.clef`, on the interpreter and natively, with equal results.
//!
//! Comments at the head of a file say what is expected:
//!
//! ```text
//! // args: 3 four          arguments (split at blanks)
//! // stdin: a line         a line of standard input; may repeat
//! // expect: a line        a line of standard output; may repeat, in order
//! // exit: 134             exit code, default 0
//! // stderr: part          text that standard error must contain; may repeat
//! // agents                uses agents: also runs with adversarial memory, and on Vulkan
//! // native-only: reason   the interpreter refuses this program
//! ```

use crate::trial;
use clef_tests::{Done, Scratch, clefc, files, root, run, same};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds of adversarial runs in an ordinary test run.
const SEEDS: u64 = 3;

pub fn trials() -> Vec<Trial> {
    files(&root().join("tests/run"), "clef")
        .into_iter()
        .flat_map(|path| {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let (a, b) = (path.clone(), path);
            [
                trial(format!("run/{name}/interpreter"), move || interpreted(&a)),
                trial(format!("run/{name}/native"), move || native(&b)),
            ]
        })
        .collect()
}

#[derive(Default)]
pub struct Expectation {
    args: Vec<String>,
    stdin: String,
    stdout: String,
    code: i32,
    stderr: Vec<String>,
    agents: bool,
    native_only: bool,
}

impl Expectation {
    fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
        let mut expected = Self::default();
        for line in text.lines().map_while(|l| l.strip_prefix("//")) {
            let (key, value) = line.trim_start().split_once(':').unwrap_or((line.trim(), ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match key {
                "args" => expected.args = value.split_whitespace().map(str::to_owned).collect(),
                "stdin" => expected.stdin += &format!("{value}\n"),
                "expect" => expected.stdout += &format!("{value}\n"),
                "exit" => expected.code = value.parse().map_err(|_| format!("bad exit code `{value}`"))?,
                "stderr" => expected.stderr.push(value.to_owned()),
                "agents" => expected.agents = true,
                "native-only" => expected.native_only = true,
                _ => {}
            }
        }
        Ok(expected)
    }

    fn check(&self, how: &str, done: &Done) -> Result<(), String> {
        if done.code != self.code {
            return Err(format!(
                "{how}: exit code {}, expected {}\n{}{}",
                done.code, self.code, done.stdout, done.stderr
            ));
        }
        same(&format!("{how}: standard output"), &self.stdout, &done.stdout)?;
        for part in &self.stderr {
            if !done.stderr.contains(part) {
                return Err(format!("{how}: standard error lacks `{part}`:\n{}", done.stderr));
            }
        }
        Ok(())
    }
}

fn interpreted(path: &Path) -> Result<(), String> {
    let expected = Expectation::read(path)?;
    if expected.native_only {
        return Ok(());
    }
    let mut command = Command::new(clefc());
    command.arg("run").arg("--interpret").arg(path).arg("--").args(&expected.args);
    expected.check("interpreter", &run(&mut command, &expected.stdin)?)
}

fn build(path: &Path, folder: &Scratch, name: &str, options: &[&str]) -> Result<PathBuf, String> {
    let program = folder.0.join(name);
    let mut command = Command::new(clefc());
    command.arg("build").arg(path).arg("-o").arg(&program).args(options);
    let built = run(&mut command, "")?;
    if built.code == 0 {
        Ok(program)
    } else {
        Err(format!("build {options:?}: exit code {}\n{}", built.code, built.stderr))
    }
}

fn native(path: &Path) -> Result<(), String> {
    let expected = Expectation::read(path)?;
    let folder = Scratch::new();
    for options in [&["-O0"][..], &["--release"]] {
        let program = build(path, &folder, "program", options)?;
        let mut command = Command::new(&program);
        command.args(&expected.args).env("CLEF_DEBUG_LEAKS", "1");
        expected.check(&format!("native {options:?}"), &run(&mut command, &expected.stdin)?)?;
    }
    if expected.agents {
        with_agents(path, &expected, &folder)?;
    }
    Ok(())
}

fn with_agents(path: &Path, expected: &Expectation, folder: &Scratch) -> Result<(), String> {
    let program = build(path, folder, "adversarial", &["--adversarial"])?;
    for seed in 1..=SEEDS {
        let mut command = Command::new(&program);
        command.args(&expected.args).env("CLEF_ADVERSARIAL", seed.to_string());
        expected.check(&format!("adversarial memory, seed {seed}"), &run(&mut command, &expected.stdin)?)?;
    }
    let program = build(path, folder, "vulkan", &["--gpu", "vulkan"])?;
    for memory in ["host", "device"] {
        let mut command = Command::new(&program);
        command.args(&expected.args).env("CLEF_AGENTS", "vulkan").env("CLEF_VULKAN_MEMORY", memory);
        expected.check(&format!("Vulkan, memory {memory}"), &run(&mut command, &expected.stdin)?)?;
    }
    Ok(())
}

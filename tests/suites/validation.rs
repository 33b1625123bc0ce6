//! Vulkan's synchronization validation, with the buffers of each launch bound by descriptors
//! (`CLEF_VULKAN_VALIDATION=descriptors`): silent on every litmus line, every program with agents and the example;
//! not silent where a barrier between two dispatches is taken away.
//!
//! The layer sees hazards within one command buffer only, and nothing of the host's accesses: what it says nothing
//! about, adversarial memory does.

use super::{example, litmus};
use crate::trial;
use clef_tests::{Done, Scratch, clefc, files, root, run};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("validation/removed_barriers_are_reported", removed),
        trial("validation/example", || {
            let inputs = example::inputs()?;
            silent(
                &inputs.folder,
                &root().join(example::EXAMPLE),
                &[inputs.tokens.clone(), inputs.weights.clone()],
            )
        }),
    ];
    trials.push(trial("validation/kernels", || {
        silent(&Scratch::new(), &root().join("tests/kernels/kernels.clef"), &[])
    }));
    for path in files(&root().join("tests/run"), "clef") {
        if fs::read_to_string(&path).is_ok_and(|text| text.lines().any(|l| l == "// agents")) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            trials.push(trial(format!("validation/run/{name}"), move || silent(&Scratch::new(), &path, &[])));
        }
    }
    for (name, line) in litmus::lines() {
        trials.push(trial(format!("validation/litmus/{name}"), move || {
            let folder = Scratch::new();
            let program = line.split('|').nth(1).unwrap_or_default();
            let file = folder.file("Litmus.clef", litmus::expand(program)?);
            silent(&folder, &file, &[])
        }));
    }
    trials
}

fn build(source: &Path, folder: &Scratch, options: &[&str]) -> Result<PathBuf, String> {
    let program = folder.0.join("validated");
    let mut command = Command::new(clefc());
    command.args(["build", "-O0", "--gpu", "vulkan"]).args(options).arg(source).arg("-o").arg(&program);
    let built = run(&mut command, "")?;
    if built.code == 0 { Ok(program) } else { Err(built.stderr) }
}

fn validated(program: &Path, arguments: &[PathBuf], memory: &str) -> Result<Done, String> {
    let mut command = Command::new(program);
    command.args(arguments).env("CLEF_AGENTS", "vulkan").env("CLEF_VULKAN_MEMORY", memory);
    run(command.env("CLEF_VULKAN_VALIDATION", "descriptors"), "")
}

/// Programs end as they do without the layer: some are meant to stop.
fn silent(folder: &Scratch, source: &Path, arguments: &[PathBuf]) -> Result<(), String> {
    let program = build(source, folder, &[])?;
    for memory in ["host", "device"] {
        let done = validated(&program, arguments, memory)?;
        if done.stderr.contains("validation") {
            return Err(format!("memory {memory}: {}", done.stderr));
        }
        if done.code == 2 {
            return Err(format!("memory {memory}: the agent did not start: {}", done.stderr));
        }
    }
    Ok(())
}

/// A chain of four dispatches has three barriers between them. Without each the layer names the write and the read.
fn removed() -> Result<(), String> {
    let folder = Scratch::new();
    let chain = litmus::expand("G w a; G r a w b; G r b w c; G r c w a; C r a")?;
    let file = folder.file("Chain.clef", chain);
    let audit = run(Command::new(clefc()).args(["audit", "--cost", "vulkan"]).arg(&file), "")?;
    let mutants = audit.stdout.lines().filter(|l| l.starts_with('[')).enumerate();
    let between: Vec<usize> = mutants.filter(|(_, l)| l.contains("barrier before")).map(|(n, _)| n).collect();
    if between.len() != 3 {
        return Err(format!("not three barriers between dispatches:\n{}", audit.stdout));
    }
    for number in between {
        let program = build(&file, &folder, &["--mutant", &number.to_string()])?;
        let done = validated(&program, &[], "host")?;
        if !done.stderr.contains("SYNC-HAZARD-READ-AFTER-WRITE") {
            return Err(format!("mutant {number} is not reported: `{}`", done.stderr));
        }
    }
    Ok(())
}

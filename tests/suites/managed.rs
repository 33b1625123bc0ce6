//! Buffers with a copy on each side of a bus, which `CLEF_VULKAN_MEMORY=device` asks for on any device: how often they
//! are copied. That results are right is tested by the suites `run`, `litmus`, `kernels` and `example`.

use crate::trial;
use clef_tests::{Scratch, clefc, root, run};
use libtest_mimic::Trial;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("managed/copies_are_those_that_are_needed", counts),
        trial("managed/a_wrong_policy_is_named", || stops("disk", "it must be `host` or `device`")),
    ]
}

fn program(folder: &Scratch) -> Result<Command, String> {
    let binary = folder.0.join("program");
    let mut build = Command::new(clefc());
    build.args(["build", "--gpu", "vulkan"]).arg(root().join("tests/run/gpu_copies.clef"));
    let built = run(build.arg("-o").arg(&binary), "")?;
    if built.code != 0 {
        return Err(built.stderr);
    }
    let mut command = Command::new(binary);
    command.env("CLEF_AGENTS", "vulkan").env("CLEF_VULKAN_STATS", "1");
    Ok(command)
}

/// The program has 204 dispatches. The host writes before three runs of them, and looks at the result of four.
fn counts() -> Result<(), String> {
    let folder = Scratch::new();
    for (memory, wanted) in [("device", (3, 4)), ("host", (0, 0))] {
        let done = run(program(&folder)?.env("CLEF_VULKAN_MEMORY", memory), "")?;
        // The bytes are whole pages.
        let (up, down) = (wanted.0 * 40960, wanted.1 * 40960);
        let text = format!(
            "clef: copied {} buffers to the GPU ({up} bytes), {} back ({down} bytes)",
            wanted.0, wanted.1
        );
        if done.code != 0 || done.stderr.trim() != text {
            return Err(format!("memory {memory}: wanted `{text}`, got `{}`", done.stderr));
        }
    }
    Ok(())
}

fn stops(memory: &str, text: &str) -> Result<(), String> {
    let folder = Scratch::new();
    let done = run(program(&folder)?.env("CLEF_VULKAN_MEMORY", memory), "")?;
    if done.code == 2 && done.stderr.contains(text) { Ok(()) } else { Err(done.stderr) }
}

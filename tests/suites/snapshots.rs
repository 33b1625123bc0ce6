//! Golden stages: `tests/snapshots/NAME.clef` with `// stages: ast typed psg ..` at its head, and beside it one golden
//! file per stage (`NAME.psg`). `diagnostics` is a stage too: what `clefc check` says.

use crate::trial;
use clef_tests::{clefc, files, golden, root, run};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for path in files(&root().join("tests/snapshots"), "clef") {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let stages = text.lines().find_map(|l| l.strip_prefix("// stages: ")).unwrap_or_default().to_owned();
        if stages.is_empty() {
            let shown = path.display().to_string();
            trials.push(trial(format!("snapshot/{name}"), move || Err(format!("{shown} names no stages"))));
        }
        for stage in stages.split_whitespace().map(str::to_owned).collect::<Vec<_>>() {
            let path = path.clone();
            trials.push(trial(format!("snapshot/{name}/{stage}"), move || compare(&path, &stage)));
        }
    }
    trials
}

fn compare(path: &Path, stage: &str) -> Result<(), String> {
    let mut command = Command::new(clefc());
    // Run beside the file, so that names in the output do not depend on the folder.
    command.current_dir(path.parent().unwrap_or(Path::new(".")));
    let file = path.file_name().unwrap_or_default();
    let shows_errors = stage == "diagnostics";
    match stage {
        "diagnostics" => command.args(["check", "--message-format", "human"]).arg(file),
        "fences.json" => command.args(["fences", "--format", "json"]).arg(file),
        "fences" => command.arg("fences").arg(file),
        _ => command.args(["emit", stage]).arg(file),
    };
    let done = run(&mut command, "")?;
    if done.code > 1 || (done.code == 1 && !shows_errors) {
        return Err(format!("exit code {}\n{}", done.code, done.stderr));
    }
    let found = if shows_errors { done.stderr } else { done.stdout };
    golden(&path.with_extension(stage), &found)
}

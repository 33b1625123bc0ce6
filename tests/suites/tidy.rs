//! Rules that no compiler checks: module docs, file sizes, walls between crates, no traces of one machine.

use crate::trial;
use clef_tests::{files, root};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file without a reason, in lines.
const LONGEST: usize = 1000;

/// Files that may be longer, with the reason.
const LONGER: &[(&str, &str)] = &[];

pub fn trials() -> Vec<Trial> {
    vec![
        trial("tidy/rust_files_say_what_they_are", || each(&sources("rs"), module_doc)),
        trial("tidy/files_are_not_too_long", || each(&sources("rs"), length)),
        trial("tidy/only_one_folder_names_the_mlir_bindings", || each(&sources("rs"), bindings_wall)),
        trial("tidy/no_location_is_unknown", || each(&sources("rs"), known_locations)),
        trial("tidy/no_trace_of_one_machine", no_traces),
        trial("tidy/core_crates_do_no_io", || each(&sources("rs"), pure_core)),
    ]
}

fn sources(extension: &str) -> Vec<PathBuf> {
    ["compiler", "frontend", "psg", "backends", "runtime", "tests"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), extension))
        .filter(|p| !p.components().any(|c| c.as_os_str() == "target"))
        .collect()
}

fn each(files: &[PathBuf], rule: fn(&str, &str) -> Result<(), String>) -> Result<(), String> {
    let mut broken = Vec::new();
    for path in files {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = shown(path);
        if let Err(why) = rule(&name, &text) {
            broken.push(format!("{name}: {why}"));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Programs that are measured are inputs, not sources.
fn module_doc(name: &str, text: &str) -> Result<(), String> {
    if text.starts_with("//!") || name.starts_with("tests/bench/programs/") {
        Ok(())
    } else {
        Err("does not begin with a module doc (`//!`)".into())
    }
}

fn length(name: &str, text: &str) -> Result<(), String> {
    let lines = text.lines().count();
    if lines <= LONGEST || LONGER.iter().any(|(file, _)| *file == name) {
        return Ok(());
    }
    Err(format!("has {lines} lines (limit {LONGEST})"))
}

/// The word in two parts, as in the rules below: this file must not trip over itself.
fn bindings_wall(name: &str, text: &str) -> Result<(), String> {
    let word = ["mel", "ior"].concat();
    let named = text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(&word));
    if named && !name.starts_with("backends/src/mlir/") { Err(format!("names {word}")) } else { Ok(()) }
}

fn known_locations(_: &str, text: &str) -> Result<(), String> {
    let call = ["Location", "::unknown"].concat();
    if text.contains(&call) { Err(format!("uses {call}")) } else { Ok(()) }
}

/// Core crates get text and give values.
fn pure_core(name: &str, text: &str) -> Result<(), String> {
    let core = ["frontend/src/", "psg/src/"].iter().any(|p| name.starts_with(p));
    let test = name.contains("test");
    let io = [["std::", "fs"].concat(), ["std::", "env"].concat(), ["print", "ln!("].concat()];
    match io.iter().find(|word| core && !test && text.contains(word.as_str())) {
        Some(word) => Err(format!("uses {word}")),
        None => Ok(()),
    }
}

fn no_traces() -> Result<(), String> {
    let words = [["/wo", "rk/"].concat(), ["../sha", "red"].concat(), ["regi", "stry host"].concat()];
    let mut broken = Vec::new();
    for extension in ["rs", "md", "toml", "clef", "py", "sh", "yml"] {
        for path in files(&root(), extension) {
            let name = shown(&path);
            if name.starts_with("target") || name.starts_with(".git") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some(word) = words.iter().find(|w| text.contains(w.as_str())) {
                broken.push(format!("{name}: contains `{word}`"));
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

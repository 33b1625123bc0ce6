//! The library's own files parse and check: every function of it, used or not.

use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::parse;
use clef_frontend::span::{FileId, LineIndex};
use std::fs;
use std::path::{Path, PathBuf};

/// All files below stdlib/, by name.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "clef") {
                let name = path.strip_prefix(&root).expect("below it").to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    found.sort();
    found
}

/// A diagnostic of one of the files, for reading.
fn shown(files: &[(String, String)], d: &Diagnostic) -> String {
    let Some(label) = d.labels.first() else { return d.headline.clone() };
    let (name, text) = &files[label.span.file.0 as usize];
    let (line, column) = LineIndex::new(text).line_column(label.span.start);
    format!("{name}:{line}:{column}: {} {} {}", d.headline, label.text, d.notes.join("; "))
}

#[test]
fn every_file_parses() {
    let files = files();
    let mut wrong = Vec::new();
    for (i, (_, text)) in files.iter().enumerate() {
        let (_, diagnostics) = parse::parse(FileId(i as u32), text);
        wrong.extend(diagnostics.iter().map(|d| shown(&files, d)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

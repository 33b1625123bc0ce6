//! The library's own files parse and check: every function of it, used or not.

use clef_frontend::ast;
use clef_frontend::check::{self, CheckInput};
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

/// Names of the functions and values of a file, as a program writes them.
fn names(file: &ast::File) -> Vec<String> {
    let module: Vec<&str> = file.header.iter().flat_map(|h| &h.path.parts).map(|p| p.name.as_str()).collect();
    let mut out = Vec::new();
    collect(&module.join("."), &file.decls, &mut out);
    out
}

fn collect(module: &str, decls: &[ast::Decl], out: &mut Vec<String>) {
    for decl in decls {
        match &decl.kind {
            ast::DeclKind::Module { name, decls } => collect(&format!("{module}.{}", name.name), decls, out),
            ast::DeclKind::Let(group) => {
                for binding in &group.bindings {
                    if let ast::BindingHead::Name { name, .. } = &binding.head {
                        out.push(format!("{module}.{}", name.name));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Uses every function of the library once, so that its body is checked.
#[test]
fn every_function_checks() {
    let mut files = files();
    // What others open comes first.
    files.sort_by_key(|(name, _)| match name.as_str() {
        "Core.clef" => 0,
        "Alloy.clef" => 1,
        "HSARuntime.clef" => 2,
        "BAREWire/HSA.clef" => 3,
        _ => 4,
    });
    let library: Vec<ast::File> =
        files.iter().enumerate().map(|(i, (_, text))| parse::parse(FileId(i as u32), text).0).collect();
    let mut program = String::from("module Probe\n\n");
    for (i, name) in library.iter().flat_map(names).enumerate() {
        program.push_str(&format!("let probe{i} () = ignore {name}\n"));
    }
    files.push(("Probe.clef".to_owned(), program));
    let probe = parse::parse(FileId(files.len() as u32 - 1), &files[files.len() - 1].1).0;
    let (_, diagnostics) = check::check(&CheckInput { files: &[probe], library: &library });
    let wrong: Vec<String> = diagnostics.iter().map(|d| shown(&files, d)).collect();
    assert!(wrong.is_empty(), "{} problems\n{}", wrong.len(), wrong.join("\n"));
}

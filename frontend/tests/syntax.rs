//! The parser seen from outside: everything that parses prints back to the same tree, nothing panics or hangs, and
//! mistakes are reported once each, where they are.

use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::span::{FileId, LineIndex};
use clef_frontend::{ast, parse};
use std::path::{Path, PathBuf};

fn read(text: &str) -> (ast::File, Vec<Diagnostic>) {
    parse::parse(FileId(0), text)
}

/// The tree without spans.
fn shape(file: &ast::File) -> String {
    let text = format!("{file:#?}");
    let mut out = String::with_capacity(text.len());
    let mut skip = 0;
    for line in text.lines() {
        let t = line.trim();
        if t.contains("Span {") {
            skip = 1;
        } else if skip > 0 {
            skip += usize::from(t.ends_with('{') || t.ends_with('('));
            skip -= usize::from(t.starts_with('}') || t.starts_with(')'));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn show(text: &str, diagnostics: &[Diagnostic]) -> String {
    let lines = LineIndex::new(text);
    diagnostics
        .iter()
        .map(|d| {
            let (line, column) = lines.line_column(d.span().map_or(0, |s| s.start));
            format!("{line}:{column} {} {}\n", d.code, d.headline)
        })
        .collect()
}

fn first_difference(a: &str, b: &str) -> String {
    let at = a.lines().zip(b.lines()).position(|(x, y)| x != y).unwrap_or(0);
    let part = |s: &str| s.lines().skip(at.saturating_sub(12)).take(24).collect::<Vec<_>>().join("\n");
    format!("--- first\n{}\n--- printed and read again\n{}", part(a), part(b))
}

fn check_round_trip(name: &str, text: &str) {
    let (tree, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{name}:\n{}", show(text, &diagnostics));
    let printed = parse::print::print(&tree);
    let (again, diagnostics) = read(&printed);
    assert!(diagnostics.is_empty(), "{name} printed:\n{}\n{printed}", show(&printed, &diagnostics));
    let (a, b) = (shape(&tree), shape(&again));
    assert!(a == b, "{name}: {}", first_difference(&a, &b));
    assert_eq!(printed, parse::print::print(&again), "{name}: printing is not stable");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Clef files under a folder of the tree, in order of name.
fn programs(folder: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(dir) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for path in entries.flatten().map(|e| e.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "clef")
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                out.push((path.display().to_string(), text));
            }
        }
    }
    out.sort();
    out
}

#[test]
fn listings_print_back_to_the_same_tree() {
    let listings = programs("examples/listings");
    assert_eq!(listings.len(), 8);
    for (name, text) in listings {
        check_round_trip(&name, &text);
    }
}

#[test]
fn every_construct_prints_back_to_the_same_tree() {
    let all = programs("frontend/tests/syntax");
    assert!(!all.is_empty());
    for (name, text) in all {
        check_round_trip(&name, &text);
        check_round_trip(&format!("{name} with CRLF"), &text.replace('\n', "\r\n"));
    }
}

#[test]
fn library_prints_back_to_the_same_tree() {
    for (name, text) in programs("stdlib") {
        check_round_trip(&name, &text);
    }
}

//! Tables: source to inferred signatures, source to codes and places, and whole programs against the real library.

use super::{CheckInput, check};
use crate::ast;
use crate::diagnostic::Diagnostic;
use crate::parse::parse;
use crate::span::{FileId, LineIndex};
use crate::typed::{DefKind, Program};
use crate::typed_print;
use std::path::{Path, PathBuf};

/// The library's files in an order in which each comes after those it opens.
fn library() -> Vec<ast::File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let rank = |p: &PathBuf| {
        let name = p.strip_prefix(&root).unwrap_or(p).to_string_lossy().replace('\\', "/");
        let group = match name.as_str() {
            "Core.clef" => 0,
            "Alloy.clef" => 1,
            "HSARuntime.clef" => 2,
            n if n.starts_with("BAREWire/") => 3,
            n if n.starts_with("Members/") => 5,
            _ => 4,
        };
        (group, name)
    };
    paths.sort_by_key(rank);
    let mut files = Vec::new();
    for (n, path) in paths.iter().enumerate() {
        let text = std::fs::read_to_string(path).unwrap();
        let (file, diags) = parse(FileId(1000 + n as u32), &text);
        assert!(diags.is_empty(), "{}: {diags:?}", path.display());
        files.push(file);
    }
    files
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "clef") {
            out.push(path);
        }
    }
}

thread_local! {
    static LIBRARY: Vec<ast::File> = library();
}

fn check_text(text: &str) -> (Program, Vec<Diagnostic>) {
    let (file, parsed) = parse(FileId(0), text);
    assert!(parsed.is_empty(), "does not parse: {parsed:?}\n{text}");
    LIBRARY.with(|library| check(&CheckInput { files: &[file], library }))
}

fn shown(text: &str, diags: &[Diagnostic]) -> String {
    let lines = LineIndex::new(text);
    diags
        .iter()
        .map(|d| {
            let (place, file) = d.span().map_or(((0, 0), 0), |s| (lines.line_column(s.start), s.file.0));
            let labels: Vec<&str> = d.labels.iter().map(|l| l.text.as_str()).collect();
            format!("{file}@{place:?} {} {} {labels:?} {:?} {:?}\n", d.code, d.headline, d.notes, d.help)
        })
        .collect()
}

/// Runs on a file named by `CLEFC_TRY`, for work on the checker.
#[test]
fn try_file() {
    let Ok(paths) = std::env::var("CLEFC_TRY") else { return };
    for path in paths.split(':') {
        let text = std::fs::read_to_string(path).unwrap();
        let (file, parsed) = parse(FileId(0), &text);
        eprintln!("== {path}\n{}", shown(&text, &parsed));
        LIBRARY.with(|library| {
            let start = std::time::Instant::now();
            let (program, diags) = check(&CheckInput { files: &[file], library });
            eprintln!("{}{:?}, {} defs", shown(&text, &diags), start.elapsed(), program.defs.len());
            if std::env::var("CLEFC_DUMP").is_ok() {
                eprintln!("{}", typed_print::dump(&program));
            }
        });
    }
}

/// Signatures of the program's own definitions.
fn signatures(text: &str) -> String {
    let (program, diags) = check_text(text);
    assert!(diags.is_empty(), "{}", shown(text, &diags));
    let mut out = String::new();
    for (n, def) in program.defs.iter().enumerate() {
        if def.span.file == FileId(0) && !matches!(def.kind, DefKind::Intrinsic { .. }) {
            let line = typed_print::signature(&program, crate::typed::DefId(n as u32));
            out.push_str(line.strip_prefix("T.").unwrap_or(&line));
            out.push('\n');
        }
    }
    out
}

/// Every body of the library, not only those that some program reaches.
#[test]
fn the_whole_library_checks() {
    LIBRARY.with(|library| {
        let mut checker = super::Checker::new();
        for file in library {
            checker.register_library(file);
        }
        checker.find_core();
        for lib in 0..checker.libs.len() as u32 {
            checker.force_lib(lib);
            checker.check_reached_library();
        }
        let (program, diags) = checker.finish();
        let list: String = diags.iter().map(|d| shown("", std::slice::from_ref(d))).collect();
        assert!(diags.is_empty(), "{list}");
        assert!(program.defs.len() > 100);
    });
}

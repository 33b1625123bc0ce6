//! Embeds the library's Clef files and, where `CLEF_RUNTIME_ARCHIVE` names it, the runtime's static library.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../stdlib");
    write_library(&root, &out.join("library.rs"));
    embed_runtime(&out.join("runtime.a"));
    write_pages(&root.join("../docs/diagnostics"), &out.join("pages.rs"));
}

/// A table of (code number, text) of the diagnostics' pages, by number.
fn write_pages(folder: &Path, target: &Path) {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number =
            name.strip_prefix("CLEF").and_then(|n| n.strip_suffix(".md")).and_then(|n| n.parse::<u16>().ok());
        if let (Some(number), Ok(path)) = (number, entry.path().canonicalize()) {
            pages.push((number, path));
        }
    }
    pages.sort();
    let mut code = String::from("&[\n");
    for (number, path) in pages {
        let _ = writeln!(code, "({number}, include_str!({path:?})),");
    }
    code.push_str("]\n");
    let _ = fs::write(target, code);
}

/// A table of (module name, file name, text, member names) of all library files, sorted by name.
fn write_library(root: &Path, target: &Path) {
    let mut files = Vec::new();
    collect(root, root, &mut files);
    files.sort();
    let mut code = String::from("&[\n");
    for relative in &files {
        let path = root.join(relative).canonicalize().unwrap_or_else(|_| root.join(relative));
        let module = relative.trim_end_matches(".clef").replace('/', ".");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let members = if module.starts_with("Members.") { members(&text) } else { Vec::new() };
        let _ = writeln!(
            code,
            "LibraryFile {{ module: {module:?}, name: {relative:?}, text: include_str!({path:?}), members: &{members:?} }},"
        );
    }
    code.push_str("]\n");
    let _ = fs::write(target, code);
    println!("cargo:rerun-if-changed={}", root.display());
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    println!("cargo:rerun-if-changed={}", folder.display());
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|e| e == "clef") {
            println!("cargo:rerun-if-changed={}", path.display());
            if let Ok(relative) = path.strip_prefix(root) {
                files.push(relative.to_string_lossy().into_owned());
            }
        }
    }
}

/// Names under which a `Members.*` file's functions are called: those of `let` and of `[<Overload("..")>]`.
fn members(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        for (before, end) in [("Overload(\"", '"'), ("let ", ' ')] {
            if let Some(at) = line.find(before) {
                let rest = line[at + before.len()..].trim_start_matches("rec ").trim_start_matches("inline ");
                let name: String =
                    rest.chars().take_while(|&c| c != end && c != '<' && c != '(' && c != '\'').collect();
                names.push(name.trim().to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names.retain(|n| !n.is_empty());
    names
}

fn embed_runtime(target: &Path) {
    println!("cargo:rerun-if-env-changed=CLEF_RUNTIME_ARCHIVE");
    let archive = env::var_os("CLEF_RUNTIME_ARCHIVE").map(PathBuf::from);
    let bytes = archive.as_deref().and_then(|p| {
        println!("cargo:rerun-if-changed={}", p.display());
        fs::read(p).ok()
    });
    let _ = fs::write(target, bytes.unwrap_or_default());
}

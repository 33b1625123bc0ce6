//! The library's programs (`tests/run/stdlib_*.clef`) on the interpreter, without the driver.

use clef_frontend::check::{self, CheckInput};
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::parse;
use clef_frontend::span::{FileId, SourceFile};
use clef_psg::graph::FileInfo;
use clef_psg::interp::{self, Console, World};
use clef_psg::kernel::KernelFacts;
use clef_psg::{build, verify};
use std::fs;
use std::path::{Path, PathBuf};

/// All files below stdlib/; what others open comes first.
fn library() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib");
    let mut names = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "clef") {
                names.push(path.strip_prefix(&root).expect("below it").to_string_lossy().into_owned());
            }
        }
    }
    let first = ["Core.clef", "Alloy.clef", "HSARuntime.clef", "BAREWire/HSA.clef"];
    names.sort_by_key(|name| (first.iter().position(|f| f == name).unwrap_or(first.len()), name.clone()));
    names.iter().map(|n| SourceFile::new(n, fs::read_to_string(root.join(n)).expect("a text"))).collect()
}

struct Captured {
    input: Vec<String>,
    out: String,
}

impl World for Captured {
    fn read_line(&mut self) -> Option<String> {
        (!self.input.is_empty()).then(|| self.input.remove(0))
    }
    fn read_file(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Err("there are no files here".to_owned())
    }
    fn write_file(&mut self, _: &str, _: &[u8], _: bool) -> Result<(), String> {
        Err("there are no files here".to_owned())
    }
    fn file_exists(&mut self, _: &str) -> bool {
        false
    }
    fn nanoseconds(&mut self) -> i64 {
        0
    }
}

impl Console for Captured {
    fn write(&mut self, text: &str, to_stderr: bool) {
        if !to_stderr {
            self.out.push_str(text);
        }
    }
}

fn shown(files: &[SourceFile], diagnostics: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| match d.labels.first() {
        Some(label) => {
            let file = &files[label.span.file.0 as usize];
            let (line, column) = file.lines.line_column(label.span.start);
            format!("{}:{line}:{column}: {} {} {}\n", file.name, d.headline, label.text, d.notes.join("; "))
        }
        None => d.headline.clone(),
    };
    diagnostics.iter().filter(|d| d.is_error()).map(line).collect()
}

/// Runs one program and compares its output with the comments at its head.
fn run(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let comments = |key: &str| -> Vec<String> {
        let prefix = format!("// {key}: ");
        text.lines().filter_map(|l| l.strip_prefix(&prefix)).map(str::to_owned).collect()
    };
    let (expected, input, code) = (comments("expect"), comments("stdin"), comments("exit"));
    let mut files = library();
    files.push(SourceFile::new("program", text.clone()));
    let mut trees: Vec<_> = (0u32..).zip(&files).map(|(i, f)| parse::parse(FileId(i), &f.text).0).collect();
    let program = trees.pop().into_iter().collect::<Vec<_>>();
    let (typed, diagnostics) = check::check(&CheckInput { files: &program, library: &trees });
    let errors = shown(&files, &diagnostics);
    if !errors.is_empty() {
        return Err(errors);
    }
    let infos = files.iter().map(|f| FileInfo { name: f.name.clone(), lines: f.lines.clone() }).collect();
    let (psg, diagnostics) = build::build(&typed, infos, build::Options::default());
    let errors = shown(&files, &diagnostics);
    if !errors.is_empty() {
        return Err(errors);
    }
    verify::verify(&psg).map_err(|e| format!("{e:?}"))?;
    let mut console = Captured { input, out: String::new() };
    let outcome = interp::run(&psg, &KernelFacts::default(), &[], &mut console);
    let got: Vec<&str> = console.out.lines().collect();
    let code = code.first().and_then(|c| c.parse().ok()).unwrap_or(0);
    if got == expected && outcome.code == code {
        return Ok(());
    }
    let at = got.iter().zip(&expected).take_while(|(g, e)| g == e).count();
    let (g, e) = (got.get(at), expected.get(at));
    Err(format!("line {}: got {g:?}, expected {e:?}; {:?}", at + 1, outcome.stopped))
}

#[test]
fn programs_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/run");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path()).collect();
    paths.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("stdlib_")));
    paths.sort();
    assert!(!paths.is_empty());
    let wrong: Vec<String> = paths
        .iter()
        .filter_map(|p| {
            run(p).err().map(|why| format!("{}: {why}", p.file_name().unwrap_or_default().display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

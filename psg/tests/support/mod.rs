//! Front end, graph and interpreter over a program's text, with the library read from its folder.

use clef_frontend::check::{self, CheckInput};
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::parse;
use clef_frontend::span::{FileId, LineIndex};
use clef_psg::graph::{FileInfo, Psg};
use clef_psg::interp::{self, Console, World};
use clef_psg::kernel::KernelFacts;
use std::fs;
use std::path::{Path, PathBuf};

/// All files of the library; what others open comes first.
fn library() -> Vec<(String, String)> {
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
    let first = ["Core.clef", "Alloy.clef", "HSARuntime.clef", "BAREWire/HSA.clef"];
    found
        .sort_by_key(|(name, _)| (first.iter().position(|f| f == name).unwrap_or(first.len()), name.clone()));
    found
}

/// A program's graph, verified; or everything that is wrong with it.
pub fn build(name: &str, text: &str) -> Result<Psg, String> {
    build_files(vec![(name.to_owned(), text.to_owned())])
}

/// The same of several files, in order.
pub fn build_files(mut files: Vec<(String, String)>) -> Result<Psg, String> {
    let own = files.len();
    files.extend(library());
    let mut diagnostics = Vec::new();
    let mut trees = Vec::new();
    for (i, (_, text)) in files.iter().enumerate() {
        let (tree, found) = parse::parse(FileId(i as u32), text);
        trees.push(tree);
        diagnostics.extend(found);
    }
    let (user, library) = trees.split_at(own);
    let (program, found) = check::check(&CheckInput { files: user, library });
    diagnostics.extend(found);
    errors(&files, &diagnostics)?;
    let infos = files
        .iter()
        .map(|(name, text)| FileInfo { name: name.clone(), lines: LineIndex::new(text) })
        .collect();
    let (psg, found) = clef_psg::build::build(&program, infos, clef_psg::build::Options::default());
    errors(&files, &found)?;
    clef_psg::verify::verify(&psg).map_err(|errors| {
        let list: Vec<String> = errors.iter().take(20).map(ToString::to_string).collect();
        format!("{}\n{}", list.join("\n"), clef_psg::text::print(&psg))
    })?;
    Ok(psg)
}

fn errors(files: &[(String, String)], diagnostics: &[Diagnostic]) -> Result<(), String> {
    let list: Vec<String> = diagnostics
        .iter()
        .filter(|d| d.is_error())
        .map(|d| {
            let Some(label) = d.labels.first() else { return d.headline.clone() };
            let (name, text) = &files[label.span.file.0 as usize];
            let (line, column) = LineIndex::new(text).line_column(label.span.start);
            format!("{name}:{line}:{column}: {} {} {}", d.code, d.headline, label.text)
        })
        .collect();
    if list.is_empty() { Ok(()) } else { Err(list.join("\n")) }
}

/// A console in memory; no files, no input.
#[derive(Default)]
pub struct Memory {
    pub out: String,
    pub err: String,
}

impl World for Memory {
    fn read_line(&mut self) -> Option<String> {
        None
    }
    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String> {
        Err(format!("no file {path}"))
    }
    fn write_file(&mut self, path: &str, _: &[u8], _: bool) -> Result<(), String> {
        Err(format!("no file {path}"))
    }
    fn file_exists(&mut self, _: &str) -> bool {
        false
    }
    fn nanoseconds(&mut self) -> i64 {
        0
    }
}

impl Console for Memory {
    fn write(&mut self, text: &str, to_stderr: bool) {
        if to_stderr { self.err.push_str(text) } else { self.out.push_str(text) }
    }
}

/// Output and exit code of a program; a stop's text follows the output.
pub fn run(psg: &Psg, args: &[&str]) -> (String, i32) {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let mut console = Memory::default();
    let outcome = interp::run(psg, &KernelFacts::default(), &args, &mut console);
    if let Some(stop) = outcome.stopped {
        console.out.push_str(&format!("stopped: {}\n", stop.text));
    }
    console.out.push_str(&console.err);
    (console.out, outcome.code)
}

//! Front end, graph and interpreter over a program's text in this process: what programs mean, without starting the
//! compiler for each.
//!
//! The library is read from its folder, whole. There are no files and no input.

use crate::{files, root};
use clef_frontend::check::{self, CheckInput};
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::parse;
use clef_frontend::span::{FileId, LineIndex};
use clef_psg::build;
use clef_psg::graph::{FileInfo, Psg};
use clef_psg::interp::{self, Console, World};
use std::fs;
use std::sync::OnceLock;

/// Stack of the interpreter's thread: its frames are larger than native ones.
const STACK: usize = 1 << 30;

/// What a program did.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    pub code: i32,
    pub stdout: String,
    /// Why it stopped, if it did.
    pub stop: Option<String>,
}

/// All files of the library, `Core` first.
fn library() -> &'static [(String, String)] {
    static LIBRARY: OnceLock<Vec<(String, String)>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = root().join("stdlib");
        let mut found: Vec<(String, String)> = files(&folder, "clef")
            .into_iter()
            .map(|path| {
                let name = path.strip_prefix(&folder).unwrap_or(&path).to_string_lossy().into_owned();
                (name, fs::read_to_string(&path).unwrap_or_default())
            })
            .collect();
        // A folder comes before the module of its name, which may open what is in the folder.
        found.sort_by_key(|(name, _)| (name != "Core.clef", name.replace('/', "\0")));
        found
    })
}

/// A program's graph, verified; or everything that is wrong with it.
pub fn graph(text: &str) -> Result<Psg, String> {
    let mut sources = vec![("Main.clef".to_owned(), text.to_owned())];
    sources.extend_from_slice(library());
    let mut diagnostics = Vec::new();
    let mut trees = Vec::new();
    for (number, (_, text)) in sources.iter().enumerate() {
        let (tree, found) = parse::parse(FileId(number as u32), text);
        trees.push(tree);
        diagnostics.extend(found);
    }
    let (user, library) = trees.split_at(1);
    let (program, found) = check::check(&CheckInput { files: user, library });
    diagnostics.extend(found);
    refuse(&sources, &diagnostics)?;
    let infos = sources
        .iter()
        .map(|(name, text)| FileInfo { name: name.clone(), lines: LineIndex::new(text) })
        .collect();
    let (psg, found) = build::build(&program, infos, build::Options::default());
    refuse(&sources, &found)?;
    clef_psg::verify::verify(&psg).map_err(|errors| {
        let list: Vec<String> = errors.iter().take(5).map(ToString::to_string).collect();
        format!("the verifier refuses the graph: {}", list.join("\n"))
    })?;
    Ok(psg)
}

fn refuse(sources: &[(String, String)], diagnostics: &[Diagnostic]) -> Result<(), String> {
    let list: Vec<String> = diagnostics
        .iter()
        .filter(|d| d.is_error())
        .map(|d| {
            let Some(label) = d.labels.first() else { return d.headline.clone() };
            let (name, text) = &sources[label.span.file.0 as usize];
            let (line, column) = LineIndex::new(text).line_column(label.span.start);
            format!("{name}:{line}:{column}: {} {} {}", d.code, d.headline, label.text)
        })
        .collect();
    if list.is_empty() { Ok(()) } else { Err(list.join("\n")) }
}

/// Does something with enough stack for deep trees and recursions.
pub fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let joined = thread.map_err(|e| e.to_string())?.join();
        joined.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            format!("panic: {}", text.unwrap_or_default())
        })
    })
}

/// Bodies, branches and iterations that a random program may run. What is made smaller may lose what ended its loop.
const REGIONS: u64 = 20_000_000;

/// Interprets a graph; call it inside [`deep`]. A program that does not end is stopped.
pub fn interpret(psg: &Psg, arguments: &[String]) -> Meaning {
    let mut console = Memory::default();
    let outcome = interp::run_at_most(psg, arguments, &mut console, REGIONS);
    Meaning { code: outcome.code, stdout: console.0, stop: outcome.stopped.map(|s| s.text) }
}

/// Standard output; nothing else is there.
#[derive(Default)]
struct Memory(String);

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
        if !to_stderr {
            self.0.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{deep, graph, interpret};
    use clef_psg::interp::TOO_LONG;

    #[test]
    fn a_program_without_an_end_is_stopped() {
        let text = "[<EntryPoint>]\nlet main argv =\n    while argv.Length < 1 do ()\n    0\n";
        let meaning =
            deep(|| graph(text).map(|psg| interpret(&psg, &[]))).expect("a thread").expect("a program");
        assert_eq!(meaning.stop.as_deref(), Some(TOO_LONG));
    }
}

//! The library's Clef files, embedded, and the choice of those that a program needs.
//!
//! A file is needed when the program (or a needed file) contains an identifier that could name its module, or, for
//! `Members.*`, one of its functions. That may take in a file too many; it never misses one.

use clef_frontend::ast;
use clef_frontend::lex::{self, Kind};
use clef_frontend::span::{FileId, SourceFile};
use rustc_hash::{FxHashMap, FxHashSet};

pub struct LibraryFile {
    /// `BAREWire.HSA`.
    pub module: &'static str,
    /// `BAREWire/HSA.clef`.
    pub name: &'static str,
    pub text: &'static str,
    /// For `Members.*`: the names of its functions.
    pub members: &'static [&'static str],
}

pub static FILES: &[LibraryFile] = include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// The core of the library: always loaded, open everywhere.
const CORE: &str = "Core";

/// Chooses, in dependency order, the library files that these program texts need.
pub fn needed(texts: &[&str]) -> Vec<&'static LibraryFile> {
    let mut by_name: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
    for (i, file) in FILES.iter().enumerate() {
        for part in file.module.split('.').filter(|p| *p != "Members") {
            by_name.entry(part).or_default().push(i);
        }
        for member in file.members {
            by_name.entry(member).or_default().push(i);
        }
        // `seq { .. }` calls the module without naming it.
        if file.module == "Seq" {
            by_name.entry("seq").or_default().push(i);
        }
    }
    let mut choice = Choice { by_name, state: vec![State::New; FILES.len()], order: Vec::new() };
    if let Some(core) = FILES.iter().position(|f| f.module == CORE) {
        choice.visit(core);
    }
    for text in texts {
        choice.visit_names(text, "");
    }
    choice.order.into_iter().map(|i| &FILES[i]).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Seen,
}

struct Choice {
    by_name: FxHashMap<&'static str, Vec<usize>>,
    state: Vec<State>,
    order: Vec<usize>,
}

impl Choice {
    fn visit(&mut self, file: usize) {
        if self.state[file] == State::Seen {
            return;
        }
        self.state[file] = State::Seen;
        // Core names no other file: where it seems to, it means its own types.
        if FILES[file].module != CORE {
            // A module's name in its own header is no use of its members' file, which comes after it.
            let module = FILES[file].module;
            let own = if module.starts_with("Members.") {
                ""
            } else {
                module.rsplit('.').next().unwrap_or_default()
            };
            self.visit_names(FILES[file].text, own);
        }
        self.order.push(file);
    }

    fn visit_names(&mut self, text: &str, own: &str) {
        let mut seen: FxHashSet<&str> = FxHashSet::default();
        let mut names = Vec::new();
        for token in lex::lex(FileId(u32::MAX), text).0 {
            let Some(shown) = text.get(token.span.range()) else { continue };
            match token.kind {
                Kind::Ident => names.push(shown),
                // The holes of an interpolated string are expressions.
                Kind::Interpolated => names.extend(shown.split(|c: char| !c.is_alphanumeric() && c != '_')),
                _ => {}
            }
        }
        for name in names {
            if !seen.insert(name) || name == own {
                continue;
            }
            for file in self.by_name.get(name).cloned().unwrap_or_default() {
                self.visit(file);
            }
        }
    }
}

/// A library file as a source, with its shown name.
pub fn source(file: &LibraryFile) -> SourceFile {
    SourceFile::new(format!("stdlib/{}", file.name), file.text)
}

/// Parses a library file. Its diagnostics, if any, are a bug of the library and are reported like any others.
pub fn parse(id: FileId, file: &LibraryFile) -> (ast::File, Vec<clef_frontend::diagnostic::Diagnostic>) {
    clef_frontend::parse::parse(id, file.text)
}

//! The library's Clef files, embedded, and the choice of those that a program needs.
//!
//! A file is needed when the program (or a needed file) contains an identifier that could name its module, or, for
//! `Members.*`, one of its functions. That may take in a file too many; it never misses one.

use clef_frontend::ast;
use clef_frontend::lex::{self, Kind, Token};
use clef_frontend::span::{FileId, SourceFile};
use rustc_hash::FxHashMap;

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

/// Chooses, in dependency order, the library files that a program needs.
pub struct Choice {
    by_name: FxHashMap<&'static str, Vec<usize>>,
    seen: Vec<bool>,
    order: Vec<usize>,
}

impl Choice {
    /// The core only.
    pub fn new() -> Self {
        let mut by_name: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        for (i, file) in FILES.iter().enumerate() {
            for part in keys(file.module) {
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
        let mut choice = Self { by_name, seen: vec![false; FILES.len()], order: Vec::new() };
        if let Some(core) = FILES.iter().position(|f| f.module == CORE) {
            choice.visit(core);
        }
        choice
    }

    /// A program that brings a module of a nested folder (its own `Fidelity.LLM.Native`) has none of the library's there:
    /// the two would clash. To be called for all of the program's files before `add`.
    pub fn leave_out(&mut self, program_text: &str) {
        let header = program_text.lines().find_map(|l| l.strip_prefix("module "));
        let path = header.and_then(|h| h.split_whitespace().next()).unwrap_or_default();
        if path.matches('.').count() > 1
            && let Some((folder, _)) = path.rsplit_once('.')
        {
            for (i, file) in FILES.iter().enumerate() {
                self.seen[i] |= file.module.rsplit_once('.').is_some_and(|(f, _)| f == folder);
            }
        }
    }

    /// Takes in what the program's file with these tokens needs.
    pub fn add(&mut self, text: &str, tokens: &[Token]) {
        self.visit_names(text, tokens, "");
    }

    pub fn files(self) -> impl Iterator<Item = &'static LibraryFile> {
        self.order.into_iter().map(|i| &FILES[i])
    }

    fn visit(&mut self, file: usize) {
        if std::mem::replace(&mut self.seen[file], true) {
            return;
        }
        // Core names no other file: where it seems to, it means its own types.
        if FILES[file].module != CORE {
            // A module's name in its own header is no use of its members' file, which comes after it.
            let module = FILES[file].module;
            let own = if module.starts_with("Members.") {
                ""
            } else {
                module.rsplit('.').next().unwrap_or_default()
            };
            let text = FILES[file].text;
            let tokens = lex::lex(FileId(u32::MAX), text).0;
            // Its neighbours it names where it opens them, not in its header: each comes after those it opens.
            if module.matches('.').count() > 1 {
                return self.visit_folder(file, text, &tokens);
            }
            self.visit_names(text, &tokens, own);
        }
        self.order.push(file);
    }

    /// A file of a nested folder (`Fidelity.LLM.Talk`): of its own folder it needs what it opens by its whole path, of
    /// the rest of the library what it names.
    fn visit_folder(&mut self, file: usize, text: &str, tokens: &[Token]) {
        let module = FILES[file].module;
        let folder = &module[..=module.rfind('.').unwrap_or_default()];
        for (i, other) in FILES.iter().enumerate() {
            if other.module.starts_with(folder) && text.contains(&format!("\nopen {}\n", other.module)) {
                self.visit(i);
            }
        }
        self.visit_names(text, tokens, keys(module).next().unwrap_or_default());
        self.order.push(file);
    }

    fn visit_names(&mut self, text: &str, tokens: &[Token], own: &str) {
        for token in tokens {
            match token.kind {
                Kind::Ident => self.visit_name(text.get(token.span.range()).unwrap_or_default(), own),
                // The holes of an interpolated string are expressions.
                Kind::Interpolated => text
                    .get(token.span.range())
                    .unwrap_or_default()
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .for_each(|name| self.visit_name(name, own)),
                _ => {}
            }
        }
    }

    fn visit_name(&mut self, name: &str, own: &str) {
        // Once a name's files are seen, the name needs no more answers.
        if name != own
            && let Some(files) = self.by_name.remove(name)
        {
            files.into_iter().for_each(|file| self.visit(file));
        }
    }
}

/// The names that stand for a module: the parts of its path, and of a path of three parts the second one only. Without
/// `LLM` nothing of `Fidelity.LLM.Native` can be named, while `Native` alone is a usual word.
fn keys(module: &'static str) -> impl Iterator<Item = &'static str> {
    let nested = module.matches('.').count() > 1;
    module.split('.').enumerate().filter(move |&(i, p)| p != "Members" && (!nested || i == 1)).map(|(_, p)| p)
}

/// A library file as a source, with its shown name.
pub fn source(file: &LibraryFile) -> SourceFile {
    SourceFile::new(format!("stdlib/{}", file.name), file.text)
}

/// Parses a library file. Its diagnostics, if any, are a bug of the library and are reported like any others.
pub fn parse(id: FileId, file: &LibraryFile) -> (ast::File, Vec<clef_frontend::diagnostic::Diagnostic>) {
    clef_frontend::parse::parse(id, file.text)
}

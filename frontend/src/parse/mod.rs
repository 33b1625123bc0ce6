//! The parser: tokens to [`ast::File`], total, with recovery at statements and declarations.
//!
//! The grammar is `chumsky`'s over the slice of laid-out tokens; [`decl::file`] is its entry. Types, patterns (with
//! chumsky's Pratt parser), attributes and the heads of bindings are combinators. Blocks, brackets, the forms that words
//! begin and what is between them are hand-written rules, since their extent hangs on columns; `grammar` joins the two.
//!
//! Every rule gives a node; at the first thing that fits nowhere it reports once and `recovering` makes the rest of the
//! input look empty, so that all rules end; the nearest block then skips to its next line or to the bracket that
//! encloses it. So one mistake gives one diagnostic, and the next statement is read as usual.
//!
//! The offside rule lives in [`state::Ctx`]: the column at which a block's lines begin, and the column that a nested
//! block must be right of.

mod bracket;
mod decl;
mod expr;
mod flow;
mod grammar;
mod literal;
mod offside;
mod operators;
mod pattern;
pub mod print;
mod state;
mod typedef;
mod types;

use crate::ast;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::layout::{self, Layout};
use crate::lex::{self, Token};
use crate::span::{FileId, Span};
use grammar::Parser;
use state::State;
use std::cell::Cell;

/// Deepest nesting of expressions, patterns and types.
const MAX_DEPTH: u32 = 400;
/// From this nesting of brackets or indentation on, parsing gets a thread with a stack of its own.
const DEEP: usize = 24;
/// Most operators in one chain, and statements after each other's `let`.
const MAX_CHAIN: usize = 1000;

/// Parses a file. Never fails: where the text fits nothing, the tree holds an `Error` and the list a diagnostic.
pub fn parse(file: FileId, text: &str) -> (ast::File, Vec<Diagnostic>) {
    parse_lexed(file, text, lex::lex(file, text))
}

/// The same for a file whose tokens are at hand.
pub fn parse_lexed(file: FileId, text: &str, lexed: lex::Lexed) -> (ast::File, Vec<Diagnostic>) {
    let (tokens, mut diagnostics) = lexed;
    let (Layout { tokens, docs }, more) = layout::layout(tokens);
    diagnostics.extend(more);
    let work = move || {
        let tokens: Vec<Cell<Token>> = tokens.into_iter().map(Cell::new).collect();
        let mut state = State::new(file, text, &tokens, docs);
        state.diagnostics = diagnostics;
        let (tree, state) = grammar::read(decl::file(), &tokens, state);
        let tree = tree.unwrap_or_else(|| ast::File {
            header: None,
            decls: Vec::new(),
            span: Span::new(file, 0, text.len()),
        });
        (tree, state.map(State::finish).unwrap_or_default())
    };
    if !is_deep(text) {
        return work();
    }
    crate::deep::run(work).unwrap_or_else(|_| {
        let span = Span::new(file, 0, 0);
        let tree = ast::File { header: None, decls: Vec::new(), span };
        (tree, vec![Diagnostic::error(codes::TOO_DEEP, span, "this file is nested too deeply to be read")])
    })
}

/// Whether the text nests far enough to ask for a larger stack. Rough: strings and comments count too.
fn is_deep(text: &str) -> bool {
    let (mut depth, mut run, mut most, mut words) = (0usize, 0usize, 0usize, 0usize);
    for &b in text.as_bytes() {
        match b {
            b'(' | b'[' | b'{' => {
                depth += 1;
                most = most.max(depth);
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'\n' => {
                words = 0;
                run = 0;
            }
            b' ' => run += 1,
            // One line of many words can nest without brackets: `fun a -> fun b -> ..`, `- - - x`.
            _ => words += 1,
        }
        most = most.max(run / 8).max(words / 128);
    }
    most > DEEP
}

/// The file's bytes as text, or where they stop being text.
pub fn bytes_to_text(file: FileId, bytes: &[u8]) -> Result<&str, Diagnostic> {
    std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        let shown = bytes.get(at).copied().unwrap_or(0);
        Diagnostic::error(codes::NOT_UTF8, Span::new(file, at, at + 1), "this file is not UTF-8 text")
            .here(format!("byte 0x{shown:02x} at offset {at}"))
            .help("save the file as UTF-8")
    })
}

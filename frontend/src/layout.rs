//! What the offside rule needs beside the tokens: documentation lines taken out, and the file cut at its margin.
//!
//! Blocks are not bracketed by tokens of their own. A token knows its column and whether it begins a line, and the
//! parser's stack of block columns decides what a line means where it stands: F# closes a block also where the grammar
//! allows nothing more (`(fun x -> x)`, `if a then b else c`), which only the parser knows.

use crate::diagnostic::Diagnostic;
use crate::lex::{Kind, Token};
use crate::span::Span;

/// Tokens ready for the parser.
#[derive(Debug, Default)]
pub struct Layout {
    pub tokens: Vec<Token>,
    /// Documentation: the index of the token that it precedes, and the line's place.
    pub docs: Vec<(u32, Span)>,
}

/// Takes documentation lines out of the tokens and keeps for each the token that it stands before.
pub fn layout(tokens: Vec<Token>) -> (Layout, Vec<Diagnostic>) {
    if !tokens.iter().any(|t| t.kind == Kind::Doc) {
        return (Layout { tokens, docs: Vec::new() }, Vec::new());
    }
    let mut out = Layout { tokens: Vec::with_capacity(tokens.len()), docs: Vec::new() };
    for token in tokens {
        if token.kind == Kind::Doc {
            out.docs.push((out.tokens.len() as u32, token.span));
        } else {
            out.tokens.push(token);
        }
    }
    (out, Vec::new())
}

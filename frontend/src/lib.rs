//! From Clef text to a tree in which every name and type is resolved.
//!
//! Stages, each readable without the others: [`lex`] (tokens), [`layout`] (what the offside rule needs beside tokens),
//! [`parse`] ([`ast`]), [`check`] (names, types, units, patterns: the [`typed`] tree). Every stage returns what it
//! could make of its input and a list of [`diagnostic::Diagnostic`]s; none fails, none panics, none reads files.

pub mod ast;
pub mod check;
pub mod codes;
pub mod deep;
pub mod diagnostic;
pub mod layout;
pub mod lex;
pub mod parse;
pub mod span;
pub mod typed;
pub mod typed_print;

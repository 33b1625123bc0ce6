//! Diagnostics as data: what is wrong, where, why, and what to do.
//!
//! No stage prints. Each returns a list of [`Diagnostic`]s beside its result; the command line renders them. Codes
//! live in the table of [`crate::codes`], which other crates use too, so that a code means one thing everywhere.

use crate::codes::Code;
use crate::span::Span;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Severity {
    Error,
    Warning,
}

/// A place with a short text beside it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// One sentence in the user's words, no final full stop.
    pub headline: String,
    /// The first label is the place of the diagnostic; empty only where no file is concerned.
    pub labels: Vec<Label>,
    /// Reasons: where each side of a mismatch came from, what rule applies.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(code: Code, span: Span, headline: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, span, headline.into())
    }

    pub fn warning(code: Code, span: Span, headline: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, span, headline.into())
    }

    fn new(code: Code, severity: Severity, span: Span, headline: String) -> Self {
        let labels = vec![Label { span, text: String::new() }];
        Self { code, severity, headline, labels, notes: Vec::new(), help: None }
    }

    /// An error that concerns no place in a source file (a missing tool, an unwritable output).
    pub fn without_place(code: Code, headline: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            headline: headline.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// The text shown beside the first label.
    #[must_use]
    pub fn here(mut self, text: impl Into<String>) -> Self {
        if let Some(first) = self.labels.first_mut() {
            first.text = text.into();
        }
        self
    }

    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|l| l.span)
    }
}

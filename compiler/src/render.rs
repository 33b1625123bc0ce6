//! Showing diagnostics: drawn reports for people, one line each, JSON lines, SARIF.

use crate::session::Session;
use ariadne::{Color, Config, IndexType, Label, Report, ReportKind};
use clef_frontend::codes;
use clef_frontend::diagnostic::{Diagnostic, Severity};
use clef_frontend::span::Span;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::ops::Range;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    #[default]
    Human,
    Short,
    Json,
    Sarif,
}

/// Sorts by file and place (errors without a place first) and drops exact repetitions.
pub fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.span().map(|s| (s.file, s.start, s.end)), d.code);
        key(a).cmp(&key(b)).then_with(|| a.headline.cmp(&b.headline))
    });
    diagnostics.dedup();
    diagnostics
}

/// Writes all of them to standard error (JSON and SARIF: standard output).
pub fn show(session: &Session, diagnostics: &[Diagnostic], format: Format) {
    match format {
        Format::Human => {
            let color =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            let mut out = Vec::new();
            for diagnostic in diagnostics {
                human(session, diagnostic, color, &mut out);
            }
            // Nothing can be told to someone whose standard error is closed.
            let _ = std::io::stderr().lock().write_all(&out);
        }
        Format::Short => {
            let mut out = String::new();
            for diagnostic in diagnostics {
                short(session, diagnostic, &mut out);
            }
            let _ = std::io::stderr().lock().write_all(out.as_bytes());
        }
        Format::Json => {
            let mut out = String::new();
            for diagnostic in diagnostics {
                let _ = writeln!(out, "{}", as_json(session, diagnostic));
            }
            let _ = crate::output::stdout(out.as_bytes());
        }
        Format::Sarif => {
            let text = format!("{:#}\n", sarif(session, diagnostics));
            let _ = crate::output::stdout(text.as_bytes());
        }
    }
}

type Place = (usize, Range<usize>);

struct Sources<'a> {
    session: &'a Session,
    parsed: Vec<Option<ariadne::Source<&'a str>>>,
}

impl<'a> ariadne::Cache<usize> for Sources<'a> {
    type Storage = &'a str;

    fn fetch(&mut self, id: &usize) -> Result<&ariadne::Source<&'a str>, impl std::fmt::Debug> {
        let (Some(file), Some(slot)) = (self.session.files.get(*id), self.parsed.get_mut(*id)) else {
            return Err("no such file");
        };
        Ok(&*slot.get_or_insert_with(|| ariadne::Source::from(file.text.as_str())))
    }

    fn display<'b>(&self, id: &'b usize) -> Option<impl std::fmt::Display + 'b> {
        self.session.files.get(*id).map(|f| f.name.clone())
    }
}

fn human(session: &Session, diagnostic: &Diagnostic, color: bool, out: &mut Vec<u8>) {
    let Some(first) = diagnostic.span().filter(|s| (s.file.0 as usize) < session.files.len()) else {
        let _ = writeln!(out, "{}[{}]: {}", word(diagnostic), diagnostic.code, diagnostic.headline);
        for note in &diagnostic.notes {
            let _ = writeln!(out, "  note: {note}");
        }
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(out, "  help: {help}");
        }
        return;
    };
    let (kind, tint) = match diagnostic.severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let config = Config::default().with_color(color).with_index_type(IndexType::Byte);
    let mut report = Report::build(kind, place(session, first))
        .with_config(config)
        .with_code(diagnostic.code)
        .with_message(&diagnostic.headline);
    for (i, label) in diagnostic.labels.iter().enumerate() {
        if label.span.file.0 as usize >= session.files.len() {
            continue;
        }
        let text = if label.text.is_empty() && i == 0 { "here" } else { &label.text };
        let drawn = Label::new(place(session, label.span)).with_message(text);
        report = report.with_label(drawn.with_color(if i == 0 { tint } else { Color::Blue }));
    }
    for note in &diagnostic.notes {
        report = report.with_note(note);
    }
    if let Some(help) = &diagnostic.help {
        report = report.with_help(help);
    }
    let sources = Sources { session, parsed: session.files.iter().map(|_| None).collect() };
    let _ = report.finish().write(sources, out);
}

/// A span as ariadne wants it: inside the text, on character boundaries.
fn place(session: &Session, span: Span) -> Place {
    let file = span.file.0 as usize;
    let text = &session.files[file].text;
    let mut start = (span.start as usize).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (span.end as usize).clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    (file, start..end)
}

fn word(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// File, line, column of a span's start and end.
fn position(session: &Session, span: Span) -> Option<(&str, (u32, u32), (u32, u32))> {
    let file = session.files.get(span.file.0 as usize)?;
    Some((&file.name, file.lines.line_column(span.start), file.lines.line_column(span.end.max(span.start))))
}

fn short(session: &Session, diagnostic: &Diagnostic, out: &mut String) {
    if let Some((file, (line, column), _)) = diagnostic.span().and_then(|s| position(session, s)) {
        let _ = write!(out, "{file}:{line}:{column}: ");
    }
    let _ = write!(out, "{}[{}]: {}", word(diagnostic), diagnostic.code, diagnostic.headline);
    if let Some(help) = &diagnostic.help {
        let _ = write!(out, " (help: {help})");
    }
    out.push('\n');
}

fn as_json(session: &Session, diagnostic: &Diagnostic) -> Value {
    let label = |l: &clef_frontend::diagnostic::Label| {
        position(session, l.span).map(|(file, start, end)| {
            json!({ "file": file, "line": start.0, "column": start.1, "endLine": end.0, "endColumn": end.1,
                    "text": l.text })
        })
    };
    json!({
        "code": diagnostic.code.to_string(),
        "severity": word(diagnostic),
        "message": diagnostic.headline,
        "labels": diagnostic.labels.iter().filter_map(label).collect::<Vec<_>>(),
        "notes": diagnostic.notes,
        "help": diagnostic.help,
    })
}

fn sarif(session: &Session, diagnostics: &[Diagnostic]) -> Value {
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|d| {
            let locations: Vec<Value> = d
                .span()
                .and_then(|s| position(session, s))
                .map(|(file, start, end)| {
                    json!({ "physicalLocation": {
                        "artifactLocation": { "uri": file },
                        "region": { "startLine": start.0, "startColumn": start.1,
                                    "endLine": end.0, "endColumn": end.1.max(1) } } })
                })
                .into_iter()
                .collect();
            json!({ "ruleId": d.code.to_string(), "level": word(d), "message": { "text": d.headline },
                    "locations": locations })
        })
        .collect();
    let rules: Vec<Value> = codes::ALL
        .iter()
        .map(|(code, summary)| json!({ "id": code.to_string(), "shortDescription": { "text": summary.trim() } }))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": { "name": "clefc", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
                   "results": results }],
    })
}

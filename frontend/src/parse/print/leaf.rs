//! Printing of names, literals, types, measures, patterns.

use super::Printer;
use crate::ast::{
    FloatKind, Ident, IntKind, Lit, MeasureExpr, MeasureKind, Path, Pattern, PatternKind, TypeArg, TypeExpr,
    TypeExprKind,
};
use crate::lex::{self, Kind};
use crate::span::FileId;
use std::fmt::Write as _;

/// The text with escapes for everything that a plain text between `quote`s cannot hold.
pub(super) fn escape(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 32 || c as u32 == 127 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

impl Printer {
    pub(super) fn ident(&mut self, name: &Ident) {
        let text = name.name.as_str();
        let plain = text == "_" || {
            let (tokens, _) = lex::lex(FileId(0), text);
            matches!(tokens.as_slice(), [t] if t.kind == Kind::Ident && !text.starts_with('`'))
        };
        let quotes = if plain { "" } else { "``" };
        let _ = write!(self.out, "{quotes}{text}{quotes}");
    }

    pub(super) fn path(&mut self, path: &Path) {
        for (i, part) in path.parts.iter().enumerate() {
            self.out.push_str(if i > 0 { "." } else { "" });
            self.ident(part);
        }
    }

    pub(super) fn lit(&mut self, lit: &Lit) {
        let _ = match lit {
            Lit::Unit => write!(self.out, "()"),
            Lit::Bool(b) => write!(self.out, "{b}"),
            Lit::Char(c) => write!(self.out, "'{}'", escape(&c.to_string(), '\'')),
            Lit::String(s) => write!(self.out, "\"{}\"", escape(s, '"')),
            Lit::Bytes(bytes) => {
                let text: String = bytes.iter().map(|&b| b as char).collect();
                write!(self.out, "\"{}\"B", escape(&text, '"'))
            }
            Lit::Int { value, negative, kind, measure } => {
                let _ = write!(self.out, "{}{value}{}", if *negative { "-" } else { "" }, int_suffix(*kind));
                self.unit(measure.as_deref());
                Ok(())
            }
            Lit::Float { value, kind, measure } => {
                let _ = match kind {
                    _ if value.is_infinite() => {
                        write!(self.out, "{}1e999", if *value < 0.0 { "-" } else { "" })
                    }
                    FloatKind::F32 => write!(self.out, "{:?}f", *value as f32),
                    _ => write!(self.out, "{value:?}"),
                };
                self.unit(measure.as_deref());
                Ok(())
            }
        };
    }

    fn unit(&mut self, measure: Option<&MeasureExpr>) {
        if let Some(m) = measure {
            self.out.push('<');
            self.measure(m);
            self.out.push('>');
        }
    }

    pub(super) fn measure(&mut self, m: &MeasureExpr) {
        match &m.kind {
            MeasureKind::One => self.out.push('1'),
            MeasureKind::Named(path) => self.path(path),
            MeasureKind::Var(name) => {
                let _ = write!(self.out, "'{name}");
            }
            MeasureKind::Wildcard | MeasureKind::Error => self.out.push('_'),
            MeasureKind::Mul(a, b) | MeasureKind::Div(a, b) => {
                self.measure(a);
                self.out.push_str(if matches!(m.kind, MeasureKind::Mul(..)) { " " } else { " / " });
                self.tight_measure(b);
            }
            MeasureKind::Pow(base, n) => {
                self.tight_measure(base);
                let _ = write!(self.out, "^{n}");
            }
        }
    }

    fn tight_measure(&mut self, m: &MeasureExpr) {
        let loose = matches!(m.kind, MeasureKind::Mul(..) | MeasureKind::Div(..));
        self.out.push_str(if loose { "(" } else { "" });
        self.measure(m);
        self.out.push_str(if loose { ")" } else { "" });
    }

    // ---- types

    pub(super) fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeExprKind::Var(name) => {
                let _ = write!(self.out, "'{name}");
            }
            TypeExprKind::Wildcard | TypeExprKind::Error => self.out.push('_'),
            TypeExprKind::Named { path, args } => {
                self.path(path);
                if !args.is_empty() {
                    self.type_args(args);
                }
            }
            TypeExprKind::Tuple(items) => {
                for (i, t) in items.iter().enumerate() {
                    self.out.push_str(if i > 0 { " * " } else { "" });
                    self.tight_type(t);
                }
            }
            TypeExprKind::Fun(a, b) => {
                let nested = matches!(a.kind, TypeExprKind::Fun(..));
                self.out.push_str(if nested { "(" } else { "" });
                self.ty(a);
                self.out.push_str(if nested { ")" } else { "" });
                self.out.push_str(" -> ");
                self.ty(b);
            }
            TypeExprKind::Array(t) => {
                self.tight_type(t);
                self.out.push_str("[]");
            }
            TypeExprKind::AnonRecord(fields) => {
                self.out.push_str("{|");
                for (i, (name, t)) in fields.iter().enumerate() {
                    self.out.push_str(if i > 0 { "; " } else { " " });
                    self.ident(name);
                    self.out.push_str(": ");
                    self.ty(t);
                }
                self.out.push_str(" |}");
            }
        }
    }

    /// A type where tuples and functions need parentheses.
    pub(super) fn tight_type(&mut self, ty: &TypeExpr) {
        let loose = matches!(ty.kind, TypeExprKind::Tuple(_) | TypeExprKind::Fun(..));
        self.out.push_str(if loose { "(" } else { "" });
        self.ty(ty);
        self.out.push_str(if loose { ")" } else { "" });
    }

    pub(super) fn type_args(&mut self, args: &[TypeArg]) {
        for (i, a) in args.iter().enumerate() {
            self.out.push_str(if i > 0 { ", " } else { "<" });
            match a {
                TypeArg::Type(t) => self.ty(t),
                TypeArg::Measure(m) => self.measure(m),
            }
        }
        self.out.push('>');
    }

    // ---- patterns

    pub(super) fn pattern(&mut self, p: &Pattern) {
        match &p.kind {
            PatternKind::Wildcard | PatternKind::Error => self.out.push('_'),
            PatternKind::Name(name) => self.ident(name),
            PatternKind::Apply { path, args } => {
                self.path(path);
                for a in args {
                    self.out.push(' ');
                    self.pattern(a);
                }
            }
            PatternKind::ApplyNamed { path, fields } => {
                self.path(path);
                self.out.push('(');
                for (i, (name, p)) in fields.iter().enumerate() {
                    self.out.push_str(if i > 0 { ", " } else { "" });
                    self.ident(name);
                    self.out.push_str(" = ");
                    self.pattern(p);
                }
                self.out.push(')');
            }
            PatternKind::Lit(lit) => self.lit(lit),
            PatternKind::Null => self.out.push_str("null"),
            PatternKind::Tuple(items) => self.patterns(items, ", "),
            PatternKind::Paren(inner) => {
                self.out.push('(');
                self.pattern(inner);
                self.out.push(')');
            }
            PatternKind::List(items) => {
                self.out.push('[');
                self.patterns(items, "; ");
                self.out.push(']');
            }
            PatternKind::Array(items) => {
                self.out.push_str("[|");
                self.patterns(items, "; ");
                self.out.push_str("|]");
            }
            PatternKind::Cons(a, b) => self.pair(a, " :: ", b),
            PatternKind::Or(a, b) => self.pair(a, " | ", b),
            PatternKind::And(a, b) => self.pair(a, " & ", b),
            PatternKind::As(inner, name) => {
                self.pattern(inner);
                self.out.push_str(" as ");
                self.ident(name);
            }
            PatternKind::Record(fields) => {
                self.out.push_str("{ ");
                for (i, (path, p)) in fields.iter().enumerate() {
                    self.out.push_str(if i > 0 { "; " } else { "" });
                    self.path(path);
                    self.out.push_str(" = ");
                    self.pattern(p);
                }
                self.out.push_str(" }");
            }
            PatternKind::Typed(inner, ty) => {
                self.pattern(inner);
                self.out.push_str(" : ");
                self.ty(ty);
            }
        }
    }

    fn patterns(&mut self, items: &[Pattern], by: &str) {
        for (i, p) in items.iter().enumerate() {
            self.out.push_str(if i > 0 { by } else { "" });
            self.pattern(p);
        }
    }

    fn pair(&mut self, a: &Pattern, by: &str, b: &Pattern) {
        self.pattern(a);
        self.out.push_str(by);
        self.pattern(b);
    }
}

fn int_suffix(kind: IntKind) -> &'static str {
    match kind {
        IntKind::I8 => "y",
        IntKind::U8 => "uy",
        IntKind::I16 => "s",
        IntKind::U16 => "us",
        IntKind::I32 => "",
        IntKind::U32 => "u",
        IntKind::I64 => "L",
        IntKind::U64 => "UL",
        IntKind::ISize => "n",
        IntKind::USize => "un",
    }
}

//! Values of literals: numbers with suffixes and units, characters, texts with escapes, interpolated texts.

use super::Parser;
use super::grammar::{self, by_hand};
use super::state::State;
use crate::ast::{Expr, ExprKind, FloatKind, IntKind, InterpPart, Lit, MeasureExpr};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lex::{self, Kind, Token};
use crate::span::Span;
use std::cell::Cell;
use ustr::Ustr;

impl Parser<'_, '_, '_> {
    /// The literal at hand.
    pub(super) fn literal(&mut self) -> Lit {
        let t = self.bump();
        let text = self.slice(t.span);
        match t.kind {
            Kind::True => Lit::Bool(true),
            Kind::False => Lit::Bool(false),
            Kind::Int => self.int(text, t.span),
            Kind::Float => self.float(text, t.span),
            Kind::Char => self.char(text, t.span),
            _ => self.string(text, t.span),
        }
    }

    fn bad_literal(&mut self, span: Span, headline: impl Into<String>, help: &str) {
        self.diagnostics.push(Diagnostic::error(codes::BAD_LITERAL, span, headline).help(help));
    }

    fn int(&mut self, text: &str, span: Span) -> Lit {
        let (digits, radix) = match text.as_bytes() {
            [b'0', b'x' | b'X', ..] => (&text[2..], 16),
            [b'0', b'o' | b'O', ..] => (&text[2..], 8),
            [b'0', b'b' | b'B', ..] => (&text[2..], 2),
            _ => (text, 10),
        };
        let end =
            digits.bytes().position(|b| !(b == b'_' || (b as char).is_digit(radix))).unwrap_or(digits.len());
        let (digits, suffix) = digits.split_at(end);
        let kind = match suffix {
            "" | "l" => IntKind::I32,
            "y" => IntKind::I8,
            "uy" => IntKind::U8,
            "s" => IntKind::I16,
            "us" => IntKind::U16,
            "u" | "ul" => IntKind::U32,
            "L" => IntKind::I64,
            "UL" => IntKind::U64,
            "n" => IntKind::ISize,
            "un" => IntKind::USize,
            "lf" | "LF" => return self.float_bits(digits, suffix, span),
            _ => {
                self.unsupported(
                    codes::NO_BIG_NUMBERS,
                    span,
                    "a big integer is outside the subset",
                    "use `int64` (suffix `L`) or `uint64` (suffix `UL`)",
                );
                IntKind::I64
            }
        };
        let mut value: u64 = 0;
        let mut over = false;
        let mut any = false;
        for d in digits.chars().filter_map(|c| c.to_digit(radix)) {
            any = true;
            let next = value.checked_mul(u64::from(radix)).and_then(|v| v.checked_add(u64::from(d)));
            over |= next.is_none();
            value = next.unwrap_or(value);
        }
        // `-128y` is one literal: the bound is that of the negative side where a sign precedes.
        let (bits, signed) = int_bits(kind);
        let limit = match (signed && radix == 10, bits) {
            (true, b) => 1u64 << (b - 1),
            (false, 64) => u64::MAX,
            (false, b) => (1u64 << b) - 1,
        };
        if !any {
            self.bad_literal(span, "this number has no digits", "write at least one digit after the prefix");
        } else if over
            || value > limit
            || (signed && radix == 10 && value == limit && !self.sign_before(span))
        {
            self.bad_literal(
                span,
                format!("`{text}` does not fit {}", int_name(kind)),
                "use a wider type: suffix `L` is int64, `UL` is uint64",
            );
            value = 0;
        }
        // Hexadecimal and its kin write the bits: the top bit of a signed type is its sign.
        let negative = signed && radix != 10 && bits < 64 && value >> (bits - 1) == 1
            || signed && radix != 10 && bits == 64 && value >> 63 == 1;
        if negative {
            value = if bits == 64 { value.wrapping_neg() } else { (1u64 << bits) - value };
        }
        Lit::Int { value, negative, kind, measure: self.unit_of_literal().map(Box::new) }
    }

    fn sign_before(&self, span: Span) -> bool {
        span.start > 0 && self.text.as_bytes().get(span.start as usize - 1) == Some(&b'-')
    }

    fn float_bits(&mut self, digits: &str, suffix: &str, span: Span) -> Lit {
        let bits = u64::from_str_radix(&digits.replace('_', ""), 16);
        let (value, kind) = match (bits, suffix) {
            (Ok(b), "LF") => (f64::from_bits(b), FloatKind::F64),
            (Ok(b), _) if b <= u64::from(u32::MAX) => (f64::from(f32::from_bits(b as u32)), FloatKind::F32),
            _ => {
                self.bad_literal(
                    span,
                    "these bits do not fit the float",
                    "`lf` takes 32 bits, `LF` takes 64",
                );
                (0.0, FloatKind::F64)
            }
        };
        Lit::Float { value, kind, measure: None }
    }

    fn float(&mut self, text: &str, span: Span) -> Lit {
        let (digits, kind) = match text.as_bytes().last() {
            Some(b'f' | b'F') => (&text[..text.len() - 1], FloatKind::F32),
            Some(b'm' | b'M') => {
                self.unsupported(
                    codes::NO_BIG_NUMBERS,
                    span,
                    "a decimal number is outside the subset",
                    "use `float` without a suffix",
                );
                (&text[..text.len() - 1], FloatKind::F64)
            }
            _ => (text, FloatKind::F64),
        };
        let digits = if digits.contains('_') { digits.replace('_', "") } else { digits.to_string() };
        // A float32 is rounded once, from its digits.
        let value =
            if kind == FloatKind::F32 { digits.parse::<f32>().map(f64::from) } else { digits.parse::<f64>() };
        let value = value.unwrap_or_else(|_| {
            self.bad_literal(span, format!("`{text}` is no number"), "write it as `1.5` or `1.5e3`");
            0.0
        });
        if value.is_infinite() {
            self.bad_literal(span, format!("`{text}` is too large"), "use `infinity` if that is meant");
        }
        Lit::Float { value, kind, measure: self.unit_of_literal().map(Box::new) }
    }

    /// `<bytes>` that touches a number.
    fn unit_of_literal(&mut self) -> Option<MeasureExpr> {
        let t = self.token();
        if self.recovering || t.kind != Kind::Less || !t.glued || t.first {
            return None;
        }
        let next = self.token_at(self.pos + 1);
        if !next.glued || !self.type_args_follow() {
            return None;
        }
        self.bump();
        let unit = self.measure();
        self.close_angle();
        Some(unit)
    }

    fn char(&mut self, text: &str, span: Span) -> Lit {
        let (text, is_byte) = match text.strip_suffix('B') {
            Some(t) => (t, true),
            None => (text, false),
        };
        let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or("");
        let decoded = self.unescape(inner, span, true);
        let c = decoded.chars().next().unwrap_or('?');
        if is_byte {
            if u32::from(c) > 255 {
                self.bad_literal(span, "this character is no byte", "use a character below 256");
            }
            return Lit::Int {
                value: u64::from(u32::from(c) & 255),
                negative: false,
                kind: IntKind::U8,
                measure: None,
            };
        }
        Lit::Char(c)
    }

    fn string(&mut self, text: &str, span: Span) -> Lit {
        let is_bytes = text.ends_with("\"B");
        let text = if is_bytes { &text[..text.len() - 1] } else { text };
        let value = if let Some(rest) = text.strip_prefix("\"\"\"") {
            rest.strip_suffix("\"\"\"").unwrap_or(rest).to_string()
        } else if let Some(rest) = text.strip_prefix("@\"") {
            rest.strip_suffix('"').unwrap_or(rest).replace("\"\"", "\"")
        } else {
            let rest = text.strip_prefix('"').unwrap_or(text);
            let inner = if rest.is_empty() { rest } else { rest.strip_suffix('"').unwrap_or(rest) };
            self.unescape(inner, span, true)
        };
        if is_bytes {
            return Lit::Bytes(value.chars().map(|c| u32::from(c) as u8).collect());
        }
        Lit::String(Ustr::from(&value))
    }

    /// Replaces escapes. An unknown one stands for itself with a diagnostic, if `report`.
    pub(super) fn unescape(&mut self, s: &str, span: Span, report: bool) -> String {
        if !s.contains('\\') {
            return if s.contains('\r') { s.replace("\r\n", "\n") } else { s.to_string() };
        }
        let mut out = String::with_capacity(s.len());
        let mut rest = s;
        while let Some(i) = rest.find('\\') {
            out.push_str(&rest[..i]);
            let escape = &rest[i + 1..];
            let Some(c) = escape.chars().next() else {
                rest = "";
                break;
            };
            let (value, used) = match c {
                'n' => (Some('\n'), 1),
                't' => (Some('\t'), 1),
                'r' => (Some('\r'), 1),
                'b' => (Some('\u{8}'), 1),
                'a' => (Some('\u{7}'), 1),
                'f' => (Some('\u{c}'), 1),
                'v' => (Some('\u{b}'), 1),
                '0' if !escape.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => (Some('\0'), 1),
                '\\' | '"' | '\'' => (Some(c), 1),
                '\n' | '\r' => {
                    // A line's end after a backslash and the next line's indentation are left out.
                    rest = escape.trim_start();
                    continue;
                }
                'u' => (code_point(escape, 4, 16), 5),
                'U' => (code_point(escape, 8, 16), 9),
                'x' => (code_point(escape, 2, 16), 3),
                '0'..='9' => {
                    (escape.get(..3).and_then(|d| d.parse::<u32>().ok()).and_then(char::from_u32), 3)
                }
                _ => (None, 0),
            };
            match value {
                Some(v) => out.push(v),
                None => {
                    if report {
                        self.bad_literal(
                            span,
                            format!("`\\{c}` is no escape"),
                            "the escapes are \\n \\t \\r \\\\ \\\" \\' \\0 \\a \\b \\f \\v \\xHH \\uHHHH \\UHHHHHHHH; \
                             write `\\\\` for a backslash",
                        );
                    }
                    out.push('\\');
                }
            }
            rest = escape.get(if value.is_some() { used } else { 0 }..).unwrap_or("");
        }
        out.push_str(rest);
        out
    }

    // ---- interpolated texts

    /// `$"a{x:F2}b"`.
    pub(super) fn interpolated(&mut self) -> Expr {
        let token = self.bump();
        let text = self.slice(token.span);
        let quote = text.find('"').unwrap_or(0);
        let is_triple = text[quote..].starts_with("\"\"\"") && text.len() >= quote + 6;
        let is_verbatim = text[..quote].contains('@') || is_triple;
        let width = if is_triple { 3 } else { 1 };
        let start = (quote + width).min(text.len());
        let end =
            if text.ends_with('"') && text.len() >= start + width { text.len() - width } else { text.len() };
        let base = token.span.start as usize;
        let mut parts = Vec::new();
        let mut plain = String::new();
        let bytes = text.as_bytes();
        let mut i = start;
        while i < end {
            match bytes[i] {
                b'\\' if !is_verbatim => {
                    let n = 1 + text[i + 1..].chars().next().map_or(0, char::len_utf8);
                    plain.push_str(&text[i..i + n]);
                    i += n;
                }
                b'{' | b'}' if bytes.get(i + 1) == Some(&bytes[i]) => {
                    plain.push(bytes[i] as char);
                    i += 2;
                }
                b'{' => {
                    let format = take_format(&mut plain);
                    self.flush(&mut plain, &mut parts, token.span, is_verbatim);
                    let hole = hole_end(&bytes[..end], i + 1);
                    parts.push(self.hole(base + i + 1, base + hole, format));
                    i = hole + 1;
                }
                _ => {
                    let n = text[i..].chars().next().map_or(1, char::len_utf8);
                    plain.push_str(&text[i..i + n]);
                    i += n;
                }
            }
        }
        self.flush(&mut plain, &mut parts, token.span, is_verbatim);
        Expr { kind: ExprKind::Interpolated(parts), span: token.span }
    }

    fn flush(&mut self, plain: &mut String, parts: &mut Vec<InterpPart>, span: Span, is_verbatim: bool) {
        if plain.is_empty() {
            return;
        }
        let s = std::mem::take(plain);
        // `%%` is one percent sign.
        let s = s.replace("%%", "%");
        let value = if is_verbatim { s } else { self.unescape(&s, span, true) };
        parts.push(InterpPart::Text(Ustr::from(&value)));
    }

    /// The expression between `start` and `end`, with `:format` cut off.
    fn hole(&mut self, start: usize, end: usize, percent: Option<Ustr>) -> InterpPart {
        let inside = &self.text[start..end];
        let (length, format) = split_format(inside);
        let format = percent.or(format.map(Ustr::from));
        let (tokens, found) = lex::lex_part(self.file, self.text, start, start + length);
        self.diagnostics.extend(found);
        let tokens: Vec<Cell<Token>> = tokens.into_iter().map(Cell::new).collect();
        let mut state = State::new(self.file, &self.text[..start + length], &tokens, Vec::new());
        state.depth = self.depth + 1;
        let around = Span::new(self.file, start.saturating_sub(1), (end + 1).min(self.text.len()));
        let (expr, state) = grammar::read(by_hand(move |p| p.inside_hole(around)), &tokens, state);
        self.diagnostics.extend(state.map(State::finish).unwrap_or_default());
        let expr = expr.unwrap_or(Expr { kind: ExprKind::Error, span: around });
        InterpPart::Hole { expr, format }
    }

    /// All tokens of a hole as one expression; `around` has the braces.
    fn inside_hole(&mut self, around: Span) -> Expr {
        if self.tokens.is_empty() {
            self.diagnostics.push(
                Diagnostic::error(codes::SYNTAX, around, "expected an expression between `{` and `}`")
                    .help("write `{{` for a brace in the text"),
            );
            return self.error_expr();
        }
        let e = self.block_ctx(Self::lines).unwrap_or_else(|| self.error_expr());
        if self.pos < self.tokens.len() && !self.recovering {
            self.unexpected();
        }
        // What is left has been reported; chumsky wants the end.
        self.pos = self.tokens.len();
        e
    }
}

fn code_point(escape: &str, digits: usize, radix: u32) -> Option<char> {
    escape.get(1..=digits).and_then(|d| u32::from_str_radix(d, radix).ok()).and_then(char::from_u32)
}

/// A format such as `%d` or `%8.2f` at the text's end, which belongs to the hole that follows.
fn take_format(plain: &mut String) -> Option<Ustr> {
    let at = plain.rfind('%')?;
    let spec = &plain[at + 1..];
    let letter = spec.bytes().last()?;
    let escaped = plain[..at].bytes().rev().take_while(|&b| b == b'%').count() % 2 == 1;
    let ok = letter.is_ascii_alphabetic()
        && spec[..spec.len() - 1]
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b' '));
    if !ok || escaped {
        return None;
    }
    let format = Ustr::from(&plain[at..]);
    plain.truncate(at);
    Some(format)
}

/// Offset of the brace that closes the hole.
fn hole_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    for (i, b) in bytes.iter().enumerate().skip(start) {
        match b {
            b'{' => depth += 1,
            b'}' if depth == 0 => return i,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    bytes.len()
}

/// Length of the expression in a hole, and the format after its `:`.
fn split_format(inside: &str) -> (usize, Option<&str>) {
    let mut depth = 0usize;
    let bytes = inside.as_bytes();
    for (i, b) in bytes.iter().enumerate() {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                let is_operator = matches!(bytes.get(i + 1), Some(b':' | b'=' | b'>' | b'?'))
                    || i > 0 && bytes[i - 1] == b':';
                if !is_operator {
                    return (i, Some(&inside[i + 1..]));
                }
            }
            _ => {}
        }
    }
    (inside.len(), None)
}

/// Width in bits and signedness.
fn int_bits(kind: IntKind) -> (u32, bool) {
    match kind {
        IntKind::I8 => (8, true),
        IntKind::U8 => (8, false),
        IntKind::I16 => (16, true),
        IntKind::U16 => (16, false),
        IntKind::I32 => (32, true),
        IntKind::U32 => (32, false),
        IntKind::I64 | IntKind::ISize => (64, true),
        IntKind::U64 | IntKind::USize => (64, false),
    }
}

fn int_name(kind: IntKind) -> &'static str {
    match kind {
        IntKind::I8 => "sbyte",
        IntKind::U8 => "byte",
        IntKind::I16 => "int16",
        IntKind::U16 => "uint16",
        IntKind::I32 => "int",
        IntKind::U32 => "uint32",
        IntKind::I64 => "int64",
        IntKind::U64 => "uint64",
        IntKind::ISize => "nativeint",
        IntKind::USize => "unativeint",
    }
}

//! `printf` and its kin, and interpolated strings: formats are read here, and their holes are checked.

use super::Checker;
use super::apply::Arg;
use super::builtin::Builtin;
use super::decls::bare;
use super::ops::Class;
use super::types::{Ty, Want};
use crate::ast::{ExprKind as E, InterpPart, Lit};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{ExprId, ExprKind, FormatPart, FormatSink, FormatSpec, LocalId, Type};
use ustr::Ustr;

/// A format text's parts.
enum Piece {
    Text(String),
    Hole(FormatSpec),
}

impl<'a> Checker<'a> {
    /// `printfn "%d" x`; with fewer arguments than holes, a function of the rest.
    pub(crate) fn format_app(
        &mut self,
        b: Builtin,
        args: Vec<Arg<'a>>,
        at: Span,
        span: Span,
        want: Want,
    ) -> ExprId {
        let Some((&first, rest)) = args.split_first() else { return self.builtin_value(b, at, want) };
        let (sink, line) = match b {
            Builtin::Print { sink, line } => (sink, line),
            _ => (FormatSink::String, false),
        };
        let (text, text_span) = match first {
            Arg::Source(e) => match &bare(e).kind {
                E::Lit(Lit::String(s)) => (*s, e.span),
                E::Interpolated(parts) if rest.is_empty() => {
                    let string = self.interpolated_parts(parts, line);
                    return self.finish_format(b, sink, string, span, want);
                }
                _ => return self.not_a_format(first, rest, span),
            },
            Arg::Done(_) => return self.not_a_format(first, rest, span),
        };
        let mut pieces = self.read_format(text.as_str(), text_span);
        if line {
            pieces.push(Piece::Text("\n".to_owned()));
        }
        let holes = pieces.iter().filter(|p| matches!(p, Piece::Hole(_))).count();
        if rest.len() > holes && !matches!(b, Builtin::FailFormat) {
            return self.too_many_values(rest, holes, text_span, span);
        }
        self.fill_format(b, sink, pieces, rest, span, want)
    }

    fn not_a_format(&mut self, first: Arg<'a>, rest: &[Arg<'a>], span: Span) -> ExprId {
        let at = match first {
            Arg::Source(e) => e.span,
            Arg::Done(id) => self.span(id),
        };
        for arg in std::iter::once(&first).chain(rest) {
            self.argument(*arg, Want::ANY);
        }
        self.diags.push(
            Diagnostic::error(codes::BAD_FORMAT, at, "the format must be a text literal")
                .help("write `printfn \"%s\" text`, or use `Console.writeln text`"),
        );
        self.error_expr(span)
    }

    fn too_many_values(&mut self, rest: &[Arg<'a>], holes: usize, text: Span, span: Span) -> ExprId {
        for arg in rest {
            self.argument(*arg, Want::ANY);
        }
        let plural = if holes == 1 { "" } else { "s" };
        self.diags.push(
            Diagnostic::error(
                codes::ARGUMENT_COUNT,
                span,
                format!("the format takes {holes} value{plural}, but is given {}", rest.len()),
            )
            .label(text, "the format"),
        );
        self.error_expr(span)
    }

    fn fill_format(
        &mut self,
        b: Builtin,
        sink: FormatSink,
        pieces: Vec<Piece>,
        args: &[Arg<'a>],
        span: Span,
        want: Want,
    ) -> ExprId {
        let specs: Vec<FormatSpec> =
            pieces.iter().filter_map(|p| if let Piece::Hole(s) = p { Some(*s) } else { None }).collect();
        let is_partial = args.len() < specs.len();
        let mut values: Vec<ExprId> = Vec::with_capacity(specs.len());
        let mut lets: Vec<(LocalId, ExprId)> = Vec::new();
        for (&arg, spec) in args.iter().zip(&specs) {
            let id = self.hole_value(arg, *spec);
            if is_partial {
                let ty = self.ty(id);
                let local = self.temp("given", ty, span);
                lets.push((local, id));
                values.push(super::decls::NO_EXPR);
            } else {
                values.push(id);
            }
        }
        if !is_partial {
            let parts = parts_of(pieces, &values);
            let id = self.finish_format(b, sink, parts, span, Want::ANY);
            let extra: Vec<Arg<'a>> = args.iter().skip(specs.len()).copied().collect();
            return self.call_rest(id, extra, span, want);
        }
        self.cx.depth += 1;
        for (n, &(local, _)) in lets.iter().enumerate() {
            values[n] = self.local_expr(local, span);
        }
        let mut params = Vec::new();
        let mut tys: Vec<Ty> = Vec::new();
        let mut rest = want.ty;
        for spec in specs.iter().skip(args.len()) {
            let parts = rest.filter(|&t| !self.types.is_var(t)).and_then(|t| self.types.as_fun(t));
            rest = parts.map(|p| p.1);
            let ty = parts.map_or_else(|| self.types.fresh(), |p| p.0);
            let local = self.temp("value", ty, span);
            let value = self.local_expr(local, span);
            self.check_hole(value, *spec, span);
            values.push(value);
            params.push(local);
            tys.push(ty);
        }
        let parts = parts_of(pieces, &values);
        let body = self.finish_format(b, sink, parts, span, Want::ANY);
        self.cx.depth -= 1;
        let ret = self.ty(body);
        let ty = self.types.funs(&tys, ret);
        let mut id = self.push(ExprKind::Lambda { params, body }, ty, span);
        for (local, value) in lets.into_iter().rev() {
            id = self.push(ExprKind::Let { local, value, body: id }, ty, span);
        }
        self.coerce(id, want)
    }

    fn finish_format(
        &mut self,
        b: Builtin,
        sink: FormatSink,
        parts: Vec<FormatPart>,
        span: Span,
        want: Want,
    ) -> ExprId {
        let known = self.types.known;
        let ty = if sink == FormatSink::String { known.string } else { known.unit };
        let id = self.push(ExprKind::Format { sink, parts }, ty, span);
        if b == Builtin::FailFormat {
            let ty = want.ty.unwrap_or_else(|| self.types.fresh());
            return self.push(ExprKind::Fail(id), ty, span);
        }
        self.coerce(id, want)
    }

    fn hole_value(&mut self, arg: Arg<'a>, spec: FormatSpec) -> ExprId {
        let id = self.argument(arg, Want::ANY);
        let span = self.span(id);
        self.check_hole(id, spec, span);
        id
    }

    fn check_hole(&mut self, value: ExprId, spec: FormatSpec, span: Span) {
        let known = self.types.known;
        let ty = self.ty(value);
        let letter = spec.conversion;
        let exact = match letter {
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'B' => {
                return self.require_class(ty, Class::Integer, letter, span);
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => return self.require_class(ty, Class::Float, letter, span),
            's' => known.string,
            'c' => known.char,
            'b' => known.bool,
            _ => return,
        };
        if self.types.unify(exact, ty).is_err() {
            let (wanted, found) = (self.show(exact), self.show(ty));
            let fits = self.format_for(ty);
            self.diags.push(
                Diagnostic::error(
                    codes::BAD_FORMAT,
                    span,
                    format!("`%{letter}` takes a `{wanted}`, but this is of type `{found}`"),
                )
                .help(format!("write `{fits}`")),
            );
        }
    }

    /// The format that fits a type.
    pub(crate) fn format_for(&self, ty: Ty) -> &'static str {
        match self.types.shape(ty) {
            Some(Type::Int(..)) => "%d",
            Some(Type::Float(..)) => "%f",
            Some(Type::String) => "%s",
            Some(Type::Bool) => "%b",
            Some(Type::Char) => "%c",
            _ => "%A",
        }
    }

    fn read_format(&mut self, text: &str, span: Span) -> Vec<Piece> {
        let mut out = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            let (spec, used) = read_spec(rest);
            rest = &rest[used..];
            if !"diuxXoBfFeEgGscbAO".contains(spec.conversion) || spec.conversion == '\0' {
                let shown = if spec.conversion == '\0' { String::new() } else { spec.conversion.to_string() };
                self.diags.push(
                    Diagnostic::error(codes::BAD_FORMAT, span, format!("`%{shown}` is not a format")).help(
                        "formats are %d %i %x %X %o %s %f %e %g %b %c %O %A; write `%%` for a percent sign",
                    ),
                );
                continue;
            }
            if !plain.is_empty() {
                out.push(Piece::Text(std::mem::take(&mut plain)));
            }
            out.push(Piece::Hole(spec));
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            out.push(Piece::Text(plain));
        }
        out
    }

    // --- interpolation

    pub(crate) fn interpolated(&mut self, parts: &'a [InterpPart], span: Span, want: Want) -> ExprId {
        let parts = self.interpolated_parts(parts, false);
        let string = self.types.known.string;
        self.done(ExprKind::Format { sink: FormatSink::String, parts }, string, span, want)
    }

    fn interpolated_parts(&mut self, parts: &'a [InterpPart], line: bool) -> Vec<FormatPart> {
        let mut out = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                InterpPart::Text(text) => out.push(FormatPart::Text(*text)),
                InterpPart::Hole { expr, format } => {
                    let id = self.branch(expr, Want::ANY);
                    let spec = self.hole_spec(id, format.as_ref().map(Ustr::as_str), expr.span);
                    out.push(FormatPart::Hole { value: id, spec });
                }
            }
        }
        if line {
            out.push(FormatPart::Text(Ustr::from("\n")));
        }
        out
    }

    /// `%d` and .NET's `F2`, `N0`, `X4`, `D3`, with an alignment before them: `{x,8:F2}`.
    fn hole_spec(&mut self, value: ExprId, format: Option<&str>, span: Span) -> FormatSpec {
        let mut spec = FormatSpec { conversion: 'O', ..FormatSpec::default() };
        let Some(text) = format else { return spec };
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('%') {
            let (spec, _) = read_spec(rest);
            self.check_hole(value, spec, span);
            return spec;
        }
        let (align, code) = match text.strip_prefix(',') {
            Some(rest) => rest.split_once(':').unwrap_or((rest, "")),
            None => ("", text.trim_start_matches(':')),
        };
        if let Ok(width) = align.trim().parse::<i32>() {
            spec.left = width < 0;
            spec.width = width.unsigned_abs().min(u32::from(u16::MAX)) as u16;
        }
        let mut chars = code.chars();
        let Some(letter) = chars.next() else { return spec };
        let digits = chars.as_str().parse::<u16>().ok();
        match letter {
            'F' | 'f' => (spec.conversion, spec.precision) = ('f', Some(digits.unwrap_or(2))),
            'E' | 'e' => (spec.conversion, spec.precision) = (letter, Some(digits.unwrap_or(6))),
            'D' | 'd' => (spec.conversion, spec.width, spec.zero) = ('d', digits.unwrap_or(spec.width), true),
            'X' | 'x' => {
                (spec.conversion, spec.width, spec.zero) = (letter, digits.unwrap_or(spec.width), true)
            }
            'G' | 'g' => spec.conversion = 'O',
            '0' if code.starts_with("0.") && code[2..].bytes().all(|b| b == b'0') => {
                (spec.conversion, spec.precision) = ('f', Some(code.len() as u16 - 2));
            }
            _ => {
                self.diags.push(
                    Diagnostic::error(
                        codes::BAD_FORMAT,
                        span,
                        format!("`{code}` is not a format of interpolation"),
                    )
                    .help("use `F2`, `E3`, `D4`, `X4`, `0.00`, or a `%` format before the brace: `%.2f{x}`"),
                );
            }
        }
        if spec.conversion != 'O' {
            self.check_hole(value, spec, span);
        }
        spec
    }
}

fn parts_of(pieces: Vec<Piece>, values: &[ExprId]) -> Vec<FormatPart> {
    let mut values = values.iter();
    pieces
        .into_iter()
        .filter_map(|p| match p {
            Piece::Text(t) => Some(FormatPart::Text(Ustr::from(&t))),
            Piece::Hole(spec) => values.next().map(|&value| FormatPart::Hole { value, spec }),
        })
        .collect()
}

/// A format after its `%`: flags, width, precision, letter. Returns the bytes that it takes.
fn read_spec(text: &str) -> (FormatSpec, usize) {
    let mut spec = FormatSpec::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        match b {
            b'-' => spec.left = true,
            b'0' => spec.zero = true,
            b'+' => spec.plus = true,
            b' ' => spec.space = true,
            _ => break,
        }
        at += 1;
    }
    let number = |at: &mut usize| {
        let mut n: u16 = 0;
        while let Some(b) = bytes.get(*at).filter(|b| b.is_ascii_digit()) {
            n = n.saturating_mul(10).saturating_add(u16::from(b - b'0'));
            *at += 1;
        }
        n
    };
    spec.width = number(&mut at);
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        spec.precision = Some(number(&mut at));
    }
    if let Some(c) = text[at..].chars().next() {
        spec.conversion = if c == 'i' { 'd' } else { c };
        at += c.len_utf8();
    }
    (spec, at)
}

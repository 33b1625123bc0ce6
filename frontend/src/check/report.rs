//! Errors in the user's words: types as they would write them, where each side of a mismatch came from.

use super::Checker;
use super::types::{Clash, LOCAL_GENERIC, OPEN, Ty, Why};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{Hint, Measure, MeasureAtom, Type, TypeArg};
use crate::typed_print;

impl Checker<'_> {
    /// A type as the user would write it.
    pub(crate) fn show(&self, ty: Ty) -> String {
        self.show_prec(ty, 0)
    }

    fn show_prec(&self, ty: Ty, prec: u8) -> String {
        let Some(shape) = self.types.shape(ty) else { return "_".to_owned() };
        let parens = |s: String, own: u8| if own < prec { format!("({s})") } else { s };
        match shape {
            Type::Unit => "unit".to_owned(),
            Type::Bool => "bool".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "string".to_owned(),
            Type::Error => "_".to_owned(),
            Type::Int(k, m) => format!("{}{}", typed_print::int_name(*k), self.show_unit(m)),
            Type::Float(k, m) => format!("{}{}", typed_print::float_name(*k), self.show_unit(m)),
            Type::Param(n) => self.param_name(*n),
            Type::Array(e) => format!("{}[]", self.show_prec(*e, 3)),
            Type::NativePtr(e) => format!("nativeptr<{}>", self.show(*e)),
            Type::Tuple(items) => {
                let items: Vec<String> = items.iter().map(|&t| self.show_prec(t, 2)).collect();
                parens(items.join(" * "), 1)
            }
            Type::Fun(a, b) => parens(format!("{} -> {}", self.show_prec(*a, 1), self.show_prec(*b, 0)), 0),
            Type::AnonRecord(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(n, t)| format!("{n}: {}", self.show(*t))).collect();
                format!("{{| {} |}}", fields.join("; "))
            }
            Type::Named(d, args) => {
                let name = self.type_defs[d.index()].name;
                let args: Vec<String> = args
                    .iter()
                    .map(|a| match a {
                        TypeArg::Type(t) => self.show(*t),
                        TypeArg::Measure(m) => self.show_measure(m),
                        TypeArg::Hint(h) => match self.types.hints.closed(*h) {
                            Hint::Known(name) | Hint::Written(name) => name.to_string(),
                            Hint::Unknown | Hint::Open(_) => String::new(),
                        },
                    })
                    .filter(|arg| !arg.is_empty())
                    .collect();
                match (typed_print::is_postfix(name.as_str()), args.as_slice()) {
                    (_, []) => name.to_string(),
                    (true, [one]) => {
                        let wraps = one.contains(" -> ") || one.contains(" * ");
                        if wraps { format!("({one}) {name}") } else { format!("{one} {name}") }
                    }
                    _ => format!("{name}<{}>", args.join(", ")),
                }
            }
        }
    }

    fn param_name(&self, n: u32) -> String {
        match self.cx.params.get(n as usize) {
            Some(p) => format!("'{}", p.name),
            None if n >= LOCAL_GENERIC => typed_print::letter(n - LOCAL_GENERIC),
            None => typed_print::letter(n),
        }
    }

    fn show_unit(&self, m: &Measure) -> String {
        let m = self.types.normal(m);
        if m.factors.is_empty() { String::new() } else { format!("<{}>", self.show_measure(&m)) }
    }

    pub(crate) fn show_measure(&self, m: &Measure) -> String {
        let m = self.types.normal(m);
        typed_print::measure(&m, |a| match a {
            MeasureAtom::Base(d) => self.type_defs[d.index()].name.to_string(),
            MeasureAtom::Param(v) if v & OPEN != 0 => "_".to_owned(),
            MeasureAtom::Param(n) => self.param_name(n),
        })
    }

    /// Tells that an expression's type is not what its place asks for.
    pub(crate) fn mismatch(&mut self, expected: Ty, found: Ty, span: Span, why: Why, clash: Clash) {
        let (want, have) = (self.show(expected), self.show(found));
        let mut d = match &clash {
            Clash::Measures(a, b) => {
                let (a, b) = (self.unit_words(a), self.unit_words(b));
                Diagnostic::error(
                    codes::UNIT_MISMATCH,
                    span,
                    if want == have {
                        format!("the units of measure do not fit: {a} and {b}")
                    } else {
                        format!("expected {a}, but this is in {b}")
                    },
                )
                .here(format!("has type `{have}`"))
                .note(format!("expected type `{want}`"))
            }
            Clash::Hints(hints) => {
                let asked = hints.asked;
                let (given, cure) = match hints.given {
                    Some(name) => (format!("one that says `{name}`"), "allocate it"),
                    None => ("buffers of several hints".to_owned(), "allocate all of them"),
                };
                let headline = format!("expected a buffer that says `{asked}`, found {given}");
                Diagnostic::error(codes::HINT_MISMATCH, span, headline)
                    .here(format!("has type `{have}`"))
                    .note(format!("expected type `{want}`"))
                    .help(format!(
                        "{cure} with `{asked}`, or leave the hint out of the type, which then takes every buffer"
                    ))
            }
            Clash::Infinite => Diagnostic::error(
                codes::INFINITE_TYPE,
                span,
                format!("the type of this expression would contain itself: `{want}` and `{have}`"),
            )
            .help("is an argument missing, or one too many?"),
            Clash::Types(..) => Diagnostic::error(
                codes::TYPE_MISMATCH,
                span,
                format!("expected `{want}`, but this is `{have}`"),
            )
            .here(format!("has type `{have}`")),
        };
        if let Clash::Types(a, b) = clash {
            let (a, b) = (self.show(a), self.show(b));
            if (a != want || b != have) && a != b && a != "_" && b != "_" {
                d = d.note(format!("inside them, `{a}` meets `{b}`"));
            }
        }
        d = self.explain(d, why, &want, span);
        d = self.advise(d, expected, found);
        self.diags.push(d);
    }

    fn unit_words(&self, m: &Measure) -> String {
        let text = self.show_measure(m);
        if text == "1" { "a number without unit".to_owned() } else { format!("`{text}`") }
    }

    fn explain(&self, d: Diagnostic, why: Why, want: &str, here: Span) -> Diagnostic {
        let place = |d: Diagnostic, span: Span, text: String| {
            if span == here || span.file != here.file { d.note(text) } else { d.label(span, text) }
        };
        match why {
            Why::Annotation(span) => place(d, span, format!("`{want}` is asked for here")),
            Why::Argument(n, span) => {
                place(d, span, format!("{} argument of this is `{want}`", typed_print::ordinal(n + 1)))
            }
            Why::Branches(span) => {
                place(d, span, format!("the first branch is `{want}`")).note("all branches have one type")
            }
            Why::Elements(span) => {
                place(d, span, format!("the first is `{want}`")).note("all elements have one type")
            }
            Why::Condition => d.note("a condition is a `bool`"),
            Why::NoElse => {
                d.note("an `if` without `else` gives unit").help("add an `else` branch with a value")
            }
            Why::Assigned(span) => place(d, span, format!("this is `{want}`")),
            Why::Operand(span) => place(d, span, format!("the other operand is `{want}`")),
            Why::Field(name) => d.note(format!("the field `{name}` is `{want}`")),
            Why::Index => d.note("an index is an `int`"),
            Why::Pattern(span) if span != here => place(d, span, "the pattern is here".to_owned()),
            _ => d,
        }
    }

    fn advise(&self, d: Diagnostic, expected: Ty, found: Ty) -> Diagnostic {
        if d.help.is_some() {
            return d;
        }
        let (Some(e), Some(f)) = (self.types.shape(expected), self.types.shape(found)) else { return d };
        match (e, f) {
            (Type::Float(k, _), Type::Int(..) | Type::Float(..)) if !same_kind(e, f) => {
                d.help(format!("convert it: `{} x`", typed_print::float_name(*k)))
            }
            (Type::Int(k, _), Type::Int(..) | Type::Float(..)) if !same_kind(e, f) => {
                d.help(format!("convert it: `{} x`", typed_print::int_name(*k)))
            }
            (Type::String, Type::Int(..) | Type::Float(..) | Type::Bool | Type::Char) => {
                d.help("convert it with `string`")
            }
            (Type::Named(o, args), _) if Some(*o) == self.core.option => match args.first() {
                Some(TypeArg::Type(t)) if self.types.compatible(*t, found) => d.help("wrap it: `Some x`"),
                _ => d,
            },
            (Type::Unit, _) => d.help("pass it to `ignore` if its value is not needed"),
            (_, Type::Fun(..)) if !matches!(e, Type::Fun(..)) => d.help("is an argument missing?"),
            _ => d,
        }
    }

    /// A form outside the subset, with what to use instead.
    pub(crate) fn outside(&mut self, form: &str, span: Span) {
        let help = match form {
            f if f.contains("try")
                || f.contains("raise")
                || f.contains("exception")
                || f.contains("reraise") =>
            {
                "return a `Result<'T, 'E>` or an option; `failwith` stops the program"
            }
            f if f.contains("interface") || f.contains("abstract") || f.contains("object expression") => {
                "use a record of functions, or a union"
            }
            f if f.contains("inherit") || f.contains("override") || f.contains("base") => {
                "use a union, or a record inside"
            }
            f if f.contains("cast") || f.contains(":?") || f.contains("type test") => {
                "there is no subtyping: convert with `int`, `float`, `string` .., or match on a union"
            }
            f if f.contains("null") => "use an option: `None` and `Some x`",
            f if f.contains("quotation") => "write an ordinary function",
            f if f.contains("SRTP") || f.contains("static resolution") || f.contains('^') => {
                "use an `inline` function with operators, or pass the function as an argument"
            }
            f if f.contains("new") => "leave `new` out: a type's name is its constructor",
            f if f.contains("address") => "use `NativePtr`, an array, or a `ref` cell",
            f if f.contains("delegate") || f.contains("event") => "use a function type",
            f if f.contains("async") || f.contains("task") => {
                "dispatch a kernel, which is asynchronous, or call directly"
            }
            f if f.contains("struct") => "declare a record or union with `[<Struct>]`",
            _ => "use functions, records, unions and generics instead",
        };
        self.diags.push(
            Diagnostic::error(
                codes::OUTSIDE_SUBSET,
                span,
                format!("`{form}` is outside the subset of the language"),
            )
            .help(help),
        );
    }
}

fn same_kind(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Int(k, _), Type::Int(l, _)) => k == l,
        (Type::Float(k, _), Type::Float(l, _)) => k == l,
        _ => false,
    }
}

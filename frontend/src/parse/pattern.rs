//! Patterns. From weakest to tightest: `as`, `|`, `,`, `&`, `::`, `: type`, a case with its arguments.

use super::grammar::{
    At, Input, Parser, Read, Rule, ahead, by_hand, chain, expected, ident, nested, operator, path, place,
    token, token_if,
};
use super::state::State;
use super::types;
use crate::ast::{Ident, Lit, Path, Pattern, PatternKind, TypeExpr};
use crate::codes;
use crate::lex::Kind;
use crate::span::Span;
use chumsky::error::EmptyErr;
use chumsky::pratt::{infix, left, postfix, right};
use chumsky::primitive::{choice, custom};
use chumsky::{IterParser as _, Parser as _};

fn error_pattern(span: Span) -> Pattern {
    Pattern { kind: PatternKind::Error, span }
}

/// From where `p` begins to the last token.
fn since(p: Span, kind: PatternKind, at: &mut At<'_, '_>) -> Pattern {
    Pattern { kind, span: at.state().get().map_or(p, |state| state.span_from(p)) }
}

fn pat(kind: PatternKind, at: &mut At<'_, '_>) -> Pattern {
    Pattern { kind, span: place(at) }
}

/// A pattern. `any_line`: `|` continues it on any line, as in a case of `match`, since `->` must follow. `tuples`: a comma
/// makes a tuple.
pub(super) fn pattern<'s>(any_line: bool, tuples: bool) -> impl Rule<'s, Pattern> {
    let more = move |s: &State<'_>| {
        use Kind::{Amp, As, Bar, Colon, Comma, Cons};
        matches!(s.cur(), Amp | As | Bar | Colon | Comma | Cons) || any_line && s.raw() == Bar
    };
    // The Pratt parser starts where there is an operator for it: most patterns are names.
    let gated = custom(move |input: &mut Input<'s, '_>| {
        let first = input.parse(operand())?;
        match input.state().get() {
            Some(state) if more(state) => state.first_pattern = Some(first),
            _ => return Ok(first),
        }
        input.parse(operators(any_line, tuples))
    });
    nested(gated, error_pattern)
}

/// The operators behind a first operand that waits in the state.
fn operators<'s>(any_line: bool, tuples: bool) -> impl Rule<'s, Pattern> {
    let bar = move |s: &State<'_>| s.cur() == Kind::Bar || any_line && s.raw() == Kind::Bar;
    let comma = move |s: &State<'_>| tuples && s.cur() == Kind::Comma;
    let colon = |s: &State<'_>| s.cur() == Kind::Colon && s.open.last().is_some_and(|o| o.0 == Kind::LParen);
    let link = by_hand(|p| p.link("patterns"));
    let named = operator((2, 2), |s| s.cur() == Kind::As).ignore_then(link).ignore_then(ident("after `as`"));
    let typed = operator((12, 12), colon).ignore_then(link).ignore_then(types::type_expr());
    let operators = (
        infix(
            right(5),
            operator((11, 10), |s| s.cur() == Kind::Cons),
            |l: Pattern, _, r: Pattern, at: &mut At<'s, '_>| {
                since(l.span, PatternKind::Cons(Box::new(l), Box::new(r)), at)
            },
        ),
        infix(
            left(4),
            operator((8, 9), |s| s.cur() == Kind::Amp),
            |l: Pattern, _, r: Pattern, at: &mut At<'s, '_>| {
                since(l.span, PatternKind::And(Box::new(l), Box::new(r)), at)
            },
        ),
        infix(left(3), operator((6, 7), comma), tuple),
        infix(left(2), operator((4, 5), bar), |l: Pattern, _, r: Pattern, at: &mut At<'s, '_>| {
            since(l.span, PatternKind::Or(Box::new(l), Box::new(r)), at)
        }),
        postfix(1, named, |p: Pattern, name: Ident, at: &mut At<'s, '_>| {
            since(p.span, PatternKind::As(Box::new(p), name), at)
        }),
        postfix(6, typed, |p: Pattern, ty: TypeExpr, at: &mut At<'s, '_>| {
            since(p.span, PatternKind::Typed(Box::new(p), Box::new(ty)), at)
        }),
    );
    let waiting = custom(|input: &mut Input<'s, '_>| {
        let first = input.state().get().and_then(|state| state.first_pattern.take());
        first.ok_or(EmptyErr::default())
    });
    chain(waiting.or(operand()).pratt(operators), error_pattern)
}

/// `a, b` and a third make one tuple; one in parentheses is another.
fn tuple<'s, O>(l: Pattern, _: O, r: Pattern, at: &mut At<'s, '_>) -> Pattern {
    let start = l.span;
    let items = match l.kind {
        PatternKind::Tuple(mut items) => {
            items.push(r);
            items
        }
        kind => vec![Pattern { kind, span: l.span }, r],
    };
    since(start, PatternKind::Tuple(items), at)
}

fn operand<'s>() -> impl Rule<'s, Pattern> {
    let linked = ahead(State::behind_operator).ignore_then(by_hand(|p| p.link("patterns"))).or_not();
    let case = ahead(|s| s.cur_operand() == Kind::Ident).ignore_then(case_pattern());
    linked.ignore_then(case.or(atomic_pattern()))
}

/// `Some x`, `Circle(radius = r)`, `x`.
fn case_pattern<'s>() -> impl Rule<'s, Pattern> {
    let by_name =
        |s: &State<'_>| s.cur() == Kind::LParen && s.kind_at(1) == Kind::Ident && s.kind_at(2) == Kind::Eq;
    let fields = ahead(by_name)
        .ignore_then(by_hand(|p| p.bracketed(Parser::named_arguments)))
        .map(|fields| (Some(fields), Vec::new()));
    let args = atomic_patterns().map(|args| (None, args));
    path("of a case").then(fields.or(args)).map_with(|(path, (fields, args)), at| match fields {
        Some(fields) => pat(PatternKind::ApplyNamed { path, fields }, at),
        None => name_or_case(path, args, at),
    })
}

/// Patterns side by side: a case's arguments, a function's parameters.
pub(super) fn atomic_patterns<'s>() -> impl Rule<'s, Vec<Pattern>> {
    // A sign that no number follows begins no pattern; it is reported where it stands.
    let sign = |s: &State<'_>| s.cur() == Kind::Minus && !matches!(s.kind_at(1), Kind::Int | Kind::Float);
    let stray = ahead(sign).ignore_then(expected("a pattern", error_pattern)).or_not();
    ahead(move |s| s.starts_pattern() && !sign(s))
        .ignore_then(custom(any_atomic))
        .repeated()
        .collect::<Vec<_>>()
        .then_ignore(stray)
}

fn name_or_case(path: Path, args: Vec<Pattern>, at: &mut At<'_, '_>) -> Pattern {
    match path.parts.as_slice() {
        [name] if args.is_empty() => Pattern { kind: PatternKind::Name(*name), span: name.span },
        _ => pat(PatternKind::Apply { path, args }, at),
    }
}

fn any_atomic<'s>(input: &mut Input<'s, '_>) -> Read<Pattern> {
    input.parse(atomic_pattern())
}

/// A pattern that needs no parentheses as an argument.
fn atomic_pattern<'s>() -> impl Rule<'s, Pattern> {
    let operand = |kind| token_if(move |s| s.cur_operand() == kind);
    let name = ahead(|s| s.cur_operand() == Kind::Ident)
        .ignore_then(path("of a case"))
        .map_with(|path, at| name_or_case(path, Vec::new(), at));
    let wildcard = operand(Kind::Underscore).map_with(|_, at| pat(PatternKind::Wildcard, at));
    let literal = ahead(|s| {
        use Kind::{Char, False, Float, Int, String, True};
        matches!(s.cur_operand(), Int | Float | Char | String | True | False)
    })
    .ignore_then(by_hand(|p| p.literal()))
    .map_with(|lit, at| pat(PatternKind::Lit(lit), at));
    let negative =
        token_if(|s| s.cur_operand() == Kind::Minus && matches!(s.kind_at(1), Kind::Int | Kind::Float))
            .ignore_then(by_hand(|p| p.literal()))
            .map_with(|lit, at| pat(PatternKind::Lit(super::expr::negate(&lit).unwrap_or(lit)), at));
    let opens = |kind| ahead(move |s: &State<'s>| s.cur_operand() == kind);
    let unit = token_if(|s| s.cur_operand() == Kind::LParen && s.kind_at(1) == Kind::RParen)
        .ignore_then(token(Kind::RParen))
        .map_with(|_, at| pat(PatternKind::Lit(Lit::Unit), at));
    let paren = opens(Kind::LParen)
        .ignore_then(by_hand(|p| p.bracketed(Parser::pattern)))
        .map_with(|inner, at| pat(PatternKind::Paren(Box::new(inner)), at));
    let list = opens(Kind::LBracket)
        .ignore_then(by_hand(|p| p.bracketed(Parser::pattern_items)))
        .map_with(|items, at| pat(PatternKind::List(items), at));
    let array = opens(Kind::LArray)
        .ignore_then(by_hand(|p| p.bracketed(Parser::pattern_items)))
        .map_with(|items, at| pat(PatternKind::Array(items), at));
    let record = opens(Kind::LBrace)
        .ignore_then(by_hand(|p| p.bracketed(Parser::pattern_fields)))
        .map_with(|fields, at| pat(PatternKind::Record(fields), at));
    let outside = ahead(|s| matches!(s.cur_operand(), Kind::Null | Kind::TypeTest | Kind::Question))
        .ignore_then(by_hand(|p| p.unsupported_pattern()));
    let nothing = expected("a pattern", error_pattern);
    choice((name, wildcard, unit, paren, literal, negative, list, array, record, outside, nothing))
}

impl Parser<'_, '_, '_> {
    /// A pattern as a case of `match` has it.
    pub(super) fn arm_pattern(&mut self) -> Pattern {
        self.run(pattern(true, true)).unwrap_or_else(|| error_pattern(self.token().span))
    }

    pub(super) fn pattern(&mut self) -> Pattern {
        self.run(pattern(false, true)).unwrap_or_else(|| error_pattern(self.token().span))
    }

    pub(super) fn atomic_pattern(&mut self) -> Pattern {
        self.run(atomic_pattern()).unwrap_or_else(|| error_pattern(self.token().span))
    }

    /// A pattern with an optional `: type`, as after `let!` and `for`.
    pub(super) fn typed_pattern(&mut self) -> Pattern {
        let start = self.token().span;
        let p = self.pattern();
        if self.eat(Kind::Colon) {
            let ty = self.type_expr();
            return Pattern {
                kind: PatternKind::Typed(Box::new(p), Box::new(ty)),
                span: self.span_from(start),
            };
        }
        p
    }

    /// `radius = r, ..` in a case's parentheses.
    fn named_arguments(&mut self) -> Vec<(Ident, Pattern)> {
        let mut out = Vec::new();
        loop {
            let name = self.ident("of a field");
            self.expect(Kind::Eq, "`=` after the field's name");
            // A comma separates fields here; a tuple wants parentheses.
            let value = self.run(pattern(false, false));
            out.extend(value.map(|value| (name, value)));
            if self.recovering || !(self.eat(Kind::Comma) || self.eat(Kind::Semi)) {
                return out;
            }
        }
    }

    /// Patterns that are understood and outside the subset.
    fn unsupported_pattern(&mut self) -> Pattern {
        let token = self.bump();
        let start = token.span;
        match token.kind {
            Kind::Null => {
                self.unsupported(
                    codes::NO_NULL,
                    start,
                    "`null` is outside the subset: every value is there",
                    "use `option` and match on `None`",
                );
                Pattern { kind: PatternKind::Null, span: start }
            }
            Kind::TypeTest => {
                self.unsupported(
                    codes::NO_HIERARCHY,
                    start,
                    "a type test is outside the subset",
                    "types have no subtypes here; use a union and match on its cases",
                );
                self.type_expr();
                error_pattern(self.span_from(start))
            }
            _ => {
                self.unsupported(
                    codes::NO_OPTIONAL_PARAMETERS,
                    start,
                    "an optional parameter is outside the subset",
                    "take an `option`",
                );
                self.atomic_pattern()
            }
        }
    }

    fn pattern_items(&mut self) -> Vec<Pattern> {
        let mut out = Vec::new();
        while !self.recovering && !self.token().kind.is_closer() && self.kind_at(0) != Kind::End {
            self.anchor = self.pos;
            out.push(self.pattern());
            let t = self.token();
            if self.kind_at(0) == Kind::Semi {
                self.bump();
            } else if !(t.first && t.col == self.ctx.col) {
                break;
            }
        }
        out
    }

    fn pattern_fields(&mut self) -> Vec<(Path, Pattern)> {
        let mut out = Vec::new();
        while !self.recovering && !self.token().kind.is_closer() && self.kind_at(0) != Kind::End {
            self.anchor = self.pos;
            let path = self.path("of a field");
            self.expect(Kind::Eq, "`=` after the field's name");
            out.push((path, self.pattern()));
            let t = self.token();
            if self.kind_at(0) == Kind::Semi {
                self.bump();
            } else if !(t.first && t.col == self.ctx.col) {
                break;
            }
        }
        out
    }
}

//! Patterns. From weakest to tightest: `as`, `|`, `,`, `&`, `::`, a case with its arguments.

use super::Parser;
use crate::ast::{Lit, Path, Pattern, PatternKind};
use crate::codes;
use crate::lex::Kind;
use crate::span::Span;

impl Parser<'_> {
    fn pat(&self, kind: PatternKind, start: Span) -> Pattern {
        Pattern { kind, span: self.span_from(start) }
    }

    /// A pattern as a case of `match` has it: `|` continues it on any line, since `->` must follow.
    pub(super) fn arm_pattern(&mut self) -> Pattern {
        self.pattern_with(true)
    }

    pub(super) fn pattern(&mut self) -> Pattern {
        self.pattern_with(false)
    }

    fn pattern_with(&mut self, bar_on_any_line: bool) -> Pattern {
        let start = self.token().span;
        if !self.enter() {
            self.leave();
            return self.pat(PatternKind::Error, start);
        }
        let mut p = self.tuple_pattern();
        let mut count = 0usize;
        while self.cur() == Kind::Bar || (bar_on_any_line && self.raw() == Kind::Bar) {
            self.bump();
            let q = self.tuple_pattern();
            p = self.pat(PatternKind::Or(Box::new(p), Box::new(q)), start);
            if self.too_long(&mut count, "alternatives") {
                break;
            }
        }
        while self.eat(Kind::As) {
            if self.too_long(&mut count, "names") {
                break;
            }
            let name = self.ident("after `as`");
            p = self.pat(PatternKind::As(Box::new(p), name), start);
        }
        self.leave();
        p
    }

    fn tuple_pattern(&mut self) -> Pattern {
        let start = self.token().span;
        let first = self.and_pattern();
        if self.cur() != Kind::Comma {
            return first;
        }
        let mut items = vec![first];
        while self.eat(Kind::Comma) {
            items.push(self.and_pattern());
        }
        self.pat(PatternKind::Tuple(items), start)
    }

    fn and_pattern(&mut self) -> Pattern {
        let start = self.token().span;
        let mut p = self.cons_pattern();
        let mut count = 0;
        while self.eat(Kind::Amp) {
            if self.too_long(&mut count, "patterns") {
                break;
            }
            let q = self.cons_pattern();
            p = self.pat(PatternKind::And(Box::new(p), Box::new(q)), start);
        }
        p
    }

    fn cons_pattern(&mut self) -> Pattern {
        let start = self.token().span;
        if !self.enter() {
            self.leave();
            return self.pat(PatternKind::Error, start);
        }
        let mut p = self.case_pattern();
        if self.eat(Kind::Cons) {
            let tail = self.cons_pattern();
            p = self.pat(PatternKind::Cons(Box::new(p), Box::new(tail)), start);
        } else if self.cur() == Kind::Colon && self.open.last().is_some_and(|o| o.0 == Kind::LParen) {
            self.bump();
            let ty = self.type_expr();
            p = self.pat(PatternKind::Typed(Box::new(p), Box::new(ty)), start);
        }
        self.leave();
        p
    }

    /// A pattern with an optional `: type`, as after `let!` and `for`.
    pub(super) fn typed_pattern(&mut self) -> Pattern {
        let start = self.token().span;
        let p = self.pattern();
        if self.eat(Kind::Colon) {
            let ty = self.type_expr();
            return self.pat(PatternKind::Typed(Box::new(p), Box::new(ty)), start);
        }
        p
    }

    fn case_pattern(&mut self) -> Pattern {
        if self.cur_operand() != Kind::Ident {
            return self.atomic_pattern();
        }
        let start = self.token().span;
        let path = self.path("of a case");
        if self.cur() == Kind::LParen && self.kind_at(1) == Kind::Ident && self.kind_at(2) == Kind::Eq {
            let fields = self.bracketed(|p| {
                let mut out = Vec::new();
                loop {
                    let name = p.ident("of a field");
                    p.expect(Kind::Eq, "`=` after the field's name");
                    out.push((name, p.and_pattern()));
                    if p.recovering || !(p.eat(Kind::Comma) || p.eat(Kind::Semi)) {
                        return out;
                    }
                }
            });
            return self.pat(PatternKind::ApplyNamed { path, fields }, start);
        }
        let mut args = Vec::new();
        while self.starts_pattern() {
            args.push(self.atomic_pattern());
        }
        self.name_or_case(path, args, start)
    }

    fn name_or_case(&self, path: Path, args: Vec<Pattern>, start: Span) -> Pattern {
        match path.parts.as_slice() {
            [name] if args.is_empty() => Pattern { kind: PatternKind::Name(*name), span: name.span },
            _ => self.pat(PatternKind::Apply { path, args }, start),
        }
    }

    pub(super) fn starts_pattern(&self) -> bool {
        use Kind::{
            Char, False, Float, Ident, Int, LArray, LBrace, LBracket, LParen, Minus, Null, Question, String,
            True, TypeTest, Underscore,
        };
        matches!(
            self.cur(),
            Char | False
                | Float
                | Ident
                | Int
                | LArray
                | LBrace
                | LBracket
                | LParen
                | Minus
                | Null
                | Question
                | String
                | True
                | TypeTest
                | Underscore
        )
    }

    pub(super) fn atomic_pattern(&mut self) -> Pattern {
        let t = self.token();
        let start = t.span;
        match self.cur_operand() {
            Kind::Underscore => {
                self.bump();
                self.pat(PatternKind::Wildcard, start)
            }
            Kind::Ident => {
                let path = self.path("of a case");
                self.name_or_case(path, Vec::new(), start)
            }
            Kind::Int | Kind::Float | Kind::Char | Kind::String | Kind::True | Kind::False => {
                let lit = self.literal();
                self.pat(PatternKind::Lit(lit), start)
            }
            Kind::Minus if matches!(self.kind_at(1), Kind::Int | Kind::Float) => {
                self.bump();
                let lit = self.literal();
                let lit = super::expr::negate(&lit).unwrap_or(lit);
                self.pat(PatternKind::Lit(lit), start)
            }
            Kind::Null => {
                self.bump();
                self.unsupported(
                    codes::NO_NULL,
                    start,
                    "`null` is outside the subset: every value is there",
                    "use `option` and match on `None`",
                );
                self.pat(PatternKind::Null, start)
            }
            Kind::LParen if self.kind_at(1) == Kind::RParen => {
                self.bump();
                self.bump();
                self.pat(PatternKind::Lit(Lit::Unit), start)
            }
            Kind::LParen => {
                let inner = self.bracketed(Self::pattern);
                self.pat(PatternKind::Paren(Box::new(inner)), start)
            }
            Kind::LBracket | Kind::LArray => {
                let items = self.bracketed(Self::pattern_items);
                let kind =
                    if t.kind == Kind::LArray { PatternKind::Array(items) } else { PatternKind::List(items) };
                self.pat(kind, start)
            }
            Kind::LBrace => {
                let fields = self.bracketed(Self::pattern_fields);
                self.pat(PatternKind::Record(fields), start)
            }
            Kind::TypeTest => {
                self.bump();
                self.unsupported(
                    codes::NO_HIERARCHY,
                    start,
                    "a type test is outside the subset",
                    "types have no subtypes here; use a union and match on its cases",
                );
                self.type_expr();
                self.pat(PatternKind::Error, start)
            }
            Kind::Question => {
                self.bump();
                self.unsupported(
                    codes::NO_OPTIONAL_PARAMETERS,
                    start,
                    "an optional parameter is outside the subset",
                    "take an `option`",
                );
                self.atomic_pattern()
            }
            _ => {
                self.expected("a pattern");
                Pattern { kind: PatternKind::Error, span: start.at_start() }
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

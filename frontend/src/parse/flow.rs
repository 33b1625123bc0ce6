//! Expressions that begin with a word: `if`, `match`, loops, lambdas, computation words, and forms outside the subset.

use super::Parser;
use super::state::Ctx;
use crate::ast::{Arm, Expr, ExprKind, Ident, Pattern, PatternKind};
use crate::codes;
use crate::lex::Kind;
use crate::span::Span;
use std::cell::Cell;
use ustr::Ustr;

impl Parser<'_, '_, '_> {
    /// The form that the word at hand begins, if it begins one.
    pub(super) fn worded(&mut self, kind: Kind) -> Option<Expr> {
        if !(matches!(
            kind,
            Kind::If
                | Kind::Match
                | Kind::MatchBang
                | Kind::Fun
                | Kind::Function
                | Kind::For
                | Kind::While
                | Kind::Lazy
                | Kind::Assert
                | Kind::Yield
                | Kind::YieldBang
                | Kind::Return
                | Kind::ReturnBang
                | Kind::DoBang
                | Kind::Try
                | Kind::New
                | Kind::UpcastWord
                | Kind::DowncastWord
                | Kind::Struct
                | Kind::Let
        )) {
            return None;
        }
        let start = self.token().span;
        if !self.enter() {
            self.leave();
            return Some(self.error_expr());
        }
        let e = match kind {
            Kind::If => self.if_expr(),
            Kind::Match | Kind::MatchBang => self.match_expr(),
            Kind::Fun => self.lambda(),
            Kind::Function => {
                self.bump();
                let arms = self.arms("function");
                self.expr_at(ExprKind::Function(arms), start)
            }
            Kind::For => self.for_expr(),
            Kind::While => {
                self.bump();
                let cond = Box::new(self.header("`while`"));
                let body = Box::new(self.do_block("`while`"));
                self.expr_at(ExprKind::While { cond, body }, start)
            }
            Kind::Let => self.lines(),
            _ => self.word_and_value(kind, start),
        };
        self.leave();
        Some(e)
    }

    fn word_and_value(&mut self, kind: Kind, start: Span) -> Expr {
        let word = self.bump();
        let after = format!("after `{}`", self.slice(word.span));
        let kind = match kind {
            Kind::Lazy => ExprKind::Lazy(Box::new(self.unary())),
            Kind::Assert => ExprKind::Assert(Box::new(self.unary())),
            Kind::Yield | Kind::YieldBang => {
                ExprKind::Yield { value: Box::new(self.value_block(&after)), bang: kind == Kind::YieldBang }
            }
            Kind::Return | Kind::ReturnBang => {
                ExprKind::Return { value: Box::new(self.value_block(&after)), bang: kind == Kind::ReturnBang }
            }
            Kind::DoBang => ExprKind::DoBang(Box::new(self.value_block(&after))),
            Kind::Try => self.try_form(start),
            Kind::New => self.new_form(start),
            Kind::Struct => {
                self.unsupported(
                    codes::NO_STRUCT_TUPLE,
                    start,
                    "a struct tuple is outside the subset",
                    "write the tuple without `struct`; small tuples are kept by value anyway",
                );
                ExprKind::Unsupported { form: Ustr::from("struct"), inner: Some(Box::new(self.postfix())) }
            }
            _ => {
                let name = self.slice(word.span);
                self.unsupported(
                    codes::NO_HIERARCHY,
                    start,
                    "a cast between types of a hierarchy is outside the subset",
                    "types have no subtypes here; use a union and `match` on its cases",
                );
                ExprKind::Unsupported { form: Ustr::from(name), inner: Some(Box::new(self.unary())) }
            }
        };
        self.expr_at(kind, start)
    }

    fn try_form(&mut self, start: Span) -> ExprKind {
        self.unsupported(
            codes::NO_EXCEPTIONS,
            start,
            "`try` is outside the subset: there are no exceptions",
            "return a `Result` and match on `Ok` and `Error`; a failed run-time check stops the program",
        );
        let body = self.block("after `try`");
        if self.continues(Kind::With) {
            self.bump();
            self.arms("with");
        } else if self.continues(Kind::Finally) {
            self.bump();
            self.block("after `finally`");
        }
        ExprKind::Unsupported { form: Ustr::from("try"), inner: Some(Box::new(body)) }
    }

    fn new_form(&mut self, start: Span) -> ExprKind {
        self.unsupported(
            codes::NO_NEW,
            start,
            "`new` is outside the subset",
            "call the type like a function: `Builder()`",
        );
        let inner = self.postfix();
        ExprKind::Unsupported { form: Ustr::from("new"), inner: Some(Box::new(inner)) }
    }

    fn header(&mut self, after: &str) -> Expr {
        if !super::expr::starts_expr(self.cur_operand()) && !self.prefix_text(&self.token()) {
            self.expected(&format!("an expression after {after}"));
            return self.error_expr();
        }
        self.full_expr()
    }

    /// `do` and the loop's body.
    fn do_block(&mut self, of: &str) -> Expr {
        if !self.continues(Kind::Do) {
            self.expected(&format!("`do` before the body of {of}"));
            return self.error_expr();
        }
        self.bump();
        let body = self.block("after `do`");
        if self.continues(Kind::Done) {
            self.bump();
        }
        body
    }

    fn if_expr(&mut self) -> Expr {
        // `else if` chains are read in a loop and nested afterwards.
        let mut branches: Vec<(Span, Expr, Expr)> = Vec::new();
        let mut otherwise = None;
        loop {
            let start = self.bump().span;
            let word = self.slice(start);
            let cond = self.header(&format!("`{word}`"));
            if self.continues(Kind::Then) {
                self.bump();
            } else {
                self.expected(&format!("`then` after the condition of `{word}`"));
            }
            let then = self.block("after `then`");
            branches.push((start, cond, then));
            if branches.len() > super::MAX_CHAIN {
                break;
            }
            if self.continues(Kind::Elif) {
                continue;
            }
            if self.continues(Kind::Else) {
                self.bump();
                if self.kind_at(0) == Kind::If && !self.token().first {
                    continue;
                }
                otherwise = Some(self.block("after `else`"));
            }
            break;
        }
        let end = self.prev_span();
        let mut result: Option<Expr> = otherwise;
        for (start, cond, then) in branches.into_iter().rev() {
            let kind =
                ExprKind::If { cond: Box::new(cond), then: Box::new(then), otherwise: result.map(Box::new) };
            result = Some(Expr { kind, span: if end.end < start.start { start } else { start.to(end) } });
        }
        result.unwrap_or_else(|| self.error_expr())
    }

    fn match_expr(&mut self) -> Expr {
        let start = self.token().span;
        let bang = self.bump().kind == Kind::MatchBang;
        let scrutinee = Box::new(self.block("after `match`"));
        if self.continues(Kind::With) {
            self.bump();
        } else {
            self.expected("`with` after the value of `match`");
        }
        let arms = self.arms("with");
        let kind =
            if bang { ExprKind::MatchBang { scrutinee, arms } } else { ExprKind::Match { scrutinee, arms } };
        self.expr_at(kind, start)
    }

    /// The cases of `match` and `function`.
    fn arms(&mut self, after: &str) -> Vec<Arm> {
        let mut arms: Vec<Arm> = Vec::new();
        loop {
            let bar = self.continues(Kind::Bar);
            if !bar && !arms.is_empty() {
                break;
            }
            if !bar && (self.recovering || self.cur_operand() == Kind::End) {
                self.expected(&format!("a case after `{after}`"));
                break;
            }
            let t = self.token();
            let outer = self.ctx;
            let floor = if t.first { i64::from(t.col) } else { outer.floor };
            self.ctx = Ctx { col: t.col, floor, soft: false };
            if bar {
                self.bump();
            } else {
                self.anchor = self.pos;
            }
            let pattern = self.arm_pattern();
            let guard = if self.cur() == Kind::When {
                self.bump();
                Some(self.expr())
            } else {
                None
            };
            let body = if self.expect(Kind::Arrow, "`->` after the pattern") {
                self.block("after `->`")
            } else {
                self.error_expr()
            };
            if self.recovering {
                self.sync_to_line();
            }
            self.ctx = outer;
            arms.push(Arm { pattern, guard: guard.map(Box::new), body, span: self.span_from(t.span) });
        }
        arms
    }

    fn lambda(&mut self) -> Expr {
        let start = self.bump().span;
        let mut params = Vec::new();
        while self.starts_pattern() {
            params.push(self.atomic_pattern());
        }
        if params.is_empty() {
            self.expected("a parameter after `fun`");
        }
        self.expect(Kind::Arrow, "`->` after the parameters of `fun`");
        let body = Box::new(self.block("after `->`"));
        self.expr_at(ExprKind::Lambda { params, body }, start)
    }

    fn for_expr(&mut self) -> Expr {
        let start = self.bump().span;
        if matches!(self.kind_at(0), Kind::Ident | Kind::Underscore) && self.kind_at(1) == Kind::Eq {
            let t = self.bump();
            let var = self.ident_of(t);
            self.bump();
            let from = Box::new(self.header("`=`"));
            let down = self.cur() == Kind::Downto;
            if down || self.cur() == Kind::To {
                self.bump();
            } else {
                self.expected("`to` or `downto` after the first value of `for`");
            }
            let to = Box::new(self.header("`to`"));
            let body = Box::new(self.do_block("`for`"));
            return self.expr_at(ExprKind::ForTo { var, from, down, to, body }, start);
        }
        let pattern = if self.starts_pattern() {
            self.pattern()
        } else {
            self.expected("a name or pattern after `for`");
            Pattern { kind: PatternKind::Error, span: start }
        };
        if self.cur() == Kind::In {
            self.bump();
        } else {
            self.expected("`in` after the pattern of `for`");
        }
        let source = Box::new(self.header("`in`"));
        let body = if self.cur() == Kind::Arrow {
            let arrow = self.bump().span;
            let value = Box::new(self.block("after `->`"));
            Box::new(self.expr_at(ExprKind::Yield { value, bang: false }, arrow))
        } else {
            Box::new(self.do_block("`for`"))
        };
        self.expr_at(ExprKind::ForIn { pattern: Box::new(pattern), source, body }, start)
    }

    /// Atoms that are words or fit nothing.
    pub(super) fn other_atom(&mut self, kind: Kind) -> Expr {
        let start = self.token().span;
        let (code, headline, help) = match kind {
            Kind::Null => (
                codes::NO_NULL,
                "`null` is outside the subset: every value is there",
                "use `option` with `None`, or `0n` for an address",
            ),
            Kind::Base => {
                (codes::NO_CLASSES, "`base` is outside the subset: there is no inheritance", "use a union")
            }
            Kind::Op if self.slice(start).starts_with("<@") => return self.quotation(),
            Kind::Underscore if self.kind_at(1) == Kind::Dot => {
                self.bump();
                let name = Ident { name: Ustr::from("_"), span: start };
                self.unsupported(
                    codes::NO_SHORTHAND,
                    start,
                    "`_.Name` as a function is outside the subset",
                    "write `fun x -> x.Name`",
                );
                return Expr { kind: ExprKind::Name(name), span: start };
            }
            Kind::Let | Kind::Use => {
                return self.lines();
            }
            _ => {
                self.expected("an expression");
                return self.error_expr();
            }
        };
        self.bump();
        self.unsupported(code, start, headline, help);
        let form = Ustr::from(self.slice(start));
        Expr { kind: ExprKind::Unsupported { form, inner: None }, span: start }
    }

    fn quotation(&mut self) -> Expr {
        let start = self.bump().span;
        self.unsupported(
            codes::NO_QUOTATIONS,
            start,
            "a quotation is outside the subset",
            "kernels need none: mark a function with `[<Kernel(\"name\")>]`",
        );
        while let Some(t) = self.tokens.get(self.pos).map(Cell::get) {
            if t.first && t.col <= self.ctx.col {
                break;
            }
            self.pos += 1;
            if self.slice(t.span).starts_with("@>") || self.slice(t.span).starts_with("@@>") {
                break;
            }
        }
        self.expr_at(ExprKind::Unsupported { form: Ustr::from("quotation"), inner: None }, start)
    }
}

//! Expressions: blocks of statements, operators by precedence, application, brackets.

use super::{MAX_CHAIN, Parser};
use crate::ast::{Collection, Expr, ExprKind, Ident, IndexArg, LetGroup, Lit, Pattern};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lex::Kind;
use crate::span::Span;
use ustr::Ustr;

/// A line of a block, before the lines are folded into one expression.
pub(super) enum Stmt {
    Expr(Expr),
    Let(LetGroup, Span),
    LetBang(Pattern, Expr, Span),
}

impl Parser<'_, '_, '_> {
    pub(super) fn expr_at(&self, kind: ExprKind, start: Span) -> Expr {
        Expr { kind, span: self.span_from(start) }
    }

    pub(super) fn error_expr(&self) -> Expr {
        Expr { kind: ExprKind::Error, span: self.token().span.at_start() }
    }

    /// The block after a word or sign; `after` completes "expected an expression ...".
    pub(super) fn block(&mut self, after: &str) -> Expr {
        if let Some(e) = self.block_ctx(Self::lines) {
            return e;
        }
        self.expected(&format!("an expression {after}"));
        self.error_expr()
    }

    /// Like [`Self::block`], for the value of `<-`, `yield`, `return`: on the same line, a `;` ends it.
    pub(super) fn value_block(&mut self, after: &str) -> Expr {
        let outer = self.semi;
        self.semi = outer && self.token().first;
        let e = self.block(after);
        self.semi = outer;
        e
    }

    /// The lines of the block whose layout is set, as one expression.
    pub(super) fn lines(&mut self) -> Expr {
        let semi = self.semi;
        let stmts = self.statements(semi);
        self.fold(stmts)
    }

    /// The lines of a block. `semi`: whether `;` separates too.
    pub(super) fn statements(&mut self, semi: bool) -> Vec<Stmt> {
        let mut out = Vec::new();
        if !self.enter() {
            self.leave();
            return out;
        }
        let on_own_lines = self.token().first;
        loop {
            let before = self.pos;
            self.anchor = before;
            self.statement(&mut out);
            if self.recovering {
                self.skip_line(before);
            }
            let mut more = false;
            while semi && !self.token().first && self.kind_at(0) == Kind::Semi {
                self.bump();
                more = true;
            }
            let more_before = more;
            let t = self.token();
            more = !t.kind.is_closer()
                && t.kind != Kind::End
                && !resumes(t.kind)
                && ((t.first && t.col == self.ctx.col) || (more_before && !t.first));
            if more && self.pos > before {
                continue;
            }
            if on_own_lines && self.stray() {
                self.sync_to_line();
                let t = self.token();
                if t.first && t.col == self.ctx.col && t.kind != Kind::End && self.pos > before {
                    continue;
                }
            }
            break;
        }
        self.leave();
        out
    }

    /// Recovers at the block's next line, moving on from `before` in any case that a bracket does not forbid.
    pub(super) fn skip_line(&mut self, before: usize) {
        let t = self.token();
        let stops =
            t.kind == Kind::End || (t.kind.is_closer() && !self.open.is_empty()) || t.col < self.ctx.col;
        if self.pos == before && !stops {
            self.pos += 1;
        }
        self.sync_to_line();
    }

    /// Reports what follows a complete line and belongs to nothing. False if an enclosing construct may want it.
    fn stray(&mut self) -> bool {
        let t = self.token();
        let beyond = t.first && t.col <= self.ctx.col;
        let wanted =
            if t.kind.is_closer() { !self.open.is_empty() } else { resumes(t.kind) || t.kind == Kind::Comma };
        if t.kind == Kind::End || beyond || wanted || (t.kind == Kind::Semi && !self.semi) {
            return false;
        }
        self.unexpected();
        true
    }

    /// Reports the token at hand as fitting nothing.
    pub(super) fn unexpected(&mut self) {
        let t = self.token();
        let what = self.describe(t);
        let d = if t.kind.is_closer() {
            Diagnostic::error(codes::UNBALANCED, t.span, format!("{what} closes nothing"))
                .help("remove it, or open its partner before")
        } else if t.first && t.col > self.ctx.col {
            Diagnostic::error(codes::OFFSIDE, t.span, format!("unexpected {what} on a line indented further"))
                .note(format!("lines of this block begin in column {}", self.ctx.col + 1))
                .help("align it with the block, or end the line before with an operator to continue it")
        } else if t.first {
            Diagnostic::error(codes::OFFSIDE, t.span, format!("unexpected {what} at this indentation"))
                .help("align it with the block that it belongs to")
        } else {
            Diagnostic::error(codes::SYNTAX, t.span, format!("unexpected {what}"))
                .here("the expression before it is complete")
        };
        self.error(d);
    }

    fn statement(&mut self, out: &mut Vec<Stmt>) {
        let binds = matches!(self.raw(), Kind::Let | Kind::Use | Kind::LetBang | Kind::UseBang);
        // Each binding nests what follows it; plain lines do not.
        if binds
            && out.len() >= MAX_CHAIN
            && out.iter().filter(|s| !matches!(s, Stmt::Expr(_))).count() >= MAX_CHAIN
        {
            let span = self.token().span;
            let d = Diagnostic::error(
                codes::TOO_DEEP,
                span,
                format!("a block of more than {MAX_CHAIN} bindings"),
            )
            .help("move parts of it into functions of their own");
            self.error(d);
            return self.skip_declaration();
        }
        let start = self.token().span;
        match self.raw() {
            Kind::Let | Kind::Use | Kind::LAttr => {
                let attributes = self.attributes();
                let group = self.let_group(attributes);
                out.push(Stmt::Let(group, self.span_from(start)));
                self.after_let(out);
            }
            Kind::LetBang | Kind::UseBang => {
                self.bump();
                let pattern = self.typed_pattern();
                self.expect(Kind::Eq, "`=` after the pattern of `let!`");
                let value = self.block("after `=`");
                out.push(Stmt::LetBang(pattern, value, self.span_from(start)));
                self.after_let(out);
            }
            Kind::Do => {
                self.bump();
                let e = self.block("after `do`");
                out.push(Stmt::Expr(e));
            }
            _ => {
                let e = self.full_expr();
                out.push(Stmt::Expr(e));
            }
        }
    }

    /// `in` after a binding: what follows on the line is the next line of the block.
    fn after_let(&mut self, out: &mut Vec<Stmt>) {
        if self.continues(Kind::In) {
            self.bump();
            if !self.token().first {
                self.statement(out);
            }
        }
    }

    /// Folds lines into nested bindings and sequences.
    pub(super) fn fold(&mut self, stmts: Vec<Stmt>) -> Expr {
        let mut rest: Option<Expr> = None;
        let mut run: Vec<Expr> = Vec::new();
        for stmt in stmts.into_iter().rev() {
            match stmt {
                Stmt::Expr(e) => run.push(e),
                Stmt::Let(group, span) => {
                    let body = Box::new(self.fold_run(&mut run, rest.take(), span));
                    let span = span.to(body.span);
                    rest = Some(Expr { kind: ExprKind::Let { group, body }, span });
                }
                Stmt::LetBang(pattern, value, span) => {
                    let body = Box::new(self.fold_run(&mut run, rest.take(), span));
                    let span = span.to(body.span);
                    rest = Some(Expr {
                        kind: ExprKind::LetBang { pattern: Box::new(pattern), value: Box::new(value), body },
                        span,
                    });
                }
            }
        }
        let at = self.token().span.at_start();
        self.fold_run(&mut run, rest, at)
    }

    /// A run of lines (in reverse) and what follows them, as one expression.
    fn fold_run(&mut self, run: &mut Vec<Expr>, rest: Option<Expr>, binding: Span) -> Expr {
        run.reverse();
        run.extend(rest);
        match run.len() {
            0 => {
                if !self.recovering && self.last_error != self.pos && binding.start != binding.end {
                    self.diagnostics.push(
                        Diagnostic::error(
                            codes::SYNTAX,
                            binding,
                            "nothing follows this binding in its block",
                        )
                        .note("a block's value is its last line, and a binding has none")
                        .help("add an expression that uses it, or `()`"),
                    );
                }
                Expr { kind: ExprKind::Error, span: Span { start: binding.end, ..binding } }
            }
            1 => run.swap_remove(0),
            _ => {
                let all = std::mem::take(run);
                let span = all.iter().map(|e| e.span).reduce(Span::to).unwrap_or(binding);
                Expr { kind: ExprKind::Seq(all), span }
            }
        }
    }

    /// An expression as a line has it: with tuples, ranges, `<-` and `: type`.
    pub(super) fn full_expr(&mut self) -> Expr {
        let start = self.token().span;
        let mut e = self.expr();
        if self.cur() == Kind::DotDot {
            e = self.range(e, start);
        }
        match self.cur() {
            Kind::LArrow => {
                self.bump();
                let value = self.value_block("after `<-`");
                e = self.expr_at(ExprKind::Assign(Box::new(e), Box::new(value)), start);
            }
            Kind::Colon => {
                self.bump();
                let ty = self.type_expr();
                e = self.expr_at(ExprKind::Typed(Box::new(e), Box::new(ty)), start);
            }
            _ => {}
        }
        e
    }

    fn range(&mut self, from: Expr, start: Span) -> Expr {
        self.bump();
        let mut to = self.binary();
        let mut step = None;
        if self.eat(Kind::DotDot) {
            step = Some(Box::new(to));
            to = self.binary();
        }
        self.expr_at(ExprKind::Range { from: Box::new(from), step, to: Box::new(to) }, start)
    }

    /// Prefix operators, forms that begin with a word, applications.
    pub(super) fn unary(&mut self) -> Expr {
        let start = self.token().span;
        let kind = self.cur_operand();
        match kind {
            Kind::Minus | Kind::Plus | Kind::Amp => {
                let token = self.bump();
                let op = Ident { name: Ustr::from(self.slice(token.span)), span: token.span };
                let glued = self.token().glued;
                if !self.enter() {
                    self.leave();
                    return self.error_expr();
                }
                let e = self.unary();
                self.leave();
                if kind == Kind::Minus
                    && glued
                    && let ExprKind::Lit(lit) = &e.kind
                    && let Some(lit) = negate(lit)
                {
                    return self.expr_at(ExprKind::Lit(lit), start);
                }
                self.expr_at(ExprKind::Prefix(op, Box::new(e)), start)
            }
            Kind::Op if self.slice(start) == "&&" => {
                let token = self.bump();
                let op = Ident { name: Ustr::from("&&"), span: token.span };
                let e = self.unary();
                self.expr_at(ExprKind::Prefix(op, Box::new(e)), start)
            }
            _ => match self.worded(kind) {
                Some(e) => e,
                None => self.application(),
            },
        }
    }

    fn application(&mut self) -> Expr {
        let start = self.token().span;
        let head = self.postfix();
        if !self.starts_arg() {
            return head;
        }
        let mut args = Vec::with_capacity(1);
        while self.starts_arg() {
            args.push(if self.cur() == Kind::Minus { self.unary_arg() } else { self.postfix() });
        }
        self.expr_at(ExprKind::App(Box::new(head), args), start)
    }

    /// `-x` as an argument: the sign binds to the argument only.
    fn unary_arg(&mut self) -> Expr {
        let start = self.token().span;
        let token = self.bump();
        let e = self.postfix();
        if let ExprKind::Lit(lit) = &e.kind
            && let Some(lit) = negate(lit)
        {
            return self.expr_at(ExprKind::Lit(lit), start);
        }
        let op = Ident { name: Ustr::from("-"), span: token.span };
        self.expr_at(ExprKind::Prefix(op, Box::new(e)), start)
    }

    fn starts_arg(&self) -> bool {
        match self.cur() {
            // `f -x` is an argument, `f - x` and `f-x` are differences.
            Kind::Minus => {
                !self.token().glued && {
                    let t = self.token_at(self.pos + 1);
                    t.glued && !t.first
                }
            }
            Kind::Op => {
                let text = self.slice(self.token().span);
                text != "&&" && self.prefix_text(&self.token())
            }
            Kind::Underscore => self.kind_at(1) == Kind::Dot,
            kind => starts_atom(kind),
        }
    }

    /// An atom with what clings to it: `.name`, `.[i]`, `[i]`, `(args)`, `<types>`, `{ body }`.
    pub(super) fn postfix(&mut self) -> Expr {
        let start = self.token().span;
        let mut e = self.atom();
        let mut count = 0usize;
        loop {
            count += 1;
            if count > MAX_CHAIN {
                let d = Diagnostic::error(codes::TOO_DEEP, start, "this chain is too long");
                self.error(d);
                self.skip_declaration();
                return e;
            }
            let token = self.token();
            let kind = self.cur();
            e = match kind {
                Kind::Dot => match self.kind_at(1) {
                    Kind::LBracket => {
                        self.bump();
                        self.index(e, start)
                    }
                    _ => {
                        self.bump();
                        if self.cur() != Kind::Ident {
                            self.expected("a name or `[` after `.`");
                            return e;
                        }
                        let t = self.bump();
                        let name = self.ident_of(t);
                        self.expr_at(ExprKind::Dot(Box::new(e), name), start)
                    }
                },
                Kind::LParen | Kind::ParenStar if token.glued && callable(&e) && kind == Kind::LParen => {
                    let arg = self.atom();
                    self.expr_at(ExprKind::App(Box::new(e), vec![arg]), start)
                }
                Kind::LBracket if token.glued && !matches!(e.kind, ExprKind::Lit(_)) => self.index(e, start),
                Kind::Less if token.glued && is_name(&e) && self.type_args_follow() => {
                    let args = self.type_args();
                    self.expr_at(ExprKind::TypeApp(Box::new(e), args), start)
                }
                Kind::LBrace if is_name(&e) && !self.record_follows() => self.computation(e, start),
                _ => return e,
            };
        }
    }

    fn computation(&mut self, builder: Expr, start: Span) -> Expr {
        let body =
            Box::new(self.bracketed(|p| if p.raw() == Kind::RBrace { p.error_expr() } else { p.lines() }));
        let is_seq = matches!(&builder.kind, ExprKind::Name(n) if n.name == "seq");
        if is_seq {
            return self.expr_at(ExprKind::Comprehension { kind: Collection::Seq, body }, start);
        }
        self.expr_at(ExprKind::Computation { builder: Box::new(builder), body }, start)
    }

    fn index(&mut self, e: Expr, start: Span) -> Expr {
        let args = self.bracketed(|p| {
            let mut args = vec![p.index_arg()];
            while p.eat(Kind::Comma) {
                args.push(p.index_arg());
            }
            args
        });
        self.expr_at(ExprKind::Index(Box::new(e), args), start)
    }

    fn index_arg(&mut self) -> IndexArg {
        match self.cur_operand() {
            Kind::Star => {
                self.bump();
                return IndexArg::Slice(None, None);
            }
            Kind::DotDot => {
                self.bump();
                return IndexArg::Slice(None, Some(self.binary()));
            }
            _ => {}
        }
        let from = self.binary();
        if !self.eat(Kind::DotDot) {
            return IndexArg::At(from);
        }
        if matches!(self.raw(), Kind::RBracket | Kind::Comma) {
            return IndexArg::Slice(Some(from), None);
        }
        IndexArg::Slice(Some(from), Some(self.binary()))
    }

    fn atom(&mut self) -> Expr {
        let t = self.token();
        let start = t.span;
        match self.cur_operand() {
            Kind::Ident => {
                self.bump();
                let name = self.ident_of(t);
                Expr { kind: ExprKind::Name(name), span: start }
            }
            Kind::Int | Kind::Float | Kind::Char | Kind::String | Kind::True | Kind::False => {
                let lit = self.literal();
                self.expr_at(ExprKind::Lit(lit), start)
            }
            Kind::Interpolated => self.interpolated(),
            Kind::LParen | Kind::Begin => self.parenthesised(),
            Kind::ParenStar => {
                self.bump();
                Expr { kind: ExprKind::OpName(Ident { name: Ustr::from("*"), span: start }), span: start }
            }
            Kind::LBracket => self.collection(Collection::List),
            Kind::LArray => self.collection(Collection::Array),
            Kind::LBrace => self.record(),
            Kind::LAnon => self.anon_record(),
            Kind::Op if self.prefix_text(&t) => {
                self.bump();
                let op = Ident { name: Ustr::from(self.slice(start)), span: start };
                let e = if self.enter() { self.postfix() } else { self.error_expr() };
                self.leave();
                self.expr_at(ExprKind::Prefix(op, Box::new(e)), start)
            }
            kind => self.other_atom(kind),
        }
    }
}

/// Words that continue a construct around the block.
fn resumes(kind: Kind) -> bool {
    use Kind::{
        And, Arrow, Bar, Done, Downto, Elif, Else, Finally, In, Member, Module, Namespace, Of, Open,
        Override, Static, Then, To, Type, With,
    };
    matches!(
        kind,
        And | Arrow
            | Bar
            | Done
            | Downto
            | Elif
            | Else
            | Finally
            | In
            | Member
            | Module
            | Namespace
            | Of
            | Open
            | Override
            | Static
            | Then
            | To
            | Type
            | With
    )
}

fn starts_atom(kind: Kind) -> bool {
    use Kind::{
        Begin, Char, False, Float, Ident, Int, Interpolated, LAnon, LArray, LBrace, LBracket, LParen, Null,
        ParenStar, String, True,
    };
    matches!(
        kind,
        Begin
            | Char
            | False
            | Float
            | Ident
            | Int
            | Interpolated
            | LAnon
            | LArray
            | LBrace
            | LBracket
            | LParen
            | Null
            | ParenStar
            | String
            | True
    )
}

pub(super) fn starts_expr(kind: Kind) -> bool {
    use Kind::{
        Assert, Base, DoBang, DowncastWord, For, Fun, Function, If, Lazy, Match, MatchBang, Minus, New, Plus,
        Return, ReturnBang, Struct, Try, Underscore, UpcastWord, While, Yield, YieldBang,
    };
    starts_atom(kind)
        || matches!(
            kind,
            Assert
                | Base
                | DoBang
                | DowncastWord
                | For
                | Fun
                | Function
                | If
                | Lazy
                | Match
                | MatchBang
                | Minus
                | New
                | Plus
                | Return
                | ReturnBang
                | Struct
                | Try
                | Underscore
                | UpcastWord
                | While
                | Yield
                | YieldBang
        )
}

/// Whether `(` that touches the expression is its argument list.
fn callable(e: &Expr) -> bool {
    matches!(
        e.kind,
        ExprKind::Name(_)
            | ExprKind::Dot(..)
            | ExprKind::TypeApp(..)
            | ExprKind::App(..)
            | ExprKind::Index(..)
            | ExprKind::Paren(_)
    )
}

fn is_name(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Name(_) => true,
        ExprKind::Dot(inner, _) => is_name(inner),
        _ => false,
    }
}

/// The literal with its sign turned, if it is a number without one.
pub(super) fn negate(lit: &Lit) -> Option<Lit> {
    match lit {
        Lit::Int { value, negative: false, kind, measure } => {
            Some(Lit::Int { value: *value, negative: true, kind: *kind, measure: measure.clone() })
        }
        Lit::Float { value, kind, measure } if !value.is_sign_negative() => {
            Some(Lit::Float { value: -value, kind: *kind, measure: measure.clone() })
        }
        _ => None,
    }
}

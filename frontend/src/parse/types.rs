//! Types, type arguments, measures.

use super::Parser;
use crate::ast::{Ident, MeasureExpr, MeasureKind, Path, TypeArg, TypeExpr, TypeExprKind, TypeParam};
use crate::codes;
use crate::lex::Kind;
use crate::span::Span;
use ustr::Ustr;

impl Parser<'_> {
    fn ty(&self, kind: TypeExprKind, start: Span) -> TypeExpr {
        TypeExpr { kind, span: self.span_from(start) }
    }

    /// A type with arrows.
    pub(super) fn type_expr(&mut self) -> TypeExpr {
        let start = self.token().span;
        if !self.enter() {
            self.leave();
            return self.ty(TypeExprKind::Error, start);
        }
        let from = self.tuple_type();
        let ty = if self.eat(Kind::Arrow) {
            let to = self.type_expr();
            self.ty(TypeExprKind::Fun(Box::new(from), Box::new(to)), start)
        } else {
            from
        };
        self.leave();
        ty
    }

    pub(super) fn tuple_type(&mut self) -> TypeExpr {
        let start = self.token().span;
        let first = self.postfix_type();
        if self.cur() != Kind::Star {
            return first;
        }
        let mut items = vec![first];
        while self.eat(Kind::Star) {
            items.push(self.postfix_type());
        }
        self.ty(TypeExprKind::Tuple(items), start)
    }

    pub(super) fn postfix_type(&mut self) -> TypeExpr {
        let start = self.token().span;
        let mut ty = self.atomic_type();
        let mut count = 0;
        loop {
            if matches!(self.cur(), Kind::Ident | Kind::LBracket) && self.too_long(&mut count, "types") {
                return ty;
            }
            match self.cur() {
                Kind::Ident => {
                    let path = self.path("of a type");
                    ty = self.ty(TypeExprKind::Named { path, args: vec![TypeArg::Type(ty)] }, start);
                }
                Kind::LBracket if self.kind_at(1) == Kind::RBracket => {
                    self.bump();
                    self.bump();
                    ty = self.ty(TypeExprKind::Array(Box::new(ty)), start);
                }
                _ => return ty,
            }
        }
    }

    /// A type without postfix names (those of an `extern`'s result would take its name).
    pub(super) fn atomic_type(&mut self) -> TypeExpr {
        let t = self.token();
        let start = t.span;
        match self.cur_operand() {
            Kind::Ident => {
                let path = self.path("of a type");
                let args = if self.cur() == Kind::Less && self.token().glued {
                    self.type_args()
                } else {
                    Vec::new()
                };
                self.ty(TypeExprKind::Named { path, args }, start)
            }
            Kind::Void => {
                self.bump();
                let unit = Ident { name: Ustr::from("unit"), span: start };
                self.ty(TypeExprKind::Named { path: Path { parts: vec![unit] }, args: Vec::new() }, start)
            }
            Kind::TypeVar => {
                self.bump();
                self.ty(TypeExprKind::Var(Ustr::from(&self.slice(start)[1..])), start)
            }
            Kind::Underscore => {
                self.bump();
                self.ty(TypeExprKind::Wildcard, start)
            }
            Kind::LParen => {
                let inner = self.bracketed(Self::type_expr);
                TypeExpr { kind: inner.kind, span: self.span_from(start) }
            }
            Kind::LAnon => {
                let fields = self.bracketed(|p| {
                    let mut out = Vec::new();
                    while !p.recovering && p.kind_at(0) == Kind::Ident {
                        p.anchor = p.pos;
                        let name = p.ident("of a field");
                        p.expect(Kind::Colon, "`:` after the field's name");
                        out.push((name, p.type_expr()));
                        while p.kind_at(0) == Kind::Semi {
                            p.bump();
                        }
                    }
                    out
                });
                self.ty(TypeExprKind::AnonRecord(fields), start)
            }
            Kind::Struct => {
                self.bump();
                self.unsupported(
                    codes::NO_STRUCT_TUPLE,
                    start,
                    "a struct tuple is outside the subset",
                    "write the tuple without `struct`",
                );
                self.atomic_type()
            }
            _ => {
                self.expected("a type");
                self.ty(TypeExprKind::Error, start.at_start())
            }
        }
    }

    /// `<a, b>`; the `<` is at hand.
    pub(super) fn type_args(&mut self) -> Vec<TypeArg> {
        self.bump();
        let mut args = vec![self.type_arg()];
        while self.eat(Kind::Comma) {
            args.push(self.type_arg());
        }
        self.close_angle();
        args
    }

    /// Takes a `>`, also from the front of a longer token.
    pub(super) fn close_angle(&mut self) {
        let t = self.token();
        if self.recovering {
            return;
        }
        let rest = match t.kind {
            Kind::Greater => {
                self.bump();
                return;
            }
            Kind::RAttr => Kind::RBracket,
            Kind::Op if self.slice(t.span).starts_with('>') => match &self.slice(t.span)[1..] {
                ">" => Kind::Greater,
                "=" => Kind::Eq,
                "|" => Kind::Bar,
                "*" => Kind::Star,
                "-" => Kind::Minus,
                _ => Kind::Op,
            },
            _ => return self.expected("`>` after the type arguments"),
        };
        if let Some(slot) = self.tokens.get_mut(self.pos) {
            slot.kind = rest;
            slot.span.start += 1;
            slot.col += 1;
            slot.first = false;
            slot.glued = true;
        }
    }

    fn type_arg(&mut self) -> TypeArg {
        if self.measure_follows() {
            return TypeArg::Measure(self.measure());
        }
        TypeArg::Type(self.type_expr())
    }

    /// Whether the argument at hand can only be a measure: it holds `/`, `^` or a number.
    fn measure_follows(&self) -> bool {
        let mut depth = 0usize;
        for i in self.pos..self.pos + 64 {
            let t = self.token_at(i);
            match t.kind {
                Kind::Slash | Kind::Caret | Kind::Int => return true,
                Kind::LParen | Kind::Less => depth += 1,
                Kind::RParen | Kind::Greater if depth > 0 => depth -= 1,
                Kind::Ident | Kind::TypeVar | Kind::Dot | Kind::Star | Kind::Minus | Kind::Underscore => {}
                Kind::Comma if depth > 0 => {}
                Kind::Op if self.slice(t.span).starts_with("^-") => return true,
                _ => return false,
            }
        }
        false
    }

    /// Whether `<` at hand, which touches a name, opens type arguments that are closed.
    pub(super) fn type_args_follow(&self) -> bool {
        let mut depth = 0usize;
        let mut brackets = 0usize;
        for i in self.pos..self.pos + 128 {
            let t = self.token_at(i);
            if i > self.pos && t.first && t.col <= self.ctx.col {
                return false;
            }
            match t.kind {
                Kind::Less => depth += 1,
                Kind::Greater => depth -= 1,
                Kind::Op if self.slice(t.span).bytes().all(|b| b == b'>') => {
                    depth = depth.saturating_sub((t.span.end - t.span.start) as usize);
                }
                Kind::RAttr if depth == 1 && brackets == 0 => return true,
                Kind::LParen | Kind::LBracket | Kind::LAnon => brackets += 1,
                Kind::RParen | Kind::RBracket | Kind::RAnon if brackets > 0 => brackets -= 1,
                Kind::Semi | Kind::Colon if brackets > 0 => {}
                Kind::Ident
                | Kind::TypeVar
                | Kind::Dot
                | Kind::Comma
                | Kind::Star
                | Kind::Slash
                | Kind::Caret
                | Kind::Arrow
                | Kind::Underscore
                | Kind::Int => {}
                _ => return false,
            }
            if depth == 0 {
                return brackets == 0;
            }
        }
        false
    }

    // ---- measures

    /// `kg m / s^2`.
    pub(super) fn measure(&mut self) -> MeasureExpr {
        let start = self.token().span;
        if !self.enter() {
            self.leave();
            return MeasureExpr { kind: MeasureKind::Error, span: start };
        }
        let mut left = if self.cur() == Kind::Slash {
            MeasureExpr { kind: MeasureKind::One, span: start.at_start() }
        } else {
            self.measure_power()
        };
        let mut count = 0;
        loop {
            if self.cur() != Kind::Greater && self.too_long(&mut count, "units") {
                break;
            }
            let div = match self.cur() {
                Kind::Slash => true,
                Kind::Star => false,
                Kind::Ident | Kind::TypeVar | Kind::LParen | Kind::Int | Kind::Underscore => {
                    let right = self.measure_power();
                    let kind = MeasureKind::Mul(Box::new(left), Box::new(right));
                    left = MeasureExpr { kind, span: self.span_from(start) };
                    continue;
                }
                _ => break,
            };
            self.bump();
            let right = self.measure_power();
            let (l, r) = (Box::new(left), Box::new(right));
            let kind = if div { MeasureKind::Div(l, r) } else { MeasureKind::Mul(l, r) };
            left = MeasureExpr { kind, span: self.span_from(start) };
        }
        self.leave();
        left
    }

    fn measure_power(&mut self) -> MeasureExpr {
        let t = self.token();
        let kind = match self.cur() {
            Kind::Ident => MeasureKind::Named(self.path("of a unit")),
            Kind::TypeVar => {
                self.bump();
                MeasureKind::Var(Ustr::from(&self.slice(t.span)[1..]))
            }
            Kind::Underscore => {
                self.bump();
                MeasureKind::Wildcard
            }
            Kind::Int if self.slice(t.span) == "1" => {
                self.bump();
                MeasureKind::One
            }
            Kind::LParen => self.bracketed(Self::measure).kind,
            _ => {
                self.expected("a unit of measure");
                MeasureKind::Error
            }
        };
        let base = MeasureExpr { kind, span: self.span_from(t.span) };
        let op = self.token();
        let caret = self.cur() == Kind::Caret;
        let negative =
            caret && self.kind_at(1) == Kind::Minus || self.cur() == Kind::Op && self.slice(op.span) == "^-";
        if !caret && !negative {
            return base;
        }
        self.bump();
        if caret && negative {
            self.bump();
        }
        let number = self.token();
        let Ok(n) = self.slice(number.span).parse::<i32>() else {
            self.expected("a whole number after `^`");
            return base;
        };
        self.bump();
        let n = if negative { -n } else { n };
        MeasureExpr { kind: MeasureKind::Pow(Box::new(base), n), span: self.span_from(t.span) }
    }

    /// `<'T, [<Measure>] 'u>` after a name, if it is there.
    pub(super) fn type_params(&mut self) -> Vec<TypeParam> {
        let mut out = Vec::new();
        let opens = matches!(self.cur(), Kind::Less) && self.token().glued;
        if !opens {
            return out;
        }
        self.bump();
        loop {
            let mut is_measure = false;
            if self.cur() == Kind::LAttr {
                let attributes = self.attributes();
                is_measure = attributes.iter().any(|a| a.path.last().is_some_and(|n| n.name == "Measure"));
            }
            let t = self.token();
            if self.cur() != Kind::TypeVar {
                self.expected("a type parameter such as `'T`");
                break;
            }
            self.bump();
            let name = Ident { name: Ustr::from(&self.slice(t.span)[1..]), span: t.span };
            out.push(TypeParam { name, is_measure });
            if !self.eat(Kind::Comma) {
                break;
            }
        }
        if self.cur() == Kind::When {
            self.constraints();
        }
        self.close_angle();
        out
    }

    /// `when 'T : equality and ...`: skipped to the closing `>`.
    fn constraints(&mut self) {
        let span = self.token().span;
        self.unsupported(
            codes::NO_CONSTRAINTS,
            span,
            "constraints on type parameters are outside the subset",
            "leave them out: what a body needs of its types is found where it is used",
        );
        let mut depth = 0usize;
        while !matches!(self.cur(), Kind::End | Kind::Eq) {
            match self.cur() {
                Kind::LParen | Kind::Less => depth += 1,
                Kind::RParen => depth = depth.saturating_sub(1),
                Kind::Greater if depth == 0 => break,
                Kind::Greater => depth -= 1,
                _ => {}
            }
            self.bump();
        }
    }
}

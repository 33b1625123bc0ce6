//! Ranges: in `for`, and as lists and arrays.
//!
//! A range over integers or characters is a `For`. Over floats it is a `While` that adds the step, as in F#: rounding
//! adds up, and a step of zero stops the program.

use super::Checker;
use super::loops::LoopBody;
use super::types::{Ty, Want, Why};
use crate::ast::{self, Collection, ExprKind as E, Pattern, PatternKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{ExprId, ExprKind, ForStep, LocalId, Prim, Type};
use ustr::Ustr;

/// A range's parts, checked.
struct Parts {
    from: ExprId,
    step: Option<ExprId>,
    to: ExprId,
    ty: Ty,
    span: Span,
}

impl<'a> Checker<'a> {
    fn range_parts(&mut self, range: &'a ast::Expr) -> Option<Parts> {
        let E::Range { from, step, to } = &range.kind else { return None };
        let from = self.branch(from, Want::ANY);
        let ty = self.ty(from);
        let step = step.as_ref().map(|s| self.branch(s, Want::new(ty, Why::Elements(range.span))));
        let to = self.branch(to, Want::new(ty, Why::Elements(self.span(from))));
        self.solve_pending(false);
        Some(Parts { from, step, to, ty, span: range.span })
    }

    pub(crate) fn for_range(
        &mut self,
        pattern: &'a Pattern,
        range: &'a ast::Expr,
        body: &'a ast::Expr,
        span: Span,
        parallel: bool,
    ) -> ExprId {
        if parallel && let E::Range { step, .. } = &range.kind {
            self.check_parallel(range.span, step.is_some());
        }
        let Some(parts) = self.range_parts(range) else { return self.error_expr(span) };
        let ty = parts.ty;
        match self.types.shape(ty) {
            Some(Type::Float(..)) if !parallel => {
                let run = |c: &mut Self, x: LocalId| {
                    let value = c.local_expr(x, pattern.span);
                    c.element_body(value, ty, pattern, LoopBody::Source(body))
                };
                return self.float_loop(&parts, run);
            }
            Some(Type::Char) if !parallel => {
                let run =
                    |c: &mut Self, value: ExprId| c.element_body(value, ty, pattern, LoopBody::Source(body));
                return self.char_loop(&parts, run);
            }
            _ => self.require_range(ty, range.span),
        }
        let (local, inner);
        match &super::decls::strip(pattern).kind {
            PatternKind::Name(name) if !self.pattern_name_is_case(*name) => {
                local = self.new_local(name.name, ty, false, name.span);
                self.bind_name(name.name, super::Value::Local(local));
                inner = self.parallel_body(body, parallel);
            }
            PatternKind::Wildcard => {
                local = self.temp("_", ty, pattern.span);
                inner = self.parallel_body(body, parallel);
            }
            _ => {
                local = self.temp("item", ty, pattern.span);
                let value = self.local_expr(local, pattern.span);
                inner = self.element_body(value, ty, pattern, LoopBody::Source(body));
            }
        }
        self.int_loop(&parts, local, inner, parallel, span)
    }

    fn int_loop(&mut self, parts: &Parts, var: LocalId, body: ExprId, parallel: bool, span: Span) -> ExprId {
        let unit = self.types.known.unit;
        let step = parts.step.map_or(ForStep::Up, ForStep::By);
        let (from, to) = (parts.from, parts.to);
        self.push(ExprKind::For { var, from, to, step, parallel, body }, unit, span)
    }

    /// `[a .. s .. b]`.
    pub(crate) fn range_collection(
        &mut self,
        range: &'a ast::Expr,
        kind: Collection,
        span: Span,
        want: Want,
    ) -> ExprId {
        let Some(parts) = self.range_parts(range) else { return self.error_expr(span) };
        let ty = parts.ty;
        let shape = self.types.shape(ty).cloned();
        if !matches!(shape, Some(Type::Float(..) | Type::Char)) {
            self.require_range(ty, range.span);
        }
        let collector = self.start_collecting(ty, false, span);
        let at = range.span;
        let loop_ = match shape {
            Some(Type::Float(..)) => self.float_loop(&parts, |c, x| {
                let value = c.local_expr(x, at);
                c.push_element(collector, value, at)
            }),
            Some(Type::Char) => self.char_loop(&parts, |c, value| c.push_element(collector, value, at)),
            _ => {
                let var = self.temp("item", ty, at);
                let value = self.local_expr(var, at);
                let body = self.push_element(collector, value, at);
                self.int_loop(&parts, var, body, false, span)
            }
        };
        let id = self.collected(collector, loop_, kind, span);
        self.coerce(id, want)
    }

    /// Over the scalars from one character to another.
    fn char_loop(&mut self, parts: &Parts, body: impl FnOnce(&mut Self, ExprId) -> ExprId) -> ExprId {
        let known = self.types.known;
        let span = parts.span;
        let as_int = |c: &mut Self, e: ExprId| c.push(ExprKind::Convert(e), known.int, span);
        let from = as_int(self, parts.from);
        let step = parts.step.map(|s| as_int(self, s));
        let to = as_int(self, parts.to);
        let var = self.temp("item", known.int, span);
        let number = self.local_expr(var, span);
        let value = self.push(ExprKind::Convert(number), known.char, span);
        let body = body(self, value);
        self.int_loop(&Parts { from, step, to, ty: known.int, span }, var, body, false, span)
    }

    /// `let mutable x = from in while (if step < 0 then x >= to else x <= to) do body; x <- x + step`.
    fn float_loop(&mut self, parts: &Parts, body: impl FnOnce(&mut Self, LocalId) -> ExprId) -> ExprId {
        let known = self.types.known;
        let (ty, span) = (parts.ty, parts.span);
        let one = |c: &mut Self| c.push(ExprKind::Float(1.0), ty, span);
        let step_value = parts.step.unwrap_or_else(|| one(self));
        let x = self.new_local(Ustr::from("item"), ty, true, span);
        let step = self.temp("step", ty, span);
        let to = self.temp("to", ty, span);
        let compare = |c: &mut Self, prim: Prim, a: LocalId, b: ExprId| {
            let a = c.local_expr(a, span);
            c.push(ExprKind::Prim(prim, vec![a, b]), known.bool, span)
        };
        let zero = |c: &mut Self| c.push(ExprKind::Float(0.0), ty, span);
        let nothing = zero(self);
        let falls = compare(self, Prim::Lt, step, nothing);
        let end = self.local_expr(to, span);
        let above = compare(self, Prim::Ge, x, end);
        let end = self.local_expr(to, span);
        let below = compare(self, Prim::Le, x, end);
        let cond = self.push(ExprKind::If { cond: falls, then: above, otherwise: below }, known.bool, span);
        let inner = body(self, x);
        let (at, by) = (self.local_expr(x, span), self.local_expr(step, span));
        let next = self.push(ExprKind::Prim(Prim::Add, vec![at, by]), ty, span);
        let advance = self.push(ExprKind::Assign(x, next), known.unit, span);
        let both = self.push(ExprKind::Seq(vec![inner, advance]), known.unit, span);
        let loop_ = self.push(ExprKind::While { cond, body: both }, known.unit, span);
        let nothing = zero(self);
        let stands = compare(self, Prim::Eq, step, nothing);
        let why = self.push(ExprKind::String(Ustr::from("the step of a range is zero")), known.string, span);
        let fail = self.push(ExprKind::Fail(why), known.unit, span);
        let otherwise = self.unit(span);
        let check = self.push(ExprKind::If { cond: stands, then: fail, otherwise }, known.unit, span);
        let mut all = self.push(ExprKind::Seq(vec![check, loop_]), known.unit, span);
        // Evaluated in the order written: first, step, last.
        for (local, value) in [(to, parts.to), (step, step_value), (x, parts.from)] {
            all = self.push(ExprKind::Let { local, value, body: all }, known.unit, span);
        }
        all
    }

    fn require_range(&mut self, ty: Ty, span: Span) {
        match self.types.shape(ty) {
            None => {
                let int = self.types.known.int;
                let _ = self.types.unify(ty, int);
            }
            Some(Type::Int(..) | Type::Error) => {}
            Some(_) => {
                let shown = self.show(ty);
                self.diags.push(
                    Diagnostic::error(
                        codes::TYPE_MISMATCH,
                        span,
                        format!("a range runs over numbers or characters, not over `{shown}`"),
                    )
                    .help("run over integers and convert inside: `for i in 0 .. n do let x = f i`"),
                );
            }
        }
    }

    pub(crate) fn bare_range(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        self.diags.push(
            Diagnostic::error(codes::MISPLACED, e.span, "a range cannot stand here")
                .help("write a list `[a .. b]`, or use it in `for x in a .. b do`"),
        );
        let _ = want;
        self.error_expr(e.span)
    }
}

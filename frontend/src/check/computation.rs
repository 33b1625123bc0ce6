//! `seq { .. }` and computation expressions by builder, as calls.
//!
//! Parts of such an expression are checked with [`Why::InSeq`] or [`Why::InBuilder`], which branches, matches and
//! bindings hand on to their bodies; so only the forms that mean something else inside are here.

use super::decls::bare;
use super::types::{Ty, Want, Why};
use super::{Checker, Value};
use crate::ast::{self, ExprKind as E, Ident, Pattern};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{Arm, ExprId, ExprKind, Type, TypeArg};
use smallvec::SmallVec;
use ustr::Ustr;

impl<'a> Checker<'a> {
    // --- seq

    pub(crate) fn seq_expr(&mut self, body: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        let Some(seq) = self.core.seq else { return self.error_expr(span) };
        let element = match want.ty.and_then(|t| self.types.shape(t)) {
            Some(Type::Named(d, args)) if *d == seq => super::loops::first_type(args),
            _ => None,
        };
        let element = element.unwrap_or_else(|| self.types.fresh());
        let ty = self.types.make(Type::Named(seq, SmallVec::from_vec(vec![TypeArg::Type(element)])));
        let outer = std::mem::take(&mut self.cx.yields);
        let id = match &body.kind {
            E::Range { from, step, to } => self.seq_range(from, step.as_deref(), to, span),
            _ => self.delayed_seq(body, ty, span),
        };
        self.cx.yields = outer;
        self.coerce(id, want)
    }

    /// `seq { from .. step .. to }`.
    fn seq_range(
        &mut self,
        from: &'a ast::Expr,
        step: Option<&'a ast::Expr>,
        to: &'a ast::Expr,
        span: Span,
    ) -> ExprId {
        let int = self.types.known.int;
        let from = self.branch(from, Want::ANY);
        let ty = self.ty(from);
        let at = self.span(from);
        let step = match step {
            Some(step) => self.branch(step, Want::new(ty, Why::Elements(at))),
            None => {
                let one = self.push(ExprKind::Int(1), int, span);
                self.call_library(&["Core", "Number"], "ofInt", &[one], span).unwrap_or(one)
            }
        };
        let to = self.branch(to, Want::new(ty, Why::Elements(at)));
        if matches!(self.types.shape(ty), Some(Type::Char)) {
            return self.call_library(&["Seq"], "rangeOfChars", &[from, to], span).unwrap_or(from);
        }
        match self.call_library(&["Seq"], "range", &[from, step, to], span) {
            Some(id) => id,
            None => self.error_expr(span),
        }
    }

    fn delayed_seq(&mut self, body: &'a ast::Expr, ty: Ty, span: Span) -> ExprId {
        let thunk = self.thunk(span, |c| c.branch(body, Want::new(ty, Why::InSeq)));
        self.call_seq("delay", &[thunk], ty, span)
    }

    /// `fun () -> e`.
    fn thunk(&mut self, span: Span, body: impl FnOnce(&mut Self) -> ExprId) -> ExprId {
        let unit = self.types.known.unit;
        self.cx.depth += 1;
        let local = self.temp("unit", unit, span);
        let body = body(self);
        self.cx.depth -= 1;
        let to = self.ty(body);
        let ty = self.types.fun(unit, to);
        self.push(ExprKind::Lambda { params: vec![local], body }, ty, span)
    }

    fn call_seq(&mut self, name: &str, args: &[ExprId], ty: Ty, span: Span) -> ExprId {
        match self.call_library(&["Seq"], name, args, span) {
            Some(id) => {
                let found = self.ty(id);
                self.unify_at(ty, found, span, Why::Nothing);
                id
            }
            None => {
                self.diags.push(Diagnostic::error(
                    codes::UNKNOWN_NAME,
                    span,
                    format!("the library does not define `Seq.{name}`, which `seq` needs"),
                ));
                self.error_expr(span)
            }
        }
    }

    fn empty_seq(&mut self, ty: Ty, span: Span) -> ExprId {
        match self.library_value(&["Seq"], "empty") {
            Some(def) => {
                let (id, found) = self.use_def(def, span);
                self.unify_at(ty, found, span, Why::Nothing);
                id
            }
            None => self.error_expr(span),
        }
    }

    /// A part of `seq { .. }`: a sequence.
    pub(crate) fn in_seq(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        let ty = want.ty.unwrap_or(self.types.known.error);
        let element = match self.types.shape(ty) {
            Some(Type::Named(_, args)) => super::loops::first_type(args),
            _ => None,
        };
        let element = element.unwrap_or(self.types.known.error);
        match &e.kind {
            E::Paren(inner) => self.in_seq(inner, want),
            E::Range { from, step, to } => {
                let range = self.seq_range(from, step.as_deref(), to, e.span);
                self.coerce(range, Want::new(ty, Why::Nothing))
            }
            E::Yield { value, bang: false } => {
                let value = self.branch(value, Want::new(element, Why::Nothing));
                self.call_seq("singleton", &[value], ty, e.span)
            }
            E::Yield { value, bang: true } => self.branch(value, Want::new(ty, Why::Nothing)),
            E::Let { .. } | E::Match { .. } | E::If { otherwise: Some(_), .. } => self.expr_by_kind(e, want),
            E::If { cond, then, otherwise: None } => {
                let bool_ = self.types.known.bool;
                let cond = self.branch(cond, Want::new(bool_, Why::Condition));
                let then = self.branch(then, want);
                let otherwise = self.empty_seq(ty, e.span);
                self.push(ExprKind::If { cond, then, otherwise }, ty, e.span)
            }
            E::Seq(items) => self.seq_parts(items, ty, e.span),
            E::ForIn { pattern, source, body } => self.seq_for(pattern, source, body, ty, e.span),
            E::ForTo { .. } => {
                self.diags.push(
                    Diagnostic::error(codes::MISPLACED, e.span, "`for .. to` cannot stand in `seq`")
                        .help("write `for i in a .. b do`"),
                );
                self.error_expr(e.span)
            }
            E::While { cond, body } => {
                let bool_ = self.types.known.bool;
                let test = self.thunk(cond.span, |c| c.branch(cond, Want::new(bool_, Why::Condition)));
                let body = self.delayed_seq(body, ty, e.span);
                self.call_seq("whileLoop", &[test, body], ty, e.span)
            }
            _ => {
                let id = self.plain(e, Want::ANY);
                let found = self.ty(id);
                if matches!(self.types.shape(found), Some(Type::Unit | Type::Error)) {
                    let rest = self.empty_seq(ty, e.span);
                    return self.push(ExprKind::Seq(vec![id, rest]), ty, e.span);
                }
                self.unify_at(element, found, e.span, Why::Nothing);
                self.call_seq("singleton", &[id], ty, e.span)
            }
        }
    }

    fn seq_parts(&mut self, items: &'a [ast::Expr], ty: Ty, span: Span) -> ExprId {
        let Some((first, rest)) = items.split_first() else { return self.empty_seq(ty, span) };
        if rest.is_empty() {
            return self.branch(first, Want::new(ty, Why::InSeq));
        }
        if is_effect(first) {
            let effect = self.statement(first);
            let rest = self.seq_parts(rest, ty, span);
            return self.push(ExprKind::Seq(vec![effect, rest]), ty, span);
        }
        let head = self.branch(first, Want::new(ty, Why::InSeq));
        let thunk = self.thunk(span, |c| c.seq_parts(rest, ty, span));
        let tail = self.call_seq("delay", &[thunk], ty, span);
        self.call_seq("append", &[head, tail], ty, span)
    }

    fn seq_for(
        &mut self,
        pattern: &'a Pattern,
        source: &'a ast::Expr,
        body: &'a ast::Expr,
        ty: Ty,
        span: Span,
    ) -> ExprId {
        let source = if let E::Range { from, step, to } = &bare(source).kind {
            self.seq_range(from, step.as_deref(), to, source.span)
        } else {
            self.branch(source, Want::ANY)
        };
        let Some(seq) = self.core.seq else { return self.error_expr(span) };
        let element = self.types.fresh();
        let wanted = self.types.make(Type::Named(seq, SmallVec::from_vec(vec![TypeArg::Type(element)])));
        let source = self.coerce(source, Want::new(wanted, Why::Nothing));
        let f = self.pattern_lambda(pattern, element, span, |c| c.branch(body, Want::new(ty, Why::InSeq)));
        self.call_seq("collect", &[f, source], ty, span)
    }

    /// `fun p -> body`.
    fn pattern_lambda(
        &mut self,
        pattern: &'a Pattern,
        ty: Ty,
        span: Span,
        body: impl FnOnce(&mut Self) -> ExprId,
    ) -> ExprId {
        self.cx.depth += 1;
        let mark = self.mark();
        let local = self.temp("value", ty, pattern.span);
        let pat = self.pattern(pattern, ty);
        let body = body(self);
        self.leave(mark);
        let scrutinee = self.local_expr(local, pattern.span);
        let to = self.ty(body);
        let inner =
            self.push(ExprKind::Match { scrutinee, arms: vec![Arm { pat, guard: None, body }] }, to, span);
        self.cx.matches.push((inner, super::MatchOrigin::Binding));
        self.cx.depth -= 1;
        let fun = self.types.fun(ty, to);
        self.push(ExprKind::Lambda { params: vec![local], body: inner }, fun, span)
    }

    // --- builders

    pub(crate) fn computation(
        &mut self,
        builder: &'a ast::Expr,
        body: &'a ast::Expr,
        span: Span,
        want: Want,
    ) -> ExprId {
        let value = self.expr(builder, Want::ANY);
        let ty = self.ty(value);
        if matches!(self.types.shape(ty), Some(Type::Error)) {
            return self.error_expr(span);
        }
        let local = self.temp("builder", ty, builder.span);
        let outer = self.cx.builder.replace(local);
        let yields = std::mem::take(&mut self.cx.yields);
        let inner = Want { ty: None, why: Why::InBuilder };
        let mut id = if self.builder_has("Delay") {
            let thunk = self.thunk(span, |c| c.branch(body, inner));
            self.builder_call("Delay", vec![Part::Done(thunk)], span)
        } else {
            self.branch(body, inner)
        };
        if self.builder_has("Run") {
            id = self.builder_call("Run", vec![Part::Done(id)], span);
        }
        self.cx.builder = outer;
        self.cx.yields = yields;
        let result = self.ty(id);
        let whole = self.push(ExprKind::Let { local, value, body: id }, result, span);
        self.coerce(whole, want)
    }

    fn builder_has(&self, name: &str) -> bool {
        let Some(local) = self.cx.builder else { return false };
        let ty = self.cx.body.locals[local.index()].ty;
        match self.types.shape(ty) {
            Some(Type::Named(d, _)) => self.type_info[d.index()].members.iter().any(|m| m.name == name),
            _ => false,
        }
    }

    /// `builder.Name(parts)`. Functions among the parts are made when their parameter's type is known.
    fn builder_call(&mut self, name: &str, parts: Vec<Part<'a, '_>>, span: Span) -> ExprId {
        let Some(local) = self.cx.builder else { return self.error_expr(span) };
        let ty = self.cx.body.locals[local.index()].ty;
        let member = match self.types.shape(ty) {
            Some(Type::Named(d, _)) => {
                self.type_info[d.index()].members.iter().find(|m| m.name == name).map(|m| m.value)
            }
            _ => None,
        };
        let Some(member) = member else {
            let shown = self.show(ty);
            self.diags.push(
                Diagnostic::error(
                    codes::UNKNOWN_MEMBER,
                    span,
                    format!("the builder `{shown}` has no member `{name}`, which this form needs"),
                )
                .help(format!("add `member _.{name}(..) = ..` to the builder's type")),
            );
            return self.error_expr(span);
        };
        let ident = Ident { name: Ustr::from(name), span };
        let (callee, fun) = self.value_expr(member, ident);
        let Some((this, rest)) = self.types.as_fun(fun) else { return self.error_expr(span) };
        self.unify_at(this, ty, span, Why::Nothing);
        let Some((arg, result)) = self.types.as_fun(rest) else { return self.error_expr(span) };
        let tys: Vec<Ty> = if parts.len() == 1 {
            vec![arg]
        } else {
            let tys: Vec<Ty> = parts.iter().map(|_| self.types.fresh()).collect();
            let tuple = self.types.make(Type::Tuple(tys.clone()));
            self.unify_at(arg, tuple, span, Why::Nothing);
            tys
        };
        let mut ids = Vec::with_capacity(parts.len());
        for (part, &ty) in parts.into_iter().zip(&tys) {
            let id = match part {
                Part::Done(id) => self.coerce(id, Want::new(ty, Why::Nothing)),
                Part::Source(e) => self.plain(e, Want::new(ty, Why::Nothing)),
                Part::Function(pattern, body) => {
                    let from = self.types.as_fun(ty).map_or(self.types.known.error, |f| f.0);
                    let id = self.pattern_lambda(pattern, from, span, body);
                    self.coerce(id, Want::new(ty, Why::Nothing))
                }
            };
            ids.push(id);
        }
        let arg_id = match ids.as_slice() {
            [one] => *one,
            _ => self.push(ExprKind::Tuple(ids), arg, span),
        };
        let receiver = self.local_expr(local, span);
        self.push(ExprKind::App(callee, vec![receiver, arg_id]), result, span)
    }

    /// A part of a computation by builder.
    pub(crate) fn in_builder(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        let id = self.in_builder_any(e, want);
        match want.ty {
            Some(ty) => self.coerce(id, Want::new(ty, Why::Nothing)),
            None => id,
        }
    }

    fn in_builder_any(&mut self, e: &'a ast::Expr, want: Want) -> ExprId {
        let span = e.span;
        let inner = Want { ty: None, why: Why::InBuilder };
        match &e.kind {
            E::Paren(x) => self.in_builder(x, want),
            E::Return { value, bang } => {
                let name = if *bang { "ReturnFrom" } else { "Return" };
                self.builder_call(name, vec![Part::Source(value)], span)
            }
            E::Yield { value, bang } => {
                let name = if *bang { "YieldFrom" } else { "Yield" };
                self.builder_call(name, vec![Part::Source(value)], span)
            }
            E::LetBang { pattern, value, body } => {
                let rest = Box::new(move |c: &mut Self| c.branch(body, inner));
                self.builder_call("Bind", vec![Part::Source(value), Part::Function(pattern, rest)], span)
            }
            E::MatchBang { scrutinee, arms } => {
                let local = self.temp("matched", self.types.known.error, span);
                let rest = Box::new(move |c: &mut Self| {
                    let value = c.local_expr(local, span);
                    c.match_on(value, arms, span, inner)
                });
                self.bind_to(scrutinee, local, rest, span)
            }
            E::DoBang(x) => self.bind_unit(x, None, span),
            E::Let { .. } | E::Match { .. } | E::If { otherwise: Some(_), .. } => {
                self.expr_by_kind(e, Want { ty: want.ty, why: Why::InBuilder })
            }
            E::If { cond, then, otherwise: None } => {
                let bool_ = self.types.known.bool;
                let cond = self.branch(cond, Want::new(bool_, Why::Condition));
                let then = self.branch(then, inner);
                let ty = self.ty(then);
                let otherwise = self.builder_zero(span);
                let otherwise = self.coerce(otherwise, Want::new(ty, Why::Branches(span)));
                self.push(ExprKind::If { cond, then, otherwise }, ty, span)
            }
            E::Seq(items) => self.builder_parts(items, span),
            E::ForIn { pattern, source, body } => {
                let rest = Box::new(move |c: &mut Self| c.branch(body, inner));
                let source = if let E::Range { .. } = &bare(source).kind {
                    Part::Done(self.range_collection(
                        bare(source),
                        ast::Collection::List,
                        source.span,
                        Want::ANY,
                    ))
                } else {
                    Part::Source(source)
                };
                self.builder_call("For", vec![source, Part::Function(pattern, rest)], span)
            }
            E::While { cond, body } => {
                let bool_ = self.types.known.bool;
                let test = self.thunk(cond.span, |c| c.branch(cond, Want::new(bool_, Why::Condition)));
                let body = self.thunk(span, |c| c.branch(body, inner));
                let body = if self.builder_has("Delay") {
                    self.builder_call("Delay", vec![Part::Done(body)], span)
                } else {
                    body
                };
                self.builder_call("While", vec![Part::Done(test), Part::Done(body)], span)
            }
            _ => {
                let effect = self.statement_plain(e);
                let zero = self.builder_zero(span);
                let ty = self.ty(zero);
                self.push(ExprKind::Seq(vec![effect, zero]), ty, span)
            }
        }
    }

    fn statement_plain(&mut self, e: &'a ast::Expr) -> ExprId {
        self.statement(e)
    }

    fn builder_zero(&mut self, span: Span) -> ExprId {
        let unit = self.unit(span);
        self.builder_call("Zero", vec![Part::Done(unit)], span)
    }

    /// `do! x; rest`.
    fn bind_unit(&mut self, x: &'a ast::Expr, rest: Option<&'a [ast::Expr]>, span: Span) -> ExprId {
        let local = self.temp("unit", self.types.known.unit, span);
        let then = Box::new(move |c: &mut Self| match rest {
            Some(items) => c.builder_parts(items, span),
            None => {
                let unit = c.unit(span);
                if c.builder_has("Return") {
                    c.builder_call("Return", vec![Part::Done(unit)], span)
                } else {
                    c.builder_zero(span)
                }
            }
        });
        self.bind_to(x, local, then, span)
    }

    /// `Bind(value, fun local -> then)`.
    fn bind_to(
        &mut self,
        value: &'a ast::Expr,
        local: crate::typed::LocalId,
        then: Box<dyn FnOnce(&mut Self) -> ExprId + 'a>,
        span: Span,
    ) -> ExprId {
        let value = self.plain(value, Want::ANY);
        let ty = self.types.fresh();
        self.cx.body.locals[local.index()].ty = ty;
        self.cx.depths[local.index()] = self.cx.depth + 1;
        let to = self.types.fresh();
        let fun = self.types.fun(ty, to);
        // The builder's signature tells the bound type before the body is looked at.
        let node = self.push(ExprKind::Error, fun, span);
        let call = self.builder_call("Bind", vec![Part::Done(value), Part::Done(node)], span);
        self.cx.depth += 1;
        let body = then(self);
        self.cx.depth -= 1;
        let found = self.ty(body);
        self.unify_at(to, found, span, Why::Nothing);
        self.cx.body.exprs[node.index()].kind = ExprKind::Lambda { params: vec![local], body };
        call
    }

    fn builder_parts(&mut self, items: &'a [ast::Expr], span: Span) -> ExprId {
        let inner = Want { ty: None, why: Why::InBuilder };
        let Some((first, rest)) = items.split_first() else { return self.builder_zero(span) };
        if rest.is_empty() {
            return self.branch(first, inner);
        }
        if let E::DoBang(x) = &bare(first).kind {
            return self.bind_unit(x, Some(rest), span);
        }
        if is_effect(first) {
            let effect = self.statement_plain(first);
            let rest = self.builder_parts(rest, span);
            let ty = self.ty(rest);
            return self.push(ExprKind::Seq(vec![effect, rest]), ty, span);
        }
        let head = self.branch(first, inner);
        let thunk = self.thunk(span, |c| c.builder_parts(rest, span));
        let tail = if self.builder_has("Delay") {
            self.builder_call("Delay", vec![Part::Done(thunk)], span)
        } else {
            thunk
        };
        self.builder_call("Combine", vec![Part::Done(head), Part::Done(tail)], span)
    }

    /// A builder's cases of an active pattern under definition, by name.
    pub(crate) fn choice_named(&self, name: Ustr) -> Option<Value> {
        self.cx.choices.iter().find(|c| c.0 == name).map(|c| Value::Case(c.1, c.2))
    }
}

type MakeBody<'a, 'f> = Box<dyn FnOnce(&mut Checker<'a>) -> ExprId + 'f>;

enum Part<'a, 'f> {
    Done(ExprId),
    Source(&'a ast::Expr),
    Function(&'a Pattern, MakeBody<'a, 'f>),
}

/// A statement that is only run: nothing in it belongs to the computation.
fn is_effect(e: &ast::Expr) -> bool {
    match &e.kind {
        E::Paren(e) => is_effect(e),
        E::Yield { .. } | E::Return { .. } | E::DoBang(_) | E::LetBang { .. } | E::MatchBang { .. } => false,
        E::If { then, otherwise, .. } => is_effect(then) && otherwise.as_deref().is_none_or(is_effect),
        E::Seq(items) => items.iter().all(is_effect),
        E::Let { body, .. } | E::ForIn { body, .. } | E::ForTo { body, .. } | E::While { body, .. } => {
            is_effect(body)
        }
        E::Match { arms, .. } => arms.iter().all(|a| is_effect(&a.body)),
        _ => true,
    }
}

//! Local definitions: values, patterns, functions (generalised where they may be), active patterns, `use`.

use super::decls::{is_syntactic_value, strip};
use super::types::{Ty, Want, Why};
use super::{Checker, LocalScheme, MatchOrigin, Value};
use crate::ast::{self, Binding, BindingHead, Pattern, PatternKind};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{self, ExprId, ExprKind, LocalId, Type};
use ustr::Ustr;

impl<'a> Checker<'a> {
    pub(crate) fn local_let(
        &mut self,
        group: &'a ast::LetGroup,
        body: &'a ast::Expr,
        span: Span,
        want: Want,
    ) -> ExprId {
        if group.is_rec || group.bindings.len() > 1 {
            return self.local_rec(group, body, span, want);
        }
        let Some(b) = group.bindings.first() else { return self.expr(body, want) };
        match &b.head {
            BindingHead::Name { name, params, .. } if params.is_empty() => {
                self.local_value(b, *name, body, span, want)
            }
            BindingHead::Pattern(p) => self.local_pattern(b, p, body, span, want),
            BindingHead::Name { .. } | BindingHead::ActivePattern { .. } => {
                self.local_rec(group, body, span, want)
            }
        }
    }

    fn binding_want(&mut self, b: &'a Binding) -> Want {
        match &b.ret {
            Some(t) => Want::new(self.type_expr(t), Why::Annotation(t.span)),
            None => Want::ANY,
        }
    }

    fn local_value(
        &mut self,
        b: &'a Binding,
        name: ast::Ident,
        body: &'a ast::Expr,
        span: Span,
        want: Want,
    ) -> ExprId {
        let general = !b.is_mutable && is_syntactic_value(&b.body);
        self.types.level += u32::from(general);
        let first_pending = self.cx.pending.len();
        let value_want = self.binding_want(b);
        let value = self.branch(&b.body, value_want);
        let ty = self.ty(value);
        let scheme = if general { self.generalise(ty, first_pending) } else { None };
        let local = self.new_local(name.name, ty, b.is_mutable, name.span);
        if let Some(scheme) = scheme {
            self.cx.schemes.insert(local, scheme);
        }
        if let Some(element) = self.address_element(value) {
            self.cx.address_of.insert(local, element);
        }
        if name.name != "_" {
            self.bind_name(name.name, Value::Local(local));
        }
        let body_id = self.expr(body, want);
        let body_id = if b.is_use { self.dispose_after(local, body_id, b.span) } else { body_id };
        let ty = self.ty(body_id);
        self.push(ExprKind::Let { local, value, body: body_id }, ty, span)
    }

    /// Leaves the level of a generic binding; its type's own variables become parameters, unless an open operator
    /// constraint holds them.
    fn generalise(&mut self, ty: Ty, first_pending: usize) -> Option<LocalScheme> {
        self.types.level -= 1;
        if self.cx.pending.len() > first_pending {
            self.solve_pending(false);
            let level = self.types.level;
            for n in 0..self.cx.pending.len() {
                for ty in self.cx.pending[n].types() {
                    self.types.lower(ty, level, None);
                }
            }
        }
        let (first, kinds) = self.types.generalise_local(ty);
        (!kinds.is_empty()).then_some(LocalScheme { first, kinds, ty })
    }

    fn local_pattern(
        &mut self,
        b: &'a Binding,
        p: &'a Pattern,
        body: &'a ast::Expr,
        span: Span,
        want: Want,
    ) -> ExprId {
        let mut value_want = self.binding_want(b);
        if value_want.ty.is_none() && matches!(strip(p).kind, PatternKind::Typed(..) | PatternKind::Tuple(_))
        {
            let ty = self.param_type(p);
            value_want = Want::new(ty, Why::Pattern(p.span));
        }
        let scrutinee = self.branch(&b.body, value_want);
        let ty = self.ty(scrutinee);
        let first_local = self.cx.body.locals.len();
        let pat = self.pattern(p, ty);
        if b.is_mutable {
            for l in &mut self.cx.body.locals[first_local..] {
                l.is_mutable = true;
            }
        }
        let body = self.expr(body, want);
        let ty = self.ty(body);
        let id = self.push(
            ExprKind::Match { scrutinee, arms: vec![typed::Arm { pat, guard: None, body }] },
            ty,
            span,
        );
        self.cx.matches.push((id, MatchOrigin::Binding));
        id
    }

    /// Local functions, recursive or not, and active patterns.
    fn local_rec(&mut self, group: &'a ast::LetGroup, body: &'a ast::Expr, span: Span, want: Want) -> ExprId {
        self.types.level += 1;
        let first_pending = self.cx.pending.len();
        let mut locals = Vec::with_capacity(group.bindings.len());
        let outer_names = self.mark();
        for b in &group.bindings {
            let (name, at) = match &b.head {
                BindingHead::Name { name, .. } => (name.name, name.span),
                BindingHead::ActivePattern { cases, span, .. } => {
                    (cases.first().map_or(Ustr::from("_"), |c| c.name), *span)
                }
                BindingHead::Pattern(p) => (Ustr::from("_"), p.span),
            };
            let ty = self.types.fresh();
            let local = self.new_local(name, ty, b.is_mutable, at);
            if group.is_rec {
                self.bind_name(name, Value::Local(local));
            }
            locals.push((local, ty));
        }
        let mut bindings = Vec::with_capacity(locals.len());
        for (b, &(local, ty)) in group.bindings.iter().zip(&locals) {
            let saved = self.cx.type_vars.clone();
            if let BindingHead::Name { type_params, .. } = &b.head {
                // A local function's own type variables are found by inference.
                for p in type_params {
                    let var = if p.is_measure {
                        super::tyexpr::NamedVar::Measure(self.types.fresh_measure(false))
                    } else {
                        super::tyexpr::NamedVar::Type(self.types.fresh())
                    };
                    self.cx.type_vars.insert(p.name.name, var);
                }
            }
            let outer = self.cx.choices.len();
            if let BindingHead::ActivePattern { cases, partial, span, .. } = &b.head {
                let more = self.choices(cases, *partial, *span);
                self.cx.choices.extend(more);
            }
            let value = self.local_function(b, ty);
            self.cx.choices.truncate(outer);
            self.cx.type_vars = saved;
            bindings.push((local, value));
        }
        let all: Vec<Ty> = locals.iter().map(|l| l.1).collect();
        let whole = if let [one] = all.as_slice() { *one } else { self.types.make(Type::Tuple(all)) };
        if let Some(scheme) = self.generalise(whole, first_pending) {
            for &(local, ty) in &locals {
                self.cx.schemes.insert(local, LocalScheme { ty, ..scheme.clone() });
            }
        }
        self.leave(outer_names);
        for (b, &(local, _)) in group.bindings.iter().zip(&locals) {
            match &b.head {
                BindingHead::Name { name, .. } => self.bind_name(name.name, Value::Local(local)),
                BindingHead::ActivePattern { cases, partial, .. } => {
                    let index = self.actives.len() as u32;
                    let names = cases.iter().map(|c| c.name).collect();
                    self.actives.push(super::Active {
                        function: Value::Local(local),
                        cases: names,
                        partial: *partial,
                    });
                    for (n, c) in cases.iter().enumerate() {
                        self.bind_name(c.name, Value::Active(index, n as u32));
                    }
                }
                BindingHead::Pattern(_) => {}
            }
        }
        let body = self.expr(body, want);
        let ty = self.ty(body);
        self.push(ExprKind::LetRec { bindings, body }, ty, span)
    }

    fn local_function(&mut self, b: &'a Binding, ty: Ty) -> ExprId {
        let params: &'a [Pattern] = match &b.head {
            BindingHead::Name { params, .. } | BindingHead::ActivePattern { params, .. } => params,
            BindingHead::Pattern(_) => &[],
        };
        if params.is_empty() {
            let want = self.binding_want(b);
            let id = self.branch(&b.body, want);
            let found = self.ty(id);
            self.unify_at(ty, found, b.span, Why::Bound);
            if !matches!(self.cx.body[id].kind, ExprKind::Lambda { .. } | ExprKind::Error) {
                self.diags.push(
                    Diagnostic::error(
                        codes::MISPLACED,
                        b.span,
                        "only functions can be recursive with `let rec`",
                    )
                    .help("give it a parameter, for example `()`"),
                );
            }
            return id;
        }
        self.cx.depth += 1;
        // Uses in a recursive function's own body fix its type before the end: start from the shape.
        let (locals, body, fun) = self.function(params, b.ret.as_ref(), &b.body, Some(ty));
        self.cx.depth -= 1;
        self.push(ExprKind::Lambda { params: locals, body }, fun, b.span)
    }

    /// `use x = e in body`: `x.Dispose()` after the body.
    fn dispose_after(&mut self, local: LocalId, body: ExprId, span: Span) -> ExprId {
        let receiver = self.local_expr(local, span);
        let ident = ast::Ident { name: Ustr::from("Dispose"), span };
        let errors = self.diags.len();
        let Some(callee) = self.member(receiver, ident, span) else {
            let help =
                "`use` calls `Dispose` at the end of its block: where nothing is to be released, write `let`";
            if self.diags.len() > errors
                && let Some(missing) = self.diags.pop()
            {
                self.diags.push(missing.help(help));
            }
            return body;
        };
        let unit = self.unit(span);
        let unit_ty = self.types.known.unit;
        let end = self.push(ExprKind::App(callee, vec![unit]), unit_ty, span);
        let ty = self.ty(body);
        let result = self.temp("result", ty, span);
        let value = self.local_expr(result, span);
        let after = self.push(ExprKind::Seq(vec![end, value]), ty, span);
        self.push(ExprKind::Let { local: result, value: body, body: after }, ty, span)
    }
}

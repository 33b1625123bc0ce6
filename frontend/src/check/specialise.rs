//! Generic local functions: each use's type arguments get a copy of the function.
//!
//! The tree has no generic locals. After a body is closed, the generalised variables of its local functions stand in it
//! as parameters from [`LOCAL_GENERIC`] on, and [`super::Cx::generic_uses`] lists each use with its arguments. A copy
//! is made of the binding for each different list of arguments; copies are made from the outside in, so that a use
//! inside a copy has its arguments replaced too.

use super::Checker;
use super::types::LOCAL_GENERIC;
use crate::typed::{
    Arm, Body, Dispatch, Expr, ExprId, ExprKind, ForStep, FormatPart, LocalId, Measure, Pat, PatId, PatKind,
    TyId, Type, TypeArg,
};
use rustc_hash::{FxHashMap, FxHashSet};

impl Checker<'_> {
    pub(crate) fn specialise_locals(&mut self) {
        if self.cx.schemes.is_empty() {
            return;
        }
        let mut uses = FxHashMap::default();
        for (id, mut args) in std::mem::take(&mut self.cx.generic_uses) {
            args.iter_mut().for_each(|a| self.types.zonk_arg(a));
            uses.insert(id, args);
        }
        let source = std::mem::take(&mut self.cx.body);
        let Some(root) = source.root else {
            self.cx.body = source;
            return;
        };
        let schemes: FxHashMap<LocalId, (u32, usize)> =
            self.cx.schemes.iter().map(|(&l, s)| (l, (s.first, s.kinds.len()))).collect();
        let own = self.cx.params.len();
        let _ = own;
        let mut copier = Copier {
            checker: self,
            source: &source,
            out: Body::default(),
            uses,
            schemes,
            pending: FxHashMap::default(),
        };
        let mut scope = Scope::default();
        let mut out_locals = Vec::new();
        for l in 0..source.locals.len() as u32 {
            let local = LocalId(l);
            copier.out.locals.push(source.locals[l as usize].clone());
            out_locals.push(local);
            scope.locals.insert(local, local);
        }
        let new_root = copier.expr(root, &scope);
        copier.out.root = Some(new_root);
        let unit = copier.checker.types.known.unit;
        let mut out = std::mem::take(&mut copier.out);
        // Locals of generic originals are no longer used; their types must still be closed ones.
        for l in &mut out.locals {
            if self.mentions_local_generic(l.ty) {
                l.ty = unit;
            }
        }
        self.cx.body = out;
    }

    fn mentions_local_generic(&mut self, ty: TyId) -> bool {
        let mut seen = FxHashSet::default();
        self.mentions(ty, &mut seen)
    }

    fn mentions(&self, ty: TyId, seen: &mut FxHashSet<TyId>) -> bool {
        if !seen.insert(ty) {
            return false;
        }
        let unit = |m: &Measure| {
            m.factors
                .iter()
                .any(|(a, _)| matches!(a, crate::typed::MeasureAtom::Param(n) if *n >= LOCAL_GENERIC))
        };
        match self.types.table.get(ty).clone() {
            Type::Param(n) => n >= LOCAL_GENERIC,
            Type::Int(_, m) | Type::Float(_, m) => unit(&m),
            Type::Named(_, args) => args.iter().any(|a| match a {
                TypeArg::Type(t) => self.mentions(*t, seen),
                TypeArg::Measure(m) => unit(m),
                TypeArg::Hint(_) => false,
            }),
            Type::Tuple(items) => items.iter().any(|&t| self.mentions(t, seen)),
            Type::AnonRecord(fields) => fields.iter().any(|f| self.mentions(f.1, seen)),
            Type::Fun(a, b) => self.mentions(a, seen) || self.mentions(b, seen),
            Type::Array(t) | Type::NativePtr(t) => self.mentions(t, seen),
            _ => false,
        }
    }
}

/// What a copy replaces.
#[derive(Clone, Default)]
struct Scope {
    locals: FxHashMap<LocalId, LocalId>,
    /// First generalised variable of each function being copied, with its arguments.
    types: Vec<(u32, Vec<TypeArg>)>,
}

struct Copier<'c, 'a, 's> {
    checker: &'c mut Checker<'a>,
    source: &'s Body,
    out: Body,
    uses: FxHashMap<ExprId, Vec<TypeArg>>,
    schemes: FxHashMap<LocalId, (u32, usize)>,
    /// For each generic binding in scope: the copies asked for.
    pending: FxHashMap<LocalId, Vec<(Vec<TypeArg>, LocalId)>>,
}

impl Copier<'_, '_, '_> {
    fn ty(&mut self, ty: TyId, scope: &Scope) -> TyId {
        let mut ty = ty;
        for (first, args) in &scope.types {
            ty = self.checker.types.instantiate_local(ty, *first, args);
        }
        ty
    }

    fn arg(&mut self, arg: &TypeArg, scope: &Scope) -> TypeArg {
        let mut arg = arg.clone();
        for (first, args) in &scope.types {
            arg = self.checker.types.replace_arg(&arg, LOCAL_GENERIC + first, args);
        }
        arg
    }

    fn local(&mut self, local: LocalId, scope: &mut Scope) -> LocalId {
        if scope.types.is_empty() {
            return local;
        }
        let mut info = self.source.locals[local.index()].clone();
        info.ty = self.ty(info.ty, scope);
        self.out.locals.push(info);
        let new = LocalId((self.out.locals.len() - 1) as u32);
        scope.locals.insert(local, new);
        new
    }

    fn push(&mut self, kind: ExprKind, from: &Expr, scope: &Scope) -> ExprId {
        let ty = self.ty(from.ty, scope);
        self.out.exprs.push(Expr { kind, ty, span: from.span });
        ExprId((self.out.exprs.len() - 1) as u32)
    }

    fn all(&mut self, ids: &[ExprId], scope: &Scope) -> Vec<ExprId> {
        ids.iter().map(|&i| self.expr(i, scope)).collect()
    }

    fn name(scope: &Scope, local: LocalId) -> LocalId {
        scope.locals.get(&local).copied().unwrap_or(local)
    }

    fn generic_use(&mut self, id: ExprId, local: LocalId, scope: &Scope) -> LocalId {
        let args = self.uses.get(&id).cloned().unwrap_or_default();
        let args: Vec<TypeArg> = args.iter().map(|a| self.arg(a, scope)).collect();
        let list = self.pending.entry(local).or_default();
        if let Some((_, copy)) = list.iter().find(|(a, _)| *a == args) {
            return *copy;
        }
        let info = self.source.locals[local.index()].clone();
        self.out.locals.push(info);
        let copy = LocalId((self.out.locals.len() - 1) as u32);
        list.push((args, copy));
        copy
    }

    fn expr(&mut self, id: ExprId, scope: &Scope) -> ExprId {
        let source = self.source;
        let e = &source[id];
        let kind = match &e.kind {
            ExprKind::Local(l) if self.uses.contains_key(&id) => {
                ExprKind::Local(self.generic_use(id, *l, scope))
            }
            ExprKind::Local(l) => ExprKind::Local(Self::name(scope, *l)),
            ExprKind::Def(d, args) => {
                let args = args.iter().map(|a| self.arg(a, scope)).collect();
                ExprKind::Def(*d, args)
            }
            ExprKind::Let { local, value, body } if self.schemes.contains_key(local) => {
                return self.generic_let(&[(*local, *value)], *body, e, scope, false);
            }
            ExprKind::LetRec { bindings, body }
                if bindings.iter().any(|b| self.schemes.contains_key(&b.0)) =>
            {
                return self.generic_let(bindings, *body, e, scope, true);
            }
            ExprKind::App(f, args) => ExprKind::App(self.expr(*f, scope), self.all(args, scope)),
            ExprKind::Lambda { params, body } => {
                let mut inner = scope.clone();
                let params = params.iter().map(|&p| self.local(p, &mut inner)).collect();
                ExprKind::Lambda { params, body: self.expr(*body, &inner) }
            }
            ExprKind::Let { local, value, body } => {
                let value = self.expr(*value, scope);
                let mut inner = scope.clone();
                let local = self.local(*local, &mut inner);
                ExprKind::Let { local, value, body: self.expr(*body, &inner) }
            }
            ExprKind::LetRec { bindings, body } => {
                let mut inner = scope.clone();
                let locals: Vec<LocalId> = bindings.iter().map(|b| self.local(b.0, &mut inner)).collect();
                let bindings =
                    locals.into_iter().zip(bindings).map(|(l, b)| (l, self.expr(b.1, &inner))).collect();
                ExprKind::LetRec { bindings, body: self.expr(*body, &inner) }
            }
            ExprKind::Match { scrutinee, arms } => {
                let scrutinee = self.expr(*scrutinee, scope);
                let arms = arms.iter().map(|a| self.arm(a, scope)).collect();
                ExprKind::Match { scrutinee, arms }
            }
            ExprKind::For { var, from, to, step, parallel, body } => {
                let (from, to) = (self.expr(*from, scope), self.expr(*to, scope));
                let step = match step {
                    ForStep::By(s) => ForStep::By(self.expr(*s, scope)),
                    other => *other,
                };
                let mut inner = scope.clone();
                let var = self.local(*var, &mut inner);
                ExprKind::For { var, from, to, step, parallel: *parallel, body: self.expr(*body, &inner) }
            }
            ExprKind::Assign(l, v) => ExprKind::Assign(Self::name(scope, *l), self.expr(*v, scope)),
            ExprKind::Dispatch(d) => {
                let args = self.all(&d.args, scope);
                ExprKind::Dispatch(Box::new(Dispatch { args, ..(**d).clone() }))
            }
            ExprKind::Format { sink, parts } => {
                let parts = parts
                    .iter()
                    .map(|p| match p {
                        FormatPart::Text(t) => FormatPart::Text(*t),
                        FormatPart::Hole { value, spec } => {
                            FormatPart::Hole { value: self.expr(*value, scope), spec: *spec }
                        }
                    })
                    .collect();
                ExprKind::Format { sink: *sink, parts }
            }
            other => self.simple(other, scope),
        };
        self.push(kind, e, scope)
    }

    /// Nodes that bind nothing: their parts are copied.
    fn simple(&mut self, kind: &ExprKind, s: &Scope) -> ExprKind {
        use ExprKind as K;
        match kind {
            K::Seq(items) => K::Seq(self.all(items, s)),
            K::If { cond, then, otherwise } => {
                let cond = self.expr(*cond, s);
                let then = self.expr(*then, s);
                K::If { cond, then, otherwise: self.expr(*otherwise, s) }
            }
            K::And(a, b) => K::And(self.expr(*a, s), self.expr(*b, s)),
            K::Or(a, b) => K::Or(self.expr(*a, s), self.expr(*b, s)),
            K::While { cond, body } => K::While { cond: self.expr(*cond, s), body: self.expr(*body, s) },
            K::AssignDef(d, v) => K::AssignDef(*d, self.expr(*v, s)),
            K::Record { fields, order } => K::Record { fields: self.all(fields, s), order: order.clone() },
            K::With { base, fields } => {
                let base = self.expr(*base, s);
                K::With { base, fields: fields.iter().map(|&(i, v)| (i, self.expr(v, s))).collect() }
            }
            K::Union { case, fields } => K::Union { case: *case, fields: self.all(fields, s) },
            K::Tuple(items) => K::Tuple(self.all(items, s)),
            K::Array(items) => K::Array(self.all(items, s)),
            K::Field(b, i) => K::Field(self.expr(*b, s), *i),
            K::AssignField(b, i, v) => K::AssignField(self.expr(*b, s), *i, self.expr(*v, s)),
            K::Prim(p, args) => K::Prim(*p, self.all(args, s)),
            K::Index(a, b) => K::Index(self.expr(*a, s), self.expr(*b, s)),
            K::AssignIndex(a, b, c) => K::AssignIndex(self.expr(*a, s), self.expr(*b, s), self.expr(*c, s)),
            K::Convert(a) => K::Convert(self.expr(*a, s)),
            K::Marker(a) => K::Marker(self.expr(*a, s)),
            K::Fail(a) => K::Fail(self.expr(*a, s)),
            other => other.clone(),
        }
    }

    /// The copies of a generic binding that its body asks for, around the body.
    fn generic_let(
        &mut self,
        bindings: &[(LocalId, ExprId)],
        body: ExprId,
        e: &Expr,
        scope: &Scope,
        is_rec: bool,
    ) -> ExprId {
        let outer: Vec<_> = bindings.iter().map(|b| self.pending.remove(&b.0)).collect();
        let mut result = self.expr(body, scope);
        let first = bindings.iter().find_map(|b| self.schemes.get(&b.0)).map_or(0, |s| s.0);
        let mut done: Vec<Vec<TypeArg>> = Vec::new();
        let mut made = Vec::new();
        loop {
            let next = bindings
                .iter()
                .flat_map(|b| self.pending.get(&b.0).into_iter().flatten())
                .find(|(args, _)| !done.contains(args))
                .map(|p| p.0.clone());
            let Some(args) = next else { break };
            done.push(args.clone());
            let mut inner = scope.clone();
            inner.types.push((first, args.clone()));
            let mut copies = Vec::new();
            for &(local, _) in bindings {
                let asked =
                    self.pending.get(&local).and_then(|l| l.iter().find(|p| p.0 == args)).map(|p| p.1);
                let copy = match asked {
                    Some(copy) => {
                        let ty = self.source.locals[local.index()].ty;
                        self.out.locals[copy.index()].ty = self.ty(ty, &inner);
                        copy
                    }
                    None => self.local(local, &mut inner),
                };
                inner.locals.insert(local, copy);
                copies.push(copy);
            }
            let values: Vec<(LocalId, ExprId)> =
                copies.into_iter().zip(bindings).map(|(c, b)| (c, self.expr(b.1, &inner))).collect();
            made.push(values);
        }
        for values in made.into_iter().rev() {
            let ty = self.out[result].ty;
            let kind = match values.as_slice() {
                [(local, value)] if !is_rec => ExprKind::Let { local: *local, value: *value, body: result },
                _ => ExprKind::LetRec { bindings: values, body: result },
            };
            self.out.exprs.push(Expr { kind, ty, span: e.span });
            result = ExprId((self.out.exprs.len() - 1) as u32);
        }
        for (b, old) in bindings.iter().zip(outer) {
            match old {
                Some(old) => self.pending.insert(b.0, old),
                None => self.pending.remove(&b.0),
            };
        }
        result
    }

    fn arm(&mut self, arm: &Arm, scope: &Scope) -> Arm {
        let mut inner = scope.clone();
        let pat = self.pat(arm.pat, &mut inner);
        let guard = arm.guard.map(|g| self.expr(g, &inner));
        Arm { pat, guard, body: self.expr(arm.body, &inner) }
    }

    fn pat_local(&mut self, local: LocalId, scope: &mut Scope) -> LocalId {
        // Both sides of an or-pattern bind the same local: one copy serves both.
        match scope.locals.get(&local) {
            Some(&new) if new != local => new,
            _ => self.local(local, scope),
        }
    }

    fn pat(&mut self, id: PatId, scope: &mut Scope) -> PatId {
        let source = self.source;
        let p = &source[id];
        let many = |c: &mut Self, ps: &[PatId], s: &mut Scope| ps.iter().map(|&p| c.pat(p, s)).collect();
        let kind = match &p.kind {
            PatKind::Bind(l) => PatKind::Bind(self.pat_local(*l, scope)),
            PatKind::As(inner, l) => {
                let inner = self.pat(*inner, scope);
                PatKind::As(inner, self.pat_local(*l, scope))
            }
            PatKind::Case { case, fields } => {
                PatKind::Case { case: *case, fields: many(self, fields, scope) }
            }
            PatKind::Fields(fields) => {
                PatKind::Fields(fields.iter().map(|&(i, f)| (i, self.pat(f, scope))).collect())
            }
            PatKind::Array(items) => PatKind::Array(many(self, items, scope)),
            PatKind::Or(a, b) => PatKind::Or(self.pat(*a, scope), self.pat(*b, scope)),
            PatKind::And(a, b) => PatKind::And(self.pat(*a, scope), self.pat(*b, scope)),
            PatKind::Active { call, case, pat } => {
                let call = self.expr(*call, scope);
                PatKind::Active { call, case: *case, pat: self.pat(*pat, scope) }
            }
            other => other.clone(),
        };
        let ty = self.ty(p.ty, scope);
        self.out.pats.push(Pat { kind, ty, span: p.span });
        PatId((self.out.pats.len() - 1) as u32)
    }
}

//! Free locals of lambdas and groups of local functions, and mutable locals that a lambda captures.
//!
//! One walk over a body, made only for bodies that have lambdas.

use clef_frontend::typed::{Arm, Body, ExprId, ExprKind, ForStep, FormatPart, LocalId, PatId, PatKind};
use rustc_hash::FxHashMap;
use std::rc::Rc;

#[derive(Default)]
pub struct BodyInfo {
    /// By `Lambda` or `LetRec` expression: locals from outside, in order of first use.
    pub free: FxHashMap<ExprId, Rc<[LocalId]>>,
    /// By local: a mutable one that lives in a box because a lambda captures it.
    pub boxed: Vec<bool>,
}

pub fn analyse(body: &Body) -> BodyInfo {
    let mut info = BodyInfo::default();
    if !body.exprs.iter().any(|e| matches!(e.kind, ExprKind::Lambda { .. } | ExprKind::LetRec { .. })) {
        return info;
    }
    info.boxed = vec![false; body.locals.len()];
    let mut walk = Walk { body, open: Vec::new(), level: vec![0; body.locals.len()], info };
    if let Some(root) = body.root {
        walk.expr(root);
    }
    walk.info
}

struct Walk<'a> {
    body: &'a Body,
    /// Lambdas and groups around the place, each with its free locals so far.
    open: Vec<Vec<LocalId>>,
    /// By local: how many were open where it is bound.
    level: Vec<u32>,
    info: BodyInfo,
}

impl Walk<'_> {
    fn bind(&mut self, local: LocalId) {
        if let Some(level) = self.level.get_mut(local.index()) {
            *level = self.open.len() as u32;
        }
    }

    fn use_local(&mut self, local: LocalId) {
        let level = self.level.get(local.index()).copied().unwrap_or(0) as usize;
        if level < self.open.len() && self.body.locals.get(local.index()).is_some_and(|l| l.is_mutable) {
            self.info.boxed[local.index()] = true;
        }
        let from = level.min(self.open.len());
        for free in self.open[from..].iter_mut().rev() {
            // A lambda that has it already told those around it.
            if free.contains(&local) {
                break;
            }
            free.push(local);
        }
    }

    fn scoped(&mut self, id: ExprId, inside: impl FnOnce(&mut Self)) {
        self.open.push(Vec::new());
        inside(self);
        let free = self.open.pop().unwrap_or_default();
        self.info.free.insert(id, free.into());
    }

    fn exprs(&mut self, ids: &[ExprId]) {
        for &id in ids {
            self.expr(id);
        }
    }

    fn expr(&mut self, mut id: ExprId) {
        loop {
            match &self.body[id].kind {
                ExprKind::Let { local, value, body } => {
                    self.bind(*local);
                    self.expr(*value);
                    id = *body;
                }
                ExprKind::LetRec { bindings, body } => {
                    self.scoped(id, |w| {
                        for (local, _) in bindings {
                            w.bind(*local);
                        }
                        for (_, lambda) in bindings {
                            w.expr(*lambda);
                        }
                    });
                    for (local, _) in bindings {
                        self.bind(*local);
                    }
                    id = *body;
                }
                ExprKind::Lambda { params, body } => {
                    return self.scoped(id, |w| {
                        for p in params {
                            w.bind(*p);
                        }
                        w.expr(*body);
                    });
                }
                ExprKind::Seq(items) => {
                    let Some((last, rest)) = items.split_last() else { return };
                    self.exprs(rest);
                    id = *last;
                }
                ExprKind::If { cond, then, otherwise } => {
                    self.expr(*cond);
                    self.expr(*then);
                    id = *otherwise;
                }
                kind => return self.other(kind),
            }
        }
    }

    fn other(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::Local(local) => self.use_local(*local),
            ExprKind::Assign(local, value) => {
                self.use_local(*local);
                self.expr(*value);
            }
            ExprKind::App(f, args) => {
                self.expr(*f);
                self.exprs(args);
            }
            ExprKind::Match { scrutinee, arms } => {
                self.expr(*scrutinee);
                self.arms(arms);
            }
            ExprKind::For { var, from, to, step, body, .. } => {
                self.expr(*from);
                self.expr(*to);
                if let ForStep::By(by) = step {
                    self.expr(*by);
                }
                self.bind(*var);
                self.expr(*body);
            }
            ExprKind::With { base, fields } => {
                self.expr(*base);
                for (_, value) in fields {
                    self.expr(*value);
                }
            }
            ExprKind::Format { parts, .. } => {
                for part in parts {
                    if let FormatPart::Hole { value, .. } = part {
                        self.expr(*value);
                    }
                }
            }
            ExprKind::Dispatch(dispatch) => self.exprs(&dispatch.args),
            ExprKind::And(a, b)
            | ExprKind::Or(a, b)
            | ExprKind::While { cond: a, body: b }
            | ExprKind::AssignField(a, _, b)
            | ExprKind::Index(a, b) => self.exprs(&[*a, *b]),
            ExprKind::AssignIndex(a, b, c) => self.exprs(&[*a, *b, *c]),
            ExprKind::AssignDef(_, a)
            | ExprKind::Field(a, _)
            | ExprKind::Convert(a)
            | ExprKind::Marker(a)
            | ExprKind::Fail(a) => self.expr(*a),
            ExprKind::Record { fields: list, .. }
            | ExprKind::Union { fields: list, .. }
            | ExprKind::Tuple(list)
            | ExprKind::Array(list)
            | ExprKind::Prim(_, list) => self.exprs(list),
            ExprKind::Unit
            | ExprKind::Bool(_)
            | ExprKind::Char(_)
            | ExprKind::String(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Def(..)
            | ExprKind::Error => {}
            ExprKind::Let { .. }
            | ExprKind::LetRec { .. }
            | ExprKind::Lambda { .. }
            | ExprKind::Seq(_)
            | ExprKind::If { .. } => {}
        }
    }

    fn arms(&mut self, arms: &[Arm]) {
        for arm in arms {
            self.pat(arm.pat);
            if let Some(guard) = arm.guard {
                self.expr(guard);
            }
            self.expr(arm.body);
        }
    }

    fn pat(&mut self, id: PatId) {
        match &self.body[id].kind {
            PatKind::Bind(local) => self.bind(*local),
            PatKind::As(pat, local) => {
                self.bind(*local);
                self.pat(*pat);
            }
            PatKind::Case { fields, .. } | PatKind::Array(fields) => {
                for p in fields {
                    self.pat(*p);
                }
            }
            PatKind::Fields(fields) => {
                for (_, p) in fields {
                    self.pat(*p);
                }
            }
            PatKind::Or(a, b) | PatKind::And(a, b) => {
                self.pat(*a);
                self.pat(*b);
            }
            PatKind::Active { call, pat, .. } => {
                self.expr(*call);
                self.pat(*pat);
            }
            PatKind::Wild
            | PatKind::Bool(_)
            | PatKind::Char(_)
            | PatKind::String(_)
            | PatKind::Int(_)
            | PatKind::Float(_)
            | PatKind::Unit
            | PatKind::Error => {}
        }
    }
}

//! The function being built: open regions, locals, and the bodies of functions, wrappers and initialisers.

use super::Builder;
use super::free::{self, BodyInfo};
use super::shape::{Cap, Code, FuncKey, Leaves, ShapeId, ShapeKind, Val};
use super::types::CtxId;
use crate::graph::{Func, Region};
use crate::id::{FuncId, NodeId, RegionId, TypeId};
use crate::node::{Const, Op};
use crate::ty::Type;
use clef_frontend::span::Span;
use clef_frontend::typed::{Body, DefId, DefKind, LocalId};
use std::rc::Rc;
use ustr::Ustr;

/// State of the function being lowered.
pub struct Fx<'p> {
    pub ctx: CtxId,
    pub body: Option<&'p Body>,
    open: Vec<Region>,
    params: Vec<NodeId>,
    /// By local: the stamp of the function that bound it, and the value. Never cleared, so that a function costs only
    /// what it binds.
    locals: Vec<(u32, Val)>,
    stamp: u32,
    info: Option<(DefId, Rc<BodyInfo>)>,
}

impl Default for Fx<'_> {
    fn default() -> Self {
        Self {
            ctx: CtxId(u32::MAX),
            body: None,
            open: Vec::new(),
            params: Vec::new(),
            locals: Vec::new(),
            stamp: 0,
            info: None,
        }
    }
}

impl<'p> Builder<'p> {
    // --- nodes and regions

    pub(super) fn push(&mut self, op: Op, operands: &[NodeId], ty: TypeId, span: Span) -> NodeId {
        self.push_with(op, operands, &[], ty, span)
    }

    pub(super) fn push_with(
        &mut self,
        op: Op,
        operands: &[NodeId],
        regions: &[RegionId],
        ty: TypeId,
        span: Span,
    ) -> NodeId {
        let id = self.psg.new_node(op, operands, regions, ty, span);
        if let Some(region) = self.fx.open.last_mut() {
            region.nodes.push(id);
        }
        id
    }

    pub(super) fn constant(&mut self, value: Const, ty: TypeId, span: Span) -> NodeId {
        self.push(Op::Const(value), &[], ty, span)
    }

    pub(super) fn int(&mut self, value: i64, span: Span) -> NodeId {
        self.constant(Const::Int(value), self.types.common.int, span)
    }

    pub(super) fn bool(&mut self, value: bool, span: Span) -> NodeId {
        self.constant(Const::Bool(value), self.types.common.bool, span)
    }

    pub(super) fn text(&mut self, value: &str, span: Span) -> NodeId {
        self.constant(Const::String(Ustr::from(value)), self.types.common.string, span)
    }

    pub(super) fn unit(&mut self, span: Span) -> NodeId {
        self.constant(Const::Unit, self.types.common.unit, span)
    }

    pub(super) fn open(&mut self) {
        self.fx.open.push(Region::default());
    }

    pub(super) fn close(&mut self, result: Option<NodeId>) -> RegionId {
        let mut region = self.fx.open.pop().unwrap_or_default();
        region.result = result;
        self.psg.regions.push(region)
    }

    pub(super) fn region_param(&mut self, ty: TypeId, span: Span) -> NodeId {
        let n = self.fx.open.last().map_or(0, |r| r.params.len()) as u32;
        let id = self.psg.new_node(Op::RegionParam(n), &[], &[], ty, span);
        if let Some(region) = self.fx.open.last_mut() {
            region.params.push(id);
        }
        id
    }

    /// A region made by `inside`, which gives its result.
    pub(super) fn region(&mut self, inside: impl FnOnce(&mut Self) -> Option<NodeId>) -> RegionId {
        self.open();
        let result = inside(self);
        self.close(result)
    }

    pub(super) fn node_ty(&self, node: NodeId) -> TypeId {
        self.psg.nodes[node].ty
    }

    pub(super) fn is_unit(&self, ty: TypeId) -> bool {
        ty == self.types.common.unit
    }

    // --- values

    /// A value as a node: known functions become closures.
    pub(super) fn node(&mut self, val: Val) -> NodeId {
        self.node_at(val, Span::default())
    }

    pub(super) fn node_at(&mut self, val: Val, span: Span) -> NodeId {
        match val {
            Val::Unit => self.unit(span),
            Val::Node(n) => n,
            Val::Var(v) => self.read_var(v),
            Val::Cell(c) => self.read_cell(c, span),
            Val::Known(id, leaves) => {
                let shape = self.shape(id);
                if let ShapeKind::Dynamic(_) = shape.kind {
                    return leaves[0];
                }
                let ty = self.shape_type(&shape);
                let func = self.closure_code(id);
                let span = if span == Span::default() { self.psg.funcs[func].span } else { span };
                self.push(Op::Closure(func), &leaves, ty, span)
            }
        }
    }

    pub(super) fn read_var(&mut self, var: NodeId) -> NodeId {
        let ty = match *self.psg.types.get(self.node_ty(var)) {
            Type::Var(t) => t,
            _ => self.node_ty(var),
        };
        let span = self.psg.spans[var];
        self.push(Op::VarGet, &[var], ty, span)
    }

    pub(super) fn read_cell(&mut self, cell: NodeId, span: Span) -> NodeId {
        let ty = match self.psg.types.agg(self.node_ty(cell)) {
            Some(agg) => agg.cases[0].fields[0].ty,
            None => self.types.common.unit,
        };
        self.push(Op::Field { case: 0, field: 0 }, &[cell], ty, span)
    }

    pub(super) fn new_var(&mut self, init: NodeId, span: Span) -> NodeId {
        let ty = self.intern(Type::Var(self.node_ty(init)));
        self.push(Op::Var, &[init], ty, span)
    }

    pub(super) fn set_var(&mut self, var: NodeId, value: NodeId, span: Span) {
        self.push(Op::VarSet, &[var, value], self.types.common.unit, span);
    }

    pub(super) fn bind(&mut self, local: LocalId, val: Val) {
        let index = local.index();
        if self.fx.locals.len() <= index {
            self.fx.locals.resize(index + 1, (0, Val::Unit));
        }
        self.fx.locals[index] = (self.fx.stamp, val);
    }

    pub(super) fn local(&self, local: LocalId) -> Option<Val> {
        self.fx.locals.get(local.index()).filter(|(stamp, _)| *stamp == self.fx.stamp).map(|(_, v)| v.clone())
    }

    pub(super) fn body_info(&mut self, def: DefId) -> Rc<BodyInfo> {
        if let Some((d, info)) = &self.fx.info
            && *d == def
        {
            return info.clone();
        }
        let prog = self.prog;
        let info = match &self.infos[def.index()] {
            Some(info) => info.clone(),
            None => Rc::new(match &prog.defs[def.index()].kind {
                DefKind::Function(f) => free::analyse(&f.body),
                DefKind::Value { body, .. } => free::analyse(body),
                DefKind::Extern(_) | DefKind::Intrinsic { .. } => BodyInfo::default(),
            }),
        };
        self.infos[def.index()] = Some(info.clone());
        self.fx.info = Some((def, info.clone()));
        info
    }

    pub(super) fn is_boxed(&mut self, local: LocalId) -> bool {
        self.body_info(self.ctx_def(self.fx.ctx)).boxed.get(local.index()).copied().unwrap_or(false)
    }

    // --- functions

    /// A function that has an id, to be completed by [`Self::finish`].
    pub(super) fn declare(&mut self, name: &str, ret: TypeId) -> FuncId {
        let name = self.unique_name(name);
        let body = RegionId(u32::MAX);
        self.psg.funcs.push(Func { name, params: Vec::new(), ret, body, span: Span::default(), captures: 0 })
    }

    pub(super) fn start(&mut self, ctx: CtxId, body: Option<&'p Body>) {
        self.fx.ctx = ctx;
        self.fx.body = body;
        self.fx.stamp += 1;
        self.fx.params.clear();
        self.fx.open.clear();
        self.open();
    }

    pub(super) fn param(&mut self, ty: TypeId, span: Span) -> NodeId {
        let n = self.fx.params.len() as u32;
        let id = self.psg.new_node(Op::Param(n), &[], &[], ty, span);
        self.fx.params.push(id);
        id
    }

    fn leaf_params(&mut self, types: &[TypeId], span: Span) -> Leaves {
        types.iter().map(|t| self.param(*t, span)).collect()
    }

    pub(super) fn finish(&mut self, func: FuncId, result: Option<NodeId>, captures: usize, span: Span) {
        let ret = self.psg.funcs[func].ret;
        let result = if self.is_unit(ret) { None } else { result };
        let body = self.close(result);
        let f = &mut self.psg.funcs[func];
        f.params = std::mem::take(&mut self.fx.params);
        f.body = body;
        f.span = span;
        f.captures = captures as u32;
    }

    /// The region opened last, taken instead of closed.
    pub(super) fn take_region(&mut self, result: Option<NodeId>) -> Region {
        let mut region = self.fx.open.pop().unwrap_or_default();
        region.result = result;
        region
    }

    pub(super) fn lower_func(&mut self, key: &FuncKey, func: FuncId) {
        let shape = self.shape(key.shape);
        let (ctx, env) = match &shape.kind {
            ShapeKind::Def(ctx) => (*ctx, None),
            ShapeKind::Lambda { ctx, env, .. } | ShapeKind::Rec { ctx, env, .. } => (*ctx, Some(env.clone())),
            ShapeKind::Partial { .. } | ShapeKind::Dynamic(_) => return,
        };
        let tree = self.body_of(ctx);
        self.start(ctx, Some(tree));
        let (locals, spans, root, span) = self.code_of(&shape.kind, ctx);
        let mut late = Vec::new();
        for (i, local) in locals.iter().enumerate() {
            match key.spec.get(i).copied().flatten() {
                Some(known) => late.push((*local, known)),
                None => {
                    let ty = shape.params[i];
                    let node = self.param(ty, spans[i]);
                    self.bind(*local, if self.is_unit(ty) { Val::Unit } else { Val::Node(node) });
                }
            }
        }
        let before = self.fx.params.len();
        for (local, known) in late {
            let types = self.shape(known).leaves.clone();
            let leaves = self.leaf_params(&types, span);
            self.bind(local, Val::Known(known, leaves));
        }
        let leaves = self.leaf_params(&shape.leaves, span);
        if let Some(env) = &env {
            self.bind_environment(env, &leaves);
        }
        if let (ShapeKind::Rec { expr, .. }, Some(env)) = (&shape.kind, &env) {
            for (local, member) in self.group_shapes(ctx, *expr, env) {
                self.bind(local, Val::Known(member, leaves.clone()));
            }
        }
        let captures = self.fx.params.len() - before;
        let result = root.and_then(|root| self.result(root, shape.ret));
        self.finish(func, result, captures, span);
    }

    fn bind_environment(&mut self, env: &[(LocalId, Cap)], leaves: &[NodeId]) {
        let mut at = 0;
        for (local, cap) in env {
            let val = self.uncapture(*cap, leaves, &mut at);
            self.bind(*local, val);
        }
    }

    /// Parameters with their spans, body and span of a function's code.
    #[allow(clippy::type_complexity)]
    fn code_of(
        &mut self,
        kind: &ShapeKind,
        ctx: CtxId,
    ) -> (Vec<LocalId>, Vec<Span>, Option<clef_frontend::typed::ExprId>, Span) {
        let prog = self.prog;
        let def = &prog.defs[self.ctx_def(ctx).index()];
        let mut locals = Vec::new();
        let mut spans = Vec::new();
        let (code, span) = match kind {
            ShapeKind::Lambda { expr, .. } => (Some(self.code(ctx, *expr)), None),
            ShapeKind::Rec { expr, index, .. } => {
                let lambda = self.member(ctx, *expr, *index);
                (Some(self.code(ctx, lambda)), None)
            }
            _ => {
                if let DefKind::Function(f) = &def.kind {
                    locals.extend(f.params.iter().map(|p| p.local));
                    spans.extend(f.params.iter().map(|p| p.span));
                }
                let tree = self.body_of(ctx);
                // A generic value gives its function; it does not take its parameters.
                let is_value = matches!(def.kind, DefKind::Value { .. });
                let code = tree.root.map(|root| match is_value {
                    true => Code { params: Default::default(), body: root, span: def.span, tree },
                    false => self.code_in(tree, root),
                });
                (code, Some(def.span))
            }
        };
        let Some(code) = code else { return (locals, spans, None, def.span) };
        locals.extend(code.params.iter().copied());
        spans.extend(code.params.iter().map(|p| code.tree.locals[p.index()].span));
        (locals, spans, Some(code.body), span.unwrap_or(code.span))
    }

    /// Lowers a function's body in tail position.
    pub(super) fn result(&mut self, root: clef_frontend::typed::ExprId, ret: TypeId) -> Option<NodeId> {
        let val = self.expr(root, true);
        if self.is_unit(ret) { None } else { Some(self.node(val)) }
    }

    pub(super) fn lower_wrapper(&mut self, id: ShapeId, func: FuncId) {
        let shape = self.shape(id);
        let ctx = match &shape.kind {
            ShapeKind::Def(ctx) | ShapeKind::Lambda { ctx, .. } | ShapeKind::Rec { ctx, .. } => *ctx,
            ShapeKind::Partial { .. } | ShapeKind::Dynamic(_) => self.fx.ctx,
        };
        let span = self.shape_span(id);
        self.start(ctx, None);
        let closure = self.shape_type(&shape);
        let (params, ret) = match self.psg.types.get(closure) {
            Type::Closure { params, ret } => (params.clone(), *ret),
            _ => (Vec::new(), shape.ret),
        };
        let args: Vec<Val> = params.iter().map(|t| Val::Node(self.param(*t, span))).collect();
        let leaves = self.leaf_params(&shape.leaves, span);
        let captures = leaves.len();
        let val = self.apply(Val::Known(id, leaves), args, true, span);
        let result = if self.is_unit(ret) { None } else { Some(self.node_at(val, span)) };
        self.finish(func, result, captures, span);
    }

    pub(super) fn shape_span(&self, id: ShapeId) -> Span {
        let shape = self.shape(id);
        match &shape.kind {
            ShapeKind::Def(ctx) => self.prog.defs[self.ctx_def(*ctx).index()].span,
            ShapeKind::Lambda { ctx, expr, .. } | ShapeKind::Rec { ctx, expr, .. } => {
                self.body_of(*ctx)[*expr].span
            }
            ShapeKind::Partial { inner, .. } => self.shape_span(*inner),
            ShapeKind::Dynamic(_) => Span::default(),
        }
    }
}

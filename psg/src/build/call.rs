//! Calls: saturation, over- and under-application, and the choice of the version of a function that is called.

use super::Builder;
use super::shape::{FuncKey, Leaves, ShapeId, ShapeKind, Val};
use super::types::CtxId;
use crate::graph::Extern;
use crate::id::{ExternId, NodeId};
use crate::node::Op;
use crate::ty::Type;
use clef_frontend::span::Span;
use clef_frontend::typed::{DefId, DefKind};

impl Builder<'_> {
    /// Applies a function value to arguments that were evaluated.
    pub(super) fn apply(&mut self, mut f: Val, mut args: Vec<Val>, tail: bool, span: Span) -> Val {
        loop {
            if args.is_empty() {
                return f;
            }
            let (shape, leaves) = match f {
                Val::Known(shape, leaves) => (shape, leaves),
                other => {
                    let node = self.node_at(other, span);
                    if !matches!(self.psg.types.get(self.node_ty(node)), Type::Closure { .. }) {
                        self.bug(span, "a value that is not a function is applied");
                        return Val::Unit;
                    }
                    match self.dynamic(node) {
                        Val::Known(shape, leaves) => (shape, leaves),
                        other => return other,
                    }
                }
            };
            let arity = self.shape(shape).params.len();
            if arity == 0 {
                self.bug(span, "a value that is not a function is applied");
                return Val::Unit;
            }
            if args.len() < arity {
                return self.partial(shape, leaves, args);
            }
            let rest = args.split_off(arity);
            let last = rest.is_empty();
            f = self.call_shape(shape, leaves, args, tail && last, span);
            args = rest;
        }
    }

    /// Calls a known function with exactly its parameters.
    pub(super) fn call_shape(
        &mut self,
        id: ShapeId,
        leaves: Leaves,
        args: Vec<Val>,
        tail: bool,
        span: Span,
    ) -> Val {
        let shape = self.shape(id);
        match &shape.kind {
            ShapeKind::Def(ctx) => {
                let prog = self.prog;
                let def = self.ctx_def(*ctx);
                match &prog.defs[def.index()].kind {
                    DefKind::Function(_) | DefKind::Value { .. } => {
                        self.call_func(id, leaves, args, tail, span)
                    }
                    DefKind::Extern(e) => {
                        let count = e.params.len();
                        for arg in args.iter().take(count) {
                            self.callback_is_plain(arg, span);
                        }
                        let mut operands = self.operands(args, count, span);
                        operands.retain(|n| !self.is_unit(self.node_ty(*n)));
                        let external = self.external(*ctx, def);
                        self.result_of(Op::CallExtern(external), &operands, shape.ret, span)
                    }
                    DefKind::Intrinsic { name, params, .. } => {
                        if *name == "nativeptr.of_function" {
                            args.iter().for_each(|arg| self.callback_is_plain(arg, span));
                        }
                        let operands = self.operands(args, params.len(), span);
                        self.intrinsic(*name, *ctx, &operands, shape.ret, span)
                    }
                }
            }
            ShapeKind::Lambda { .. } | ShapeKind::Rec { .. } => self.call_func(id, leaves, args, tail, span),
            ShapeKind::Partial { inner, bound } => {
                let mut at = self.shape(*inner).leaves.len();
                let inner_leaves: Leaves = leaves[..at].into();
                let mut all: Vec<Val> =
                    bound.iter().map(|cap| self.uncapture(*cap, &leaves, &mut at)).collect();
                all.extend(args);
                self.apply(Val::Known(*inner, inner_leaves), all, tail, span)
            }
            ShapeKind::Dynamic(_) => {
                let mut operands = vec![leaves[0]];
                let count = args.len();
                operands.extend(self.operands(args, count, span));
                self.result_of(Op::CallClosure { tail }, &operands, shape.ret, span)
            }
        }
    }

    /// A function that C is to call is code without captured values: C has no place for them.
    fn callback_is_plain(&mut self, arg: &Val, span: Span) {
        let plain = match arg {
            Val::Known(shape, leaves) => {
                leaves.is_empty() && !matches!(self.shape(*shape).kind, ShapeKind::Dynamic(_))
            }
            Val::Node(node) => !matches!(self.psg.types.get(self.node_ty(*node)), Type::Closure { .. }),
            _ => true,
        };
        if !plain {
            self.error_here(
                span,
                "C can call only functions that are known here and capture nothing",
                "give a top-level function by name, and what it needs through the library's context pointer",
            );
        }
    }

    fn operands(&mut self, args: Vec<Val>, count: usize, span: Span) -> Vec<NodeId> {
        args.into_iter().take(count).map(|a| self.node_at(a, span)).collect()
    }

    pub(super) fn result_of(
        &mut self,
        op: Op,
        operands: &[NodeId],
        ty: crate::id::TypeId,
        span: Span,
    ) -> Val {
        let node = self.push(op, operands, ty, span);
        if self.is_unit(ty) { Val::Unit } else { Val::Node(node) }
    }

    /// A direct call. Known functions among the arguments choose a version of the callee that knows them too.
    pub(super) fn call_func(
        &mut self,
        id: ShapeId,
        leaves: Leaves,
        args: Vec<Val>,
        tail: bool,
        span: Span,
    ) -> Val {
        let shape = self.shape(id);
        let mut spec = vec![None; args.len()];
        let may_copy =
            self.versions.get(&id).is_none_or(|&made| made < self.max_versions) && self.max_versions > 0;
        let mut operands = Vec::with_capacity(args.len() + leaves.len());
        let mut extra = Leaves::new();
        for (i, arg) in args.into_iter().enumerate() {
            match arg {
                Val::Known(known, own) if self.travels_as_code(known, may_copy) => {
                    let mut room = Leaves::new();
                    // Known functions nested too deeply come back as a closure.
                    match self.capture(Val::Known(known, own), &mut room) {
                        super::shape::Cap::Known(known) => {
                            spec[i] = Some(known);
                            extra.extend(room);
                        }
                        _ => operands.extend(room),
                    }
                }
                other => operands.push(self.node_at(other, span)),
            }
        }
        operands.extend(extra);
        operands.extend(leaves);
        let spec: Box<[_]> = if spec.iter().all(Option::is_none) { Box::default() } else { spec.into() };
        let before = self.funcs.len();
        let copied = !spec.is_empty();
        let func = self.func_of(FuncKey { shape: id, spec });
        if copied && self.funcs.len() > before {
            *self.versions.entry(id).or_insert(0) += 1;
        }
        self.result_of(Op::Call { func, tail }, &operands, shape.ret, span)
    }

    /// Is a known function passed by a version of the callee? One that gives a function always is: as a closure of
    /// maximal arity its effects would wait for all arguments, and the number of versions must not change what a
    /// program does.
    fn travels_as_code(&self, known: ShapeId, may_copy: bool) -> bool {
        let shape = self.shape(known);
        let gives_function = matches!(self.psg.types.get(shape.ret), Type::Closure { .. });
        (may_copy || gives_function) && !matches!(shape.kind, ShapeKind::Dynamic(_))
    }

    fn external(&mut self, ctx: CtxId, def: DefId) -> ExternId {
        let key = (def, self.ctx_targs(ctx));
        if let Some(&id) = self.externs.get(&key) {
            return id;
        }
        let prog = self.prog;
        let info = &prog.defs[def.index()];
        let DefKind::Extern(e) = &info.kind else { return ExternId(u32::MAX) };
        let mut params: Vec<_> = e.params.iter().map(|p| (p.name, self.ty_in(ctx, p.ty), p.effect)).collect();
        params.retain(|(_, ty, _)| !self.is_unit(*ty));
        let ret = self.ty_in(ctx, e.ret);
        let id = self.psg.externs.push(Extern {
            library: e.library,
            entry: e.entry,
            params,
            ret,
            span: info.span,
        });
        self.externs.insert(key, id);
        id
    }
}

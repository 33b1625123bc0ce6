//! Known functions: what the builder knows about a function value without running the program.
//!
//! A [`Shape`] is hash-consed, so its id is the identity by which functions are memoised. It says which code a
//! function value has and of what kind each captured value is; the captured values themselves travel beside it, as a
//! flat list of nodes (the *leaves*). A captured known function contributes its own leaves.

use super::types::CtxId;
use super::{Builder, Work};
use crate::id::{FuncId, NodeId, TypeId};
use crate::ty::Type;
use clef_frontend::span::Span;
use clef_frontend::typed::{Body, DefId, DefKind, ExprId, ExprKind, LocalId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::rc::Rc;

/// Known functions that capture known functions, deeper than this, become closures. It bounds the number of versions
/// of a function that passes itself ever larger functions (continuation passing).
const MAX_DEPTH: u8 = 4;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ShapeId(pub u32);

pub type Leaves = SmallVec<[NodeId; 4]>;

/// What a local or an expression stands for.
#[derive(Clone, Debug)]
pub enum Val {
    /// The unit value, not yet a node.
    Unit,
    Node(NodeId),
    /// A mutable local: its `Op::Var`.
    Var(NodeId),
    /// A mutable local in a box.
    Cell(NodeId),
    Known(ShapeId, Leaves),
}

/// Of what kind a captured value is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cap {
    Unit,
    Dyn(TypeId),
    Cell(TypeId),
    Known(ShapeId),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ShapeKind {
    /// A top-level function, extern or intrinsic.
    Def(CtxId),
    Lambda {
        ctx: CtxId,
        expr: ExprId,
        env: Rc<[(LocalId, Cap)]>,
    },
    /// A member of a group of local functions; `expr` is the `LetRec`.
    Rec {
        ctx: CtxId,
        expr: ExprId,
        index: u32,
        env: Rc<[(LocalId, Cap)]>,
    },
    /// A function that has some of its arguments.
    Partial {
        inner: ShapeId,
        bound: Rc<[Cap]>,
    },
    /// A closure made elsewhere: its only leaf.
    Dynamic(TypeId),
}

pub struct Shape {
    pub kind: ShapeKind,
    /// Parameters that a direct call takes.
    pub params: Rc<[TypeId]>,
    pub ret: TypeId,
    pub leaves: Rc<[TypeId]>,
    depth: u8,
}

#[derive(Default)]
pub struct Shapes {
    list: Vec<Rc<Shape>>,
    lookup: FxHashMap<ShapeKind, ShapeId>,
}

/// A function of the graph: code, and which of its parameters are bound to known functions.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FuncKey {
    pub shape: ShapeId,
    /// Empty, or by parameter.
    pub spec: Box<[Option<ShapeId>]>,
}

/// The code of a lambda: parameters of directly nested lambdas are its own.
pub struct Code<'p> {
    pub params: SmallVec<[LocalId; 4]>,
    pub body: ExprId,
    pub span: Span,
    pub tree: &'p Body,
}

impl<'p> Builder<'p> {
    pub(super) fn shape(&self, id: ShapeId) -> Rc<Shape> {
        self.shapes.list[id.0 as usize].clone()
    }

    fn new_shape(&mut self, kind: ShapeKind) -> ShapeId {
        if let Some(&id) = self.shapes.lookup.get(&kind) {
            return id;
        }
        let (params, ret) = self.signature(&kind);
        let (leaves, depth) = self.leaves_of(&kind);
        let id = ShapeId(self.shapes.list.len() as u32);
        self.shapes.list.push(Rc::new(Shape { kind: kind.clone(), params, ret, leaves, depth }));
        self.shapes.lookup.insert(kind, id);
        id
    }

    fn signature(&mut self, kind: &ShapeKind) -> (Rc<[TypeId]>, TypeId) {
        match kind {
            ShapeKind::Def(ctx) => self.def_signature(*ctx),
            ShapeKind::Lambda { ctx, expr, .. } => {
                let code = self.code(*ctx, *expr);
                self.code_signature(*ctx, &code)
            }
            ShapeKind::Rec { ctx, expr, index, .. } => {
                let lambda = self.member(*ctx, *expr, *index);
                let code = self.code(*ctx, lambda);
                self.code_signature(*ctx, &code)
            }
            ShapeKind::Partial { inner, bound } => {
                let inner = self.shape(*inner);
                (inner.params.get(bound.len()..).unwrap_or(&[]).into(), inner.ret)
            }
            ShapeKind::Dynamic(ty) => match self.psg.types.get(*ty) {
                Type::Closure { params, ret } => (params.clone().into(), *ret),
                _ => (self.types.no_args.clone(), *ty),
            },
        }
    }

    fn def_signature(&mut self, ctx: CtxId) -> (Rc<[TypeId]>, TypeId) {
        let prog = self.prog;
        let def = &prog.defs[self.ctx_def(ctx).index()];
        match &def.kind {
            DefKind::Function(f) => {
                let mut params: Vec<TypeId> = f.params.iter().map(|p| self.ty_in(ctx, p.ty)).collect();
                let mut ret = self.ty_in(ctx, f.ret);
                // `let f x = fun y -> ..` takes both arguments at once.
                if let Some(root) = f.body.root {
                    let code = self.code_in(&f.body, root);
                    if !code.params.is_empty() {
                        let (more, last) = self.code_signature(ctx, &code);
                        params.extend(more.iter());
                        ret = last;
                    }
                }
                (params.into(), ret)
            }
            DefKind::Value { body, .. } => {
                let ret = match body.root {
                    Some(root) => self.ty_in(ctx, body[root].ty),
                    None => self.types.common.unit,
                };
                (self.types.no_args.clone(), ret)
            }
            DefKind::Extern(e) => {
                let params: Vec<_> = e.params.iter().map(|p| p.ty).collect();
                self.foreign_signature(ctx, &params, e.ret)
            }
            DefKind::Intrinsic { params, ret, .. } => self.foreign_signature(ctx, params, *ret),
        }
    }

    /// A foreign function without parameters is still a function, of unit.
    fn foreign_signature(
        &mut self,
        ctx: CtxId,
        params: &[clef_frontend::typed::TyId],
        ret: clef_frontend::typed::TyId,
    ) -> (Rc<[TypeId]>, TypeId) {
        let prog = self.prog;
        let mut list: Vec<TypeId> = params.iter().map(|p| self.ty_in(ctx, *p)).collect();
        let def = &prog.defs[self.ctx_def(ctx).index()];
        if list.is_empty() && matches!(prog.types.get(def.ty), clef_frontend::typed::Type::Fun(..)) {
            list.push(self.types.common.unit);
        }
        (list.into(), self.ty_in(ctx, ret))
    }

    fn code_signature(&mut self, ctx: CtxId, code: &Code) -> (Rc<[TypeId]>, TypeId) {
        let params = code.params.iter().map(|p| self.ty_in(ctx, code.tree.locals[p.index()].ty)).collect();
        (params, self.ty_in(ctx, code.tree[code.body].ty))
    }

    /// Parameters and body of a lambda (no parameters where the expression is none).
    pub(super) fn code_in(&self, tree: &'p Body, mut expr: ExprId) -> Code<'p> {
        let span = tree[expr].span;
        let mut params = SmallVec::new();
        while let ExprKind::Lambda { params: more, body } = &tree[expr].kind {
            params.extend(more.iter().copied());
            expr = *body;
        }
        Code { params, body: expr, span, tree }
    }

    pub(super) fn code(&self, ctx: CtxId, expr: ExprId) -> Code<'p> {
        self.code_in(self.body_of(ctx), expr)
    }

    /// The lambda of a member of a group of local functions.
    pub(super) fn member(&self, ctx: CtxId, group: ExprId, index: u32) -> ExprId {
        match &self.body_of(ctx)[group].kind {
            ExprKind::LetRec { bindings, .. } => bindings.get(index as usize).map_or(group, |b| b.1),
            _ => group,
        }
    }

    pub(super) fn body_of(&self, ctx: CtxId) -> &'p Body {
        static EMPTY: std::sync::OnceLock<Body> = std::sync::OnceLock::new();
        let prog = self.prog;
        match &prog.defs[self.ctx_def(ctx).index()].kind {
            DefKind::Function(f) => &f.body,
            DefKind::Value { body, .. } => body,
            DefKind::Extern(_) | DefKind::Intrinsic { .. } => EMPTY.get_or_init(Body::default),
        }
    }

    fn leaves_of(&self, kind: &ShapeKind) -> (Rc<[TypeId]>, u8) {
        let mut leaves = Vec::new();
        let mut depth = 0;
        let mut add = |cap: &Cap| match cap {
            Cap::Unit => {}
            Cap::Dyn(t) | Cap::Cell(t) => leaves.push(*t),
            Cap::Known(s) => {
                let shape = &self.shapes.list[s.0 as usize];
                leaves.extend(shape.leaves.iter().copied());
                depth = depth.max(shape.depth);
            }
        };
        match kind {
            ShapeKind::Def(_) => {}
            ShapeKind::Lambda { env, .. } | ShapeKind::Rec { env, .. } => {
                env.iter().for_each(|(_, c)| add(c))
            }
            ShapeKind::Partial { inner, bound } => {
                add(&Cap::Known(*inner));
                bound.iter().for_each(add);
            }
            ShapeKind::Dynamic(ty) => leaves.push(*ty),
        }
        (leaves.into(), depth + 1)
    }

    /// A top-level function, extern or intrinsic as a value.
    pub(super) fn known_def(&mut self, def: DefId, targs: Rc<[TypeId]>) -> ShapeId {
        let ctx = self.ctx(def, targs);
        self.new_shape(ShapeKind::Def(ctx))
    }

    /// The shape's part of a captured value; its leaves are added to `leaves`.
    pub(super) fn capture(&mut self, val: Val, leaves: &mut Leaves) -> Cap {
        match val {
            Val::Unit => Cap::Unit,
            Val::Node(n) => {
                leaves.push(n);
                Cap::Dyn(self.psg.nodes[n].ty)
            }
            Val::Cell(n) => {
                leaves.push(n);
                Cap::Cell(self.psg.nodes[n].ty)
            }
            // Captured mutable locals live in boxes; this one is only read here.
            Val::Var(v) => {
                let value = self.read_var(v);
                leaves.push(value);
                Cap::Dyn(self.psg.nodes[value].ty)
            }
            Val::Known(shape, own) => {
                if self.shapes.list[shape.0 as usize].depth >= MAX_DEPTH {
                    let node = self.node(Val::Known(shape, own));
                    leaves.push(node);
                    return Cap::Dyn(self.psg.nodes[node].ty);
                }
                leaves.extend(own);
                Cap::Known(shape)
            }
        }
    }

    /// The value that a captured one is, given the leaves from `at` on.
    pub(super) fn uncapture(&self, cap: Cap, leaves: &[NodeId], at: &mut usize) -> Val {
        let mut next = |n: usize| {
            let from = *at;
            *at += n;
            leaves.get(from..*at).unwrap_or(&[])
        };
        match cap {
            Cap::Unit => Val::Unit,
            Cap::Dyn(_) => next(1).first().map_or(Val::Unit, |n| Val::Node(*n)),
            Cap::Cell(_) => next(1).first().map_or(Val::Unit, |n| Val::Cell(*n)),
            Cap::Known(shape) => {
                let count = self.shapes.list[shape.0 as usize].leaves.len();
                Val::Known(shape, next(count).into())
            }
        }
    }

    /// A lambda as a value, capturing what it uses.
    pub(super) fn known_lambda(&mut self, expr: ExprId) -> Val {
        let mut leaves = Leaves::new();
        let env = self.environment(expr, &[], &mut leaves);
        let kind = ShapeKind::Lambda { ctx: self.fx.ctx, expr, env };
        Val::Known(self.new_shape(kind), leaves)
    }

    /// A top-level lambda: it captures nothing.
    pub(super) fn top_lambda(&mut self, ctx: CtxId, expr: ExprId) -> ShapeId {
        self.new_shape(ShapeKind::Lambda { ctx, expr, env: Rc::from([]) })
    }

    /// The functions of a `LetRec`, bound.
    pub(super) fn bind_group(&mut self, expr: ExprId, bindings: &[(LocalId, ExprId)]) {
        let own: SmallVec<[LocalId; 4]> = bindings.iter().map(|b| b.0).collect();
        let mut leaves = Leaves::new();
        let env = self.environment(expr, &own, &mut leaves);
        for (index, (local, _)) in bindings.iter().enumerate() {
            let kind = ShapeKind::Rec { ctx: self.fx.ctx, expr, index: index as u32, env: env.clone() };
            let shape = self.new_shape(kind);
            self.bind(*local, Val::Known(shape, leaves.clone()));
        }
    }

    /// The group that a member belongs to, seen from inside: each function with its shape.
    pub(super) fn group_shapes(
        &mut self,
        ctx: CtxId,
        expr: ExprId,
        env: &Rc<[(LocalId, Cap)]>,
    ) -> Vec<(LocalId, ShapeId)> {
        let ExprKind::LetRec { bindings, .. } = &self.body_of(ctx)[expr].kind else { return Vec::new() };
        let mut list = Vec::with_capacity(bindings.len());
        for (index, (local, _)) in bindings.iter().enumerate() {
            let kind = ShapeKind::Rec { ctx, expr, index: index as u32, env: env.clone() };
            list.push((*local, self.new_shape(kind)));
        }
        list
    }

    fn environment(
        &mut self,
        expr: ExprId,
        without: &[LocalId],
        leaves: &mut Leaves,
    ) -> Rc<[(LocalId, Cap)]> {
        let info = self.body_info(self.ctx_def(self.fx.ctx));
        let Some(free) = info.free.get(&expr) else { return Rc::from([]) };
        let mut env = Vec::with_capacity(free.len());
        for &local in free.iter().filter(|l| !without.contains(l)) {
            if let Some(val) = self.local(local) {
                env.push((local, self.capture(val, leaves)));
            }
        }
        env.into()
    }

    /// A function that waits for more arguments.
    pub(super) fn partial(&mut self, inner: ShapeId, mut leaves: Leaves, args: Vec<Val>) -> Val {
        let bound = args.into_iter().map(|a| self.capture(a, &mut leaves)).collect();
        Val::Known(self.new_shape(ShapeKind::Partial { inner, bound }), leaves)
    }

    pub(super) fn dynamic(&mut self, closure: NodeId) -> Val {
        let shape = self.new_shape(ShapeKind::Dynamic(self.psg.nodes[closure].ty));
        Val::Known(shape, SmallVec::from_slice(&[closure]))
    }

    /// The type of the closure that a known function becomes.
    pub(super) fn shape_type(&mut self, shape: &Shape) -> TypeId {
        self.closure_type(shape.params.to_vec(), shape.ret)
    }

    /// The function of the graph that runs this code, made if it is new.
    pub(super) fn func_of(&mut self, key: FuncKey) -> FuncId {
        if let Some(&id) = self.funcs.get(&key) {
            return id;
        }
        let name = self.shape_name(key.shape);
        let id = self.declare(&name, self.shapes.list[key.shape.0 as usize].ret);
        self.funcs.insert(key.clone(), id);
        self.queue.push_back(Work::Func(key, id));
        id
    }

    /// The code of a closure of this known function.
    pub(super) fn closure_code(&mut self, id: ShapeId) -> FuncId {
        let shape = self.shape(id);
        let returns_function = matches!(self.psg.types.get(shape.ret), Type::Closure { .. });
        let is_code = match &shape.kind {
            ShapeKind::Def(ctx) => {
                matches!(self.prog.defs[self.ctx_def(*ctx).index()].kind, DefKind::Function(_))
            }
            ShapeKind::Lambda { .. } | ShapeKind::Rec { .. } => true,
            ShapeKind::Partial { .. } | ShapeKind::Dynamic(_) => false,
        };
        if is_code && !returns_function {
            return self.func_of(FuncKey { shape: id, spec: Box::default() });
        }
        if let Some(&func) = self.wrappers.get(&id) {
            return func;
        }
        let closure = self.shape_type(&shape);
        let ret = match self.psg.types.get(closure) {
            Type::Closure { ret, .. } => *ret,
            _ => shape.ret,
        };
        let name = format!("{}.closure", self.shape_name(id));
        let func = self.declare(&name, ret);
        self.wrappers.insert(id, func);
        self.queue.push_back(Work::Wrapper(id, func));
        func
    }

    fn shape_name(&self, id: ShapeId) -> String {
        let shape = &self.shapes.list[id.0 as usize];
        match &shape.kind {
            ShapeKind::Def(ctx) => self.ctx_name(*ctx),
            ShapeKind::Lambda { ctx, .. } => {
                format!("{}.fun", self.prog.defs[self.ctx_def(*ctx).index()].path)
            }
            ShapeKind::Rec { ctx, expr, index, .. } => {
                let tree = self.body_of(*ctx);
                let name = match &tree[*expr].kind {
                    ExprKind::LetRec { bindings, .. } => bindings
                        .get(*index as usize)
                        .map_or("fun", |b| tree.locals[b.0.index()].name.as_str()),
                    _ => "fun",
                };
                format!("{}.{name}", self.prog.defs[self.ctx_def(*ctx).index()].path)
            }
            ShapeKind::Partial { inner, .. } => self.shape_name(*inner),
            ShapeKind::Dynamic(_) => "closure".into(),
        }
    }

    pub(super) fn ctx_name(&self, ctx: CtxId) -> String {
        let def = &self.prog.defs[self.ctx_def(ctx).index()];
        let targs = self.ctx_targs(ctx);
        let types: Vec<String> = def
            .params
            .iter()
            .zip(targs.iter())
            .filter(|(p, _)| p.kind == clef_frontend::typed::ParamKind::Type)
            .map(|(_, t)| self.type_name(*t))
            .collect();
        if types.is_empty() { def.path.to_string() } else { format!("{}<{}>", def.path, types.join(",")) }
    }
}

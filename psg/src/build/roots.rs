//! Where construction starts: entry point, top-level effects, public functions, kernels; and the initialiser.

use super::shape::{FuncKey, ShapeId};
use super::{Builder, Work};
use crate::graph::{Global, Kernel, KernelParam, Region};
use crate::id::{FuncId, GlobalId, KernelId, NodeId};
use crate::node::Op;
use crate::ty::Type;
use clef_frontend::typed::{self, Body, DefId, DefKind, ExprId, ExprKind, FormatPart, ParamKind, Prim};

impl<'p> Builder<'p> {
    pub(super) fn roots(&mut self) {
        let prog = self.prog;
        for (i, def) in prog.defs.iter().enumerate() {
            if def.kernel.is_some() {
                self.kernel(DefId(i as u32));
            }
        }
        for &def in &prog.inits {
            if let DefKind::Value { body, .. } = &prog.defs[def.index()].kind
                && prog.defs[def.index()].params.is_empty()
                && body.root.is_some_and(|root| !is_droppable(body, root))
            {
                self.need_init(def);
            }
        }
        for &def in &prog.roots {
            let info = &prog.defs[def.index()];
            if matches!(info.kind, DefKind::Function(_)) && !has_type_params(info) && info.kernel.is_none() {
                let func = self.plain_func(def);
                self.psg.roots.push(func);
            }
        }
        if let Some(entry) = prog.entry {
            self.psg.entry = Some(self.entry_point(entry));
        }
    }

    fn plain_func(&mut self, def: DefId) -> FuncId {
        let shape = self.closed_def(def);
        self.func_of(FuncKey { shape, spec: Box::default() })
    }

    /// A definition without type parameters (others, of units, count as `unit`).
    fn closed_def(&mut self, def: DefId) -> ShapeId {
        let count = self.prog.defs[def.index()].params.len();
        let targs = vec![self.types.common.unit; count].into();
        self.known_def(def, targs)
    }

    /// The entry point as `string array -> int`, whatever the user's has.
    fn entry_point(&mut self, def: DefId) -> FuncId {
        let shape = self.closed_def(def);
        let span = self.prog.defs[def.index()].span;
        let info = self.shape(shape);
        let common = self.types.common;
        let strings = self.intern(Type::Array(common.string));
        let func = self.plain_func(def);
        if info.params[..] == [strings] && info.ret == common.int {
            return func;
        }
        let start = self.declare("start", common.int);
        self.start(self.fx.ctx, None);
        let args = self.param(strings, span);
        let operands: Vec<NodeId> =
            info.params.iter().map(|ty| if *ty == strings { args } else { self.zero(*ty, span) }).collect();
        let result = self.push(Op::Call { func, tail: false }, &operands, info.ret, span);
        let result = if info.ret == common.int { result } else { self.int(0, span) };
        self.finish(start, Some(result), 0, span);
        start
    }

    // --- globals

    /// The global of a top-level value; its initialiser will run.
    pub(super) fn global(&mut self, def: DefId) -> GlobalId {
        if let Some(&id) = self.globals.get(&def) {
            return id;
        }
        let prog = self.prog;
        let info = &prog.defs[def.index()];
        let ctx = self.ctx(def, self.types.no_args.clone());
        let ty = self.ty_in(ctx, info.ty);
        let is_mutable = matches!(info.kind, DefKind::Value { is_mutable: true, .. });
        let id = self.psg.globals.push(Global { name: info.path, ty, is_mutable });
        self.globals.insert(def, id);
        self.need_init(def);
        id
    }

    /// Has the initialiser lowered, once.
    pub(super) fn need_init(&mut self, def: DefId) {
        match self.inits.get_mut(&def) {
            Some(asked) => {
                if !std::mem::replace(asked, true) {
                    self.queue.push_back(Work::Init(def));
                }
            }
            None => {
                let info = &self.prog.defs[def.index()];
                self.bug(info.span, &format!("`{}` is never given its value", info.path));
            }
        }
    }

    /// Lowers an initialiser into a region of its own; all are joined at the end.
    pub(super) fn lower_init(&mut self, def: DefId) {
        let prog = self.prog;
        let DefKind::Value { body, .. } = &prog.defs[def.index()].kind else { return };
        let ctx = self.ctx(def, self.types.no_args.clone());
        self.start(ctx, Some(body));
        if let Some(root) = body.root {
            let ty = self.ty(body[root].ty);
            if self.is_unit(ty) {
                self.expr(root, false);
            } else {
                let value = self.value(root);
                let global = self.global(def);
                self.push(
                    Op::GlobalSet(global),
                    &[value],
                    self.types.common.unit,
                    prog.defs[def.index()].span,
                );
            }
        }
        let region = self.take_region(None);
        self.init_bodies.insert(def, region);
    }

    /// The function that runs the initialisers in their order.
    pub(super) fn finish_init(&mut self) {
        let prog = self.prog;
        let mut all = Region::default();
        let mut span = None;
        for def in &prog.inits {
            if let Some(region) = self.init_bodies.remove(def) {
                span.get_or_insert(prog.defs[def.index()].span);
                all.nodes.extend(region.nodes);
            }
        }
        let Some(span) = span else { return };
        let func = self.declare("init", self.types.common.unit);
        let body = self.psg.regions.push(all);
        self.psg.funcs[func].body = body;
        self.psg.funcs[func].span = span;
        self.psg.init = Some(func);
    }

    // --- kernels

    pub(super) fn kernel(&mut self, def: DefId) -> Option<KernelId> {
        if let Some(&id) = self.kernels.get(&def) {
            return Some(id);
        }
        let prog = self.prog;
        let info = &prog.defs[def.index()];
        let attr = info.kernel.as_ref()?;
        if has_type_params(info) {
            self.error_here(attr.span, "a kernel cannot be generic", "write the types of its parameters");
            return None;
        }
        let shape = self.closed_def(def);
        let types = self.shape(shape).params.clone();
        let (func, names) = match &info.kind {
            DefKind::Function(f) => {
                let names = f.params.iter().map(|p| (p.name, None)).collect::<Vec<_>>();
                (Some(self.plain_func(def)), names)
            }
            DefKind::Extern(e) => (None, e.params.iter().map(|p| (p.name, p.effect)).collect()),
            DefKind::Value { .. } | DefKind::Intrinsic { .. } => return None,
        };
        let params = names
            .into_iter()
            .zip(types.iter())
            .map(|((name, declared), ty)| KernelParam {
                name,
                ty: *ty,
                element: self.psg.types.buffer_element(*ty),
                declared,
            })
            .collect();
        let id = self.psg.kernels.push(Kernel {
            name: attr.name,
            func,
            params,
            host: None,
            workgroup: attr.workgroup,
            object: attr.object,
            span: attr.span,
        });
        self.kernels.insert(def, id);
        Some(id)
    }
}

fn has_type_params(def: &typed::Def) -> bool {
    def.params.iter().any(|p| p.kind == ParamKind::Type)
}

/// An initial value whose evaluation nobody can notice, so that it is only made when something reads it.
fn is_droppable(body: &Body, root: ExprId) -> bool {
    let mut todo = vec![root];
    while let Some(e) = todo.pop() {
        match &body[e].kind {
            ExprKind::Unit
            | ExprKind::Bool(_)
            | ExprKind::Char(_)
            | ExprKind::String(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Local(_)
            | ExprKind::Def(..)
            | ExprKind::Lambda { .. } => {}
            ExprKind::Let { value, body, .. } => todo.extend([*value, *body]),
            ExprKind::Record { fields: list, .. }
            | ExprKind::Union { fields: list, .. }
            | ExprKind::Tuple(list)
            | ExprKind::Array(list) => todo.extend(list),
            ExprKind::With { base, fields } => {
                todo.push(*base);
                todo.extend(fields.iter().map(|f| f.1));
            }
            ExprKind::Field(a, _) | ExprKind::Convert(a) => todo.push(*a),
            ExprKind::If { cond, then, otherwise } => todo.extend([*cond, *then, *otherwise]),
            ExprKind::And(a, b) | ExprKind::Or(a, b) => todo.extend([*a, *b]),
            ExprKind::Prim(prim, args) if !matches!(prim, Prim::Div | Prim::Rem) => todo.extend(args),
            ExprKind::Format { sink: typed::FormatSink::String, parts } => {
                todo.extend(parts.iter().filter_map(|p| match p {
                    FormatPart::Hole { value, .. } => Some(*value),
                    FormatPart::Text(_) => None,
                }));
            }
            _ => return false,
        }
    }
    true
}

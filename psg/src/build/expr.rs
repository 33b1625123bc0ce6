//! Expressions. Chains (`let`, sequences, single-arm matches) are followed without recursion.

use super::Builder;
use super::matching::Matched;
use super::shape::{Leaves, Val};
use crate::id::{NodeId, TypeId};
use crate::node::{Const, FailKind, Op};
use crate::ty::Type;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::span::Span;
use clef_frontend::typed::{self, DefId, DefKind, ExprId, ExprKind, LocalId, TypeArg};

impl<'p> Builder<'p> {
    /// Body of the function being lowered.
    pub(super) fn tree(&self) -> &'p typed::Body {
        match self.fx.body {
            Some(body) => body,
            None => self.body_of(self.fx.ctx),
        }
    }

    /// An expression's value as a node.
    pub(super) fn value(&mut self, e: ExprId) -> NodeId {
        let val = self.expr(e, false);
        let span = self.tree()[e].span;
        self.node_at(val, span)
    }

    pub(super) fn values(&mut self, list: &[ExprId]) -> Vec<NodeId> {
        list.iter().map(|e| self.value(*e)).collect()
    }

    /// A region that computes an expression.
    pub(super) fn expr_region(&mut self, e: ExprId, tail: bool) -> crate::id::RegionId {
        let tree = self.tree();
        let ty = self.ty(tree[e].ty);
        let unit = self.is_unit(ty);
        self.region(|b| {
            let val = b.expr(e, tail);
            if unit { None } else { Some(b.node_at(val, tree[e].span)) }
        })
    }

    pub(super) fn expr(&mut self, mut e: ExprId, tail: bool) -> Val {
        let tree = self.tree();
        loop {
            let x = &tree[e];
            match &x.kind {
                ExprKind::Let { local, value, body } => {
                    self.let_local(*local, *value);
                    e = *body;
                }
                ExprKind::LetRec { bindings, body } => {
                    self.bind_group(e, bindings);
                    e = *body;
                }
                ExprKind::Seq(items) => {
                    let Some((last, rest)) = items.split_last() else { return Val::Unit };
                    for item in rest {
                        self.expr(*item, false);
                    }
                    e = *last;
                }
                ExprKind::Match { scrutinee, arms } => match self.match_expr(x, *scrutinee, arms, tail) {
                    Matched::Done(val) => return val,
                    Matched::Continue(body) => e = body,
                },
                ExprKind::App(f, args) => match &tree[*f].kind {
                    // A lambda applied where it stands binds its parameters.
                    ExprKind::Lambda { params, body } if params.len() == args.len() => {
                        for (p, a) in params.iter().zip(args) {
                            let val = self.expr(*a, false);
                            self.bind(*p, val);
                        }
                        e = *body;
                    }
                    _ => return self.application(*f, args, tail, x.span),
                },
                _ => return self.simple(e, x, tail),
            }
        }
    }

    fn application(&mut self, f: ExprId, args: &[ExprId], tail: bool, span: Span) -> Val {
        let callee = self.expr(f, false);
        let args: Vec<Val> = args.iter().map(|a| self.expr(*a, false)).collect();
        self.apply(callee, args, tail, span)
    }

    fn let_local(&mut self, local: LocalId, value: ExprId) {
        let info = &self.tree().locals[local.index()];
        if !info.is_mutable {
            let val = self.expr(value, false);
            if let Val::Node(node) = &val {
                self.name_buffer(*node, info.name);
            }
            return self.bind(local, val);
        }
        let init = self.value(value);
        self.name_buffer(init, info.name);
        let span = info.span;
        if self.is_boxed(local) {
            let ty = self.cell(self.node_ty(init));
            let cell = self.push(Op::Make(0), &[init], ty, span);
            self.bind(local, Val::Cell(cell));
        } else {
            let var = self.new_var(init, span);
            self.bind(local, Val::Var(var));
        }
    }

    /// Remembers what the source calls a buffer. The first name counts.
    fn name_buffer(&mut self, node: NodeId, name: ustr::Ustr) {
        if self.psg.types.buffer_element(self.node_ty(node)).is_some() {
            self.psg.names.entry(node).or_insert(name);
        }
    }

    fn simple(&mut self, e: ExprId, x: &'p typed::Expr, tail: bool) -> Val {
        let span = x.span;
        let common = self.types.common;
        match &x.kind {
            ExprKind::Unit => Val::Unit,
            ExprKind::Bool(b) => Val::Node(self.bool(*b, span)),
            ExprKind::Char(c) => Val::Node(self.constant(Const::Char(*c), common.char, span)),
            ExprKind::String(s) => Val::Node(self.constant(Const::String(*s), common.string, span)),
            ExprKind::Int(_) | ExprKind::Float(_) => {
                let ty = self.ty(x.ty);
                self.number(&x.kind, ty, span)
            }
            ExprKind::Local(local) => self.read_local(*local, span),
            ExprKind::Def(def, targs) => self.definition(*def, targs, span),
            ExprKind::Lambda { .. } => self.known_lambda(e),
            ExprKind::Assign(local, value) => self.assign_local(*local, *value, span),
            ExprKind::AssignDef(def, value) => {
                let value = self.value(*value);
                let global = self.global(*def);
                self.push(Op::GlobalSet(global), &[value], common.unit, span);
                Val::Unit
            }
            ExprKind::Record { .. }
            | ExprKind::With { .. }
            | ExprKind::Union { .. }
            | ExprKind::Tuple(_)
            | ExprKind::Array(_)
            | ExprKind::Field(..)
            | ExprKind::AssignField(..)
            | ExprKind::Index(..)
            | ExprKind::AssignIndex(..) => self.aggregate(x),
            ExprKind::Prim(prim, args) => self.prim(*prim, args, x.ty, span),
            ExprKind::Convert(value) => self.convert_expr(*value, x.ty, span),
            ExprKind::Format { sink, parts } => self.format(*sink, parts, span),
            ExprKind::Dispatch(dispatch) => self.dispatch(dispatch, x.ty, span),
            ExprKind::Marker(buffer) => {
                let buffer = self.value(*buffer);
                self.push(Op::Marker, &[buffer], common.unit, span);
                Val::Unit
            }
            ExprKind::Fail(message) => {
                let message = self.value(*message);
                let ty = self.ty(x.ty);
                Val::Node(self.push(Op::Fail(FailKind::Message), &[message], ty, span))
            }
            ExprKind::If { .. }
            | ExprKind::And(..)
            | ExprKind::Or(..)
            | ExprKind::While { .. }
            | ExprKind::For { .. } => self.control(x, tail),
            ExprKind::Error => {
                self.bug(span, "an expression with an error reached the graph");
                self.poison(x.ty, span)
            }
            // Handled by `expr`.
            ExprKind::Let { .. }
            | ExprKind::LetRec { .. }
            | ExprKind::Seq(_)
            | ExprKind::Match { .. }
            | ExprKind::App(..) => self.expr(e, tail),
        }
    }

    /// A literal of a numeric type: the type decides, since `1` may be a float where generic code was instantiated.
    pub(super) fn number(&mut self, kind: &ExprKind, ty: TypeId, span: Span) -> Val {
        let is_float = matches!(self.psg.types.get(ty), Type::Float(_));
        let value = match *kind {
            ExprKind::Int(i) if is_float => Const::Float(i as f64),
            ExprKind::Int(i) => Const::Int(i),
            ExprKind::Float(f) => Const::Float(f),
            _ => Const::Unit,
        };
        Val::Node(self.constant(value, ty, span))
    }

    /// What stands where an error was reported.
    pub(super) fn poison(&mut self, ty: typed::TyId, span: Span) -> Val {
        let ty = self.ty(ty);
        let text = self.text("this place has an error", span);
        Val::Node(self.push(Op::Fail(FailKind::Message), &[text], ty, span))
    }

    /// A fault of the compiler, unless it follows from an error that was reported.
    pub(super) fn bug(&mut self, span: Span, what: &str) {
        if self.diags.iter().any(Diagnostic::is_error) {
            return;
        }
        self.diags.push(
            Diagnostic::error(codes::BUILD_BUG, span, format!("the compiler cannot go on here: {what}"))
                .help("please report this with the source of the function"),
        );
    }

    fn read_local(&mut self, local: LocalId, span: Span) -> Val {
        match self.local(local) {
            Some(Val::Var(v)) => {
                let ty = match *self.psg.types.get(self.node_ty(v)) {
                    Type::Var(t) => t,
                    _ => self.node_ty(v),
                };
                Val::Node(self.push(Op::VarGet, &[v], ty, span))
            }
            Some(Val::Cell(c)) => Val::Node(self.read_cell(c, span)),
            Some(val) => val,
            None => {
                let info = &self.tree().locals[local.index()];
                self.bug(span, &format!("the local `{}` has no value", info.name));
                self.poison(info.ty, span)
            }
        }
    }

    fn assign_local(&mut self, local: LocalId, value: ExprId, span: Span) -> Val {
        let value = self.value(value);
        match self.local(local) {
            Some(Val::Var(v)) => self.set_var(v, value, span),
            Some(Val::Cell(c)) => {
                self.push(Op::SetField(0), &[c, value], self.types.common.unit, span);
            }
            _ => self.bug(span, "a local that is not mutable is assigned"),
        }
        Val::Unit
    }

    fn definition(&mut self, def: DefId, targs: &[TypeArg], span: Span) -> Val {
        let prog = self.prog;
        let targs = self.targs(targs);
        if self.too_deep(&targs) {
            self.report_too_deep(prog.defs[def.index()].span, &prog.defs[def.index()].path);
            return Val::Unit;
        }
        match &prog.defs[def.index()].kind {
            DefKind::Value { body, is_mutable: false } if is_lambda(body) => {
                let (ctx, root) = (self.ctx(def, targs), body.root.unwrap_or(ExprId(0)));
                Val::Known(self.top_lambda(ctx, root), Leaves::new())
            }
            DefKind::Value { body, is_mutable } => {
                if !targs.is_empty() {
                    let shape = self.known_def(def, targs);
                    return self.call_func(shape, Leaves::new(), Vec::new(), false, span);
                }
                if let (Some(root), false) = (body.root, is_mutable) {
                    let x = &body[root];
                    if let Some(val) = self.literal_value(def, x, span) {
                        return val;
                    }
                }
                let root_ty = body.root.map_or(prog.defs[def.index()].ty, |root| body[root].ty);
                let ctx = self.ctx(def, targs);
                let ty = self.ty_in(ctx, root_ty);
                if self.is_unit(ty) {
                    self.need_init(def);
                    return Val::Unit;
                }
                let global = self.global(def);
                Val::Node(self.push(Op::GlobalGet(global), &[], ty, span))
            }
            DefKind::Function(_) | DefKind::Extern(_) | DefKind::Intrinsic { .. } => {
                let shape = self.known_def(def, targs);
                // An intrinsic value, not a function.
                if self.shape(shape).params.is_empty() {
                    return self.call_shape(shape, Leaves::new(), Vec::new(), false, span);
                }
                Val::Known(shape, Leaves::new())
            }
        }
    }

    /// The value of an immutable global that is a literal.
    fn literal_value(&mut self, def: DefId, x: &typed::Expr, span: Span) -> Option<Val> {
        let value = match &x.kind {
            ExprKind::Bool(b) => Const::Bool(*b),
            ExprKind::Char(c) => Const::Char(*c),
            ExprKind::String(s) => Const::String(*s),
            ExprKind::Int(_) | ExprKind::Float(_) => {
                let ctx = self.ctx(def, self.types.no_args.clone());
                let ty = self.ty_in(ctx, x.ty);
                return Some(self.number(&x.kind, ty, span));
            }
            _ => return None,
        };
        let common = self.types.common;
        let ty = match value {
            Const::Bool(_) => common.bool,
            Const::Char(_) => common.char,
            _ => common.string,
        };
        Some(Val::Node(self.constant(value, ty, span)))
    }

    fn aggregate(&mut self, x: &'p typed::Expr) -> Val {
        let span = x.span;
        let unit = self.types.common.unit;
        let ty = self.ty(x.ty);
        let node = match &x.kind {
            ExprKind::Record { fields, order } => {
                let values = self.ordered(fields, order);
                self.push(Op::Make(0), &values, ty, span)
            }
            ExprKind::With { base, fields } => return self.with(*base, fields, ty, span),
            ExprKind::Union { case, fields } => match self.enum_value(x.ty, *case) {
                Some(value) => self.int(value, span),
                None => {
                    let values = self.values(fields);
                    self.push(Op::Make(*case), &values, ty, span)
                }
            },
            ExprKind::Tuple(parts) => {
                let values = self.values(parts);
                self.push(Op::Make(0), &values, ty, span)
            }
            ExprKind::Array(items) => {
                let values = self.values(items);
                self.push(Op::ArrayLit, &values, ty, span)
            }
            ExprKind::Field(base, field) => {
                let base = self.value(*base);
                self.push(Op::Field { case: 0, field: *field }, &[base], ty, span)
            }
            ExprKind::AssignField(base, field, value) => {
                let operands = self.values(&[*base, *value]);
                self.push(Op::SetField(*field), &operands, unit, span);
                return Val::Unit;
            }
            ExprKind::Index(base, index) => {
                let operands = self.values(&[*base, *index]);
                self.index(operands[0], operands[1], ty, span)
            }
            ExprKind::AssignIndex(base, index, value) => {
                let operands = self.values(&[*base, *index, *value]);
                self.assign_index(&operands, span);
                return Val::Unit;
            }
            _ => return Val::Unit,
        };
        Val::Node(node)
    }

    /// Values in the order of the list, evaluated in the order written.
    pub(super) fn ordered(&mut self, list: &[ExprId], order: &[u32]) -> Vec<NodeId> {
        if order.len() != list.len() {
            return self.values(list);
        }
        let mut values: Vec<Option<NodeId>> = vec![None; list.len()];
        for &i in order {
            if let Some(e) = list.get(i as usize) {
                values[i as usize] = Some(self.value(*e));
            }
        }
        let mut out = Vec::with_capacity(list.len());
        for (value, e) in values.into_iter().zip(list) {
            out.push(match value {
                Some(v) => v,
                None => self.value(*e),
            });
        }
        out
    }

    fn with(&mut self, base: ExprId, fields: &[(u32, ExprId)], ty: TypeId, span: Span) -> Val {
        let base = self.value(base);
        let replaced: Vec<(u32, NodeId)> = fields.iter().map(|(i, e)| (*i, self.value(*e))).collect();
        let types: Vec<TypeId> = match self.psg.types.agg(ty) {
            Some(agg) => agg.cases.first().map_or(Vec::new(), |c| c.fields.iter().map(|f| f.ty).collect()),
            None => Vec::new(),
        };
        let mut values = Vec::with_capacity(types.len());
        for (i, field_ty) in types.into_iter().enumerate() {
            let new = replaced.iter().rev().find(|(r, _)| *r as usize == i);
            values.push(match new {
                Some((_, value)) => *value,
                None => self.push(Op::Field { case: 0, field: i as u32 }, &[base], field_ty, span),
            });
        }
        Val::Node(self.push(Op::Make(0), &values, ty, span))
    }

    /// The number of an enum's case.
    pub(super) fn enum_value(&self, ty: typed::TyId, case: u32) -> Option<i64> {
        let typed::Type::Named(def, _) = self.prog.types.get(ty) else { return None };
        match &self.prog.type_defs[def.index()].kind {
            typed::TypeDefKind::Enum(cases) => Some(cases.get(case as usize).map_or(0, |c| i64::from(c.1))),
            _ => None,
        }
    }

    fn index(&mut self, base: NodeId, index: NodeId, ty: TypeId, span: Span) -> NodeId {
        let base_ty = self.node_ty(base);
        match self.psg.types.get(base_ty) {
            Type::NativePtr(_) => self.push(Op::Intrinsic("nativeptr.get".into()), &[base, index], ty, span),
            Type::Agg(_) if self.psg.types.buffer_element(base_ty).is_some() => {
                self.push(Op::BufferGet { checked: true }, &[base, index], ty, span)
            }
            _ => self.push(Op::ArrayGet { checked: true }, &[base, index], ty, span),
        }
    }

    fn assign_index(&mut self, operands: &[NodeId], span: Span) {
        let base_ty = self.node_ty(operands[0]);
        let op = match self.psg.types.get(base_ty) {
            Type::NativePtr(_) => Op::Intrinsic("nativeptr.set".into()),
            Type::Agg(_) if self.psg.types.buffer_element(base_ty).is_some() => {
                Op::BufferSet { checked: true }
            }
            _ => Op::ArraySet { checked: true },
        };
        self.push(op, operands, self.types.common.unit, span);
    }
}

/// `let f = fun x -> ..` at top level.
fn is_lambda(body: &typed::Body) -> bool {
    body.root.is_some_and(|root| matches!(body[root].kind, ExprKind::Lambda { .. }))
}

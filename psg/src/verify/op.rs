//! What the verifier asks of each operation.

use super::Verifier;
use crate::id::{NodeId, TypeId};
use crate::node::{BinOp, Const, FailKind, ForKind, GroupOp, Op, UnOp};
use crate::ty::Type;
use clef_frontend::ast::IntKind;

/// Number of operands (least, most) and of regions.
fn shape(op: &Op) -> (usize, usize, Option<usize>) {
    const MANY: usize = usize::MAX;
    let (least, most) = match op {
        Op::Const(_) | Op::GlobalGet(_) | Op::Barrier | Op::WorkgroupArray(_) | Op::ItemArray(_) => (0, 0),
        Op::Param(_) | Op::RegionParam(_) => (0, 0),
        Op::Group { op: GroupOp::Size | GroupOp::Lane | GroupOp::Tiles, .. } => (0, 0),
        Op::Group { op: GroupOp::Shuffle, .. } => (2, 2),
        Op::Group { .. } => (1, 1),
        Op::Binary(_)
        | Op::ArrayNew
        | Op::ArrayGet { .. }
        | Op::BufferGet { .. }
        | Op::SetField(_)
        | Op::VarSet => (2, 2),
        Op::Unary(_)
        | Op::Convert
        | Op::Field { .. }
        | Op::Tag
        | Op::Length
        | Op::FormatValue(_)
        | Op::Print { .. }
        | Op::Var
        | Op::VarGet
        | Op::GlobalSet(_)
        | Op::BufferLength
        | Op::Marker
        | Op::Dup
        | Op::Discard
        | Op::Drop => (1, 1),
        Op::ArraySet { .. } | Op::BufferSet { .. } | Op::AllocUnified | Op::Atomic(_) => (3, 3),
        Op::Concat | Op::Append | Op::Remake(_) => (2, MANY),
        Op::Unpack(_) => (1, MANY),
        Op::CallClosure { .. } => (1, MANY),
        Op::If | Op::Switch(_) => (1, 1),
        Op::While => (0, 0),
        Op::For(ForKind::By) => (3, 3),
        Op::For(_) | Op::Parallel => (2, 2),
        Op::Fail(FailKind::Message) => (1, 1),
        Op::Fail(_) => (0, 0),
        Op::Make(_)
        | Op::ArrayLit
        | Op::Intrinsic(_)
        | Op::Call { .. }
        | Op::Closure(_)
        | Op::CallExtern(_)
        | Op::Dispatch { .. } => (0, MANY),
    };
    let regions = match op {
        Op::If | Op::While => 2,
        Op::For(_) | Op::Parallel => 1,
        Op::Switch(values) => values.len() + 1,
        _ => 0,
    };
    (least, most, Some(regions))
}

impl Verifier<'_> {
    pub(super) fn operation(&mut self, id: NodeId, in_tail: bool) {
        let node = &self.psg.nodes[id];
        let (least, most, regions) = shape(&node.op);
        if node.operands.len() < least || node.operands.len() > most {
            return self.error(Some(id), format!("{} operands, not {least}", node.operands.len()));
        }
        if regions.is_some_and(|n| n != node.regions.len()) {
            return self
                .error(Some(id), format!("{} regions, not {}", node.regions.len(), regions.unwrap_or(0)));
        }
        let ops: Vec<TypeId> = node.operands.iter().map(|o| self.psg.nodes[*o].ty).collect();
        match &node.op {
            Op::Const(value) => self.constant(id, value),
            Op::Binary(op) => self.binary(id, *op, &ops),
            Op::Unary(op) => self.unary(id, *op, &ops),
            Op::Convert => {
                if !self.is_scalar(ops[0]) || !self.is_scalar(node.ty) {
                    self.error(Some(id), "converts what is not a number");
                }
            }
            Op::Make(_) | Op::Field { .. } | Op::Tag | Op::SetField(_) => self.aggregate(id, &ops),
            Op::ArrayLit | Op::ArrayNew | Op::Length | Op::ArrayGet { .. } | Op::ArraySet { .. } => {
                self.array(id, &ops)
            }
            Op::Concat | Op::Append => self.all(id, &ops, &Type::String),
            Op::Print { .. } | Op::Fail(FailKind::Message) => self.all(id, &ops, &Type::String),
            Op::FormatValue(_) => self.is(id, node.ty, &Type::String, "result"),
            Op::Var | Op::VarGet | Op::VarSet => self.variable(id, &ops),
            Op::GlobalGet(_) | Op::GlobalSet(_) => self.global(id, &ops),
            Op::Call { .. }
            | Op::CallClosure { .. }
            | Op::Closure(_)
            | Op::CallExtern(_)
            | Op::Dispatch { .. } => {
                self.call(id, &ops, in_tail);
            }
            Op::If => self.is(id, ops[0], &Type::Bool, "condition"),
            Op::Switch(values) => {
                if !matches!(self.psg.types.get(ops[0]), Type::Int(_)) {
                    self.error(Some(id), "switches on what is not an integer");
                }
                let mut sorted = values.clone();
                sorted.sort_unstable();
                if sorted.windows(2).any(|w| w[0] == w[1]) {
                    self.error(Some(id), "a switch has a value twice");
                }
            }
            Op::For(_) | Op::Parallel => self.bounds(id, &ops),
            Op::BufferGet { .. } | Op::BufferSet { .. } | Op::BufferLength | Op::Atomic(_) => {
                self.buffer(id, &ops)
            }
            Op::Param(_) | Op::RegionParam(_) => self.error(Some(id), "a parameter stands in a region"),
            Op::While | Op::Fail(_) | Op::Intrinsic(_) | Op::AllocUnified | Op::Marker | Op::Barrier => {}
            Op::Remake(_) => self.aggregate(id, &ops[1..]),
            Op::WorkgroupArray(_) | Op::ItemArray(_) | Op::Dup | Op::Drop => {}
            Op::Unpack(_) | Op::Discard => {}
            Op::Group { op: GroupOp::Size | GroupOp::Lane | GroupOp::Tiles, .. } => {}
            Op::Group { .. } => {
                self.same(id, node.ty, ops[0], "result");
                if !matches!(self.psg.types.get(ops[0]), Type::Int(_) | Type::Float(_)) {
                    self.error(Some(id), "a group computes with what is not a number");
                }
            }
        }
    }

    fn same(&mut self, id: NodeId, found: TypeId, wanted: TypeId, what: &str) {
        if found != wanted {
            let (a, b) = (self.name(found), self.name(wanted));
            self.error(Some(id), format!("{what} is `{a}`, not `{b}`"));
        }
    }

    fn is(&mut self, id: NodeId, found: TypeId, wanted: &Type, what: &str) {
        if self.psg.types.get(found) != wanted {
            let a = self.name(found);
            self.error(Some(id), format!("{what} is `{a}`, not {wanted:?}"));
        }
    }

    fn all(&mut self, id: NodeId, ops: &[TypeId], wanted: &Type) {
        for (i, ty) in ops.iter().enumerate() {
            self.is(id, *ty, wanted, &format!("operand {i}"));
        }
    }

    fn is_scalar(&self, ty: TypeId) -> bool {
        matches!(
            self.psg.types.get(ty),
            Type::Bool | Type::Char | Type::Int(_) | Type::Float(_) | Type::NativePtr(_)
        )
    }

    fn constant(&mut self, id: NodeId, value: &Const) {
        let ty = self.psg.types.get(self.psg.nodes[id].ty);
        let fits = matches!(
            (value, ty),
            (Const::Unit, Type::Unit)
                | (Const::Bool(_), Type::Bool)
                | (Const::Char(_), Type::Char)
                | (Const::Int(_), Type::Int(_))
                | (Const::Float(_), Type::Float(_))
                | (Const::String(_), Type::String)
        );
        if !fits {
            self.error(Some(id), format!("constant {value:?} of type {ty:?}"));
        }
    }

    fn binary(&mut self, id: NodeId, op: BinOp, ops: &[TypeId]) {
        self.same(id, ops[1], ops[0], "operand 1");
        let (operand, result) = (self.psg.types.get(ops[0]), self.psg.nodes[id].ty);
        if matches!(op, BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge) {
            if !self.is_scalar(ops[0]) {
                self.error(Some(id), "compares what is not a scalar");
            }
            return self.is(id, result, &Type::Bool, "result");
        }
        let fits = match op {
            BinOp::Shl | BinOp::Shr => matches!(operand, Type::Int(_)),
            BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor => matches!(operand, Type::Int(_) | Type::Bool),
            BinOp::Pow | BinOp::Atan2 => matches!(operand, Type::Float(_)),
            BinOp::Min | BinOp::Max => self.is_scalar(ops[0]),
            _ => matches!(operand, Type::Int(_) | Type::Float(_) | Type::Char),
        };
        if !fits {
            let name = self.name(ops[0]);
            self.error(Some(id), format!("{op:?} of `{name}`"));
        }
        self.same(id, result, ops[0], "result");
    }

    fn unary(&mut self, id: NodeId, op: UnOp, ops: &[TypeId]) {
        let fits = match (op, self.psg.types.get(ops[0])) {
            (UnOp::Not, ty) => matches!(ty, Type::Bool),
            (UnOp::BitNot, ty) => matches!(ty, Type::Int(_)),
            (UnOp::Neg | UnOp::Abs, ty) => matches!(ty, Type::Int(_) | Type::Float(_)),
            (_, ty) => matches!(ty, Type::Float(_)),
        };
        if !fits {
            let name = self.name(ops[0]);
            self.error(Some(id), format!("{op:?} of `{name}`"));
        }
        self.same(id, self.psg.nodes[id].ty, ops[0], "result");
    }

    fn aggregate(&mut self, id: NodeId, ops: &[TypeId]) {
        let node = &self.psg.nodes[id];
        let holder = if matches!(node.op, Op::Make(_) | Op::Remake(_)) { node.ty } else { ops[0] };
        let Some(agg) = self.psg.types.agg(holder) else {
            let name = self.name(holder);
            return self.error(Some(id), format!("`{name}` is not an aggregate"));
        };
        match node.op {
            Op::Make(case) | Op::Remake(case) => {
                let Some(case) = agg.cases.get(case as usize) else {
                    return self.error(Some(id), "no such case");
                };
                if case.fields.len() != ops.len() {
                    return self.error(Some(id), format!("{} fields, not {}", ops.len(), case.fields.len()));
                }
                for (field, ty) in case.fields.iter().zip(ops) {
                    self.same(id, *ty, field.ty, &format!("field `{}`", field.name));
                }
            }
            Op::Field { case, field } => {
                match agg.cases.get(case as usize).and_then(|c| c.fields.get(field as usize)) {
                    Some(field) => self.same(id, node.ty, field.ty, "result"),
                    None => self.error(Some(id), "no such field"),
                }
            }
            Op::SetField(field) => match agg.cases.first().and_then(|c| c.fields.get(field as usize)) {
                Some(field) if !field.is_mutable => {
                    self.error(Some(id), format!("field `{}` is not mutable", field.name));
                }
                Some(field) => self.same(id, ops[1], field.ty, "value"),
                None => self.error(Some(id), "no such field"),
            },
            _ => self.is(id, node.ty, &Type::Int(IntKind::I32), "result"),
        }
    }

    fn array(&mut self, id: NodeId, ops: &[TypeId]) {
        let node = &self.psg.nodes[id];
        let making = matches!(node.op, Op::ArrayLit | Op::ArrayNew);
        let array = if making { node.ty } else { ops[0] };
        let element = match self.psg.types.get(array) {
            Type::Array(t) => Some(*t),
            Type::String if matches!(node.op, Op::Length) => None,
            Type::String if matches!(node.op, Op::ArrayGet { .. }) => {
                return self.is(id, node.ty, &Type::Char, "result");
            }
            _ => {
                let name = self.name(array);
                return self.error(Some(id), format!("`{name}` is not an array"));
            }
        };
        let Some(element) = element else { return };
        match node.op {
            Op::ArrayLit => {
                for (i, ty) in ops.iter().enumerate() {
                    self.same(id, *ty, element, &format!("element {i}"));
                }
            }
            Op::ArrayNew => self.same(id, ops[1], element, "element"),
            Op::ArrayGet { .. } => self.same(id, node.ty, element, "result"),
            Op::ArraySet { .. } => self.same(id, ops[2], element, "value"),
            _ => {}
        }
    }

    fn variable(&mut self, id: NodeId, ops: &[TypeId]) {
        let node = &self.psg.nodes[id];
        let var = if matches!(node.op, Op::Var) { node.ty } else { ops[0] };
        let Type::Var(content) = *self.psg.types.get(var) else {
            return self.error(Some(id), "what is not a variable is used as one");
        };
        match node.op {
            Op::Var => self.same(id, ops[0], content, "initial value"),
            Op::VarGet => self.same(id, node.ty, content, "result"),
            _ => self.same(id, ops[1], content, "value"),
        }
    }

    fn global(&mut self, id: NodeId, ops: &[TypeId]) {
        let node = &self.psg.nodes[id];
        let (Op::GlobalGet(global) | Op::GlobalSet(global)) = node.op else { return };
        let Some(global) = self.psg.globals.get(global) else {
            return self.error(Some(id), "no such global");
        };
        if matches!(node.op, Op::GlobalGet(_)) {
            return self.same(id, node.ty, global.ty, "result");
        }
        self.same(id, ops[0], global.ty, "value");
        if !global.is_mutable && Some(self.func) != self.psg.init {
            self.error(Some(id), format!("global `{}` is not mutable", global.name));
        }
    }

    fn arguments(&mut self, id: NodeId, found: &[TypeId], wanted: &[TypeId]) {
        if found.len() != wanted.len() {
            return self.error(Some(id), format!("{} arguments, not {}", found.len(), wanted.len()));
        }
        for (i, (a, b)) in found.iter().zip(wanted).enumerate() {
            self.same(id, *a, *b, &format!("argument {i}"));
        }
    }

    fn call(&mut self, id: NodeId, ops: &[TypeId], in_tail: bool) {
        let psg = self.psg;
        let node = &psg.nodes[id];
        if let Op::Call { tail: true, .. } | Op::CallClosure { tail: true } = node.op
            && !in_tail
        {
            self.error(Some(id), "a tail call with something behind it");
        }
        match node.op {
            Op::Call { func, .. } | Op::Closure(func) => {
                let Some(func) = psg.funcs.get(func) else { return self.error(Some(id), "no such function") };
                let params: Vec<TypeId> = func.params.iter().map(|p| psg.nodes[*p].ty).collect();
                if matches!(node.op, Op::Call { .. }) {
                    self.arguments(id, ops, &params);
                    return self.same(id, node.ty, func.ret, "result");
                }
                let own = params.len().saturating_sub(func.captures as usize);
                self.arguments(id, ops, &params[own..]);
                match psg.types.get(node.ty) {
                    Type::Closure { params: taken, ret }
                        if taken[..] == params[..own] && *ret == func.ret => {}
                    _ => {
                        let (name, ty) = (func.name, self.name(node.ty));
                        self.error(Some(id), format!("a closure of `{name}` is not of type `{ty}`"));
                    }
                }
            }
            Op::CallClosure { .. } => match psg.types.get(ops[0]) {
                Type::Closure { params, ret } => {
                    self.arguments(id, &ops[1..], params);
                    self.same(id, node.ty, *ret, "result");
                }
                _ => self.error(Some(id), "calls what is not a closure"),
            },
            Op::CallExtern(external) => {
                let Some(external) = psg.externs.get(external) else {
                    return self.error(Some(id), "no such extern");
                };
                let params: Vec<TypeId> = external.params.iter().map(|p| p.1).collect();
                self.arguments(id, ops, &params);
                self.same(id, node.ty, external.ret, "result");
            }
            Op::Dispatch { kernel, .. } => self.dispatch(id, kernel, ops),
            _ => {}
        }
    }

    fn dispatch(&mut self, id: NodeId, kernel: crate::id::KernelId, ops: &[TypeId]) {
        let psg = self.psg;
        let Some(kernel) = psg.kernels.get(kernel) else { return self.error(Some(id), "no such kernel") };
        if kernel.params.len() != ops.len() {
            return self.error(Some(id), format!("{} arguments, not {}", ops.len(), kernel.params.len()));
        }
        for (param, ty) in kernel.params.iter().zip(ops) {
            match param.element {
                Some(_) => self.is(id, *ty, &Type::Int(IntKind::ISize), &format!("buffer `{}`", param.name)),
                None => self.same(id, *ty, param.ty, &format!("argument `{}`", param.name)),
            }
        }
    }

    fn bounds(&mut self, id: NodeId, ops: &[TypeId]) {
        for ty in &ops[1..] {
            self.same(id, *ty, ops[0], "bound");
        }
        if !matches!(self.psg.types.get(ops[0]), Type::Int(_) | Type::Char | Type::Float(_)) {
            self.error(Some(id), "a loop over what is not a number");
        }
        let region = self.psg.nodes[id].regions[0];
        let Some(region) = self.psg.regions.get(region) else { return };
        match region.params[..] {
            [param] if self.psg.nodes.get(param).is_some() => {
                self.same(id, self.psg.nodes[param].ty, ops[0], "loop variable");
            }
            _ => self.error(Some(id), "a loop whose region has not one parameter"),
        }
    }

    fn buffer(&mut self, id: NodeId, ops: &[TypeId]) {
        let node = &self.psg.nodes[id];
        let element = match self.psg.types.get(ops[0]) {
            // Workgroup arrays take atomics too.
            Type::Array(t) if matches!(node.op, Op::Atomic(_)) => *t,
            _ => match self.psg.types.buffer_element(ops[0]) {
                Some(element) => element,
                None => {
                    let name = self.name(ops[0]);
                    return self.error(Some(id), format!("`{name}` is not a buffer"));
                }
            },
        };
        match node.op {
            Op::BufferGet { .. } => self.same(id, node.ty, element, "result"),
            Op::BufferSet { .. } => self.same(id, ops[2], element, "value"),
            Op::Atomic(_) => {
                self.same(id, ops[2], element, "value");
                self.same(id, node.ty, element, "result");
            }
            _ => {}
        }
    }
}

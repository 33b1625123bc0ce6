//! Structural equality, comparison and hashing: inline on scalars and strings, a generated function for each other type.
//!
//! The last field is compared (hashed) by a tail call where it is of the same type, so that long lists do not grow the
//! stack. Arrays are compared as F# does: by length, then element by element.

use super::Builder;
use super::Work;
use super::shape::{Leaves, ShapeId, Val};
use crate::id::{FuncId, NodeId, RegionId, TypeId};
use crate::node::{BinOp, Const, FailKind, ForKind, Op};
use crate::ty::Type;
use clef_frontend::ast::IntKind;
use clef_frontend::span::Span;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Structural {
    /// (a, b) -> bool
    Equal,
    /// (a, b) -> int
    Compare,
    /// (a, seed) -> int
    Hash,
    /// (a, as an argument) -> string
    Show,
}

impl Builder<'_> {
    /// The generated function, made if it is new.
    pub(super) fn structural_func(&mut self, kind: Structural, ty: TypeId) -> FuncId {
        if let Some(&func) = self.structural.get(&(kind, ty)) {
            return func;
        }
        let common = self.types.common;
        let (name, ret) = match kind {
            Structural::Equal => ("equal", common.bool),
            Structural::Compare => ("compare", common.int),
            Structural::Hash => ("hash", common.int),
            Structural::Show => ("show", common.string),
        };
        let name = format!("{name}<{}>", self.type_name(ty));
        let func = self.declare(&name, ret);
        self.structural.insert((kind, ty), func);
        self.queue.push_back(Work::Structural(kind, ty, func));
        func
    }

    pub(super) fn lower_structural(&mut self, kind: Structural, ty: TypeId, func: FuncId) {
        let span = match self.origin(ty) {
            Some((def, _)) => self.prog.type_defs[def.index()].span,
            None => Span::default(),
        };
        self.start(self.fx.ctx, None);
        let a = self.param(ty, span);
        let second = match kind {
            Structural::Equal | Structural::Compare => ty,
            Structural::Hash => self.types.common.int,
            Structural::Show => self.types.common.bool,
        };
        let b = self.param(second, span);
        let result = match kind {
            Structural::Equal => self.equal_body(a, b, ty, span),
            Structural::Compare => self.compare_body(a, b, ty, span),
            Structural::Hash => self.hash_body(a, b, ty, span),
            Structural::Show => self.show_body(a, b, ty, span),
        };
        self.finish(func, Some(result), 0, span);
    }

    fn call2(&mut self, kind: Structural, a: NodeId, b: NodeId, span: Span, tail: bool) -> NodeId {
        let func = self.structural_func(kind, self.node_ty(a));
        let ret = self.psg.funcs[func].ret;
        self.push(Op::Call { func, tail }, &[a, b], ret, span)
    }

    pub(super) fn call_member(&mut self, shape: ShapeId, args: &[NodeId], span: Span) -> NodeId {
        let args = args.iter().map(|n| Val::Node(*n)).collect();
        let val = self.apply(Val::Known(shape, Leaves::new()), args, false, span);
        self.node_at(val, span)
    }

    // --- equality

    pub(super) fn equal(&mut self, a: NodeId, b: NodeId, span: Span, tail: bool) -> NodeId {
        let ty = self.node_ty(a);
        let bool = self.types.common.bool;
        match self.psg.types.get(ty) {
            Type::Unit => self.bool(true, span),
            Type::String => self.push(Op::Intrinsic("string.eq".into()), &[a, b], bool, span),
            Type::Closure { .. } => self.no_functions(bool, span),
            Type::Agg(_) | Type::Array(_) => {
                if self.is_plain_enum(ty) {
                    let (a, b) = self.tags(a, b, span);
                    return self.push(Op::Binary(BinOp::Eq), &[a, b], bool, span);
                }
                self.call2(Structural::Equal, a, b, span, tail)
            }
            _ => self.push(Op::Binary(BinOp::Eq), &[a, b], bool, span),
        }
    }

    fn no_functions(&mut self, ty: TypeId, span: Span) -> NodeId {
        self.error_here(
            span,
            "functions cannot be compared or hashed",
            "compare the values that the functions are made from",
        );
        self.push(Op::Fail(FailKind::Match), &[], ty, span)
    }

    fn equal_body(&mut self, a: NodeId, b: NodeId, ty: TypeId, span: Span) -> NodeId {
        if let Some(member) = self.override_of(ty, Structural::Equal) {
            return self.call_member(member, &[a, b], span);
        }
        if let Some(entries) = self.entries_of(ty) {
            let (a, b) = (self.call_member(entries, &[a], span), self.call_member(entries, &[b], span));
            return self.equal(a, b, span, false);
        }
        let bool = self.types.common.bool;
        if matches!(self.psg.types.get(ty), Type::Array(_)) {
            return self.equal_arrays(a, b, span);
        }
        let cases = self.case_types(ty);
        if cases.len() == 1 {
            return self.equal_fields(a, b, 0, &cases[0], 0, span);
        }
        let (ta, tb) = self.tags(a, b, span);
        let same = self.push(Op::Binary(BinOp::Eq), &[ta, tb], bool, span);
        let then = self.region(|s| {
            Some(s.by_case(ta, &cases, bool, span, |s, case, fields| {
                if fields.is_empty() {
                    s.bool(true, span)
                } else {
                    s.equal_fields(a, b, case, fields, 0, span)
                }
            }))
        });
        let otherwise = self.region(|s| Some(s.bool(false, span)));
        self.push_with(Op::If, &[same], &[then, otherwise], bool, span)
    }

    fn equal_fields(
        &mut self,
        a: NodeId,
        b: NodeId,
        case: u32,
        fields: &[TypeId],
        at: usize,
        span: Span,
    ) -> NodeId {
        let bool = self.types.common.bool;
        let Some(&ty) = fields.get(at) else { return self.bool(true, span) };
        let (x, y) = self.both_fields(a, b, case, at, ty, span);
        if at + 1 == fields.len() {
            return self.equal(x, y, span, true);
        }
        let same = self.equal(x, y, span, false);
        let then = self.region(|s| Some(s.equal_fields(a, b, case, fields, at + 1, span)));
        let otherwise = self.region(|s| Some(s.bool(false, span)));
        self.push_with(Op::If, &[same], &[then, otherwise], bool, span)
    }

    fn equal_arrays(&mut self, a: NodeId, b: NodeId, span: Span) -> NodeId {
        let common = self.types.common;
        let (la, lb) = (self.length(a, span), self.length(b, span));
        let start = self.push(Op::Binary(BinOp::Eq), &[la, lb], common.bool, span);
        let equal = self.new_var(start, span);
        self.elements_while(equal, la, span, |s, i| {
            let (x, y) = s.both_elements(a, b, i, span);
            let same = s.equal(x, y, span, false);
            s.set_var(equal, same, span);
        });
        self.push(Op::VarGet, &[equal], common.bool, span)
    }

    // --- comparison

    pub(super) fn compare(&mut self, a: NodeId, b: NodeId, span: Span, tail: bool) -> NodeId {
        let ty = self.node_ty(a);
        let int = self.types.common.int;
        match self.psg.types.get(ty) {
            Type::Unit => self.int(0, span),
            Type::String => self.push(Op::Intrinsic("string.compare".into()), &[a, b], int, span),
            Type::Closure { .. } => self.no_functions(int, span),
            Type::Agg(_) | Type::Array(_) => self.call2(Structural::Compare, a, b, span, tail),
            _ => self.compare_scalars(a, b, span),
        }
    }

    /// NaN is less than every number and equal to itself, as in F#'s `compare`.
    fn compare_scalars(&mut self, a: NodeId, b: NodeId, span: Span) -> NodeId {
        let (bool, int) = (self.types.common.bool, self.types.common.int);
        let is_float = matches!(self.psg.types.get(self.node_ty(a)), Type::Float(_));
        let less = self.push(Op::Binary(BinOp::Lt), &[a, b], bool, span);
        let below = self.region(|s| Some(s.int(-1, span)));
        let rest = self.region(|s| {
            let greater = s.push(Op::Binary(BinOp::Gt), &[a, b], bool, span);
            let above = s.region(|s| Some(s.int(1, span)));
            let equal = s.region(|s| {
                if !is_float {
                    return Some(s.int(0, span));
                }
                let a_ok = s.push(Op::Binary(BinOp::Eq), &[a, a], bool, span);
                let b_ok = s.push(Op::Binary(BinOp::Eq), &[b, b], bool, span);
                let (x, y) =
                    (s.push(Op::Convert, &[a_ok], int, span), s.push(Op::Convert, &[b_ok], int, span));
                Some(s.push(Op::Binary(BinOp::Sub), &[x, y], int, span))
            });
            Some(s.push_with(Op::If, &[greater], &[above, equal], int, span))
        });
        self.push_with(Op::If, &[less], &[below, rest], int, span)
    }

    fn compare_body(&mut self, a: NodeId, b: NodeId, ty: TypeId, span: Span) -> NodeId {
        if let Some(member) = self.override_of(ty, Structural::Compare) {
            return self.call_member(member, &[a, b], span);
        }
        if let Some(entries) = self.entries_of(ty) {
            let (a, b) = (self.call_member(entries, &[a], span), self.call_member(entries, &[b], span));
            return self.compare(a, b, span, false);
        }
        let common = self.types.common;
        if matches!(self.psg.types.get(ty), Type::Array(_)) {
            return self.compare_arrays(a, b, span);
        }
        let cases = self.case_types(ty);
        if cases.len() == 1 {
            return self.compare_fields(a, b, 0, &cases[0], 0, span);
        }
        let (ta, tb) = self.tags(a, b, span);
        let same = self.push(Op::Binary(BinOp::Eq), &[ta, tb], common.bool, span);
        let then = self.region(|s| {
            Some(s.by_case(ta, &cases, common.int, span, |s, case, fields| {
                s.compare_fields(a, b, case, fields, 0, span)
            }))
        });
        let otherwise = self.region(|s| Some(s.compare_scalars(ta, tb, span)));
        self.push_with(Op::If, &[same], &[then, otherwise], common.int, span)
    }

    fn compare_fields(
        &mut self,
        a: NodeId,
        b: NodeId,
        case: u32,
        fields: &[TypeId],
        at: usize,
        span: Span,
    ) -> NodeId {
        let common = self.types.common;
        let Some(&ty) = fields.get(at) else { return self.int(0, span) };
        let (x, y) = self.both_fields(a, b, case, at, ty, span);
        if at + 1 == fields.len() {
            return self.compare(x, y, span, true);
        }
        let order = self.compare(x, y, span, false);
        let zero = self.int(0, span);
        let same = self.push(Op::Binary(BinOp::Eq), &[order, zero], common.bool, span);
        let then = self.region(|s| Some(s.compare_fields(a, b, case, fields, at + 1, span)));
        let otherwise = self.region(|_| Some(order));
        self.push_with(Op::If, &[same], &[then, otherwise], common.int, span)
    }

    fn compare_arrays(&mut self, a: NodeId, b: NodeId, span: Span) -> NodeId {
        let common = self.types.common;
        let (la, lb) = (self.length(a, span), self.length(b, span));
        let lengths = self.compare_scalars(la, lb, span);
        let order = self.new_var(lengths, span);
        let zero = self.int(0, span);
        let same = self.push(Op::Binary(BinOp::Eq), &[lengths, zero], common.bool, span);
        let go_on = self.new_var(same, span);
        self.elements_while(go_on, la, span, |s, i| {
            let (x, y) = s.both_elements(a, b, i, span);
            let one = s.compare(x, y, span, false);
            s.set_var(order, one, span);
            let zero = s.int(0, span);
            let same = s.push(Op::Binary(BinOp::Eq), &[one, zero], common.bool, span);
            s.set_var(go_on, same, span);
        });
        self.push(Op::VarGet, &[order], common.int, span)
    }

    // --- hashing

    pub(super) fn hash(&mut self, a: NodeId, seed: NodeId, span: Span, tail: bool) -> NodeId {
        let ty = self.node_ty(a);
        let int = self.types.common.int;
        let code = match self.psg.types.get(ty) {
            Type::Unit => self.int(0, span),
            Type::String => self.push(Op::Intrinsic("string.hash".into()), &[a], int, span),
            Type::Closure { .. } => return self.no_functions(int, span),
            Type::Agg(_) | Type::Array(_) => return self.call2(Structural::Hash, a, seed, span, tail),
            Type::Float(_) => self.float_code(a, span),
            _ => self.convert(a, int, span),
        };
        self.mix(seed, code, span)
    }

    /// The folded bits of a float; both zeros are equal and have one code.
    fn float_code(&mut self, a: NodeId, span: Span) -> NodeId {
        let long = self.intern(Type::Int(IntKind::I64));
        let float = self.convert(a, self.types.common.float, span);
        let zero = self.zero(self.types.common.float, span);
        let float = self.push(Op::Binary(BinOp::Add), &[float, zero], self.types.common.float, span);
        let bits = self.push(Op::Intrinsic("bits.of_float64".into()), &[float], long, span);
        let half = self.constant(Const::Int(32), long, span);
        let high = self.push(Op::Binary(BinOp::Shr), &[bits, half], long, span);
        let mixed = self.push(Op::Binary(BinOp::BitXor), &[bits, high], long, span);
        self.convert(mixed, self.types.common.int, span)
    }

    /// `seed * 31 + code`
    fn mix(&mut self, seed: NodeId, code: NodeId, span: Span) -> NodeId {
        let int = self.types.common.int;
        let factor = self.int(31, span);
        let scaled = self.push(Op::Binary(BinOp::Mul), &[seed, factor], int, span);
        self.push(Op::Binary(BinOp::Add), &[scaled, code], int, span)
    }

    fn hash_body(&mut self, a: NodeId, seed: NodeId, ty: TypeId, span: Span) -> NodeId {
        let int = self.types.common.int;
        if let Some(member) = self.override_of(ty, Structural::Hash) {
            let code = self.call_member(member, &[a], span);
            return self.mix(seed, code, span);
        }
        if let Some(entries) = self.entries_of(ty) {
            let a = self.call_member(entries, &[a], span);
            return self.hash(a, seed, span, false);
        }
        if matches!(self.psg.types.get(ty), Type::Array(_)) {
            let length = self.length(a, span);
            let sum = self.new_var(seed, span);
            self.elements(length, span, |s, i| {
                let x = s.element(a, i, span);
                let so_far = s.push(Op::VarGet, &[sum], int, span);
                let next = s.hash(x, so_far, span, false);
                s.set_var(sum, next, span);
            });
            return self.push(Op::VarGet, &[sum], int, span);
        }
        let cases = self.case_types(ty);
        if cases.len() == 1 {
            return self.hash_fields(a, seed, 0, &cases[0], span);
        }
        let tag = self.push(Op::Tag, &[a], int, span);
        let seed = self.mix(seed, tag, span);
        self.by_case(tag, &cases, int, span, |s, case, fields| s.hash_fields(a, seed, case, fields, span))
    }

    fn hash_fields(
        &mut self,
        a: NodeId,
        mut seed: NodeId,
        case: u32,
        fields: &[TypeId],
        span: Span,
    ) -> NodeId {
        for (i, ty) in fields.iter().enumerate() {
            let x = self.push(Op::Field { case, field: i as u32 }, &[a], *ty, span);
            seed = self.hash(x, seed, span, i + 1 == fields.len());
        }
        seed
    }

    // --- parts

    pub(super) fn case_types(&self, ty: TypeId) -> Vec<Vec<TypeId>> {
        match self.psg.types.agg(ty) {
            Some(agg) if !agg.cases.is_empty() => {
                agg.cases.iter().map(|c| c.fields.iter().map(|f| f.ty).collect()).collect()
            }
            _ => vec![Vec::new()],
        }
    }

    /// A union whose cases have no fields.
    fn is_plain_enum(&self, ty: TypeId) -> bool {
        self.psg
            .types
            .agg(ty)
            .is_some_and(|a| a.cases.len() > 1 && a.cases.iter().all(|c| c.fields.is_empty()))
            && self.origin(ty).is_none_or(|(def, _)| self.prog.type_defs[def.index()].members.is_empty())
    }

    fn tags(&mut self, a: NodeId, b: NodeId, span: Span) -> (NodeId, NodeId) {
        let int = self.types.common.int;
        (self.push(Op::Tag, &[a], int, span), self.push(Op::Tag, &[b], int, span))
    }

    fn both_fields(
        &mut self,
        a: NodeId,
        b: NodeId,
        case: u32,
        field: usize,
        ty: TypeId,
        span: Span,
    ) -> (NodeId, NodeId) {
        let op = Op::Field { case, field: field as u32 };
        (self.push(op.clone(), &[a], ty, span), self.push(op, &[b], ty, span))
    }

    /// A switch over all cases.
    pub(super) fn by_case(
        &mut self,
        tag: NodeId,
        cases: &[Vec<TypeId>],
        ty: TypeId,
        span: Span,
        mut each: impl FnMut(&mut Self, u32, &[TypeId]) -> NodeId,
    ) -> NodeId {
        let mut regions: Vec<RegionId> = Vec::with_capacity(cases.len());
        for (i, fields) in cases.iter().enumerate() {
            self.open();
            let result = each(self, i as u32, fields);
            regions.push(self.close(Some(result)));
        }
        let values = (0..cases.len().saturating_sub(1) as i64).collect();
        self.push_with(Op::Switch(values), &[tag], &regions, ty, span)
    }

    pub(super) fn length(&mut self, a: NodeId, span: Span) -> NodeId {
        self.push(Op::Length, &[a], self.types.common.int, span)
    }

    pub(super) fn element(&mut self, a: NodeId, i: NodeId, span: Span) -> NodeId {
        let ty = match self.psg.types.get(self.node_ty(a)) {
            Type::Array(t) => *t,
            _ => self.types.common.char,
        };
        self.push(Op::ArrayGet { checked: false }, &[a, i], ty, span)
    }

    fn both_elements(&mut self, a: NodeId, b: NodeId, i: NodeId, span: Span) -> (NodeId, NodeId) {
        (self.element(a, i, span), self.element(b, i, span))
    }

    /// A loop over all indices.
    pub(super) fn elements(&mut self, length: NodeId, span: Span, each: impl FnOnce(&mut Self, NodeId)) {
        let common = self.types.common;
        let (zero, one) = (self.int(0, span), self.int(1, span));
        let last = self.push(Op::Binary(BinOp::Sub), &[length, one], common.int, span);
        let body = self.region(|s| {
            let i = s.region_param(common.int, span);
            each(s, i);
            None
        });
        self.push_with(Op::For(ForKind::Up), &[zero, last], &[body], common.unit, span);
    }

    /// A loop over indices while a variable is true.
    fn elements_while(
        &mut self,
        go_on: NodeId,
        length: NodeId,
        span: Span,
        each: impl FnOnce(&mut Self, NodeId),
    ) {
        let common = self.types.common;
        let zero = self.int(0, span);
        let index = self.new_var(zero, span);
        let cond = self.region(|s| {
            let on = s.push(Op::VarGet, &[go_on], common.bool, span);
            let then = s.region(|s| {
                let i = s.push(Op::VarGet, &[index], common.int, span);
                Some(s.push(Op::Binary(BinOp::Lt), &[i, length], common.bool, span))
            });
            let otherwise = s.region(|s| Some(s.bool(false, span)));
            Some(s.push_with(Op::If, &[on], &[then, otherwise], common.bool, span))
        });
        let body = self.region(|s| {
            let i = s.push(Op::VarGet, &[index], common.int, span);
            each(s, i);
            let one = s.int(1, span);
            let next = s.push(Op::Binary(BinOp::Add), &[i, one], common.int, span);
            s.set_var(index, next, span);
            None
        });
        self.push_with(Op::While, &[], &[cond, body], common.unit, span);
    }
}

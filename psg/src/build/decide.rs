//! Matches, second half: a decision tree to code.
//!
//! An arm that one leaf reaches stands in that leaf. Where a larger arm is reached from several, the tree only finds
//! the arm's number and a switch behind it holds the arms, so that each body is made once.

use super::Builder;
use super::matching::{Cx, Key, Occ, OccDef, Question, Tree, Variant};
use super::shape::Val;
use crate::id::{NodeId, TypeId};
use crate::node::{BinOp, Const, FailKind, Op};
use clef_frontend::typed::{ExprId, ExprKind};

/// A leaf's number is its arm, plus this times the variant of the arm's names.
const VARIANT: i64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Leaves are the arms.
    Value,
    /// Leaves are numbers of arms.
    Index,
}

pub struct Emit<'p> {
    cx: Cx<'p>,
    mode: Mode,
    /// By place: its value, where it was read in a region that is still open.
    known: Vec<Option<NodeId>>,
    /// Places read since the match began, to be forgotten with their region.
    log: Vec<Occ>,
}

impl<'p> Emit<'p> {
    pub fn new(cx: Cx<'p>, mode: Mode) -> Self {
        let known = vec![None; cx.occs.len()];
        Self { cx, mode, known, log: Vec::new() }
    }

    fn forget(&mut self, mark: usize) {
        for occ in self.log.drain(mark..) {
            self.known[occ.0 as usize] = None;
        }
    }

    fn ty(&self, int: TypeId) -> TypeId {
        if self.mode == Mode::Value { self.cx.ty } else { int }
    }
}

impl<'p> Builder<'p> {
    pub(super) fn emit_match(&mut self, cx: Cx<'p>, tree: &Tree) -> Val {
        let body = self.tree();
        let shared = cx.reached.iter().zip(cx.arms).any(|(n, arm)| *n > 1 && !is_small(body, arm.body));
        if !shared {
            let mut emit = Emit::new(cx, Mode::Value);
            return self.emit_tree(&mut emit, tree);
        }
        let mut emit = Emit::new(cx, Mode::Index);
        let number = self.emit_tree(&mut emit, tree);
        let span = emit.cx.span;
        let number = self.node_at(number, span);
        self.emit_arms(&mut emit, number)
    }

    /// The arms behind a tree that found the arm's number.
    fn emit_arms(&mut self, emit: &mut Emit<'p>, number: NodeId) -> Val {
        let span = emit.cx.span;
        let body = self.tree();
        let mut by_arm: Vec<Vec<usize>> = vec![Vec::new(); emit.cx.arms.len()];
        for (i, v) in emit.cx.variants.iter().enumerate() {
            by_arm[v.arm as usize].push(i);
        }
        let reached: Vec<usize> = (0..by_arm.len()).filter(|a| !by_arm[*a].is_empty()).collect();
        let arm_number = if by_arm.iter().any(|v| v.len() > 1) {
            let mask = self.int(VARIANT - 1, span);
            self.push(Op::Binary(BinOp::BitAnd), &[number, mask], self.types.common.int, span)
        } else {
            number
        };
        let ty = emit.cx.ty;
        let unit = self.is_unit(ty);
        let tail = emit.cx.tail;
        let mut regions = Vec::with_capacity(reached.len());
        for &arm in &reached {
            let mark = emit.log.len();
            self.open();
            self.bind_variants(emit, &by_arm[arm], number);
            let e = emit.cx.arms[arm].body;
            let val = self.expr(e, tail);
            let result = if unit { None } else { Some(self.node_at(val, body[e].span)) };
            regions.push(self.close(result));
            emit.forget(mark);
        }
        let values = reached[..reached.len().saturating_sub(1)].iter().map(|a| *a as i64).collect();
        let node = self.push_with(Op::Switch(values), &[arm_number], &regions, ty, span);
        if unit { Val::Unit } else { Val::Node(node) }
    }

    /// Binds an arm's names; where they stand in different places (or-patterns), by the variant.
    fn bind_variants(&mut self, emit: &mut Emit<'p>, variants: &[usize], number: NodeId) {
        let Some((&first, rest)) = variants.split_first() else { return };
        let first = emit.cx.variants[first].clone();
        for (local, occ) in &first.binds {
            let place = |v: &usize| {
                let binds = &emit.cx.variants[*v].binds;
                binds.iter().find(|(l, _)| l == local).map_or(*occ, |b| b.1)
            };
            let places: Vec<Occ> = std::iter::once(*occ).chain(rest.iter().map(place)).collect();
            if places.iter().all(|p| p == occ) {
                let val = self.occ_val(emit, *occ);
                self.bind(*local, val);
                continue;
            }
            let span = emit.cx.span;
            let ty = emit.cx.occs[occ.0 as usize].ty;
            let mut regions = Vec::with_capacity(places.len());
            for place in &places {
                let mark = emit.log.len();
                self.open();
                let node = self.occ_node(emit, *place);
                regions.push(self.close(Some(node)));
                emit.forget(mark);
            }
            let values = (0..places.len() as i64 - 1).map(|n| i64::from(first.arm) + VARIANT * n).collect();
            let node = self.push_with(Op::Switch(values), &[number], &regions, ty, span);
            self.bind(*local, Val::Node(node));
        }
    }

    pub(super) fn bind_variant(&mut self, emit: &mut Emit<'p>, variant: usize) -> usize {
        let Variant { arm, binds } = emit.cx.variants[variant].clone();
        for (local, occ) in binds {
            let val = self.occ_val(emit, occ);
            self.bind(local, val);
        }
        arm as usize
    }

    fn leaf(&mut self, emit: &mut Emit<'p>, variant: usize) -> Val {
        match emit.mode {
            Mode::Value => {
                let arm = self.bind_variant(emit, variant);
                self.expr(emit.cx.arms[arm].body, emit.cx.tail)
            }
            Mode::Index => {
                let arm = emit.cx.variants[variant].arm;
                let before = emit.cx.variants[..variant].iter().filter(|v| v.arm == arm).count();
                let number = i64::from(arm) + VARIANT * before as i64;
                Val::Node(self.int(number, emit.cx.span))
            }
        }
    }

    fn emit_tree(&mut self, emit: &mut Emit<'p>, tree: &Tree) -> Val {
        let span = emit.cx.span;
        let ty = emit.ty(self.types.common.int);
        match tree {
            Tree::Fail => Val::Node(self.push(Op::Fail(FailKind::Match), &[], ty, span)),
            Tree::Leaf(variant) => self.leaf(emit, *variant),
            Tree::Guard { variant, otherwise } => {
                let arm = self.bind_variant(emit, *variant);
                let cond = match emit.cx.arms[arm].guard {
                    Some(guard) => self.value(guard),
                    None => self.bool(true, span),
                };
                let then = self.branch(emit, |s, emit| s.leaf(emit, *variant));
                let otherwise = self.branch(emit, |s, emit| s.emit_tree(emit, otherwise));
                let node = self.push_with(Op::If, &[cond], &[then, otherwise], ty, span);
                if self.is_unit(ty) { Val::Unit } else { Val::Node(node) }
            }
            Tree::Switch { occ, question, cases, default } => {
                self.emit_switch(emit, *occ, *question, cases, default.as_deref())
            }
        }
    }

    /// A region with one branch of the tree.
    fn branch(
        &mut self,
        emit: &mut Emit<'p>,
        inside: impl FnOnce(&mut Self, &mut Emit<'p>) -> Val,
    ) -> crate::id::RegionId {
        let mark = emit.log.len();
        let unit = self.is_unit(emit.ty(self.types.common.int));
        self.open();
        let val = inside(self, emit);
        let result = if unit { None } else { Some(self.node_at(val, emit.cx.span)) };
        let region = self.close(result);
        emit.forget(mark);
        region
    }

    fn emit_switch(
        &mut self,
        emit: &mut Emit<'p>,
        occ: Occ,
        question: Question,
        cases: &[(Key, Tree)],
        default: Option<&Tree>,
    ) -> Val {
        let span = emit.cx.span;
        let common = self.types.common;
        let value = self.occ_node(emit, occ);
        if question == Question::Equal {
            return self.emit_equal(emit, value, cases, default);
        }
        let ty = emit.ty(common.int);
        if question == Question::Bool {
            return self.emit_bool(emit, value, cases, default);
        }
        let asked = match question {
            Question::Tag => self.push(Op::Tag, &[value], common.int, span),
            Question::Length => self.length(value, span),
            Question::Char => self.push(Op::Convert, &[value], common.int, span),
            _ => value,
        };
        let mut keys: Vec<i64> = cases.iter().map(|(k, _)| int_key(*k)).collect();
        let mut trees: Vec<&Tree> = cases.iter().map(|(_, t)| t).collect();
        match default {
            Some(tree) => trees.push(tree),
            None => {
                keys.pop();
            }
        }
        let regions: Vec<_> =
            trees.iter().map(|tree| self.branch(emit, |s, emit| s.emit_tree(emit, tree))).collect();
        let node = match (&keys[..], &regions[..]) {
            ([key], [then, otherwise]) => {
                let ask_ty = self.node_ty(asked);
                let key = self.constant(Const::Int(*key), ask_ty, span);
                let equal = self.push(Op::Binary(BinOp::Eq), &[asked, key], common.bool, span);
                self.push_with(Op::If, &[equal], &[*then, *otherwise], ty, span)
            }
            _ => self.push_with(Op::Switch(keys), &[asked], &regions, ty, span),
        };
        if self.is_unit(ty) { Val::Unit } else { Val::Node(node) }
    }

    fn emit_bool(
        &mut self,
        emit: &mut Emit<'p>,
        value: NodeId,
        cases: &[(Key, Tree)],
        default: Option<&Tree>,
    ) -> Val {
        let find = |n: i64| cases.iter().find(|(k, _)| int_key(*k) == n).map(|(_, t)| t).or(default);
        let ty = emit.ty(self.types.common.int);
        let span = emit.cx.span;
        let mut side = |n: i64| {
            self.branch(emit, |s, emit| match find(n) {
                Some(tree) => s.emit_tree(emit, tree),
                None => Val::Unit,
            })
        };
        let (then, otherwise) = (side(1), side(0));
        let node = self.push_with(Op::If, &[value], &[then, otherwise], ty, span);
        if self.is_unit(ty) { Val::Unit } else { Val::Node(node) }
    }

    /// Strings and floats: one comparison after the other.
    fn emit_equal(
        &mut self,
        emit: &mut Emit<'p>,
        value: NodeId,
        cases: &[(Key, Tree)],
        default: Option<&Tree>,
    ) -> Val {
        let span = emit.cx.span;
        let Some(((key, tree), rest)) = cases.split_first() else {
            return match default {
                Some(tree) => self.emit_tree(emit, tree),
                None => self.emit_tree(emit, &Tree::Fail),
            };
        };
        let ty = emit.ty(self.types.common.int);
        let value_ty = self.node_ty(value);
        let literal = match *key {
            Key::Text(s) => Const::String(s),
            Key::Float(bits) => Const::Float(f64::from_bits(bits)),
            Key::Int(i) => Const::Float(i as f64),
        };
        let literal = self.constant(literal, value_ty, span);
        let equal = self.equal(value, literal, span, false);
        let then = self.branch(emit, |s, emit| s.emit_tree(emit, tree));
        let otherwise = self.branch(emit, |s, emit| s.emit_equal(emit, value, rest, default));
        let node = self.push_with(Op::If, &[equal], &[then, otherwise], ty, span);
        if self.is_unit(ty) { Val::Unit } else { Val::Node(node) }
    }

    fn occ_val(&mut self, emit: &mut Emit<'p>, occ: Occ) -> Val {
        match &emit.cx.occs[occ.0 as usize].def {
            OccDef::Root(val) => val.clone(),
            _ => Val::Node(self.occ_node(emit, occ)),
        }
    }

    /// The value at a place, read at most once on each way.
    fn occ_node(&mut self, emit: &mut Emit<'p>, occ: Occ) -> NodeId {
        if let Some(node) = emit.known[occ.0 as usize] {
            return node;
        }
        let span = emit.cx.span;
        let data = &emit.cx.occs[occ.0 as usize];
        let ty = data.ty;
        let node = match data.def.clone() {
            OccDef::Root(val) => self.node_at(val, span),
            OccDef::Parts(parts) => {
                let parts: Vec<NodeId> = parts.iter().map(|p| self.occ_node(emit, *p)).collect();
                self.push(Op::Make(0), &parts, ty, span)
            }
            OccDef::Field { parent, case, field } => {
                let parent = self.occ_node(emit, parent);
                self.push(Op::Field { case, field }, &[parent], ty, span)
            }
            OccDef::Element { parent, index } => {
                let parent = self.occ_node(emit, parent);
                let index = self.int(i64::from(index), span);
                self.push(Op::ArrayGet { checked: false }, &[parent, index], ty, span)
            }
            OccDef::Active { parent, call } => {
                let arg = self.occ_val(emit, parent);
                let f = self.expr(call, false);
                let val = self.apply(f, vec![arg], false, span);
                self.node_at(val, span)
            }
        };
        emit.known[occ.0 as usize] = Some(node);
        emit.log.push(occ);
        node
    }
}

fn int_key(key: Key) -> i64 {
    match key {
        Key::Int(i) => i,
        Key::Text(_) | Key::Float(_) => 0,
    }
}

/// A body that may be repeated: no larger than a jump to it.
fn is_small(body: &clef_frontend::typed::Body, e: ExprId) -> bool {
    match &body[e].kind {
        ExprKind::Unit
        | ExprKind::Bool(_)
        | ExprKind::Char(_)
        | ExprKind::String(_)
        | ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Local(_)
        | ExprKind::Def(..) => true,
        ExprKind::Union { fields, .. } => fields.is_empty(),
        ExprKind::Fail(message) => matches!(body[*message].kind, ExprKind::String(_)),
        _ => false,
    }
}

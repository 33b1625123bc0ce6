//! Putting the form for one thread together: loops over the work-items of a group.

use super::{Form, Group, Piece};
use crate::graph::Region;
use crate::id::{NodeId, RegionId, TypeId};
use crate::node::{BinOp, Const, ForKind, GroupOp, Op};
use crate::ty::Type;
use clef_frontend::ast::IntKind;
use clef_frontend::span::Span;
use rustc_hash::FxHashSet;

impl Form<'_> {
    pub(super) fn emit(&mut self, pieces: &[Piece], group: &mut Group, out: &mut Vec<NodeId>) {
        for piece in pieces {
            match piece {
                Piece::Once(node) => {
                    self.copy(*node, out);
                }
                Piece::Own(node, len) => self.own_array(*node, *len, group, out),
                Piece::Together(node) => self.together(*node, group, out),
                Piece::Segment(nodes) => self.segment(nodes, group, out),
                Piece::Control(node, parts) => self.control(*node, parts, group, out),
            }
        }
    }

    /// The arrays of all work-items in one, and one of a single work-item's length, against which indices are checked.
    fn own_array(&mut self, old: NodeId, len: u32, group: &mut Group, out: &mut Vec<NodeId>) {
        let (ty, span) = (self.psg.nodes[old].ty, self.psg.spans[old]);
        let all = len.saturating_mul(group.items as u32);
        let array = self.psg.new_node(Op::WorkgroupArray(all), &[], &[], ty, span);
        let guard = self.psg.new_node(Op::WorkgroupArray(len), &[], &[], ty, span);
        out.extend([array, guard]);
        self.map.insert(old, array);
        group.guards.insert(old, guard);
    }

    /// An access of an array of the work-item's own: its part of the array of all.
    fn own_access(&mut self, old: NodeId, len: i64, group: &Group, lane: NodeId, out: &mut Vec<NodeId>) {
        let node = self.psg.nodes[old].clone();
        let span = self.psg.spans[old];
        let int = self.int();
        let operands: Vec<NodeId> = node.operands.iter().map(|&o| self.value(o)).collect();
        let guard = group.guards.get(&node.operands[0]).copied();
        if let (Op::ArrayGet { checked: true } | Op::ArraySet { checked: true }, Some(guard)) =
            (&node.op, guard)
        {
            let element = self.element(guard, operands[1], span, out);
            self.psg.nodes[element].op = Op::ArrayGet { checked: true };
        }
        let len = self.number(len, int, span, out);
        let first = self.binary(BinOp::Mul, lane, len, span, out);
        let at = self.binary(BinOp::Add, first, operands[1], span, out);
        let new = match operands.get(2) {
            Some(&value) => self.set_element(operands[0], at, value, span, out),
            None => self.element(operands[0], at, span, out),
        };
        self.map.insert(old, new);
    }

    /// One loop over the values of the work-items. A sum begins with the first, so that its kind of zero stays.
    fn together(&mut self, old: NodeId, group: &Group, out: &mut Vec<NodeId>) {
        let node = self.psg.nodes[old].clone();
        let Op::Group { op, .. } = node.op else { return };
        let (span, ty, int) = (self.psg.spans[old], node.ty, self.int());
        let combine = match op {
            GroupOp::Min => BinOp::Min,
            GroupOp::Max => BinOp::Max,
            _ => BinOp::Add,
        };
        let given = node.operands[0];
        let source = group.kept.get(&given).copied();
        let running = group.kept.get(&old).copied();
        let first = self.of_group(given, group, out);
        let var_type = self.psg.ty(Type::Var(ty));
        let unit = self.psg.ty(Type::Unit);
        let total = self.psg.new_node(Op::Var, &[first], &[], var_type, span);
        out.push(total);
        let zero = self.number(0, int, span, out);
        if let Some(array) = running {
            self.set_element(array, zero, first, span, out);
        }
        let (one, last) = (self.number(1, int, span, out), self.number(group.items - 1, int, span, out));
        let lane = self.psg.new_node(Op::RegionParam(0), &[], &[], int, span);
        let mut body = Vec::new();
        let value = match source {
            Some(array) => self.element(array, lane, span, &mut body),
            None => first,
        };
        let before = self.psg.new_node(Op::VarGet, &[total], &[], ty, span);
        body.push(before);
        let after = self.binary(combine, before, value, span, &mut body);
        body.push(self.psg.new_node(Op::VarSet, &[total, after], &[], unit, span));
        if let Some(array) = running {
            self.set_element(array, lane, after, span, &mut body);
        }
        let params = std::iter::once(lane).collect();
        let region = self.psg.regions.push(Region { params, nodes: body, result: None });
        out.push(self.psg.new_node(Op::For(ForKind::Up), &[one, last], &[region], unit, span));
        let result = self.psg.new_node(Op::VarGet, &[total], &[], ty, span);
        out.push(result);
        self.map.insert(old, result);
    }

    /// A value as the whole group has it.
    fn of_group(&mut self, old: NodeId, group: &Group, out: &mut Vec<NodeId>) -> NodeId {
        if let Some(counter) = group.counters.iter().find(|c| c.0 == old) {
            return counter.1;
        }
        let Some(&array) = group.kept.get(&old) else { return self.value(old) };
        let span = self.psg.spans[old];
        let int = self.int();
        let first = self.number(0, int, span, out);
        self.element(array, first, span, out)
    }

    fn control(&mut self, old: NodeId, parts: &[Vec<Piece>], group: &mut Group, out: &mut Vec<NodeId>) {
        let node = self.psg.nodes[old].clone();
        let operands: Vec<NodeId> = node.operands.iter().map(|&o| self.of_group(o, group, out)).collect();
        let mut regions = Vec::new();
        for (&region, pieces) in node.regions.iter().zip(parts) {
            let Region { params, result, .. } = self.psg.regions[region].clone();
            let params = params.iter().map(|&p| self.fresh(p)).collect();
            let mut nodes = Vec::new();
            self.emit(pieces, group, &mut nodes);
            let result = result.map(|r| self.of_group(r, group, &mut nodes));
            regions.push(self.psg.regions.push(Region { params, nodes, result }));
        }
        let new = self.psg.new_node(node.op, &operands, &regions, node.ty, self.psg.spans[old]);
        self.map.insert(old, new);
        out.push(new);
    }

    /// A loop over the work-items of the group.
    fn segment(&mut self, nodes: &[NodeId], group: &Group, out: &mut Vec<NodeId>) {
        let Some(&first) = nodes.first() else { return };
        let span = self.psg.spans[first];
        let int = self.int();
        let (zero, last) = (self.number(0, int, span, out), self.number(group.items - 1, int, span, out));
        let lane = self.psg.new_node(Op::RegionParam(0), &[], &[], int, span);
        let mut body = Vec::new();
        let before = self.map.clone();
        self.counters(group, lane, span, &mut body);
        let inside: FxHashSet<NodeId> = nodes.iter().copied().collect();
        for used in self.used_in(nodes) {
            let is_value = !matches!(self.psg.types.get(self.psg.nodes[used].ty), Type::Var(_));
            if let (Some(&array), true, false) = (group.kept.get(&used), is_value, inside.contains(&used)) {
                let value = self.element(array, lane, span, &mut body);
                self.map.insert(used, value);
            }
        }
        self.items(nodes, group, lane, &mut body);
        self.map = before;
        let params = std::iter::once(lane).collect();
        let region = self.psg.regions.push(Region { params, nodes: body, result: None });
        let unit = self.psg.ty(Type::Unit);
        out.push(self.psg.new_node(Op::For(ForKind::Up), &[zero, last], &[region], unit, span));
    }

    /// The launch's counters of a work-item.
    fn counters(&mut self, group: &Group, lane: NodeId, span: Span, out: &mut Vec<NodeId>) {
        let int = self.int();
        let mut rest = lane;
        for (n, &(counter, first, size)) in group.counters.iter().enumerate() {
            let last = n + 1 == group.counters.len();
            let mut at = rest;
            if !last {
                let size = self.number(size, int, span, out);
                at = self.binary(BinOp::Rem, rest, size, span, out);
                rest = self.binary(BinOp::Div, rest, size, span, out);
            }
            let ty = self.psg.nodes[first].ty;
            let at = self.convert(at, ty, span, out);
            let value = self.binary(BinOp::Add, first, at, span, out);
            self.map.insert(counter, value);
        }
    }

    /// Operations of one work-item, with what they keep for others.
    fn items(&mut self, nodes: &[NodeId], group: &Group, lane: NodeId, out: &mut Vec<NodeId>) {
        for &old in nodes {
            let node = self.psg.nodes[old].clone();
            let span = self.psg.spans[old];
            let array = match node.op {
                Op::Var => group.kept.get(&old),
                Op::VarGet | Op::VarSet => group.kept.get(&node.operands[0]),
                _ => None,
            };
            let own = node.operands.first().and_then(|o| group.own.iter().find(|(a, _)| a == o)).copied();
            if let (Some((_, len)), Op::ArrayGet { .. } | Op::ArraySet { .. }) = (own, &node.op) {
                self.own_access(old, len, group, lane, out);
            } else if let (Some((_, len)), Op::Length) = (own, &node.op) {
                let int = self.int();
                let len = self.number(len, int, span, out);
                self.map.insert(old, len);
            } else if let Some(&array) = array {
                if node.op == Op::VarGet {
                    let value = self.element(array, lane, span, out);
                    self.map.insert(old, value);
                } else {
                    let value = self.value(node.operands[usize::from(node.op == Op::VarSet)]);
                    let set = self.set_element(array, lane, value, span, out);
                    self.map.insert(old, set);
                }
            } else {
                let operands: Vec<NodeId> = node.operands.iter().map(|&o| self.value(o)).collect();
                let regions: Vec<RegionId> = node
                    .regions
                    .iter()
                    .map(|&r| {
                        let Region { params, nodes, result } = self.psg.regions[r].clone();
                        let params = params.iter().map(|&p| self.fresh(p)).collect();
                        let mut inner = Vec::new();
                        self.items(&nodes, group, lane, &mut inner);
                        let result = result.map(|r| self.value(r));
                        self.psg.regions.push(Region { params, nodes: inner, result })
                    })
                    .collect();
                let new = self.psg.new_node(node.op, &operands, &regions, node.ty, span);
                self.map.insert(old, new);
                out.push(new);
            }
            if let (Some(&array), false) = (group.kept.get(&old), self.psg.nodes[old].op == Op::Var) {
                let value = self.value(old);
                self.set_element(array, lane, value, span, out);
            }
        }
    }

    // --- small things

    pub(super) fn int(&mut self) -> TypeId {
        self.psg.ty(Type::Int(IntKind::I32))
    }

    pub(super) fn number(&mut self, value: i64, ty: TypeId, span: Span, out: &mut Vec<NodeId>) -> NodeId {
        let node = self.psg.new_node(Op::Const(Const::Int(value)), &[], &[], ty, span);
        out.push(node);
        node
    }

    pub(super) fn binary(
        &mut self,
        op: BinOp,
        a: NodeId,
        b: NodeId,
        span: Span,
        out: &mut Vec<NodeId>,
    ) -> NodeId {
        let ty = self.psg.nodes[a].ty;
        let node = self.psg.new_node(Op::Binary(op), &[a, b], &[], ty, span);
        out.push(node);
        node
    }

    pub(super) fn convert(&mut self, value: NodeId, ty: TypeId, span: Span, out: &mut Vec<NodeId>) -> NodeId {
        if self.psg.nodes[value].ty == ty {
            return value;
        }
        let node = self.psg.new_node(Op::Convert, &[value], &[], ty, span);
        out.push(node);
        node
    }

    fn element(&mut self, array: NodeId, at: NodeId, span: Span, out: &mut Vec<NodeId>) -> NodeId {
        let element = match *self.psg.types.get(self.psg.nodes[array].ty) {
            Type::Array(element) => element,
            _ => self.psg.nodes[array].ty,
        };
        let node = self.psg.new_node(Op::ArrayGet { checked: false }, &[array, at], &[], element, span);
        out.push(node);
        node
    }

    pub(super) fn set_element(
        &mut self,
        array: NodeId,
        at: NodeId,
        value: NodeId,
        span: Span,
        out: &mut Vec<NodeId>,
    ) -> NodeId {
        let unit = self.psg.ty(Type::Unit);
        let node = self.psg.new_node(Op::ArraySet { checked: false }, &[array, at, value], &[], unit, span);
        out.push(node);
        node
    }
}

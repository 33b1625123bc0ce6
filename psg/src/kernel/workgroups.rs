//! The form of a kernel with barriers for one thread.
//!
//! A kernel whose work-items meet at barriers cannot run them one after the other from begin to end. Here each such
//! launch becomes a parallel loop over workgroups. Inside, the code between two barriers is a loop over the
//! work-items of the group; values and variables that live across a barrier are kept in arrays with a place for each
//! work-item; conditions and bounds of the loops around a barrier are taken from the first work-item, as they must be
//! the same for all. Subgroups are one work-item.
//!
//! What it promises: the kernel's own function is not changed, so that device forms and analyses see what was
//! written. What it does not do: check that control around a barrier is the same for all work-items.

use super::shape::is_pure;
use crate::graph::{Func, Kernel, Psg, Region};
use crate::id::{FuncId, NodeId, RegionId, TypeId};
use crate::node::{BinOp, Const, FailKind, ForKind, Op};
use crate::ty::Type;
use clef_frontend::ast::IntKind;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::span::Span;
use rustc_hash::{FxHashMap, FxHashSet};
use ustr::Ustr;

/// What a launch says whose domain does not consist of whole workgroups.
pub const NOT_WHOLE: &str =
    "the domain of a kernel with barriers or workgroup arrays is not a multiple of its workgroup size";

/// Work-items of a workgroup in x (the innermost loop), y and z: what the source says, else 64 in all, wide in x where
/// memory is contiguous.
pub fn size(kernel: &Kernel, dimensions: usize) -> [u32; 3] {
    match (kernel.workgroup, dimensions) {
        (_, 0) => [1, 1, 1],
        (Some(size), _) => size,
        (None, 1) => [64, 1, 1],
        (None, 2) => [16, 4, 1],
        (None, _) => [8, 4, 2],
    }
}

/// Whether work-items of a region work together, so that workgroups must be whole.
pub fn cooperates(psg: &Psg, region: RegionId) -> bool {
    let mut found = false;
    psg.walk_region(region, &mut |n| {
        found |= matches!(psg.nodes[n].op, Op::Barrier | Op::WorkgroupArray(_));
    });
    found
}

/// Gives each kernel with barriers or workgroup arrays its [`Kernel::host`].
pub fn workgroups(psg: &mut Psg) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for id in psg.kernels.ids() {
        let Some(func) = psg.kernels[id].func else { continue };
        if !cooperates(psg, psg.funcs[func].body) {
            continue;
        }
        let kernel = psg.kernels[id].clone();
        let mut form = Form { psg, kernel, map: FxHashMap::default(), problems: Vec::new() };
        let host = form.func(func);
        diagnostics.append(&mut form.problems);
        psg.kernels[id].host = Some(host);
    }
    diagnostics
}

struct Form<'a> {
    psg: &'a mut Psg,
    kernel: Kernel,
    /// What stands for a value outside of loops over work-items.
    map: FxHashMap<NodeId, NodeId>,
    problems: Vec<Diagnostic>,
}

/// Code of a workgroup, in order.
enum Piece {
    /// A run of operations without barriers, for each work-item.
    Segment(Vec<NodeId>),
    /// An operation of the whole group: a constant or a workgroup array.
    Once(NodeId),
    /// Control around a barrier, with the pieces of its regions.
    Control(NodeId, Vec<Vec<Piece>>),
}

/// A launch being taken apart.
#[derive(Default)]
struct Group {
    /// Segment of each value that work-items compute.
    home: FxHashMap<NodeId, usize>,
    segments: usize,
    /// Values and variables that live across barriers: their arrays.
    kept: FxHashMap<NodeId, NodeId>,
    kept_order: Vec<NodeId>,
    /// By dimension, x first: the source's counter, the lower bound, the group's first index, the size.
    counters: Vec<(NodeId, NodeId, i64)>,
    items: i64,
}

impl Form<'_> {
    fn func(&mut self, func: FuncId) -> FuncId {
        let old = self.psg.funcs[func].clone();
        let params: Vec<NodeId> = old.params.iter().map(|&p| self.fresh(p)).collect();
        let body = self.region(old.body);
        let name = Ustr::from(&format!("{}#host", old.name));
        self.psg.funcs.push(Func { name, params, body, ..old })
    }

    /// A copy of a parameter.
    fn fresh(&mut self, old: NodeId) -> NodeId {
        let (op, ty, span) = (self.psg.nodes[old].op.clone(), self.psg.nodes[old].ty, self.psg.spans[old]);
        let new = self.psg.new_node(op, &[], &[], ty, span);
        self.map.insert(old, new);
        new
    }

    fn region(&mut self, old: RegionId) -> RegionId {
        let Region { params, nodes, result } = self.psg.regions[old].clone();
        let params = params.iter().map(|&p| self.fresh(p)).collect();
        let mut out = Vec::new();
        for node in nodes {
            let launches = self.psg.nodes[node].op == Op::Parallel
                && self.psg.nodes[node].regions.iter().any(|&r| cooperates(self.psg, r));
            if launches {
                self.launch(node, &mut out);
            } else {
                self.copy(node, &mut out);
            }
        }
        let result = result.map(|r| self.value(r));
        self.psg.regions.push(Region { params, nodes: out, result })
    }

    fn value(&self, old: NodeId) -> NodeId {
        self.map.get(&old).copied().unwrap_or(old)
    }

    fn copy(&mut self, old: NodeId, out: &mut Vec<NodeId>) -> NodeId {
        let node = self.psg.nodes[old].clone();
        let operands: Vec<NodeId> = node.operands.iter().map(|&o| self.value(o)).collect();
        let regions: Vec<RegionId> = node.regions.iter().map(|&r| self.region(r)).collect();
        let new = self.psg.new_node(node.op, &operands, &regions, node.ty, self.psg.spans[old]);
        self.map.insert(old, new);
        out.push(new);
        new
    }

    // --- launches

    /// A nest of parallel loops becomes one over workgroups.
    fn launch(&mut self, outermost: NodeId, out: &mut Vec<NodeId>) {
        let (loops, items) = self.nest(outermost);
        let span = self.psg.spans[outermost];
        let sizes = size(&self.kernel, loops.len());
        let mut group = Group { items: sizes.iter().map(|&s| i64::from(s)).product(), ..Group::default() };
        let int = self.int();
        let mut counts = Vec::new();
        // x, the innermost loop, first.
        for (dimension, &node) in loops.iter().rev().enumerate() {
            let [from, to] = [0, 1].map(|n| self.psg.nodes[node].operands[n]).map(|b| self.hoist(b, out));
            let ty = self.psg.nodes[from].ty;
            let size = i64::from(sizes[dimension]);
            let (one, whole) = (self.number(1, ty, span, out), self.number(size, ty, span, out));
            let distance = self.binary(BinOp::Sub, to, from, span, out);
            let extent = self.binary(BinOp::Add, distance, one, span, out);
            self.check_whole(extent, whole, span, out);
            let count = self.binary(BinOp::Div, extent, whole, span, out);
            let zero = self.number(0, ty, span, out);
            let count = self.binary(BinOp::Max, count, zero, span, out);
            counts.push(self.convert(count, int, span, out));
            let counter = self.psg.regions[self.psg.nodes[node].regions[0]].params[0];
            group.counters.push((counter, from, size));
        }
        let mut total = counts[0];
        for &count in &counts[1..] {
            total = self.binary(BinOp::Mul, total, count, span, out);
        }
        let (zero, one) = (self.number(0, int, span, out), self.number(1, int, span, out));
        let last = self.binary(BinOp::Sub, total, one, span, out);
        let number = self.psg.new_node(Op::RegionParam(0), &[], &[], int, span);
        let mut body = Vec::new();
        self.first_indices(&mut group, number, &counts, span, &mut body);
        let pieces = self.pieces(&items, &mut group);
        self.find_kept(&pieces, &mut group);
        self.make_arrays(&mut group, &mut body);
        self.emit(&pieces, &group, &mut body);
        let region = self.psg.regions.push(Region {
            params: std::iter::once(number).collect(),
            nodes: body,
            result: None,
        });
        let unit = self.psg.ty(Type::Unit);
        out.push(self.psg.new_node(Op::Parallel, &[zero, last], &[region], unit, span));
    }

    /// The loops from the outermost to the innermost, and all that a work-item runs.
    fn nest(&self, outermost: NodeId) -> (Vec<NodeId>, Vec<NodeId>) {
        let psg = &*self.psg;
        let mut loops = vec![outermost];
        let mut items = Vec::new();
        loop {
            let region = psg.nodes[loops[loops.len() - 1]].regions[0];
            let nodes = &psg.regions[region].nodes;
            let inner = nodes.iter().copied().find(|&n| psg.nodes[n].op == Op::Parallel);
            let inner =
                inner.filter(|&i| loops.len() < 3 && nodes.iter().all(|&n| n == i || is_pure(psg, n)));
            items.extend(nodes.iter().copied().filter(|&n| Some(n) != inner));
            match inner {
                Some(inner) => loops.push(inner),
                None => return (loops, items),
            }
        }
    }

    /// A bound, computed before the launch: what it needs of pure code between the loops is moved there.
    fn hoist(&mut self, bound: NodeId, out: &mut Vec<NodeId>) -> NodeId {
        if let Some(&known) = self.map.get(&bound) {
            return known;
        }
        if matches!(self.psg.nodes[bound].op, Op::Param(_) | Op::RegionParam(_)) {
            let text = format!(
                "kernel `{}` has barriers, and the bounds of a nested parallel loop depend on the outer one",
                self.kernel.name
            );
            self.problem(bound, text, "make the domain a box: the same inner bounds for each outer index");
            return bound;
        }
        for operand in self.psg.nodes[bound].operands.clone() {
            self.hoist(operand, out);
        }
        self.copy(bound, out)
    }

    fn problem(&mut self, node: NodeId, text: String, help: &str) {
        let d = Diagnostic::error(codes::KERNEL_DOMAIN, self.psg.spans[node], text)
            .label(self.kernel.span, "the kernel")
            .help(help);
        self.problems.push(d);
    }

    /// Stops the program where a dimension does not consist of whole workgroups.
    fn check_whole(&mut self, extent: NodeId, whole: NodeId, span: Span, out: &mut Vec<NodeId>) {
        let (unit, bool_type, string) =
            (self.psg.ty(Type::Unit), self.psg.ty(Type::Bool), self.psg.ty(Type::String));
        let rest = self.binary(BinOp::Rem, extent, whole, span, out);
        let ty = self.psg.nodes[extent].ty;
        let zero = self.number(0, ty, span, out);
        let bad = self.psg.new_node(Op::Binary(BinOp::Gt), &[rest, zero], &[], bool_type, span);
        let text = self.psg.new_node(Op::Const(Const::String(Ustr::from(NOT_WHOLE))), &[], &[], string, span);
        let fail = self.psg.new_node(Op::Fail(FailKind::Message), &[text], &[], unit, span);
        let then = self.psg.regions.push(Region { nodes: vec![text, fail], ..Region::default() });
        let otherwise = self.psg.regions.push(Region::default());
        let check = self.psg.new_node(Op::If, &[bad], &[then, otherwise], unit, span);
        out.extend([bad, check]);
    }

    /// The first index of the group in each dimension replaces the lower bound.
    fn first_indices(
        &mut self,
        group: &mut Group,
        number: NodeId,
        counts: &[NodeId],
        span: Span,
        out: &mut Vec<NodeId>,
    ) {
        let mut rest = number;
        for (n, &count) in counts.iter().enumerate() {
            let (_, from, size) = group.counters[n];
            let ty = self.psg.nodes[from].ty;
            let last = n + 1 == counts.len();
            let at = if last { rest } else { self.binary(BinOp::Rem, rest, count, span, out) };
            if !last {
                rest = self.binary(BinOp::Div, rest, count, span, out);
            }
            let at = self.convert(at, ty, span, out);
            let size = self.number(size, ty, span, out);
            let items = self.binary(BinOp::Mul, at, size, span, out);
            group.counters[n].1 = self.binary(BinOp::Add, from, items, span, out);
        }
    }

    // --- taking apart

    fn pieces(&mut self, nodes: &[NodeId], group: &mut Group) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut run: Vec<NodeId> = Vec::new();
        for &node in nodes {
            let n = &self.psg.nodes[node];
            match n.op {
                _ if self.map.contains_key(&node) => {}
                Op::Const(_) | Op::WorkgroupArray(_) => pieces.push(Piece::Once(node)),
                Op::Barrier => close(&mut run, &mut pieces, group, self.psg),
                _ if n.regions.iter().any(|&r| cooperates(self.psg, r)) => {
                    close(&mut run, &mut pieces, group, self.psg);
                    let regions = n.regions.clone();
                    self.check_control(node);
                    let parts = regions
                        .iter()
                        .map(|&r| {
                            let nodes = self.psg.regions[r].nodes.clone();
                            self.pieces(&nodes, group)
                        })
                        .collect();
                    pieces.push(Piece::Control(node, parts));
                }
                _ => run.push(node),
            }
        }
        close(&mut run, &mut pieces, group, self.psg);
        pieces
    }

    fn check_control(&mut self, node: NodeId) {
        let n = &self.psg.nodes[node];
        let fine = matches!(n.op, Op::If | Op::Switch(_) | Op::For(_) | Op::While)
            && *self.psg.types.get(n.ty) == Type::Unit;
        if !fine {
            let text = format!("kernel `{}` has a barrier inside of an expression", self.kernel.name);
            self.problem(node, text, "bind the value before the barrier, or put the barrier behind it");
        }
    }

    /// Values used outside of the segment that computes them.
    fn find_kept(&self, pieces: &[Piece], group: &mut Group) {
        let mut next = 0;
        self.uses(pieces, &mut next, group);
    }

    fn uses(&self, pieces: &[Piece], next: &mut usize, group: &mut Group) {
        for piece in pieces {
            match piece {
                Piece::Once(_) => {}
                Piece::Segment(nodes) => {
                    let here = *next;
                    *next += 1;
                    for used in self.used_in(nodes) {
                        if group.home.get(&used).is_some_and(|&home| home != here) {
                            keep(group, used);
                        }
                    }
                }
                Piece::Control(node, parts) => {
                    let n = &self.psg.nodes[*node];
                    let results = n.regions.iter().filter_map(|&r| self.psg.regions[r].result);
                    for used in n.operands.iter().copied().chain(results) {
                        if group.home.contains_key(&used) {
                            keep(group, used);
                        }
                    }
                    parts.iter().for_each(|p| self.uses(p, next, group));
                }
            }
        }
    }

    fn used_in(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let mut used = Vec::new();
        for &node in nodes {
            used.extend(self.psg.nodes[node].operands.iter().copied());
            for &region in &self.psg.nodes[node].regions {
                used.extend(self.psg.regions[region].result);
                self.psg.walk_region(region, &mut |n| {
                    used.extend(self.psg.nodes[n].operands.iter().copied());
                    used.extend(self.psg.nodes[n].regions.iter().filter_map(|&r| self.psg.regions[r].result));
                });
            }
        }
        let mut seen = FxHashSet::default();
        used.retain(|&u| seen.insert(u));
        used
    }

    fn make_arrays(&mut self, group: &mut Group, out: &mut Vec<NodeId>) {
        for &old in &group.kept_order {
            let ty = self.psg.nodes[old].ty;
            let element = match *self.psg.types.get(ty) {
                Type::Var(element) => element,
                _ => ty,
            };
            let scalar = matches!(
                self.psg.types.get(element),
                Type::Bool | Type::Char | Type::Int(_) | Type::Float(_) | Type::Unit
            );
            if !scalar {
                let text =
                    format!("kernel `{}` keeps a value that is no number across a barrier", self.kernel.name);
                self.problem(old, text, "keep numbers across barriers, or make the value again behind it");
            }
            let array = self.psg.ty(Type::Array(element));
            let span = self.psg.spans[old];
            let made = self.psg.new_node(Op::WorkgroupArray(group.items as u32), &[], &[], array, span);
            out.push(made);
            group.kept.insert(old, made);
        }
    }

    // --- putting together

    fn emit(&mut self, pieces: &[Piece], group: &Group, out: &mut Vec<NodeId>) {
        for piece in pieces {
            match piece {
                Piece::Once(node) => {
                    self.copy(*node, out);
                }
                Piece::Segment(nodes) => self.segment(nodes, group, out),
                Piece::Control(node, parts) => self.control(*node, parts, group, out),
            }
        }
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

    fn control(&mut self, old: NodeId, parts: &[Vec<Piece>], group: &Group, out: &mut Vec<NodeId>) {
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
            if let Some(&array) = array {
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

    fn int(&mut self) -> TypeId {
        self.psg.ty(Type::Int(IntKind::I32))
    }

    fn number(&mut self, value: i64, ty: TypeId, span: Span, out: &mut Vec<NodeId>) -> NodeId {
        let node = self.psg.new_node(Op::Const(Const::Int(value)), &[], &[], ty, span);
        out.push(node);
        node
    }

    fn binary(&mut self, op: BinOp, a: NodeId, b: NodeId, span: Span, out: &mut Vec<NodeId>) -> NodeId {
        let ty = self.psg.nodes[a].ty;
        let node = self.psg.new_node(Op::Binary(op), &[a, b], &[], ty, span);
        out.push(node);
        node
    }

    fn convert(&mut self, value: NodeId, ty: TypeId, span: Span, out: &mut Vec<NodeId>) -> NodeId {
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

    fn set_element(
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

fn keep(group: &mut Group, value: NodeId) {
    if !group.kept_order.contains(&value) {
        group.kept_order.push(value);
    }
}

/// Ends a run of operations: they are a segment.
fn close(run: &mut Vec<NodeId>, pieces: &mut Vec<Piece>, group: &mut Group, psg: &Psg) {
    if run.is_empty() {
        return;
    }
    let nodes = std::mem::take(run);
    for &node in &nodes {
        group.home.insert(node, group.segments);
        for &region in &psg.nodes[node].regions {
            psg.walk_region(region, &mut |n| {
                group.home.insert(n, group.segments);
            });
        }
    }
    group.segments += 1;
    pieces.push(Piece::Segment(nodes));
}

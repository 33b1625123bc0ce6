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

mod emit;

use super::shape::is_pure;
use crate::graph::{Func, Kernel, Psg, Region};
use crate::id::{FuncId, NodeId, RegionId};
use crate::node::{BinOp, Const, FailKind, GroupOp, GroupScope, Op};
use crate::ty::Type;
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
        found |= matches!(
            psg.nodes[n].op,
            Op::Barrier | Op::WorkgroupArray(_) | Op::Group { scope: GroupScope::Workgroup, .. }
        );
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
    /// An array of each work-item's own.
    Own(NodeId, u32),
    /// What the whole group computes from a value of each work-item.
    Together(NodeId),
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
    /// Arrays of each work-item's own, with their lengths.
    own: Vec<(NodeId, i64)>,
    /// An array of such a length, for index checks.
    guards: FxHashMap<NodeId, NodeId>,
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
        self.emit(&pieces, &mut group, &mut body);
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
                Op::ItemArray(len) => {
                    group.own.push((node, i64::from(len)));
                    pieces.push(Piece::Own(node, len));
                }
                Op::Barrier => close(&mut run, &mut pieces, group, self.psg),
                Op::Group { scope: GroupScope::Workgroup, op } => {
                    close(&mut run, &mut pieces, group, self.psg);
                    if op == GroupOp::Scan {
                        // Each work-item has its own.
                        keep(group, node);
                    }
                    pieces.push(Piece::Together(node));
                }
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
                Piece::Once(_) | Piece::Own(..) => {}
                Piece::Together(node) => {
                    let used = self.psg.nodes[*node].operands[0];
                    if group.home.contains_key(&used) {
                        keep(group, used);
                    }
                }
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

//! Gives every kernel a function without calls: helpers and known closures are copied in place.
//!
//! Along the way, fields of records built in the kernel are taken from what they were built of, top-level values that
//! are literals become literals, and nodes that nothing uses any more are dropped, so that helpers that take records
//! of buffers or functions leave plain scalar code. Recursion is reported and left as a call.

use crate::graph::{Func, Psg, Region};
use crate::id::{FuncId, GlobalId, NodeId, RegionId};
use crate::kernel::tiles::{self, TileCall};
use crate::node::{Const, Node, Op};
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use rustc_hash::{FxHashMap, FxHashSet};
use ustr::Ustr;

/// Nodes that one kernel may have after inlining.
const LIMIT: usize = 100_000;

/// Replaces each kernel's function by a self-contained one. A kernel that calls nothing keeps its own.
pub fn inline(psg: &mut Psg) -> Vec<Diagnostic> {
    let literals = literal_globals(psg);
    let mut diagnostics = Vec::new();
    for id in psg.kernels.ids() {
        let Some(func) = psg.kernels[id].func else { continue };
        if !needs_inlining(psg, func, &literals) {
            continue;
        }
        let mut copy = Copier {
            psg,
            map: FxHashMap::default(),
            stack: vec![func],
            made: 0,
            literals: &literals,
            problems: Vec::new(),
        };
        let new = copy.func(func);
        let problems = std::mem::take(&mut copy.problems);
        sweep(psg, new);
        psg.kernels[id].func = Some(new);
        let kernel = psg.kernels[id].clone();
        for problem in problems {
            diagnostics.push(problem.diagnostic(psg, kernel.name, kernel.span));
        }
    }
    diagnostics
}

fn needs_inlining(psg: &Psg, func: FuncId, literals: &FxHashMap<GlobalId, NodeId>) -> bool {
    let mut found = false;
    psg.walk_func(func, &mut |n| {
        found |= match &psg.nodes[n].op {
            Op::Call { .. } | Op::CallClosure { .. } | Op::Closure(_) | Op::Make(_) => true,
            Op::GlobalGet(g) => literals.contains_key(g),
            _ => false,
        };
    });
    found
}

/// Immutable globals that the program sets once, to a literal, and that literal.
fn literal_globals(psg: &Psg) -> FxHashMap<GlobalId, NodeId> {
    let mut found: FxHashMap<GlobalId, Option<NodeId>> = FxHashMap::default();
    for func in psg.funcs.ids() {
        psg.walk_func(func, &mut |n| {
            let Op::GlobalSet(g) = psg.nodes[n].op else { return };
            let literal =
                psg.nodes[n].operands.first().copied().filter(|&o| matches!(psg.nodes[o].op, Op::Const(_)));
            let literal = literal.filter(|_| !psg.globals[g].is_mutable);
            found.entry(g).and_modify(|l| *l = None).or_insert(literal);
        });
    }
    found.into_iter().filter_map(|(g, l)| Some((g, l?))).collect()
}

enum Problem {
    Recursion { call: NodeId, func: FuncId },
    TooLarge,
}

impl Problem {
    fn diagnostic(&self, psg: &Psg, kernel: Ustr, span: clef_frontend::span::Span) -> Diagnostic {
        match *self {
            Problem::Recursion { call, func } => {
                let name = psg.funcs[func].name;
                Diagnostic::error(codes::KERNEL_RECURSION, psg.spans[call], format!("kernel `{kernel}` calls `{name}`, which calls itself"))
                    .here("recursive call")
                    .label(span, "the kernel")
                    .note("kernels have no call stack: every helper is copied into the kernel")
                    .help("write the repetition as a `for` or `while` loop with `let mutable` variables")
            }
            Problem::TooLarge => Diagnostic::error(codes::KERNEL_TOO_LARGE, span, format!("kernel `{kernel}` is too large once its helpers are copied in"))
                .note(format!("the limit is {LIMIT} operations"))
                .help("split the kernel, or call the large helper from fewer places (a loop instead of repeated calls)"),
        }
    }
}

struct Copier<'a> {
    psg: &'a mut Psg,
    map: FxHashMap<NodeId, NodeId>,
    /// Functions being copied, the kernel first.
    stack: Vec<FuncId>,
    made: usize,
    literals: &'a FxHashMap<GlobalId, NodeId>,
    problems: Vec<Problem>,
}

impl Copier<'_> {
    fn func(&mut self, func: FuncId) -> FuncId {
        let old = self.psg.funcs[func].clone();
        let mut params = Vec::with_capacity(old.params.len());
        for &p in &old.params {
            params.push(self.fresh(p));
        }
        let body = self.region(old.body);
        let name = Ustr::from(&format!("{}#kernel", old.name));
        self.psg.funcs.push(Func { name, params, body, ..old })
    }

    /// A copy of a node without operands and regions.
    fn fresh(&mut self, old: NodeId) -> NodeId {
        let node = &self.psg.nodes[old];
        let copy = Node {
            op: node.op.clone(),
            operands: Default::default(),
            regions: Default::default(),
            ty: node.ty,
        };
        let new = self.psg.nodes.push(copy);
        let span = self.psg.spans[old];
        self.psg.spans.push(span);
        self.map.insert(old, new);
        self.made += 1;
        new
    }

    fn region(&mut self, old: RegionId) -> RegionId {
        let Region { params, nodes, result } = self.psg.regions[old].clone();
        let params = params.iter().map(|&p| self.fresh(p)).collect();
        let mut out = Vec::with_capacity(nodes.len());
        self.nodes(&nodes, &mut out);
        let result = result.map(|r| self.value(r));
        self.psg.regions.push(Region { params, nodes: out, result })
    }

    fn value(&self, old: NodeId) -> NodeId {
        self.map.get(&old).copied().unwrap_or(old)
    }

    fn nodes(&mut self, nodes: &[NodeId], out: &mut Vec<NodeId>) {
        for &old in nodes {
            let node = self.psg.nodes[old].clone();
            let operands: Vec<NodeId> = node.operands.iter().map(|&o| self.value(o)).collect();
            match node.op {
                Op::Call { func, .. } if self.enter(old, func) => self.splice(old, func, &operands, out),
                Op::CallClosure { .. } => match self.known_closure(operands[0]) {
                    Some((func, captures)) if self.enter(old, func) => {
                        let mut args = operands[1..].to_vec();
                        args.extend(captures);
                        self.splice(old, func, &args, out);
                    }
                    _ => self.copy(old, &node, &operands, out),
                },
                Op::Field { case, field } => match self.known_field(operands[0], case, field) {
                    Some(value) => {
                        self.map.insert(old, value);
                    }
                    None => self.copy(old, &node, &operands, out),
                },
                Op::GlobalGet(g) if self.literals.contains_key(&g) => {
                    let new = self.fresh(self.literals[&g]);
                    self.map.insert(old, new);
                    self.psg.spans[new] = self.psg.spans[old];
                    out.push(new);
                }
                _ => self.copy(old, &node, &operands, out),
            }
        }
    }

    fn copy(&mut self, old: NodeId, node: &Node, operands: &[NodeId], out: &mut Vec<NodeId>) {
        let regions: Vec<RegionId> = node.regions.iter().map(|&r| self.region(r)).collect();
        let new = self.fresh(old);
        self.psg.nodes[new].operands.extend(operands.iter().copied());
        self.psg.nodes[new].regions.extend(regions);
        if let Op::Call { tail, .. } | Op::CallClosure { tail } = &mut self.psg.nodes[new].op {
            *tail = false;
        }
        out.push(new);
    }

    /// Whether a call can be replaced by the callee's body; says why not.
    fn enter(&mut self, call: NodeId, func: FuncId) -> bool {
        if self.stack.contains(&func) {
            if !self.problems.iter().any(|p| matches!(p, Problem::Recursion { func: f, .. } if *f == func)) {
                self.problems.push(Problem::Recursion { call, func });
            }
            return false;
        }
        if self.made > LIMIT {
            if !self.problems.iter().any(|p| matches!(p, Problem::TooLarge)) {
                self.problems.push(Problem::TooLarge);
            }
            return false;
        }
        true
    }

    fn splice(&mut self, call: NodeId, func: FuncId, args: &[NodeId], out: &mut Vec<NodeId>) {
        let callee = self.psg.funcs[func].clone();
        for (&param, &arg) in callee.params.iter().zip(args) {
            self.map.insert(param, arg);
        }
        let Region { nodes, result, .. } = self.psg.regions[callee.body].clone();
        let before = out.len();
        self.stack.push(func);
        self.nodes(&nodes, out);
        self.stack.pop();
        if let Some(op) = tiles::operation(self.psg, func) {
            self.psg.tiles.push(TileCall { op, args: args.to_vec(), nodes: out[before..].to_vec() });
        }
        let value = match result {
            Some(r) => self.value(r),
            None => {
                // A unit value that somebody may name.
                let unit = self.fresh(call);
                self.psg.nodes[unit].op = Op::Const(Const::Unit);
                out.push(unit);
                unit
            }
        };
        self.map.insert(call, value);
    }

    fn known_closure(&self, value: NodeId) -> Option<(FuncId, Vec<NodeId>)> {
        match self.psg.nodes[value].op {
            Op::Closure(func) => Some((func, self.psg.nodes[value].operands.to_vec())),
            _ => None,
        }
    }

    /// What a field of a value built here holds, if assignments cannot change it.
    fn known_field(&self, value: NodeId, case: u32, field: u32) -> Option<NodeId> {
        let node = &self.psg.nodes[value];
        if node.op != Op::Make(case) {
            return None;
        }
        let declared = self.psg.types.agg(node.ty)?.cases.get(case as usize)?.fields.get(field as usize)?;
        if declared.is_mutable { None } else { node.operands.get(field as usize).copied() }
    }
}

/// Removes nodes without effect that nothing uses, from the last to the first.
fn sweep(psg: &mut Psg, func: FuncId) {
    let mut used = FxHashSet::default();
    sweep_region(psg, psg.funcs[func].body, &mut used);
}

fn sweep_region(psg: &mut Psg, region: RegionId, used: &mut FxHashSet<NodeId>) {
    used.extend(psg.regions[region].result);
    let nodes = std::mem::take(&mut psg.regions[region].nodes);
    let mut kept = Vec::with_capacity(nodes.len());
    for &n in nodes.iter().rev() {
        let removable = matches!(
            psg.nodes[n].op,
            Op::Const(_)
                | Op::Make(_)
                | Op::Closure(_)
                | Op::Field { .. }
                | Op::BufferLength
                | Op::Tag
                | Op::GlobalGet(_)
        );
        if removable && !used.contains(&n) {
            continue;
        }
        used.extend(psg.nodes[n].operands.iter().copied());
        for r in psg.nodes[n].regions.clone() {
            sweep_region(psg, r, used);
        }
        kept.push(n);
    }
    kept.reverse();
    psg.regions[region].nodes = kept;
}

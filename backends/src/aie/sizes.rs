//! How large the buffers of a dispatch are, where the program's text says it.
//!
//! A demand-driven walk from the dispatch's operands back to allocations: through parameters to callers, through calls
//! to results, through records and globals. Calls remember where they came from, so that a helper that allocates gives
//! each caller its own size. Promises: a size is given only where every run of the dispatch has it. Gives up (no size)
//! at closures, variables that change, arrays, foreign code, and beyond a fixed amount of work.

use clef_psg::graph::Psg;
use clef_psg::id::{FuncId, GlobalId, NodeId};
use clef_psg::kernel::KernelFacts;
use clef_psg::kernel::facts::Returned;
use clef_psg::node::{BinOp, Const, Op};
use clef_psg::ty::Type;
use rustc_hash::{FxHashMap, FxHashSet};
use std::rc::Rc;

/// Steps of the walk for one question.
const BUDGET: u32 = 100_000;
/// Nested questions.
const DEPTH: u32 = 400;

/// The calls that a value is seen through, innermost first.
type Stack = Option<Rc<Frame>>;

#[derive(PartialEq)]
pub(super) struct Frame {
    call: NodeId,
    up: Stack,
}

/// A node that makes a value, with the calls around it.
pub(super) type Source = (NodeId, Stack);

pub(super) struct Sizes<'a> {
    psg: &'a Psg,
    facts: &'a KernelFacts,
    calls: FxHashMap<FuncId, Vec<NodeId>>,
    owner: FxHashMap<NodeId, (FuncId, usize)>,
    sets: FxHashMap<GlobalId, Vec<NodeId>>,
    /// Functions that are called from where the walk cannot see.
    escaped: FxHashSet<FuncId>,
    changed: FxHashSet<NodeId>,
    budget: u32,
}

impl<'a> Sizes<'a> {
    pub(super) fn new(psg: &'a Psg, facts: &'a KernelFacts) -> Self {
        let mut this = Self {
            psg,
            facts,
            calls: FxHashMap::default(),
            owner: FxHashMap::default(),
            sets: FxHashMap::default(),
            escaped: psg.roots.iter().copied().chain(psg.entry).collect(),
            changed: FxHashSet::default(),
            budget: 0,
        };
        for (id, func) in psg.funcs.iter() {
            this.owner.extend(func.params.iter().enumerate().map(|(i, &p)| (p, (id, i))));
        }
        for (id, node) in psg.nodes.iter() {
            match node.op {
                Op::Call { func, .. } => this.calls.entry(func).or_default().push(id),
                Op::Closure(func) => {
                    this.escaped.insert(func);
                }
                Op::GlobalSet(global) => this.sets.entry(global).or_default().push(node.operands[0]),
                Op::VarSet => {
                    this.changed.insert(node.operands[0]);
                }
                _ => {}
            }
        }
        this
    }

    /// The allocations that an address may come from, and their size in bytes where all agree.
    pub(super) fn buffer(&mut self, address: NodeId) -> (Vec<Source>, Option<u64>) {
        self.budget = BUDGET;
        let mut found = Vec::new();
        if !self.sources(address, &None, DEPTH, &mut found) {
            return (found, None);
        }
        let mut size = None;
        for (node, stack) in &found {
            let bytes = match self.psg.nodes[*node].op {
                Op::AllocUnified => self.int(self.psg.nodes[*node].operands[0], stack, DEPTH),
                _ => None,
            };
            match (bytes, size) {
                (Some(b), None) => size = Some(b),
                (Some(b), Some(s)) if b == s => {}
                _ => return (found, None),
            }
        }
        (found, size.and_then(|s| u64::try_from(s).ok()))
    }

    /// A scalar operand's constant.
    pub(super) fn constant(&mut self, node: NodeId) -> Option<Const> {
        self.budget = BUDGET;
        let mut found = Vec::new();
        if let Some(value) = self.int(node, &None, DEPTH) {
            return Some(Const::Int(value));
        }
        if !self.sources(node, &None, DEPTH, &mut found) {
            return None;
        }
        let mut all = found.iter().map(|(n, _)| match &self.psg.nodes[*n].op {
            Op::Const(value) => Some(value.clone()),
            _ => None,
        });
        let first = all.next()??;
        all.all(|other| other.as_ref() == Some(&first)).then_some(first)
    }

    /// Adds what makes a value; false where that is not known.
    fn sources(&mut self, node: NodeId, stack: &Stack, depth: u32, out: &mut Vec<Source>) -> bool {
        if depth == 0 || self.budget == 0 {
            return false;
        }
        self.budget -= 1;
        let psg = self.psg;
        let n = &psg.nodes[node];
        let result = |region| psg.regions[region].result;
        match &n.op {
            Op::Param(_) => self.argument(node, stack, depth, out),
            Op::Call { func, .. } => match result(psg.funcs[*func].body) {
                Some(value) => {
                    let inner = Some(Rc::new(Frame { call: node, up: stack.clone() }));
                    self.sources(value, &inner, depth - 1, out)
                }
                None => false,
            },
            Op::Field { case, field } => {
                let mut bases = Vec::new();
                self.sources(n.operands[0], stack, depth - 1, &mut bases)
                    && bases.iter().all(|base| self.field(base, n.operands[0], (*case, *field), depth, out))
            }
            Op::If | Op::Switch(_) => n.regions.iter().all(|&region| match result(region) {
                Some(value) => self.sources(value, stack, depth - 1, out),
                None => false,
            }),
            Op::GlobalGet(global) => match self.sets.get(global).cloned() {
                Some(sets) => sets.into_iter().all(|value| self.sources(value, &None, depth - 1, out)),
                None => false,
            },
            Op::VarGet => {
                let var = n.operands[0];
                matches!(psg.nodes[var].op, Op::Var)
                    && !self.changed.contains(&var)
                    && self.sources(psg.nodes[var].operands[0], stack, depth - 1, out)
            }
            _ => {
                out.push((node, stack.clone()));
                true
            }
        }
    }

    fn argument(&mut self, node: NodeId, stack: &Stack, depth: u32, out: &mut Vec<Source>) -> bool {
        let Some(&(func, index)) = self.owner.get(&node) else { return false };
        let psg = self.psg;
        if let Some(frame) = stack {
            let call = &psg.nodes[frame.call];
            return matches!(call.op, Op::Call { func: f, .. } if f == func)
                && call.operands.get(index).is_some_and(|&a| self.sources(a, &frame.up, depth - 1, out));
        }
        if self.escaped.contains(&func) {
            return false;
        }
        let calls = self.calls.get(&func).cloned().unwrap_or_default();
        !calls.is_empty()
            && calls.into_iter().all(|call| {
                psg.nodes[call].operands.get(index).is_some_and(|&a| self.sources(a, &None, depth - 1, out))
            })
    }

    /// A field of what a source made.
    fn field(
        &mut self,
        (base, stack): &Source,
        of: NodeId,
        (case, field): (u32, u32),
        depth: u32,
        out: &mut Vec<Source>,
    ) -> bool {
        let psg = self.psg;
        let made = &psg.nodes[*base];
        match made.op {
            Op::Make(c) if c == case => made
                .operands
                .get(field as usize)
                .is_some_and(|&value| self.sources(value, stack, depth - 1, out)),
            // Another case never gets here.
            Op::Make(_) => true,
            Op::Dispatch { kernel, .. } => {
                let address = psg
                    .types
                    .agg(psg.nodes[of].ty)
                    .and_then(|a| a.cases.first()?.fields.get(field as usize))
                    .is_some_and(|f| f.name == "Address");
                match self.facts.kernels[kernel].returned.as_slice() {
                    [Returned::Param(i)] if address => made
                        .operands
                        .get(*i as usize)
                        .is_some_and(|&value| self.sources(value, stack, depth - 1, out)),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// The value of an integer, where it is one.
    fn int(&mut self, node: NodeId, stack: &Stack, depth: u32) -> Option<i64> {
        let mut found = Vec::new();
        if depth == 0 || !self.sources(node, stack, depth - 1, &mut found) {
            return None;
        }
        let mut value = None;
        for (source, stack) in found {
            let one = self.leaf(source, &stack, depth - 1)?;
            if value.is_some_and(|v| v != one) {
                return None;
            }
            value = Some(one);
        }
        value
    }

    fn leaf(&mut self, node: NodeId, stack: &Stack, depth: u32) -> Option<i64> {
        let psg = self.psg;
        let n = &psg.nodes[node];
        match &n.op {
            Op::Const(Const::Int(value)) => Some(*value),
            Op::Convert if matches!(psg.types.get(n.ty), Type::Int(_)) => {
                self.int(n.operands[0], stack, depth)
            }
            Op::Binary(op) => {
                let a = self.int(n.operands[0], stack, depth)?;
                let b = self.int(n.operands[1], stack, depth)?;
                // Sizes are small: where 32 bits do not hold the result, its width would matter.
                let value = match op {
                    BinOp::Add => a.checked_add(b)?,
                    BinOp::Sub => a.checked_sub(b)?,
                    BinOp::Mul => a.checked_mul(b)?,
                    BinOp::Div => a.checked_div(b)?,
                    BinOp::Rem => a.checked_rem(b)?,
                    BinOp::Min => a.min(b),
                    BinOp::Max => a.max(b),
                    _ => return None,
                };
                i32::try_from(value).is_ok().then_some(value)
            }
            _ => None,
        }
    }
}

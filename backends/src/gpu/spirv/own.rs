//! Arrays of a work-item's own, and the loops that are unrolled for them.
//!
//! A loop with constant bounds is unrolled where the index of such an array depends on its counter. An array all of whose
//! indices are known then has a variable for each element, which a device keeps in registers; another has one variable.

use super::types::{self, Scalar};
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::graph::Psg;
use clef_psg::id::{NodeId, RegionId};
use clef_psg::node::{BinOp, Const, ForKind, Op};
use rustc_hash::{FxHashMap, FxHashSet};

/// Rounds that a loop may have to be unrolled.
const MOST_ROUNDS: i64 = 64;
/// Operations that unrolling may make of one loop.
const MOST_NODES: i64 = 20_000;
/// Elements of an array of single variables.
const MOST_VARIABLES: u32 = 256;

/// What is decided for a launch before it is lowered.
#[derive(Default)]
pub struct Plan {
    /// By loop: from, to.
    unrolled: FxHashMap<NodeId, (i64, i64)>,
    /// Item arrays with a variable for each element.
    single: FxHashSet<NodeId>,
    /// Workgroup arrays that are accessed by fours, or by eights only, and by how many.
    pub lanes: FxHashMap<NodeId, u32>,
}

impl Plan {
    pub fn of(psg: &Psg, body: RegionId, tiles: &super::tile::Tiles) -> Self {
        let mut plan = Self::default();
        let mut counters: FxHashMap<NodeId, NodeId> = FxHashMap::default();
        let mut accesses = Vec::new();
        psg.walk_region(body, &mut |node| {
            let n = &psg.nodes[node];
            match n.op {
                Op::For(ForKind::Up) => {
                    if let Some(&counter) = psg.regions[n.regions[0]].params.first() {
                        counters.insert(counter, node);
                    }
                }
                Op::ArrayGet { .. } | Op::ArraySet { .. } => {
                    if matches!(psg.nodes[n.operands[0]].op, Op::ItemArray(_)) {
                        accesses.push((n.operands[0], n.operands[1]));
                    }
                }
                _ => {}
            }
        });
        for &(_, index) in &accesses {
            plan.unroll(psg, index, &counters);
        }
        let fixed: FxHashMap<NodeId, i64> = counters
            .iter()
            .filter_map(|(&counter, node)| plan.unrolled.get(node).map(|&(from, _)| (counter, from)))
            .collect();
        let mut unknown: FxHashSet<NodeId> = FxHashSet::default();
        for &(array, index) in &accesses {
            if value(psg, index, &fixed).is_none() {
                unknown.insert(array);
            }
        }
        for &(array, _) in &accesses {
            let small = matches!(psg.nodes[array].op, Op::ItemArray(len) if len <= MOST_VARIABLES);
            if small && !unknown.contains(&array) {
                plan.single.insert(array);
            }
        }
        plan.find_lanes(psg, body, tiles);
        plan
    }

    /// How often the body of a loop, or of any other operation, is written.
    pub fn rounds(&self, node: NodeId) -> i64 {
        self.unrolled.get(&node).map_or(1, |&(from, to)| to.saturating_sub(from).saturating_add(1).max(0))
    }

    /// Marks the loops whose counters an index is made of.
    fn unroll(&mut self, psg: &Psg, index: NodeId, counters: &FxHashMap<NodeId, NodeId>) {
        if let Some(&node) = counters.get(&index) {
            let n = &psg.nodes[node];
            let none = FxHashMap::default();
            let bounds = [0, 1].map(|b| value(psg, n.operands[b], &none));
            if let ([Some(from), Some(to)], false) = (bounds, self.unrolled.contains_key(&node)) {
                let mut size = 0_i64;
                psg.walk_region(n.regions[0], &mut |_| size += 1);
                let rounds = to.saturating_sub(from).saturating_add(1);
                if rounds <= MOST_ROUNDS && size.saturating_mul(rounds) <= MOST_NODES {
                    self.unrolled.insert(node, (from, to));
                }
            }
        }
        if matches!(psg.nodes[index].op, Op::Binary(_)) {
            psg.nodes[index].operands.iter().for_each(|&o| self.unroll(psg, o, counters));
        }
    }

    /// An element of a four can be accessed alone; one of eight cannot, since it shares a word with its neighbour.
    fn find_lanes(&mut self, psg: &Psg, body: RegionId, tiles: &super::tile::Tiles) {
        let mut regions = vec![body];
        psg.walk_region(body, &mut |node| regions.extend(psg.nodes[node].regions.iter().copied()));
        let multiplied = tiles.operations(psg);
        let mut alone: FxHashSet<NodeId> = FxHashSet::default();
        for region in regions {
            let quads = super::quads::find(psg, region);
            for (array, count) in quads.arrays(psg) {
                let lanes = self.lanes.entry(array).or_insert(count);
                *lanes = count.min(*lanes);
            }
            for &node in &psg.regions[region].nodes {
                let n = &psg.nodes[node];
                let accesses = matches!(n.op, Op::ArrayGet { .. } | Op::ArraySet { .. });
                if accesses && quads.role(node).is_none() && !multiplied.contains(&node) {
                    alone.insert(n.operands[0]);
                }
            }
        }
        for (array, lanes) in &mut self.lanes {
            if alone.contains(array) {
                *lanes = 4;
            }
        }
    }
}

/// The value of an index whose counters are known.
pub fn value(psg: &Psg, node: NodeId, fixed: &FxHashMap<NodeId, i64>) -> Option<i64> {
    let n = &psg.nodes[node];
    match n.op {
        Op::Const(Const::Int(v)) => Some(v),
        Op::Binary(op) => {
            let a = value(psg, n.operands[0], fixed)?;
            let b = value(psg, n.operands[1], fixed)?;
            let result = match op {
                BinOp::Add => a.checked_add(b)?,
                BinOp::Sub => a.checked_sub(b)?,
                BinOp::Mul => a.checked_mul(b)?,
                BinOp::Div => a.checked_div(b)?,
                BinOp::Rem => a.checked_rem(b)?,
                BinOp::BitAnd => a & b,
                BinOp::BitOr => a | b,
                BinOp::BitXor => a ^ b,
                _ => return None,
            };
            i32::try_from(result).ok().map(i64::from)
        }
        _ => fixed.get(&node).copied(),
    }
}

impl Lowering<'_> {
    /// The rounds of a loop one after the other, if it is to be unrolled.
    pub(super) fn unrolled(&mut self, node: NodeId) -> Option<Result<(), Refusal>> {
        let &(from, to) = self.plan.unrolled.get(&node)?;
        let region = self.psg.nodes[node].regions[0];
        let counter = self.psg.regions[region].params.first().copied()?;
        let scalar = types::scalar(self.psg, self.psg.nodes[counter].ty)?;
        for at in from..=to {
            self.fixed.insert(counter, at);
            let number = self.writer.number(at, scalar);
            self.writer.bind(counter, Value::Scalar(number, scalar));
            if let Err(refusal) = self.region_nodes(region) {
                return Some(Err(refusal));
            }
        }
        self.fixed.remove(&counter);
        self.writer.bind(node, Value::Unit);
        Some(Ok(()))
    }

    pub(super) fn own_array(&mut self, node: NodeId, len: u32) -> Result<(), Refusal> {
        let Some(element) = self.array_element(node) else {
            return Err(self.refuse(node, "an array of a work-item holds numbers or booleans"));
        };
        self.writer.needs.value(element);
        let variables = if self.plan.single.contains(&node) {
            (0..len).map(|_| self.fresh_variable(element)).collect()
        } else {
            let ty = element.text();
            vec![
                self.writer.op(&format!("spirv.Variable : !spirv.ptr<!spirv.array<{len} x {ty}>, Function>")),
            ]
        };
        self.writer.bind(node, Value::Own { variables, len, element });
        Ok(())
    }

    /// The variable of an element.
    pub(super) fn own_element(
        &mut self,
        node: NodeId,
        variables: &[String],
        (len, element): (u32, Scalar),
    ) -> Result<String, Refusal> {
        let index = self.psg.nodes[node].operands[1];
        let array = self.psg.nodes[node].operands[0];
        if self.plan.single.contains(&array) {
            let known = value(self.psg, index, &self.fixed).and_then(|v| usize::try_from(v).ok());
            return match known.and_then(|v| variables.get(v)) {
                Some(variable) => Ok(variable.clone()),
                None => Err(self.refuse(node, "the index is out of range of the work-item's array")),
            };
        }
        let (at, scalar) = self.scalar(index)?;
        let ty = element.text();
        let pointer = format!("!spirv.ptr<!spirv.array<{len} x {ty}>, Function>");
        Ok(self.writer.op(&format!(
            "spirv.AccessChain {}[{at}] : {pointer}, {} -> !spirv.ptr<{ty}, Function>",
            variables[0],
            scalar.text()
        )))
    }
}

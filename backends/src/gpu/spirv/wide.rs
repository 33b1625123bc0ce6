//! Loops over one dimension in which each index touches its own elements only: four neighbours for a work-item.
//!
//! The elements are read and written as vectors of four, without index checks: the loop over fours ends where the
//! shortest buffer does, and is not entered where an address is not a multiple of the vector's size. The rest runs one by
//! one as it is written, and reports what is out of range.

use super::memory::Place;
use super::types::{self, Scalar};
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::graph::Psg;
use clef_psg::id::NodeId;
use clef_psg::kernel::facts::Phase;
use clef_psg::node::{Const, Op};
use rustc_hash::FxHashMap;

/// Indices for a work-item.
pub const LANES: u32 = 4;

/// Whether a launch has this form: one loop from 0, no control, buffers of small numbers at the counter only, and all
/// reads before all writes.
pub fn fits(psg: &Psg, phase: &Phase) -> bool {
    let (&[parallel], Some(body)) = (phase.loops.as_slice(), phase.body) else { return false };
    let Some(&counter) = psg.regions[body].params.first() else { return false };
    if !matches!(psg.nodes[psg.nodes[parallel].operands[0]].op, Op::Const(Const::Int(0))) {
        return false;
    }
    let (mut accesses, mut written) = (0, false);
    psg.regions[body].nodes.iter().all(|&node| {
        let n = &psg.nodes[node];
        match n.op {
            Op::Const(_) | Op::Binary(_) | Op::Unary(_) | Op::Convert | Op::BufferLength => true,
            Op::BufferGet { .. } | Op::BufferSet { .. } => {
                accesses += 1;
                let reads = matches!(n.op, Op::BufferGet { .. });
                let in_order = !(reads && written);
                written |= !reads;
                let element = psg.types.buffer_element(psg.nodes[n.operands[0]].ty);
                let small = element
                    .and_then(|e| types::scalar(psg, e))
                    .is_some_and(|s| s != Scalar::Bool && s.size() <= 4);
                in_order && small && n.operands[1] == counter
            }
            _ => false,
        }
    }) && accesses > 0
}

impl Lowering<'_> {
    /// The loop over fours, then the rest.
    pub(super) fn wide_domain(&mut self, phase: &Phase) -> Result<(), Refusal> {
        let (&[parallel], Some(body)) = (phase.loops.as_slice(), phase.body) else { return Ok(()) };
        self.writer.at(self.psg.spans[parallel]);
        let Some(&counter) = self.psg.regions[body].params.first() else { return Ok(()) };
        let (from, scalar) = self.scalar(self.psg.nodes[parallel].operands[0])?;
        let id = self.builtin("gid", 0);
        let extent = self.push_member(self.layout.extents);
        let fours = self.fours(body, &extent)?;
        self.grid_stride(&id, &fours, |cx, at| {
            let four = cx.writer.constant("4 : i32");
            let first = cx.writer.op(&format!("spirv.IMul {at}, {four} : i32"));
            cx.four_items(body, counter, (&from, scalar), &first)
        })?;
        let four = self.writer.constant("4 : i32");
        let done = self.writer.op(&format!("spirv.IMul {fours}, {four} : i32"));
        let rest = self.writer.op(&format!("spirv.IAdd {done}, {id} : i32"));
        let extent = self.writer.op(&format!("spirv.SConvert {extent} : i64 to i32"));
        self.grid_stride(&rest, &extent, |cx, at| {
            cx.work_item(counter, &from, scalar, at);
            cx.region_nodes(body)
        })
    }

    /// How many fours are inside of all buffers; none where an address is odd.
    fn fours(&mut self, body: clef_psg::id::RegionId, extent: &str) -> Result<String, Refusal> {
        let psg = self.psg;
        let mut shortest = extent.to_owned();
        let mut aligned = self.writer.constant("true");
        let mut seen = Vec::new();
        for &node in &psg.regions[body].nodes {
            if !matches!(psg.nodes[node].op, Op::BufferGet { .. } | Op::BufferSet { .. }) {
                continue;
            }
            let buffer = psg.nodes[node].operands[0];
            if seen.contains(&buffer) {
                continue;
            }
            seen.push(buffer);
            let place = self.buffer(node)?;
            self.writer.needs.storage(place.element);
            let less = self.writer.op(&format!("spirv.ULessThan {}, {shortest} : i64", place.len));
            shortest = self.writer.op(&format!("spirv.Select {less}, {}, {shortest} : i1, i64", place.len));
            let multiple = self.is_multiple(&place.base, place.element.size() * LANES);
            aligned = self.writer.op(&format!("spirv.LogicalAnd {aligned}, {multiple} : i1"));
        }
        let two = self.writer.constant("2 : i64");
        let fours = self.writer.op(&format!("spirv.ShiftRightArithmetic {shortest}, {two} : i64, i64"));
        let zero = self.writer.constant("0 : i64");
        let fours = self.writer.op(&format!("spirv.Select {aligned}, {fours}, {zero} : i1, i64"));
        Ok(self.writer.op(&format!("spirv.SConvert {fours} : i64 to i32")))
    }

    fn four_items(
        &mut self,
        body: clef_psg::id::RegionId,
        counter: NodeId,
        (from, scalar): (&str, Scalar),
        first: &str,
    ) -> Result<(), Refusal> {
        let psg = self.psg;
        let nodes = &psg.regions[body].nodes;
        let index = self.writer.op(&format!("spirv.UConvert {first} : i32 to i64"));
        let mut read: FxHashMap<NodeId, (String, Scalar)> = FxHashMap::default();
        let mut written: Vec<(NodeId, Place, Vec<String>)> = Vec::new();
        for &node in nodes {
            match psg.nodes[node].op {
                Op::BufferGet { .. } => {
                    let place = self.buffer(node)?;
                    let all = self.load_four(&place, &index);
                    read.insert(node, (all, place.element));
                }
                Op::BufferSet { .. } => written.push((node, self.buffer(node)?, Vec::new())),
                _ => {}
            }
        }
        for lane in 0..LANES as usize {
            let offset = self.writer.constant(&format!("{lane} : i32"));
            let at = self.writer.op(&format!("spirv.IAdd {first}, {offset} : i32"));
            self.work_item(counter, from, scalar, &at);
            for &node in nodes {
                self.writer.at(psg.spans[node]);
                if let Some((all, element)) = read.get(&node) {
                    let part = self.extract(all, lane, *element);
                    self.writer.bind(node, Value::Scalar(part, *element));
                } else if let Some(row) = written.iter().position(|(n, _, _)| *n == node) {
                    let value = self.scalar(psg.nodes[node].operands[2])?.0;
                    written[row].2.push(value);
                    self.writer.bind(node, Value::Unit);
                } else {
                    self.node(node)?;
                }
            }
        }
        for (node, place, parts) in written {
            self.writer.at(psg.spans[node]);
            let all = self.compose(&parts, place.element);
            self.store_four(&place, &index, &all);
        }
        Ok(())
    }
}

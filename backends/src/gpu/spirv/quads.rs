//! Four accesses of neighbouring elements become one vector access.
//!
//! In straight-line code, `x.[i]`, `x.[i + 1]`, `x.[i + 2]`, `x.[i + 3]` of one buffer with nothing but computation between
//! them are one access of 16 bytes (of four elements) where the address allows it, and four single ones where it does
//! not, or where an index is out of range: then the single accesses report it. Reads move up to the first of them,
//! writes down to the last.

use super::memory::Place;
use super::types::{self, Scalar};
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::graph::Psg;
use clef_psg::id::{NodeId, RegionId};
use clef_psg::node::{BinOp, Const, Op};
use clef_psg::ty::Type;
use rustc_hash::FxHashMap;

/// Accesses of `base + first .. base + first + 3`, in this order.
pub struct Quad {
    pub nodes: [NodeId; 4],
    base: NodeId,
    first: i64,
}

/// The quads of a region.
#[derive(Default)]
pub struct Quads {
    quads: Vec<Quad>,
    roles: FxHashMap<NodeId, Option<usize>>,
}

/// What a node is to its quad.
pub enum Role<'a> {
    /// Here the whole quad is accessed.
    Whole(&'a Quad),
    /// It is accessed elsewhere.
    Part,
}

impl Quads {
    pub fn role(&self, node: NodeId) -> Option<Role<'_>> {
        self.roles.get(&node).map(|quad| match quad {
            Some(quad) => Role::Whole(&self.quads[*quad]),
            None => Role::Part,
        })
    }

    /// The workgroup arrays that quads access.
    pub fn arrays(&self, psg: &Psg) -> Vec<NodeId> {
        let shared = self.quads.iter().filter(|quad| is_shared(psg, quad.nodes[0]));
        shared.map(|quad| psg.nodes[quad.nodes[0]].operands[0]).collect()
    }

    fn add(&mut self, nodes: [NodeId; 4], at: NodeId, base: NodeId, first: i64) {
        for node in nodes {
            self.roles.insert(node, (node == at).then_some(self.quads.len()));
        }
        self.quads.push(Quad { nodes, base, first });
    }
}

/// `base + offset` of an index.
fn split(psg: &Psg, node: NodeId) -> (NodeId, i64) {
    let n = &psg.nodes[node];
    if n.op == Op::Binary(BinOp::Add) {
        if let Op::Const(Const::Int(c)) = psg.nodes[n.operands[1]].op {
            return (n.operands[0], c);
        }
    }
    (node, 0)
}

/// Accesses that wait for their neighbours: sequence, base, and (offset, node) in order.
type Open = Vec<((NodeId, NodeId), Vec<(i64, NodeId)>)>;

/// Finds the quads of a region, in order.
pub fn find(psg: &Psg, region: RegionId) -> Quads {
    let mut quads = Quads::default();
    let (mut reads, mut writes) = (Open::new(), Open::new());
    for &node in &psg.regions[region].nodes {
        let n = &psg.nodes[node];
        match n.op {
            Op::ArrayGet { checked: false } if fits_array(psg, node) => {
                take(psg, &mut quads, &mut writes, false);
                note(psg, &mut reads, node);
            }
            Op::ArraySet { checked: false } if fits_array(psg, node) => {
                take(psg, &mut quads, &mut reads, true);
                note(psg, &mut writes, node);
            }
            // A work-item's own array is no memory of others.
            Op::ArrayGet { .. } | Op::ArraySet { .. } if is_own(psg, node) => {}
            Op::BufferGet { .. } => {
                take(psg, &mut quads, &mut writes, false);
                note(psg, &mut reads, node);
            }
            Op::BufferSet { .. } => {
                take(psg, &mut quads, &mut reads, true);
                note(psg, &mut writes, node);
            }
            Op::Const(_)
            | Op::Binary(_)
            | Op::Unary(_)
            | Op::Convert
            | Op::VarGet
            | Op::VarSet
            | Op::Var
            | Op::BufferLength
            | Op::Length => {}
            _ => {
                take(psg, &mut quads, &mut reads, true);
                take(psg, &mut quads, &mut writes, false);
            }
        }
    }
    take(psg, &mut quads, &mut reads, true);
    take(psg, &mut quads, &mut writes, false);
    quads
}

/// Whether an access of a workgroup array may be part of a quad: the index less its constant is a multiple of four.
fn fits_array(psg: &Psg, node: NodeId) -> bool {
    let operands = &psg.nodes[node].operands;
    let element = match psg.types.get(psg.nodes[operands[0]].ty) {
        Type::Array(element) => types::scalar(psg, *element),
        _ => None,
    };
    let fits = element.is_some_and(|e| e != Scalar::Bool && matches!(e.size(), 2 | 4));
    matches!(psg.nodes[operands[0]].op, Op::WorkgroupArray(len) if len % 4 == 0)
        && fits
        && zeros(psg, split(psg, operands[1]).0, 8) >= 2
}

fn is_own(psg: &Psg, node: NodeId) -> bool {
    matches!(psg.nodes[psg.nodes[node].operands[0]].op, Op::ItemArray(_))
}

fn is_shared(psg: &Psg, node: NodeId) -> bool {
    matches!(psg.nodes[psg.nodes[node].operands[0]].op, Op::WorkgroupArray(_))
}

/// Bits at the low end of an integer that are known to be zero.
pub(super) fn zeros(psg: &Psg, node: NodeId, depth: u32) -> u32 {
    let n = &psg.nodes[node];
    match n.op {
        Op::Const(Const::Int(v)) => v.trailing_zeros().min(31),
        Op::Binary(op) if depth > 0 => {
            let [a, b] = [0, 1].map(|o| zeros(psg, n.operands[o], depth - 1));
            match op {
                BinOp::Add | BinOp::Sub => a.min(b),
                BinOp::Mul => (a + b).min(31),
                _ => 0,
            }
        }
        _ => 0,
    }
}

fn note(psg: &Psg, open: &mut Open, node: NodeId) {
    let operands = &psg.nodes[node].operands;
    let (base, offset) = split(psg, operands[1]);
    let key = (operands[0], base);
    match open.iter_mut().find(|(k, _)| *k == key) {
        Some((_, list)) => list.push((offset, node)),
        None => open.push((key, vec![(offset, node)])),
    }
}

/// Closes what is open. An offset that comes twice ends the search in its group: for writes the order matters.
fn take(psg: &Psg, quads: &mut Quads, open: &mut Open, reads: bool) {
    for ((_, base), list) in open.drain(..) {
        let order = |node: NodeId| list.iter().position(|&(_, n)| n == node);
        let mut sorted = list.clone();
        sorted.sort_by_key(|&(offset, _)| offset);
        if sorted.windows(2).any(|w| w[0].0 == w[1].0) {
            continue;
        }
        for four in consecutive(&sorted) {
            let nodes = four.map(|(_, node)| node);
            let at = if reads {
                nodes.into_iter().min_by_key(|&n| order(n))
            } else {
                nodes.into_iter().max_by_key(|&n| order(n))
            };
            let aligned = !is_shared(psg, nodes[0]) || four[0].0 % 4 == 0;
            if let (Some(at), true) = (at, aligned) {
                quads.add(nodes, at, base, four[0].0);
            }
        }
    }
}

/// Runs of four offsets, from the least on.
fn consecutive(sorted: &[(i64, NodeId)]) -> Vec<[(i64, NodeId); 4]> {
    let mut found = Vec::new();
    let mut rest = sorted;
    while let [a, b, c, d, ..] = *rest {
        if b.0 == a.0 + 1 && c.0 == a.0 + 2 && d.0 == a.0 + 3 {
            found.push([a, b, c, d]);
            rest = &rest[4..];
        } else {
            rest = &rest[1..];
        }
    }
    found
}

impl Lowering<'_> {
    /// Accesses four neighbours.
    pub(super) fn quad(&mut self, quad: &Quad) -> Result<(), Refusal> {
        let node = quad.nodes[0];
        self.writer.at(self.psg.spans[node]);
        if is_shared(self.psg, node) {
            return self.shared_quad(quad);
        }
        let place = self.buffer(node)?;
        let element = place.element;
        if element == Scalar::Bool || element.size() > 4 {
            return quad.nodes.iter().try_for_each(|&node| self.node(node));
        }
        self.writer.needs.storage(element);
        let base = self.index(quad.base)?;
        let first = self.writer.constant(&format!("{} : i64", quad.first));
        let index = self.writer.op(&format!("spirv.IAdd {base}, {first} : i64"));
        let address = self.address(&place, &index);
        let aligned = if quad.first % 4 == 0 && zeros(self.psg, quad.base, 8) >= 2 {
            self.is_aligned(&place.base)
        } else {
            self.is_multiple(&address, place.element.size() * 4)
        };
        let writes = matches!(self.psg.nodes[node].op, Op::BufferSet { .. });
        if writes {
            self.quad_write(quad, &place, (&index, &aligned))
        } else {
            self.quad_read(quad, &place, (&index, &address, &aligned))
        }
    }

    /// Whether an address is a multiple of 16. Where every buffer's is, the runtime says so when it makes the pipeline, and
    /// the device's compiler sees one of two ways only.
    fn is_aligned(&mut self, base: &str) -> String {
        self.writer.needs.aligned = true;
        let all = self.writer.op("spirv.mlir.referenceof @aligned : i1");
        let this = self.is_multiple(base, 16);
        self.writer.op(&format!("spirv.LogicalOr {all}, {this} : i1"))
    }

    /// Whether all four are inside, where that is not known.
    fn quad_inside(&mut self, quad: &Quad, place: &Place, index: &str) -> Option<String> {
        let checked = quad.nodes.iter().any(|&n| self.is_checked(n));
        checked.then(|| {
            let three = self.writer.constant("3 : i64");
            let last = self.writer.op(&format!("spirv.IAdd {index}, {three} : i64"));
            let begins = self.writer.op(&format!("spirv.ULessThan {index}, {} : i64", place.len));
            let ends = self.writer.op(&format!("spirv.ULessThan {last}, {} : i64", place.len));
            self.writer.op(&format!("spirv.LogicalAnd {begins}, {ends} : i1"))
        })
    }

    fn is_checked(&self, node: NodeId) -> bool {
        matches!(self.psg.nodes[node].op, Op::BufferGet { checked: true } | Op::BufferSet { checked: true })
    }

    /// Whether a 64-bit value is a multiple of a power of two.
    pub(super) fn is_multiple(&mut self, value: &str, of: u32) -> String {
        let mask = self.writer.constant(&format!("{} : i64", of - 1));
        let zero = self.writer.constant("0 : i64");
        let rest = self.writer.op(&format!("spirv.BitwiseAnd {value}, {mask} : i64"));
        self.writer.op(&format!("spirv.IEqual {rest}, {zero} : i64"))
    }

    fn quad_read(
        &mut self,
        quad: &Quad,
        place: &Place,
        (index, address, aligned): (&str, &str, &str),
    ) -> Result<(), Refusal> {
        let element = place.element;
        let ty = element.text();
        let result = self.writer.op(&format!("spirv.Variable : !spirv.ptr<vector<4x{ty}>, Function>"));
        self.open_selection(aligned);
        let all = self.read_four(quad, place, (index, address));
        self.writer.effect(&format!("spirv.Store \"Function\" {result}, {all} : vector<4x{ty}>"));
        self.middle_of_selection();
        let mut parts = Vec::new();
        for (n, &node) in quad.nodes.iter().enumerate() {
            let at = self.neighbour(index, n);
            self.writer.at(self.psg.spans[node]);
            parts.push(self.read(node, place, &at, self.is_checked(node)));
        }
        let all = self.compose(&parts, element);
        self.writer.effect(&format!("spirv.Store \"Function\" {result}, {all} : vector<4x{ty}>"));
        self.close_selection();
        let all = self.writer.op(&format!("spirv.Load \"Function\" {result} : vector<4x{ty}>"));
        for (n, &node) in quad.nodes.iter().enumerate() {
            let part = self.extract(&all, n, element);
            self.writer.bind(node, Value::Scalar(part, element));
        }
        Ok(())
    }

    fn neighbour(&mut self, index: &str, n: usize) -> String {
        let offset = self.writer.constant(&format!("{n} : i64"));
        self.writer.op(&format!("spirv.IAdd {index}, {offset} : i64"))
    }

    /// Four elements of an aligned address; zeros, and a report, where one of them is out of range. No branch around the
    /// load.
    fn read_four(&mut self, quad: &Quad, place: &Place, (index, address): (&str, &str)) -> String {
        let Some(fine) = self.quad_inside(quad, place, index) else {
            return self.load_four(place, index);
        };
        let failed = self.writer.op(&format!("spirv.LogicalNot {fine} : i1"));
        self.when(&failed, |cx| {
            for (n, &node) in quad.nodes.iter().enumerate() {
                let at = cx.neighbour(index, n);
                cx.writer.at(cx.psg.spans[node]);
                cx.inside(node, &at, &place.len);
            }
        });
        let zeros = self.zeros_address().unwrap_or_else(|| place.base.clone());
        let address = self.writer.op(&format!("spirv.Select {fine}, {address}, {zeros} : i1, i64"));
        self.load_four_from(place, &address)
    }

    /// Where an index may be out of range, that is reported by single writes.
    fn quad_write(
        &mut self,
        quad: &Quad,
        place: &Place,
        (index, aligned): (&str, &str),
    ) -> Result<(), Refusal> {
        let mut fine = aligned.to_owned();
        if let Some(inside) = self.quad_inside(quad, place, index) {
            fine = self.writer.op(&format!("spirv.LogicalAnd {fine}, {inside} : i1"));
        }
        let mut parts = Vec::new();
        for &node in &quad.nodes {
            parts.push(self.scalar(self.psg.nodes[node].operands[2])?.0);
        }
        self.open_selection(&fine);
        let all = self.compose(&parts, place.element);
        self.store_four(place, index, &all);
        self.middle_of_selection();
        quad.nodes.iter().try_for_each(|&node| self.node(node))?;
        self.close_selection();
        for &node in &quad.nodes {
            self.writer.bind(node, Value::Unit);
        }
        Ok(())
    }

    /// Four neighbours in a workgroup array: inside and aligned, as was proven.
    fn shared_quad(&mut self, quad: &Quad) -> Result<(), Refusal> {
        let node = quad.nodes[0];
        let array = self.workgroup_array(node)?;
        let element = array.element;
        let (base, scalar) = self.scalar(quad.base)?;
        let first = self.writer.number(quad.first, scalar);
        let index = self.writer.op(&format!("spirv.IAdd {base}, {first} : {}", scalar.text()));
        let ty = element.text();
        if matches!(self.psg.nodes[node].op, Op::ArraySet { .. }) {
            let mut parts = Vec::new();
            for &node in &quad.nodes {
                parts.push(self.scalar(self.psg.nodes[node].operands[2])?.0);
                self.writer.bind(node, Value::Unit);
            }
            let all = self.compose(&parts, element);
            let pointer = self.shared_four(&array, &index, scalar);
            self.writer.effect(&format!("spirv.Store \"Workgroup\" {pointer}, {all} : vector<4x{ty}>"));
            return Ok(());
        }
        let pointer = self.shared_four(&array, &index, scalar);
        let all = self.writer.op(&format!("spirv.Load \"Workgroup\" {pointer} : vector<4x{ty}>"));
        for (n, &node) in quad.nodes.iter().enumerate() {
            let part = self.extract(&all, n, element);
            self.writer.bind(node, Value::Scalar(part, element));
        }
        Ok(())
    }

    fn four_pointer(&mut self, place: &Place, address: &str) -> String {
        self.writer.op(&format!(
            "spirv.ConvertUToPtr {address} : i64 to !spirv.ptr<vector<4x{}>, PhysicalStorageBuffer>",
            place.element.text()
        ))
    }

    /// Four elements from an aligned address on.
    pub(super) fn load_four(&mut self, place: &Place, index: &str) -> String {
        let address = self.address(place, index);
        self.load_four_from(place, &address)
    }

    fn load_four_from(&mut self, place: &Place, address: &str) -> String {
        let pointer = self.four_pointer(place, address);
        self.writer.op(&format!(
            "spirv.Load \"PhysicalStorageBuffer\" {pointer} [\"Aligned\", {}] : vector<4x{}>",
            place.element.size() * 4,
            place.element.text()
        ))
    }

    pub(super) fn store_four(&mut self, place: &Place, index: &str, all: &str) {
        let address = self.address(place, index);
        let pointer = self.four_pointer(place, &address);
        self.writer.effect(&format!(
            "spirv.Store \"PhysicalStorageBuffer\" {pointer}, {all} [\"Aligned\", {}] : vector<4x{}>",
            place.element.size() * 4,
            place.element.text()
        ));
    }

    pub(super) fn compose(&mut self, parts: &[String], element: Scalar) -> String {
        let ty = element.text();
        self.writer.op(&format!(
            "spirv.CompositeConstruct {} : ({ty}, {ty}, {ty}, {ty}) -> vector<4x{ty}>",
            parts.join(", ")
        ))
    }

    pub(super) fn extract(&mut self, all: &str, n: usize, element: Scalar) -> String {
        self.writer.op(&format!("spirv.CompositeExtract {all}[{n} : i32] : vector<4x{}>", element.text()))
    }
}

//! Four accesses of neighbouring elements, or eight of elements of two bytes, become one vector access.
//!
//! In straight-line code, `x.[i]`, `x.[i + 1]`, `x.[i + 2]`, `x.[i + 3]` of one buffer with nothing but computation between
//! them are one access of 16 bytes (of four elements) where the address allows it, and four single ones where it does
//! not, or where an index is out of range: then the single accesses report it. Reads move up to the first of them,
//! writes down to the last. Vulkan's vectors end at four elements: eight halves are four words of 32 bits.

use super::memory::Place;
use super::types::{self, Scalar};
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::graph::Psg;
use clef_psg::id::{NodeId, RegionId, TypeId};
use clef_psg::node::{BinOp, Const, Op};
use clef_psg::ty::Type;
use rustc_hash::FxHashMap;

/// Accesses of `base + first`, `base + first + 1`, ..., in this order: four or eight.
pub struct Quad {
    pub nodes: Vec<NodeId>,
    pub base: NodeId,
    pub first: i64,
}

impl Quad {
    /// Whether one of its indices may be out of range.
    pub fn is_checked(&self, psg: &Psg) -> bool {
        self.nodes.iter().any(|&node| is_checked(psg, node))
    }
}

fn is_checked(psg: &Psg, node: NodeId) -> bool {
    matches!(psg.nodes[node].op, Op::BufferGet { checked: true } | Op::BufferSet { checked: true })
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

    pub fn all(&self) -> &[Quad] {
        &self.quads
    }

    /// The workgroup arrays that quads access, and how many elements each of them takes at once.
    pub fn arrays(&self, psg: &Psg) -> Vec<(NodeId, u32)> {
        let shared = self.quads.iter().filter(|quad| is_shared(psg, quad.nodes[0]));
        shared.map(|quad| (psg.nodes[quad.nodes[0]].operands[0], quad.nodes.len() as u32)).collect()
    }

    fn add(&mut self, nodes: Vec<NodeId>, at: NodeId, base: NodeId, first: i64) {
        for &node in &nodes {
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

/// Which computations of a region give the same number: `l * 8` written twice is one base. Nodes of other regions stand for
/// themselves.
#[derive(Default)]
struct Same {
    first: FxHashMap<(BinOp, TypeId, [Operand; 2]), NodeId>,
    of: FxHashMap<NodeId, NodeId>,
}

#[derive(PartialEq, Eq, Hash)]
enum Operand {
    Int(i64),
    Node(NodeId),
}

impl Same {
    fn see(&mut self, psg: &Psg, node: NodeId) {
        let n = &psg.nodes[node];
        let Op::Binary(op) = n.op else { return };
        let operand = |o: usize| match psg.nodes[n.operands[o]].op {
            Op::Const(Const::Int(v)) => Operand::Int(v),
            _ => Operand::Node(self.first_of(n.operands[o])),
        };
        let key = (op, n.ty, [operand(0), operand(1)]);
        let first = *self.first.entry(key).or_insert(node);
        self.of.insert(node, first);
    }

    fn first_of(&self, node: NodeId) -> NodeId {
        self.of.get(&node).copied().unwrap_or(node)
    }
}

/// Finds the quads of a region, in order.
pub fn find(psg: &Psg, region: RegionId) -> Quads {
    let mut quads = Quads::default();
    let mut same = Same::default();
    // Buffers and workgroup arrays are different memory: an access of one waits for none of the other.
    let (mut buffers, mut arrays) = (Waiting::default(), Waiting::default());
    for &node in &psg.regions[region].nodes {
        let n = &psg.nodes[node];
        same.see(psg, node);
        match n.op {
            Op::ArrayGet { checked: false } if fits_array(psg, node) => {
                take(psg, &mut quads, &mut arrays.writes, false);
                note(psg, &same, &mut arrays.reads, node);
            }
            Op::ArraySet { checked: false } if fits_array(psg, node) => {
                take(psg, &mut quads, &mut arrays.reads, true);
                note(psg, &same, &mut arrays.writes, node);
            }
            // A work-item's own array is no memory of others.
            Op::ArrayGet { .. } | Op::ArraySet { .. } if is_own(psg, node) => {}
            Op::BufferGet { .. } => {
                take(psg, &mut quads, &mut buffers.writes, false);
                note(psg, &same, &mut buffers.reads, node);
            }
            Op::BufferSet { .. } => {
                take(psg, &mut quads, &mut buffers.reads, true);
                note(psg, &same, &mut buffers.writes, node);
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
                buffers.end(psg, &mut quads);
                arrays.end(psg, &mut quads);
            }
        }
    }
    buffers.end(psg, &mut quads);
    arrays.end(psg, &mut quads);
    quads
}

/// What waits for neighbours in one kind of memory.
#[derive(Default)]
struct Waiting {
    reads: Open,
    writes: Open,
}

impl Waiting {
    fn end(&mut self, psg: &Psg, quads: &mut Quads) {
        take(psg, quads, &mut self.reads, true);
        take(psg, quads, &mut self.writes, false);
    }
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

/// Whether what is accessed holds elements of two bytes; a workgroup array in whole eights.
fn has_halves(psg: &Psg, node: NodeId) -> bool {
    let place = &psg.nodes[psg.nodes[node].operands[0]];
    let element = match (psg.types.get(place.ty), &place.op) {
        (Type::Array(element), Op::WorkgroupArray(len)) if len % 8 == 0 => Some(*element),
        (Type::Array(_), _) => None,
        _ => psg.types.buffer_element(place.ty),
    };
    element.and_then(|e| types::scalar(psg, e)).is_some_and(|e| e.size() == 2)
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

fn note(psg: &Psg, same: &Same, open: &mut Open, node: NodeId) {
    let operands = &psg.nodes[node].operands;
    let (base, offset) = split(psg, operands[1]);
    let key = (operands[0], same.first_of(base));
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
        let eights = |first: (i64, NodeId)| {
            first.0 % 8 == 0 && zeros(psg, base, 8) >= 3 && has_halves(psg, first.1)
        };
        for run in consecutive(&sorted, eights) {
            let nodes: Vec<NodeId> = run.iter().map(|&(_, node)| node).collect();
            let at = if reads {
                nodes.iter().copied().min_by_key(|&n| order(n))
            } else {
                nodes.iter().copied().max_by_key(|&n| order(n))
            };
            let aligned = !is_shared(psg, nodes[0]) || run[0].0 % 4 == 0;
            if let (Some(at), true) = (at, aligned) {
                quads.add(nodes, at, base, run[0].0);
            }
        }
    }
}

/// Runs of four offsets, or of eight where those may be, from the least on.
fn consecutive(
    sorted: &[(i64, NodeId)],
    eights: impl Fn((i64, NodeId)) -> bool,
) -> Vec<&[(i64, NodeId)]> {
    let mut found = Vec::new();
    let mut rest = sorted;
    let runs = |of: &[(i64, NodeId)]| of.windows(2).all(|w| w[1].0 == w[0].0 + 1);
    while let [first, ..] = *rest {
        let run = [8, 4].into_iter().filter(|&n| n == 4 || eights(first)).find(|&n| rest.get(..n).is_some_and(runs));
        let (head, tail) = rest.split_at(run.unwrap_or(1));
        if run.is_some() {
            found.push(head);
        }
        rest = tail;
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
        let count = quad.nodes.len() as u32;
        let aligned = if quad.first % i64::from(count) == 0
            && zeros(self.psg, quad.base, 8) >= count.trailing_zeros()
        {
            self.is_aligned(&place.base)
        } else {
            self.is_multiple(&address, place.element.size() * count)
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

    /// Whether all are inside, where that is not known.
    pub(super) fn quad_inside(&mut self, quad: &Quad, place: &Place, index: &str) -> Option<String> {
        quad.is_checked(self.psg).then(|| {
            let behind = self.writer.constant(&format!("{} : i64", quad.nodes.len() - 1));
            let last = self.writer.op(&format!("spirv.IAdd {index}, {behind} : i64"));
            let begins = self.writer.op(&format!("spirv.ULessThan {index}, {} : i64", place.len));
            let ends = self.writer.op(&format!("spirv.ULessThan {last}, {} : i64", place.len));
            self.writer.op(&format!("spirv.LogicalAnd {begins}, {ends} : i1"))
        })
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
        let ty = vector(element, quad.nodes.len());
        let result = self.writer.op(&format!("spirv.Variable : !spirv.ptr<{ty}, Function>"));
        self.open_selection(aligned);
        let all = self.read_run(quad, place, (index, address))?;
        self.writer.effect(&format!("spirv.Store \"Function\" {result}, {all} : {ty}"));
        self.middle_of_selection();
        let mut parts = Vec::new();
        for (n, &node) in quad.nodes.iter().enumerate() {
            let at = self.neighbour(index, n);
            self.writer.at(self.psg.spans[node]);
            parts.push(self.read(node, place, &at, is_checked(self.psg, node)));
        }
        let all = self.compose(&parts, element);
        self.writer.effect(&format!("spirv.Store \"Function\" {result}, {all} : {ty}"));
        self.close_selection();
        let all = self.writer.op(&format!("spirv.Load \"Function\" {result} : {ty}"));
        self.bind_parts(quad, &all, element);
        Ok(())
    }

    /// The elements of a vector are what the accesses read.
    fn bind_parts(&mut self, quad: &Quad, all: &str, element: Scalar) {
        let parts = self.parts(all, quad.nodes.len(), element);
        for (&node, part) in quad.nodes.iter().zip(parts) {
            self.writer.bind(node, Value::Scalar(part, element));
        }
    }

    fn neighbour(&mut self, index: &str, n: usize) -> String {
        let offset = self.writer.constant(&format!("{n} : i64"));
        self.writer.op(&format!("spirv.IAdd {index}, {offset} : i64"))
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
        self.store_run(place, index, &all, quad.nodes.len());
        self.middle_of_selection();
        quad.nodes.iter().try_for_each(|&node| self.node(node))?;
        self.close_selection();
        for &node in &quad.nodes {
            self.writer.bind(node, Value::Unit);
        }
        Ok(())
    }

    /// Neighbours in a workgroup array: inside and aligned, as was proven.
    fn shared_quad(&mut self, quad: &Quad) -> Result<(), Refusal> {
        let array = self.workgroup_array(quad.nodes[0])?;
        let element = array.element;
        let (base, scalar) = self.scalar(quad.base)?;
        let writes = matches!(self.psg.nodes[quad.nodes[0]].op, Op::ArraySet { .. });
        // Eight where the array has fours are two fours.
        for (n, nodes) in quad.nodes.chunks(array.lanes as usize).enumerate() {
            let first = quad.first + n as i64 * i64::from(array.lanes);
            let first = self.writer.number(first, scalar);
            let index = self.writer.op(&format!("spirv.IAdd {base}, {first} : {}", scalar.text()));
            let ty = vector(element, nodes.len());
            if writes {
                let mut parts = Vec::new();
                for &node in nodes {
                    parts.push(self.scalar(self.psg.nodes[node].operands[2])?.0);
                    self.writer.bind(node, Value::Unit);
                }
                let all = self.compose(&parts, element);
                let pointer = self.shared_vector(&array, &index, scalar);
                self.writer.effect(&format!("spirv.Store \"Workgroup\" {pointer}, {all} : {ty}"));
            } else {
                let pointer = self.shared_vector(&array, &index, scalar);
                let all = self.writer.op(&format!("spirv.Load \"Workgroup\" {pointer} : {ty}"));
                let parts = self.parts(&all, nodes.len(), element);
                for (&node, part) in nodes.iter().zip(parts) {
                    self.writer.bind(node, Value::Scalar(part, element));
                }
            }
        }
        Ok(())
    }

    fn run_pointer(&mut self, place: &Place, address: &str, count: usize) -> String {
        self.writer.op(&format!(
            "spirv.ConvertUToPtr {address} : i64 to !spirv.ptr<{}, PhysicalStorageBuffer>",
            vector(place.element, count)
        ))
    }

    /// Four elements from an aligned address on.
    pub(super) fn load_four(&mut self, place: &Place, index: &str) -> String {
        let address = self.address(place, index);
        self.load_run(place, &address, 4)
    }

    pub(super) fn load_run(&mut self, place: &Place, address: &str, count: usize) -> String {
        let pointer = self.run_pointer(place, address, count);
        self.writer.op(&format!(
            "spirv.Load \"PhysicalStorageBuffer\" {pointer} [\"Aligned\", {}] : {}",
            place.element.size() * count as u32,
            vector(place.element, count)
        ))
    }

    pub(super) fn store_four(&mut self, place: &Place, index: &str, all: &str) {
        self.store_run(place, index, all, 4);
    }

    fn store_run(&mut self, place: &Place, index: &str, all: &str, count: usize) {
        let address = self.address(place, index);
        let pointer = self.run_pointer(place, &address, count);
        self.writer.effect(&format!(
            "spirv.Store \"PhysicalStorageBuffer\" {pointer}, {all} [\"Aligned\", {}] : {}",
            place.element.size() * count as u32,
            vector(place.element, count)
        ));
    }

    /// A vector of four or eight elements.
    pub(super) fn compose(&mut self, parts: &[String], element: Scalar) -> String {
        let ty = element.text();
        if parts.len() == 4 {
            return self.writer.op(&format!(
                "spirv.CompositeConstruct {} : ({ty}, {ty}, {ty}, {ty}) -> vector<4x{ty}>",
                parts.join(", ")
            ));
        }
        let mut words = Vec::new();
        for pair in parts.chunks(2) {
            let two = self.writer.op(&format!(
                "spirv.CompositeConstruct {} : ({ty}, {ty}) -> vector<2x{ty}>",
                pair.join(", ")
            ));
            words.push(self.writer.op(&format!("spirv.Bitcast {two} : vector<2x{ty}> to i32")));
        }
        self.writer.op(&format!(
            "spirv.CompositeConstruct {} : (i32, i32, i32, i32) -> vector<4xi32>",
            words.join(", ")
        ))
    }

    pub(super) fn extract(&mut self, all: &str, n: usize, element: Scalar) -> String {
        self.writer.op(&format!("spirv.CompositeExtract {all}[{n} : i32] : vector<4x{}>", element.text()))
    }

    /// The elements of a vector of four or eight.
    fn parts(&mut self, all: &str, count: usize, element: Scalar) -> Vec<String> {
        if count == 4 {
            return (0..4).map(|n| self.extract(all, n, element)).collect();
        }
        let ty = element.text();
        let mut parts = Vec::new();
        for n in 0..4 {
            let word = self.writer.op(&format!("spirv.CompositeExtract {all}[{n} : i32] : vector<4xi32>"));
            let two = self.writer.op(&format!("spirv.Bitcast {word} : i32 to vector<2x{ty}>"));
            for half in 0..2 {
                let part = format!("spirv.CompositeExtract {two}[{half} : i32] : vector<2x{ty}>");
                parts.push(self.writer.op(&part));
            }
        }
        parts
    }
}

/// The type of a vector of four elements, or of eight of two bytes.
pub(super) fn vector(element: Scalar, count: usize) -> String {
    if count == 8 { "vector<4xi32>".into() } else { format!("vector<4x{}>", element.text()) }
}

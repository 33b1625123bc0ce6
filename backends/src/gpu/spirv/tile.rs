//! The module `Tile` by the device's matrix instructions (SPV_KHR_cooperative_matrix).
//!
//! The library's loops, which were copied into the kernel, are left out; the call that they came from is there beside them
//! ([`clef_psg::kernel::tiles`]). A team's sums become a matrix variable for each piece of 16 x 16. A subgroup must be a team:
//! 32 work-items in the order of their indices, which the runtime asks of the device.
//!
//! Promises: a launch whose arrays and indices do not suit keeps the library's loops. A store that does not fit into its
//! buffer is reported like any index out of range, and writes nothing.

use super::own;
use super::types::Scalar;
use super::writer::Value;
use super::{Lowering, Refusal, quads};
use clef_psg::graph::Psg;
use clef_psg::id::{NodeId, RegionId};
use clef_psg::kernel::tiles::{TileCall, TileOp};
use clef_psg::node::Op;
use rustc_hash::{FxHashMap, FxHashSet};

const I32: Scalar = Scalar::Int { bits: 32, signed: true };
const SUMS: &str = "!spirv.coopmatrix<16x16xf32, Subgroup, MatrixAcc>";
const SIDE: i64 = 16;

/// The calls of a launch.
#[derive(Default)]
pub(super) struct Tiles {
    calls: Vec<TileCall>,
    /// By operation that stands in the place of a call: the call.
    of: FxHashMap<NodeId, usize>,
    /// Arrays of sums.
    pub sums: FxHashSet<NodeId>,
}

impl Tiles {
    /// The calls of a launch, if all of them can be matrix instructions.
    pub fn of(psg: &Psg, body: RegionId) -> Self {
        let mut inside: FxHashSet<NodeId> = FxHashSet::default();
        psg.walk_region(body, &mut |node| {
            inside.insert(node);
        });
        let here = |call: &&TileCall| call.nodes.iter().any(|n| inside.contains(n));
        let mut tiles = Self::default();
        for call in psg.tiles.iter().filter(here) {
            if !suits(psg, call) {
                return Self::default();
            }
            tiles.of.extend(call.nodes.iter().map(|&n| (n, tiles.calls.len())));
            tiles.sums.insert(call.args[sums_of(call.op)]);
            tiles.calls.push(call.clone());
        }
        if tiles.escapes(psg, body) { Self::default() } else { tiles }
    }

    /// Which call an operation belongs to.
    pub fn call(&self, node: NodeId) -> Option<usize> {
        self.of.get(&node).copied()
    }

    /// All operations that the calls stand for.
    pub fn operations(&self, psg: &Psg) -> FxHashSet<NodeId> {
        let mut all: FxHashSet<NodeId> = self.of.keys().copied().collect();
        for &node in self.of.keys() {
            for &region in &psg.nodes[node].regions {
                psg.walk_region(region, &mut |inner| {
                    all.insert(inner);
                });
            }
        }
        all
    }

    /// Whether somebody else looks at the sums.
    fn escapes(&self, psg: &Psg, region: RegionId) -> bool {
        psg.regions[region].nodes.iter().any(|&node| {
            let n = &psg.nodes[node];
            // Counts of references are nobody's look.
            !self.of.contains_key(&node)
                && !matches!(n.op, Op::Dup | Op::Drop)
                && (n.operands.iter().any(|o| self.sums.contains(o))
                    || n.regions.iter().any(|&r| self.escapes(psg, r)))
        })
    }
}

fn sums_of(op: TileOp) -> usize {
    match op {
        TileOp::Clear => 2,
        TileOp::Multiply => 9,
        TileOp::Store => 3,
    }
}

fn literal(psg: &Psg, node: NodeId) -> Option<i64> {
    own::value(psg, node, &FxHashMap::default())
}

/// Sizes are literals, indices are inside, and matrices begin where devices can read them.
fn suits(psg: &Psg, call: &TileCall) -> bool {
    let (down, across) = sizes(call);
    let count = literal(psg, down).zip(literal(psg, across)).map(|(d, a)| d.saturating_mul(a));
    let sums = &psg.nodes[call.args[sums_of(call.op)]].op;
    if !matches!((sums, count), (Op::ItemArray(len), Some(c)) if c > 0 && i64::from(*len) == c.saturating_mul(8))
    {
        return false;
    }
    if call.op != TileOp::Multiply {
        return true;
    }
    let shared = [3, 6].iter().all(|&a| matches!(psg.nodes[call.args[a]].op, Op::WorkgroupArray(_)));
    let placed = [4, 5, 7, 8].iter().all(|&a| quads::zeros(psg, call.args[a], 8) >= 3);
    let mut inside = true;
    let mut look = |node: NodeId| inside &= psg.nodes[node].op != Op::ArrayGet { checked: true };
    for &node in &call.nodes {
        look(node);
        psg.nodes[node].regions.iter().for_each(|&r| psg.walk_region(r, &mut look));
    }
    shared && placed && inside
}

fn sizes(call: &TileCall) -> (NodeId, NodeId) {
    let at = usize::from(call.op != TileOp::Clear);
    (call.args[at], call.args[at + 1])
}

impl Lowering<'_> {
    /// The matrices of an array of sums.
    pub(super) fn tile_sums(&mut self, node: NodeId, len: u32) {
        let make = |_| self.writer.op(&format!("spirv.Variable : !spirv.ptr<{SUMS}, Function>"));
        let variables = (0..len / 8).map(make).collect();
        self.writer.bind(node, Value::Tiles(variables));
    }

    /// A call, in place of the operations that were copied for it.
    pub(super) fn tile(&mut self, number: usize) -> Result<(), Refusal> {
        self.writer.needs.tiles = true;
        let call = self.tiles.calls[number].clone();
        let sums = call.args[sums_of(call.op)];
        let Some(Value::Tiles(variables)) = self.writer.value(sums).cloned() else {
            return Err(self.refuse(sums, "the sums of tiles are an array of the work-item"));
        };
        let (_, across) = sizes(&call);
        let across = literal(self.psg, across).unwrap_or(1);
        match call.op {
            TileOp::Clear => self.tile_clear(&variables),
            TileOp::Multiply => self.tile_multiply(&call, &variables, across)?,
            TileOp::Store => self.tile_store(&call, &variables, across)?,
        }
        for &node in &call.nodes {
            self.writer.bind(node, Value::Unit);
        }
        Ok(())
    }

    fn tile_clear(&mut self, variables: &[String]) {
        let zero = self.writer.number(0, Scalar::Float { bits: 32 });
        let zeros = self.writer.op(&format!("spirv.CompositeConstruct {zero} : (f32) -> {SUMS}"));
        for variable in variables {
            self.writer.effect(&format!("spirv.Store \"Function\" {variable}, {zeros} : {SUMS}"));
        }
    }

    fn tile_multiply(&mut self, call: &TileCall, variables: &[String], across: i64) -> Result<(), Refusal> {
        let down = variables.len() as i64 / across.max(1);
        let left = self.tile_operands(&call.args[3..6], down, ("MatrixA", "RowMajor"))?;
        let right = self.tile_operands(&call.args[6..9], across, ("MatrixB", "ColumnMajor"))?;
        let (a, b) = (operand("MatrixA"), operand("MatrixB"));
        for (n, variable) in variables.iter().enumerate() {
            let (i, j) = (n / across as usize, n % across as usize);
            let before = self.writer.op(&format!("spirv.Load \"Function\" {variable} : {SUMS}"));
            let after = self.writer.op(&format!(
                "spirv.KHR.CooperativeMatrixMulAdd {}, {}, {before} : {a}, {b} -> {SUMS}",
                left[i], right[j]
            ));
            self.writer.effect(&format!("spirv.Store \"Function\" {variable}, {after} : {SUMS}"));
        }
        Ok(())
    }

    /// Matrices below each other in a workgroup array: array, first index, stride.
    fn tile_operands(
        &mut self,
        args: &[NodeId],
        count: i64,
        (role, order): (&str, &str),
    ) -> Result<Vec<String>, Refusal> {
        let Some(Value::Shared { symbol, len, element, lanes }) = self.writer.value(args[0]).cloned() else {
            return Err(self.refuse(args[0], "tiles are multiplied from arrays of the workgroup"));
        };
        let array = super::shared::Shared { symbol, len, element, lanes };
        let ((first, _), (stride, _)) = (self.scalar(args[1])?, self.scalar(args[2])?);
        let mut units = stride.clone();
        if lanes > 1 {
            let shift = self.writer.number(i64::from(lanes.trailing_zeros()), I32);
            units = self.writer.op(&format!("spirv.ShiftRightLogical {stride}, {shift} : i32, i32"));
        }
        let mut matrices = Vec::new();
        for n in 0..count {
            let rows = self.writer.number(n * SIDE, I32);
            let offset = self.writer.op(&format!("spirv.IMul {stride}, {rows} : i32"));
            let index = self.writer.op(&format!("spirv.IAdd {first}, {offset} : i32"));
            let pointer = if lanes > 1 {
                self.shared_vector(&array, &index, I32)
            } else {
                self.shared_element(&array, &index, I32)
            };
            let pointee = array.vector();
            matrices.push(self.writer.op(&format!(
                "spirv.KHR.CooperativeMatrixLoad {pointer}, {units}, <{order}> : !spirv.ptr<{pointee}, Workgroup>, i32 -> {}",
                operand(role)
            )));
        }
        Ok(matrices)
    }

    fn tile_store(&mut self, call: &TileCall, variables: &[String], across: i64) -> Result<(), Refusal> {
        let Some(Value::Buffer { base, len, element }) = self.writer.value(call.args[4]).cloned() else {
            return Err(self.refuse(call.args[4], "tiles are stored to the kernel's own buffer parameters"));
        };
        let place = super::memory::Place { base, len, element };
        let (first, stride) = (self.index(call.args[5])?, self.index(call.args[6])?);
        let (units, _) = self.scalar(call.args[6])?;
        let down = variables.len() as i64 / across.max(1);
        let rows = self.writer.constant(&format!("{} : i64", down * SIDE - 1));
        let columns = self.writer.constant(&format!("{} : i64", across * SIDE - 1));
        let last = self.writer.op(&format!("spirv.IMul {stride}, {rows} : i64"));
        let last = self.writer.op(&format!("spirv.IAdd {first}, {last} : i64"));
        let last = self.writer.op(&format!("spirv.IAdd {last}, {columns} : i64"));
        let node = call.nodes.first().copied().unwrap_or(call.args[5]);
        let starts = self.inside(node, &first, &place.len);
        let ends = self.inside(node, &last, &place.len);
        let fine = self.writer.op(&format!("spirv.LogicalAnd {starts}, {ends} : i1"));
        self.when(&fine, |cx| {
            for (n, variable) in variables.iter().enumerate() {
                let (i, j) = (n as i64 / across, n as i64 % across);
                let row = cx.writer.constant(&format!("{} : i64", i * SIDE));
                let column = cx.writer.constant(&format!("{} : i64", j * SIDE));
                let at = cx.writer.op(&format!("spirv.IMul {stride}, {row} : i64"));
                let at = cx.writer.op(&format!("spirv.IAdd {first}, {at} : i64"));
                let at = cx.writer.op(&format!("spirv.IAdd {at}, {column} : i64"));
                let address = cx.address(&place, &at);
                let pointer = cx.writer.op(&format!(
                    "spirv.ConvertUToPtr {address} : i64 to !spirv.ptr<f32, PhysicalStorageBuffer>"
                ));
                let sums = cx.writer.op(&format!("spirv.Load \"Function\" {variable} : {SUMS}"));
                cx.writer.effect(&format!(
                    "spirv.KHR.CooperativeMatrixStore {pointer}, {sums}, {units}, <RowMajor>, <Aligned>, 4 : !spirv.ptr<f32, PhysicalStorageBuffer>, {SUMS}, i32"
                ));
            }
        });
        Ok(())
    }
}

fn operand(role: &str) -> String {
    format!("!spirv.coopmatrix<16x16xf16, Subgroup, {role}>")
}

//! What the work-items of a workgroup share: arrays and barriers.
//!
//! Arrays are global variables of the Workgroup storage class; an index out of range is recorded and skipped, as in
//! buffers. A barrier orders workgroup memory only: buffers are for other launches.

use super::own;
use super::types::{self, Scalar};
use super::writer::Value;
use super::{Lowering, Refusal, quads};
use clef_psg::id::NodeId;
use clef_psg::node::Op;
use clef_psg::ty::Type;

/// Bytes of workgroup arrays that every common device has.
const MOST_BYTES: u32 = 32 << 10;

impl Lowering<'_> {
    /// All work-items of the group get here, and see each other's writes of workgroup arrays.
    pub(super) fn barrier(&mut self) {
        self.writer.effect("spirv.ControlBarrier <Workgroup>, <Workgroup>, <AcquireRelease|WorkgroupMemory>");
    }

    pub(super) fn shared(&mut self, node: NodeId) -> Result<(), Refusal> {
        match self.psg.nodes[node].op {
            Op::Barrier => self.barrier(),
            Op::WorkgroupArray(len) => return self.shared_array(node, len),
            Op::ItemArray(len) if self.tiles.sums.contains(&node) => {
                self.tile_sums(node, len);
                return Ok(());
            }
            Op::ItemArray(len) => return self.own_array(node, len),
            Op::ArrayGet { checked } | Op::ArraySet { checked } => return self.array_access(node, checked),
            Op::Length => return self.array_length(node),
            // Counts of references: workgroup arrays are never freed.
            _ => {}
        }
        self.writer.bind(node, Value::Unit);
        Ok(())
    }

    pub(super) fn array_element(&self, node: NodeId) -> Option<Scalar> {
        match self.psg.types.get(self.psg.nodes[node].ty) {
            Type::Array(element) => types::scalar(self.psg, *element),
            _ => None,
        }
    }

    fn shared_array(&mut self, node: NodeId, len: u32) -> Result<(), Refusal> {
        let Some(element) = self.array_element(node) else {
            return Err(self.refuse(node, "a workgroup array holds numbers or booleans"));
        };
        self.shared_bytes = self.shared_bytes.saturating_add(len.saturating_mul(element.size()));
        if self.shared_bytes > MOST_BYTES {
            let why = format!(
                "the workgroup arrays have {} bytes; a workgroup has {MOST_BYTES}",
                self.shared_bytes
            );
            return Err(self.refuse(node, why));
        }
        self.writer.needs.value(element);
        let symbol = format!("shared_{}", self.writer.shared.len());
        let lanes = self.plan.lanes.get(&node).copied().unwrap_or(1);
        let array = Shared { symbol, len, element, lanes };
        self.writer.shared.push((array.symbol.clone(), array.pointer()));
        self.writer.bind(node, Value::Shared { symbol: array.symbol, len, element, lanes });
        Ok(())
    }

    pub(super) fn workgroup_array(&mut self, node: NodeId) -> Result<Shared, Refusal> {
        let operand = self.psg.nodes[node].operands[0];
        match self.writer.value(operand).cloned() {
            Some(Value::Shared { symbol, len, element, lanes }) => Ok(Shared { symbol, len, element, lanes }),
            _ => Err(self.refuse(node, ONLY)),
        }
    }

    fn array_length(&mut self, node: NodeId) -> Result<(), Refusal> {
        let operand = self.psg.nodes[node].operands[0];
        let (Op::WorkgroupArray(len) | Op::ItemArray(len)) = self.psg.nodes[operand].op else {
            return Err(self.refuse(node, ONLY));
        };
        let len = self.writer.constant(&format!("{len} : i32"));
        self.writer.bind(node, Value::Scalar(len, Scalar::Int { bits: 32, signed: true }));
        Ok(())
    }

    /// An access of an array: where the index may be out of range, that is recorded and zero read.
    fn array_access(&mut self, node: NodeId, checked: bool) -> Result<(), Refusal> {
        let operands = self.psg.nodes[node].operands.clone();
        let value = match operands.get(2) {
            Some(&value) => Some(self.scalar(value)?.0),
            None => None,
        };
        if let Some(Value::Own { variables, len, element }) = self.writer.value(operands[0]).cloned() {
            let known = own::value(self.psg, operands[1], &self.fixed);
            let checked = checked && !known.is_some_and(|v| (0..i64::from(len)).contains(&v));
            let access = Access { node, len, element, value, checked };
            return self
                .guarded(&access, |cx| Ok((cx.own_element(node, &variables, (len, element))?, "Function")));
        }
        let array = self.workgroup_array(node)?;
        let access = Access { node, len: array.len, element: array.element, value, checked };
        let (index, scalar) = self.scalar(operands[1])?;
        self.guarded(&access, |cx| Ok((cx.shared_element(&array, &index, scalar), "Workgroup")))
    }

    /// Reads or writes what `pointer` gives, if the index is inside.
    fn guarded(
        &mut self,
        access: &Access,
        pointer: impl FnOnce(&mut Self) -> Result<(String, &'static str), Refusal>,
    ) -> Result<(), Refusal> {
        let (node, element) = (access.node, access.element);
        let ty = element.text();
        let act = |cx: &mut Self| -> Result<Option<String>, Refusal> {
            let (at, class) = pointer(cx)?;
            Ok(match &access.value {
                Some(value) => {
                    cx.writer.effect(&format!("spirv.Store \"{class}\" {at}, {value} : {ty}"));
                    None
                }
                None => Some(cx.writer.op(&format!("spirv.Load \"{class}\" {at} : {ty}"))),
            })
        };
        let loaded = if access.checked {
            let index = self.index(self.psg.nodes[node].operands[1])?;
            let length = self.writer.constant(&format!("{} : i64", access.len));
            let result = self.fresh_variable(element);
            let zero = self.writer.number(0, element);
            self.store_variable(&result, &zero, element);
            let mut done = Ok(());
            self.in_range(node, &index, &length, |cx| match act(cx) {
                Ok(Some(loaded)) => cx.store_variable(&result, &loaded, element),
                Ok(None) => {}
                Err(refusal) => done = Err(refusal),
            });
            done?;
            access.value.is_none().then(|| self.load_variable(&result, element))
        } else {
            act(self)?
        };
        self.writer.bind(node, loaded.map_or(Value::Unit, |v| Value::Scalar(v, element)));
        Ok(())
    }

    /// The pointer to an element of a workgroup array.
    pub(super) fn shared_element(&mut self, array: &Shared, index: &str, scalar: Scalar) -> String {
        let (pointer, ty, it) = (array.pointer(), array.element.text(), scalar.text());
        let base = self.writer.op(&format!("spirv.mlir.addressof @{} : {pointer}", array.symbol));
        if array.lanes == 1 {
            return self.writer.op(&format!(
                "spirv.AccessChain {base}[{index}] : {pointer}, {it} -> !spirv.ptr<{ty}, Workgroup>"
            ));
        }
        let (two, three) = (self.writer.number(2, scalar), self.writer.number(3, scalar));
        let row = self.writer.op(&format!("spirv.ShiftRightLogical {index}, {two} : {it}, {it}"));
        let column = self.writer.op(&format!("spirv.BitwiseAnd {index}, {three} : {it}"));
        self.writer.op(&format!(
            "spirv.AccessChain {base}[{row}, {column}] : {pointer}, {it}, {it} -> !spirv.ptr<{ty}, Workgroup>"
        ))
    }

    /// The pointer to a vector in a workgroup array of fours or eights, from a multiple of these on.
    pub(super) fn shared_vector(&mut self, array: &Shared, index: &str, scalar: Scalar) -> String {
        let (pointer, it) = (array.pointer(), scalar.text());
        let base = self.writer.op(&format!("spirv.mlir.addressof @{} : {pointer}", array.symbol));
        let shift = self.writer.number(i64::from(array.lanes.trailing_zeros()), scalar);
        let row = self.writer.op(&format!("spirv.ShiftRightLogical {index}, {shift} : {it}, {it}"));
        self.writer.op(&format!(
            "spirv.AccessChain {base}[{row}] : {pointer}, {it} -> !spirv.ptr<{}, Workgroup>",
            array.vector()
        ))
    }
}

const ONLY: &str = "only arrays of the workgroup and of the work-item can be used on a GPU";

/// An array of the workgroup.
pub(super) struct Shared {
    pub symbol: String,
    pub len: u32,
    pub element: Scalar,
    /// Elements of each of its vectors: 4, or 8 where nothing else is accessed; 1 where it holds elements.
    pub lanes: u32,
}

impl Shared {
    fn pointer(&self) -> String {
        format!("!spirv.ptr<!spirv.array<{} x {}>, Workgroup>", self.len.div_ceil(self.lanes), self.vector())
    }

    /// The type of what it holds.
    pub fn vector(&self) -> String {
        if self.lanes == 1 { self.element.text() } else { quads::vector(self.element, self.lanes as usize) }
    }
}

/// An access of an array's element.
struct Access {
    node: NodeId,
    len: u32,
    element: Scalar,
    /// What is written.
    value: Option<String>,
    checked: bool,
}

//! What the work-items of a workgroup share: arrays and barriers.
//!
//! Arrays are global variables of the Workgroup storage class; an index out of range is recorded and skipped, as in
//! buffers. A barrier orders workgroup memory only: buffers are for other launches.

use super::types::{self, Scalar};
use super::writer::Value;
use super::{Lowering, Refusal};
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
            Op::ArrayGet { checked } | Op::ArraySet { checked } => return self.shared_access(node, checked),
            Op::Length => {
                let (_, len, _) = self.array(node)?;
                let len = self.writer.constant(&format!("{len} : i32"));
                self.writer.bind(node, Value::Scalar(len, Scalar::Int { bits: 32, signed: true }));
                return Ok(());
            }
            // Counts of references: workgroup arrays are never freed.
            _ => {}
        }
        self.writer.bind(node, Value::Unit);
        Ok(())
    }

    fn shared_array(&mut self, node: NodeId, len: u32) -> Result<(), Refusal> {
        let element = match self.psg.types.get(self.psg.nodes[node].ty) {
            Type::Array(element) => types::scalar(self.psg, *element),
            _ => None,
        };
        let Some(element) = element else {
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
        let pointer = format!("!spirv.ptr<!spirv.array<{len} x {}>, Workgroup>", element.text());
        self.writer.shared.push((symbol.clone(), pointer));
        self.writer.bind(node, Value::Shared { symbol, len, element });
        Ok(())
    }

    fn array(&mut self, node: NodeId) -> Result<(String, u32, Scalar), Refusal> {
        let operand = self.psg.nodes[node].operands[0];
        match self.writer.value(operand) {
            Some(Value::Shared { symbol, len, element }) => Ok((symbol.clone(), *len, *element)),
            _ => Err(self.refuse(node, "only workgroup arrays can be used on a GPU")),
        }
    }

    fn shared_access(&mut self, node: NodeId, checked: bool) -> Result<(), Refusal> {
        let (symbol, len, element) = self.array(node)?;
        let operands = self.psg.nodes[node].operands.clone();
        let index = self.index(operands[1])?;
        let value = match operands.get(2) {
            Some(&value) => Some(self.scalar(value)?.0),
            None => None,
        };
        let ty = element.text();
        let pointer = format!("!spirv.ptr<!spirv.array<{len} x {ty}>, Workgroup>");
        let access = |cx: &mut Self| {
            let array = cx.writer.op(&format!("spirv.mlir.addressof @{symbol} : {pointer}"));
            let at = cx.writer.op(&format!(
                "spirv.AccessChain {array}[{index}] : {pointer}, i64 -> !spirv.ptr<{ty}, Workgroup>"
            ));
            match &value {
                Some(value) => {
                    cx.writer.effect(&format!("spirv.Store \"Workgroup\" {at}, {value} : {ty}"));
                    None
                }
                None => Some(cx.writer.op(&format!("spirv.Load \"Workgroup\" {at} : {ty}"))),
            }
        };
        let loaded = if checked {
            let length = self.writer.constant(&format!("{len} : i64"));
            let result = self.writer.op(&format!("spirv.Variable : !spirv.ptr<{ty}, Function>"));
            let zero = self.writer.number(0, element);
            self.writer.effect(&format!("spirv.Store \"Function\" {result}, {zero} : {ty}"));
            self.in_range(node, &index, &length, |cx| {
                if let Some(loaded) = access(cx) {
                    cx.writer.effect(&format!("spirv.Store \"Function\" {result}, {loaded} : {ty}"));
                }
            });
            value.is_none().then(|| self.writer.op(&format!("spirv.Load \"Function\" {result} : {ty}")))
        } else {
            access(self)
        };
        self.writer.bind(node, loaded.map_or(Value::Unit, |v| Value::Scalar(v, element)));
        Ok(())
    }
}

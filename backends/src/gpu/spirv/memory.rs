//! Buffers and the status block.

use super::trap::INDEX;
use super::types::Scalar;
use super::writer::Value;
use super::{Lowering, Refusal};
use clef_psg::id::NodeId;
use clef_psg::node::{AtomicOp, Op};

/// A buffer operand: address, element count, element.
pub(super) struct Place {
    pub base: String,
    pub len: String,
    pub element: Scalar,
}

impl Lowering<'_> {
    pub(super) fn buffer(&mut self, node: NodeId) -> Result<Place, Refusal> {
        let operand = self.psg.nodes[node].operands[0];
        match self.writer.value(operand).cloned() {
            Some(Value::Buffer { base, len, element }) => Ok(Place { base, len, element }),
            _ => Err(self.refuse(node, "only the kernel's own buffer parameters can be used on a GPU")),
        }
    }

    pub(super) fn memory(&mut self, node: NodeId) -> Result<(), Refusal> {
        let place = self.buffer(node)?;
        let operands = self.psg.nodes[node].operands.clone();
        match self.psg.nodes[node].op.clone() {
            Op::BufferLength => {
                let scalar = Scalar::Int { bits: 32, signed: true };
                let len = self.writer.op(&format!("spirv.SConvert {} : i64 to i32", place.len));
                self.writer.bind(node, Value::Scalar(len, scalar));
                Ok(())
            }
            Op::BufferGet { checked } => {
                let index = self.index(operands[1])?;
                let element = place.element;
                let value = self.read(node, &place, &index, checked);
                self.writer.bind(node, Value::Scalar(value, element));
                Ok(())
            }
            Op::BufferSet { checked } => {
                let index = self.index(operands[1])?;
                let (value, _) = self.scalar(operands[2])?;
                self.writer.needs.storage(place.element.stored());
                if checked {
                    self.in_range(node, &index, &place.len, |cx| cx.store(&place, &index, &value));
                } else {
                    self.store(&place, &index, &value);
                }
                self.writer.bind(node, Value::Unit);
                Ok(())
            }
            Op::Atomic(op) => self.atomic(node, op, &place),
            _ => Err(self.refuse(node, "this operation cannot run on a GPU")),
        }
    }

    /// One element; zero where the index is out of range, which is recorded.
    pub(super) fn read(&mut self, node: NodeId, place: &Place, index: &str, checked: bool) -> String {
        let element = place.element;
        self.writer.needs.storage(element.stored());
        if !checked {
            return self.load(place, index);
        }
        // No branch around the load: devices may move it, and join it with its neighbours.
        let fine = self.inside(node, index, &place.len);
        self.load_where(place, index, &fine)
    }

    /// An index as 64 bits.
    pub(super) fn index(&mut self, node: NodeId) -> Result<String, Refusal> {
        let (index, scalar) = self.scalar(node)?;
        Ok(match scalar {
            Scalar::Int { bits: 64, .. } => index,
            Scalar::Int { signed: false, bits } => {
                self.writer.op(&format!("spirv.UConvert {index} : i{bits} to i64"))
            }
            _ => self.writer.op(&format!("spirv.SConvert {index} : {} to i64", scalar.text())),
        })
    }

    /// Whether an index is in range; records the access where it is not.
    pub(super) fn inside(&mut self, node: NodeId, index: &str, len: &str) -> String {
        // Unsigned: a negative index is a very large one.
        let fine = self.writer.op(&format!("spirv.ULessThan {index}, {len} : i64"));
        self.writer.raw("    spirv.mlir.selection {");
        self.writer.effect(&format!("spirv.BranchConditional {fine} [64, 1], ^merge, ^else"));
        self.writer.raw("    ^else:");
        self.record(node, INDEX, index, len);
        self.writer.effect("spirv.Branch ^merge");
        self.writer.raw("    ^merge:");
        self.writer.effect("spirv.mlir.merge");
        self.writer.effect("}");
        fine
    }

    /// Runs `inside` where the index is in range; records the access otherwise.
    pub(super) fn in_range(&mut self, node: NodeId, index: &str, len: &str, inside: impl FnOnce(&mut Self)) {
        // Unsigned: a negative index is a very large one.
        let fine = self.writer.op(&format!("spirv.ULessThan {index}, {len} : i64"));
        self.writer.raw("    spirv.mlir.selection {");
        self.writer.effect(&format!("spirv.BranchConditional {fine} [64, 1], ^then, ^else"));
        self.writer.raw("    ^then:");
        inside(self);
        self.writer.effect("spirv.Branch ^merge");
        self.writer.raw("    ^else:");
        self.record(node, INDEX, index, len);
        self.writer.effect("spirv.Branch ^merge");
        self.writer.raw("    ^merge:");
        self.writer.effect("spirv.mlir.merge");
        self.writer.effect("}");
    }

    /// The address of an element.
    pub(super) fn address(&mut self, place: &Place, index: &str) -> String {
        let size = place.element.size();
        let offset = if size == 1 {
            index.to_owned()
        } else {
            let size = self.writer.constant(&format!("{size} : i64"));
            self.writer.op(&format!("spirv.IMul {index}, {size} : i64"))
        };
        self.writer.op(&format!("spirv.IAdd {}, {offset} : i64", place.base))
    }

    fn element_pointer(&mut self, place: &Place, index: &str) -> String {
        let address = self.address(place, index);
        self.pointer(place, &address)
    }

    fn pointer(&mut self, place: &Place, address: &str) -> String {
        let ty = place.element.stored().text();
        self.writer
            .op(&format!("spirv.ConvertUToPtr {address} : i64 to !spirv.ptr<{ty}, PhysicalStorageBuffer>"))
    }

    /// One element where it is there, zero elsewhere.
    fn load_where(&mut self, place: &Place, index: &str, fine: &str) -> String {
        let address = self.address(place, index);
        let zeros = self.zeros_address().unwrap_or_else(|| place.base.clone());
        let address = self.writer.op(&format!("spirv.Select {fine}, {address}, {zeros} : i1, i64"));
        self.load_from(place, &address)
    }

    fn load(&mut self, place: &Place, index: &str) -> String {
        let address = self.address(place, index);
        self.load_from(place, &address)
    }

    fn load_from(&mut self, place: &Place, address: &str) -> String {
        let pointer = self.pointer(place, address);
        let (stored, size) = (place.element.stored(), place.element.size());
        let value = self.writer.op(&format!(
            "spirv.Load \"PhysicalStorageBuffer\" {pointer} [\"Aligned\", {size}] : {}",
            stored.text()
        ));
        if place.element != Scalar::Bool {
            return value;
        }
        let zero = self.writer.number(0, stored);
        self.writer.op(&format!("spirv.INotEqual {value}, {zero} : i8"))
    }

    fn store(&mut self, place: &Place, index: &str, value: &str) {
        let pointer = self.element_pointer(place, index);
        let (stored, size) = (place.element.stored(), place.element.size());
        let mut value = value.to_owned();
        if place.element == Scalar::Bool {
            let (one, zero) = (self.writer.number(1, stored), self.writer.number(0, stored));
            value = self.writer.op(&format!("spirv.Select {value}, {one}, {zero} : i1, i8"));
        }
        self.writer.effect(&format!(
            "spirv.Store \"PhysicalStorageBuffer\" {pointer}, {value} [\"Aligned\", {size}] : {}",
            stored.text()
        ));
    }

    /// Relaxed read-modify-write at device scope, on 32-bit integers.
    fn atomic(&mut self, node: NodeId, op: AtomicOp, place: &Place) -> Result<(), Refusal> {
        let operands = self.psg.nodes[node].operands.clone();
        let Scalar::Int { bits: 32, signed } = place.element else {
            return Err(self.refuse(node, "atomic operations on a GPU are for 32-bit integers"));
        };
        let name = match (op, signed) {
            (AtomicOp::Add, _) => "AtomicIAdd",
            (AtomicOp::Min, true) => "AtomicSMin",
            (AtomicOp::Min, false) => "AtomicUMin",
            (AtomicOp::Max, true) => "AtomicSMax",
            (AtomicOp::Max, false) => "AtomicUMax",
            (AtomicOp::And, _) => "AtomicAnd",
            (AtomicOp::Or, _) => "AtomicOr",
            (AtomicOp::Xor, _) => "AtomicXor",
            (AtomicOp::Exchange, _) => "AtomicExchange",
        };
        let index = self.index(operands[1])?;
        let (value, scalar) = self.scalar(operands[2])?;
        let result = self.writer.op("spirv.Variable : !spirv.ptr<i32, Function>");
        let zero = self.writer.number(0, scalar);
        self.writer.effect(&format!("spirv.Store \"Function\" {result}, {zero} : i32"));
        self.in_range(node, &index, &place.len, |cx| {
            let pointer = cx.element_pointer(place, &index);
            let old = cx.writer.op(&format!(
                "spirv.{name} <Device> <None> {pointer}, {value} : !spirv.ptr<i32, PhysicalStorageBuffer>"
            ));
            cx.writer.effect(&format!("spirv.Store \"Function\" {result}, {old} : i32"));
        });
        let old = self.writer.op(&format!("spirv.Load \"Function\" {result} : i32"));
        self.writer.bind(node, Value::Scalar(old, scalar));
        Ok(())
    }
}

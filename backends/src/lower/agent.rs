//! Buffers: allocation, elements, atomics.
//!
//! A buffer is a record by value; its elements lie at its address. In the host form of a kernel a parameter's address
//! and length come from the kernel's arguments instead ([`super::kernel`]).

use super::Lower;
use crate::layout::{Cell, Repr};
use crate::mlir::ops::ICmp;
use crate::mlir::{Ty, Value};
use clef_psg::id::{NodeId, TypeId};
use clef_psg::node::AtomicOp;
use clef_psg::ty::Type;

/// Bit of the CPU in an allocation's agents.
const CPU: i64 = 1;
/// Bit of the NPU.
const NPU: i64 = 2;
/// Bit of the first GPU.
const FIRST_GPU: i64 = 8;

/// Address and number of elements of a kernel's buffer parameter.
#[derive(Clone, Copy)]
pub(super) struct BufferArg {
    pub(super) address: Value,
    pub(super) length: Value,
}

impl Lower<'_> {
    /// Place of a buffer record's field in the struct, by name.
    pub(super) fn buffer_slot(&mut self, ty: TypeId, name: &str) -> usize {
        let at = self.psg.types.agg(ty).and_then(|agg| {
            let case = agg.cases.first()?;
            let field = case.fields.iter().position(|f| f.name == name)?;
            match &self.layouts[ty].repr {
                Repr::Record(slots) => slots[field].at,
                _ => None,
            }
        });
        at.map_or_else(
            || {
                self.bug(format!("{} has no field {name}", self.name_of_type(ty)));
                0
            },
            |at| at as usize,
        )
    }

    /// The address in a buffer record, as an integer.
    pub(super) fn buffer_address(&mut self, v: Value, ty: TypeId) -> Value {
        let at = self.buffer_slot(ty, "Address");
        self.cx.extract(v, at, self.cx.ty.i64)
    }

    /// Address of the first element and the number of elements of operand 0.
    fn buffer(&mut self, node: NodeId) -> BufferArg {
        let ty = self.arg_type(node, 0);
        if let Some(&known) = self.operand(node, 0).and_then(|o| self.kernel_buffers.get(&o)) {
            return known;
        }
        let v = self.arg(node, 0);
        let address = self.buffer_address(v, ty);
        let address = self.cx.cast("llvm.inttoptr", address, self.cx.ty.ptr);
        let at = self.buffer_slot(ty, "Size");
        let size = self.cx.extract(v, at, self.cx.ty.i32);
        let size = self.cx.resize_int(size, self.cx.ty.i64, true);
        let element = self.element_of(ty);
        let stride = self.cx.const_i64(self.stride(element).max(1));
        let length = self.cx.binary("llvm.sdiv", size, stride);
        BufferArg { address, length }
    }

    pub(super) fn buffer_length(&mut self, node: NodeId) {
        let buffer = self.buffer(node);
        let ty = self.ret_type(self.psg.nodes[node].ty);
        let length = self.cx.resize_int(buffer.length, ty, true);
        self.set(node, length);
    }

    fn buffer_place(&mut self, node: NodeId, checked: bool, write: bool) -> (Value, TypeId) {
        let element = self.element_of(self.arg_type(node, 0));
        let machine = self.types[element].unwrap_or(self.cx.ty.i8);
        let buffer = self.buffer(node);
        let index_type = self.psg.types.get(self.arg_type(node, 1));
        let index = self.arg(node, 1);
        let index = self.index(index, index_type);
        if checked && !self.proven.contains(&node) {
            let ok = self.cx.icmp(ICmp::Ult, index, buffer.length);
            self.check(ok, |l| l.panic("clef_panic_bounds", &[index, buffer.length], node));
        }
        let place = self.cx.element(machine, buffer.address, index);
        if self.options.adversarial && !self.in_kernel {
            let bytes = self.cx.const_i64(self.stride(element));
            let write = self.cx.const_i32(write.into());
            let loc = self.loc_of(node);
            self.runtime("clef_host_access", &[place, bytes, write, loc], self.cx.ty.void);
        }
        (place, element)
    }

    pub(super) fn buffer_get(&mut self, node: NodeId, checked: bool) {
        let (place, element) = self.buffer_place(node, checked, false);
        if self.types[element].is_some() {
            let v = self.load_element(place, element);
            self.set(node, v);
        }
    }

    pub(super) fn buffer_set(&mut self, node: NodeId, checked: bool) {
        let (place, element) = self.buffer_place(node, checked, true);
        if self.types[element].is_some() {
            let v = self.arg(node, 2);
            self.store_element(v, place, element);
        }
    }

    pub(super) fn atomic(&mut self, node: NodeId, op: AtomicOp) {
        let (place, element) = self.buffer_place(node, true, true);
        let v = self.arg(node, 2);
        let float = matches!(self.psg.types.get(element), Type::Float(_));
        let signed = !matches!(self.psg.types.get(element), Type::Int(k) if !crate::layout::is_signed(*k));
        // Numbers of LLVM's `AtomicBinOp`.
        let number = match op {
            AtomicOp::Exchange => 0,
            AtomicOp::Add if float => 11,
            AtomicOp::Add => 1,
            AtomicOp::And => 3,
            AtomicOp::Or => 5,
            AtomicOp::Xor => 6,
            AtomicOp::Max if float => 13,
            AtomicOp::Min if float => 14,
            AtomicOp::Max if signed => 7,
            AtomicOp::Min if signed => 8,
            AtomicOp::Max => 9,
            AtomicOp::Min => 10,
        };
        // Sequentially consistent: the number of `seq_cst`.
        let attrs =
            [("bin_op", self.cx.int(self.cx.ty.i64, number)), ("ordering", self.cx.int(self.cx.ty.i64, 6))];
        let ty = self.cx.type_of(v);
        let old = self.cx.value("llvm.atomicrmw", &[place, v], ty, &attrs);
        self.set(node, old);
    }

    pub(super) fn alloc_unified(&mut self, node: NodeId) {
        let bytes_type = self.psg.types.get(self.arg_type(node, 0));
        let bytes = self.arg(node, 0);
        let bytes = self.index(bytes, bytes_type);
        let agents = self.agents_mask(node);
        let hint = self.arg(node, 2);
        let hint = self.cx.resize_int(hint, self.cx.ty.i32, false);
        let loc = self.loc_of(node);
        let address = self.runtime_ptr("clef_alloc_unified", &[bytes, agents, hint, loc]);
        let ty = self.ret_type(self.psg.nodes[node].ty);
        let address = if ty == self.cx.ty.ptr { address } else { self.cx.cast("llvm.ptrtoint", address, ty) };
        self.set(node, address);
    }

    /// The agents of an allocation as bits: walks the list that operand 1 is.
    fn agents_mask(&mut self, node: NodeId) -> Value {
        let list = self.arg_type(node, 1);
        let i32 = self.cx.ty.i32;
        let cons = match &self.layouts[list].repr {
            Repr::Boxed(cells) => {
                cells.iter().position(|c| c.slots.len() == 2).map(|c| (c, cells[c].clone()))
            }
            _ => None,
        };
        let Some((case, cell)) = cons else {
            self.bug(format!("{node}: the agents are no list"));
            return self.cx.const_i32(0);
        };
        let start = self.arg(node, 1);
        let zero = self.cx.const_i32(0);
        let ptr = self.cx.ty.ptr;
        let (head, body, after) = (self.block(&[ptr, i32]), self.block(&[]), self.block(&[]));
        self.cx.br(head, &[start, zero]);
        self.cx.set_block(head);
        let (at, mask) = (self.cx.arg(head, 0), self.cx.arg(head, 1));
        let more = self.is_real(at, list);
        self.cx.cond_br(more, body, after, None);
        self.cx.set_block(body);
        let bit = self.agent_bit(list, at, case as u32, &cell);
        let joined = self.cx.binary("llvm.or", mask, bit);
        let next = self.field_value(list, at, case as u32, 1, ptr);
        match next {
            Some(next) => self.cx.br(head, &[next, joined]),
            None => self.bug(format!("{node}: the list of agents has no tail")),
        }
        self.cx.set_block(after);
        mask
    }

    fn agent_bit(&mut self, list: TypeId, at: Value, case: u32, cell: &Cell) -> Value {
        let kind = cell.slots[0].ty;
        let machine: Ty = self.ret_type(kind);
        let cases: Vec<(bool, bool)> = self.psg.types.agg(kind).map_or_else(Vec::new, |agg| {
            agg.cases.iter().map(|c| (!c.fields.is_empty(), c.name.starts_with("NPU"))).collect()
        });
        let Some(agent) = self.field_value(list, at, case, 0, machine) else { return self.cx.const_i32(0) };
        let tag = self.tag_value(kind, agent);
        let mut bit = self.cx.const_i32(CPU);
        for (n, (is_gpu, is_npu)) in cases.into_iter().enumerate() {
            if !is_gpu && !is_npu {
                continue;
            }
            let n_value = self.cx.const_i32(n as i64);
            let is_case = self.cx.icmp(ICmp::Eq, tag, n_value);
            let own = if is_gpu {
                let device = self.field_value(kind, agent, n as u32, 0, self.cx.ty.i32);
                let device = device.unwrap_or(n_value);
                let first = self.cx.const_i32(1 << FIRST_GPU);
                self.cx.binary("llvm.shl", first, device)
            } else {
                self.cx.const_i32(NPU)
            };
            bit = self.cx.select(is_case, own, bit);
        }
        bit
    }
}

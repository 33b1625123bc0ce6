//! Arrays, strings, text output.

use super::Lower;
use super::scalar::int_format;
use crate::mlir::ops::{ICmp, NSW, NUW};
use crate::mlir::{Ty, Value};
use clef_frontend::typed::FormatSpec;
use clef_psg::id::{NodeId, TypeId};
use clef_psg::ty::Type;

/// Offset of the length in arrays and strings.
pub(super) const LENGTH: i64 = 8;
/// Offset of the elements or bytes.
pub(super) const ELEMENTS: i64 = 16;

impl Lower<'_> {
    /// Bytes between elements.
    pub(super) fn stride(&self, element: TypeId) -> i64 {
        self.layouts[element].machine.size_align().0 as i64
    }

    /// The element type of an array's type.
    pub(super) fn element_of(&self, ty: TypeId) -> TypeId {
        match self.psg.types.get(ty) {
            Type::Array(e) | Type::NativePtr(e) => *e,
            _ => self.psg.types.buffer_element(ty).unwrap_or(ty),
        }
    }

    pub(super) fn array_literal(&mut self, node: NodeId) {
        let psg = self.psg;
        let operands = &psg.nodes[node].operands;
        let element = self.element_of(psg.nodes[node].ty);
        let stride = self.stride(element);
        let array = self.allocate(ELEMENTS + stride * operands.len() as i64);
        self.init_header(array, 0);
        let n = self.cx.const_i64(operands.len() as i64);
        self.store_length(n, array);
        for (i, &o) in operands.iter().enumerate() {
            if let Some(v) = self.maybe_value(o) {
                let place = self.cx.offset(array, ELEMENTS + stride * i as i64);
                self.store_element(v, place, element);
            }
        }
        self.set(node, array);
    }

    pub(super) fn array_new(&mut self, node: NodeId) {
        let psg = self.psg;
        let count_type = psg.types.get(self.arg_type(node, 0));
        let count = self.arg(node, 0);
        let n = self.index(count, count_type);
        let zero = self.cx.const_i64(0);
        let ok = self.cx.icmp(ICmp::Sge, n, zero);
        self.check(ok, |l| l.panic("clef_panic_length", &[n], node));
        let element = self.element_of(psg.nodes[node].ty);
        let stride = self.stride(element);
        let size = self.cx.const_i64(stride);
        let bytes = self.cx.binary_no_wrap("llvm.mul", n, size, NSW | NUW);
        let header = self.cx.const_i64(ELEMENTS);
        let total = self.cx.binary_no_wrap("llvm.add", bytes, header, NSW | NUW);
        let array = self.allocate_value(total);
        self.init_header(array, 0);
        self.store_length(n, array);
        if let Some(value) = self.operand(node, 1).and_then(|o| self.maybe_value(o)) {
            self.fill_array(array, n, value, element);
        }
        self.set(node, array);
    }

    /// Stores `value`, which is given away, into all elements.
    fn fill_array(&mut self, array: Value, n: Value, value: Value, element: TypeId) {
        let (i64, machine) = (self.cx.ty.i64, self.types[element].unwrap_or(self.cx.ty.i8));
        let zero = self.cx.const_i64(0);
        let (head, after, start) = (self.block(&[i64]), self.block(&[]), self.block(&[]));
        let any = self.cx.icmp(ICmp::Sgt, n, zero);
        self.cx.cond_br(any, start, after, None);
        self.cx.set_block(start);
        let base = self.cx.offset(array, ELEMENTS);
        self.cx.br(head, &[zero]);
        self.cx.set_block(head);
        let i = self.cx.arg(head, 0);
        let place = self.cx.element(machine, base, i);
        self.dup_value(value, element);
        self.store_element(value, place, element);
        let one = self.cx.const_i64(1);
        let next = self.cx.binary_no_wrap("llvm.add", i, one, NSW | NUW);
        let more = self.cx.icmp(ICmp::Slt, next, n);
        let latch = self.block(&[]);
        self.cx.cond_br(more, latch, after, None);
        self.cx.set_block(latch);
        self.cx.br(head, &[next]);
        self.cx.set_block(after);
        self.drop_value(value, element);
    }

    pub(super) fn length(&mut self, node: NodeId) {
        let object = self.arg(node, 0);
        let length = self.load_length(object);
        let ty = self.ret_type(self.psg.nodes[node].ty);
        let value = self.cx.resize_int(length, ty, true);
        self.set(node, value);
    }

    /// The place of element o1 of array o0, checked where asked.
    fn array_place(&mut self, node: NodeId, checked: bool, machine: Ty) -> Value {
        let array = self.arg(node, 0);
        let index_type = self.psg.types.get(self.arg_type(node, 1));
        let index = self.arg(node, 1);
        let index = self.index(index, index_type);
        if checked {
            let length = self.load_length(array);
            let ok = self.cx.icmp(ICmp::Ult, index, length);
            self.check(ok, |l| l.panic("clef_panic_bounds", &[index, length], node));
        }
        let base = self.cx.offset(array, ELEMENTS);
        self.cx.element(machine, base, index)
    }

    pub(super) fn array_get(&mut self, node: NodeId, checked: bool) {
        let subject = self.arg_type(node, 0);
        if *self.psg.types.get(subject) == Type::String {
            let place = self.array_place(node, checked, self.cx.ty.i8);
            return self.string_byte(node, place);
        }
        let element = self.psg.nodes[node].ty;
        let machine = self.types[element].unwrap_or(self.cx.ty.i8);
        let place = self.array_place(node, checked, machine);
        if self.types[element].is_some() {
            let value = self.load_element(place, element);
            self.set(node, value);
        }
    }

    /// A byte of a string as `char`: only ASCII.
    fn string_byte(&mut self, node: NodeId, place: Value) {
        let byte = self.cx.load(self.cx.ty.i8, place);
        let zero = self.cx.const_int(self.cx.ty.i8, 0);
        let ok = self.cx.icmp(ICmp::Sge, byte, zero);
        let index = self.arg(node, 1);
        self.check(ok, |l| {
            let index = l.cx.resize_int(index, l.cx.ty.i64, true);
            l.panic("clef_panic_not_ascii", &[index], node);
        });
        let value = self.cx.cast("llvm.zext", byte, self.cx.ty.i32);
        self.set(node, value);
    }

    pub(super) fn array_set(&mut self, node: NodeId, checked: bool) {
        let element = self.arg_type(node, 2);
        let machine = self.types[element].unwrap_or(self.cx.ty.i8);
        let place = self.array_place(node, checked, machine);
        if self.types[element].is_some() {
            let value = self.arg(node, 2);
            self.store_element(value, place, element);
        }
    }

    // --- text

    pub(super) fn print(&mut self, node: NodeId, to_stderr: bool) {
        let text = self.arg(node, 0);
        self.runtime(if to_stderr { "clef_eprint" } else { "clef_print" }, &[text], self.cx.ty.void);
    }

    /// `append`: the first text is taken, and grows where it is if nobody else has it.
    pub(super) fn concat(&mut self, node: NodeId, append: bool) {
        let psg = self.psg;
        let mut parts: Vec<Value> = psg.nodes[node].operands.iter().map(|&o| self.get(o)).collect();
        let first = append.then(|| parts.remove(0));
        let table = self.slot(self.cx.array_type(self.cx.ty.ptr, parts.len()));
        for (i, &part) in parts.iter().enumerate() {
            let place = self.cx.offset(table, 8 * i as i64);
            self.cx.store(part, place);
        }
        let n = self.cx.const_i64(parts.len() as i64);
        let value = match first {
            Some(first) => self.runtime_ptr("clef_append", &[first, n, table]),
            None => self.runtime_ptr("clef_concat", &[n, table]),
        };
        self.set(node, value);
    }

    pub(super) fn format_value(&mut self, node: NodeId, spec: &FormatSpec) {
        let ty = self.psg.types.get(self.arg_type(node, 0));
        let v = self.arg(node, 0);
        let (i64, f64) = (self.cx.ty.i64, self.cx.ty.f64);
        let (name, value, bits, unsigned) = match ty {
            Type::Int(kind) => {
                let (bits, unsigned) = int_format(*kind);
                ("clef_format_int", self.cx.resize_int(v, i64, !unsigned), bits, unsigned)
            }
            Type::Float(kind) => {
                let bits = crate::layout::float_scalar(*kind).size() as u8 * 8;
                let wide = if bits == 64 { v } else { self.cx.cast("llvm.fpext", v, f64) };
                ("clef_format_float", wide, bits, false)
            }
            Type::Bool => ("clef_format_bool", v, 8, true),
            Type::Char => ("clef_format_char", v, 32, true),
            Type::String => ("clef_format_string", v, 64, true),
            Type::NativePtr(_) => ("clef_format_int", self.cx.cast("llvm.ptrtoint", v, i64), 64, true),
            Type::Agg(_) => ("clef_format_int", self.cx.resize_int(v, i64, true), 32, false),
            other => {
                self.bug(format!("{node}: no format for {other:?}"));
                return;
            }
        };
        let descriptor = self.format_descriptor(spec, bits, unsigned);
        let text = self.runtime_ptr(name, &[value, descriptor]);
        self.set(node, text);
    }
}

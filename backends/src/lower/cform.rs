//! Values as C has them in memory, by the rules that x86-64 and AArch64 share ([`super::cabi`] has the registers).
//!
//! A record is a C struct of its fields: each at the next multiple of its alignment. A field with `[<FixedArray(n)>]`
//! lies in the struct with its n elements; elsewhere it is an ordinary array, so reading a struct copies it and
//! writing one stores it back (an empty array stands for zeros; any other length stops the program). A text in a
//! struct is its address. Unions have no C form.

use super::Lower;
use super::array::ELEMENTS;
use crate::layout::Repr;
use crate::mlir::ops::ICmp;
use crate::mlir::{Ty, Value};
use clef_psg::id::{NodeId, TypeId};
use clef_psg::ty::{AggKind, Field, Type};

impl<'a> Lower<'a> {
    /// Fields of the C struct that a record is; nothing for other types.
    pub(super) fn c_fields(&self, ty: TypeId) -> Option<&'a [Field]> {
        let agg = self.psg.types.agg(ty)?;
        if !matches!(agg.kind, AggKind::Record | AggKind::Tuple) {
            return None;
        }
        Some(&agg.cases.first()?.fields)
    }

    /// Size and alignment in C.
    pub(super) fn c_size(&self, ty: TypeId, fixed: Option<u32>) -> (u64, u64) {
        if let (Some(n), Type::Array(element)) = (fixed, self.psg.types.get(ty)) {
            let (size, align) = self.c_size(*element, None);
            return (size * u64::from(n), align);
        }
        let Some(fields) = self.c_fields(ty) else { return self.layouts[ty].machine.size_align() };
        let (mut at, mut align) = (0u64, 1);
        for field in fields {
            let (size, own) = self.c_size(field.ty, field.fixed);
            at = at.next_multiple_of(own) + size;
            align = align.max(own);
        }
        (at.next_multiple_of(align), align)
    }

    /// Fields with their offsets.
    pub(super) fn c_offsets(&self, ty: TypeId) -> Vec<(&'a Field, i64)> {
        let mut at = 0u64;
        let mut out = Vec::new();
        for field in self.c_fields(ty).unwrap_or_default() {
            let (size, align) = self.c_size(field.ty, field.fixed);
            at = at.next_multiple_of(align);
            out.push((field, at as i64));
            at += size;
        }
        out
    }

    /// Whether memory holds the same bytes in C and in Clef, and nothing counted: copying them is enough.
    fn same_bytes(&self, ty: TypeId) -> bool {
        match self.c_fields(ty) {
            None => !self.layouts[ty].counted,
            Some(fields) => {
                matches!(self.layouts[ty].repr, Repr::Record(_))
                    && !self.layouts[ty].counted
                    && fields.iter().all(|f| self.same_bytes(f.ty))
            }
        }
    }

    /// A stack slot of whole eightbytes.
    pub(super) fn c_slot(&mut self, ty: TypeId) -> Value {
        let slot = self.eightbytes(ty);
        self.slot(slot)
    }

    /// The struct as LLVM copies it: whole eightbytes.
    pub(super) fn eightbytes(&self, ty: TypeId) -> Ty {
        let words = self.c_size(ty, None).0.div_ceil(8).max(1);
        self.cx.array_type(self.cx.ty.i64, words as usize)
    }

    // --- memory

    /// Writes a value in its C form to memory.
    pub(super) fn store_c(&mut self, node: Option<NodeId>, ty: TypeId, v: Value, place: Value, at: i64) {
        if self.c_fields(ty).is_none() {
            let v = if *self.psg.types.get(ty) == Type::String { self.cx.offset(v, ELEMENTS) } else { v };
            let place = self.cx.offset(place, at);
            return self.cx.store(v, place);
        }
        for (i, (field, offset)) in self.c_offsets(ty).into_iter().enumerate() {
            let Some(machine) = self.types[field.ty] else { continue };
            let Some(part) = self.field_value(ty, v, 0, i as u32, machine) else {
                self.bug(format!("field {i} of {} cannot be read", self.name_of_type(ty)));
                continue;
            };
            match field.fixed {
                Some(n) => {
                    let place = self.cx.offset(place, at + offset);
                    self.store_fixed(node, field.ty, n, part, place);
                }
                None => self.store_c(node, field.ty, part, place, at + offset),
            }
        }
    }

    /// Writes an array's elements into a struct.
    fn store_fixed(&mut self, node: Option<NodeId>, array_type: TypeId, n: u32, array: Value, place: Value) {
        let t = self.cx.ty;
        let element = self.element_of(array_type);
        let stride = self.c_size(element, None).0 as i64;
        let length = self.load_length(array);
        let (want, none) = (self.cx.const_i64(n.into()), self.cx.const_i64(0));
        let full = self.cx.icmp(ICmp::Eq, length, want);
        let empty = self.cx.icmp(ICmp::Eq, length, none);
        let ok = self.cx.binary("llvm.or", full, empty);
        self.check(ok, |l| match node {
            Some(node) => {
                let text = format!("an array of another length than {n} in a `FixedArray({n})`");
                let message = l.string_constant(&text);
                l.panic("clef_panic_fail", &[message], node);
            }
            None => l.cx.trap_unreachable(),
        });
        let bytes = self.cx.const_i64(stride * i64::from(n));
        let zero = self.cx.const_i32(0);
        self.runtime("memset", &[place, zero, bytes], t.ptr);
        if self.same_bytes(element) {
            let size = self.cx.const_i64(stride);
            let used = self.cx.binary("llvm.mul", length, size);
            let from = self.cx.offset(array, ELEMENTS);
            self.runtime("memcpy", &[place, from, used], t.ptr);
            return;
        }
        let machine = self.types[element].unwrap_or(t.i8);
        let own = self.cx.offset(array, ELEMENTS);
        let c_element = self.cx.array_type(t.i8, stride as usize);
        self.each_index(length, |l, i| {
            let from = l.cx.element(machine, own, i);
            let v = l.load_element(from, element);
            let to = l.cx.element(c_element, place, i);
            l.store_c(node, element, v, to, 0);
        });
    }

    /// Reads a value from its C form in memory. What is counted is new.
    pub(super) fn load_c(&mut self, ty: TypeId, place: Value, at: i64) -> Option<Value> {
        let machine = self.types[ty]?;
        if self.c_fields(ty).is_none() {
            let place = self.cx.offset(place, at);
            let v = self.cx.load(machine, place);
            if *self.psg.types.get(ty) == Type::String {
                return Some(self.text_from_c(v));
            }
            return Some(v);
        }
        let parts: Vec<Option<Value>> = self
            .c_offsets(ty)
            .into_iter()
            .map(|(field, offset)| match field.fixed {
                Some(n) => {
                    let place = self.cx.offset(place, at + offset);
                    Some(self.load_fixed(field.ty, n, place))
                }
                None => self.load_c(field.ty, place, at + offset),
            })
            .collect();
        self.make_value(ty, machine, 0, &parts)
    }

    /// A new array of the elements in a struct.
    fn load_fixed(&mut self, array_type: TypeId, n: u32, place: Value) -> Value {
        let t = self.cx.ty;
        let element = self.element_of(array_type);
        let own_stride = self.stride(element);
        let array = self.allocate(ELEMENTS + own_stride * i64::from(n));
        self.init_header(array, 0);
        let length = self.cx.const_i64(n.into());
        self.store_length(length, array);
        let own = self.cx.offset(array, ELEMENTS);
        if self.same_bytes(element) {
            let bytes = self.cx.const_i64(own_stride * i64::from(n));
            self.runtime("memcpy", &[own, place, bytes], t.ptr);
            return array;
        }
        let machine = self.types[element].unwrap_or(t.i8);
        let c_stride = self.c_size(element, None).0 as usize;
        let c_element = self.cx.array_type(t.i8, c_stride);
        self.each_index(length, |l, i| {
            let from = l.cx.element(c_element, place, i);
            if let Some(v) = l.load_c(element, from, 0) {
                let to = l.cx.element(machine, own, i);
                l.store_element(v, to, element);
            }
        });
        array
    }

    /// A loop over 0, 1, .., n-1.
    fn each_index(&mut self, n: Value, body: impl FnOnce(&mut Self, Value)) {
        let i64 = self.cx.ty.i64;
        let zero = self.cx.const_i64(0);
        let (head, inside, after) = (self.block(&[i64]), self.block(&[]), self.block(&[]));
        self.cx.br(head, &[zero]);
        self.cx.set_block(head);
        let i = self.cx.arg(head, 0);
        let more = self.cx.icmp(ICmp::Slt, i, n);
        self.cx.cond_br(more, inside, after, None);
        self.cx.set_block(inside);
        body(self, i);
        let one = self.cx.const_i64(1);
        let next = self.cx.add(i, one);
        self.cx.br(head, &[next]);
        self.cx.set_block(after);
    }
}

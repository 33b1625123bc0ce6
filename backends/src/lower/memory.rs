//! Memory accesses with their alias classes, and allocation.
//!
//! Counts, lengths, cells, elements of each kind and the fields of the heap never meet, and LLVM is told so. Blocks of
//! up to 1024 bytes are taken from the free lists of the main thread's heap in place (`clef.new.N`, `clef.release.N`);
//! the runtime refills them (`runtime/src/memory.rs`).

use super::Lower;
use super::array::LENGTH;
use crate::mlir::ops::{Callee, Conv, ICmp, Tail};
use crate::mlir::{Attr, Ty, Value};
use clef_psg::id::TypeId;
use clef_psg::ty::Type;

/// The largest block with a free list, and the step from class to class: the runtime's `SMALL` and `UNIT`.
const LARGEST_CLASS: i64 = 1024;
const UNIT: i64 = 8;
/// Symbol of the place that holds the main thread's heap.
pub(super) const HEAP: &str = "clef.heap";

fn new_symbol(class: i64) -> String {
    format!("clef.new.{}", UNIT * class)
}

fn release_symbol(class: i64) -> String {
    format!("clef.release.{}", UNIT * class)
}

impl Lower<'_> {
    // --- alias classes

    /// Makes the tags by which LLVM knows that counts, lengths, cells and elements do not meet.
    pub(super) fn make_aliases(&mut self) {
        if self.options.opt_level == 0 {
            return;
        }
        let tag = |name: &str| {
            let desc = format!("<id = \"{name}\", members = {{<#llvm.tbaa_root<id = \"clef\">, 0>}}>");
            self.cx.parse_attr(&format!(
                "[#llvm.tbaa_tag<base_type = {desc}, access_type = {desc}, offset = 0>]"
            ))
        };
        let (count, length, cell) = (tag("count"), tag("length"), tag("cell"));
        self.aliases.heap = Some(tag("heap"));
        self.aliases.count = Some(count);
        self.aliases.length = Some(length);
        self.aliases.cell = Some(cell);
    }

    pub(super) fn heap_alias(&self) -> Option<Attr> {
        self.aliases.heap
    }

    pub(super) fn load_tagged(&mut self, ty: Ty, place: Value, tag: Option<Attr>) -> Value {
        match tag {
            Some(tag) => self.cx.value("llvm.load", &[place], ty, &[("tbaa", tag)]),
            None => self.cx.load(ty, place),
        }
    }

    pub(super) fn store_tagged(&mut self, value: Value, place: Value, tag: Option<Attr>) {
        match tag {
            Some(tag) => {
                self.cx.op("llvm.store", &[value, place], &[], &[("tbaa", tag)]);
            }
            None => self.cx.store(value, place),
        }
    }

    pub(super) fn load_cell(&mut self, ty: Ty, place: Value) -> Value {
        self.load_tagged(ty, place, self.aliases.cell)
    }

    pub(super) fn store_cell(&mut self, value: Value, place: Value) {
        self.store_tagged(value, place, self.aliases.cell);
    }

    pub(super) fn load_length(&mut self, object: Value) -> Value {
        let place = self.cx.offset(object, LENGTH);
        self.load_tagged(self.cx.ty.i64, place, self.aliases.length)
    }

    pub(super) fn store_length(&mut self, n: Value, object: Value) {
        let place = self.cx.offset(object, LENGTH);
        self.store_tagged(n, place, self.aliases.length);
    }

    /// The class of an array's elements: arrays of different element sizes and kinds never meet.
    fn element_alias(&mut self, element: TypeId) -> Option<Attr> {
        self.aliases.count?;
        let key = match self.psg.types.get(element) {
            Type::Int(k) => *k as u8,
            Type::Float(k) => 32 + *k as u8,
            Type::Bool => 64,
            Type::Char => 65,
            _ => 66,
        };
        if let Some(&tag) = self.aliases.elements.get(&key) {
            return Some(tag);
        }
        let desc = format!("<id = \"element{key}\", members = {{<#llvm.tbaa_root<id = \"clef\">, 0>}}>");
        let tag = self
            .cx
            .parse_attr(&format!("[#llvm.tbaa_tag<base_type = {desc}, access_type = {desc}, offset = 0>]"));
        self.aliases.elements.insert(key, tag);
        Some(tag)
    }

    pub(super) fn load_element(&mut self, place: Value, element: TypeId) -> Value {
        let ty = self.types[element].unwrap_or(self.cx.ty.i8);
        let tag = self.element_alias(element);
        self.load_tagged(ty, place, tag)
    }

    pub(super) fn store_element(&mut self, value: Value, place: Value, element: TypeId) {
        let tag = self.element_alias(element);
        self.store_tagged(value, place, tag);
    }

    // --- allocation

    pub(super) fn allocate(&mut self, bytes: i64) -> Value {
        if self.inlines_memory(bytes) {
            let class = (bytes + UNIT - 1) / UNIT;
            self.glue.classes[0].insert(class);
            let ptr = self.cx.ty.ptr;
            let call = self.cx.call(Callee::Symbol(&new_symbol(class)), &[], ptr, Conv::Fast, Tail::No);
            if let Some(v) = call {
                return v;
            }
        }
        let bytes = self.cx.const_i64(bytes);
        self.allocate_value(bytes)
    }

    /// Whether blocks of a size are taken from the free lists of the main thread's heap in place. Compiled host code
    /// runs on that thread only; kernels allocate nothing. A library does not know its thread.
    fn inlines_memory(&self, bytes: i64) -> bool {
        self.options.opt_level > 0 && bytes <= LARGEST_CLASS && self.has_main() && !self.in_kernel
    }

    /// Gives a block of a fixed size back.
    pub(super) fn release_block(&mut self, object: Value, bytes: i64) {
        if self.inlines_memory(bytes) {
            let class = (bytes + UNIT - 1) / UNIT;
            self.glue.classes[1].insert(class);
            let void = self.cx.ty.void;
            self.cx.call(Callee::Symbol(&release_symbol(class)), &[object], void, Conv::Fast, Tail::No);
            return;
        }
        let bytes = self.cx.const_i64(bytes);
        self.release_memory(object, bytes);
    }

    pub(super) fn allocate_value(&mut self, bytes: Value) -> Value {
        let (ptr, i64) = (self.cx.ty.ptr, self.cx.ty.i64);
        self.declare("clef_alloc", &[i64], ptr, &[], true);
        match self.cx.call(Callee::Symbol("clef_alloc"), &[bytes], ptr, Conv::C, Tail::No) {
            Some(v) => v,
            None => self.cx.undef(ptr),
        }
    }

    pub(super) fn release_memory(&mut self, object: Value, bytes: Value) {
        self.runtime("clef_free", &[object, bytes], self.cx.ty.void);
    }

    /// Writes the header: one reference, and the tag.
    pub(super) fn init_header(&mut self, object: Value, tag: u32) {
        let (one, tag) = (self.cx.const_i32(1), self.cx.const_i32(tag.into()));
        self.store_tagged(one, object, self.aliases.count);
        let place = self.cx.offset(object, 4);
        self.store_cell(tag, place);
    }

    // --- the free lists of the runtime's heap (`runtime/src/memory.rs`)

    /// Address of the main thread's heap, and the alias class of its fields. The blocks themselves have none: their
    /// first word is a link now and a count later.
    fn heap(&mut self) -> (Value, Option<Attr>) {
        let ptr = self.cx.ty.ptr;
        let tag = self.heap_alias();
        let place = self.cx.address_of(HEAP);
        (self.load_tagged(ptr, place, tag), tag)
    }

    /// `clef.new.N`: takes a block from its free list; asks the runtime where that is empty.
    pub(super) fn define_new(&mut self, class: i64) {
        let ptr = self.cx.ty.ptr;
        let name = new_symbol(class);
        if self.open_glue_giving(&name, &[], ptr, &["alwaysinline"]).is_none() {
            return;
        }
        let (heap, tag) = self.heap();
        let head = self.cx.offset(heap, 8 * class);
        let block = self.load_tagged(ptr, head, tag);
        let null = self.cx.zero(ptr);
        let some = self.cx.icmp(ICmp::Ne, block, null);
        let (fast, slow, out) = (self.block(&[]), self.block(&[]), self.block(&[ptr]));
        self.cx.cond_br(some, fast, slow, Some((2000, 1)));
        self.cx.set_block(fast);
        let next = self.cx.load(ptr, block);
        self.store_tagged(next, head, tag);
        self.cx.br(out, &[block]);
        self.cx.set_block(slow);
        let bytes = self.cx.const_i64(UNIT * class);
        let fresh = self.allocate_value(bytes);
        self.cx.br(out, &[fresh]);
        self.cx.set_block(out);
        let block = self.cx.arg(out, 0);
        self.cx.ret(Some(block));
    }

    /// `clef.release.N`: puts a block on its free list.
    pub(super) fn define_release(&mut self, class: i64) {
        let ptr = self.cx.ty.ptr;
        let name = release_symbol(class);
        let Some(entry) = self.open_glue(&name, &[ptr], &["alwaysinline"]) else { return };
        let block = self.cx.arg(entry, 0);
        let (heap, tag) = self.heap();
        let head = self.cx.offset(heap, 8 * class);
        let next = self.load_tagged(ptr, head, tag);
        self.cx.store(next, block);
        self.store_tagged(block, head, tag);
        self.cx.ret(None);
    }
}

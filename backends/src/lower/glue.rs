//! Counted memory: allocation, headers, `Dup`, `Drop`, and the functions that release the values of each type.
//!
//! For a type whose values hold references there are, where used:
//! - `clef.drop.T`: one reference less; calls the next one when it was the last. Small enough to be inlined.
//! - `clef.free.T`: releases what an object holds and frees it. The last field of the same type is a loop, so that a
//!   list of any length is freed without stack. Deeper recursion (trees that have degenerated) is cut off at
//!   [`DEPTH_LIMIT`]: the object is put on a list that the outermost call works off.
//!
//! Objects with a negative count are static and are left alone.

use super::Lower;
use super::array::{ELEMENTS, LENGTH};
use crate::layout::{Cell, Repr, Slot};
use crate::mlir::ops::{Callee, Conv, FuncDef, ICmp, Linkage, Tail};
use crate::mlir::{Attr, Block, Ty, Value};
use clef_psg::id::{Id, NodeId, TypeId};
use clef_psg::ty::{AggKind, Type};
use rustc_hash::FxHashMap;

/// Nested calls of `clef.free.*` beyond this wait on a list.
const DEPTH_LIMIT: i64 = 1000;

/// The largest block with a free list, and the offset of the counters behind the lists' heads: the runtime's `SMALL`
/// and `CLASSES`.
const LARGEST_CLASS: i64 = 1024;
const LIVE: i64 = 8 * (LARGEST_CLASS / 16 + 1);
/// Symbol of the place that holds the main thread's heap.
pub(super) const HEAP: &str = "clef.heap";

fn new_symbol(class: i64) -> String {
    format!("clef.new.{}", 16 * class)
}

fn release_symbol(class: i64) -> String {
    format!("clef.release.{}", 16 * class)
}

/// Functions needed so far.
#[derive(Default)]
pub struct Glue {
    drops: FxHashMap<TypeId, String>,
    frees: FxHashMap<TypeId, String>,
    /// Types whose functions are still to be defined; true: `free`.
    pending: Vec<(TypeId, bool)>,
    /// By type: its objects may hold objects of the same type, at any depth.
    guarded: Vec<bool>,
    /// Size classes with an inline path: allocated, released.
    classes: [std::collections::BTreeSet<i64>; 2],
    uses_dup: [bool; 2],
    uses_depth: bool,
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
            self.cx.parse_attr(&format!("[#llvm.tbaa_tag<base_type = {desc}, access_type = {desc}, offset = 0>]"))
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

    fn load_tagged(&mut self, ty: Ty, place: Value, tag: Option<Attr>) -> Value {
        match tag {
            Some(tag) => self.cx.value("llvm.load", &[place], ty, &[("tbaa", tag)]),
            None => self.cx.load(ty, place),
        }
    }

    fn store_tagged(&mut self, value: Value, place: Value, tag: Option<Attr>) {
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
        let tag = self.cx.parse_attr(&format!(
            "[#llvm.tbaa_tag<base_type = {desc}, access_type = {desc}, offset = 0>]"
        ));
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
            let class = (bytes + 15) / 16;
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
    fn release_block(&mut self, object: Value, bytes: i64) {
        if self.inlines_memory(bytes) {
            let class = (bytes + 15) / 16;
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

    fn release_memory(&mut self, object: Value, bytes: Value) {
        self.runtime("clef_free", &[object, bytes], self.cx.ty.void);
    }

    /// Writes the header: one reference, and the tag.
    pub(super) fn init_header(&mut self, object: Value, tag: u32) {
        let (one, tag) = (self.cx.const_i32(1), self.cx.const_i32(tag.into()));
        self.store_tagged(one, object, self.aliases.count);
        let place = self.cx.offset(object, 4);
        self.store_cell(tag, place);
    }

    // --- one more

    pub(super) fn dup(&mut self, node: NodeId) {
        let ty = self.arg_type(node, 0);
        if let Some(v) = self.operand(node, 0).and_then(|o| self.maybe_value(o)) {
            self.dup_value(v, ty);
        }
    }

    pub(super) fn dup_value(&mut self, v: Value, ty: TypeId) {
        let layout = self.layouts[ty].clone();
        if !layout.counted {
            return;
        }
        match layout.repr {
            Repr::Record(slots) => self.dup_record(v, ty, &slots),
            Repr::Union(cases) => self.each_case(v, ty, &cases, Self::dup_value),
            _ => {
                let name = if layout.may_be_immediate { "clef.dup.immediate" } else { "clef.dup" };
                self.glue.uses_dup[usize::from(layout.may_be_immediate)] = true;
                self.cx.call(Callee::Symbol(name), &[v], self.cx.ty.void, Conv::Fast, Tail::No);
            }
        }
    }

    fn dup_record(&mut self, v: Value, ty: TypeId, slots: &[Slot]) {
        if self.is_buffer(ty) {
            let address = self.buffer_address(v, ty);
            self.runtime("clef_buffer_retain", &[address], self.cx.ty.void);
        }
        self.each_slot(v, slots, Self::dup_value);
    }

    fn is_buffer(&self, ty: TypeId) -> bool {
        self.psg.types.agg(ty).is_some_and(|a| matches!(a.kind, AggKind::Buffer(_)))
    }

    /// Does something with each counted part of a struct.
    fn each_slot(&mut self, v: Value, slots: &[Slot], act: fn(&mut Self, Value, TypeId)) {
        for slot in slots {
            if let (Some(at), true) = (slot.at, self.layouts[slot.ty].counted) {
                let ty = self.ret_type(slot.ty);
                let part = self.cx.extract(v, at as usize, ty);
                act(self, part, slot.ty);
            }
        }
    }

    /// Does something with the counted parts of a union by value, by its tag.
    fn each_case(&mut self, v: Value, ty: TypeId, cases: &[Vec<Slot>], act: fn(&mut Self, Value, TypeId)) {
        let tag = self.tag_value(ty, v);
        let after = self.block(&[]);
        let mut ways = Vec::new();
        for (n, slots) in cases.iter().enumerate() {
            if slots.iter().any(|s| self.layouts[s.ty].counted) {
                ways.push((n as i64, self.block(&[])));
            }
        }
        self.cx.switch(tag, &ways, after);
        for (n, block) in ways {
            self.cx.set_block(block);
            self.each_slot(v, &cases[n as usize], act);
            self.cx.br(after, &[]);
        }
        self.cx.set_block(after);
    }

    // --- one less

    pub(super) fn drop_node(&mut self, node: NodeId) {
        let ty = self.arg_type(node, 0);
        if let Some(v) = self.operand(node, 0).and_then(|o| self.maybe_value(o)) {
            self.drop_value(v, ty);
        }
    }

    pub(super) fn drop_value(&mut self, v: Value, ty: TypeId) {
        if !self.layouts[ty].counted {
            return;
        }
        let name = self.drop_symbol(ty);
        self.cx.call(Callee::Symbol(&name), &[v], self.cx.ty.void, Conv::Fast, Tail::No);
    }

    fn glue_name(&self, what: &str, ty: TypeId) -> String {
        let name = match self.psg.types.get(ty) {
            Type::String => "string".to_string(),
            Type::Array(_) => "array".to_string(),
            Type::Closure { .. } => "closure".to_string(),
            _ => self.name_of_type(ty).to_string(),
        };
        format!("clef.{what}.{name}.{}", ty.index())
    }

    fn drop_symbol(&mut self, ty: TypeId) -> String {
        if let Some(name) = self.glue.drops.get(&ty) {
            return name.clone();
        }
        let name = self.glue_name("drop", ty);
        self.glue.drops.insert(ty, name.clone());
        self.glue.pending.push((ty, false));
        name
    }

    fn free_symbol(&mut self, ty: TypeId) -> String {
        if let Some(name) = self.glue.frees.get(&ty) {
            return name.clone();
        }
        let name = self.glue_name("free", ty);
        self.glue.frees.insert(ty, name.clone());
        self.glue.pending.push((ty, true));
        name
    }

    // --- definitions

    /// Defines all functions that were asked for.
    pub(super) fn define_glue(&mut self) {
        self.cx.set_location(self.cx.glue_location("clefc.counts"));
        self.glue.guarded = self.guarded_types();
        while let Some((ty, free)) = self.glue.pending.pop() {
            if free { self.define_free(ty) } else { self.define_drop(ty) }
        }
        if self.glue.uses_dup[0] {
            self.define_dup("clef.dup", false);
        }
        if self.glue.uses_dup[1] {
            self.define_dup("clef.dup.immediate", true);
        }
        if self.glue.uses_depth {
            self.define_deferral();
        }
        for class in std::mem::take(&mut self.glue.classes[0]) {
            self.define_new(class);
        }
        for class in std::mem::take(&mut self.glue.classes[1]) {
            self.define_release(class);
        }
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

    /// Adds to the number of blocks in use.
    fn count_blocks(&mut self, heap: Value, class: i64, by: i64, tag: Option<Attr>) {
        let place = self.cx.offset(heap, LIVE + 8 * class);
        let live = self.load_tagged(self.cx.ty.i64, place, tag);
        let by = self.cx.const_i64(by);
        let live = self.cx.add(live, by);
        self.store_tagged(live, place, tag);
    }

    /// `clef.new.N`: takes a block from its free list; asks the runtime where that is empty.
    fn define_new(&mut self, class: i64) {
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
        self.count_blocks(heap, class, 1, tag);
        self.cx.br(out, &[block]);
        self.cx.set_block(slow);
        let bytes = self.cx.const_i64(16 * class);
        let fresh = self.allocate_value(bytes);
        self.cx.br(out, &[fresh]);
        self.cx.set_block(out);
        let block = self.cx.arg(out, 0);
        self.cx.ret(Some(block));
    }

    /// `clef.release.N`: puts a block on its free list.
    fn define_release(&mut self, class: i64) {
        let ptr = self.cx.ty.ptr;
        let name = release_symbol(class);
        let Some(entry) = self.open_glue(&name, &[ptr], &["alwaysinline"]) else { return };
        let block = self.cx.arg(entry, 0);
        let (heap, tag) = self.heap();
        let head = self.cx.offset(heap, 8 * class);
        let next = self.load_tagged(ptr, head, tag);
        self.cx.store(next, block);
        self.store_tagged(block, head, tag);
        self.count_blocks(heap, class, -1, tag);
        self.cx.ret(None);
    }

    /// Opens an internal function of glue; the cursor is in its body.
    fn open_glue(&mut self, name: &str, params: &[Ty], flags: &[&str]) -> Option<Block> {
        let void = self.cx.ty.void;
        self.open_glue_giving(name, params, void, flags)
    }

    fn open_glue_giving(&mut self, name: &str, params: &[Ty], ret: Ty, flags: &[&str]) -> Option<Block> {
        let def = FuncDef {
            name,
            params,
            ret,
            conv: Conv::Fast,
            linkage: Linkage::Internal,
            flags,
            arg_attrs: None,
            res_attrs: None,
            extra: &[],
        };
        let (_, entry) = self.cx.func(&def, true);
        let entry = entry?;
        self.current = super::Current { entry: Some(entry), ..Default::default() };
        self.cx.set_block(entry);
        Some(entry)
    }

    fn load_count(&mut self, object: Value) -> Value {
        self.load_tagged(self.cx.ty.i32, object, self.aliases.count)
    }

    fn store_count(&mut self, count: Value, object: Value) {
        self.store_tagged(count, object, self.aliases.count);
    }

    fn define_dup(&mut self, name: &str, immediate: bool) {
        let ptr = self.cx.ty.ptr;
        let Some(entry) = self.open_glue(name, &[ptr], &[]) else { return };
        let object = self.cx.arg(entry, 0);
        let (out, counted) = (self.block(&[]), self.block(&[]));
        if immediate {
            let real = self.block(&[]);
            let bits = self.cx.cast("llvm.ptrtoint", object, self.cx.ty.i64);
            let limit = self.cx.const_i64(crate::layout::IMMEDIATE_LIMIT);
            let is_real = self.cx.icmp(ICmp::Uge, bits, limit);
            self.cx.cond_br(is_real, real, out, None);
            self.cx.set_block(real);
        }
        let count = self.load_count(object);
        let zero = self.cx.const_i32(0);
        let dynamic = self.cx.icmp(ICmp::Sgt, count, zero);
        self.cx.cond_br(dynamic, counted, out, None);
        self.cx.set_block(counted);
        let one = self.cx.const_i32(1);
        let more = self.cx.add(count, one);
        self.store_count(more, object);
        self.cx.br(out, &[]);
        self.cx.set_block(out);
        self.cx.ret(None);
    }

    fn define_drop(&mut self, ty: TypeId) {
        let name = self.drop_symbol(ty);
        let machine = self.ret_type(ty);
        let Some(entry) = self.open_glue(&name, &[machine], &[]) else { return };
        let v = self.cx.arg(entry, 0);
        let layout = self.layouts[ty].clone();
        match layout.repr {
            Repr::Record(slots) => {
                self.each_slot(v, &slots, Self::drop_value);
                if self.is_buffer(ty) {
                    let address = self.buffer_address(v, ty);
                    self.runtime("clef_buffer_release", &[address], self.cx.ty.void);
                }
            }
            Repr::Union(cases) => self.each_case(v, ty, &cases, Self::drop_value),
            Repr::Niche { field, .. } => {
                let (real, out) = (self.block(&[]), self.block(&[]));
                let is_real = self.is_real(v, ty);
                self.cx.cond_br(is_real, real, out, None);
                self.cx.set_block(real);
                self.drop_value(v, field);
                self.cx.br(out, &[]);
                self.cx.set_block(out);
            }
            _ => self.drop_object(v, ty),
        }
        self.cx.ret(None);
    }

    /// One reference less to an object; frees it when that was the last. The cursor goes on behind.
    fn drop_object(&mut self, object: Value, ty: TypeId) {
        let free = self.free_symbol(ty);
        let (last, out) = (self.block(&[]), self.block(&[]));
        self.count_down(object, ty, last, out);
        self.cx.set_block(last);
        self.cx.call(Callee::Symbol(&free), &[object], self.cx.ty.void, Conv::Fast, Tail::No);
        self.cx.br(out, &[]);
        self.cx.set_block(out);
    }

    /// Goes to `last` where the only reference is given up, else counts down and goes to `out`.
    fn count_down(&mut self, object: Value, ty: TypeId, last: Block, out: Block) {
        if self.layouts[ty].may_be_immediate {
            let real = self.block(&[]);
            let is_real = self.is_real(object, ty);
            self.cx.cond_br(is_real, real, out, None);
            self.cx.set_block(real);
        }
        let (shared, counted) = (self.block(&[]), self.block(&[]));
        let count = self.load_count(object);
        let one = self.cx.const_i32(1);
        let only = self.cx.icmp(ICmp::Eq, count, one);
        self.cx.cond_br(only, last, shared, None);
        self.cx.set_block(shared);
        let dynamic = self.cx.icmp(ICmp::Sgt, count, one);
        self.cx.cond_br(dynamic, counted, out, None);
        self.cx.set_block(counted);
        let minus_one = self.cx.const_i32(-1);
        let fewer = self.cx.add(count, minus_one);
        self.store_count(fewer, object);
        self.cx.br(out, &[]);
    }

    fn define_free(&mut self, ty: TypeId) {
        let name = self.free_symbol(ty);
        let ptr = self.cx.ty.ptr;
        let Some(entry) = self.open_glue(&name, &[ptr], &["noinline"]) else { return };
        let object = self.cx.arg(entry, 0);
        let guarded = self.glue.guarded.get(ty.index()).copied().unwrap_or(false);
        let depth = guarded.then(|| self.enter_guarded(object, &name));
        match self.layouts[ty].repr.clone() {
            Repr::String => {
                let length = self.load_length(object);
                let rest = self.cx.const_i64(ELEMENTS + 1);
                let bytes = self.cx.add(length, rest);
                self.release_memory(object, bytes);
            }
            Repr::Array(element) => self.free_array(object, element),
            Repr::Closure => self.free_closure(object),
            Repr::Boxed(cells) => self.free_boxed(object, ty, &cells),
            other => self.bug(format!("no cells of {other:?}")),
        }
        if let Some(depth) = depth {
            self.leave_guarded(depth);
        }
        self.cx.ret(None);
    }

    fn free_array(&mut self, array: Value, element: TypeId) {
        let i64 = self.cx.ty.i64;
        let n = self.load_length(array);
        if self.layouts[element].counted {
            let machine = self.ret_type(element);
            let (head, body, after) = (self.block(&[i64]), self.block(&[]), self.block(&[]));
            let base = self.cx.offset(array, ELEMENTS);
            let zero = self.cx.const_i64(0);
            self.cx.br(head, &[zero]);
            self.cx.set_block(head);
            let i = self.cx.arg(head, 0);
            let more = self.cx.icmp(ICmp::Slt, i, n);
            self.cx.cond_br(more, body, after, None);
            self.cx.set_block(body);
            let place = self.cx.element(machine, base, i);
            let v = self.load_element(place, element);
            self.drop_value(v, element);
            let one = self.cx.const_i64(1);
            let next = self.cx.add(i, one);
            self.cx.br(head, &[next]);
            self.cx.set_block(after);
        }
        let stride = self.cx.const_i64(self.stride(element));
        let bytes = self.cx.binary("llvm.mul", n, stride);
        let header = self.cx.const_i64(ELEMENTS);
        let bytes = self.cx.add(bytes, header);
        self.release_memory(array, bytes);
    }

    /// By the table of `clef.closure_drops`.
    fn free_closure(&mut self, object: Value) {
        let ptr = self.cx.ty.ptr;
        let place = self.cx.offset(object, 4);
        let tag = self.load_cell(self.cx.ty.i32, place);
        let wide = self.cx.cast("llvm.zext", tag, self.cx.ty.i64);
        let table = self.cx.address_of("clef.closure_drops");
        let row = self.cx.element(ptr, table, wide);
        let function = self.cx.load(ptr, row);
        self.cx.call(Callee::Pointer(function), &[object], self.cx.ty.void, Conv::Fast, Tail::No);
    }

    /// Releases a cell's fields and frees it, then goes on with the last field of the same type, if it dies too.
    fn free_boxed(&mut self, object: Value, ty: TypeId, cells: &[Cell]) {
        let ptr = self.cx.ty.ptr;
        let (head, out) = (self.block(&[ptr]), self.block(&[]));
        self.cx.br(head, &[object]);
        self.cx.set_block(head);
        let cell = self.cx.arg(head, 0);
        let with_cell: Vec<usize> = (0..cells.len()).filter(|&c| !cells[c].immediate).collect();
        let blocks: Vec<(i64, Block)> = with_cell.iter().map(|&c| (c as i64, self.block(&[]))).collect();
        match blocks[..] {
            [] => self.cx.br(out, &[]),
            [(_, only)] => self.cx.br(only, &[]),
            _ => {
                let place = self.cx.offset(cell, 4);
                let tag = self.load_cell(self.cx.ty.i32, place);
                self.cx.switch(tag, &blocks[1..], blocks[0].1);
            }
        }
        for (case, block) in blocks {
            self.cx.set_block(block);
            self.free_case(cell, ty, &cells[case as usize], head, out);
        }
        self.cx.set_block(out);
    }

    fn free_case(&mut self, object: Value, ty: TypeId, cell: &Cell, head: Block, out: Block) {
        let last_same = cell.slots.iter().rposition(|s| s.ty == ty);
        let mut next = None;
        for (i, slot) in cell.slots.iter().enumerate() {
            let (Some(at), true) = (slot.at, self.layouts[slot.ty].counted) else { continue };
            let machine = self.ret_type(slot.ty);
            let place = self.cx.offset(object, at.into());
            let v = self.load_cell(machine, place);
            if Some(i) == last_same {
                next = Some(v);
            } else {
                self.drop_value(v, slot.ty);
            }
        }
        self.release_block(object, cell.bytes as i64);
        match next {
            Some(next) => {
                let last = self.block(&[]);
                self.count_down(next, ty, last, out);
                self.cx.set_block(last);
                self.cx.br(head, &[next]);
            }
            None => self.cx.br(out, &[]),
        }
    }

    /// The table by which closures are freed, and its functions.
    pub(super) fn define_closure_drops(&mut self) {
        let functions = self.closure_functions();
        let names: Vec<String> =
            functions.iter().map(|&f| format!("{}.closure.drop", self.funcs[f].symbol)).collect();
        let ptr = self.cx.ty.ptr;
        self.cx.set_location(self.cx.glue_location("clefc.counts"));
        for (&f, name) in functions.iter().zip(&names) {
            let Some(entry) = self.open_glue(name, &[ptr], &[]) else { continue };
            let object = self.cx.arg(entry, 0);
            let (offsets, bytes) = self.capture_offsets(f);
            for ((ty, machine), at) in self.captures(f).into_iter().zip(offsets) {
                if self.layouts[ty].counted {
                    let place = self.cx.offset(object, at);
                    let v = self.load_cell(machine, place);
                    self.drop_value(v, ty);
                }
            }
            self.release_block(object, bytes);
            self.cx.ret(None);
        }
        let ty = self.cx.array_type(ptr, names.len());
        self.constant_struct("clef.closure_drops", ty, true, |l| {
            names.iter().map(|n| l.cx.address_of(n)).collect()
        });
    }

    // --- depth

    /// Types whose objects may hold objects of the same type.
    fn guarded_types(&self) -> Vec<bool> {
        let types = &self.psg.types;
        let mut edges = Vec::with_capacity(types.types.len());
        for id in types.types.ids() {
            edges.push(match types.get(id) {
                Type::Array(e) => vec![e.index()],
                Type::Agg(a) => types.aggs[*a].cases.iter().flat_map(|c| &c.fields).map(|f| f.ty.index()).collect(),
                _ => Vec::new(),
            });
        }
        let graph = crate::scc::Graph { edges };
        let components = graph.components();
        types
            .types
            .ids()
            .map(|t| matches!(types.get(t), Type::Closure { .. }) || components.is_cyclic(t.index(), &graph))
            .collect()
    }

    /// Beyond the limit: puts the object on the list and returns. Else one level deeper; the level before.
    fn enter_guarded(&mut self, object: Value, free: &str) -> Value {
        self.glue.uses_depth = true;
        let i32 = self.cx.ty.i32;
        let place = self.cx.address_of("clef.depth");
        let depth = self.cx.load(i32, place);
        let limit = self.cx.const_i32(DEPTH_LIMIT);
        let (go, wait) = (self.block(&[]), self.block(&[]));
        let shallow = self.cx.icmp(ICmp::Slt, depth, limit);
        self.cx.cond_br(shallow, go, wait, Some((2000, 1)));
        self.cx.set_block(wait);
        let function = self.cx.address_of(free);
        let void = self.cx.ty.void;
        self.cx.call(Callee::Symbol("clef.defer"), &[object, function], void, Conv::Fast, Tail::No);
        self.cx.ret(None);
        self.cx.set_block(go);
        let one = self.cx.const_i32(1);
        let deeper = self.cx.add(depth, one);
        self.cx.store(deeper, place);
        depth
    }

    /// Back to the level before; the outermost call works off the list.
    fn leave_guarded(&mut self, depth: Value) {
        let place = self.cx.address_of("clef.depth");
        let zero = self.cx.const_i32(0);
        let (outermost, out) = (self.block(&[]), self.block(&[]));
        let is_outermost = self.cx.icmp(ICmp::Eq, depth, zero);
        self.cx.cond_br(is_outermost, outermost, out, None);
        self.cx.set_block(outermost);
        self.cx.call(Callee::Symbol("clef.drain"), &[], self.cx.ty.void, Conv::Fast, Tail::No);
        self.cx.br(out, &[]);
        self.cx.set_block(out);
        self.cx.store(depth, place);
    }

    /// `clef.defer` puts an object and its function on a list; `clef.drain` calls them all.
    fn define_deferral(&mut self) {
        const ENTRY: i64 = 24;
        let (ptr, i32) = (self.cx.ty.ptr, self.cx.ty.i32);
        let zero = self.cx.int(i32, 0);
        self.cx.global("clef.depth", i32, Some(zero), false, Linkage::Internal);
        if let Some(init) = self.cx.global("clef.deferred", ptr, None, false, Linkage::Internal) {
            self.cx.set_block(init);
            let null = self.cx.zero(ptr);
            self.cx.ret(Some(null));
        }
        if let Some(entry) = self.open_glue("clef.defer", &[ptr, ptr], &["noinline", "cold"]) {
            let item = self.allocate(ENTRY);
            let head = self.cx.address_of("clef.deferred");
            let next = self.cx.load(ptr, head);
            self.cx.store(next, item);
            for i in 0..2 {
                let place = self.cx.offset(item, 8 * (i + 1));
                let v = self.cx.arg(entry, i as usize);
                self.cx.store(v, place);
            }
            self.cx.store(item, head);
            self.cx.ret(None);
        }
        if self.open_glue("clef.drain", &[], &["noinline"]).is_some() {
            self.define_drain(ENTRY);
        }
    }

    fn define_drain(&mut self, bytes: i64) {
        let ptr = self.cx.ty.ptr;
        let (check, item_block, out) = (self.block(&[]), self.block(&[]), self.block(&[]));
        self.cx.br(check, &[]);
        self.cx.set_block(check);
        let head = self.cx.address_of("clef.deferred");
        let item = self.cx.load(ptr, head);
        let null = self.cx.zero(ptr);
        let some = self.cx.icmp(ICmp::Ne, item, null);
        self.cx.cond_br(some, item_block, out, None);
        self.cx.set_block(item_block);
        let next = self.cx.load(ptr, item);
        self.cx.store(next, head);
        let place = self.cx.offset(item, 8);
        let object = self.cx.load(ptr, place);
        let place = self.cx.offset(item, 16);
        let function = self.cx.load(ptr, place);
        let size = self.cx.const_i64(bytes);
        self.release_memory(item, size);
        self.cx.call(Callee::Pointer(function), &[object], self.cx.ty.void, Conv::Fast, Tail::No);
        self.cx.br(check, &[]);
        self.cx.set_block(out);
        self.cx.ret(None);
    }
}

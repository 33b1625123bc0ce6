//! Counted memory: headers, `Dup`, `Drop`, and the functions that release the values of each type.
//!
//! For a type whose values hold references there are, where used:
//! - `clef.drop.T`: one reference less; calls the next one when it was the last. Small enough to be inlined.
//! - `clef.free.T`: releases what an object holds and frees it. The last field of the same type is a loop, so that a
//!   list of any length is freed without stack. Deeper recursion (trees that have degenerated) is cut off at
//!   a limit ([`super::depth`]): the object is put on a list that the outermost call works off.
//!
//! Objects with a negative count are static and are left alone.

use super::Lower;
use super::array::ELEMENTS;
use crate::layout::{Cell, Repr, Slot};
use crate::mlir::ops::{Callee, Conv, FuncDef, ICmp, Linkage, Tail};
use crate::mlir::{Block, Ty, Value};
use clef_psg::id::{Id, NodeId, TypeId};
use clef_psg::ty::{AggKind, Type};
use rustc_hash::FxHashMap;

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
    pub(super) classes: [std::collections::BTreeSet<i64>; 2],
    uses_dup: [bool; 2],
    pub(super) uses_depth: bool,
}

impl Lower<'_> {
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

    /// Opens an internal function of glue; the cursor is in its body.
    pub(super) fn open_glue(&mut self, name: &str, params: &[Ty], flags: &[&str]) -> Option<Block> {
        let void = self.cx.ty.void;
        self.open_glue_giving(name, params, void, flags)
    }

    pub(super) fn open_glue_giving(
        &mut self,
        name: &str,
        params: &[Ty],
        ret: Ty,
        flags: &[&str],
    ) -> Option<Block> {
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

    pub(super) fn load_count(&mut self, object: Value) -> Value {
        self.load_tagged(self.cx.ty.i32, object, self.aliases.count)
    }

    pub(super) fn store_count(&mut self, count: Value, object: Value) {
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
}

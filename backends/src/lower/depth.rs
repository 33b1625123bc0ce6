//! Releasing deep structures without deep stacks: a depth counter, and a list of objects that wait.

use super::Lower;
use crate::mlir::Value;
use crate::mlir::ops::{Callee, Conv, ICmp, Linkage, Tail};
use clef_psg::id::Id;
use clef_psg::ty::Type;

/// Nested calls of `clef.free.*` beyond this wait on a list.
const DEPTH_LIMIT: i64 = 1000;

impl Lower<'_> {
    // --- depth

    /// Types whose objects may hold objects of the same type.
    pub(super) fn guarded_types(&self) -> Vec<bool> {
        let types = &self.psg.types;
        let mut edges = Vec::with_capacity(types.types.len());
        for id in types.types.ids() {
            edges.push(match types.get(id) {
                Type::Array(e) => vec![e.index()],
                Type::Agg(a) => {
                    types.aggs[*a].cases.iter().flat_map(|c| &c.fields).map(|f| f.ty.index()).collect()
                }
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
    pub(super) fn enter_guarded(&mut self, object: Value, free: &str) -> Value {
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
    pub(super) fn leave_guarded(&mut self, depth: Value) {
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
    pub(super) fn define_deferral(&mut self) {
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

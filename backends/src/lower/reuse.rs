//! Values that are taken apart, and cells that are used again: `Unpack`, `Remake`, `Discard` and `Append`.
//!
//! The cell of an unpacked value is its address where the reference was the only one, else null. Types without a cell
//! give null always.

use super::Lower;
use crate::layout::{Cell, Repr, Slot};
use crate::mlir::ops::ICmp;
use crate::mlir::{Block, Ty, Value};
use clef_psg::id::{NodeId, TypeId};
use clef_psg::node::Op;

impl Lower<'_> {
    /// Ends a reference; fields that were read get theirs.
    pub(super) fn unpack(&mut self, node: NodeId, case: u32) {
        let psg = self.psg;
        let ty = self.arg_type(node, 0);
        let null = self.cx.zero(self.cx.ty.ptr);
        self.set(node, null);
        let Some(subject) = self.operand(node, 0).and_then(|o| self.maybe_value(o)) else { return };
        if !self.layouts[ty].counted {
            return;
        }
        let taken: Vec<(u32, NodeId)> = psg.nodes[node].operands[1..]
            .iter()
            .filter_map(|&f| match psg.nodes[f].op {
                Op::Field { field, .. } => Some((field, f)),
                _ => None,
            })
            .collect();
        let is_taken = |field: usize| taken.iter().any(|&(f, _)| f as usize == field);
        match self.layouts[ty].repr.clone() {
            Repr::Record(slots) => self.drop_parts(subject, &slots, is_taken),
            Repr::Union(cases) => {
                if let Some(slots) = cases.get(case as usize) {
                    self.drop_parts(subject, slots, is_taken);
                }
            }
            Repr::Niche { .. } if !taken.is_empty() => {}
            Repr::Boxed(cells) => {
                let Some(cell) = cells.get(case as usize).filter(|c| !c.immediate) else {
                    return self.bug(format!("{node}: case {case} of {} has no cell", self.name_of_type(ty)));
                };
                let token = self.unpack_cell(subject, cell, &taken);
                self.set(node, token);
            }
            _ => self.drop_value(subject, ty),
        }
    }

    /// Drops the counted parts of a struct that were not taken.
    fn drop_parts(&mut self, subject: Value, slots: &[Slot], is_taken: impl Fn(usize) -> bool) {
        for (i, slot) in slots.iter().enumerate() {
            if let (Some(at), true, false) = (slot.at, self.layouts[slot.ty].counted, is_taken(i)) {
                let ty = self.ret_type(slot.ty);
                let part = self.cx.extract(subject, at as usize, ty);
                self.drop_value(part, slot.ty);
            }
        }
    }

    fn unpack_cell(&mut self, object: Value, cell: &Cell, taken: &[(u32, NodeId)]) -> Value {
        let ptr = self.cx.ty.ptr;
        let (only, shared, out) = (self.block(&[]), self.block(&[]), self.block(&[ptr]));
        let count = self.load_count(object);
        let one = self.cx.const_i32(1);
        let unique = self.cx.icmp(ICmp::Eq, count, one);
        self.cx.cond_br(unique, only, shared, None);
        self.cx.set_block(only);
        for (i, slot) in cell.slots.iter().enumerate() {
            let was_taken = taken.iter().any(|&(f, _)| f as usize == i);
            if let (Some(at), true, false) = (slot.at, self.layouts[slot.ty].counted, was_taken) {
                let machine = self.ret_type(slot.ty);
                let place = self.cx.offset(object, at.into());
                let part = self.load_cell(machine, place);
                self.drop_value(part, slot.ty);
            }
        }
        self.cx.br(out, &[object]);
        self.cx.set_block(shared);
        for &(_, field) in taken {
            if let Some(v) = self.maybe_value(field) {
                self.dup_value(v, self.psg.nodes[field].ty);
            }
        }
        let (counted, not_ours) = (self.block(&[]), self.block(&[]));
        let dynamic = self.cx.icmp(ICmp::Sgt, count, one);
        self.cx.cond_br(dynamic, counted, not_ours, None);
        self.cx.set_block(counted);
        let minus_one = self.cx.const_i32(-1);
        let fewer = self.cx.add(count, minus_one);
        self.store_count(fewer, object);
        self.cx.br(not_ours, &[]);
        self.cx.set_block(not_ours);
        let null = self.cx.zero(ptr);
        self.cx.br(out, &[null]);
        self.cx.set_block(out);
        self.cx.arg(out, 0)
    }

    /// The cell that an `Unpack` gave, with its case and size; none where its type has no cells.
    fn token(&self, token: NodeId) -> Option<(u32, TypeId, i64)> {
        let Op::Unpack(case) = self.psg.nodes[token].op else { return None };
        let ty = self.arg_type(token, 0);
        match &self.layouts[ty].repr {
            Repr::Boxed(cells) => {
                let cell = cells.get(case as usize).filter(|c| !c.immediate)?;
                Some((case, ty, cell.bytes as i64))
            }
            _ => None,
        }
    }

    /// Frees a cell that is not used again.
    pub(super) fn discard(&mut self, token: NodeId) {
        let Some((_, _, bytes)) = self.token(token) else { return };
        let object = self.get(token);
        let (some, out) = (self.block(&[]), self.block(&[]));
        let is_there = self.is_there(object);
        self.cx.cond_br(is_there, some, out, None);
        self.cx.set_block(some);
        self.release_block(object, bytes);
        self.cx.br(out, &[]);
        self.cx.set_block(out);
    }

    fn is_there(&mut self, object: Value) -> Value {
        let null = self.cx.zero(self.cx.ty.ptr);
        self.cx.icmp(ICmp::Ne, object, null)
    }

    /// A value of an aggregate, in a cell that was used before if it fits.
    pub(super) fn remake(&mut self, node: NodeId, case: u32) {
        let psg = self.psg;
        let ty = psg.nodes[node].ty;
        let Some(machine) = self.types[ty] else { return };
        let token = psg.nodes[node].operands[0];
        let parts: Vec<Option<Value>> =
            psg.nodes[node].operands[1..].iter().map(|&o| self.maybe_value(o)).collect();
        let cell = match &self.layouts[ty].repr {
            Repr::Boxed(cells) => cells.get(case as usize).filter(|c| !c.immediate).cloned(),
            _ => None,
        };
        let fitting = self
            .token(token)
            .zip(cell)
            .filter(|((_, _, bytes), cell)| (*bytes as u64).div_ceil(8) == cell.bytes.div_ceil(8));
        let value = match fitting {
            Some(((old_case, _, _), cell)) => {
                let address = self.cell_or_new(token, (old_case != case).then_some(case), case, &cell);
                self.fill_cell(address, &cell, &parts);
                Some(address)
            }
            None => {
                self.discard(token);
                self.make_value(ty, machine, case, &parts)
            }
        };
        match value {
            Some(v) => self.set(node, v),
            None => self.bug(format!("{node}: case {case} of {}", self.name_of_type(ty))),
        }
    }

    /// The old cell, whose count is one and which gets a new tag if it needs one; or a new cell.
    fn cell_or_new(&mut self, token: NodeId, tag: Option<u32>, case: u32, cell: &Cell) -> Value {
        let ptr: Ty = self.cx.ty.ptr;
        let old = self.get(token);
        let (again, fresh, out): (Block, Block, Block) =
            (self.block(&[]), self.block(&[]), self.block(&[ptr]));
        let is_there = self.is_there(old);
        self.cx.cond_br(is_there, again, fresh, None);
        self.cx.set_block(again);
        if let Some(tag) = tag {
            self.init_header(old, tag);
        }
        self.cx.br(out, &[old]);
        self.cx.set_block(fresh);
        let new = self.allocate(cell.bytes as i64);
        self.init_header(new, case);
        self.cx.br(out, &[new]);
        self.cx.set_block(out);
        self.cx.arg(out, 0)
    }
}

//! Making, taking apart and changing aggregates, by their layout.

use super::Lower;
use crate::layout::{Cell, IMMEDIATE_LIMIT, Repr, Slot};
use crate::mlir::ops::ICmp;
use crate::mlir::{Ty, Value};
use clef_psg::id::{NodeId, TypeId};

impl Lower<'_> {
    /// The address that stands for a case without fields.
    pub(super) fn immediate(&mut self, case: u32) -> Value {
        if case == 0 {
            return self.cx.zero(self.cx.ty.ptr);
        }
        let number = self.cx.const_i64(case.into());
        self.cx.cast("llvm.inttoptr", number, self.cx.ty.ptr)
    }

    /// Whether an address that may be immediate is a real one.
    pub(super) fn is_real(&mut self, address: Value, ty: TypeId) -> Value {
        if let Some(only) = self.only_immediate(ty) {
            let none = self.immediate(only);
            return self.cx.icmp(ICmp::Ne, address, none);
        }
        let bits = self.cx.cast("llvm.ptrtoint", address, self.cx.ty.i64);
        let limit = self.cx.const_i64(IMMEDIATE_LIMIT);
        self.cx.icmp(ICmp::Uge, bits, limit)
    }

    /// The case without fields, where a type has exactly one.
    fn only_immediate(&self, ty: TypeId) -> Option<u32> {
        match &self.layouts[ty].repr {
            Repr::Niche { none, .. } => Some(*none),
            Repr::Boxed(cells) => {
                let mut found = cells.iter().enumerate().filter(|(_, c)| c.immediate);
                let first = found.next()?;
                found.next().is_none().then_some(first.0 as u32)
            }
            _ => None,
        }
    }

    pub(super) fn make(&mut self, node: NodeId, case: u32) {
        let psg = self.psg;
        let ty = psg.nodes[node].ty;
        let Some(machine) = self.types[ty] else { return };
        let parts: Vec<Option<Value>> =
            psg.nodes[node].operands.iter().map(|&o| self.maybe_value(o)).collect();
        let value = self.make_value(ty, machine, case, &parts);
        match value {
            Some(v) => self.set(node, v),
            None => self.bug(format!("{node}: case {case} of {}", self.name_of_type(ty))),
        }
    }

    pub(super) fn make_value(
        &mut self,
        ty: TypeId,
        machine: Ty,
        case: u32,
        parts: &[Option<Value>],
    ) -> Option<Value> {
        match self.layouts[ty].repr.clone() {
            Repr::Enum | Repr::Scalar => Some(self.cx.const_i32(case.into())),
            Repr::Record(slots) => {
                let start = self.cx.undef(machine);
                Some(self.fill(start, &slots, parts))
            }
            Repr::Union(cases) => {
                let start = self.cx.undef(machine);
                let tag = self.cx.const_i32(case.into());
                let tagged = self.cx.insert(start, 0, tag);
                Some(self.fill(tagged, cases.get(case as usize)?, parts))
            }
            Repr::Niche { some, .. } if case == some => parts.first().copied().flatten(),
            Repr::Niche { .. } => Some(self.immediate(case)),
            Repr::Boxed(cells) => {
                let cell = cells.get(case as usize)?;
                if cell.immediate {
                    return Some(self.immediate(case));
                }
                let address = self.allocate(cell.bytes as i64);
                self.init_header(address, case);
                self.fill_cell(address, cell, parts);
                Some(address)
            }
            Repr::Unit | Repr::String | Repr::Array(_) | Repr::Closure => None,
        }
    }

    fn fill(&mut self, mut value: Value, slots: &[Slot], parts: &[Option<Value>]) -> Value {
        for (slot, part) in slots.iter().zip(parts) {
            if let (Some(at), Some(part)) = (slot.at, *part) {
                value = self.cx.insert(value, at as usize, part);
            }
        }
        value
    }

    pub(super) fn fill_cell(&mut self, address: Value, cell: &Cell, parts: &[Option<Value>]) {
        for (slot, part) in cell.slots.iter().zip(parts) {
            if let (Some(at), Some(part)) = (slot.at, *part) {
                let place = self.cx.offset(address, at.into());
                self.store_cell(part, place);
            }
        }
    }

    pub(super) fn field(&mut self, node: NodeId, case: u32, field: u32) {
        let Some(target) = self.types[self.psg.nodes[node].ty] else { return };
        let ty = self.arg_type(node, 0);
        let subject = self.arg(node, 0);
        match self.field_value(ty, subject, case, field, target) {
            Some(v) => self.set(node, v),
            None => self.bug(format!("{node}: field {field} of case {case} of {}", self.name_of_type(ty))),
        }
    }

    /// Reads a field of a value of an aggregate.
    pub(super) fn field_value(
        &mut self,
        ty: TypeId,
        subject: Value,
        case: u32,
        field: u32,
        target: Ty,
    ) -> Option<Value> {
        match &self.layouts[ty].repr {
            Repr::Record(slots) => {
                let at = slots.get(field as usize)?.at?;
                Some(self.cx.extract(subject, at as usize, target))
            }
            Repr::Union(cases) => {
                let at = cases.get(case as usize)?.get(field as usize)?.at?;
                Some(self.cx.extract(subject, at as usize, target))
            }
            Repr::Niche { .. } => Some(subject),
            Repr::Boxed(cells) => {
                let at = cells.get(case as usize)?.slots.get(field as usize)?.at?;
                let place = self.cx.offset(subject, at.into());
                Some(self.load_cell(target, place))
            }
            _ => None,
        }
    }

    pub(super) fn tag(&mut self, node: NodeId) {
        let ty = self.arg_type(node, 0);
        let subject = self.operand(node, 0).and_then(|o| self.maybe_value(o));
        let value = match subject {
            Some(subject) => self.tag_value(ty, subject),
            // A union of one case without fields has no bits.
            None => self.cx.const_i32(0),
        };
        self.set(node, value);
    }

    /// The number of a value's case.
    pub(super) fn tag_value(&mut self, ty: TypeId, subject: Value) -> Value {
        let i32 = self.cx.ty.i32;
        match self.layouts[ty].repr.clone() {
            Repr::Enum | Repr::Scalar => subject,
            Repr::Union(_) => self.cx.extract(subject, 0, i32),
            Repr::Niche { none, some, .. } => self.tag_of_two(ty, subject, none, some),
            Repr::Boxed(cells) if cells.len() > 1 => self.boxed_tag(ty, subject, &cells),
            _ => self.cx.const_i32(0),
        }
    }

    fn tag_of_two(&mut self, ty: TypeId, subject: Value, none: u32, some: u32) -> Value {
        let real = self.is_real(subject, ty);
        let (some, none) = (self.cx.const_i32(some.into()), self.cx.const_i32(none.into()));
        self.cx.select(real, some, none)
    }

    fn boxed_tag(&mut self, ty: TypeId, subject: Value, cells: &[Cell]) -> Value {
        let i32 = self.cx.ty.i32;
        let with_cell: Vec<usize> = (0..cells.len()).filter(|&c| !cells[c].immediate).collect();
        let immediates = cells.len() - with_cell.len();
        if immediates == 1 && with_cell.len() == 1 {
            let none = self.only_immediate(ty).unwrap_or(0);
            return self.tag_of_two(ty, subject, none, with_cell[0] as u32);
        }
        if immediates == 0 {
            let place = self.cx.offset(subject, 4);
            return self.load_cell(i32, place);
        }
        let (real, small, merge) = (self.block(&[]), self.block(&[]), self.block(&[i32]));
        let is_real = self.is_real(subject, ty);
        self.cx.cond_br(is_real, real, small, None);
        self.cx.set_block(real);
        let tag = if let [only] = with_cell[..] {
            self.cx.const_i32(only as i64)
        } else {
            let place = self.cx.offset(subject, 4);
            self.load_cell(i32, place)
        };
        self.cx.br(merge, &[tag]);
        self.cx.set_block(small);
        let number = self.cx.cast("llvm.ptrtoint", subject, i32);
        self.cx.br(merge, &[number]);
        self.cx.set_block(merge);
        self.cx.arg(merge, 0)
    }

    pub(super) fn set_field(&mut self, node: NodeId, field: u32) {
        let ty = self.arg_type(node, 0);
        let (Some(subject), Some(value)) = (
            self.operand(node, 0).and_then(|o| self.maybe_value(o)),
            self.operand(node, 1).and_then(|o| self.maybe_value(o)),
        ) else {
            return;
        };
        let at = match &self.layouts[ty].repr {
            Repr::Boxed(cells) => cells.first().and_then(|c| c.slots.get(field as usize)).and_then(|s| s.at),
            _ => None,
        };
        match at {
            Some(at) => {
                let place = self.cx.offset(subject, at.into());
                self.store_cell(value, place);
            }
            None => {
                self.bug(format!("{node}: field {field} of {} cannot be assigned", self.name_of_type(ty)))
            }
        }
    }
}

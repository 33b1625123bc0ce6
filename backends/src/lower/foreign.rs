//! Calls of foreign functions by the C ABI of x86-64 (System V).
//!
//! Scalars and addresses are passed as they are; text as the address of its bytes, which end with a NUL; an array as
//! the address of its elements; a record as a C struct of its fields, by value: up to 16 bytes in registers by
//! eightbyte, beyond as a copy in memory. Unions and closures have no C form.

use super::Lower;
use super::array::ELEMENTS;
use crate::layout::{Machine, Repr, Scalar};
use crate::mlir::ops::{Callee, Conv, FuncDef, ICmp, Linkage, Tail};
use crate::mlir::{Attr, Named, Ty, Value};
use clef_psg::id::{ExternId, NodeId, TypeId};
use clef_psg::ty::{AggKind, Type};

/// Structs up to this size travel in registers.
const IN_REGISTERS: u64 = 16;

/// A call under construction.
#[derive(Default)]
struct Arguments {
    values: Vec<Value>,
    /// By argument.
    attrs: Vec<Vec<(&'static str, Attr)>>,
}

impl Arguments {
    fn push(&mut self, v: Value) {
        self.values.push(v);
        self.attrs.push(Vec::new());
    }
}

impl Lower<'_> {
    pub(super) fn call_extern(&mut self, node: NodeId, id: ExternId) {
        let psg = self.psg;
        let function = &psg.externs[id];
        let result = self.c_struct(function.ret);
        let mut args = Arguments::default();
        let place = result.as_ref().map(|machine| {
            let slot = self.c_slot(machine);
            if machine.size_align().0 > IN_REGISTERS {
                let ty = self.struct_of(machine);
                args.values.push(slot);
                args.attrs.push(vec![("llvm.sret", self.cx.type_attr(ty)), ("llvm.noalias", self.cx.unit())]);
            }
            slot
        });
        for &operand in &psg.nodes[node].operands {
            if let Some(v) = self.maybe_value(operand) {
                self.c_argument(node, v, psg.nodes[operand].ty, &mut args);
            }
        }
        let value = match (result, place) {
            (Some(machine), Some(place)) => {
                self.call_for_struct(&function.entry, &args, &machine, place);
                self.load_c(function.ret, place, 0)
            }
            _ => self.call_for_scalar(&function.entry, &args, function.ret),
        };
        if let Some(v) = value {
            self.set(node, v);
        }
    }

    fn call_for_scalar(&mut self, entry: &str, args: &Arguments, ret: TypeId) -> Option<Value> {
        if *self.psg.types.get(ret) == Type::String {
            let raw = self.c_call(entry, args, self.cx.ty.ptr)?;
            return Some(self.text_from_c(raw));
        }
        let ty = self.ret_type(ret);
        self.c_call(entry, args, ty)
    }

    /// Calls a function that gives a struct; its bytes are at `place` afterwards.
    fn call_for_struct(&mut self, entry: &str, args: &Arguments, machine: &Machine, place: Value) {
        if machine.size_align().0 > IN_REGISTERS {
            self.c_call(entry, args, self.cx.ty.void);
            return;
        }
        let parts: Vec<Ty> = self.registers(machine);
        let ty = if let [only] = parts[..] { only } else { self.cx.struct_type(&parts) };
        if let Some(v) = self.c_call(entry, args, ty) {
            self.cx.store(v, place);
        }
    }

    fn c_argument(&mut self, node: NodeId, v: Value, ty: TypeId, args: &mut Arguments) {
        match self.psg.types.get(ty) {
            Type::String => {
                // A text with a NUL inside would be cut off: it stops the program.
                let bytes = self.cx.offset(v, ELEMENTS);
                let seen = self.c_length(bytes);
                let length = self.load_length(v);
                let ok = self.cx.icmp(ICmp::Eq, seen, length);
                self.check(ok, |l| {
                    let message = l.string_constant("a text with a NUL inside cannot be passed to C");
                    l.panic("clef_panic_fail", &[message], node);
                });
                return args.push(bytes);
            }
            Type::Array(_) => {
                let elements = self.cx.offset(v, ELEMENTS);
                return args.push(elements);
            }
            _ => {}
        }
        let Some(machine) = self.c_struct(ty) else {
            if matches!(
                self.layouts[ty].repr,
                Repr::Union(_) | Repr::Niche { .. } | Repr::Boxed(_) | Repr::Closure
            ) {
                self.bug(format!("{node}: `{}` has no C form", self.name_of_type(ty)));
            }
            return args.push(v);
        };
        let slot = self.c_slot(&machine);
        self.store_c(ty, v, slot, 0);
        if machine.size_align().0 > IN_REGISTERS {
            args.values.push(slot);
            let ty = self.struct_of(&machine);
            let align = self.cx.int(self.cx.ty.i64, 8);
            args.attrs.push(vec![("llvm.byval", self.cx.type_attr(ty)), ("llvm.align", align)]);
            return;
        }
        for (i, part) in self.registers(&machine).into_iter().enumerate() {
            let place = self.cx.offset(slot, 8 * i as i64);
            let v = self.cx.load(part, place);
            args.push(v);
        }
    }

    fn c_call(&mut self, entry: &str, args: &Arguments, ret: Ty) -> Option<Value> {
        let plain = args.attrs.iter().all(Vec::is_empty);
        let dicts: Vec<Attr> = args.attrs.iter().map(|a| self.cx.dict(a)).collect();
        let arg_attrs = (!plain).then(|| self.cx.array(&dicts));
        if self.declared.insert(entry.to_string()) {
            let params: Vec<Ty> = args.values.iter().map(|&a| self.cx.type_of(a)).collect();
            let def = FuncDef {
                name: entry,
                params: &params,
                ret,
                conv: Conv::C,
                linkage: Linkage::External,
                flags: &[],
                arg_attrs,
                res_attrs: None,
                extra: &[],
            };
            self.cx.func(&def, false);
        }
        let extra: Vec<Named> = arg_attrs.map(|a| ("arg_attrs", a)).into_iter().collect();
        let op = self.cx.call_op(Callee::Symbol(entry), &args.values, ret, Conv::C, Tail::No, &extra);
        (ret != self.cx.ty.void).then(|| self.cx.result(op, 0))
    }

    fn c_length(&mut self, bytes: Value) -> Value {
        match self.runtime("strlen", &[bytes], self.cx.ty.i64) {
            Some(n) => n,
            None => self.cx.const_i64(0),
        }
    }

    /// A copy of a C string; null is the empty text.
    fn text_from_c(&mut self, bytes: Value) -> Value {
        let t = self.cx.ty;
        let empty = self.string_constant("");
        let null = self.cx.zero(t.ptr);
        let some = self.cx.icmp(ICmp::Ne, bytes, null);
        let (copy, out) = (self.block(&[]), self.block(&[t.ptr]));
        let none = self.block(&[]);
        self.cx.cond_br(some, copy, none, None);
        self.cx.set_block(none);
        self.cx.br(out, &[empty]);
        self.cx.set_block(copy);
        let n = self.c_length(bytes);
        let more = self.cx.const_i64(ELEMENTS + 1);
        let size = self.cx.add(n, more);
        let text = self.allocate_value(size);
        self.init_header(text, 0);
        self.store_length(n, text);
        let one = self.cx.const_i64(1);
        let with_nul = self.cx.add(n, one);
        let place = self.cx.offset(text, ELEMENTS);
        self.runtime("memcpy", &[place, bytes, with_nul], t.ptr);
        self.cx.br(out, &[text]);
        self.cx.set_block(out);
        self.cx.arg(out, 0)
    }

    // --- structs

    /// The C struct that a record is; nothing for other types.
    fn c_struct(&self, ty: TypeId) -> Option<Machine> {
        let agg = self.psg.types.agg(ty)?;
        if !matches!(agg.kind, AggKind::Record | AggKind::Tuple) {
            return None;
        }
        let fields = &agg.cases.first()?.fields;
        Some(Machine::Struct(fields.iter().map(|f| self.c_machine(f.ty)).collect()))
    }

    fn c_machine(&self, ty: TypeId) -> Machine {
        self.c_struct(ty).unwrap_or_else(|| self.layouts[ty].machine.clone())
    }

    fn struct_of(&self, machine: &Machine) -> Ty {
        self.machine_type(machine).unwrap_or_else(|| self.cx.struct_type(&[]))
    }

    /// A stack slot for a struct, of whole eightbytes.
    fn c_slot(&mut self, machine: &Machine) -> Value {
        let words = machine.size_align().0.div_ceil(8).max(1);
        let ty = self.cx.array_type(self.cx.ty.i64, words as usize);
        self.slot(ty)
    }

    /// Offsets of a struct's fields.
    fn c_offsets(&self, ty: TypeId) -> Vec<(TypeId, i64)> {
        let Some(case) = self.psg.types.agg(ty).and_then(|a| a.cases.first()) else { return Vec::new() };
        let mut at = 0u64;
        let mut offsets = Vec::new();
        for field in &case.fields {
            let (size, align) = self.c_machine(field.ty).size_align();
            at = at.next_multiple_of(align);
            offsets.push((field.ty, at as i64));
            at += size;
        }
        offsets
    }

    /// Writes a value in its C form to memory.
    fn store_c(&mut self, ty: TypeId, v: Value, place: Value, at: i64) {
        if self.c_struct(ty).is_none() {
            let v = if *self.psg.types.get(ty) == Type::String { self.cx.offset(v, ELEMENTS) } else { v };
            let place = self.cx.offset(place, at);
            return self.cx.store(v, place);
        }
        for (i, (field, offset)) in self.c_offsets(ty).into_iter().enumerate() {
            let Some(machine) = self.types[field] else { continue };
            match self.field_value(ty, v, 0, i as u32, machine) {
                Some(part) => self.store_c(field, part, place, at + offset),
                None => self.bug(format!("field {i} of {} cannot be read", self.name_of_type(ty))),
            }
        }
    }

    /// Reads a value from its C form in memory.
    fn load_c(&mut self, ty: TypeId, place: Value, at: i64) -> Option<Value> {
        let machine = self.types[ty]?;
        if self.c_struct(ty).is_none() {
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
            .map(|(field, offset)| self.load_c(field, place, at + offset))
            .collect();
        self.make_value(ty, machine, 0, &parts)
    }

    /// The registers of a struct of at most 16 bytes: each eightbyte is an integer unless all in it are floats.
    fn registers(&self, machine: &Machine) -> Vec<Ty> {
        let t = self.cx.ty;
        let mut scalars = Vec::new();
        flatten(machine, 0, &mut scalars);
        let size = machine.size_align().0;
        let mut parts = Vec::new();
        for word in 0..size.div_ceil(8) {
            let here: Vec<Scalar> = scalars.iter().filter(|(at, _)| at / 8 == word).map(|s| s.1).collect();
            let bytes = (size - 8 * word).min(8);
            let floats = !here.is_empty() && here.iter().all(|s| matches!(s, Scalar::F32 | Scalar::F64));
            parts.push(match (floats, here.as_slice()) {
                (true, [Scalar::F32]) => t.f32,
                (true, [Scalar::F32, Scalar::F32]) => self.cx.vector_type(t.f32, 2),
                (true, _) => t.f64,
                _ => self.cx.int_type(8 * bytes.next_power_of_two() as u32),
            });
        }
        parts
    }
}

/// Scalars of a struct with their offsets.
fn flatten(machine: &Machine, at: u64, out: &mut Vec<(u64, Scalar)>) {
    match machine {
        Machine::Nothing => {}
        Machine::Scalar(s) => out.push((at, *s)),
        Machine::Struct(parts) => {
            let mut offset = at;
            for part in parts {
                let (size, align) = part.size_align();
                offset = offset.next_multiple_of(align);
                flatten(part, offset, out);
                offset += size;
            }
        }
    }
}

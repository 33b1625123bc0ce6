//! Operations by name: C functions of the runtime, the simple ones inline.
//!
//! `a.b` is the C function `clef_a_b`. Operands are C values in order; a small aggregate that is no address is passed
//! by the address of a copy, and such a result is written through an address given first. The place in the source
//! comes last.

use super::Lower;
use crate::layout::{Machine, Repr};
use crate::mlir::{Named, Ty, Value};
use clef_psg::id::NodeId;
use clef_psg::node::Op;

impl Lower<'_> {
    pub(super) fn intrinsic(&mut self, node: NodeId, name: &str) {
        if self.inline_intrinsic(node, name) {
            return;
        }
        let psg = self.psg;
        let ret = psg.nodes[node].ty;
        let by_address = matches!(self.layouts[ret].machine, Machine::Struct(_));
        let mut args: Vec<Value> = Vec::new();
        let out = by_address.then(|| {
            let ty = self.ret_type(ret);
            self.slot(ty)
        });
        args.extend(out);
        for &operand in &psg.nodes[node].operands {
            let Some(v) = self.maybe_value(operand) else { continue };
            if matches!(self.layouts[psg.nodes[operand].ty].machine, Machine::Struct(_)) {
                let ty = self.ret_type(psg.nodes[operand].ty);
                let copy = self.slot(ty);
                self.cx.store(v, copy);
                args.push(copy);
            } else {
                args.push(v);
            }
        }
        args.push(self.loc_of(node));
        let symbol = format!("clef_{}", name.replace('.', "_"));
        let result_type = if by_address { self.cx.ty.void } else { self.ret_type(ret) };
        let result = self.runtime(&symbol, &args, result_type);
        if let Some(out) = out {
            let ty = self.ret_type(ret);
            let v = self.cx.load(ty, out);
            self.set(node, v);
        } else if let Some(v) = result {
            self.set(node, v);
        }
    }

    /// Operations that are a few instructions.
    fn inline_intrinsic(&mut self, node: NodeId, name: &str) -> bool {
        let t = self.cx.ty;
        match name {
            "hsa.allocate64" => self.alloc_unified(node),
            "nativeptr.of_function" => self.of_function(node),
            "nativeptr.get" | "nativeptr.set" | "nativeptr.add" | "nativeptr.stackalloc" => {
                self.native(node, name)
            }
            "default.zeroed" => self.zeroed(node),
            "bits.pop_count" => self.bit_count(node, "llvm.intr.ctpop", false),
            "bits.leading_zeros" => self.bit_count(node, "llvm.intr.ctlz", true),
            "bits.trailing_zeros" => self.bit_count(node, "llvm.intr.cttz", true),
            "bits.of_float64" => self.bits_as(node, t.i64),
            "bits.to_float64" => self.bits_as(node, t.f64),
            "bits.of_float32" => self.bits_as(node, t.i32),
            "bits.to_float32" => self.bits_as(node, t.f32),
            _ => return false,
        }
        true
    }

    fn bits_as(&mut self, node: NodeId, ty: Ty) {
        let v = self.arg(node, 0);
        let v = self.cx.cast("llvm.bitcast", v, ty);
        self.set(node, v);
    }

    /// Counts bits of a 64-bit number; zero has 64 leading and trailing zeros.
    fn bit_count(&mut self, node: NodeId, name: &str, of_zeros: bool) {
        let v = self.arg(node, 0);
        let ty = self.cx.type_of(v);
        let defined = self.cx.int(self.cx.ty.i1, 0);
        let attrs: &[Named] = if of_zeros { &[("is_zero_poison", defined)] } else { &[] };
        let count = self.cx.value(name, &[v], ty, attrs);
        let target = self.ret_type(self.psg.nodes[node].ty);
        let count = self.cx.resize_int(count, target, false);
        self.set(node, count);
    }

    /// The value that stands for "nothing yet": empty text, an empty array, zero bits.
    pub(super) fn zeroed(&mut self, node: NodeId) {
        let id = self.psg.nodes[node].ty;
        let Some(ty) = self.types[id] else { return };
        let v = match self.layouts[id].repr {
            // The empty text is also a valid empty array: the length is at the same place.
            Repr::String | Repr::Array(_) => self.string_constant(""),
            _ => self.cx.zero(ty),
        };
        self.set(node, v);
    }

    /// The address of a function's C code.
    fn of_function(&mut self, node: NodeId) {
        let psg = self.psg;
        let code = self.operand(node, 0).and_then(|operand| match psg.nodes[operand].op {
            Op::Closure(func) if psg.nodes[operand].operands.is_empty() => Some(self.callback(func)),
            _ => None,
        });
        match code {
            Some(code) => {
                let address = self.cx.cast("llvm.ptrtoint", code, self.cx.ty.i64);
                self.set(node, address);
            }
            None => self.bug(format!("{node}: the address of a function that is not known")),
        }
    }

    fn native(&mut self, node: NodeId, name: &str) {
        let result = self.psg.nodes[node].ty;
        if name == "nativeptr.stackalloc" {
            let element = self.element_of(result);
            let t = self.cx.ty;
            let n = self.arg(node, 0);
            let n = self.cx.resize_int(n, t.i64, true);
            let stride = self.cx.const_i64(self.c_size(element, None).0.max(1) as i64);
            let bytes = self.cx.binary("llvm.mul", n, stride);
            let (word, almost) = (self.cx.const_i64(8), self.cx.const_i64(7));
            let rounded = self.cx.add(bytes, almost);
            let words = self.cx.binary("llvm.udiv", rounded, word);
            let place = self.cx.alloca(t.i64, words);
            let zero = self.cx.const_i32(0);
            self.runtime("memset", &[place, zero, bytes], t.ptr);
            return self.set(node, place);
        }
        let place = self.native_place(node);
        match name {
            "nativeptr.add" => self.set(node, place),
            // Behind an address is what C has there.
            "nativeptr.get" if self.c_fields(result).is_some() => {
                if let Some(v) = self.load_c(result, place, 0) {
                    self.set(node, v);
                }
            }
            "nativeptr.set" if self.c_fields(self.arg_type(node, 2)).is_some() => {
                let ty = self.arg_type(node, 2);
                if let Some(v) = self.operand(node, 2).and_then(|o| self.maybe_value(o)) {
                    self.store_c(Some(node), ty, v, place, 0);
                }
            }
            "nativeptr.get" => {
                if let Some(ty) = self.types[result] {
                    let v = self.cx.load(ty, place);
                    self.set(node, v);
                }
            }
            _ => {
                if let Some(v) = self.operand(node, 2).and_then(|o| self.maybe_value(o)) {
                    self.cx.store(v, place);
                }
            }
        }
    }

    /// The o1-th element behind address o0.
    fn native_place(&mut self, node: NodeId) -> Value {
        let element = self.element_of(self.arg_type(node, 0));
        let pointer = self.arg(node, 0);
        let index_type = self.psg.types.get(self.arg_type(node, 1));
        let index = self.arg(node, 1);
        let index = self.index(index, index_type);
        let machine = match self.c_fields(element) {
            Some(_) => self.cx.array_type(self.cx.ty.i8, self.c_size(element, None).0 as usize),
            None => self.types[element].unwrap_or(self.cx.ty.i8),
        };
        self.cx.element(machine, pointer, index)
    }
}

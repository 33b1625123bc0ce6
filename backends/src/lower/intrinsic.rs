//! Operations by name: C functions of the runtime, the simple ones inline.
//!
//! `a.b` is the C function `clef_a_b`. Operands are C values in order; a small aggregate that is no address is passed
//! by the address of a copy, and such a result is written through an address given first. The place in the source
//! comes last.

use super::Lower;
use crate::layout::Machine;
use crate::mlir::Value;
use crate::mlir::ops::ICmp;
use clef_psg::id::NodeId;
use clef_psg::ty::Type;

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
        let psg = self.psg;
        match name {
            "hsa.fence" => {}
            "nativeptr.get" | "nativeptr.read" => {
                let place = self.native_place(node, psg.nodes[node].operands.len() > 1);
                if let Some(ty) = self.types[psg.nodes[node].ty] {
                    let v = self.cx.load(ty, place);
                    self.set(node, v);
                }
            }
            "nativeptr.set" | "nativeptr.write" => {
                let n = psg.nodes[node].operands.len();
                let place = self.native_place(node, n > 2);
                let v = self.arg(node, n - 1);
                self.cx.store(v, place);
            }
            "nativeptr.add" => {
                let place = self.native_place(node, true);
                self.set(node, place);
            }
            "nativeptr.of_native_int" | "nativeptr.of_nativeint" => {
                let v = self.arg(node, 0);
                let p = self.cx.cast("llvm.inttoptr", v, self.cx.ty.ptr);
                self.set(node, p);
            }
            "nativeptr.to_native_int" | "nativeptr.to_nativeint" => {
                let v = self.arg(node, 0);
                let i = self.cx.cast("llvm.ptrtoint", v, self.cx.ty.i64);
                self.set(node, i);
            }
            "native.zeroed" | "nativedefault.zeroed" => {
                if let Some(ty) = self.types[psg.nodes[node].ty] {
                    let v = self.cx.zero(ty);
                    self.set(node, v);
                }
            }
            "ref.same" | "reference.equals" | "obj.same" => {
                let (a, b) = (self.arg(node, 0), self.arg(node, 1));
                let v = self.cx.icmp(ICmp::Eq, a, b);
                self.set(node, v);
            }
            _ => return false,
        }
        true
    }

    /// Address o0, or the o1-th element behind it.
    fn native_place(&mut self, node: NodeId, indexed: bool) -> Value {
        let pointer = self.arg(node, 0);
        if !indexed {
            return pointer;
        }
        let element = match self.psg.types.get(self.arg_type(node, 0)) {
            Type::NativePtr(e) => *e,
            _ => return pointer,
        };
        let index_type = self.psg.types.get(self.arg_type(node, 1));
        let index = self.arg(node, 1);
        let index = self.index(index, index_type);
        let machine = self.types[element].unwrap_or(self.cx.ty.i8);
        self.cx.element(machine, pointer, index)
    }
}

//! Direct calls, closures, foreign functions.
//!
//! A closure is a counted object `{header, code address, captures}`. Its code takes the object and the parameters; it
//! reads the captures and calls the function. The tag of the header is the function's place in the table
//! `clef.closure_drops`, by which a dying closure releases its captures.

use super::{Current, Lower};
use crate::mlir::ops::{Callee, Conv, FuncDef, Linkage, Tail};
use crate::mlir::{Ty, Value};
use clef_psg::id::{FuncId, NodeId, TypeId};

/// Offset of the code address in a closure.
pub(super) const CODE: i64 = 8;
/// Offset of the first capture.
const CAPTURES: i64 = 16;

impl Lower<'_> {
    /// Values of a node's operands from the n-th on, without those of unit.
    fn arguments(&mut self, node: NodeId, from: usize) -> Vec<Value> {
        let psg = self.psg;
        psg.nodes[node].operands[from..].iter().filter_map(|&o| self.maybe_value(o)).collect()
    }

    pub(super) fn call(&mut self, node: NodeId, func: FuncId, tail: bool) {
        let args = self.arguments(node, 0);
        if tail
            && self.current.func == Some(func)
            && let Some(again) = self.current.again
        {
            return self.cx.br(again, &args);
        }
        let callee = self.funcs[func].clone();
        let caller_ring = self.current.func.and_then(|f| self.funcs[f].ring);
        let returns = self.psg.funcs[func].ret;
        let must = tail && callee.ring.is_some() && callee.ring == caller_ring && self.in_registers(returns);
        let ret = self.ret_type(returns);
        self.finish_call(node, Callee::Symbol(&callee.symbol), &args, ret, callee.conv, must);
    }

    /// Calls, and returns at once where the frame must be reused.
    fn finish_call(&mut self, node: NodeId, callee: Callee, args: &[Value], ret: Ty, conv: Conv, must: bool) {
        let must = must && self.current.ret == Some(ret);
        let tail = if must { Tail::Must } else { Tail::No };
        let result = self.cx.call(callee, args, ret, conv, tail);
        if must {
            return self.cx.ret(result);
        }
        if let Some(v) = result {
            self.set(node, v);
        }
    }

    pub(super) fn call_closure(&mut self, node: NodeId, tail: bool) {
        let object = self.arg(node, 0);
        let mut args = vec![object];
        args.extend(self.arguments(node, 1));
        let place = self.cx.offset(object, CODE);
        let code = self.load_cell(self.cx.ty.ptr, place);
        let ret = self.ret_type(self.psg.nodes[node].ty);
        let caller_in_ring = self.current.func.is_some_and(|f| self.funcs[f].ring.is_some());
        let must = tail && caller_in_ring && self.in_registers(self.psg.nodes[node].ty);
        self.finish_call(node, Callee::Pointer(code), &args, ret, Conv::Tail, must);
    }

    /// Does a value of this type come back in registers? A larger one goes through memory of the caller's frame, which
    /// a call that reuses the frame cannot keep: LLVM refuses it.
    fn in_registers(&self, ty: TypeId) -> bool {
        let (mut words, mut floats) = (0, 0);
        self.layouts[ty].machine.each_scalar(&mut |scalar| {
            if scalar.is_float() { floats += 1 } else { words += 1 }
        });
        words <= 3 && floats <= 4
    }

    pub(super) fn closure(&mut self, node: NodeId, func: FuncId) {
        let psg = self.psg;
        let tag = self.closure_entry(func);
        let captures: Vec<(Value, TypeId)> = psg.nodes[node]
            .operands
            .iter()
            .filter_map(|&o| Some((self.maybe_value(o)?, psg.nodes[o].ty)))
            .collect();
        if captures.is_empty() {
            let value = self.cx.address_of(&static_closure(&self.funcs[func].symbol));
            return self.set(node, value);
        }
        let (offsets, bytes) = self.capture_offsets(func);
        let object = self.allocate(bytes);
        self.init_header(object, tag);
        let code = self.cx.address_of(&entry_symbol(&self.funcs[func].symbol));
        let place = self.cx.offset(object, CODE);
        self.store_cell(code, place);
        for (&(v, _), &at) in captures.iter().zip(&offsets) {
            let place = self.cx.offset(object, at);
            self.store_cell(v, place);
        }
        self.set(node, object);
    }

    /// Offsets of the captures that have bits, and the size of the object.
    pub(super) fn capture_offsets(&self, func: FuncId) -> (Vec<i64>, i64) {
        let mut at = CAPTURES as u64;
        let mut offsets = Vec::new();
        for (ty, _) in self.captures(func) {
            let (size, align) = self.layouts[ty].machine.size_align();
            at = at.next_multiple_of(align);
            offsets.push(at as i64);
            at += size;
        }
        (offsets, at.next_multiple_of(8) as i64)
    }

    /// Types of a function's captures that have bits.
    pub(super) fn captures(&self, func: FuncId) -> Vec<(TypeId, Ty)> {
        let f = &self.psg.funcs[func];
        let first = f.params.len() - (f.captures as usize).min(f.params.len());
        let types = f.params[first..].iter().map(|&p| self.psg.nodes[p].ty);
        types.filter_map(|t| Some((t, self.types[t]?))).collect()
    }

    /// The tag of closures of a function; remembers that its entry and table row are needed.
    fn closure_entry(&mut self, func: FuncId) -> u32 {
        let next = self.closure_entries.len() as u32;
        *self.closure_entries.entry(func).or_insert(next)
    }

    /// Closure entries in the order of their tags.
    pub(super) fn closure_functions(&self) -> Vec<FuncId> {
        let mut all: Vec<(u32, FuncId)> = self.closure_entries.iter().map(|(&f, &t)| (t, f)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, f)| f).collect()
    }

    /// The code of closures of a function, and the static closure where it captures nothing.
    pub(super) fn define_closure(&mut self, func: FuncId, tag: u32) {
        let psg = self.psg;
        let location = self.location_at(psg.funcs[func].span);
        self.cx.set_location(location);
        let facts = self.funcs[func].clone();
        let captures = self.captures(func);
        let all = self.param_types(func);
        let own = all.len() - captures.len();
        let mut params = vec![self.cx.ty.ptr];
        params.extend_from_slice(&all[..own]);
        let ret = self.ret_type(psg.funcs[func].ret);
        let name = entry_symbol(&facts.symbol);
        let def = FuncDef {
            name: &name,
            params: &params,
            ret,
            conv: Conv::Tail,
            linkage: Linkage::Internal,
            flags: &[],
            arg_attrs: None,
            res_attrs: None,
            extra: &[],
        };
        let (_, Some(entry)) = self.cx.func(&def, true) else { return };
        self.current = Current::default();
        self.cx.set_block(entry);
        let object = self.cx.arg(entry, 0);
        let mut args: Vec<Value> = (1..params.len()).map(|i| self.cx.arg(entry, i)).collect();
        let (offsets, _) = self.capture_offsets(func);
        for (&(_, machine), &at) in captures.iter().zip(&offsets) {
            let place = self.cx.offset(object, at);
            args.push(self.load_cell(machine, place));
        }
        let must = facts.conv == Conv::Tail && self.in_registers(psg.funcs[func].ret);
        let tail = if must { Tail::Must } else { Tail::No };
        let result = self.cx.call(Callee::Symbol(&facts.symbol), &args, ret, facts.conv, tail);
        self.cx.ret(result);
        if captures.is_empty() {
            self.define_static_closure(&facts.symbol, tag);
        }
    }

    fn define_static_closure(&mut self, symbol: &str, tag: u32) {
        let t = self.cx.ty;
        let ty = self.cx.struct_type(&[t.i32, t.i32, t.ptr]);
        self.constant_struct(&static_closure(symbol), ty, false, |l| {
            let count = l.cx.const_i32(super::statics::STATIC_COUNT);
            let tag = l.cx.const_i32(tag.into());
            let code = l.cx.address_of(&entry_symbol(symbol));
            vec![count, tag, code]
        });
    }
}

/// Symbol of the code of closures of a function. The graph's names hold `#` before a number only, so that this is no
/// other function's.
pub(super) fn entry_symbol(function: &str) -> String {
    format!("{function}#closure")
}

fn static_closure(function: &str) -> String {
    format!("{function}#object")
}

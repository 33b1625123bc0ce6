//! Calls of foreign functions by the target's C ABI, and Clef functions that C calls.
//!
//! Scalars and addresses are passed as they are; text as the address of its bytes, which end with a NUL; an array as
//! the address of its elements; a record as a C struct by value ([`super::cform`] has its form, [`super::cabi`] the way
//! it travels). A function is passed as the address of C code that calls it (`clef.callback.NAME`): it captures
//! nothing, and C calls it on the thread that made the call. Unions and other closures have no C form.

use super::array::ELEMENTS;
use super::cabi::{Pass, Registers};
use super::{Current, Lower};
use crate::layout::Repr;
use crate::mlir::ops::{Callee, Conv, FuncDef, ICmp, Linkage, Tail};
use crate::mlir::{Attr, Named, Ty, Value};
use clef_psg::id::{ExternId, FuncId, NodeId, TypeId};
use clef_psg::node::Op;
use clef_psg::ty::Type;

/// Attributes of one argument.
pub(super) type Attributes = Vec<(&'static str, Attr)>;

/// A call under construction.
#[derive(Default)]
struct Arguments {
    values: Vec<Value>,
    /// By argument.
    attrs: Vec<Attributes>,
}

impl Arguments {
    fn push(&mut self, v: Value, attrs: Attributes) {
        self.values.push(v);
        self.attrs.push(attrs);
    }
}

impl Lower<'_> {
    pub(super) fn call_extern(&mut self, node: NodeId, id: ExternId) {
        let psg = self.psg;
        let function = &psg.externs[id];
        let in_memory = self.in_memory(function.ret);
        let place = self.c_fields(function.ret).is_some().then(|| self.c_slot(function.ret));
        let mut args = Arguments::default();
        let mut left = Registers::new(in_memory);
        if let (true, Some(place)) = (in_memory, place) {
            let attrs = self.result_place_attributes(function.ret);
            args.push(place, attrs);
        }
        for &operand in &psg.nodes[node].operands {
            if let Some(v) = self.maybe_value(operand) {
                self.c_argument(node, operand, v, &mut args, &mut left);
            }
        }
        let callee = match self.loaded_function(node, id) {
            Some(address) => Callee::Pointer(address),
            None => Callee::Symbol(&function.entry),
        };
        let value = match place {
            Some(place) => {
                self.call_for_struct(callee, &args, function.ret, place);
                self.load_c(function.ret, place, 0)
            }
            None => self.call_for_scalar(callee, &args, function.ret),
        };
        if let Some(v) = value {
            self.set(node, v);
        }
    }

    fn call_for_scalar(&mut self, callee: Callee, args: &Arguments, ret: TypeId) -> Option<Value> {
        if *self.psg.types.get(ret) == Type::String {
            let raw = self.c_call(callee, args, self.cx.ty.ptr)?;
            return Some(self.text_from_c(raw));
        }
        let ty = self.ret_type(ret);
        self.c_call(callee, args, ty)
    }

    /// Calls a function that gives a struct; its bytes are at `place` afterwards.
    fn call_for_struct(&mut self, callee: Callee, args: &Arguments, ret: TypeId, place: Value) {
        if self.in_memory(ret) {
            self.c_call(callee, args, self.cx.ty.void);
            return;
        }
        let parts = self.registers(ret);
        let ty = self.registers_type(&parts);
        let Some(v) = self.c_call(callee, args, ty) else { return };
        if let [_] = parts[..] {
            return self.cx.store(v, place);
        }
        for (i, &part) in parts.iter().enumerate() {
            let word = self.cx.extract(v, i, part);
            let place = self.cx.offset(place, 8 * i as i64);
            self.cx.store(word, place);
        }
    }

    fn registers_type(&self, parts: &[Ty]) -> Ty {
        match parts {
            [] => self.cx.ty.void,
            [only] => *only,
            parts => self.cx.struct_type(parts),
        }
    }

    fn c_argument(
        &mut self,
        node: NodeId,
        operand: NodeId,
        v: Value,
        args: &mut Arguments,
        left: &mut Registers,
    ) {
        let ty = self.psg.nodes[operand].ty;
        match self.pass(ty, left) {
            Pass::Plain(_) => {
                let v = self.plain_argument(node, operand, v);
                args.push(v, self.extension(ty));
            }
            Pass::Parts(parts) => {
                let slot = self.c_slot(ty);
                self.store_c(Some(node), ty, v, slot, 0);
                for (i, part) in parts.into_iter().enumerate() {
                    let place = self.cx.offset(slot, 8 * i as i64);
                    let v = self.cx.load(part, place);
                    args.push(v, Vec::new());
                }
            }
            Pass::Memory => {
                let slot = self.c_slot(ty);
                self.store_c(Some(node), ty, v, slot, 0);
                args.push(slot, self.by_value_attributes(ty));
            }
        }
    }

    fn plain_argument(&mut self, node: NodeId, operand: NodeId, v: Value) -> Value {
        let psg = self.psg;
        let ty = psg.nodes[operand].ty;
        match psg.types.get(ty) {
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
                return bytes;
            }
            Type::Array(_) => return self.cx.offset(v, ELEMENTS),
            Type::Closure { .. } => {
                if let (Op::Closure(func), true) =
                    (&psg.nodes[operand].op, psg.nodes[operand].operands.is_empty())
                {
                    return self.callback(*func);
                }
            }
            _ => {}
        }
        if matches!(
            self.layouts[ty].repr,
            Repr::Union(_) | Repr::Niche { .. } | Repr::Boxed(_) | Repr::Closure
        ) {
            self.bug(format!("{node}: `{}` has no C form", self.name_of_type(ty)));
        }
        v
    }

    fn dictionaries(&self, attrs: &[Attributes]) -> Option<Attr> {
        if attrs.iter().all(Vec::is_empty) {
            return None;
        }
        let dicts: Vec<Attr> = attrs.iter().map(|a| self.cx.dict(a)).collect();
        Some(self.cx.array(&dicts))
    }

    fn c_call(&mut self, callee: Callee, args: &Arguments, ret: Ty) -> Option<Value> {
        let arg_attrs = self.dictionaries(&args.attrs);
        if let Callee::Symbol(entry) = callee
            && self.declared.insert(entry.to_string())
        {
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
        let op = self.cx.call_op(callee, &args.values, ret, Conv::C, Tail::No, &extra);
        (ret != self.cx.ty.void).then(|| self.cx.result(op, 0))
    }

    fn c_length(&mut self, bytes: Value) -> Value {
        match self.runtime("strlen", &[bytes], self.cx.ty.i64) {
            Some(n) => n,
            None => self.cx.const_i64(0),
        }
    }

    /// A copy of a C string; null is the empty text.
    pub(super) fn text_from_c(&mut self, bytes: Value) -> Value {
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

    // --- Clef functions that C calls

    /// The address of a function's C code, which is made at the end.
    pub(super) fn callback(&mut self, func: FuncId) -> Value {
        self.callbacks.insert(func);
        let symbol = self.callback_symbol(func);
        self.cx.address_of(&symbol)
    }

    fn callback_symbol(&self, func: FuncId) -> String {
        format!("clef.callback.{}", self.funcs[func].symbol)
    }

    /// The C code of a function whose address was given to C: takes arguments as C passes them, gives the result so.
    pub(super) fn define_callback(&mut self, func: FuncId) {
        let psg = self.psg;
        let location = self.location_at(psg.funcs[func].span);
        self.cx.set_location(location);
        let ret = psg.funcs[func].ret;
        let params: Vec<TypeId> = psg.funcs[func]
            .params
            .iter()
            .map(|&p| psg.nodes[p].ty)
            .filter(|&ty| self.types[ty].is_some())
            .collect();
        let in_memory = self.in_memory(ret);
        let mut left = Registers::new(in_memory);
        let passes: Vec<Pass> = params.iter().map(|&ty| self.pass(ty, &mut left)).collect();
        let mut machine = Vec::new();
        let mut attrs: Vec<Attributes> = Vec::new();
        if in_memory {
            machine.push(self.cx.ty.ptr);
            attrs.push(self.result_place_attributes(ret));
        }
        for (&ty, pass) in params.iter().zip(&passes) {
            match pass {
                Pass::Plain(scalar) => {
                    machine.push(*scalar);
                    attrs.push(self.extension(ty));
                }
                Pass::Parts(parts) => {
                    machine.extend(parts);
                    attrs.extend(parts.iter().map(|_| Vec::new()));
                }
                Pass::Memory => {
                    machine.push(self.cx.ty.ptr);
                    attrs.push(self.by_value_attributes(ty));
                }
            }
        }
        let is_struct = self.c_fields(ret).is_some();
        let c_ret = match (is_struct, in_memory) {
            (true, true) => self.cx.ty.void,
            (true, false) => self.registers_type(&self.registers(ret)),
            (false, _) => self.ret_type(ret),
        };
        let symbol = self.callback_symbol(func);
        let arg_attrs = self.dictionaries(&attrs);
        let extension = self.extension(ret);
        let res_attrs =
            (!is_struct && !extension.is_empty()).then(|| self.dictionaries(&[extension])).flatten();
        let def = FuncDef {
            name: &symbol,
            params: &machine,
            ret: c_ret,
            conv: Conv::C,
            linkage: Linkage::Internal,
            flags: &[],
            arg_attrs,
            res_attrs,
            extra: &[],
        };
        let (_, Some(entry)) = self.cx.func(&def, true) else { return };
        let start = self.cx.append_block(entry, &[]);
        self.current = Current { entry: Some(entry), ..Default::default() };
        self.cx.set_block(start);
        let given: Vec<Value> = (0..machine.len()).map(|i| self.cx.arg(entry, i)).collect();
        self.callback_body(func, &params, &passes, &given, in_memory);
        self.close_entry(start, &[]);
    }

    fn callback_body(
        &mut self,
        func: FuncId,
        params: &[TypeId],
        passes: &[Pass],
        given: &[Value],
        in_memory: bool,
    ) {
        let ret = self.psg.funcs[func].ret;
        let mut next = given.iter().copied().skip(usize::from(in_memory));
        let mut args = Vec::new();
        for (&ty, pass) in params.iter().zip(passes) {
            let v = match pass {
                Pass::Plain(_) => {
                    let v = next.next();
                    match v {
                        Some(v) if *self.psg.types.get(ty) == Type::String => Some(self.text_from_c(v)),
                        v => v,
                    }
                }
                Pass::Parts(parts) => {
                    let slot = self.c_slot(ty);
                    for i in 0..parts.len() {
                        let place = self.cx.offset(slot, 8 * i as i64);
                        if let Some(v) = next.next() {
                            self.cx.store(v, place);
                        }
                    }
                    self.load_c(ty, slot, 0)
                }
                Pass::Memory => next.next().and_then(|place| self.load_c(ty, place, 0)),
            };
            args.extend(v.map(|v| (v, ty)));
        }
        let facts = self.funcs[func].clone();
        let values: Vec<Value> = args.iter().map(|a| a.0).collect();
        let ret_type = self.ret_type(ret);
        let result = self.cx.call(Callee::Symbol(&facts.symbol), &values, ret_type, facts.conv, Tail::No);
        // The function borrowed its arguments.
        for (v, ty) in args {
            self.drop_value(v, ty);
        }
        self.callback_result(ret, result, in_memory.then(|| given[0]));
    }

    fn callback_result(&mut self, ret: TypeId, result: Option<Value>, memory: Option<Value>) {
        let Some(v) = result else { return self.cx.ret(None) };
        if self.c_fields(ret).is_none() {
            return self.cx.ret(Some(v));
        }
        let place = memory.unwrap_or_else(|| self.c_slot(ret));
        self.store_c(None, ret, v, place, 0);
        self.drop_value(v, ret);
        if memory.is_some() {
            return self.cx.ret(None);
        }
        let parts = self.registers(ret);
        if let [only] = parts[..] {
            let word = self.cx.load(only, place);
            return self.cx.ret(Some(word));
        }
        let ty = self.registers_type(&parts);
        let mut all = self.cx.undef(ty);
        for (i, &part) in parts.iter().enumerate() {
            let place = self.cx.offset(place, 8 * i as i64);
            let word = self.cx.load(part, place);
            all = self.cx.insert(all, i, word);
        }
        self.cx.ret(Some(all));
    }
}

//! Operations of the `llvm` dialect, one method each. All append at the cursor.

use super::{Attr, Block, Cx, Named, Op, Ty, Value};

/// Calling conventions, by LLVM's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conv {
    C = 0,
    /// Functions of the program that nobody outside calls.
    Fast = 8,
    /// The same, where calls must reuse the caller's frame.
    Tail = 18,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linkage {
    External = 0,
    Internal = 7,
    Private = 8,
}

/// How a call treats the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    No,
    /// The frame must be reused.
    Must,
}

/// Comparison predicates of `llvm.icmp`, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ICmp {
    Eq = 0,
    Ne = 1,
    Slt = 2,
    Sle = 3,
    Sgt = 4,
    Sge = 5,
    Ult = 6,
    Ule = 7,
    Ugt = 8,
    Uge = 9,
}

/// Comparison predicates of `llvm.fcmp`, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FCmp {
    Oeq = 1,
    Ogt = 2,
    Oge = 3,
    Olt = 4,
    Ole = 5,
    Une = 13,
}

/// What LLVM may assume about an integer operation.
pub const NSW: i64 = 1;
pub const NUW: i64 = 2;

/// A function to declare or define.
pub struct FuncDef<'a> {
    pub name: &'a str,
    pub params: &'a [Ty],
    pub ret: Ty,
    pub conv: Conv,
    pub linkage: Linkage,
    /// LLVM's names: `noreturn`, `cold`, `noinline`.
    pub flags: &'a [&'a str],
    /// Dictionaries of arguments' attributes, or nothing.
    pub arg_attrs: Option<Attr>,
    pub res_attrs: Option<Attr>,
    /// Other attributes of the operation.
    pub extra: &'a [Named<'a>],
}

impl Cx {
    // --- functions and globals

    /// A function; with its entry block where it is defined here.
    pub fn func(&mut self, def: &FuncDef, has_body: bool) -> (Op, Option<Block>) {
        let mut attrs: Vec<Named> = vec![
            ("sym_name", self.string(def.name)),
            ("function_type", self.type_attr(self.func_type(def.params, def.ret))),
            ("linkage", self.linkage(def.linkage)),
            ("CConv", self.cconv(def.conv)),
            ("no_unwind", self.unit()),
        ];
        if !def.flags.is_empty() {
            let flags: Vec<Attr> = def.flags.iter().map(|f| self.string(f)).collect();
            attrs.push(("passthrough", self.array(&flags)));
        }
        if let Some(a) = def.arg_attrs {
            attrs.push(("arg_attrs", a));
        }
        if let Some(a) = def.res_attrs {
            attrs.push(("res_attrs", a));
        }
        attrs.extend_from_slice(def.extra);
        let entry = has_body.then(|| self.new_block(def.params));
        (self.top_op("llvm.func", &attrs, entry), entry)
    }

    /// A global; with an initialiser block to be filled and ended by [`Self::ret`] where `value` is nothing.
    pub fn global(
        &mut self,
        name: &str,
        ty: Ty,
        value: Option<Attr>,
        constant: bool,
        linkage: Linkage,
    ) -> Option<Block> {
        let mut attrs: Vec<Named> = vec![
            ("sym_name", self.string(name)),
            ("global_type", self.type_attr(ty)),
            ("linkage", self.linkage(linkage)),
            ("addr_space", self.int(self.ty.i32, 0)),
            ("alignment", self.int(self.ty.i64, 8)),
        ];
        if constant {
            attrs.push(("constant", self.unit()));
        }
        if let Some(value) = value {
            attrs.push(("value", value));
        }
        let init = value.is_none().then(|| self.new_block(&[]));
        self.top_op("llvm.mlir.global", &attrs, init);
        init
    }

    pub fn address_of(&mut self, symbol: &str) -> Value {
        let name = self.symbol(symbol);
        self.value("llvm.mlir.addressof", &[], self.ty.ptr, &[("global_name", name)])
    }

    // --- constants

    pub fn const_int(&mut self, ty: Ty, value: i64) -> Value {
        let attr = self.int(ty, value);
        self.value("llvm.mlir.constant", &[], ty, &[("value", attr)])
    }

    pub fn const_i64(&mut self, value: i64) -> Value {
        self.const_int(self.ty.i64, value)
    }

    pub fn const_i32(&mut self, value: i64) -> Value {
        self.const_int(self.ty.i32, value)
    }

    pub fn const_bool(&mut self, value: bool) -> Value {
        self.const_int(self.ty.i1, value.into())
    }

    pub fn const_float(&mut self, ty: Ty, value: f64) -> Value {
        let attr = self.float(ty, value);
        self.value("llvm.mlir.constant", &[], ty, &[("value", attr)])
    }

    pub fn zero(&mut self, ty: Ty) -> Value {
        self.value("llvm.mlir.zero", &[], ty, &[])
    }

    pub fn undef(&mut self, ty: Ty) -> Value {
        self.value("llvm.mlir.undef", &[], ty, &[])
    }

    // --- arithmetic

    pub fn binary(&mut self, name: &str, a: Value, b: Value) -> Value {
        let ty = self.type_of(a);
        self.value(name, &[a, b], ty, &[])
    }

    /// `add`, `sub`, `mul`, `shl` with overflow flags.
    pub fn binary_no_wrap(&mut self, name: &str, a: Value, b: Value, flags: i64) -> Value {
        let ty = self.type_of(a);
        let flags = self.overflow_flags(flags);
        self.value(name, &[a, b], ty, &[("overflowFlags", flags)])
    }

    /// A float operation that may be contracted, and reordered where `reorder`.
    pub fn binary_relaxed(&mut self, name: &str, a: Value, b: Value, reorder: bool) -> Value {
        let ty = self.type_of(a);
        let flags = if reorder { "#llvm.fastmath<reassoc, contract>" } else { "#llvm.fastmath<contract>" };
        let flags = self.parse_attr(flags);
        self.value(name, &[a, b], ty, &[("fastmathFlags", flags)])
    }

    fn overflow_flags(&self, flags: i64) -> Attr {
        let text = match flags {
            NSW => "#llvm.overflow<nsw>",
            NUW => "#llvm.overflow<nuw>",
            _ => "#llvm.overflow<nsw, nuw>",
        };
        self.parse_attr(text)
    }

    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary("llvm.add", a, b)
    }

    pub fn icmp(&mut self, predicate: ICmp, a: Value, b: Value) -> Value {
        let p = self.int(self.ty.i64, predicate as i64);
        self.value("llvm.icmp", &[a, b], self.ty.i1, &[("predicate", p)])
    }

    pub fn fcmp(&mut self, predicate: FCmp, a: Value, b: Value) -> Value {
        let p = self.int(self.ty.i64, predicate as i64);
        self.value("llvm.fcmp", &[a, b], self.ty.i1, &[("predicate", p)])
    }

    pub fn select(&mut self, c: Value, a: Value, b: Value) -> Value {
        let ty = self.type_of(a);
        self.value("llvm.select", &[c, a, b], ty, &[])
    }

    /// `llvm.sext`, `llvm.trunc`, `llvm.ptrtoint`...
    pub fn cast(&mut self, name: &str, v: Value, to: Ty) -> Value {
        self.value(name, &[v], to, &[])
    }

    /// Sign- or zero-extends or truncates an integer to a width.
    pub fn resize_int(&mut self, v: Value, to: Ty, signed: bool) -> Value {
        let from = self.type_of(v);
        let (a, b) = (self.int_bits(from).unwrap_or(64), self.int_bits(to).unwrap_or(64));
        match a.cmp(&b) {
            std::cmp::Ordering::Equal => v,
            std::cmp::Ordering::Greater => self.cast("llvm.trunc", v, to),
            std::cmp::Ordering::Less => self.cast(if signed { "llvm.sext" } else { "llvm.zext" }, v, to),
        }
    }

    /// An intrinsic of LLVM that the dialect has no operation for.
    pub fn call_intrinsic(&mut self, name: &str, args: &[Value], ret: Option<Ty>) -> Option<Value> {
        let attrs = [
            ("intrin", self.string(name)),
            ("op_bundle_sizes", self.i32s(&[])),
            ("operandSegmentSizes", self.i32s(&[args.len() as i32, 0])),
        ];
        let results: &[Ty] = match &ret {
            Some(t) => std::slice::from_ref(t),
            None => &[],
        };
        let op = self.op("llvm.call_intrinsic", args, results, &attrs);
        ret.map(|_| self.result(op, 0))
    }

    // --- aggregates

    pub fn extract(&mut self, agg: Value, at: usize, ty: Ty) -> Value {
        let position = self.i64s(&[at as i64]);
        self.value("llvm.extractvalue", &[agg], ty, &[("position", position)])
    }

    pub fn insert(&mut self, agg: Value, at: usize, v: Value) -> Value {
        let position = self.i64s(&[at as i64]);
        let ty = self.type_of(agg);
        self.value("llvm.insertvalue", &[agg, v], ty, &[("position", position)])
    }

    // --- memory

    /// A stack slot. The cursor should be in the entry block.
    pub fn alloca(&mut self, ty: Ty, count: Value) -> Value {
        let attrs = [("elem_type", self.type_attr(ty))];
        self.value("llvm.alloca", &[count], self.ty.ptr, &attrs)
    }

    pub fn load(&mut self, ty: Ty, address: Value) -> Value {
        self.value("llvm.load", &[address], ty, &[])
    }

    pub fn store(&mut self, v: Value, address: Value) {
        self.op("llvm.store", &[v, address], &[], &[]);
    }

    /// `address + bytes`
    pub fn offset(&mut self, address: Value, bytes: i64) -> Value {
        if bytes == 0 {
            return address;
        }
        self.gep_const(self.ty.i8, address, &[bytes])
    }

    fn gep_const(&mut self, element: Ty, address: Value, indices: &[i64]) -> Value {
        let raw: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
        let attrs = [
            ("elem_type", self.type_attr(element)),
            ("rawConstantIndices", self.i32s(&raw)),
            ("noWrapFlags", self.int(self.ty.i32, 1)),
        ];
        self.value("llvm.getelementptr", &[address], self.ty.ptr, &attrs)
    }

    /// Address of the n-th field of a struct.
    pub fn field_place(&mut self, ty: Ty, address: Value, n: usize) -> Value {
        self.gep_const(ty, address, &[0, n as i64])
    }

    /// Address of element `index` (64 bits) of an array of `element`.
    pub fn element(&mut self, element: Ty, address: Value, index: Value) -> Value {
        let attrs = [
            ("elem_type", self.type_attr(element)),
            ("rawConstantIndices", self.i32s(&[i32::MIN])),
            ("noWrapFlags", self.int(self.ty.i32, 1)),
        ];
        self.value("llvm.getelementptr", &[address, index], self.ty.ptr, &attrs)
    }

    // --- calls

    /// A call of a function by name, or of the first argument.
    pub fn call(&mut self, callee: Callee, args: &[Value], ret: Ty, conv: Conv, tail: Tail) -> Option<Value> {
        let op = self.call_op(callee, args, ret, conv, tail, &[]);
        (ret != self.ty.void).then(|| self.result(op, 0))
    }

    /// [`Self::call`] with more attributes; the operation.
    pub fn call_op(
        &mut self,
        callee: Callee,
        args: &[Value],
        ret: Ty,
        conv: Conv,
        tail: Tail,
        extra: &[Named],
    ) -> Op {
        let mut operands: smallvec::SmallVec<[Value; 8]> = smallvec::SmallVec::new();
        let mut attrs: Vec<Named> = vec![("CConv", self.cconv(conv)), ("op_bundle_sizes", self.i32s(&[]))];
        match callee {
            Callee::Symbol(name) => attrs.push(("callee", self.symbol(name))),
            Callee::Pointer(p) => operands.push(p),
        }
        operands.extend_from_slice(args);
        attrs.push(("operandSegmentSizes", self.i32s(&[operands.len() as i32, 0])));
        if tail == Tail::Must {
            attrs.push(("TailCallKind", self.parse_attr("#llvm.tailcallkind<musttail>")));
        }
        attrs.extend_from_slice(extra);
        let void = ret == self.ty.void;
        let results: &[Ty] = if void { &[] } else { std::slice::from_ref(&ret) };
        self.op("llvm.call", &operands, results, &attrs)
    }

    // --- control

    pub fn br(&mut self, to: Block, args: &[Value]) {
        self.op_to("llvm.br", args, &[], &[], &[to]);
        self.unreachable_from_here();
    }

    /// `weights`: how often the first and the second way are taken.
    pub fn cond_br(&mut self, c: Value, yes: Block, no: Block, weights: Option<(i32, i32)>) {
        let mut attrs: Vec<Named> = vec![("operandSegmentSizes", self.i32s(&[1, 0, 0]))];
        if let Some((a, b)) = weights {
            attrs.push(("branch_weights", self.i32s(&[a, b])));
        }
        self.op_to("llvm.cond_br", &[c], &[], &attrs, &[yes, no]);
        self.unreachable_from_here();
    }

    pub fn switch(&mut self, v: Value, cases: &[(i64, Block)], otherwise: Block) {
        let bits = self.int_bits(self.type_of(v)).unwrap_or(32);
        let values: Vec<i64> = cases.iter().map(|c| c.0).collect();
        let mut blocks = vec![otherwise];
        blocks.extend(cases.iter().map(|c| c.1));
        let segments = vec![0; cases.len()];
        let mut attrs: Vec<Named> = vec![
            ("operandSegmentSizes", self.i32s(&[1, 0, 0])),
            ("case_operand_segments", self.i32s(&segments)),
        ];
        if !values.is_empty() {
            attrs.push(("case_values", self.vector_of_ints(bits, &values)));
        }
        self.op_to("llvm.switch", &[v], &[], &attrs, &blocks);
        self.unreachable_from_here();
    }

    pub fn ret(&mut self, v: Option<Value>) {
        let operands: &[Value] = match &v {
            Some(v) => std::slice::from_ref(v),
            None => &[],
        };
        self.op("llvm.return", operands, &[], &[]);
        self.unreachable_from_here();
    }

    pub fn trap_unreachable(&mut self) {
        self.op("llvm.unreachable", &[], &[], &[]);
        self.unreachable_from_here();
    }
}

/// Whom a call calls.
#[derive(Clone, Copy)]
pub enum Callee<'a> {
    Symbol(&'a str),
    Pointer(Value),
}

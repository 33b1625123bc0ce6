//! Constants, arithmetic, comparison and numeric conversion. Host floats are exact: no contraction, no reassociation.

use super::Lower;
use crate::layout::is_signed;
use crate::mlir::ops::{FCmp, ICmp};
use crate::mlir::{Ty, Value};
use clef_frontend::ast::{FloatKind, IntKind};
use clef_psg::id::NodeId;
use clef_psg::node::{BinOp, Const, Op, UnOp};
use clef_psg::ty::Type;

/// What arithmetic sees of a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Int { signed: bool },
    Float,
    Pointer,
}

pub(super) fn kind_of(ty: &Type) -> Kind {
    match ty {
        Type::Int(kind) => Kind::Int { signed: is_signed(*kind) },
        Type::Float(_) => Kind::Float,
        Type::NativePtr(_) | Type::String | Type::Array(_) | Type::Closure { .. } => Kind::Pointer,
        // Enums and the numbers of cases are 32-bit signed.
        Type::Agg(_) => Kind::Int { signed: true },
        Type::Unit | Type::Bool | Type::Char | Type::Var(_) => Kind::Int { signed: false },
    }
}

impl Lower<'_> {
    pub(super) fn constant(&mut self, node: NodeId, value: &Const) {
        let ty = self.psg.nodes[node].ty;
        let Some(machine) = self.types[ty] else { return };
        let v = match value {
            Const::Unit => return,
            Const::Bool(b) => self.cx.const_bool(*b),
            Const::Char(c) => self.cx.const_i32(*c as i64),
            Const::Int(i) => match kind_of(self.psg.types.get(ty)) {
                Kind::Pointer => {
                    let bits = self.cx.const_i64(*i);
                    self.cx.cast("llvm.inttoptr", bits, machine)
                }
                Kind::Float => self.cx.const_float(machine, *i as f64),
                Kind::Int { .. } => self.cx.const_int(machine, *i),
            },
            Const::Float(f) => self.cx.const_float(machine, *f),
            Const::String(s) => self.string_constant(s),
        };
        self.set(node, v);
    }

    pub(super) fn binary(&mut self, node: NodeId, op: BinOp) {
        let operand_type = self.psg.types.get(self.arg_type(node, 0));
        let (a, b) = (self.arg(node, 0), self.arg(node, 1));
        let value = match kind_of(operand_type) {
            Kind::Float => self.float_binary(node, op, a, b),
            Kind::Int { signed } => self.int_binary(node, op, a, b, signed),
            Kind::Pointer => self.pointer_binary(node, op, a, b),
        };
        self.set(node, value);
    }

    fn float_binary(&mut self, node: NodeId, op: BinOp, a: Value, b: Value) -> Value {
        let compare = match op {
            BinOp::Eq => Some(FCmp::Oeq),
            BinOp::Ne => Some(FCmp::Une),
            BinOp::Lt => Some(FCmp::Olt),
            BinOp::Le => Some(FCmp::Ole),
            BinOp::Gt => Some(FCmp::Ogt),
            BinOp::Ge => Some(FCmp::Oge),
            _ => None,
        };
        if let Some(p) = compare {
            return self.cx.fcmp(p, a, b);
        }
        let name = match op {
            BinOp::Add => "llvm.fadd",
            BinOp::Sub => "llvm.fsub",
            BinOp::Mul => "llvm.fmul",
            BinOp::Div => "llvm.fdiv",
            BinOp::Rem => "llvm.frem",
            BinOp::Min => "llvm.intr.minimum",
            BinOp::Max => "llvm.intr.maximum",
            BinOp::Pow => "llvm.intr.pow",
            BinOp::Atan2 => "llvm.intr.atan2",
            _ => {
                self.bug(format!("{op:?} on floats"));
                "llvm.fadd"
            }
        };
        if self.in_kernel && matches!(op, BinOp::Add | BinOp::Sub | BinOp::Mul) {
            return self.cx.binary_relaxed(name, a, b, self.reductions.contains(&node));
        }
        self.cx.binary(name, a, b)
    }

    fn int_compare(op: BinOp, signed: bool) -> Option<ICmp> {
        Some(match (op, signed) {
            (BinOp::Eq, _) => ICmp::Eq,
            (BinOp::Ne, _) => ICmp::Ne,
            (BinOp::Lt, true) => ICmp::Slt,
            (BinOp::Le, true) => ICmp::Sle,
            (BinOp::Gt, true) => ICmp::Sgt,
            (BinOp::Ge, true) => ICmp::Sge,
            (BinOp::Lt, false) => ICmp::Ult,
            (BinOp::Le, false) => ICmp::Ule,
            (BinOp::Gt, false) => ICmp::Ugt,
            (BinOp::Ge, false) => ICmp::Uge,
            _ => return None,
        })
    }

    fn int_binary(&mut self, node: NodeId, op: BinOp, a: Value, b: Value, signed: bool) -> Value {
        if let Some(p) = Self::int_compare(op, signed) {
            return self.cx.icmp(p, a, b);
        }
        let name = match (op, signed) {
            (BinOp::Add, _) => "llvm.add",
            (BinOp::Sub, _) => "llvm.sub",
            (BinOp::Mul, _) => "llvm.mul",
            (BinOp::BitAnd, _) => "llvm.and",
            (BinOp::BitOr, _) => "llvm.or",
            (BinOp::BitXor, _) => "llvm.xor",
            (BinOp::Min, true) => "llvm.intr.smin",
            (BinOp::Max, true) => "llvm.intr.smax",
            (BinOp::Min, false) => "llvm.intr.umin",
            (BinOp::Max, false) => "llvm.intr.umax",
            (BinOp::Shl | BinOp::Shr, _) => return self.shift(op, a, b, signed),
            (BinOp::Div | BinOp::Rem, _) => return self.divide(node, op, a, b, signed),
            _ => {
                self.bug(format!("{op:?} on integers"));
                "llvm.add"
            }
        };
        self.cx.binary(name, a, b)
    }

    fn shift(&mut self, op: BinOp, a: Value, count: Value, signed: bool) -> Value {
        let ty = self.cx.type_of(a);
        let bits = self.cx.int_bits(ty).unwrap_or(32);
        let count = self.cx.resize_int(count, ty, false);
        let mask = self.cx.const_int(ty, i64::from(bits) - 1);
        let count = self.cx.binary("llvm.and", count, mask);
        let name = match (op, signed) {
            (BinOp::Shl, _) => "llvm.shl",
            (_, true) => "llvm.ashr",
            (_, false) => "llvm.lshr",
        };
        self.cx.binary(name, a, count)
    }

    /// Division and remainder: zero stops the program, the smallest number by -1 wraps.
    fn divide(&mut self, node: NodeId, op: BinOp, a: Value, b: Value, signed: bool) -> Value {
        let ty = self.cx.type_of(a);
        let known = self.operand(node, 1).and_then(|o| match self.psg.nodes[o].op {
            Op::Const(Const::Int(i)) => Some(i),
            _ => None,
        });
        let name = match (op, signed) {
            (BinOp::Div, true) => "llvm.sdiv",
            (BinOp::Div, false) => "llvm.udiv",
            (_, true) => "llvm.srem",
            (_, false) => "llvm.urem",
        };
        if !matches!(known, Some(k) if k != 0) {
            let zero = self.cx.const_int(ty, 0);
            let ok = self.cx.icmp(ICmp::Ne, b, zero);
            self.check(ok, |l| l.panic("clef_panic_divide", &[], node));
        }
        if !signed || matches!(known, Some(k) if k != -1 && k != 0) {
            return self.cx.binary(name, a, b);
        }
        let (minus_one, one) = (self.cx.const_int(ty, -1), self.cx.const_int(ty, 1));
        let is_minus_one = self.cx.icmp(ICmp::Eq, b, minus_one);
        let divisor = self.cx.select(is_minus_one, one, b);
        let quotient = self.cx.binary(name, a, divisor);
        if op == BinOp::Rem {
            return quotient;
        }
        let zero = self.cx.const_int(ty, 0);
        let negated = self.cx.binary("llvm.sub", zero, a);
        self.cx.select(is_minus_one, negated, quotient)
    }

    fn pointer_binary(&mut self, node: NodeId, op: BinOp, a: Value, b: Value) -> Value {
        match Self::int_compare(op, false) {
            Some(p) => self.cx.icmp(p, a, b),
            None => {
                self.bug(format!("{node}: {op:?} on addresses"));
                a
            }
        }
    }

    pub(super) fn unary(&mut self, node: NodeId, op: UnOp) {
        let kind = kind_of(self.node_type(node));
        let a = self.arg(node, 0);
        let ty = self.cx.type_of(a);
        let value = match (op, kind) {
            (UnOp::Neg, Kind::Float) => self.cx.value("llvm.fneg", &[a], ty, &[]),
            (UnOp::Neg, _) => {
                let zero = self.cx.const_int(ty, 0);
                self.cx.binary("llvm.sub", zero, a)
            }
            (UnOp::Not, _) => {
                let yes = self.cx.const_bool(true);
                self.cx.binary("llvm.xor", a, yes)
            }
            (UnOp::BitNot, _) => {
                let ones = self.cx.const_int(ty, -1);
                self.cx.binary("llvm.xor", a, ones)
            }
            (UnOp::Abs, Kind::Int { signed: true }) => {
                let wraps = self.cx.int(self.cx.ty.i1, 0);
                self.cx.value("llvm.intr.abs", &[a], ty, &[("is_int_min_poison", wraps)])
            }
            (UnOp::Abs, Kind::Int { signed: false }) => a,
            _ => self.float_unary(op, a, ty),
        };
        self.set(node, value);
    }

    fn float_unary(&mut self, op: UnOp, a: Value, ty: Ty) -> Value {
        let name = match op {
            UnOp::Abs => "llvm.intr.fabs",
            UnOp::Sqrt => "llvm.intr.sqrt",
            UnOp::Floor => "llvm.intr.floor",
            UnOp::Ceil => "llvm.intr.ceil",
            UnOp::Round => "llvm.intr.roundeven",
            UnOp::Truncate => "llvm.intr.trunc",
            UnOp::Exp => "llvm.intr.exp",
            UnOp::Log => "llvm.intr.log",
            UnOp::Log2 => "llvm.intr.log2",
            UnOp::Log10 => "llvm.intr.log10",
            UnOp::Sin => "llvm.intr.sin",
            UnOp::Cos => "llvm.intr.cos",
            UnOp::Tan => "llvm.intr.tan",
            UnOp::Asin => "llvm.intr.asin",
            UnOp::Acos => "llvm.intr.acos",
            UnOp::Atan => "llvm.intr.atan",
            UnOp::Sinh => "llvm.intr.sinh",
            UnOp::Cosh => "llvm.intr.cosh",
            UnOp::Tanh => "llvm.intr.tanh",
            UnOp::Neg => "llvm.fneg",
            UnOp::Not | UnOp::BitNot => {
                self.bug(format!("{op:?} on floats"));
                "llvm.fneg"
            }
        };
        self.cx.value(name, &[a], ty, &[])
    }

    pub(super) fn convert(&mut self, node: NodeId) {
        let from = self.psg.types.get(self.arg_type(node, 0));
        let to = self.node_type(node);
        let a = self.arg(node, 0);
        let value = self.convert_value(a, from, to, self.ret_type(self.psg.nodes[node].ty));
        self.set(node, value);
    }

    pub(super) fn convert_value(&mut self, a: Value, from: &Type, to: &Type, target: Ty) -> Value {
        let i64 = self.cx.ty.i64;
        match (kind_of(from), kind_of(to)) {
            (Kind::Int { signed }, Kind::Int { .. }) => self.cx.resize_int(a, target, signed),
            (Kind::Int { signed: true }, Kind::Float) => self.cx.cast("llvm.sitofp", a, target),
            (Kind::Int { signed: false }, Kind::Float) => self.cx.cast("llvm.uitofp", a, target),
            (Kind::Float, Kind::Int { signed }) => {
                let name = if signed { "llvm.fptosi.sat" } else { "llvm.fptoui.sat" };
                self.float_to_int(name, a, from, target)
            }
            (Kind::Float, Kind::Float) => self.resize_float(a, from, to, target),
            (Kind::Int { signed }, Kind::Pointer) => {
                let wide = self.cx.resize_int(a, i64, signed);
                self.cx.cast("llvm.inttoptr", wide, target)
            }
            (Kind::Pointer, Kind::Int { .. }) => {
                let wide = self.cx.cast("llvm.ptrtoint", a, i64);
                self.cx.resize_int(wide, target, false)
            }
            (Kind::Pointer, Kind::Pointer) => a,
            (Kind::Pointer, Kind::Float) | (Kind::Float, Kind::Pointer) => {
                self.bug(format!("conversion of {from:?} to {to:?}"));
                a
            }
        }
    }

    fn float_to_int(&mut self, name: &str, a: Value, from: &Type, target: Ty) -> Value {
        let suffix = match from {
            Type::Float(FloatKind::F16) => "f16",
            Type::Float(FloatKind::BF16) => "bf16",
            Type::Float(FloatKind::F32) => "f32",
            _ => "f64",
        };
        let bits = self.cx.int_bits(target).unwrap_or(32);
        let full = format!("{name}.i{bits}.{suffix}");
        match self.cx.call_intrinsic(&full, &[a], Some(target)) {
            Some(v) => v,
            None => a,
        }
    }

    fn resize_float(&mut self, a: Value, from: &Type, to: &Type, target: Ty) -> Value {
        let (Type::Float(f), Type::Float(t)) = (from, to) else { return a };
        let width = |k: FloatKind| crate::layout::float_scalar(k).size();
        if f == t {
            return a;
        }
        match width(*t).cmp(&width(*f)) {
            std::cmp::Ordering::Greater => self.cx.cast("llvm.fpext", a, target),
            std::cmp::Ordering::Less => self.cx.cast("llvm.fptrunc", a, target),
            // Between the two half formats: through the single one.
            std::cmp::Ordering::Equal => {
                let single = self.cx.cast("llvm.fpext", a, self.cx.ty.f32);
                self.cx.cast("llvm.fptrunc", single, target)
            }
        }
    }

    /// An index or a length as 64 bits.
    pub(super) fn index(&mut self, v: Value, ty: &Type) -> Value {
        let signed = !matches!(ty, Type::Int(k) if !is_signed(*k));
        self.cx.resize_int(v, self.cx.ty.i64, signed)
    }
}

/// Bits and signedness of what `%d` and its kin print.
pub(super) fn int_format(kind: IntKind) -> (u8, bool) {
    let bits = crate::layout::int_scalar(kind).size() as u8 * 8;
    (bits, !is_signed(kind))
}

//! Arithmetic of the reference meaning: wrapping integers of every width, exact IEEE floats.

use super::memory::{round_bfloat, round_half};
use super::value::Value;
use crate::fold::{int_shape, wrap};
use crate::node::{BinOp, UnOp};
use crate::ty::Type;
use clef_frontend::ast::{FloatKind, IntKind};

/// Division by zero.
pub struct ByZero;

fn round_to(value: f64, kind: FloatKind) -> f64 {
    match kind {
        FloatKind::F64 => value,
        FloatKind::F32 => f64::from(value as f32),
        FloatKind::F16 => round_half(value),
        FloatKind::BF16 => round_bfloat(value),
    }
}

pub fn binary(op: BinOp, a: &Value, b: &Value, ty: &Type) -> Result<Value, ByZero> {
    match (ty, a, b) {
        (Type::Int(kind), Value::Int(a), Value::Int(b)) => integer(op, *a, *b, *kind),
        (Type::Float(kind), Value::Float(a), Value::Float(b)) => Ok(float(op, *a, *b, *kind)),
        (_, Value::Bool(a), Value::Bool(b)) => Ok(boolean(op, *a, *b)),
        (_, Value::Unit, _) => Ok(Value::Bool(matches!(op, BinOp::Eq | BinOp::Le | BinOp::Ge))),
        // Characters, enums and pointers compare as numbers.
        (ty, a, b) => {
            let kind = if matches!(ty, Type::Char) { IntKind::U32 } else { IntKind::I64 };
            match (op, a, b) {
                // The smaller and the larger of two characters is a character.
                (BinOp::Min, Value::Char(x), Value::Char(y)) => Ok(Value::Char(*x.min(y))),
                (BinOp::Max, Value::Char(x), Value::Char(y)) => Ok(Value::Char(*x.max(y))),
                _ => integer(op, a.int(), b.int(), kind),
            }
        }
    }
}

fn boolean(op: BinOp, a: bool, b: bool) -> Value {
    Value::Bool(match op {
        BinOp::Eq => a == b,
        BinOp::Ne | BinOp::BitXor => a != b,
        BinOp::Lt => !a & b,
        BinOp::Le => a <= b,
        BinOp::Gt => a & !b,
        BinOp::Ge => a >= b,
        BinOp::BitAnd | BinOp::Min => a && b,
        _ => a || b,
    })
}

fn integer(op: BinOp, a: i64, b: i64, kind: IntKind) -> Result<Value, ByZero> {
    let (bits, signed) = int_shape(kind);
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    let (ua, ub) = (a as u64 & mask, b as u64 & mask);
    let count = b as u32 & (bits - 1);
    let less = |x: i64, y: i64, ux: u64, uy: u64| if signed { x < y } else { ux < uy };
    let value = match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::Div | BinOp::Rem if ub == 0 => return Err(ByZero),
        BinOp::Div if signed => a.wrapping_div(b),
        BinOp::Div => (ua / ub) as i64,
        BinOp::Rem if signed => a.wrapping_rem(b),
        BinOp::Rem => (ua % ub) as i64,
        BinOp::BitAnd => a & b,
        BinOp::BitOr => a | b,
        BinOp::BitXor => a ^ b,
        BinOp::Shl => a.wrapping_shl(count),
        BinOp::Shr if signed => a >> count,
        BinOp::Shr => (ua >> count) as i64,
        BinOp::Min => {
            if less(b, a, ub, ua) {
                b
            } else {
                a
            }
        }
        BinOp::Max => {
            if less(a, b, ua, ub) {
                b
            } else {
                a
            }
        }
        BinOp::Eq => return Ok(Value::Bool(a == b)),
        BinOp::Ne => return Ok(Value::Bool(a != b)),
        BinOp::Lt => return Ok(Value::Bool(less(a, b, ua, ub))),
        BinOp::Le => return Ok(Value::Bool(!less(b, a, ub, ua))),
        BinOp::Gt => return Ok(Value::Bool(less(b, a, ub, ua))),
        BinOp::Ge => return Ok(Value::Bool(!less(a, b, ua, ub))),
        BinOp::Pow => power(a, b),
        BinOp::Atan2 => 0,
    };
    Ok(Value::Int(wrap(value, kind)))
}

/// By squaring; a negative exponent gives 0, as integer division would.
fn power(base: i64, exponent: i64) -> i64 {
    if exponent < 0 {
        return i64::from(base == 1);
    }
    base.wrapping_pow(u32::try_from(exponent).unwrap_or(u32::MAX))
}

fn float(op: BinOp, a: f64, b: f64, kind: FloatKind) -> Value {
    let single = kind == FloatKind::F32;
    let value = match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => a * b,
        BinOp::Div => a / b,
        BinOp::Rem => a % b,
        // The functions of the C library that native code calls.
        BinOp::Pow if single => f64::from((a as f32).powf(b as f32)),
        BinOp::Pow => a.powf(b),
        BinOp::Atan2 if single => f64::from((a as f32).atan2(b as f32)),
        BinOp::Atan2 => a.atan2(b),
        BinOp::Min if a.is_nan() || b.is_nan() => f64::NAN,
        BinOp::Max if a.is_nan() || b.is_nan() => f64::NAN,
        BinOp::Min => {
            if b < a {
                b
            } else {
                a
            }
        }
        BinOp::Max => {
            if a < b {
                b
            } else {
                a
            }
        }
        BinOp::Eq => return Value::Bool(a == b),
        BinOp::Ne => return Value::Bool(a != b),
        BinOp::Lt => return Value::Bool(a < b),
        BinOp::Le => return Value::Bool(a <= b),
        BinOp::Gt => return Value::Bool(a > b),
        BinOp::Ge => return Value::Bool(a >= b),
        BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor | BinOp::Shl | BinOp::Shr => 0.0,
    };
    Value::Float(round_to(value, kind))
}

pub fn unary(op: UnOp, a: &Value, ty: &Type) -> Value {
    match (ty, a) {
        (_, Value::Bool(b)) => Value::Bool(!b),
        (Type::Int(kind), Value::Int(v)) => Value::Int(wrap(
            match op {
                UnOp::Neg => v.wrapping_neg(),
                UnOp::BitNot | UnOp::Not => !v,
                UnOp::Abs if int_shape(*kind).1 => v.wrapping_abs(),
                _ => *v,
            },
            *kind,
        )),
        (Type::Float(kind), Value::Float(v)) => {
            let value =
                if *kind == FloatKind::F32 { f64::from(math32(op, *v as f32)) } else { math64(op, *v) };
            Value::Float(round_to(value, *kind))
        }
        _ => a.clone(),
    }
}

macro_rules! math {
    ($name:ident, $ty:ty) => {
        fn $name(op: UnOp, v: $ty) -> $ty {
            match op {
                UnOp::Neg => -v,
                UnOp::Abs => v.abs(),
                UnOp::Sqrt => v.sqrt(),
                UnOp::Floor => v.floor(),
                UnOp::Ceil => v.ceil(),
                UnOp::Round => v.round_ties_even(),
                UnOp::Truncate => v.trunc(),
                UnOp::Exp => v.exp(),
                UnOp::Log => v.ln(),
                UnOp::Log2 => v.log2(),
                UnOp::Log10 => v.log10(),
                UnOp::Sin => v.sin(),
                UnOp::Cos => v.cos(),
                UnOp::Tan => v.tan(),
                UnOp::Asin => v.asin(),
                UnOp::Acos => v.acos(),
                UnOp::Atan => v.atan(),
                UnOp::Sinh => v.sinh(),
                UnOp::Cosh => v.cosh(),
                UnOp::Tanh => v.tanh(),
                UnOp::Not | UnOp::BitNot => v,
            }
        }
    };
}

math!(math32, f32);
math!(math64, f64);

/// Conversions between numbers, characters, booleans and pointers.
pub fn convert(value: &Value, from: &Type, to: &Type) -> Value {
    let bits = match (value, from) {
        (Value::Int(v), Type::Int(kind)) => match int_shape(*kind) {
            (64, _) | (_, true) => *v,
            (width, false) => v & ((1 << width) - 1),
        },
        (other, _) => other.int(),
    };
    let unsigned64 = matches!(from, Type::Int(IntKind::U64 | IntKind::USize));
    match (to, value) {
        (Type::Int(kind), Value::Float(f)) => Value::Int(wrap(saturate(*f, *kind), *kind)),
        (Type::Int(kind), _) => Value::Int(wrap(bits, *kind)),
        (Type::Float(kind), Value::Float(f)) => Value::Float(round_to(*f, *kind)),
        (Type::Float(FloatKind::F32), _) => {
            Value::Float(f64::from(if unsigned64 { bits as u64 as f32 } else { bits as f32 }))
        }
        (Type::Float(kind), _) => {
            Value::Float(round_to(if unsigned64 { bits as u64 as f64 } else { bits as f64 }, *kind))
        }
        (Type::Char, _) => Value::Char(char::from_u32(bits as u32).unwrap_or('\u{fffd}')),
        (Type::Bool, _) => Value::Bool(bits != 0),
        (Type::NativePtr(_), _) => Value::Int(bits),
        _ => value.clone(),
    }
}

/// Toward zero, clamped to the type's range; not-a-number gives 0.
fn saturate(value: f64, kind: IntKind) -> i64 {
    match kind {
        IntKind::I8 => i64::from(value as i8),
        IntKind::U8 => i64::from(value as u8),
        IntKind::I16 => i64::from(value as i16),
        IntKind::U16 => i64::from(value as u16),
        IntKind::I32 => i64::from(value as i32),
        IntKind::U32 => i64::from(value as u32),
        IntKind::I64 | IntKind::ISize => value as i64,
        IntKind::U64 | IntKind::USize => value as u64 as i64,
    }
}

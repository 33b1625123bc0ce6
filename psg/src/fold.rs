//! Constant globals: `let width = heads * latent` at top level becomes its value wherever it is read.
//!
//! What it promises: a read of an immutable global whose initialiser is pure scalar arithmetic on constants and other
//! such globals is replaced by the constant. Kernels need this (they read no globals), and bounds become visible to
//! analyses. What it does not do: fold inside functions, or touch strings and aggregates.

use crate::graph::Psg;
use crate::id::{GlobalId, Id, IdVec, NodeId};
use crate::node::{BinOp, Const, Op, UnOp};
use crate::ty::Type;
use clef_frontend::ast::{FloatKind, IntKind};

/// Replaces reads of constant globals. Linear in the nodes.
pub fn globals(psg: &mut Psg) {
    let Some(init) = psg.init else { return };
    let mut known: IdVec<GlobalId, Option<Const>> = IdVec::filled(psg.globals.len(), None);
    let mut values: Vec<Option<Const>> = vec![None; psg.nodes.len()];
    for &node in &psg.regions[psg.funcs[init].body].nodes {
        match &psg.nodes[node].op {
            Op::GlobalSet(global) if !psg.globals[*global].is_mutable => {
                let value = psg.nodes[node].operands.first().and_then(|v| values[v.index()].clone());
                known[*global] = value;
            }
            _ => values[node.index()] = evaluate(psg, node, &values, &known),
        }
    }
    for node in psg.nodes.ids() {
        let Op::GlobalGet(global) = psg.nodes[node].op else { continue };
        if let Some(value) = &known[global] {
            psg.nodes[node].op = Op::Const(value.clone());
        }
    }
}

fn evaluate(
    psg: &Psg,
    node: NodeId,
    values: &[Option<Const>],
    known: &IdVec<GlobalId, Option<Const>>,
) -> Option<Const> {
    let n = &psg.nodes[node];
    let operand = |i: usize| n.operands.get(i).and_then(|v| values[v.index()].clone());
    let operand_type = |i: usize| n.operands.get(i).map(|&v| psg.types.get(psg.nodes[v].ty));
    match &n.op {
        Op::Const(c @ (Const::Bool(_) | Const::Char(_) | Const::Int(_) | Const::Float(_))) => Some(c.clone()),
        Op::GlobalGet(global) => known[*global].clone(),
        Op::Unary(op) => unary(*op, operand(0)?, operand_type(0)?),
        Op::Binary(op) => binary(*op, operand(0)?, operand(1)?, operand_type(0)?),
        Op::Convert => convert(operand(0)?, operand_type(0)?, psg.types.get(n.ty)),
        _ => None,
    }
}

/// Bits of an integer type, and whether it is signed.
pub fn int_shape(kind: IntKind) -> (u32, bool) {
    match kind {
        IntKind::I8 => (8, true),
        IntKind::U8 => (8, false),
        IntKind::I16 => (16, true),
        IntKind::U16 => (16, false),
        IntKind::I32 => (32, true),
        IntKind::U32 => (32, false),
        IntKind::I64 | IntKind::ISize => (64, true),
        IntKind::U64 | IntKind::USize => (64, false),
    }
}

/// A 64-bit pattern cut to an integer type and extended again by its sign (constants are kept sign-extended).
pub fn wrap(value: i64, kind: IntKind) -> i64 {
    let (bits, _) = int_shape(kind);
    let unused = 64 - bits;
    (value << unused) >> unused
}

/// A float rounded to its type.
fn round_to(value: f64, kind: FloatKind) -> Option<f64> {
    match kind {
        FloatKind::F64 => Some(value),
        FloatKind::F32 => Some(f64::from(value as f32)),
        // The narrow kinds are left to the target.
        FloatKind::F16 | FloatKind::BF16 => None,
    }
}

fn unary(op: UnOp, value: Const, ty: &Type) -> Option<Const> {
    match (op, value, ty) {
        (UnOp::Neg, Const::Int(v), Type::Int(k)) => Some(Const::Int(wrap(v.wrapping_neg(), *k))),
        (UnOp::BitNot, Const::Int(v), Type::Int(k)) => Some(Const::Int(wrap(!v, *k))),
        (UnOp::Not, Const::Bool(v), _) => Some(Const::Bool(!v)),
        (UnOp::Neg, Const::Float(v), _) => Some(Const::Float(-v)),
        (UnOp::Abs, Const::Float(v), _) => Some(Const::Float(v.abs())),
        (UnOp::Sqrt, Const::Float(v), Type::Float(k)) => match k {
            FloatKind::F32 => Some(Const::Float(f64::from((v as f32).sqrt()))),
            FloatKind::F64 => Some(Const::Float(v.sqrt())),
            FloatKind::F16 | FloatKind::BF16 => None,
        },
        _ => None,
    }
}

fn binary(op: BinOp, a: Const, b: Const, ty: &Type) -> Option<Const> {
    match (a, b, ty) {
        (Const::Int(a), Const::Int(b), Type::Int(kind)) => integer(op, a, b, *kind),
        (Const::Float(a), Const::Float(b), Type::Float(kind)) => float(op, a, b, *kind),
        _ => None,
    }
}

fn integer(op: BinOp, a: i64, b: i64, kind: IntKind) -> Option<Const> {
    let (bits, signed) = int_shape(kind);
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    let (ua, ub) = (a as u64 & mask, b as u64 & mask);
    let count = (b as u32) & (bits - 1);
    let order = if signed { a.cmp(&b) } else { ua.cmp(&ub) };
    let value = match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        // Division by zero must stop the program where it stands.
        BinOp::Div | BinOp::Rem if ub == 0 => return None,
        BinOp::Div => {
            if signed {
                a.wrapping_div(b)
            } else {
                (ua / ub) as i64
            }
        }
        BinOp::Rem => {
            if signed {
                a.wrapping_rem(b)
            } else {
                (ua % ub) as i64
            }
        }
        BinOp::BitAnd => a & b,
        BinOp::BitOr => a | b,
        BinOp::BitXor => a ^ b,
        BinOp::Shl => a << count,
        BinOp::Shr => {
            if signed {
                a >> count
            } else {
                (ua >> count) as i64
            }
        }
        BinOp::Min => {
            if order.is_le() {
                a
            } else {
                b
            }
        }
        BinOp::Max => {
            if order.is_ge() {
                a
            } else {
                b
            }
        }
        BinOp::Eq => return Some(Const::Bool(order.is_eq())),
        BinOp::Ne => return Some(Const::Bool(order.is_ne())),
        BinOp::Lt => return Some(Const::Bool(order.is_lt())),
        BinOp::Le => return Some(Const::Bool(order.is_le())),
        BinOp::Gt => return Some(Const::Bool(order.is_gt())),
        BinOp::Ge => return Some(Const::Bool(order.is_ge())),
        BinOp::Pow | BinOp::Atan2 => return None,
    };
    Some(Const::Int(wrap(value, kind)))
}

fn float(op: BinOp, a: f64, b: f64, kind: FloatKind) -> Option<Const> {
    let value = match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => a * b,
        BinOp::Div => a / b,
        _ => return None,
    };
    // One f64 operation on f32 operands, rounded once more, is the f32 operation (double rounding is innocuous here:
    // 53 >= 2 * 24 + 2, Figueroa 1995).
    round_to(value, kind).map(Const::Float)
}

fn convert(value: Const, from: &Type, to: &Type) -> Option<Const> {
    match (value, from, to) {
        (Const::Int(v), Type::Int(_), Type::Int(k)) => Some(Const::Int(wrap(zero_extended(v, from), *k))),
        (Const::Int(v), Type::Int(k), Type::Float(f)) => {
            let (_, signed) = int_shape(*k);
            let bits = zero_extended(v, from);
            let exact = if signed { bits as f64 } else { bits as u64 as f64 };
            // A 64-bit integer does not fit f64: rounding twice could differ from rounding once to f32.
            let fits = exact as i128 == if signed { i128::from(bits) } else { i128::from(bits as u64) };
            if fits { round_to(exact, *f).map(Const::Float) } else { None }
        }
        (Const::Float(v), Type::Float(_), Type::Float(f)) => round_to(v, *f).map(Const::Float),
        (Const::Float(v), Type::Float(_), Type::Int(IntKind::I32)) => Some(Const::Int(i64::from(v as i32))),
        _ => None,
    }
}

/// The value of a constant of an integer type as 64 bits: unsigned types are zero-extended.
fn zero_extended(value: i64, ty: &Type) -> i64 {
    match ty {
        Type::Int(kind) => match int_shape(*kind) {
            (64, _) | (_, true) => value,
            (bits, false) => value & ((1 << bits) - 1),
        },
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::FuncBuilder;
    use crate::graph::Global;
    use clef_frontend::span::Span;
    use ustr::Ustr;

    /// `let a = 250uy; let b = a + 10uy; let mutable c = 1` and a function that reads all three.
    #[test]
    fn immutable_globals_become_constants_and_wrap() {
        let mut psg = Psg::default();
        let byte = psg.ty(Type::Int(IntKind::U8));
        let unit = psg.ty(Type::Unit);
        let mut global = |name: &str, is_mutable| {
            psg.globals.push(Global { name: Ustr::from(name), ty: byte, is_mutable })
        };
        let (a, b, c) = (global("a", false), global("b", false), global("c", true));
        let mut f = FuncBuilder::new(&mut psg, Span::default());
        let first = f.constant(Const::Int(wrap(250, IntKind::U8)), byte);
        f.push(Op::GlobalSet(a), &[first], unit);
        let read = f.push(Op::GlobalGet(a), &[], byte);
        let ten = f.constant(Const::Int(10), byte);
        let sum = f.push(Op::Binary(BinOp::Add), &[read, ten], byte);
        f.push(Op::GlobalSet(b), &[sum], unit);
        f.push(Op::GlobalSet(c), &[ten], unit);
        let init = f.finish("init", unit, None, 0);
        psg.init = Some(init);
        let mut g = FuncBuilder::new(&mut psg, Span::default());
        let reads = [a, b, c].map(|global| g.push(Op::GlobalGet(global), &[], byte));
        g.finish("reader", unit, None, 0);
        globals(&mut psg);
        assert_eq!(psg.nodes[reads[0]].op, Op::Const(Const::Int(-6)));
        assert_eq!(psg.nodes[reads[1]].op, Op::Const(Const::Int(4)));
        assert_eq!(psg.nodes[reads[2]].op, Op::GlobalGet(c));
    }

    #[test]
    fn unsigned_arithmetic_is_unsigned() {
        let max = wrap(-1, IntKind::U32);
        assert_eq!(integer(BinOp::Div, max, 2, IntKind::U32), Some(Const::Int(0x7fff_ffff)));
        assert_eq!(integer(BinOp::Gt, max, 2, IntKind::U32), Some(Const::Bool(true)));
        assert_eq!(integer(BinOp::Shr, max, 28, IntKind::U32), Some(Const::Int(15)));
        assert_eq!(integer(BinOp::Div, 1, 0, IntKind::I32), None);
    }
}

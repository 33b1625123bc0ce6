//! The least and the greatest value that an `int` expression can have, from the counters and constants in it.
//!
//! What it promises: a value outside of the interval cannot occur. Where arithmetic could wrap, nothing is known.

use super::{High, Range, constant};
use crate::graph::Psg;
use crate::id::{Id, NodeId};
use crate::node::{BinOp, Op};
use crate::ty::Type;
use clef_frontend::ast::IntKind;

/// How deep an expression is followed.
const DEEPEST: u32 = 12;

/// Least and greatest value; none where nothing is known.
pub(super) fn interval(psg: &Psg, node: NodeId, ranges: &[Option<Range>]) -> Option<(i64, i64)> {
    of(psg, node, ranges, DEEPEST)
}

fn of(psg: &Psg, node: NodeId, ranges: &[Option<Range>], depth: u32) -> Option<(i64, i64)> {
    let n = &psg.nodes[node];
    if *psg.types.get(n.ty) != Type::Int(IntKind::I32) || depth == 0 {
        return None;
    }
    if let Some(value) = constant(psg, node) {
        return Some((value, value));
    }
    if let Some(range) = ranges[node.index()] {
        let high = match range.high {
            High::Const(high) => high,
            High::Length { .. } | High::Unknown => i64::from(i32::MAX),
        };
        return (range.low >= i64::from(i32::MIN) && high >= range.low).then_some((range.low, high));
    }
    let Op::Binary(op) = n.op else { return None };
    let b = of(psg, n.operands[1], ranges, depth - 1);
    let a = of(psg, n.operands[0], ranges, depth - 1);
    let (low, high) = match (op, a, b) {
        (BinOp::Add, Some(a), Some(b)) => (a.0 + b.0, a.1 + b.1),
        (BinOp::Sub, Some(a), Some(b)) => (a.0 - b.1, a.1 - b.0),
        (BinOp::Mul, Some(a), Some(b)) => {
            let all = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
            (all.into_iter().min()?, all.into_iter().max()?)
        }
        (BinOp::Min, Some(a), Some(b)) => (a.0.min(b.0), a.1.min(b.1)),
        (BinOp::Max, Some(a), Some(b)) => (a.0.max(b.0), a.1.max(b.1)),
        (BinOp::Div, Some(a), Some((d, e))) if d == e && d > 0 => (a.0 / d, a.1 / d),
        (BinOp::Rem, a, Some((d, e))) if d == e && d > 0 => match a {
            Some((low, high)) if low >= 0 => (0, high.min(d - 1)),
            _ => (1 - d, d - 1),
        },
        // A mask without the sign leaves what it lets through.
        (BinOp::BitAnd, _, Some((m, e))) if m == e && m >= 0 => (0, m),
        // Bits of two that are not negative: none above the highest of either.
        (BinOp::BitOr | BinOp::BitXor, Some(a), Some(b)) if a.0 >= 0 && b.0 >= 0 => {
            let bits = 64 - (a.1 | b.1).leading_zeros();
            (0, (1_i64 << bits) - 1)
        }
        (BinOp::Shr, Some(a), Some((s, e))) if s == e && (0..32).contains(&s) => (a.0 >> s, a.1 >> s),
        _ => return None,
    };
    (low >= i64::from(i32::MIN) && high <= i64::from(i32::MAX)).then_some((low, high))
}

//! Index checks that are provably not needed: clears `checked` on accesses whose index stays inside.
//!
//! What it proves: in a loop whose counter starts at a constant `l >= 0` (or at another such counter plus one) and ends
//! at `length s - k`, an access of `s` at `counter + c` is inside when `l + c >= 0` and `c <= k - 1`; also against constant
//! lengths of array literals, workgroup arrays and `Array` made with a constant length, where the index may be any
//! arithmetic on counters and constants ([`interval`]). Sequences are compared by node, or as reads of one immutable
//! global. What it does not do: follow conditions or variables.
//!
//! Walks each function once, in order; facts live as long as the walk.

mod interval;

use crate::graph::Psg;
use crate::id::{Id, NodeId};
use crate::node::{BinOp, Const, ForKind, Op};

/// What is known of a counter.
#[derive(Clone, Copy)]
struct Range {
    /// The counter is at least this.
    low: i64,
    /// The counter is at most the bound.
    high: High,
}

#[derive(Clone, Copy)]
enum High {
    /// `length of the sequence - k`.
    Length {
        sequence: NodeId,
        minus: i64,
    },
    Const(i64),
    Unknown,
}

/// Clears `checked` wherever the proof succeeds; the number of checks removed.
pub fn remove_checks(psg: &mut Psg) -> usize {
    let mut ranges: Vec<Option<Range>> = vec![None; psg.nodes.len()];
    let mut proven = Vec::new();
    for func in psg.funcs.ids() {
        psg.walk_func(func, &mut |node| visit(psg, node, &mut ranges, &mut proven));
    }
    for &node in &proven {
        match &mut psg.nodes[node].op {
            Op::ArrayGet { checked }
            | Op::ArraySet { checked }
            | Op::BufferGet { checked }
            | Op::BufferSet { checked } => {
                *checked = false;
            }
            _ => {}
        }
    }
    proven.len()
}

fn visit(psg: &Psg, node: NodeId, ranges: &mut [Option<Range>], proven: &mut Vec<NodeId>) {
    let n = &psg.nodes[node];
    let bounds = match n.op {
        Op::Parallel | Op::For(ForKind::Up) => Some((n.operands[0], n.operands[1])),
        Op::For(ForKind::Down) => Some((n.operands[1], n.operands[0])),
        _ => None,
    };
    if let Some((low, high)) = bounds {
        let counter = n.regions.first().and_then(|&r| psg.regions[r].params.first().copied());
        if let (Some(counter), Some(low)) = (counter, at_least(psg, low, ranges)) {
            let high = at_most(psg, high, ranges);
            ranges[counter.index()] = Some(Range { low, high });
        }
        return;
    }
    if let Op::ArrayGet { checked: true }
    | Op::ArraySet { checked: true }
    | Op::BufferGet { checked: true }
    | Op::BufferSet { checked: true } = n.op
    {
        if inside(psg, n.operands[0], n.operands[1], ranges) {
            proven.push(node);
        }
    }
}

fn constant(psg: &Psg, node: NodeId) -> Option<i64> {
    match psg.nodes[node].op {
        Op::Const(Const::Int(v)) => Some(v),
        _ => None,
    }
}

/// `base + offset` of an index expression.
fn split(psg: &Psg, node: NodeId) -> (NodeId, i64) {
    let n = &psg.nodes[node];
    let parts = match n.op {
        Op::Binary(BinOp::Add) => constant(psg, n.operands[1])
            .map(|c| (n.operands[0], c))
            .or_else(|| constant(psg, n.operands[0]).map(|c| (n.operands[1], c))),
        Op::Binary(BinOp::Sub) => constant(psg, n.operands[1]).map(|c| (n.operands[0], -c)),
        _ => None,
    };
    parts.unwrap_or((node, 0))
}

/// A constant that the value is never below. A counter plus one cannot wrap: a counter that ends at a length is below
/// the largest `int`.
fn at_least(psg: &Psg, node: NodeId, ranges: &[Option<Range>]) -> Option<i64> {
    if let Some(value) = constant(psg, node) {
        return Some(value);
    }
    let (base, offset) = split(psg, node);
    let range = ranges[base.index()]?;
    let cannot_wrap =
        offset == 0 || (offset == 1 && matches!(range.high, High::Length { minus, .. } if minus >= 1));
    cannot_wrap.then_some(range.low + offset)
}

fn at_most(psg: &Psg, node: NodeId, ranges: &[Option<Range>]) -> High {
    if let Some(value) = constant(psg, node) {
        return High::Const(value);
    }
    let (base, offset) = split(psg, node);
    match psg.nodes[base].op {
        Op::Length | Op::BufferLength if (-(1 << 30)..=0).contains(&offset) => {
            High::Length { sequence: psg.nodes[base].operands[0], minus: -offset }
        }
        _ => interval::interval(psg, node, ranges).map_or(High::Unknown, |(_, high)| High::Const(high)),
    }
}

fn inside(psg: &Psg, sequence: NodeId, index: NodeId, ranges: &[Option<Range>]) -> bool {
    let (base, offset) = split(psg, index);
    let known_length = known_length(psg, sequence);
    if let Some(length) = known_length {
        return interval::interval(psg, index, ranges).is_some_and(|(low, high)| low >= 0 && high < length);
    }
    let Some(range) = ranges[base.index()] else { return false };
    if range.low.checked_add(offset).is_none_or(|low| low < 0) {
        return false;
    }
    match range.high {
        High::Length { sequence: other, minus } => same(psg, sequence, other) && offset < minus,
        High::Const(_) | High::Unknown => false,
    }
}

/// The length of an array that this function makes with a constant one.
fn known_length(psg: &Psg, sequence: NodeId) -> Option<i64> {
    let n = &psg.nodes[sequence];
    match n.op {
        Op::ArrayLit => Some(n.operands.len() as i64),
        Op::WorkgroupArray(len) | Op::ItemArray(len) => Some(i64::from(len)),
        Op::ArrayNew => constant(psg, n.operands[0]).filter(|&len| len >= 0),
        _ => None,
    }
}

fn same(psg: &Psg, a: NodeId, b: NodeId) -> bool {
    if a == b {
        return true;
    }
    match (&psg.nodes[a].op, &psg.nodes[b].op) {
        (Op::GlobalGet(x), Op::GlobalGet(y)) => x == y && !psg.globals[*x].is_mutable,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::FuncBuilder;
    use crate::ty::Type;
    use clef_frontend::ast::IntKind;
    use clef_frontend::span::Span;

    /// `for i = low to xs.Length - minus do xs.[i + offset]`: is the check removed?
    fn removed(low: i64, minus: i64, offset: i64) -> bool {
        let mut psg = Psg::default();
        let int = psg.ty(Type::Int(IntKind::I32));
        let unit = psg.ty(Type::Unit);
        let array = psg.ty(Type::Array(int));
        let mut f = FuncBuilder::new(&mut psg, Span::default());
        let xs = f.param(array);
        let low = f.constant(Const::Int(low), int);
        let minus = f.constant(Const::Int(minus), int);
        let offset = f.constant(Const::Int(offset), int);
        let length = f.push(Op::Length, &[xs], int);
        let high = f.push(Op::Binary(BinOp::Sub), &[length, minus], int);
        f.open();
        let i = f.region_param(int);
        let index = f.push(Op::Binary(BinOp::Add), &[i, offset], int);
        f.push(Op::ArrayGet { checked: true }, &[xs, index], int);
        let body = f.close(None);
        f.push_with(Op::For(ForKind::Up), &[low, high], &[body], unit);
        f.finish("f", unit, None, 0);
        remove_checks(&mut psg) == 1
    }

    #[test]
    fn only_indices_inside_lose_their_check() {
        assert!(removed(0, 1, 0));
        assert!(removed(1, 1, -1));
        assert!(removed(0, 2, 1));
        assert!(!removed(0, 0, 0), "the last index is the length");
        assert!(!removed(0, 1, 1));
        assert!(!removed(0, 1, -1));
        assert!(!removed(-1, 1, 0));
    }

    /// `for i = 0 to 27 do table.[(i &&& 96) op i]` with a table of `length`: is the check removed?
    fn masked(op: BinOp, length: u32) -> bool {
        let mut psg = Psg::default();
        let int = psg.ty(Type::Int(IntKind::I32));
        let unit = psg.ty(Type::Unit);
        let array = psg.ty(Type::Array(int));
        let mut f = FuncBuilder::new(&mut psg, Span::default());
        let table = f.push(Op::WorkgroupArray(length), &[], array);
        let (low, high) = (f.constant(Const::Int(0), int), f.constant(Const::Int(27), int));
        let mask = f.constant(Const::Int(96), int);
        f.open();
        let i = f.region_param(int);
        let part = f.push(Op::Binary(BinOp::BitAnd), &[i, mask], int);
        let index = f.push(Op::Binary(op), &[part, i], int);
        f.push(Op::ArrayGet { checked: true }, &[table, index], int);
        let body = f.close(None);
        f.push_with(Op::For(ForKind::Up), &[low, high], &[body], unit);
        f.finish("f", unit, None, 0);
        remove_checks(&mut psg) == 1
    }

    /// `for i = 0 to 4 - 1 do table.[i]` with a table of `length`: a bound that is computed of constants.
    #[test]
    fn bounds_may_be_computed() {
        let removed = |length: u32| {
            let mut psg = Psg::default();
            let int = psg.ty(Type::Int(IntKind::I32));
            let unit = psg.ty(Type::Unit);
            let array = psg.ty(Type::Array(int));
            let mut f = FuncBuilder::new(&mut psg, Span::default());
            let table = f.push(Op::WorkgroupArray(length), &[], array);
            let [zero, one, four] = [0, 1, 4].map(|v| f.constant(Const::Int(v), int));
            let last = f.push(Op::Binary(BinOp::Sub), &[four, one], int);
            f.open();
            let i = f.region_param(int);
            f.push(Op::ArrayGet { checked: true }, &[table, i], int);
            let body = f.close(None);
            f.push_with(Op::For(ForKind::Up), &[zero, last], &[body], unit);
            f.finish("f", unit, None, 0);
            remove_checks(&mut psg) == 1
        };
        assert!(removed(4));
        assert!(!removed(3));
    }

    #[test]
    fn bits_of_two_stay_below_the_next_power() {
        for op in [BinOp::BitOr, BinOp::BitXor] {
            assert!(masked(op, 128));
            assert!(!masked(op, 127), "96 and 31 make 127");
        }
    }
}

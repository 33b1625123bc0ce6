//! Index checks of parallel loops, done once before the loop where that is possible.
//!
//! An index that is a sum or product of loop counters and values from outside lies in an interval that is computed
//! from the loops' bounds. Where all such intervals lie inside of their buffers, a body without these checks runs; else
//! the one with all checks, which reports the exact place.
//!
//! Why that is sound though 32-bit arithmetic wraps: wrapping respects sums and products, so an index is congruent to a
//! value of the exact interval modulo 2^32; both lie in 0 .. 2^31, so they are equal. The interval is exact in 64 bits:
//! factors are checked to lie within 2^30, products are not multiplied again, and at most [`PRODUCTS`] are added.

use super::Lower;
use crate::mlir::Value;
use crate::mlir::ops::ICmp;
use clef_frontend::ast::IntKind;
use clef_psg::id::{NodeId, RegionId};
use clef_psg::node::{BinOp, Const, ForKind, Op};
use clef_psg::ty::Type;
use rustc_hash::{FxHashMap, FxHashSet};

/// Lowest and highest value, and how many products are in it.
#[derive(Clone, Copy)]
struct Interval {
    low: Value,
    high: Value,
    products: u32,
}

/// What intervals are computed from: by counter, its lowest and highest bound as nodes.
struct Loops<'a> {
    bounds: FxHashMap<NodeId, (NodeId, NodeId)>,
    inside: &'a FxHashSet<NodeId>,
    /// What must hold for intervals to be exact.
    exact: Vec<Value>,
}

/// Products that one index may add.
const PRODUCTS: u32 = 4;
/// Factors of products lie within plus and minus this.
const FACTOR: i64 = 1 << 30;

/// Deeper index expressions are not followed.
const DEPTH: u32 = 12;

impl Lower<'_> {
    /// The accesses of a parallel loop whose checks one condition covers, and that condition.
    pub(super) fn hoist_checks(
        &mut self,
        node: NodeId,
        region: RegionId,
        inside: &FxHashSet<NodeId>,
    ) -> Option<(Value, FxHashSet<NodeId>)> {
        let psg = self.psg;
        let mut loops = Loops { bounds: FxHashMap::default(), inside, exact: Vec::new() };
        let mut accesses = Vec::new();
        let mut note = |n: NodeId| {
            let counted = &psg.nodes[n];
            let param = counted.regions.first().and_then(|&r| psg.regions[r].params.first().copied());
            match (&counted.op, param) {
                (Op::Parallel | Op::For(ForKind::Up), Some(p)) => {
                    loops.bounds.insert(p, (counted.operands[0], counted.operands[1]));
                }
                (Op::For(ForKind::Down), Some(p)) => {
                    loops.bounds.insert(p, (counted.operands[1], counted.operands[0]));
                }
                (Op::BufferGet { checked: true } | Op::BufferSet { checked: true }, _) => accesses.push(n),
                _ => {}
            }
        };
        note(node);
        psg.walk_region(region, &mut note);
        let mut proven = FxHashSet::default();
        let mut condition: Option<Value> = None;
        for access in accesses {
            let operands = &psg.nodes[access].operands;
            let Some(buffer) = self.kernel_buffers.get(&operands[0]).copied() else { continue };
            let Some(interval) = self.interval(operands[1], &mut loops, DEPTH) else { continue };
            let zero = self.cx.const_i64(0);
            let above = self.cx.icmp(ICmp::Sge, interval.low, zero);
            let limit = self.cx.const_i64(1 << 31);
            let limit = self.cx.binary("llvm.intr.smin", buffer.length, limit);
            let below = self.cx.icmp(ICmp::Slt, interval.high, limit);
            loops.exact.extend([above, below]);
            for c in loops.exact.drain(..) {
                condition = Some(match condition {
                    Some(all) => self.cx.binary("llvm.and", all, c),
                    None => c,
                });
            }
            proven.insert(access);
        }
        condition.map(|c| (c, proven))
    }

    fn interval(&mut self, node: NodeId, loops: &mut Loops, depth: u32) -> Option<Interval> {
        let psg = self.psg;
        let n = &psg.nodes[node];
        if depth == 0 || *psg.types.get(n.ty) != Type::Int(IntKind::I32) {
            return None;
        }
        if let Op::Const(Const::Int(i)) = n.op {
            let v = self.cx.const_i64(i);
            return Some(Interval { low: v, high: v, products: 0 });
        }
        if let Some(&(low, high)) = loops.bounds.get(&node) {
            let (low, high) = (self.interval(low, loops, depth - 1)?, self.interval(high, loops, depth - 1)?);
            return Some(Interval {
                low: low.low,
                high: high.high,
                products: low.products.max(high.products),
            });
        }
        if !loops.inside.contains(&node) {
            let v = self.maybe_value(node)?;
            let v = self.cx.resize_int(v, self.cx.ty.i64, true);
            return Some(Interval { low: v, high: v, products: 0 });
        }
        let Op::Binary(op @ (BinOp::Add | BinOp::Sub | BinOp::Mul)) = n.op else { return None };
        let a = self.interval(n.operands[0], loops, depth - 1)?;
        let b = self.interval(n.operands[1], loops, depth - 1)?;
        Some(match op {
            BinOp::Add => self.pair("llvm.add", a, b, (b.low, b.high)),
            BinOp::Sub => self.pair("llvm.sub", a, b, (b.high, b.low)),
            _ if a.products + b.products > 0 => return None,
            _ => self.product(a, b, loops),
        })
        .filter(|i| i.products <= PRODUCTS)
    }

    fn pair(&mut self, name: &str, a: Interval, b: Interval, (low, high): (Value, Value)) -> Interval {
        Interval {
            low: self.cx.binary(name, a.low, low),
            high: self.cx.binary(name, a.high, high),
            products: a.products + b.products,
        }
    }

    fn product(&mut self, a: Interval, b: Interval, loops: &mut Loops) -> Interval {
        for end in [a.low, a.high, b.low, b.high] {
            let (low, high) = (self.cx.const_i64(-FACTOR), self.cx.const_i64(FACTOR));
            let above = self.cx.icmp(ICmp::Sge, end, low);
            let below = self.cx.icmp(ICmp::Sle, end, high);
            loops.exact.extend([above, below]);
        }
        let mut corners = Vec::new();
        for x in [a.low, a.high] {
            for y in [b.low, b.high] {
                corners.push(self.cx.binary("llvm.mul", x, y));
            }
        }
        let (mut low, mut high) = (corners[0], corners[0]);
        for &c in &corners[1..] {
            low = self.cx.binary("llvm.intr.smin", low, c);
            high = self.cx.binary("llvm.intr.smax", high, c);
        }
        Interval { low, high, products: 1 }
    }
}

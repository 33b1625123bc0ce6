//! Variables that give what they hold: `x <- f x` reads a value and overwrites it before anybody else can see it, so
//! the read takes the variable's reference and the assignment has nothing to drop.

use super::uses::{Site, Uses};
use crate::graph::Psg;
use crate::id::{NodeId, RegionId};
use crate::node::Op;
use rustc_hash::FxHashSet;

/// Reads that empty their variable, and the assignments that fill it again.
#[derive(Default)]
pub struct Given {
    pub reads: FxHashSet<NodeId>,
    pub writes: FxHashSet<NodeId>,
}

/// One access, or a node of a region with accesses inside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read(NodeId),
    Write(NodeId),
    Other,
}

/// Finds them in one function: a read and a write that stand in the same region with no access between.
pub fn given(psg: &Psg, uses: &Uses) -> Given {
    let mut given = Given::default();
    for &var in uses.nodes.iter().filter(|&&n| psg.nodes[n].op == Op::Var) {
        let Some(home) = uses.home(var) else { continue };
        let mut accesses: Vec<(RegionId, usize, Access)> = Vec::new();
        for &site in uses.of(var) {
            let direct = match site {
                Site::Operand(node, 0) if psg.nodes[node].op == Op::VarGet => Access::Read(node),
                Site::Operand(node, 0) if psg.nodes[node].op == Op::VarSet => Access::Write(node),
                _ => Access::Other,
            };
            for (depth, (region, at)) in uses.chain(site, home).enumerate() {
                accesses.push((region, at, if depth == 0 { direct } else { Access::Other }));
            }
        }
        accesses.sort_by_key(|&(region, at, _)| (region, at));
        for pair in accesses.windows(2) {
            if let [(r, p, Access::Read(read)), (s, q, Access::Write(write))] = *pair
                && r == s
                && p < q
            {
                given.reads.insert(read);
                given.writes.insert(write);
            }
        }
    }
    given
}

//! Walks over a function's regions, in the order in which the graph is read.
//!
//! Promises source order and constant stack; does not follow calls.

use crate::graph::Psg;
use crate::id::{FuncId, NodeId, RegionId};

impl Psg {
    /// Every node of `region` and of the regions inside it, a node before the nodes of its regions.
    pub fn walk_region(&self, region: RegionId, visit: &mut dyn FnMut(NodeId)) {
        let mut open = vec![(region, 0usize)];
        while let Some((region, at)) = open.pop() {
            let Some(&node) = self.regions[region].nodes.get(at) else { continue };
            open.push((region, at + 1));
            visit(node);
            open.extend(self.nodes[node].regions.iter().rev().map(|&r| (r, 0)));
        }
    }

    /// Every node of a function's body.
    pub fn walk_func(&self, func: FuncId, visit: &mut dyn FnMut(NodeId)) {
        self.walk_region(self.funcs[func].body, visit);
    }
}

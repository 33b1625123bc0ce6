//! Where values are used, and where those places stand in the nesting of regions.

use crate::graph::Psg;
use crate::id::{FuncId, NodeId, RegionId};
use crate::node::Op;
use rustc_hash::FxHashMap;

/// A use of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Site {
    /// Operand of a node, by position.
    Operand(NodeId, u32),
    /// What a region yields.
    Result(RegionId),
}

/// Structure and uses of one function.
#[derive(Default)]
pub struct Uses {
    /// Region and position of each node.
    place: FxHashMap<NodeId, (RegionId, usize)>,
    /// The control node that runs a region; none for the body.
    owner: FxHashMap<RegionId, NodeId>,
    sites: FxHashMap<NodeId, Vec<Site>>,
    /// All nodes in order, and all regions.
    pub nodes: Vec<NodeId>,
    pub regions: Vec<RegionId>,
}

/// Position of a region's result: behind all nodes.
pub const AT_RESULT: usize = usize::MAX;

impl Uses {
    pub fn new(psg: &Psg, func: FuncId) -> Self {
        let mut uses = Self::default();
        let mut open = vec![psg.funcs[func].body];
        while let Some(region) = open.pop() {
            uses.regions.push(region);
            for (at, &node) in psg.regions[region].nodes.iter().enumerate() {
                uses.nodes.push(node);
                uses.place.insert(node, (region, at));
                for (i, &operand) in psg.nodes[node].operands.iter().enumerate() {
                    uses.sites.entry(operand).or_default().push(Site::Operand(node, i as u32));
                }
                for &inner in &psg.nodes[node].regions {
                    uses.owner.insert(inner, node);
                    open.push(inner);
                }
            }
            if let Some(result) = psg.regions[region].result {
                uses.sites.entry(result).or_default().push(Site::Result(region));
            }
        }
        uses
    }

    pub fn of(&self, value: NodeId) -> &[Site] {
        self.sites.get(&value).map_or(&[], Vec::as_slice)
    }

    /// The region that a node stands in.
    pub fn home(&self, node: NodeId) -> Option<RegionId> {
        self.place.get(&node).map(|p| p.0)
    }

    /// The region that a node stands in, and its position there.
    pub fn place(&self, node: NodeId) -> Option<(RegionId, usize)> {
        self.place.get(&node).copied()
    }

    /// The places that a use has in the regions around it, from the innermost to `home`.
    pub fn chain(&self, site: Site, home: RegionId) -> impl Iterator<Item = (RegionId, usize)> {
        let mut next = match site {
            Site::Result(region) => self.owner.get(&region).copied(),
            Site::Operand(node, _) => Some(node),
        };
        std::iter::from_fn(move || {
            let (region, at) = self.place(next?)?;
            next = if region == home { None } else { self.owner.get(&region).copied() };
            Some((region, at))
        })
    }

    /// Position in `region` of the node that a use belongs to, directly or by nesting.
    pub fn position(&self, site: Site, region: RegionId) -> Option<usize> {
        let mut at = match site {
            Site::Result(r) if r == region => return Some(AT_RESULT),
            Site::Result(r) => *self.owner.get(&r)?,
            Site::Operand(node, _) => node,
        };
        loop {
            let &(here, position) = self.place.get(&at)?;
            if here == region {
                return Some(position);
            }
            at = *self.owner.get(&here)?;
        }
    }

    /// Whether a use is inside a region, at any depth.
    pub fn inside(&self, site: Site, region: RegionId) -> bool {
        self.position(site, region).is_some()
    }
}

/// Whether a use takes the reference that it is given. `owns`: whether a function owns a parameter.
pub fn takes(psg: &Psg, site: Site, owns: impl Fn(FuncId, u32) -> bool) -> bool {
    let Site::Operand(node, i) = site else { return true };
    match psg.nodes[node].op {
        Op::Call { func, .. } => owns(func, i),
        ref op => keeps(op, i),
    }
}

/// Whether an operation other than a call keeps its n-th operand.
pub fn keeps(op: &Op, i: u32) -> bool {
    match op {
        Op::Make(_) | Op::ArrayLit | Op::Closure(_) | Op::Var | Op::GlobalSet(_) => true,
        Op::ArrayNew | Op::VarSet | Op::SetField(_) => i == 1,
        Op::ArraySet { .. } => i == 2,
        _ => false,
    }
}

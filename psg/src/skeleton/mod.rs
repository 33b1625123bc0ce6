//! What a program does to buffers, and nothing else: the input of the fence analysis and of its checker.
//!
//! A [`Skeleton`] is a tree of sequences, branches and loops over *events*. An event is one execution of a *site* (a
//! node of the graph that touches buffers) with the accesses that this execution may make. Calls are inlined, so that a
//! helper's site stands in the tree once for each way to reach it; recursive functions and very large call trees share
//! one body ([`Step::Call`]).
//!
//! Promises: each access that a run may make is in the tree, in an order that the run may have; an access `covers`
//! only where it is certain. Decides nothing about synchronisation: which pairs of accesses matter and what they need
//! is worked out twice, by `fences` and, sharing no code with it, by `certify`.

pub mod dsl;
pub mod extract;
mod quiet;
#[cfg(test)]
mod tests;
mod values;

use crate::id::NodeId;
use crate::plan::{Access, Context, Location};
use smallvec::SmallVec;

/// Where the host thread and the NPU stand in [`Skeleton::contexts`]; GPU queues follow.
pub const CPU: u8 = 0;
/// See [`CPU`].
pub const NPU: u8 = 1;

/// Pending accesses of one location beyond which the older ones of a context are represented by its newest: whatever is
/// ordered after the newest is ordered after them, so only the listed pairs get fewer.
pub const EPOCH: usize = 16;

/// A program's accesses in their control structure.
#[derive(Clone, Debug, Default)]
pub struct Skeleton {
    /// CPU, NPU, then the GPU queues that the program uses, by device and queue.
    pub contexts: Vec<Context>,
    pub sites: Vec<Site>,
    /// Each pair of site and location once.
    pub accesses: Vec<Access>,
    /// By access.
    pub access_site: Vec<u32>,
    pub locations: Vec<Location>,
    /// The program.
    pub body: Block,
    /// Bodies that several calls share.
    pub shared: Vec<Block>,
    /// `signalCompletion` nodes with the locations that they may name.
    pub markers: Vec<(NodeId, Vec<u32>)>,
    /// Loops stand in the tree this often: [`Step::Loop`]'s ids are below it.
    pub loops: u32,
    /// The graph's loops, by [`Step::Loop`]'s `anchor`.
    pub anchors: Vec<NodeId>,
    /// By location; shorter where the last ones are no allocations.
    pub residency: Vec<Residency>,
}

/// A node of the graph that touches buffers.
#[derive(Clone, Debug)]
pub struct Site {
    pub node: NodeId,
    /// Where its accesses happen, as far as synchronisation goes: index into [`Skeleton::contexts`]. Extern calls
    /// complete before they return, so they are the host's whatever agent they run on.
    pub context: u8,
    /// Runs after the host has gone on.
    pub dispatch: bool,
    /// Not the node itself but what follows it (a value leaves an exported function).
    pub after: bool,
}

/// What an allocation says about its use.
#[derive(Clone, Debug, Default)]
pub struct Residency {
    /// The buffer's `Agents`, where they are known. A GPU's queue is 0.
    pub agents: Option<Vec<Context>>,
    /// The case of the hint: 0 `PreferCPU`, 1 `PreferGPU`, 2 `PreferNPU`, 3 `BalancedAccess`.
    pub hint: Option<u32>,
}

/// Steps from first to last.
pub type Block = Vec<Step>;

#[derive(Clone, Debug)]
pub enum Step {
    /// The site runs and may make these accesses (indices into [`Skeleton::accesses`]).
    Event { site: u32, accesses: SmallVec<[u32; 3]> },
    /// A new buffer takes the location: what was done to the one before it is over.
    Fresh(u32),
    /// Index into [`Skeleton::markers`].
    Marker(u32),
    /// One of the blocks runs.
    Branch(Vec<Block>),
    /// `head` runs, then, any number of times, `body` and `head` again.
    Loop { anchor: u32, id: u32, head: Block, body: Block },
    /// A shared body runs.
    Call(u32),
    /// The program ends here.
    Stop,
}

impl Skeleton {
    /// Device of a GPU queue.
    pub fn device(&self, context: u8) -> Option<u8> {
        match self.contexts[context as usize] {
            Context::Gpu { device, .. } => Some(device),
            Context::Cpu | Context::Npu => None,
        }
    }

    /// Do two accesses make a handoff, as far as agents go? The labels count, not where synchronisation happens.
    pub fn crosses(&self, from: u32, to: u32) -> bool {
        let (a, b) = (self.accesses[from as usize].context, self.accesses[to as usize].context);
        a != b || matches!(a, Context::Gpu { .. })
    }

    /// Number of events in the tree.
    pub fn events(&self) -> usize {
        fn count(block: &Block) -> usize {
            block
                .iter()
                .map(|step| match step {
                    Step::Event { .. } => 1,
                    Step::Branch(arms) => arms.iter().map(count).sum(),
                    Step::Loop { head, body, .. } => count(head) + count(body),
                    Step::Fresh(_) | Step::Marker(_) | Step::Call(_) | Step::Stop => 0,
                })
                .sum()
        }
        count(&self.body) + self.shared.iter().map(count).sum::<usize>()
    }
}

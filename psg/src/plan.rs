//! Accesses, handoffs, plans and certificates: the one set of types that analysis, checker, lowering and views share.
//!
//! The rules are those of docs/fences.md. Ids are indices into the lists of [`FencePlan`].

use crate::id::{ExternId, KernelId, NodeId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use ustr::Ustr;

/// A place where accesses happen in order: the host thread or a queue of a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Context {
    Cpu,
    Gpu { device: u8, queue: u8 },
    Npu,
}

impl std::fmt::Display for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Context::Cpu => write!(f, "CPU"),
            Context::Gpu { device, queue } => write!(f, "GPU{device}.{queue}"),
            Context::Npu => write!(f, "NPU"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Mode {
    Read,
    Write,
    ReadWrite,
}

impl Mode {
    pub fn reads(self) -> bool {
        self != Mode::Write
    }

    pub fn writes(self) -> bool {
        self != Mode::Read
    }

    #[must_use]
    pub fn join(self, other: Mode) -> Mode {
        if self == other { self } else { Mode::ReadWrite }
    }

    pub fn text(self) -> &'static str {
        match self {
            Mode::Read => "r",
            Mode::Write => "w",
            Mode::ReadWrite => "rw",
        }
    }
}

/// What a host executable pays for and obeys. Cost tables are data, see [`CostTable`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Scope {
    Agent,
    System,
}

/// How synchronisation works on a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Family {
    /// Packets with acquire and release scopes, barrier-and packets.
    Hsa,
    /// Pipeline barriers in command streams, timeline semaphores.
    Vulkan,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CostTable {
    pub name: Ustr,
    pub family: Family,
    pub wait: u32,
    pub barrier: u32,
    /// Vulkan only.
    pub semaphore: u32,
    pub release_agent: u32,
    pub release_system: u32,
    pub acquire_agent: u32,
    pub acquire_system: u32,
    pub clean: u32,
}

/// An allocation site, or another source of memory that the program may touch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Location {
    pub name: String,
    pub kind: LocationKind,
    /// The allocating node, where there is one.
    pub node: Option<NodeId>,
    /// May stand for several buffers alive at once.
    pub summary: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum LocationKind {
    Allocation,
    /// A buffer parameter of a library's root function.
    RootParam {
        func: Ustr,
        index: u32,
    },
    /// All that a foreign library keeps behind a handle that this extern returned.
    Handle(ExternId),
    /// An address of unknown origin: may be any buffer.
    Unknown,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Access {
    pub node: NodeId,
    pub context: Context,
    pub mode: Mode,
    /// A write of every element for certain.
    pub covers: bool,
    /// Index into [`FencePlan::locations`].
    pub location: u32,
    pub what: AccessKind,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum AccessKind {
    Host,
    Kernel(KernelId),
    Extern(ExternId),
    /// A buffer that enters or leaves the analysed program.
    Boundary,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub enum HandoffKind {
    ReadWrite,
    WriteWrite,
    WriteRead,
}

impl HandoffKind {
    pub fn text(self) -> &'static str {
        match self {
            HandoffKind::WriteRead => "w->r",
            HandoffKind::WriteWrite => "w->w",
            HandoffKind::ReadWrite => "r->w",
        }
    }
}

/// Two conflicting accesses of which the second may follow the first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Handoff {
    /// Indices into [`FencePlan::accesses`].
    pub from: u32,
    pub to: u32,
    pub kind: HandoffKind,
    pub location: u32,
}

/// Where a host-side element stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Point {
    Before(NodeId),
    After(NodeId),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Element {
    pub kind: ElementKind,
    pub cost: u32,
    /// Indices of the handoffs that need it.
    pub covers: Vec<u32>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ElementKind {
    /// The host waits for the newest execution of a GPU or NPU dispatch.
    Wait {
        at: Point,
        on: NodeId,
    },
    /// HSA: a barrier-and packet before a dispatch, on another queue's dispatch.
    BarrierAnd {
        before: NodeId,
        on: NodeId,
    },
    /// Vulkan: a pipeline barrier directly before or behind a dispatch.
    PipelineBarrier {
        at: Point,
    },
    /// Vulkan: a timeline semaphore wait before a dispatch.
    Semaphore {
        before: NodeId,
        on: NodeId,
    },
    Release {
        dispatch: NodeId,
        scope: Scope,
    },
    Acquire {
        dispatch: NodeId,
        scope: Scope,
    },
    /// Host cache clean at the doorbell of an NPU dispatch.
    Clean {
        dispatch: NodeId,
    },
}

/// Why a handoff is satisfied: the hops that make the first access's effect reach the second.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Chain {
    /// Indices into [`FencePlan::elements`], in the order of the hops. Few, and there are many chains: in place.
    pub elements: SmallVec<[u32; 4]>,
    /// One sentence for people; interned, since there are few different ones.
    pub reason: Ustr,
}

/// `signalCompletion` in the source.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Marker {
    pub node: NodeId,
    pub locations: Vec<u32>,
    /// Handoffs that it announces.
    pub announces: Vec<u32>,
}

/// The result of the fence analysis for one cost table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FencePlan {
    pub table: CostTable,
    pub locations: Vec<Location>,
    pub accesses: Vec<Access>,
    pub handoffs: Vec<Handoff>,
    pub elements: Vec<Element>,
    /// By handoff.
    pub certificate: Vec<Chain>,
    pub markers: Vec<Marker>,
}

impl FencePlan {
    pub fn cost(&self) -> u32 {
        self.elements.iter().map(|e| e.cost).sum()
    }
}

/// What one route must do, by node: the form in which lowering, interpreter and tests read a plan.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NodeSync {
    /// Host waits before the node: dispatches waited for.
    pub waits: BTreeMap<NodeId, Vec<NodeId>>,
    /// Host waits after the node.
    pub waits_after: BTreeMap<NodeId, Vec<NodeId>>,
    /// By dispatch.
    pub dispatches: BTreeMap<NodeId, DispatchSync>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct DispatchSync {
    pub acquire: Option<Scope>,
    pub release: Option<Scope>,
    pub clean: bool,
    /// Barrier-and packets or semaphores: dispatches of other queues.
    pub after: Vec<NodeId>,
    /// Vulkan: a pipeline barrier before / behind it.
    pub barrier_before: bool,
    pub barrier_behind: bool,
}

//! What is known about kernels: effects of parameters and the launch shape. Travels to the back end.

use crate::id::{FuncId, IdVec, KernelId, NodeId, RegionId};
use crate::plan::Mode;
use serde::{Deserialize, Serialize};

/// Facts of every kernel of a program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelFacts {
    pub kernels: IdVec<KernelId, KernelInfo>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelInfo {
    /// By parameter.
    pub params: Vec<ParamFact>,
    /// None of a prebuilt kernel.
    pub shape: Option<KernelShape>,
    /// What the kernel's value may be, where that is (or contains) a buffer.
    pub returned: Vec<Returned>,
}

/// What a kernel does with one parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamFact {
    /// None: a scalar, or a buffer whose elements the kernel does not touch.
    pub mode: Option<Mode>,
    /// Every element is written for certain, whatever the scalars are, before the kernel ends.
    pub covers: bool,
}

/// Where a buffer in a kernel's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Returned {
    Param(u32),
    /// Allocated by this node of the kernel.
    Allocated(NodeId),
    Unknown,
}

/// How a kernel runs on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelShape {
    /// The function analysed: `Kernel::func` after inlining.
    pub func: FuncId,
    /// Launches, in order. A phase's writes are complete before the next one begins.
    pub phases: Vec<Phase>,
    /// Why there is no GPU form: a place and the reason in the user's words. Host forms always exist.
    pub obstacle: Option<Obstacle>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Obstacle {
    pub node: NodeId,
    pub why: String,
}

/// One launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Nodes of the kernel's top level before the phase that have no effect: each work-item (and the computation of
    /// the extents) may compute them again. In order; with their regions.
    pub prologue: Vec<NodeId>,
    /// One to three `Parallel` nodes, from the outermost to the innermost. Their bounds are uniform. Empty: a phase
    /// of one work-item, which runs `serial`.
    pub loops: Vec<NodeId>,
    /// The body of the innermost loop. Nodes between nested loops (pure) stand in the outer loops' regions.
    pub body: Option<RegionId>,
    /// Top-level nodes with effects, where `loops` is empty.
    pub serial: Vec<NodeId>,
}

//! The program semantic graph: functions, kernels, globals and externs over one arena of nodes.
//!
//! See the crate's page for what the graph means. The arena is the truth; [`Psg::edges`] gives the petgraph view
//! that walks and pictures use.

use crate::id::{ExternId, FuncId, GlobalId, IdVec, KernelId, NodeId, RegionId, TypeId};
use crate::node::Node;
use crate::ty::Types;
use clef_frontend::span::{LineIndex, Span};
use clef_frontend::typed::ParamEffect;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use ustr::Ustr;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Psg {
    pub types: Types,
    pub nodes: IdVec<NodeId, Node>,
    /// Where each node comes from.
    pub spans: IdVec<NodeId, Span>,
    pub regions: IdVec<RegionId, Region>,
    pub funcs: IdVec<FuncId, Func>,
    pub globals: IdVec<GlobalId, Global>,
    pub externs: IdVec<ExternId, Extern>,
    pub kernels: IdVec<KernelId, Kernel>,
    /// Initialises the globals and runs top-level effects, in order. Called first.
    pub init: Option<FuncId>,
    /// `main`: takes `string array`, returns `int`.
    pub entry: Option<FuncId>,
    /// Exported functions of a library.
    pub roots: Vec<FuncId>,
    /// By file id: the name shown to the user and its lines.
    pub files: Vec<FileInfo>,
    /// What the source calls a buffer that a node gives (`let a = ...`), for messages.
    pub names: std::collections::BTreeMap<NodeId, Ustr>,
    /// Calls of the module `Tile` that were copied into kernels.
    pub tiles: Vec<crate::kernel::tiles::TileCall>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileInfo {
    pub name: String,
    pub lines: LineIndex,
}

/// Operations in order, with the value they yield.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Region {
    pub params: SmallVec<[NodeId; 1]>,
    pub nodes: Vec<NodeId>,
    /// A node of this region or of one around it; none where the value is unit and nobody needs it.
    pub result: Option<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Func {
    /// Unique, readable: `Main.square`, `List.map<int,int>#2`.
    pub name: Ustr,
    /// `Op::Param` nodes. A lambda's captured values come last.
    pub params: Vec<NodeId>,
    pub ret: TypeId,
    pub body: RegionId,
    pub span: Span,
    /// How many of the parameters are captures (of a lambda).
    pub captures: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Global {
    pub name: Ustr,
    pub ty: TypeId,
    pub is_mutable: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extern {
    pub library: Ustr,
    pub entry: Ustr,
    pub params: Vec<(Ustr, TypeId, Option<ParamEffect>)>,
    pub ret: TypeId,
    pub span: Span,
}

/// A kernel: an ordinary function that an agent runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    pub name: Ustr,
    /// Nothing where the code is in a prebuilt file.
    pub func: Option<FuncId>,
    pub params: Vec<KernelParam>,
    /// Its form for one thread, where work-items of a workgroup meet at barriers; see `kernel::workgroups`.
    pub host: Option<FuncId>,
    /// Work-items of a workgroup in x (the innermost loop), y and z, where the source says it.
    pub workgroup: Option<[u32; 3]>,
    /// The prebuilt file.
    pub object: Option<Ustr>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelParam {
    pub name: Ustr,
    /// As declared: a buffer record or a scalar.
    pub ty: TypeId,
    /// The element type where this is a buffer.
    pub element: Option<TypeId>,
    /// Declared effect, of prebuilt kernels.
    pub declared: Option<ParamEffect>,
}

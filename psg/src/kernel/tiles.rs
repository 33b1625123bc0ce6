//! Calls of the library's module `Tile` in kernels: pieces of matrices that a team of work-items multiplies.
//!
//! What a call means is in the library, in Clef, and is copied into the kernel like any helper. Beside the copy the graph
//! keeps what was called with what, so that a route whose devices have matrix instructions can use these in its place.
//! Nothing else looks at this table.

use crate::graph::Psg;
use crate::id::{FuncId, NodeId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TileOp {
    /// down, across, sums.
    Clear,
    /// lane, down, across, a, firstA, strideA, b, firstB, strideB, sums.
    Multiply,
    /// lane, down, across, sums, c, first, stride.
    Store,
}

/// A call, and the operations that stand in its place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TileCall {
    pub op: TileOp,
    pub args: Vec<NodeId>,
    /// In order; those of regions inside are not listed.
    pub nodes: Vec<NodeId>,
}

/// What a function is to tiles, if it is one of the library's.
pub fn operation(psg: &Psg, func: FuncId) -> Option<TileOp> {
    let func = &psg.funcs[func];
    let op = match func.name.as_str() {
        "Tile.clear" => TileOp::Clear,
        "Tile.multiply" => TileOp::Multiply,
        "Tile.store" => TileOp::Store,
        _ => return None,
    };
    let file = psg.files.get(func.span.file.0 as usize)?;
    (file.name == "stdlib/Tile.clef").then_some(op)
}

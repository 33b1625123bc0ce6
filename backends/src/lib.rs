//! Lowering of the graph to MLIR and through it to native code. A pure function from a [`job::Job`] to bytes or text.
//!
//! The binary `clefc-backend` reads a job from standard input and writes the [`job::Answer`]; it is the only program
//! that maps LLVM. Only `mlir/` names melior.
//!
//! - [`aie`]: NPU dispatches as MLIR of the AIE dialects
//! - [`layout`]: native layout of types
//! - [`lower`]: graph to MLIR, one file for each family of operations
//! - [`mlir`]: context, operations, passes, emission

pub mod aie;
mod dispatch;
pub mod gpu;
pub mod layout;
pub mod lower;
pub mod mlir;
mod run;
mod scc;

pub use clef_psg::job;
pub use run::run;

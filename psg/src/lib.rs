//! The program semantic graph (PSG): what the program means, which memory it touches, and where it must synchronise.
//!
//! # What the graph is
//!
//! A [`graph::Psg`] holds monomorphic functions. A function's body is a tree of regions; a region is a list of
//! operations ([`node::Node`]) executed from first to last. Control operations (`If`, `Switch`, `While`, `For`,
//! `Parallel`) own regions; there are no jumps, so every stage can follow the structure of the source, and code for
//! GPUs is structured by construction.
//!
//! # Meaning
//!
//! - *Evaluation order* is the order in regions. Operands name earlier nodes of the same region or of one around it.
//! - *A node's value* is computed once each time its region runs past it, and does not change until it runs again.
//! - *Scope*: a value is visible to later nodes of its region and inside their regions.
//! - *Saturation*: calls have exactly as many arguments as the callee has parameters; partial application was turned
//!   into closures when the graph was built.
//! - *Structural* equality, comparison, hashing and `%A` formatting were turned into functions, type by type.
//! - *Agents*: a `Dispatch` starts work; the sequential meaning is as if it ran to its end there. What must be done
//!   so that the asynchronous machine keeps that meaning is the fence plan's business ([`plan`]), not the graph's.
//! - `Marker` (`signalCompletion`) means nothing.
//! - The interpreter is the meaning: native code on every agent must agree with it.
//!
//! # What stages may assume
//!
//! A graph that [`verify`] accepts lowers without panic. Facts live in side tables by id. Any stage can be printed and
//! the printing is deterministic.

pub mod audit;
pub mod bounds;
pub mod build;
pub mod builder;
pub mod certify;
pub mod fences;
pub mod fold;
pub mod graph;
pub mod handles;
pub mod id;
pub mod interp;
pub mod intrinsics;
pub mod job;
pub mod kernel;
pub mod node;
pub mod plan;
pub mod rc;
pub mod skeleton;
pub mod text;
pub mod ty;
pub mod verify;
pub mod view;
pub mod walk;

//! The runtime shim: memory, text, agents, dispatch, behind a C ABI.
//!
//! It knows nothing of the compiler. [`abi`] is the contract with compiled code. Modules without agents ([`text`]) are
//! also used by the interpreter as ordinary Rust.

pub mod abi;
#[cfg(feature = "agents")]
pub mod memory;
#[cfg(feature = "agents")]
pub mod output;
#[cfg(feature = "agents")]
pub mod start;
#[cfg(feature = "agents")]
pub mod stop;
#[cfg(feature = "agents")]
pub mod vulkan;

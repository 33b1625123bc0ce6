//! The runtime shim: memory, text, agents, dispatch, behind a C ABI.
//!
//! It knows nothing of the compiler. [`abi`] is the contract with compiled code. Modules without agents ([`text`]) are
//! also used by the interpreter as ordinary Rust.

pub mod abi;
#[cfg(feature = "agents")]
pub mod adversarial;
#[cfg(feature = "agents")]
pub mod affinity;
#[cfg(feature = "agents")]
pub mod agents;
#[cfg(feature = "agents")]
pub mod buffers;
#[cfg(feature = "agents")]
pub mod futex;
#[cfg(feature = "discover")]
pub mod hsa;
#[cfg(feature = "agents")]
pub mod intrinsics;
#[cfg(feature = "agents")]
pub mod library;
#[cfg(feature = "discover")]
pub mod listing;
#[cfg(feature = "agents")]
pub mod memory;
#[cfg(feature = "agents")]
pub mod output;
#[cfg(feature = "agents")]
pub mod pool;
#[cfg(feature = "agents")]
pub mod start;
#[cfg(feature = "agents")]
pub mod stop;
pub mod text;
#[cfg(feature = "agents")]
pub mod trace;
#[cfg(feature = "agents")]
pub mod vulkan;

//! Agents through HSA: a library with the interface of ROCr's `libhsa-runtime64.so.1`, loaded at run time.
//!
//! - [`sys`]: the C interface. [`discover`]: finding a library and its agents, also for `clefc agents`.
//! - [`machine`]: the chosen agents and memory pools, opened once, with a trial of everything that can fail.
//! - [`code`]: code objects by the agents' instruction sets. [`objects`]: those that the program carries. [`npu`]: images and instructions for the NPU. [`memory`]: unified buffers and kernel arguments.
//! - [`queue`]: the table of [`crate::agents::table`] over the library: rings, packets, signals, errors.
//!
//! It does not: bring kernels for an instruction set itself (the executable carries them), use devices of other
//! makers, or survive the loss of a device (which is reported with the kernel and its line).

#[cfg(feature = "agents")]
pub mod code;
pub mod discover;
#[cfg(feature = "agents")]
pub mod machine;
#[cfg(feature = "agents")]
pub mod memory;
#[cfg(feature = "agents")]
pub mod npu;
#[cfg(feature = "agents")]
pub mod objects;
#[cfg(feature = "agents")]
pub mod queue;
pub mod sys;

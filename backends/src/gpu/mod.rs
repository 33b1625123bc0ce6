//! GPU forms of kernels.
//!
//! [`spirv`] turns one launch of a kernel into a `spirv.module`, as MLIR text with a location on every operation. Text,
//! because the SPIR-V dialect has no typed builders in our bindings and because it is what `emit mlir` shows anyway; the
//! wall (`mlir/`) parses, verifies and serialises it.

pub mod spirv;

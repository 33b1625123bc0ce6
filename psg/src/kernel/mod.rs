//! Kernels: what they do to their parameters and how they are launched.
//!
//! Three steps, in this order:
//!
//! 1. [`inline`] gives every kernel a function of its own in which no call of a helper is left. The original function
//!    stays as it is, for ordinary callers.
//! 2. [`analyse`] infers effects and coverage per parameter, splits the body into launch phases, and reports what a
//!    kernel may not do.
//!
//! 3. [`workgroups::workgroups`] gives kernels with barriers a form for one thread.
//!
//! Promises: a parameter that the kernel may read or write is never reported as untouched; `covers` is claimed only
//! where every element is written whatever the scalars are. Buffers are told apart by parameter; the same buffer may
//! be passed twice. Does not look at dispatches' arguments.

mod check;
mod effects;
pub mod facts;
mod inline;
mod shape;
pub mod tiles;
pub mod workgroups;

use crate::graph::{Kernel, Psg};
use crate::plan::Mode;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::typed::ParamEffect;
pub use facts::{KernelFacts, KernelInfo, KernelShape, ParamFact, Phase, Returned};
pub use inline::inline;

/// Facts of all kernels, with what is wrong with them. Wants [`inline`] to have run: a call left in a kernel (a
/// recursive one) counts as reading and writing all buffers given to it.
pub fn analyse(psg: &Psg) -> (KernelFacts, Vec<Diagnostic>) {
    let mut facts = KernelFacts::default();
    let mut diagnostics = Vec::new();
    for (_, kernel) in psg.kernels.iter() {
        let info = match kernel.func {
            Some(func) => {
                let mut info = effects::infer(psg, kernel, func);
                let (shape, found) = shape::shape(psg, kernel, func);
                info.shape = Some(shape);
                diagnostics.extend(found);
                diagnostics.extend(check::check_body(psg, kernel, func));
                info
            }
            None => declared(kernel),
        };
        facts.kernels.push(info);
    }
    diagnostics.extend(check::check_dispatches(psg, &facts));
    (facts, diagnostics)
}

/// A prebuilt kernel does what its declaration says; where that is silent, it may do anything.
fn declared(kernel: &Kernel) -> KernelInfo {
    let params = kernel.params.iter().map(|p| ParamFact {
        mode: p.element.map(|_| match p.declared {
            Some(ParamEffect::Reads) => Mode::Read,
            Some(ParamEffect::Writes) => Mode::Write,
            Some(ParamEffect::ReadsWrites | ParamEffect::Releases) | None => Mode::ReadWrite,
        }),
        covers: false,
    });
    KernelInfo { params: params.collect(), shape: None, returned: Vec::new() }
}

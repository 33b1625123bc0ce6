//! The fence analysis: which handoffs a program makes, the cheapest synchronisation for them, and why it is enough.
//!
//! From the skeleton of the program ([`crate::skeleton`]): [`flow`] finds the handoffs, [`place`] and [`exact`] choose
//! elements, [`proof`] says for each handoff which elements satisfy it. The rules are those of docs/fences.md.
//!
//! Promises: the plan satisfies every handoff on every path; no element can be taken away or narrowed (where the
//! program is small enough to try, see [`place`]); straight-line programs of up to a dozen accesses get the cheapest
//! plan there is; markers change nothing; the result is deterministic. Whether it is right is checked again, by other
//! code, in [`crate::certify`].

mod demand;
mod exact;
mod flow;
mod loops;
mod markers;
mod place;
mod proof;
mod residency;
mod state;
mod sync;
pub mod tables;
#[cfg(test)]
mod tests;
mod trial;
pub mod view;

use crate::graph::Psg;
use crate::kernel::KernelFacts;
use crate::plan::{CostTable, FencePlan};
use crate::skeleton::{Skeleton, extract};
use clef_frontend::diagnostic::Diagnostic;
use std::collections::BTreeMap;

/// What the plan is for.
#[derive(Clone, Debug)]
pub struct FenceOptions {
    pub table: CostTable,
    /// Agents (`CPU`, `GPU`, `NPU`) of extern entry points; all others run on the CPU.
    pub agents: BTreeMap<String, String>,
}

/// The plan of a program, and what is to be said about its buffers.
pub fn analyse(psg: &Psg, kernels: &KernelFacts, options: &FenceOptions) -> (FencePlan, Vec<Diagnostic>) {
    let work = || {
        let skeleton = extract::extract(psg, kernels, &options.agents);
        let plan = plan(&skeleton, &options.table);
        let mut diagnostics = residency::check(psg, &skeleton);
        diagnostics.extend(markers::contradicted(psg, &skeleton));
        (plan, diagnostics)
    };
    clef_frontend::deep::run(work).unwrap_or_else(|why| panic!("no thread for the fence analysis: {why}"))
}

/// The plan of a skeleton.
pub fn plan(skeleton: &Skeleton, table: &CostTable) -> FencePlan {
    let placement = place::place(skeleton, table);
    proof::assemble(skeleton, table, placement)
}

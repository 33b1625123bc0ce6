//! Mutation of a plan: every element taken away in turn, every scope narrowed in turn; the checker must reject each.
//!
//! A mutant that survives means that the plan pays for something that nothing needs.

use crate::certify;
use crate::graph::Psg;
use crate::kernel::KernelFacts;
use crate::plan::{ElementKind, FencePlan, Scope};
use crate::skeleton::Skeleton;

/// One mutant.
#[derive(Clone, PartialEq, Debug)]
pub struct Mutant {
    /// Index of the changed element.
    pub element: u32,
    /// The scope was narrowed; otherwise the element was taken away.
    pub narrowed: bool,
    /// Why the checker rejected it; nothing where it did not.
    pub caught: Option<certify::Rejection>,
}

/// All mutants of a program's plan, in the order of the elements.
pub fn audit(psg: &Psg, kernels: &KernelFacts, plan: &FencePlan) -> Vec<Mutant> {
    mutants(plan, |mutant| certify::check(psg, kernels, mutant).err())
}

/// The same for a skeleton.
pub fn audit_skeleton(skeleton: &Skeleton, plan: &FencePlan) -> Vec<Mutant> {
    mutants(plan, |mutant| certify::check_skeleton(skeleton, mutant).err())
}

fn mutants(plan: &FencePlan, check: impl Fn(&FencePlan) -> Option<certify::Rejection>) -> Vec<Mutant> {
    changes(plan)
        .map(|(element, narrowed)| {
            let caught = check(&changed(plan, element, narrowed));
            Mutant { element, narrowed, caught }
        })
        .collect()
}

/// Every change that is made: the element, and whether its scope is narrowed.
fn changes(plan: &FencePlan) -> impl Iterator<Item = (u32, bool)> {
    plan.elements.iter().enumerate().flat_map(|(n, element)| {
        let wide = matches!(
            element.kind,
            ElementKind::Release { scope: Scope::System, .. }
                | ElementKind::Acquire { scope: Scope::System, .. }
        );
        [Some((n as u32, false)), wide.then_some((n as u32, true))].into_iter().flatten()
    })
}

fn changed(plan: &FencePlan, element: u32, narrowed: bool) -> FencePlan {
    if !narrowed {
        return without(plan, element);
    }
    let mut narrower = plan.clone();
    if let ElementKind::Release { scope, .. } | ElementKind::Acquire { scope, .. } =
        &mut narrower.elements[element as usize].kind
    {
        *scope = Scope::Agent;
    }
    narrower
}

/// The plan of one mutant, numbered as [`audit`] lists them: for tests that run it.
pub fn mutant(plan: &FencePlan, number: usize) -> Option<FencePlan> {
    changes(plan).nth(number).map(|(element, narrowed)| changed(plan, element, narrowed))
}

/// The plan with one element less.
pub fn without(plan: &FencePlan, element: u32) -> FencePlan {
    let mut out = plan.clone();
    out.elements.remove(element as usize);
    for chain in &mut out.certificate {
        chain.elements.retain(|e| *e != element);
        for e in &mut chain.elements {
            *e -= u32::from(*e > element);
        }
    }
    out
}

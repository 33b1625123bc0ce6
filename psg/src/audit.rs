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
    let mut out = Vec::new();
    for element in 0..plan.elements.len() {
        let caught = check(&without(plan, element as u32));
        out.push(Mutant { element: element as u32, narrowed: false, caught });
        let mut narrower = plan.clone();
        match &mut narrower.elements[element].kind {
            ElementKind::Release { scope, .. } | ElementKind::Acquire { scope, .. }
                if *scope == Scope::System =>
            {
                *scope = Scope::Agent;
            }
            _ => continue,
        }
        out.push(Mutant { element: element as u32, narrowed: true, caught: check(&narrower) });
    }
    out
}

/// The plan with one element less.
pub fn without(plan: &FencePlan, element: u32) -> FencePlan {
    let mut out = plan.clone();
    out.elements.remove(element as usize);
    for chain in &mut out.certificate {
        chain.elements.retain(|&e| e != element);
        for e in &mut chain.elements {
            *e -= u32::from(*e > element);
        }
    }
    out
}

//! A plan by node: the form that lowering and interpreter read.

use crate::plan::{DispatchSync, ElementKind, FencePlan, NodeSync, Point, Scope};

impl FencePlan {
    /// What each node must do. Lists are sorted and without repetition.
    pub fn node_sync(&self) -> NodeSync {
        let mut out = NodeSync::default();
        for element in &self.elements {
            add(&mut out, &element.kind);
        }
        for list in out.waits.values_mut().chain(out.waits_after.values_mut()) {
            list.sort();
            list.dedup();
        }
        for dispatch in out.dispatches.values_mut() {
            dispatch.after.sort();
            dispatch.after.dedup();
        }
        out
    }
}

fn add(out: &mut NodeSync, kind: &ElementKind) {
    let wider = |old: Option<Scope>, new: Scope| Some(old.map_or(new, |old| old.max(new)));
    match *kind {
        ElementKind::Wait { at: Point::Before(node), on } => out.waits.entry(node).or_default().push(on),
        ElementKind::Wait { at: Point::After(node), on } => out.waits_after.entry(node).or_default().push(on),
        ElementKind::BarrierAnd { before, on } | ElementKind::Semaphore { before, on } => {
            out.dispatches.entry(before).or_insert_with(DispatchSync::default).after.push(on);
        }
        ElementKind::PipelineBarrier { at: Point::Before(node) } => {
            out.dispatches.entry(node).or_default().barrier_before = true;
        }
        ElementKind::PipelineBarrier { at: Point::After(node) } => {
            out.dispatches.entry(node).or_default().barrier_behind = true;
        }
        ElementKind::Release { dispatch, scope } => {
            let entry = out.dispatches.entry(dispatch).or_default();
            entry.release = wider(entry.release, scope);
        }
        ElementKind::Acquire { dispatch, scope } => {
            let entry = out.dispatches.entry(dispatch).or_default();
            entry.acquire = wider(entry.acquire, scope);
        }
        ElementKind::Clean { dispatch } => out.dispatches.entry(dispatch).or_default().clean = true,
    }
}

//! The independent checker: accepts a fence plan, or names a handoff that it leaves broken.
//!
//! It takes from the graph's skeleton what the program does, flattens that into basic blocks, and runs the plan on it
//! as the hardware would: each pending access carries what is known of it, where ([`trail`]), to a fixpoint over the
//! blocks ([`blocks`]). Handoffs are worked out again, not read from the plan; one that the plan does not list is a
//! rejection too.
//!
//! Shares with `fences` only the types of [`crate::plan`] and the skeleton. So what it does *not* check is whether the
//! skeleton is right: provenance and kernel effects are held to account by adversarial runs instead.

mod blocks;
#[cfg(test)]
mod tests;
mod trail;

use crate::graph::Psg;
use crate::id::{Id, NodeId};
use crate::kernel::KernelFacts;
use crate::plan::{AccessKind, Context, FencePlan};
use crate::skeleton::{Skeleton, extract};
use blocks::{Graph, Op};
use std::collections::BTreeMap;
use std::fmt;
use trail::{Orders, Trails};

/// Why a plan is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The handoff's place in the plan's list; none where it is not listed, or where the plan is malformed.
    pub handoff: Option<u32>,
    pub reason: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.handoff {
            Some(h) => write!(f, "handoff #{h}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Checks a plan against the program.
pub fn check(psg: &Psg, kernels: &KernelFacts, plan: &FencePlan) -> Result<(), Rejection> {
    // Which agent an extern runs on is the project's choice, not the graph's: the plan says what it assumed.
    let mut agents = BTreeMap::new();
    for access in &plan.accesses {
        if let (AccessKind::Extern(x), Some(agent)) = (&access.what, agent_name(access.context)) {
            if let Some(x) = psg.externs.get(*x) {
                agents.insert(x.entry.to_string(), agent.to_owned());
            }
        }
    }
    let work = || check_skeleton(&extract::extract(psg, kernels, &agents), plan);
    clef_frontend::deep::run(work).unwrap_or_else(|why| {
        Err(Rejection { handoff: None, reason: format!("no thread for the checker: {why}") })
    })
}

fn agent_name(context: Context) -> Option<&'static str> {
    match context {
        Context::Cpu => None,
        Context::Gpu { .. } => Some("GPU"),
        Context::Npu => Some("NPU"),
    }
}

/// Checks a plan against a skeleton.
pub fn check_skeleton(skeleton: &Skeleton, plan: &FencePlan) -> Result<(), Rejection> {
    let orders = Orders::read(skeleton, plan)?;
    let listed = listed(skeleton, plan)?;
    let graph = Graph::new(skeleton);
    let starts = fixpoint(skeleton, &orders, &graph);
    for (block, start) in starts.iter().enumerate() {
        let Some(mut state) = start.clone() else { continue };
        for op in &graph.blocks[block].ops {
            step(skeleton, &orders, *op, &mut state, &mut |state, context, access| {
                verify(skeleton, &orders, &listed, state, context, access)
            })?;
        }
    }
    Ok(())
}

/// The plan's handoffs, by the access where they end.
struct Listed {
    /// By access: the first access of the same node and location. Handoffs are between those.
    same: Vec<u32>,
    /// By the later access: where its handoffs start in `pairs`, and one more.
    starts: Vec<u32>,
    /// The earlier access and the handoff's place in the plan.
    pairs: Vec<(u32, u32)>,
}

impl Listed {
    fn handoff(&self, from: u32, to: u32) -> Option<u32> {
        let (from, to) = (self.same[from as usize], self.same[to as usize] as usize);
        let list = &self.pairs[self.starts[to] as usize..self.starts[to + 1] as usize];
        list.iter().find(|p| p.0 == from).map(|p| p.1)
    }
}

/// Accesses by node and location: the first of each, for the skeleton's and for the plan's.
fn firsts(skeleton: &Skeleton, plan: &FencePlan) -> (Vec<u32>, Vec<Option<u32>>) {
    let nodes = skeleton.accesses.iter().map(|a| a.node.index() + 1).max().unwrap_or(0);
    // A chain for each node: few accesses have the same.
    let mut heads = vec![u32::MAX; nodes];
    let mut next = vec![u32::MAX; skeleton.accesses.len()];
    let find = |heads: &[u32], next: &[u32], node: NodeId, location: u32| {
        let mut at = heads.get(node.index()).copied().unwrap_or(u32::MAX);
        while at != u32::MAX && skeleton.accesses[at as usize].location != location {
            at = next[at as usize];
        }
        (at != u32::MAX).then_some(at)
    };
    let mut same = Vec::with_capacity(skeleton.accesses.len());
    for (i, access) in skeleton.accesses.iter().enumerate() {
        let first = find(&heads, &next, access.node, access.location);
        if first.is_none() {
            next[i] = std::mem::replace(&mut heads[access.node.index()], i as u32);
        }
        same.push(first.unwrap_or(i as u32));
    }
    let theirs = plan.accesses.iter().map(|a| find(&heads, &next, a.node, a.location)).collect();
    (same, theirs)
}

fn listed(skeleton: &Skeleton, plan: &FencePlan) -> Result<Listed, Rejection> {
    let general = |reason: &str| Rejection { handoff: None, reason: reason.into() };
    if plan.certificate.len() != plan.handoffs.len() {
        return Err(general("the certificate is not as long as the list of handoffs"));
    }
    let (same, theirs) = firsts(skeleton, plan);
    let mut starts = vec![0u32; skeleton.accesses.len() + 1];
    let mut ends = Vec::with_capacity(plan.handoffs.len());
    for (i, handoff) in plan.handoffs.iter().enumerate() {
        let of = |access: u32| plan.accesses.get(access as usize);
        let (Some(from), Some(to)) = (of(handoff.from), of(handoff.to)) else {
            return Err(general("a handoff names an access that the plan does not have"));
        };
        let bad = |reason: &str| Err(Rejection { handoff: Some(i as u32), reason: reason.into() });
        if from.location as usize >= skeleton.locations.len() || to.location != from.location {
            return bad("its accesses are of different buffers");
        }
        if plan.certificate[i].elements.iter().any(|&e| e as usize >= plan.elements.len()) {
            return bad("its chain names a missing element");
        }
        // An access that the program does not have needs no handoff: such a pair is never asked for.
        let pair = theirs[handoff.from as usize].zip(theirs[handoff.to as usize]);
        ends.push(pair);
        if let Some((_, to)) = pair {
            starts[to as usize + 1] += 1;
        }
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut at = starts.clone();
    let mut pairs = vec![(0, 0); *starts.last().unwrap_or(&0) as usize];
    for (i, pair) in ends.into_iter().enumerate() {
        if let Some((from, to)) = pair {
            let at = &mut at[to as usize];
            pairs[*at as usize] = (from, i as u32);
            *at += 1;
        }
    }
    Ok(Listed { same, starts, pairs })
}

/// The state before each block.
fn fixpoint(skeleton: &Skeleton, orders: &Orders, graph: &Graph) -> Vec<Option<Trails>> {
    let mut starts: Vec<Option<Trails>> = vec![None; graph.blocks.len()];
    starts[0] = Some(Trails::default());
    // Blocks are numbered in program order, so that the lowest number first is nearly the best order.
    let mut open = std::collections::BTreeSet::from([0usize]);
    while let Some(block) = open.pop_first() {
        let Some(mut state) = starts[block].clone() else { continue };
        for op in &graph.blocks[block].ops {
            let never = step(skeleton, orders, *op, &mut state, &mut |_, _, _| Ok(()));
            debug_assert!(never.is_ok());
        }
        let Some((&last, others)) = graph.blocks[block].next.split_last() else { continue };
        for &next in others {
            if meet(&mut starts[next], state.clone()) {
                open.insert(next);
            }
        }
        if meet(&mut starts[last], state) {
            open.insert(last);
        }
    }
    starts
}

fn meet(into: &mut Option<Trails>, state: Trails) -> bool {
    match into {
        Some(old) => old.meet(state),
        none => {
            *none = Some(state);
            true
        }
    }
}

type Visit<'v> = dyn FnMut(&Trails, u8, u32) -> Result<(), Rejection> + 'v;

/// Runs one operation. `visit` sees the state at each access.
fn step(
    s: &Skeleton,
    orders: &Orders,
    op: Op,
    state: &mut Trails,
    visit: &mut Visit,
) -> Result<(), Rejection> {
    match op {
        Op::EnterLoop(anchor) => {
            for &on in &orders.before_loop[anchor as usize] {
                state.host_waits(s, on);
            }
        }
        Op::Fresh(location) => state.forget(location),
        Op::Run { site, accesses } => {
            for &on in &orders.before_site[site as usize] {
                state.host_waits(s, on);
            }
            let info = &s.sites[site as usize];
            let packet = &orders.packets[site as usize];
            if info.dispatch {
                state.begin(s, orders, site, info.context, packet);
            }
            for &access in accesses {
                visit(state, info.context, access)?;
            }
            for &access in accesses {
                state.record(s, access, site, info);
            }
            state.end(s, orders, site, info.context, packet);
        }
    }
    Ok(())
}

/// Is every earlier conflicting access ordered before this one, and its bytes where they must be?
fn verify(
    s: &Skeleton,
    orders: &Orders,
    listed: &Listed,
    state: &Trails,
    context: u8,
    access: u32,
) -> Result<(), Rejection> {
    let to = &s.accesses[access as usize];
    for trail in state.of(to.location) {
        let from = &s.accesses[trail.access as usize];
        let conflict = from.mode.writes() || to.mode.writes();
        let same = from.context == to.context;
        let exempt = same && matches!(to.context, Context::Cpu | Context::Npu);
        if !conflict || exempt {
            continue;
        }
        let handoff = listed.handoff(trail.access, access);
        if handoff.is_none() {
            let reason = format!(
                "{} of `{}` by {} after {} by {} is a handoff that the plan does not list",
                to.mode.text(),
                s.locations[to.location as usize].name,
                to.context,
                from.mode.text(),
                from.context
            );
            return Err(Rejection { handoff: None, reason });
        }
        if let Some(what) = trail.lacks(s, orders, context, to.mode.reads()) {
            let reason = format!(
                "{what} (`{}`, {} to {})",
                s.locations[to.location as usize].name, from.context, to.context
            );
            return Err(Rejection { handoff, reason });
        }
    }
    Ok(())
}

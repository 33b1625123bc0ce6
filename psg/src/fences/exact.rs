//! The cheapest plan of a straight-line program, by searching all plans at once.
//!
//! Node by node, all ways to place elements there are tried on all states that the ways before led to; ways that lead
//! to the same state are one, kept at its lowest cost. A state holds what is known about the accesses that still have a
//! handoff ahead, so there are few. Up to the width of the search nothing is ever dropped and the result is exact;
//! beyond it the cheapest states are kept.
//!
//! Waits and semaphores are on the newest dispatch of a queue here: that tells most and costs the same. Which older
//! dispatch would do is settled afterwards (`place`).

use super::flow::{Anchor, El};
use super::state::{On, Rules, Set, State, bit};
use crate::plan::{CostTable, Family, Scope};
use crate::skeleton::{CPU, NPU};
use rustc_hash::FxHashMap;

/// A step of a straight line: a host access, a loop that only the host runs, or a dispatch.
#[derive(Clone, Debug)]
pub struct Line {
    pub anchor: Anchor,
    pub context: u8,
    /// The dispatch site.
    pub dispatch: Option<u32>,
    pub accesses: Vec<u32>,
    /// Locations that get a new buffer before.
    pub fresh: Vec<u32>,
    /// May a wait stand before it?
    pub may_wait: bool,
    /// Queues that it may follow.
    pub may_follow: Set,
    /// Vulkan: may a barrier stand before it?
    pub may_barrier: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Key {
    state: State,
    /// Vulkan: queues with a barrier behind their newest dispatch.
    behind: Set,
}

#[derive(Clone, Copy, Default)]
struct Choice {
    waits: Set,
    /// Vulkan: barriers behind the newest dispatch of these queues, before the wait.
    behind: Set,
    before: bool,
    follow: Set,
    acquire: Option<Scope>,
    release: Option<Scope>,
    clean: bool,
}

struct Step {
    parent: u32,
    choice: Choice,
}

pub struct Search<'a> {
    pub rules: Rules<'a>,
    pub table: &'a CostTable,
    pub lines: &'a [Line],
    /// By access: the last line to which it has a handoff.
    pub last: &'a FxHashMap<u32, usize>,
    pub width: usize,
    /// Plans that cost more are of no interest.
    pub bound: u32,
}

/// Costs above, how early waits are below: of two plans of one cost the one that waits later wins.
const COST: u64 = 1 << 24;

impl Search<'_> {
    /// The cheapest plan's elements. Nothing where every plan within the width costs more than the bound.
    pub fn run(&self) -> Option<Vec<El>> {
        let mut steps: Vec<Step> = Vec::new();
        let mut layer: Vec<(Key, u64, u32)> = vec![(Key::default(), 0, u32::MAX)];
        for (i, line) in self.lines.iter().enumerate() {
            let mut next: FxHashMap<Key, (u64, u32)> = FxHashMap::default();
            let mut order: Vec<Key> = Vec::new();
            for (key, cost, parent) in &layer {
                self.expand(i, line, key, &mut |key, choice, extra| {
                    let cost = cost + extra;
                    if cost / COST > u64::from(self.bound) {
                        return;
                    }
                    let old = next.get(&key).copied();
                    if old.is_some_and(|(c, _)| c <= cost) {
                        return;
                    }
                    if old.is_none() {
                        order.push(key.clone());
                    }
                    steps.push(Step { parent: *parent, choice });
                    next.insert(key, (cost, steps.len() as u32 - 1));
                });
            }
            layer = order
                .into_iter()
                .filter_map(|key| next.remove(&key).map(|(cost, step)| (key, cost, step)))
                .collect();
            if layer.len() > self.width {
                layer.sort_by_key(|(_, cost, step)| (*cost, *step));
                layer.truncate(self.width);
            }
        }
        let best = layer.iter().min_by_key(|(_, cost, step)| (*cost, *step))?;
        Some(self.elements(&steps, best.2))
    }

    fn expand(&self, i: usize, line: &Line, key: &Key, emit: &mut dyn FnMut(Key, Choice, u64)) {
        let contexts = self.rules.skeleton.contexts.len() as u8;
        let mut fresh = key.clone();
        for &location in &line.fresh {
            let range = fresh.state.of(location);
            fresh.state.tokens.drain(range);
        }
        let mut open = vec![(fresh, Choice::default(), 0u64)];
        if line.may_wait {
            let late = (self.lines.len() - i) as u64;
            for queue in NPU..contexts {
                for at in 0..open.len() {
                    self.wait_ways(queue, late, at, &mut open);
                }
            }
        }
        let Some(site) = line.dispatch else {
            for (key, choice, cost) in open {
                self.finish(i, line, key, choice, cost, emit);
            }
            return;
        };
        if self.rules.family == Family::Vulkan && line.may_barrier {
            for at in 0..open.len() {
                let (mut key, mut choice, cost) = open[at].clone();
                if key.behind & bit(line.context) == 0 {
                    key.state.pipeline_barrier(self.rules, line.context, None);
                    choice.before = true;
                    open.push((key, choice, cost + COST * u64::from(self.table.barrier)));
                }
            }
        }
        for queue in (NPU + 1)..contexts {
            if line.may_follow & bit(queue) == 0 {
                continue;
            }
            let price =
                if self.rules.family == Family::Hsa { self.table.barrier } else { self.table.semaphore };
            for at in 0..open.len() {
                let (mut key, mut choice, cost) = open[at].clone();
                key.state.follow(self.rules, line.context, queue, On::Newest(queue));
                choice.follow |= bit(queue);
                open.push((key, choice, cost + COST * u64::from(price)));
            }
        }
        for (key, choice, cost) in open {
            self.start(i, line, site, &key, choice, cost, emit);
        }
    }

    /// Adds the ways in which the host waits for a queue.
    fn wait_ways(&self, queue: u8, late: u64, at: usize, open: &mut Vec<(Key, Choice, u64)>) {
        let (key, choice, cost) = open[at].clone();
        let news = |f: &super::state::Fact| f.implied & bit(queue) != 0 && f.known & bit(CPU) == 0;
        let pay = COST * u64::from(self.table.wait) + late;
        if key.state.tokens.iter().any(|t| t.facts.iter().any(news)) {
            let mut waited = key.clone();
            waited.state.wait(On::Newest(queue));
            open.push((waited, Choice { waits: choice.waits | bit(queue), ..choice }, cost + pay));
        }
        let held = key.state.tokens.iter().any(|t| t.held_by(queue));
        if self.rules.family == Family::Vulkan && queue != NPU && key.behind & bit(queue) == 0 && held {
            let mut waited = key;
            waited.state.pipeline_barrier(self.rules, queue, Some(0));
            waited.state.wait(On::Newest(queue));
            waited.behind |= bit(queue);
            let choice =
                Choice { waits: choice.waits | bit(queue), behind: choice.behind | bit(queue), ..choice };
            open.push((waited, choice, cost + pay + COST * u64::from(self.table.barrier)));
        }
    }

    /// The ways in which a dispatch starts and ends.
    #[allow(clippy::too_many_arguments)]
    fn start(
        &self,
        i: usize,
        line: &Line,
        site: u32,
        key: &Key,
        choice: Choice,
        cost: u64,
        emit: &mut dyn FnMut(Key, Choice, u64),
    ) {
        let table = self.table;
        let ways: &[(Option<Scope>, bool, u32)] = if line.context == NPU {
            &[(None, false, 0), (None, true, table.clean)]
        } else if self.rules.family == Family::Hsa {
            &[
                (None, false, 0),
                (Some(Scope::Agent), false, table.acquire_agent),
                (Some(Scope::System), false, table.acquire_system),
            ]
        } else {
            &[(None, false, 0)]
        };
        for &(acquire, clean, price) in ways {
            let mut key = key.clone();
            key.state.start(self.rules, line.context, site, acquire, clean);
            key.behind &= !bit(line.context);
            let choice = Choice { acquire, clean, ..choice };
            self.finish(i, line, key, choice, cost + COST * u64::from(price), emit);
        }
    }

    /// Checks and adds the accesses; then the ways to release.
    fn finish(
        &self,
        i: usize,
        line: &Line,
        mut key: Key,
        choice: Choice,
        cost: u64,
        emit: &mut dyn FnMut(Key, Choice, u64),
    ) {
        let skeleton = self.rules.skeleton;
        for &access in &line.accesses {
            let info = &skeleton.accesses[access as usize];
            for token in &key.state.tokens[key.state.of(info.location)] {
                let handoff = (token.writes || info.mode.writes()) && skeleton.crosses(token.access, access);
                if handoff && !State::satisfied(self.rules, token, line.context, info.mode.reads()) {
                    return;
                }
            }
        }
        let dispatch = line.dispatch;
        for &access in &line.accesses {
            let site = skeleton.access_site[access as usize];
            key.state.add(self.rules, access, line.context, site, dispatch.is_some());
        }
        self.forget(i, &mut key.state);
        if let (Some(site), Family::Hsa, true) = (dispatch, self.rules.family, line.context != NPU) {
            if key.state.tokens.iter().any(|t| t.held_by(line.context)) {
                for (scope, price) in
                    [(Scope::Agent, self.table.release_agent), (Scope::System, self.table.release_system)]
                {
                    let mut key = key.clone();
                    key.state.release(self.rules, line.context, site, scope);
                    self.simplify(&mut key.state);
                    emit(key, Choice { release: Some(scope), ..choice }, cost + COST * u64::from(price));
                }
            }
        }
        self.simplify(&mut key.state);
        emit(key, choice, cost);
    }

    /// Drops accesses without a handoff ahead.
    fn forget(&self, i: usize, state: &mut State) {
        state.tokens.retain(|t| self.last.get(&t.access).is_some_and(|&last| last > i));
    }

    /// Makes states equal that behave equally.
    fn simplify(&self, state: &mut State) {
        let all = bit(self.rules.skeleton.contexts.len() as u8) - 1;
        for fact in state.tokens.iter_mut().flat_map(|t| t.facts.iter_mut()) {
            if fact.known & bit(CPU) != 0 {
                fact.known = all;
                fact.implied = all & !bit(CPU);
            }
        }
    }

    /// Reads the plan off the way to a final state.
    fn elements(&self, steps: &[Step], last: u32) -> Vec<El> {
        let mut choices = Vec::new();
        let mut at = last;
        while at != u32::MAX {
            let step = &steps[at as usize];
            choices.push(step.choice);
            at = step.parent;
        }
        choices.reverse();
        let mut newest = vec![0u32; self.rules.skeleton.contexts.len()];
        let mut waited: Vec<u32> = Vec::new();
        let mut barriers: Vec<(u32, u32)> = Vec::new();
        let mut out = Vec::new();
        for (line, choice) in self.lines.iter().zip(&choices) {
            for queue in 0..newest.len() {
                let is = |set: Set| set & bit(queue as u8) != 0;
                if is(choice.behind) {
                    out.push(El::Behind(newest[queue]));
                }
                if is(choice.waits) {
                    waited.push(newest[queue]);
                    out.push(El::Wait { at: line.anchor, on: newest[queue] });
                }
            }
            let Some(site) = line.dispatch else { continue };
            if choice.before {
                barriers.push((newest[line.context as usize], site));
            }
            for queue in 0..newest.len() {
                if choice.follow & bit(queue as u8) != 0 {
                    out.push(El::Follow { before: site, on: newest[queue] });
                }
            }
            out.extend(choice.acquire.map(|scope| El::Acquire(site, scope)));
            out.extend(choice.release.map(|scope| El::Release(site, scope)));
            out.extend(choice.clean.then_some(El::Clean(site)));
            newest[line.context as usize] = site;
        }
        for (behind, before) in barriers {
            out.push(if waited.contains(&behind) { El::Behind(behind) } else { El::Before(before) });
        }
        out
    }
}

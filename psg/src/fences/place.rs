//! Placement: from the handoffs to a cheap, minimal set of elements.
//!
//! A straight-line program is searched ([`super::exact`]). Otherwise several plans are made: each handoff gets the
//! elements that its two ends alone would need, or what it lacks when the program comes to it ([`super::demand`]); each
//! once with a preference for the oldest dispatch to wait for and once for the newest. Waits are moved out of loops that
//! do not make the need again. Then whatever is not needed is taken away or narrowed, the dearest first, as long as
//! every handoff stays satisfied ([`super::trial`]). The cheapest plan wins. Programs of more than [`SMALL`] events get
//! the plan made on demand as it is.

use super::demand;
use super::exact::{Line, Search};
use super::flow::{Anchor, El, Flow, Found, Placed, is_queue};
use super::loops::Loops;
use super::state::{Rules, bit};
use super::trial::Trial;
use crate::plan::{CostTable, Family, Scope};
use crate::skeleton::{Block, CPU, NPU, Skeleton, Step};
use rustc_hash::{FxHashMap, FxHashSet};

/// Accesses up to which nothing is dropped from the search (in practice).
const EXACT: usize = 18;
/// Events up to which elements are tried one by one.
pub const SMALL: usize = 512;
/// Events up to which plans also start from what each handoff alone would need.
const TINY: usize = 64;
/// Events that trying may go over in one plan.
const TRYING: usize = 50_000;

pub struct Placement {
    pub elements: Vec<El>,
    pub found: Found,
}

pub fn price(table: &CostTable, element: El) -> u32 {
    match element {
        El::Wait { .. } => table.wait,
        El::Follow { .. } if table.family == Family::Hsa => table.barrier,
        El::Follow { .. } => table.semaphore,
        El::Before(_) | El::Behind(_) => table.barrier,
        El::Release(_, Scope::Agent) => table.release_agent,
        El::Release(_, Scope::System) => table.release_system,
        El::Acquire(_, Scope::Agent) => table.acquire_agent,
        El::Acquire(_, Scope::System) => table.acquire_system,
        El::Clean(_) => table.clean,
    }
}

pub fn cost(table: &CostTable, elements: &[El]) -> u32 {
    elements.iter().map(|&e| price(table, e)).sum()
}

/// Does the plan satisfy every handoff?
pub fn holds(skeleton: &Skeleton, family: Family, elements: &[El]) -> bool {
    Flow::new(skeleton, family, Placed::new(elements.iter().copied())).holds()
}

/// A plan for the skeleton under the table.
pub fn place(skeleton: &Skeleton, table: &CostTable) -> Placement {
    let loops = Loops::new(skeleton);
    let (oldest, mut found) = demand::place(skeleton, table.family, &loops, false);
    let small = skeleton.events() <= SMALL;
    if let (false, Some(elements)) = (small, &oldest) {
        return Placement { elements: elements.clone(), found };
    }
    found = Flow::new(skeleton, table.family, Placed::default()).run();
    let placer = Placer { skeleton, table, found: &found, loops };
    let mut elements = placer.general(oldest, small);
    if let (true, Some(exact)) = (small, placer.straight(&elements)) {
        if cost(table, &exact) <= cost(table, &elements) {
            elements = exact;
        }
    }
    elements.sort();
    Placement { elements, found }
}

struct Placer<'a> {
    skeleton: &'a Skeleton,
    table: &'a CostTable,
    found: &'a Found,
    loops: Loops,
}

impl Placer<'_> {
    /// The cheapest of several plans, with nothing in it that is not needed.
    fn general(&self, demanded: Option<Vec<El>>, small: bool) -> Vec<El> {
        let every = |newest| (0..self.found.pairs.len()).flat_map(move |i| self.local(i, newest)).collect();
        let all: Vec<El> = every(false);
        if !small {
            return widest(all);
        }
        let newest = demand::place(self.skeleton, self.table.family, &self.loops, true).0;
        let tiny = self.skeleton.events() <= TINY;
        let mut starts: Vec<Vec<El>> = [demanded, newest].into_iter().flatten().collect();
        if tiny || starts.is_empty() {
            starts.insert(0, widest(every(true)));
            starts.insert(0, widest(all));
        }
        let pruned = starts.into_iter().map(|start| self.prune(start));
        let holding = pruned.filter(|plan| self.holds(plan));
        // Where no plan holds, this analysis has a mistake. Each handoff then gets what it alone would need, which the
        // checker refuses with the handoff named, and nothing is built.
        let Some(mut best) = holding.min_by_key(|plan| cost(self.table, plan)) else {
            return widest(every(false));
        };
        self.retarget(&mut best);
        best
    }

    fn holds(&self, elements: &[El]) -> bool {
        holds(self.skeleton, self.table.family, elements)
    }

    /// Elements that satisfy one handoff whatever else there is.
    fn local(&self, pair: usize, newest: bool) -> Vec<El> {
        let (from, to) = self.found.pairs[pair];
        let skeleton = self.skeleton;
        let (a, b) = (&skeleton.accesses[from as usize], &skeleton.accesses[to as usize]);
        let (site_a, site_b) = (skeleton.access_site[from as usize], skeleton.access_site[to as usize]);
        let (ca, cb) = (skeleton.sites[site_a as usize].context, skeleton.sites[site_b as usize].context);
        let flows = a.mode.writes();
        let sees = flows && b.mode.reads();
        let mut on = site_a;
        if let (true, Some(sites)) = (newest, &self.found.ended_by[pair]) {
            let own = sites.iter().rev().find(|s| skeleton.sites[**s as usize].context == ca);
            on = own.copied().unwrap_or(site_a);
        }
        let mut out = Vec::new();
        let hsa = self.table.family == Family::Hsa;
        let scope = if skeleton.device(ca) == skeleton.device(cb) { Scope::Agent } else { Scope::System };
        let wait = El::Wait { at: self.loops.hoisted(site_a, site_b), on };
        match (ca, cb) {
            (CPU, CPU) | (NPU, NPU) => {}
            (CPU, NPU) => out.extend(flows.then_some(El::Clean(site_b))),
            (CPU, _) => out.extend((sees && hsa).then_some(El::Acquire(site_b, Scope::System))),
            (NPU, CPU) => out.push(wait),
            (NPU, _) => {
                out.push(wait);
                out.extend((sees && hsa).then_some(El::Acquire(site_b, Scope::System)));
            }
            (_, CPU | NPU) => {
                out.push(wait);
                if flows {
                    out.push(if hsa { El::Release(on, Scope::System) } else { El::Behind(on) });
                }
            }
            _ if hsa => {
                out.extend((ca != cb).then_some(El::Follow { before: site_b, on }));
                out.extend(flows.then_some(El::Release(on, scope)));
                out.extend(sees.then_some(El::Acquire(site_b, scope)));
            }
            _ if ca == cb => out.push(El::Before(site_b)),
            _ if scope == Scope::Agent => out.push(El::Follow { before: site_b, on }),
            _ => out.extend([El::Behind(on), wait]),
        }
        out
    }

    /// Takes away and narrows what is not needed.
    fn prune(&self, mut elements: Vec<El>) -> Vec<El> {
        // Later waits first: an earlier one serves what comes after it.
        let mut order = elements.clone();
        let place = |e: &El| match *e {
            El::Wait { at: Anchor::Site(s), .. } => (0, std::cmp::Reverse(s), 1),
            El::Wait { at: Anchor::Loop(l), .. } => (0, std::cmp::Reverse(self.loops.place(l)), 0),
            _ => (1, std::cmp::Reverse(site_of(e)), 0),
        };
        order.sort_by_key(|e| (std::cmp::Reverse(price(self.table, *e)), place(e), *e));
        let whole = elements.clone();
        let mut trial = Trial::new(self.skeleton, self.table.family, &elements);
        let mut gone: FxHashSet<El> = FxHashSet::default();
        for element in order {
            if trial.spent > TRYING {
                break;
            }
            if trial.change(element, None) {
                gone.insert(element);
                continue;
            }
            let narrow = match element {
                El::Release(site, Scope::System) => El::Release(site, Scope::Agent),
                El::Acquire(site, Scope::System) => El::Acquire(site, Scope::Agent),
                _ => continue,
            };
            if trial.change(element, Some(narrow)) {
                gone.insert(element);
                elements.push(narrow);
            }
        }
        elements.retain(|e| !gone.contains(e));
        elements.sort();
        if self.holds(&elements) { elements } else { whole }
    }

    /// Moves waits and semaphores to the oldest dispatch that does: less to wait for.
    fn retarget(&self, elements: &mut Vec<El>) {
        let whole = elements.clone();
        let mut trial = Trial::new(self.skeleton, self.table.family, elements);
        for i in 0..elements.len() {
            let (old, first) = match elements[i] {
                El::Wait { on, .. } => (on, 0),
                El::Follow { before, on } => (on, self.first_handoff(before, on)),
                _ => continue,
            };
            let context = self.skeleton.sites[old as usize].context;
            // What a newer dispatch tells, an older one of the queue may not: the first that does not do ends it.
            for on in (first..old).rev() {
                let site = &self.skeleton.sites[on as usize];
                if site.context != context || !site.dispatch {
                    continue;
                }
                if trial.spent > TRYING {
                    break;
                }
                let moved = match elements[i] {
                    El::Wait { at, .. } => El::Wait { at, on },
                    El::Follow { before, .. } => El::Follow { before, on },
                    other => other,
                };
                if elements.contains(&moved) || !trial.change(elements[i], Some(moved)) {
                    break;
                }
                elements[i] = moved;
            }
        }
        if !self.holds(elements) {
            *elements = whole;
        }
    }

    /// The oldest dispatch of `on`'s queue with a handoff to `before`.
    fn first_handoff(&self, before: u32, on: u32) -> u32 {
        let skeleton = self.skeleton;
        let queue = skeleton.sites[on as usize].context;
        let site = |access: u32| skeleton.access_site[access as usize];
        let from = self.found.pairs.iter().filter(|p| site(p.1) == before).map(|p| site(p.0));
        from.filter(|&s| skeleton.sites[s as usize].context == queue).min().unwrap_or(on)
    }

    /// The cheapest plan, where the program is a straight line.
    fn straight(&self, general: &[El]) -> Option<Vec<El>> {
        let lines = self.lines()?;
        let accesses: usize = lines.iter().map(|l| l.accesses.len()).sum();
        let mut last: FxHashMap<u32, usize> = FxHashMap::default();
        let mut line_of: FxHashMap<u32, usize> = FxHashMap::default();
        for (i, line) in lines.iter().enumerate() {
            line_of.extend(line.accesses.iter().map(|&a| (a, i)));
        }
        for (from, to) in &self.found.pairs {
            let at = line_of.get(to).copied()?;
            last.entry(*from).and_modify(|l| *l = (*l).max(at)).or_insert(at);
        }
        let width = match accesses {
            0..=EXACT => 400_000,
            0..=64 => 200,
            _ => return None,
        };
        let mut rules = Rules::new(self.skeleton, self.table.family);
        rules.sites = false;
        let bound = cost(self.table, general);
        let search = Search { rules, table: self.table, lines: &lines, last: &last, width, bound };
        let mut elements = search.run()?;
        if !self.holds(&elements) {
            debug_assert!(false, "the search's plan does not hold: {elements:?}");
            return None;
        }
        if accesses > EXACT {
            elements = self.prune(elements);
        }
        self.retarget(&mut elements);
        Some(elements)
    }

    /// The program as a straight line, where it is one.
    fn lines(&self) -> Option<Vec<Line>> {
        let mut lines: Vec<Line> = Vec::new();
        let mut fresh = Vec::new();
        for step in &self.skeleton.body {
            match step {
                Step::Event { site, accesses } => {
                    let info = &self.skeleton.sites[*site as usize];
                    let line = Line {
                        anchor: Anchor::Site(*site),
                        context: info.context,
                        dispatch: info.dispatch.then_some(*site),
                        accesses: accesses.to_vec(),
                        fresh: std::mem::take(&mut fresh),
                        may_wait: false,
                        may_follow: 0,
                        may_barrier: false,
                    };
                    lines.push(line);
                }
                Step::Loop { anchor, head, body, .. } => {
                    let mut accesses = Vec::new();
                    if !self.host_only(head, &mut accesses) || !self.host_only(body, &mut accesses) {
                        return None;
                    }
                    let (anchor, context) = (Anchor::Loop(*anchor), CPU);
                    let fresh = std::mem::take(&mut fresh);
                    lines.push(Line {
                        anchor,
                        context,
                        dispatch: None,
                        accesses,
                        fresh,
                        may_wait: false,
                        may_follow: 0,
                        may_barrier: false,
                    });
                }
                Step::Fresh(location) => fresh.push(*location),
                Step::Marker(_) => {}
                Step::Branch(_) | Step::Call(_) | Step::Stop => return None,
            }
        }
        // A site that stands twice takes one decision for both.
        let mut seen = FxHashSet::default();
        if !lines
            .iter()
            .all(|l| seen.insert(l.anchor) && l.accesses.iter().all(|a| seen.insert(Anchor::Site(!a))))
        {
            return None;
        }
        self.permit(&mut lines);
        Some(lines)
    }

    /// Where waits, semaphores and barriers may stand.
    fn permit(&self, lines: &mut [Line]) {
        let skeleton = self.skeleton;
        let mut by_access = FxHashMap::default();
        for (i, line) in lines.iter().enumerate() {
            by_access.extend(line.accesses.iter().map(|&a| (a, i)));
        }
        for (from, to) in &self.found.pairs {
            let (Some(&i), a) = (by_access.get(to), skeleton.access_site[*from as usize]) else { continue };
            let line = &mut lines[i];
            let a = &skeleton.sites[a as usize];
            let both = is_queue(a.context) && is_queue(line.context);
            line.may_wait |= a.dispatch && !both;
            if both && a.context != line.context {
                line.may_follow |= bit(a.context);
            }
            line.may_barrier |= both && a.context == line.context;
        }
    }

    /// The accesses of a block that only the host runs.
    fn host_only(&self, block: &Block, accesses: &mut Vec<u32>) -> bool {
        block.iter().all(|step| match step {
            Step::Event { site, accesses: list } => {
                accesses.extend(list.iter().filter(|a| !accesses.contains(a)).copied().collect::<Vec<_>>());
                !self.skeleton.sites[*site as usize].dispatch
            }
            Step::Marker(_) => true,
            Step::Branch(arms) => arms.iter().all(|arm| self.host_only(arm, accesses)),
            Step::Loop { head, body, .. } => self.host_only(head, accesses) && self.host_only(body, accesses),
            Step::Fresh(_) | Step::Call(_) | Step::Stop => false,
        })
    }
}

/// Elements once each; system scope includes agent scope.
pub fn widest(mut out: Vec<El>) -> Vec<El> {
    out.sort();
    out.dedup();
    // The wider one of the same dispatch comes right behind.
    let mut keep = vec![true; out.len()];
    for (i, pair) in out.windows(2).enumerate() {
        keep[i] = !matches!(pair,
            [El::Release(a, Scope::Agent), El::Release(b, Scope::System)]
            | [El::Acquire(a, Scope::Agent), El::Acquire(b, Scope::System)] if a == b);
    }
    let mut keep = keep.into_iter();
    out.retain(|_| keep.next().unwrap_or(true));
    out
}

fn site_of(element: &El) -> u32 {
    match *element {
        El::Wait { on, .. } => on,
        El::Follow { before, .. } => before,
        El::Before(s) | El::Behind(s) | El::Clean(s) | El::Release(s, _) | El::Acquire(s, _) => s,
    }
}

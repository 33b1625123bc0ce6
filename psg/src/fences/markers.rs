//! `signalCompletion` in the source: what each marker announces, and where the program goes on as if there were none.
//!
//! A marker states that from there on the buffer's other agents may read what was written. It never changes the plan;
//! this is for the people who read program and plan. Shared bodies (recursion) are looked at on their own.

use super::residency::{named, place};
use crate::graph::Psg;
use crate::plan::{Context, Handoff, HandoffKind, LocationKind, Marker};
use crate::skeleton::{Block, Skeleton, Step};
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// What each marker announces: the `w->r` handoffs between different contexts of which it is the first marker of the
/// buffer on the way.
pub fn announced(skeleton: &Skeleton, handoffs: &[Handoff]) -> Vec<Marker> {
    let mut walk = Walk { skeleton, last: FxHashMap::default(), announced: FxHashSet::default() };
    let mut by_location: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for (h, handoff) in handoffs.iter().enumerate() {
        let (a, b) = (&skeleton.accesses[handoff.from as usize], &skeleton.accesses[handoff.to as usize]);
        if handoff.kind == HandoffKind::WriteRead && a.context != b.context {
            by_location.entry(handoff.location).or_default().push(h as u32);
        }
    }
    if skeleton.markers.is_empty() {
        return Vec::new();
    }
    walk.block(&skeleton.body);
    for body in &skeleton.shared {
        walk.block(body);
    }
    skeleton
        .markers
        .iter()
        .enumerate()
        .map(|(m, (node, locations))| {
            let candidates = locations.iter().flat_map(|l| by_location.get(l).into_iter().flatten().copied());
            let announces = candidates
                .filter(|&h| {
                    let handoff = &handoffs[h as usize];
                    walk.announced.contains(&(m as u32, handoff.from, handoff.to))
                })
                .collect();
            Marker { node: *node, locations: locations.clone(), announces }
        })
        .collect()
}

/// Walks the tree once in its order (loop bodies twice), remembering per write the first marker since.
struct Walk<'a> {
    skeleton: &'a Skeleton,
    /// By location: writes since, with the first marker after each.
    last: FxHashMap<u32, Vec<(u32, Option<u32>)>>,
    announced: FxHashSet<(u32, u32, u32)>,
}

impl Walk<'_> {
    fn block(&mut self, block: &Block) {
        for step in block {
            match step {
                Step::Event { accesses, .. } => accesses.iter().for_each(|&a| self.access(a)),
                Step::Marker(m) => {
                    let locations = &self.skeleton.markers[*m as usize].1;
                    for location in locations {
                        for (_, marker) in self.last.entry(*location).or_default() {
                            marker.get_or_insert(*m);
                        }
                    }
                }
                Step::Branch(arms) => arms.iter().for_each(|arm| self.block(arm)),
                Step::Loop { head, body, .. } => {
                    self.block(head);
                    self.block(body);
                    self.block(head);
                    self.block(body);
                }
                Step::Fresh(location) => {
                    self.last.remove(location);
                }
                Step::Call(_) | Step::Stop => {}
            }
        }
    }

    fn access(&mut self, access: u32) {
        let info = &self.skeleton.accesses[access as usize];
        let writes = self.last.entry(info.location).or_default();
        if info.mode.reads() {
            for &(from, marker) in writes.iter() {
                if let Some(m) = marker {
                    self.announced.insert((m, from, access));
                }
            }
        }
        if info.mode.writes() {
            if info.covers {
                writes.clear();
            }
            writes.retain(|w| w.0 != access);
            writes.push((access, None));
        }
    }
}

/// A write that no marker announced, by an agent whose earlier write of the buffer one did.
#[derive(Clone, Copy, PartialEq)]
struct Stale {
    write: u32,
    marker: u32,
}

/// What was written and announced of a location since.
#[derive(Clone, Default, PartialEq)]
struct Announced {
    /// Agents that wrote since the last marker.
    writers: Vec<Context>,
    /// The last marker behind a write of the agent.
    by: Vec<(Context, u32)>,
    stale: Vec<Stale>,
}

/// Unannounced writes that are remembered of one location.
const REMEMBERED: usize = 16;

impl Announced {
    fn marker(&mut self, marker: u32) {
        for writer in self.writers.drain(..) {
            self.by.retain(|(agent, _)| *agent != writer);
            self.by.push((writer, marker));
        }
        self.stale.clear();
    }

    fn write(&mut self, agent: Context, write: u32, covers: bool) {
        if covers {
            self.stale.clear();
        }
        if !self.writers.contains(&agent) {
            self.writers.push(agent);
        }
        if let Some(&(_, marker)) = self.by.iter().find(|(by, _)| *by == agent) {
            self.stale.retain(|s| s.write != write);
            self.stale.truncate(REMEMBERED - 1);
            self.stale.push(Stale { write, marker });
        }
    }

    /// After a branch: a write that may be unannounced is; what only one arm announced is not.
    fn meet(&mut self, other: &Self) {
        self.by.retain(|b| other.by.contains(b));
        self.writers
            .extend(other.writers.iter().filter(|w| !self.writers.contains(w)).copied().collect::<Vec<_>>());
        self.stale
            .extend(other.stale.iter().filter(|s| !self.stale.contains(s)).copied().collect::<Vec<_>>());
        self.stale.truncate(REMEMBERED);
    }
}

type State = BTreeMap<u32, Announced>;

/// Warnings: a write after the marker of an earlier one by the same agent, read elsewhere with no marker between.
pub fn contradicted(psg: &Psg, skeleton: &Skeleton) -> Vec<Diagnostic> {
    let mut search = Search { skeleton, found: BTreeMap::new() };
    if !skeleton.markers.is_empty() {
        for block in [&skeleton.body].into_iter().chain(&skeleton.shared) {
            search.block(block, Some(State::new()));
        }
    }
    let name = |write: u32| {
        let location = &skeleton.locations[skeleton.accesses[write as usize].location as usize];
        location.name.clone()
    };
    let agent = |access: u32| named(skeleton.accesses[access as usize].context);
    let warning = |(&write, &(marker, read)): (&u32, &(u32, u32))| {
        let headline = format!(
            "`{}` is written again after its `signalCompletion`, and {} reads it with no other marker between",
            name(write),
            agent(read)
        );
        Diagnostic::warning(codes::MARKER_OVERTAKEN, place(psg, skeleton, write), headline)
            .here(format!("written again by {} here", agent(write)))
            .label(psg.spans[skeleton.markers[marker as usize].0], "announced as complete here")
            .label(place(psg, skeleton, read), format!("read by {} here", agent(read)))
            .note("markers never change what is inserted: this write is handed over like any other")
            .help("put `signalCompletion` behind the last write, or leave the buffer's markers out")
    };
    search.found.iter().map(warning).collect()
}

struct Search<'a> {
    skeleton: &'a Skeleton,
    /// By write: the marker before it and the first read behind it.
    found: BTreeMap<u32, (u32, u32)>,
}

impl Search<'_> {
    fn block(&mut self, block: &Block, mut state: Option<State>) -> Option<State> {
        for step in block {
            let mut now = state?;
            state = match step {
                Step::Event { accesses, .. } => {
                    self.event(accesses, &mut now);
                    Some(now)
                }
                Step::Marker(m) => {
                    // What may be one of several buffers announces none for certain.
                    if let [location] = self.skeleton.markers[*m as usize].1[..] {
                        now.entry(location).or_default().marker(*m);
                    } else {
                        self.skeleton.markers[*m as usize].1.iter().for_each(|l| drop(now.remove(l)));
                    }
                    Some(now)
                }
                Step::Fresh(location) => {
                    now.remove(location);
                    Some(now)
                }
                Step::Branch(arms) => {
                    let ends =
                        arms.iter().filter_map(|arm| self.block(arm, Some(now.clone()))).collect::<Vec<_>>();
                    ends.into_iter().reduce(met)
                }
                Step::Loop { head, body, .. } => self.rounds(head, body, now),
                Step::Call(_) => Some(now),
                Step::Stop => None,
            };
        }
        state
    }

    /// Two rounds: what the first leaves, the second sees.
    fn rounds(&mut self, head: &Block, body: &Block, now: State) -> Option<State> {
        let mut out = self.block(head, Some(now))?;
        for _ in 0..2 {
            let Some(end) = self.block(body, Some(out.clone())).and_then(|s| self.block(head, Some(s)))
            else {
                break;
            };
            out = met(out, end);
        }
        Some(out)
    }

    fn event(&mut self, accesses: &[u32], state: &mut State) {
        let skeleton = self.skeleton;
        let usable = |a: &&u32| {
            let location = &skeleton.locations[skeleton.accesses[**a as usize].location as usize];
            !location.summary && location.kind == LocationKind::Allocation
        };
        for &access in accesses.iter().filter(usable) {
            let info = &skeleton.accesses[access as usize];
            let Some(announced) = state.get(&info.location) else { continue };
            if info.mode.reads() {
                let other = |s: &&Stale| skeleton.accesses[s.write as usize].context != info.context;
                for stale in announced.stale.iter().filter(other) {
                    self.found.entry(stale.write).or_insert((stale.marker, access));
                }
            }
        }
        for &access in accesses.iter().filter(usable) {
            let info = &skeleton.accesses[access as usize];
            if info.mode.writes() {
                state.entry(info.location).or_default().write(info.context, access, info.covers);
            }
        }
    }
}

fn met(mut a: State, b: State) -> State {
    for (location, theirs) in b {
        match a.get_mut(&location) {
            Some(mine) => mine.meet(&theirs),
            None => {
                let mut only = theirs;
                only.by.clear();
                a.insert(location, only);
            }
        }
    }
    a
}

//! The program under a plan: finds the handoffs, and which of them the plan satisfies on every path.
//!
//! A forward data-flow analysis over the skeleton's tree. Tokens only appear and facts only disappear while loops and
//! shared bodies are iterated, so that a handoff that is broken at any time is broken.

use super::demand::Demand;
use super::state::{On, Packet, Rules, State};
use crate::plan::{Family, Scope};
use crate::skeleton::{Block, CPU, EPOCH, NPU, Site, Skeleton, Step};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Where a host wait stands: before a site, or before a loop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Anchor {
    Site(u32),
    Loop(u32),
}

/// An element in terms of sites.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum El {
    Wait {
        at: Anchor,
        on: u32,
    },
    /// Barrier-and packet or semaphore.
    Follow {
        before: u32,
        on: u32,
    },
    /// Pipeline barrier before / behind a dispatch.
    Before(u32),
    Behind(u32),
    Release(u32, Scope),
    Acquire(u32, Scope),
    Clean(u32),
}

/// Elements by place: by site, and by loop. Dense, so that a pass over a long program goes over memory in order.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    packets: Vec<Packet>,
    waits: Vec<SmallVec<[u32; 1]>>,
    loop_waits: Vec<SmallVec<[u32; 1]>>,
}

impl Placed {
    pub fn new(elements: impl IntoIterator<Item = El>) -> Self {
        let mut out = Self::default();
        for element in elements {
            out.insert(element);
        }
        out
    }

    /// Adds an element. True where it makes a difference.
    pub fn insert(&mut self, element: El) -> bool {
        fn set(flag: &mut bool) -> bool {
            !std::mem::replace(flag, true)
        }
        fn widen(scope: &mut Option<Scope>, to: Scope) -> bool {
            let wider = *scope < Some(to);
            *scope = (*scope).max(Some(to));
            wider
        }
        fn push(list: &mut SmallVec<[u32; 1]>, on: u32) -> bool {
            let new = !list.contains(&on);
            if new {
                list.push(on);
            }
            new
        }
        match element {
            El::Wait { at, on } => push(self.waits_at(at), on),
            El::Follow { before, on } => push(&mut self.at(before).after, on),
            El::Before(site) => set(&mut self.at(site).before),
            El::Behind(site) => set(&mut self.at(site).behind),
            El::Release(site, scope) => widen(&mut self.at(site).release, scope),
            El::Acquire(site, scope) => widen(&mut self.at(site).acquire, scope),
            El::Clean(site) => set(&mut self.at(site).clean),
        }
    }

    /// Takes an element away.
    pub fn remove(&mut self, element: El) {
        match element {
            El::Wait { at, on } => self.waits_at(at).retain(|o| *o != on),
            El::Follow { before, on } => self.at(before).after.retain(|o| *o != on),
            El::Before(site) => self.at(site).before = false,
            El::Behind(site) => self.at(site).behind = false,
            El::Release(site, _) => self.at(site).release = None,
            El::Acquire(site, _) => self.at(site).acquire = None,
            El::Clean(site) => self.at(site).clean = false,
        }
    }

    fn at(&mut self, site: u32) -> &mut Packet {
        slot(&mut self.packets, site)
    }

    fn waits_at(&mut self, at: Anchor) -> &mut SmallVec<[u32; 1]> {
        match at {
            Anchor::Site(site) => slot(&mut self.waits, site),
            Anchor::Loop(anchor) => slot(&mut self.loop_waits, anchor),
        }
    }

    /// What was placed at a dispatch.
    pub fn packet(&self, site: u32) -> Option<&Packet> {
        self.packets.get(site as usize)
    }

    /// The dispatches that the host waits for there.
    fn waited(&self, at: Anchor) -> &[u32] {
        let list = match at {
            Anchor::Site(site) => self.waits.get(site as usize),
            Anchor::Loop(anchor) => self.loop_waits.get(anchor as usize),
        };
        list.map_or(&[], |l| l.as_slice())
    }
}

fn slot<T: Clone + Default>(list: &mut Vec<T>, at: u32) -> &mut T {
    let at = at as usize;
    if at >= list.len() {
        list.resize(at + 1, T::default());
    }
    &mut list[at]
}

/// What one run of the analysis found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Pairs of accesses, with their index into the lists below.
    pub index: FxHashMap<(u32, u32), u32>,
    pub pairs: Vec<(u32, u32)>,
    /// By pair: satisfied on every path.
    pub satisfied: Vec<bool>,
    /// Wanted by placement: by pair, dispatches whose end tells that the first access has ended.
    pub ended_by: Vec<Option<super::state::Sites>>,
}

pub struct Flow<'a> {
    pub(super) rules: Rules<'a>,
    pub(super) placed: Placed,
    /// Places what is missing ([`super::demand`]).
    pub(super) demand: Option<Demand<'a>>,
    pub found: Found,
    /// State at each loop's head.
    loops: Vec<Option<State>>,
    /// Of shared bodies: states before and after.
    before: Vec<Option<State>>,
    after: Vec<Option<State>>,
    changed: bool,
    none: Packet,
    /// Stop at the first pair that is not satisfied.
    pub(super) quick: bool,
    pub(super) broken: bool,
}

impl<'a> Flow<'a> {
    pub fn new(skeleton: &'a Skeleton, family: Family, placed: Placed) -> Self {
        Self {
            rules: Rules::new(skeleton, family),
            placed,
            demand: None,
            found: Found::default(),
            loops: vec![None; skeleton.loops as usize],
            before: vec![None; skeleton.shared.len()],
            after: vec![None; skeleton.shared.len()],
            changed: false,
            none: Packet::default(),
            quick: false,
            broken: false,
        }
    }

    /// All handoffs, and whether they hold.
    pub fn run(mut self) -> Found {
        self.fixpoint();
        self.found
    }

    /// Does the plan satisfy everything?
    pub fn holds(mut self) -> bool {
        self.quick = true;
        self.fixpoint();
        !self.broken
    }

    /// What was missing and is placed now, and the handoffs.
    pub fn demanded(mut self) -> (Vec<El>, Found) {
        self.fixpoint();
        // They come nearly in this order, which a stable sort makes use of.
        self.found.pairs.sort_by_key(|&(from, to)| (to, from));
        self.found.pairs.dedup();
        (self.demand.map(|d| d.placed).unwrap_or_default(), self.found)
    }

    /// Forgets what was known at the heads of loops.
    pub(super) fn forget(&mut self, loops: &[u32]) {
        for &id in loops {
            self.loops[id as usize] = None;
        }
    }

    pub(super) fn fixpoint(&mut self) {
        let skeleton = self.rules.skeleton;
        loop {
            self.changed = false;
            self.block(&skeleton.body, Some(State::default()));
            for (i, body) in skeleton.shared.iter().enumerate() {
                if let Some(state) = self.before[i].clone() {
                    let end = self.block(body, Some(state));
                    if let Some(end) = end {
                        self.changed |= merge(&mut self.after[i], end);
                    }
                }
            }
            if !self.changed || (self.quick && self.broken) {
                return;
            }
        }
    }

    fn block(&mut self, block: &'a Block, mut state: Option<State>) -> Option<State> {
        for step in block {
            if self.quick && self.broken {
                return None;
            }
            state = self.step(step, state?);
        }
        state
    }

    pub(super) fn step(&mut self, step: &'a Step, mut state: State) -> Option<State> {
        match step {
            Step::Event { site, accesses } => {
                self.event(*site, accesses, &mut state);
                Some(state)
            }
            Step::Fresh(location) => {
                let range = state.of(*location);
                state.tokens.drain(range);
                Some(state)
            }
            Step::Marker(_) => Some(state),
            Step::Branch(arms) => {
                let mut out = None;
                for arm in arms {
                    if let Some(end) = self.block(arm, Some(state.clone())) {
                        merge(&mut out, end);
                    }
                }
                out
            }
            Step::Loop { anchor, id, head, body } => {
                self.waits(Anchor::Loop(*anchor), &mut state);
                self.run_loop(*id, head, body, state)
            }
            Step::Call(shared) => {
                let i = *shared as usize;
                self.changed |= merge(&mut self.before[i], state);
                self.after[i].clone()
            }
            Step::Stop => None,
        }
    }

    fn run_loop(&mut self, id: u32, head: &'a Block, body: &'a Block, state: State) -> Option<State> {
        merge(&mut self.loops[id as usize], state);
        loop {
            let start = self.loops[id as usize].clone();
            let out = self.block(head, start);
            let back = self.block(body, out.clone());
            let again = back.is_some_and(|back| merge(&mut self.loops[id as usize], back));
            if !again || (self.quick && self.broken) {
                return out;
            }
        }
    }

    fn waits(&self, anchor: Anchor, state: &mut State) {
        for &on in self.placed.waited(anchor) {
            state.wait(On::Site(on));
        }
    }

    fn event(&mut self, site: u32, accesses: &[u32], state: &mut State) {
        let rules = self.rules;
        let Site { context, dispatch, .. } = rules.skeleton.sites[site as usize];
        self.waits(Anchor::Site(site), state);
        if self.demand.is_some() {
            self.supply(site, accesses, state);
        }
        let packet =
            if dispatch { self.placed.packet(site).unwrap_or(&self.none).clone() } else { Packet::default() };
        if dispatch {
            if packet.before {
                state.pipeline_barrier(rules, context, None);
            }
            for &on in &packet.after {
                state.follow(rules, context, rules.skeleton.sites[on as usize].context, On::Site(on));
            }
            state.start(rules, context, site, packet.acquire, packet.clean);
        }
        for &access in accesses {
            self.check(access, context, state);
        }
        for &access in accesses {
            state.add(rules, access, context, site, dispatch);
            self.group(access, state);
        }
        if let Some(scope) = packet.release {
            state.release(rules, context, site, scope);
        }
        if packet.behind {
            state.pipeline_barrier(rules, context, Some(site));
        }
    }

    /// Records the handoffs that end in an access.
    fn check(&mut self, access: u32, context: u8, state: &State) {
        let skeleton = self.rules.skeleton;
        let info = &skeleton.accesses[access as usize];
        let location = info.location;
        for token in &state.tokens[state.of(location)] {
            let conflict = token.writes || info.mode.writes();
            if !conflict || !skeleton.crosses(token.access, access) {
                continue;
            }
            let ok = State::satisfied(self.rules, token, context, info.mode.reads());
            self.broken |= !ok;
            if let Some(demand) = &self.demand {
                // Sorted and made unique at the end: dearer to look up each.
                if demand.record {
                    self.found.pairs.push((token.access, access));
                }
                continue;
            }
            if self.quick {
                continue;
            }
            let next = self.found.pairs.len() as u32;
            let at = *self.found.index.entry((token.access, access)).or_insert(next) as usize;
            if at == next as usize {
                self.found.pairs.push((token.access, access));
                self.found.satisfied.push(true);
                self.found.ended_by.push(None);
            }
            self.found.satisfied[at] &= ok;
            let sites = &token.facts[super::state::ENDED].sites;
            match &mut self.found.ended_by[at] {
                Some(old) => old.retain(|s| sites.contains(s)),
                none => *none = Some(sites.clone()),
            }
        }
    }

    /// Keeps the number of tokens of a location bounded.
    fn group(&self, newest: u32, state: &mut State) {
        let location = self.rules.skeleton.accesses[newest as usize].location;
        let range = state.of(location);
        if range.len() <= EPOCH {
            return;
        }
        let Some(new) = state.tokens[range.clone()].iter().position(|t| t.access == newest) else { return };
        let new = range.start + new;
        let key = (state.tokens[new].origin, state.tokens[new].writes);
        let same = |t: &super::state::Token| (t.origin, t.writes) == key && t.access != newest;
        // The newest stands for the older ones: whatever orders it orders them, and its facts are the weakest.
        state.tokens = std::mem::take(&mut state.tokens)
            .into_iter()
            .enumerate()
            .filter(|(i, t)| !range.contains(i) || !same(t))
            .map(|(_, t)| t)
            .collect();
    }
}

/// Joins into an optional state. True where it changed.
fn merge(into: &mut Option<State>, state: State) -> bool {
    match into {
        Some(old) => old.join(&state),
        none => {
            *none = Some(state);
            true
        }
    }
}

/// The CPU or NPU, whose own accesses need nothing among themselves.
pub fn is_queue(context: u8) -> bool {
    context != CPU && context != NPU
}

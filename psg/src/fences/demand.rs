//! Elements on demand: a plan in one pass over the program, for programs of any length.
//!
//! While the flow analysis goes over the program, each handoff that what was placed so far does not satisfy gets what
//! it lacks, and no more: a wait or barrier where its later end is, a release where its earlier end was. A release that
//! is placed late counts from then on as if it had always been there, so one pass over a straight line places all that
//! it needs. Branches and loops are gone over again until nothing is missing.
//!
//! Promises: the plan is near to the cheapest, in time linear in what the flow analysis takes. Does not promise that
//! each element is needed; [`super::place`] takes away what is not where the program is small enough to try.

use super::flow::{El, Flow, Found, Placed, is_queue};
use super::loops::Loops;
use super::state::{ENDED, Fact, On, Rules, SYSTEM, Set, State, Token, bit};
use crate::plan::{Family, Scope};
use crate::skeleton::{CPU, NPU, Skeleton};

/// What a pass places.
pub struct Demand<'a> {
    pub loops: &'a Loops,
    /// Wait for the newest dispatch that will do, not for the oldest.
    pub newest: bool,
    pub placed: Vec<El>,
    /// Record the handoffs.
    pub record: bool,
}

/// Passes over a program with branches or loops.
const PASSES: usize = 8;

/// A plan, and the handoffs. The plan is nothing where the passes did not find one.
pub fn place(skeleton: &Skeleton, family: Family, loops: &Loops, newest: bool) -> (Option<Vec<El>>, Found) {
    let mut elements: Vec<El> = Vec::new();
    let mut found = Found::default();
    for pass in 0..PASSES {
        let mut flow = Flow::new(skeleton, family, Placed::new(elements.iter().copied()));
        flow.demand = Some(Demand { loops, newest, placed: Vec::new(), record: pass == 0 });
        let (fresh, pairs) = flow.demanded();
        if pass == 0 {
            found = pairs;
        }
        let nothing = fresh.is_empty();
        elements.extend(fresh);
        elements = super::place::widest(elements);
        if super::place::holds(skeleton, family, &elements) {
            return (Some(elements), found);
        }
        if nothing {
            break;
        }
    }
    (None, found)
}

/// The later end of a handoff.
#[derive(Clone, Copy)]
struct End {
    site: u32,
    context: u8,
    reads: bool,
}

impl Flow<'_> {
    /// Supplies what the handoffs that end in this event lack.
    pub(super) fn supply(&mut self, site: u32, accesses: &[u32], state: &mut State) {
        let skeleton = self.rules.skeleton;
        let context = skeleton.sites[site as usize].context;
        let mut wanted: smallvec::SmallVec<[(u32, usize, bool); 8]> = smallvec::SmallVec::new();
        for &access in accesses {
            let info = &skeleton.accesses[access as usize];
            for i in state.of(info.location) {
                let token = &state.tokens[i];
                if (token.writes || info.mode.writes()) && skeleton.crosses(token.access, access) {
                    wanted.push((skeleton.access_site[token.access as usize], i, info.mode.reads()));
                }
            }
        }
        // The newest first: what it gets serves the older ones.
        wanted.sort_by(|a, b| b.cmp(a));
        for (own, i, reads) in wanted {
            let end = End { site, context, reads };
            self.order(end, own, i, state);
            self.show(end, own, i, state);
        }
    }

    fn add(&mut self, element: El) {
        if self.placed.insert(element) {
            if let Some(demand) = &mut self.demand {
                demand.placed.push(element);
            }
        }
    }

    /// The dispatch to wait for so that a token's access has ended.
    fn target(&self, own: u32, token: &Token) -> u32 {
        let sites = &token.facts[ENDED].sites;
        let skeleton = self.rules.skeleton;
        let context = skeleton.sites[own as usize].context;
        let mut same = sites.iter().copied().filter(|&s| skeleton.sites[s as usize].context == context);
        if self.demand.as_ref().is_some_and(|d| d.newest) {
            return same.next_back().unwrap_or(own);
        }
        if sites.contains(&own) { own } else { same.next().unwrap_or(own) }
    }

    /// Does the later end know this when it starts?
    fn told(&self, end: End, fact: &Fact) -> bool {
        let me = bit(end.context);
        if fact.known & (bit(CPU) | me) != 0 {
            return true;
        }
        if end.context == CPU {
            return false;
        }
        let in_order = self.rules.family == Family::Hsa || end.context == NPU;
        let packet = self.placed.packet(end.site);
        let before = packet.is_some_and(|p| p.before);
        ((in_order || before) && fact.implied & me != 0)
            || packet.is_some_and(|p| p.after.iter().any(|on| fact.sites.contains(on)))
    }

    /// The earlier access must have ended.
    fn order(&mut self, end: End, own: u32, i: usize, state: &mut State) {
        let token = &state.tokens[i];
        if self.told(end, &token.facts[ENDED]) {
            return;
        }
        let skeleton = self.rules.skeleton;
        let from = skeleton.sites[own as usize].context;
        let on = self.target(own, token);
        let same_device = skeleton.device(from) == skeleton.device(end.context);
        if !is_queue(from) || !is_queue(end.context) {
            self.wait(end.site, own, on, state);
        } else if from == end.context {
            self.add(El::Before(end.site));
        } else if same_device || self.rules.family == Family::Hsa {
            self.add(El::Follow { before: end.site, on });
        } else {
            self.wait(end.site, own, on, state);
        }
    }

    fn wait(&mut self, site: u32, own: u32, on: u32, state: &mut State) {
        let Some(demand) = &self.demand else { return };
        let at = demand.loops.hoisted(own, site);
        self.add(El::Wait { at, on });
        state.wait(On::Site(on));
    }

    /// What the earlier access wrote must be visible to the later end.
    fn show(&mut self, end: End, own: u32, i: usize, state: &mut State) {
        let token = &state.tokens[i];
        let me = bit(end.context);
        if !token.writes || token.visible & me != 0 {
            return;
        }
        let hsa = self.rules.family == Family::Hsa;
        let host = token.visible & bit(CPU) != 0;
        match (token.origin, end.context) {
            (CPU, NPU) => self.add(El::Clean(end.site)),
            (CPU | NPU, CPU | NPU) => {}
            (CPU | NPU, _) if hsa && end.reads => self.acquire(end.site, Scope::System),
            (CPU | NPU, _) => {}
            (_, CPU | NPU) => self.show_host(end, own, i, state),
            _ if hsa && host => {
                if end.reads {
                    self.acquire(end.site, Scope::System);
                }
            }
            _ if hsa => self.show_queue(end, own, i, state),
            _ if host => {}
            (from, to) if from == to => self.add(El::Before(end.site)),
            (from, to) if self.rules.skeleton.device(from) == self.rules.skeleton.device(to) => {
                let on = self.target(own, &state.tokens[i]);
                self.add(El::Follow { before: end.site, on });
            }
            _ => self.show_host(end, own, i, state),
        }
    }

    /// A queue's write, to the host or by way of it.
    fn show_host(&mut self, end: End, own: u32, i: usize, state: &mut State) {
        if state.tokens[i].facts[SYSTEM].known & bit(CPU) != 0 {
            return;
        }
        let at = self.publish(own, i, Scope::System, state);
        if state.tokens[i].facts[SYSTEM].known & bit(CPU) == 0 {
            self.wait(end.site, own, at, state);
        }
    }

    /// A queue's write, to another queue or the same one, on HSA.
    fn show_queue(&mut self, end: End, own: u32, i: usize, state: &mut State) {
        let skeleton = self.rules.skeleton;
        let token = &state.tokens[i];
        let near = skeleton.device(token.origin) == skeleton.device(end.context);
        let agent = self.rules.agent_fact(end.context);
        let by_agent = self.told(end, &token.facts[agent]);
        if !by_agent && !self.told(end, &token.facts[SYSTEM]) {
            let scope = if near { Scope::Agent } else { Scope::System };
            let at = self.publish(own, i, scope, state);
            let fact = if near { agent } else { SYSTEM };
            if !self.told(end, &state.tokens[i].facts[fact]) {
                self.add(El::Follow { before: end.site, on: at });
            }
        }
        if end.reads {
            let by_agent = self.told(end, &state.tokens[i].facts[agent]);
            self.acquire(end.site, if by_agent { Scope::Agent } else { Scope::System });
        }
    }

    fn acquire(&mut self, site: u32, scope: Scope) {
        let has = self.placed.packet(site).and_then(|p| p.acquire);
        if has < Some(scope) {
            self.add(El::Acquire(site, scope));
        }
    }

    /// Places a release (Vulkan: a barrier) behind a dispatch that holds a token's bytes, as if it had always been
    /// there. Returns the dispatch.
    fn publish(&mut self, own: u32, i: usize, scope: Scope, state: &mut State) -> u32 {
        let skeleton = self.rules.skeleton;
        let on = self.target(own, &state.tokens[i]);
        let queue = skeleton.sites[own as usize].context;
        // When did the chosen dispatch end? The access of it that is still pending knows.
        let of = |site: u32, t: &Token| skeleton.access_site[t.access as usize] == site;
        let holds = state.tokens[i].holders.contains(&on);
        let pending = state.tokens.iter().find(|t| holds && of(on, t));
        let (at, ended) = match pending {
            Some(t) => (on, t.facts[ENDED].clone()),
            None => (own, state.tokens[i].facts[ENDED].clone()),
        };
        if self.rules.family == Family::Hsa {
            self.add(El::Release(at, scope));
        } else {
            self.add(El::Behind(at));
        }
        let agent = self.rules.agent_fact(queue);
        state.published(self.rules, at, queue, &ended, (scope == Scope::Agent).then_some(agent));
        at
    }
}

impl State {
    /// A release that a dispatch had all along: what it published is known where its end is.
    fn published(&mut self, rules: Rules, at: u32, queue: u8, ended: &Fact, only: Option<usize>) {
        let agent = rules.agent_fact(queue);
        for token in self.tokens.iter_mut().filter(|t| t.writes && t.holders.contains(&at)) {
            let facts: [usize; 2] = only.map_or([SYSTEM, agent], |f| [f, f]);
            for f in facts {
                token.facts[f].add(ended.known, ended.implied, &ended.sites);
            }
            token.settle_host();
        }
    }
}

impl Fact {
    fn add(&mut self, known: Set, implied: Set, sites: &[u32]) {
        self.known |= known;
        self.implied |= implied;
        for &site in sites {
            if !self.sites.contains(&site) {
                self.sites.push(site);
            }
        }
    }
}

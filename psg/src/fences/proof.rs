//! The certificate: for each handoff the elements of its chain, in the order of the hops, and a sentence.
//!
//! An element belongs to a handoff's chain when the handoff is broken without it. Where two elements could stand in for
//! each other (both needed by others), the chain names one of them. In programs too large to try each element, the
//! chain names those elements that stand at the two ends.

use super::flow::{Anchor, El, Flow, Placed};
use super::place::{Placement, SMALL, price};
use super::trial::Trial;
use crate::plan::{
    Chain, Context, CostTable, Element, ElementKind, Family, FencePlan, Handoff, HandoffKind, Point, Scope,
};
use crate::skeleton::Skeleton;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use ustr::Ustr;

/// Events that the search for chains may go over.
const BUDGET: usize = 30_000;

/// Turns a placement into a plan with its certificate.
pub fn assemble(skeleton: &Skeleton, table: &CostTable, placement: Placement) -> FencePlan {
    let mut pairs = placement.found.pairs;
    pairs.sort_by_key(|&(from, to)| (to, from));
    let handoffs: Vec<Handoff> = pairs.iter().map(|&(from, to)| handoff(skeleton, from, to)).collect();
    let elements = &placement.elements;
    let small = skeleton.events() <= SMALL;
    let chains =
        if small { tried(skeleton, table, elements, &pairs) } else { nearby(skeleton, elements, &pairs) };
    let mut counts = vec![0u32; elements.len()];
    chains.iter().flatten().for_each(|&e| counts[e as usize] += 1);
    let mut covers: Vec<Vec<u32>> = counts.iter().map(|&n| Vec::with_capacity(n as usize)).collect();
    for (h, chain) in chains.iter().enumerate() {
        for &e in chain {
            covers[e as usize].push(h as u32);
        }
    }
    let mut reasons = Reasons { skeleton, family: table.family, elements, known: FxHashMap::default() };
    let certificate = chains
        .into_iter()
        .zip(&handoffs)
        .map(|(chain, handoff)| Chain { reason: reasons.of(handoff, &chain), elements: chain })
        .collect();
    let elements = elements
        .iter()
        .zip(covers)
        .map(|(&e, covers)| Element { kind: kind(skeleton, table.family, e), cost: price(table, e), covers })
        .collect();
    let markers = super::markers::announced(skeleton, &handoffs);
    FencePlan {
        table: table.clone(),
        locations: skeleton.locations.clone(),
        accesses: skeleton.accesses.clone(),
        handoffs,
        elements,
        certificate,
        markers,
    }
}

type Elements = SmallVec<[u32; 4]>;

/// What a handoff's sentence depends on.
type Key = (HandoffKind, [(Context, bool); 2], SmallVec<[Hop; 4]>);

/// The sentences, made once for handoffs of one kind.
struct Reasons<'a> {
    skeleton: &'a Skeleton,
    family: Family,
    elements: &'a [El],
    known: FxHashMap<Key, Ustr>,
}

impl Reasons<'_> {
    fn of(&mut self, handoff: &Handoff, chain: &[u32]) -> Ustr {
        let skeleton = self.skeleton;
        let hops = chain.iter().map(|&e| Hop::new(skeleton, self.elements[e as usize])).collect();
        let end = |access: u32| {
            let site = &skeleton.sites[skeleton.access_site[access as usize] as usize];
            (skeleton.accesses[access as usize].context, site.dispatch)
        };
        let key = (handoff.kind, [end(handoff.from), end(handoff.to)], hops);
        if let Some(&reason) = self.known.get(&key) {
            return reason;
        }
        let text = Ustr::from(&reason(skeleton, self.family, handoff, &key.2));
        self.known.insert(key, text);
        text
    }
}

fn handoff(skeleton: &Skeleton, from: u32, to: u32) -> Handoff {
    let (a, b) = (&skeleton.accesses[from as usize], &skeleton.accesses[to as usize]);
    let kind = match (a.mode.writes(), b.mode.reads(), b.mode.writes()) {
        (true, true, _) => HandoffKind::WriteRead,
        (true, false, _) => HandoffKind::WriteWrite,
        (false, ..) => HandoffKind::ReadWrite,
    };
    Handoff { from, to, kind, location: a.location }
}

fn kind(skeleton: &Skeleton, family: Family, element: El) -> ElementKind {
    let node = |site: u32| skeleton.sites[site as usize].node;
    match element {
        El::Wait { at: Anchor::Site(site), on } => {
            let place = if skeleton.sites[site as usize].after { Point::After } else { Point::Before };
            ElementKind::Wait { at: place(node(site)), on: node(on) }
        }
        El::Wait { at: Anchor::Loop(l), on } => {
            ElementKind::Wait { at: Point::Before(skeleton.anchors[l as usize]), on: node(on) }
        }
        El::Follow { before, on } if family == Family::Hsa => {
            ElementKind::BarrierAnd { before: node(before), on: node(on) }
        }
        El::Follow { before, on } => ElementKind::Semaphore { before: node(before), on: node(on) },
        El::Before(site) => ElementKind::PipelineBarrier { at: Point::Before(node(site)) },
        El::Behind(site) => ElementKind::PipelineBarrier { at: Point::After(node(site)) },
        El::Release(site, scope) => ElementKind::Release { dispatch: node(site), scope },
        El::Acquire(site, scope) => ElementKind::Acquire { dispatch: node(site), scope },
        El::Clean(site) => ElementKind::Clean { dispatch: node(site) },
    }
}

/// By pair: satisfied by these elements?
fn satisfied(skeleton: &Skeleton, family: Family, elements: &[El], pairs: &[(u32, u32)]) -> Vec<bool> {
    let found = Flow::new(skeleton, family, Placed::new(elements.iter().copied())).run();
    pairs.iter().map(|p| found.index.get(p).is_none_or(|&i| found.satisfied[i as usize])).collect()
}

/// Chains by trying: without which elements is a handoff broken?
fn tried(skeleton: &Skeleton, table: &CostTable, elements: &[El], pairs: &[(u32, u32)]) -> Vec<Elements> {
    let mut chains: Vec<Elements> = vec![Elements::new(); pairs.len()];
    let index: FxHashMap<(u32, u32), usize> = pairs.iter().enumerate().map(|(h, &p)| (p, h)).collect();
    let mut trial = Trial::new(skeleton, table.family, elements);
    for (e, &element) in elements.iter().enumerate() {
        for pair in trial.broken_without(element) {
            if let Some(&h) = index.get(&pair) {
                chains[h].push(e as u32);
            }
        }
    }
    // Where elements stand in for each other, none is missed alone: take away what the rest makes up for.
    let mut work = BUDGET;
    let pick = |chain: &[u32]| chain.iter().map(|&e| elements[e as usize]).collect::<Vec<_>>();
    let mut known: FxHashMap<Elements, Vec<bool>> = FxHashMap::default();
    let near = nearby(skeleton, elements, pairs);
    for h in 0..chains.len() {
        let base = chains[h].clone();
        let run = skeleton.events();
        let enough = match known.get(&base) {
            Some(enough) => Some(enough[h]),
            None if work < run => None,
            None => {
                work -= run;
                let enough = satisfied(skeleton, table.family, &pick(&base), pairs);
                Some(known.entry(base.clone()).or_insert(enough)[h])
            }
        };
        if enough == Some(true) {
            continue;
        }
        if work < elements.len() * run {
            chains[h].extend(near[h].iter().copied().filter(|e| !base.contains(e)));
            continue;
        }
        work -= elements.len() * run;
        let mut chain: Elements = (0..elements.len() as u32).collect();
        for e in (0..elements.len() as u32).filter(|e| !base.contains(e)) {
            let fewer: Elements = chain.iter().copied().filter(|&x| x != e).collect();
            if satisfied(skeleton, table.family, &pick(&fewer), pairs)[h] {
                chain = fewer;
            }
        }
        chains[h] = chain;
    }
    for chain in &mut chains {
        chain.sort_by_key(|&e| (hop(elements[e as usize]), e));
    }
    chains
}

/// Chains by place.
fn nearby(skeleton: &Skeleton, elements: &[El], pairs: &[(u32, u32)]) -> Vec<Elements> {
    // Elements by the site where they stand, one list behind the other.
    let site = |element: &El| match *element {
        El::Wait { at: Anchor::Site(s), .. } | El::Release(s, _) | El::Behind(s) => s,
        El::Wait { on, .. } => on,
        El::Follow { before, .. } | El::Before(before) => before,
        El::Acquire(s, _) | El::Clean(s) => s,
    };
    let mut starts = vec![0u32; skeleton.sites.len() + 1];
    elements.iter().for_each(|e| starts[site(e) as usize + 1] += 1);
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut next = starts.clone();
    let mut order = vec![0u32; elements.len()];
    for (i, element) in elements.iter().enumerate() {
        let at = &mut next[site(element) as usize];
        order[*at as usize] = i as u32;
        *at += 1;
    }
    let at = |site: u32| {
        let (from, to) = (starts[site as usize], starts[site as usize + 1]);
        order[from as usize..to as usize].iter().copied()
    };
    let chain = |&(from, to): &(u32, u32)| {
        let (from, to) = (skeleton.access_site[from as usize], skeleton.access_site[to as usize]);
        let leaves = |e: &u32| matches!(elements[*e as usize], El::Release(..) | El::Behind(_));
        let hoisted = |e: &u32| matches!(elements[*e as usize], El::Wait { at: Anchor::Loop(_), .. });
        let mut chain: Elements = at(from).filter(|e| leaves(e) || hoisted(e)).collect();
        chain.extend(at(to).filter(|e| !leaves(e) && !hoisted(e)));
        chain.sort_by_key(|&e| (hop(elements[e as usize]), e));
        chain.dedup();
        chain
    };
    pairs.iter().map(chain).collect()
}

/// Elements of a chain in the order in which they happen, mostly.
fn hop(element: El) -> u8 {
    match element {
        El::Release(..) => 0,
        El::Behind(_) => 1,
        El::Wait { .. } => 2,
        El::Follow { .. } | El::Before(_) => 3,
        El::Clean(_) => 4,
        El::Acquire(..) => 5,
    }
}

/// What a sentence says of an element.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Hop {
    Release(Context, Scope),
    Acquire(Context, Scope),
    Wait { on: Context, hoisted: bool },
    Follow { queue: Context, on: Context },
    Before(Context),
    Behind(Context),
    Clean,
}

impl Hop {
    fn new(skeleton: &Skeleton, element: El) -> Self {
        let context = |site: u32| skeleton.contexts[skeleton.sites[site as usize].context as usize];
        match element {
            El::Release(s, scope) => Self::Release(context(s), scope),
            El::Acquire(s, scope) => Self::Acquire(context(s), scope),
            El::Wait { at, on } => Self::Wait { on: context(on), hoisted: matches!(at, Anchor::Loop(_)) },
            El::Follow { before, on } => Self::Follow { queue: context(before), on: context(on) },
            El::Before(s) => Self::Before(context(s)),
            El::Behind(s) => Self::Behind(context(s)),
            El::Clean(_) => Self::Clean,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Release(of, scope) => format!("the {of} packet releases its writes {}", reach(scope)),
            Self::Acquire(of, scope) => format!("the {of} packet acquires {}", from_where(scope)),
            Self::Wait { on, hoisted: false } => format!("the host waits for the {on} dispatch"),
            Self::Wait { on, hoisted: true } => {
                format!("the host waits for the {on} dispatch, once before the loop")
            }
            Self::Follow { queue, on } => format!("{queue} starts after {on}'s dispatch has ended"),
            Self::Before(of) => format!("a barrier in {of}'s stream orders and publishes what came before"),
            Self::Behind(of) => format!("a barrier behind the {of} dispatch publishes its writes"),
            Self::Clean => "the doorbell writes the host's dirty lines to memory for the NPU".to_owned(),
        }
    }
}

/// The certificate's sentence.
fn reason(skeleton: &Skeleton, family: Family, handoff: &Handoff, chain: &[Hop]) -> String {
    let (a, b) = (&skeleton.accesses[handoff.from as usize], &skeleton.accesses[handoff.to as usize]);
    if chain.is_empty() {
        return free(skeleton, family, handoff).to_owned();
    }
    let steps: Vec<String> = chain.iter().map(|hop| hop.text()).collect();
    let what = match handoff.kind {
        HandoffKind::WriteRead => format!("{} reads what {} wrote", b.context, a.context),
        HandoffKind::WriteWrite => format!("{} overwrites what {} wrote", b.context, a.context),
        HandoffKind::ReadWrite => format!("{} overwrites what {} has read", b.context, a.context),
    };
    format!("{what}: {}", steps.join("; "))
}

fn reach(scope: Scope) -> &'static str {
    if scope == Scope::System { "to the whole system" } else { "to the device's other packets" }
}

fn from_where(scope: Scope) -> &'static str {
    if scope == Scope::System { "what the system published" } else { "what the device's packets released" }
}

/// Why a handoff needs nothing.
fn free(skeleton: &Skeleton, family: Family, handoff: &Handoff) -> &'static str {
    let site = |access: u32| &skeleton.sites[skeleton.access_site[access as usize] as usize];
    let (a, b) = (site(handoff.from), site(handoff.to));
    match (a.dispatch, b.dispatch) {
        (false, false) => "both happen on the host's own time, one after the other",
        (false, true) if handoff.kind == HandoffKind::ReadWrite => {
            "a dispatch starts after everything the host did before it"
        }
        (false, true) if family == Family::Vulkan => "the submission makes the host's writes visible",
        (false, true) => "the doorbell publishes the host's write before the dispatch starts",
        (true, _) if a.context == b.context => "the queue runs in order",
        (true, _) => "what was done for earlier handoffs already orders them",
    }
}

//! A plan with one element changed, without going over the whole program again.
//!
//! The state of the flow analysis before each step of the program's outermost block is kept. A change is tried from
//! the first step that it can touch, until the state is again what it was: from there on nothing is different. In a
//! program whose handoffs reach a bounded way, each try takes bounded time.
//!
//! Promises: a change that is taken leaves every handoff satisfied, up to what [`super::place`] confirms at the end
//! with a whole run. Programs with shared bodies (recursion, very large call trees) are gone over as a whole each time.

use super::flow::{Anchor, El, Flow, Placed};
use super::state::{State, bit};
use crate::plan::Family;
use crate::skeleton::{CPU, Skeleton, Step};

/// First and last step.
#[derive(Clone, Copy)]
struct Span(u32, u32);

impl Span {
    const NONE: Self = Self(u32::MAX, 0);

    fn grow(&mut self, step: u32) {
        self.0 = self.0.min(step);
        self.1 = self.1.max(step);
    }
}

pub struct Trial<'a> {
    skeleton: &'a Skeleton,
    family: Family,
    flow: Flow<'a>,
    /// Before each step of the body, and at its end. Empty where the program is gone over as a whole.
    before: Vec<Option<State>>,
    /// By step: the events in it, and the loops.
    events: Vec<u32>,
    loops: Vec<Vec<u32>>,
    sites: Vec<Span>,
    anchors: Vec<Span>,
    /// Events gone over so far.
    pub spent: usize,
}

impl<'a> Trial<'a> {
    pub fn new(skeleton: &'a Skeleton, family: Family, elements: &[El]) -> Self {
        let mut out = Self {
            skeleton,
            family,
            flow: Flow::new(skeleton, family, Placed::new(elements.iter().copied())),
            before: Vec::new(),
            events: vec![0; skeleton.body.len()],
            loops: vec![Vec::new(); skeleton.body.len()],
            sites: vec![Span::NONE; skeleton.sites.len()],
            anchors: vec![Span::NONE; skeleton.anchors.len()],
            spent: 0,
        };
        for (i, step) in skeleton.body.iter().enumerate() {
            out.survey(i as u32, std::slice::from_ref(step));
        }
        if skeleton.shared.is_empty() {
            let mut state = Some(State::default());
            for i in 0..skeleton.body.len() {
                out.before.push(state.clone());
                state = out.step(i, state);
            }
            out.before.push(state);
        }
        out
    }

    fn survey(&mut self, i: u32, block: &[Step]) {
        for step in block {
            match step {
                Step::Event { site, .. } => {
                    self.sites[*site as usize].grow(i);
                    self.events[i as usize] += 1;
                }
                Step::Branch(arms) => arms.iter().for_each(|arm| self.survey(i, arm)),
                Step::Loop { anchor, id, head, body } => {
                    self.anchors[*anchor as usize].grow(i);
                    self.loops[i as usize].push(*id);
                    self.survey(i, head);
                    self.survey(i, body);
                }
                Step::Fresh(_) | Step::Marker(_) | Step::Call(_) | Step::Stop => {}
            }
        }
    }

    fn step(&mut self, i: usize, state: Option<State>) -> Option<State> {
        let state = state?;
        self.flow.forget(&self.loops[i]);
        self.spent += 1 + self.events[i] as usize;
        self.flow.step(&self.skeleton.body[i], state)
    }

    /// Where an element makes a difference.
    fn span(&self, element: El) -> Span {
        match element {
            El::Wait { at: Anchor::Loop(l), .. } => self.anchors[l as usize],
            El::Wait { at: Anchor::Site(s), .. } | El::Follow { before: s, .. } => self.sites[s as usize],
            El::Before(s) | El::Behind(s) | El::Clean(s) | El::Release(s, _) | El::Acquire(s, _) => {
                self.sites[s as usize]
            }
        }
    }

    /// Takes an element away, or puts another in its place, if every handoff stays satisfied.
    pub fn change(&mut self, old: El, new: Option<El>) -> bool {
        self.swap(Some(old), new);
        self.flow.quick = true;
        let mut span = self.span(old);
        if let Some(new) = new {
            let other = self.span(new);
            span = Span(span.0.min(other.0), span.1.max(other.1));
        }
        let holds = self.run(span, true);
        if !holds {
            self.swap(new, Some(old));
        }
        holds
    }

    /// The handoffs that are broken without an element, as pairs of accesses.
    pub fn broken_without(&mut self, element: El) -> Vec<(u32, u32)> {
        self.swap(Some(element), None);
        self.flow.quick = false;
        self.flow.found = super::flow::Found::default();
        self.run(self.span(element), false);
        self.swap(None, Some(element));
        let found = &self.flow.found;
        found.pairs.iter().zip(&found.satisfied).filter(|(_, ok)| !**ok).map(|(&pair, _)| pair).collect()
    }

    fn swap(&mut self, old: Option<El>, new: Option<El>) {
        if let Some(old) = old {
            self.flow.placed.remove(old);
        }
        if let Some(new) = new {
            self.flow.placed.insert(new);
        }
    }

    /// Goes over the steps that differ. Keeps the states, where asked to and nothing is broken.
    fn run(&mut self, span: Span, keep: bool) -> bool {
        self.flow.broken = false;
        if self.before.is_empty() {
            self.spent += self.skeleton.events();
            let placed = self.flow.placed.clone();
            let mut whole = Flow::new(self.skeleton, self.family, placed);
            whole.quick = self.flow.quick;
            whole.fixpoint();
            self.flow.found = whole.found;
            return !whole.broken;
        }
        let Span(first, last) = span;
        if first == u32::MAX {
            return true;
        }
        let (first, last) = (first as usize, last as usize);
        let mut state = self.before[first].clone();
        let mut fresh = Vec::new();
        for i in first..self.skeleton.body.len() {
            if i > last && alike(state.as_ref(), self.before[i].as_ref()) {
                break;
            }
            if keep {
                fresh.push(state.clone());
            }
            state = self.step(i, state);
            if self.flow.broken && self.flow.quick {
                return false;
            }
        }
        if self.flow.broken || !keep {
            return !self.flow.broken;
        }
        if first + fresh.len() == self.skeleton.body.len() {
            fresh.push(state);
        }
        for (i, state) in fresh.into_iter().enumerate() {
            self.before[first + i] = state;
        }
        true
    }
}

/// Equal, but for how the host came to know what it knows.
fn alike(a: Option<&State>, b: Option<&State>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a.is_none() && b.is_none() };
    a.tokens.len() == b.tokens.len()
        && a.tokens.iter().zip(&b.tokens).all(|(a, b)| {
            (a.location, a.access, a.visible) == (b.location, b.access, b.visible)
                && a.facts.iter().zip(&b.facts).all(|(f, g)| {
                    let host = f.known & g.known & bit(CPU) != 0;
                    f.known == g.known && f.implied == g.implied && (host || f.sites == g.sites)
                })
                && a.holders == b.holders
        })
}

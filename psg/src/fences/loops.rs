//! Where sites stand in loops: what hoisting a wait goes by.
//!
//! A site stands in the tree once for each way to reach it, inside other loops each time. A loop that is *always*
//! around a site is around it wherever it stands; one that is *ever* around it in one place at least. A wait before a
//! loop serves a later end that is always in it, unless the earlier end is ever in it and so may run again, or the loop
//! is *open*: it calls a body that is called outside too, so that what comes in there is taken to come out here.

use super::flow::Anchor;
use crate::skeleton::{Block, Skeleton, Step};

pub struct Loops {
    /// By site, outermost first.
    always: Vec<Vec<u32>>,
    /// By site.
    ever: Vec<Vec<u32>>,
    /// By anchor.
    open: Vec<bool>,
}

impl Loops {
    pub fn new(skeleton: &Skeleton) -> Self {
        let mut walk = Walk {
            always: vec![None; skeleton.sites.len()],
            ever: vec![Vec::new(); skeleton.sites.len()],
            calls: vec![Vec::new(); skeleton.shared.len()],
            again: Vec::new(),
        };
        walk.block(&skeleton.body, &mut Vec::new(), 0);
        // A shared body may run inside any loop that calls it: nothing is always around it but its own loops.
        while let Some(shared) = walk.again.pop() {
            let around = walk.calls[shared].clone();
            walk.block(&skeleton.shared[shared], &mut around.clone(), around.len());
        }
        for body in &skeleton.shared {
            walk.block(body, &mut Vec::new(), 0);
        }
        let always = walk.always.into_iter().map(Option::unwrap_or_default).collect();
        let mut open = vec![false; skeleton.anchors.len()];
        if !skeleton.shared.is_empty() {
            let calls: Vec<Vec<u32>> = skeleton.shared.iter().map(|b| calls_in(b)).collect();
            let mut all = calls_in(&skeleton.body);
            all.extend(calls.iter().flatten());
            for block in skeleton.shared.iter().chain([&skeleton.body]) {
                find_open(block, &calls, &all, &mut open);
            }
        }
        Self { always, ever: walk.ever, open }
    }

    /// Where a wait for `from` stands that `to` needs: before the outermost loop around `to` that `from` is never in.
    pub fn hoisted(&self, from: u32, to: u32) -> Anchor {
        let inside = &self.ever[from as usize];
        let outer = self.always[to as usize].iter().find(|l| !inside.contains(l) && !self.open[**l as usize]);
        outer.map_or(Anchor::Site(to), |&l| Anchor::Loop(l))
    }

    /// The first site inside a loop.
    pub fn place(&self, anchor: u32) -> u32 {
        self.always.iter().position(|s| s.contains(&anchor)).unwrap_or(0) as u32
    }
}

struct Walk {
    always: Vec<Option<Vec<u32>>>,
    ever: Vec<Vec<u32>>,
    /// By shared body: the loops around its calls, found so far.
    calls: Vec<Vec<u32>>,
    /// Shared bodies to go over with more loops around them.
    again: Vec<usize>,
}

impl Walk {
    /// `stack` begins with `foreign` loops, which are around a call of this block.
    fn block(&mut self, block: &Block, stack: &mut Vec<u32>, foreign: usize) {
        for step in block {
            match step {
                Step::Event { site, .. } => {
                    let own = &stack[foreign..];
                    match &mut self.always[*site as usize] {
                        Some(old) => old.retain(|l| own.contains(l)),
                        none => *none = Some(own.to_vec()),
                    }
                    add(&mut self.ever[*site as usize], stack);
                }
                Step::Branch(arms) => arms.iter().for_each(|arm| self.block(arm, stack, foreign)),
                Step::Loop { anchor, head, body, .. } => {
                    stack.push(*anchor);
                    self.block(head, stack, foreign);
                    self.block(body, stack, foreign);
                    stack.pop();
                }
                Step::Call(shared) => {
                    let shared = *shared as usize;
                    if add(&mut self.calls[shared], stack) {
                        self.again.push(shared);
                    }
                }
                Step::Fresh(_) | Step::Marker(_) | Step::Stop => {}
            }
        }
    }
}

/// The bodies that a block calls, once for each call.
fn calls_in(block: &Block) -> Vec<u32> {
    let mut out = Vec::new();
    for step in block {
        match step {
            Step::Call(shared) => out.push(*shared),
            Step::Branch(arms) => arms.iter().for_each(|arm| out.extend(calls_in(arm))),
            Step::Loop { head, body, .. } => {
                out.extend(calls_in(head));
                out.extend(calls_in(body));
            }
            Step::Event { .. } | Step::Fresh(_) | Step::Marker(_) | Step::Stop => {}
        }
    }
    out
}

/// Notes the loops that call a body which is called outside of them too. `calls` by body, `all` of the program.
fn find_open(block: &Block, calls: &[Vec<u32>], all: &[u32], open: &mut [bool]) {
    for step in block {
        match step {
            Step::Branch(arms) => arms.iter().for_each(|arm| find_open(arm, calls, all, open)),
            Step::Loop { anchor, head, body, .. } => {
                let mut inside = calls_in(head);
                inside.extend(calls_in(body));
                let (mut at, mut reached) = (0, Vec::new());
                while let Some(&shared) = inside.get(at) {
                    if !reached.contains(&shared) {
                        reached.push(shared);
                        inside.extend(&calls[shared as usize]);
                    }
                    at += 1;
                }
                let count = |list: &[u32], s| list.iter().filter(|c| **c == s).count();
                open[*anchor as usize] |= reached.iter().any(|&s| count(all, s) != count(&inside, s));
                find_open(head, calls, all, open);
                find_open(body, calls, all, open);
            }
            Step::Event { .. } | Step::Fresh(_) | Step::Marker(_) | Step::Call(_) | Step::Stop => {}
        }
    }
}

/// Adds loops to a set. True where it grew.
fn add(set: &mut Vec<u32>, loops: &[u32]) -> bool {
    let before = set.len();
    for l in loops {
        if !set.contains(l) {
            set.push(*l);
        }
    }
    set.len() > before
}

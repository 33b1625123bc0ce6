//! Handles of foreign libraries after their release.
//!
//! A parameter of an extern with `[<Releases>]` takes a handle that is gone when the call returns. What is given to a
//! foreign function after that, or released again, is reported where the program is certain to do it: on a straight way
//! through a function, through its branches where all that go on have released it, and through calls of functions that
//! release or use their parameter on every way. A handle that was stored in an array, a mutable variable or a record
//! is not followed, nor is one round of a loop into the next: no report is a false alarm.

use crate::graph::Psg;
use crate::id::{FuncId, NodeId, RegionId};
use crate::node::Op;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::typed::ParamEffect;
use rustc_hash::FxHashMap;

/// What a function does to a parameter on every way that returns.
#[derive(Clone, Copy, Default)]
struct Fact {
    used: bool,
    released: bool,
}

/// What happened to a value on every way to here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Used(NodeId),
    Released(NodeId),
}

/// Reports uses of released handles.
pub fn check(psg: &Psg) -> Vec<Diagnostic> {
    let releases =
        psg.externs.iter().any(|(_, x)| x.params.iter().any(|p| p.2 == Some(ParamEffect::Releases)));
    if !releases {
        return Vec::new();
    }
    let mut walk = Walk {
        psg,
        facts: FxHashMap::default(),
        seen: FxHashMap::default(),
        log: Vec::new(),
        found: Vec::new(),
    };
    for func in callees_first(psg) {
        walk.function(func);
    }
    walk.found.sort_by_key(|d| d.0);
    walk.found.into_iter().map(|d| d.1).collect()
}

/// Functions, each after those that it calls; in a ring of calls some come before.
fn callees_first(psg: &Psg) -> Vec<FuncId> {
    let callees = |func: FuncId| {
        let mut list = Vec::new();
        psg.walk_func(func, &mut |node| {
            if let Op::Call { func, .. } = psg.nodes[node].op {
                list.push(func);
            }
        });
        list
    };
    let mut state: FxHashMap<FuncId, ()> = FxHashMap::default();
    let mut order = Vec::new();
    for root in psg.funcs.ids() {
        if state.insert(root, ()).is_some() {
            continue;
        }
        let mut open = vec![(root, callees(root))];
        while let Some((func, rest)) = open.last_mut() {
            match rest.pop() {
                Some(next) => {
                    if state.insert(next, ()).is_none() {
                        let list = callees(next);
                        open.push((next, list));
                    }
                }
                None => {
                    order.push(*func);
                    open.pop();
                }
            }
        }
    }
    order
}

struct Walk<'a> {
    psg: &'a Psg,
    facts: FxHashMap<FuncId, Vec<Fact>>,
    /// Of the function being walked.
    seen: FxHashMap<NodeId, Event>,
    /// What `seen` held before each change, newest last.
    log: Vec<(NodeId, Option<Event>)>,
    /// By node, for the order.
    found: Vec<(NodeId, Diagnostic)>,
}

impl Walk<'_> {
    fn function(&mut self, func: FuncId) {
        self.seen.clear();
        self.log.clear();
        self.region(self.psg.funcs[func].body);
        let facts = self.psg.funcs[func].params.iter().map(|p| match self.seen.get(p) {
            None => Fact::default(),
            Some(Event::Used(_)) => Fact { used: true, released: false },
            Some(Event::Released(_)) => Fact { used: true, released: true },
        });
        let facts: Vec<Fact> = facts.collect();
        if facts.iter().any(|f| f.used) {
            self.facts.insert(func, facts);
        }
    }

    /// Walks a region; whether its end is reached.
    fn region(&mut self, region: RegionId) -> bool {
        let psg = self.psg;
        for &node in &psg.regions[region].nodes {
            let n = &psg.nodes[node];
            match &n.op {
                Op::CallExtern(x) => {
                    for (i, &operand) in n.operands.iter().enumerate() {
                        let effect = psg.externs[*x].params.get(i).and_then(|p| p.2);
                        self.given(node, operand, effect == Some(ParamEffect::Releases));
                    }
                }
                Op::Call { func, .. } => {
                    let Some(facts) = self.facts.get(func).cloned() else { continue };
                    for (&operand, fact) in n.operands.iter().zip(facts) {
                        if fact.used {
                            self.given(node, operand, fact.released);
                        }
                    }
                }
                Op::Fail(_) => return false,
                Op::If | Op::Switch(_) => {
                    if !self.branches(&n.regions) {
                        return false;
                    }
                }
                // They may run no time, once or often.
                _ => {
                    for &r in &n.regions {
                        let before = self.log.len();
                        self.region(r);
                        self.undo(before);
                    }
                }
            }
        }
        true
    }

    /// Keeps what all branches that go on have done; whether one does.
    fn branches(&mut self, regions: &[RegionId]) -> bool {
        let before = self.log.len();
        let mut common: Option<Vec<(NodeId, Event)>> = None;
        for &region in regions {
            let goes_on = self.region(region);
            let changed: FxHashMap<NodeId, Event> =
                self.log[before..].iter().filter_map(|(v, _)| Some((*v, *self.seen.get(v)?))).collect();
            let order: Vec<NodeId> = self.log[before..].iter().map(|c| c.0).collect();
            self.undo(before);
            if !goes_on {
                continue;
            }
            common = Some(match common {
                None => {
                    let mut list: Vec<(NodeId, Event)> = Vec::new();
                    let mut taken = rustc_hash::FxHashSet::default();
                    list.extend(order.into_iter().filter(|v| taken.insert(*v)).map(|v| (v, changed[&v])));
                    list
                }
                Some(list) => list
                    .into_iter()
                    .filter_map(|(v, event)| match (event, changed.get(&v)?) {
                        (Event::Released(_), Event::Used(at)) => Some((v, Event::Used(*at))),
                        _ => Some((v, event)),
                    })
                    .collect(),
            });
        }
        let Some(common) = common else { return false };
        for (value, event) in common {
            self.set(value, event);
        }
        true
    }

    fn set(&mut self, value: NodeId, event: Event) {
        let old = self.seen.insert(value, event);
        self.log.push((value, old));
    }

    fn undo(&mut self, to: usize) {
        while self.log.len() > to {
            let Some((value, old)) = self.log.pop() else { return };
            match old {
                Some(event) => self.seen.insert(value, event),
                None => self.seen.remove(&value),
            };
        }
    }

    /// A value goes to a foreign function, or to one of ours that gives it to one.
    fn given(&mut self, at: NodeId, value: NodeId, releases: bool) {
        if matches!(self.psg.nodes[value].op, Op::Const(_)) {
            return;
        }
        match self.seen.get(&value) {
            Some(&Event::Released(first)) => self.report(at, first, value, releases),
            _ if releases => self.set(value, Event::Released(at)),
            None => self.set(value, Event::Used(at)),
            Some(Event::Used(_)) => {}
        }
    }

    fn callee(&self, node: NodeId) -> &str {
        match &self.psg.nodes[node].op {
            Op::CallExtern(x) => &self.psg.externs[*x].entry,
            Op::Call { func, .. } => &self.psg.funcs[*func].name,
            _ => "?",
        }
    }

    fn report(&mut self, at: NodeId, first: NodeId, value: NodeId, again: bool) {
        let name = self.psg.names.get(&value).map_or_else(|| "the handle".to_owned(), |n| format!("`{n}`"));
        let done = if again { "released again" } else { "used after its release" };
        let diagnostic =
            Diagnostic::error(codes::RELEASED_HANDLE, self.psg.spans[at], format!("{name} is {done}"))
                .here(format!("given to `{}`", self.callee(at)))
                .label(self.psg.spans[first], format!("`{}` released it", self.callee(first)))
                .help(if again { "release it once" } else { "release it after its last use" });
        self.found.push((at, diagnostic));
    }
}

//! Handles of foreign libraries after their release.
//!
//! A parameter of an extern with `[<Releases>]` takes a handle that is gone when the call returns. What is given to a
//! foreign function after that, or released again, is reported where the program is certain to do it: on a straight way
//! through a function, through its branches where all that go on have released it, and through calls of functions that
//! release or use their parameter on every way. A handle in a field that cannot be assigned is the same wherever the
//! record goes, so `use` and `Dispose` of a record around a handle are seen too. A handle that was stored in an array, a
//! mutable variable or a mutable field is not followed, nor is one round of a loop into the next: no report is a false
//! alarm.

use crate::graph::Psg;
use crate::id::{FuncId, NodeId, RegionId};
use crate::node::Op;
use crate::ty::Field;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::typed::ParamEffect;
use rustc_hash::FxHashMap;

/// Cases and fields from a value inwards.
type Path = Vec<(u32, u32)>;

/// A value, or what lies in it behind some fields.
type Place = (NodeId, Path);

/// What a function does to a parameter, or to a field in it, on every way that returns.
#[derive(Clone)]
struct Fact {
    param: usize,
    path: Path,
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
    seen: FxHashMap<Place, Event>,
    /// What `seen` held before each change, newest last.
    log: Vec<(Place, Option<Event>)>,
    /// By node, for the order.
    found: Vec<(NodeId, Diagnostic)>,
}

impl Walk<'_> {
    fn function(&mut self, func: FuncId) {
        self.seen.clear();
        self.log.clear();
        self.region(self.psg.funcs[func].body);
        let params = &self.psg.funcs[func].params;
        let mut facts: Vec<Fact> = Vec::new();
        for ((root, path), event) in &self.seen {
            if let Some(param) = params.iter().position(|p| p == root) {
                let released = matches!(event, Event::Released(_));
                facts.push(Fact { param, path: path.clone(), released });
            }
        }
        if !facts.is_empty() {
            facts.sort_by(|a, b| (a.param, &a.path).cmp(&(b.param, &b.path)));
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
                        self.given(node, operand, Vec::new(), effect == Some(ParamEffect::Releases));
                    }
                }
                Op::Call { func, .. } => {
                    let Some(facts) = self.facts.get(func).cloned() else { continue };
                    for fact in facts {
                        if let Some(&operand) = n.operands.get(fact.param) {
                            self.given(node, operand, fact.path, fact.released);
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
        let mut common: Option<Vec<(Place, Event)>> = None;
        for &region in regions {
            let goes_on = self.region(region);
            let changed: FxHashMap<Place, Event> = self.log[before..]
                .iter()
                .filter_map(|(v, _)| Some((v.clone(), *self.seen.get(v)?)))
                .collect();
            let order: Vec<Place> = self.log[before..].iter().map(|c| c.0.clone()).collect();
            self.undo(before);
            if !goes_on {
                continue;
            }
            common = Some(match common {
                None => {
                    let mut taken = rustc_hash::FxHashSet::default();
                    let first = order.into_iter().filter(|v| taken.insert(v.clone()));
                    first.filter_map(|v| changed.get(&v).map(|&event| (v, event))).collect()
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

    fn set(&mut self, value: Place, event: Event) {
        let old = self.seen.insert(value.clone(), event);
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

    /// Where a value, or what lies at a path in it, comes from: through fields that cannot be assigned, and records
    /// made here.
    fn place(&self, mut node: NodeId, mut path: Path) -> Place {
        // Inwards is at the end while this goes outwards.
        path.reverse();
        loop {
            let n = &self.psg.nodes[node];
            let next = match n.op {
                Op::Field { case, field }
                    if n.operands.first().is_some_and(|&r| !self.is_mutable(r, case, field)) =>
                {
                    path.push((case, field));
                    n.operands.first()
                }
                Op::Make(case) if path.last().is_some_and(|step| step.0 == case) => {
                    path.pop().and_then(|(_, field)| n.operands.get(field as usize))
                }
                _ => None,
            };
            match next {
                Some(&next) => node = next,
                None => break,
            }
        }
        path.reverse();
        (node, path)
    }

    fn field(&self, record: NodeId, case: u32, field: u32) -> Option<&Field> {
        let agg = self.psg.types.agg(self.psg.nodes[record].ty)?;
        agg.cases.get(case as usize)?.fields.get(field as usize)
    }

    fn is_mutable(&self, record: NodeId, case: u32, field: u32) -> bool {
        self.field(record, case, field).is_none_or(|f| f.is_mutable)
    }

    /// A value, or what lies at a path in it, goes to a foreign function, or to one of ours that gives it to one.
    fn given(&mut self, at: NodeId, value: NodeId, path: Path, releases: bool) {
        let text = self.text(value, &path);
        let place = self.place(value, path);
        if matches!(self.psg.nodes[place.0].op, Op::Const(_)) {
            return;
        }
        match self.seen.get(&place) {
            Some(&Event::Released(first)) => self.report(at, first, text, releases),
            _ if releases => self.set(place, Event::Released(at)),
            None => self.set(place, Event::Used(at)),
            Some(Event::Used(_)) => {}
        }
    }

    /// How the program names a value, or what lies at a path in it.
    fn text(&self, value: NodeId, path: &[(u32, u32)]) -> Option<String> {
        let n = &self.psg.nodes[value];
        let mut text = match (self.psg.names.get(&value), &n.op) {
            (Some(name), _) => name.to_string(),
            (None, Op::Field { case, field }) => {
                let record = *n.operands.first()?;
                format!("{}.{}", self.text(record, &[])?, self.field(record, *case, *field)?.name)
            }
            _ => return None,
        };
        let mut ty = n.ty;
        for &(case, field) in path {
            let inner = self.psg.types.agg(ty)?.cases.get(case as usize)?.fields.get(field as usize)?;
            text.push('.');
            text.push_str(&inner.name);
            ty = inner.ty;
        }
        Some(text)
    }

    fn callee(&self, node: NodeId) -> &str {
        match &self.psg.nodes[node].op {
            Op::CallExtern(x) => &self.psg.externs[*x].entry,
            Op::Call { func, .. } => &self.psg.funcs[*func].name,
            _ => "?",
        }
    }

    fn report(&mut self, at: NodeId, first: NodeId, text: Option<String>, again: bool) {
        let name = text.map_or_else(|| "the handle".to_owned(), |n| format!("`{n}`"));
        let done = if again { "released again" } else { "used after its release" };
        let diagnostic =
            Diagnostic::error(codes::RELEASED_HANDLE, self.psg.spans[at], format!("{name} is {done}"))
                .here(format!("given to `{}`", self.callee(at)))
                .label(self.psg.spans[first], format!("`{}` released it", self.callee(first)))
                .help(if again { "release it once" } else { "release it after its last use" });
        self.found.push((at, diagnostic));
    }
}

//! Where each reference of a function ends: given away at its last use, or dropped behind it.

use super::edits::{Edit, Edits};
use super::owning::Owning;
use super::types::Managed;
use super::uses::{AT_RESULT, Site, Uses, takes};
use super::vars::{self, Given};
use crate::graph::Psg;
use crate::id::{FuncId, NodeId, RegionId};
use crate::node::Op;
use crate::ty::{AggKind, Type};
use rustc_hash::FxHashSet;

/// How a function has a value.
#[derive(Clone, Copy, PartialEq)]
enum Hold {
    /// Not counted, or never freed.
    Nothing,
    /// Somebody else keeps it alive as long as this function runs.
    Stable,
    /// This function has a reference.
    Owned,
    /// Read from a place that may change: a reference is taken at once.
    Read,
}

/// Works on one function.
pub(super) struct Planner<'a> {
    pub(super) psg: &'a Psg,
    pub(super) managed: &'a Managed,
    owning: &'a Owning,
    func: FuncId,
    pub(super) uses: Uses,
    pub(super) edits: Edits,
    given: Given,
    /// Uses that take the last reference.
    moved: FxHashSet<(u32, u32)>,
    results_moved: FxHashSet<(u32, u32)>,
    stable: FxHashSet<NodeId>,
}

/// The changes that one function needs.
pub fn plan(psg: &Psg, managed: &Managed, owning: &Owning, func: FuncId) -> Edits {
    let uses = Uses::new(psg, func);
    let given = vars::given(psg, &uses);
    let mut planner = Planner {
        psg,
        managed,
        owning,
        func,
        uses,
        edits: Edits::default(),
        given,
        moved: FxHashSet::default(),
        results_moved: FxHashSet::default(),
        stable: FxHashSet::default(),
    };
    planner.run();
    let Planner { uses, mut edits, .. } = planner;
    edits.regions = uses.regions;
    edits
}

impl Planner<'_> {
    fn run(&mut self) {
        let body = self.psg.funcs[self.func].body;
        for (i, &param) in self.psg.funcs[self.func].params.iter().enumerate() {
            if !self.managed.is(self.psg.nodes[param].ty) {
                continue;
            }
            if self.owning.is(self.func, i as u32) {
                self.end(param, body, false);
            } else {
                self.stable.insert(param);
            }
        }
        // In order of execution, so that stability reaches fields of fields.
        let nodes = self.in_order();
        for &node in &nodes {
            match self.hold(node) {
                Hold::Nothing => {}
                Hold::Stable => {
                    self.stable.insert(node);
                }
                Hold::Owned => self.owned(node, false),
                Hold::Read => self.owned(node, true),
            }
        }
        for &node in &nodes {
            self.taken_by(node);
            self.overwritten_by(node);
        }
        for region in self.uses.regions.clone() {
            self.result_of(region);
        }
        self.take_apart();
    }

    fn in_order(&self) -> Vec<NodeId> {
        let mut nodes = Vec::with_capacity(self.uses.nodes.len());
        self.psg.walk_func(self.func, &mut |node| nodes.push(node));
        nodes
    }

    fn hold(&self, node: NodeId) -> Hold {
        let n = &self.psg.nodes[node];
        if let Type::Var(element) = *self.psg.types.get(n.ty) {
            return if n.op == Op::Var && self.managed.is(element) { Hold::Owned } else { Hold::Nothing };
        }
        if !self.managed.is(n.ty) {
            return Hold::Nothing;
        }
        match n.op {
            Op::Const(_) | Op::Param(_) | Op::RegionParam(_) | Op::Fail(_) | Op::Drop | Op::Dup => {
                Hold::Nothing
            }
            Op::GlobalGet(global) if !self.psg.globals[global].is_mutable => Hold::Stable,
            Op::Field { case, field } => {
                let from = n.operands[0];
                let declared = self.psg.types.agg(self.psg.nodes[from].ty);
                let mutable = declared
                    .and_then(|agg| agg.cases.get(case as usize)?.fields.get(field as usize))
                    .is_none_or(|f| f.is_mutable);
                if self.stable.contains(&from) && !mutable { Hold::Stable } else { Hold::Read }
            }
            Op::VarGet if self.given.reads.contains(&node) => Hold::Owned,
            Op::ArrayGet { .. } | Op::VarGet | Op::GlobalGet(_) => Hold::Read,
            _ => Hold::Owned,
        }
    }

    fn is_var(&self, node: NodeId) -> bool {
        self.psg.nodes[node].op == Op::Var
    }

    fn is_buffer(&self, node: NodeId) -> bool {
        self.psg.types.agg(self.psg.nodes[node].ty).is_some_and(|a| matches!(a.kind, AggKind::Buffer(_)))
    }

    fn drop_of(&self, value: NodeId) -> Edit {
        if self.is_var(value) { Edit::DropVar(value) } else { Edit::Drop(value) }
    }

    fn owned(&mut self, node: NodeId, read: bool) {
        let Some(home) = self.uses.home(node) else { return };
        let makes_buffer = self.is_buffer(node) && matches!(self.psg.nodes[node].op, Op::Make(_));
        if read || makes_buffer {
            // First of what follows the node: it must come before any drop of what it was read from.
            let first = if makes_buffer { Edit::FirstOfBuffer(node) } else { Edit::Dup(node) };
            self.edits.after.entry(node).or_default().insert(0, first);
        }
        self.end(node, home, true);
    }

    /// Finds where the reference to `value`, held since the start of `home` or since the node itself, ends.
    fn end(&mut self, value: NodeId, home: RegionId, is_node: bool) {
        let mut sites = self.uses.of(value).to_vec();
        if self.is_buffer(value) && !self.add_address_uses(value, &mut sites) {
            // An address of it got away: it must not be freed. One reference stays for ever.
            let keep = Edit::Dup(value);
            if is_node {
                self.edits.after.entry(value).or_default().push(keep);
            } else {
                self.edits.start.entry(home).or_default().push(keep);
            }
        }
        if sites.is_empty() {
            let drop = self.drop_of(value);
            if is_node {
                self.edits.after.entry(value).or_default().push(drop);
            } else {
                self.edits.start.entry(home).or_default().push(drop);
            }
            return;
        }
        self.sink(value, home, &sites);
    }

    fn sink(&mut self, value: NodeId, region: RegionId, sites: &[Site]) {
        let positions: Vec<usize> =
            sites.iter().map(|&s| self.uses.position(s, region).unwrap_or(0)).collect();
        let last = positions.iter().copied().max().unwrap_or(0);
        if last == AT_RESULT {
            self.results_moved.insert((region.0, value.0));
            return;
        }
        let node = self.psg.regions[region].nodes[last];
        let here: Vec<Site> =
            sites.iter().zip(&positions).filter(|(_, p)| **p == last).map(|(s, _)| *s).collect();
        let direct: Vec<u32> = here
            .iter()
            .filter_map(|s| if let Site::Operand(n, i) = *s { (n == node).then_some(i) } else { None })
            .collect();
        let branches = matches!(self.psg.nodes[node].op, Op::If | Op::Switch(_));
        if branches && direct.len() < here.len() {
            for branch in self.psg.nodes[node].regions.clone() {
                let inside: Vec<Site> =
                    here.iter().copied().filter(|&s| self.uses.inside(s, branch)).collect();
                if inside.is_empty() {
                    let drop = self.drop_of(value);
                    self.edits.start.entry(branch).or_default().push(drop);
                } else {
                    self.sink(value, branch, &inside);
                }
            }
            return;
        }
        if self.psg.nodes[node].op == Op::Concat && direct[..] == [0] && here.len() == 1 {
            self.edits.appends.push(node);
            return;
        }
        let borrowed = |i: u32| !self.takes(Site::Operand(node, i));
        let taking = direct.iter().copied().filter(|&i| !borrowed(i)).max();
        match taking {
            // Taken and lent by the same node: it is lent as long as the node runs.
            Some(i) if !direct.iter().any(|&d| borrowed(d)) && !self.is_var(value) => {
                self.moved.insert((node.0, i));
            }
            _ => {
                if let Op::Call { tail: true, .. } | Op::CallClosure { tail: true } = self.psg.nodes[node].op
                {
                    self.edits.untail.push(node);
                }
                let drop = self.drop_of(value);
                self.edits.after.entry(node).or_default().push(drop);
            }
        }
    }

    fn takes(&self, site: Site) -> bool {
        takes(self.psg, site, |func, i| self.owning.is(func, i))
    }

    /// A node that takes a value which is not moved into it needs a reference of its own.
    fn taken_by(&mut self, node: NodeId) {
        for (i, &operand) in self.psg.nodes[node].operands.iter().enumerate() {
            let i = i as u32;
            let counted = self.managed.is(self.psg.nodes[operand].ty) && !self.never_freed(operand);
            if counted && self.takes(Site::Operand(node, i)) && !self.moved.contains(&(node.0, i)) {
                self.edits.before.entry(node).or_default().push(Edit::Dup(operand));
            }
        }
    }

    fn never_freed(&self, node: NodeId) -> bool {
        matches!(self.psg.nodes[node].op, Op::Const(_) | Op::Fail(_))
    }

    fn overwritten_by(&mut self, node: NodeId) {
        let n = &self.psg.nodes[node];
        let value = match n.op {
            Op::VarSet if self.given.writes.contains(&node) => return,
            Op::VarSet | Op::SetField(_) => n.operands[1],
            Op::ArraySet { .. } => n.operands[2],
            // The first assignment of a global overwrites nothing.
            Op::GlobalSet(_) if Some(self.func) != self.psg.init => n.operands[0],
            _ => return,
        };
        if self.managed.is(self.psg.nodes[value].ty) {
            self.edits.before.entry(node).or_default().push(Edit::DropOld);
        }
    }

    /// A region that yields a value which is not moved out yields a reference of its own.
    fn result_of(&mut self, region: RegionId) {
        let Some(result) = self.psg.regions[region].result else { return };
        let counted = self.managed.is(self.psg.nodes[result].ty) && !self.never_freed(result);
        if counted && !self.results_moved.contains(&(region.0, result.0)) {
            self.edits.end.entry(region).or_default().push(Edit::Dup(result));
        }
    }

    /// Adds the uses of addresses taken from a buffer; false where one escapes the function.
    fn add_address_uses(&self, buffer: NodeId, sites: &mut Vec<Site>) -> bool {
        let mut derived: Vec<NodeId> = Vec::new();
        for site in self.uses.of(buffer) {
            if let Site::Operand(node, 0) = *site
                && matches!(self.psg.nodes[node].op, Op::Field { .. })
                && matches!(self.psg.types.get(self.psg.nodes[node].ty), Type::Int(_))
            {
                derived.push(node);
            }
        }
        let mut at = 0;
        while let Some(&value) = derived.get(at) {
            at += 1;
            for &site in self.uses.of(value) {
                let Site::Operand(node, _) = site else { return false };
                match self.psg.nodes[node].op {
                    Op::Binary(_) | Op::Unary(_) | Op::Convert => {
                        sites.push(site);
                        if !derived.contains(&node) {
                            derived.push(node);
                        }
                    }
                    // A new record of the same memory counts for itself.
                    Op::Make(_) if self.is_buffer(node) => sites.push(site),
                    Op::Dispatch { .. }
                    | Op::CallExtern(_)
                    | Op::FormatValue(_)
                    | Op::Marker
                    | Op::If
                    | Op::Switch(_) => {
                        sites.push(site);
                    }
                    _ => return false,
                }
            }
        }
        true
    }
}

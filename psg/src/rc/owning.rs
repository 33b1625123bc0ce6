//! Which parameters a function owns: its caller gives it a reference, and it drops the value or gives it on.
//!
//! A parameter is owned
//! - of a function that is tail-called: its caller is gone, so nobody else could drop it;
//! - where the function keeps it, or a part of it, in something new, or gives it to an owned parameter: a caller that
//!   needs its reference no longer then saves a count, and a cell that has no other reference can be used again.
//!
//! All others are borrowed; also those that a loop goes through, and those that are only taken apart: measured on
//! quicksort, new cells in the order in which they are made are worth more than memory that is used again early, since
//! the list lies in one piece. Functions that others call by C's rules, the entry and kernels borrow everything. After
//! "Counting Immutable Beans" (Ullrich and de Moura, 2019), section 5.2. Linear in nodes and operands.

use super::types::Managed;
use super::uses::keeps;
use crate::graph::Psg;
use crate::id::{FuncId, IdVec, NodeId, TypeId};
use crate::node::Op;
use crate::ty::AggKind;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// A parameter of a function, by position.
type Place = (FuncId, u32);

/// The owned parameters of all functions.
pub struct Owning {
    params: IdVec<FuncId, SmallVec<[bool; 4]>>,
}

impl Owning {
    /// Decides for the whole program. Calls that cannot be tail calls, since their function borrows, are changed.
    pub fn infer(psg: &mut Psg, managed: &Managed) -> Self {
        let fixed = fixed_functions(psg);
        let mut tail_called = FxHashSet::default();
        for (_, node) in psg.nodes.iter_mut() {
            if let Op::Call { func, tail } = &mut node.op
                && *tail
            {
                if fixed.contains(func) {
                    *tail = false;
                } else {
                    tail_called.insert(*func);
                }
            }
        }
        let mut params = IdVec::default();
        for func in psg.funcs.ids() {
            let owns = tail_called.contains(&func);
            params.push(psg.funcs[func].params.iter().map(|_| owns).collect());
        }
        let mut owning = Self { params };
        owning.spread(psg, managed, &fixed);
        owning
    }

    /// Follows values from owned parameters back to the parameters that they come from.
    fn spread(&mut self, psg: &Psg, managed: &Managed, fixed: &FxHashSet<FuncId>) {
        let mut flows: FxHashMap<Place, Vec<Place>> = FxHashMap::default();
        let mut todo: Vec<Place> = Vec::new();
        for func in psg.funcs.ids().filter(|f| !fixed.contains(f)) {
            psg.walk_func(func, &mut |node| {
                for (i, &operand) in psg.nodes[node].operands.iter().enumerate() {
                    let i = i as u32;
                    let Some(param) = source(psg, managed, operand) else { continue };
                    match psg.nodes[node].op {
                        Op::Call { func: callee, .. } => {
                            flows.entry((callee, i)).or_default().push((func, param));
                        }
                        // A loop over a list borrows it: a copy in a row is worth more than cells used again.
                        Op::Var => {}
                        _ if keeps(&psg.nodes[node].op, i) => todo.push((func, param)),
                        _ => {}
                    }
                }
            });
        }
        for func in psg.funcs.ids() {
            let count = self.params[func].len() as u32;
            todo.extend((0..count).filter(|&i| self.is(func, i)).map(|i| (func, i)));
        }
        let mut seen = FxHashSet::default();
        while let Some(place) = todo.pop() {
            if !seen.insert(place) {
                continue;
            }
            self.own(place);
            todo.extend(flows.get(&place).into_iter().flatten());
        }
    }

    fn own(&mut self, (func, i): Place) {
        if let Some(owned) = self.params[func].get_mut(i as usize) {
            *owned = true;
        }
    }

    /// Whether a function owns a parameter.
    pub fn is(&self, func: FuncId, param: u32) -> bool {
        self.params.get(func).is_some_and(|p| p.get(param as usize).copied().unwrap_or(false))
    }

    /// Whether a function owns any of its parameters.
    pub fn any(&self, func: FuncId) -> bool {
        self.params.get(func).is_some_and(|p| p.contains(&true))
    }
}

/// Functions whose callers lend all arguments.
fn fixed_functions(psg: &Psg) -> FxHashSet<FuncId> {
    let mut fixed: FxHashSet<FuncId> = psg.roots.iter().copied().collect();
    fixed.extend(psg.entry);
    fixed.extend(psg.init);
    fixed.extend(psg.kernels.iter().flat_map(|(_, k)| k.func.into_iter().chain(k.host)));
    fixed
}

/// Whether values of a type may hold others of it.
pub fn holds_itself(psg: &Psg, ty: TypeId) -> bool {
    psg.types.agg(ty).is_some_and(|agg| agg.cases.iter().flat_map(|c| &c.fields).any(|f| f.ty == ty))
}

/// The parameter that a value is, or is a part of.
fn source(psg: &Psg, managed: &Managed, value: NodeId) -> Option<u32> {
    let mut at = value;
    loop {
        let node = &psg.nodes[at];
        if !managed.is(node.ty) {
            return None;
        }
        match node.op {
            Op::Param(n) => return (!is_buffer(psg, at)).then_some(n),
            Op::Field { .. } if may_be_taken_apart(psg, node.operands[0]) => at = node.operands[0],
            _ => return None,
        }
    }
}

fn is_buffer(psg: &Psg, node: NodeId) -> bool {
    psg.types.agg(psg.nodes[node].ty).is_some_and(|a| matches!(a.kind, AggKind::Buffer(_)))
}

/// Whether the parts of a value never change, so that they can be taken out of it when it dies.
pub fn may_be_taken_apart(psg: &Psg, value: NodeId) -> bool {
    psg.types.agg(psg.nodes[value].ty).is_some_and(|agg| {
        matches!(agg.kind, AggKind::Record | AggKind::Tuple | AggKind::Union)
            && !agg.cases.iter().flat_map(|c| &c.fields).any(|f| f.is_mutable)
    })
}

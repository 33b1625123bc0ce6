//! Reference counts: inserts `Dup` and `Drop`, so that memory is freed when its last reference goes.
//!
//! # Rules that the back end follows
//!
//! - Callees *borrow* their parameters and *give* their results. Only a function that is tail-called *owns* its
//!   parameters: its caller is gone, so nobody else could drop them. Every call of such a function gives its arguments.
//! - `Make`, `ArrayLit`, `ArrayNew`, `Closure`, `Var`, `VarSet`, `GlobalSet`, `SetField`, `ArraySet`, the results of
//!   regions and of functions take the reference that they are given; everything else borrows.
//! - A value that was overwritten is dropped explicitly. A buffer record counts from zero: making one is a `Dup`.
//! - Constants are never freed.
//!
//! # What it promises
//!
//! Every reference that a function holds is given away or dropped once on every path that ends normally, as early as
//! possible: after its last use, or at the start of a branch that does not use it. A buffer lives while an address
//! taken from it is used; if such an address escapes, the buffer is never freed.
//!
//! # What it does not do yet
//!
//! Borrow what it reads from mutable places (such values are counted), reuse cells in place, or free cycles.

mod edits;
mod sink;
mod types;
mod uses;

#[cfg(test)]
mod tests;

use crate::graph::{Func, Psg, Region};
use crate::id::{FuncId, IdVec, NodeId};
use crate::node::{Node, Op};
use crate::ty::Type;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use types::Managed;
use ustr::Ustr;

/// Inserts the counts into every function of the program. Linear in nodes and uses, times the depth of nesting.
pub fn insert(psg: &mut Psg) {
    let managed = Managed::new(psg);
    let owning = owning_functions(psg);
    wrap_closures(psg, &owning);
    let mut owning = owning;
    while owning.len() < psg.funcs.len() {
        owning.push(false);
    }
    for func in psg.funcs.ids() {
        let edits = sink::plan(psg, &managed, &owning, func);
        edits::apply(psg, edits);
    }
    drop_globals(psg, &managed);
}

/// Functions that own their parameters: those that are tail-called, but for those that others call with C's rules.
fn owning_functions(psg: &mut Psg) -> IdVec<FuncId, bool> {
    let mut fixed: BTreeSet<FuncId> = psg.roots.iter().copied().collect();
    fixed.extend(psg.entry);
    fixed.extend(psg.init);
    fixed.extend(psg.kernels.iter().flat_map(|(_, k)| k.func.into_iter().chain(k.host)));
    let mut owning = IdVec::filled(psg.funcs.len(), false);
    for (_, node) in psg.nodes.iter_mut() {
        if let Op::Call { func, tail } = &mut node.op
            && *tail
        {
            if fixed.contains(func) {
                *tail = false;
            } else {
                owning[*func] = true;
            }
        }
    }
    owning
}

/// Closures lend their arguments: one of an owning function goes through a function that borrows.
fn wrap_closures(psg: &mut Psg, owning: &IdVec<FuncId, bool>) {
    let mut wrappers: FxHashMap<FuncId, FuncId> = FxHashMap::default();
    for node in psg.nodes.ids() {
        let Op::Closure(func) = psg.nodes[node].op else { continue };
        if !owning.get(func).copied().unwrap_or(false) {
            continue;
        }
        let wrapper = *wrappers.entry(func).or_insert_with(|| wrapper(psg, func));
        psg.nodes[node].op = Op::Closure(wrapper);
    }
}

fn wrapper(psg: &mut Psg, func: FuncId) -> FuncId {
    let inner: Func = psg.funcs[func].clone();
    let mut params = Vec::new();
    for &param in &inner.params {
        let (op, ty) = (psg.nodes[param].op.clone(), psg.nodes[param].ty);
        params.push(psg.new_node(op, &[], &[], ty, inner.span));
    }
    let call = psg.new_node(Op::Call { func, tail: false }, &params, &[], inner.ret, inner.span);
    let body = psg.regions.push(Region { params: SmallVec::new(), nodes: vec![call], result: Some(call) });
    let name = Ustr::from(&format!("{}#closure", inner.name));
    psg.funcs.push(Func { name, params, body, ..inner })
}

/// The program's end drops what its globals hold.
fn drop_globals(psg: &mut Psg, managed: &Managed) {
    let (Some(init), Some(last)) = (psg.init, psg.entry.or(psg.init)) else { return };
    let mut globals = Vec::new();
    for &node in &psg.regions[psg.funcs[init].body].nodes {
        if let Op::GlobalSet(global) = psg.nodes[node].op
            && managed.is(psg.globals[global].ty)
            && !globals.contains(&global)
        {
            globals.push(global);
        }
    }
    if globals.is_empty() {
        return;
    }
    let mut calls: Vec<NodeId> = Vec::new();
    psg.walk_func(last, &mut |node| calls.push(node));
    for node in calls {
        if let Node { op: Op::Call { tail, .. } | Op::CallClosure { tail }, .. } = &mut psg.nodes[node] {
            *tail = false;
        }
    }
    let unit = psg.ty(Type::Unit);
    let (body, span) = (psg.funcs[last].body, psg.funcs[last].span);
    for global in globals.into_iter().rev() {
        let ty = psg.globals[global].ty;
        let value = psg.new_node(Op::GlobalGet(global), &[], &[], ty, span);
        let drop = psg.new_node(Op::Drop, &[value], &[], unit, span);
        psg.regions[body].nodes.extend([value, drop]);
    }
}

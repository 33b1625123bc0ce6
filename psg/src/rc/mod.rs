//! Reference counts: inserts `Dup` and `Drop`, so that memory is freed when its last reference goes.
//!
//! # Rules that the back end follows
//!
//! - Callees *give* their results and *borrow* their parameters, but for those that they own ([`owning`]), which every
//!   call gives.
//! - `Make`, `ArrayLit`, `ArrayNew`, `Closure`, `Var`, `VarSet`, `GlobalSet`, `SetField`, `ArraySet`, the results of
//!   regions and of functions take the reference that they are given; everything else borrows.
//! - A value whose parts are taken out when it dies is unpacked ([`reuse`]): what was its only reference gives its parts
//!   and its cell, which the next `Remake` uses. `Append` takes its first text, and grows it in place if it can.
//! - A variable that is read and then assigned, with nothing between that reads it, gives its reference ([`vars`]).
//! - A value that was overwritten is dropped explicitly. A buffer record counts from zero: making one is a `Dup`.
//! - Constants are never freed.
//!
//! # What it promises
//!
//! Every reference that a function holds is given away or dropped once on every path that ends normally, as early as
//! possible: after its last use, or at the start of a branch that does not use it. A buffer lives while an address
//! taken from it is used; if such an address escapes, the buffer is never freed.
//!
//! # What it does not do
//!
//! Borrow what it reads from mutable places (such values are counted), use a cell again across a call or a loop, or
//! free cycles.

mod edits;
mod owning;
mod reuse;
mod sink;
mod types;
mod uses;
mod vars;

#[cfg(test)]
mod tests;

use crate::graph::{Func, Psg, Region};
use crate::id::{FuncId, NodeId};
use crate::node::{Node, Op};
use crate::ty::Type;
use owning::Owning;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use types::Managed;
use ustr::Ustr;

/// Inserts the counts into every function of the program. Linear in nodes and uses, times the depth of nesting.
pub fn insert(psg: &mut Psg) {
    let managed = Managed::new(psg);
    let owning = Owning::infer(psg, &managed);
    wrap_closures(psg, &owning);
    for func in psg.funcs.ids() {
        let edits = sink::plan(psg, &managed, &owning, func);
        edits::apply(psg, edits);
    }
    drop_globals(psg, &managed);
}

/// Closures lend their arguments: one of an owning function goes through a function that borrows.
fn wrap_closures(psg: &mut Psg, owning: &Owning) {
    let mut wrappers: FxHashMap<FuncId, FuncId> = FxHashMap::default();
    for node in psg.nodes.ids() {
        let Op::Closure(func) = psg.nodes[node].op else { continue };
        if !owning.any(func) {
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

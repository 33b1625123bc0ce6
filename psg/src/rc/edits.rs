//! Changes to regions, collected first and made in one go.

use crate::graph::Psg;
use crate::id::{NodeId, RegionId, TypeId};
use crate::node::Op;
use crate::ty::Type;
use rustc_hash::FxHashMap;

/// One operation to insert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edit {
    Dup(NodeId),
    Drop(NodeId),
    /// The first reference to a new buffer record: of its memory, not of its parts, which were given to it.
    FirstOfBuffer(NodeId),
    /// What a variable holds.
    DropVar(NodeId),
    /// What the place that a node assigns held before: read before it, dropped behind it.
    DropOld,
}

/// All changes to one function.
#[derive(Default, Debug)]
pub struct Edits {
    pub before: FxHashMap<NodeId, Vec<Edit>>,
    pub after: FxHashMap<NodeId, Vec<Edit>>,
    pub start: FxHashMap<RegionId, Vec<Edit>>,
    pub end: FxHashMap<RegionId, Vec<Edit>>,
    /// Tail calls that lend what they are given, and so must return here.
    pub untail: Vec<NodeId>,
    pub regions: Vec<RegionId>,
}

/// Makes the changes.
pub fn apply(psg: &mut Psg, edits: Edits) {
    for &node in &edits.untail {
        if let Op::Call { tail, .. } | Op::CallClosure { tail } = &mut psg.nodes[node].op {
            *tail = false;
        }
    }
    for &region in &edits.regions {
        let old = std::mem::take(&mut psg.regions[region].nodes);
        let mut out = Vec::with_capacity(old.len());
        let place = old.first().copied();
        for edit in edits.start.get(&region).into_iter().flatten() {
            insert(psg, *edit, place, &mut out);
        }
        for node in old {
            let mut replaced = None;
            for edit in edits.before.get(&node).into_iter().flatten() {
                if *edit == Edit::DropOld {
                    replaced = read_old(psg, node, &mut out);
                } else {
                    insert(psg, *edit, Some(node), &mut out);
                }
            }
            out.push(node);
            if let Some(old_value) = replaced {
                insert(psg, Edit::Drop(old_value), Some(node), &mut out);
            }
            for edit in edits.after.get(&node).into_iter().flatten() {
                insert(psg, *edit, Some(node), &mut out);
            }
        }
        for edit in edits.end.get(&region).into_iter().flatten() {
            let place = out.last().copied().or(place);
            insert(psg, *edit, place, &mut out);
        }
        psg.regions[region].nodes = out;
    }
}

fn insert(psg: &mut Psg, edit: Edit, place: Option<NodeId>, out: &mut Vec<NodeId>) {
    let span = |psg: &Psg, value: NodeId| psg.spans[place.unwrap_or(value)];
    let unit = psg.ty(Type::Unit);
    match edit {
        Edit::Dup(value) => {
            let span = span(psg, value);
            out.push(psg.new_node(Op::Dup, &[value], &[], unit, span));
        }
        Edit::Drop(value) => {
            let span = span(psg, value);
            out.push(psg.new_node(Op::Drop, &[value], &[], unit, span));
        }
        Edit::FirstOfBuffer(record) => {
            let span = span(psg, record);
            out.push(psg.new_node(Op::Dup, &[record], &[], unit, span));
            let fields: Vec<(u32, TypeId)> = psg
                .types
                .agg(psg.nodes[record].ty)
                .and_then(|agg| agg.cases.first())
                .map_or_else(Vec::new, |case| (0..).zip(case.fields.iter().map(|f| f.ty)).collect());
            for (field, ty) in fields {
                let part = psg.new_node(Op::Field { case: 0, field }, &[record], &[], ty, span);
                let drop = psg.new_node(Op::Drop, &[part], &[], unit, span);
                out.extend([part, drop]);
            }
        }
        Edit::DropVar(var) => {
            let Type::Var(ty) = *psg.types.get(psg.nodes[var].ty) else { return };
            let span = span(psg, var);
            let value = psg.new_node(Op::VarGet, &[var], &[], ty, span);
            let drop = psg.new_node(Op::Drop, &[value], &[], unit, span);
            out.extend([value, drop]);
        }
        Edit::DropOld => {}
    }
}

/// Reads the place that an assignment is about to overwrite.
fn read_old(psg: &mut Psg, node: NodeId, out: &mut Vec<NodeId>) -> Option<NodeId> {
    let n = psg.nodes[node].clone();
    let span = psg.spans[node];
    let (op, operands, ty) = match n.op {
        Op::VarSet => {
            let Type::Var(ty) = *psg.types.get(psg.nodes[n.operands[0]].ty) else { return None };
            (Op::VarGet, vec![n.operands[0]], ty)
        }
        Op::GlobalSet(global) => (Op::GlobalGet(global), Vec::new(), psg.globals[global].ty),
        Op::SetField(field) => {
            let ty =
                psg.types.agg(psg.nodes[n.operands[0]].ty)?.cases.first()?.fields.get(field as usize)?.ty;
            (Op::Field { case: 0, field }, vec![n.operands[0]], ty)
        }
        Op::ArraySet { checked } => {
            let Type::Array(ty) = *psg.types.get(psg.nodes[n.operands[0]].ty) else { return None };
            (Op::ArrayGet { checked }, vec![n.operands[0], n.operands[1]], ty)
        }
        _ => return None,
    };
    let value = psg.new_node(op, &operands, &[], ty, span);
    out.push(value);
    Some(value)
}

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
    /// A value ends and its parts are taken out, see [`Edits::unpacks`].
    Unpack(usize),
    /// The cell of an unpacked value is not used again here.
    Discard(usize),
}

/// A value that is taken apart when its reference ends.
#[derive(Clone, Debug)]
pub struct Unpack {
    pub value: NodeId,
    pub case: u32,
    /// The fields, read before, that get the value's references to them.
    pub taken: Vec<NodeId>,
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
    /// Concatenations that take their first text.
    pub appends: Vec<NodeId>,
    pub unpacks: Vec<Unpack>,
    /// Makes that use the cell of an unpacked value again.
    pub remakes: FxHashMap<NodeId, usize>,
    pub regions: Vec<RegionId>,
}

/// Makes the changes.
pub fn apply(psg: &mut Psg, edits: Edits) {
    for &node in &edits.untail {
        if let Op::Call { tail, .. } | Op::CallClosure { tail } = &mut psg.nodes[node].op {
            *tail = false;
        }
    }
    for &node in &edits.appends {
        psg.nodes[node].op = Op::Append;
    }
    let mut used = vec![false; edits.unpacks.len()];
    edits.remakes.values().for_each(|&n| used[n] = true);
    let mut work = Work { edits: &edits, used, cells: vec![None; edits.unpacks.len()] };
    // Outer regions come before those inside, so a cell is known where it is used.
    for &region in &edits.regions {
        let old = std::mem::take(&mut psg.regions[region].nodes);
        let mut out = Vec::with_capacity(old.len());
        let place = old.first().copied();
        for edit in edits.start.get(&region).into_iter().flatten() {
            work.insert(psg, *edit, place, &mut out);
        }
        for node in old {
            let mut replaced = None;
            for edit in edits.before.get(&node).into_iter().flatten() {
                if *edit == Edit::DropOld {
                    replaced = read_old(psg, node, &mut out);
                } else {
                    work.insert(psg, *edit, Some(node), &mut out);
                }
            }
            work.use_cell(psg, node);
            out.push(node);
            if let Some(old_value) = replaced {
                work.insert(psg, Edit::Drop(old_value), Some(node), &mut out);
            }
            for edit in edits.after.get(&node).into_iter().flatten() {
                work.insert(psg, *edit, Some(node), &mut out);
            }
        }
        for edit in edits.end.get(&region).into_iter().flatten() {
            let place = out.last().copied().or(place);
            work.insert(psg, *edit, place, &mut out);
        }
        psg.regions[region].nodes = out;
    }
}

struct Work<'a> {
    edits: &'a Edits,
    /// Unpacked values whose cell a remake uses.
    used: Vec<bool>,
    /// The cells of unpacked values, once they are there.
    cells: Vec<Option<NodeId>>,
}

impl Work<'_> {
    /// Makes a node use the cell that was found for it.
    fn use_cell(&self, psg: &mut Psg, node: NodeId) {
        let Some(&n) = self.edits.remakes.get(&node) else { return };
        let (Some(cell), Op::Make(case)) = (self.cells[n], &psg.nodes[node].op) else { return };
        psg.nodes[node].op = Op::Remake(*case);
        psg.nodes[node].operands.insert(0, cell);
    }

    fn insert(&mut self, psg: &mut Psg, edit: Edit, place: Option<NodeId>, out: &mut Vec<NodeId>) {
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
            Edit::Unpack(n) => {
                let Some(unpack) = self.edits.unpacks.get(n) else { return };
                let (span, cell) =
                    (span(psg, unpack.value), psg.ty(Type::NativePtr(psg.nodes[unpack.value].ty)));
                let mut operands = vec![unpack.value];
                operands.extend(&unpack.taken);
                let node = psg.new_node(Op::Unpack(unpack.case), &operands, &[], cell, span);
                out.push(node);
                self.cells[n] = Some(node);
                if !self.used[n] {
                    out.push(psg.new_node(Op::Discard, &[node], &[], unit, span));
                }
            }
            Edit::Discard(n) => {
                let Some(cell) = self.cells[n] else { return };
                let span = span(psg, cell);
                out.push(psg.new_node(Op::Discard, &[cell], &[], unit, span));
            }
        }
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

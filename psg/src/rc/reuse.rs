//! Values that are taken apart: where a reference ends behind reads of its parts, the parts need no counts of their own
//! if it was the only one, and its cell can hold the next value of the same shape.
//!
//! `match xs with x :: rest -> f x :: g rest` reads `x` and `rest`, drops `xs` and makes a cell. Here the drop becomes
//! an `Unpack`: if nobody else has `xs`, its references to `x` and `rest` are now ours, and its cell is used by the
//! `Remake` that the make becomes; otherwise the parts are counted, and the remake allocates. After "Perceus" (Reinking
//! and others, PLDI 2021), sections 2.3 and 2.4.
//!
//! Cells are used within a region and the branches inside it, not across loops. The search for a make is bounded
//! ([`FAR`]), so the pass stays linear. Whether two shapes are of one size is for the back end to see: a remake whose
//! cell does not fit gives it back.

use super::edits::{Edit, Unpack};
use super::owning::{holds_itself, may_be_taken_apart};
use super::sink::Planner;
use super::uses::Site;
use crate::id::{NodeId, RegionId};
use crate::node::Op;
use crate::ty::{AggKind, Type};

/// So many nodes behind an unpack are searched for a make.
const FAR: usize = 200;

impl Planner<'_> {
    /// Turns drops into unpacks where that saves something. After all other edits are known.
    pub(super) fn take_apart(&mut self) {
        let mut drops: Vec<(NodeId, NodeId)> = Vec::new();
        for &node in &self.uses.nodes {
            for edit in self.edits.after.get(&node).into_iter().flatten() {
                if let Edit::Drop(value) = *edit
                    && may_be_taken_apart(self.psg, value)
                {
                    drops.push((node, value));
                }
            }
        }
        drops.sort_unstable();
        for (last, value) in drops {
            self.unpack(last, value);
        }
    }

    /// The drop of `value` behind `last`, if parts of it were read before in the same region.
    fn unpack(&mut self, last: NodeId, value: NodeId) {
        let Some((region, end)) = self.uses.place(last) else { return };
        let mut case = None;
        let mut seen: Vec<u32> = Vec::new();
        let mut taken = Vec::new();
        for &site in self.uses.of(value) {
            let Site::Operand(node, 0) = site else { continue };
            let Op::Field { case: of, field } = self.psg.nodes[node].op else { continue };
            let Some((home, at)) = self.uses.place(node) else { continue };
            if home != region || at > end {
                continue;
            }
            case = Some(of);
            if self.managed.is(self.psg.nodes[node].ty)
                && !seen.contains(&field)
                && self.is_free_until(node, region, end)
            {
                seen.push(field);
                taken.push(node);
            }
        }
        let Some(case) = case else { return };
        let n = self.edits.unpacks.len();
        let mut left = FAR;
        let used = self.is_cell(value) && self.place_cell(region, end + 1, n, (value, case), &mut left);
        if taken.is_empty() && !used {
            return;
        }
        for &field in &taken {
            if let Some(edits) = self.edits.after.get_mut(&field)
                && let Some(at) = edits.iter().position(|e| *e == Edit::Dup(field))
            {
                edits.remove(at);
            }
        }
        if let Some(edits) = self.edits.after.get_mut(&last)
            && let Some(edit) = edits.iter_mut().find(|e| **e == Edit::Drop(value))
        {
            *edit = Edit::Unpack(n);
        }
        self.edits.unpacks.push(Unpack { value, case, taken });
    }

    /// Whether a field that was read is used behind the end of its holder only, so that it needs no reference before.
    fn is_free_until(&self, field: NodeId, region: RegionId, end: usize) -> bool {
        let sites = self.uses.of(field);
        let counted = self.edits.after.get(&field).is_some_and(|e| e.contains(&Edit::Dup(field)));
        counted
            && !sites.is_empty()
            && sites.iter().all(|&s| self.uses.position(s, region).is_some_and(|at| at > end))
    }

    /// Whether a value may have a cell of its own: types that hold themselves always have one.
    fn is_cell(&self, value: NodeId) -> bool {
        self.psg.types.agg(self.psg.nodes[value].ty).is_some_and(|agg| agg.kind != AggKind::Tuple)
    }

    /// Finds the makes that use cell `n`, one on each path from a position of a region on; paths without one discard
    /// it. False: there is none, and nothing was noted.
    fn place_cell(
        &mut self,
        region: RegionId,
        from: usize,
        n: usize,
        of: (NodeId, u32),
        left: &mut usize,
    ) -> bool {
        let psg = self.psg;
        for &node in psg.regions[region].nodes.iter().skip(from) {
            if *left == 0 {
                return false;
            }
            *left -= 1;
            if self.fits(node, of) {
                self.edits.remakes.insert(node, n);
                return true;
            }
            if !matches!(psg.nodes[node].op, Op::If | Op::Switch(_)) {
                continue;
            }
            let branches = &psg.nodes[node].regions;
            let found: Vec<bool> = branches.iter().map(|&b| self.place_cell(b, 0, n, of, left)).collect();
            if found.contains(&true) {
                for (&branch, _) in branches.iter().zip(&found).filter(|(_, found)| !**found) {
                    self.edits.start.entry(branch).or_default().push(Edit::Discard(n));
                }
                return true;
            }
        }
        false
    }

    /// Whether a node makes something that looks like a case of a value: the same type or another that holds itself,
    /// with as many fields.
    fn fits(&self, node: NodeId, (value, case): (NodeId, u32)) -> bool {
        let Op::Make(made) = self.psg.nodes[node].op else { return false };
        if self.edits.remakes.contains_key(&node) {
            return false;
        }
        let (old, new) = (self.psg.nodes[value].ty, self.psg.nodes[node].ty);
        let types = &self.psg.types;
        let fields = |ty, case: u32| Some(types.agg(ty)?.cases.get(case as usize)?.fields.len());
        let Some(count) = fields(old, case) else { return false };
        count > 0
            && fields(new, made) == Some(count)
            && (old == new || holds_itself(self.psg, old) && holds_itself(self.psg, new))
            && matches!(types.get(new), Type::Agg(_))
    }
}

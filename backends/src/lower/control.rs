//! Variables, branches and loops.

use super::Lower;
use super::scalar::{Kind, kind_of};
use crate::mlir::ops::{ICmp, NSW};
use crate::mlir::{Block, Ty, Value};
use clef_psg::id::{GlobalId, NodeId, RegionId};
use clef_psg::node::{Const, FailKind, ForKind, Op};

impl Lower<'_> {
    // --- variables

    pub(super) fn var(&mut self, node: NodeId) {
        let Some(ty) = self.types[self.psg.nodes[node].ty] else { return };
        let slot = self.slot(ty);
        let initial = self.arg(node, 0);
        self.cx.store(initial, slot);
        self.set(node, slot);
    }

    pub(super) fn var_get(&mut self, node: NodeId) {
        let Some(ty) = self.types[self.psg.nodes[node].ty] else { return };
        let slot = self.arg(node, 0);
        let value = self.cx.load(ty, slot);
        self.set(node, value);
    }

    pub(super) fn var_set(&mut self, node: NodeId) {
        if self.types[self.arg_type(node, 1)].is_none() {
            return;
        }
        let (slot, value) = (self.arg(node, 0), self.arg(node, 1));
        self.cx.store(value, slot);
    }

    pub(super) fn global_symbol(&self, global: GlobalId) -> String {
        format!("clef.global.{}", self.psg.globals[global].name)
    }

    pub(super) fn global_get(&mut self, node: NodeId, global: GlobalId) {
        let Some(ty) = self.types[self.psg.nodes[node].ty] else { return };
        let address = self.cx.address_of(&self.global_symbol(global));
        let value = self.cx.load(ty, address);
        self.set(node, value);
    }

    pub(super) fn global_set(&mut self, node: NodeId, global: GlobalId) {
        if self.types[self.arg_type(node, 0)].is_none() {
            return;
        }
        let value = self.arg(node, 0);
        let address = self.cx.address_of(&self.global_symbol(global));
        self.cx.store(value, address);
    }

    // --- branches

    /// Lowers one way of a branch and goes to `merge` with its result.
    fn way(&mut self, block: Block, region: Option<RegionId>, merge: Block, wants: bool) -> bool {
        self.cx.set_block(block);
        let result = region.and_then(|r| self.region(r));
        if !self.cx.is_reachable() {
            return false;
        }
        match result {
            Some(v) if wants => self.cx.br(merge, &[v]),
            None if wants => {
                self.bug(String::from("a branch has no result though its node has a value"));
                self.cx.trap_unreachable();
            }
            _ => self.cx.br(merge, &[]),
        }
        true
    }

    /// After all ways: goes on at `merge`, unless none of them gets there.
    fn join(&mut self, node: NodeId, merge: Block, reached: bool, ty: Option<Ty>) {
        if !reached {
            // Nobody jumps to the block; it must still be well formed.
            self.cx.set_block(merge);
            self.cx.trap_unreachable();
            return;
        }
        self.cx.set_block(merge);
        if ty.is_some() {
            let value = self.cx.arg(merge, 0);
            self.set(node, value);
        }
    }

    pub(super) fn lower_if(&mut self, node: NodeId) {
        let psg = self.psg;
        let regions = &psg.nodes[node].regions;
        let ty = self.types[psg.nodes[node].ty];
        let condition = self.arg(node, 0);
        let (yes, no) = (self.block(&[]), self.block(&[]));
        let merge = self.block(ty.as_slice());
        self.cx.cond_br(condition, yes, no, None);
        let a = self.way(yes, regions.first().copied(), merge, ty.is_some());
        let b = self.way(no, regions.get(1).copied(), merge, ty.is_some());
        self.join(node, merge, a || b, ty);
    }

    pub(super) fn lower_switch(&mut self, node: NodeId, values: &[i64]) {
        let psg = self.psg;
        let regions = &psg.nodes[node].regions;
        let ty = self.types[psg.nodes[node].ty];
        let subject = self.arg(node, 0);
        let blocks: Vec<Block> = regions.iter().map(|_| self.block(&[])).collect();
        let merge = self.block(ty.as_slice());
        let Some(&otherwise) = blocks.last() else {
            self.bug(format!("{node}: a switch without regions"));
            return;
        };
        let cases: Vec<(i64, Block)> = values.iter().copied().zip(blocks.iter().copied()).collect();
        self.cx.switch(subject, &cases, otherwise);
        let mut reached = false;
        for (&block, &region) in blocks.iter().zip(regions) {
            reached |= self.way(block, Some(region), merge, ty.is_some());
        }
        self.join(node, merge, reached, ty);
    }

    // --- loops

    pub(super) fn lower_while(&mut self, node: NodeId) {
        let psg = self.psg;
        let regions = &psg.nodes[node].regions;
        let (head, body, after) = (self.block(&[]), self.block(&[]), self.block(&[]));
        self.cx.br(head, &[]);
        self.cx.set_block(head);
        let condition = regions.first().and_then(|&r| self.region(r));
        if self.cx.is_reachable() {
            match condition {
                Some(c) => self.cx.cond_br(c, body, after, None),
                None => self.bug(format!("{node}: a loop without a condition")),
            }
        }
        self.cx.set_block(body);
        if let Some(&r) = regions.get(1) {
            self.region(r);
        }
        if self.cx.is_reachable() {
            self.cx.br(head, &[]);
        }
        self.cx.set_block(after);
    }

    pub(super) fn lower_for(&mut self, node: NodeId, kind: ForKind) {
        match kind {
            ForKind::Up => {
                let (from, to) = (self.arg(node, 0), self.arg(node, 1));
                self.count_between(node, from, to, (ICmp::Sle, ICmp::Ule), 1);
            }
            ForKind::Down => {
                let (from, to) = (self.arg(node, 0), self.arg(node, 1));
                self.count_between(node, from, to, (ICmp::Sge, ICmp::Uge), -1);
            }
            ForKind::By => self.step(node),
        }
    }

    /// Runs the loop body once with its parameter, then goes on in a new block, if its end is reached.
    fn body(&mut self, node: NodeId, index: Value) {
        let psg = self.psg;
        let Some(&region) = psg.nodes[node].regions.first() else { return };
        if let Some(&param) = psg.regions[region].params.first() {
            self.set(param, index);
        }
        self.region(region);
    }

    /// A loop by one: a guard, then body and exit test at the end, which cannot overflow.
    /// `goes_on`: the comparison of the guard, for signed and unsigned counters.
    pub(super) fn count_between(
        &mut self,
        node: NodeId,
        from: Value,
        to: Value,
        goes_on: (ICmp, ICmp),
        by: i64,
    ) {
        let (signed, unsigned) = goes_on;
        let ty = self.cx.type_of(from);
        let is_signed = self.is_signed_loop(node);
        let (head, after) = (self.block(&[ty]), self.block(&[]));
        let any = self.cx.icmp(if is_signed { signed } else { unsigned }, from, to);
        let preheader = self.block(&[]);
        self.cx.cond_br(any, preheader, after, None);
        self.cx.set_block(preheader);
        self.cx.br(head, &[from]);
        self.cx.set_block(head);
        let index = self.cx.arg(head, 0);
        self.body(node, index);
        if self.cx.is_reachable() {
            self.at(node);
            let last = self.cx.icmp(ICmp::Eq, index, to);
            let latch = self.block(&[]);
            self.cx.cond_br(last, after, latch, None);
            self.cx.set_block(latch);
            let one = self.cx.const_int(ty, by);
            let next = if is_signed {
                self.cx.binary_no_wrap("llvm.add", index, one, NSW)
            } else {
                self.cx.add(index, one)
            };
            self.cx.br(head, &[next]);
        }
        self.cx.set_block(after);
    }

    fn is_signed_loop(&self, node: NodeId) -> bool {
        matches!(kind_of(self.psg.types.get(self.arg_type(node, 0))), Kind::Int { signed: true })
    }

    /// A loop with a step: the number of rounds is computed first, without overflow.
    fn step(&mut self, node: NodeId) {
        let (from, to, step) = (self.arg(node, 0), self.arg(node, 1), self.arg(node, 2));
        let ty = self.cx.type_of(from);
        let is_signed = self.is_signed_loop(node);
        let zero = self.cx.const_int(ty, 0);
        let constant = self
            .operand(node, 2)
            .is_some_and(|o| matches!(self.psg.nodes[o].op, Op::Const(Const::Int(i)) if i != 0));
        if !constant {
            let ok = self.cx.icmp(ICmp::Ne, step, zero);
            self.check(ok, |l| l.panic("clef_panic_step", &[], node));
        }
        let up = if is_signed { self.cx.icmp(ICmp::Sgt, step, zero) } else { self.cx.const_bool(true) };
        let (low, high) = (self.cx.select(up, from, to), self.cx.select(up, to, from));
        let any = self.cx.icmp(if is_signed { ICmp::Sle } else { ICmp::Ule }, low, high);
        let negated = self.cx.binary("llvm.sub", zero, step);
        let size = self.cx.select(up, step, negated);
        let distance = self.cx.binary("llvm.sub", high, low);
        let (head, after, preheader) = (self.block(&[ty, ty]), self.block(&[]), self.block(&[]));
        self.cx.cond_br(any, preheader, after, None);
        self.cx.set_block(preheader);
        let rounds = self.cx.binary("llvm.udiv", distance, size);
        self.cx.br(head, &[from, rounds]);
        self.cx.set_block(head);
        let (index, left) = (self.cx.arg(head, 0), self.cx.arg(head, 1));
        self.body(node, index);
        if self.cx.is_reachable() {
            self.at(node);
            let last = self.cx.icmp(ICmp::Eq, left, zero);
            let latch = self.block(&[]);
            self.cx.cond_br(last, after, latch, None);
            self.cx.set_block(latch);
            let next = self.cx.add(index, step);
            let minus_one = self.cx.const_int(ty, -1);
            let fewer = self.cx.add(left, minus_one);
            self.cx.br(head, &[next, fewer]);
        }
        self.cx.set_block(after);
    }

    pub(super) fn fail(&mut self, node: NodeId, kind: FailKind) {
        match kind {
            FailKind::Message => {
                let message = self.arg(node, 0);
                self.panic("clef_panic_fail", &[message], node);
            }
            FailKind::Match => self.panic("clef_panic_match", &[], node),
            FailKind::ZeroStep => self.panic("clef_panic_step", &[], node),
        }
    }
}

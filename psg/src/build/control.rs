//! `if`, `&&`, `||`, loops and dispatches.

use super::Builder;
use super::shape::Val;
use crate::id::{NodeId, RegionId, TypeId};
use crate::node::{BinOp, Const, FailKind, ForKind, Op};
use clef_frontend::span::Span;
use clef_frontend::typed::{self, Dispatch, ExprId, ExprKind, ForStep, LocalId};

impl<'p> Builder<'p> {
    pub(super) fn control(&mut self, x: &'p typed::Expr, tail: bool) -> Val {
        let span = x.span;
        match &x.kind {
            ExprKind::If { cond, then, otherwise } => {
                let cond = self.value(*cond);
                let ty = self.ty(x.ty);
                let then = self.expr_region(*then, tail);
                let otherwise = self.expr_region(*otherwise, tail);
                self.if_regions(cond, then, otherwise, ty, span)
            }
            ExprKind::And(a, b) => {
                let a = self.value(*a);
                let then = self.expr_region(*b, tail);
                let otherwise = self.region(|s| Some(s.bool(false, span)));
                self.if_regions(a, then, otherwise, self.types.common.bool, span)
            }
            ExprKind::Or(a, b) => {
                let a = self.value(*a);
                let then = self.region(|s| Some(s.bool(true, span)));
                let otherwise = self.expr_region(*b, tail);
                self.if_regions(a, then, otherwise, self.types.common.bool, span)
            }
            ExprKind::While { cond, body } => {
                let cond = self.expr_region(*cond, false);
                let body = self.expr_region(*body, false);
                self.push_with(Op::While, &[], &[cond, body], self.types.common.unit, span);
                Val::Unit
            }
            ExprKind::For { var, from, to, step, parallel, body } => {
                self.for_loop(*var, (*from, *to, *step), *parallel, *body, span)
            }
            _ => Val::Unit,
        }
    }

    fn if_regions(
        &mut self,
        cond: NodeId,
        then: RegionId,
        otherwise: RegionId,
        ty: TypeId,
        span: Span,
    ) -> Val {
        let node = self.push_with(Op::If, &[cond], &[then, otherwise], ty, span);
        if self.is_unit(ty) { Val::Unit } else { Val::Node(node) }
    }

    fn for_loop(
        &mut self,
        var: LocalId,
        (from, to, step): (ExprId, ExprId, ForStep),
        parallel: bool,
        body: ExprId,
        span: Span,
    ) -> Val {
        let unit = self.types.common.unit;
        let from = self.value(from);
        let by = match step {
            ForStep::By(e) => Some(self.value(e)),
            ForStep::Up | ForStep::Down => None,
        };
        let to = self.value(to);
        let mut operands = vec![from, to];
        let op = match step {
            _ if parallel => Op::Parallel,
            ForStep::Up => Op::For(ForKind::Up),
            ForStep::Down => Op::For(ForKind::Down),
            ForStep::By(_) => Op::For(ForKind::By),
        };
        if let Some(by) = by {
            self.check_step(by, span);
            operands.push(by);
        }
        let ty = self.node_ty(from);
        let local_span = self.tree().locals[var.index()].span;
        let region = self.region(|b| {
            let param = b.region_param(ty, local_span);
            b.bind(var, Val::Node(param));
            b.expr(body, false);
            None
        });
        self.push_with(op, &operands, &[region], unit, span);
        Val::Unit
    }

    /// A step of zero stops the program.
    fn check_step(&mut self, by: NodeId, span: Span) {
        let zero = match &self.psg.nodes[by].op {
            Op::Const(Const::Int(i)) if *i != 0 => return,
            Op::Const(Const::Float(f)) if *f != 0.0 => return,
            _ => self.zero(self.node_ty(by), span),
        };
        let (bool, unit) = (self.types.common.bool, self.types.common.unit);
        let is_zero = self.push(Op::Binary(BinOp::Eq), &[by, zero], bool, span);
        let stop = self.region(|b| {
            b.push(Op::Fail(FailKind::ZeroStep), &[], unit, span);
            None
        });
        let go_on = self.region(|_| None);
        self.push_with(Op::If, &[is_zero], &[stop, go_on], unit, span);
    }

    pub(super) fn dispatch(&mut self, dispatch: &Dispatch, ty: typed::TyId, span: Span) -> Val {
        let args = self.ordered(&dispatch.args, &dispatch.order);
        let ty = self.ty(ty);
        let Some(kernel) = self.kernel(dispatch.kernel) else {
            self.bug(dispatch.name_span, "a dispatch of something that is not a kernel");
            return Val::Unit;
        };
        let op =
            Op::Dispatch { kernel, agent: dispatch.agent, device: dispatch.device, queue: dispatch.queue };
        let node = self.push(op, &args, ty, span);
        if self.is_unit(ty) { Val::Unit } else { Val::Node(node) }
    }
}

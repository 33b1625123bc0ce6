//! Building functions node by node: what the graph's construction and tests use.
//!
//! A [`FuncBuilder`] keeps the stack of open regions; [`FuncBuilder::push`] appends to the innermost one.

use crate::graph::{Func, Psg, Region};
use crate::id::{FuncId, NodeId, RegionId, TypeId};
use crate::node::{Const, Node, Op};
use crate::ty::Type;
use clef_frontend::span::Span;
use smallvec::SmallVec;
use ustr::Ustr;

impl Psg {
    /// A node that stands in no region yet.
    pub fn new_node(
        &mut self,
        op: Op,
        operands: &[NodeId],
        regions: &[RegionId],
        ty: TypeId,
        span: Span,
    ) -> NodeId {
        let node =
            Node { op, operands: SmallVec::from_slice(operands), regions: SmallVec::from_slice(regions), ty };
        let id = self.nodes.push(node);
        self.spans.push(span);
        id
    }

    pub fn ty(&mut self, ty: Type) -> TypeId {
        self.types.intern(ty)
    }
}

/// Builds one function's body.
pub struct FuncBuilder<'a> {
    pub psg: &'a mut Psg,
    pub params: Vec<NodeId>,
    open: Vec<Region>,
    /// Span of the nodes pushed next.
    pub span: Span,
}

impl<'a> FuncBuilder<'a> {
    pub fn new(psg: &'a mut Psg, span: Span) -> Self {
        Self { psg, params: Vec::new(), open: vec![Region::default()], span }
    }

    pub fn param(&mut self, ty: TypeId) -> NodeId {
        let n = self.params.len() as u32;
        let id = self.psg.new_node(Op::Param(n), &[], &[], ty, self.span);
        self.params.push(id);
        id
    }

    pub fn push(&mut self, op: Op, operands: &[NodeId], ty: TypeId) -> NodeId {
        self.push_with(op, operands, &[], ty)
    }

    pub fn push_with(&mut self, op: Op, operands: &[NodeId], regions: &[RegionId], ty: TypeId) -> NodeId {
        let id = self.psg.new_node(op, operands, regions, ty, self.span);
        if let Some(region) = self.open.last_mut() {
            region.nodes.push(id);
        }
        id
    }

    pub fn constant(&mut self, value: Const, ty: TypeId) -> NodeId {
        self.push(Op::Const(value), &[], ty)
    }

    /// Opens a region; nodes go there until [`Self::close`].
    pub fn open(&mut self) {
        self.open.push(Region::default());
    }

    /// A parameter of the innermost open region.
    pub fn region_param(&mut self, ty: TypeId) -> NodeId {
        let n = self.open.last().map_or(0, |r| r.params.len()) as u32;
        let id = self.psg.new_node(Op::RegionParam(n), &[], &[], ty, self.span);
        if let Some(region) = self.open.last_mut() {
            region.params.push(id);
        }
        id
    }

    pub fn close(&mut self, result: Option<NodeId>) -> RegionId {
        let mut region = self.open.pop().unwrap_or_default();
        region.result = result;
        self.psg.regions.push(region)
    }

    /// Ends the function: the outermost region is its body.
    pub fn finish(mut self, name: &str, ret: TypeId, result: Option<NodeId>, captures: u32) -> FuncId {
        debug_assert_eq!(self.open.len(), 1, "a region is still open");
        let body = self.close(result);
        let func = Func { name: Ustr::from(name), params: self.params, ret, body, span: self.span, captures };
        self.psg.funcs.push(func)
    }
}

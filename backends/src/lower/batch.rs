//! Loops that only dispatch: their packets are written one after the other, and the doorbells ring once behind the loop.
//!
//! Whether a loop is one is seen from its body: dispatches to GPU or NPU, scalar work for their arguments, and nothing
//! that takes long (no calls, no accesses of buffers, no inner loop without a dispatch). Where the plan has the host
//! wait inside, the runtime rings before it sleeps. So a batch holds an agent back by no more than the writing of a
//! ring of packets.

use super::Lower;
use crate::mlir::ops::{Callee, Conv, Tail};
use clef_frontend::typed::AgentKind;
use clef_psg::id::{NodeId, RegionId};
use clef_psg::node::Op;

/// What a body is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Body {
    /// Short scalar work.
    Short,
    /// That, and dispatches.
    Dispatches,
    /// Anything else.
    Other,
}

impl Lower<'_> {
    /// Lowers a loop, as a batch if it is one.
    pub(super) fn as_batch(&mut self, node: NodeId, lower: impl FnOnce(&mut Self)) {
        if self.in_kernel || self.body_of_loop(node) != Body::Dispatches {
            return lower(self);
        }
        self.ring("clef_batch_begin", node);
        lower(self);
        if self.cx.is_reachable() {
            self.ring("clef_batch_end", node);
        }
    }

    fn ring(&mut self, function: &str, node: NodeId) {
        self.at(node);
        let void = self.cx.ty.void;
        self.declare(function, &[], void, &[], false);
        self.cx.call(Callee::Symbol(function), &[], void, Conv::C, Tail::No);
    }

    /// Remembered for each loop, so that nests are looked at once.
    fn body_of_loop(&mut self, node: NodeId) -> Body {
        if let Some(&known) = self.loops.get(&node) {
            return known;
        }
        let body = self.body_of_regions(node);
        self.loops.insert(node, body);
        body
    }

    fn body_of_regions(&mut self, node: NodeId) -> Body {
        let psg = self.psg;
        let regions: &[RegionId] = &psg.nodes[node].regions;
        let nodes = regions.iter().flat_map(|&r| &psg.regions[r].nodes);
        let mut most = Body::Short;
        for &inner in nodes {
            most = most.max(self.body_of_node(inner));
            if most == Body::Other {
                break;
            }
        }
        most
    }

    fn body_of_node(&mut self, node: NodeId) -> Body {
        match self.psg.nodes[node].op {
            Op::Dispatch { agent: AgentKind::Gpu | AgentKind::Npu, .. } => Body::Dispatches,
            Op::Const(_)
            | Op::RegionParam(_)
            | Op::Binary(_)
            | Op::Unary(_)
            | Op::Convert
            | Op::Make(_)
            | Op::Field { .. }
            | Op::Tag
            | Op::Length
            | Op::ArrayGet { .. }
            | Op::Var
            | Op::VarGet
            | Op::VarSet
            | Op::GlobalGet(_)
            | Op::BufferLength
            | Op::Marker
            | Op::Dup
            | Op::Drop => Body::Short,
            Op::If | Op::Switch(_) => self.body_of_regions(node),
            // A loop without a dispatch may run for long.
            Op::For(_) | Op::While => match self.body_of_loop(node) {
                Body::Dispatches => Body::Dispatches,
                Body::Short | Body::Other => Body::Other,
            },
            _ => Body::Other,
        }
    }
}

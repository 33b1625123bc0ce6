//! Buffers, dispatches and waits.
//!
//! A dispatch becomes `gpu.launch_func` with the plan in `clef.*` attributes: the form that people inspect. The pass
//! in [`crate::dispatch`] turns each into one call of `clef_dispatch` with a static descriptor. Waits are calls of
//! `clef_wait` with the reason as an attribute.

use super::Lower;
use crate::mlir::Value;
use clef_frontend::typed::AgentKind;
use clef_psg::id::{KernelId, NodeId, TypeId};
use clef_psg::node::AtomicOp;

#[derive(Default)]
pub struct Sites {}

impl Lower<'_> {
    pub(super) fn waits_before(&mut self, _node: NodeId) {}
    pub(super) fn waits_after(&mut self, _node: NodeId) {}
    pub(super) fn define_kernels(&mut self) {}
    pub(super) fn define_dispatch_data(&mut self) {}

    pub(super) fn buffer_address(&mut self, v: Value, _ty: TypeId) -> Value {
        let i64 = self.cx.ty.i64;
        self.cx.extract(v, 0, i64)
    }
    pub(super) fn alloc_unified(&mut self, node: NodeId) {
        self.bug(format!("{node}: AllocUnified"));
    }
    pub(super) fn buffer_get(&mut self, node: NodeId, _checked: bool) {
        self.bug(format!("{node}: BufferGet"));
    }
    pub(super) fn buffer_set(&mut self, node: NodeId, _checked: bool) {
        self.bug(format!("{node}: BufferSet"));
    }
    pub(super) fn buffer_length(&mut self, node: NodeId) {
        self.bug(format!("{node}: BufferLength"));
    }
    pub(super) fn dispatch(&mut self, node: NodeId, _k: KernelId, _a: AgentKind, _d: u32, _q: u32) {
        self.bug(format!("{node}: Dispatch"));
    }
    pub(super) fn parallel(&mut self, node: NodeId) {
        self.bug(format!("{node}: Parallel"));
    }
    pub(super) fn barrier(&mut self, node: NodeId) {
        self.bug(format!("{node}: Barrier"));
    }
    pub(super) fn workgroup_array(&mut self, node: NodeId, _n: u32) {
        self.bug(format!("{node}: WorkgroupArray"));
    }
    pub(super) fn atomic(&mut self, node: NodeId, _op: AtomicOp) {
        self.bug(format!("{node}: Atomic"));
    }
}

//! Dispatches and waits: the fence plan in code.
//!
//! A dispatch becomes `gpu.launch_func` with what the plan says of it in `clef.*` attributes: the form that people
//! inspect. The pass in [`crate::dispatch`] turns each into one call of `clef_dispatch` with a static descriptor. A
//! wait is a call of `clef_wait` that names the dispatches and carries the plan's reason.

use super::Lower;
use crate::mlir::ops::{Callee, Conv, Linkage, Tail};
use crate::mlir::{Attr, Named, Value};
use clef_frontend::typed::AgentKind;
use clef_psg::id::{KernelId, NodeId};
use clef_psg::job::Route;
use clef_psg::node::Op;
use clef_psg::plan::{DispatchSync, ElementKind, Point, Scope};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Routes whose plan has an element.
type RouteBits = u32;

/// What the plans of all routes say, by node.
#[derive(Default)]
pub struct Sites {
    /// By dispatch: its place among the sites.
    number: FxHashMap<NodeId, usize>,
    before: BTreeMap<NodeId, BTreeMap<NodeId, RouteBits>>,
    after: BTreeMap<NodeId, BTreeMap<NodeId, RouteBits>>,
    reasons: FxHashMap<Point, Vec<String>>,
    /// By dispatch: why its scopes are what they are.
    scope_reasons: FxHashMap<NodeId, Vec<String>>,
    wait_lists: usize,
}

fn bit(route: Route) -> RouteBits {
    match route {
        Route::Hsa => 1,
        Route::Vulkan => 2,
    }
}

fn scope_number(scope: Option<Scope>) -> i64 {
    match scope {
        None => 0,
        Some(Scope::Agent) => 1,
        Some(Scope::System) => 2,
    }
}

fn scope_text(scope: Option<Scope>) -> &'static str {
    match scope {
        None => "none",
        Some(Scope::Agent) => "agent",
        Some(Scope::System) => "system",
    }
}

/// The header word of a kernel packet: type 2, barrier bit, acquire and release scopes.
fn packet_header(sync: &DispatchSync) -> i64 {
    2 | 0x100 | scope_number(sync.acquire) << 9 | scope_number(sync.release) << 11
}

impl Lower<'_> {
    /// Reads the plans of all routes into one table.
    pub(super) fn plan_sites(&mut self) {
        let psg = self.psg;
        for (id, node) in psg.nodes.iter() {
            if matches!(node.op, Op::Dispatch { .. }) {
                let n = self.sites.number.len();
                self.sites.number.insert(id, n);
            }
        }
        for route in self.routes {
            let b = bit(route.route);
            for (table, waits) in [
                (&mut self.sites.before, &route.sync.waits),
                (&mut self.sites.after, &route.sync.waits_after),
            ] {
                for (&at, list) in waits {
                    for &on in list {
                        *table.entry(at).or_default().entry(on).or_default() |= b;
                    }
                }
            }
            self.collect_reasons(&route.plan);
        }
    }

    fn collect_reasons(&mut self, plan: &clef_psg::plan::FencePlan) {
        for element in &plan.elements {
            let reasons = element.covers.iter().filter_map(|&h| plan.certificate.get(h as usize));
            let target = match element.kind {
                ElementKind::Wait { at, .. } => self.sites.reasons.entry(at).or_default(),
                ElementKind::Release { dispatch, .. }
                | ElementKind::Acquire { dispatch, .. }
                | ElementKind::Clean { dispatch } => self.sites.scope_reasons.entry(dispatch).or_default(),
                ElementKind::BarrierAnd { before, .. } | ElementKind::Semaphore { before, .. } => {
                    self.sites.scope_reasons.entry(before).or_default()
                }
                ElementKind::PipelineBarrier { at: Point::Before(n) | Point::After(n) } => {
                    self.sites.scope_reasons.entry(n).or_default()
                }
            };
            for chain in reasons {
                if !target.iter().any(|t| *t == chain.reason.as_str()) {
                    target.push(chain.reason.to_string());
                }
            }
        }
    }

    // --- waits

    pub(super) fn waits_before(&mut self, node: NodeId) {
        if let Some(on) = self.sites.before.get(&node).cloned() {
            self.wait(node, &on, Point::Before(node));
        }
    }

    pub(super) fn waits_after(&mut self, node: NodeId) {
        if !self.cx.is_reachable() {
            return;
        }
        if let Some(on) = self.sites.after.get(&node).cloned() {
            self.at(node);
            self.wait(node, &on, Point::After(node));
        }
    }

    fn wait(&mut self, node: NodeId, on: &BTreeMap<NodeId, RouteBits>, at: Point) {
        if self.in_kernel {
            return;
        }
        let name = format!("clef.wait.{}", self.sites.wait_lists);
        self.sites.wait_lists += 1;
        self.site_list(&name, on);
        let list = self.cx.address_of(&name);
        let n = self.cx.const_i32(on.len() as i64);
        let loc = self.loc_of(node);
        let t = self.cx.ty;
        self.declare("clef_wait", &[t.ptr, t.i32, t.ptr], t.void, &[], false);
        let names: Vec<Attr> = on.keys().map(|&d| self.cx.symbol(&self.site_symbol(d))).collect();
        let mut attrs: Vec<Named> = vec![("clef.wait", self.cx.array(&names))];
        if let Some(reasons) = self.sites.reasons.get(&at) {
            attrs.push(("clef.reason", self.texts(reasons)));
        }
        self.cx.call_op(Callee::Symbol("clef_wait"), &[list, n, loc], t.void, Conv::C, Tail::No, &attrs);
    }

    fn texts(&self, texts: &[String]) -> Attr {
        let items: Vec<Attr> = texts.iter().map(|t| self.cx.string(t)).collect();
        self.cx.array(&items)
    }

    fn site_symbol(&self, dispatch: NodeId) -> String {
        match self.sites.number.get(&dispatch) {
            Some(n) => format!("clef.site.{n}"),
            None => String::from("clef.site.none"),
        }
    }

    /// A constant array of `After`.
    fn site_list(&mut self, name: &str, on: &BTreeMap<NodeId, RouteBits>) {
        let t = self.cx.ty;
        let item = self.cx.struct_type(&[t.ptr, t.i32, t.i32]);
        let ty = self.cx.array_type(item, on.len());
        let rows: Vec<(String, RouteBits)> =
            on.iter().map(|(&d, &bits)| (self.site_symbol(d), bits)).collect();
        self.constant_struct(name, ty, true, |l| {
            rows.iter()
                .map(|(site, bits)| {
                    let row = l.cx.undef(item);
                    let site = l.cx.address_of(site);
                    let row = l.cx.insert(row, 0, site);
                    let bits = l.cx.const_i32(i64::from(*bits));
                    let row = l.cx.insert(row, 1, bits);
                    let zero = l.cx.const_i32(0);
                    l.cx.insert(row, 2, zero)
                })
                .collect()
        });
    }

    // --- dispatches

    fn sync_of(&self, route: Route, node: NodeId) -> Option<&DispatchSync> {
        self.routes.iter().find(|r| r.route == route)?.sync.dispatches.get(&node)
    }

    pub(super) fn dispatch(
        &mut self,
        node: NodeId,
        kernel: KernelId,
        agent: AgentKind,
        device: u32,
        queue: u32,
    ) {
        let psg = self.psg;
        let mut args = Vec::new();
        for &operand in &psg.nodes[node].operands {
            let v = self.get(operand);
            args.push(v);
        }
        let one = self.cx.const_i64(1);
        let mut operands = vec![one; 6];
        operands.extend_from_slice(&args);
        let segments = vec![0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, args.len() as i32, 0];
        let agent_name = match agent {
            AgentKind::Cpu => "cpu",
            AgentKind::Gpu => "gpu",
            AgentKind::Npu => "npu",
        };
        let hsa = self.sync_of(Route::Hsa, node).cloned().unwrap_or_default();
        let t = self.cx.ty;
        let mut attrs: Vec<Named> = vec![
            ("kernel", self.cx.symbol_in(&psg.kernels[kernel].name, &psg.kernels[kernel].name)),
            ("operandSegmentSizes", self.cx.i32s(&segments)),
            ("clef.agent", self.cx.string(agent_name)),
            ("clef.device", self.cx.int(t.i32, device.into())),
            ("clef.queue", self.cx.int(t.i32, queue.into())),
            ("clef.acquire", self.cx.string(scope_text(hsa.acquire))),
            ("clef.release", self.cx.string(scope_text(hsa.release))),
            ("clef.header", self.cx.int(t.i16, packet_header(&hsa))),
            ("clef.descriptor", self.cx.symbol(&self.descriptor_symbol(node))),
            ("clef.site", self.cx.symbol(&self.site_symbol(node))),
        ];
        if hsa.clean {
            attrs.push(("clef.clean", self.cx.unit()));
        }
        if !hsa.after.is_empty() {
            let sites: Vec<Attr> = hsa.after.iter().map(|&d| self.cx.symbol(&self.site_symbol(d))).collect();
            attrs.push(("clef.after", self.cx.array(&sites)));
        }
        if let Some(v) = self.sync_of(Route::Vulkan, node) {
            attrs.push(("clef.vulkan", self.vulkan_attr(v)));
        }
        if let Some(reasons) = self.sites.scope_reasons.get(&node) {
            attrs.push(("clef.reason", self.texts(reasons)));
        }
        self.cx.op("gpu.launch_func", &operands, &[], &attrs);
        self.dispatches.push(node);
        if let Some(ty) = self.types[psg.nodes[node].ty] {
            // Only on the CPU, in place: the host form left its value there.
            let place = self.cx.address_of(&result_symbol(&psg.kernels[kernel].name));
            let v = self.cx.load(ty, place);
            self.set(node, v);
        }
    }

    fn vulkan_attr(&self, sync: &DispatchSync) -> Attr {
        let mut items: Vec<(&str, Attr)> = Vec::new();
        let sites: Vec<Attr> = sync.after.iter().map(|&d| self.cx.symbol(&self.site_symbol(d))).collect();
        if !sites.is_empty() {
            items.push(("semaphores", self.cx.array(&sites)));
        }
        if sync.barrier_before {
            items.push(("barrier_before", self.cx.unit()));
        }
        if sync.barrier_behind {
            items.push(("barrier_behind", self.cx.unit()));
        }
        self.cx.dict(&items)
    }

    fn descriptor_symbol(&self, dispatch: NodeId) -> String {
        match self.sites.number.get(&dispatch) {
            Some(n) => format!("clef.dispatch.{n}"),
            None => String::from("clef.dispatch.none"),
        }
    }

    // --- descriptors

    /// Sites, dispatch descriptors and the `gpu.module` of all dispatches that were lowered.
    pub(super) fn define_dispatch_data(&mut self) {
        let t = self.cx.ty;
        let site = self.cx.struct_type(&[t.i64, t.i32, t.i32]);
        for n in 0..self.sites.number.len() {
            let init = self.cx.global(&format!("clef.site.{n}"), site, None, false, Linkage::Internal);
            if let Some(init) = init {
                self.cx.set_block(init);
                let zero = self.cx.zero(site);
                self.cx.ret(Some(zero));
            }
        }
        for node in std::mem::take(&mut self.dispatches) {
            self.define_dispatch(node);
        }
    }

    fn define_dispatch(&mut self, node: NodeId) {
        let psg = self.psg;
        let Op::Dispatch { kernel, agent, device, queue } = psg.nodes[node].op else { return };
        let mut after: BTreeMap<NodeId, RouteBits> = BTreeMap::new();
        let (mut flags, mut header) = (0, packet_header(&DispatchSync::default()));
        for route in self.routes {
            let Some(sync) = route.sync.dispatches.get(&node) else { continue };
            for &d in &sync.after {
                *after.entry(d).or_default() |= bit(route.route);
            }
            match route.route {
                Route::Hsa => {
                    header = packet_header(sync);
                    flags |= i64::from(sync.clean);
                }
                Route::Vulkan => {
                    flags |= i64::from(sync.clean) << 1
                        | i64::from(sync.barrier_before) << 2
                        | i64::from(sync.barrier_behind) << 3;
                }
            }
        }
        let name = self.descriptor_symbol(node);
        let list = format!("{name}.after");
        if !after.is_empty() {
            self.site_list(&list, &after);
        }
        let file = self.c_string(&self.file_of(node));
        let (line, column) = self.line_of(node);
        let site = self.site_symbol(node);
        let kernel = kernel_symbol(&psg.kernels[kernel].name);
        let t = self.cx.ty;
        let ty = self.cx.struct_type(&[
            t.ptr, t.ptr, t.ptr, t.i32, t.i8, t.i8, t.i8, t.i8, t.i16, t.i16, t.i16, t.i16, t.ptr, t.i32,
            t.i32,
        ]);
        self.constant_struct(&name, ty, true, |l| {
            let mut fields = vec![l.cx.address_of(&kernel), l.cx.address_of(&site)];
            fields.push(if after.is_empty() { l.cx.zero(t.ptr) } else { l.cx.address_of(&list) });
            fields.push(l.cx.const_i32(after.len() as i64));
            for small in [agent as i64, device.into(), queue.into(), flags] {
                fields.push(l.cx.const_int(t.i8, small));
            }
            for word in [header, 0, 0, 0] {
                fields.push(l.cx.const_int(t.i16, word));
            }
            fields.push(l.cx.address_of(&file));
            fields.push(l.cx.const_i32(line.into()));
            fields.push(l.cx.const_i32(column.into()));
            fields
        });
    }
}

/// Symbol of a kernel's descriptor.
pub(super) fn kernel_symbol(kernel: &str) -> String {
    format!("clef.kernel.{kernel}")
}

/// Symbol of the place where a kernel that ran in place leaves its value.
pub(super) fn result_symbol(kernel: &str) -> String {
    format!("clef.kernel.{kernel}.result")
}

/// The value of a dispatch's argument as the word that the runtime gets.
pub(crate) fn argument_word(cx: &mut crate::mlir::Cx, v: Value) -> Value {
    let t = cx.ty;
    let ty = cx.type_of(v);
    if ty == t.i64 {
        return v;
    }
    if ty == t.ptr {
        return cx.cast("llvm.ptrtoint", v, t.i64);
    }
    let bits = if ty == t.f64 {
        return cx.cast("llvm.bitcast", v, t.i64);
    } else if ty == t.f32 {
        cx.cast("llvm.bitcast", v, t.i32)
    } else if ty == t.f16 || ty == t.bf16 {
        cx.cast("llvm.bitcast", v, t.i16)
    } else {
        v
    };
    cx.resize_int(bits, t.i64, false)
}

//! Kernels on the host: a C function of the kernel's arguments whose parallel loops are outlined.
//!
//! The function runs the kernel's top level. Each `Parallel` there becomes a function `body(env, begin, end)` over the
//! items of its outermost dimension, called through `clef_parallel`; what the body uses from outside lies in `env`.
//! Parallel loops inside of bodies are plain loops that LLVM vectorises. Only here floats may be contracted, and
//! additions of reductions reordered.

use super::agent::BufferArg;
use super::sync::{kernel_symbol, result_symbol};
use super::{Current, Lower};
use crate::mlir::ops::{Conv, FuncDef, ICmp, Linkage, NSW};
use crate::mlir::{Block, Ty, Value};
use clef_psg::graph::{Kernel, KernelParam};
use clef_psg::id::{FuncId, KernelId, NodeId, RegionId};
use clef_psg::node::{BinOp, GroupOp, GroupScope, Op};
use clef_psg::plan::Mode;
use clef_psg::ty::Type;
use rustc_hash::FxHashSet;

/// Bytes of an `Arg`.
const ARG: i64 = 16;
/// Rounds assumed of a loop whose bounds are not known outside.
const UNKNOWN_ROUNDS: i64 = 16;

/// What a parallel body takes from outside.
enum Capture {
    /// Made again inside.
    Constant(NodeId),
    Value(NodeId, Value),
    Buffer(NodeId, BufferArg),
}

impl Lower<'_> {
    pub(super) fn define_kernels(&mut self) {
        let psg = self.psg;
        if psg.kernels.is_empty() {
            return;
        }
        for (id, kernel) in psg.kernels.iter() {
            let location = self.location_at(kernel.span);
            self.cx.set_location(location);
            let effects = self.effects_of(id);
            if let Some(func) = kernel.host.or(kernel.func) {
                self.define_host_form(kernel, func);
            }
            self.cx.set_location(location);
            self.define_kernel_data(id, kernel, &effects);
        }
        self.define_gpu_module();
    }

    // --- descriptors

    /// By parameter: bit 0 read, bit 1 written, bit 2 every element written.
    fn effects_of(&self, kernel: KernelId) -> Vec<i64> {
        let params = self.facts.kernels.get(kernel).map(|k| k.params.as_slice()).unwrap_or_default();
        let bits = |mode: Mode| i64::from(mode.reads()) | i64::from(mode.writes()) << 1;
        params.iter().map(|p| p.mode.map_or(0, bits) | i64::from(p.covers) << 2).collect()
    }

    fn define_kernel_data(&mut self, id: KernelId, kernel: &Kernel, effects: &[i64]) {
        let t = self.cx.ty;
        let location = self.cx.location();
        let (n_phases, phases) = self.define_phases(id, kernel);
        self.cx.set_location(location);
        let symbol = kernel_symbol(&kernel.name);
        let params = format!("{symbol}.params");
        let row = self.cx.struct_type(&[t.i8, t.i8, t.i8, t.i8]);
        let rows: Vec<[i64; 4]> = kernel
            .params
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let size = self.layouts[p.element.unwrap_or(p.ty)].machine.size_align().0 as i64;
                [i64::from(p.element.is_some()), size, effects.get(i).copied().unwrap_or(3), 0]
            })
            .collect();
        let table = self.cx.array_type(row, rows.len());
        self.constant_struct(&params, table, true, |l| {
            rows.iter()
                .map(|fields| {
                    let mut value = l.cx.undef(row);
                    for (i, &field) in fields.iter().enumerate() {
                        let field = l.cx.const_int(t.i8, field);
                        value = l.cx.insert(value, i, field);
                    }
                    value
                })
                .collect()
        });
        let name = self.c_string(&kernel.name);
        let object = kernel.object.map(|o| self.c_string(&o));
        let npu = self.define_npu_files(&symbol, &kernel.name);
        let ty = self.cx.struct_type(&[t.ptr, t.ptr, t.i32, t.i32, t.ptr, t.ptr, t.ptr, t.ptr]);
        self.constant_struct(&symbol, ty, true, |l| {
            let null = |l: &mut Self| l.cx.zero(t.ptr);
            let mut fields = vec![l.cx.address_of(&name), l.cx.address_of(&params)];
            fields.push(l.cx.const_i32(kernel.params.len() as i64));
            fields.push(l.cx.const_i32(n_phases as i64));
            fields.push(if n_phases > 0 { l.cx.address_of(&phases) } else { null(l) });
            fields.push(if kernel.func.is_some() {
                l.cx.address_of(&host_symbol(&kernel.name))
            } else {
                null(l)
            });
            for other in [&object, &npu] {
                fields.push(match other {
                    Some(o) => l.cx.address_of(o),
                    None => null(l),
                });
            }
            fields
        });
    }

    /// The symbol of what the NPU's own compiler made of a kernel.
    fn define_npu_files(&mut self, symbol: &str, kernel: &str) -> Option<String> {
        let t = self.cx.ty;
        let options = self.options;
        let files = options.npu.iter().find(|f| f.kernel == kernel)?;
        let name = format!("{symbol}.npu");
        let parts = [("image", &files.image), ("insts", &files.insts)].map(|(part, bytes)| {
            let part = format!("{name}.{part}");
            let ty = self.cx.array_type(t.i8, bytes.len());
            let value = self.cx.bytes(bytes);
            self.cx.global(&part, ty, Some(value), true, Linkage::Internal);
            (part, bytes.len() as i64)
        });
        let ty = self.cx.struct_type(&[t.ptr, t.i64, t.ptr, t.i64, t.i64]);
        self.constant_struct(&name, ty, true, |l| {
            let mut fields = Vec::new();
            for (part, bytes) in &parts {
                fields.extend([l.cx.address_of(part), l.cx.const_i64(*bytes)]);
            }
            fields.push(l.cx.const_i64(files.status.into()));
            fields
        });
        Some(name)
    }

    /// What `gpu.launch_func` names: for each kernel a `gpu.module` with a function without body. The SPIR-V joins it in
    /// the view that users see.
    fn define_gpu_module(&mut self) {
        let psg = self.psg;
        self.cx.set_location(self.cx.glue_location("clefc.kernels"));
        let module = self.cx.module_op();
        self.cx.set_attr(module, "gpu.container_module", self.cx.unit());
        for (_, kernel) in psg.kernels.iter() {
            let location = self.location_at(kernel.span);
            self.cx.set_location(location);
            let block = self.cx.new_block(&[]);
            let name = self.cx.string(&kernel.name);
            self.cx.top_op("gpu.module", &[("sym_name", name)], Some(block));
            let params: Vec<Ty> = kernel.params.iter().map(|p| self.dispatch_type(p)).collect();
            let entry = self.cx.new_block(&params);
            let attrs = [
                ("function_type", self.cx.type_attr(self.cx.builtin_func_type(&params))),
                ("sym_name", self.cx.string(&kernel.name)),
                ("gpu.kernel", self.cx.unit()),
                ("workgroup_attributions", self.cx.int(self.cx.ty.i64, 0)),
            ];
            self.cx.op_in(block, "gpu.func", &attrs, Some(entry));
            self.cx.set_block(entry);
            self.cx.op("gpu.return", &[], &[], &[]);
        }
    }

    /// What a dispatch passes: an address or a scalar.
    fn dispatch_type(&self, p: &KernelParam) -> Ty {
        if p.element.is_some() { self.cx.ty.i64 } else { self.types[p.ty].unwrap_or(self.cx.ty.i64) }
    }

    // --- host form

    fn define_host_form(&mut self, kernel: &Kernel, func: FuncId) {
        let psg = self.psg;
        let t = self.cx.ty;
        let f = &psg.funcs[func];
        let ret = self.types[f.ret];
        if let Some(ty) = ret
            && let Some(init) =
                self.cx.global(&result_symbol(&kernel.name), ty, None, false, Linkage::Internal)
        {
            self.cx.set_block(init);
            let zero = self.cx.zero(ty);
            self.cx.ret(Some(zero));
        }
        let Some(entry) = self.open_kernel_function(&host_symbol(&kernel.name), &[t.ptr]) else { return };
        let start = self.cx.append_block(entry, &[]);
        self.in_kernel = true;
        self.find_reductions(func);
        self.cx.set_block(start);
        let args = self.cx.arg(entry, 0);
        let params: Vec<NodeId> =
            f.params.iter().copied().filter(|&p| *psg.types.get(psg.nodes[p].ty) != Type::Unit).collect();
        if params.len() != kernel.params.len() {
            self.bug(format!(
                "kernel {} has {} parameters, its function {}",
                kernel.name,
                kernel.params.len(),
                params.len()
            ));
        }
        for (i, (&node, param)) in params.iter().zip(&kernel.params).enumerate() {
            self.bind_param(node, param, args, i as i64);
        }
        let result = self.region(f.body);
        if self.cx.is_reachable() {
            if let (Some(_), Some(v)) = (ret, result) {
                let place = self.cx.address_of(&result_symbol(&kernel.name));
                self.cx.store(v, place);
            }
            self.cx.ret(None);
        }
        self.close_entry(start, &[]);
        self.in_kernel = false;
        self.kernel_buffers.clear();
        self.reductions.clear();
    }

    pub(super) fn open_kernel_function(&mut self, name: &str, params: &[Ty]) -> Option<Block> {
        let wide = self.cx.string("512");
        let def = FuncDef {
            name,
            params,
            ret: self.cx.ty.void,
            conv: Conv::C,
            linkage: Linkage::Internal,
            flags: &[],
            arg_attrs: None,
            res_attrs: None,
            extra: &[("prefer_vector_width", wide)],
        };
        let (_, entry) = self.cx.func(&def, true);
        self.current = Current { entry, ..Current::default() };
        entry
    }

    /// The value of a kernel's parameter, from its `Arg`.
    pub(super) fn bind_param(&mut self, node: NodeId, param: &KernelParam, args: Value, i: i64) {
        let t = self.cx.ty;
        let place = self.cx.offset(args, ARG * i);
        let Some(element) = param.element else {
            if let Some(ty) = self.types[param.ty] {
                let v = self.cx.load(ty, place);
                self.set(node, v);
            }
            return;
        };
        let address = self.cx.load(t.ptr, place);
        let place = self.cx.offset(args, ARG * i + 8);
        let length = self.cx.load(t.i64, place);
        self.kernel_buffers.insert(node, BufferArg { address, length });
        // The record, for what reads its fields.
        let Some(machine) = self.types[param.ty] else { return };
        let record = self.cx.zero(machine);
        let bits = self.cx.cast("llvm.ptrtoint", address, t.i64);
        let at = self.buffer_slot(param.ty, "Address");
        let record = self.cx.insert(record, at, bits);
        let stride = self.cx.const_i64(self.stride(element));
        let bytes = self.cx.binary("llvm.mul", length, stride);
        let bytes = self.cx.resize_int(bytes, t.i32, true);
        let at = self.buffer_slot(param.ty, "Size");
        let record = self.cx.insert(record, at, bytes);
        self.set(node, record);
    }

    /// Finds `acc <- acc + x`: additions that may be reordered.
    fn find_reductions(&mut self, func: FuncId) {
        let psg = self.psg;
        let mut found = FxHashSet::default();
        psg.walk_func(func, &mut |n| {
            let node = &psg.nodes[n];
            if node.op == Op::VarSet
                && matches!(psg.types.get(psg.nodes[node.operands[1]].ty), Type::Float(_))
            {
                self.mark_sum(node.operands[1], node.operands[0], &mut found);
            }
        });
        self.reductions = found;
    }

    /// Marks the additions on the way from a sum to a read of the variable; whether there is such a way.
    fn mark_sum(&self, node: NodeId, var: NodeId, found: &mut FxHashSet<NodeId>) -> bool {
        let n = &self.psg.nodes[node];
        match n.op {
            Op::VarGet => n.operands[0] == var,
            Op::Binary(BinOp::Add) => {
                let hit = n.operands.iter().any(|&o| self.mark_sum(o, var, found));
                if hit {
                    found.insert(node);
                }
                hit
            }
            _ => false,
        }
    }

    // --- parallel loops

    pub(super) fn parallel(&mut self, node: NodeId) {
        if self.in_kernel && self.outlining == 0 {
            self.outline(node);
        } else {
            let (from, to) = (self.arg(node, 0), self.arg(node, 1));
            self.count_between(node, from, to, (ICmp::Sle, ICmp::Ule), 1);
        }
    }

    fn outline(&mut self, node: NodeId) {
        let psg = self.psg;
        let Some(&region) = psg.nodes[node].regions.first() else { return };
        let t = self.cx.ty;
        let (from, to) = (self.arg(node, 0), self.arg(node, 1));
        let index_type = self.cx.type_of(from);
        let from_wide = self.cx.resize_int(from, t.i64, true);
        let to_wide = self.cx.resize_int(to, t.i64, true);
        let distance = self.cx.binary("llvm.sub", to_wide, from_wide);
        let one = self.cx.const_i64(1);
        let items = self.cx.add(distance, one);
        let inside = self.nodes_inside(region);
        let captures = self.captures_of(region, &inside);
        let cost = self.cost(region, &inside);
        let env = self.store_env(&captures, from_wide);
        let name = format!("clef.parallel.{}", self.outlined);
        self.outlined += 1;
        let hoisted = self.hoist_checks(node, region, &inside);
        let mut body = self.cx.address_of(&name);
        let unchecked = format!("{name}.unchecked");
        if let Some((condition, _)) = &hoisted {
            let fast = self.cx.address_of(&unchecked);
            body = self.cx.select(*condition, fast, body);
        }
        self.runtime("clef_parallel", &[body, env, items, cost], t.void);
        self.define_body(&name, node, &captures, index_type);
        if let Some((_, proven)) = hoisted {
            self.proven = proven;
            self.define_body(&unchecked, node, &captures, index_type);
            self.proven.clear();
        }
    }

    fn nodes_inside(&self, region: RegionId) -> FxHashSet<NodeId> {
        let psg = self.psg;
        let mut inside: FxHashSet<NodeId> = psg.regions[region].params.iter().copied().collect();
        psg.walk_region(region, &mut |n| {
            inside.insert(n);
            for &r in &psg.nodes[n].regions {
                inside.extend(psg.regions[r].params.iter().copied());
            }
        });
        inside
    }

    /// What a region uses from outside, in the order of first use.
    fn captures_of(&mut self, region: RegionId, inside: &FxHashSet<NodeId>) -> Vec<Capture> {
        let psg = self.psg;
        let mut seen = FxHashSet::default();
        let mut used: Vec<(NodeId, bool)> = Vec::new();
        let mut whole = FxHashSet::default();
        psg.walk_region(region, &mut |n| {
            let node = &psg.nodes[n];
            let of_buffer = matches!(
                node.op,
                Op::BufferGet { .. } | Op::BufferSet { .. } | Op::BufferLength | Op::Atomic(_)
            );
            let results = node.regions.iter().filter_map(|&r| psg.regions[r].result);
            for (i, o) in node.operands.iter().copied().chain(results).enumerate() {
                if inside.contains(&o) {
                    continue;
                }
                if !(of_buffer && i == 0) {
                    whole.insert(o);
                }
                if seen.insert(o) {
                    used.push((o, true));
                }
            }
        });
        let mut captures = Vec::new();
        for (o, _) in used {
            if matches!(psg.nodes[o].op, Op::Const(_)) {
                captures.push(Capture::Constant(o));
                continue;
            }
            let buffer = self.kernel_buffers.get(&o).copied();
            if let Some(buffer) = buffer {
                captures.push(Capture::Buffer(o, buffer));
            }
            if let (Some(v), true) = (self.maybe_value(o), buffer.is_none() || whole.contains(&o)) {
                captures.push(Capture::Value(o, v));
            }
        }
        captures
    }

    /// Words of the environment: the first index, then the captures.
    fn env_fields(&self, captures: &[Capture], first: Option<Value>) -> Vec<(Ty, Option<Value>)> {
        let t = self.cx.ty;
        let mut fields = vec![(t.i64, first)];
        for capture in captures {
            match capture {
                Capture::Constant(_) => {}
                Capture::Value(_, v) => fields.push((self.cx.type_of(*v), Some(*v))),
                Capture::Buffer(_, b) => {
                    fields.push((t.ptr, Some(b.address)));
                    fields.push((t.i64, Some(b.length)));
                }
            }
        }
        fields
    }

    fn store_env(&mut self, captures: &[Capture], first: Value) -> Value {
        let fields = self.env_fields(captures, Some(first));
        let types: Vec<Ty> = fields.iter().map(|f| f.0).collect();
        let ty = self.cx.struct_type(&types);
        let env = self.slot(ty);
        for (i, (_, v)) in fields.iter().enumerate() {
            if let Some(v) = v {
                let place = self.cx.field_place(ty, env, i);
                self.cx.store(*v, place);
            }
        }
        env
    }

    /// The outlined function. Afterwards everything is as it was, the cursor too.
    fn define_body(&mut self, name: &str, node: NodeId, captures: &[Capture], index_type: Ty) {
        let t = self.cx.ty;
        let here = self.cx.block();
        let outer = std::mem::take(&mut self.current);
        let buffers = self.kernel_buffers.clone();
        let fields: Vec<Ty> = self.env_fields(captures, None).iter().map(|f| f.0).collect();
        let env_type = self.cx.struct_type(&fields);
        let Some(entry) = self.open_kernel_function(name, &[t.ptr, t.i64, t.i64]) else { return };
        let start = self.cx.append_block(entry, &[]);
        self.cx.set_block(start);
        let (env, begin, end) = (self.cx.arg(entry, 0), self.cx.arg(entry, 1), self.cx.arg(entry, 2));
        let mut saved: Vec<(NodeId, Option<Value>)> = Vec::new();
        let mut at = 0;
        let mut next = |l: &mut Self| {
            let place = l.cx.field_place(env_type, env, at);
            let v = l.cx.load(fields[at], place);
            at += 1;
            v
        };
        let first = next(self);
        for capture in captures {
            match capture {
                Capture::Constant(n) => {
                    saved.push((*n, self.values[*n]));
                    self.node(*n);
                }
                Capture::Value(n, _) => {
                    saved.push((*n, self.values[*n]));
                    let v = next(self);
                    self.set(*n, v);
                }
                Capture::Buffer(n, _) => {
                    let (address, length) = (next(self), next(self));
                    self.kernel_buffers.insert(*n, BufferArg { address, length });
                }
            }
        }
        self.body_loop(node, (first, begin, end), index_type);
        self.cx.ret(None);
        self.close_entry(start, &[]);
        for (n, v) in saved {
            self.values[n] = v;
        }
        self.kernel_buffers = buffers;
        self.current = outer;
        if let Some(block) = here {
            self.cx.set_block(block);
        }
    }

    /// The items `begin..end`, from the loop's first index.
    fn body_loop(&mut self, node: NodeId, (first, begin, end): (Value, Value, Value), index_type: Ty) {
        self.at(node);
        let from = self.cx.binary_no_wrap("llvm.add", first, begin, NSW);
        let behind = self.cx.binary_no_wrap("llvm.add", first, end, NSW);
        let minus_one = self.cx.const_i64(-1);
        let to = self.cx.binary_no_wrap("llvm.add", behind, minus_one, NSW);
        let from = self.cx.resize_int(from, index_type, true);
        let to = self.cx.resize_int(to, index_type, true);
        self.outlining += 1;
        self.count_between(node, from, to, (ICmp::Sle, ICmp::Ule), 1);
        self.outlining -= 1;
    }

    // --- cost

    /// Estimated scalar operations of one run of a region, computed outside of it.
    fn cost(&mut self, region: RegionId, inside: &FxHashSet<NodeId>) -> Value {
        let psg = self.psg;
        let mut own = 1;
        let mut total: Option<Value> = None;
        for &n in &psg.regions[region].nodes {
            let node = &psg.nodes[n];
            if !matches!(node.op, Op::Const(_)) {
                own += 1;
            }
            let rounds = match node.op {
                Op::For(_) | Op::Parallel => Some(self.rounds(n, inside)),
                Op::While => Some(self.cx.const_i64(UNKNOWN_ROUNDS)),
                _ => None,
            };
            for &r in &node.regions {
                let mut part = self.cost(r, inside);
                if let Some(rounds) = rounds {
                    part = self.cx.binary("llvm.mul", part, rounds);
                }
                total = Some(match total {
                    Some(sum) => self.cx.add(sum, part),
                    None => part,
                });
            }
        }
        let own = self.cx.const_i64(own);
        match total {
            Some(sum) => self.cx.add(sum, own),
            None => own,
        }
    }

    /// How often a loop runs, where its bounds are known outside of the region.
    fn rounds(&mut self, node: NodeId, inside: &FxHashSet<NodeId>) -> Value {
        let psg = self.psg;
        let t = self.cx.ty;
        let mut bounds = Vec::new();
        for &o in psg.nodes[node].operands.iter().take(2) {
            let known = match &psg.nodes[o].op {
                Op::Const(clef_psg::node::Const::Int(i)) => Some(self.cx.const_i64(*i)),
                _ if !inside.contains(&o) => self.maybe_value(o).map(|v| self.cx.resize_int(v, t.i64, true)),
                _ => None,
            };
            bounds.extend(known);
        }
        let [from, to] = bounds[..] else { return self.cx.const_i64(UNKNOWN_ROUNDS) };
        let distance = self.cx.binary("llvm.sub", to, from);
        let sign = self.cx.value(
            "llvm.intr.abs",
            &[distance],
            t.i64,
            &[("is_int_min_poison", self.cx.int(t.i1, 0))],
        );
        let one = self.cx.const_i64(1);
        self.cx.add(sign, one)
    }

    // --- workgroups (host forms have no barriers: `clef_psg::kernel::workgroups`)

    pub(super) fn barrier(&mut self, node: NodeId) {
        let message = self.string_constant("a kernel with barriers is called as a function; dispatch it");
        self.panic("clef_panic_fail", &[message], node);
    }

    /// A subgroup is one work-item here; what a workgroup does together is in the kernel's form for one thread.
    pub(super) fn group(&mut self, node: NodeId, scope: GroupScope, op: GroupOp) {
        if scope == GroupScope::Workgroup {
            self.barrier(node);
            return self.zeroed(node);
        }
        let value = match op {
            GroupOp::Size => self.cx.const_i32(1),
            GroupOp::Lane => self.cx.const_i32(0),
            GroupOp::Tiles => match self.runtime("clef_tiles_offered", &[], self.cx.ty.i1) {
                Some(offered) => offered,
                None => return self.zeroed(node),
            },
            _ => self.get(self.psg.nodes[node].operands[0]),
        };
        self.set(node, value);
    }

    /// An array on the stack of the thread that runs the group, in the form of every array; never freed. Its elements
    /// are whatever was there before.
    pub(super) fn workgroup_array(&mut self, node: NodeId, length: u32) {
        let t = self.cx.ty;
        let element = self.element_of(self.psg.nodes[node].ty);
        let machine = self.types[element].unwrap_or(t.i8);
        let elements = self.cx.array_type(machine, length as usize);
        let ty = self.cx.struct_type(&[t.i32, t.i32, t.i64, elements]);
        let array = self.slot(ty);
        let count = self.cx.const_i32(super::statics::STATIC_COUNT);
        self.cx.store(count, array);
        let n = self.cx.const_i64(length.into());
        self.store_length(n, array);
        self.set(node, array);
    }
}

/// Symbol of a kernel's host form.
fn host_symbol(kernel: &str) -> String {
    format!("clef.kernel.{kernel}.host")
}

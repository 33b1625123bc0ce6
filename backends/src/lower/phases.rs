//! The GPU form of kernels as data of the program: SPIR-V, extents, and the table that the runtime launches from.
//!
//! The extents of a launch are computed on the host by a small function that runs the kernel's uniform scalars.

use super::Lower;
use crate::gpu::Form;
use crate::mlir::Value;
use crate::mlir::ops::{ICmp, Linkage};
use clef_psg::graph::Kernel;
use clef_psg::id::{KernelId, NodeId};
use clef_psg::kernel::facts::Phase;
use clef_psg::kernel::workgroups;
use clef_psg::node::Op;

/// Bytes of an extent.
const WORD: i64 = 8;

impl Lower<'_> {
    /// Defines the launches of a kernel; how many there are and the table's symbol.
    pub(super) fn define_phases(&mut self, id: KernelId, kernel: &Kernel) -> (usize, String) {
        let table = format!("clef.kernel.{}.phases", kernel.name);
        let forms: &[Form] = self.forms.kernels.get(id).map(Vec::as_slice).unwrap_or_default();
        let shape = self.facts.kernels.get(id).and_then(|info| info.shape.as_ref());
        let (Some(shape), false) = (shape, forms.is_empty()) else { return (0, table) };
        if shape.phases.len() != forms.len() {
            self.bug(format!(
                "kernel {} has {} phases and {} GPU forms",
                kernel.name,
                shape.phases.len(),
                forms.len()
            ));
            return (0, table);
        }
        let mut rows = Vec::new();
        for (n, (phase, form)) in shape.phases.iter().zip(forms).enumerate() {
            let symbol = |what: &str| format!("clef.kernel.{}.{what}.{n}", kernel.name);
            let code = (!form.binary.is_empty()).then(|| {
                let code = symbol("spirv");
                let ty = self.cx.array_type(self.cx.ty.i8, form.binary.len());
                let bytes = self.cx.bytes(&form.binary);
                self.cx.global(&code, ty, Some(bytes), true, Linkage::Internal);
                code
            });
            let extent = symbol("extent");
            self.define_extent(&extent, kernel, phase);
            let entry = self.c_string(&form.module.name);
            rows.push((extent, code, entry, form));
        }
        let t = self.cx.ty;
        let row = self.cx.struct_type(&[
            t.ptr, t.ptr, t.i64, t.ptr, t.i32, t.i32, t.i32, t.i32, t.i16, t.i16, t.i16, t.i16,
        ]);
        let ty = self.cx.array_type(row, rows.len());
        self.constant_struct(&table, ty, true, |l| {
            rows.iter()
                .map(|(extent, code, entry, form)| {
                    let code = match code {
                        Some(code) => l.cx.address_of(code),
                        None => l.cx.zero(l.cx.ty.ptr),
                    };
                    let mut fields = vec![l.cx.address_of(extent), code];
                    fields.push(l.cx.const_i64(form.binary.len() as i64));
                    fields.push(l.cx.address_of(entry));
                    for size in form.module.local.into_iter().chain([form.module.push_len]) {
                        fields.push(l.cx.const_i32(size.into()));
                    }
                    for items in form.module.items.into_iter().chain([0]) {
                        fields.push(l.cx.const_int(l.cx.ty.i16, items.into()));
                    }
                    let mut value = l.cx.undef(row);
                    for (i, field) in fields.into_iter().enumerate() {
                        value = l.cx.insert(value, i, field);
                    }
                    value
                })
                .collect()
        });
        (rows.len(), table)
    }

    /// What the runtime reads where it is there: kernels for the NPU, file names for reports from kernels, and who plays
    /// the GPU.
    pub(super) fn define_program_data(&mut self) {
        let carried = |name: &str| self.options.npu.iter().any(|f| f.kernel == name);
        let n = self.psg.kernels.iter().filter(|(_, k)| carried(&k.name)).count();
        let gpu = !self.forms.kernels.iter().all(|(_, list)| list.is_empty());
        if n == 0 && !gpu {
            return;
        }
        let t = self.cx.ty;
        let psg = self.psg;
        let names: Vec<String> = psg.files.iter().map(|f| self.c_string(&f.name)).collect();
        let ty = self.cx.array_type(t.ptr, names.len());
        if let Some(init) = self.cx.global("clef_files", ty, None, true, Linkage::External) {
            self.cx.set_block(init);
            let mut value = self.cx.undef(ty);
            for (i, name) in names.iter().enumerate() {
                let address = self.cx.address_of(name);
                value = self.cx.insert(value, i, address);
            }
            self.cx.ret(Some(value));
        }
        let count = self.cx.int(t.i32, names.len() as i64);
        self.cx.global("clef_n_files", t.i32, Some(count), true, Linkage::External);
        if n > 0 {
            let count = self.cx.int(t.i32, n as i64);
            self.cx.global("clef_npu_kernels", t.i32, Some(count), true, Linkage::External);
        }
        let Some(agents) = self.options.gpu_agent.as_ref().filter(|_| gpu) else { return };
        let agents = format!("{agents}\0");
        let text = self.cx.bytes(agents.as_bytes());
        let ty = self.cx.array_type(t.i8, agents.len());
        self.cx.global("clef_default_agents", ty, Some(text), true, Linkage::External);
    }

    /// `void extent(const Arg* args, int64_t out[3])`: work-items in x (the innermost loop), y and z.
    fn define_extent(&mut self, name: &str, kernel: &Kernel, phase: &Phase) {
        let psg = self.psg;
        let t = self.cx.ty;
        let Some(func) = kernel.func else { return };
        let Some(entry) = self.open_kernel_function(name, &[t.ptr, t.ptr]) else { return };
        let start = self.cx.append_block(entry, &[]);
        self.cx.set_block(start);
        self.in_kernel = true;
        let (args, out) = (self.cx.arg(entry, 0), self.cx.arg(entry, 1));
        for (i, (&node, param)) in psg.funcs[func].params.iter().zip(&kernel.params).enumerate() {
            self.bind_param(node, param, args, i as i64);
        }
        let mut known: Vec<NodeId> = psg.funcs[func].params.clone();
        for &node in &phase.prologue {
            self.compute(node, &mut known);
        }
        for dimension in 0..3_usize {
            // Dimension 0 is the innermost loop.
            let index = phase.loops.len().checked_sub(dimension + 1);
            let extent = match index.and_then(|i| phase.loops.get(i)) {
                Some(&parallel) => {
                    let extent = self.extent_of(parallel, &mut known);
                    if phase.body.is_some_and(|body| workgroups::cooperates(psg, body)) {
                        let size = workgroups::size(kernel, phase.loops.len())[dimension];
                        self.check_whole(parallel, extent, size);
                    }
                    extent
                }
                None => self.cx.const_i64(1),
            };
            let place = self.cx.offset(out, WORD * dimension as i64);
            self.cx.store(extent, place);
        }
        self.cx.ret(None);
        self.close_entry(start, &[]);
        self.in_kernel = false;
        self.kernel_buffers.clear();
    }

    /// Stops the program where an extent is not a multiple of the workgroup's.
    fn check_whole(&mut self, parallel: NodeId, extent: Value, size: u32) {
        let size = self.cx.const_i64(size.into());
        let rest = self.cx.binary("llvm.srem", extent, size);
        let zero = self.cx.const_i64(0);
        let ok = self.cx.icmp(ICmp::Sle, rest, zero);
        self.check(ok, |l| {
            let message = l.string_constant(workgroups::NOT_WHOLE);
            l.panic("clef_panic_fail", &[message], parallel);
        });
    }

    fn extent_of(&mut self, parallel: NodeId, known: &mut Vec<NodeId>) -> Value {
        let bounds = [self.psg.nodes[parallel].operands[0], self.psg.nodes[parallel].operands[1]];
        let [low, high] = bounds.map(|bound| {
            self.compute(bound, known);
            let value = self.get(bound);
            self.cx.resize_int(value, self.cx.ty.i64, true)
        });
        let distance = self.cx.binary("llvm.sub", high, low);
        let one = self.cx.const_i64(1);
        self.cx.binary("llvm.add", distance, one)
    }

    /// Lowers a pure node after what it needs, once.
    fn compute(&mut self, node: NodeId, known: &mut Vec<NodeId>) {
        if known.contains(&node) {
            return;
        }
        let operands = self.psg.nodes[node].operands.clone();
        for operand in operands {
            self.compute(operand, known);
        }
        known.push(node);
        if !matches!(self.psg.nodes[node].op, Op::Param(_)) {
            self.node(node);
        }
    }
}

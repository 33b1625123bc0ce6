//! Lowering of the graph to the `llvm` dialect, one file for each family of operations.
//!
//! [`Lower`] holds the module under construction and the state of the function being lowered. A value of the graph is
//! one value of MLIR (nothing for `unit`); small aggregates are structs in registers, see [`crate::layout`]. Control
//! becomes blocks: each region is lowered in place, and values that leave it are block arguments.
//!
//! Promises: a graph that the verifier accepts lowers; what cannot be is recorded as a bug ([`Lower::bug`]), never as
//! an error of the user's program. Same graph, same bytes. Memory is counted where the graph says `Dup` and `Drop`.

mod agent;
mod aggregate;
mod array;
mod batch;
mod cabi;
mod call;
mod cform;
mod control;
mod depth;
mod foreign;
mod func;
mod glue;
mod intrinsic;
mod kernel;
mod library;
mod memory;
mod phases;
mod program;
mod ranges;
mod reuse;
mod scalar;
mod statics;
mod sync;

pub(crate) use sync::argument_word;

use crate::gpu::Forms;
use crate::layout::{Layouts, Machine, Scalar};
use crate::mlir::ops::{Callee, Conv, FuncDef, Linkage, Tail};
use crate::mlir::{Attr, Block, Cx, Ty, Value};
use clef_psg::graph::Psg;
use clef_psg::id::{FuncId, IdVec, NodeId, TypeId};
use clef_psg::job::{Job, Options, RoutePlan};
use clef_psg::kernel::KernelFacts;
use clef_psg::ty::Type;
use rustc_hash::{FxHashMap, FxHashSet};
use ustr::Ustr;

/// State of lowering one program.
pub struct Lower<'a> {
    pub cx: Cx,
    psg: &'a Psg,
    options: &'a Options,
    routes: &'a [RoutePlan],
    facts: &'a KernelFacts,
    /// GPU forms of the kernels.
    forms: &'a Forms,
    layouts: Layouts,
    /// By type: nothing for `unit`.
    types: IdVec<TypeId, Option<Ty>>,
    /// By node: its value in the function being lowered.
    values: IdVec<NodeId, Option<Value>>,
    funcs: IdVec<FuncId, FuncFacts>,
    current: Current,
    statics: statics::Statics,
    glue: glue::Glue,
    declared: FxHashSet<String>,
    aliases: Aliases,
    closure_entries: FxHashMap<FuncId, u32>,
    /// Functions whose address was given to C.
    callbacks: std::collections::BTreeSet<FuncId>,
    sites: sync::Sites,
    /// Dispatches lowered, in order.
    dispatches: Vec<NodeId>,
    /// The host form of a kernel is being lowered.
    in_kernel: bool,
    /// In kernels: the buffer parameters.
    kernel_buffers: FxHashMap<NodeId, agent::BufferArg>,
    /// In kernels: float additions of reductions, which may be reordered.
    reductions: FxHashSet<NodeId>,
    /// Accesses whose checks were done before the loop.
    proven: FxHashSet<NodeId>,
    /// What the bodies of loops are made of, of those that were looked at.
    loops: FxHashMap<NodeId, batch::Body>,
    outlined: usize,
    /// Bodies being outlined around the cursor.
    outlining: usize,
    bug: Option<String>,
}

/// What calls of a function need.
#[derive(Clone)]
struct FuncFacts {
    symbol: String,
    conv: Conv,
    /// The component of the tail-call graph, where calls inside must not grow the stack.
    ring: Option<usize>,
}

/// The function being lowered.
#[derive(Default)]
struct Current {
    func: Option<FuncId>,
    /// Holds the stack slots; gets its terminator last.
    entry: Option<Block>,
    /// Where a self tail call goes; its arguments are the parameters.
    again: Option<Block>,
    ret: Option<Ty>,
}

/// Tags that tell LLVM which memory accesses cannot meet.
#[derive(Default)]
struct Aliases {
    count: Option<Attr>,
    length: Option<Attr>,
    cell: Option<Attr>,
    heap: Option<Attr>,
    elements: FxHashMap<u8, Attr>,
}

impl<'a> Lower<'a> {
    pub fn new(job: &'a Job, forms: &'a Forms, cx: Cx) -> Self {
        let psg = &job.psg;
        let layouts = Layouts::compute(&psg.types);
        let mut lower = Self {
            cx,
            psg,
            options: &job.options,
            routes: &job.routes,
            facts: &job.kernels,
            forms,
            layouts,
            types: IdVec::new(),
            values: IdVec::filled(psg.nodes.len(), None),
            funcs: IdVec::new(),
            current: Current::default(),
            statics: statics::Statics::default(),
            glue: glue::Glue::default(),
            declared: FxHashSet::default(),
            aliases: Aliases::default(),
            closure_entries: FxHashMap::default(),
            callbacks: std::collections::BTreeSet::new(),
            sites: sync::Sites::default(),
            dispatches: Vec::new(),
            in_kernel: false,
            kernel_buffers: FxHashMap::default(),
            reductions: FxHashSet::default(),
            proven: FxHashSet::default(),
            loops: FxHashMap::default(),
            outlined: 0,
            outlining: 0,
            bug: None,
        };
        lower.types = psg.types.types.ids().map(|t| lower.machine_type(&lower.layouts[t].machine)).collect();
        lower.make_aliases();
        lower
    }

    /// Lowers the whole program; the reason where that was not possible.
    pub fn run(mut self) -> Result<Cx, String> {
        self.program();
        match self.bug {
            Some(bug) => Err(bug),
            None => Ok(self.cx),
        }
    }

    /// Records a bug of the compiler; the first one counts.
    fn bug(&mut self, what: String) {
        self.bug.get_or_insert(what);
    }

    // --- types

    fn machine_type(&self, machine: &Machine) -> Option<Ty> {
        match machine {
            Machine::Nothing => None,
            Machine::Scalar(s) => Some(self.scalar_type(*s)),
            Machine::Struct(parts) => {
                let parts: Vec<Ty> = parts.iter().filter_map(|p| self.machine_type(p)).collect();
                Some(self.cx.struct_type(&parts))
            }
        }
    }

    fn scalar_type(&self, s: Scalar) -> Ty {
        let t = &self.cx.ty;
        match s {
            Scalar::I1 => t.i1,
            Scalar::I8 => t.i8,
            Scalar::I16 => t.i16,
            Scalar::I32 => t.i32,
            Scalar::I64 => t.i64,
            Scalar::F16 => t.f16,
            Scalar::BF16 => t.bf16,
            Scalar::F32 => t.f32,
            Scalar::F64 => t.f64,
            Scalar::Ptr => t.ptr,
        }
    }

    /// Machine type of a graph type; `void` for unit.
    fn ret_type(&self, ty: TypeId) -> Ty {
        self.types[ty].unwrap_or(self.cx.ty.void)
    }

    fn node_type(&self, node: NodeId) -> &'a Type {
        self.psg.types.get(self.psg.nodes[node].ty)
    }

    // --- values

    fn operand(&self, node: NodeId, n: usize) -> Option<NodeId> {
        self.psg.nodes[node].operands.get(n).copied()
    }

    /// The value of a node that was lowered before; nothing for unit.
    fn maybe_value(&self, node: NodeId) -> Option<Value> {
        self.values[node]
    }

    /// The value of a node that has one.
    fn get(&mut self, node: NodeId) -> Value {
        if let Some(v) = self.values[node] {
            return v;
        }
        self.bug(format!("{node} ({:?}) is used before it has a value", self.psg.nodes[node].op));
        let ty = self.types[self.psg.nodes[node].ty].unwrap_or(self.cx.ty.i64);
        self.cx.undef(ty)
    }

    /// The value of the n-th operand.
    fn arg(&mut self, node: NodeId, n: usize) -> Value {
        match self.operand(node, n) {
            Some(operand) => self.get(operand),
            None => {
                self.bug(format!("{node} has no operand {n}"));
                self.cx.undef(self.cx.ty.i64)
            }
        }
    }

    /// The type of the n-th operand.
    fn arg_type(&self, node: NodeId, n: usize) -> TypeId {
        let node = &self.psg.nodes[node];
        node.operands.get(n).map_or(node.ty, |&o| self.psg.nodes[o].ty)
    }

    fn set(&mut self, node: NodeId, value: Value) {
        self.values[node] = Some(value);
    }

    // --- runtime functions

    /// Declares a C function once.
    fn declare(&mut self, name: &str, params: &[Ty], ret: Ty, flags: &[&str], fresh: bool) {
        if !self.declared.insert(name.to_string()) {
            return;
        }
        let res_attrs = fresh.then(|| {
            let unit = self.cx.unit();
            let d = self.cx.dict(&[("llvm.noalias", unit), ("llvm.nonnull", unit)]);
            self.cx.array(&[d])
        });
        let location = self.cx.location();
        self.cx.set_location(self.cx.glue_location("clefc.runtime"));
        let def = FuncDef {
            name,
            params,
            ret,
            conv: Conv::C,
            linkage: Linkage::External,
            flags,
            arg_attrs: self.widened_flags(params),
            res_attrs,
            extra: &[],
        };
        self.cx.func(&def, false);
        self.cx.set_location(location);
    }

    /// C's callees rely on the caller to widen a `bool`.
    fn widened_flags(&self, params: &[Ty]) -> Option<Attr> {
        let flag = self.cx.ty.i1;
        if !params.contains(&flag) {
            return None;
        }
        let unit = self.cx.unit();
        let attrs: Vec<Attr> = params
            .iter()
            .map(|&p| if p == flag { self.cx.dict(&[("llvm.zeroext", unit)]) } else { self.cx.dict(&[]) })
            .collect();
        Some(self.cx.array(&attrs))
    }

    /// Calls a C function of the runtime, declaring it by its arguments.
    fn runtime(&mut self, name: &str, args: &[Value], ret: Ty) -> Option<Value> {
        let params: Vec<Ty> = args.iter().map(|&a| self.cx.type_of(a)).collect();
        self.declare(name, &params, ret, &[], false);
        self.cx.call(Callee::Symbol(name), args, ret, Conv::C, Tail::No)
    }

    /// The same for one that gives an address.
    fn runtime_ptr(&mut self, name: &str, args: &[Value]) -> Value {
        let ptr = self.cx.ty.ptr;
        match self.runtime(name, args, ptr) {
            Some(v) => v,
            None => self.cx.undef(ptr),
        }
    }

    /// Stops the program: calls a function that does not return. There is no current block afterwards.
    fn panic(&mut self, name: &str, args: &[Value], node: NodeId) {
        let loc = self.loc_of(node);
        let mut args = args.to_vec();
        args.push(loc);
        let params: Vec<Ty> = args.iter().map(|&a| self.cx.type_of(a)).collect();
        self.declare(name, &params, self.cx.ty.void, &["noreturn", "cold"], false);
        self.cx.call(Callee::Symbol(name), &args, self.cx.ty.void, Conv::C, Tail::No);
        self.cx.trap_unreachable();
    }

    /// Goes on where `ok` holds, else stops the program as `stop` says.
    fn check(&mut self, ok: Value, stop: impl FnOnce(&mut Self)) {
        let (next, cold) = (self.block(&[]), self.block(&[]));
        self.cx.cond_br(ok, next, cold, Some((2000, 1)));
        self.cx.set_block(cold);
        stop(self);
        self.cx.set_block(next);
    }

    /// A new block of the function being lowered.
    fn block(&mut self, args: &[Ty]) -> Block {
        match self.current.entry {
            Some(entry) => self.cx.append_block(entry, args),
            None => self.cx.new_block(args),
        }
    }

    /// A stack slot of the function being lowered, made in its entry block.
    fn slot(&mut self, ty: Ty) -> Value {
        let here = self.cx.block();
        if let Some(entry) = self.current.entry {
            self.cx.set_block(entry);
        }
        let one = self.cx.const_i32(1);
        let slot = self.cx.alloca(ty, one);
        match here {
            Some(block) => self.cx.set_block(block),
            None => self.cx.unreachable_from_here(),
        }
        slot
    }

    /// Sets the source location of what follows.
    fn at(&mut self, node: NodeId) {
        let location = self.location_of(node);
        self.cx.set_location(location);
    }

    fn name_of_type(&self, ty: TypeId) -> Ustr {
        match self.psg.types.get(ty) {
            Type::Agg(a) => self.psg.types.aggs[*a].name,
            other => Ustr::from(&format!("{other:?}")),
        }
    }
}

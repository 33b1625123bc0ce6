//! From a kernel's launch to a SPIR-V module for Vulkan, as MLIR text.
//!
//! # Shape of the code
//!
//! - Buffers are 64-bit addresses with element counts in push constants, in the order fixed by the runtime's ABI
//!   (parameters, extents, address of the status block; spilled to a block in memory beyond 128 bytes).
//! - The innermost loop of the launch domain is x. Its work-items stride by the whole grid, so the runtime may launch
//!   fewer groups than there is work; y and z are guarded by their extents.
//! - A loop over one dimension that only touches elements at its own index runs on four neighbours at once ([`wide`]);
//!   elsewhere, four accesses of neighbours become one ([`quads`]).
//! - Specialisation constant 0, where there is one, says whether all buffers' addresses are multiples of 16; constant 1,
//!   whether the device has matrix instructions for the module `Tile`.
//! - Each work-item recomputes the kernel's uniform scalars.
//! - A checked access out of range, or a division by zero, notes itself and goes on with zero: nothing is read or written
//!   out of range. The kernel's end records it in the status block (the first one wins, [`trap`]); the host reports it at
//!   the next wait.
//!
//! # What it does not do
//!
//! A kernel that uses what has no form here (aggregates, strings, closures, indirect calls) is refused with the place
//! and the reason; nothing is silently dropped. Functions were inlined before (`clef_psg::kernel`).

mod control;
mod group;
mod limits;
mod memory;
mod ops;
mod own;
mod quads;
mod shared;
mod tile;
mod trap;
pub mod types;
mod wide;
mod writer;

use clef_frontend::span::Span;
use clef_psg::graph::Psg;
use clef_psg::id::{KernelId, NodeId};
use clef_psg::kernel::facts::{KernelFacts, Phase};
use clef_psg::kernel::workgroups;
use clef_psg::node::Op;
use rustc_hash::FxHashMap;
use std::fmt::Write as _;
use types::Scalar;
use writer::{Value, Writer};

/// Push constants that every Vulkan device has, in bytes.
const PUSH_GUARANTEED: u32 = 128;

/// One launch as MLIR text.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// Symbol of module and entry point: `saxpy_0`.
    pub name: String,
    /// The `spirv.module` operation.
    pub text: String,
    /// The `#spirv.target_env<...>` attribute that serialisation needs.
    pub target_env: String,
    /// Indices of the domain that one workgroup takes on in x, y, z: its size, times four in x where each work-item
    /// handles four neighbours.
    pub local: [u32; 3],
    /// Work-items of a workgroup.
    pub items: [u32; 3],
    /// As in the runtime's `Phase::push_len`.
    pub push_len: u32,
}

/// Why a kernel has no SPIR-V form.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub span: Span,
    pub why: String,
}

/// Lowers all launches of a kernel; `tiles`: with matrix instructions where the kernel asks for them.
pub fn modules(
    psg: &Psg,
    facts: &KernelFacts,
    kernel: KernelId,
    tiles: bool,
) -> Result<Vec<Module>, Refusal> {
    let declared = &psg.kernels[kernel];
    let Some(shape) = facts.kernels.get(kernel).and_then(|info| info.shape.as_ref()) else {
        return Err(Refusal { span: declared.span, why: "its code is in a prebuilt file".into() });
    };
    if let Some(obstacle) = &shape.obstacle {
        return Err(Refusal { span: psg.spans[obstacle.node], why: obstacle.why.clone() });
    }
    let name = declared.name.as_str();
    shape
        .phases
        .iter()
        .enumerate()
        .map(|(i, phase)| lower(psg, kernel, phase, (&symbol(name, i), tiles)))
        .collect()
}

/// A symbol that MLIR, SPIR-V and file systems accept.
fn symbol(kernel: &str, phase: usize) -> String {
    let clean: String = kernel.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{clean}_{phase}")
}

fn lower(psg: &Psg, kernel: KernelId, phase: &Phase, (name, tiles): (&str, bool)) -> Result<Module, Refusal> {
    let layout = Layout::new(psg, kernel)?;
    let span = psg.kernels[kernel].span;
    let local = workgroups::size(&psg.kernels[kernel], phase.loops.len());
    let cooperates = phase.body.is_some_and(|body| workgroups::cooperates(psg, body));
    let mut writer = Writer::new(psg);
    writer.at(span);
    let tiles = phase.body.filter(|_| tiles).map(|body| tile::Tiles::of(psg, body)).unwrap_or_default();
    let plan = phase.body.map(|body| own::Plan::of(psg, body, &tiles)).unwrap_or_default();
    let mut cx = Lowering {
        psg,
        writer,
        layout,
        status: None,
        traps: trap::Traps::default(),
        local,
        cooperates,
        shared_bytes: 0,
        plan,
        tiles,
        limits: limits::Limits::default(),
        fixed: FxHashMap::default(),
    };
    let wide = wide::fits(psg, phase) && !cooperates;
    cx.entry(kernel, phase, wide)?;
    cx.close_traps();
    let Lowering { writer, layout, .. } = cx;
    let body = writer.finish();
    let mut module = assemble(&body, &layout, name, local, psg, span);
    if wide {
        module.local[0] *= wide::LANES;
    }
    Ok(module)
}

/// Where things lie in the push constants, by member of the struct.
struct Layout {
    /// By parameter.
    params: Vec<ParamSlot>,
    /// Member of the first extent; two more follow.
    extents: u32,
    status: u32,
    /// All members are 8 bytes.
    members: u32,
}

enum ParamSlot {
    /// Address and element count at this member and the next.
    Buffer {
        member: u32,
        element: Scalar,
    },
    Value {
        member: u32,
        scalar: Scalar,
    },
    Unit,
}

impl Layout {
    fn new(psg: &Psg, kernel: KernelId) -> Result<Self, Refusal> {
        let declared = &psg.kernels[kernel];
        let mut next = 0;
        let mut params = Vec::new();
        for param in &declared.params {
            let refuse = |what: &str| Refusal {
                span: declared.span,
                why: format!("parameter `{}` is {what}", param.name),
            };
            if let Some(element) = param.element {
                let element =
                    types::scalar(psg, element).ok_or_else(|| refuse("a buffer of no scalar type"))?;
                params.push(ParamSlot::Buffer { member: next, element });
                next += 2;
            } else if let Some(scalar) = types::scalar(psg, param.ty) {
                params.push(ParamSlot::Value { member: next, scalar });
                next += 1;
            } else if matches!(psg.types.get(param.ty), clef_psg::ty::Type::Unit) {
                // The ABI has a word for it all the same.
                params.push(ParamSlot::Unit);
                next += 1;
            } else {
                return Err(refuse("neither a number nor a buffer"));
            }
        }
        Ok(Self { params, extents: next, status: next + 3, members: next + 4 })
    }

    fn bytes(&self) -> u32 {
        self.members * 8
    }

    fn spilled(&self) -> bool {
        self.bytes() > PUSH_GUARANTEED
    }

    /// The struct type of the push constants.
    fn struct_type(&self) -> String {
        let members = if self.spilled() { 1 } else { self.members };
        let listed: Vec<String> = (0..members).map(|i| format!("i64 [{}]", i * 8)).collect();
        format!("!spirv.struct<({}), Block>", listed.join(", "))
    }
}

/// The state of lowering one launch.
struct Lowering<'a> {
    psg: &'a Psg,
    writer: Writer<'a>,
    layout: Layout,
    /// Address of the status block, once read.
    status: Option<String>,
    /// What can fail, and how it is noted.
    traps: trap::Traps,
    /// Work-items of a workgroup.
    local: [u32; 3],
    /// Whether there are barriers or workgroup arrays: then groups are whole, and rounds of the grid end together.
    cooperates: bool,
    /// Bytes of workgroup arrays.
    shared_bytes: u32,
    /// Loops that are unrolled, and arrays that lie in single variables.
    plan: own::Plan,
    /// Calls that become matrix instructions.
    tiles: tile::Tiles,
    /// What the first index of neighbours must be below.
    limits: limits::Limits,
    /// Counters of unrolled loops around the current place.
    fixed: FxHashMap<NodeId, i64>,
}

impl Lowering<'_> {
    fn entry(&mut self, kernel: KernelId, phase: &Phase, wide: bool) -> Result<(), Refusal> {
        self.read_push_constants(kernel)?;
        self.open_traps();
        if let Some(body) = phase.body.filter(|_| !wide) {
            self.open_limits(&limits::wanted(self.psg, body));
        }
        for &node in &phase.prologue {
            self.node(node)?;
        }
        if phase.loops.is_empty() {
            for &node in &phase.serial {
                self.node(node)?;
            }
            return Ok(());
        }
        if wide {
            return self.wide_domain(phase);
        }
        self.domain(phase)
    }

    /// Binds the function's parameters.
    fn read_push_constants(&mut self, kernel: KernelId) -> Result<(), Refusal> {
        let params = std::mem::take(&mut self.layout.params);
        let Some(func) = self.psg.kernels[kernel].func else { return Ok(()) };
        let nodes = self.psg.funcs[func].params.clone();
        let status = self.push_member(self.layout.status);
        self.status = Some(status);
        for (slot, node) in params.iter().zip(nodes) {
            let value = match *slot {
                ParamSlot::Buffer { member, element } => {
                    let base = self.push_member(member);
                    let len = self.push_member(member + 1);
                    Value::Buffer { base, len, element }
                }
                ParamSlot::Value { member, scalar } => {
                    let word = self.push_member(member);
                    Value::Scalar(self.from_word(&word, scalar), scalar)
                }
                ParamSlot::Unit => Value::Unit,
            };
            self.writer.bind(node, value);
        }
        self.layout.params = params;
        Ok(())
    }

    /// One 64-bit member of the (possibly spilled) parameter block.
    fn push_member(&mut self, member: u32) -> String {
        if self.layout.spilled() {
            let block = self.push_word(0);
            let offset = self.writer.constant(&format!("{} : i64", member * 8));
            let at = self.writer.op(&format!("spirv.IAdd {block}, {offset} : i64"));
            let pointer = self
                .writer
                .op(&format!("spirv.ConvertUToPtr {at} : i64 to !spirv.ptr<i64, PhysicalStorageBuffer>"));
            return self
                .writer
                .op(&format!("spirv.Load \"PhysicalStorageBuffer\" {pointer} [\"Aligned\", 8] : i64"));
        }
        self.push_word(member)
    }

    fn push_word(&mut self, member: u32) -> String {
        let pointer = format!("!spirv.ptr<{}, PushConstant>", self.layout.struct_type());
        let block = self.writer.op(&format!("spirv.mlir.addressof @push : {pointer}"));
        let index = self.writer.constant(&format!("{member} : i32"));
        let at = self.writer.op(&format!(
            "spirv.AccessChain {block}[{index}] : {pointer}, i32 -> !spirv.ptr<i64, PushConstant>"
        ));
        self.writer.op(&format!("spirv.Load \"PushConstant\" {at} : i64"))
    }

    /// A scalar argument from its 64-bit word.
    fn from_word(&mut self, word: &str, scalar: Scalar) -> String {
        match scalar {
            Scalar::Bool => {
                let one = self.writer.constant("1 : i64");
                let bit = self.writer.op(&format!("spirv.BitwiseAnd {word}, {one} : i64"));
                self.writer.op(&format!("spirv.IEqual {bit}, {one} : i64"))
            }
            Scalar::Int { bits: 64, .. } => word.to_owned(),
            Scalar::Int { bits, .. } => self.writer.op(&format!("spirv.SConvert {word} : i64 to i{bits}")),
            Scalar::Float { bits: 64 } => self.writer.op(&format!("spirv.Bitcast {word} : i64 to f64")),
            Scalar::Float { bits } => {
                let narrow = self.writer.op(&format!("spirv.SConvert {word} : i64 to i{bits}"));
                self.writer.op(&format!("spirv.Bitcast {narrow} : i{bits} to f{bits}"))
            }
        }
    }

    /// Refuses an operation that has no form here.
    fn refuse(&self, node: NodeId, why: impl Into<String>) -> Refusal {
        Refusal { span: self.psg.spans[node], why: why.into() }
    }

    /// One operation, with its regions.
    fn node(&mut self, node: NodeId) -> Result<(), Refusal> {
        self.writer.at(self.psg.spans[node]);
        match &self.psg.nodes[node].op {
            Op::If | Op::Switch(_) | Op::While | Op::For(_) => self.control(node),
            Op::BufferGet { .. } | Op::BufferSet { .. } | Op::BufferLength | Op::Atomic(_) => {
                self.memory(node)
            }
            Op::Barrier
            | Op::WorkgroupArray(_)
            | Op::ItemArray(_)
            | Op::ArrayGet { .. }
            | Op::ArraySet { .. }
            | Op::Length
            | Op::Dup
            | Op::Drop => self.shared(node),
            Op::Group { scope, op } => self.group(node, *scope, *op),
            Op::Var | Op::VarGet | Op::VarSet => self.variable(node),
            _ => self.scalar_op(node),
        }
    }

    fn region_nodes(&mut self, region: clef_psg::id::RegionId) -> Result<(), Refusal> {
        let psg = self.psg;
        let quads = quads::find(psg, region);
        let mut before = None;
        for &node in &psg.regions[region].nodes {
            let call = self.tiles.call(node);
            if let Some(number) = call {
                if before != call {
                    self.writer.at(psg.spans[node]);
                    self.tile(number)?;
                }
                before = call;
                continue;
            }
            if !matches!(psg.nodes[node].op, Op::Dup | Op::Drop) {
                before = None;
            }
            match quads.role(node) {
                None => self.node(node)?,
                Some(quads::Role::Whole(quad)) => self.quad(quad)?,
                Some(quads::Role::Part) => {}
            }
        }
        Ok(())
    }
}

/// Puts declarations around a body.
fn assemble(
    body: &writer::Body,
    layout: &Layout,
    name: &str,
    local: [u32; 3],
    psg: &Psg,
    span: Span,
) -> Module {
    let loc = writer::location(psg, span);
    let (capabilities, extensions) = body.needs.lists();
    // Matrices came with SPIR-V 1.6.
    let version = if body.needs.tiles { "v1.6" } else { "v1.5" };
    let vce = format!("#spirv.vce<{version}, [{capabilities}], [{extensions}]>");
    let mut text = String::new();
    let _ = writeln!(text, "spirv.module @{name} PhysicalStorageBuffer64 GLSL450 requires {vce} {{");
    let _ = writeln!(
        text,
        "  spirv.GlobalVariable @push : !spirv.ptr<{}, PushConstant> {loc}",
        layout.struct_type()
    );
    for (symbol, builtin) in [("gid", "GlobalInvocationId"), ("groups", "NumWorkgroups")] {
        let _ = writeln!(
            text,
            "  spirv.GlobalVariable @{symbol} built_in(\"{builtin}\") : !spirv.ptr<vector<3xi32>, Input> {loc}"
        );
    }
    for (symbol, builtin) in &body.builtins {
        let _ = writeln!(
            text,
            "  spirv.GlobalVariable @{symbol} built_in(\"{builtin}\") : !spirv.ptr<i32, Input> {loc}"
        );
    }
    for (number, needed, symbol) in [(0, body.needs.aligned, "aligned"), (1, body.needs.offers, "tiles")] {
        if needed {
            let _ = writeln!(text, "  spirv.SpecConstant @{symbol} spec_id({number}) = false {loc}");
        }
    }
    for (symbol, pointer) in &body.shared {
        let _ = writeln!(text, "  spirv.GlobalVariable @{symbol} : {pointer} {loc}");
    }
    let _ = writeln!(text, "  spirv.func @{name}() \"None\" {{");
    text.push_str(&body.constants);
    text.push_str(&body.text);
    let _ = writeln!(text, "    spirv.Return {loc}\n  }} {loc}");
    let arrays = body.shared.iter().map(|(symbol, _)| symbol.as_str());
    let arrays: String =
        arrays.chain(body.builtins.iter().map(|(symbol, _)| *symbol)).map(|s| format!(", @{s}")).collect();
    let _ = writeln!(text, "  spirv.EntryPoint \"GLCompute\" @{name}, @gid, @groups, @push{arrays} {loc}");
    let [x, y, z] = local;
    let _ = writeln!(text, "  spirv.ExecutionMode @{name} \"LocalSize\", {x}, {y}, {z} {loc}");
    let _ = writeln!(text, "}} {loc}");
    let push_len = layout.bytes();
    let target_env = format!("#spirv.target_env<{vce}, api=Vulkan, #spirv.resource_limits<>>");
    Module { name: name.to_owned(), text, target_env, local, items: local, push_len }
}

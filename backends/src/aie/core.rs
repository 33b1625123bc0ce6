//! A kernel's body as the code of one core: `scf`, `arith`, `math` and `memref` operations over static sizes.
//!
//! The launch domain becomes loops. A checked access out of range, a division by zero and a failure record themselves in
//! the status object (kind and file, line and column, index, length: `NpuStatus` of the runtime; the first one wins) and go on with zero, as on a GPU. What has no form
//! is refused with place and reason.

use crate::gpu::spirv::types::{self, Scalar};
use clef_frontend::span::Span;
use clef_psg::graph::Psg;
use clef_psg::id::{NodeId, RegionId};
use clef_psg::node::{Const, FailKind, ForKind, Op};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;

/// Why there is no form, and where.
pub(super) struct Refusal {
    pub span: Span,
    pub why: String,
}

#[derive(Clone)]
pub(super) enum Value {
    Scalar(String, Scalar),
    Memory(Memory),
    Unit,
}

/// Elements that lie in the core's memory.
#[derive(Clone)]
pub(super) struct Memory {
    pub name: String,
    pub element: Scalar,
    pub length: u64,
}

impl Memory {
    pub(super) fn memref(&self) -> String {
        format!("memref<{}x{}>", self.length, self.element.stored().text())
    }

    /// What it takes in a core's memory.
    pub(super) fn bytes(&self) -> u64 {
        (self.length * u64::from(self.element.size())).next_multiple_of(4)
    }
}

/// What the status object is called, and its type.
pub(super) const STATUS: &str = "%status";
pub(super) const STATUS_TYPE: &str = "memref<4xi32>";
/// Depth of a round's body.
const BODY: usize = 4;

pub(super) struct Core<'a> {
    pub psg: &'a Psg,
    pub values: FxHashMap<NodeId, Value>,
    pub head: String,
    pub body: String,
    /// Memory of the core's own, besides the objects of its FIFOs.
    pub variables: Vec<Memory>,
    /// Something may go wrong while it runs.
    pub records: bool,
    constants: FxHashMap<String, String>,
    depth: usize,
    next: u32,
}

impl<'a> Core<'a> {
    pub(super) fn new(psg: &'a Psg) -> Self {
        Self {
            psg,
            values: FxHashMap::default(),
            head: String::new(),
            body: String::new(),
            variables: Vec::new(),
            records: false,
            constants: FxHashMap::default(),
            depth: BODY,
            next: 0,
        }
    }

    pub(super) fn refuse(&self, node: NodeId, why: impl Into<String>) -> Refusal {
        Refusal { span: self.psg.spans[node], why: why.into() }
    }

    // --- text

    pub(super) fn line(&mut self, line: &str) {
        let _ = writeln!(self.body, "{:1$}{line}", "", self.depth * 2);
    }

    fn open(&mut self, line: &str) {
        self.line(line);
        self.depth += 1;
    }

    fn between(&mut self, line: &str) {
        self.depth -= 1;
        self.line(line);
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }

    pub(super) fn fresh(&mut self) -> String {
        self.next += 1;
        format!("%{}", self.next)
    }

    /// An operation with a value.
    pub(super) fn op(&mut self, operation: &str) -> String {
        let name = self.fresh();
        self.line(&format!("{name} = {operation}"));
        name
    }

    /// A constant: `1 : i32`.
    pub(super) fn constant(&mut self, text: &str) -> String {
        if let Some(name) = self.constants.get(text) {
            return name.clone();
        }
        let name = format!("%c{}", self.constants.len());
        let _ = writeln!(self.head, "      {name} = arith.constant {text}");
        self.constants.insert(text.to_owned(), name.clone());
        name
    }

    pub(super) fn index(&mut self, value: u64) -> String {
        self.constant(&format!("{value} : index"))
    }

    pub(super) fn number(&mut self, value: i64, scalar: Scalar) -> String {
        match scalar {
            Scalar::Bool => self.constant(if value == 0 { "false" } else { "true" }),
            Scalar::Float { .. } => self.float(value as f64, scalar),
            Scalar::Int { bits, .. } => {
                let shift = 64 - bits;
                let value = (value << shift) >> shift;
                self.constant(&format!("{value} : i{bits}"))
            }
        }
    }

    /// By its bits, so that nothing is rounded twice.
    pub(super) fn float(&mut self, value: f64, _: Scalar) -> String {
        self.constant(&format!("0x{:08X} : f32", (value as f32).to_bits()))
    }

    fn variable(&mut self, element: Scalar, length: u64) -> Memory {
        self.next += 1;
        let memory = Memory { name: format!("%v{}", self.next), element, length };
        self.variables.push(memory.clone());
        memory
    }

    // --- values

    pub(super) fn bind(&mut self, node: NodeId, name: String, scalar: Scalar) {
        self.values.insert(node, Value::Scalar(name, scalar));
    }

    pub(super) fn scalar_type(&self, node: NodeId) -> Result<Scalar, Refusal> {
        self.supported(node, types::scalar(self.psg, self.psg.nodes[node].ty))
    }

    fn supported(&self, node: NodeId, scalar: Option<Scalar>) -> Result<Scalar, Refusal> {
        match scalar {
            Some(s @ (Scalar::Bool | Scalar::Int { .. } | Scalar::Float { bits: 32 })) => Ok(s),
            Some(Scalar::Float { bits }) => {
                Err(self.refuse(node, format!("the NPU's cores do not compute with float{bits}")))
            }
            None => Err(self.refuse(node, "kernels for the NPU have numbers, booleans and buffers only")),
        }
    }

    pub(super) fn scalar(&self, node: NodeId) -> Result<(String, Scalar), Refusal> {
        match self.values.get(&node) {
            Some(Value::Scalar(name, scalar)) => Ok((name.clone(), *scalar)),
            _ => Err(self.refuse(node, "kernels for the NPU have numbers, booleans and buffers only")),
        }
    }

    pub(super) fn operand(&self, node: NodeId, index: usize) -> Result<(String, Scalar), Refusal> {
        match self.psg.nodes[node].operands.get(index) {
            Some(&operand) => self.scalar(operand),
            None => Err(self.refuse(node, "an operand is missing")),
        }
    }

    fn memory(&self, node: NodeId) -> Result<Memory, Refusal> {
        match self.psg.nodes[node].operands.first().and_then(|o| self.values.get(o)) {
            Some(Value::Memory(memory)) => Ok(memory.clone()),
            _ => Err(self.refuse(node, "only parameters and arrays of the work-item's own can be used here")),
        }
    }

    // --- operations

    pub(super) fn region(&mut self, region: RegionId) -> Result<(), Refusal> {
        let psg = self.psg;
        psg.regions[region].nodes.iter().try_for_each(|&node| self.node(node))
    }

    fn node(&mut self, node: NodeId) -> Result<(), Refusal> {
        let psg = self.psg;
        let n = &psg.nodes[node];
        match &n.op {
            Op::If | Op::Switch(_) => self.choice(node),
            Op::While => self.while_loop(node),
            Op::For(_) | Op::Parallel => self.counted(node),
            Op::Var => {
                let (value, scalar) = self.operand(node, 0)?;
                let memory = self.variable(scalar, 1);
                self.store(&value, &memory, "0");
                self.values.insert(node, Value::Memory(memory));
                Ok(())
            }
            Op::ItemArray(length) => self.item_array(node, *length),
            Op::VarGet => {
                let memory = self.memory(node)?;
                let value = self.load(&memory, "0");
                self.bind(node, value, memory.element);
                Ok(())
            }
            Op::VarSet => {
                let (memory, (value, _)) = (self.memory(node)?, self.operand(node, 1)?);
                self.store(&value, &memory, "0");
                self.values.insert(node, Value::Unit);
                Ok(())
            }
            Op::BufferGet { checked } | Op::ArrayGet { checked } => self.get(node, *checked),
            Op::BufferSet { checked } | Op::ArraySet { checked } => self.set(node, *checked),
            Op::BufferLength | Op::Length => {
                let memory = self.memory(node)?;
                let scalar = self.scalar_type(node)?;
                let length = self.number(memory.length as i64, scalar);
                self.bind(node, length, scalar);
                Ok(())
            }
            Op::Dup | Op::Drop | Op::Marker => {
                self.values.insert(node, Value::Unit);
                Ok(())
            }
            Op::Const(Const::Unit | Const::String(_)) => {
                self.values.insert(node, Value::Unit);
                Ok(())
            }
            Op::Fail(kind) => self.fail(node, *kind),
            _ => self.scalar_op(node),
        }
    }

    fn fail(&mut self, node: NodeId, _: FailKind) -> Result<(), Refusal> {
        let zero = self.constant("0 : i32");
        self.record(node, 3, (&zero.clone(), &zero));
        // The value of a failed computation is never used: zero stands for it.
        match types::scalar(self.psg, self.psg.nodes[node].ty) {
            Some(_) => {
                let scalar = self.scalar_type(node)?;
                let zero = self.number(0, scalar);
                self.bind(node, zero, scalar);
            }
            None => {
                self.values.insert(node, Value::Unit);
            }
        }
        Ok(())
    }

    fn item_array(&mut self, node: NodeId, length: u32) -> Result<(), Refusal> {
        let element = match self.psg.types.get(self.psg.nodes[node].ty) {
            clef_psg::ty::Type::Array(element) => types::scalar(self.psg, *element),
            _ => None,
        };
        let element = self.supported(node, element)?;
        let memory = self.variable(element, length.into());
        // Arrays begin as zeros, each time the work-item gets here.
        let (from, to, one) = (self.index(0), self.index(length.into()), self.index(1));
        let zero = self.number(0, element.stored());
        let at = self.fresh();
        self.open(&format!("scf.for {at} = {from} to {to} step {one} {{"));
        let memref = memory.memref();
        self.line(&format!("memref.store {zero}, {}[{at}] : {memref}", memory.name));
        self.close();
        self.values.insert(node, Value::Memory(memory));
        Ok(())
    }

    /// Loads at an index value, or at a number.
    fn load(&mut self, memory: &Memory, at: &str) -> String {
        let at = self.place(at);
        let value = self.op(&format!("memref.load {}[{at}] : {}", memory.name, memory.memref()));
        if memory.element != Scalar::Bool {
            return value;
        }
        let zero = self.constant("0 : i8");
        self.op(&format!("arith.cmpi ne, {value}, {zero} : i8"))
    }

    fn store(&mut self, value: &str, memory: &Memory, at: &str) {
        let at = self.place(at);
        let value = match memory.element {
            Scalar::Bool => self.op(&format!("arith.extui {value} : i1 to i8")),
            _ => value.to_owned(),
        };
        self.line(&format!("memref.store {value}, {}[{at}] : {}", memory.name, memory.memref()));
    }

    fn place(&mut self, at: &str) -> String {
        if at.starts_with('%') { at.to_owned() } else { self.constant(&format!("{at} : index")) }
    }

    fn at(&mut self, node: NodeId) -> Result<String, Refusal> {
        let (index, scalar) = self.operand(node, 1)?;
        let Scalar::Int { bits, signed } = scalar else {
            return Err(self.refuse(node, "an index is an integer"));
        };
        let cast = if signed { "index_cast" } else { "index_castui" };
        Ok(self.op(&format!("arith.{cast} {index} : i{bits} to index")))
    }

    fn get(&mut self, node: NodeId, checked: bool) -> Result<(), Refusal> {
        let memory = self.memory(node)?;
        let at = self.at(node)?;
        if !checked {
            let value = self.load(&memory, &at);
            self.bind(node, value, memory.element);
            return Ok(());
        }
        let inside = self.inside(&at, &memory);
        let (ty, name) = (memory.element.text(), self.fresh());
        let zero = self.number(0, memory.element);
        self.open(&format!("{name} = scf.if {inside} -> ({ty}) {{"));
        let value = self.load(&memory, &at);
        self.line(&format!("scf.yield {value} : {ty}"));
        self.between("} else {");
        self.out_of_range(node, &at, &memory);
        self.line(&format!("scf.yield {zero} : {ty}"));
        self.close();
        self.bind(node, name, memory.element);
        Ok(())
    }

    fn set(&mut self, node: NodeId, checked: bool) -> Result<(), Refusal> {
        let memory = self.memory(node)?;
        let at = self.at(node)?;
        let (value, _) = self.operand(node, 2)?;
        self.values.insert(node, Value::Unit);
        if !checked {
            self.store(&value, &memory, &at);
            return Ok(());
        }
        let inside = self.inside(&at, &memory);
        self.open(&format!("scf.if {inside} {{"));
        self.store(&value, &memory, &at);
        self.between("} else {");
        self.out_of_range(node, &at, &memory);
        self.close();
        Ok(())
    }

    /// Negative numbers are large ones.
    fn inside(&mut self, at: &str, memory: &Memory) -> String {
        let length = self.index(memory.length);
        self.op(&format!("arith.cmpi ult, {at}, {length} : index"))
    }

    fn out_of_range(&mut self, node: NodeId, at: &str, memory: &Memory) {
        let index = self.op(&format!("arith.index_cast {at} : index to i32"));
        let length = self.constant(&format!("{} : i32", memory.length));
        self.record(node, 1, (&index, &length));
    }

    /// Writes the status object, if nothing stands there yet.
    pub(super) fn record(&mut self, node: NodeId, kind: u32, (index, length): (&str, &str)) {
        self.records = true;
        let span = self.psg.spans[node];
        let file = self.psg.files.get(span.file.0 as usize);
        let (line, column) = file.map_or((0, 0), |f| f.lines.line_column(span.start));
        let kind = kind | span.file.0 << 8;
        let place = line.min(0xf_ffff) | column.min(0x7ff) << 20;
        let (zero, kind) = (self.constant("0 : i32"), self.constant(&format!("{kind} : i32")));
        let line = self.constant(&format!("{place} : i32"));
        let first = self.index(0);
        let old = self.op(&format!("memref.load {STATUS}[{first}] : {STATUS_TYPE}"));
        let free = self.op(&format!("arith.cmpi eq, {old}, {zero} : i32"));
        self.open(&format!("scf.if {free} {{"));
        for (n, value) in [kind.as_str(), line.as_str(), index, length].into_iter().enumerate() {
            let at = self.index(n as u64);
            self.line(&format!("memref.store {value}, {STATUS}[{at}] : {STATUS_TYPE}"));
        }
        self.close();
    }

    // --- control

    fn choice(&mut self, node: NodeId) -> Result<(), Refusal> {
        let psg = self.psg;
        let n = &psg.nodes[node];
        let scalar = match psg.types.get(n.ty) {
            clef_psg::ty::Type::Unit => None,
            _ => Some(self.scalar_type(node)?),
        };
        let (on, kind) = self.operand(node, 0)?;
        let name = self.fresh();
        let gives = scalar.map_or(String::new(), |_| format!("{name} = "));
        match &n.op {
            Op::Switch(cases) => {
                let from = kind.text();
                let index = self.op(&format!("arith.index_cast {on} : {from} to index"));
                let arrow = scalar.map_or(String::new(), |s| format!(" -> {}", s.text()));
                self.line(&format!("{gives}scf.index_switch {index}{arrow}"));
                for (i, &region) in n.regions.iter().enumerate() {
                    let head = match cases.get(i) {
                        Some(case) => format!("case {case} {{"),
                        None => "default {".to_owned(),
                    };
                    self.open(&head);
                    self.arm(node, region, scalar)?;
                    if scalar.is_none() {
                        self.line("scf.yield");
                    }
                    self.close();
                }
            }
            _ => {
                let arrow = scalar.map_or(String::new(), |s| format!(" -> ({})", s.text()));
                self.open(&format!("{gives}scf.if {on}{arrow} {{"));
                self.arm(node, n.regions[0], scalar)?;
                self.between("} else {");
                self.arm(node, n.regions[1], scalar)?;
                self.close();
            }
        }
        match scalar {
            Some(scalar) => self.bind(node, name, scalar),
            None => {
                self.values.insert(node, Value::Unit);
            }
        }
        Ok(())
    }

    fn arm(&mut self, node: NodeId, region: RegionId, scalar: Option<Scalar>) -> Result<(), Refusal> {
        self.region(region)?;
        if let Some(scalar) = scalar {
            let Some(result) = self.psg.regions[region].result else {
                return Err(self.refuse(node, "a branch without a value"));
            };
            let (value, _) = self.scalar(result)?;
            self.line(&format!("scf.yield {value} : {}", scalar.text()));
        }
        Ok(())
    }

    fn while_loop(&mut self, node: NodeId) -> Result<(), Refusal> {
        let psg = self.psg;
        let n = &psg.nodes[node];
        self.open("scf.while : () -> () {");
        self.region(n.regions[0])?;
        let Some(result) = psg.regions[n.regions[0]].result else {
            return Err(self.refuse(node, "a loop without a condition"));
        };
        let (go, _) = self.scalar(result)?;
        self.line(&format!("scf.condition({go})"));
        self.between("} do {");
        self.region(n.regions[1])?;
        self.line("scf.yield");
        self.close();
        self.values.insert(node, Value::Unit);
        Ok(())
    }

    /// Loops that count by one. The rounds are counted as 64-bit indices, so that no bound can wrap.
    fn counted(&mut self, node: NodeId) -> Result<(), Refusal> {
        let psg = self.psg;
        let n = &psg.nodes[node];
        if matches!(n.op, Op::For(ForKind::By)) {
            return Err(self.refuse(node, "a loop with a step has no form for the NPU"));
        }
        let down = matches!(n.op, Op::For(ForKind::Down));
        let ((from, scalar), (to, _)) = (self.operand(node, 0)?, self.operand(node, 1)?);
        let Some(&counter) = psg.regions[n.regions[0]].params.first() else {
            return Err(self.refuse(node, "a loop without a counter"));
        };
        let ty = scalar.text();
        let cast = match scalar {
            Scalar::Int { signed: false, .. } => "index_castui",
            _ => "index_cast",
        };
        let (low, high) = if down { (&to, &from) } else { (&from, &to) };
        let low = self.op(&format!("arith.{cast} {low} : {ty} to index"));
        let high = self.op(&format!("arith.{cast} {high} : {ty} to index"));
        let one = self.index(1);
        let end = self.op(&format!("arith.addi {high}, {one} : index"));
        let at = self.fresh();
        self.open(&format!("scf.for {at} = {low} to {end} step {one} {{"));
        let at = if down {
            let gone = self.op(&format!("arith.subi {at}, {low} : index"));
            self.op(&format!("arith.subi {high}, {gone} : index"))
        } else {
            at
        };
        let value = self.op(&format!("arith.{cast} {at} : index to {ty}"));
        self.bind(counter, value, scalar);
        self.region(n.regions[0])?;
        self.close();
        self.values.insert(node, Value::Unit);
        Ok(())
    }
}

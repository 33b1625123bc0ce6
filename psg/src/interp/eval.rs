//! Running regions, one node after the other.
//!
//! Each function has a frame of dense slots, one for each of its nodes. A tail call leaves its callee in
//! [`Machine::tail`] and lets the caller's regions end; the call loop goes on from there, so the stack does not grow.

use super::intrinsics;
use super::memory::{self, Memory};
use super::value::{Closure, Value};
use super::{Console, Stop, ops};
use crate::fold::{self, int_shape};
use crate::graph::Psg;
use crate::id::{FuncId, Id, IdVec, NodeId, RegionId, TypeId};
use crate::node::{AtomicOp, BinOp, Const, FailKind, ForKind, GroupOp, GroupScope, Op};
use crate::ty::Type;
use clef_frontend::span::Span;
use clef_frontend::typed::FormatSpec;
use clef_runtime::text::{self, Spec};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// Nested calls after which a program counts as out of stack. A frame here is larger than a native one.
const DEEPEST: usize = 150_000;

/// Why a run with a limit stopped.
pub const TOO_LONG: &str = "the program takes longer than the limit that this run has";

pub enum Halt {
    Stop(Stop),
    Exit(i32),
}

type Run<T> = Result<T, Halt>;

/// Values of a function's nodes.
type Frame = Vec<Value>;

pub struct Machine<'a> {
    psg: &'a Psg,
    console: &'a mut dyn Console,
    state: intrinsics::State,
    memory: Memory,
    globals: Vec<Value>,
    /// Slot of a node in its function's frame.
    slots: IdVec<NodeId, u32>,
    sizes: IdVec<FuncId, u32>,
    tail: Option<(FuncId, Vec<Value>)>,
    depth: usize,
    items: Items,
    /// Regions that may still run; from 0 on, as many as it takes.
    left: u64,
}

/// Who touched what in the running parallel loop.
#[derive(Default)]
struct Items {
    /// Number of the running work-item; 0: no parallel loop runs.
    current: u64,
    depth: u32,
    /// By address: the last work-item and whether it wrote.
    touched: FxHashMap<u64, (u64, bool)>,
}

impl<'a> Machine<'a> {
    /// `regions`: after how many runs of a body, branch or iteration to stop; 0 for never.
    pub fn new(psg: &'a Psg, console: &'a mut dyn Console, regions: u64) -> Self {
        let mut slots = IdVec::filled(psg.nodes.len(), 0);
        let mut sizes = IdVec::new();
        for (id, func) in psg.funcs.iter() {
            let mut next = 0;
            let mut give = |node: NodeId| {
                slots[node] = next;
                next += 1;
            };
            func.params.iter().for_each(|&p| give(p));
            psg.walk_func(id, &mut |node| {
                give(node);
                for &region in &psg.nodes[node].regions {
                    psg.regions[region].params.iter().for_each(|&p| give(p));
                }
            });
            sizes.push(next);
        }
        Self {
            psg,
            console,
            state: intrinsics::State::default(),
            memory: Memory::default(),
            globals: vec![Value::Unit; psg.globals.len()],
            slots,
            sizes,
            tail: None,
            depth: 0,
            items: Items::default(),
            left: regions,
        }
    }

    /// Initialisation, then the entry point; the exit code.
    pub fn program(&mut self, args: &[String]) -> Run<i32> {
        if let Some(init) = self.psg.init {
            self.call(init, Vec::new())?;
        }
        let Some(entry) = self.psg.entry else { return Ok(0) };
        let list = Value::array(args.iter().map(|a| Value::text(a)).collect());
        let takes = self.psg.funcs[entry].params.len();
        let code = self.call(entry, vec![list; takes.min(1)])?;
        Ok(code.int() as i32)
    }

    fn call(&mut self, func: FuncId, args: Vec<Value>) -> Run<Value> {
        let psg = self.psg;
        let (mut func, mut args) = (func, args);
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Halt::Stop(Stop {
                text: "the stack is full: a recursion is too deep for the interpreter".into(),
                span: psg.funcs[func].span,
            }));
        }
        loop {
            let declared = &psg.funcs[func];
            let mut frame: Frame = vec![Value::Unit; self.sizes[func] as usize];
            for (&param, arg) in declared.params.iter().zip(args) {
                frame[self.slots[param] as usize] = arg;
            }
            let value = self.region(declared.body, &mut frame)?;
            match self.tail.take() {
                Some((next, next_args)) => (func, args) = (next, next_args),
                None => {
                    self.depth -= 1;
                    return Ok(value);
                }
            }
        }
    }

    fn region(&mut self, region: RegionId, frame: &mut Frame) -> Run<Value> {
        let psg = self.psg;
        let region = &psg.regions[region];
        self.left = self.left.wrapping_sub(1);
        if self.left == 0 {
            let span = region.nodes.first().map_or_else(Span::default, |&n| psg.spans[n]);
            return Err(Halt::Stop(Stop { text: TOO_LONG.into(), span }));
        }
        for &node in &region.nodes {
            let value = self.node(node, frame)?;
            frame[self.slots[node] as usize] = value;
        }
        Ok(region.result.map_or(Value::Unit, |r| frame[self.slots[r] as usize].clone()))
    }

    fn get(&self, node: NodeId, n: usize, frame: &Frame) -> Value {
        let operand = self.psg.nodes[node].operands.get(n);
        operand.map_or(Value::Unit, |&o| frame[self.slots[o] as usize].clone())
    }

    fn operands(&self, node: NodeId, from: usize, frame: &Frame) -> Vec<Value> {
        let operands = &self.psg.nodes[node].operands;
        operands.iter().skip(from).map(|&o| frame[self.slots[o] as usize].clone()).collect()
    }

    fn operand_type(&self, node: NodeId, n: usize) -> &'a Type {
        let psg = self.psg;
        let ty = psg.nodes[node].operands.get(n).map_or(psg.nodes[node].ty, |&o| psg.nodes[o].ty);
        psg.types.get(ty)
    }

    pub(super) fn stop<T>(&self, node: NodeId, text: impl Into<String>) -> Run<T> {
        Err(Halt::Stop(Stop { text: text.into(), span: self.psg.spans[node] }))
    }

    fn node(&mut self, node: NodeId, frame: &mut Frame) -> Run<Value> {
        let psg = self.psg;
        let n = &psg.nodes[node];
        Ok(match &n.op {
            Op::Const(value) => constant(value),
            Op::Param(_) | Op::RegionParam(_) => frame[self.slots[node] as usize].clone(),
            Op::Binary(op) => {
                let (a, b) = (self.get(node, 0, frame), self.get(node, 1, frame));
                match ops::binary(*op, &a, &b, self.operand_type(node, 0)) {
                    Ok(value) => value,
                    Err(ops::ByZero) => return self.stop(node, "division by zero"),
                }
            }
            Op::Unary(op) => ops::unary(*op, &self.get(node, 0, frame), self.operand_type(node, 0)),
            Op::Convert => {
                ops::convert(&self.get(node, 0, frame), self.operand_type(node, 0), psg.types.get(n.ty))
            }
            Op::Make(case) => Value::agg(*case, self.operands(node, 0, frame)),
            Op::Remake(case) => Value::agg(*case, self.operands(node, 1, frame)),
            Op::Field { field, .. } => field_of(&self.get(node, 0, frame), *field),
            Op::Tag => Value::Int(match self.get(node, 0, frame) {
                Value::Agg(cell) => i64::from(cell.case),
                other => other.int(),
            }),
            Op::SetField(field) => {
                if let Value::Agg(cell) = self.get(node, 0, frame) {
                    cell.fields.borrow_mut()[*field as usize] = self.get(node, 1, frame);
                }
                Value::Unit
            }
            Op::Var => self.get(node, 0, frame),
            Op::VarGet => self.get(node, 0, frame),
            Op::VarSet => {
                let value = self.get(node, 1, frame);
                frame[self.slots[n.operands[0]] as usize] = value;
                Value::Unit
            }
            Op::GlobalGet(global) => self.globals[global.index()].clone(),
            Op::GlobalSet(global) => {
                self.globals[global.index()] = self.get(node, 0, frame);
                Value::Unit
            }
            Op::ArrayLit | Op::ArrayNew | Op::Length | Op::ArrayGet { .. } | Op::ArraySet { .. } => {
                return self.sequence(node, frame);
            }
            Op::Intrinsic(name) => return self.intrinsic(node, name, frame),
            Op::FormatValue(spec) => self.format(node, spec, frame),
            Op::Concat | Op::Append => {
                let parts = self.operands(node, 0, frame);
                let all: String = parts.iter().map(|p| if let Value::Text(t) = p { t } else { "" }).collect();
                Value::text(&all)
            }
            Op::Print { to_stderr } => {
                if let Value::Text(text) = self.get(node, 0, frame) {
                    self.console.write(&text, *to_stderr);
                }
                Value::Unit
            }
            Op::Call { func, tail } => {
                let args = self.operands(node, 0, frame);
                return self.call_or_leave(*func, args, *tail);
            }
            Op::CallClosure { tail } => {
                let Value::Closure(closure) = self.get(node, 0, frame) else {
                    return self.stop(node, "a value that is no function is called");
                };
                let mut args = self.operands(node, 1, frame);
                args.extend(closure.captures.iter().cloned());
                return self.call_or_leave(closure.func, args, *tail);
            }
            Op::Closure(func) => {
                Value::Closure(Rc::new(Closure { func: *func, captures: self.operands(node, 0, frame) }))
            }
            Op::CallExtern(x) => {
                let text = format!(
                    "the interpreter cannot call the foreign function `{}`; build the program to run it",
                    psg.externs[*x].entry
                );
                return self.stop(node, text);
            }
            Op::If => {
                let branch = n.regions[usize::from(!self.get(node, 0, frame).bool())];
                return self.region(branch, frame);
            }
            Op::Switch(values) => {
                // Keys are cut to the type; values of unsigned types are not sign-extended.
                let cut = |v: i64| match self.operand_type(node, 0) {
                    Type::Int(kind) => fold::wrap(v, *kind),
                    _ => v,
                };
                let chosen = cut(self.get(node, 0, frame).int());
                let at = values.iter().position(|&v| cut(v) == chosen).unwrap_or(n.regions.len() - 1);
                return self.region(n.regions[at], frame);
            }
            Op::While => {
                while self.region(n.regions[0], frame)?.bool() {
                    self.region(n.regions[1], frame)?;
                }
                Value::Unit
            }
            Op::For(kind) => return self.for_loop(node, *kind, frame),
            Op::Parallel => return self.parallel(node, frame),
            Op::Fail(kind) => {
                let text = match (kind, self.get(node, 0, frame)) {
                    (FailKind::Message, Value::Text(text)) => text.to_string(),
                    (FailKind::ZeroStep, _) => "the step of a range is zero".into(),
                    (FailKind::Message | FailKind::Match, _) => "no case of the match fits the value".into(),
                };
                return self.stop(node, text);
            }
            Op::AllocUnified => return self.allocate(node, frame),
            Op::BufferGet { .. } | Op::BufferSet { .. } | Op::BufferLength | Op::Atomic(_) => {
                return self.buffer(node, frame);
            }
            Op::Dispatch { kernel, .. } => return self.dispatch(node, *kernel, frame),
            Op::Barrier => {
                return self.stop(node, "a kernel with barriers is called as a function; dispatch it");
            }
            // A subgroup is one work-item.
            Op::Group { scope: GroupScope::Subgroup, op } => match op {
                GroupOp::Size => Value::Int(1),
                GroupOp::Lane => Value::Int(0),
                // The library's own form is what it means.
                GroupOp::Tiles => Value::Bool(true),
                _ => self.get(node, 0, frame),
            },
            Op::Group { .. } => {
                return self
                    .stop(node, "a kernel with workgroup operations is called as a function; dispatch it");
            }
            Op::Marker | Op::Drop | Op::Dup | Op::Unpack(_) | Op::Discard => Value::Unit,
            Op::WorkgroupArray(len) | Op::ItemArray(len) => {
                Value::array(vec![zero(psg, n.ty); *len as usize])
            }
        })
    }

    fn call_or_leave(&mut self, func: FuncId, args: Vec<Value>, tail: bool) -> Run<Value> {
        if tail {
            self.tail = Some((func, args));
            return Ok(Value::Unit);
        }
        self.call(func, args)
    }

    // --- loops

    fn for_loop(&mut self, node: NodeId, kind: ForKind, frame: &mut Frame) -> Run<Value> {
        let psg = self.psg;
        let region = psg.nodes[node].regions[0];
        let (from, to) = (self.get(node, 0, frame), self.get(node, 1, frame));
        let step = match kind {
            ForKind::Up => Value::Int(1),
            ForKind::Down => Value::Int(-1),
            ForKind::By => self.get(node, 2, frame),
        };
        let Some(&counter) = psg.regions[region].params.first() else { return Ok(Value::Unit) };
        let slot = self.slots[counter] as usize;
        if let (Value::Float(from), Value::Float(to), Value::Float(step)) = (&from, &to, &step) {
            return self.float_loop(node, region, slot, (*from, *to, *step), frame);
        }
        let is_char = matches!(from, Value::Char(_));
        let (to, step) = (i128::from(to.int()), i128::from(step.int()));
        if step == 0 {
            return self.stop(node, "the step of a range is zero");
        }
        let mut at = i128::from(from.int());
        while if step > 0 { at <= to } else { at >= to } {
            frame[slot] = if is_char {
                Value::Char(char::from_u32(at as u32).unwrap_or('\u{fffd}'))
            } else {
                Value::Int(at as i64)
            };
            self.region(region, frame)?;
            at += step;
        }
        Ok(Value::Unit)
    }

    fn float_loop(
        &mut self,
        node: NodeId,
        region: RegionId,
        slot: usize,
        (from, to, step): (f64, f64, f64),
        frame: &mut Frame,
    ) -> Run<Value> {
        if step == 0.0 {
            return self.stop(node, "the step of a range is zero");
        }
        let mut at = from;
        while if step > 0.0 { at <= to } else { at >= to } {
            frame[slot] = Value::Float(at);
            self.region(region, frame)?;
            at += step;
        }
        Ok(Value::Unit)
    }

    fn parallel(&mut self, node: NodeId, frame: &mut Frame) -> Run<Value> {
        let region = self.psg.nodes[node].regions[0];
        let (from, to) = (self.get(node, 0, frame).int(), self.get(node, 1, frame).int());
        let Some(&counter) = self.psg.regions[region].params.first() else { return Ok(Value::Unit) };
        let slot = self.slots[counter] as usize;
        self.items.depth += 1;
        for at in from..=to {
            self.items.current += 1;
            frame[slot] = Value::Int(at);
            self.region(region, frame)?;
        }
        self.items.depth -= 1;
        if self.items.depth == 0 {
            self.items = Items::default();
        }
        Ok(Value::Unit)
    }

    /// Notes an access of a work-item; whether it conflicts with another one's.
    fn conflicts(&mut self, address: u64, writes: bool) -> bool {
        let current = self.items.current;
        if current == 0 {
            return false;
        }
        let entry = self.items.touched.entry(address).or_insert((current, writes));
        let conflict = entry.0 != current && (entry.1 || writes);
        *entry = (current, writes || (entry.0 == current && entry.1));
        conflict
    }

    // --- sequences and text

    fn sequence(&mut self, node: NodeId, frame: &mut Frame) -> Run<Value> {
        let psg = self.psg;
        match psg.nodes[node].op {
            Op::ArrayLit => Ok(Value::array(self.operands(node, 0, frame))),
            Op::ArrayNew => {
                let len = self.get(node, 0, frame).int();
                match usize::try_from(len) {
                    Ok(len) => Ok(Value::array(vec![self.get(node, 1, frame); len])),
                    Err(_) => self.stop(node, format!("a length is negative: {len}")),
                }
            }
            Op::Length => Ok(Value::Int(match self.get(node, 0, frame) {
                Value::Array(items) => items.borrow().len() as i64,
                Value::Text(text) => text.len() as i64,
                _ => 0,
            })),
            _ => {
                let index = self.get(node, 1, frame).int();
                match self.get(node, 0, frame) {
                    Value::Array(items) => {
                        let len = items.borrow().len();
                        let Some(at) = usize::try_from(index).ok().filter(|&i| i < len) else {
                            return self
                                .stop(node, format!("index {index} is out of range: the length is {len}"));
                        };
                        if matches!(psg.nodes[node].op, Op::ArraySet { .. }) {
                            items.borrow_mut()[at] = self.get(node, 2, frame);
                            return Ok(Value::Unit);
                        }
                        let value = items.borrow()[at].clone();
                        Ok(value)
                    }
                    Value::Text(text) => match usize::try_from(index)
                        .ok()
                        .and_then(|i| text.as_bytes().get(i))
                    {
                        Some(byte) if byte.is_ascii() => Ok(Value::Char(char::from(*byte))),
                        Some(_) => self
                            .stop(node, format!("the byte at index {index} is part of a longer character")),
                        None => {
                            let len = text.len();
                            self.stop(node, format!("index {index} is out of range: the length is {len}"))
                        }
                    },
                    _ => self.stop(node, "a value that has no elements is indexed"),
                }
            }
        }
    }

    fn format(&mut self, node: NodeId, spec: &FormatSpec, frame: &Frame) -> Value {
        let spec = Spec {
            conversion: spec.conversion,
            width: spec.width,
            precision: spec.precision,
            left: spec.left,
            zero: spec.zero,
            plus: spec.plus,
            space: spec.space,
        };
        let value = self.get(node, 0, frame);
        let text = match (&value, self.operand_type(node, 0)) {
            (Value::Int(_), Type::Int(kind)) => {
                let (bits, signed) = int_shape(*kind);
                let value = extended(&value, self.operand_type(node, 0));
                text::format(text::Value::Int { value, bits: bits as u8, unsigned: !signed }, &spec)
            }
            (Value::Int(v), _) => {
                text::format(text::Value::Int { value: *v, bits: 64, unsigned: false }, &spec)
            }
            (Value::Float(v), ty) => {
                let bits =
                    if matches!(ty, Type::Float(clef_frontend::ast::FloatKind::F64)) { 64 } else { 32 };
                text::format(text::Value::Float { value: *v, bits }, &spec)
            }
            (Value::Bool(b), _) => text::format(text::Value::Bool(*b), &spec),
            (Value::Char(c), _) => text::format(text::Value::Char(*c), &spec),
            (Value::Text(t), _) => text::format(text::Value::String(t), &spec),
            _ => String::new(),
        };
        Value::text(&text)
    }

    fn intrinsic(&mut self, node: NodeId, name: &str, frame: &Frame) -> Run<Value> {
        let args = self.operands(node, 0, frame);
        match intrinsics::call(name, &args, &mut self.state, self.console) {
            Ok(result) => Ok(narrowed(result, self.psg.types.get(self.psg.nodes[node].ty))),
            Err(intrinsics::Stop::Message(text)) => self.stop(node, text),
            Err(intrinsics::Stop::Exit(code)) => Err(Halt::Exit(code)),
            Err(intrinsics::Stop::Unknown) => {
                self.stop(node, format!("the interpreter has no `{name}`; build the program to run it"))
            }
        }
    }

    // --- agents and buffers

    fn allocate(&mut self, node: NodeId, frame: &Frame) -> Run<Value> {
        let bytes = self.get(node, 0, frame).int();
        match usize::try_from(bytes) {
            Ok(bytes) if bytes < 1 << 36 => Ok(Value::Int(self.memory.allocate(bytes) as i64)),
            _ => self.stop(node, format!("a buffer of {bytes} bytes could not be allocated")),
        }
    }

    /// Address, number of elements and element type of operand 0, a buffer record.
    fn place(&mut self, node: NodeId, frame: &Frame) -> Option<(u64, i64, TypeId)> {
        let operand = *self.psg.nodes[node].operands.first()?;
        let element = self.psg.types.buffer_element(self.psg.nodes[operand].ty)?;
        let record = self.get(node, 0, frame);
        let size = memory::size(self.psg, element)? as i64;
        Some((field_of(&record, 0).int() as u64, field_of(&record, 1).int() / size.max(1), element))
    }

    fn buffer(&mut self, node: NodeId, frame: &Frame) -> Run<Value> {
        let psg = self.psg;
        let Some((address, len, element)) = self.place(node, frame) else {
            return self.stop(node, "elements of this type cannot lie in a buffer");
        };
        if psg.nodes[node].op == Op::BufferLength {
            return Ok(Value::Int(len));
        }
        let index = self.get(node, 1, frame).int();
        if !(0..len).contains(&index) {
            return self.stop(node, format!("index {index} is out of range: the length is {len}"));
        }
        let size = memory::size(psg, element).unwrap_or(1);
        let at = address + index as u64 * size as u64;
        let writes = matches!(psg.nodes[node].op, Op::BufferSet { .. });
        let atomic = matches!(psg.nodes[node].op, Op::Atomic(_));
        if !atomic && self.conflicts(at, writes) {
            return self.stop(node, format!("two work-items touch element {index}, and one writes it"));
        }
        let new = if writes || atomic { self.get(node, 2, frame) } else { Value::Unit };
        let Some(bytes) = self.memory.behind_mut(at).filter(|b| b.len() >= size) else {
            return self.stop(node, format!("the address {at:#x} belongs to no buffer"));
        };
        match psg.nodes[node].op {
            Op::BufferSet { .. } => {
                memory::store(psg, element, &new, bytes);
                Ok(Value::Unit)
            }
            Op::Atomic(op) => {
                let old = memory::load(psg, element, bytes);
                let value = atomic_value(op, &old, &new, psg.types.get(element));
                memory::store(psg, element, &value, bytes);
                Ok(old)
            }
            _ => Ok(memory::load(psg, element, bytes)),
        }
    }

    fn dispatch(&mut self, node: NodeId, kernel: crate::id::KernelId, frame: &Frame) -> Run<Value> {
        let psg = self.psg;
        let declared = &psg.kernels[kernel];
        let Some(func) = declared.host.or(declared.func) else {
            return self.stop(
                node,
                format!("the kernel `{}` is in a prebuilt file; build the program to run it", declared.name),
            );
        };
        let mut args = Vec::new();
        for (i, param) in declared.params.iter().enumerate() {
            let value = self.get(node, i, frame);
            if param.element.is_none() {
                args.push(value);
                continue;
            }
            let address = value.int() as u64;
            let Some(bytes) = self.memory.behind(address).map(<[u8]>::len) else {
                return self.stop(node, format!("the address {address:#x} belongs to no buffer"));
            };
            // The record that the kernel sees: agents and hint are of no concern inside.
            let fields =
                psg.types.agg(param.ty).and_then(|agg| agg.cases.first()).map_or(0, |c| c.fields.len());
            let mut record = vec![Value::Int(address as i64), Value::Int(bytes as i64)];
            record.resize(fields.max(2), Value::Unit);
            args.push(Value::agg(0, record));
        }
        self.call(func, args)
    }
}

fn constant(value: &Const) -> Value {
    match value {
        Const::Unit => Value::Unit,
        Const::Bool(b) => Value::Bool(*b),
        Const::Char(c) => Value::Char(*c),
        Const::Int(i) => Value::Int(*i),
        Const::Float(f) => Value::Float(*f),
        Const::String(s) => Value::text(s),
    }
}

fn field_of(value: &Value, field: u32) -> Value {
    match value {
        Value::Agg(cell) => cell.fields.borrow().get(field as usize).cloned().unwrap_or(Value::Unit),
        _ => Value::Unit,
    }
}

fn zero(psg: &Psg, array: TypeId) -> Value {
    match psg.types.get(array) {
        Type::Array(element) => match psg.types.get(*element) {
            Type::Float(_) => Value::Float(0.0),
            Type::Bool => Value::Bool(false),
            _ => Value::Int(0),
        },
        _ => Value::Int(0),
    }
}

fn atomic_value(op: AtomicOp, old: &Value, new: &Value, ty: &Type) -> Value {
    let op = match op {
        AtomicOp::Exchange => return new.clone(),
        AtomicOp::Add => BinOp::Add,
        AtomicOp::Min => BinOp::Min,
        AtomicOp::Max => BinOp::Max,
        AtomicOp::And => BinOp::BitAnd,
        AtomicOp::Or => BinOp::BitOr,
        AtomicOp::Xor => BinOp::BitXor,
    };
    ops::binary(op, old, new, ty).unwrap_or_else(|_| old.clone())
}

/// An integer extended to 64 bits by its type's signedness.
fn extended(value: &Value, ty: &Type) -> i64 {
    match (ops::convert(value, ty, &Type::Int(clef_frontend::ast::IntKind::I64)), value) {
        (Value::Int(v), _) => v,
        (_, value) => value.int(),
    }
}

/// A result of an intrinsic in the form of its type: integers sign-extended from their width.
fn narrowed(value: Value, ty: &Type) -> Value {
    match (value, ty) {
        (Value::Int(i), Type::Int(kind)) => Value::Int(crate::fold::wrap(i, *kind)),
        (value, _) => value,
    }
}

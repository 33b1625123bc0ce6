//! From the graph to its skeleton: an abstract run of the program that follows buffers and writes down accesses.
//!
//! Calls are followed into the callee each time, so that a helper's accesses are those of its arguments and a function
//! that allocates gives each caller a buffer of its own; a function that is already running, or any call once the
//! budget is used up, is run once with all arguments joined. What variables, arrays, mutable fields and globals hold is
//! one joined value each; the run is repeated until these no longer change.

mod events;

use super::values::Val;
use super::{Block, CPU, NPU, Skeleton, Step};
use crate::graph::Psg;
use crate::id::{FuncId, GlobalId, Id, IdVec, NodeId, RegionId, TypeId};
use crate::kernel::KernelFacts;
use crate::node::Op;
use crate::plan::{AccessKind, Context, Location, LocationKind, Mode};
use crate::ty::{AggKind, Type};
use clef_frontend::ast::IntKind;
use events::dispatch_context;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// Rounds after which values lose their shape, so that the end is near.
const PATIENCE: usize = 12;

/// The skeleton of a program or library. `agents`: extern entry points that do not run on the CPU.
pub fn extract(psg: &Psg, kernels: &KernelFacts, agents: &BTreeMap<String, String>) -> Skeleton {
    let mut run = Run::new(psg, kernels, agents);
    let mut rounds = 0;
    loop {
        run.changed = false;
        run.tired = rounds > PATIENCE;
        run.round();
        rounds += 1;
        if !run.changed {
            return run.finish();
        }
    }
}

/// Nodes that are followed into callees beyond four times the program's size: enough for every way through a program of
/// ordinary shape, and a tenth of a second for one whose calls double at each level.
const FOLLOWED: usize = 50_000;

/// How the name of a buffer without one begins.
const UNNAMED: &str = "buffer of line ";

/// A call path: the context of its caller and the calling node.
type Path = u32;

#[derive(Default)]
struct Cell {
    value: Val,
    read: bool,
}

struct Shared {
    params: Vec<Val>,
    result: Val,
    block: Block,
}

struct Run<'a> {
    psg: &'a Psg,
    kernels: &'a KernelFacts,
    agents: &'a BTreeMap<String, String>,
    out: Skeleton,
    sites: FxHashMap<(NodeId, bool), u32>,
    accesses: FxHashMap<(u32, u32), u32>,
    /// By access: some execution may miss the location.
    uncertain: Vec<bool>,
    anchors: FxHashMap<NodeId, u32>,
    markers: FxHashMap<NodeId, u32>,
    locations: FxHashMap<(Path, NodeId), u32>,
    /// By location: allocated where it may be allocated again.
    repeated: Vec<bool>,
    handles: FxHashMap<crate::id::ExternId, u32>,
    unknown: Option<u32>,
    paths: FxHashMap<(Path, NodeId), Path>,
    /// By path: where it came from.
    path_of: Vec<(Path, NodeId)>,
    cells: Vec<Cell>,
    cell_of: FxHashMap<(Path, NodeId), u32>,
    global_cell: FxHashMap<GlobalId, u32>,
    closures: Vec<(FuncId, Vec<Val>)>,
    closure_of: FxHashMap<(Path, NodeId), u32>,
    shared: Vec<Shared>,
    shared_of: FxHashMap<FuncId, u32>,
    running: Vec<FuncId>,
    relevant: IdVec<FuncId, bool>,
    carries: FxHashMap<TypeId, bool>,
    in_loop: u32,
    budget: usize,
    changed: bool,
    tired: bool,
}

/// One function's values while it is run.
struct Frame {
    values: FxHashMap<NodeId, Val>,
    path: Path,
}

impl Frame {
    fn get(&self, node: NodeId) -> Val {
        self.values.get(&node).cloned().unwrap_or_default()
    }
}

impl<'a> Run<'a> {
    fn new(psg: &'a Psg, kernels: &'a KernelFacts, agents: &'a BTreeMap<String, String>) -> Self {
        let mut queues: Vec<Context> = psg
            .nodes
            .iter()
            .filter_map(|(_, n)| dispatch_context(&n.op))
            .filter(|c| matches!(c, Context::Gpu { .. }))
            .collect();
        queues.sort();
        queues.dedup();
        let contexts = [Context::Cpu, Context::Npu].into_iter().chain(queues).collect();
        let mut run = Self {
            psg,
            kernels,
            agents,
            out: Skeleton { contexts, ..Skeleton::default() },
            sites: FxHashMap::default(),
            accesses: FxHashMap::default(),
            uncertain: Vec::new(),
            anchors: FxHashMap::default(),
            markers: FxHashMap::default(),
            locations: FxHashMap::default(),
            repeated: Vec::new(),
            handles: FxHashMap::default(),
            unknown: None,
            paths: FxHashMap::default(),
            path_of: vec![(0, NodeId(u32::MAX))],
            cells: Vec::new(),
            cell_of: FxHashMap::default(),
            global_cell: FxHashMap::default(),
            closures: Vec::new(),
            closure_of: FxHashMap::default(),
            shared: Vec::new(),
            shared_of: FxHashMap::default(),
            running: Vec::new(),
            relevant: IdVec::filled(psg.funcs.len(), false),
            carries: FxHashMap::default(),
            in_loop: 0,
            budget: 0,
            changed: false,
            tired: false,
        };
        run.find_relevant();
        run
    }

    // --- which functions matter

    /// Functions that touch buffers, or values that may hold some, themselves or through calls. None where the whole
    /// program has nothing that could: closures alone, however many, need no run.
    fn find_relevant(&mut self) {
        let mut touches = false;
        let mut callers: FxHashMap<FuncId, Vec<FuncId>> = FxHashMap::default();
        let mut open = Vec::new();
        for func in self.psg.funcs.ids() {
            let mut matters = self.carries(self.psg.funcs[func].ret);
            let psg = self.psg;
            psg.walk_func(func, &mut |node| match &psg.nodes[node].op {
                Op::Call { func: callee, .. } => callers.entry(*callee).or_default().push(func),
                Op::BufferGet { .. }
                | Op::BufferSet { .. }
                | Op::Atomic(_)
                | Op::Dispatch { .. }
                | Op::CallExtern(_)
                | Op::AllocUnified
                | Op::Marker => {
                    touches = true;
                    matters = true;
                }
                Op::CallClosure { .. } => matters = true,
                Op::GlobalSet(_) | Op::VarSet | Op::ArraySet { .. } | Op::SetField(_) => {
                    matters |= psg.nodes[node].operands.iter().any(|o| self.carries(psg.nodes[*o].ty));
                }
                Op::Intrinsic(_) => {
                    matters |= psg.nodes[node].operands.iter().any(|o| self.carries(psg.nodes[*o].ty));
                }
                _ => {}
            });
            if matters {
                open.push(func);
            }
        }
        if !touches {
            return;
        }
        while let Some(func) = open.pop() {
            if !self.relevant[func] {
                self.relevant[func] = true;
                open.extend(callers.get(&func).into_iter().flatten().copied());
            }
        }
    }

    /// May a value of this type hold a buffer, a function, or something that is told apart (agents, hints)?
    fn carries(&mut self, ty: TypeId) -> bool {
        if let Some(&known) = self.carries.get(&ty) {
            return known;
        }
        self.carries.insert(ty, false);
        let found = match self.psg.types.get(ty).clone() {
            Type::Unit | Type::Bool | Type::Char | Type::String | Type::Float(_) => false,
            Type::Int(kind) => matches!(kind, IntKind::ISize | IntKind::USize),
            Type::Closure { .. } | Type::NativePtr(_) => true,
            Type::Array(t) | Type::Var(t) => self.carries(t),
            Type::Agg(agg) => {
                let agg = &self.psg.types.aggs[agg];
                let named = matches!(agg.kind, AggKind::Buffer(_))
                    || agg.name.starts_with("HSA")
                    || agg.name.contains(".HSA");
                let fields: Vec<TypeId> =
                    agg.cases.iter().flat_map(|c| c.fields.iter().map(|f| f.ty)).collect();
                named || fields.into_iter().any(|t| self.carries(t))
            }
        };
        self.carries.insert(ty, found);
        found
    }

    // --- rounds

    fn round(&mut self) {
        self.out.loops = 0;
        self.out.body = Block::new();
        self.budget = self.psg.nodes.len() * 4 + FOLLOWED;
        let mut body = Block::new();
        if let Some(init) = self.psg.init {
            self.call(init, Vec::new(), 0, &mut body);
        }
        if let Some(entry) = self.psg.entry {
            self.call(entry, vec![Val::Scalar], 0, &mut body);
        }
        if self.psg.entry.is_none() && !self.psg.roots.is_empty() {
            self.library(&mut body);
        }
        let mut i = 0;
        while i < self.shared.len() {
            let func = self.shared_func(i as u32);
            let args = self.shared[i].params.clone();
            let mut block = Block::new();
            let path = self.path(0, NodeId(u32::MAX - 1 - i as u32));
            self.in_loop += 1;
            let result = self.inline(func, args, path, &mut block);
            self.in_loop -= 1;
            let joined = self.shared[i].result.join(&result);
            self.changed |= joined != self.shared[i].result;
            self.shared[i].result = joined;
            self.shared[i].block = block;
            i += 1;
        }
        self.out.body = body;
    }

    fn shared_func(&self, index: u32) -> FuncId {
        self.shared_of.iter().find(|(_, i)| **i == index).map_or(FuncId(0), |(f, _)| *f)
    }

    /// Exported functions may be called in any order, any number of times.
    fn library(&mut self, body: &mut Block) {
        let mut arms = Vec::new();
        self.in_loop += 1;
        for &root in &self.psg.roots {
            let mut arm = Block::new();
            let func = &self.psg.funcs[root];
            let mut args = Vec::new();
            let mut entered = Vec::new();
            for (i, &param) in func.params.iter().enumerate() {
                let mut buffers = Vec::new();
                let value = self.boundary(root, i as u32, param, self.psg.nodes[param].ty, 0, &mut buffers);
                for &location in &buffers {
                    arm.push(Step::Fresh(location));
                    self.touch(
                        param,
                        false,
                        CPU,
                        false,
                        &[(location, Mode::Write, true)],
                        &AccessKind::Boundary,
                        &mut arm,
                    );
                }
                entered.extend(buffers);
                args.push(value);
            }
            let result = self.call(root, args, 0, &mut arm);
            let region = &self.psg.regions[func.body];
            if let Some(&last) = region.nodes.last() {
                let leaving: Vec<u32> = entered.into_iter().chain(result.flat().locations).collect();
                let mut seen = FxHashSet::default();
                let list: Vec<_> =
                    leaving.into_iter().filter(|l| seen.insert(*l)).map(|l| (l, Mode::Read, false)).collect();
                self.touch(last, true, CPU, false, &list, &AccessKind::Boundary, &mut arm);
            }
            arms.push(arm);
        }
        self.in_loop -= 1;
        let anchor =
            self.anchor(self.psg.regions[self.psg.funcs[self.psg.roots[0]].body].nodes.first().copied());
        let id = self.out.loops;
        self.out.loops += 1;
        body.push(Step::Loop { anchor, id, head: Block::new(), body: vec![Step::Branch(arms)] });
    }

    /// What a caller may pass for a parameter: a buffer of its own for each buffer in it.
    fn boundary(
        &mut self,
        root: FuncId,
        index: u32,
        node: NodeId,
        ty: TypeId,
        depth: u32,
        buffers: &mut Vec<u32>,
    ) -> Val {
        if self.psg.types.buffer_element(ty).is_some() {
            let key = (u32::MAX - index * 64 - buffers.len() as u32, node);
            let location = match self.locations.get(&key) {
                Some(&l) => l,
                None => {
                    let func = self.psg.funcs[root].name;
                    let name = format!("argument {} of {func}", index + 1);
                    self.new_location(key, name, LocationKind::RootParam { func, index }, Some(node), false)
                }
            };
            buffers.push(location);
            return Val::location(location);
        }
        match self.psg.types.agg(ty) {
            Some(agg) if depth < 6 && agg.cases.len() == 1 => {
                let types: Vec<TypeId> = agg.cases[0].fields.iter().map(|f| f.ty).collect();
                let fields = types
                    .into_iter()
                    .map(|t| self.boundary(root, index, node, t, depth + 1, buffers))
                    .collect();
                Val::aggregate(0, fields)
            }
            _ if self.carries(ty) => {
                let unknown = self.unknown();
                Val::location(unknown)
            }
            _ => Val::Scalar,
        }
    }

    fn finish(mut self) -> Skeleton {
        let mut stored = FxHashSet::default();
        for cell in &self.cells {
            stored.extend(cell.value.flat().locations);
        }
        for (location, info) in self.out.locations.iter_mut().enumerate() {
            let outlives = stored.contains(&(location as u32)) || info.kind == LocationKind::Unknown;
            info.summary |= self.repeated[location] && outlives || info.kind == LocationKind::Unknown;
        }
        for (i, access) in self.out.accesses.iter_mut().enumerate() {
            access.covers &= !self.uncertain[i] && !self.out.locations[access.location as usize].summary;
        }
        let mut blocks: Vec<Block> = self.shared.iter_mut().map(|s| std::mem::take(&mut s.block)).collect();
        let mut body = std::mem::take(&mut self.out.body);
        for block in blocks.iter_mut().chain([&mut body]) {
            keep_fresh(block, &self.out.locations, &self.repeated);
        }
        super::quiet::remove(&mut body, &mut blocks);
        self.out.body = body;
        self.out.shared = blocks;
        self.out
    }

    // --- calls

    fn path(&mut self, from: Path, node: NodeId) -> Path {
        let next = self.path_of.len() as Path;
        let path = *self.paths.entry((from, node)).or_insert(next);
        if path == next {
            self.path_of.push((from, node));
        }
        path
    }

    fn call(&mut self, func: FuncId, args: Vec<Val>, path: Path, out: &mut Block) -> Val {
        if !self.relevant[func] && args.iter().all(Val::is_scalar) {
            return Val::Scalar;
        }
        if self.running.contains(&func)
            || self.budget == 0
            || self.shared_of.contains_key(&func) && self.running.len() > 200
        {
            return self.call_shared(func, args, out);
        }
        self.inline(func, args, path, out)
    }

    fn call_shared(&mut self, func: FuncId, args: Vec<Val>, out: &mut Block) -> Val {
        let next = self.shared.len() as u32;
        let index = *self.shared_of.entry(func).or_insert(next);
        if index == next {
            self.shared.push(Shared {
                params: vec![Val::Bottom; args.len()],
                result: Val::Bottom,
                block: Block::new(),
            });
            self.changed = true;
        }
        let tired = self.tired;
        let shared = &mut self.shared[index as usize];
        for (param, arg) in shared.params.iter_mut().zip(&args) {
            let mut joined = param.join(arg);
            if tired {
                joined = joined.flattened();
            }
            self.changed |= joined != *param;
            *param = joined;
        }
        out.push(Step::Call(index));
        shared.result.clone()
    }

    fn inline(&mut self, func: FuncId, args: Vec<Val>, path: Path, out: &mut Block) -> Val {
        let info = &self.psg.funcs[func];
        let values = info.params.iter().copied().zip(args).filter(|(_, v)| !v.is_scalar()).collect();
        let mut frame = Frame { values, path };
        self.running.push(func);
        let result = self.region(info.body, &mut frame, out);
        self.running.pop();
        result
    }

    fn region(&mut self, region: RegionId, frame: &mut Frame, out: &mut Block) -> Val {
        let psg = self.psg;
        let region = &psg.regions[region];
        for &node in &region.nodes {
            self.budget = self.budget.saturating_sub(1);
            let value = self.node(node, frame, out);
            if value != Val::Scalar {
                frame.values.insert(node, value);
            } else if !frame.values.is_empty() {
                frame.values.remove(&node);
            }
        }
        region.result.map_or(Val::Scalar, |r| frame.get(r))
    }

    // --- nodes

    fn node(&mut self, id: NodeId, frame: &mut Frame, out: &mut Block) -> Val {
        let psg = self.psg;
        let node = &psg.nodes[id];
        let operand = |frame: &Frame, i: usize| node.operands.get(i).map_or(Val::Scalar, |&o| frame.get(o));
        match &node.op {
            Op::Const(crate::node::Const::Int(n)) => Val::Int(*n),
            Op::Const(_) | Op::Param(_) | Op::RegionParam(_) => frame.get(id),
            Op::Binary(_) | Op::Unary(_) => self.arithmetic(id, frame),
            Op::Convert | Op::Dup => operand(frame, 0),
            Op::Make(case) => self.make(id, *case, 0, frame),
            Op::Remake(case) => self.make(id, *case, 1, frame),
            Op::Field { case, field } => self.get_field(operand(frame, 0), *case, *field),
            Op::SetField(_) => self.store(&operand(frame, 0), &operand(frame, 1)),
            Op::ArrayLit | Op::ArrayNew => self.array(id, frame),
            Op::ArrayGet { .. } if self.carries(node.ty) => self.load(&operand(frame, 0)),
            Op::ArraySet { .. } => self.store(&operand(frame, 0), &operand(frame, 2)),
            Op::Var => {
                let cell = self.cell(frame.path, id);
                self.put(cell, &operand(frame, 0));
                Val::cell(cell)
            }
            Op::VarGet if self.carries(node.ty) => self.load(&operand(frame, 0)),
            Op::VarSet => self.store(&operand(frame, 0), &operand(frame, 1)),
            Op::GlobalGet(global) if self.carries(node.ty) => {
                let cell = self.global(*global);
                self.take(cell)
            }
            Op::GlobalSet(global) => {
                let cell = self.global(*global);
                self.put(cell, &operand(frame, 0));
                Val::Scalar
            }
            Op::Call { func, .. } => {
                let args = node.operands.iter().map(|&o| frame.get(o)).collect();
                let path = self.path(frame.path, id);
                self.call(*func, args, path, out)
            }
            Op::CallClosure { .. } => self.call_closure(id, frame, out),
            Op::Closure(func) => self.closure(id, *func, frame),
            Op::CallExtern(x) => self.call_extern(id, *x, frame, out),
            Op::If | Op::Switch(_) => self.branch(id, frame, out),
            Op::While | Op::For(_) | Op::Parallel => self.run_loop(id, frame, out),
            Op::Fail(_) => {
                out.push(Step::Stop);
                Val::Bottom
            }
            Op::AllocUnified => self.allocate(id, frame, out),
            Op::BufferGet { .. } => self.host(id, &operand(frame, 0), Mode::Read, out),
            Op::BufferSet { .. } => self.host(id, &operand(frame, 0), Mode::Write, out),
            Op::Atomic(_) => self.host(id, &operand(frame, 0), Mode::ReadWrite, out),
            Op::Dispatch { .. } => self.dispatch(id, frame, out),
            Op::Marker => self.marker(id, &operand(frame, 0), out),
            Op::Intrinsic(name) => self.intrinsic(id, name.as_str(), frame, out),
            Op::ArrayGet { .. }
            | Op::VarGet
            | Op::GlobalGet(_)
            | Op::Tag
            | Op::Length
            | Op::FormatValue(_)
            | Op::Concat
            | Op::Print { .. }
            | Op::BufferLength
            | Op::Barrier
            | Op::WorkgroupArray(_)
            | Op::ItemArray(_)
            | Op::Group { .. }
            | Op::Append
            | Op::Unpack(_)
            | Op::Discard
            | Op::Drop => Val::Scalar,
        }
    }

    /// Addresses computed from addresses belong to the same buffers.
    fn arithmetic(&mut self, id: NodeId, frame: &Frame) -> Val {
        if !self.carries(self.psg.nodes[id].ty) {
            return Val::Scalar;
        }
        let operands = &self.psg.nodes[id].operands;
        let joined = operands.iter().fold(Val::Bottom, |v, &o| v.join(&frame.get(o)));
        joined.moved()
    }

    fn make(&mut self, id: NodeId, case: u32, first: usize, frame: &Frame) -> Val {
        let node = &self.psg.nodes[id];
        if !self.carries(node.ty) {
            return Val::Scalar;
        }
        let fields: Vec<Val> = node.operands.iter().skip(first).map(|&o| frame.get(o)).collect();
        self.name_fields(node.ty, case, &fields);
        let is_mutable = self.psg.types.agg(node.ty).is_some_and(|agg| {
            agg.cases.get(case as usize).is_some_and(|c| c.fields.iter().any(|f| f.is_mutable))
        });
        if !is_mutable {
            return Val::aggregate(case, fields);
        }
        let cell = self.cell(frame.path, id);
        let all = fields.iter().fold(Val::Bottom, |v, f| v.join(&f.flattened()));
        self.put(cell, &all);
        Val::cell(cell)
    }

    fn get_field(&mut self, value: Val, case: u32, field: u32) -> Val {
        match &value {
            Val::Flat(flat) if !flat.cells.is_empty() => {
                let inner = self.load(&value);
                inner.join(&value)
            }
            _ => value.field(case, field),
        }
    }

    fn array(&mut self, id: NodeId, frame: &Frame) -> Val {
        let node = &self.psg.nodes[id];
        if !self.carries(node.ty) {
            return Val::Scalar;
        }
        let cell = self.cell(frame.path, id);
        for &o in &node.operands {
            self.put(cell, &frame.get(o));
        }
        Val::cell(cell)
    }

    // --- cells

    fn new_cell(&mut self) -> u32 {
        self.cells.push(Cell { value: Val::Bottom, read: false });
        self.cells.len() as u32 - 1
    }

    fn cell(&mut self, path: Path, node: NodeId) -> u32 {
        if let Some(&cell) = self.cell_of.get(&(path, node)) {
            return cell;
        }
        let cell = self.new_cell();
        self.cell_of.insert((path, node), cell);
        cell
    }

    fn global(&mut self, global: GlobalId) -> u32 {
        if let Some(&cell) = self.global_cell.get(&global) {
            return cell;
        }
        let cell = self.new_cell();
        self.global_cell.insert(global, cell);
        cell
    }

    fn put(&mut self, cell: u32, value: &Val) {
        let tired = self.tired;
        let cell = &mut self.cells[cell as usize];
        let mut joined = cell.value.join(value);
        if tired {
            joined = joined.flattened();
        }
        if joined != cell.value {
            cell.value = joined;
            self.changed |= cell.read;
        }
    }

    fn take(&mut self, cell: u32) -> Val {
        let cell = &mut self.cells[cell as usize];
        cell.read = true;
        cell.value.clone()
    }

    fn store(&mut self, target: &Val, value: &Val) -> Val {
        if !value.is_scalar() {
            for cell in target.flat().cells {
                self.put(cell, value);
            }
        }
        Val::Scalar
    }

    fn load(&mut self, target: &Val) -> Val {
        let cells = target.flat().cells;
        cells.into_iter().fold(Val::Bottom, |v, cell| v.join(&self.take(cell)))
    }

    // --- control

    fn branch(&mut self, id: NodeId, frame: &mut Frame, out: &mut Block) -> Val {
        let regions = &self.psg.nodes[id].regions;
        let mut arms = Vec::new();
        let mut value = Val::Bottom;
        for &region in regions {
            let mut arm = Block::new();
            value = value.join(&self.region(region, frame, &mut arm));
            arms.push(arm);
        }
        if regions.len() == 1 {
            arms.push(Block::new());
        }
        if arms.iter().any(|a| !a.is_empty()) {
            out.push(Step::Branch(arms));
        }
        if self.carries(self.psg.nodes[id].ty) { value } else { Val::Scalar }
    }

    fn anchor(&mut self, node: Option<NodeId>) -> u32 {
        let node = node.unwrap_or(NodeId(0));
        let next = self.out.anchors.len() as u32;
        let anchor = *self.anchors.entry(node).or_insert(next);
        if anchor == next {
            self.out.anchors.push(node);
        }
        anchor
    }

    fn run_loop(&mut self, id: NodeId, frame: &mut Frame, out: &mut Block) -> Val {
        let node = &self.psg.nodes[id];
        let (mut head, mut body) = (Block::new(), Block::new());
        self.in_loop += 1;
        if let (Op::While, Some(&condition)) = (&node.op, node.regions.first()) {
            self.region(condition, frame, &mut head);
        }
        if let Some(&region) = node.regions.last() {
            self.region(region, frame, &mut body);
        }
        self.in_loop -= 1;
        if !head.is_empty() || !body.is_empty() {
            let anchor = self.anchor(Some(id));
            let number = self.out.loops;
            self.out.loops += 1;
            out.push(Step::Loop { anchor, id: number, head, body });
        }
        Val::Scalar
    }

    fn closure(&mut self, id: NodeId, func: FuncId, frame: &Frame) -> Val {
        let captures: Vec<Val> = self.psg.nodes[id].operands.iter().map(|&o| frame.get(o)).collect();
        let key = (frame.path, id);
        let index = match self.closure_of.get(&key) {
            Some(&index) => index,
            None => {
                self.closures.push((func, vec![Val::Bottom; captures.len()]));
                self.closure_of.insert(key, self.closures.len() as u32 - 1);
                self.closures.len() as u32 - 1
            }
        };
        for (i, capture) in captures.iter().enumerate() {
            let old = &mut self.closures[index as usize].1[i];
            let joined = old.join(capture);
            self.changed |= joined != *old && *old != Val::Bottom;
            *old = joined;
        }
        Val::closure(index)
    }

    fn call_closure(&mut self, id: NodeId, frame: &mut Frame, out: &mut Block) -> Val {
        let node = &self.psg.nodes[id];
        let Some((&callee, args)) = node.operands.split_first() else { return Val::Scalar };
        let args: Vec<Val> = args.iter().map(|&o| frame.get(o)).collect();
        let closures = frame.get(callee).flat().closures;
        let mut arms = Vec::new();
        let mut value = Val::Bottom;
        for closure in closures {
            let (func, captures) = self.closures[closure as usize].clone();
            let all = args.iter().cloned().chain(captures).collect();
            let mut arm = Block::new();
            let path = self.path(frame.path, id);
            value = value.join(&self.call(func, all, path, &mut arm));
            arms.push(arm);
        }
        if arms.len() == 1 {
            out.append(&mut arms[0]);
        } else if arms.iter().any(|a| !a.is_empty()) {
            out.push(Step::Branch(arms));
        }
        if self.carries(node.ty) { value } else { Val::Scalar }
    }

    // --- memory

    fn new_location(
        &mut self,
        key: (Path, NodeId),
        name: String,
        kind: LocationKind,
        node: Option<NodeId>,
        repeated: bool,
    ) -> u32 {
        let location = self.out.locations.len() as u32;
        self.out.locations.push(Location { name, kind, node, summary: false });
        self.repeated.push(repeated);
        self.locations.insert(key, location);
        self.changed |= self.unknown.is_some();
        location
    }

    fn unknown(&mut self) -> u32 {
        if let Some(location) = self.unknown {
            return location;
        }
        let key = (u32::MAX, NodeId(u32::MAX));
        let location =
            self.new_location(key, "memory of unknown origin".into(), LocationKind::Unknown, None, true);
        self.unknown = Some(location);
        self.changed = true;
        location
    }

    fn allocate(&mut self, id: NodeId, frame: &Frame, out: &mut Block) -> Val {
        let key = (frame.path, id);
        let location = match self.locations.get(&key) {
            Some(&location) => location,
            None => {
                let node = self.user_node(frame.path, id);
                let name = self.name_of(frame.path, id, node);
                self.new_location(key, name, LocationKind::Allocation, Some(node), false)
            }
        };
        self.repeated[location as usize] |= self.in_loop > 0;
        self.note_allocation(location, id, frame);
        out.push(Step::Fresh(location));
        Val::location(location)
    }

    /// The node that the user wrote: a call of a library function stands for what happens in it.
    fn user_node(&self, path: Path, node: NodeId) -> NodeId {
        let library = |n: NodeId| {
            let file = self.psg.spans.get(n).map(|s| s.file.0 as usize);
            file.and_then(|f| self.psg.files.get(f)).is_some_and(|f| f.name.starts_with("stdlib/"))
        };
        let (mut path, mut node) = (path, node);
        while library(node) && path != 0 {
            (path, node) = self.path_of[path as usize];
            if node.0 as usize >= self.psg.nodes.len() {
                break;
            }
        }
        node
    }

    /// The name of the first `let` around the allocation, from the inside out; else a field's name (later), else its
    /// line.
    fn name_of(&self, path: Path, alloc: NodeId, node: NodeId) -> String {
        let (mut path, mut at) = (path, alloc);
        loop {
            if let Some(name) = self.psg.names.get(&at) {
                let file = self.psg.spans[at].file.0 as usize;
                if !self.psg.files.get(file).is_some_and(|f| f.name.starts_with("stdlib/")) {
                    return name.to_string();
                }
            }
            if path == 0 {
                break;
            }
            (path, at) = self.path_of[path as usize];
            if at.index() >= self.psg.nodes.len() {
                break;
            }
        }
        let span = self.psg.spans.get(node).copied().unwrap_or_default();
        let line = self.psg.files.get(span.file.0 as usize).map_or(0, |f| f.lines.line_column(span.start).0);
        format!("{UNNAMED}{line}")
    }

    /// A buffer without a name of its own that is put into a record has the field's.
    fn name_fields(&mut self, ty: TypeId, case: u32, fields: &[Val]) {
        let Some(agg) = self.psg.types.agg(ty).filter(|a| a.kind == AggKind::Record) else { return };
        let Some(case) = agg.cases.get(case as usize) else { return };
        for (field, value) in case.fields.iter().zip(fields) {
            if self.psg.types.buffer_element(field.ty).is_none() {
                continue;
            }
            for location in value.flat().locations {
                let name = &mut self.out.locations[location as usize].name;
                if name.starts_with(UNNAMED) {
                    *name = field.name.to_string();
                }
            }
        }
    }

    fn note_allocation(&mut self, location: u32, id: NodeId, frame: &Frame) {
        let node = &self.psg.nodes[id];
        let operand = |i: usize| node.operands.get(i).map_or(Val::Scalar, |&o| frame.get(o));
        let (agents, hint) = (agents_of(&operand(1)), hint_of(&operand(2)));
        let slot = location as usize;
        if self.out.residency.len() <= slot {
            self.out.residency.resize(slot + 1, super::Residency::default());
        }
        self.out.residency[slot] = super::Residency { agents, hint };
    }
}

/// A new buffer ends what was before only where no older buffer of the place is alive.
fn keep_fresh(block: &mut Block, locations: &[Location], repeated: &[bool]) {
    block.retain_mut(|step| match step {
        Step::Fresh(location) => {
            let root = matches!(locations[*location as usize].kind, LocationKind::RootParam { .. });
            (repeated[*location as usize] || root) && !locations[*location as usize].summary
        }
        Step::Branch(arms) => {
            arms.iter_mut().for_each(|arm| keep_fresh(arm, locations, repeated));
            true
        }
        Step::Loop { head, body, .. } => {
            keep_fresh(head, locations, repeated);
            keep_fresh(body, locations, repeated);
            true
        }
        Step::Event { .. } | Step::Marker(_) | Step::Call(_) | Step::Stop => true,
    });
}

/// `[CPU; GPU_RDNA 0]` as contexts (a GPU by its device). Nothing where the list is not known.
fn agents_of(list: &Val) -> Option<Vec<Context>> {
    let mut out = Vec::new();
    let mut at = list.clone();
    loop {
        match at {
            Val::Agg(agg) if agg.case == 0 && agg.fields.is_empty() => return Some(out),
            Val::Agg(agg) if agg.case == 1 && agg.fields.len() == 2 => {
                out.push(match &agg.fields[0] {
                    Val::Agg(a) if a.case == 0 => Context::Cpu,
                    Val::Agg(a) if a.case == 1 => match a.fields.first() {
                        Some(Val::Int(n)) => Context::Gpu { device: *n as u8, queue: 0 },
                        _ => return None,
                    },
                    Val::Agg(a) if a.case == 2 => Context::Npu,
                    _ => return None,
                });
                at = agg.fields[1].clone();
            }
            _ => return None,
        }
    }
}

fn hint_of(value: &Val) -> Option<u32> {
    match value {
        Val::Agg(agg) => Some(agg.case),
        Val::Int(n) => u32::try_from(*n).ok(),
        Val::Bottom | Val::Scalar | Val::Flat(_) => None,
    }
}

/// The NPU's place in the list of contexts is fixed.
const _: () = assert!(CPU == 0 && NPU == 1);

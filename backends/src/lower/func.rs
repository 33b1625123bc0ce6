//! Functions: names, calling conventions, bodies, and the dispatch on a node's operation.

use super::{Current, FuncFacts, Lower};
use crate::mlir::ops::{Conv, FuncDef, Linkage};
use crate::mlir::{Ty, Value};
use clef_psg::id::{FuncId, Id, IdVec, NodeId, RegionId};
use clef_psg::node::Op;

impl Lower<'_> {
    /// Names every function and decides how it is called.
    pub(super) fn plan_functions(&mut self) {
        let rings = self.tail_rings();
        let psg = self.psg;
        let mut funcs = IdVec::new();
        for (id, func) in psg.funcs.iter() {
            let symbol =
                if func.name.contains('.') { func.name.to_string() } else { format!("clef.{}", func.name) };
            let ring = rings[id.index()];
            funcs.push(FuncFacts {
                symbol,
                conv: if ring.is_some() { Conv::Tail } else { Conv::Fast },
                ring,
            });
        }
        self.funcs = funcs;
    }

    /// The components of the graph of tail calls that have cycles: only there can the stack grow without bound.
    /// Calls of closures may reach every function that a closure is made of; they meet in one more node.
    fn tail_rings(&self) -> Vec<Option<usize>> {
        let psg = self.psg;
        let n = psg.funcs.len();
        let mut edges = vec![Vec::new(); n + 1];
        for (id, _) in psg.funcs.iter() {
            psg.walk_func(id, &mut |node| match psg.nodes[node].op {
                Op::Call { func, tail: true } if func != id => edges[id.index()].push(func.index()),
                Op::CallClosure { tail: true } => edges[id.index()].push(n),
                Op::Closure(func) => edges[n].push(func.index()),
                _ => {}
            });
        }
        let graph = crate::scc::Graph { edges };
        let components = graph.components();
        (0..n).map(|f| components.is_cyclic(f, &graph).then(|| components.of[f])).collect()
    }

    /// Machine types of a function's parameters, without those that are nothing.
    pub(super) fn param_types(&self, func: FuncId) -> Vec<Ty> {
        self.psg.funcs[func].params.iter().filter_map(|&p| self.types[self.psg.nodes[p].ty]).collect()
    }

    pub(super) fn define_func(&mut self, id: FuncId) {
        let psg = self.psg;
        let func = &psg.funcs[id];
        let location = self.location_at(func.span);
        self.cx.set_location(location);
        let params = self.param_types(id);
        let ret = self.ret_type(func.ret);
        let facts = self.funcs[id].clone();
        let def = FuncDef {
            name: &facts.symbol,
            params: &params,
            ret,
            conv: facts.conv,
            linkage: Linkage::Internal,
            flags: &[],
            arg_attrs: None,
            res_attrs: None,
            extra: &[],
        };
        let (_, Some(entry)) = self.cx.func(&def, true) else { return };
        let loops = self.calls_itself_last(id);
        let start = self.cx.append_block(entry, if loops { &params } else { &[] });
        self.current =
            Current { func: Some(id), entry: Some(entry), again: loops.then_some(start), ret: Some(ret) };
        let holder = if loops { start } else { entry };
        let mut n = 0;
        for &p in &func.params {
            if self.types[psg.nodes[p].ty].is_some() {
                self.values[p] = Some(self.cx.arg(holder, n));
                n += 1;
            }
        }
        self.cx.set_block(start);
        let result = self.region(func.body);
        if self.cx.is_reachable() {
            self.cx.set_location(location);
            let result =
                if ret == self.cx.ty.void { None } else { result.or_else(|| Some(self.missing(ret))) };
            self.cx.ret(result);
        }
        let initial: Vec<Value> =
            if loops { (0..params.len()).map(|i| self.cx.arg(entry, i)).collect() } else { vec![] };
        self.close_entry(start, &initial);
    }

    /// Ends the entry block, which collected the stack slots.
    pub(super) fn close_entry(&mut self, start: crate::mlir::Block, args: &[Value]) {
        if let Some(entry) = self.current.entry.take() {
            self.cx.set_block(entry);
            self.cx.br(start, args);
        }
        self.current = Current::default();
    }

    /// A value where the graph gives none though one is needed.
    fn missing(&mut self, ty: Ty) -> Value {
        self.bug(String::from("a region has no result though its function gives a value"));
        self.cx.undef(ty)
    }

    fn calls_itself_last(&self, id: FuncId) -> bool {
        let psg = self.psg;
        let mut found = false;
        psg.walk_func(id, &mut |n| {
            found |= matches!(psg.nodes[n].op, Op::Call { func, tail: true } if func == id);
        });
        found
    }

    /// Lowers a region's nodes; its result, where it has one and its end is reached.
    pub(super) fn region(&mut self, region: RegionId) -> Option<Value> {
        let psg = self.psg;
        for &node in &psg.regions[region].nodes {
            if !self.cx.is_reachable() {
                return None;
            }
            self.node(node);
        }
        if !self.cx.is_reachable() {
            return None;
        }
        psg.regions[region].result.and_then(|r| self.maybe_value(r))
    }

    pub(super) fn node(&mut self, node: NodeId) {
        self.at(node);
        self.waits_before(node);
        let psg = self.psg;
        match &psg.nodes[node].op {
            Op::Const(value) => self.constant(node, value),
            Op::Param(_) | Op::RegionParam(_) => {}
            Op::Binary(op) => self.binary(node, *op),
            Op::Unary(op) => self.unary(node, *op),
            Op::Convert => self.convert(node),
            Op::Make(case) => self.make(node, *case),
            Op::Field { case, field } => self.field(node, *case, *field),
            Op::Tag => self.tag(node),
            Op::SetField(field) => self.set_field(node, *field),
            Op::ArrayLit => self.array_literal(node),
            Op::ArrayNew => self.array_new(node),
            Op::Length => self.length(node),
            Op::ArrayGet { checked } => self.array_get(node, *checked),
            Op::ArraySet { checked } => self.array_set(node, *checked),
            Op::Intrinsic(name) => self.intrinsic(node, name),
            Op::FormatValue(spec) => self.format_value(node, spec),
            Op::Concat => self.concat(node, false),
            Op::Append => self.concat(node, true),
            Op::Print { to_stderr } => self.print(node, *to_stderr),
            Op::Var => self.var(node),
            Op::VarGet => self.var_get(node),
            Op::VarSet => self.var_set(node),
            Op::GlobalGet(global) => self.global_get(node, *global),
            Op::GlobalSet(global) => self.global_set(node, *global),
            Op::Call { func, tail } => self.call(node, *func, *tail),
            Op::CallClosure { tail } => self.call_closure(node, *tail),
            Op::Closure(func) => self.closure(node, *func),
            Op::CallExtern(id) => self.call_extern(node, *id),
            Op::If => self.lower_if(node),
            Op::Switch(values) => self.lower_switch(node, values),
            Op::While => self.as_batch(node, |l| l.lower_while(node)),
            Op::For(kind) => self.as_batch(node, |l| l.lower_for(node, *kind)),
            Op::Parallel => self.parallel(node),
            Op::Fail(kind) => self.fail(node, *kind),
            Op::AllocUnified => self.alloc_unified(node),
            Op::BufferGet { checked } => self.buffer_get(node, *checked),
            Op::BufferSet { checked } => self.buffer_set(node, *checked),
            Op::BufferLength => self.buffer_length(node),
            Op::Dispatch { kernel, agent, device, queue } => {
                self.dispatch(node, *kernel, *agent, *device, *queue)
            }
            Op::Marker => {}
            Op::Barrier => self.barrier(node),
            Op::Group { scope, op } => self.group(node, *scope, *op),
            Op::WorkgroupArray(n) | Op::ItemArray(n) => self.workgroup_array(node, *n),
            Op::Atomic(op) => self.atomic(node, *op),
            Op::Dup => self.dup(node),
            Op::Drop => self.drop_node(node),
            Op::Unpack(case) => self.unpack(node, *case),
            Op::Remake(case) => self.remake(node, *case),
            Op::Discard => self.discard(psg.nodes[node].operands[0]),
        }
        self.waits_after(node);
    }
}

//! The verifier: what every stage may rely on.
//!
//! Checked, for every function, kernel, global and root:
//! - ids are in range; a node stands in one region, a region in one node or function; every node has a span entry
//! - scope: an operand is a parameter or an earlier node of the same region or of one around it
//! - results: a region whose value is used yields a node in scope, of the right type
//! - number of operands and regions of every operation
//! - saturation: calls have the callee's parameters, one for one, of the same types; so have closure calls, closures
//!   (captures), extern calls and dispatches (a buffer parameter takes a `nativeint`)
//! - types of operands and result of every operation, of constants, of variables and globals
//! - cases and fields exist and have the type that the node says; only mutable fields and globals are assigned
//!   (an immutable global once, in the initialiser)
//! - `tail` calls have nothing behind them: they are the last node of the function or of a branch that is
//! - `init` has no parameters, `entry` is `string array -> int`, roots have bodies, names of functions are unique
//! - aggregates have cases; a loop's bounds, variable and step are of one integer type
//!
//! Not checked: that `Field` is reached for the right case only; that a match is exhaustive; reference counts
//! (`Dup`, `Drop`); what kernels may do (that is [`crate::kernel`]'s business); operands of runtime intrinsics.

use crate::graph::Psg;
use crate::id::{FuncId, IdVec, NodeId, RegionId, TypeId};
use crate::node::Op;
use crate::ty::Type;
use clef_frontend::ast::IntKind;
use clef_frontend::span::Span;

mod op;
#[cfg(test)]
mod tests;

/// What is wrong, and where.
#[derive(Clone, PartialEq, Debug)]
pub struct VerifyError {
    /// Name of the function, or of what else is concerned.
    pub place: String,
    pub node: Option<NodeId>,
    pub span: Option<Span>,
    pub message: String,
}

impl std::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.node {
            Some(node) => write!(f, "{}, {node}: {}", self.place, self.message),
            None => write!(f, "{}: {}", self.place, self.message),
        }
    }
}

/// Checks the whole graph; every independent error is reported.
pub fn verify(psg: &Psg) -> Result<(), Vec<VerifyError>> {
    let mut v = Verifier {
        psg,
        errors: Vec::new(),
        func: FuncId(0),
        place: String::new(),
        visible: IdVec::filled(psg.nodes.len(), false),
        placed: IdVec::filled(psg.nodes.len(), false),
        entered: IdVec::filled(psg.regions.len(), false),
        bool: psg.types.types.iter().find(|(_, t)| **t == Type::Bool).map(|(id, _)| id),
    };
    v.tables();
    for id in psg.funcs.ids() {
        v.function(id);
    }
    if v.errors.is_empty() { Ok(()) } else { Err(v.errors) }
}

struct Verifier<'a> {
    psg: &'a Psg,
    errors: Vec<VerifyError>,
    func: FuncId,
    place: String,
    /// By node: in scope at the place being checked.
    visible: IdVec<NodeId, bool>,
    placed: IdVec<NodeId, bool>,
    entered: IdVec<RegionId, bool>,
    /// The type `bool`, where there is one.
    bool: Option<TypeId>,
}

/// A region being checked.
struct Open {
    region: RegionId,
    at: usize,
    /// A call that is last here is last in the function.
    tail: bool,
    /// The type that the region must yield; none where its value is dropped.
    wanted: Option<TypeId>,
}

impl Verifier<'_> {
    fn error(&mut self, node: Option<NodeId>, message: impl Into<String>) {
        let span = node.and_then(|n| self.psg.spans.get(n).copied());
        self.errors.push(VerifyError { place: self.place.clone(), node, span, message: message.into() });
    }

    fn name(&self, ty: TypeId) -> String {
        match self.psg.types.types.get(ty) {
            Some(_) => crate::text::type_name(&self.psg.types, ty),
            None => format!("{ty} (no such type)"),
        }
    }

    fn tables(&mut self) {
        let psg = self.psg;
        self.place = "tables".into();
        if psg.spans.len() != psg.nodes.len() {
            self.error(None, format!("{} nodes but {} spans", psg.nodes.len(), psg.spans.len()));
        }
        for (id, agg) in psg.types.aggs.iter() {
            if agg.cases.is_empty() {
                self.error(None, format!("aggregate {id} `{}` has no case", agg.name));
            }
        }
        let mut names = rustc_hash::FxHashMap::default();
        for (id, func) in psg.funcs.iter() {
            if let Some(other) = names.insert(func.name, id) {
                self.error(None, format!("{other} and {id} are both named `{}`", func.name));
            }
        }
        for func in psg.roots.iter().chain(&psg.init).chain(&psg.entry) {
            if psg.funcs.get(*func).is_none() {
                self.error(None, format!("root {func} does not exist"));
            }
        }
        if let Some(init) = psg.init.and_then(|f| psg.funcs.get(f))
            && !init.params.is_empty()
        {
            self.error(None, "the initialiser has parameters");
        }
        self.entry();
        self.kernels();
    }

    fn entry(&mut self) {
        let psg = self.psg;
        let Some(entry) = psg.entry.and_then(|f| psg.funcs.get(f)) else { return };
        let takes_strings = match entry.params[..] {
            [param] => match psg.types.get(psg.nodes[param].ty) {
                Type::Array(t) => matches!(psg.types.get(*t), Type::String),
                _ => false,
            },
            _ => false,
        };
        if !takes_strings || !matches!(psg.types.get(entry.ret), Type::Int(IntKind::I32)) {
            self.error(None, "the entry point is not of type `string array -> int`");
        }
    }

    fn kernels(&mut self) {
        let psg = self.psg;
        for (id, kernel) in psg.kernels.iter() {
            let Some(func) = kernel.func else { continue };
            let Some(func) = psg.funcs.get(func) else {
                self.error(None, format!("kernel {id} has no such function"));
                continue;
            };
            let same = func.params.len() == kernel.params.len()
                && func.params.iter().zip(&kernel.params).all(|(n, p)| psg.nodes[*n].ty == p.ty);
            if !same {
                self.error(
                    None,
                    format!("kernel {id} `{}` and its function differ in parameters", kernel.name),
                );
            }
        }
    }

    fn function(&mut self, id: FuncId) {
        let psg = self.psg;
        let func = &psg.funcs[id];
        self.func = id;
        self.place = func.name.to_string();
        for (i, &param) in func.params.iter().enumerate() {
            match psg.nodes.get(param) {
                Some(node) if node.op == Op::Param(i as u32) => self.place_node(param),
                _ => self.error(None, format!("{param} is not parameter {i}")),
            }
        }
        if func.captures as usize > func.params.len() {
            self.error(None, "more captures than parameters");
        }
        let unit = matches!(psg.types.types.get(func.ret), Some(Type::Unit));
        let wanted = if unit { None } else { Some(func.ret) };
        self.regions(Open { region: func.body, at: 0, tail: true, wanted });
        for &param in &func.params {
            if psg.nodes.get(param).is_some() {
                self.visible[param] = false;
            }
        }
    }

    fn place_node(&mut self, node: NodeId) {
        if std::mem::replace(&mut self.placed[node], true) {
            self.error(Some(node), "stands in two places");
        }
        self.visible[node] = true;
    }

    /// All regions of a function, with a stack of its own, so that nesting costs no stack.
    fn regions(&mut self, body: Open) {
        let mut open = Vec::new();
        self.enter(body, &mut open);
        while let Some(top) = open.last_mut() {
            let region = &self.psg.regions[top.region];
            let Some(&node) = region.nodes.get(top.at) else {
                if let Some(top) = open.pop() {
                    self.leave(&top);
                }
                continue;
            };
            top.at += 1;
            let last = top.at == region.nodes.len();
            let (in_tail, wanted) = (top.tail && last, top.wanted);
            if self.psg.nodes.get(node).is_none() {
                self.error(None, format!("{node} does not exist"));
                continue;
            }
            let is_result = region.result == Some(node) || wanted.is_none();
            self.node(node, in_tail && is_result);
            let inner = self.inner(node, in_tail && is_result);
            // The node itself is visible behind its regions only.
            for region in inner.into_iter().rev() {
                self.enter(region, &mut open);
            }
        }
    }

    fn enter(&mut self, open: Open, stack: &mut Vec<Open>) {
        let psg = self.psg;
        let Some(region) = psg.regions.get(open.region) else {
            return self.error(None, format!("region {} does not exist", open.region));
        };
        if std::mem::replace(&mut self.entered[open.region], true) {
            return self.error(None, format!("region {} stands in two places", open.region));
        }
        for (i, &param) in region.params.iter().enumerate() {
            match psg.nodes.get(param) {
                Some(node) if node.op == Op::RegionParam(i as u32) => self.place_node(param),
                _ => self.error(None, format!("{param} is not parameter {i} of {}", open.region)),
            }
        }
        stack.push(open);
    }

    fn leave(&mut self, open: &Open) {
        let psg = self.psg;
        let region = &psg.regions[open.region];
        if let Some(wanted) = open.wanted {
            match region.result {
                None => {
                    let name = self.name(wanted);
                    self.error(
                        region.nodes.last().copied(),
                        format!("region {} yields nothing, not `{name}`", open.region),
                    );
                }
                Some(result) => match psg.nodes.get(result) {
                    None => self.error(None, format!("result {result} does not exist")),
                    Some(_) if !self.visible[result] => {
                        self.error(Some(result), format!("result of {} is not in scope", open.region));
                    }
                    Some(node) if node.ty != wanted => {
                        let (a, b) = (self.name(node.ty), self.name(wanted));
                        self.error(Some(result), format!("result of {} is `{a}`, not `{b}`", open.region));
                    }
                    Some(_) => {}
                },
            }
        }
        for &node in region.nodes.iter().chain(&region.params) {
            if psg.nodes.get(node).is_some() {
                self.visible[node] = false;
            }
        }
    }

    /// The regions of a node, with what is asked of them.
    fn inner(&mut self, id: NodeId, in_tail: bool) -> Vec<Open> {
        let node = &self.psg.nodes[id];
        let value = match self.psg.types.types.get(node.ty) {
            Some(Type::Unit) | None => None,
            Some(_) => Some(node.ty),
        };
        let bool = self.bool;
        node.regions
            .iter()
            .enumerate()
            .map(|(i, region)| {
                let (tail, wanted) = match &node.op {
                    Op::If | Op::Switch(_) => (in_tail, value),
                    Op::While if i == 0 => (false, bool),
                    _ => (false, None),
                };
                Open { region: *region, at: 0, tail, wanted }
            })
            .collect()
    }

    fn node(&mut self, id: NodeId, in_tail: bool) {
        let psg = self.psg;
        let node = &psg.nodes[id];
        let mut fine = true;
        for &operand in &node.operands {
            if psg.nodes.get(operand).is_none() {
                self.error(Some(id), format!("operand {operand} does not exist"));
                fine = false;
            } else if !self.visible[operand] {
                self.error(Some(id), format!("operand {operand} is not in scope"));
                fine = false;
            }
        }
        if psg.types.types.get(node.ty).is_none() {
            self.error(Some(id), format!("type {} does not exist", node.ty));
            fine = false;
        }
        if fine {
            self.operation(id, in_tail);
        }
        self.place_node(id);
    }
}

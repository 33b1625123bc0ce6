//! The graph as a picture or data: DOT, JSON, and a page for a browser.
//!
//! [`Graph`] is the petgraph view: nodes are the operations of the program's own functions (the library's are left
//! out), edges say how they belong together. With a fence plan, its handoffs are edges too. Same graph, same bytes.

mod dot;
mod html;
mod json;

use crate::graph::Psg;
use crate::id::{FuncId, Id, IdVec, NodeId, RegionId};
use crate::node::Op;
use crate::plan::FencePlan;
use petgraph::graph::{DiGraph, NodeIndex};

pub use dot::to_dot;
pub use html::to_html;
pub use json::to_json;

/// How two operations belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// The first one's value is the second one's operand, by position.
    Data(u32),
    /// The second one is executed directly after the first, in one region.
    Next,
    /// The second one is the first operation of a region of the first.
    Region(u32),
    /// The first one calls the function that begins with the second.
    Call,
    /// A handoff of the fence plan, by index.
    Handoff(u32),
}

impl Edge {
    pub fn name(self) -> &'static str {
        match self {
            Edge::Data(_) => "data",
            Edge::Next => "next",
            Edge::Region(_) => "region",
            Edge::Call => "call",
            Edge::Handoff(_) => "handoff",
        }
    }
}

/// The petgraph view of a program.
pub struct Graph {
    pub graph: DiGraph<NodeId, Edge, u32>,
    /// Functions shown, with their operations in order.
    pub funcs: Vec<(FuncId, Vec<NodeId>)>,
}

/// Files of the library are shown under this folder.
const LIBRARY: &str = "stdlib/";

impl Graph {
    pub fn new(psg: &Psg, plan: Option<&FencePlan>) -> Self {
        let mut view = Self { graph: DiGraph::default(), funcs: Vec::new() };
        let mut index: IdVec<NodeId, Option<NodeIndex>> = IdVec::filled(psg.nodes.len(), None);
        for (id, func) in psg.funcs.iter() {
            let own = psg.files.get(func.span.file.0 as usize).is_none_or(|f| !f.name.starts_with(LIBRARY));
            if !own {
                continue;
            }
            let mut nodes = func.params.clone();
            psg.walk_func(id, &mut |node| {
                for &region in &psg.nodes[node].regions {
                    nodes.extend(&psg.regions[region].params);
                }
                nodes.push(node);
            });
            for &node in &nodes {
                index[node] = Some(view.graph.add_node(node));
            }
            view.funcs.push((id, nodes));
        }
        view.add_edges(psg, &index);
        if let Some(plan) = plan {
            view.add_handoffs(plan, &index);
        }
        view
    }

    fn add_edges(&mut self, psg: &Psg, index: &IdVec<NodeId, Option<NodeIndex>>) {
        let mut edges = Vec::new();
        for (func, nodes) in &self.funcs {
            Self::region_edges(psg, psg.funcs[*func].body, &mut edges);
            for &node in nodes {
                let n = &psg.nodes[node];
                edges.extend(n.operands.iter().enumerate().map(|(i, &o)| (o, node, Edge::Data(i as u32))));
                for (i, &region) in n.regions.iter().enumerate() {
                    if let Some(&first) = psg.regions[region].nodes.first() {
                        edges.push((node, first, Edge::Region(i as u32)));
                    }
                    Self::region_edges(psg, region, &mut edges);
                }
                if let Op::Call { func, .. } | Op::Closure(func) = n.op {
                    if let Some(&first) = psg.regions[psg.funcs[func].body].nodes.first() {
                        edges.push((node, first, Edge::Call));
                    }
                }
            }
        }
        for (from, to, edge) in edges {
            if let (Some(a), Some(b)) = (index[from], index[to]) {
                self.graph.add_edge(a, b, edge);
            }
        }
    }

    fn region_edges(psg: &Psg, region: RegionId, edges: &mut Vec<(NodeId, NodeId, Edge)>) {
        edges.extend(psg.regions[region].nodes.windows(2).map(|pair| (pair[0], pair[1], Edge::Next)));
    }

    fn add_handoffs(&mut self, plan: &FencePlan, index: &IdVec<NodeId, Option<NodeIndex>>) {
        for (i, handoff) in plan.handoffs.iter().enumerate() {
            let node =
                |access: u32| plan.accesses.get(access as usize).and_then(|a| index.get(a.node).copied()?);
            if let (Some(a), Some(b)) = (node(handoff.from), node(handoff.to)) {
                self.graph.add_edge(a, b, Edge::Handoff(i as u32));
            }
        }
    }
}

/// `File.clef:12:5` of a node.
fn place(psg: &Psg, node: NodeId) -> String {
    let span = psg.spans[node];
    psg.files.get(span.file.0 as usize).map_or_else(String::new, |file| {
        let (line, column) = file.lines.line_column(span.start);
        format!("{}:{line}:{column}", file.name)
    })
}

/// Whether an operation is about agents: what pictures emphasise.
fn about_agents(op: &Op) -> bool {
    matches!(
        op,
        Op::Dispatch { .. }
            | Op::Marker
            | Op::AllocUnified
            | Op::BufferGet { .. }
            | Op::BufferSet { .. }
            | Op::Atomic(_)
            | Op::CallExtern(_)
            | Op::Parallel
    )
}

/// Number of a node for output.
fn number(node: NodeId) -> usize {
    node.index()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::FuncBuilder;
    use crate::node::Const;
    use crate::ty::Type;
    use clef_frontend::ast::IntKind;
    use clef_frontend::span::Span;

    fn sample() -> Psg {
        let mut psg = Psg::default();
        let int = psg.ty(Type::Int(IntKind::I32));
        let boolean = psg.ty(Type::Bool);
        let mut f = FuncBuilder::new(&mut psg, Span::default());
        let x = f.param(int);
        let yes = f.constant(Const::Bool(true), boolean);
        f.open();
        let one = f.constant(Const::Int(1), int);
        let then = f.close(Some(one));
        f.open();
        let otherwise = f.close(Some(x));
        let result = f.push_with(Op::If, &[yes], &[then, otherwise], int);
        f.finish("Main.<f>", int, Some(result), 0);
        psg
    }

    #[test]
    fn edges_say_how_operations_belong_together() {
        let view = Graph::new(&sample(), None);
        let mut kinds: Vec<&str> = view.graph.edge_weights().map(|e| e.name()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["data", "next", "region"]);
    }

    #[test]
    fn forms_escape_names_and_repeat_themselves() {
        let psg = sample();
        let (dot, page) = (to_dot(&psg, None), to_html(&psg, None));
        assert_eq!(dot, to_dot(&psg, None));
        assert!(dot.contains("label=\"Main.<f>\""));
        assert!(page.contains("Main.&lt;f&gt;") && !page.contains("Main.<f>"));
        let data: serde_json::Value = serde_json::from_str(&to_json(&psg, None)).unwrap_or_default();
        assert_eq!(data["functions"][0]["name"], "Main.<f>");
    }
}

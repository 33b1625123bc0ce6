//! The graph in Graphviz's language: one cluster a function, handoffs in red.

use super::{Edge, Graph, about_agents, number, place};
use crate::graph::Psg;
use crate::plan::FencePlan;
use crate::text::node_text;
use petgraph::visit::EdgeRef;
use std::fmt::Write as _;

pub fn to_dot(psg: &Psg, plan: Option<&FencePlan>) -> String {
    let view = Graph::new(psg, plan);
    let mut out = String::from(
        "digraph psg {\n  rankdir=TB;\n  node [shape=box, fontname=\"monospace\", fontsize=9];\n  edge [fontsize=8];\n",
    );
    for (n, (func, nodes)) in view.funcs.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{n} {{\n    label=\"{}\";", escape(&psg.funcs[*func].name));
        for &node in nodes {
            let style =
                if about_agents(&psg.nodes[node].op) { ", style=filled, fillcolor=\"#ffe9b3\"" } else { "" };
            let _ = writeln!(
                out,
                "    n{} [label=\"{}\", tooltip=\"{}\"{style}];",
                number(node),
                escape(&node_text(psg, node)),
                escape(&place(psg, node))
            );
        }
        out.push_str("  }\n");
    }
    for edge in view.graph.edge_references() {
        let (a, b) = (view.graph[edge.source()], view.graph[edge.target()]);
        let style = match *edge.weight() {
            Edge::Data(i) => format!("color=\"#4a7ebb\", label=\"{i}\""),
            Edge::Next => "color=\"#999999\", style=dotted".to_owned(),
            Edge::Region(_) => "color=black, arrowhead=odot".to_owned(),
            Edge::Call => "color=\"#2a7a2a\", style=dashed, constraint=false".to_owned(),
            Edge::Handoff(i) => format!(
                "color=red, penwidth=2, constraint=false, label=\"{}\"",
                plan.and_then(|p| p.handoffs.get(i as usize)).map_or("", |h| h.kind.text())
            ),
        };
        let _ = writeln!(out, "  n{} -> n{} [{style}];", number(a), number(b));
    }
    out.push_str("}\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

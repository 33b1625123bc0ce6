//! The graph as JSON: functions with their operations in order, edges by kind, and the plan's handoffs.

use super::{Edge, Graph, number, place};
use crate::graph::Psg;
use crate::plan::FencePlan;
use crate::text::{node_text, type_name};
use petgraph::visit::EdgeRef;
use serde_json::{Value, json};

pub fn to_json(psg: &Psg, plan: Option<&FencePlan>) -> String {
    let view = Graph::new(psg, plan);
    let functions: Vec<Value> = view
        .funcs
        .iter()
        .map(|(func, nodes)| {
            let listed: Vec<Value> = nodes
                .iter()
                .map(|&node| {
                    json!({ "id": number(node), "text": node_text(psg, node),
                            "type": type_name(&psg.types, psg.nodes[node].ty), "place": place(psg, node) })
                })
                .collect();
            json!({ "name": psg.funcs[*func].name.as_str(), "nodes": listed })
        })
        .collect();
    let edges: Vec<Value> = view
        .graph
        .edge_references()
        .map(|e| {
            let (a, b) = (number(view.graph[e.source()]), number(view.graph[e.target()]));
            let index = match *e.weight() {
                Edge::Data(i) | Edge::Region(i) | Edge::Handoff(i) => Some(i),
                Edge::Next | Edge::Call => None,
            };
            json!({ "from": a, "to": b, "kind": e.weight().name(), "index": index })
        })
        .collect();
    format!("{:#}\n", json!({ "version": 1, "functions": functions, "edges": edges }))
}

//! The plan as JSON: version 1 of the format that docs/fences.md describes. Deterministic.

use super::place;
use crate::graph::Psg;
use crate::id::NodeId;
use crate::plan::{Access, AccessKind, Context, Element, ElementKind, FencePlan, HandoffKind, Point, Scope};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One object, with a newline at its end.
pub fn to_json(psg: &Psg, plan: &FencePlan) -> String {
    let contexts = contexts(plan);
    let numbers = numbers(plan);
    let value = json!({
        "version": 1,
        "target": plan.table.name.as_str(),
        "buffers": buffers(psg, plan),
        "accesses": plan.accesses.iter().enumerate().map(|(i, a)| access(psg, &numbers, i, a)).collect::<Vec<_>>(),
        "handoffs": handoffs(plan),
        "plan": plan.elements.iter().enumerate().map(|(i, e)| element(psg, &contexts, &numbers, i, e)).collect::<Vec<_>>(),
        "cost": plan.cost(),
        "markers": markers(psg, plan),
    });
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

/// Numbers of nodes in the output, in the order in which they appear: what else the program holds does not show.
type Numbers = BTreeMap<NodeId, usize>;

fn numbers(plan: &FencePlan) -> Numbers {
    let mut numbers = Numbers::new();
    let mut give = |node: NodeId| {
        let next = numbers.len();
        numbers.entry(node).or_insert(next);
    };
    plan.accesses.iter().for_each(|a| give(a.node));
    for element in &plan.elements {
        match element.kind {
            ElementKind::Wait { at: Point::Before(n) | Point::After(n), on } => {
                [n, on].into_iter().for_each(&mut give)
            }
            ElementKind::BarrierAnd { before, on } | ElementKind::Semaphore { before, on } => {
                [before, on].into_iter().for_each(&mut give);
            }
            ElementKind::PipelineBarrier { at: Point::Before(n) | Point::After(n) }
            | ElementKind::Release { dispatch: n, .. }
            | ElementKind::Acquire { dispatch: n, .. }
            | ElementKind::Clean { dispatch: n } => give(n),
        }
    }
    numbers
}

/// The context of each node with accesses.
fn contexts(plan: &FencePlan) -> BTreeMap<NodeId, Context> {
    plan.accesses.iter().map(|a| (a.node, a.context)).collect()
}

fn buffers(psg: &Psg, plan: &FencePlan) -> Vec<Value> {
    plan.locations
        .iter()
        .enumerate()
        .map(|(i, location)| {
            let mut out = Map::new();
            out.insert("id".into(), json!(i));
            out.insert("name".into(), json!(location.name));
            let (file, line, column) = location.node.map_or(("?".into(), 0, 0), |n| place(psg, n));
            out.insert("file".into(), json!(file));
            out.insert("line".into(), json!(line));
            out.insert("column".into(), json!(column));
            if location.summary {
                out.insert("summary".into(), json!(true));
            }
            Value::Object(out)
        })
        .collect()
}

fn access(psg: &Psg, numbers: &Numbers, id: usize, access: &Access) -> Value {
    let (file, line, column) = place(psg, access.node);
    let mut out = json!({
        "id": id,
        "node": numbers.get(&access.node).copied().unwrap_or_default(),
        "agent": access.context.to_string(),
        "mode": access.mode.text(),
        "buffer": access.location,
        "file": file,
        "line": line,
        "column": column,
    });
    if access.covers {
        out["covers"] = json!(true);
    }
    match access.what {
        AccessKind::Kernel(kernel) => {
            if let Some(kernel) = psg.kernels.get(kernel) {
                out["kernel"] = json!(kernel.name.as_str());
            }
        }
        AccessKind::Extern(x) => {
            if let Some(x) = psg.externs.get(x) {
                out["extern"] = json!(x.entry.as_str());
            }
        }
        AccessKind::Boundary => out["boundary"] = json!(true),
        AccessKind::Host => {}
    }
    out
}

fn handoffs(plan: &FencePlan) -> Vec<Value> {
    let rows = plan.handoffs.iter().zip(&plan.certificate).enumerate();
    rows.map(|(i, (handoff, chain))| {
        json!({
            "id": i,
            "from": handoff.from,
            "to": handoff.to,
            "kind": handoff.kind.text(),
            "buffer": handoff.location,
            "chain": chain.elements,
            "reason": chain.reason,
        })
    })
    .collect()
}

fn element(
    psg: &Psg,
    contexts: &BTreeMap<NodeId, Context>,
    numbers: &Numbers,
    id: usize,
    element: &Element,
) -> Value {
    let number = |node: &NodeId| numbers.get(node).copied().unwrap_or_default();
    let agent = |node: NodeId| contexts.get(&node).map_or_else(|| "GPU0.0".to_owned(), ToString::to_string);
    let scope = |scope: Scope| if scope == Scope::System { "system" } else { "agent" };
    let (kind, who, node, after) = match element.kind {
        ElementKind::Wait { at: Point::Before(n), .. } => ("wait", "CPU".to_owned(), n, false),
        ElementKind::Wait { at: Point::After(n), .. } => ("wait", "CPU".to_owned(), n, true),
        ElementKind::BarrierAnd { before, .. } => ("barrier", agent(before), before, false),
        ElementKind::PipelineBarrier { at: Point::Before(n) } => ("barrier", agent(n), n, false),
        ElementKind::PipelineBarrier { at: Point::After(n) } => ("barrier", agent(n), n, true),
        ElementKind::Semaphore { before, .. } => ("semaphore", agent(before), before, false),
        ElementKind::Release { dispatch, .. } => ("release", agent(dispatch), dispatch, false),
        ElementKind::Acquire { dispatch, .. } => ("acquire", agent(dispatch), dispatch, false),
        ElementKind::Clean { dispatch } => ("clean", "NPU".to_owned(), dispatch, false),
    };
    let (file, line, column) = place(psg, node);
    let mut out = json!({
        "id": id,
        "kind": kind,
        "agent": who,
        "node": number(&node),
        "file": file,
        "line": line,
        "column": column,
        "cost": element.cost,
        "covers": element.covers,
    });
    if after {
        out["position"] = json!("after");
    }
    match element.kind {
        ElementKind::Wait { on, .. }
        | ElementKind::BarrierAnd { on, .. }
        | ElementKind::Semaphore { on, .. } => {
            out["on"] = json!(number(&on));
        }
        ElementKind::Release { scope: s, .. } | ElementKind::Acquire { scope: s, .. } => {
            out["scope"] = json!(scope(s))
        }
        ElementKind::PipelineBarrier { .. } | ElementKind::Clean { .. } => {}
    }
    out
}

fn markers(psg: &Psg, plan: &FencePlan) -> Vec<Value> {
    let mut out = Vec::new();
    for marker in &plan.markers {
        let (file, line, column) = place(psg, marker.node);
        for &location in &marker.locations {
            let announces: Vec<u32> = marker
                .announces
                .iter()
                .copied()
                .filter(|&h| {
                    let handoff = &plan.handoffs[h as usize];
                    handoff.location == location && handoff.kind == HandoffKind::WriteRead
                })
                .collect();
            out.push(json!({
                "file": file,
                "line": line,
                "column": column,
                "buffer": location,
                "redundant": announces.is_empty(),
                "announces": announces,
            }));
        }
    }
    out
}

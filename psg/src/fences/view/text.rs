//! The plan as a table for people: each handoff with both places, what it gets and why, and what it costs.

use super::place;
use crate::graph::Psg;
use crate::id::NodeId;
use crate::plan::{Access, AccessKind, Element, ElementKind, FencePlan, Point, Scope};
use std::fmt::Write;

/// The whole plan.
pub fn to_text(psg: &Psg, plan: &FencePlan) -> String {
    let mut out = String::new();
    let n = plan.handoffs.len();
    let _ = writeln!(
        out,
        "{n} handoff{}, {} synchronisation element{}, cost {} on {}\n",
        if n == 1 { "" } else { "s" },
        plan.elements.len(),
        if plan.elements.len() == 1 { "" } else { "s" },
        plan.cost(),
        plan.table.name
    );
    for (i, (handoff, chain)) in plan.handoffs.iter().zip(&plan.certificate).enumerate() {
        let (a, b) = (&plan.accesses[handoff.from as usize], &plan.accesses[handoff.to as usize]);
        let location = &plan.locations[handoff.location as usize];
        let _ =
            writeln!(out, "#{i}  {}  {}  {} -> {}", location.name, handoff.kind.text(), a.context, b.context);
        let _ = writeln!(out, "    from  {}", access(psg, a));
        let _ = writeln!(out, "    to    {}", access(psg, b));
        let needs = if chain.elements.is_empty() { "needs nothing: " } else { "" };
        let _ = writeln!(out, "    {needs}{}", chain.reason);
        for &e in &chain.elements {
            let _ = writeln!(out, "      [{e}] {}", element(psg, &plan.elements[e as usize]));
        }
        out.push('\n');
    }
    if !plan.elements.is_empty() {
        out.push_str("Elements\n");
        for (i, e) in plan.elements.iter().enumerate() {
            let covers: Vec<String> = e.covers.iter().map(|h| format!("#{h}")).collect();
            let _ = writeln!(out, "  [{i}] {}, for {}", element(psg, e), covers.join(" "));
        }
    }
    markers(psg, plan, &mut out);
    out
}

fn markers(psg: &Psg, plan: &FencePlan, out: &mut String) {
    if plan.markers.is_empty() {
        return;
    }
    out.push_str("\nMarkers (signalCompletion changes nothing; this is what each announces)\n");
    for marker in &plan.markers {
        let names: Vec<&str> =
            marker.locations.iter().map(|&l| plan.locations[l as usize].name.as_str()).collect();
        let says = if marker.announces.is_empty() {
            "no handoff: redundant".to_owned()
        } else {
            let list: Vec<String> = marker.announces.iter().map(|h| format!("#{h}")).collect();
            format!("handoff {}", list.join(" "))
        };
        let _ = writeln!(out, "  {}  {}: {says}", at(psg, marker.node), names.join(", "));
    }
}

fn at(psg: &Psg, node: NodeId) -> String {
    let (file, line, column) = place(psg, node);
    format!("{file}:{line}:{column}")
}

fn access(psg: &Psg, access: &Access) -> String {
    let what = match access.what {
        AccessKind::Host => "host access".to_owned(),
        AccessKind::Kernel(k) => {
            psg.kernels.get(k).map_or_else(String::new, |k| format!("kernel {}", k.name))
        }
        AccessKind::Extern(x) => {
            psg.externs.get(x).map_or_else(String::new, |x| format!("extern {}", x.entry))
        }
        AccessKind::Boundary => "caller of the exported function".to_owned(),
    };
    let all = if access.covers { " (all of it)" } else { "" };
    format!("{}  {} {}{all}, {what}", at(psg, access.node), access.context, access.mode.text())
}

/// One element in words: what it is, where it stands, what it costs.
pub fn element(psg: &Psg, element: &Element) -> String {
    let scope = |s: Scope| if s == Scope::System { "system" } else { "agent" };
    let side = |p: Point| match p {
        Point::Before(n) => format!("before {}", at(psg, n)),
        Point::After(n) => format!("behind {}", at(psg, n)),
    };
    let text = match element.kind {
        ElementKind::Wait { at: p, on } => {
            format!("host waits {} for the dispatch at {}", side(p), at(psg, on))
        }
        ElementKind::BarrierAnd { before, on } => {
            format!("barrier-and packet before {} on the dispatch at {}", at(psg, before), at(psg, on))
        }
        ElementKind::Semaphore { before, on } => {
            format!("semaphore before {} on the dispatch at {}", at(psg, before), at(psg, on))
        }
        ElementKind::PipelineBarrier { at: p } => format!("pipeline barrier {}", side(p)),
        ElementKind::Release { dispatch, scope: s } => {
            format!("release {} at {}", scope(s), at(psg, dispatch))
        }
        ElementKind::Acquire { dispatch, scope: s } => {
            format!("acquire {} at {}", scope(s), at(psg, dispatch))
        }
        ElementKind::Clean { dispatch } => format!("cache clean at the doorbell of {}", at(psg, dispatch)),
    };
    format!("{text} (cost {})", element.cost)
}

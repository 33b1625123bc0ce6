//! The graph as one page without outside parts: functions as lists of operations, handoffs as a table whose rows jump
//! to the operations.

use super::{Graph, about_agents, number, place};
use crate::graph::Psg;
use crate::plan::FencePlan;
use crate::text::node_text;
use std::fmt::Write as _;

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Program semantic graph</title>\n\
<style>body{font:14px/1.4 system-ui,sans-serif;margin:2em;max-width:75em}code{font:12px monospace}\
li:target,tr:hover{background:#fff3c4}.agent{background:#ffe9b3}.place{color:#777;font-size:11px}\
table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}\
ol{list-style:none;padding-left:0}</style></head><body>\n<h1>Program semantic graph</h1>\n";

pub fn to_html(psg: &Psg, plan: Option<&FencePlan>) -> String {
    let view = Graph::new(psg, plan);
    let mut out = String::from(HEAD);
    if let Some(plan) = plan {
        handoffs(psg, plan, &mut out);
    }
    for (func, nodes) in &view.funcs {
        let _ = writeln!(out, "<h2><code>{}</code></h2>\n<ol>", escape(&psg.funcs[*func].name));
        for &node in nodes {
            let class = if about_agents(&psg.nodes[node].op) { " class=\"agent\"" } else { "" };
            let _ = writeln!(
                out,
                "<li id=\"n{}\"{class}><code>{}</code> <span class=\"place\">{}</span></li>",
                number(node),
                escape(&node_text(psg, node)),
                escape(&place(psg, node))
            );
        }
        out.push_str("</ol>\n");
    }
    out.push_str("</body></html>\n");
    out
}

fn handoffs(psg: &Psg, plan: &FencePlan, out: &mut String) {
    let _ = writeln!(
        out,
        "<h2>Handoffs on {}</h2>\n<table><tr><th>kind</th><th>from</th><th>to</th><th>why it is safe</th></tr>",
        escape(&plan.table.name)
    );
    for (i, handoff) in plan.handoffs.iter().enumerate() {
        let cell = |access: u32| {
            plan.accesses.get(access as usize).map_or_else(String::new, |a| {
                let shown = format!("{} {}", a.context, place(psg, a.node));
                format!("<a href=\"#n{}\">{}</a>", number(a.node), escape(&shown))
            })
        };
        let reason = plan.certificate.get(i).map_or("", |c| c.reason.as_str());
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            handoff.kind.text(),
            cell(handoff.from),
            cell(handoff.to),
            escape(reason)
        );
    }
    out.push_str("</table>\n");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

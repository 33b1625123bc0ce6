//! What a kernel may not do, and what may not be done with it.

use super::facts::KernelFacts;
use crate::graph::{Kernel, Psg};
use crate::id::{FuncId, RegionId};
use crate::node::Op;
use crate::ty::Type;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::typed::AgentKind;

/// Operations that kernels do not have. Each kind is reported once for a kernel.
pub(super) fn check_body(psg: &Psg, kernel: &Kernel, func: FuncId) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut said: Vec<&str> = Vec::new();
    psg.walk_func(func, &mut |node| {
        let Some((what, help)) = forbidden(psg, &psg.nodes[node].op) else { return };
        if said.contains(&what) {
            return;
        }
        said.push(what);
        let text = format!("kernel `{}` {what}", kernel.name);
        found.push(
            Diagnostic::error(codes::KERNEL_BODY, psg.spans[node], text)
                .here("in the kernel's body")
                .label(kernel.span, "the kernel")
                .help(help),
        );
    });
    barriers(psg, kernel, psg.funcs[func].body, false, &mut found);
    found
}

fn forbidden(psg: &Psg, op: &Op) -> Option<(&'static str, &'static str)> {
    Some(match op {
        Op::AllocUnified => {
            ("allocates a buffer", "allocate it before the dispatch and pass it as a parameter")
        }
        Op::ArrayNew | Op::ArrayLit => ("makes an array", "use a buffer parameter, or scalar locals"),
        Op::Concat | Op::FormatValue(_) | Op::Print { .. } => (
            "makes or prints text",
            "write results to a buffer; format and print them after the dispatch, on the host",
        ),
        Op::CallExtern(_) => ("calls a foreign function", "call it before or after the dispatch"),
        Op::GlobalSet(_) => ("assigns a top-level value", "write to a buffer parameter instead"),
        Op::GlobalGet(g) if psg.globals[*g].is_mutable => {
            ("reads a mutable top-level value", "pass its value as a parameter of the kernel")
        }
        Op::Closure(_) | Op::CallClosure { .. } => {
            ("uses a function value", "call a named function, or write the expression in place")
        }
        Op::Dispatch { .. } => {
            ("dispatches a kernel", "dispatch both kernels from the host, one after the other")
        }
        _ => return None,
    })
}

/// `barrier ()` outside a parallel loop synchronises nothing.
fn barriers(psg: &Psg, kernel: &Kernel, region: RegionId, inside: bool, found: &mut Vec<Diagnostic>) {
    for &node in &psg.regions[region].nodes {
        let n = &psg.nodes[node];
        if n.op == Op::Barrier && !inside {
            let text = format!("kernel `{}` has a barrier outside its parallel loops", kernel.name);
            found.push(
                Diagnostic::error(codes::KERNEL_DOMAIN, psg.spans[node], text).help(
                    "a barrier is for work-items of one parallel loop; between two loops none is needed",
                ),
            );
        }
        for &r in &n.regions {
            barriers(psg, kernel, r, inside || n.op == Op::Parallel, found);
        }
    }
}

/// A kernel with a value runs on the CPU only.
pub(super) fn check_dispatches(psg: &Psg, _: &KernelFacts) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (node, n) in psg.nodes.iter() {
        let Op::Dispatch { kernel, agent, .. } = n.op else { continue };
        let declared = &psg.kernels[kernel];
        let Some(func) = declared.func else { continue };
        if agent == AgentKind::Cpu || matches!(psg.types.get(psg.funcs[func].ret), Type::Unit) {
            continue;
        }
        let text = format!("kernel `{}` has a value, so it can be dispatched on the CPU only", declared.name);
        found.push(
            Diagnostic::error(codes::KERNEL_VALUE, psg.spans[node], text)
                .here("dispatched here")
                .label(declared.span, "returns a value")
                .help("let the kernel write its result to a buffer parameter and return unit, or use `CPU.dispatch`"),
        );
    }
    found
}

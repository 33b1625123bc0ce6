//! Launch phases: how a kernel's top level splits into scalar code and loop nests.

use super::facts::{KernelShape, Obstacle, Phase};
use crate::graph::{Kernel, Psg};
use crate::id::{FuncId, NodeId, RegionId};
use crate::node::{GroupOp, Op};
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;

/// Dimensions of a launch domain.
const DEEPEST: usize = 3;

/// The shape, with what is wrong with it on any agent.
pub(super) fn shape(psg: &Psg, kernel: &Kernel, func: FuncId) -> (KernelShape, Vec<Diagnostic>) {
    let mut shape = KernelShape { func, phases: Vec::new(), obstacle: None };
    let mut prologue: Vec<NodeId> = Vec::new();
    let mut serial: Vec<NodeId> = Vec::new();
    for &node in &psg.regions[psg.funcs[func].body].nodes {
        if psg.nodes[node].op == Op::Parallel {
            flush(&mut shape, &mut serial, &prologue);
            let (phase, obstacle) = nest(psg, node, &prologue);
            shape.phases.push(phase);
            shape.obstacle = shape.obstacle.or(obstacle);
        } else if is_pure(psg, node) {
            prologue.push(node);
        } else {
            if let Some(inner) = parallel_inside(psg, node) {
                let why =
                    "a parallel loop inside a condition or a sequential loop cannot be launched on a GPU"
                        .into();
                shape.obstacle.get_or_insert(Obstacle { node: inner, why });
            } else if matches!(psg.nodes[node].op, Op::Var | Op::VarGet | Op::VarSet) {
                let why = "a mutable local outside the parallel loops cannot be used on a GPU".into();
                shape.obstacle.get_or_insert(Obstacle { node, why });
            }
            serial.push(node);
        }
    }
    flush(&mut shape, &mut serial, &prologue);
    let found = too_deep(psg, kernel, func);
    (shape, found)
}

/// Top-level effects so far become a phase of one work-item.
fn flush(shape: &mut KernelShape, serial: &mut Vec<NodeId>, prologue: &[NodeId]) {
    if !serial.is_empty() {
        let serial = std::mem::take(serial);
        shape.phases.push(Phase { prologue: prologue.to_vec(), loops: Vec::new(), body: None, serial });
    }
}

/// The phase that begins with a `Parallel` node: follows directly nested ones while nothing but pure code is between.
fn nest(psg: &Psg, outermost: NodeId, prologue: &[NodeId]) -> (Phase, Option<Obstacle>) {
    let mut loops = vec![outermost];
    let mut region = psg.nodes[outermost].regions[0];
    let mut inside = psg.regions[region].params.to_vec();
    let mut obstacle = None;
    while loops.len() < DEEPEST {
        let nodes = &psg.regions[region].nodes;
        let Some(&inner) = nodes.iter().find(|&&n| psg.nodes[n].op == Op::Parallel) else { break };
        if nodes.iter().any(|&n| n != inner && !is_pure(psg, n)) {
            let why =
                "statements beside a nested parallel loop cannot be launched on a GPU; move them into it"
                    .into();
            obstacle = Some(Obstacle { node: inner, why });
            break;
        }
        if psg.nodes[inner].operands.iter().any(|&bound| depends(psg, bound, &inside)) {
            let why = "the bounds of a nested parallel loop depend on the outer loop".into();
            obstacle = Some(Obstacle { node: inner, why });
            break;
        }
        loops.push(inner);
        region = psg.nodes[inner].regions[0];
        inside.extend(psg.regions[region].params.iter().copied());
    }
    (Phase { prologue: prologue.to_vec(), loops, body: Some(region), serial: Vec::new() }, obstacle)
}

/// Whether a pure value is computed from one of these.
fn depends(psg: &Psg, value: NodeId, on: &[NodeId]) -> bool {
    on.contains(&value) || psg.nodes[value].operands.iter().any(|&o| depends(psg, o, on))
}

/// Computation without effect whose result does not depend on memory that the kernel can change.
pub(super) fn is_pure(psg: &Psg, node: NodeId) -> bool {
    let n = &psg.nodes[node];
    match n.op {
        Op::Const(_)
        | Op::Binary(_)
        | Op::Unary(_)
        | Op::Convert
        | Op::BufferLength
        | Op::Length
        | Op::Field { .. }
        | Op::Tag
        | Op::Make(_)
        | Op::GlobalGet(_)
        | Op::Group { op: GroupOp::Tiles, .. } => true,
        Op::If | Op::Switch(_) => n.regions.iter().all(|&r| pure_region(psg, r)),
        _ => false,
    }
}

fn pure_region(psg: &Psg, region: RegionId) -> bool {
    psg.regions[region].nodes.iter().all(|&n| is_pure(psg, n))
}

fn parallel_inside(psg: &Psg, node: NodeId) -> Option<NodeId> {
    let mut found = None;
    for &region in &psg.nodes[node].regions {
        psg.walk_region(region, &mut |n| {
            if psg.nodes[n].op == Op::Parallel {
                found.get_or_insert(n);
            }
        });
    }
    found
}

/// Parallel loops nested deeper than a launch domain can be.
fn too_deep(psg: &Psg, kernel: &Kernel, func: FuncId) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut open = vec![(psg.funcs[func].body, 0)];
    while let Some((region, depth)) = open.pop() {
        for &node in &psg.regions[region].nodes {
            let inner = depth + usize::from(psg.nodes[node].op == Op::Parallel);
            if inner > DEEPEST {
                found.push(
                    Diagnostic::error(
                        codes::KERNEL_DOMAIN,
                        psg.spans[node],
                        format!("kernel `{}` nests parallel loops deeper than {DEEPEST}", kernel.name),
                    )
                    .here("this one")
                    .help("make the inner loops sequential, or join two loops into one over their product"),
                );
                continue;
            }
            open.extend(psg.nodes[node].regions.iter().map(|&r| (r, inner)));
        }
    }
    found
}

//! What a kernel reads and writes, parameter by parameter, and which writes cover a whole buffer.
//!
//! A buffer value is traced to the parameters that it may be; where that fails, it may be all of them.

use super::facts::{KernelInfo, ParamFact, Returned};
use crate::graph::{Kernel, Psg};
use crate::id::{FuncId, NodeId, RegionId};
use crate::node::{BinOp, Const, Op};
use crate::plan::Mode;

/// Parameters that a buffer value may be; nothing: unknown.
type Roots = Option<Vec<u32>>;

/// Infers effects and returned buffers; the shape is filled in by the caller.
pub(super) fn infer(psg: &Psg, kernel: &Kernel, func: FuncId) -> KernelInfo {
    let mut params = vec![ParamFact::default(); kernel.params.len()];
    psg.walk_func(func, &mut |node| {
        let n = &psg.nodes[node];
        let touched = match n.op {
            Op::BufferGet { .. } => Some(Mode::Read),
            Op::BufferSet { .. } => Some(Mode::Write),
            Op::Atomic(_) => Some(Mode::ReadWrite),
            _ => None,
        };
        if let Some(mode) = touched {
            touch(kernel, &mut params, roots(psg, n.operands[0]), mode);
        }
        // A call that could not be inlined may do anything to what it is given.
        if matches!(n.op, Op::Call { .. } | Op::CallClosure { .. } | Op::CallExtern(_)) {
            touch(kernel, &mut params, None, Mode::ReadWrite);
        }
    });
    coverage(psg, psg.funcs[func].body, &mut Vec::new(), &mut params);
    let returned =
        psg.regions[psg.funcs[func].body].result.map_or_else(Vec::new, |value| returned(psg, kernel, value));
    KernelInfo { params, shape: None, returned }
}

fn touch(kernel: &Kernel, params: &mut [ParamFact], roots: Roots, mode: Mode) {
    let all =
        || (0..kernel.params.len() as u32).filter(|&i| kernel.params[i as usize].element.is_some()).collect();
    for i in roots.unwrap_or_else(all) {
        if let Some(fact) = params.get_mut(i as usize) {
            fact.mode = Some(fact.mode.map_or(mode, |old| old.join(mode)));
        }
    }
}

/// The parameters that a buffer value may be.
fn roots(psg: &Psg, value: NodeId) -> Roots {
    let n = &psg.nodes[value];
    match &n.op {
        Op::Param(i) => Some(vec![*i]),
        Op::Field { .. } => roots(psg, *n.operands.first()?),
        // A record made of parts of buffers: any of them.
        Op::Make(_) => {
            let mut all: Vec<u32> = Vec::new();
            for &part in &n.operands {
                if !matches!(psg.nodes[part].op, Op::Const(_)) {
                    all.extend(roots(psg, part)?);
                }
            }
            all.sort_unstable();
            all.dedup();
            Some(all)
        }
        Op::If | Op::Switch(_) => {
            let mut all: Vec<u32> = Vec::new();
            for &region in &n.regions {
                all.extend(roots(psg, psg.regions[region].result?)?);
            }
            all.sort_unstable();
            all.dedup();
            Some(all)
        }
        _ => None,
    }
}

fn returned(psg: &Psg, kernel: &Kernel, value: NodeId) -> Vec<Returned> {
    if psg.types.buffer_element(psg.nodes[value].ty).is_none() {
        return Vec::new();
    }
    match roots(psg, value) {
        Some(list)
            if list.iter().all(|&i| kernel.params.get(i as usize).is_some_and(|p| p.element.is_some())) =>
        {
            list.into_iter().map(Returned::Param).collect()
        }
        _ => vec![Returned::Unknown],
    }
}

/// Finds unconditional stores `z.[i]` in a parallel loop over exactly the whole of `z`.
fn coverage(psg: &Psg, region: RegionId, loops: &mut Vec<NodeId>, params: &mut [ParamFact]) {
    for &node in &psg.regions[region].nodes {
        let n = &psg.nodes[node];
        match n.op {
            Op::Parallel => {
                loops.push(node);
                coverage(psg, n.regions[0], loops, params);
                loops.pop();
            }
            Op::BufferSet { .. } => {
                let Some(root) = roots(psg, n.operands[0]).filter(|r| r.len() == 1).map(|r| r[0]) else {
                    continue;
                };
                // Every loop around must run at least once for the store to happen; with one loop, an empty buffer has
                // nothing to cover.
                let whole = loops.len() == 1 && loops.iter().any(|&l| covers(psg, l, n.operands[1], root));
                if let (true, Some(fact)) = (whole, params.get_mut(root as usize)) {
                    fact.covers = true;
                }
            }
            _ => {}
        }
    }
}

/// Whether the loop's counter is the index and it runs from 0 to the length of that parameter less one.
fn covers(psg: &Psg, parallel: NodeId, index: NodeId, root: u32) -> bool {
    let n = &psg.nodes[parallel];
    let counter = psg.regions[n.regions[0]].params.first().copied();
    if counter != Some(index) || !matches!(psg.nodes[n.operands[0]].op, Op::Const(Const::Int(0))) {
        return false;
    }
    let to = &psg.nodes[n.operands[1]];
    to.op == Op::Binary(BinOp::Sub)
        && matches!(psg.nodes[to.operands[1]].op, Op::Const(Const::Int(1)))
        && psg.nodes[to.operands[0]].op == Op::BufferLength
        && roots(psg, psg.nodes[to.operands[0]].operands[0]) == Some(vec![root])
}

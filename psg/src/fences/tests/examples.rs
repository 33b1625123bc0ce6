//! The examples of the cost rules, with their exact costs on three targets and their elements on one.

use super::planned;
use crate::plan::{ElementKind, FencePlan, HandoffKind, Point, Scope};

/// Program, then the costs on hsa-gfx1151, hsa-gfx942 and vulkan.
const EXAMPLES: &[(&str, [u32; 3])] = &[
    ("NPU w a; GPU r a w b; CPU r b; CPU r a", [28, 34, 23]),
    ("GPU w a; GPU w b; CPU r a; CPU r b", [14, 18, 13]),
    ("GPU w a; GPU1 r a w b; CPU r b", [21, 25, 19]),
    ("CPU w a; GPU r a; CPU w a", [14, 16, 10]),
    ("CPU w a; NPU r a w b; NPU r b; CPU r b", [15, 15, 15]),
    ("CPU f a; GPU p a; NPU r a", [19, 23, 18]),
    ("CPU f a; GPU w a; NPU r a", [14, 18, 13]),
    ("GPU w a; CPU w a; GPU r a", [18, 24, 13]),
    ("GPU w a; GPU1 p a; CPU r a", [21, 25, 19]),
    ("GPU w a; GPU1 w a; CPU r a", [19, 23, 19]),
    ("CPU f a; GPU r a; GPU w a", [4, 6, 3]),
];

#[test]
fn the_examples_cost_what_the_rules_say() {
    for (text, costs) in EXAMPLES {
        for (table, cost) in ["hsa-gfx1151", "hsa-gfx942", "vulkan"].into_iter().zip(costs) {
            let plan = planned(text, table);
            assert_eq!(plan.cost(), *cost, "{text} on {table}: {:?}", plan.elements);
        }
    }
}

/// Elements as text: `wait 2<0` stands before node 2, on node 0.
pub(crate) fn shown(plan: &FencePlan) -> Vec<String> {
    let scope = |s: Scope| if s == Scope::System { "sys" } else { "agent" };
    let mut out: Vec<String> = plan
        .elements
        .iter()
        .map(|e| match e.kind {
            ElementKind::Wait { at: Point::Before(n), on } => format!("wait {}<{}", n.0, on.0),
            ElementKind::Wait { at: Point::After(n), on } => format!("wait {}>{}", n.0, on.0),
            ElementKind::BarrierAnd { before, on } => format!("follow {}<{}", before.0, on.0),
            ElementKind::Semaphore { before, on } => format!("sem {}<{}", before.0, on.0),
            ElementKind::PipelineBarrier { at: Point::Before(n) } => format!("before {}", n.0),
            ElementKind::PipelineBarrier { at: Point::After(n) } => format!("behind {}", n.0),
            ElementKind::Release { dispatch, scope: s } => format!("rel {} {}", dispatch.0, scope(s)),
            ElementKind::Acquire { dispatch, scope: s } => format!("acq {} {}", dispatch.0, scope(s)),
            ElementKind::Clean { dispatch } => format!("clean {}", dispatch.0),
        })
        .collect();
    out.sort();
    out
}

#[test]
fn the_examples_get_these_elements() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "NPU w a; GPU r a w b; CPU r b; CPU r a",
            "hsa-gfx1151",
            &["acq 1 sys", "rel 1 sys", "wait 1<0", "wait 2<1"],
        ),
        ("GPU w a; GPU w b; CPU r a; CPU r b", "hsa-gfx1151", &["rel 1 sys", "wait 2<1"]),
        (
            "GPU w a; GPU1 r a w b; CPU r b",
            "hsa-gfx1151",
            &["acq 1 agent", "follow 1<0", "rel 0 agent", "rel 1 sys", "wait 2<1"],
        ),
        ("CPU w a; GPU r a; CPU w a", "hsa-gfx1151", &["acq 1 sys", "wait 2<1"]),
        ("CPU w a; NPU r a w b; NPU r b; CPU r b", "hsa-gfx1151", &["clean 1", "wait 3<1"]),
        ("CPU f a; GPU p a; NPU r a", "hsa-gfx1151", &["clean 2", "rel 1 sys", "wait 2<1"]),
        ("CPU f a; GPU w a; NPU r a", "hsa-gfx1151", &["rel 1 sys", "wait 2<1"]),
        (
            "GPU w a; GPU1 w a; CPU r a",
            "hsa-gfx1151",
            &["follow 1<0", "rel 0 agent", "rel 1 sys", "wait 2<1"],
        ),
        ("GPU w a; GPU w b; CPU r a; CPU r b", "vulkan", &["behind 1", "wait 2<1"]),
        ("GPU w a; GPU1 r a w b; CPU r b", "vulkan", &["behind 1", "sem 1<0", "wait 2<1"]),
        ("CPU f a; GPU r a; GPU w a", "vulkan", &["before 2"]),
    ];
    for (text, table, elements) in cases {
        assert_eq!(shown(&planned(text, table)), *elements, "{text} on {table}");
    }
}

#[test]
fn a_partial_write_between_leaves_both_handoffs() {
    let plan = planned("GPU w a; CPU w a; GPU r a", "hsa-gfx1151");
    let pairs: Vec<_> = plan.handoffs.iter().map(|h| (h.from, h.to, h.kind)).collect();
    assert_eq!(
        pairs,
        [(0, 1, HandoffKind::WriteWrite), (0, 2, HandoffKind::WriteRead), (1, 2, HandoffKind::WriteRead)]
    );
}

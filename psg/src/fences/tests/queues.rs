//! Programs with as many queues as there can be: each is a context of its own.

use super::{litmus, planned};
use crate::certify::check_skeleton;
use crate::plan::ElementKind;
use std::fmt::Write;

/// A chain through all 32 queues: each reads what the one before wrote.
fn chain() -> String {
    let mut text = String::from("CPU w b0; ");
    for i in 0..32 {
        let _ = write!(text, "GPU{}.{} r b{i} w b{}; ", i / 8, i % 8, i + 1);
    }
    text + "NPU r b32 w b33; CPU r b33"
}

#[test]
fn every_queue_is_ordered_behind_the_one_before() {
    let text = chain();
    let skeleton = litmus(&text);
    assert_eq!(skeleton.contexts.len(), 34);
    for table in ["hsa-gfx1151", "vulkan"] {
        let plan = planned(&text, table);
        assert_eq!(check_skeleton(&skeleton, &plan), Ok(()), "{table}");
        let edges = plan.elements.iter().filter(|e| {
            matches!(
                e.kind,
                ElementKind::BarrierAnd { .. } | ElementKind::Semaphore { .. } | ElementKind::Wait { .. }
            )
        });
        // One for each handoff between queues, then GPU to NPU, and NPU to CPU.
        assert_eq!(edges.count(), 33, "{table}");
    }
}

#[test]
fn no_element_of_a_plan_over_many_queues_can_be_left_away() {
    let text = chain();
    let skeleton = litmus(&text);
    let plan = planned(&text, "hsa-gfx1151");
    for i in 0..plan.elements.len() {
        let mut less = plan.clone();
        less.elements.remove(i);
        assert!(check_skeleton(&skeleton, &less).is_err(), "{:?}", plan.elements[i].kind);
    }
}

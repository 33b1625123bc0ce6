//! Long programs: what is listed grows in proportion to their length, not with its square.
//!
//! `CLEF_SCALE=1` also runs up to a million nodes and prints the time of each; time is not asserted.

use super::{litmus, plan};
use crate::certify::check_skeleton;
use crate::fences::tables::find;
use std::fmt::Write;
use std::time::Instant;

fn long(n: usize, buffers: usize, partial: bool) -> String {
    let mut text = String::new();
    for i in 0..n {
        let agent = ["GPU", "NPU", "GPU1"][i % 3];
        if partial {
            text.push_str("GPU p a; ");
        } else {
            let _ = write!(text, "{agent} r b{} w b{}; ", i % buffers, (i + 1) % buffers);
        }
    }
    text
}

/// Handoffs that one more node may add: each access waits for a bounded number of earlier ones.
const HANDOFFS_A_NODE: usize = 40;

#[test]
fn handoffs_grow_in_proportion() {
    let large = std::env::var_os("CLEF_SCALE").is_some();
    let sizes: &[usize] = if large { &[1_000, 10_000, 100_000, 1_000_000] } else { &[1_000, 4_000] };
    for partial in [false, true] {
        for &n in sizes {
            let start = Instant::now();
            let skeleton = litmus(&long(n, 8, partial));
            let table = find("hsa-gfx1151").expect("a table");
            let start = if large { Instant::now() } else { start };
            let plan = plan(&skeleton, &table);
            let took = start.elapsed();
            assert_eq!(check_skeleton(&skeleton, &plan), Ok(()));
            let checked = start.elapsed() - took;
            assert!(
                plan.handoffs.len() <= HANDOFFS_A_NODE * n,
                "{} handoffs of {n} nodes",
                plan.handoffs.len()
            );
            if large {
                let each = |t: std::time::Duration| t.as_secs_f64() * 1e6 / (n + plan.handoffs.len()) as f64;
                eprintln!(
                    "{n} nodes, {} handoffs, {} elements at {}: plan {:.2}, check {:.2} microseconds a node and handoff",
                    plan.handoffs.len(),
                    plan.elements.len(),
                    plan.cost(),
                    each(took),
                    each(checked),
                );
            }
        }
    }
}

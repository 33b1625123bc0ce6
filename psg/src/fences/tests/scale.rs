//! Long programs: what is listed grows in proportion to their length, not with its square.
//!
//! `CLEF_SCALE=1` also runs up to a million nodes and prints the time of each; time is not asserted.

use super::planned;
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
    let sizes: &[usize] = if large { &[10_000, 100_000, 1_000_000] } else { &[1_000, 4_000] };
    for partial in [false, true] {
        for &n in sizes {
            let start = Instant::now();
            let plan = planned(&long(n, 8, partial), "hsa-gfx1151");
            assert!(
                plan.handoffs.len() <= HANDOFFS_A_NODE * n,
                "{} handoffs of {n} nodes",
                plan.handoffs.len()
            );
            if large {
                let micros = start.elapsed().as_secs_f64() * 1e6;
                eprintln!(
                    "{n} nodes, {} handoffs: {:.2} microseconds a node",
                    plan.handoffs.len(),
                    micros / n as f64
                );
            }
        }
    }
}

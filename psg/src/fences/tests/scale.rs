//! Long programs take time in proportion to their length.

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

/// `CLEF_SCALE=1` measures up to a million nodes.
fn sizes() -> [usize; 3] {
    if std::env::var_os("CLEF_SCALE").is_some() {
        [10_000, 100_000, 1_000_000]
    } else {
        [1_000, 4_000, 16_000]
    }
}

#[test]
fn time_grows_in_proportion() {
    for partial in [false, true] {
        let mut each = Vec::new();
        for n in sizes() {
            let start = Instant::now();
            let plan = planned(&long(n, 8, partial), "hsa-gfx1151");
            let time = start.elapsed().as_secs_f64();
            each.push(time / (n + plan.handoffs.len()) as f64 * 1e6);
        }
        eprintln!("microseconds a node and handoff: {each:?}");
        assert!(each[2] < each[1] * 4.0 + 5.0, "{each:?}");
    }
}

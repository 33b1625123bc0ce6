//! What the fence analysis follows of a program's calls stays in proportion to the program, however many ways lead
//! through it.

mod support;

use clef_psg::fences::{self, FenceOptions, tables};
use clef_psg::{certify, kernel, skeleton::extract};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Functions that each call the one before twice: 2 to the power of `depth` ways to the dispatch.
fn doubling(depth: usize) -> String {
    let mut text = String::from(
        "open BAREWire.HSA\n[<Kernel(\"next\")>]\nlet next (x: UnifiedBuffer<int>) : unit =\n    \
         for i in parallel (0 .. Buffer.length x - 1) do x.[i] <- x.[i] + 1\n\
         let f0 (x: UnifiedBuffer<int>) = GPU.dispatch \"next\" {| X = x.Address |}\n",
    );
    for i in 1..=depth {
        let _ = write!(
            text,
            "let f{i} (x: UnifiedBuffer<int>) =\n    f{p} x\n    x.[0] <- x.[0] + 1\n    f{p} x\n",
            p = i - 1
        );
    }
    let _ = write!(
        text,
        "let x = allocateUnified<int> 20<bytes> [CPU; GPU_RDNA 0] PreferGPU\nBuffer.fill x 0\nf{depth} x\nprintfn \"%d\" x.[0]\n"
    );
    text
}

#[test]
fn calls_that_double_are_planned_in_proportion() {
    for depth in [3, 12, 24] {
        let mut psg = support::build("doubling.clef", &doubling(depth)).unwrap_or_else(|e| panic!("{e}"));
        let problems = kernel::inline(&mut psg);
        assert!(problems.is_empty(), "{problems:?}");
        let (kernels, _) = kernel::analyse(&psg);
        let events = extract::extract(&psg, &kernels, &BTreeMap::new()).events();
        // Up to the budget each way through the program is followed: three events at the end of each.
        assert!(events >= (1 << depth.min(10)), "{events} events at depth {depth}");
        assert!(events <= 4 * psg.nodes.len() + 50_000, "{events} events at depth {depth}");
        for name in ["hsa-gfx1151", "vulkan"] {
            let table = tables::find(name).expect("a table");
            let options = FenceOptions { table, agents: BTreeMap::new() };
            let (plan, found) = fences::analyse(&psg, &kernels, &options);
            assert!(found.is_empty(), "{found:?}");
            assert_eq!(certify::check(&psg, &kernels, &plan), Ok(()), "{name} at depth {depth}");
            assert!(!plan.elements.is_empty());
        }
    }
}

//! The litmus programs of tests/litmus, as skeletons: their costs, the checker, the mutants.

use super::{litmus, plan};
use crate::audit::audit_skeleton;
use crate::certify::check_skeleton;
use crate::fences::tables::find;

const CLASSICS: &str = include_str!("../../../../tests/litmus/classics.litmus");

/// The file's letters in the words of the text form here.
fn translated(program: &str) -> String {
    let mut out = String::new();
    let mut agent = "";
    for word in program.replace('{', " { ").replace('}', " } ").replace(';', " ; ").split_whitespace() {
        let (next, word) = match word {
            "C" => ("C", "CPU"),
            "K" => ("K", "CPU"),
            "G" => ("G", "GPU"),
            "H" => ("G", "GPU1"),
            "N" => ("N", "NPU"),
            "w" if agent == "K" => (agent, "f"),
            "u" if agent == "C" => (agent, "rp"),
            other => (agent, other),
        };
        agent = next;
        out.push_str(word);
        out.push(' ');
    }
    out
}

#[test]
fn the_classics_cost_what_is_written() {
    let mut n = 0;
    for row in CLASSICS.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
        let parts: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, program, costs] = parts[..] else { panic!("{row}") };
        if program.contains("twice") || program.contains('X') {
            continue; // calls are not in the text form
        }
        let skeleton = litmus(&translated(program));
        for (table, cost) in ["hsa-gfx1151", "hsa-gfx942", "vulkan"].into_iter().zip(costs.split_whitespace())
        {
            let plan = plan(&skeleton, &find(table).expect("a table"));
            if let Ok(cost) = cost.parse::<u32>() {
                assert_eq!(plan.cost(), cost, "{name} on {table}");
            }
            assert_eq!(check_skeleton(&skeleton, &plan), Ok(()), "{name} on {table}");
            for mutant in audit_skeleton(&skeleton, &plan) {
                assert!(mutant.caught.is_some(), "{name} on {table}: {mutant:?} of {:?}", plan.elements);
            }
        }
        n += 1;
    }
    assert!(n >= 70, "only {n} programs were read");
}

//! The checker accepts plans and rejects every mutant of them.

use super::check_skeleton;
use crate::audit::audit_skeleton;
use crate::fences::{plan, tables};
use crate::skeleton::dsl;

const TABLES: [&str; 3] = ["hsa-gfx1151", "hsa-gfx942", "vulkan"];

#[test]
fn plans_are_accepted_and_no_mutant_survives() {
    let programs = [
        "NPU w a; GPU r a w b; CPU r b; CPU r a",
        "GPU w a; GPU1 p a; CPU r a",
        "loop { GPU rw a; CPU rw a }; CPU r a",
        "loop { GPU rw a; NPU rw a }; CPU r a",
        "CPU w a; loop { GPU r a w b }; CPU r b",
        "CPU w a; if { GPU rw a } else { NPU rw a }; CPU r a",
        "GPU w a; if { CPU r a }; GPU w a; CPU r a",
        "GPU w a; loop { CPU r a; CPU w b; GPU r b }",
        "loop { loop { GPU p a }; GPU1 r a }",
        "GPU w a; GPU1.0 r a w b; CPU r b",
        "GPU w a; if { CPU r a; stop }; GPU r a",
    ];
    for text in programs {
        let skeleton = dsl::parse(text).expect("a litmus text");
        for table in TABLES {
            let plan = plan(&skeleton, &tables::find(table).expect("a table"));
            assert_eq!(check_skeleton(&skeleton, &plan), Ok(()), "{text} on {table}: {:?}", plan.elements);
            for mutant in audit_skeleton(&skeleton, &plan) {
                assert!(mutant.caught.is_some(), "{text} on {table}: {mutant:?} of {:?}", plan.elements);
            }
        }
    }
}

#[test]
fn a_rejection_names_the_handoff() {
    let skeleton = dsl::parse("GPU w a; CPU r a").expect("a litmus text");
    let full = plan(&skeleton, &tables::find("hsa-gfx1151").expect("a table"));
    for e in 0..full.elements.len() as u32 {
        let rejection =
            check_skeleton(&skeleton, &crate::audit::without(&full, e)).expect_err("a broken plan");
        assert_eq!(rejection.handoff, Some(0), "{rejection}");
    }
}

#[test]
fn a_handoff_that_is_not_listed_is_a_rejection() {
    let skeleton = dsl::parse("CPU w a; GPU w a").expect("a litmus text");
    let mut full = plan(&skeleton, &tables::find("vulkan").expect("a table"));
    assert_eq!((full.handoffs.len(), full.elements.len()), (1, 0));
    full.handoffs.clear();
    full.certificate.clear();
    assert!(check_skeleton(&skeleton, &full).is_err());
}

//! Cost tables: what each element of a plan costs on a target, as data.
//!
//! `hsa-gfx1151`, `hsa-gfx942` and `vulkan` are the tables that plans are graded by. In `hsa-gfx1201` agent and system
//! scope differ little (one L2, written back at system scope); `host` is the host executor, where scopes are compiler
//! fences and waits are futexes; `cxl` writes back and invalidates by line; `rdma` pays for a transfer at system scope.

use crate::plan::{CostTable, Family};
use ustr::Ustr;

/// Name, family, then wait, barrier, semaphore, release agent/system, acquire agent/system, clean.
type Row = (&'static str, Family, [u32; 8]);

const ROWS: [Row; 7] = [
    ("hsa-gfx1151", Family::Hsa, [10, 3, 0, 2, 4, 2, 4, 5]),
    ("hsa-gfx942", Family::Hsa, [10, 3, 0, 2, 8, 2, 6, 5]),
    ("hsa-gfx1201", Family::Hsa, [10, 3, 0, 2, 6, 2, 5, 5]),
    ("vulkan", Family::Vulkan, [10, 3, 6, 0, 0, 0, 0, 5]),
    ("host", Family::Hsa, [10, 2, 0, 1, 2, 1, 2, 1]),
    ("cxl", Family::Hsa, [12, 4, 0, 2, 20, 2, 20, 20]),
    ("rdma", Family::Hsa, [40, 6, 0, 2, 60, 2, 60, 40]),
];

/// The names of all tables, in the order of the documentation.
pub fn names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.0).collect()
}

/// The table of a target.
pub fn find(name: &str) -> Option<CostTable> {
    let &(name, family, costs) = ROWS.iter().find(|row| row.0 == name)?;
    let [wait, barrier, semaphore, release_agent, release_system, acquire_agent, acquire_system, clean] =
        costs;
    Some(CostTable {
        name: Ustr::from(name),
        family,
        wait,
        barrier,
        semaphore,
        release_agent,
        release_system,
        acquire_agent,
        acquire_system,
        clean,
    })
}

//! How often a program synchronised (`CLEF_SYNC_STATS=1`): said at the end on standard error.
//!
//! Counts what the active route's plan asked for and the program came to: waits for dispatches that had run, barriers,
//! scopes in packet headers, cleans. Whether a wait found its dispatch ended already makes no difference.

use crate::abi::{
    Dispatch, FLAG_BARRIER_BEFORE, FLAG_BARRIER_BEHIND, FLAG_CLEAN_HSA, FLAG_CLEAN_VULKAN, ROUTE_HSA,
};
use crate::start;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static DISPATCHES: AtomicU64 = AtomicU64::new(0);
static WAITS: AtomicU64 = AtomicU64::new(0);
/// Barrier-and packets and semaphores; pipeline barriers.
static FOLLOWS: AtomicU64 = AtomicU64::new(0);
static BARRIERS: AtomicU64 = AtomicU64::new(0);
/// By scope: agent, system.
static ACQUIRES: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static RELEASES: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static CLEANS: AtomicU64 = AtomicU64::new(0);

fn enabled() -> bool {
    static ENABLED: OnceLock<bool> = OnceLock::new();
    *ENABLED.get_or_init(|| start::variable(c"CLEF_SYNC_STATS").is_some_and(|v| v == b"1"))
}

/// The host waits for a dispatch.
pub fn wait() {
    if enabled() {
        WAITS.fetch_add(1, Relaxed);
    }
}

/// A dispatch to an agent, on a route.
pub fn dispatch(dispatch: &Dispatch, route: u32) {
    if enabled() {
        count(dispatch, route);
    }
}

#[cold]
fn count(dispatch: &Dispatch, route: u32) {
    let add = |n: &AtomicU64, by: u64| n.fetch_add(by, Relaxed);
    let has = |flag: u8| u64::from(dispatch.flags & flag != 0);
    add(&DISPATCHES, 1);
    let after = if dispatch.n_after == 0 {
        &[][..]
    } else {
        // SAFETY: descriptors are static and well-formed.
        unsafe { std::slice::from_raw_parts(dispatch.after, dispatch.n_after as usize) }
    };
    // SAFETY: as above; a site that never ran is not followed.
    let ran = after.iter().filter(|a| a.routes & route != 0 && unsafe { (*a.site).queue } != 0);
    add(&FOLLOWS, ran.count() as u64);
    if route != ROUTE_HSA {
        add(&CLEANS, has(FLAG_CLEAN_VULKAN));
        add(&BARRIERS, has(FLAG_BARRIER_BEFORE) + has(FLAG_BARRIER_BEHIND));
        return;
    }
    add(&CLEANS, has(FLAG_CLEAN_HSA));
    // The NPU's queue looks at no scopes.
    if dispatch.agent == 1 {
        for (scopes, at) in [(&ACQUIRES, 9), (&RELEASES, 11)] {
            if let Some(n) = usize::from(dispatch.header >> at & 3).checked_sub(1).and_then(|s| scopes.get(s))
            {
                add(n, 1);
            }
        }
    }
}

/// Says the counts, if they were asked for.
pub fn report() {
    if !enabled() {
        return;
    }
    let get = |n: &AtomicU64| n.load(Relaxed);
    crate::output::message(format_args!(
        "clef: {} dispatches, {} waits, {} follows, {} barriers, acquires {} agent {} system, releases {} agent {} \
         system, {} cleans\n",
        get(&DISPATCHES),
        get(&WAITS),
        get(&FOLLOWS),
        get(&BARRIERS),
        get(&ACQUIRES[0]),
        get(&ACQUIRES[1]),
        get(&RELEASES[0]),
        get(&RELEASES[1]),
        get(&CLEANS),
    ));
}

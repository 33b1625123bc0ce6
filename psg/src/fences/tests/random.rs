//! Random programs: straight lines against the optimum found by trying all sets of elements, trees against the checker.

use super::super::flow::{Anchor, El, Flow, Placed, is_queue};
use super::super::place::{holds, price};
use super::{litmus, plan};
use crate::audit::audit_skeleton;
use crate::certify::check_skeleton;
use crate::fences::tables::find;
use crate::plan::{CostTable, Family, Scope};
use crate::skeleton::Skeleton;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

const TABLES: [&str; 3] = ["hsa-gfx1151", "hsa-gfx942", "vulkan"];

/// Xorshift: tests need no more.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len() as u64) as usize]
    }
}

fn statement(dice: &mut Dice, buffers: u64, out: &mut String) -> usize {
    let agent = dice.pick(&["CPU", "GPU", "GPU", "GPU1", "NPU"]);
    let n = if agent == "CPU" { 1 } else { 1 + dice.roll(2) };
    let _ = write!(out, "{agent}");
    let first = dice.roll(buffers);
    for i in 0..n {
        let mode =
            dice.pick(if agent == "CPU" { &["r", "r", "w", "f"] } else { &["r", "w", "rw", "p", "rp", "r"] });
        let _ = write!(out, " {mode} b{}", (first + i) % buffers.max(2));
    }
    out.push_str("; ");
    n as usize
}

fn line(dice: &mut Dice, accesses: usize) -> String {
    let mut out = String::new();
    let buffers = 1 + dice.roll(3);
    let mut n = 0;
    while n < accesses {
        n += statement(dice, buffers, &mut out);
    }
    out
}

/// Every element that may stand somewhere, by the letter of the rules.
fn candidates(s: &Skeleton, table: &CostTable) -> Vec<El> {
    let found = Flow::new(s, table.family, Placed::default()).run();
    let site = |a: u32| s.access_site[a as usize];
    let mut out = Vec::new();
    let n = s.sites.len() as u32;
    for b in 0..n {
        let to = &s.sites[b as usize];
        let into: Vec<u32> = found.pairs.iter().filter(|p| site(p.1) == b).map(|p| site(p.0)).collect();
        let info = |a: u32| &s.sites[a as usize];
        if into.iter().any(|&a| info(a).dispatch && !(is_queue(info(a).context) && is_queue(to.context))) {
            out.extend((0..b).filter(|&d| info(d).dispatch).map(|on| El::Wait { at: Anchor::Site(b), on }));
        }
        if !to.dispatch {
            continue;
        }
        if is_queue(to.context) {
            for queue in 2..s.contexts.len() as u8 {
                let first =
                    into.iter().copied().filter(|&a| info(a).context == queue && queue != to.context).min();
                if let Some(first) = first {
                    let on = (first..b).filter(|&d| info(d).context == queue && info(d).dispatch);
                    out.extend(on.map(|on| El::Follow { before: b, on }));
                }
            }
            if table.family == Family::Hsa {
                for scope in [Scope::Agent, Scope::System] {
                    out.push(El::Release(b, scope));
                    out.push(El::Acquire(b, scope));
                }
            } else {
                out.push(El::Behind(b));
            }
        } else {
            out.push(El::Clean(b));
        }
    }
    out
}

/// A set of candidates that holds and costs less than the bound, by depth first search over subsets.
fn cheaper(s: &Skeleton, table: &CostTable, bound: u32) -> Option<Vec<El>> {
    fn go(s: &Skeleton, t: &CostTable, from: &[El], chosen: &[El], bound: u32) -> Option<Vec<El>> {
        // What is chosen and all that is left must be enough; what that cannot do without is chosen.
        let all: Vec<El> = chosen.iter().chain(from).copied().collect();
        if !holds(s, t.family, &all) {
            return None;
        }
        let forced = |e: &El| {
            let without: Vec<El> = all.iter().copied().filter(|x| x != e).collect();
            !holds(s, t.family, &without)
        };
        let (must, may_be): (Vec<El>, Vec<El>) = from.iter().copied().partition(forced);
        let chosen: Vec<El> = chosen.iter().copied().chain(must).collect();
        if chosen.iter().map(|&e| price(t, e)).sum::<u32>() >= bound {
            return None;
        }
        if may(s, t, &chosen) && holds(s, t.family, &chosen) {
            return Some(chosen);
        }
        let (&first, rest) = may_be.split_first()?;
        let with: Vec<El> = chosen.iter().copied().chain([first]).collect();
        go(s, t, rest, &chosen, bound).or_else(|| go(s, t, rest, &with, bound))
    }
    go(s, table, &candidates(s, table), &[], bound)
}

/// Vulkan: a barrier stands before the later end of a handoff of its queue, or behind a dispatch that is waited for.
fn may(s: &Skeleton, table: &CostTable, chosen: &[El]) -> bool {
    if table.family == Family::Hsa {
        return true;
    }
    let found = Flow::new(s, table.family, Placed::default()).run();
    let site = |a: u32| s.access_site[a as usize];
    chosen.iter().all(|e| {
        let El::Behind(x) = *e else { return true };
        let queue = s.sites[x as usize].context;
        let next = (x + 1..s.sites.len() as u32).find(|&y| s.sites[y as usize].context == queue);
        let later_end = next.is_some_and(|y| {
            found.pairs.iter().any(|p| site(p.1) == y && s.sites[site(p.0) as usize].context == queue)
        });
        later_end || chosen.iter().any(|w| matches!(w, El::Wait { on, .. } if *on == x))
    })
}

/// One random line costs what the exhaustive search finds, under each table.
fn costs_the_optimum(round: u64, accesses: u64) {
    let mut dice = Dice(0x1234_5678_9abc_def1 ^ (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let text = line(&mut dice, 2 + (round % accesses) as usize);
    let skeleton = litmus(&text);
    for name in TABLES {
        let table = find(name).expect("a table");
        let plan = plan(&skeleton, &table);
        let better = cheaper(&skeleton, &table, plan.cost());
        assert_eq!(better, None, "{round}: {text} on {name}: {:?}", plan.elements);
    }
}

#[test]
fn straight_lines_cost_the_optimum() {
    // `CLEF_LONG=1`: more of them, up to twelve accesses.
    let long = std::env::var_os("CLEF_LONG").is_some();
    let (accesses, many) = if long { (11, 2_000) } else { (6, 300) };
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    if round >= many {
                        break;
                    }
                    costs_the_optimum(round, accesses);
                }
            });
        }
    });
}

#[test]
fn straight_lines_of_a_dozen_accesses_are_accepted_and_minimal() {
    let mut dice = Dice(0x9876_5432_1fed_cba1);
    for _ in 0..60 {
        let text = line(&mut dice, 11);
        audited(&text);
    }
}

fn block(dice: &mut Dice, depth: u32, out: &mut String) {
    for _ in 0..1 + dice.roll(3) {
        match dice.roll(if depth == 0 { 3 } else { 6 }) {
            3 => {
                out.push_str("loop { ");
                block(dice, depth - 1, out);
                out.push_str("} ; ");
            }
            4 => {
                out.push_str("if { ");
                block(dice, depth - 1, out);
                out.push_str("} else { ");
                block(dice, depth - 1, out);
                out.push_str("} ; ");
            }
            _ => {
                statement(dice, 3, out);
            }
        }
    }
}

/// The checker takes the plan, and rejects it with any element away or narrower.
fn audited(text: &str) {
    let skeleton = litmus(text);
    for name in TABLES {
        let plan = plan(&skeleton, &find(name).expect("a table"));
        assert_eq!(check_skeleton(&skeleton, &plan), Ok(()), "{text} on {name}: {:?}", plan.elements);
        for mutant in audit_skeleton(&skeleton, &plan) {
            assert!(mutant.caught.is_some(), "{text} on {name}: {mutant:?} of {:?}", plan.elements);
        }
        for (h, chain) in plan.certificate.iter().enumerate() {
            assert!(!chain.reason.is_empty(), "{text}: handoff {h}");
        }
    }
}

#[test]
fn random_trees_are_accepted_and_minimal() {
    let mut dice = Dice(0xfeed_beef_dead_cafe);
    for _ in 0..150 {
        let mut text = String::new();
        block(&mut dice, 2, &mut text);
        block(&mut dice, 1, &mut text);
        audited(&text);
    }
}

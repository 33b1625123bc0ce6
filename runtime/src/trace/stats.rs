//! The table of `CLEF_STATS=1`: what each lane spent its time on, with the places in the source.

use super::{Row, What, Who, title};
use crate::abi::{Dispatch, Loc};
use crate::stop::Place;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// What is kept of all events of one row, in nanoseconds.
#[derive(Default, Clone, Copy)]
pub struct Sums {
    count: u64,
    total: u64,
    most: u64,
}

impl Sums {
    pub fn add(&mut self, nanoseconds: u64) {
        self.count += 1;
        self.total += nanoseconds;
        self.most = self.most.max(nanoseconds);
    }
}

/// `wall`: nanoseconds from the recording's begin to now.
pub fn render(rows: &HashMap<Row, Sums>, wall: u64) -> String {
    let mut lines: Vec<(Who, String, String, Sums)> = rows
        .iter()
        .map(|(&(who, what, dispatch, loc), &sums)| {
            let place = if loc == 0 { String::new() } else { Place(loc as *const Loc).to_string() };
            (who, title(what, dispatch as *const Dispatch), place, sums)
        })
        .collect();
    // By lane, the longest first; texts decide between equals, so that the order never hangs on addresses.
    lines.sort_by(|a, b| (a.0, b.3.total, &a.1, &a.2).cmp(&(b.0, a.3.total, &b.1, &b.2)));
    let mut busy: BTreeMap<Who, u64> = BTreeMap::new();
    for (&(who, what, ..), sums) in rows {
        *busy.entry(who).or_default() += if what == What::Kernel { sums.total } else { 0 };
    }
    let width = lines.iter().map(|l| l.1.chars().count()).max().unwrap_or(4).max(4);
    let mut text = format!("clef: {} ms since the first use of an agent; ", millis(wall));
    let shares: Vec<String> =
        busy.iter().map(|(who, ns)| format!("{who} in kernels {} %", 100 * ns / wall.max(1))).collect();
    let _ = writeln!(text, "{}", shares.join(", "));
    let _ = writeln!(
        text,
        "{:<14} {:<width$} {:>8} {:>11} {:>11} {:>11}  at",
        "lane", "what", "count", "total ms", "mean us", "most us"
    );
    for (who, title, place, sums) in lines {
        let mean = sums.total as f64 / sums.count.max(1) as f64 / 1000.0;
        let row = format!(
            "{:<14} {title:<width$} {:>8} {:>11} {mean:>11.1} {:>11.1}  {place}",
            who.to_string(),
            sums.count,
            millis(sums.total),
            sums.most as f64 / 1000.0
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

fn millis(nanoseconds: u64) -> String {
    format!("{:.3}", nanoseconds as f64 / 1e6)
}

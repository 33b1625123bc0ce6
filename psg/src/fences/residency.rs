//! What allocations say about their use, held against how they are used.
//!
//! Errors: an agent touches a buffer whose `Agents` does not list it. Warnings: the hint names an agent that makes a
//! small part of the accesses; nothing ever reads the buffer. Accesses count ten times for each loop around them.

use crate::graph::Psg;
use crate::plan::{AccessKind, Context, LocationKind};
use crate::skeleton::{Block, Residency, Skeleton, Step};
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::span::Span;
use std::collections::BTreeMap;

const HINTS: [&str; 4] = ["PreferCPU", "PreferGPU", "PreferNPU", "BalancedAccess"];

/// All findings, by allocation.
pub fn check(psg: &Psg, skeleton: &Skeleton) -> Vec<Diagnostic> {
    let weights = weights(skeleton);
    let mut by_location: Vec<Vec<u32>> = vec![Vec::new(); skeleton.locations.len()];
    for (i, access) in skeleton.accesses.iter().enumerate() {
        by_location[access.location as usize].push(i as u32);
    }
    let escapes = skeleton.locations.iter().any(|l| l.kind == LocationKind::Unknown);
    let mut found: BTreeMap<(Span, u16, String), Diagnostic> = BTreeMap::new();
    for (location, accesses) in by_location.iter().enumerate() {
        let info = &skeleton.locations[location];
        let (LocationKind::Allocation, Some(node)) = (&info.kind, info.node) else { continue };
        let Some(residency) = skeleton.residency.get(location) else { continue };
        let subject =
            Subject { psg, skeleton, weights: &weights, span: psg.spans[node], accesses, residency };
        let list = [subject.agents(), if escapes { None } else { subject.unread() }, subject.hint()];
        for diagnostic in list.into_iter().flatten() {
            // A helper that allocates is reported once.
            let span = diagnostic.span().unwrap_or_default();
            found.entry((span, diagnostic.code.0, diagnostic.headline.clone())).or_insert(diagnostic);
        }
    }
    found.into_values().collect()
}

/// An agent in a sentence.
pub fn named(context: Context) -> String {
    match context {
        Context::Cpu => "the CPU".to_owned(),
        Context::Npu => "the NPU".to_owned(),
        Context::Gpu { device, .. } => format!("GPU {device}"),
    }
}

/// Where an access is in the source.
pub fn place(psg: &Psg, skeleton: &Skeleton, access: u32) -> Span {
    psg.spans[skeleton.accesses[access as usize].node]
}

struct Subject<'a> {
    psg: &'a Psg,
    skeleton: &'a Skeleton,
    weights: &'a [u64],
    span: Span,
    accesses: &'a [u32],
    residency: &'a Residency,
}

impl Subject<'_> {
    fn place(&self, access: u32) -> Span {
        place(self.psg, self.skeleton, access)
    }

    /// An access by an agent that the list leaves out.
    fn agents(&self) -> Option<Diagnostic> {
        let agents = self.residency.agents.as_ref()?;
        let listed = |context: Context| match context {
            Context::Gpu { device, .. } => agents.contains(&Context::Gpu { device, queue: 0 }),
            Context::Cpu | Context::Npu => agents.contains(&context),
        };
        let bad =
            self.accesses.iter().copied().find(|&a| !listed(self.skeleton.accesses[a as usize].context))?;
        let access = &self.skeleton.accesses[bad as usize];
        let agent = named(access.context);
        let entry = match access.context {
            Context::Cpu => "CPU".to_owned(),
            Context::Npu => "NPU_XDNA".to_owned(),
            Context::Gpu { device, .. } => format!("GPU_RDNA {device}"),
        };
        let does = if access.mode.writes() { "written" } else { "read" };
        Some(
            Diagnostic::error(
                codes::AGENT_NOT_LISTED,
                self.place(bad),
                format!("{agent} touches a buffer whose `Agents` does not list it"),
            )
            .here(format!("{does} by {agent} here"))
            .label(self.span, "allocated here, for other agents")
            .note("memory is mapped for the listed agents only; any other agent's access would fault")
            .help(format!("add `{entry}` to the agents of the allocation")),
        )
    }

    fn unread(&self) -> Option<Diagnostic> {
        let reads = |&a: &u32| self.skeleton.accesses[a as usize].mode.reads();
        if self.accesses.is_empty() || self.accesses.iter().any(|a| reads(a)) {
            return None;
        }
        let diagnostic = Diagnostic::warning(codes::BUFFER_NOT_READ, self.span, "no agent reads this buffer")
            .here("allocated here")
            .label(self.place(self.accesses[0]), "written here");
        Some(
            diagnostic.help(
                "remove the buffer and what fills it, or read it where its content is meant to be used",
            ),
        )
    }

    /// A hint whose agent makes less than a tenth of the accesses, while another one makes more than half.
    fn hint(&self) -> Option<Diagnostic> {
        let hint = self.residency.hint? as usize;
        let mut shares = [0u64; 3];
        for &a in self.accesses {
            let access = &self.skeleton.accesses[a as usize];
            // A kernel touches the whole buffer, a host access one element.
            let weight = if matches!(access.what, AccessKind::Kernel(_)) { 100 } else { 1 };
            shares[agent(access.context)] += weight * self.weights[a as usize];
        }
        let total: u64 = shares.iter().sum();
        let (best, most) = shares.iter().enumerate().max_by_key(|&(i, s)| (*s, std::cmp::Reverse(i)))?;
        if total == 0 || hint >= 3 || hint == best || shares[hint] * 10 >= total || most * 2 <= total {
            return None;
        }
        let names = ["CPU", "GPU", "NPU"];
        let headline = format!("this buffer says `{}`, but mostly the {} uses it", HINTS[hint], names[best]);
        let mut out =
            Diagnostic::warning(codes::HINT_CONTRADICTED, self.span, headline).here("allocated here");
        let mut users = self.accesses.to_vec();
        users.retain(|&a| agent(self.skeleton.accesses[a as usize].context) == best);
        for &a in users.iter().take(3) {
            out = out.label(self.place(a), format!("used by the {} here", names[best]));
        }
        let percent = |s: u64| s * 100 / total;
        Some(
            out.note(format!(
                "of the accesses, weighted by loops, {} % are the {}'s and {} % the {}'s",
                percent(*most),
                names[best],
                percent(shares[hint]),
                names[hint]
            ))
            .help(format!("`{}` fits these accesses", HINTS[best])),
        )
    }
}

fn agent(context: Context) -> usize {
    match context {
        Context::Cpu => 0,
        Context::Gpu { .. } => 1,
        Context::Npu => 2,
    }
}

/// By access: how often it happens, each loop counted as ten rounds.
fn weights(skeleton: &Skeleton) -> Vec<u64> {
    fn walk(block: &Block, weight: u64, out: &mut [u64]) {
        for step in block {
            match step {
                Step::Event { accesses, .. } => {
                    accesses.iter().for_each(|&a| out[a as usize] = out[a as usize].saturating_add(weight));
                }
                Step::Branch(arms) => arms.iter().for_each(|arm| walk(arm, weight, out)),
                Step::Loop { head, body, .. } => {
                    let inside = weight.saturating_mul(10).min(1 << 40);
                    walk(head, inside, out);
                    walk(body, inside, out);
                }
                Step::Fresh(_) | Step::Marker(_) | Step::Call(_) | Step::Stop => {}
            }
        }
    }
    let mut out = vec![0; skeleton.accesses.len()];
    walk(&skeleton.body, 1, &mut out);
    skeleton.shared.iter().for_each(|body| walk(body, 10, &mut out));
    out
}

//! A test of the tests (`CLEF_HSA_MOCK_WEAKEN`): one thing that a program says is taken as less than it says, and
//! whoever watches must notice.
//!
//! | text | does |
//! |---|---|
//! | `acquire gpu0 2`, `release gpu0 2` | the fence of the third kernel of that queue is one scope narrower |
//! | `barrier gpu1 0` | barrier packets before the first kernel of that queue wait for nothing |
//! | `clean npu0 0` | the doorbell that tells of the first kernel of that queue is stored without release order |
//! | `wait 1` | the second wait with acquire order is over at once, and acquires nothing |
//!
//! A list of numbers (`release gpu0 0,1,2`) weakens the same of several kernels, or several waits.
//!
//! Kernels are counted, not packets: whether a barrier packet is written at all may hang on what has ended by then.

use crate::queue::{Packet, Work};
use crate::{lock, wishes};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Acquire,
    Release,
    Barrier,
    Clean,
    Wait,
}

/// What the environment asked for.
#[derive(Clone)]
pub struct Weaken {
    kind: Kind,
    queue: String,
    numbers: BTreeSet<u64>,
}

impl Weaken {
    pub fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (kind, queue, numbers) = match words[..] {
            ["wait", numbers] => (Kind::Wait, "", numbers),
            ["acquire", queue, numbers] => (Kind::Acquire, queue, numbers),
            ["release", queue, numbers] => (Kind::Release, queue, numbers),
            ["barrier", queue, numbers] => (Kind::Barrier, queue, numbers),
            ["clean", queue, numbers] => (Kind::Clean, queue, numbers),
            _ => return None,
        };
        let numbers = numbers.split(',').map(|n| n.parse().ok()).collect::<Option<_>>()?;
        Some(Self { kind, queue: queue.to_owned(), numbers })
    }
}

/// What is weakened of one queue.
pub struct OfQueue {
    kind: Kind,
    numbers: BTreeSet<u64>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    packets: u64,
    kernels: u64,
    /// Packets that are taken as less.
    weak: BTreeSet<u64>,
}

impl OfQueue {
    /// For the queue of this name, if it is asked for.
    pub fn of(queue: &str) -> Option<Self> {
        let wish = wishes().weaken.filter(|w| w.kind != Kind::Wait && w.queue == queue)?;
        Some(Self { kind: wish.kind, numbers: wish.numbers, seen: Mutex::default() })
    }

    /// A doorbell tells of the packets up to `newest`; whether it is one that loses its release order.
    pub fn told(&self, newest: i64, packet: impl Fn(u64) -> Packet) -> bool {
        let mut seen = lock(&self.seen);
        let first = seen.packets;
        for index in first..(newest + 1).max(0) as u64 {
            let kernel = matches!(packet(index).work, Work::Kernel { .. });
            if self.numbers.contains(&seen.kernels) && kernel != (self.kind == Kind::Barrier) {
                seen.weak.insert(index);
            }
            seen.kernels += u64::from(kernel);
            seen.packets = index + 1;
        }
        self.kind == Kind::Clean && seen.weak.range(first..).next().is_some()
    }

    /// The packet as it is taken.
    pub fn weakened(&self, index: u64, mut packet: Packet) -> Packet {
        if lock(&self.seen).weak.contains(&index) {
            match self.kind {
                Kind::Acquire => packet.acquire = packet.acquire.saturating_sub(1),
                Kind::Release => packet.release = packet.release.saturating_sub(1),
                Kind::Barrier => packet.work = Work::Barrier { dependencies: Vec::new(), any: false },
                Kind::Clean | Kind::Wait => {}
            }
        }
        packet
    }
}

/// Waits with acquire order that were satisfied.
static WAITS: AtomicU64 = AtomicU64::new(0);

/// Whether the wait that now begins is to be over at once.
pub fn skips_wait() -> bool {
    let skip = wishes()
        .weaken
        .is_some_and(|w| w.kind == Kind::Wait && w.numbers.contains(&WAITS.load(Ordering::Relaxed)));
    if skip {
        waited();
    }
    skip
}

/// A wait is over.
pub fn waited() {
    WAITS.fetch_add(1, Ordering::Relaxed);
}

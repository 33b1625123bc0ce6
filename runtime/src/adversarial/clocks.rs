//! Who knows what has ended, and to whom each write is visible: the rules of docs/fences.md, run along the program.
//!
//! For each buffer the newest write and the newest read of each context are kept: whatever orders or publishes an
//! access of a context does the same for the older ones of that context, so these stand for all. A write that covers
//! the buffer ends the reach of everything before it.
//!
//! It knows nothing of contents; see [`super::shadow`].

use crate::abi::{Dispatch, Loc};
use std::collections::BTreeMap;

/// A context: 0 the host, else a lane's number + 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Who(pub u8);

impl Who {
    pub const CPU: Who = Who(0);
    pub const NPU: Who = Who(1);
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    None,
    Agent,
    System,
}

impl Scope {
    /// From a packet header, shifted so that the field is in bits 1:0.
    pub fn of_bits(bits: u16) -> Scope {
        match bits & 3 {
            0 => Scope::None,
            1 => Scope::Agent,
            _ => Scope::System,
        }
    }
}

/// One access: by whom, and where in the source.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub who: Who,
    /// Sequence number of the dispatch on its lane; 0 on the host.
    pub sequence: u64,
    pub loc: *const Loc,
    /// Null for a host access.
    pub dispatch: *const Dispatch,
}

// SAFETY: the pointers are to static descriptors of the program.
unsafe impl Send for Access {}

/// How a buffer is accessed.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    pub buffer: usize,
    pub reads: bool,
    pub writes: bool,
    pub covers: bool,
}

/// A dispatch with its part of the plan.
pub struct Packet {
    pub by: Access,
    pub npu: bool,
    pub clean: bool,
    pub acquire: Scope,
    pub release: Scope,
    pub barrier_before: bool,
    pub barrier_behind: bool,
    /// Dispatches that it follows by a barrier-and packet or semaphore.
    pub after: Vec<(Who, u64)>,
}

/// Two accesses that the plan does not keep apart.
#[derive(Debug)]
pub struct Race {
    pub earlier: Access,
    pub later: Access,
    pub earlier_writes: bool,
    pub later_writes: bool,
    /// The earlier one is known to have ended, but its write is not visible.
    pub ended: bool,
}

/// What is known to have ended: by lane, the newest sequence number.
type Known = BTreeMap<Who, u64>;

fn join(into: &mut Known, from: &Known) {
    for (who, sequence) in from {
        let entry = into.entry(*who).or_default();
        *entry = (*entry).max(*sequence);
    }
}

fn raise(known: &mut Known, who: Who, sequence: u64) {
    let entry = known.entry(who).or_default();
    *entry = (*entry).max(sequence);
}

fn get(known: &Known, who: Who) -> u64 {
    known.get(&who).copied().unwrap_or(0)
}

/// Where a write is in one context.
#[derive(Clone, Copy, Default, Debug)]
struct Stage {
    /// The context can read it.
    visible: bool,
    /// Dispatch from which on it is in the context (its own, or the one that acquired it); 0: not there.
    seen: u64,
    /// Dispatch whose end released it, at agent scope or wider, and at system scope. On Vulkan: the dispatch that
    /// the first barrier behind it stands behind (both). 0: none.
    agent: u64,
    system: u64,
}

struct Write {
    by: Access,
    stages: BTreeMap<Who, Stage>,
}

impl Write {
    fn new(by: Access, npu: bool) -> Self {
        let visible = by.who == Who::CPU || npu;
        let stage = Stage { visible, seen: by.sequence.max(1), ..Stage::default() };
        Self { by, stages: BTreeMap::from([(by.who, stage)]) }
    }

    fn visible(&self, who: Who) -> bool {
        self.stages.get(&who).is_some_and(|s| s.visible)
    }

    fn publish(&mut self, who: Who, from: u64) {
        let stage = self.stages.entry(who).or_default();
        stage.visible = true;
        if stage.seen == 0 {
            stage.seen = from;
        }
    }
}

#[derive(Default)]
struct Buffer {
    writes: Vec<Write>,
    reads: Vec<Access>,
}

/// The state of all buffers and contexts.
pub struct Clocks {
    vulkan: bool,
    host: Known,
    lanes: BTreeMap<Who, Lane>,
    buffers: BTreeMap<usize, Buffer>,
}

#[derive(Default)]
struct Lane {
    /// Known to have ended before the next dispatch starts.
    known: Known,
    /// What was known when each dispatch started, by sequence number from 1.
    history: Vec<Known>,
    /// Vulkan: the newest dispatch that a barrier stands behind.
    barrier: u64,
}

impl Clocks {
    pub fn new(vulkan: bool) -> Self {
        Self { vulkan, host: Known::new(), lanes: BTreeMap::new(), buffers: BTreeMap::new() }
    }

    pub fn allocated(&mut self, start: usize) {
        self.buffers.insert(start, Buffer::default());
    }

    pub fn freed(&mut self, start: usize) {
        self.buffers.remove(&start);
    }

    /// The host waits for a dispatch.
    pub fn wait(&mut self, who: Who, sequence: u64) {
        let known = self.ended_with(who, sequence);
        join(&mut self.host, &known);
        for write in self.buffers.values_mut().flat_map(|b| &mut b.writes) {
            let own = write.by;
            let arrived = write
                .stages
                .iter()
                .any(|(w, stage)| *w != Who::CPU && stage.system != 0 && stage.system <= get(&self.host, *w));
            let from_npu = own.who == Who::NPU && own.sequence <= get(&self.host, Who::NPU);
            if arrived || from_npu {
                write.publish(Who::CPU, 1);
            }
        }
    }

    /// All that has ended when a dispatch has.
    fn ended_with(&self, who: Who, sequence: u64) -> Known {
        let before = usize::try_from(sequence).ok().and_then(|n| n.checked_sub(1));
        let lane = self.lanes.get(&who);
        let mut known = before.and_then(|n| lane?.history.get(n)).cloned().unwrap_or_default();
        raise(&mut known, who, sequence);
        known
    }

    /// A host access, or a kernel that the host runs in place.
    pub fn host(&mut self, by: &Access, touches: &[Touch]) -> Vec<Race> {
        let mut races = Vec::new();
        for touch in touches {
            self.check(by, touch, &self.host, &|write| write.visible(Who::CPU), &mut races);
            self.note(by, touch, false);
        }
        races
    }

    /// A dispatch, in the order of the program.
    pub fn dispatch(&mut self, packet: &Packet, touches: &[Touch]) -> Vec<Race> {
        let who = packet.by.who;
        let sequence = packet.by.sequence;
        let mut known = std::mem::take(&mut self.lanes.entry(who).or_default().known);
        join(&mut known, &self.host);
        for &(other, at) in &packet.after {
            join(&mut known, &self.ended_with(other, at));
        }
        if packet.barrier_before {
            self.barrier(who, sequence - 1);
        }
        let ended = if self.vulkan && !packet.npu {
            self.lanes.get(&who).map_or(0, |l| l.barrier)
        } else {
            sequence - 1
        };
        raise(&mut known, who, ended);
        self.acquire(packet, &known);
        let mut races = Vec::new();
        let vulkan = self.vulkan;
        let reaches = |write: &Write| {
            write.visible(who) || (!vulkan && !packet.npu && reachable(write, who, sequence, &known))
        };
        for touch in touches {
            let visible = |write: &Write| {
                // A kernel that only writes needs no acquire of its own.
                if touch.reads { write.visible(who) } else { reaches(write) }
            };
            self.check(&packet.by, touch, &known, &visible, &mut races);
            self.note(&packet.by, touch, packet.npu);
        }
        self.release(packet);
        if packet.barrier_behind {
            self.barrier(who, sequence);
        }
        let lane = self.lanes.entry(who).or_default();
        lane.history.push(known.clone());
        lane.known = known;
        races
    }

    /// What becomes visible where the packet starts.
    fn acquire(&mut self, packet: &Packet, known: &Known) {
        let (who, sequence, vulkan) = (packet.by.who, packet.by.sequence, self.vulkan);
        let host = &self.host;
        for write in self.buffers.values_mut().flat_map(|b| &mut b.writes) {
            let by_host = write.by.who == Who::CPU;
            let gain = if packet.npu {
                let arrived = write.stages.iter().any(|(w, s)| s.system != 0 && s.system <= get(host, *w));
                (by_host && packet.clean) || (!by_host && arrived)
            } else if vulkan {
                let followed = packet
                    .after
                    .iter()
                    .any(|(other, at)| write.stages.get(other).is_some_and(|s| s.seen != 0 && s.seen <= *at));
                write.visible(Who::CPU) || followed
            } else {
                (packet.acquire >= Scope::Agent && released(write, who, sequence, known))
                    || (packet.acquire == Scope::System && write.visible(Who::CPU))
            };
            if gain {
                write.publish(who, sequence);
            }
        }
    }

    /// What the packet's end releases.
    fn release(&mut self, packet: &Packet) {
        if packet.npu || self.vulkan {
            return;
        }
        let sequence = packet.by.sequence;
        for write in self.buffers.values_mut().flat_map(|b| &mut b.writes) {
            let Some(stage) = write.stages.get_mut(&packet.by.who).filter(|s| s.seen != 0) else { continue };
            if packet.release >= Scope::Agent && stage.agent == 0 {
                stage.agent = sequence;
            }
            // A GPU's release does not clean the host's cache: what the host wrote gets no further.
            if packet.release == Scope::System && stage.system == 0 && write.by.who != Who::CPU {
                stage.system = sequence;
            }
        }
    }

    /// Vulkan: a barrier behind dispatch `at` of a queue.
    fn barrier(&mut self, who: Who, at: u64) {
        if !self.vulkan {
            return;
        }
        let lane = self.lanes.entry(who).or_default();
        lane.barrier = lane.barrier.max(at);
        for write in self.buffers.values_mut().flat_map(|b| &mut b.writes) {
            let by_host = write.by.who == Who::CPU;
            let Some(stage) = write.stages.get_mut(&who).filter(|s| s.seen != 0 && s.seen <= at) else {
                continue;
            };
            stage.visible = true;
            if stage.system == 0 && !by_host {
                stage.system = at;
            }
        }
    }

    fn check(
        &self,
        by: &Access,
        touch: &Touch,
        known: &Known,
        visible: &dyn Fn(&Write) -> bool,
        races: &mut Vec<Race>,
    ) {
        let Some(buffer) = self.buffers.get(&touch.buffer) else { return };
        let ended = |a: &Access| a.who == Who::CPU || get(known, a.who) >= a.sequence;
        let race = |earlier: Access, earlier_writes, ended| Race {
            earlier,
            later: *by,
            earlier_writes,
            later_writes: !touch.reads || !earlier_writes,
            ended,
        };
        for write in &buffer.writes {
            if free(write.by.who, by.who) {
                continue;
            }
            if !ended(&write.by) {
                races.push(race(write.by, true, false));
            } else if !visible(write) {
                races.push(race(write.by, true, true));
            }
        }
        for read in buffer.reads.iter().filter(|_| touch.writes) {
            if !free(read.who, by.who) && !ended(read) {
                races.push(race(*read, false, false));
            }
        }
    }

    fn note(&mut self, by: &Access, touch: &Touch, npu: bool) {
        let Some(buffer) = self.buffers.get_mut(&touch.buffer) else { return };
        if touch.covers {
            buffer.writes.clear();
            buffer.reads.clear();
        }
        if touch.writes {
            buffer.writes.retain(|w| w.by.who != by.who);
            buffer.writes.push(Write::new(*by, npu));
        }
        if touch.reads {
            buffer.reads.retain(|r| r.who != by.who);
            buffer.reads.push(*by);
        }
    }
}

/// Pairs that need nothing: the host with itself, the NPU with itself.
fn free(a: Who, b: Who) -> bool {
    a == b && (a == Who::CPU || a == Who::NPU)
}

/// Whether a packet before `sequence` of `who` released the write, on some GPU queue, and is known to have ended.
fn released(write: &Write, who: Who, sequence: u64, known: &Known) -> bool {
    write.stages.iter().any(|(queue, s)| {
        s.agent != 0 && if *queue == who { s.agent < sequence } else { s.agent <= get(known, *queue) }
    })
}

/// Whether an acquire here would make the write visible.
fn reachable(write: &Write, who: Who, sequence: u64, known: &Known) -> bool {
    released(write, who, sequence, known) || write.visible(Who::CPU)
}

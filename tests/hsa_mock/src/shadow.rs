//! Incoherent memory: every agent's own copy of each allocation.
//!
//! The host's copy is the memory itself; what it has written since the copies last met is found by comparing with
//! what they held then. Behind it is the main memory. A GPU has one cache that its queues share, and in front of it
//! two for each queue (of two compute units; each kernel runs on one of them, at random). An NPU has none. A cache
//! knows which of its bytes it has written and not passed on. Bytes move
//!
//! - host to memory: at an NPU's doorbell that is stored with release order;
//! - memory to host: after a load or wait of a signal with acquire order (bytes that the host has not written);
//! - a queue's cache to the shared one: by a packet that releases at agent scope; on to memory: at system scope, what
//!   the queue has put there or acquired, which takes the bytes from the host's written ones (the GPU is coherent with
//!   the host, the NPU is not);
//! - memory and the host's written bytes to the shared cache: by a packet that acquires at system scope; on to the
//!   queue's: at agent scope;
//! - and any of these by a line at random, as caches do on their own.
//!
//! Beside the copies stands the truth: what memory would hold if everything happened in the order in which the host
//! wrote and told of packets. A kernel that reads something else, a write that may be overwritten by an older one that
//! is still in a cache, and an access before an earlier one of the same bytes has ended are races: one line on
//! standard error, and the process ends with 135.
//!
//! Which bytes a kernel writes is found by running it on two complementary fillings of the buffers that it only
//! writes: a byte that comes out equal was written.

use crate::code::Entry;
use crate::memory::{self, Table};
use crate::race;
use crate::simulation::Random;
use std::collections::BTreeMap;
use std::ops::Range;

const LINE: usize = 64;
/// Caches of a queue.
const UNITS: u64 = 2;

/// Scopes of fences.
pub const AGENT: u16 = 1;
pub const SYSTEM: u16 = 2;

/// A copy; `dirty[i]` is 0xff where byte `i` was written and not passed on, else 0.
#[derive(Clone)]
struct Cache {
    data: Vec<u8>,
    dirty: Vec<u8>,
}

/// `to[i] = from[i]` where `take[i]` is 0xff.
fn overlay(to: &mut [u8], from: &[u8], take: &[u8]) {
    for ((to, from), take) in to.iter_mut().zip(from).zip(take) {
        *to = (*to & !take) | (from & take);
    }
}

impl Cache {
    fn new(bytes: usize, value: u8) -> Self {
        Self { data: vec![value; bytes], dirty: vec![0; bytes] }
    }

    /// Bytes that this copy has not written become those of `from`.
    fn refresh(&mut self, from: &[u8]) {
        for ((to, from), keep) in self.data.iter_mut().zip(from).zip(&self.dirty) {
            *to = (*to & keep) | (from & !keep);
        }
    }
}

/// All copies of one allocation but the host's.
pub struct Shadow {
    bytes: usize,
    initial: u8,
    memory: Vec<u8>,
    /// What the host's copy held when it last met the memory.
    met: Vec<u8>,
    /// By GPU.
    shared: BTreeMap<usize, Cache>,
    /// Bytes of a GPU's shared cache that a queue's release at system scope passes on, by GPU and queue.
    owed: BTreeMap<(usize, u64), Vec<u8>>,
    truth: Vec<u8>,
    /// The host's copy when its writes were last looked for.
    seen: Vec<u8>,
    /// By GPU, and queue and unit.
    units: BTreeMap<(usize, u64), Cache>,
}

/// The host's bytes.
///
/// # Safety
/// The allocation is alive, and the host is inside a call of this library.
unsafe fn host<'a>(start: usize, range: Range<usize>) -> &'a mut [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut((start + range.start) as *mut u8, range.len()) }
}

impl Shadow {
    pub fn new(bytes: usize, initial: u8) -> Self {
        Self {
            bytes,
            initial,
            memory: vec![initial; bytes],
            met: vec![initial; bytes],
            shared: BTreeMap::new(),
            owed: BTreeMap::new(),
            truth: vec![initial; bytes],
            seen: vec![initial; bytes],
            units: BTreeMap::new(),
        }
    }

    /// The same bytes for everyone.
    pub fn filled(&mut self, offset: usize, bytes: &[u8]) {
        let range = offset..offset + bytes.len();
        self.memory[range.clone()].copy_from_slice(bytes);
        self.met[range.clone()].copy_from_slice(bytes);
        self.truth[range.clone()].copy_from_slice(bytes);
        self.seen[range.clone()].copy_from_slice(bytes);
        for owed in self.owed.values_mut() {
            owed[range.clone()].fill(0);
        }
        for cache in self.shared.values_mut().chain(self.units.values_mut()) {
            cache.data[range.clone()].copy_from_slice(bytes);
            cache.dirty[range.clone()].fill(0);
        }
        if offset == 0 {
            // Caches that nothing has used yet begin with this.
            self.initial = bytes.first().copied().unwrap_or(self.initial);
        }
    }

    fn shared(&mut self, gpu: usize) -> &mut Cache {
        let (bytes, initial) = (self.bytes, self.initial);
        self.shared.entry(gpu).or_insert_with(|| Cache::new(bytes, initial))
    }

    fn unit(&mut self, gpu: usize, unit: u64) -> &mut Cache {
        let (bytes, initial) = (self.bytes, self.initial);
        self.units.entry((gpu, unit)).or_insert_with(|| Cache::new(bytes, initial))
    }

    /// The host's written bytes of a range go to memory.
    fn clean(&mut self, start: usize, range: Range<usize>) {
        // SAFETY: the table holds it, and the simulation runs while the host is inside a call.
        let host = unsafe { host(start, range.clone()) };
        for ((memory, met), host) in self.memory[range.clone()].iter_mut().zip(&mut self.met[range]).zip(host)
        {
            if *host != *met {
                (*memory, *met) = (*host, *host);
            }
        }
    }

    /// The host's other bytes of a range come from memory.
    fn host_acquires(&mut self, start: usize, range: Range<usize>) {
        // SAFETY: as above.
        let host = unsafe { host(start, range.clone()) };
        let behind = self.memory[range.clone()].iter().zip(&mut self.met[range.clone()]);
        for (((memory, met), host), seen) in behind.zip(host).zip(&mut self.seen[range]) {
            // A write that nobody has looked for yet stays one.
            if *host == *met {
                if *host == *seen {
                    *seen = *memory;
                }
                (*host, *met) = (*memory, *memory);
            }
        }
    }

    /// Looks for what the host has written; whether there was something.
    fn look(&mut self, start: usize) -> bool {
        // SAFETY: as above.
        let host = unsafe { host(start, 0..self.bytes) };
        let copies = self.truth.iter_mut().zip(&mut self.seen);
        let mut written = Vec::new();
        for (n, (host, (truth, seen))) in host.iter().zip(copies).enumerate() {
            if host != seen {
                (*truth, *seen) = (*host, *host);
                written.push(n);
            }
        }
        for &n in &written {
            if let Some(gpu) = self.holder(n) {
                race(&format!(
                    "the host writes byte {n} of a buffer of which GPU {gpu} holds an unpublished write"
                ));
            }
        }
        !written.is_empty()
    }

    /// The GPU that has written a byte and not passed it on to memory.
    fn holder(&self, byte: usize) -> Option<usize> {
        let in_unit = self.units.iter().find(|(_, c)| c.dirty[byte] != 0).map(|((gpu, _), _)| *gpu);
        in_unit.or_else(|| self.shared.iter().find(|(_, c)| c.dirty[byte] != 0).map(|(gpu, _)| *gpu))
    }

    fn acquire(&mut self, start: usize, gpu: usize, queue: u64, scope: u16) {
        if scope >= SYSTEM {
            // SAFETY: as above.
            let host = unsafe { host(start, 0..self.bytes) };
            let mut coherent = self.memory.clone();
            for ((to, host), met) in coherent.iter_mut().zip(host.iter()).zip(&self.met) {
                if host != met {
                    *to = *host;
                }
            }
            self.shared(gpu).refresh(&coherent);
        }
        if scope >= AGENT {
            let dirty = self.shared(gpu).dirty.clone();
            self.owed.insert((gpu, queue), dirty);
            let shared = self.shared(gpu).data.clone();
            for unit in queue * UNITS..(queue + 1) * UNITS {
                self.unit(gpu, unit).refresh(&shared);
            }
        }
    }

    fn release(&mut self, start: usize, gpu: usize, queue: u64, scope: u16, range: Range<usize>) {
        self.shared(gpu);
        let Some(shared) = self.shared.get_mut(&gpu) else { return };
        for unit in queue * UNITS..(queue + 1) * UNITS {
            if let Some(own) = self.units.get_mut(&(gpu, unit)).filter(|_| scope >= AGENT) {
                let dirty = &mut own.dirty[range.clone()];
                overlay(&mut shared.data[range.clone()], &own.data[range.clone()], dirty);
                let owed = self.owed.entry((gpu, queue)).or_insert_with(|| vec![0; self.bytes]);
                let both = shared.dirty[range.clone()].iter_mut().zip(&mut owed[range.clone()]);
                for ((shared, owed), own) in both.zip(dirty.iter()) {
                    *shared |= own;
                    *owed |= own;
                }
                dirty.fill(0);
            }
        }
        if scope >= SYSTEM {
            let Some(passed) = self.owed.get(&(gpu, queue)).map(|o| o[range.clone()].to_vec()) else {
                return;
            };
            overlay(&mut self.memory[range.clone()], &shared.data[range.clone()], &passed);
            // SAFETY: as above.
            let host = unsafe { host(start, range.clone()) };
            overlay(&mut self.met[range.clone()], host, &passed);
            let of_gpu = self.owed.iter_mut().filter(|((g, _), _)| *g == gpu).map(|(_, owed)| owed);
            for dirty in of_gpu.chain(std::iter::once(&mut shared.dirty)) {
                for (dirty, passed) in dirty[range.clone()].iter_mut().zip(&passed) {
                    *dirty &= !passed;
                }
            }
        }
    }
}

/// Each allocation that has copies.
fn each(table: &mut Table, mut f: impl FnMut(usize, &mut Shadow)) {
    for (start, allocation) in &mut table.all {
        if let Some(shadow) = &mut allocation.shadow {
            f(*start, shadow);
        }
    }
}

/// All that the host has written goes to memory.
pub fn clean() {
    each(&mut memory::table(), |start, shadow| shadow.clean(start, 0..shadow.bytes));
}

/// The host looks at memory anew.
pub fn host_acquires() {
    each(&mut memory::table(), |start, shadow| shadow.host_acquires(start, 0..shadow.bytes));
}

/// Looks for what the host has written since the last look; the allocations.
pub fn host_writes() -> Vec<usize> {
    let mut written = Vec::new();
    each(&mut memory::table(), |start, shadow| {
        if shadow.look(start) {
            written.push(start);
        }
    });
    written
}

/// An allocation that a kernel uses.
#[derive(Clone)]
pub struct Use {
    pub start: usize,
    pub reads: bool,
    pub writes: bool,
    /// What a kernel that reads it has to find.
    expected: Vec<u8>,
}

/// Runs a kernel on the truth, when the host tells of it; what it uses.
///
/// # Safety
/// As [`run`].
pub unsafe fn run_truly(entry: &Entry, kernarg: &[u8]) -> Vec<Use> {
    let mut views = uses(entry, kernarg);
    {
        let table = memory::table();
        for view in &mut views {
            let Some(shadow) = table.all.get(&view.start).and_then(|a| a.shadow.as_ref()) else { continue };
            view.before.clone_from(&shadow.truth);
            view.now.clone_from(&shadow.truth);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { call(entry, kernarg, &mut views) };
    let mut table = memory::table();
    for view in &mut views {
        if let Some(shadow) = table.all.get_mut(&view.start).and_then(|a| a.shadow.as_mut()) {
            std::mem::swap(&mut shadow.truth, &mut view.now);
        }
    }
    let used = |v: View| Use { start: v.start, reads: v.reads, writes: v.writes, expected: v.before };
    views.into_iter().map(used).collect()
}

/// A packet's acquire fence.
pub fn acquire(gpu: usize, queue: u64, scope: u16) {
    each(&mut memory::table(), |start, shadow| shadow.acquire(start, gpu, queue, scope));
}

/// A packet's release fence.
pub fn release(gpu: usize, queue: u64, scope: u16) {
    each(&mut memory::table(), |start, shadow| shadow.release(start, gpu, queue, scope, 0..shadow.bytes));
}

/// Some line of some allocation moves, as it may at any time.
pub fn spontaneous(random: &mut Random) {
    let mut table = memory::table();
    let mut all: Vec<(usize, &mut Shadow)> =
        table.all.iter_mut().filter_map(|(start, a)| Some((*start, a.shadow.as_mut()?))).collect();
    let n = all.len();
    let Some((start, shadow)) = all.get_mut(random.below(n)) else { return };
    let first = random.below(shadow.bytes.div_ceil(LINE)) * LINE;
    let range = first..(first + LINE).min(shadow.bytes);
    match random.below(3) {
        0 => shadow.clean(*start, range),
        1 => shadow.host_acquires(*start, range),
        _ => {
            let units: Vec<(usize, u64)> = shadow.units.keys().copied().collect();
            if let Some(&(gpu, unit)) = units.get(random.below(units.len())) {
                let scope = if random.below(2) == 0 { AGENT } else { SYSTEM };
                shadow.release(*start, gpu, unit / UNITS, scope, range);
            }
        }
    }
}

/// Where a kernel runs.
#[derive(Clone, Copy)]
pub struct Place {
    pub agent: usize,
    pub queue: u64,
    pub npu: bool,
}

/// An allocation as one kernel sees it.
struct View {
    start: usize,
    reads: bool,
    writes: bool,
    /// Bytes at its beginning that the kernel stores to for certain, if only what was there.
    covers: usize,
    before: Vec<u8>,
    now: Vec<u8>,
    written: Vec<u8>,
}

/// Runs a kernel on its agent's copies. `kernarg` is a copy of its arguments, `uses` what it should find.
///
/// # Safety
/// The arguments are the kernel's; its buffers are alive.
pub unsafe fn run(place: Place, entry: &Entry, kernarg: &[u8], used: &[Use], random: &mut Random) {
    let unit = place.queue * UNITS + random.below(UNITS as usize) as u64;
    let mut views = views(place, unit, entry, kernarg, random);
    for view in views.iter().filter(|v| v.reads) {
        let Some(truth) = used.iter().find(|u| u.start == view.start) else { continue };
        if let Some(byte) = view.before.iter().zip(&truth.expected).position(|(a, b)| a != b) {
            let (found, right) = (view.before[byte], truth.expected[byte]);
            race(&format!(
                "kernel `{}` finds {found:#04x} in byte {byte} of a buffer instead of {right:#04x}",
                entry.name()
            ));
        }
    }
    // SAFETY: the caller's promise.
    unsafe { call(entry, kernarg, &mut views) };
    if views.iter().any(|v| !v.reads) {
        let first: Vec<Vec<u8>> = views.iter().map(|v| v.now.clone()).collect();
        for view in &mut views {
            if !view.reads {
                view.before.iter_mut().for_each(|b| *b = !*b);
            }
            view.now.clone_from(&view.before);
        }
        // SAFETY: as above.
        unsafe { call(entry, kernarg, &mut views) };
        for (view, first) in views.iter_mut().zip(first) {
            view.written = first.iter().zip(&view.now).map(|(a, b)| if a == b { 0xff } else { 0 }).collect();
        }
    }
    let mut table = memory::table();
    for view in &mut views {
        if view.reads {
            let changed = view.before.iter().zip(&view.now).enumerate();
            view.written =
                changed.map(|(n, (a, b))| if n >= view.covers && a == b { 0 } else { 0xff }).collect();
        }
        let Some(shadow) = table.all.get_mut(&view.start).and_then(|a| a.shadow.as_mut()) else { continue };
        shadow.check_order(place, unit, view, entry);
        if place.npu {
            overlay(&mut shadow.memory, &view.now, &view.written);
        } else {
            let cache = shadow.unit(place.agent, unit);
            overlay(&mut cache.data, &view.now, &view.written);
            for (dirty, written) in cache.dirty.iter_mut().zip(&view.written) {
                *dirty |= written;
            }
        }
    }
}

impl Shadow {
    /// No older write of what the kernel wrote may be left anywhere from where it could still move over it.
    fn check_order(&self, place: Place, unit: u64, view: &View, entry: &Entry) {
        // SAFETY: the allocation is alive, and the host is inside a call.
        let host = unsafe { host(view.start, 0..self.bytes) };
        for byte in (0..self.bytes).filter(|n| view.written[*n] != 0) {
            let elsewhere = self.units.iter().any(|(at, c)| *at != (place.agent, unit) && c.dirty[byte] != 0);
            let left = if place.npu {
                self.holder(byte).is_some() || host[byte] != self.met[byte]
            } else {
                elsewhere
            };
            if left {
                let name = entry.name();
                race(&format!(
                    "kernel `{name}` writes byte {byte} of a buffer while an older write is unpublished"
                ));
            }
        }
    }
}

/// A buffer's address among the arguments.
fn address(entry: &Entry, kernarg: &[u8], n: usize) -> usize {
    word(entry, kernarg, n, 0)
}

/// One of an argument's two words; of a buffer the second is the number of its elements.
fn word(entry: &Entry, kernarg: &[u8], n: usize, which: usize) -> usize {
    let at = entry.first as usize + 16 * n + 8 * which;
    kernarg.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap_or_default()) as usize)
}

/// The allocations that a kernel uses, without contents.
fn uses(entry: &Entry, kernarg: &[u8]) -> Vec<View> {
    let mut table = memory::table();
    let mut views: Vec<View> = Vec::new();
    for (n, param) in entry.params().iter().enumerate().filter(|(_, p)| p.kind == 1) {
        let Some((start, _)) = table.find(address(entry, kernarg, n)) else { continue };
        let writes = param.effect & 2 != 0;
        // What is neither read nor written counts as read.
        let reads = param.effect & 1 != 0 || !writes;
        let covers = if param.effect & 4 != 0 && address(entry, kernarg, n) == start {
            usize::from(param.size) * word(entry, kernarg, n, 1)
        } else {
            0
        };
        match views.iter_mut().find(|v| v.start == start) {
            Some(view) => {
                view.reads |= reads;
                view.writes |= writes;
                view.covers = view.covers.max(covers);
            }
            None => {
                let empty = Vec::new;
                views.push(View {
                    start,
                    reads,
                    writes,
                    covers,
                    before: empty(),
                    now: empty(),
                    written: empty(),
                });
            }
        }
    }
    views
}

fn views(place: Place, unit: u64, entry: &Entry, kernarg: &[u8], random: &mut Random) -> Vec<View> {
    let mut views = uses(entry, kernarg);
    let mut table = memory::table();
    for view in &mut views {
        let Some(shadow) = table.all.get_mut(&view.start).and_then(|a| a.shadow.as_mut()) else { continue };
        view.before = if !view.reads {
            (0..shadow.bytes).map(|_| random.draw() as u8).collect()
        } else if place.npu {
            shadow.memory.clone()
        } else {
            shadow.unit(place.agent, unit).data.clone()
        };
        view.now.clone_from(&view.before);
    }
    views
}

/// Calls the kernel with the views in place of its buffers.
unsafe fn call(entry: &Entry, kernarg: &[u8], views: &mut [View]) {
    let mut words: Vec<u64> =
        kernarg.chunks(8).map(|c| c.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b))).collect();
    for (n, _) in entry.params().iter().enumerate().filter(|(_, p)| p.kind == 1) {
        let address = address(entry, kernarg, n);
        if let Some(view) = views.iter_mut().find(|v| (v.start..v.start + v.now.len()).contains(&address)) {
            words[(entry.first as usize + 16 * n) / 8] =
                view.now.as_mut_ptr() as u64 + (address - view.start) as u64;
        }
    }
    // SAFETY: the caller's promise; the views are as long as the allocations.
    unsafe { (entry.run)(words.as_ptr().cast()) };
}

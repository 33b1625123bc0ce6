//! Incoherent memory: every agent's own copy of each allocation.
//!
//! The host's copy is the memory itself; what it has written since the copies last met is found by comparing with
//! what they held then. Behind it is the main memory. A GPU has one cache that its queues share, and in front of it
//! two for each queue (of two compute units; each kernel runs on one of them, at random). An NPU has none. A cache
//! knows which of its bytes it has written and not passed on. Bytes move
//!
//! - host to memory: at an NPU's doorbell that is stored with release order;
//! - memory to host: after a load or wait of a signal with acquire order (bytes that the host has not written);
//! - a queue's cache to the shared one: by a packet that releases at agent scope; on to memory: at system scope, which
//!   takes the bytes from the host's written ones (the GPU is coherent with the host, the NPU is not);
//! - memory and the host's written bytes to the shared cache: by a packet that acquires at system scope; on to the
//!   queue's: at agent scope;
//! - and any of these by a line at random, as caches do on their own.
//!
//! Which bytes a kernel writes is found by running it on two complementary fillings of the buffers that it only
//! writes: a byte that comes out equal was written.

use crate::code::Entry;
use crate::memory::{self, Table};
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
            units: BTreeMap::new(),
        }
    }

    /// The same bytes for everyone.
    pub fn filled(&mut self, offset: usize, bytes: &[u8]) {
        let range = offset..offset + bytes.len();
        self.memory[range.clone()].copy_from_slice(bytes);
        self.met[range.clone()].copy_from_slice(bytes);
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
        for ((memory, met), host) in self.memory[range.clone()].iter().zip(&mut self.met[range]).zip(host) {
            if *host == *met {
                (*host, *met) = (*memory, *memory);
            }
        }
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
                for (shared, own) in shared.dirty[range.clone()].iter_mut().zip(dirty.iter()) {
                    *shared |= own;
                }
                dirty.fill(0);
            }
        }
        if scope >= SYSTEM {
            let dirty = &mut shared.dirty[range.clone()];
            overlay(&mut self.memory[range.clone()], &shared.data[range.clone()], dirty);
            // SAFETY: as above.
            let host = unsafe { host(start, range.clone()) };
            overlay(&mut self.met[range], host, dirty);
            dirty.fill(0);
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
    before: Vec<u8>,
    now: Vec<u8>,
    written: Vec<u8>,
}

/// Runs a kernel on its agent's copies. `kernarg` is a copy of its arguments.
///
/// # Safety
/// The arguments are the kernel's; its buffers are alive.
pub unsafe fn run(place: Place, entry: &Entry, kernarg: &[u8], random: &mut Random) {
    let unit = place.queue * UNITS + random.below(UNITS as usize) as u64;
    let mut views = views(place, unit, entry, kernarg, random);
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
            view.written =
                view.before.iter().zip(&view.now).map(|(a, b)| if a == b { 0 } else { 0xff }).collect();
        }
        let Some(shadow) = table.all.get_mut(&view.start).and_then(|a| a.shadow.as_mut()) else { continue };
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

/// A buffer's address among the arguments.
fn address(entry: &Entry, kernarg: &[u8], n: usize) -> usize {
    let at = entry.first as usize + 16 * n;
    kernarg.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap_or_default()) as usize)
}

fn views(place: Place, unit: u64, entry: &Entry, kernarg: &[u8], random: &mut Random) -> Vec<View> {
    let mut table = memory::table();
    let mut views: Vec<View> = Vec::new();
    for (n, param) in entry.params().iter().enumerate().filter(|(_, p)| p.kind == 1) {
        let Some((start, _)) = table.find(address(entry, kernarg, n)) else { continue };
        // What is neither read nor written counts as read.
        let reads = param.effect & 1 != 0 || param.effect & 2 == 0;
        match views.iter_mut().find(|v| v.start == start) {
            Some(view) => view.reads |= reads,
            None => {
                views.push(View { start, reads, before: Vec::new(), now: Vec::new(), written: Vec::new() })
            }
        }
    }
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

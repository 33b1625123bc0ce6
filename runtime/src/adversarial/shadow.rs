//! Every agent's own copy of each buffer.
//!
//! The host's copy is the memory that the program holds. Behind it is the main memory; GPU queues have two caches each
//! (of two compute units; every dispatch runs on one of them, at random), in front of one that all share; the NPU has none. A copy knows which of its bytes it has written and not yet
//! passed on. Bytes move
//!
//! - host → memory: a clean; memory → host: after a wait (bytes that the host has not written);
//! - queue → shared cache: a release at agent scope; → memory: at system scope, which takes the bytes from the host's
//!   dirty ones (the GPU is coherent with the host, the NPU is not);
//! - memory and the host's dirty bytes → shared cache: an acquire at system scope; → queue: at agent scope;
//! - any of these by lines at random, as caches do on their own.
//!
//! Which bytes a kernel writes is found by running it on two complementary fillings of the buffers that it does not
//! read: a byte that comes out equal was written. Of what it also reads, bytes that changed; but all of them where its
//! effects say that it writes every element: a store of an equal value takes the line from the host's cache too.

use super::Random;
use super::clocks::Scope;
use crate::abi::{Arg, Dispatch};
use crate::agents::{self, params};
use crate::buffers;
use std::collections::BTreeMap;

const LINE: usize = 64;
/// Compute units of a queue.
const UNITS: usize = 2;

/// The numbers of a queue's compute units.
fn units(queue: usize) -> std::ops::Range<usize> {
    queue * UNITS..(queue + 1) * UNITS
}

/// A copy of a buffer; `dirty[i]` is 0xff where byte `i` was written and not passed on, else 0.
#[derive(Default, Clone)]
struct Cache {
    data: Vec<u8>,
    dirty: Vec<u8>,
}

impl Cache {
    fn new(bytes: usize) -> Self {
        Self { data: vec![0; bytes], dirty: vec![0; bytes] }
    }

    /// Bytes that this copy has not written become those of `from`.
    fn refresh(&mut self, from: &[u8]) {
        merge(&mut self.data, from, &self.dirty);
    }
}

/// `to[i] = from[i]` where `keep[i]` is 0.
fn merge(to: &mut [u8], from: &[u8], keep: &[u8]) {
    for ((to, from), keep) in to.iter_mut().zip(from).zip(keep) {
        *to = (*to & keep) | (from & !keep);
    }
}

/// `to[i] = from[i]` where `take[i]` is 0xff.
fn overlay(to: &mut [u8], from: &[u8], take: &[u8]) {
    for ((to, from), take) in to.iter_mut().zip(from).zip(take) {
        *to = (*to & !take) | (from & take);
    }
}

struct Shadow {
    bytes: usize,
    memory: Vec<u8>,
    host_dirty: Vec<u8>,
    shared: Cache,
    units: BTreeMap<usize, Cache>,
}

/// The copies of all buffers, by address.
#[derive(Default)]
pub struct Shadows {
    all: BTreeMap<usize, Shadow>,
}

/// How a packet runs.
pub struct Run {
    pub queue: usize,
    pub npu: bool,
    pub acquire: Scope,
    pub release: Scope,
}

/// The host's bytes of a buffer.
///
/// # Safety
/// The buffer is alive, and nobody else uses its bytes now.
unsafe fn host<'a>(start: usize, bytes: usize) -> &'a mut [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(start as *mut u8, bytes) }
}

impl Shadow {
    fn new(bytes: usize) -> Self {
        let shared = Cache::new(bytes);
        Self { bytes, memory: vec![0; bytes], host_dirty: vec![0; bytes], shared, units: BTreeMap::new() }
    }

    fn unit(&mut self, unit: usize) -> &mut Cache {
        let bytes = self.bytes;
        self.units.entry(unit).or_insert_with(|| Cache::new(bytes))
    }

    /// The host's dirty bytes of a range go to memory.
    fn clean(&mut self, start: usize, range: std::ops::Range<usize>) {
        // SAFETY: the buffer is alive while it has a shadow; the simulation runs on the host's thread.
        let host = unsafe { host(start, self.bytes) };
        overlay(&mut self.memory[range.clone()], &host[range.clone()], &self.host_dirty[range.clone()]);
        self.host_dirty[range].fill(0);
    }

    /// The host's clean bytes of a range come from memory.
    fn host_acquires(&mut self, start: usize, range: std::ops::Range<usize>) {
        // SAFETY: as above.
        let host = unsafe { host(start, self.bytes) };
        merge(&mut host[range.clone()], &self.memory[range.clone()], &self.host_dirty[range]);
    }

    /// All caches of a queue look at what is behind them anew.
    fn acquire(&mut self, start: usize, queue: usize, scope: Scope) {
        if scope == Scope::System {
            // SAFETY: as above.
            let host = unsafe { host(start, self.bytes) };
            let mut coherent = self.memory.clone();
            overlay(&mut coherent, host, &self.host_dirty);
            self.shared.refresh(&coherent);
        }
        if scope >= Scope::Agent {
            let shared = std::mem::take(&mut self.shared);
            for unit in units(queue) {
                self.unit(unit).refresh(&shared.data);
            }
            self.shared = shared;
        }
    }

    /// All caches of a queue pass on what they have written.
    fn release(&mut self, queue: usize, scope: Scope, range: std::ops::Range<usize>) {
        for unit in units(queue) {
            if let Some(own) = self.units.get_mut(&unit).filter(|_| scope >= Scope::Agent) {
                let dirty = &mut own.dirty[range.clone()];
                overlay(&mut self.shared.data[range.clone()], &own.data[range.clone()], dirty);
                for (shared, own) in self.shared.dirty[range.clone()].iter_mut().zip(dirty.iter()) {
                    *shared |= own;
                }
                dirty.fill(0);
            }
        }
        if scope == Scope::System {
            let dirty = &mut self.shared.dirty[range.clone()];
            overlay(&mut self.memory[range.clone()], &self.shared.data[range.clone()], dirty);
            for (host, gpu) in self.host_dirty[range].iter_mut().zip(dirty.iter()) {
                *host &= !gpu;
            }
            dirty.fill(0);
        }
    }
}

/// A buffer as one kernel sees it.
struct View {
    start: usize,
    reads: bool,
    writes: bool,
    covers: bool,
    /// The parameter, from 1, for messages.
    param: usize,
    before: Vec<u8>,
    now: Vec<u8>,
    written: Vec<u8>,
}

impl Shadows {
    pub fn allocated(&mut self, start: usize, bytes: usize) {
        self.all.insert(start, Shadow::new(bytes));
    }

    pub fn freed(&mut self, start: usize) {
        self.all.remove(&start);
    }

    pub fn host_writes(&mut self, start: usize, offset: usize, bytes: usize) {
        if let Some(shadow) = self.all.get_mut(&start) {
            let end = (offset + bytes).min(shadow.bytes);
            shadow.host_dirty[offset.min(end)..end].fill(0xff);
        }
    }

    pub fn host_writes_all(&mut self, start: usize) {
        self.host_writes(start, 0, usize::MAX / 2);
    }

    /// All dirty bytes of the host go to memory.
    pub fn clean(&mut self) {
        for (start, shadow) in &mut self.all {
            shadow.clean(*start, 0..shadow.bytes);
        }
    }

    /// The host looks at memory anew.
    pub fn host_acquires(&mut self) {
        for (start, shadow) in &mut self.all {
            shadow.host_acquires(*start, 0..shadow.bytes);
        }
    }

    /// Vulkan: what a queue has written is there for all.
    pub fn barrier(&mut self, queue: usize) {
        for (start, shadow) in &mut self.all {
            shadow.release(queue, Scope::System, 0..shadow.bytes);
            shadow.acquire(*start, queue, Scope::Agent);
        }
    }

    /// Some line of some buffer moves, as it may at any time.
    pub fn spontaneous(&mut self, random: &mut Random) {
        let n = self.all.len();
        let Some((&start, shadow)) = self.all.iter_mut().nth(random.below(n)) else { return };
        if shadow.bytes == 0 {
            return;
        }
        let lines = shadow.bytes.div_ceil(LINE);
        for _ in 0..1 + random.below(4) {
            let first = random.below(lines) * LINE;
            let range = first..(first + LINE).min(shadow.bytes);
            match random.below(3) {
                0 => shadow.clean(start, range),
                1 => shadow.host_acquires(start, range),
                _ => {
                    let units: Vec<usize> = shadow.units.keys().copied().collect();
                    if let Some(unit) = units.get(random.below(units.len())) {
                        let scope = if random.one_in(2) { Scope::Agent } else { Scope::System };
                        shadow.release(unit / UNITS, scope, range);
                    }
                }
            }
        }
    }

    /// Runs a packet's kernel on its agent's copies. The number of a parameter that was written though it must not be.
    ///
    /// # Safety
    /// `words` are the arguments of the dispatch, whose buffers are alive.
    pub unsafe fn run(
        &mut self,
        run: &Run,
        dispatch: &Dispatch,
        words: &[u64],
        random: &mut Random,
    ) -> Option<usize> {
        if !run.npu {
            for (start, shadow) in &mut self.all {
                shadow.acquire(*start, run.queue, run.acquire);
            }
        }
        let unit = run.queue * UNITS + random.below(UNITS);
        // SAFETY: the caller's promise.
        let (mut views, mut args) = unsafe { self.views(run.npu, unit, dispatch, words, random) };
        // SAFETY: as above.
        unsafe { call(dispatch, words, &mut views, &mut args) };
        if views.iter().any(|v| v.writes && !v.reads) {
            let first: Vec<Vec<u8>> = views.iter().map(|v| v.now.clone()).collect();
            for view in &mut views {
                if !view.reads {
                    view.before.iter_mut().for_each(|b| *b = !*b);
                }
                view.now.clone_from(&view.before);
            }
            // SAFETY: as above.
            unsafe { call(dispatch, words, &mut views, &mut args) };
            for (view, first) in views.iter_mut().zip(first).filter(|(v, _)| !v.reads) {
                view.written =
                    first.iter().zip(&view.now).map(|(a, b)| if a == b { 0xff } else { 0 }).collect();
            }
        }
        let mut wrong = None;
        for view in &mut views {
            if view.reads {
                view.written =
                    view.before.iter().zip(&view.now).map(|(a, b)| if a == b { 0 } else { 0xff }).collect();
            }
            if view.covers {
                view.written.fill(0xff);
            }
            if !view.writes && view.written.iter().any(|w| *w != 0) {
                wrong = wrong.or(Some(view.param));
            }
            self.store(run.npu, unit, view);
        }
        if !run.npu {
            for shadow in self.all.values_mut() {
                shadow.release(run.queue, run.release, 0..shadow.bytes);
            }
        }
        wrong
    }

    /// What the kernel wrote becomes its agent's.
    fn store(&mut self, npu: bool, unit: usize, view: &View) {
        let Some(shadow) = self.all.get_mut(&view.start) else { return };
        if npu {
            overlay(&mut shadow.memory, &view.now, &view.written);
            return;
        }
        let cache = shadow.unit(unit);
        overlay(&mut cache.data, &view.now, &view.written);
        for (dirty, written) in cache.dirty.iter_mut().zip(&view.written) {
            *dirty |= written;
        }
    }

    /// Copies of the buffers for one run, and the arguments (without addresses).
    unsafe fn views(
        &mut self,
        npu: bool,
        unit: usize,
        dispatch: &Dispatch,
        words: &[u64],
        random: &mut Random,
    ) -> (Vec<View>, Vec<Arg>) {
        let mut args = Vec::new();
        let mut views: Vec<View> = Vec::new();
        let mut table = buffers::table();
        // SAFETY: the caller's promise.
        let params = unsafe {
            let params = params(&*dispatch.kernel);
            agents::resolve(&mut table, dispatch, params, words.as_ptr(), false, &mut args);
            params
        };
        for (n, param) in params.iter().enumerate().filter(|(_, p)| p.kind == 1) {
            let address = words[n] as usize;
            let Some(start) = table.find(address).map(|b| b.start) else { continue };
            let (reads, writes) = (param.effect & 1 != 0, param.effect & 2 != 0);
            let covers = writes && address == start && param.effect & 4 != 0;
            if let Some(view) = views.iter_mut().find(|v| v.start == start) {
                view.reads |= reads;
                view.writes |= writes;
                view.covers |= covers;
                continue;
            }
            let empty = Vec::new;
            views.push(View {
                start,
                reads,
                writes,
                covers,
                param: n + 1,
                before: empty(),
                now: empty(),
                written: empty(),
            });
        }
        for view in &mut views {
            let Some(shadow) = self.all.get_mut(&view.start) else { continue };
            view.reads |= !view.writes;
            view.before = if !view.reads {
                (0..shadow.bytes).map(|_| random.draw() as u8).collect()
            } else if npu {
                shadow.memory.clone()
            } else {
                shadow.unit(unit).data.clone()
            };
            view.now.clone_from(&view.before);
        }
        (views, args)
    }
}

/// Calls the kernel on the views.
unsafe fn call(dispatch: &Dispatch, words: &[u64], views: &mut [View], args: &mut [Arg]) {
    {
        let mut table = buffers::table();
        // SAFETY: descriptors are static.
        let params = unsafe { params(&*dispatch.kernel) };
        for (n, _) in params.iter().enumerate().filter(|(_, p)| p.kind == 1) {
            let address = words[n] as usize;
            let Some(start) = table.find(address).map(|b| b.start) else { continue };
            if let Some(view) = views.iter_mut().find(|v| v.start == start) {
                args[n].value = view.now.as_mut_ptr() as u64 + (address - start) as u64;
            }
        }
    }
    // SAFETY: the caller's promise; the views are as long as the buffers.
    unsafe {
        if let Some(run) = (*dispatch.kernel).host {
            run(args.as_ptr());
        }
    }
}

/// `CPU.dispatch`: on the host's own copy.
///
/// # Safety
/// As [`crate::agents::clef_dispatch`].
pub unsafe fn run_on_host(dispatch: &Dispatch, words: *const u64) {
    let mut args = Vec::new();
    // SAFETY: the caller's promise.
    unsafe {
        let kernel = &*dispatch.kernel;
        agents::resolve(&mut buffers::table(), dispatch, params(kernel), words, false, &mut args);
        if let Some(run) = kernel.host {
            run(args.as_ptr());
        }
    }
}

//! Adversarial memory (`CLEF_ADVERSARIAL=SEED`): runs a program as the least friendly machine that its fence plan
//! allows would, and reports races.
//!
//! Agents are simulated on the host's thread, so a seed gives the same run every time. Two halves, which share only
//! the order of events:
//!
//! - [`clocks`] follows the rules of docs/fences.md for each write: who knows that it has ended, and to whom it is
//!   visible. An access that conflicts with one that it must not overlap, or reads what was not made visible to it,
//!   is a race: both are named on standard error, and the program ends with 135. `CLEF_RACES=ignore` reports them and
//!   goes on.
//! - [`shadow`] gives every agent its own copy of each buffer; only the plan's scopes, barriers, cleans and waits move
//!   bytes, besides what caches may do on their own at any time, which happens at random. Dispatches run at random
//!   times within what the plan allows. So a program whose plan lacks something also computes wrong results.
//!
//! Locations are whole buffers, as in the plan. Host accesses are seen where the program was compiled with hooks.

pub mod clocks;
pub mod shadow;

use crate::abi::{
    Dispatch, FLAG_BARRIER_BEFORE, FLAG_BARRIER_BEHIND, FLAG_CLEAN_HSA, FLAG_CLEAN_VULKAN, Loc, ROUTE_VULKAN,
};
use crate::agents::{self, lane, params, resolve, stopped, table::Role};
use crate::stop::{self, Place};
use crate::{buffers, output, start};
use clocks::{Clocks, Packet, Scope, Touch, Who};
use shadow::{Run, Shadows};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The seed, if the mode is on.
pub fn seed() -> Option<u64> {
    static SEED: OnceLock<Option<u64>> = OnceLock::new();
    *SEED.get_or_init(|| {
        let text = start::variable_text(c"CLEF_ADVERSARIAL")?;
        match text.parse() {
            Ok(seed) => Some(seed),
            Err(_) => {
                stop::fatal(format_args!("CLEF_ADVERSARIAL is `{text}`; it must be a number, the seed"))
            }
        }
    })
}

/// A small generator of random numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.draw().is_multiple_of(n)
    }
}

/// A dispatch that has not run.
struct Pending {
    dispatch: &'static Dispatch,
    /// The program's words.
    args: Vec<u64>,
    /// (lane, sequence) that must have ended.
    after: Vec<(usize, u64)>,
}

// SAFETY: the reference is to a static descriptor, which only the program's host thread changes (its site).
unsafe impl Send for Pending {}

#[derive(Default)]
struct Queue {
    pending: VecDeque<Pending>,
    /// Sequence number of the newest dispatch, and of the newest that has run.
    newest: u64,
    done: u64,
}

/// The simulated machine.
struct World {
    random: Random,
    vulkan: bool,
    clocks: Clocks,
    shadows: Shadows,
    queues: BTreeMap<usize, Queue>,
    /// Host accesses (place, buffer) that were checked since anything else happened: loops repeat them.
    checked: Vec<(usize, usize)>,
}

static WORLD: OnceLock<Mutex<World>> = OnceLock::new();

fn world() -> MutexGuard<'static, World> {
    let world = WORLD.get_or_init(|| {
        let vulkan = agents::route() == ROUTE_VULKAN;
        Mutex::new(World {
            random: Random(seed().unwrap_or(0)),
            vulkan,
            clocks: Clocks::new(vulkan),
            shadows: Shadows::default(),
            queues: BTreeMap::new(),
            checked: Vec::new(),
        })
    });
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new buffer.
pub fn allocated(start: usize, bytes: usize) {
    let mut world = world();
    world.checked.clear();
    world.clocks.allocated(start);
    world.shadows.allocated(start, bytes);
}

/// A buffer without references: what still uses it runs first.
pub fn freed(start: usize) {
    let mut world = world();
    world.run_all();
    world.checked.clear();
    world.clocks.freed(start);
    world.shadows.freed(start);
}

/// A host access of a buffer's bytes is about to happen.
pub fn host_access(address: usize, bytes: usize, write: bool, loc: *const Loc) {
    let Some(start) = buffers::table().find(address).map(|b| b.start) else { return };
    let mut world = world();
    if world.random.one_in(16) {
        world.weather();
    }
    let access = (loc as usize | usize::from(write), start);
    if !world.checked.contains(&access) {
        if world.checked.len() >= 16 {
            world.checked.clear();
        }
        world.checked.push(access);
        let touch = Touch { buffer: start, reads: !write, writes: write, covers: false };
        let by = clocks::Access { who: Who::CPU, sequence: 0, loc, dispatch: std::ptr::null() };
        report(&world.clocks.host(&by, &[touch]));
    }
    if write {
        world.shadows.host_writes(start, address - start, bytes);
    }
}

/// The host waits for a dispatch.
pub fn wait(number: usize, sequence: u64) {
    let mut world = world();
    world.run_until(number, sequence);
    world.checked.clear();
    world.clocks.wait(who(number), sequence);
    world.shadows.host_acquires();
}

/// Runs all that is left.
pub fn finish() {
    world().run_all();
}

fn who(number: usize) -> Who {
    Who(number as u8 + 1)
}

/// The buffers that a dispatch touches, modes of the same one joined.
unsafe fn touches(dispatch: &Dispatch, args: *const u64) -> Vec<Touch> {
    let mut list: Vec<Touch> = Vec::new();
    let mut table = buffers::table();
    // SAFETY: the caller's promise (descriptors are static, one word for each parameter).
    let params = unsafe { params(&*dispatch.kernel) };
    for (n, param) in params.iter().enumerate() {
        // SAFETY: as above.
        let address = unsafe { *args.add(n) } as usize;
        let Some(buffer) = (param.kind == 1).then(|| table.find(address)).flatten() else { continue };
        let whole = address == buffer.start;
        let (reads, writes) = (param.effect & 1 != 0, param.effect & 2 != 0);
        let covers = writes && whole && param.effect & 4 != 0;
        match list.iter_mut().find(|t| t.buffer == buffer.start) {
            Some(t) => {
                t.reads |= reads;
                t.writes |= writes;
                t.covers |= covers;
            }
            None => list.push(Touch { buffer: buffer.start, reads, writes, covers }),
        }
    }
    list
}

/// A dispatch of the program.
///
/// # Safety
/// As [`agents::clef_dispatch`].
pub unsafe fn dispatch(dispatch: &'static Dispatch, args: *const u64) {
    // SAFETY: the caller's promise; also checks the arguments.
    let (touches, kernel) = unsafe {
        let kernel = &*dispatch.kernel;
        resolve(&mut buffers::table(), dispatch, params(kernel), args, false, &mut Vec::new());
        (touches(dispatch, args), kernel)
    };
    if kernel.host.is_none() {
        agents::no_host_form(dispatch);
    }
    if dispatch.agent == 1 && kernel.n_phases == 0 && agents::route() == ROUTE_VULKAN {
        let name = stopped::kernel_name(kernel);
        stop::stop_at(
            &dispatch.loc,
            format_args!("kernel `{name}` has no form for the GPU: the program was not built for Vulkan"),
        );
    }
    let mut world = world();
    world.checked.clear();
    let by = clocks::Access { who: Who::CPU, sequence: 0, loc: &dispatch.loc, dispatch };
    if dispatch.agent == 0 {
        world.weather();
        report(&world.clocks.host(&by, &touches));
        for touch in touches.iter().filter(|t| t.writes) {
            world.shadows.host_writes_all(touch.buffer);
        }
        // SAFETY: the caller's promise.
        return unsafe { shadow::run_on_host(dispatch, args) };
    }
    // SAFETY: as above.
    unsafe { world.queue(dispatch, args, &by, &touches) };
    world.weather();
}

impl World {
    unsafe fn queue(
        &mut self,
        dispatch: &'static Dispatch,
        args: *const u64,
        by: &clocks::Access,
        touches: &[Touch],
    ) {
        let number = lane::number(dispatch);
        let clean = if self.vulkan { FLAG_CLEAN_VULKAN } else { FLAG_CLEAN_HSA };
        let npu = lane::role(number) == Role::Npu;
        let queue = self.queues.entry(number).or_default();
        queue.newest += 1;
        let sequence = queue.newest;
        let after: Vec<(usize, u64)> = lane::after(dispatch, number).collect();
        let packet = Packet {
            by: clocks::Access { who: who(number), sequence, ..*by },
            npu,
            clean: dispatch.flags & clean != 0,
            acquire: Scope::of_bits(dispatch.header >> 9),
            release: Scope::of_bits(dispatch.header >> 11),
            barrier_before: dispatch.flags & FLAG_BARRIER_BEFORE != 0,
            barrier_behind: dispatch.flags & FLAG_BARRIER_BEHIND != 0,
            after: after.iter().map(|&(n, s)| (who(n), s)).collect(),
        };
        // SAFETY: the caller's promise.
        let words = unsafe {
            let n = params(&*dispatch.kernel).len();
            if n == 0 { Vec::new() } else { std::slice::from_raw_parts(args, n).to_vec() }
        };
        queue.pending.push_back(Pending { dispatch, args: words, after });
        // SAFETY: sites are static and written by the host thread only.
        unsafe {
            (*dispatch.site).sequence = sequence;
            (*dispatch.site).queue = number as u32 + 1;
        }
        if packet.clean {
            self.shadows.clean();
        }
        report(&self.clocks.dispatch(&packet, touches));
    }

    /// What machines do on their own: some packets run, some lines move.
    fn weather(&mut self) {
        for _ in 0..self.random.below(3) {
            if self.random.one_in(2) {
                self.step();
            } else {
                self.shadows.spontaneous(&mut self.random);
            }
        }
    }

    /// Runs one packet of a random queue; false if none can run.
    fn step(&mut self) -> bool {
        let ended = |after: &[(usize, u64)]| {
            after.iter().all(|(n, s)| self.queues.get(n).is_none_or(|q| q.done >= *s))
        };
        let ready: Vec<usize> = self
            .queues
            .iter()
            .filter(|(_, q)| q.pending.front().is_some_and(|p| ended(&p.after)))
            .map(|(n, _)| *n)
            .collect();
        if ready.is_empty() {
            return false;
        }
        let number = ready[self.random.below(ready.len())];
        let Some(pending) = self.queues.get_mut(&number).and_then(|q| q.pending.pop_front()) else {
            return false;
        };
        self.run(number, &pending);
        if let Some(queue) = self.queues.get_mut(&number) {
            queue.done += 1;
        }
        true
    }

    fn run(&mut self, number: usize, pending: &Pending) {
        let d = pending.dispatch;
        let (acquire, release) = if self.vulkan {
            // Semaphores carry what the other queue wrote; submission what the host wrote; a barrier does the rest.
            for &(other, _) in pending.after.iter().filter(|(n, _)| lane::role(*n) != Role::Npu) {
                self.shadows.barrier(other);
            }
            let before = d.flags & FLAG_BARRIER_BEFORE != 0;
            if before {
                self.shadows.barrier(number);
            }
            let behind = d.flags & FLAG_BARRIER_BEHIND != 0;
            (Scope::System, if behind { Scope::System } else { Scope::None })
        } else {
            (Scope::of_bits(d.header >> 9), Scope::of_bits(d.header >> 11))
        };
        let run = Run { queue: number, npu: lane::role(number) == Role::Npu, acquire, release };
        let before = stop::set_handler(Some((stopped::stop_here, std::ptr::from_ref(d) as usize)));
        // SAFETY: the descriptor is static and the words are its arguments.
        let wrong = unsafe { self.shadows.run(&run, d, &pending.args, &mut self.random) };
        stop::set_handler(before);
        if let Some(n) = wrong {
            // SAFETY: descriptors are static.
            let name = stopped::kernel_name(unsafe { &*d.kernel });
            stop::fatal(format_args!(
                "kernel `{name}` wrote its parameter {n}, which its effects say it only reads: a bug of the compiler"
            ));
        }
    }

    fn run_until(&mut self, number: usize, sequence: u64) {
        while self.queues.get(&number).is_some_and(|q| q.done < sequence && !q.pending.is_empty()) {
            if self.random.one_in(3) {
                self.shadows.spontaneous(&mut self.random);
            }
            if !self.step() {
                return;
            }
        }
    }

    fn run_all(&mut self) {
        while self.step() {}
    }
}

/// Names both accesses of each race; ends the program unless races are to be ignored.
fn report(races: &[clocks::Race]) {
    for race in races {
        output::message(format_args!("{}\n", describe(race)));
    }
    let ignored = start::variable(c"CLEF_RACES").is_some_and(|v| v == b"ignore");
    if !races.is_empty() && !ignored {
        stop::exit(stop::RACE);
    }
}

fn describe(race: &clocks::Race) -> String {
    let (now, verb) = (access(&race.later), if race.later_writes { "writes" } else { "reads" });
    let (then, wrote) = (access(&race.earlier), if race.earlier_writes { "wrote" } else { "read" });
    let why = if race.ended {
        "nothing makes that write visible to it"
    } else {
        "nothing makes sure that the first has ended"
    };
    format!(
        "{}: race: {now} {verb} a buffer that {then} {wrote} at {}, and {why}",
        Place(race.later.loc),
        Place(race.earlier.loc)
    )
}

fn access(by: &clocks::Access) -> String {
    let agent = match by.who.0.checked_sub(1) {
        None => "the CPU".to_owned(),
        Some(n) => format!("the {}", lane::role(usize::from(n))),
    };
    // SAFETY: descriptors are static.
    match unsafe { by.dispatch.as_ref().map(|d| stopped::kernel_name(&*d.kernel)) } {
        Some(kernel) => format!("{agent} (kernel `{kernel}`)"),
        None => agent,
    }
}

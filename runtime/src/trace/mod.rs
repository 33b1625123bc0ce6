//! What each agent did when: recorded where somebody asked for it, written once at the end.
//!
//! `CLEF_TRACE=FILE` writes a trace in the format that Chrome and Perfetto read ([`json`]), `CLEF_STATS=1` a table to
//! standard error ([`stats`]). Without them a dispatch costs one test of a word that does not change.
//!
//! A lane is a host thread, or a queue of an agent. Recording takes no memory for texts: an event points to descriptors,
//! which are static. Only what this process sees is recorded: on a Vulkan device or a library's agents with code of
//! their own that is the dispatch and the wait, and not the kernel's own time. Adversarial memory records nothing: its
//! order is simulated.

mod json;
mod stats;

use crate::abi::{Dispatch, Loc};
use crate::agents::lane;
use crate::start;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Events that are kept; those after them are counted only (the table has them all).
const MOST: usize = 1 << 20;

/// Nobody has looked yet; otherwise a set of the bits below.
const UNKNOWN: u8 = 0x80;
const TRACE: u8 = 1;
const STATS: u8 = 2;

static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Who did something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Who {
    /// The host's threads, numbered as they first record something.
    Host(u32),
    /// A lane of dispatches, see [`lane::role`].
    Agent(u32),
}

/// What somebody did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum What {
    /// A kernel ran.
    Kernel,
    /// The host handed a kernel to an agent's lane.
    Submit(u32),
    /// The host waited for a lane.
    Wait(u32),
    /// The host waited for a lane at the program's end.
    End(u32),
    /// An agent waited for other lanes (a barrier-and packet).
    Barrier,
    /// The host's cache was cleaned at a doorbell.
    Clean,
}

#[derive(Clone, Copy)]
struct Event {
    who: Who,
    what: What,
    /// The dispatch that it belongs to, or null.
    dispatch: *const Dispatch,
    /// The place, or null.
    loc: *const Loc,
    /// Nanoseconds since the recording's begin.
    begin: u64,
    end: u64,
}

// SAFETY: the descriptors are static and never written.
unsafe impl Send for Event {}

/// One row of the table: who, what, and the addresses of dispatch and place.
type Row = (Who, What, usize, usize);

#[derive(Default)]
struct Records {
    events: Vec<Event>,
    /// Events that there was no room for.
    dropped: u64,
    rows: HashMap<Row, stats::Sums>,
}

static RECORDS: OnceLock<Mutex<Records>> = OnceLock::new();

fn records() -> std::sync::MutexGuard<'static, Records> {
    RECORDS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

fn zero() -> Instant {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    *ZERO.get_or_init(Instant::now)
}

fn path() -> Option<&'static str> {
    start::variable_text(c"CLEF_TRACE")
}

#[cold]
fn look() -> u8 {
    let trace = if path().is_some() { TRACE } else { 0 };
    let stats = if start::variable(c"CLEF_STATS").is_some_and(|v| v != b"0") { STATS } else { 0 };
    let mode = trace | stats;
    if mode != 0 {
        zero();
    }
    MODE.store(mode, Ordering::Relaxed);
    mode
}

fn mode() -> u8 {
    match MODE.load(Ordering::Relaxed) {
        UNKNOWN => look(),
        mode => mode,
    }
}

/// The time, where something is recorded at all.
pub fn begin() -> Option<Instant> {
    (mode() != 0).then(Instant::now)
}

/// This thread as one of the host's.
fn host() -> Who {
    static THREADS: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static NUMBER: u32 = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    Who::Host(NUMBER.with(|n| *n))
}

/// A kernel ran since `begun`: on a lane, or (none) on this host thread.
pub fn kernel(begun: Option<Instant>, lane: Option<usize>, dispatch: &Dispatch) {
    let who = || lane.map_or_else(host, |n| Who::Agent(n as u32));
    record(begun, who, What::Kernel, dispatch, &dispatch.loc);
}

/// The host handed a dispatch to a lane.
pub fn submit(begun: Option<Instant>, lane: usize, dispatch: &Dispatch) {
    record(begun, host, What::Submit(lane as u32), dispatch, &dispatch.loc);
}

/// The host waited for a lane.
pub fn wait(begun: Option<Instant>, lane: usize, loc: *const Loc) {
    record(begun, host, What::Wait(lane as u32), std::ptr::null(), loc);
}

/// The host waited for a lane because the program ends.
pub fn end(begun: Option<Instant>, lane: usize) {
    record(begun, host, What::End(lane as u32), std::ptr::null(), std::ptr::null());
}

/// A lane of the executor waited for others.
pub fn barrier(begun: Option<Instant>, lane: usize) {
    record(begun, || Who::Agent(lane as u32), What::Barrier, std::ptr::null(), std::ptr::null());
}

/// The host's cache is cleaned before a dispatch's doorbell.
pub fn clean(dispatch: &Dispatch) {
    record(begin(), host, What::Clean, dispatch, &dispatch.loc);
}

fn record(
    begun: Option<Instant>,
    who: impl FnOnce() -> Who,
    what: What,
    dispatch: *const Dispatch,
    loc: *const Loc,
) {
    let Some(begun) = begun else { return };
    let since = |t: Instant| t.saturating_duration_since(zero()).as_nanos() as u64;
    let (begin, end) = (since(begun), since(Instant::now()));
    let event = Event { who: who(), what, dispatch, loc, begin, end };
    let mode = mode();
    let mut records = records();
    if mode & STATS != 0 {
        let row = (event.who, what, dispatch as usize, loc as usize);
        records.rows.entry(row).or_default().add(end - begin);
    }
    if mode & TRACE != 0 {
        if records.events.len() < MOST {
            records.events.push(event);
        } else {
            records.dropped += 1;
        }
    }
}

/// Writes what was asked for; once, however often the program ends.
pub fn write() {
    let mode = mode();
    if mode == 0 || WRITTEN.swap(true, Ordering::AcqRel) {
        return;
    }
    if matches!(crate::agents::backing(), crate::agents::Backing::Adversarial) {
        return;
    }
    let wall = zero().elapsed().as_nanos() as u64;
    let records = records();
    if let (true, Some(path)) = (mode & TRACE != 0, path())
        && let Err(e) = std::fs::write(path, json::render(&records.events, records.dropped))
    {
        crate::output::message(format_args!("clef: cannot write the trace `{path}`: {e}\n"));
    }
    if mode & STATS != 0 {
        crate::output::message(format_args!("{}", stats::render(&records.rows, wall)));
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Who::Host(0) => f.write_str("CPU"),
            Who::Host(n) => write!(f, "CPU thread {}", n + 1),
            Who::Agent(n) => lane::role(n as usize).fmt(f),
        }
    }
}

/// What happened, in words. `dispatch` is null or a static descriptor.
fn title(what: What, dispatch: *const Dispatch) -> String {
    // SAFETY: descriptors are static and well-formed.
    let name = unsafe { dispatch.as_ref() }
        .map_or_else(String::new, |d| crate::agents::stopped::kernel_name(unsafe { &*d.kernel }));
    let agent = |n: u32| lane::role(n as usize);
    match what {
        What::Kernel => name,
        What::Submit(n) => format!("dispatch {name} to the {}", agent(n)),
        What::Wait(n) => format!("wait for the {}", agent(n)),
        What::End(n) => format!("wait for the {} at the end", agent(n)),
        What::Barrier => "barrier: wait for other queues".into(),
        What::Clean => format!("clean the cache for {name}"),
    }
}

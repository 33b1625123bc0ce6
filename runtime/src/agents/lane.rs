//! Lanes: the queues that a program names. A lane gives its dispatches sequence numbers, from 1, and knows which have
//! ended. It writes packets through the table of [`super::table`], or hands them to the Vulkan agent.
//!
//! Every packet has its slot's signal as completion signal (1 while pending, 0 when done), so a wait, a barrier-and
//! packet of another lane and the reuse of a slot all look at the same word. A slot whose signal a barrier-and packet
//! elsewhere still names is not used again before that packet is done.

use super::table::{self, HsaApi, QueueHead, Role, Signal};
use super::{Backing, backing, executor, params, resolve, route, stopped};
use crate::abi::{Arg, Dispatch, FLAG_BARRIER_BEFORE, FLAG_BARRIER_BEHIND, Loc, Phase};
use crate::stop::stop_at;
use crate::vulkan::{Launch, PhaseLaunch, Vulkan};
use crate::{buffers, trace};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// GPU devices, and queues of each, that a program can name.
const DEVICES: usize = 4;
const QUEUES: usize = 8;
/// Lane 0 is the NPU's.
pub const LANES: usize = 1 + DEVICES * QUEUES;

/// Slots of a ring.
const RING: u32 = 256;

/// How long a waiter sleeps before it looks whether a kernel has stopped.
const SLICE: u64 = 5_000_000;

static API: &HsaApi = &executor::API;

/// A slot of a lane's ring.
struct Slot {
    signal: Signal,
    /// Index + 1 of the packet that has the signal; 0: none yet.
    owner: AtomicU64,
}

struct Lane {
    queue: &'static QueueHead,
    slots: Vec<Slot>,
    producer: Mutex<Producer>,
}

struct Producer {
    next: u64,
    /// Arguments of the packet in each slot.
    kernargs: Vec<Vec<Arg>>,
    /// The barrier-and packet (lane, index) that names each slot's signal.
    pins: Vec<Option<(usize, u64)>>,
}

static LANES_OF_ALL: [OnceLock<Lane>; LANES] = [const { OnceLock::new() }; LANES];

/// Set while a Vulkan queue has unsubmitted work.
static UNSUBMITTED: AtomicBool = AtomicBool::new(false);

/// The lane of a dispatch to the GPU or NPU; stops the program on a device or queue that cannot be.
pub fn number(dispatch: &Dispatch) -> usize {
    if dispatch.agent == 2 {
        return 0;
    }
    let (device, queue) = (usize::from(dispatch.device), usize::from(dispatch.queue));
    if device >= DEVICES || queue >= QUEUES {
        let (last, most) = (DEVICES - 1, QUEUES - 1);
        stop_at(
            &dispatch.loc,
            format_args!(
                "there is no queue {queue} of GPU {device}: GPUs are 0 to {last}, their queues 0 to {most}"
            ),
        );
    }
    1 + device * QUEUES + queue
}

/// Who works on a lane.
pub fn role(number: usize) -> Role {
    match number.checked_sub(1) {
        None => Role::Npu,
        Some(n) => Role::Gpu { device: (n / QUEUES) as u8, queue: (n % QUEUES) as u8 },
    }
}

/// The Vulkan agent, if it plays this lane, with its queue.
fn vulkan(number: usize) -> Option<(&'static Vulkan, usize)> {
    match backing() {
        Backing::Vulkan(vulkan) if number > 0 => Some((vulkan, number - 1)),
        _ => None,
    }
}

fn lane(number: usize) -> Result<&'static Lane, String> {
    let cell = &LANES_OF_ALL[number];
    if let Some(lane) = cell.get() {
        return Ok(lane);
    }
    // Two host threads at once would both make one; the loser's is left unused.
    let made = Lane::new(role(number))?;
    Ok(cell.get_or_init(|| made))
}

impl Lane {
    fn new(role: Role) -> Result<Self, String> {
        let queue = (API.queue_create)(role, RING)?;
        let slot = || Slot { signal: (API.signal_create)(0), owner: AtomicU64::new(0) };
        let size = RING as usize;
        Ok(Self {
            queue,
            slots: std::iter::repeat_with(slot).take(size).collect(),
            producer: Mutex::new(Producer {
                next: 0,
                kernargs: vec![Vec::new(); size],
                pins: vec![None; size],
            }),
        })
    }

    fn producer(&self) -> MutexGuard<'_, Producer> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, index: u64) -> &Slot {
        &self.slots[(index % u64::from(RING)) as usize]
    }

    /// Whether the packet with this sequence number (index + 1) has ended.
    fn done(&self, sequence: u64) -> bool {
        let slot = self.slot(sequence - 1);
        // A slot has a newer owner only after the older packet's end.
        slot.owner.load(Ordering::Acquire) > sequence || (API.signal_load)(slot.signal) < 1
    }

    fn wait(&self, sequence: u64) {
        while !self.done(sequence) {
            (API.signal_wait_below)(self.slot(sequence - 1).signal, 1, SLICE);
            stopped::check();
        }
    }

    /// Takes the next slot, behind its last packet and the barriers that name it.
    fn claim(&self, producer: &mut Producer) -> u64 {
        let index = producer.next;
        let at = (index % u64::from(RING)) as usize;
        let slot = &self.slots[at];
        let old = slot.owner.load(Ordering::Acquire);
        if old > 0 {
            self.wait(old);
        }
        let pin = producer.pins[at].take();
        if let Some((lane, barrier)) = pin.and_then(|(other, at)| Some((LANES_OF_ALL[other].get()?, at))) {
            lane.wait(barrier + 1);
        }
        // The signal first: whoever sees the new owner must not see the old packet's zero.
        (API.signal_store)(slot.signal, 1);
        slot.owner.store(index + 1, Ordering::Release);
        producer.next = index + 1;
        index
    }

    /// Writes a packet, header last, and rings.
    fn publish(&self, index: u64, header: u16, setup: u16, body: table::Body) {
        // SAFETY: the slot is this producer's until the header is stored.
        unsafe {
            let packet = self.queue.base.add((index % u64::from(RING)) as usize);
            (&raw mut (*packet).setup).write(setup);
            (&raw mut (*packet).body).write(body);
            (&raw mut (*packet).completion).write(self.slot(index).signal);
            self.queue.write_index.store(index + 1, Ordering::Relaxed);
            (*packet).header.store(header, Ordering::Release);
        }
        (API.signal_store)(self.queue.doorbell, index as i64);
    }
}

/// Queues a kernel for its agent.
///
/// # Safety
/// As [`super::clef_dispatch`].
pub unsafe fn submit(dispatch: &'static Dispatch, args: *const u64) {
    stopped::check();
    let number = number(dispatch);
    // SAFETY: the caller's promise.
    let made = unsafe {
        match vulkan(number) {
            Some((vulkan, queue)) => submit_vulkan(vulkan, number, queue, dispatch, args),
            None => submit_packets(number, dispatch, args),
        }
    };
    match made {
        // SAFETY: sites are static and written by the host thread only.
        Ok(sequence) => unsafe {
            (*dispatch.site).sequence = sequence;
            (*dispatch.site).queue = number as u32 + 1;
        },
        Err(why) => {
            // SAFETY: descriptors are static.
            let name = stopped::kernel_name(unsafe { &*dispatch.kernel });
            stop_at(&dispatch.loc, format_args!("kernel `{name}` could not be dispatched: {why}"))
        }
    }
}

/// The dispatches of other lanes that this one must follow on the active route.
pub fn after(dispatch: &Dispatch, own: usize) -> impl Iterator<Item = (usize, u64)> {
    let route = route();
    let list: &[crate::abi::After] = match dispatch.n_after {
        0 => &[],
        // SAFETY: descriptors are static and well-formed.
        n => unsafe { std::slice::from_raw_parts(dispatch.after, n as usize) },
    };
    list.iter().filter(move |a| a.routes & route != 0).filter_map(move |a| {
        // SAFETY: as above.
        let site = unsafe { &*a.site };
        let other = (site.queue as usize).checked_sub(1)?;
        (other != own).then_some((other, site.sequence))
    })
}

unsafe fn submit_packets(
    number: usize,
    dispatch: &'static Dispatch,
    args: *const u64,
) -> Result<u64, String> {
    flush();
    // SAFETY: descriptors are static.
    let kernel = unsafe { &*dispatch.kernel };
    if kernel.host.is_none() {
        super::no_host_form(dispatch);
    }
    let lane = lane(number)?;
    let mut producer = lane.producer();
    let mut follow: Vec<(usize, u64)> =
        after(dispatch, number).filter(|&(other, sequence)| !is_done(other, sequence)).collect();
    follow.dedup();
    for some in follow.chunks(table::DEPENDENCIES) {
        let index = lane.claim(&mut producer);
        let mut dependencies = [Signal(0); table::DEPENDENCIES];
        for (dependency, &(other, sequence)) in dependencies.iter_mut().zip(some) {
            let Some(other) = LANES_OF_ALL[other].get() else { continue };
            *dependency = other.slot(sequence - 1).signal;
            other.producer().pins[((sequence - 1) % u64::from(RING)) as usize] = Some((number, index));
        }
        let body = table::Body { barrier: table::BarrierBody { reserved: 0, dependencies } };
        lane.publish(index, table::BARRIER_HEADER, 0, body);
    }
    let index = lane.claim(&mut producer);
    let kernarg = &mut producer.kernargs[(index % u64::from(RING)) as usize];
    {
        let mut table = buffers::table();
        // SAFETY: the caller's promise.
        unsafe { resolve(&mut table, dispatch, params(kernel), args, false, kernarg) };
        // SAFETY: as above.
        unsafe { note_uses(&mut table, dispatch, args, number, index + 1) };
    }
    let body = table::KernelBody {
        workgroup: [1; 3],
        reserved: 0,
        grid: [1; 3],
        private_bytes: 0,
        group_bytes: 0,
        object: std::ptr::from_ref(dispatch) as u64,
        kernarg: kernarg.as_ptr() as u64,
    };
    let header = if dispatch.header == 0 { table::KERNEL_DISPATCH | 1 << 8 } else { dispatch.header };
    lane.publish(index, header, 1, table::Body { kernel: body });
    Ok(index + 1)
}

/// Remembers on its buffers that a dispatch uses them.
unsafe fn note_uses(
    table: &mut buffers::Table,
    dispatch: &Dispatch,
    args: *const u64,
    number: usize,
    sequence: u64,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for (n, param) in params(&*dispatch.kernel).iter().enumerate() {
            if let (1, Some(buffer)) = (param.kind, table.find(*args.add(n) as usize)) {
                buffer.used_by(number, sequence);
            }
        }
    }
}

unsafe fn submit_vulkan(
    vulkan: &'static Vulkan,
    number: usize,
    queue: usize,
    dispatch: &'static Dispatch,
    args: *const u64,
) -> Result<u64, String> {
    if queue >= QUEUES {
        return Err(format!("there is one GPU; GPU {} was named", queue / QUEUES));
    }
    // SAFETY: descriptors are static.
    let kernel = unsafe { &*dispatch.kernel };
    if kernel.n_phases == 0 {
        return Err("it has no form for the GPU".into());
    }
    // SAFETY: as above.
    let (params, phases): (_, &[Phase]) =
        unsafe { (params(kernel), std::slice::from_raw_parts(kernel.phases, kernel.n_phases as usize)) };
    let (mut host, mut device) = (Vec::new(), Vec::new());
    // SAFETY: the caller's promise.
    unsafe {
        let mut table = buffers::table();
        resolve(&mut table, dispatch, params, args, false, &mut host);
        resolve(&mut table, dispatch, params, args, true, &mut device);
    }
    let launches: Vec<PhaseLaunch<'_>> = phases
        .iter()
        .map(|phase| {
            let mut extents = [1_i64; 3];
            if let Some(extent) = phase.extent {
                // SAFETY: as above.
                unsafe { extent(host.as_ptr(), extents.as_mut_ptr()) };
            }
            PhaseLaunch { phase, extents }
        })
        .collect();
    let mut follow = Vec::new();
    for (other, sequence) in after(dispatch, number) {
        match other {
            // The NPU's lane has no semaphore: plans have a wait there.
            0 => wait(0, sequence, &dispatch.loc),
            gpu => follow.push((gpu - 1, sequence)),
        }
    }
    let launch = Launch {
        params,
        args: &device,
        phases: &launches,
        barrier_before: dispatch.flags & FLAG_BARRIER_BEFORE != 0,
        barrier_behind: dispatch.flags & FLAG_BARRIER_BEHIND != 0,
        after: &follow,
        tag: std::ptr::from_ref(dispatch) as usize,
    };
    let sequence = vulkan.dispatch(queue, &launch)?;
    UNSUBMITTED.store(true, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    unsafe { note_uses(&mut buffers::table(), dispatch, args, number, sequence) };
    Ok(sequence)
}

/// Submits what the Vulkan queues have recorded, before the host or another agent goes to work.
pub fn flush() {
    if !UNSUBMITTED.load(Ordering::Relaxed) || !UNSUBMITTED.swap(false, Ordering::Relaxed) {
        return;
    }
    if let Backing::Vulkan(vulkan) = backing() {
        for queue in 0..QUEUES {
            if let Err(why) = vulkan.flush(queue) {
                crate::stop::fatal(format_args!("{why}"));
            }
        }
    }
}

/// Whether a dispatch has ended, without waiting.
pub fn is_done(number: usize, sequence: u64) -> bool {
    if let Some((vulkan, queue)) = vulkan(number) {
        return vulkan.is_done(queue, sequence);
    }
    LANES_OF_ALL[number].get().is_none_or(|lane| lane.done(sequence))
}

/// Waits for a dispatch; ends the program if a kernel stopped.
pub fn wait(number: usize, sequence: u64, loc: *const Loc) {
    let begun = trace::enabled().then(Instant::now);
    if let Some((vulkan, queue)) = vulkan(number) {
        flush();
        match vulkan.wait(queue, sequence) {
            Ok(None) => {}
            // SAFETY: the tag is what `submit_vulkan` gave.
            Ok(Some(stopped)) => unsafe { stopped::record_status(&stopped.status, stopped.tag) },
            Err(why) => stop_at(loc, format_args!("waiting for the GPU failed: {why}")),
        }
    } else if let Some(lane) = LANES_OF_ALL[number].get() {
        lane.wait(sequence);
    }
    stopped::check();
    if let Some(begun) = begun {
        trace::interval("CPU", &format!("wait for the {}", role(number)), begun, loc);
    }
}

/// The newest sequence number of a lane of packets. Takes no lock: also asked on the way out after an error.
fn newest(lane: &Lane) -> u64 {
    lane.queue.write_index.load(Ordering::Relaxed)
}

/// Waits for everything.
pub fn finish() {
    flush();
    for lane in LANES_OF_ALL.iter().filter_map(OnceLock::get) {
        let newest = newest(lane);
        if newest > 0 {
            lane.wait(newest);
        }
    }
    if let Backing::Vulkan(vulkan) = backing() {
        match vulkan.finish() {
            Ok(None) => {}
            // SAFETY: the tag is what `submit_vulkan` gave.
            Ok(Some(stopped)) => unsafe { stopped::record_status(&stopped.status, stopped.tag) },
            Err(why) => crate::stop::fatal(format_args!("waiting for the GPU failed: {why}")),
        }
    }
    stopped::check();
}

/// Gives the agents some time to end what they have, so that an earlier error of theirs is the one reported.
pub fn settle(limit: Duration) {
    let begun = Instant::now();
    let busy = || {
        LANES_OF_ALL.iter().filter_map(OnceLock::get).any(|lane| {
            let newest = newest(lane);
            newest > 0 && !lane.done(newest)
        })
    };
    while busy() && begun.elapsed() < limit {
        stopped::check();
        std::thread::sleep(Duration::from_micros(200));
    }
    stopped::check();
}

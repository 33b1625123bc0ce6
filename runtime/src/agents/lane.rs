//! Lanes: the queues that a program names. A lane gives its dispatches sequence numbers, from 1, and knows which have
//! ended. It writes packets through the table of [`super::table`], or hands them to the Vulkan agent.
//!
//! Every packet has its slot's signal as completion signal (1 while pending, 0 when done), so a wait, a barrier-and
//! packet of another lane and the reuse of a slot all look at the same word. A slot whose signal a barrier-and packet
//! elsewhere still names is not used again before that packet is done.
//!
//! Whether something has ended is looked up without acquire; only a wait of the program (and the reuse of a slot)
//! acquires, so that nothing but the fence plan makes an agent's writes visible to the host.

mod gpu;
mod npu;
mod status;

use super::table::{self, HsaApi, QueueHead, Role, Signal};
use super::{Backing, backing, executor, host_code, instead, params, resolve, route, stopped};
use crate::abi::{Arg, Dispatch, FLAG_BARRIER_BEFORE, FLAG_BARRIER_BEHIND, FLAG_CLEAN_HSA, Loc};
use crate::stop::{Place, stop_at};
use crate::vulkan::{Effect, Launch, PhaseLaunch, Vulkan};
use crate::{buffers, hsa, trace};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// GPU devices, and queues of each, that a program can name.
const DEVICES: usize = 4;
pub const QUEUES: usize = 8;
/// Lane 0 is the NPU's.
pub const LANES: usize = 1 + DEVICES * QUEUES;

/// Slots of a ring that a loaded library is asked for.
pub const RING: u32 = 1024;

/// Bytes of a slot's block for kernel arguments; kernels with more get one of their own. The implicit arguments of AMD's
/// ABI alone are 256.
const KERNARG: usize = 256;
const KERNARG_OF_GPU: usize = 512;

/// The sequence number of a dispatch that has ended already: nobody needs to wait for it.
const NOTHING: u64 = 0;

/// How long a waiter sleeps before it looks whether a kernel has stopped.
const SLICE: u64 = 5_000_000;

/// A slot of a lane's ring.
struct Slot {
    /// Made with the slot's first packet; 0: not yet.
    signal: AtomicU64,
    /// Index + 1 of the packet that has the signal; 0: none yet.
    owner: AtomicU64,
    /// The dispatch whose packet it is; null for a barrier-and packet.
    dispatch: AtomicPtr<Dispatch>,
}

impl Slot {
    fn signal(&self) -> Signal {
        Signal(self.signal.load(Ordering::Acquire))
    }
}

struct Lane {
    api: &'static HsaApi,
    role: Role,
    queue: &'static QueueHead,
    slots: Vec<Slot>,
    producer: Mutex<Producer>,
    /// Index + 1 of the newest packet written, and of the newest that the doorbell told of.
    newest: AtomicU64,
    rung: AtomicU64,
    /// Where kernels say that they stopped: a block for each slot. And up to which packet that was looked at.
    statuses: OnceLock<usize>,
    looked: AtomicU64,
    /// The next doorbell has the host's cache cleaned.
    clean: AtomicBool,
}

struct Producer {
    next: u64,
    /// A slot's block for arguments, and how long it is.
    kernargs: Vec<(*mut u8, usize)>,
    /// The arguments of the newest dispatch, resolved.
    args: Vec<Arg>,
    /// Images of the NPU that the device knows of.
    kernels: BTreeSet<u64>,
    /// The barrier-and packet (lane, index) that names each slot's signal.
    pins: Vec<Option<(usize, u64)>>,
}

// SAFETY: the blocks are the lane's, and used under its lock until the packet is published.
unsafe impl Send for Producer {}

/// Open batches, see [`clef_batch_begin`].
static BATCHES: AtomicU32 = AtomicU32::new(0);

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

/// The lane of a role.
pub fn of_role(role: Role) -> usize {
    match role {
        Role::Npu => 0,
        Role::Gpu { device, queue } => 1 + usize::from(device) * QUEUES + usize::from(queue),
    }
}

/// Who is behind a lane of packets.
fn api(role: Role) -> &'static HsaApi {
    match (backing(), role) {
        (Backing::Hsa(machine), Role::Npu) if machine.npu.is_none() => &executor::API,
        // A machine may have an NPU that runs the program's kernels, and no GPU that does.
        (Backing::Hsa(machine), Role::Gpu { .. }) if machine.gpus.is_empty() => &executor::API,
        (Backing::Hsa(_), _) => &hsa::queue::API,
        _ => &executor::API,
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
        let api = api(role);
        let queue = (api.queue_create)(role)?;
        let size = queue.size as usize;
        let launches = matches!(role, Role::Gpu { .. }) && std::ptr::eq(api, &raw const hsa::queue::API);
        let bytes = if launches { KERNARG_OF_GPU } else { KERNARG };
        let block = (api.kernarg)(role, bytes * size)?;
        let slot =
            || Slot { signal: AtomicU64::new(0), owner: AtomicU64::new(0), dispatch: AtomicPtr::default() };
        Ok(Self {
            api,
            role,
            queue,
            slots: std::iter::repeat_with(slot).take(size).collect(),
            producer: Mutex::new(Producer {
                next: 0,
                kernargs: (0..size).map(|n| (block.wrapping_add(n * bytes), bytes)).collect(),
                args: Vec::new(),
                kernels: BTreeSet::new(),
                pins: vec![None; size],
            }),
            newest: AtomicU64::new(0),
            rung: AtomicU64::new(0),
            statuses: OnceLock::new(),
            looked: AtomicU64::new(0),
            clean: AtomicBool::new(false),
        })
    }

    fn producer(&self) -> MutexGuard<'_, Producer> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue's size is a power of two.
    fn at(&self, index: u64) -> usize {
        (index & (self.slots.len() as u64 - 1)) as usize
    }

    fn slot(&self, index: u64) -> &Slot {
        &self.slots[self.at(index)]
    }

    /// Whether the packet with this sequence number (index + 1) has ended.
    fn done(&self, sequence: u64) -> bool {
        let slot = self.slot(sequence - 1);
        // A slot has a newer owner only after the older packet's end.
        slot.owner.load(Ordering::Acquire) > sequence || (self.api.signal_peek)(slot.signal()) < 1
    }

    /// Waits with acquire.
    fn wait(&self, sequence: u64) {
        self.ring();
        if BATCHES.load(Ordering::Relaxed) > 0 {
            // The other agents work while the host sleeps.
            ring_all();
        }
        let slot = self.slot(sequence - 1);
        while slot.owner.load(Ordering::Acquire) <= sequence
            && (self.api.signal_wait_below)(slot.signal(), 1, SLICE) >= 1
        {
            stopped::check();
        }
        self.look(sequence);
    }

    /// Takes the next slot, behind its last packet and the barriers that name it.
    fn claim(&self, producer: &mut Producer) -> Result<u64, String> {
        let index = producer.next;
        let at = self.at(index);
        let slot = &self.slots[at];
        let old = slot.owner.load(Ordering::Acquire);
        if old > 0 {
            self.wait(old);
        } else {
            slot.signal.store((self.api.signal_create)(1)?.0, Ordering::Release);
        }
        let pin = producer.pins[at].take();
        if let Some((lane, barrier)) = pin.and_then(|(other, at)| Some((LANES_OF_ALL[other].get()?, at))) {
            lane.wait(barrier + 1);
        }
        // The signal first: whoever sees the new owner must not see the old packet's zero.
        (self.api.signal_store)(slot.signal(), 1);
        slot.owner.store(index + 1, Ordering::Release);
        producer.next = index + 1;
        Ok(index)
    }

    /// The packet in a slot. An NPU's packets have the same size.
    fn packet<T>(&self, index: u64) -> *mut T {
        const { assert!(size_of::<T>() == 64) };
        // SAFETY: the index is inside the ring.
        unsafe { self.queue.base.add(self.at(index)).cast() }
    }

    /// A slot's block for arguments, long enough.
    fn kernarg(&self, producer: &mut Producer, at: usize, bytes: usize) -> Result<*mut u8, String> {
        if producer.kernargs[at].1 < bytes {
            producer.kernargs[at] = ((self.api.kernarg)(self.role, bytes)?, bytes);
        }
        Ok(producer.kernargs[at].0)
    }

    /// Writes a packet, header last.
    fn publish(&self, index: u64, header: u16, setup: u16, body: table::Body) {
        (self.api.write_index)(self.queue, index + 1);
        let packet = self.packet::<table::Packet>(index);
        // SAFETY: the slot is this producer's until the header is stored.
        unsafe {
            (&raw mut (*packet).setup).write(setup);
            (&raw mut (*packet).body).write(body);
            (&raw mut (*packet).reserved).write(0);
            (&raw mut (*packet).completion).write(self.slot(index).signal());
            (*packet).header.store(header, Ordering::Release);
        }
        self.newest.store(index + 1, Ordering::Release);
    }

    /// Rings, unless a batch is open.
    fn announce(&self) {
        if BATCHES.load(Ordering::Relaxed) == 0 {
            self.ring();
        }
    }

    /// Tells the agent of what is written and not told yet.
    fn ring(&self) {
        let newest = self.newest.load(Ordering::Acquire);
        if self.rung.fetch_max(newest, Ordering::Relaxed) < newest {
            let clean = self.clean.swap(false, Ordering::Relaxed);
            (self.api.ring)(self.queue, newest - 1, self.role == Role::Npu, clean);
        }
    }
}

/// Begins a batch: until its end, packets are written and the doorbells stay silent, unless somebody waits. The agents
/// may start late, so this is for runs of dispatches with nothing between them.
#[unsafe(no_mangle)]
pub extern "C" fn clef_batch_begin() {
    BATCHES.fetch_add(1, Ordering::Relaxed);
}

/// Ends a batch: one doorbell for each queue that has new packets.
#[unsafe(no_mangle)]
pub extern "C" fn clef_batch_end() {
    if BATCHES.fetch_sub(1, Ordering::Relaxed) == 1 {
        ring_all();
    }
}

fn ring_all() {
    for lane in LANES_OF_ALL.iter().filter_map(OnceLock::get) {
        lane.ring();
    }
}

/// The oldest dispatch of a lane that has not ended.
pub fn oldest(number: usize) -> Option<&'static Dispatch> {
    let lane = LANES_OF_ALL.get(number)?.get()?;
    let newest = lane.newest.load(Ordering::Acquire);
    let first = newest.saturating_sub(lane.slots.len() as u64);
    let pending = (first..newest).filter(|index| !lane.done(index + 1));
    // SAFETY: slots hold static descriptors, or null.
    pending
        .into_iter()
        .find_map(|index| unsafe { lane.slot(index).dispatch.load(Ordering::Acquire).as_ref() })
}

/// Queues a kernel for its agent.
///
/// # Safety
/// As [`super::clef_dispatch`].
pub unsafe fn submit(dispatch: &'static Dispatch, args: *const u64) {
    stopped::check();
    let number = number(dispatch);
    let begun = trace::begin();
    // SAFETY: the caller's promise.
    let made = unsafe {
        match vulkan(number) {
            Some((vulkan, queue)) => submit_vulkan(vulkan, number, queue, dispatch, args),
            None => submit_packets(number, dispatch, args),
        }
    };
    match made {
        // SAFETY: sites are static and written by the host thread only.
        Ok(NOTHING) => unsafe { (*dispatch.site).queue = 0 },
        // SAFETY: as above.
        Ok(sequence) => unsafe {
            (*dispatch.site).sequence = sequence;
            (*dispatch.site).queue = number as u32 + 1;
            trace::submit(begun, number, dispatch);
        },
        Err(why) => {
            if vulkan_is_lost() {
                device_failed(&dispatch.loc, &why);
            }
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
    flush(&dispatch.loc);
    // SAFETY: descriptors are static.
    let kernel = unsafe { &*dispatch.kernel };
    let lane = lane(number)?;
    let code = match (backing(), lane.npu_packets()) {
        (Backing::Hsa(machine), true) if !machine.has_npu_form(kernel) => None,
        (_, true) => instead::or_host(dispatch, (lane.api.code)(lane.role, dispatch))?,
        _ if kernel.host.is_none() && std::ptr::eq(lane.api, &raw const executor::API) => {
            super::no_host_form(dispatch)
        }
        _ => Some((lane.api.code)(lane.role, dispatch)?),
    };
    let Some(code) = code else {
        // SAFETY: the caller's promise.
        unsafe { instead::run(number, dispatch, args) };
        return Ok(NOTHING);
    };
    let mut producer = lane.producer();
    order(lane, number, &mut producer, dispatch)?;
    if !code.launches.is_empty() {
        // SAFETY: the caller's promise.
        return unsafe { lane.submit_launches(&mut producer, number, dispatch, args, code.launches) };
    }
    let index = lane.claim(&mut producer)?;
    let at = lane.at(index);
    lane.slots[at].dispatch.store(std::ptr::from_ref(dispatch).cast_mut(), Ordering::Release);
    let mut list = std::mem::take(&mut producer.args);
    // SAFETY: the caller's promise.
    let params = unsafe {
        let params = params(kernel);
        let mut table = buffers::table();
        resolve(&mut table, dispatch, params, args, false, &mut list);
        note_uses(&mut table, dispatch, args, number, index + 1);
        params
    };
    // An NPU's packet also lists its buffers.
    let bytes = (code.kernarg_bytes as usize).max(host_code::bytes(list.len()));
    let needed = if lane.npu_packets() { bytes + 16 * (list.len() + 1) } else { bytes };
    let kernarg = lane.kernarg(&mut producer, at, needed)?;
    // SAFETY: the block is long enough, and the agent is done with it.
    unsafe { host_code::write(kernarg, dispatch, &list) };
    // What the host has put into the NPU's memory for a kernel has to be cleaned as well.
    let fresh = code.insts != 0 && producer.kernels.insert(code.object);
    if dispatch.flags & FLAG_CLEAN_HSA != 0 || fresh {
        lane.clean.store(true, Ordering::Relaxed);
        trace::clean(dispatch);
    }
    if lane.npu_packets() {
        // SAFETY: as above.
        unsafe { lane.publish_npu(index, &code, (kernarg, bytes), params, &list)? };
    } else {
        let body = table::KernelBody {
            workgroup: [1; 3],
            reserved: 0,
            grid: [1; 3],
            private_bytes: code.private_bytes,
            group_bytes: code.group_bytes,
            object: code.object,
            kernarg: kernarg as u64,
        };
        lane.publish(index, header_of(dispatch), 1, table::Body { kernel: body });
    }
    producer.args = list;
    lane.announce();
    Ok(index + 1)
}

/// The plan's header.
fn header_of(dispatch: &Dispatch) -> u16 {
    match dispatch.header {
        0 => table::header(table::KERNEL_DISPATCH, table::SCOPE_NONE, table::SCOPE_NONE),
        header => header,
    }
}

/// Puts the dispatch behind those of other lanes that it must follow: by barrier-and packets, or, where the queue has
/// none or the other lane's signals mean nothing to it, by waiting here.
fn order(lane: &Lane, number: usize, producer: &mut Producer, dispatch: &Dispatch) -> Result<(), String> {
    let mut follow: Vec<(usize, u64)> =
        after(dispatch, number).filter(|&(other, sequence)| !is_done(other, sequence)).collect();
    follow.dedup();
    let foreign = |&(other, _): &(usize, u64)| {
        lane.npu_packets() || LANES_OF_ALL[other].get().is_none_or(|o| !std::ptr::eq(o.api, lane.api))
    };
    for &(other, sequence) in follow.iter().filter(|f| foreign(f)) {
        wait(other, sequence, &dispatch.loc);
    }
    follow.retain(|f| !foreign(f));
    for some in follow.chunks(table::DEPENDENCIES) {
        let index = lane.claim(producer)?;
        lane.slot(index).dispatch.store(std::ptr::null_mut(), Ordering::Release);
        let mut dependencies = [Signal(0); table::DEPENDENCIES];
        for (dependency, &(other, sequence)) in dependencies.iter_mut().zip(some) {
            let Some(other) = LANES_OF_ALL[other].get() else { continue };
            // What is waited for must not be held back by a batch.
            other.ring();
            *dependency = other.slot(sequence - 1).signal();
            other.producer().pins[other.at(sequence - 1)] = Some((number, index));
        }
        let body = table::Body { barrier: table::BarrierBody { reserved: 0, dependencies } };
        lane.publish(index, table::BARRIER_HEADER, 0, body);
    }
    Ok(())
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

/// The managed buffers among a dispatch's arguments, each once, with what the kernel does to it.
///
/// # Safety
/// `args` has one word for each parameter.
unsafe fn managed(
    table: &mut buffers::Table,
    params: &[crate::abi::Param],
    args: *const u64,
) -> Vec<(usize, Effect)> {
    let mut found: Vec<(usize, Effect)> = Vec::new();
    for (n, param) in params.iter().enumerate().filter(|(_, p)| p.kind == 1) {
        // SAFETY: the caller's promise.
        let address = unsafe { *args.add(n) } as usize;
        let Some(buffer) = table.find(address) else { continue };
        let (start, bytes) = (buffer.start, buffer.bytes);
        if buffer.managed().is_none() {
            continue;
        }
        let whole = address == start && bytes.is_multiple_of(usize::from(param.size.max(1)));
        let effect = Effect::of(param, whole);
        match found.iter_mut().find(|(other, _)| *other == start) {
            Some((_, known)) => *known = known.and(effect),
            None => found.push((start, effect)),
        }
    }
    found
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
    let phases = kernel.vulkan_phases();
    if phases.is_empty() {
        return Err("it has no form for a GPU through Vulkan".into());
    }
    // SAFETY: as above.
    let params = unsafe { params(kernel) };
    let (mut host, mut device) = (Vec::new(), Vec::new());
    let mut follow = Vec::new();
    for (other, sequence) in after(dispatch, number) {
        match other {
            // The NPU's lane has no semaphore: plans have a wait there.
            0 => wait(0, sequence, &dispatch.loc),
            gpu => follow.push((gpu - 1, sequence)),
        }
    }
    // Held until the dispatch is recorded: a host thread that touches a managed buffer meanwhile waits for it.
    let mut table = buffers::table();
    // SAFETY: the caller's promise.
    unsafe {
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
    // SAFETY: the caller's promise.
    let managed = unsafe { managed(&mut table, params, args) };
    let mut copies = Vec::new();
    let mut copied = Vec::new();
    for &(start, effect) in &managed {
        let Some(buffer) = table.find(start).and_then(buffers::Buffer::managed) else { continue };
        let (copy, behind) = vulkan.prepare(buffer, queue, effect)?;
        copied.push(copy.is_some());
        copies.extend(copy);
        follow.extend(behind);
    }
    let launch = Launch {
        params,
        args: &device,
        phases: &launches,
        copies: &copies,
        barrier_before: dispatch.flags & FLAG_BARRIER_BEFORE != 0,
        barrier_behind: dispatch.flags & FLAG_BARRIER_BEHIND != 0,
        after: &follow,
        tag: std::ptr::from_ref(dispatch) as usize,
    };
    let sequence = vulkan.dispatch(queue, &launch)?;
    UNSUBMITTED.store(true, Ordering::Relaxed);
    for (&(start, effect), copied) in managed.iter().zip(copied) {
        if let Some(buffer) = table.find(start).and_then(buffers::Buffer::managed) {
            buffer.after_dispatch((queue, sequence), effect, copied);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { note_uses(&mut table, dispatch, args, number, sequence) };
    Ok(sequence)
}

fn vulkan_is_lost() -> bool {
    matches!(backing(), Backing::Vulkan(vulkan) if vulkan.is_lost())
}

/// Ends the program because the Vulkan device failed: which dispatch it was at, as far as that is known, and where the
/// host learnt of it. The caller holds none of the runtime's locks.
#[cold]
pub fn device_failed(loc: *const Loc, why: &str) -> ! {
    let Backing::Vulkan(vulkan) = backing() else { stop_at(loc, format_args!("{why}")) };
    // SAFETY: tags are what `submit_vulkan` gave: static descriptors.
    let of_tag = |tag: usize| unsafe { &*(tag as *const Dispatch) };
    let seen = match loc.is_null() {
        true => String::new(),
        false => format!("; noticed at {}", Place(loc)),
    };
    if let Some(dispatch) = vulkan.suspect().map(of_tag) {
        stopped::record_failure(Some(dispatch), role(number(dispatch)), &format!("{why}{seen}"));
    } else if let Some(dispatch) = vulkan.newest_tag().map(of_tag) {
        // SAFETY: descriptors are static.
        let name = stopped::kernel_name(unsafe { &*dispatch.kernel });
        let place = Place(&dispatch.loc);
        stopped::record(format!(
            "{place}: {why}{seen}\n  after kernel `{name}`, dispatched at {place}, had ended"
        ));
    }
    stopped::check();
    stop_at(loc, format_args!("{why}"))
}

/// Submits what the Vulkan queues have recorded, before the host or another agent goes to work.
/// `loc`: where that is in the program, or null.
pub fn flush(loc: *const Loc) {
    if !UNSUBMITTED.load(Ordering::Relaxed) || !UNSUBMITTED.swap(false, Ordering::Relaxed) {
        return;
    }
    if let Backing::Vulkan(vulkan) = backing() {
        for queue in 0..QUEUES {
            if let Err(why) = vulkan.flush(queue) {
                device_failed(loc, &why);
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
    let begun = trace::begin();
    if let Some((vulkan, queue)) = vulkan(number) {
        flush(loc);
        match vulkan.wait(queue, sequence) {
            Ok(None) => {}
            // SAFETY: the tag is what `submit_vulkan` gave.
            Ok(Some(stopped)) => unsafe { stopped::record_status(&stopped.status, stopped.tag) },
            Err(why) => device_failed(loc, &why),
        }
    } else if let Some(lane) = LANES_OF_ALL[number].get() {
        lane.wait(sequence);
    }
    stopped::check();
    trace::wait(begun, number, loc);
}

/// The newest sequence number of a lane of packets. Takes no lock: also asked on the way out after an error.
fn newest(lane: &Lane) -> u64 {
    lane.newest.load(Ordering::Acquire)
}

/// The host is about to run a kernel in place of a lane's agent, or has done so: everything before it on the lane is
/// over and seen, and the next doorbell tells the agent what the host wrote.
pub fn hand_to_host(number: usize) {
    if let Some(lane) = LANES_OF_ALL[number].get() {
        match newest(lane) {
            0 => {}
            newest => lane.wait(newest),
        }
        lane.clean.store(true, Ordering::Relaxed);
    }
}

/// Waits for everything.
pub fn finish() {
    flush(std::ptr::null());
    for (number, lane) in LANES_OF_ALL.iter().enumerate().filter_map(|(n, l)| Some((n, l.get()?))) {
        let newest = newest(lane);
        if newest > 0 {
            let begun = trace::begin();
            lane.wait(newest);
            trace::end(begun, number);
        }
    }
    if let Backing::Vulkan(vulkan) = backing() {
        match vulkan.finish() {
            Ok(None) => {}
            // SAFETY: the tag is what `submit_vulkan` gave.
            Ok(Some(stopped)) => unsafe { stopped::record_status(&stopped.status, stopped.tag) },
            Err(why) => device_failed(std::ptr::null(), &why),
        }
    }
    stopped::check();
}

/// Gives the agents some time to end what they have, so that an earlier error of theirs is the one reported.
pub fn settle(limit: Duration) {
    // A program that stops in a batch never gets to its end.
    ring_all();
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

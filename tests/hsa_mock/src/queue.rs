//! Queues: rings of 64-byte packets, and what is done with each packet.
//!
//! A packet is taken when its doorbell has rung and its header is not INVALID any more; then the header is INVALID
//! again. Its kernel runs on the queue's thread, or, with a seed, in [`crate::simulation`]. Packets that make no sense,
//! kernels on buffers that the agent has no access to, and kernels that a test wants to fail stop the queue and are
//! told to its callback, as a device's exceptions are.

use crate::agents::{self, Kind, SLOTS_MIN};
use crate::amd::launch::{self, Shape};
use crate::code::{self, Entry};
use crate::weaken::OfQueue;
use crate::{
    ERROR, EXCEPTION, INVALID_ARGUMENT, INVALID_PACKET_FORMAT, INVALID_QUEUE, INVALID_QUEUE_CREATION, Status,
    enter, given, lock, memory, pdi, record, signal, status, wishes,
};
use std::alloc::Layout;
use std::ffi::c_void;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU64, Ordering};

const INVALID: u16 = 1;
const KERNEL: u16 = 2;
const BARRIER_AND: u16 = 3;
const BARRIER_OR: u16 = 5;

pub type Callback = Option<unsafe extern "C" fn(Status, *mut Queue, *mut c_void)>;

/// A queue; the first part is `hsa_queue_t`.
#[repr(C)]
pub struct Queue {
    kind: u32,
    features: u32,
    base: *mut u8,
    doorbell: u64,
    size: u32,
    reserved: u32,
    id: u64,
    write: AtomicU64,
    pub read: AtomicU64,
    /// The newest index that the doorbell told of; -1: none.
    pub told: AtomicI64,
    recorded: AtomicU64,
    /// An error or its end: no more packets are taken.
    pub stopped: AtomicBool,
    pub agent: usize,
    pub npu: bool,
    name: String,
    weak: Option<OfQueue>,
    callback: Callback,
    data: usize,
}

// SAFETY: the fields that change are atomic; the ring is shared as the specification has it.
unsafe impl Sync for Queue {}
// SAFETY: as above.
unsafe impl Send for Queue {}

static QUEUES: Mutex<Vec<&'static Queue>> = Mutex::new(Vec::new());

/// All queues that were ever made, in order.
pub fn all() -> Vec<&'static Queue> {
    lock(&QUEUES).clone()
}

/// What a packet asks for.
pub enum Work {
    Kernel { entry: &'static Entry, kernarg: usize },
    Barrier { dependencies: Vec<u64>, any: bool },
    Wrong(Status),
}

/// A packet as it was read.
pub struct Packet {
    pub work: Work,
    pub barrier_bit: bool,
    pub acquire: u16,
    pub release: u16,
    completion: u64,
}

impl Queue {
    /// The queue's number, unique among all.
    pub fn number(&self) -> u64 {
        self.id
    }

    fn slot(&self, index: u64) -> *const u8 {
        let at = (index & u64::from(self.size - 1)) as usize;
        // SAFETY: inside the ring.
        unsafe { self.base.add(64 * at) }
    }

    fn header(&self, index: u64) -> &AtomicU16 {
        // SAFETY: aligned, and only accessed atomically while it may change.
        unsafe { &*self.slot(index).cast::<AtomicU16>() }
    }

    /// Whether the packet can be taken.
    pub fn valid(&self, index: u64) -> bool {
        self.header(index).load(Ordering::Acquire) & 0xff != INVALID
    }

    fn bytes(&self, index: u64) -> [u8; 64] {
        // SAFETY: the header says that the packet is complete.
        unsafe { self.slot(index).cast::<[u8; 64]>().read() }
    }

    /// Reads a packet that is valid.
    pub fn packet(&self, index: u64) -> Packet {
        let packet = self.as_told(index);
        match &self.weak {
            Some(weak) => weak.weakened(index, packet),
            None => packet,
        }
    }

    /// The packet as the program wrote it.
    fn as_told(&self, index: u64) -> Packet {
        let header = self.header(index).load(Ordering::Acquire);
        let bytes = self.bytes(index);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let (work, completion) = if self.npu {
            // `hsa_amd_aie_kernel_dispatch_packet_t`.
            let insts = u64::from(word(20) as u32) | u64::from(word(24) as u32) << 32;
            let zero = [&bytes[6..8], &bytes[16..20], &bytes[30..32], &bytes[56..64]];
            let fine = header & 0xff == 0
                && half(2) == 0
                && half(4) == 24
                && zero.iter().all(|b| b.iter().all(|b| *b == 0));
            let work = match code::kernel(word(48)) {
                None if fine => pdi::work(self.agent, word(48), (insts, word(40)), (word(32), half(28))),
                Some(entry) if fine && npu_arguments(entry, insts, word(40), half(28), word(32)) => {
                    Work::Kernel { entry, kernarg: insts as usize }
                }
                _ => Work::Wrong(INVALID_PACKET_FORMAT),
            };
            (work, word(8))
        } else {
            (self.work(header & 0xff, &bytes, &word), word(56))
        };
        Packet {
            work,
            // An NPU's queue looks at no fences, and is in order.
            barrier_bit: self.npu || header & 1 << 8 != 0,
            acquire: header >> 9 & 3,
            release: header >> 11 & 3,
            completion,
        }
    }

    fn work(&self, kind: u16, bytes: &[u8; 64], word: &dyn Fn(usize) -> u64) -> Work {
        match kind {
            KERNEL => {
                let setup = u16::from_le_bytes([bytes[2], bytes[3]]);
                let sizes = bytes[4..10].chunks(2).all(|c| c != [0, 0])
                    && bytes[12..24].chunks(4).all(|c| c != [0; 4]);
                if let Some(kernel) = code::launch(word(32)).filter(|_| (1..=3).contains(&setup) && sizes) {
                    return launch::work(self.agent, kernel, &shape(bytes), word(40) as usize);
                }
                match code::kernel(word(32)) {
                    Some(entry) if (1..=3).contains(&setup) && sizes => {
                        Work::Kernel { entry, kernarg: word(40) as usize }
                    }
                    _ => Work::Wrong(INVALID_PACKET_FORMAT),
                }
            }
            BARRIER_AND | BARRIER_OR => {
                let dependencies = (0..5).map(|n| word(8 + 8 * n)).filter(|s| *s != 0).collect();
                Work::Barrier { dependencies, any: kind == BARRIER_OR }
            }
            _ => Work::Wrong(INVALID_PACKET_FORMAT),
        }
    }

    /// Tells the program of a memory fault, if a test wants one of this kernel; whether it does.
    pub fn faults(&self, entry: &Entry) -> bool {
        let wanted = wishes().fault.is_some_and(|f| f.strip_prefix("memory:") == Some(&entry.name()));
        if wanted {
            self.stopped.store(true, Ordering::Release);
            record::line(&format!("memory fault {}", self.name));
            let event =
                MemoryFault { kind: 0, agent: self.agent as u64 + 1, address: 0xdead_f000, reasons: 1 };
            let handler = *lock(&HANDLER);
            if let Some((handler, data)) = handler {
                // SAFETY: the handler and its data are the program's.
                unsafe { handler(&raw const event, data as *mut c_void) };
            }
        }
        wanted
    }

    /// Whether the kernel cannot run here: a buffer without access, or a test's wish.
    pub fn refuses(&self, entry: &Entry, kernarg: usize) -> bool {
        if wishes().fault.is_some_and(|name| name == entry.name()) {
            return true;
        }
        let mut table = memory::table();
        let own = pdi::is_image(entry) || launch::is_launch(entry);
        if !own && table.find(kernarg).is_none_or(|(_, a)| !self.npu && !a.access.contains(&self.agent)) {
            return true;
        }
        entry.params().iter().enumerate().filter(|(_, p)| p.kind == 1).any(|(n, _)| {
            // SAFETY: the arguments are as long as the kernel says.
            let address = unsafe { ((kernarg + entry.first as usize + 16 * n) as *const u64).read() };
            table.find(address as usize).is_none_or(|(_, a)| !a.access.contains(&self.agent))
        })
    }

    /// The packet's slot is free again.
    pub fn taken(&self, index: u64) {
        self.header(index).store(INVALID, Ordering::Release);
    }

    /// The packet has ended.
    pub fn ended(packet: &Packet) {
        if packet.completion != 0 {
            signal::resolve(packet.completion).update(|v| v - 1);
        }
    }

    /// The queue goes no further.
    pub fn fail(&self, why: Status) {
        self.stopped.store(true, Ordering::Release);
        record::line(&format!("error {} {why:#x}", self.name));
        if let Some(callback) = self.callback {
            // SAFETY: the callback and its data are the program's.
            unsafe { callback(why, std::ptr::from_ref(self).cast_mut(), self.data as *mut c_void) };
        }
    }

    fn record(&self, index: u64) {
        if !self.valid(index) {
            return;
        }
        let header = self.header(index).load(Ordering::Acquire);
        let name = format!("{}.{index}", self.name);
        let packet = self.packet(index);
        let what = match &packet.work {
            Work::Kernel { entry, .. } if self.npu => {
                let buffers = u16::from_le_bytes([self.bytes(index)[28], self.bytes(index)[29]]);
                let image = if pdi::is_image(entry) { " image" } else { "" };
                format!("npu header={header:#06x} name={} buffers={buffers}{image}", entry.name())
            }
            Work::Kernel { entry, .. } => format!("kernel header={header:#06x} name={}", entry.name()),
            Work::Barrier { dependencies, any } => {
                let after: Vec<String> = dependencies.iter().map(|s| record::owner(*s)).collect();
                let kind = if *any { "or" } else { "and" };
                format!("barrier-{kind} header={header:#06x} after={}", after.join(","))
            }
            Work::Wrong(_) => format!("wrong header={header:#06x}"),
        };
        let mut bytes = String::new();
        for byte in self.bytes(index) {
            let _ = write!(bytes, "{byte:02x}");
        }
        record::line(&format!("packet {name} {what} bytes={bytes}"));
        if packet.completion != 0 {
            record::owns(packet.completion, &name);
        }
    }
}

/// How much a kernel dispatch packet runs.
fn shape(bytes: &[u8; 64]) -> Shape {
    let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
    Shape {
        workgroup: [half(4), half(6), half(8)],
        grid: [word(12), word(16), word(20)],
        private_bytes: word(24),
        group_bytes: word(28),
    }
}

/// Whether an NPU's packet lists the kernel's buffers, as many and the same as its arguments.
fn npu_arguments(entry: &Entry, insts: u64, bytes: u64, n: u16, list: u64) -> bool {
    let buffers: Vec<usize> =
        entry.params().iter().enumerate().filter(|(_, p)| p.kind == 1).map(|(n, _)| n).collect();
    if insts == 0 || bytes < u64::from(entry.kernarg_bytes) || usize::from(n) != buffers.len() {
        return false;
    }
    if buffers.is_empty() {
        return list == 0;
    }
    list != 0
        && buffers.iter().enumerate().all(|(i, at)| {
            // SAFETY: the program says that both are there and so long.
            unsafe {
                let value = ((insts as usize + entry.first as usize + 16 * at) as *const u64).read();
                let (address, size) =
                    ((list as *const u64).add(i), (list as *const u64).add(buffers.len() + i));
                address.read() == value && size.read() > 0
            }
        })
}

/// A doorbell is about to ring; the newest packet that it told of before, and whether it has release order.
pub fn rung(queue: &Queue, newest: i64, release: bool) -> (i64, bool) {
    let weakened = queue.weak.as_ref().is_some_and(|weak| weak.told(newest, |index| queue.as_told(index)));
    let order = if release { "release" } else { "relaxed" };
    if record::wanted() {
        let first = queue.recorded.load(Ordering::Relaxed);
        for index in first..=newest.max(-1) as u64 {
            queue.record(index);
        }
        queue.recorded.fetch_max((newest + 1) as u64, Ordering::Relaxed);
        record::line(&format!("doorbell {} newest={newest} {order}", queue.name));
    }
    (queue.told.fetch_max(newest, Ordering::AcqRel), release && !weakened)
}

/// The life of a queue's thread.
fn serve(queue: &'static Queue) {
    let doorbell = signal::resolve(queue.doorbell);
    loop {
        let index = queue.read.load(Ordering::Relaxed);
        doorbell.wait(None, |_| {
            queue.told.load(Ordering::Acquire) >= index as i64 || queue.stopped.load(Ordering::Acquire)
        });
        while !queue.valid(index) && !queue.stopped.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        if queue.stopped.load(Ordering::Acquire) {
            return;
        }
        let packet = queue.packet(index);
        match &packet.work {
            Work::Wrong(why) => return queue.fail(*why),
            Work::Kernel { entry, kernarg } => {
                if queue.faults(entry) {
                    return;
                }
                if queue.refuses(entry, *kernarg) {
                    return queue.fail(EXCEPTION);
                }
                // SAFETY: the program's kernel with the program's arguments.
                unsafe { (entry.run)(*kernarg as *const u8) };
            }
            Work::Barrier { dependencies, any: false } => {
                for dependency in dependencies {
                    signal::resolve(*dependency).wait(None, |v| v == 0);
                }
            }
            Work::Barrier { dependencies, any: true } => {
                while !dependencies.is_empty()
                    && dependencies.iter().all(|d| signal::resolve(*d).value() != 0)
                {
                    std::thread::yield_now();
                }
            }
        }
        queue.taken(index);
        queue.read.store(index + 1, Ordering::Release);
        Queue::ended(&packet);
    }
}

/// # Safety
/// As HSA's specification has it, here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_queue_create(
    agent: u64,
    size: u32,
    kind: u32,
    callback: Callback,
    data: *mut c_void,
    _private: u32,
    _group: u32,
    to: *mut *mut Queue,
) -> Status {
    status(enter("hsa_queue_create").and_then(|()| {
        given(to)?;
        let (number, agent) = agents::find(agent)?;
        if agent.kind == Kind::Cpu || (agent.kind == Kind::Npu && kind == 0) {
            return Err(INVALID_QUEUE_CREATION);
        }
        if !size.is_power_of_two() || size < SLOTS_MIN || size > agents::slots_max(agent.kind) || kind > 2 {
            return Err(INVALID_ARGUMENT);
        }
        let layout = Layout::from_size_align(64 * size as usize, 64).map_err(|_| ERROR)?;
        // SAFETY: the size is not zero.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        given(base).map_err(|_| crate::OUT_OF_RESOURCES)?;
        let mut queues = lock(&QUEUES);
        let word = if agent.kind == Kind::Npu { "npu" } else { "gpu" };
        let before = queues.iter().filter(|q| q.agent == number).count();
        let name = format!("{word}{before}");
        let queue: &'static Queue = Box::leak(Box::new(Queue {
            kind,
            features: 1,
            base,
            doorbell: signal::create(-1),
            size,
            reserved: 0,
            id: queues.len() as u64,
            write: AtomicU64::new(0),
            read: AtomicU64::new(0),
            told: AtomicI64::new(-1),
            recorded: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            agent: number,
            npu: agent.kind == Kind::Npu,
            weak: OfQueue::of(&name),
            name,
            callback,
            data: data as usize,
        }));
        for index in 0..u64::from(size) {
            queue.taken(index);
        }
        let doorbell = signal::resolve(queue.doorbell);
        doorbell.doorbell_of.store(std::ptr::from_ref(queue).cast_mut(), Ordering::Release);
        queues.push(queue);
        record::line(&format!("queue {} slots={size}", queue.name));
        if wishes().seed.is_none() {
            let thread = std::thread::Builder::new().name(queue.name.clone()).stack_size(8 << 20);
            thread.spawn(move || serve(queue)).map_err(|_| crate::OUT_OF_RESOURCES)?;
        }
        // SAFETY: the caller's promise.
        unsafe { to.write(std::ptr::from_ref(queue).cast_mut()) };
        Ok(())
    }))
}

fn find(queue: *const Queue) -> Result<&'static Queue, Status> {
    let known = lock(&QUEUES).iter().find(|q| std::ptr::eq(**q, queue)).copied();
    known.ok_or(INVALID_QUEUE)
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_queue_destroy(queue: *mut Queue) -> Status {
    status(enter("hsa_queue_destroy").and_then(|()| {
        let queue = find(queue)?;
        if queue.stopped.swap(true, Ordering::AcqRel) {
            return Err(INVALID_QUEUE);
        }
        signal::resolve(queue.doorbell).update(|v| v);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_queue_inactivate(queue: *mut Queue) -> Status {
    status(enter("hsa_queue_inactivate").and_then(|()| {
        let queue = find(queue)?;
        queue.stopped.store(true, Ordering::Release);
        signal::resolve(queue.doorbell).update(|v| v);
        Ok(())
    }))
}

macro_rules! index_loads {
    ($($name:ident $field:ident)*) => {
        $(/// # Safety
        /// The queue is one of this library.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(queue: *const Queue) -> u64 {
            // SAFETY: the caller's promise.
            unsafe { (*queue).$field.load(Ordering::SeqCst) }
        })*
    };
}

macro_rules! index_stores {
    ($($name:ident)*) => {
        $(/// # Safety
        /// The queue is one of this library.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(queue: *const Queue, value: u64) {
            // SAFETY: the caller's promise.
            unsafe { (*queue).write.store(value, Ordering::SeqCst) };
        })*
    };
}

macro_rules! index_adds {
    ($($name:ident)*) => {
        $(/// # Safety
        /// The queue is one of this library.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(queue: *const Queue, value: u64) -> u64 {
            // SAFETY: the caller's promise.
            unsafe { (*queue).write.fetch_add(value, Ordering::SeqCst) }
        })*
    };
}

index_loads! {
    hsa_queue_load_read_index_relaxed read
    hsa_queue_load_read_index_scacquire read
    hsa_queue_load_write_index_relaxed write
    hsa_queue_load_write_index_scacquire write
}

index_stores! {
    hsa_queue_store_write_index_relaxed
    hsa_queue_store_write_index_screlease
}

index_adds! {
    hsa_queue_add_write_index_relaxed
    hsa_queue_add_write_index_scacquire
    hsa_queue_add_write_index_screlease
    hsa_queue_add_write_index_scacq_screl
}

/// Called with an `hsa_amd_event_t` and the program's data.
type Handler = unsafe extern "C" fn(*const MemoryFault, *mut c_void) -> Status;

/// `hsa_amd_event_t` with a memory fault.
#[repr(C)]
pub struct MemoryFault {
    kind: u32,
    agent: u64,
    address: u64,
    reasons: u32,
}

static HANDLER: Mutex<Option<(Handler, usize)>> = Mutex::new(None);

/// Called with a memory fault; one handler for a process. The last one counts.
///
/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_register_system_event_handler(
    handler: Option<Handler>,
    data: *mut c_void,
) -> Status {
    status(enter("hsa_amd_register_system_event_handler").and_then(|()| {
        *lock(&HANDLER) = Some((handler.ok_or(INVALID_ARGUMENT)?, data as usize));
        Ok(())
    }))
}

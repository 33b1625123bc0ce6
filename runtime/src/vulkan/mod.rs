//! The Vulkan agent: plays the GPU role on any device with Vulkan 1.2, buffer addresses and timeline semaphores.
//!
//! - One [`queue::Queue`] per queue of the program. Dispatches are recorded into command buffers in batches; a batch is
//!   submitted when the host waits for it, when another queue must follow it, or when it is long.
//! - Each queue has one timeline semaphore; its value is the sequence number of the newest finished dispatch.
//! - Barriers are recorded where the fence plan says, and nowhere else, save between the launches of one kernel.
//! - Unified buffers are host-visible and host-coherent where host and device share memory: the host uses the mapped
//!   pointer, kernels the device address, and nothing is copied. On a discrete device they are [`managed`]: one copy on
//!   each side, and the side that is newest is tracked.
//! - Pipelines are made once per program and cached on disk between runs.
//!
//! It does not: use several devices, or survive the loss of the device (which is reported).

mod cache;
mod device;
mod faults;
mod managed;
mod memory;
mod mirror;
mod module;
mod pipeline;
mod queue;
mod transfer;

pub use device::{Device, Limits};
pub use managed::{Copy, Effect, Managed};
pub use memory::Allocation;
pub use queue::{Launch, PhaseLaunch, Stopped};

use crate::abi;
use ash::vk;
use pipeline::Pipelines;
use queue::Queue;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Queues that a program can name on the device (`GPU.dispatchOn`).
pub const QUEUES: usize = 8;

/// The agent with all its state. Safe to use from several threads; calls on one queue exclude each other.
pub struct Vulkan {
    queues: Vec<Mutex<Queue>>,
    pipelines: Pipelines,
    /// Made with the first copy to the host.
    transfer: Mutex<Option<transfer::Transfer>>,
    policy: managed::Policy,
    /// [`Launch::tag`] of the newest dispatch; 0: none yet.
    newest_tag: AtomicUsize,
    device: Device,
}

impl Vulkan {
    /// Opens the loader and the best device. The error says what is missing, in a sentence.
    pub fn open() -> Result<Self, String> {
        let device = Device::open()?;
        let policy = managed::Policy::choose(&device)?;
        let pipelines = Pipelines::new(&device)?;
        let queues =
            (0..QUEUES).map(|n| Ok(Mutex::new(Queue::new(&device, n)?))).collect::<Result<_, String>>()?;
        Ok(Self {
            queues,
            pipelines,
            transfer: Mutex::new(None),
            policy,
            newest_tag: AtomicUsize::new(0),
            device,
        })
    }

    /// Whether the device has matrix instructions for the module `Tile`.
    pub fn offers_tiles(&self) -> bool {
        self.device.tiles
    }

    /// Whether the device is the host's processor, and nobody named it.
    pub fn is_software(&self) -> bool {
        self.device.software && std::env::var_os("CLEF_VULKAN_DEVICE").is_none()
    }

    /// The device's name and the driver's version of Vulkan, for listings.
    pub fn name(&self) -> &str {
        &self.device.name
    }

    /// Zeroed memory that host and device share.
    pub fn allocate(&self, bytes: u64) -> Result<Allocation, String> {
        self.allocate_for(bytes, false)
    }

    /// As [`Self::allocate`]; `near_device`: in the device's own memory even where the host reaches that slowly.
    pub fn allocate_for(&self, bytes: u64, near_device: bool) -> Result<Allocation, String> {
        memory::allocate(&self.device, bytes, near_device)
    }

    /// Frees an allocation that no pending dispatch uses.
    pub fn free(&self, allocation: Allocation) {
        memory::free(&self.device, allocation);
    }

    /// Zeroed memory with a copy on each side, if that is what buffers of this kind get here.
    pub fn allocate_managed(&self, bytes: u64, near_device: bool) -> Result<Option<Managed>, String> {
        self.policy.splits(bytes, near_device).then(|| Managed::new(&self.device, bytes)).transpose()
    }

    /// Before a dispatch that uses a managed buffer: see [`Managed::before_dispatch`].
    pub fn prepare(
        &self,
        buffer: &mut Managed,
        queue: usize,
        effect: Effect,
    ) -> Result<managed::Before, String> {
        let (copy, behind) = buffer.before_dispatch(&self.device, queue, effect)?;
        Ok((copy, behind.filter(|&(other, sequence)| !self.is_done(other, sequence))))
    }

    /// Frees a buffer that no pending dispatch uses.
    pub fn free_managed(&self, buffer: Managed) {
        buffer.free(&self.device);
    }

    /// Waits until a dispatch has ended; what it reports stays for the program's own wait.
    fn await_end(&self, queue: usize, sequence: u64) -> Result<(), String> {
        self.lock(queue)?.await_end(&self.device, sequence)
    }

    /// Copies and waits.
    fn copy_now(&self, from: vk::Buffer, to: vk::Buffer, bytes: u64) -> Result<(), String> {
        let mut transfer = self.transfer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if transfer.is_none() {
            *transfer = Some(transfer::Transfer::new(&self.device)?);
        }
        transfer.as_mut().map_or(Ok(()), |t| t.copy(&self.device, from, to, bytes))
    }

    /// Records a dispatch; its sequence number on the queue, from 1.
    pub fn dispatch(&self, queue: usize, launch: &Launch<'_>) -> Result<u64, String> {
        for &(other, sequence) in launch.after {
            if other != queue {
                self.lock(other)?.flush(&self.device)?;
                self.lock(queue)?.follow(&self.device, self.lock(other)?.semaphore(), sequence)?;
            }
        }
        let sequence = self.lock(queue)?.record(&self.device, &self.pipelines, launch)?;
        self.newest_tag.store(launch.tag, Ordering::Relaxed);
        Ok(sequence)
    }

    /// Waits until the dispatch has ended; then a kernel that stopped, if any.
    pub fn wait(&self, queue: usize, sequence: u64) -> Result<Option<Stopped>, String> {
        self.lock(queue)?.wait(&self.device, sequence)
    }

    /// Whether the dispatch has ended, without waiting. A lost device has nothing pending.
    pub fn is_done(&self, queue: usize, sequence: u64) -> bool {
        self.lock(queue).and_then(|mut q| q.is_done(&self.device, sequence)).unwrap_or(true)
    }

    /// Submits what is recorded, so that it runs while the host does something else.
    pub fn flush(&self, queue: usize) -> Result<(), String> {
        self.lock(queue)?.flush(&self.device)
    }

    /// Submits everything and waits for it; the first kernel that stopped.
    pub fn finish(&self) -> Result<Option<Stopped>, String> {
        let mut stopped = None;
        for n in 0..self.queues.len() {
            let mut queue = self.lock(n)?;
            let newest = queue.newest();
            if newest > 0 {
                stopped = stopped.or(queue.wait(&self.device, newest)?);
            }
        }
        self.pipelines.save(&self.device);
        managed::report();
        Ok(stopped)
    }

    /// Whether a call said that the device is lost: nothing will end any more.
    pub fn is_lost(&self) -> bool {
        LOST.load(Ordering::Relaxed)
    }

    /// The tag of the newest dispatch, if there was one.
    pub fn newest_tag(&self) -> Option<usize> {
        Some(self.newest_tag.load(Ordering::Relaxed)).filter(|&tag| tag != 0)
    }

    /// The tag of the oldest launch that is not known to have ended: what the device was at when it failed.
    pub fn suspect(&self) -> Option<usize> {
        (0..QUEUES).find_map(|queue| self.lock(queue).ok()?.oldest_tag())
    }

    fn lock(&self, queue: usize) -> Result<std::sync::MutexGuard<'_, Queue>, String> {
        let queue =
            self.queues.get(queue).ok_or_else(|| format!("the device has queues 0 to {}", QUEUES - 1))?;
        // A panic while the lock was held leaves a queue that can still be waited on.
        Ok(queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Set by the first call that says so; a device never comes back.
static LOST: AtomicBool = AtomicBool::new(false);

/// What a Vulkan error means, in words.
fn reason(error: vk::Result) -> String {
    match error {
        vk::Result::ERROR_DEVICE_LOST => {
            LOST.store(true, Ordering::Relaxed);
            "the GPU was lost (it was reset, or a kernel ran too long)".into()
        }
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY => "the GPU is out of memory".into(),
        vk::Result::ERROR_OUT_OF_HOST_MEMORY => "the host is out of memory".into(),
        vk::Result::ERROR_INITIALIZATION_FAILED => "the Vulkan driver could not start".into(),
        vk::Result::ERROR_INCOMPATIBLE_DRIVER => "no Vulkan driver fits this machine".into(),
        other => format!("the Vulkan driver reported {other:?}"),
    }
}

/// The bytes of a phase's push constants: parameters, extents, status address.
pub fn push_bytes(params: &[abi::Param], args: &[abi::Arg], extents: [i64; 3], status: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    for (param, arg) in params.iter().zip(args) {
        bytes.extend(arg.value.to_le_bytes());
        if param.kind == 1 {
            bytes.extend(arg.len.to_le_bytes());
        }
    }
    for extent in extents {
        bytes.extend(extent.to_le_bytes());
    }
    bytes.extend(status.to_le_bytes());
    bytes
}

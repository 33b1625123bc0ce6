//! A queue: batches of recorded dispatches, a timeline semaphore, the blocks in which kernels report.

use super::memory::{self, Allocation};
use super::pipeline::{PUSH_BYTES, Pipelines};
use super::{Copy, Device, push_bytes, reason};
use crate::abi;
use ash::vk;
use std::collections::VecDeque;

/// A batch is submitted when it has this many launches, so that the device starts while the host goes on.
const BATCH: usize = 64;

/// Launches whose report and parameter blocks may be pending at once.
const SLOTS: usize = 1024;

/// Bytes of a slot: the status block with its zeros, then room for spilled parameters.
const SLOT_BYTES: usize = 1024;
const STATUS_BYTES: usize = 48;

/// A dispatch as the queue needs it.
pub struct Launch<'a> {
    pub params: &'a [abi::Param],
    /// Device addresses for buffers.
    pub args: &'a [abi::Arg],
    pub phases: &'a [PhaseLaunch<'a>],
    /// Before it, in any order.
    pub copies: &'a [Copy],
    pub barrier_before: bool,
    pub barrier_behind: bool,
    /// (queue, sequence) of dispatches of other queues that must end first.
    pub after: &'a [(usize, u64)],
    /// Given back in [`Stopped`].
    pub tag: usize,
}

pub struct PhaseLaunch<'a> {
    pub phase: &'a abi::Phase,
    pub extents: [i64; 3],
}

/// A kernel that reported a stop.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    pub status: abi::Status,
    /// [`Launch::tag`].
    pub tag: usize,
}

pub struct Queue {
    queue: vk::Queue,
    semaphore: vk::Semaphore,
    pool: vk::CommandPool,
    /// Buffers of finished batches.
    free: Vec<vk::CommandBuffer>,
    /// Submitted, with the sequence number of their last dispatch, oldest first.
    submitted: VecDeque<(u64, vk::CommandBuffer)>,
    open: Option<vk::CommandBuffer>,
    open_launches: usize,
    /// Semaphores of other queues that the open batch waits for.
    waits: Vec<(vk::Semaphore, u64)>,
    newest: u64,
    submitted_to: u64,
    finished: u64,
    slots: Option<Allocation>,
    next_slot: usize,
    /// Pending reports: sequence, slot, tag; oldest first.
    reports: VecDeque<(u64, usize, usize)>,
}

impl Queue {
    pub fn new(device: &Device, number: usize) -> Result<Self, String> {
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        let pool = vk::CommandPoolCreateInfo::default()
            .queue_family_index(device.family)
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
        // SAFETY: the structures outlive the calls.
        let (semaphore, pool) = unsafe {
            (
                device.handle.create_semaphore(&info, None).map_err(reason)?,
                device.handle.create_command_pool(&pool, None).map_err(reason)?,
            )
        };
        Ok(Self {
            queue: device.queues[number % device.queues.len()],
            semaphore,
            pool,
            free: Vec::new(),
            submitted: VecDeque::new(),
            open: None,
            open_launches: 0,
            waits: Vec::new(),
            newest: 0,
            submitted_to: 0,
            finished: 0,
            slots: None,
            next_slot: 0,
            reports: VecDeque::new(),
        })
    }

    pub fn semaphore(&self) -> vk::Semaphore {
        self.semaphore
    }

    /// Sequence number of the newest dispatch; 0: none.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The tag of the oldest launch that is not known to have ended.
    pub fn oldest_tag(&self) -> Option<usize> {
        self.reports.iter().find(|(at, ..)| *at > self.finished).map(|(.., tag)| *tag)
    }

    /// What is recorded next starts only when another queue has come that far.
    pub fn follow(&mut self, device: &Device, semaphore: vk::Semaphore, value: u64) -> Result<(), String> {
        self.flush(device)?;
        self.waits.push((semaphore, value));
        Ok(())
    }

    /// Records a dispatch; its sequence number.
    pub fn record(
        &mut self,
        device: &Device,
        pipelines: &Pipelines,
        launch: &Launch<'_>,
    ) -> Result<u64, String> {
        let buffer = self.open_buffer(device)?;
        self.record_copies(device, buffer, launch.copies);
        if launch.barrier_before {
            barrier(device, buffer, vk::PipelineStageFlags::COMPUTE_SHADER, DEVICE_ACCESS);
        }
        let sequence = self.newest + 1;
        for (n, phase) in launch.phases.iter().enumerate() {
            if n > 0 {
                // The launches of one kernel follow each other, each seeing what the one before wrote.
                barrier(device, buffer, vk::PipelineStageFlags::COMPUTE_SHADER, DEVICE_ACCESS);
            }
            self.record_phase(device, pipelines, launch, phase, sequence)?;
        }
        if launch.barrier_behind {
            let stages = vk::PipelineStageFlags::COMPUTE_SHADER | vk::PipelineStageFlags::HOST;
            barrier(
                device,
                buffer,
                stages,
                DEVICE_ACCESS | vk::AccessFlags::HOST_READ | vk::AccessFlags::HOST_WRITE,
            );
        }
        self.newest = sequence;
        self.open_launches += 1;
        if self.open_launches >= BATCH {
            self.flush(device)?;
        }
        Ok(sequence)
    }

    /// Copies behind what the queue did with the buffers before, and in front of everything that follows.
    fn record_copies(&self, device: &Device, buffer: vk::CommandBuffer, copies: &[Copy]) {
        if copies.is_empty() {
            return;
        }
        let (compute, transfer) = (vk::PipelineStageFlags::COMPUTE_SHADER, vk::PipelineStageFlags::TRANSFER);
        let written = vk::AccessFlags::TRANSFER_WRITE;
        between(
            device,
            buffer,
            (compute | transfer, vk::AccessFlags::SHADER_WRITE | written),
            (transfer, written),
        );
        for &copy in copies {
            // SAFETY: the command buffer is recording; the buffers live until the dispatch has ended.
            unsafe {
                match copy {
                    Copy::Zero { to } => device.handle.cmd_fill_buffer(buffer, to, 0, vk::WHOLE_SIZE, 0),
                    Copy::Bytes { from, to, bytes } => {
                        let all = [vk::BufferCopy::default().size(bytes)];
                        device.handle.cmd_copy_buffer(buffer, from, to, &all);
                    }
                }
            }
        }
        between(device, buffer, (transfer, written), (compute, DEVICE_ACCESS));
    }

    fn record_phase(
        &mut self,
        device: &Device,
        pipelines: &Pipelines,
        launch: &Launch<'_>,
        launched: &PhaseLaunch<'_>,
        sequence: u64,
    ) -> Result<(), String> {
        if launched.extents.iter().any(|&e| e <= 0) {
            return Ok(());
        }
        let groups = groups(device, launched)?;
        let mut addresses = launch.params.iter().zip(launch.args).filter(|(param, _)| param.kind == 1);
        let aligned = addresses.all(|(_, arg)| arg.value % 16 == 0);
        let pipeline = pipelines.get(device, launched.phase, aligned)?;
        let (slot, host, address) = self.slot(device)?;
        let mut push = push_bytes(launch.params, launch.args, launched.extents, address);
        if push.len() > PUSH_BYTES as usize {
            if push.len() > SLOT_BYTES - STATUS_BYTES {
                return Err(format!(
                    "a kernel has {} bytes of parameters; {} fit",
                    push.len(),
                    SLOT_BYTES - STATUS_BYTES
                ));
            }
            // SAFETY: the slot is mapped and no pending launch uses it.
            unsafe { std::ptr::copy_nonoverlapping(push.as_ptr(), host.add(STATUS_BYTES), push.len()) };
            push = (address + STATUS_BYTES as u64).to_le_bytes().to_vec();
        }
        // The slot keeps its buffer open; `slot` may have submitted a batch to make room.
        let buffer = self.open_buffer(device)?;
        if let Some(mirrors) = &device.mirrors {
            mirrors.record(device, buffer, launch.params, launch.args)?;
        }
        // SAFETY: the command buffer is recording; the pipeline lives as long as the process.
        unsafe {
            let vk_device = &device.handle;
            vk_device.cmd_bind_pipeline(buffer, vk::PipelineBindPoint::COMPUTE, pipeline);
            vk_device.cmd_push_constants(buffer, pipelines.layout, vk::ShaderStageFlags::COMPUTE, 0, &push);
            vk_device.cmd_dispatch(buffer, groups[0], groups[1], groups[2]);
        }
        self.reports.push_back((sequence, slot, launch.tag));
        Ok(())
    }

    /// A zeroed slot: its number, host pointer, device address.
    fn slot(&mut self, device: &Device) -> Result<(usize, *mut u8, u64), String> {
        if self.slots.is_none() {
            self.slots = Some(memory::allocate(device, (SLOTS * SLOT_BYTES) as u64, false)?);
        }
        if self.reports.len() >= SLOTS {
            return Err("more launches are pending than can report; this is a bug of the runtime".into());
        }
        let slot = self.next_slot;
        self.next_slot = (slot + 1) % SLOTS;
        let Some(slots) = &self.slots else { return Err("no slots".into()) };
        let offset = slot * SLOT_BYTES;
        // SAFETY: the slot is inside the mapping and free: fewer than SLOTS reports are pending.
        let host = unsafe {
            let host = slots.host.add(offset);
            std::ptr::write_bytes(host, 0, STATUS_BYTES);
            host
        };
        Ok((slot, host, slots.device + offset as u64))
    }

    fn open_buffer(&mut self, device: &Device) -> Result<vk::CommandBuffer, String> {
        if let Some(buffer) = self.open {
            return Ok(buffer);
        }
        // Room for the reports of a whole batch of kernels with several launches.
        if self.reports.len() + 4 * BATCH > SLOTS {
            let target = self.submitted_to;
            self.reap(device, target)?;
        }
        let buffer = match self.free.pop() {
            Some(buffer) => buffer,
            None => {
                let info =
                    vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
                // SAFETY: the pool belongs to this queue alone.
                let made = unsafe { device.handle.allocate_command_buffers(&info) }.map_err(reason)?;
                made.first().copied().ok_or("the Vulkan driver gave no command buffer")?
            }
        };
        let info = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the buffer is not pending.
        unsafe { device.handle.begin_command_buffer(buffer, &info) }.map_err(reason)?;
        self.open = Some(buffer);
        Ok(buffer)
    }

    /// Submits the open batch, if there is one.
    pub fn flush(&mut self, device: &Device) -> Result<(), String> {
        let Some(buffer) = self.open.take() else { return Ok(()) };
        self.open_launches = 0;
        let (semaphores, values): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waits).into_iter().unzip();
        let stage = vk::PipelineStageFlags::COMPUTE_SHADER | vk::PipelineStageFlags::TRANSFER;
        let stages = vec![stage; semaphores.len()];
        let (signals, signal_values, buffers) = ([self.semaphore], [self.newest], [buffer]);
        let mut timeline = vk::TimelineSemaphoreSubmitInfo::default()
            .wait_semaphore_values(&values)
            .signal_semaphore_values(&signal_values);
        let info = vk::SubmitInfo::default()
            .wait_semaphores(&semaphores)
            .wait_dst_stage_mask(&stages)
            .command_buffers(&buffers)
            .signal_semaphores(&signals)
            .push_next(&mut timeline);
        let _alone = device.submitting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: the structures outlive the call, and nobody else submits meanwhile.
        unsafe {
            device.handle.end_command_buffer(buffer).map_err(reason)?;
            device.handle.queue_submit(self.queue, &[info], vk::Fence::null()).map_err(reason)?;
        }
        self.submitted.push_back((self.newest, buffer));
        self.submitted_to = self.newest;
        Ok(())
    }

    /// Waits for a dispatch; the first kernel that stopped among those finished.
    pub fn wait(&mut self, device: &Device, sequence: u64) -> Result<Option<Stopped>, String> {
        if sequence > self.submitted_to {
            self.flush(device)?;
        }
        self.reap(device, sequence)
    }

    /// Waits for a dispatch and looks at no report.
    pub fn await_end(&mut self, device: &Device, sequence: u64) -> Result<(), String> {
        if sequence > self.submitted_to {
            self.flush(device)?;
        }
        self.advance(device, sequence)
    }

    /// Whether a dispatch has ended.
    pub fn is_done(&mut self, device: &Device, sequence: u64) -> Result<bool, String> {
        if sequence > self.submitted_to {
            return Ok(false);
        }
        if sequence > self.finished {
            // SAFETY: the semaphore is this queue's.
            self.finished =
                unsafe { device.handle.get_semaphore_counter_value(self.semaphore).map_err(reason)? };
        }
        Ok(sequence <= self.finished)
    }

    fn advance(&mut self, device: &Device, sequence: u64) -> Result<(), String> {
        if sequence > self.finished {
            let (semaphores, values) = ([self.semaphore], [sequence]);
            let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
            // SAFETY: the structures outlive the call.
            unsafe {
                device.handle.wait_semaphores(&info, u64::MAX).map_err(reason)?;
                self.finished = device.handle.get_semaphore_counter_value(self.semaphore).map_err(reason)?;
            }
        }
        Ok(())
    }

    fn reap(&mut self, device: &Device, sequence: u64) -> Result<Option<Stopped>, String> {
        self.advance(device, sequence)?;
        while let Some(&(last, buffer)) = self.submitted.front().filter(|(last, _)| *last <= self.finished) {
            debug_assert!(last <= self.finished);
            self.free.push(buffer);
            self.submitted.pop_front();
        }
        let mut stopped = None;
        while let Some(&(at, slot, tag)) = self.reports.front().filter(|(at, ..)| *at <= self.finished) {
            debug_assert!(at <= self.finished);
            self.reports.pop_front();
            let Some(slots) = &self.slots else { break };
            // SAFETY: the slot is inside the mapping and the launch has ended; the memory is host-coherent.
            let status = unsafe { slots.host.add(slot * SLOT_BYTES).cast::<abi::Status>().read_volatile() };
            if status.kind != 0 && stopped.is_none() {
                stopped = Some(Stopped { status, tag });
            }
        }
        Ok(stopped)
    }
}

const DEVICE_ACCESS: vk::AccessFlags =
    vk::AccessFlags::from_raw(vk::AccessFlags::SHADER_READ.as_raw() | vk::AccessFlags::SHADER_WRITE.as_raw());

/// Compute writes before it, the given accesses behind it.
fn barrier(
    device: &Device,
    buffer: vk::CommandBuffer,
    stages: vk::PipelineStageFlags,
    access: vk::AccessFlags,
) {
    let compute = (vk::PipelineStageFlags::COMPUTE_SHADER, vk::AccessFlags::SHADER_WRITE);
    between(device, buffer, compute, (stages, access));
}

/// What was done in the first stages with its accesses, before what is done in the second.
fn between(
    device: &Device,
    buffer: vk::CommandBuffer,
    first: (vk::PipelineStageFlags, vk::AccessFlags),
    second: (vk::PipelineStageFlags, vk::AccessFlags),
) {
    let barriers = [vk::MemoryBarrier::default().src_access_mask(first.1).dst_access_mask(second.1)];
    // SAFETY: the command buffer is recording.
    unsafe {
        device.handle.cmd_pipeline_barrier(
            buffer,
            first.0,
            second.0,
            vk::DependencyFlags::empty(),
            &barriers,
            &[],
            &[],
        );
    }
}

/// Work-groups in x, y, z. In x fewer than the work are fine: kernels stride by the grid.
fn groups(device: &Device, launched: &PhaseLaunch<'_>) -> Result<[u32; 3], String> {
    let mut groups = [1_u32; 3];
    for (n, group) in groups.iter_mut().enumerate() {
        let needed = (launched.extents[n] as u64).div_ceil(u64::from(launched.phase.local[n].max(1)));
        let limit = u64::from(device.limits.groups[n]);
        if n > 0 && needed > limit {
            return Err(format!(
                "its domain has {} indices along dimension {}, in workgroups of {}; the Vulkan device `{}` launches at \
                 most {limit} workgroups there",
                launched.extents[n],
                ["x", "y", "z"][n],
                launched.phase.local[n].max(1),
                device.name
            ));
        }
        *group = needed.min(limit) as u32;
    }
    Ok(groups)
}

//! One device with one queue and one pipeline. Errors end the program: this is a benchmark. Nothing is freed.

use ash::{Entry, Instance, vk};
use std::cell::Cell;

pub struct Device {
    handle: ash::Device,
    queue: vk::Queue,
    kinds: vk::PhysicalDeviceMemoryProperties,
    pool: vk::CommandPool,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
    fence: vk::Fence,
    semaphore: vk::Semaphore,
    counter: Cell<u64>,
    /// Two command buffers in turn: one is never reset directly behind its use.
    turn: [vk::CommandBuffer; 2],
    // Kept: the functions of `handle` belong to these.
    _instance: Instance,
    _entry: Entry,
}

#[derive(Clone, Copy)]
pub enum Memory {
    /// The host's, cached there.
    Host,
    /// The device's, which the host sees.
    Device,
}

pub struct Local {
    pub address: u64,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
}

pub struct Shared {
    pub local: Local,
    host: *mut u32,
}

impl Shared {
    pub fn set(&self, at: u32, value: u32) {
        // SAFETY: the mapping holds 1024 bytes.
        unsafe { self.host.add(at as usize).write_volatile(value) }
    }

    pub fn get(&self, at: u32) -> u32 {
        // SAFETY: as above.
        unsafe { self.host.add(at as usize).read_volatile() }
    }
}

const BYTES: u64 = 1024;
const PUSH: u32 = 20;

impl Device {
    pub fn open(spirv: &[u8]) -> Self {
        // SAFETY: handles come from the calls before; structures outlive the calls that they are given to.
        unsafe {
            let entry = Entry::load().expect("a Vulkan loader");
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
            let info = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = entry.create_instance(&info, None).expect("an instance");
            let physical = choose(&instance);
            let family = instance
                .get_physical_device_queue_family_properties(physical)
                .iter()
                .position(|f| f.queue_flags.contains(vk::QueueFlags::COMPUTE))
                .expect("a compute queue") as u32;
            let queues =
                [vk::DeviceQueueCreateInfo::default().queue_family_index(family).queue_priorities(&[1.0])];
            let mut twelve = vk::PhysicalDeviceVulkan12Features::default()
                .buffer_device_address(true)
                .timeline_semaphore(true);
            let features = vk::PhysicalDeviceFeatures::default().shader_int64(true);
            let info = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_features(&features)
                .push_next(&mut twelve);
            let handle = instance.create_device(physical, &info, None).expect("a device");
            let flags = vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER;
            let pool = vk::CommandPoolCreateInfo::default().queue_family_index(family).flags(flags);
            let pool = handle.create_command_pool(&pool, None).expect("a command pool");
            let (layout, pipeline) = pipeline(&handle, spirv);
            let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
            let semaphore = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
            let turn = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(2);
            let turn = handle.allocate_command_buffers(&turn).expect("command buffers");
            Self {
                queue: handle.get_device_queue(family, 0),
                kinds: instance.get_physical_device_memory_properties(physical),
                pool,
                layout,
                pipeline,
                fence: handle.create_fence(&vk::FenceCreateInfo::default(), None).expect("a fence"),
                semaphore: handle.create_semaphore(&semaphore, None).expect("a semaphore"),
                counter: Cell::new(0),
                turn: [turn[0], turn[1]],
                handle,
                _instance: instance,
                _entry: entry,
            }
        }
    }

    /// Memory of the device alone.
    pub fn local(&self) -> Local {
        let kind = vk::MemoryPropertyFlags::DEVICE_LOCAL;
        self.buffer(kind, vk::MemoryPropertyFlags::empty()).expect("memory of the device")
    }

    /// Memory that host and device see; `None` where there is no such.
    pub fn shared(&self, memory: Memory) -> Option<Shared> {
        let both = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        let local = match memory {
            Memory::Host => {
                self.buffer(both | vk::MemoryPropertyFlags::HOST_CACHED, vk::MemoryPropertyFlags::empty())
            }
            Memory::Device => self
                .buffer(both | vk::MemoryPropertyFlags::DEVICE_LOCAL, vk::MemoryPropertyFlags::HOST_CACHED),
        }?;
        // SAFETY: the memory is visible to the host.
        let host =
            unsafe { self.handle.map_memory(local.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()) };
        let host = host.expect("a mapping").cast::<u32>();
        // SAFETY: the mapping has this length.
        unsafe { host.write_bytes(0, BYTES as usize / 4) };
        Some(Shared { local, host })
    }

    fn buffer(&self, wanted: vk::MemoryPropertyFlags, unwanted: vk::MemoryPropertyFlags) -> Option<Local> {
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS
            | vk::BufferUsageFlags::TRANSFER_DST;
        let info = vk::BufferCreateInfo::default().size(BYTES).usage(usage);
        // SAFETY: handles come from the calls before.
        unsafe {
            let buffer = self.handle.create_buffer(&info, None).expect("a buffer");
            let needs = self.handle.get_buffer_memory_requirements(buffer);
            let kind = (0..self.kinds.memory_type_count).find(|&n| {
                let has = self.kinds.memory_types[n as usize].property_flags;
                needs.memory_type_bits & (1 << n) != 0 && has.contains(wanted) && !has.intersects(unwanted)
            })?;
            let mut flags =
                vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
            let info = vk::MemoryAllocateInfo::default()
                .allocation_size(needs.size)
                .memory_type_index(kind)
                .push_next(&mut flags);
            let memory = self.handle.allocate_memory(&info, None).expect("memory");
            self.handle.bind_buffer_memory(buffer, memory, 0).expect("binding");
            let address = vk::BufferDeviceAddressInfo::default().buffer(buffer);
            Some(Local { address: self.handle.get_buffer_device_address(&address), buffer, memory })
        }
    }

    pub fn commands(&self) -> vk::CommandBuffer {
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
        // SAFETY: the pool is alive.
        unsafe { self.handle.allocate_command_buffers(&info) }.expect("a command buffer")[0]
    }

    pub fn next_commands(&self) -> vk::CommandBuffer {
        self.counter.set(self.counter.get() + 1);
        self.turn[self.counter.get() as usize % 2]
    }

    /// Begins recording, with the pipeline bound.
    pub fn begin(&self, buffer: vk::CommandBuffer, flags: vk::CommandBufferUsageFlags) {
        let info = vk::CommandBufferBeginInfo::default().flags(flags);
        // SAFETY: the buffer is not pending.
        unsafe {
            self.handle.begin_command_buffer(buffer, &info).expect("begin");
            self.handle.cmd_bind_pipeline(buffer, vk::PipelineBindPoint::COMPUTE, self.pipeline);
        }
    }

    /// Zeros, once and waited for.
    pub fn zero(&self, local: &Local) {
        let buffer = self.commands();
        self.begin(buffer, vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the buffer is recording.
        unsafe { self.handle.cmd_fill_buffer(buffer, local.buffer, 0, vk::WHOLE_SIZE, 0) };
        self.end(buffer);
        self.run_with_fence(buffer);
    }

    pub fn dispatch(&self, buffer: vk::CommandBuffer, from: u64, to: u64, words: u32) {
        let mut push = [0; PUSH as usize];
        push[..8].copy_from_slice(&from.to_le_bytes());
        push[8..16].copy_from_slice(&to.to_le_bytes());
        push[16..].copy_from_slice(&words.to_le_bytes());
        // SAFETY: the buffer is recording.
        unsafe {
            self.handle.cmd_push_constants(buffer, self.layout, vk::ShaderStageFlags::COMPUTE, 0, &push);
            self.handle.cmd_dispatch(buffer, words.div_ceil(64), 1, 1);
        }
    }

    /// What kernels wrote before it is seen behind it.
    pub fn barrier(
        &self,
        buffer: vk::CommandBuffer,
        stages: vk::PipelineStageFlags,
        access: vk::AccessFlags,
    ) {
        let barrier = [vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::SHADER_WRITE)
            .dst_access_mask(access)];
        let from = vk::PipelineStageFlags::COMPUTE_SHADER;
        // SAFETY: the buffer is recording.
        unsafe {
            let none = vk::DependencyFlags::empty();
            self.handle.cmd_pipeline_barrier(buffer, from, stages, none, &barrier, &[], &[]);
        }
    }

    pub fn end(&self, buffer: vk::CommandBuffer) {
        // SAFETY: the buffer is recording.
        unsafe { self.handle.end_command_buffer(buffer) }.expect("end");
    }

    /// Submits and waits.
    pub fn run_with_fence(&self, buffer: vk::CommandBuffer) {
        let (buffers, fences) = ([buffer], [self.fence]);
        let info = [vk::SubmitInfo::default().command_buffers(&buffers)];
        // SAFETY: the fence is not in use: every submission is waited for.
        unsafe {
            self.handle.queue_submit(self.queue, &info, self.fence).expect("submit");
            self.handle.wait_for_fences(&fences, true, u64::MAX).expect("wait");
            self.handle.reset_fences(&fences).expect("reset");
        }
    }

    /// As [`Self::run_with_fence`], with a timeline semaphore.
    pub fn run_with_timeline(&self, buffer: vk::CommandBuffer) {
        let (buffers, semaphores, values) = ([buffer], [self.semaphore], [self.counter.get()]);
        let mut timeline = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let info = [vk::SubmitInfo::default()
            .command_buffers(&buffers)
            .signal_semaphores(&semaphores)
            .push_next(&mut timeline)];
        let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: `next_commands` counts up, so the value is new.
        unsafe {
            self.handle.queue_submit(self.queue, &info, vk::Fence::null()).expect("submit");
            self.handle.wait_semaphores(&wait, u64::MAX).expect("wait");
        }
    }
}

/// A real GPU before a driver that runs on the processor.
unsafe fn choose(instance: &Instance) -> vk::PhysicalDevice {
    // SAFETY: the instance is alive.
    unsafe {
        let devices = instance.enumerate_physical_devices().expect("devices");
        let rank = |device: &vk::PhysicalDevice| match instance
            .get_physical_device_properties(*device)
            .device_type
        {
            vk::PhysicalDeviceType::DISCRETE_GPU => 0,
            vk::PhysicalDeviceType::INTEGRATED_GPU => 1,
            _ => 2,
        };
        let device = devices.into_iter().min_by_key(rank).expect("a Vulkan device");
        let about = instance.get_physical_device_properties(device);
        eprintln!("{}", about.device_name_as_c_str().map_or("?".into(), |name| name.to_string_lossy()));
        device
    }
}

unsafe fn pipeline(handle: &ash::Device, spirv: &[u8]) -> (vk::PipelineLayout, vk::Pipeline) {
    let code: Vec<u32> =
        spirv.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    let ranges = [vk::PushConstantRange::default().stage_flags(vk::ShaderStageFlags::COMPUTE).size(PUSH)];
    // SAFETY: structures outlive the calls.
    unsafe {
        let module = vk::ShaderModuleCreateInfo::default().code(&code);
        let module = handle.create_shader_module(&module, None).expect("a shader module");
        let layout = vk::PipelineLayoutCreateInfo::default().push_constant_ranges(&ranges);
        let layout = handle.create_pipeline_layout(&layout, None).expect("a layout");
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main");
        let info = [vk::ComputePipelineCreateInfo::default().layout(layout).stage(stage)];
        let made = handle.create_compute_pipelines(vk::PipelineCache::null(), &info, None);
        (layout, made.expect("a pipeline")[0])
    }
}

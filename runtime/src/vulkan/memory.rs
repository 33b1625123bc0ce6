//! Memory that host and device share; memory of the device alone; memory of the host that the device may copy from.

use super::{Device, reason};
use ash::vk;

/// A buffer with its memory, mapped for the host.
#[derive(Debug)]
pub struct Allocation {
    pub host: *mut u8,
    pub device: u64,
    pub bytes: u64,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
}

// SAFETY: the pointer is to memory that belongs to the process, not to a thread; Vulkan handles are plain numbers.
unsafe impl Send for Allocation {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for Allocation {}

/// The device's own memory that the host does not cache (behind a bus): best for what the device uses
/// most, worst for what the host reads.
const NEAR_DEVICE: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::from_raw(
    vk::MemoryPropertyFlags::DEVICE_LOCAL.as_raw()
        | vk::MemoryPropertyFlags::HOST_VISIBLE.as_raw()
        | vk::MemoryPropertyFlags::HOST_COHERENT.as_raw(),
);

/// Kinds of memory, best first; all are visible to the host without flushes.
const KINDS: [vk::MemoryPropertyFlags; 3] = [
    vk::MemoryPropertyFlags::from_raw(
        vk::MemoryPropertyFlags::DEVICE_LOCAL.as_raw()
            | vk::MemoryPropertyFlags::HOST_VISIBLE.as_raw()
            | vk::MemoryPropertyFlags::HOST_COHERENT.as_raw()
            | vk::MemoryPropertyFlags::HOST_CACHED.as_raw(),
    ),
    vk::MemoryPropertyFlags::from_raw(
        vk::MemoryPropertyFlags::HOST_VISIBLE.as_raw()
            | vk::MemoryPropertyFlags::HOST_COHERENT.as_raw()
            | vk::MemoryPropertyFlags::HOST_CACHED.as_raw(),
    ),
    vk::MemoryPropertyFlags::from_raw(
        vk::MemoryPropertyFlags::HOST_VISIBLE.as_raw() | vk::MemoryPropertyFlags::HOST_COHERENT.as_raw(),
    ),
];

/// Zeroed memory; `near_device`: in the device's own memory, where the host can see it and there is room.
pub fn allocate(device: &Device, bytes: u64, near_device: bool) -> Result<Allocation, String> {
    let size = bytes.max(16);
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS;
    let info = vk::BufferCreateInfo::default().size(size).usage(usage);
    let vk_device = &device.handle;
    // SAFETY: every handle is freed again where a later step fails; the mapping lives as long as the memory.
    unsafe {
        let buffer = vk_device.create_buffer(&info, None).map_err(reason)?;
        let needs = vk_device.get_buffer_memory_requirements(buffer);
        let mut made = Err("the GPU has no memory that the host can see".to_owned());
        let kinds = near_device.then_some(&NEAR_DEVICE).into_iter().chain(&KINDS);
        for kind in kinds.filter_map(|&wanted| memory_type(device, needs.memory_type_bits, wanted)) {
            let mut flags =
                vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
            let info = vk::MemoryAllocateInfo::default()
                .allocation_size(needs.size)
                .memory_type_index(kind)
                .push_next(&mut flags);
            made = vk_device.allocate_memory(&info, None).map_err(reason);
            if made.is_ok() {
                break;
            }
        }
        let memory = match made {
            Ok(memory) => memory,
            Err(why) => {
                vk_device.destroy_buffer(buffer, None);
                return Err(why);
            }
        };
        let mapped = vk_device
            .bind_buffer_memory(buffer, memory, 0)
            .and_then(|()| vk_device.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()));
        let host = match mapped {
            Ok(pointer) => pointer.cast::<u8>(),
            Err(error) => {
                vk_device.destroy_buffer(buffer, None);
                vk_device.free_memory(memory, None);
                return Err(reason(error));
            }
        };
        let address = vk::BufferDeviceAddressInfo::default().buffer(buffer);
        std::ptr::write_bytes(host, 0, size as usize);
        Ok(Allocation {
            host,
            device: vk_device.get_buffer_device_address(&address),
            bytes: size,
            buffer,
            memory,
        })
    }
}

pub fn free(device: &Device, allocation: Allocation) {
    // SAFETY: the caller promises that no pending dispatch uses it; freeing memory also unmaps it.
    unsafe {
        device.handle.destroy_buffer(allocation.buffer, None);
        device.handle.free_memory(allocation.memory, None);
    }
}

/// A buffer that only the device uses.
#[derive(Debug)]
pub struct DeviceMemory {
    pub buffer: vk::Buffer,
    /// 0 for imported memory.
    pub address: u64,
    memory: vk::DeviceMemory,
}

const COPIES: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::TRANSFER_SRC.as_raw() | vk::BufferUsageFlags::TRANSFER_DST.as_raw(),
);

/// The device's own memory; its content is undefined.
pub fn device_local(device: &Device, bytes: u64) -> Result<DeviceMemory, String> {
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS | COPIES;
    let info = vk::BufferCreateInfo::default().size(bytes).usage(usage);
    let mut flags = vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
    let mut made = bound(device, &info, |needs| {
        let kind = memory_type(device, needs.memory_type_bits, vk::MemoryPropertyFlags::DEVICE_LOCAL)
            .ok_or_else(|| "the GPU has no memory of its own".to_owned())?;
        let info = vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(kind);
        // SAFETY: the structures outlive the call.
        unsafe { device.handle.allocate_memory(&info.push_next(&mut flags), None) }.map_err(reason)
    })?;
    let address = vk::BufferDeviceAddressInfo::default().buffer(made.buffer);
    // SAFETY: the buffer is bound and has the usage.
    made.address = unsafe { device.handle.get_buffer_device_address(&address) };
    Ok(made)
}

/// Pages of the host as memory of the device; both aligned to [`Device::import_alignment`]. They stay as long as it.
pub fn import(device: &Device, host: usize, bytes: u64) -> Result<DeviceMemory, String> {
    let kind = vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;
    let Some(import) = &device.import else { return Err("the GPU takes no memory of the host".into()) };
    let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(kind);
    let info = vk::BufferCreateInfo::default().size(bytes).usage(COPIES).push_next(&mut external);
    bound(device, &info, |needs| {
        let mut allowed = vk::MemoryHostPointerPropertiesEXT::default();
        let pointer = host as *const std::ffi::c_void;
        let mut pages =
            vk::ImportMemoryHostPointerInfoEXT::default().handle_type(kind).host_pointer(pointer.cast_mut());
        // SAFETY: the pages are mapped; the structures outlive the calls.
        unsafe {
            (import.fp().get_memory_host_pointer_properties_ext)(
                import.device(),
                kind,
                pointer,
                &mut allowed,
            )
            .result()
            .map_err(reason)?;
            let types = needs.memory_type_bits & allowed.memory_type_bits;
            let kind = memory_type(device, types, vk::MemoryPropertyFlags::empty())
                .ok_or_else(|| "the GPU cannot use the host's pages".to_owned())?;
            let info = vk::MemoryAllocateInfo::default().allocation_size(bytes).memory_type_index(kind);
            device.handle.allocate_memory(&info.push_next(&mut pages), None).map_err(reason)
        }
    })
}

/// A buffer with memory bound to it.
fn bound(
    device: &Device,
    info: &vk::BufferCreateInfo<'_>,
    allocate: impl FnOnce(&vk::MemoryRequirements) -> Result<vk::DeviceMemory, String>,
) -> Result<DeviceMemory, String> {
    // SAFETY: every handle is freed again where a later step fails.
    unsafe {
        let buffer = device.handle.create_buffer(info, None).map_err(reason)?;
        let memory = match allocate(&device.handle.get_buffer_memory_requirements(buffer)) {
            Ok(memory) => memory,
            Err(why) => {
                device.handle.destroy_buffer(buffer, None);
                return Err(why);
            }
        };
        let made = DeviceMemory { buffer, address: 0, memory };
        if let Err(error) = device.handle.bind_buffer_memory(buffer, memory, 0) {
            free_device(device, made);
            return Err(reason(error));
        }
        Ok(made)
    }
}

/// Frees what no pending command uses.
pub fn free_device(device: &Device, memory: DeviceMemory) {
    // SAFETY: the caller's promise.
    unsafe {
        device.handle.destroy_buffer(memory.buffer, None);
        device.handle.free_memory(memory.memory, None);
    }
}

fn memory_type(device: &Device, allowed: u32, wanted: vk::MemoryPropertyFlags) -> Option<u32> {
    (0..device.memory.memory_type_count).find(|&n| {
        allowed & (1 << n) != 0 && device.memory.memory_types[n as usize].property_flags.contains(wanted)
    })
}

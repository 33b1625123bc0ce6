//! A Vulkan layer between the loader and a driver, which makes the driver's device do less, or be lost: what a program
//! says and does then can be tested on any machine. [`faults`] has the words of `CLEF_VULKAN_FAULTS`.
//!
//! The loader takes it where `VK_LAYER_PATH` names a folder with a manifest and `VK_INSTANCE_LAYERS` names
//! `VK_LAYER_CLEF_faults`. One instance and one device for each process; nothing is shipped with programs.

#![allow(unsafe_code)]

mod cache;
mod faults;

use ash::vk;
use faults::Event;
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

/// What the loader puts into the chain of a creation for each layer.
#[repr(C)]
struct LayerInfo {
    kind: vk::StructureType,
    next: *mut c_void,
    /// 0: `link` is there.
    function: u32,
    link: *mut Link,
}

/// The layer or driver behind this one.
#[repr(C)]
struct Link {
    next: *mut Link,
    instance_functions: vk::PFN_vkGetInstanceProcAddr,
    /// Of a device: how to find its functions.
    device_functions: Option<vk::PFN_vkGetDeviceProcAddr>,
}

/// Functions of the next layer. Looked up while the instance is made: later the loader answers with this layer's own.
struct Next {
    create_device: vk::PFN_vkCreateDevice,
    properties: vk::PFN_vkGetPhysicalDeviceProperties,
    properties2: vk::PFN_vkGetPhysicalDeviceProperties2,
    features2: vk::PFN_vkGetPhysicalDeviceFeatures2,
}

/// `VkNegotiateLayerInterface` of the loader.
#[repr(C)]
pub struct Negotiation {
    kind: u32,
    next: *mut c_void,
    version: u32,
    instance_functions: vk::PFN_vkGetInstanceProcAddr,
    device_functions: vk::PFN_vkGetDeviceProcAddr,
    physical_functions: Option<vk::PFN_vkGetInstanceProcAddr>,
}

static INSTANCE: OnceLock<(vk::PFN_vkGetInstanceProcAddr, vk::Instance)> = OnceLock::new();
static NEXT: OnceLock<Next> = OnceLock::new();
static DEVICE: OnceLock<(vk::PFN_vkGetDeviceProcAddr, vk::Device)> = OnceLock::new();

/// Begins the loader's talk with the layer.
///
/// # Safety
/// Called by the loader, with a valid structure.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vkNegotiateLoaderLayerInterfaceVersion(with: *mut Negotiation) -> vk::Result {
    // SAFETY: the loader's promise.
    let with = unsafe { &mut *with };
    with.version = 2;
    with.instance_functions = instance_function;
    with.device_functions = device_function;
    with.physical_functions = None;
    vk::Result::SUCCESS
}

impl Next {
    unsafe fn of(get: vk::PFN_vkGetInstanceProcAddr, instance: vk::Instance) -> Option<Self> {
        // SAFETY: the names stand for functions of these types.
        unsafe {
            Some(Self {
                create_device: std::mem::transmute(get(instance, c"vkCreateDevice".as_ptr())?),
                properties: std::mem::transmute(get(instance, c"vkGetPhysicalDeviceProperties".as_ptr())?),
                properties2: std::mem::transmute(get(instance, c"vkGetPhysicalDeviceProperties2".as_ptr())?),
                features2: std::mem::transmute(get(instance, c"vkGetPhysicalDeviceFeatures2".as_ptr())?),
            })
        }
    }
}

/// A device's function in the next layer, by its name.
macro_rules! next {
    ($name:literal as $ty:ty) => {{
        let found = DEVICE.get().and_then(|(get, device)| get(*device, $name.as_ptr()));
        // SAFETY: the name stands for a function of this type.
        found.map(|f| std::mem::transmute::<unsafe extern "system" fn(), $ty>(f))
    }};
}

/// The structure of a kind in a chain.
unsafe fn find(
    mut at: *const c_void,
    wanted: impl Fn(*const vk::BaseInStructure<'_>) -> bool,
) -> *mut c_void {
    while !at.is_null() {
        let structure = at.cast::<vk::BaseInStructure<'_>>();
        if wanted(structure) {
            return at.cast_mut();
        }
        // SAFETY: every structure of a chain begins so.
        at = unsafe { (*structure).p_next }.cast();
    }
    std::ptr::null_mut()
}

/// Takes the link of this layer out of a creation's chain.
unsafe fn take_link(chain: *const c_void, kind: vk::StructureType) -> Option<&'static Link> {
    // SAFETY: the loader's chain; only its own structures have this kind.
    unsafe {
        let ours =
            |s: *const vk::BaseInStructure<'_>| (*s).s_type == kind && (*s.cast::<LayerInfo>()).function == 0;
        let info = find(chain, ours).cast::<LayerInfo>().as_mut()?;
        let link = info.link.as_ref()?;
        info.link = link.next;
        Some(link)
    }
}

unsafe extern "system" fn create_instance(
    info: *const vk::InstanceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    instance: *mut vk::Instance,
) -> vk::Result {
    // SAFETY: the loader's promise.
    unsafe {
        let kind = vk::StructureType::LOADER_INSTANCE_CREATE_INFO;
        let Some(link) = take_link((*info).p_next, kind) else {
            return vk::Result::ERROR_INITIALIZATION_FAILED;
        };
        let get = link.instance_functions;
        let Some(create) = get(vk::Instance::null(), c"vkCreateInstance".as_ptr()) else {
            return vk::Result::ERROR_INITIALIZATION_FAILED;
        };
        let create: vk::PFN_vkCreateInstance = std::mem::transmute(create);
        let result = create(info, allocator, instance);
        if result == vk::Result::SUCCESS {
            let _ = INSTANCE.set((get, *instance));
            match Next::of(get, *instance) {
                Some(next) => drop(NEXT.set(next)),
                None => return vk::Result::ERROR_INITIALIZATION_FAILED,
            }
        }
        result
    }
}

unsafe extern "system" fn create_device(
    physical: vk::PhysicalDevice,
    info: *const vk::DeviceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    device: *mut vk::Device,
) -> vk::Result {
    // SAFETY: the loader's promise.
    unsafe {
        let kind = vk::StructureType::LOADER_DEVICE_CREATE_INFO;
        let link = take_link((*info).p_next, kind);
        let (Some(next), Some(get)) = (NEXT.get(), link.and_then(|l| l.device_functions)) else {
            return vk::Result::ERROR_INITIALIZATION_FAILED;
        };
        let result = (next.create_device)(physical, info, allocator, device);
        if result == vk::Result::SUCCESS {
            let _ = DEVICE.set((get, *device));
        }
        result
    }
}

/// Makes limits smaller.
fn lessen(limits: &mut vk::PhysicalDeviceLimits) {
    let faults = faults::get();
    if let Some(most) = faults.groups {
        limits.max_compute_work_group_count = limits.max_compute_work_group_count.map(|n| n.min(most));
    }
    if let Some(most) = faults.invocations {
        limits.max_compute_work_group_invocations = limits.max_compute_work_group_invocations.min(most);
        limits.max_compute_work_group_size = limits.max_compute_work_group_size.map(|n| n.min(most));
    }
    if let Some(most) = faults.shared {
        limits.max_compute_shared_memory_size = limits.max_compute_shared_memory_size.min(most);
    }
}

unsafe extern "system" fn properties(physical: vk::PhysicalDevice, out: *mut vk::PhysicalDeviceProperties) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(next) = NEXT.get() {
            (next.properties)(physical, out);
            lessen(&mut (*out).limits);
        }
    }
}

unsafe extern "system" fn properties2(
    physical: vk::PhysicalDevice,
    out: *mut vk::PhysicalDeviceProperties2<'_>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(next) = NEXT.get() else { return };
        (next.properties2)(physical, out);
        lessen(&mut (*out).properties.limits);
        let kind = vk::StructureType::PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
        let groups = find((*out).p_next, |s| (*s).s_type == kind);
        if faults::get().lacks("subgroups") && !groups.is_null() {
            (*groups.cast::<vk::PhysicalDeviceSubgroupProperties<'_>>()).supported_operations =
                vk::SubgroupFeatureFlags::BASIC;
        }
    }
}

unsafe extern "system" fn features2(physical: vk::PhysicalDevice, out: *mut vk::PhysicalDeviceFeatures2<'_>) {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(next) = NEXT.get() else { return };
        (next.features2)(physical, out);
        let lacks = |feature: &str, word: &mut vk::Bool32| {
            if faults::get().lacks(feature) {
                *word = vk::FALSE;
            }
        };
        lacks("f64", &mut (*out).features.shader_float64);
        lacks("i64", &mut (*out).features.shader_int64);
        lacks("i16", &mut (*out).features.shader_int16);
        let eleven = vk::StructureType::PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
        let eleven = find((*out).p_next, |s| (*s).s_type == eleven);
        if let Some(v11) = eleven.cast::<vk::PhysicalDeviceVulkan11Features<'_>>().as_mut() {
            lacks("store16", &mut v11.storage_buffer16_bit_access);
        }
        let twelve = vk::StructureType::PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
        let twelve = find((*out).p_next, |s| (*s).s_type == twelve);
        if let Some(v12) = twelve.cast::<vk::PhysicalDeviceVulkan12Features<'_>>().as_mut() {
            lacks("store8", &mut v12.storage_buffer8_bit_access);
            lacks("f16", &mut v12.shader_float16);
            lacks("i8", &mut v12.shader_int8);
        }
    }
}

unsafe extern "system" fn allocate(
    device: vk::Device,
    info: *const vk::MemoryAllocateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    memory: *mut vk::DeviceMemory,
) -> vk::Result {
    // SAFETY: the caller's promise.
    unsafe {
        if faults::get().memory.is_some_and(|most| (*info).allocation_size > most) {
            return vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
        }
        next!(c"vkAllocateMemory" as vk::PFN_vkAllocateMemory)
            .map_or(vk::Result::ERROR_UNKNOWN, |allocate| allocate(device, info, allocator, memory))
    }
}

unsafe extern "system" fn submit(
    queue: vk::Queue,
    count: u32,
    list: *const vk::SubmitInfo<'_>,
    fence: vk::Fence,
) -> vk::Result {
    if faults::loses(Event::Submit) {
        return vk::Result::ERROR_DEVICE_LOST;
    }
    // SAFETY: the caller's promise.
    unsafe {
        next!(c"vkQueueSubmit" as vk::PFN_vkQueueSubmit)
            .map_or(vk::Result::ERROR_UNKNOWN, |submit| submit(queue, count, list, fence))
    }
}

unsafe extern "system" fn wait(
    device: vk::Device,
    info: *const vk::SemaphoreWaitInfo<'_>,
    timeout: u64,
) -> vk::Result {
    if faults::loses(Event::Wait) {
        return vk::Result::ERROR_DEVICE_LOST;
    }
    // SAFETY: the caller's promise.
    unsafe {
        next!(c"vkWaitSemaphores" as vk::PFN_vkWaitSemaphores)
            .map_or(vk::Result::ERROR_UNKNOWN, |wait| wait(device, info, timeout))
    }
}

unsafe extern "system" fn wait_fences(
    device: vk::Device,
    count: u32,
    list: *const vk::Fence,
    all: vk::Bool32,
    timeout: u64,
) -> vk::Result {
    if faults::is_lost() {
        return vk::Result::ERROR_DEVICE_LOST;
    }
    // SAFETY: the caller's promise.
    unsafe {
        next!(c"vkWaitForFences" as vk::PFN_vkWaitForFences)
            .map_or(vk::Result::ERROR_UNKNOWN, |wait| wait(device, count, list, all, timeout))
    }
}

unsafe extern "system" fn counter(
    device: vk::Device,
    semaphore: vk::Semaphore,
    value: *mut u64,
) -> vk::Result {
    if faults::is_lost() {
        return vk::Result::ERROR_DEVICE_LOST;
    }
    // SAFETY: the caller's promise.
    unsafe {
        next!(c"vkGetSemaphoreCounterValue" as vk::PFN_vkGetSemaphoreCounterValue)
            .map_or(vk::Result::ERROR_UNKNOWN, |get| get(device, semaphore, value))
    }
}

unsafe extern "system" fn create_cache(
    device: vk::Device,
    info: *const vk::PipelineCacheCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    cache: *mut vk::PipelineCache,
) -> vk::Result {
    // SAFETY: the caller's promise.
    unsafe {
        let mut info = *info;
        if faults::get().tells_cache {
            let data = info.p_initial_data.cast::<u8>();
            let given = (info.initial_data_size > 0)
                .then(|| std::slice::from_raw_parts(data, info.initial_data_size));
            cache::given(given.unwrap_or_default());
            info.initial_data_size = 0;
        }
        next!(c"vkCreatePipelineCache" as vk::PFN_vkCreatePipelineCache)
            .map_or(vk::Result::ERROR_UNKNOWN, |create| create(device, &info, allocator, cache))
    }
}

unsafe extern "system" fn cache_data(
    device: vk::Device,
    cache: vk::PipelineCache,
    size: *mut usize,
    out: *mut c_void,
) -> vk::Result {
    // SAFETY: the caller's promise.
    unsafe {
        if !faults::get().tells_cache {
            return next!(c"vkGetPipelineCacheData" as vk::PFN_vkGetPipelineCacheData)
                .map_or(vk::Result::ERROR_UNKNOWN, |get| get(device, cache, size, out));
        }
        let data = cache::data();
        if !out.is_null() && *size < data.len() {
            *size = 0;
            return vk::Result::INCOMPLETE;
        }
        if !out.is_null() {
            out.cast::<u8>().copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
        *size = data.len();
        vk::Result::SUCCESS
    }
}

unsafe extern "system" fn create_module(
    device: vk::Device,
    info: *const vk::ShaderModuleCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    module: *mut vk::ShaderModule,
) -> vk::Result {
    // SAFETY: the caller's promise.
    unsafe {
        let result = next!(c"vkCreateShaderModule" as vk::PFN_vkCreateShaderModule)
            .map_or(vk::Result::ERROR_UNKNOWN, |create| create(device, info, allocator, module));
        if result == vk::Result::SUCCESS {
            cache::module(*module, std::slice::from_raw_parts((*info).p_code, (*info).code_size / 4));
        }
        result
    }
}

unsafe extern "system" fn create_pipelines(
    device: vk::Device,
    cache: vk::PipelineCache,
    count: u32,
    infos: *const vk::ComputePipelineCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    pipelines: *mut vk::Pipeline,
) -> vk::Result {
    // SAFETY: the caller's promise.
    unsafe {
        if faults::get().tells_cache && cache != vk::PipelineCache::null() {
            for info in std::slice::from_raw_parts(infos, count as usize) {
                cache::pipeline(info.stage.module);
            }
        }
        next!(c"vkCreateComputePipelines" as vk::PFN_vkCreateComputePipelines)
            .map_or(vk::Result::ERROR_UNKNOWN, |make| make(device, cache, count, infos, allocator, pipelines))
    }
}

type Function = unsafe extern "system" fn();

/// This layer's own function of a name.
fn own(name: &CStr) -> Option<Function> {
    let address = match name.to_bytes() {
        b"vkGetInstanceProcAddr" => instance_function as *const (),
        b"vkGetDeviceProcAddr" => device_function as *const (),
        b"vkCreateInstance" => create_instance as *const (),
        b"vkCreateDevice" => create_device as *const (),
        b"vkGetPhysicalDeviceProperties" => properties as *const (),
        b"vkGetPhysicalDeviceProperties2" => properties2 as *const (),
        b"vkGetPhysicalDeviceFeatures2" => features2 as *const (),
        b"vkAllocateMemory" => allocate as *const (),
        b"vkQueueSubmit" => submit as *const (),
        b"vkWaitSemaphores" => wait as *const (),
        b"vkWaitForFences" => wait_fences as *const (),
        b"vkGetSemaphoreCounterValue" => counter as *const (),
        b"vkCreatePipelineCache" => create_cache as *const (),
        b"vkGetPipelineCacheData" => cache_data as *const (),
        b"vkCreateShaderModule" => create_module as *const (),
        b"vkCreateComputePipelines" => create_pipelines as *const (),
        _ => return None,
    };
    // SAFETY: Vulkan gives all functions as pointers of this type; callers know the real one by the name.
    Some(unsafe { std::mem::transmute::<*const (), Function>(address) })
}

unsafe extern "system" fn instance_function(instance: vk::Instance, name: *const c_char) -> Option<Function> {
    // SAFETY: the loader gives a NUL-terminated name.
    let name = unsafe { CStr::from_ptr(name) };
    // SAFETY: the next layer's function, with the loader's own arguments.
    own(name).or_else(|| INSTANCE.get().and_then(|(get, _)| unsafe { get(instance, name.as_ptr()) }))
}

unsafe extern "system" fn device_function(device: vk::Device, name: *const c_char) -> Option<Function> {
    // SAFETY: the loader gives a NUL-terminated name.
    let name = unsafe { CStr::from_ptr(name) };
    let is_of_devices = !matches!(
        name.to_bytes(),
        b"vkGetInstanceProcAddr"
            | b"vkCreateInstance"
            | b"vkCreateDevice"
            | b"vkGetPhysicalDeviceProperties"
            | b"vkGetPhysicalDeviceProperties2"
            | b"vkGetPhysicalDeviceFeatures2"
    );
    let ours = is_of_devices.then(|| own(name)).flatten();
    // SAFETY: the next layer's function, with the loader's own arguments.
    ours.or_else(|| DEVICE.get().and_then(|(get, _)| unsafe { get(device, name.as_ptr()) }))
}

//! Opening the loader, choosing a device, and what it can do.

use super::reason;
use ash::{Entry, Instance, vk};
use std::ffi::{CStr, c_void};

/// A logical device with its queues. Never destroyed: it lives as long as the process.
pub struct Device {
    pub name: String,
    pub handle: ash::Device,
    pub physical: vk::PhysicalDevice,
    pub memory: vk::PhysicalDeviceMemoryProperties,
    pub limits: Limits,
    /// What kernels may use.
    pub can: Can,
    pub family: u32,
    /// One or more queues of the family; the program's queues share them round robin.
    pub queues: Vec<vk::Queue>,
    /// Held while submitting: the program's queues may share one of the device's.
    pub submitting: std::sync::Mutex<()>,
    /// Identifies driver and device for caches on disk.
    pub cache_key: super::cache::Key,
    /// The device has memory of its own behind a bus.
    pub discrete: bool,
    /// A driver that computes on the host's processor.
    pub software: bool,
    /// The functions that take pages of the host as memory, where the device can.
    pub import: Option<ash::ext::external_memory_host::Device>,
    /// What the validation layer is told of buffers, where it is asked to look at them.
    pub mirrors: Option<super::mirror::Mirrors>,
    /// It multiplies matrices of 16 x 16 by subgroups of 32: half precision in, sums in single precision.
    pub tiles: bool,
    /// Of such pages: alignment of address and length.
    pub import_alignment: u64,
    // Kept: the functions of `handle` belong to these.
    _instance: Instance,
    _entry: Entry,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Work-groups of one launch in each dimension.
    pub groups: [u32; 3],
    /// Work-items of a workgroup in each dimension, and in all.
    pub size: [u32; 3],
    pub invocations: u32,
    /// Bytes that the work-items of a workgroup share.
    pub shared: u32,
}

/// Optional features, each enabled where the device has it.
#[derive(Clone, Copy, Debug)]
pub struct Can {
    pub int8: bool,
    pub int16: bool,
    pub float16: bool,
    pub float64: bool,
    pub storage8: bool,
    pub storage16: bool,
    /// Subgroup operations in compute shaders: any, arithmetic, shuffles.
    pub groups: bool,
    pub groups_add: bool,
    pub groups_shuffle: bool,
}

impl Can {
    fn of(features: &Features, groups: &vk::PhysicalDeviceSubgroupProperties<'_>) -> Self {
        let in_compute = groups.supported_stages.contains(vk::ShaderStageFlags::COMPUTE);
        let operates = |what| in_compute && groups.supported_operations.contains(what);
        Self {
            int8: features.v12.shader_int8 == vk::TRUE,
            int16: features.core.shader_int16 == vk::TRUE,
            float16: features.v12.shader_float16 == vk::TRUE,
            float64: features.core.shader_float64 == vk::TRUE,
            storage8: features.v12.storage_buffer8_bit_access == vk::TRUE,
            storage16: features.v11.storage_buffer16_bit_access == vk::TRUE,
            groups: operates(vk::SubgroupFeatureFlags::BASIC),
            groups_add: operates(vk::SubgroupFeatureFlags::ARITHMETIC),
            groups_shuffle: operates(vk::SubgroupFeatureFlags::SHUFFLE),
        }
    }
}

/// The features that kernels may use, as far as the device has them.
#[derive(Default)]
struct Features {
    core: vk::PhysicalDeviceFeatures,
    v11: vk::PhysicalDeviceVulkan11Features<'static>,
    v12: vk::PhysicalDeviceVulkan12Features<'static>,
}

impl Device {
    pub fn open() -> Result<Self, String> {
        // SAFETY: loading a library runs its initialisers; the Vulkan loader is made for it.
        let entry = unsafe { Entry::load() }.map_err(|_| {
            "there is no Vulkan loader (libvulkan.so.1; Debian: apt-get install libvulkan1)".to_owned()
        })?;
        let instance = instance(&entry)?;
        // SAFETY: the instance is alive.
        let devices = unsafe { instance.enumerate_physical_devices() }.map_err(reason)?;
        let physical = choose(&instance, &devices)?;
        Self::create(entry, instance, physical)
    }

    fn create(entry: Entry, instance: Instance, physical: vk::PhysicalDevice) -> Result<Self, String> {
        // SAFETY: all handles belong to this instance.
        let (properties, memory, families) = unsafe {
            (
                instance.get_physical_device_properties(physical),
                instance.get_physical_device_memory_properties(physical),
                instance.get_physical_device_queue_family_properties(physical),
            )
        };
        let name = properties
            .device_name_as_c_str()
            .map_or_else(|_| "?".into(), |n| n.to_string_lossy().into_owned());
        let compute = |f: &vk::QueueFamilyProperties| f.queue_flags.contains(vk::QueueFlags::COMPUTE);
        let family = families
            .iter()
            .position(compute)
            .ok_or_else(|| format!("the Vulkan device `{name}` has no compute queue"))?;
        let count = families[family].queue_count.min(super::QUEUES as u32);
        let priorities = vec![1.0_f32; count as usize];
        let queue_info = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(family as u32)
            .queue_priorities(&priorities)];
        let mut features = features(&instance, physical);
        check(&name, &features)?;
        let (importing, import_alignment) = importing(&instance, physical);
        let tiles = multiplies_tiles(&entry, &instance, physical);
        let mut matrices = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
        let wanted =
            [(importing, ash::ext::external_memory_host::NAME), (tiles, ash::khr::cooperative_matrix::NAME)];
        let extensions: Vec<_> =
            wanted.iter().filter(|(has, _)| *has).map(|(_, name)| name.as_ptr()).collect();
        let mut info = vk::DeviceCreateInfo::default()
            .enabled_extension_names(&extensions)
            .queue_create_infos(&queue_info)
            .enabled_features(&features.core)
            .push_next(&mut features.v11)
            .push_next(&mut features.v12);
        if tiles {
            info = info.push_next(&mut matrices);
        }
        // SAFETY: the structures outlive the call.
        let handle = unsafe { instance.create_device(physical, &info, None) }.map_err(reason)?;
        // SAFETY: these queues were just created.
        let queues = (0..count).map(|n| unsafe { handle.get_device_queue(family as u32, n) }).collect();
        let import = importing.then(|| ash::ext::external_memory_host::Device::new(&instance, &handle));
        let cache_key = super::cache::Key::of(&properties, &driver_id(&instance, physical));
        let limits = Limits {
            groups: properties.limits.max_compute_work_group_count,
            size: properties.limits.max_compute_work_group_size,
            invocations: properties.limits.max_compute_work_group_invocations,
            shared: properties.limits.max_compute_shared_memory_size,
        };
        let can = Can::of(&features, &subgroups(&instance, physical));
        Ok(Self {
            name,
            handle,
            physical,
            memory,
            limits,
            can,
            family: family as u32,
            queues,
            submitting: std::sync::Mutex::new(()),
            cache_key,
            discrete: properties.device_type == vk::PhysicalDeviceType::DISCRETE_GPU,
            software: properties.device_type == vk::PhysicalDeviceType::CPU,
            import,
            mirrors: (validation() == Some(true)).then(Default::default),
            tiles,
            import_alignment,
            _instance: instance,
            _entry: entry,
        })
    }
}

impl Device {
    /// Whether pages of the host can be the device's memory.
    pub fn imports(&self) -> bool {
        self.import.is_some()
    }
}

/// Whether the device takes pages of the host as memory, and their alignment.
fn importing(instance: &Instance, physical: vk::PhysicalDevice) -> (bool, u64) {
    let mut host = vk::PhysicalDeviceExternalMemoryHostPropertiesEXT::default();
    let mut all = vk::PhysicalDeviceProperties2::default().push_next(&mut host);
    // SAFETY: the handle belongs to this instance; drivers skip structures that they do not know.
    unsafe {
        let known = instance.enumerate_device_extension_properties(physical).unwrap_or_default();
        let name = ash::ext::external_memory_host::NAME;
        if !known.iter().any(|e| e.extension_name_as_c_str() == Ok(name)) {
            return (false, 1);
        }
        instance.get_physical_device_properties2(physical, &mut all);
    }
    (true, host.min_imported_host_pointer_alignment.max(1))
}

/// Whether the device has the matrix instructions of the module `Tile`, and subgroups that are its teams.
fn multiplies_tiles(entry: &Entry, instance: &Instance, physical: vk::PhysicalDevice) -> bool {
    let name = ash::khr::cooperative_matrix::NAME;
    let mut groups = vk::PhysicalDeviceSubgroupProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut groups);
    let mut matrices = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
    let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut matrices);
    let functions = ash::khr::cooperative_matrix::Instance::new(entry, instance);
    // SAFETY: the handles belong to this instance; the extension is used where it is known.
    let shapes = unsafe {
        let known = instance.enumerate_device_extension_properties(physical).unwrap_or_default();
        if !known.iter().any(|e| e.extension_name_as_c_str() == Ok(name)) {
            return false;
        }
        instance.get_physical_device_properties2(physical, &mut properties);
        instance.get_physical_device_features2(physical, &mut features);
        functions.get_physical_device_cooperative_matrix_properties(physical).unwrap_or_default()
    };
    let half_to_single = shapes.iter().any(|s| {
        (s.m_size, s.n_size, s.k_size) == (16, 16, 16)
            && [s.a_type, s.b_type] == [vk::ComponentTypeKHR::FLOAT16; 2]
            && [s.c_type, s.result_type] == [vk::ComponentTypeKHR::FLOAT32; 2]
            && s.scope == vk::ScopeKHR::SUBGROUP
    });
    matrices.cooperative_matrix == vk::TRUE && groups.subgroup_size == 32 && half_to_single
}

/// Whether to run with the validation layer, and then with buffers bound by descriptors too.
fn validation() -> Option<bool> {
    let asked = std::env::var_os("CLEF_VULKAN_VALIDATION")?;
    let descriptors = asked == "descriptors";
    (descriptors || asked == "1").then_some(descriptors)
}

fn instance(entry: &Entry) -> Result<Instance, String> {
    let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
    let validate = validation().is_some();
    let layers = [c"VK_LAYER_KHRONOS_validation".as_ptr()];
    let extensions = [vk::EXT_DEBUG_UTILS_NAME.as_ptr()];
    let enables = [vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION];
    let mut checks = vk::ValidationFeaturesEXT::default().enabled_validation_features(&enables);
    let mut info = vk::InstanceCreateInfo::default().application_info(&app);
    if validate {
        info = info.enabled_layer_names(&layers).enabled_extension_names(&extensions).push_next(&mut checks);
    }
    // SAFETY: the structures outlive the call.
    let instance = unsafe { entry.create_instance(&info, None) }.map_err(|error| match error {
        vk::Result::ERROR_LAYER_NOT_PRESENT => {
            "the Vulkan validation layer is not installed (Debian: apt-get install vulkan-validationlayers)"
                .to_owned()
        }
        other => reason(other),
    })?;
    if validate {
        let messenger = vk::DebugUtilsMessengerCreateInfoEXT::default()
            .message_severity(
                vk::DebugUtilsMessageSeverityFlagsEXT::ERROR | vk::DebugUtilsMessageSeverityFlagsEXT::WARNING,
            )
            .message_type(vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION)
            .pfn_user_callback(Some(report));
        let debug = ash::ext::debug_utils::Instance::new(entry, &instance);
        // SAFETY: the callback is a plain function; the messenger lives as long as the process.
        unsafe { debug.create_debug_utils_messenger(&messenger, None) }.map_err(reason)?;
    }
    Ok(instance)
}

/// Validation messages go to standard error; tests look for the word `validation`.
unsafe extern "system" fn report(
    _: vk::DebugUtilsMessageSeverityFlagsEXT,
    _: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    _: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: the layer gives a valid structure with a NUL-terminated message.
    let message = unsafe { (*data).message_as_c_str() };
    let text = message.map_or_else(|| "(no text)".into(), CStr::to_string_lossy);
    eprintln!("vulkan validation: {text}");
    vk::FALSE
}

/// The device that `CLEF_VULKAN_DEVICE` numbers, else the first of the best kind.
fn choose(instance: &Instance, devices: &[vk::PhysicalDevice]) -> Result<vk::PhysicalDevice, String> {
    if let Some(wanted) = std::env::var_os("CLEF_VULKAN_DEVICE") {
        let number = wanted.to_str().and_then(|w| w.parse::<usize>().ok());
        return number.and_then(|n| devices.get(n).copied()).ok_or_else(|| {
            format!(
                "CLEF_VULKAN_DEVICE is `{}`; there are {} devices",
                wanted.to_string_lossy(),
                devices.len()
            )
        });
    }
    let rank = |device: &vk::PhysicalDevice| {
        // SAFETY: the handle belongs to this instance.
        match unsafe { instance.get_physical_device_properties(*device) }.device_type {
            vk::PhysicalDeviceType::DISCRETE_GPU => 0,
            vk::PhysicalDeviceType::INTEGRATED_GPU => 1,
            vk::PhysicalDeviceType::VIRTUAL_GPU => 2,
            _ => 3,
        }
    };
    devices.iter().copied().min_by_key(rank).ok_or_else(|| {
        "there is no Vulkan device (Debian's software one: apt-get install mesa-vulkan-drivers)".into()
    })
}

/// The driver's build.
fn driver_id(instance: &Instance, physical: vk::PhysicalDevice) -> [u8; vk::UUID_SIZE] {
    let mut ids = vk::PhysicalDeviceIDProperties::default();
    let mut all = vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
    // SAFETY: the chain is made of live structures.
    unsafe { instance.get_physical_device_properties2(physical, &mut all) };
    ids.driver_uuid
}

fn subgroups(
    instance: &Instance,
    physical: vk::PhysicalDevice,
) -> vk::PhysicalDeviceSubgroupProperties<'static> {
    let mut groups = vk::PhysicalDeviceSubgroupProperties::default();
    let mut all = vk::PhysicalDeviceProperties2::default().push_next(&mut groups);
    // SAFETY: the chain is made of live structures.
    unsafe { instance.get_physical_device_properties2(physical, &mut all) };
    vk::PhysicalDeviceSubgroupProperties { p_next: std::ptr::null_mut(), ..groups }
}

fn features(instance: &Instance, physical: vk::PhysicalDevice) -> Features {
    let mut v11 = vk::PhysicalDeviceVulkan11Features::default();
    let mut v12 = vk::PhysicalDeviceVulkan12Features::default();
    let mut all = vk::PhysicalDeviceFeatures2::default().push_next(&mut v11).push_next(&mut v12);
    // SAFETY: the chain is made of live structures.
    unsafe { instance.get_physical_device_features2(physical, &mut all) };
    let has = all.features;
    Features {
        core: vk::PhysicalDeviceFeatures {
            shader_int64: has.shader_int64,
            shader_int16: has.shader_int16,
            shader_float64: has.shader_float64,
            ..Default::default()
        },
        v11: vk::PhysicalDeviceVulkan11Features {
            storage_buffer16_bit_access: v11.storage_buffer16_bit_access,
            ..Default::default()
        },
        v12: vk::PhysicalDeviceVulkan12Features {
            shader_int8: v12.shader_int8,
            shader_float16: v12.shader_float16,
            storage_buffer8_bit_access: v12.storage_buffer8_bit_access,
            buffer_device_address: v12.buffer_device_address,
            timeline_semaphore: v12.timeline_semaphore,
            ..Default::default()
        },
    }
}

/// Without these nothing runs; the others are needed only by kernels that use them.
fn check(name: &str, features: &Features) -> Result<(), String> {
    let required = [
        (features.core.shader_int64, "64-bit integers in shaders"),
        (features.v12.buffer_device_address, "buffer device addresses"),
        (features.v12.timeline_semaphore, "timeline semaphores"),
    ];
    match required.iter().find(|(has, _)| *has == vk::FALSE) {
        Some((_, what)) => Err(format!("the Vulkan device `{name}` lacks {what}")),
        None => Ok(()),
    }
}

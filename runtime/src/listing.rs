//! What this machine has for programs: Vulkan devices and driver modules, for `clefc agents` and `clefc doctor`.
//!
//! HSA's agents are listed by [`crate::hsa::discover`]. Nothing here is used by compiled programs.

use ash::{Entry, vk};
use std::ffi::CStr;
use std::path::Path;

/// A Vulkan device, in the order in which `CLEF_VULKAN_DEVICE` counts.
#[derive(Clone, Debug)]
pub struct VulkanDevice {
    pub name: String,
    /// Discrete, integrated, virtual, software.
    pub kind: &'static str,
    pub driver: String,
    /// Of Vulkan, as the device has it.
    pub version: String,
    /// Kernels can run there: Vulkan 1.2, buffer addresses, timeline semaphores, 64-bit integers.
    pub usable: bool,
}

/// All Vulkan devices; the error says what is missing.
pub fn vulkan() -> Result<Vec<VulkanDevice>, String> {
    // SAFETY: loading a library runs its initialisers; the Vulkan loader is made for it.
    let entry = unsafe { Entry::load() }.map_err(|_| {
        "there is no Vulkan loader (libvulkan.so.1; Debian: apt-get install libvulkan1)".to_owned()
    })?;
    let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
    let info = vk::InstanceCreateInfo::default().application_info(&app);
    // SAFETY: the structures outlive the calls; the instance goes at the end.
    unsafe {
        let instance =
            entry.create_instance(&info, None).map_err(|e| format!("the Vulkan loader says {e:?}"))?;
        let devices =
            instance.enumerate_physical_devices().map_err(|e| format!("the Vulkan loader says {e:?}"));
        let devices = devices.map(|list| list.into_iter().map(|d| device(&instance, d)).collect::<Vec<_>>());
        instance.destroy_instance(None);
        let devices = devices?;
        if devices.is_empty() {
            return Err(
                "there is no Vulkan device (a software one: apt-get install mesa-vulkan-drivers)".into()
            );
        }
        Ok(devices)
    }
}

/// # Safety
/// The device is the instance's.
unsafe fn device(instance: &ash::Instance, device: vk::PhysicalDevice) -> VulkanDevice {
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut v12 = vk::PhysicalDeviceVulkan12Features::default();
    // SAFETY: the caller's promise; the chains are of live structures.
    let (properties, features) = unsafe {
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
        instance.get_physical_device_properties2(device, &mut properties);
        let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut v12);
        instance.get_physical_device_features2(device, &mut features);
        (properties.properties, features.features)
    };
    let text =
        |t: Result<&CStr, _>| t.map_or_else(|_| "?".into(), |t: &CStr| t.to_string_lossy().into_owned());
    let api = properties.api_version;
    VulkanDevice {
        name: text(properties.device_name_as_c_str()),
        kind: match properties.device_type {
            vk::PhysicalDeviceType::DISCRETE_GPU => "discrete",
            vk::PhysicalDeviceType::INTEGRATED_GPU => "integrated",
            vk::PhysicalDeviceType::VIRTUAL_GPU => "virtual",
            vk::PhysicalDeviceType::CPU => "software",
            _ => "other",
        },
        driver: format!("{} {}", text(driver.driver_name_as_c_str()), text(driver.driver_info_as_c_str())),
        version: format!("{}.{}", vk::api_version_major(api), vk::api_version_minor(api)),
        usable: api >= vk::API_VERSION_1_2
            && features.shader_int64 == vk::TRUE
            && v12.buffer_device_address == vk::TRUE
            && v12.timeline_semaphore == vk::TRUE,
    }
}

/// A driver of the kernel: its module, the device node it makes, and what it is for.
pub struct Driver {
    pub module: &'static str,
    pub node: &'static str,
    pub of: &'static str,
    /// How to get it.
    pub help: &'static str,
}

/// The drivers that HSA's devices need.
pub const DRIVERS: [Driver; 2] = [
    Driver {
        module: "amdgpu",
        node: "/dev/kfd",
        of: "AMD GPUs",
        help: "Linux has it for AMD GPUs (firmware: apt-get install firmware-amd-graphics); users must be in the group `render`",
    },
    Driver {
        module: "amdxdna",
        node: "/dev/accel/accel0",
        of: "AMD NPUs",
        help: "Linux 6.14 and newer have it for Ryzen AI; its firmware is in linux-firmware",
    },
];

impl Driver {
    /// Its version, where it is loaded and has a device; a module without one has the kernel's.
    pub fn found(&self) -> Option<String> {
        if !Path::new(self.node).exists() {
            return None;
        }
        let version = std::fs::read_to_string(format!("/sys/module/{}/version", self.module));
        let version = version.or_else(|_| std::fs::read_to_string("/proc/sys/kernel/osrelease"));
        Some(version.unwrap_or_default().trim().to_owned())
    }
}

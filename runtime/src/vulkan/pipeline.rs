//! Pipelines: made on first use of a launch, kept for the process, and cached on disk ([`super::cache`]).

use super::cache::CacheFile;
use super::module::Needs;
use super::{Device, reason};
use crate::abi;
use ash::vk;
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::{Mutex, PoisonError};

/// Push constants that the layout declares: what every device has.
pub const PUSH_BYTES: u32 = 128;

pub struct Pipelines {
    cache: vk::PipelineCache,
    /// One layout for all: no descriptors, push constants of the guaranteed size.
    pub layout: vk::PipelineLayout,
    /// By the address of the SPIR-V in the program, and whether buffers are aligned.
    made: Mutex<HashMap<(usize, bool), vk::Pipeline>>,
    file: Option<CacheFile>,
}

impl Pipelines {
    pub fn new(device: &Device) -> Result<Self, String> {
        let file = CacheFile::open(device.cache_key);
        let old = file.as_ref().map_or(&[][..], CacheFile::data);
        // SAFETY: the data is what this driver wrote, unchanged; the structures outlive the call.
        let cache = unsafe {
            let with = vk::PipelineCacheCreateInfo::default().initial_data(old);
            let empty = vk::PipelineCacheCreateInfo::default();
            device
                .handle
                .create_pipeline_cache(&with, None)
                .or_else(|_| device.handle.create_pipeline_cache(&empty, None))
        }
        .map_err(reason)?;
        let ranges =
            [vk::PushConstantRange::default().stage_flags(vk::ShaderStageFlags::COMPUTE).size(PUSH_BYTES)];
        let info = vk::PipelineLayoutCreateInfo::default().push_constant_ranges(&ranges);
        // SAFETY: the structures outlive the call.
        let layout = unsafe { device.handle.create_pipeline_layout(&info, None) }.map_err(reason)?;
        Ok(Self { cache, layout, made: Mutex::new(HashMap::new()), file })
    }

    /// The pipeline of a launch; `aligned`: all its buffers' addresses are multiples of 16.
    pub fn get(&self, device: &Device, phase: &abi::Phase, aligned: bool) -> Result<vk::Pipeline, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (phase.spirv as usize, aligned);
        if let Some(&pipeline) = made.get(&key) {
            return Ok(pipeline);
        }
        let pipeline = self.create(device, phase, aligned)?;
        made.insert(key, pipeline);
        Ok(pipeline)
    }

    fn create(&self, device: &Device, phase: &abi::Phase, aligned: bool) -> Result<vk::Pipeline, String> {
        // SAFETY: the descriptor's pointer and length describe constant data of the program.
        let (code, entry) = unsafe {
            (
                std::slice::from_raw_parts(phase.spirv, phase.spirv_len as usize / 4),
                CStr::from_ptr(phase.entry),
            )
        };
        if let Some(why) = Needs::of(code).refused(device) {
            return Err(why);
        }
        let info = vk::ShaderModuleCreateInfo::default().code(code);
        // Modules without these constants do not look.
        let values = [aligned, device.tiles].map(u32::from);
        let constants = values.map(u32::to_le_bytes).concat();
        let entries = [0, 1].map(|n| vk::SpecializationMapEntry { constant_id: n, offset: n * 4, size: 4 });
        let constants = vk::SpecializationInfo::default().map_entries(&entries).data(&constants);
        // SAFETY: the module is destroyed after the pipeline was made from it.
        unsafe {
            let module = device.handle.create_shader_module(&info, None).map_err(reason)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .specialization_info(&constants)
                .name(entry);
            let info = vk::ComputePipelineCreateInfo::default().layout(self.layout).stage(stage);
            let made = device.handle.create_compute_pipelines(self.cache, &[info], None);
            device.handle.destroy_shader_module(module, None);
            let pipelines = made.map_err(|(_, error)| reason(error))?;
            pipelines.first().copied().ok_or_else(|| "the Vulkan driver made no pipeline".to_owned())
        }
    }

    /// Writes the cache if it changed; a cache that cannot be written is no error.
    pub fn save(&self, device: &Device) {
        let Some(file) = &self.file else { return };
        if self.made.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        // SAFETY: the cache is alive.
        if let Ok(data) = unsafe { device.handle.get_pipeline_cache_data(self.cache) } {
            file.save(&data);
        }
    }
}

//! Validation only (`CLEF_VULKAN_VALIDATION=descriptors`): tells the validation layer what kernels do with buffers.
//!
//! Kernels use buffers by address, and the layer sees hazards through descriptors only. So in front of each launch,
//! with no barrier between, a *mirror* is recorded: a kernel that binds the same buffers by descriptor, those that are
//! only read as read-only ones, and does nothing with them. What the layer says of the mirror is true of the launch:
//! both stand between the same barriers.
//!
//! Mirrors name whole buffers, as fence plans do. Nothing that is made here is ever freed.

use super::{Device, reason};
use crate::abi;
use ash::vk;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// Descriptor sets of one pool.
const SETS: u32 = 64;

/// By its first address: a buffer and its length.
type Buffers = BTreeMap<u64, (vk::Buffer, u64)>;

#[derive(Default)]
pub struct Mirrors {
    buffers: Mutex<Buffers>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By binding: is the buffer written?
    kinds: HashMap<Vec<bool>, Kind>,
    pool: vk::DescriptorPool,
    left: u32,
}

#[derive(Clone, Copy)]
struct Kind {
    set: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
}

impl Mirrors {
    /// A buffer that kernels may be given an address in.
    pub fn add(&self, address: u64, buffer: vk::Buffer, bytes: u64) {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).insert(address, (buffer, bytes));
    }

    pub fn remove(&self, buffer: vk::Buffer) {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (b, _)| *b != buffer);
    }

    /// The buffers among a launch's arguments, once each, and whether they are written.
    fn used(&self, params: &[abi::Param], args: &[abi::Arg]) -> Vec<(vk::Buffer, bool)> {
        let known = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used: Vec<(vk::Buffer, bool)> = Vec::new();
        for (param, arg) in params.iter().zip(args).filter(|(p, a)| p.kind == 1 && a.len > 0) {
            let address = arg.value;
            let Some((start, &(buffer, bytes))) = known.range(..=address).next_back() else { continue };
            if address - start >= bytes {
                continue;
            }
            let writes = param.effect & 2 != 0;
            match used.iter_mut().find(|(b, _)| *b == buffer) {
                Some((_, w)) => *w |= writes,
                None => used.push((buffer, writes)),
            }
        }
        used
    }

    /// Records the mirror of a launch.
    pub fn record(
        &self,
        device: &Device,
        commands: vk::CommandBuffer,
        params: &[abi::Param],
        args: &[abi::Arg],
    ) -> Result<(), String> {
        let used = self.used(params, args);
        if used.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let writes: Vec<bool> = used.iter().map(|u| u.1).collect();
        let kind = state.kind(device, writes)?;
        let set = state.set(device, kind.set, used.len() as u32)?;
        let infos: Vec<_> = used
            .iter()
            .map(|u| [vk::DescriptorBufferInfo::default().buffer(u.0).range(vk::WHOLE_SIZE)])
            .collect();
        let changes: Vec<_> = infos
            .iter()
            .enumerate()
            .map(|(binding, info)| {
                vk::WriteDescriptorSet::default()
                    .dst_set(set)
                    .dst_binding(binding as u32)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .buffer_info(info)
            })
            .collect();
        let point = vk::PipelineBindPoint::COMPUTE;
        // SAFETY: the command buffer is recording, the buffers live until the launch has ended, all else for ever.
        unsafe {
            device.handle.update_descriptor_sets(&changes, &[]);
            device.handle.cmd_bind_pipeline(commands, point, kind.pipeline);
            device.handle.cmd_bind_descriptor_sets(commands, point, kind.layout, 0, &[set], &[]);
            device.handle.cmd_dispatch(commands, 1, 1, 1);
        }
        Ok(())
    }
}

impl State {
    fn kind(&mut self, device: &Device, writes: Vec<bool>) -> Result<Kind, String> {
        if let Some(kind) = self.kinds.get(&writes) {
            return Ok(*kind);
        }
        let bindings: Vec<_> = (0..writes.len() as u32)
            .map(|n| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(n)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let code = module(&writes);
        let vk_device = &device.handle;
        // SAFETY: the structures outlive the calls.
        let kind = unsafe {
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let set = vk_device.create_descriptor_set_layout(&info, None).map_err(reason)?;
            let sets = [set];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = vk_device.create_pipeline_layout(&info, None).map_err(reason)?;
            let info = vk::ShaderModuleCreateInfo::default().code(&code);
            let module = vk_device.create_shader_module(&info, None).map_err(reason)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let info = vk::ComputePipelineCreateInfo::default().layout(layout).stage(stage);
            let made = vk_device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline = made.map_err(|(_, error)| reason(error))?.first().copied();
            Kind { set, layout, pipeline: pipeline.ok_or("the Vulkan driver made no pipeline")? }
        };
        self.kinds.insert(writes, kind);
        Ok(kind)
    }

    fn set(
        &mut self,
        device: &Device,
        layout: vk::DescriptorSetLayout,
        bindings: u32,
    ) -> Result<vk::DescriptorSet, String> {
        if self.left < bindings {
            let descriptors = SETS.max(bindings);
            let sizes = [vk::DescriptorPoolSize::default()
                .ty(vk::DescriptorType::STORAGE_BUFFER)
                .descriptor_count(descriptors)];
            let info = vk::DescriptorPoolCreateInfo::default().max_sets(SETS).pool_sizes(&sizes);
            // SAFETY: the structures outlive the call.
            self.pool = unsafe { device.handle.create_descriptor_pool(&info, None) }.map_err(reason)?;
            self.left = descriptors;
        }
        self.left -= bindings;
        let layouts = [layout];
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(self.pool).set_layouts(&layouts);
        // SAFETY: the pool has room: each set has one descriptor at least.
        let sets = unsafe { device.handle.allocate_descriptor_sets(&info) }.map_err(reason)?;
        sets.first().copied().ok_or_else(|| "the Vulkan driver gave no descriptor set".into())
    }
}

/// SPIR-V of a kernel that reads each buffer's first word, and would write those that are written, were it launched
/// with more than one work-item.
fn module(writes: &[bool]) -> Vec<u32> {
    // Ids below the buffers' own.
    const VOID: u32 = 1;
    const FUNCTION: u32 = 2;
    const UINT: u32 = 3;
    const WORDS: u32 = 4;
    const READ_ONLY: u32 = 5;
    const WRITTEN: u32 = 6;
    const TO_READ_ONLY: u32 = 7;
    const TO_WRITTEN: u32 = 8;
    const TO_WORD: u32 = 9;
    const ZERO: u32 = 10;
    const BOOL: u32 = 11;
    const VECTOR: u32 = 12;
    const TO_VECTOR: u32 = 13;
    const ID: u32 = 14;
    const MAIN: u32 = 15;
    const ENTRY: u32 = 16;
    const LOADED: u32 = 17;
    const FIRST: u32 = 18;
    const SECOND: u32 = 19;
    const STORES: u32 = 20;
    const END: u32 = 21;
    const BUFFERS: u32 = 22;
    let n = writes.len() as u32;
    let mut out = vec![0x0723_0203, 0x0001_0300, 0, BUFFERS + 4 * n, 0];
    let mut op = |code: u32, words: &[u32]| {
        out.push((words.len() as u32 + 1) << 16 | code);
        out.extend_from_slice(words);
    };
    let name = u32::from_le_bytes(*b"main");
    op(17, &[1]); // OpCapability Shader
    op(14, &[0, 1]); // OpMemoryModel Logical GLSL450
    op(15, &[5, MAIN, name, 0, ID]); // OpEntryPoint GLCompute
    op(16, &[MAIN, 17, 1, 1, 1]); // OpExecutionMode LocalSize
    op(71, &[ID, 11, 28]); // BuiltIn GlobalInvocationId
    op(71, &[WORDS, 6, 4]); // ArrayStride 4
    for block in [READ_ONLY, WRITTEN] {
        op(71, &[block, 2]); // Block
        op(72, &[block, 0, 35, 0]); // Offset 0
    }
    op(72, &[READ_ONLY, 0, 24]); // NonWritable
    for (binding, written) in (0..n).zip(writes) {
        op(71, &[BUFFERS + binding, 34, 0]); // DescriptorSet
        op(71, &[BUFFERS + binding, 33, binding]); // Binding
        if !written {
            op(71, &[BUFFERS + binding, 24]); // NonWritable
        }
    }
    op(19, &[VOID]);
    op(33, &[FUNCTION, VOID]);
    op(21, &[UINT, 32, 0]);
    op(20, &[BOOL]);
    op(29, &[WORDS, UINT]); // OpTypeRuntimeArray
    op(30, &[READ_ONLY, WORDS]); // OpTypeStruct
    op(30, &[WRITTEN, WORDS]);
    op(32, &[TO_READ_ONLY, 12, READ_ONLY]); // OpTypePointer StorageBuffer
    op(32, &[TO_WRITTEN, 12, WRITTEN]);
    op(32, &[TO_WORD, 12, UINT]);
    op(23, &[VECTOR, UINT, 3]);
    op(32, &[TO_VECTOR, 1, VECTOR]); // Input
    op(43, &[UINT, ZERO, 0]); // OpConstant
    op(59, &[TO_VECTOR, ID, 1]); // OpVariable
    for (binding, written) in (0..n).zip(writes) {
        let kind = if *written { TO_WRITTEN } else { TO_READ_ONLY };
        op(59, &[kind, BUFFERS + binding, 12]);
    }
    op(54, &[VOID, MAIN, 0, FUNCTION]);
    op(248, &[ENTRY]); // OpLabel
    for binding in 0..n {
        op(65, &[TO_WORD, BUFFERS + n + binding, BUFFERS + binding, ZERO, ZERO]); // OpAccessChain
        op(61, &[UINT, BUFFERS + 2 * n + binding, BUFFERS + n + binding]); // OpLoad
    }
    op(61, &[VECTOR, LOADED, ID]);
    op(81, &[UINT, FIRST, LOADED, 0]); // OpCompositeExtract
    op(171, &[BOOL, SECOND, FIRST, ZERO]); // OpINotEqual
    op(247, &[END, 0]); // OpSelectionMerge
    op(250, &[SECOND, STORES, END]); // OpBranchConditional
    op(248, &[STORES]);
    for (binding, _) in (0..n).zip(writes).filter(|(_, w)| **w) {
        op(62, &[BUFFERS + n + binding, ZERO]); // OpStore
    }
    op(249, &[END]);
    op(248, &[END]);
    op(253, &[]);
    op(56, &[]);
    out
}

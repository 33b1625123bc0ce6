//! Copies from the device to the host that the host waits for.

use super::{Device, reason};
use ash::vk;

/// A command buffer and a fence, used for one copy at a time.
pub struct Transfer {
    buffer: vk::CommandBuffer,
    fence: vk::Fence,
}

impl Transfer {
    pub fn new(device: &Device) -> Result<Self, String> {
        let pool = vk::CommandPoolCreateInfo::default()
            .queue_family_index(device.family)
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
        // SAFETY: the structures outlive the calls; pool and fence live as long as the process.
        unsafe {
            let pool = device.handle.create_command_pool(&pool, None).map_err(reason)?;
            let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
            let made = device.handle.allocate_command_buffers(&info).map_err(reason)?;
            let buffer = made.first().copied().ok_or("the Vulkan driver gave no command buffer")?;
            let fence = device.handle.create_fence(&vk::FenceCreateInfo::default(), None).map_err(reason)?;
            Ok(Self { buffer, fence })
        }
    }

    /// Copies what finished dispatches wrote, and waits. The host sees the bytes when it returns.
    pub fn copy(
        &mut self,
        device: &Device,
        from: vk::Buffer,
        to: vk::Buffer,
        bytes: u64,
    ) -> Result<(), String> {
        let vk_device = &device.handle;
        let begin = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        let written = vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::TRANSFER_WRITE;
        let before = [vk::MemoryBarrier::default()
            .src_access_mask(written)
            .dst_access_mask(vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE)];
        let behind = [vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(vk::AccessFlags::HOST_READ | vk::AccessFlags::HOST_WRITE)];
        let transfer = vk::PipelineStageFlags::TRANSFER;
        let earlier = vk::PipelineStageFlags::COMPUTE_SHADER | transfer;
        let none = vk::DependencyFlags::empty();
        // SAFETY: the command buffer is this copy's until the fence is signalled, and the structures outlive the calls.
        unsafe {
            vk_device.begin_command_buffer(self.buffer, &begin).map_err(reason)?;
            vk_device.cmd_pipeline_barrier(self.buffer, earlier, transfer, none, &before, &[], &[]);
            vk_device.cmd_copy_buffer(self.buffer, from, to, &[vk::BufferCopy::default().size(bytes)]);
            let host = vk::PipelineStageFlags::HOST;
            vk_device.cmd_pipeline_barrier(self.buffer, transfer, host, none, &behind, &[], &[]);
            vk_device.end_command_buffer(self.buffer).map_err(reason)?;
            let buffers = [self.buffer];
            let info = vk::SubmitInfo::default().command_buffers(&buffers);
            let queue = device.queues.first().copied().ok_or("the device has no queue")?;
            {
                let _alone = device.submitting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                vk_device.queue_submit(queue, &[info], self.fence).map_err(reason)?;
            }
            vk_device.wait_for_fences(&[self.fence], true, u64::MAX).map_err(reason)?;
            vk_device.reset_fences(&[self.fence]).map_err(reason)
        }
    }
}

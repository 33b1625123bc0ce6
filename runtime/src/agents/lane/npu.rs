//! What is special about an NPU's lane: packets that name an image, its instructions and a list of buffers.

use super::Lane;
use crate::abi::{Arg, NpuStatus, Param};
use crate::agents::table::{self, Role};
use crate::hsa;
use crate::hsa::code::Code;
use std::sync::atomic::Ordering;

impl Lane {
    /// Whether the queue takes the NPU's own packets.
    pub(super) fn npu_packets(&self) -> bool {
        self.role == Role::Npu && std::ptr::eq(self.api, &raw const hsa::queue::API)
    }

    /// Writes an NPU's packet. Instructions: those of the kernel's file, else the block with its arguments; kernel
    /// arguments: the buffers' addresses, then their sizes.
    ///
    /// # Safety
    /// The block has 16 bytes for each argument, and one more, behind its end.
    pub(super) unsafe fn publish_npu(
        &self,
        index: u64,
        code: &Code,
        block: (*mut u8, usize),
        params: &[Param],
        args: &[Arg],
    ) -> Result<(), String> {
        let status = if code.status { Some(self.status(index)?) } else { None };
        (self.api.write_index)(self.queue, index + 1);
        let packet = self.packet::<table::AiePacket>(index);
        let buffers = params.iter().zip(args).filter(|(p, _)| p.kind == 1);
        let buffers = buffers.map(|(p, a)| (a.value, a.len * u64::from(p.size)));
        let buffers = || buffers.clone().chain(status.map(|s| (s, size_of::<NpuStatus>() as u64)));
        let n = buffers().count();
        let insts =
            if code.insts == 0 { (block.0 as u64, block.1 as u64) } else { (code.insts, code.insts_bytes) };
        // SAFETY: the caller's promise; the slot is this producer's until the header is stored.
        unsafe {
            let list = block.0.add(block.1).cast::<u64>();
            for (i, (address, bytes)) in buffers().enumerate() {
                list.add(i).write(address);
                list.add(n + i).write(bytes);
            }
            (&raw mut (*packet).opcode).write(0);
            (&raw mut (*packet).count).write(table::AIE_COUNT);
            (&raw mut (*packet).reserved).write(0);
            (&raw mut (*packet).completion).write(self.slot(index).signal());
            (&raw mut (*packet).reserved2).write(0);
            (&raw mut (*packet).insts_low).write(insts.0 as u32);
            (&raw mut (*packet).insts_high).write((insts.0 >> 32) as u32);
            (&raw mut (*packet).n_kernargs).write(n as u16);
            (&raw mut (*packet).reserved3).write(0);
            (&raw mut (*packet).kernarg).write(if n == 0 { 0 } else { list as u64 });
            (&raw mut (*packet).insts_bytes).write(insts.1);
            (&raw mut (*packet).pdi).write(code.object);
            (&raw mut (*packet).reserved4).write(0);
            (*packet).header.store(table::AIE_READY, Ordering::Release);
        }
        self.newest.store(index + 1, Ordering::Release);
        Ok(())
    }
}

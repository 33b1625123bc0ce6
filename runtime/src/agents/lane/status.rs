//! Where kernels on devices say that they stopped: a block for each slot of a lane, looked at when the host has waited.

use super::Lane;
use crate::abi::{NpuStatus, Status};
use crate::agents::stopped;
use crate::agents::table::Role;
use crate::hsa;
use std::sync::atomic::Ordering;

/// Bytes of a slot's block: a line of its own. A GPU's [`Status`] and the zeros behind it fit.
const BLOCK: usize = 64;

const _: () = assert!(size_of::<Status>() + 16 <= BLOCK && size_of::<NpuStatus>() <= BLOCK);

impl Lane {
    /// Looks whether kernels stopped, up to one that has ended and was waited for.
    pub(super) fn look(&self, sequence: u64) {
        let Some(&block) = self.statuses.get() else { return };
        let before = self.looked.fetch_max(sequence, Ordering::Relaxed);
        for index in before..sequence {
            let slot = self.slot(index);
            let at = block + BLOCK * self.at(index);
            // SAFETY: the block has that many; nobody writes it any more, for slots are waited for before they are used again.
            let status: Status = unsafe {
                match self.role {
                    Role::Npu => (at as *const NpuStatus).read_volatile().into(),
                    Role::Gpu { .. } => (at as *const Status).read_volatile(),
                }
            };
            if status.kind != 0 && slot.owner.load(Ordering::Acquire) == index + 1 {
                let tag = slot.dispatch.load(Ordering::Acquire) as usize;
                // SAFETY: slots of kernels hold static descriptors.
                unsafe { stopped::record_status(&status, tag) };
            }
        }
    }

    /// The address of a slot's block.
    pub(super) fn status(&self, index: u64) -> Result<u64, String> {
        let block = match self.statuses.get() {
            Some(block) => *block,
            None => {
                let block = hsa::npu::statuses(BLOCK * self.slots.len(), self.role == Role::Npu)?;
                // What ended before has none.
                self.looked.store(index, Ordering::Relaxed);
                *self.statuses.get_or_init(|| block)
            }
        };
        Ok((block + BLOCK * self.at(index)) as u64)
    }
}

//! Unified buffers: which allocation an address belongs to, how many records refer to it, when it may go.
//!
//! The program holds the host's address. A buffer's record counts as one reference ([`clef_buffer_retain`]); an
//! allocation starts with none. When the last one goes, the memory is freed as soon as no pending dispatch uses it.
//! Addresses that are in no allocation have no references: counting them does nothing, dispatching on them stops the
//! program.

use crate::abi::Loc;
use crate::agents::{self, Backing, lane};
use crate::hsa::memory;
use crate::stop;
use crate::vulkan::Vulkan;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes from which an allocation is aligned for large pages.
const HUGE: usize = 4 << 20;
const HUGE_PAGE: usize = 2 << 20;
const PAGE: usize = 4 << 10;

/// Where a buffer's memory is from.
enum Memory {
    /// Mapped at this address with this length (which may be more than the buffer's).
    Mapped(usize, usize),
    Vulkan(crate::vulkan::Allocation),
    /// A copy on each side.
    Managed(Box<crate::vulkan::Managed>),
    Hsa(memory::Block),
}

/// One allocation.
pub struct Buffer {
    pub start: usize,
    /// As the program asked for.
    pub bytes: usize,
    /// Address for the GPU.
    pub device: u64,
    count: i64,
    /// Newest dispatch of each lane that uses it.
    uses: Vec<(usize, u64)>,
    memory: Memory,
}

#[derive(Default)]
pub struct Table {
    buffers: BTreeMap<usize, Buffer>,
    /// Start and end of the allocation that was found last.
    last: Option<(usize, usize)>,
    /// Without references, but in use by pending dispatches.
    leaving: Vec<Buffer>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { buffers: BTreeMap::new(), last: None, leaving: Vec::new() });

/// The table of all allocations.
pub fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    /// The allocation that an address lies in.
    pub fn find(&mut self, address: usize) -> Option<&mut Buffer> {
        let key = match self.last {
            Some((start, end)) if (start..end).contains(&address) => start,
            _ => {
                let (&start, buffer) = self.buffers.range(..=address).next_back()?;
                // An empty buffer still has its address.
                let end = start + buffer.bytes.max(1);
                if address >= end {
                    return None;
                }
                self.last = Some((start, end));
                start
            }
        };
        self.buffers.get_mut(&key)
    }

    /// As [`Self::find`], but also those without references: a pending dispatch that the host runs still uses them.
    fn holding(&mut self, address: usize) -> Option<&mut Buffer> {
        if let Some(index) = self.leaving.iter().position(|b| (b.start..b.start + b.bytes).contains(&address))
        {
            return self.leaving.get_mut(index);
        }
        self.find(address)
    }

    fn collect(&mut self) -> Vec<Buffer> {
        let (done, pending) = std::mem::take(&mut self.leaving).into_iter().partition(|b| b.idle());
        self.leaving = pending;
        done
    }
}

impl Buffer {
    /// Notes a dispatch that uses it.
    pub fn used_by(&mut self, lane: usize, sequence: u64) {
        match self.uses.iter_mut().find(|(l, _)| *l == lane) {
            Some(entry) => entry.1 = sequence,
            None => self.uses.push((lane, sequence)),
        }
    }

    /// The buffer's two copies, where it has two.
    pub fn managed(&mut self) -> Option<&mut crate::vulkan::Managed> {
        match &mut self.memory {
            Memory::Managed(managed) => Some(managed),
            _ => None,
        }
    }

    fn idle(&self) -> bool {
        self.uses.iter().all(|&(n, sequence)| lane::is_done(n, sequence))
    }
}

fn free(buffer: Buffer) {
    match buffer.memory {
        // SAFETY: this is the mapping that `map` made, and nothing uses it any more.
        Memory::Mapped(start, bytes) => unsafe {
            libc::munmap(start as *mut libc::c_void, bytes);
        },
        Memory::Hsa(block) => {
            if let Backing::Hsa(machine) = agents::backing()
                && let Err(why) = memory::free(machine, block)
            {
                stop::fatal(format_args!("a buffer could not be freed: {why}"));
            }
        }
        Memory::Vulkan(allocation) => {
            if let Backing::Vulkan(vulkan) = agents::backing() {
                vulkan.free(allocation);
            }
        }
        Memory::Managed(managed) => {
            if let Backing::Vulkan(vulkan) = agents::backing() {
                vulkan.free_managed(*managed);
            }
        }
    }
}

/// Zeroed pages.
fn map(bytes: usize) -> Option<(usize, Memory)> {
    let slack = if bytes >= HUGE { HUGE_PAGE } else { 0 };
    let length = bytes.max(1).checked_next_multiple_of(PAGE)?.checked_add(slack)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: an anonymous mapping at a place that the system chooses.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let base = start as usize;
    let mut first = base;
    if slack > 0 {
        first = base.next_multiple_of(HUGE_PAGE);
        // SAFETY: inside the mapping; advice only.
        unsafe { libc::madvise(first as *mut libc::c_void, length - (first - base), libc::MADV_HUGEPAGE) };
    }
    Some((first, Memory::Mapped(base, length)))
}

fn from_vulkan(vulkan: &Vulkan, bytes: u64, near_device: bool) -> Result<(usize, u64, Memory), String> {
    if let Some(managed) = vulkan.allocate_managed(bytes, near_device)? {
        return Ok((managed.host, managed.device, Memory::Managed(Box::new(managed))));
    }
    let allocation = vulkan.allocate_for(bytes, near_device)?;
    Ok((allocation.host as usize, allocation.device, Memory::Vulkan(allocation)))
}

/// The host touched a buffer in a way that its view did not allow. False: there is no such buffer.
pub fn on_fault(address: usize, write: bool) -> Result<bool, String> {
    let Backing::Vulkan(vulkan) = agents::backing() else { return Ok(false) };
    let mut table = table();
    let Some(managed) = table.holding(address).and_then(Buffer::managed) else { return Ok(false) };
    managed.on_fault(vulkan, write).map(|()| true)
}

/// Bits of `agents` and values of `hint`, see [`crate::abi`].
const FOR_NPU: u32 = 2;
const PREFER_GPU: u32 = 1;

/// Allocates unified memory, zeroed and aligned to pages. `agents` and `hint` as in [`crate::abi`]; the host's
/// own memory is of one kind.
///
/// # Safety
/// `loc` is null or a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_alloc_unified(bytes: i64, agents: u32, hint: u32, loc: *const Loc) -> *mut u8 {
    let Ok(size) = usize::try_from(bytes) else { stop::clef_panic_length(bytes, loc) };
    let backing = agents::backing();
    let done = table().collect();
    done.into_iter().for_each(free);
    let (start, device, memory) = match backing {
        Backing::Vulkan(vulkan) => match from_vulkan(vulkan, size as u64, hint == PREFER_GPU) {
            Ok(made) => made,
            Err(why) => {
                stop::stop_at(loc, format_args!("a buffer of {bytes} bytes could not be allocated: {why}"))
            }
        },
        Backing::Hsa(machine) => {
            let npu = agents & FOR_NPU != 0 && machine.npu.is_some();
            match memory::allocate(machine, size, npu, hint == PREFER_GPU) {
                Ok(block) => (block.start, block.start as u64, Memory::Hsa(block)),
                Err(why) => stop::stop_at(
                    loc,
                    format_args!("a buffer of {bytes} bytes could not be allocated: {why}"),
                ),
            }
        }
        Backing::Host | Backing::Adversarial => match map(size) {
            Some((start, memory)) => (start, start as u64, memory),
            None => {
                stop::stop_at(loc, format_args!("out of memory: a buffer of {bytes} bytes was asked for"))
            }
        },
    };
    let buffer = Buffer { start, bytes: size, device, count: 0, uses: Vec::new(), memory };
    table().buffers.insert(start, buffer);
    if matches!(backing, Backing::Adversarial) {
        crate::adversarial::allocated(start, size);
    }
    start as *mut u8
}

/// One more record refers to the allocation that `address` lies in.
#[unsafe(no_mangle)]
pub extern "C" fn clef_buffer_retain(address: *mut u8) {
    if let Some(buffer) = table().find(address as usize) {
        buffer.count += 1;
    }
}

/// One record less. The last one frees the memory, behind the dispatches that still use it.
#[unsafe(no_mangle)]
pub extern "C" fn clef_buffer_release(address: *mut u8) {
    let mut table = table();
    let Some(buffer) = table.find(address as usize) else { return };
    buffer.count -= 1;
    if buffer.count > 0 {
        return;
    }
    let start = buffer.start;
    if matches!(agents::backing(), Backing::Adversarial) {
        // Pending dispatches run first, and they look their buffers up.
        drop(table);
        crate::adversarial::freed(start);
        table = self::table();
    }
    table.last = None;
    let Some(buffer) = table.buffers.remove(&start) else { return };
    if buffer.idle() {
        drop(table);
        free(buffer);
    } else {
        table.leaving.push(buffer);
    }
}

/// Buffers alive, for tests and the report of leaks.
pub fn alive() -> usize {
    table().buffers.len()
}

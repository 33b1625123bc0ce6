//! Memory: pools, virtual memory, who may access what.
//!
//! Fresh memory is full of junk. Agents other than a pool's owner have no access until it is given to them; an NPU can
//! only be given access to mapped virtual memory.

use crate::agents::{self, COARSE, GRANULE, KERNARG, Kind};
use crate::shadow::Shadow;
use crate::{
    ERROR, INVALID_AGENT, INVALID_ALLOCATION, INVALID_ARGUMENT, OUT_OF_RESOURCES, Status, enter, given, lock,
    record, status, wishes,
};
use std::alloc::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard};

/// What fresh memory holds.
const JUNK: u8 = 0xa5;

pub struct Allocation {
    pub bytes: usize,
    /// Numbers of the agents that may access it.
    pub access: BTreeSet<usize>,
    /// Every agent's copy; none for kernel arguments, and where memory is coherent.
    pub shadow: Option<Shadow>,
    mapped: Option<u64>,
    reserved_only: bool,
}

#[derive(Default)]
pub struct Table {
    pub all: BTreeMap<usize, Allocation>,
    handles: BTreeMap<u64, usize>,
    next: u64,
}

static TABLE: Mutex<Table> = Mutex::new(Table { all: BTreeMap::new(), handles: BTreeMap::new(), next: 0 });

pub fn table() -> MutexGuard<'static, Table> {
    lock(&TABLE)
}

impl Table {
    /// The allocation that an address lies in, with its start.
    pub fn find(&mut self, address: usize) -> Option<(usize, &mut Allocation)> {
        let (&start, allocation) = self.all.range_mut(..=address).next_back()?;
        (address < start + allocation.bytes).then_some((start, allocation))
    }
}

fn layout(bytes: usize) -> Result<Layout, Status> {
    Layout::from_size_align(bytes, GRANULE).map_err(|_| INVALID_ALLOCATION)
}

fn reserve(bytes: usize) -> Result<usize, Status> {
    let layout = layout(bytes)?;
    // SAFETY: the size is not zero.
    let start = unsafe { std::alloc::alloc(layout) };
    if start.is_null() {
        return Err(OUT_OF_RESOURCES);
    }
    // SAFETY: fresh memory of that size.
    unsafe { start.write_bytes(JUNK, bytes) };
    Ok(start as usize)
}

fn release(start: usize, bytes: usize) {
    if let Ok(layout) = layout(bytes) {
        // SAFETY: from `reserve` with the same size.
        unsafe { std::alloc::dealloc(start as *mut u8, layout) };
    }
}

fn shadow(bytes: usize) -> Option<Shadow> {
    wishes().seed.map(|_| Shadow::new(bytes, JUNK))
}

/// # Safety
/// As HSA's specification has it, here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_memory_pool_allocate(
    pool: u64,
    size: usize,
    flags: u32,
    to: *mut *mut c_void,
) -> Status {
    status(enter("hsa_amd_memory_pool_allocate").and_then(|()| {
        given(to)?;
        let (owner, info) = agents::pool(pool)?;
        if size == 0 || flags > 1 {
            return Err(INVALID_ARGUMENT);
        }
        if agents::all()[owner].kind == Kind::Npu {
            enter("hsa_amd_memory_pool_allocate:npu")?;
        }
        if info.segment != 0 || size > info.bytes {
            return Err(INVALID_ALLOCATION);
        }
        let bytes = size.next_multiple_of(GRANULE);
        let start = reserve(bytes)?;
        let kernarg = info.flags & KERNARG != 0;
        let shadow = if kernarg { None } else { shadow(bytes) };
        let kind = if info.flags & COARSE != 0 {
            "coarse"
        } else if kernarg {
            "kernarg"
        } else {
            "fine"
        };
        record::line(&format!("allocate {kind} bytes={size}"));
        let access = BTreeSet::from([owner]);
        table().all.insert(start, Allocation { bytes, access, shadow, mapped: None, reserved_only: false });
        // SAFETY: the caller's promise.
        unsafe { to.write(start as *mut c_void) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_amd_memory_pool_free(start: *mut c_void) -> Status {
    status(enter("hsa_amd_memory_pool_free").and_then(|()| {
        let mut table = table();
        let start = start as usize;
        let pooled = table.all.get(&start).is_some_and(|a| a.mapped.is_none() && !a.reserved_only);
        let Some(allocation) = table.all.remove(&start).filter(|_| pooled) else {
            return Err(INVALID_ALLOCATION);
        };
        release(start, allocation.bytes);
        Ok(())
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_agents_allow_access(
    n: u32,
    list: *const u64,
    flags: *const u32,
    start: *const c_void,
) -> Status {
    status(enter("hsa_amd_agents_allow_access").and_then(|()| {
        given(list)?;
        given(start)?;
        if n == 0 || !flags.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        // SAFETY: the caller's promise.
        let list = unsafe { std::slice::from_raw_parts(list, n as usize) };
        let mut numbers = BTreeSet::new();
        for handle in list {
            let (number, agent) = agents::find(*handle)?;
            if agent.kind == Kind::Npu {
                return Err(INVALID_AGENT);
            }
            numbers.insert(number);
        }
        let mut table = table();
        let (_, allocation) = table.find(start as usize).ok_or(ERROR)?;
        allocation.access.append(&mut numbers);
        Ok(())
    }))
}

/// Sets `count` words for everyone: the call returns when the fill is over, and published to all.
///
/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_memory_fill(to: *mut c_void, value: u32, count: usize) -> Status {
    status(enter("hsa_amd_memory_fill").and_then(|()| {
        given(to)?;
        if !(to as usize).is_multiple_of(4) {
            return Err(INVALID_ARGUMENT);
        }
        let mut table = table();
        let at = to as usize;
        let (start, allocation) = table.find(at).ok_or(INVALID_ALLOCATION)?;
        if at - start + 4 * count > allocation.bytes {
            return Err(INVALID_ALLOCATION);
        }
        // SAFETY: inside the allocation.
        let host = unsafe {
            let words = std::slice::from_raw_parts_mut(to.cast::<u32>(), count);
            words.fill(value);
            std::slice::from_raw_parts(to.cast::<u8>(), 4 * count)
        };
        if let Some(shadow) = &mut allocation.shadow {
            shadow.filled(at - start, host);
        }
        Ok(())
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_vmem_handle_create(
    pool: u64,
    size: usize,
    kind: u32,
    flags: u64,
    handle: *mut u64,
) -> Status {
    status(enter("hsa_amd_vmem_handle_create").and_then(|()| {
        given(handle)?;
        let (_, info) = agents::pool(pool)?;
        if size == 0 || !size.is_multiple_of(GRANULE) || kind > 1 || flags != 0 || info.segment != 0 {
            return Err(INVALID_ARGUMENT);
        }
        let mut table = table();
        table.next += 1;
        let made = table.next;
        table.handles.insert(made, size);
        record::line(&format!("allocate vmem bytes={size}"));
        // SAFETY: the caller's promise.
        unsafe { handle.write(made) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_amd_vmem_handle_release(handle: u64) -> Status {
    status(
        enter("hsa_amd_vmem_handle_release")
            .and_then(|()| table().handles.remove(&handle).map(|_| ()).ok_or(INVALID_ALLOCATION)),
    )
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_vmem_address_reserve_align(
    to: *mut *mut c_void,
    size: usize,
    _address: u64,
    alignment: u64,
    flags: u64,
) -> Status {
    status(enter("hsa_amd_vmem_address_reserve_align").and_then(|()| {
        given(to)?;
        let aligned = alignment == 0 || (alignment.is_power_of_two() && alignment <= GRANULE as u64);
        if size == 0 || !size.is_multiple_of(GRANULE) || flags != 0 || !aligned {
            return Err(INVALID_ARGUMENT);
        }
        let start = reserve(size)?;
        let allocation = Allocation {
            bytes: size,
            access: BTreeSet::new(),
            shadow: None,
            mapped: None,
            reserved_only: true,
        };
        table().all.insert(start, allocation);
        // SAFETY: the caller's promise.
        unsafe { to.write(start as *mut c_void) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_amd_vmem_address_free(start: *mut c_void, size: usize) -> Status {
    status(enter("hsa_amd_vmem_address_free").and_then(|()| {
        let mut table = table();
        let start = start as usize;
        let fits =
            table.all.get(&start).is_some_and(|a| a.reserved_only && a.mapped.is_none() && a.bytes == size);
        if !fits {
            return Err(INVALID_ALLOCATION);
        }
        table.all.remove(&start);
        release(start, size);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_amd_vmem_map(
    start: *mut c_void,
    size: usize,
    offset: usize,
    handle: u64,
    flags: u64,
) -> Status {
    status(enter("hsa_amd_vmem_map").and_then(|()| {
        let mut table = table();
        if offset != 0 || flags != 0 || table.handles.get(&handle) != Some(&size) {
            return Err(INVALID_ARGUMENT);
        }
        let allocation = table.all.get_mut(&(start as usize)).ok_or(INVALID_ALLOCATION)?;
        if !allocation.reserved_only || allocation.mapped.is_some() || allocation.bytes != size {
            return Err(INVALID_ARGUMENT);
        }
        allocation.mapped = Some(handle);
        allocation.shadow = shadow(size);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_amd_vmem_unmap(start: *mut c_void, size: usize) -> Status {
    status(enter("hsa_amd_vmem_unmap").and_then(|()| {
        let mut table = table();
        let allocation = table.all.get_mut(&(start as usize)).ok_or(INVALID_ALLOCATION)?;
        if allocation.mapped.is_none() || allocation.bytes != size {
            return Err(INVALID_ALLOCATION);
        }
        allocation.mapped = None;
        allocation.access.clear();
        allocation.shadow = None;
        Ok(())
    }))
}

/// `hsa_amd_memory_access_desc_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AccessDesc {
    permissions: u32,
    agent: u64,
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_vmem_set_access(
    start: *mut c_void,
    size: usize,
    list: *const AccessDesc,
    n: usize,
) -> Status {
    status(enter("hsa_amd_vmem_set_access").and_then(|()| {
        given(list)?;
        let mut table = table();
        let allocation = table.all.get_mut(&(start as usize)).ok_or(INVALID_ALLOCATION)?;
        if allocation.mapped.is_none() || allocation.bytes != size {
            return Err(INVALID_ALLOCATION);
        }
        // SAFETY: the caller's promise.
        for entry in unsafe { std::slice::from_raw_parts(list, n) } {
            let (number, _) = agents::find(entry.agent)?;
            if entry.permissions == 0 {
                allocation.access.remove(&number);
            } else {
                allocation.access.insert(number);
            }
        }
        Ok(())
    }))
}

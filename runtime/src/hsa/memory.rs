//! Memory of the HSA route: unified buffers, and blocks for kernel arguments.
//!
//! Buffers are from the host's fine-grained pool, from the GPU's own pool where the program prefers the GPU and the
//! host can reach it, and from virtual memory mapped for all where the NPU takes part: an NPU accepts nothing else.
//! All agents use the address that the host has. A new buffer is zero for every agent before the program sees it.

use super::machine::{Machine, PoolChoice};
use super::sys::{AccessDesc, Agent, PERMISSION_RW, VmemHandle};
use std::ffi::c_void;

/// A buffer's memory.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub start: usize,
    bytes: usize,
    /// Of mapped memory.
    mapped: Option<VmemHandle>,
}

/// Zeroed memory that CPU and GPUs, and with `npu` the NPU, share. `prefer_gpu`: in the GPU's own memory if there is
/// some that all reach.
pub fn allocate(machine: &Machine, bytes: usize, npu: bool, prefer_gpu: bool) -> Result<Block, String> {
    let block = match (npu, machine.coarse) {
        (true, Some(pool)) => map(machine, pool, bytes)?,
        (true, None) => map(machine, machine.fine, bytes)?,
        (false, Some(pool)) if prefer_gpu => from_pool(machine, pool, bytes, true)?,
        _ => from_pool(machine, machine.fine, bytes, false)?,
    };
    // SAFETY: the block is as long as that; the fill is over, for everyone, when it returns.
    machine.check("hsa_amd_memory_fill", unsafe {
        (machine.functions.hsa_amd_memory_fill)(block.start as *mut c_void, 0, block.bytes / 4)
    })?;
    Ok(block)
}

fn rounded(bytes: usize, granule: usize) -> Result<usize, String> {
    bytes
        .max(4)
        .checked_next_multiple_of(granule.max(4))
        .ok_or_else(|| "more memory than there can be".into())
}

/// `of_gpu`: the host needs access too.
fn from_pool(machine: &Machine, pool: PoolChoice, bytes: usize, of_gpu: bool) -> Result<Block, String> {
    let bytes = rounded(bytes, pool.granule)?;
    let mut start: *mut c_void = std::ptr::null_mut();
    // SAFETY: the library writes an address.
    machine.check("hsa_amd_memory_pool_allocate", unsafe {
        (machine.functions.hsa_amd_memory_pool_allocate)(pool.handle, bytes, 0, &raw mut start)
    })?;
    let mut agents: Vec<Agent> = machine.gpus.iter().map(|a| a.handle).collect();
    if of_gpu {
        agents.push(machine.cpu);
    }
    allow(machine, &agents, start)?;
    Ok(Block { start: start as usize, bytes, mapped: None })
}

fn allow(machine: &Machine, agents: &[Agent], start: *mut c_void) -> Result<(), String> {
    if agents.is_empty() {
        return Ok(());
    }
    // SAFETY: the list has that many agents; the address is an allocation's.
    machine.check("hsa_amd_agents_allow_access", unsafe {
        (machine.functions.hsa_amd_agents_allow_access)(
            agents.len() as u32,
            agents.as_ptr(),
            std::ptr::null(),
            start,
        )
    })
}

/// Virtual memory: a piece of a pool, mapped at one address for CPU, GPUs and NPU.
fn map(machine: &Machine, pool: PoolChoice, bytes: usize) -> Result<Block, String> {
    let f = &machine.functions;
    let (Some(create), Some(reserve), Some(map), Some(access)) = (
        f.hsa_amd_vmem_handle_create,
        f.hsa_amd_vmem_address_reserve_align,
        f.hsa_amd_vmem_map,
        f.hsa_amd_vmem_set_access,
    ) else {
        return Err("this library cannot map memory for the NPU".into());
    };
    let bytes = rounded(bytes, pool.granule)?;
    let mut handle = VmemHandle(0);
    let mut start: *mut c_void = std::ptr::null_mut();
    let all: Vec<AccessDesc> = std::iter::once(machine.cpu)
        .chain(machine.devices())
        .map(|agent| AccessDesc { permissions: PERMISSION_RW, agent })
        .collect();
    // SAFETY: each call gets what the one before it gave.
    unsafe {
        machine.check("hsa_amd_vmem_handle_create", create(pool.handle, bytes, 0, 0, &raw mut handle))?;
        machine.check("hsa_amd_vmem_address_reserve_align", reserve(&raw mut start, bytes, 0, 0, 0))?;
        machine.check("hsa_amd_vmem_map", map(start, bytes, 0, handle, 0))?;
        machine.check("hsa_amd_vmem_set_access", access(start, bytes, all.as_ptr(), all.len()))?;
    }
    Ok(Block { start: start as usize, bytes, mapped: Some(handle) })
}

/// Gives a block back that nothing uses any more.
pub fn free(machine: &Machine, block: Block) -> Result<(), String> {
    let f = &machine.functions;
    let start = block.start as *mut c_void;
    // SAFETY: the block is from `allocate`.
    unsafe {
        let Some(handle) = block.mapped else {
            return machine.check("hsa_amd_memory_pool_free", (f.hsa_amd_memory_pool_free)(start));
        };
        let (Some(unmap), Some(release), Some(back)) =
            (f.hsa_amd_vmem_unmap, f.hsa_amd_vmem_handle_release, f.hsa_amd_vmem_address_free)
        else {
            return Err("this library cannot unmap memory".into());
        };
        machine.check("hsa_amd_vmem_unmap", unmap(start, block.bytes))?;
        machine.check("hsa_amd_vmem_handle_release", release(handle))?;
        machine.check("hsa_amd_vmem_address_free", back(start, block.bytes))
    }
}

/// A block for kernel arguments; kept as long as the process.
pub fn kernarg(machine: &Machine, bytes: usize) -> Result<*mut u8, String> {
    let pool = machine.kernarg;
    Ok(from_pool(machine, pool, bytes, false)?.start as *mut u8)
}

//! The agents, what they say of themselves, and their memory pools.

use crate::{INVALID_AGENT, INVALID_ARGUMENT, INVALID_ISA, Status, enter, given, status};
use std::ffi::{c_char, c_void};
use std::sync::OnceLock;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Cpu,
    Gpu,
    Npu,
}

/// A pool: its segment, flags and size.
pub struct Pool {
    pub segment: u32,
    pub flags: u32,
    pub bytes: usize,
}

pub struct Agent {
    pub kind: Kind,
    name: &'static str,
    product: &'static str,
    pub isa: Option<String>,
    pub pools: Vec<Pool>,
}

/// Pool flags.
pub const KERNARG: u32 = 1;
pub const FINE: u32 = 2;
pub const COARSE: u32 = 4;
const GLOBAL: u32 = 0;
const GROUP: u32 = 3;

/// Bytes that allocations are rounded to.
pub const GRANULE: usize = 4096;
/// Slots of a queue at least, and at most for GPU and NPU.
pub const SLOTS_MIN: u32 = 64;
const SLOTS_MAX: u32 = 1 << 17;
const NPU_SLOTS_MAX: u32 = 1 << 12;
const ISA_BIT: u64 = 1 << 32;
const POOL_BIT: u64 = 1 << 33;

/// All agents; an agent's handle is its number + 1.
pub fn all() -> &'static [Agent] {
    static ALL: OnceLock<Vec<Agent>> = OnceLock::new();
    ALL.get_or_init(|| {
        let asked = std::env::var("CLEF_HSA_MOCK_AGENTS").ok().filter(|v| !v.is_empty());
        let asked = asked.unwrap_or_else(|| "cpu gpu npu".to_owned());
        asked.split_whitespace().filter_map(agent).collect()
    })
}

fn agent(text: &str) -> Option<Agent> {
    let (kind, isa) = text.split_once('=').unwrap_or((text, "clef-host"));
    let pool = |segment, flags, gib: usize| Pool { segment, flags, bytes: gib << 30 };
    let isa = Some(isa.to_owned());
    Some(match kind {
        // The first pool is fine-grained, as on real machines.
        "cpu" => Agent {
            kind: Kind::Cpu,
            name: "Mock CPU",
            product: "Mock CPU",
            isa: None,
            pools: vec![pool(GLOBAL, FINE, 64), pool(GLOBAL, FINE | KERNARG, 64), pool(GLOBAL, COARSE, 64)],
        },
        "gpu" => Agent {
            kind: Kind::Gpu,
            name: "mock-gpu",
            product: "Mock GPU",
            isa,
            pools: vec![pool(GLOBAL, COARSE, 16), Pool { segment: GROUP, flags: 0, bytes: 64 << 10 }],
        },
        "npu" => Agent {
            kind: Kind::Npu,
            name: "mock-npu",
            product: "Mock NPU",
            isa,
            pools: vec![pool(GLOBAL, COARSE, 16)],
        },
        _ => return None,
    })
}

/// The agent of a handle, with its number.
pub fn find(handle: u64) -> Result<(usize, &'static Agent), Status> {
    let number = usize::try_from(handle).ok().and_then(|h| h.checked_sub(1)).ok_or(INVALID_AGENT)?;
    all().get(number).map(|agent| (number, agent)).ok_or(INVALID_AGENT)
}

/// The pool of a handle, with its agent's number.
pub fn pool(handle: u64) -> Result<(usize, &'static Pool), Status> {
    let (agent, number) = ((handle & !POOL_BIT) >> 8, (handle & 0xff) as usize);
    let (n, agent) = find(agent).map_err(|_| INVALID_ARGUMENT)?;
    let known = agent.pools.get(number).filter(|_| handle & POOL_BIT != 0);
    known.map(|pool| (n, pool)).ok_or(INVALID_ARGUMENT)
}

type Visit = Option<unsafe extern "C" fn(u64, *mut c_void) -> Status>;

unsafe fn visit(
    handles: impl Iterator<Item = u64>,
    callback: Visit,
    data: *mut c_void,
) -> Result<(), Status> {
    let callback = callback.ok_or(INVALID_ARGUMENT)?;
    for handle in handles {
        // SAFETY: the caller's callback and data.
        match unsafe { callback(handle, data) } {
            0 => {}
            other => return Err(other),
        }
    }
    Ok(())
}

/// # Safety
/// As HSA's specification has it, here and below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_iterate_agents(callback: Visit, data: *mut c_void) -> Status {
    status(enter("hsa_iterate_agents").and_then(|()| {
        // SAFETY: the caller's promise.
        unsafe { visit(1..=all().len() as u64, callback, data) }
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_agent_iterate_isas(agent: u64, callback: Visit, data: *mut c_void) -> Status {
    status(enter("hsa_agent_iterate_isas").and_then(|()| {
        let (number, agent) = find(agent)?;
        if agent.isa.is_none() {
            return Err(INVALID_AGENT);
        }
        // SAFETY: the caller's promise.
        unsafe { visit(std::iter::once(ISA_BIT | number as u64), callback, data) }
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_agent_iterate_memory_pools(
    agent: u64,
    callback: Visit,
    data: *mut c_void,
) -> Status {
    status(enter("hsa_amd_agent_iterate_memory_pools").and_then(|()| {
        let (number, agent) = find(agent)?;
        let first = POOL_BIT | (number as u64 + 1) << 8;
        // SAFETY: the caller's promise.
        unsafe { visit(first..first + agent.pools.len() as u64, callback, data) }
    }))
}

/// Writes a value of an attribute's type.
unsafe fn put<T>(to: *mut c_void, value: T) -> Result<(), Status> {
    given(to)?;
    // SAFETY: the caller gives room for the attribute's type.
    unsafe { to.cast::<T>().write_unaligned(value) };
    Ok(())
}

unsafe fn put_text(to: *mut c_void, text: &str) -> Result<(), Status> {
    let mut bytes = [0_u8; 64];
    for (to, from) in bytes.iter_mut().take(63).zip(text.bytes()) {
        *to = from;
    }
    // SAFETY: text attributes are 64 bytes.
    unsafe { put(to, bytes) }
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_system_get_info(attribute: u32, value: *mut c_void) -> Status {
    status(enter("hsa_system_get_info").and_then(|()| {
        // SAFETY: the caller gives room for the attribute's type.
        unsafe {
            match attribute {
                0 => put(value, 1_u16),
                1 => put(value, 1_u16),
                2 => put(value, crate::signal::now()),
                3 => put(value, 1_000_000_000_u64),
                4 => put(value, u64::MAX),
                // Little endian; large machine model.
                5 => put(value, 0_u32),
                6 => put(value, 1_u32),
                7 => put(value, [0_u8; 128]),
                0x200 => put(value, c"mock".as_ptr().cast::<c_char>()),
                _ => Err(INVALID_ARGUMENT),
            }
        }
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_agent_get_info(agent: u64, attribute: u32, value: *mut c_void) -> Status {
    status(enter("hsa_agent_get_info").and_then(|()| {
        let (number, agent) = find(agent)?;
        let gpu = u32::from(agent.kind == Kind::Gpu);
        let runs = agent.kind != Kind::Cpu;
        // SAFETY: the caller gives room for the attribute's type.
        unsafe {
            match attribute {
                0 => put_text(value, agent.name),
                1 => put_text(value, "clef"),
                // Features: kernel dispatch.
                2 => put(value, u32::from(runs)),
                3 | 4 => put(value, 1_u32),
                5 => put(value, 2_u32),
                6 => put(value, 32 * gpu),
                7 => put(value, [1024_u16 * gpu as u16; 3]),
                8 => put(value, 1024 * gpu),
                9 => put(value, [i32::MAX as u32 * gpu; 3]),
                10 => put(value, u32::MAX * gpu),
                11 => put(value, 32 * gpu),
                12 => put(value, if runs { 128_u32 } else { 0 }),
                13 => put(value, if runs { SLOTS_MIN } else { 0 }),
                14 => put(value, slots_max(agent.kind)),
                15 => put(value, u32::from(agent.kind == Kind::Npu)),
                16 => put(value, number as u32),
                17 => put(
                    value,
                    match agent.kind {
                        Kind::Cpu => 0_u32,
                        Kind::Gpu => 1,
                        Kind::Npu => 3,
                    },
                ),
                18 => put(value, [16_u32 << 10, 0, 0, 0]),
                19 => put(value, if agent.isa.is_some() { ISA_BIT | number as u64 } else { 0 }),
                20 => put(value, [0_u8; 128]),
                21 | 22 => put(value, 1_u16),
                0xa002 => put(value, 2_u32),
                0xa004 => put(value, number as u32),
                0xa009 => put_text(value, agent.product),
                _ => Err(INVALID_ARGUMENT),
            }
        }
    }))
}

/// Slots of a queue of such an agent, at most.
pub fn slots_max(kind: Kind) -> u32 {
    match kind {
        Kind::Cpu => 0,
        Kind::Gpu => SLOTS_MAX,
        Kind::Npu => NPU_SLOTS_MAX,
    }
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_isa_get_info_alt(isa: u64, attribute: u32, value: *mut c_void) -> Status {
    status(enter("hsa_isa_get_info_alt").and_then(|()| {
        let known = all().get((isa & !ISA_BIT) as usize).filter(|_| isa & ISA_BIT != 0);
        let name = known.and_then(|agent| agent.isa.as_deref()).ok_or(INVALID_ISA)?;
        // SAFETY: the caller gives room for the attribute's type.
        unsafe {
            match attribute {
                0 => put(value, name.len() as u32 + 1),
                1 => {
                    given(value)?;
                    std::ptr::copy_nonoverlapping(name.as_ptr(), value.cast(), name.len());
                    value.cast::<u8>().add(name.len()).write(0);
                    Ok(())
                }
                _ => Err(INVALID_ARGUMENT),
            }
        }
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_memory_pool_get_info(
    handle: u64,
    attribute: u32,
    value: *mut c_void,
) -> Status {
    status(enter("hsa_amd_memory_pool_get_info").and_then(|()| {
        let (_, pool) = pool(handle)?;
        let global = pool.segment == GLOBAL;
        // SAFETY: the caller gives room for the attribute's type.
        unsafe {
            match attribute {
                0 => put(value, pool.segment),
                1 if global => put(value, pool.flags),
                2 => put(value, pool.bytes),
                5 => put(value, u8::from(global)),
                6 | 7 if global => put(value, GRANULE),
                15 => put(value, 0_u8),
                16 => put(value, pool.bytes),
                _ => Err(INVALID_ARGUMENT),
            }
        }
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_amd_agent_memory_pool_get_info(
    agent: u64,
    handle: u64,
    attribute: u32,
    value: *mut c_void,
) -> Status {
    status(enter("hsa_amd_agent_memory_pool_get_info").and_then(|()| {
        let (number, agent) = find(agent)?;
        let (owner, pool) = pool(handle)?;
        // Never for an NPU and for memory inside a GPU; by default for the owner; by request for others.
        let access = if owner == number {
            1_u32
        } else if agent.kind == Kind::Npu || pool.segment != GLOBAL {
            0
        } else {
            2
        };
        match attribute {
            // SAFETY: the caller gives room for the attribute's type.
            0 => unsafe { put(value, access) },
            // SAFETY: as above.
            1 => unsafe { put(value, u32::from(owner != number)) },
            _ => Err(INVALID_ARGUMENT),
        }
    }))
}

//! Code objects: kernels in the form that an agent's instruction set wants, loaded through the library.
//!
//! The only instruction set that this version of the runtime has code for is [`HOST_ISA`], which agents of the
//! testing library have: its code object is a table of host functions ([`abi::HostCode`]), so that `kernel_object` in
//! a packet is the address of a function. It takes the same path through reader, executable and symbol as an ELF file
//! for a GPU does.

use super::discover::{AgentInfo, Kind};
use super::machine::Machine;
use super::npu;
use super::sys::{self, Agent, Executable, Loaded, Reader, Symbol};
use crate::abi::{self, Dispatch, HostCode, HostEntry, Kernel};
use crate::agents::{host_code, params, stopped};
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};

/// The instruction set of agents that call host functions.
pub const HOST_ISA: &str = "clef-host";

/// A kernel that an agent can be given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Code {
    /// `kernel_object` of packets.
    pub object: u64,
    pub kernarg_bytes: u32,
    pub group_bytes: u32,
    pub private_bytes: u32,
    /// Of the NPU: its instructions, where they are not the arguments of a host function.
    pub insts: u64,
    pub insts_bytes: u64,
    /// It takes an `NpuStatus` behind its buffers.
    pub status: bool,
}

/// The agent's instruction set that this program has code for.
pub fn isa(agent: &AgentInfo) -> Option<&str> {
    agent.isas.iter().map(String::as_str).find(|isa| *isa == HOST_ISA)
}

/// Kernels loaded so far, by agent and descriptor.
static LOADED: Mutex<Option<HashMap<(u64, usize), Code>>> = Mutex::new(None);

/// The kernel of a dispatch for an agent; loaded at its first use.
pub fn of(machine: &Machine, agent: &AgentInfo, dispatch: &'static Dispatch) -> Result<Code, String> {
    let key = (agent.handle.0, dispatch.kernel as usize);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    if let Some(code) = loaded.get(&key) {
        return Ok(*code);
    }
    // SAFETY: descriptors are static and well-formed.
    let kernel = unsafe { &*dispatch.kernel };
    if let Some(files) = npu::files(kernel).filter(|_| agent.kind == Kind::Npu) {
        return npu::load(machine, agent, files);
    }
    let code = load(machine, agent.handle, kernel)?;
    loaded.insert(key, code);
    Ok(code)
}

fn load(machine: &Machine, agent: Agent, kernel: &Kernel) -> Result<Code, String> {
    if kernel.host.is_none() {
        return Err("it has no form for this agent".into());
    }
    // SAFETY: descriptors are static and well-formed.
    let params = unsafe { params(kernel) };
    let name = CString::new(stopped::kernel_name(kernel)).unwrap_or_default();
    table(machine, agent, name, host_code::run, params)
}

/// Loads a table with one function.
fn table(
    machine: &Machine,
    agent: Agent,
    name: CString,
    entry: abi::HostFunction,
    params: &[abi::Param],
) -> Result<Code, String> {
    let name: &'static CString = Box::leak(Box::new(name));
    let first = host_code::FIRST_ARG as u32;
    let entry: &'static HostEntry = Box::leak(Box::new(HostEntry {
        name: name.as_ptr(),
        entry,
        kernarg_bytes: first + (size_of::<abi::Arg>() * params.len()) as u32,
        first,
        params: params.as_ptr(),
        n_params: params.len() as u32,
        reserved: 0,
    }));
    let code: &'static HostCode =
        Box::leak(Box::new(HostCode { magic: *abi::HOST_CODE, version: 1, count: 1, entries: entry }));
    let bytes = size_of::<HostCode>();
    let f = &machine.functions;
    let (mut reader, mut executable, mut loaded, mut symbol) =
        (Reader(0), Executable(0), Loaded(0), Symbol(0));
    // SAFETY: each call gets what the ones before it gave; all blocks live for ever.
    unsafe {
        machine.check(
            "hsa_code_object_reader_create_from_memory",
            (f.hsa_code_object_reader_create_from_memory)(
                std::ptr::from_ref(code).cast(),
                bytes,
                &raw mut reader,
            ),
        )?;
        machine.check(
            "hsa_executable_create_alt",
            (f.hsa_executable_create_alt)(
                sys::PROFILE_FULL,
                sys::ROUNDING_DEFAULT,
                std::ptr::null(),
                &raw mut executable,
            ),
        )?;
        machine.check(
            "hsa_executable_load_agent_code_object",
            (f.hsa_executable_load_agent_code_object)(
                executable,
                agent,
                reader,
                std::ptr::null(),
                &raw mut loaded,
            ),
        )?;
        machine.check("hsa_executable_freeze", (f.hsa_executable_freeze)(executable, std::ptr::null()))?;
        machine.check(
            "hsa_executable_get_symbol_by_name",
            (f.hsa_executable_get_symbol_by_name)(
                executable,
                name.as_ptr(),
                &raw const agent,
                &raw mut symbol,
            ),
        )?;
    }
    let mut code = Code::default();
    get(machine, symbol, sys::SYMBOL_KERNEL_OBJECT, &mut code.object)?;
    get(machine, symbol, sys::SYMBOL_KERNARG_BYTES, &mut code.kernarg_bytes)?;
    get(machine, symbol, sys::SYMBOL_GROUP_BYTES, &mut code.group_bytes)?;
    get(machine, symbol, sys::SYMBOL_PRIVATE_BYTES, &mut code.private_bytes)?;
    Ok(code)
}

fn get<T>(machine: &Machine, symbol: Symbol, attribute: u32, value: &mut T) -> Result<(), String> {
    // SAFETY: callers give the attribute's own type.
    machine.check("hsa_executable_symbol_get_info", unsafe {
        (machine.functions.hsa_executable_symbol_get_info)(
            symbol,
            attribute,
            std::ptr::from_mut(value).cast(),
        )
    })
}

unsafe extern "C" fn nothing(_: *const u8) {}

/// Loads a kernel that does nothing.
pub fn attempt(machine: &Machine, agent: &AgentInfo) -> Result<(), String> {
    table(machine, agent.handle, c"clef_attempt".to_owned(), nothing, &[]).map(|_| ())
}

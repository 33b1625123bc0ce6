//! Code objects: kernels in the form that an agent's instruction set wants, loaded through the library.
//!
//! A GPU takes one of the ELF files that the program carries ([`objects`]), by its instruction set; it is loaded once for
//! each agent, and a kernel in it is a symbol for each launch. Agents of the testing library have the instruction set
//! [`HOST_ISA`]: their code object is a table of host functions ([`abi::HostCode`]), so that `kernel_object` in a packet is
//! the address of a function. Both take the same path through reader, executable and symbol.

use super::discover::{AgentInfo, Kind};
use super::machine::Machine;
use super::npu;
use super::objects;
use super::sys::{self, Agent, Executable, Loaded, Reader, Symbol};
use crate::abi::{self, CodeObject, Dispatch, HostCode, HostEntry, Kernel, Phase};
use crate::agents::{host_code, params, stopped};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
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
    /// Of a GPU: the launches in order; empty for a host function, which is the whole kernel.
    pub launches: &'static [Launch],
}

/// A launch of a kernel on a GPU: its descriptor, and what a packet says of it.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    pub object: u64,
    pub kernarg_bytes: u32,
    pub group_bytes: u32,
    pub private_bytes: u32,
}

/// What an agent can be given.
#[derive(Clone, Copy)]
pub enum Form {
    /// Host functions.
    Functions,
    Object(&'static CodeObject),
}

/// The form of this program's kernels that an agent takes.
pub fn form(agent: &AgentInfo) -> Option<Form> {
    if agent.isas.iter().any(|isa| isa == HOST_ISA) {
        return Some(Form::Functions);
    }
    let gpu = agent.kind == Kind::Gpu;
    objects::find(&agent.isas).filter(|_| gpu).map(Form::Object)
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
    let code = match form(agent) {
        Some(Form::Object(object)) => launches(machine, agent, object, kernel)?,
        _ => load(machine, agent.handle, kernel)?,
    };
    loaded.insert(key, code);
    Ok(code)
}

/// Executables of the program's code objects, by agent.
static EXECUTABLES: Mutex<Option<HashMap<u64, Executable>>> = Mutex::new(None);

/// The agent's code object, loaded.
fn executable(machine: &Machine, agent: &AgentInfo, object: &CodeObject) -> Result<Executable, String> {
    let mut all = EXECUTABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    if let Some(executable) = all.get(&agent.handle.0) {
        return Ok(*executable);
    }
    // SAFETY: the object is the program's constant.
    let made = unsafe { frozen(machine, agent.handle, object.bytes, object.len as usize) };
    let made = made.map_err(|why| format!("its code object for {} cannot be loaded: {why}", object.isa()))?;
    all.insert(agent.handle.0, made);
    Ok(made)
}

/// The launches of a kernel in the agent's code object.
fn launches(
    machine: &Machine,
    agent: &AgentInfo,
    object: &CodeObject,
    kernel: &Kernel,
) -> Result<Code, String> {
    let phases: &[Phase] = match kernel.n_phases {
        0 => return Err("it has no form for a GPU".into()),
        // SAFETY: descriptors are static and well-formed.
        n => unsafe { std::slice::from_raw_parts(kernel.phases, n as usize) },
    };
    let executable = executable(machine, agent, object)?;
    let mut launches = Vec::with_capacity(phases.len());
    for phase in phases {
        // SAFETY: a NUL-terminated constant of the program.
        let entry = unsafe { CStr::from_ptr(phase.entry) }.to_string_lossy();
        let name = CString::new(format!("{entry}.kd")).unwrap_or_default();
        let found = symbol(machine, executable, agent.handle, &name);
        let symbol = found.map_err(|why| format!("`{entry}` is not in its code object: {why}"))?;
        let mut launch = Launch { object: 0, kernarg_bytes: 0, group_bytes: 0, private_bytes: 0 };
        get(machine, symbol, sys::SYMBOL_KERNEL_OBJECT, &mut launch.object)?;
        get(machine, symbol, sys::SYMBOL_KERNARG_BYTES, &mut launch.kernarg_bytes)?;
        get(machine, symbol, sys::SYMBOL_GROUP_BYTES, &mut launch.group_bytes)?;
        get(machine, symbol, sys::SYMBOL_PRIVATE_BYTES, &mut launch.private_bytes)?;
        launches.push(launch);
    }
    Ok(Code { launches: launches.leak(), ..Code::default() })
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
    // SAFETY: the table lives for ever.
    let executable = unsafe { frozen(machine, agent, std::ptr::from_ref(code).cast(), bytes) }?;
    let symbol = symbol(machine, executable, agent, name)?;
    let mut code = Code::default();
    get(machine, symbol, sys::SYMBOL_KERNEL_OBJECT, &mut code.object)?;
    get(machine, symbol, sys::SYMBOL_KERNARG_BYTES, &mut code.kernarg_bytes)?;
    get(machine, symbol, sys::SYMBOL_GROUP_BYTES, &mut code.group_bytes)?;
    get(machine, symbol, sys::SYMBOL_PRIVATE_BYTES, &mut code.private_bytes)?;
    Ok(code)
}

/// An executable of one code object, ready to be used.
///
/// # Safety
/// The code object is that long and stays for ever.
unsafe fn frozen(
    machine: &Machine,
    agent: Agent,
    object: *const u8,
    bytes: usize,
) -> Result<Executable, String> {
    let f = &machine.functions;
    let (mut reader, mut executable, mut loaded) = (Reader(0), Executable(0), Loaded(0));
    // SAFETY: each call gets what the ones before it gave.
    unsafe {
        machine.check(
            "hsa_code_object_reader_create_from_memory",
            (f.hsa_code_object_reader_create_from_memory)(object.cast(), bytes, &raw mut reader),
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
    }
    Ok(executable)
}

fn symbol(machine: &Machine, executable: Executable, agent: Agent, name: &CStr) -> Result<Symbol, String> {
    let mut symbol = Symbol(0);
    // SAFETY: the executable is frozen; the name is NUL-terminated.
    machine.check("hsa_executable_get_symbol_by_name", unsafe {
        (machine.functions.hsa_executable_get_symbol_by_name)(
            executable,
            name.as_ptr(),
            &raw const agent,
            &raw mut symbol,
        )
    })?;
    Ok(symbol)
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

/// Loads what the agent's kernels need: a code object, or a function that does nothing.
pub fn attempt(machine: &Machine, agent: &AgentInfo, form: Form) -> Result<(), String> {
    match form {
        Form::Functions => table(machine, agent.handle, c"clef_attempt".to_owned(), nothing, &[]).map(|_| ()),
        Form::Object(object) => executable(machine, agent, object).map(|_| ()),
    }
}

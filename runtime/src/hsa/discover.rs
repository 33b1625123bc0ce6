//! Finding an HSA library and what it offers: agents, their ISAs and memory pools.
//!
//! Loading and starting a foreign library can fail in every way there is, and it can hang. All of it happens on a
//! thread of its own under a time limit, and every failure becomes a sentence. Used by compiled programs and by
//! `clefc agents`; it makes no queues and allocates no memory of the device.

use super::sys::{self, Agent, Functions, Isa, Pool, Status};
use libloading::Library;
use std::ffi::{CStr, c_char, c_void};
use std::sync::mpsc;
use std::time::Duration;

/// The name by which the dynamic loader knows ROCr.
pub const LIBRARY: &str = "libhsa-runtime64.so.1";

/// How long a library may take to start, unless `CLEF_HSA_TIMEOUT_MS` says otherwise.
const LIMIT: Duration = Duration::from_secs(10);

/// Kinds of agents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Cpu,
    Gpu,
    Npu,
    /// A device type that is not known here.
    Other(u32),
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Cpu => f.write_str("CPU"),
            Kind::Gpu => f.write_str("GPU"),
            Kind::Npu => f.write_str("NPU"),
            Kind::Other(n) => write!(f, "device type {n}"),
        }
    }
}

/// A memory pool in the global segment.
#[derive(Clone, Debug)]
pub struct PoolInfo {
    pub handle: Pool,
    /// `FLAG_*` of [`sys`].
    pub flags: u32,
    pub bytes: u64,
    pub granule: usize,
    pub allocatable: bool,
}

/// An agent and what it has.
#[derive(Clone, Debug)]
pub struct AgentInfo {
    pub handle: Agent,
    pub kind: Kind,
    pub name: String,
    pub vendor: String,
    /// The marketing name; empty where the library does not say.
    pub product: String,
    pub isas: Vec<String>,
    pub compute_units: u32,
    pub queues: u32,
    /// Slots of a queue, at least and at most.
    pub queue_slots: (u32, u32),
    pub pools: Vec<PoolInfo>,
}

/// A started library.
pub struct Found {
    pub functions: Functions,
    /// Path or name it was loaded by.
    pub library: String,
    /// Version of the interface, and the library's own where it says.
    pub version: String,
    /// The library can make one address valid for CPU, GPU and NPU.
    pub vmem: bool,
    pub agents: Vec<AgentInfo>,
}

/// Why there is nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// No library, no driver or no device: the usual case.
    Nothing(String),
    /// There is a library, and it does not work.
    Broken(String),
}

impl Missing {
    /// The sentence, without a full stop.
    pub fn text(&self) -> &str {
        match self {
            Missing::Nothing(text) | Missing::Broken(text) => text,
        }
    }
}

/// Whether the kernel has a driver that ROCr could work with, for GPUs or NPUs: loading ROCr to find out takes longer
/// than a small program runs.
pub fn has_driver() -> bool {
    ["/dev/kfd", "/dev/accel"].iter().any(|node| std::path::Path::new(node).exists())
}

/// Loads and starts the library that `CLEF_HSA_LIBRARY` names, else ROCr.
pub fn open() -> Result<Found, Missing> {
    limited(open_now)
}

/// The library's name, and whether somebody chose it.
fn library() -> (String, bool) {
    match std::env::var("CLEF_HSA_LIBRARY").ok().filter(|n| !n.is_empty()) {
        Some(name) => (name, true),
        None => (LIBRARY.to_owned(), false),
    }
}

/// As [`open`], without a time limit.
pub fn open_now() -> Result<Found, Missing> {
    let (name, explicit) = library();
    start(&name, explicit)
}

/// Runs what talks to the library on a thread of its own, for so long as a library may take.
pub fn limited<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, Missing> + Send + 'static,
) -> Result<T, Missing> {
    let limit = std::env::var("CLEF_HSA_TIMEOUT_MS").ok().and_then(|t| t.parse().ok());
    let limit = limit.map_or(LIMIT, Duration::from_millis);
    let (send, receive) = mpsc::channel();
    let started = std::thread::Builder::new().name("clef-hsa-start".into()).spawn(move || {
        // The receiver is gone when it took too long.
        let _ = send.send(run());
    });
    let name = library().0;
    if let Err(e) = started {
        return Err(Missing::Broken(format!("no thread could be started to load `{name}`: {e}")));
    }
    match receive.recv_timeout(limit) {
        Ok(found) => found,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Missing::Broken(format!(
            "`{name}` did not start within {} ms (CLEF_HSA_TIMEOUT_MS sets the limit)",
            limit.as_millis()
        ))),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(Missing::Broken(format!("`{name}` failed while it started")))
        }
    }
}

fn start(name: &str, explicit: bool) -> Result<Found, Missing> {
    // SAFETY: loading runs the library's initialisers; it is the user's choice, or the system's ROCr.
    let library = unsafe { Library::new(name) }.map_err(|e| {
        if explicit {
            Missing::Broken(format!("`{name}` cannot be loaded: {}", one_line(&e.to_string())))
        } else {
            Missing::Nothing(format!(
                "there is no ROCr ({LIBRARY}; Debian: apt-get install libhsa-runtime64-1)"
            ))
        }
    })?;
    // SAFETY: the library claims to be HSA's by its name.
    let functions = unsafe { Functions::load(&library) }.map_err(|symbol| {
        Missing::Broken(format!("`{name}` has no function `{symbol}`: it is no usable HSA library"))
    })?;
    // Never unloaded: queues and callbacks live in it, and the real one cannot be.
    std::mem::forget(library);
    // SAFETY: as HSA's specification has it, here and below.
    let status = unsafe { (functions.hsa_init)() };
    if status != sys::SUCCESS {
        let text = format!("`{name}` cannot start: {}", status_text(&functions, "hsa_init", status));
        return Err(if status == sys::OUT_OF_RESOURCES {
            Missing::Nothing(format!("{text}; there is no AMD driver (/dev/kfd) or no right to use it"))
        } else {
            Missing::Broken(text)
        });
    }
    let found = look(functions, name).map_err(Missing::Broken)?;
    if found.agents.iter().any(|a| matches!(a.kind, Kind::Gpu | Kind::Npu)) {
        Ok(found)
    } else {
        Err(Missing::Nothing(format!("`{name}` knows no GPU and no NPU")))
    }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A failed call in words.
pub fn status_text(functions: &Functions, call: &str, status: Status) -> String {
    let mut text: *const c_char = std::ptr::null();
    // SAFETY: the library writes a pointer to a constant of its own, or fails.
    let words = unsafe {
        if (functions.hsa_status_string)(status, &raw mut text) == sys::SUCCESS && !text.is_null() {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        } else {
            String::new()
        }
    };
    // The name before the explanation: the explanations are general.
    let words = words.split(':').next().unwrap_or_default().trim();
    if words.is_empty() {
        format!("{call} returned {status:#x}")
    } else {
        format!("{call} returned {status:#x} ({words})")
    }
}

/// `Ok` for success, and for an iteration that was ended early.
pub fn check(functions: &Functions, call: &str, status: Status) -> Result<(), String> {
    match status {
        sys::SUCCESS | sys::INFO_BREAK => Ok(()),
        _ => Err(status_text(functions, call, status)),
    }
}

unsafe extern "C" fn collect<T>(item: T, list: *mut c_void) -> Status {
    // SAFETY: every caller here gives a `Vec<T>`.
    unsafe { (*list.cast::<Vec<T>>()).push(item) };
    sys::SUCCESS
}

fn look(functions: Functions, name: &str) -> Result<Found, String> {
    let f = &functions;
    let mut handles: Vec<Agent> = Vec::new();
    // SAFETY: the list outlives the call.
    check(f, "hsa_iterate_agents", unsafe {
        (f.hsa_iterate_agents)(collect::<Agent>, (&raw mut handles).cast())
    })?;
    let agents = handles.into_iter().map(|a| agent(f, a)).collect::<Result<Vec<_>, _>>()?;
    let vmem = f.hsa_amd_vmem_handle_create.is_some()
        && f.hsa_amd_vmem_handle_release.is_some()
        && f.hsa_amd_vmem_address_reserve_align.is_some()
        && f.hsa_amd_vmem_address_free.is_some()
        && f.hsa_amd_vmem_map.is_some()
        && f.hsa_amd_vmem_unmap.is_some()
        && f.hsa_amd_vmem_set_access.is_some();
    Ok(Found { version: version(f)?, functions, library: name.to_owned(), vmem, agents })
}

fn version(f: &Functions) -> Result<String, String> {
    let (mut major, mut minor) = (0_u16, 0_u16);
    let mut build: *const c_char = std::ptr::null();
    // SAFETY: the types are those of the attributes.
    unsafe {
        check(
            f,
            "hsa_system_get_info",
            (f.hsa_system_get_info)(sys::SYSTEM_VERSION_MAJOR, (&raw mut major).cast()),
        )?;
        check(
            f,
            "hsa_system_get_info",
            (f.hsa_system_get_info)(sys::SYSTEM_VERSION_MINOR, (&raw mut minor).cast()),
        )?;
        let known = (f.hsa_system_get_info)(sys::SYSTEM_BUILD_VERSION, (&raw mut build).cast());
        let build = if known == sys::SUCCESS && !build.is_null() {
            format!(", build {}", CStr::from_ptr(build).to_string_lossy())
        } else {
            String::new()
        };
        Ok(format!("{major}.{minor}{build}"))
    }
}

/// One attribute of an agent.
fn info<T: Default>(f: &Functions, agent: Agent, attribute: u32) -> Result<T, String> {
    let mut value = T::default();
    // SAFETY: callers name the attribute's own type.
    check(f, "hsa_agent_get_info", unsafe {
        (f.hsa_agent_get_info)(agent, attribute, (&raw mut value).cast())
    })?;
    Ok(value)
}

/// A text of 64 bytes.
fn text(f: &Functions, agent: Agent, attribute: u32) -> Result<String, String> {
    let mut bytes = [0_u8; 65];
    // SAFETY: these attributes are 64 bytes, NUL-terminated or not.
    check(f, "hsa_agent_get_info", unsafe {
        (f.hsa_agent_get_info)(agent, attribute, bytes.as_mut_ptr().cast())
    })?;
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(64);
    Ok(String::from_utf8_lossy(&bytes[..end]).trim().to_owned())
}

fn agent(f: &Functions, handle: Agent) -> Result<AgentInfo, String> {
    let kind = match info::<u32>(f, handle, sys::AGENT_DEVICE)? {
        sys::DEVICE_CPU => Kind::Cpu,
        sys::DEVICE_GPU => Kind::Gpu,
        sys::DEVICE_AIE => Kind::Npu,
        other => Kind::Other(other),
    };
    let mut isas: Vec<Isa> = Vec::new();
    let mut pools: Vec<Pool> = Vec::new();
    // SAFETY: the lists outlive the calls.
    unsafe {
        let status = (f.hsa_agent_iterate_isas)(handle, collect::<Isa>, (&raw mut isas).cast());
        // What ROCr says of CPUs, which have none.
        if status != sys::INVALID_AGENT {
            check(f, "hsa_agent_iterate_isas", status)?;
        }
        check(
            f,
            "hsa_amd_agent_iterate_memory_pools",
            (f.hsa_amd_agent_iterate_memory_pools)(handle, collect::<Pool>, (&raw mut pools).cast()),
        )?;
    }
    let pools = pools.into_iter().map(|p| pool(f, p)).collect::<Result<Vec<_>, _>>()?;
    Ok(AgentInfo {
        handle,
        kind,
        name: text(f, handle, sys::AGENT_NAME)?,
        vendor: text(f, handle, sys::AGENT_VENDOR)?,
        product: text(f, handle, sys::AGENT_PRODUCT).unwrap_or_default(),
        isas: isas.into_iter().map(|i| isa(f, i)).collect::<Result<_, _>>()?,
        compute_units: info(f, handle, sys::AGENT_COMPUTE_UNITS).unwrap_or_default(),
        queues: info(f, handle, sys::AGENT_QUEUES_MAX)?,
        queue_slots: (info(f, handle, sys::AGENT_QUEUE_MIN)?, info(f, handle, sys::AGENT_QUEUE_MAX)?),
        pools: pools.into_iter().flatten().collect(),
    })
}

fn isa(f: &Functions, isa: Isa) -> Result<String, String> {
    let mut length = 0_u32;
    // SAFETY: the name has the length that the library says, with or without its NUL.
    unsafe {
        check(
            f,
            "hsa_isa_get_info_alt",
            (f.hsa_isa_get_info_alt)(isa, sys::ISA_NAME_LENGTH, (&raw mut length).cast()),
        )?;
        let mut name = vec![0_u8; length as usize + 1];
        check(
            f,
            "hsa_isa_get_info_alt",
            (f.hsa_isa_get_info_alt)(isa, sys::ISA_NAME, name.as_mut_ptr().cast()),
        )?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        Ok(String::from_utf8_lossy(&name[..end]).into_owned())
    }
}

/// A pool of the global segment; none for others.
fn pool(f: &Functions, handle: Pool) -> Result<Option<PoolInfo>, String> {
    let get = |attribute: u32, value: *mut c_void| {
        // SAFETY: callers give room for the attribute's own type.
        check(f, "hsa_amd_memory_pool_get_info", unsafe {
            (f.hsa_amd_memory_pool_get_info)(handle, attribute, value)
        })
    };
    let (mut segment, mut flags, mut bytes, mut granule, mut allocatable) =
        (0_u32, 0_u32, 0_usize, 0_usize, 0_u8);
    get(sys::POOL_SEGMENT, (&raw mut segment).cast())?;
    if segment != sys::SEGMENT_GLOBAL {
        return Ok(None);
    }
    get(sys::POOL_FLAGS, (&raw mut flags).cast())?;
    get(sys::POOL_SIZE, (&raw mut bytes).cast())?;
    get(sys::POOL_ALLOC_ALLOWED, (&raw mut allocatable).cast())?;
    if allocatable != 0 {
        get(sys::POOL_GRANULE, (&raw mut granule).cast())?;
    }
    Ok(Some(PoolInfo {
        handle,
        flags,
        bytes: bytes as u64,
        granule: granule.max(1),
        allocatable: allocatable != 0,
    }))
}

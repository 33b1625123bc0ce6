//! The C interface of HSA: handles, numbers and the functions that are looked up in `libhsa-runtime64.so.1`.
//!
//! Written by hand from the headers of Debian's libhsa-runtime-dev 5.2.3, which is the oldest library that is used;
//! what is newer (virtual memory) is optional. A test compiles a C program with those headers and holds every size,
//! offset and number here against it. Nothing here calls anything.

use libloading::Library;
use std::ffi::{c_char, c_void};

/// `hsa_status_t`.
pub type Status = u32;
pub const SUCCESS: Status = 0;
pub const INFO_BREAK: Status = 1;
pub const INVALID_AGENT: Status = 0x1004;
/// What `hsa_init` says on a machine without the driver.
pub const OUT_OF_RESOURCES: Status = 0x1008;

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* #[repr(transparent)] #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)] pub struct $name(pub u64);)*
    };
}

handles! {
    /// `hsa_agent_t`.
    Agent,
    /// `hsa_signal_t`.
    Signal,
    /// `hsa_isa_t`.
    Isa,
    /// `hsa_amd_memory_pool_t`.
    Pool,
    /// `hsa_code_object_reader_t`.
    Reader,
    /// `hsa_executable_t`.
    Executable,
    /// `hsa_loaded_code_object_t`.
    Loaded,
    /// `hsa_executable_symbol_t`.
    Symbol,
    /// `hsa_amd_vmem_alloc_handle_t`.
    VmemHandle,
}

/// `hsa_queue_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Queue {
    pub kind: u32,
    pub features: u32,
    pub base: *mut c_void,
    pub doorbell: Signal,
    pub size: u32,
    pub reserved: u32,
    pub id: u64,
}

/// `hsa_amd_memory_access_desc_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AccessDesc {
    pub permissions: u32,
    pub agent: Agent,
}

/// `hsa_access_permission_t`: read and write.
pub const PERMISSION_RW: u32 = 3;

/// `hsa_device_type_t`; AIE is newer than the headers.
pub const DEVICE_CPU: u32 = 0;
pub const DEVICE_GPU: u32 = 1;
pub const DEVICE_AIE: u32 = 3;

/// `hsa_system_info_t`.
pub const SYSTEM_VERSION_MAJOR: u32 = 0;
pub const SYSTEM_VERSION_MINOR: u32 = 1;
pub const SYSTEM_BUILD_VERSION: u32 = 0x200;

/// `hsa_agent_info_t`.
pub const AGENT_NAME: u32 = 0;
pub const AGENT_VENDOR: u32 = 1;
pub const AGENT_QUEUES_MAX: u32 = 12;
pub const AGENT_QUEUE_MIN: u32 = 13;
pub const AGENT_QUEUE_MAX: u32 = 14;
pub const AGENT_DEVICE: u32 = 17;
pub const AGENT_COMPUTE_UNITS: u32 = 0xa002;
pub const AGENT_PRODUCT: u32 = 0xa009;

/// `hsa_isa_info_t`.
pub const ISA_NAME_LENGTH: u32 = 0;
pub const ISA_NAME: u32 = 1;

/// `hsa_amd_memory_pool_info_t`.
pub const POOL_SEGMENT: u32 = 0;
pub const POOL_FLAGS: u32 = 1;
pub const POOL_SIZE: u32 = 2;
pub const POOL_ALLOC_ALLOWED: u32 = 5;
pub const POOL_GRANULE: u32 = 6;
/// `hsa_amd_segment_t`: the one that agents share.
pub const SEGMENT_GLOBAL: u32 = 0;
/// `hsa_amd_memory_pool_global_flag_t`.
pub const FLAG_KERNARG: u32 = 1;
pub const FLAG_FINE: u32 = 2;
pub const FLAG_COARSE: u32 = 4;

/// `hsa_amd_agent_memory_pool_info_t` and `hsa_amd_memory_pool_access_t`.
pub const AGENT_POOL_ACCESS: u32 = 0;
pub const ACCESS_NEVER: u32 = 0;

/// `hsa_queue_type_t`: one producer.
pub const QUEUE_SINGLE: u32 = 1;
/// `hsa_signal_condition_t`: less than.
pub const CONDITION_LT: u32 = 2;
/// `hsa_wait_state_t`.
pub const WAIT_BLOCKED: u32 = 0;

/// `hsa_profile_t` base and full; `hsa_default_float_rounding_mode_t` default.
pub const PROFILE_FULL: u32 = 1;
pub const ROUNDING_DEFAULT: u32 = 0;

/// `hsa_executable_symbol_info_t`.
pub const SYMBOL_KERNEL_OBJECT: u32 = 22;
pub const SYMBOL_KERNARG_BYTES: u32 = 11;
pub const SYMBOL_GROUP_BYTES: u32 = 13;
pub const SYMBOL_PRIVATE_BYTES: u32 = 14;

/// Called with a status when a queue can go no further.
pub type QueueCallback = unsafe extern "C" fn(Status, *mut Queue, *mut c_void);
/// Called for each agent, pool or ISA; anything but [`SUCCESS`] ends the iteration.
pub type Visit<T> = unsafe extern "C" fn(T, *mut c_void) -> Status;
/// `hsa_amd_system_event_callback_t`.
pub type EventCallback = unsafe extern "C" fn(*const Event, *mut c_void) -> Status;

/// `hsa_amd_event_t` with a memory fault.
#[repr(C)]
pub struct Event {
    pub kind: u32,
    pub agent: Agent,
    pub address: u64,
    pub reasons: u32,
}
/// `HSA_AMD_GPU_MEMORY_FAULT_EVENT`.
pub const EVENT_MEMORY_FAULT: u32 = 0;

macro_rules! functions {
    (required { $($name:ident: fn($($a:ty),*) $(-> $r:ty)?;)* } optional { $($oname:ident: fn($($oa:ty),*) $(-> $or:ty)?;)* }) => {
        /// The functions of a loaded library, by their C names.
        #[derive(Clone, Copy)]
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($a),*) $(-> $r)?,)*
            $(pub $oname: Option<unsafe extern "C" fn($($oa),*) $(-> $or)?>,)*
        }

        /// Names without which a library is not used.
        pub const REQUIRED: &[&str] = &[$(stringify!($name)),*];
        /// Names of newer libraries.
        pub const OPTIONAL: &[&str] = &[$(stringify!($oname)),*];

        impl Functions {
            /// Looks all functions up; the error names the first one that is not there.
            ///
            /// # Safety
            /// The library's functions of these names are HSA's.
            pub unsafe fn load(library: &Library) -> Result<Self, &'static str> {
                // SAFETY: the caller's promise.
                unsafe {
                    Ok(Self {
                        $($name: *library
                            .get(concat!(stringify!($name), "\0").as_bytes())
                            .map_err(|_| stringify!($name))?,)*
                        $($oname: library
                            .get(concat!(stringify!($oname), "\0").as_bytes())
                            .map(|f| *f)
                            .ok(),)*
                    })
                }
            }
        }
    };
}

functions! {
    required {
        hsa_init: fn() -> Status;
        hsa_shut_down: fn() -> Status;
        hsa_status_string: fn(Status, *mut *const c_char) -> Status;
        hsa_system_get_info: fn(u32, *mut c_void) -> Status;
        hsa_iterate_agents: fn(Visit<Agent>, *mut c_void) -> Status;
        hsa_agent_get_info: fn(Agent, u32, *mut c_void) -> Status;
        hsa_agent_iterate_isas: fn(Agent, Visit<Isa>, *mut c_void) -> Status;
        hsa_isa_get_info_alt: fn(Isa, u32, *mut c_void) -> Status;
        hsa_amd_agent_iterate_memory_pools: fn(Agent, Visit<Pool>, *mut c_void) -> Status;
        hsa_amd_memory_pool_get_info: fn(Pool, u32, *mut c_void) -> Status;
        hsa_amd_agent_memory_pool_get_info: fn(Agent, Pool, u32, *mut c_void) -> Status;
        hsa_amd_memory_pool_allocate: fn(Pool, usize, u32, *mut *mut c_void) -> Status;
        hsa_amd_memory_pool_free: fn(*mut c_void) -> Status;
        hsa_amd_agents_allow_access: fn(u32, *const Agent, *const u32, *const c_void) -> Status;
        hsa_amd_memory_fill: fn(*mut c_void, u32, usize) -> Status;
        hsa_amd_register_system_event_handler: fn(EventCallback, *mut c_void) -> Status;
        hsa_signal_create: fn(i64, u32, *const Agent, *mut Signal) -> Status;
        hsa_signal_load_relaxed: fn(Signal) -> i64;
        hsa_signal_store_relaxed: fn(Signal, i64);
        hsa_signal_store_screlease: fn(Signal, i64);
        hsa_signal_wait_scacquire: fn(Signal, u32, i64, u64, u32) -> i64;
        hsa_queue_create: fn(Agent, u32, u32, Option<QueueCallback>, *mut c_void, u32, u32, *mut *mut Queue) -> Status;
        hsa_queue_store_write_index_relaxed: fn(*const Queue, u64);
        hsa_queue_load_read_index_scacquire: fn(*const Queue) -> u64;
        hsa_code_object_reader_create_from_memory: fn(*const c_void, usize, *mut Reader) -> Status;
        hsa_executable_create_alt: fn(u32, u32, *const c_char, *mut Executable) -> Status;
        hsa_executable_load_agent_code_object: fn(Executable, Agent, Reader, *const c_char, *mut Loaded) -> Status;
        hsa_executable_freeze: fn(Executable, *const c_char) -> Status;
        hsa_executable_get_symbol_by_name: fn(Executable, *const c_char, *const Agent, *mut Symbol) -> Status;
        hsa_executable_symbol_get_info: fn(Symbol, u32, *mut c_void) -> Status;
    }
    optional {
        hsa_amd_vmem_handle_create: fn(Pool, usize, u32, u64, *mut VmemHandle) -> Status;
        hsa_amd_vmem_handle_release: fn(VmemHandle) -> Status;
        hsa_amd_vmem_address_reserve_align: fn(*mut *mut c_void, usize, u64, u64, u64) -> Status;
        hsa_amd_vmem_address_free: fn(*mut c_void, usize) -> Status;
        hsa_amd_vmem_map: fn(*mut c_void, usize, usize, VmemHandle, u64) -> Status;
        hsa_amd_vmem_unmap: fn(*mut c_void, usize) -> Status;
        hsa_amd_vmem_set_access: fn(*mut c_void, usize, *const AccessDesc, usize) -> Status;
    }
}

const _: () = {
    assert!(size_of::<Queue>() == 40);
    assert!(std::mem::offset_of!(Queue, doorbell) == 16);
    assert!(std::mem::offset_of!(Queue, id) == 32);
    assert!(std::mem::offset_of!(Event, address) == 16);
};

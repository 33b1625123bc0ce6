//! A stand-in for ROCr's `libhsa-runtime64.so.1`: the same C functions, with a CPU, a GPU and an NPU that exist only
//! here. It follows HSA's specification and the headers of Debian's libhsa-runtime-dev, not what our runtime happens
//! to do; a C program compiled with those headers tests it.
//!
//! - Agents have the instruction set `clef-host` where nothing else is asked for: a code object is a table of host functions ([`code`]), and a kernel
//!   object the address of its entry, as a GPU's is that of its descriptor. Packets call the function.
//! - A GPU with an instruction set of AMD's takes the code objects of real ones, see [`amd`].
//! - An NPU also takes images and instructions, see [`pdi`].
//! - A thread for each queue runs packets as they say. With a seed, all packets run one at a time, as late or as early
//!   as the seed says, on each agent's own copy of memory: only headers, doorbells and signals move bytes ([`shadow`]).
//! - Everything that programs tell it is written to a file, if one is named ([`record`]).
//!
//! It is asked by variables of the environment, read when `hsa_init` is called:
//!
//! | variable | does |
//! |---|---|
//! | `CLEF_HSA_MOCK_SEED=N` | incoherent memory and an order from that seed; 0: nothing runs before it is waited for |
//! | `CLEF_HSA_MOCK_LOG=FILE` | the record |
//! | `CLEF_HSA_MOCK_FAIL=FUNCTION` | that function returns `HSA_STATUS_ERROR` (`hsa_init=0x1008`: that status); `hsa_amd_memory_pool_allocate:npu`: for the NPU's own memory only |
//! | `CLEF_HSA_MOCK_HANG=FUNCTION` | that function never returns |
//! | `CLEF_HSA_MOCK_FAULT=KERNEL` | the queue that this kernel is dispatched to fails; `memory:KERNEL`: the kernel touches memory that is not there; `status:LAUNCH`: the launch of a code object stops at an index out of range |
//! | `CLEF_HSA_MOCK_WEAKEN=..` | one fence, barrier, clean or wait does less than it says ([`weaken`]) |
//! | `CLEF_HSA_MOCK_AGENTS=cpu gpu npu` | which agents there are; `gpu=ISA` gives a GPU another instruction set, `npu=ISA` an NPU |
//!
//! It does not: images, interprocess memory, agent dispatch packets, profiling.

pub mod agents;
pub mod amd;
pub mod code;
pub mod memory;
pub mod pdi;
pub mod queue;
pub mod record;
pub mod shadow;
pub mod signal;
pub mod simulation;
pub mod weaken;

use std::ffi::c_char;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub type Status = u32;
pub const SUCCESS: Status = 0;
pub const ERROR: Status = 0x1000;
pub const INVALID_ARGUMENT: Status = 0x1001;
pub const INVALID_QUEUE_CREATION: Status = 0x1002;
pub const INVALID_ALLOCATION: Status = 0x1003;
pub const INVALID_AGENT: Status = 0x1004;
pub const INVALID_SIGNAL: Status = 0x1006;
pub const INVALID_QUEUE: Status = 0x1007;
pub const OUT_OF_RESOURCES: Status = 0x1008;
pub const INVALID_PACKET_FORMAT: Status = 0x1009;
pub const NOT_INITIALIZED: Status = 0x100b;
pub const INVALID_ISA: Status = 0x100f;
pub const INVALID_CODE_OBJECT: Status = 0x1010;
pub const INVALID_EXECUTABLE: Status = 0x1011;
pub const FROZEN_EXECUTABLE: Status = 0x1012;
pub const INVALID_SYMBOL_NAME: Status = 0x1013;
pub const EXCEPTION: Status = 0x1016;
pub const INVALID_EXECUTABLE_SYMBOL: Status = 0x1019;
pub const INVALID_CODE_OBJECT_READER: Status = 0x1021;

/// Calls of `hsa_init` less calls of `hsa_shut_down`.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// What the environment asked for.
#[derive(Clone, Default)]
pub struct Wishes {
    pub seed: Option<u64>,
    fail: Option<(String, Status)>,
    hang: Option<String>,
    pub fault: Option<String>,
    pub weaken: Option<weaken::Weaken>,
}

static WISHES: Mutex<Option<Wishes>> = Mutex::new(None);

/// A lock that a panic elsewhere does not spoil.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// The environment's wishes, read once.
pub fn wishes() -> Wishes {
    lock(&WISHES)
        .get_or_insert_with(|| Wishes {
            seed: variable("CLEF_HSA_MOCK_SEED").and_then(|s| s.parse().ok()),
            fail: variable("CLEF_HSA_MOCK_FAIL").map(|text| {
                let (name, status) = text.split_once('=').unwrap_or((&text, "0x1000"));
                let status = u32::from_str_radix(status.trim_start_matches("0x"), 16).unwrap_or(ERROR);
                (name.to_owned(), status)
            }),
            hang: variable("CLEF_HSA_MOCK_HANG"),
            fault: variable("CLEF_HSA_MOCK_FAULT"),
            weaken: variable("CLEF_HSA_MOCK_WEAKEN").and_then(|text| weaken::Weaken::read(&text)),
        })
        .clone()
}

/// At the head of each function: what was asked for it, and whether the library was started.
pub fn enter(name: &str) -> Result<(), Status> {
    asked(name)?;
    if STARTED.load(Ordering::Acquire) == 0 { Err(NOT_INITIALIZED) } else { Ok(()) }
}

fn asked(name: &str) -> Result<(), Status> {
    let wishes = wishes();
    if wishes.hang.as_deref() == Some(name) {
        loop {
            std::thread::park();
        }
    }
    match wishes.fail {
        Some((failing, status)) if failing == name => Err(status),
        _ => Ok(()),
    }
}

/// Reports a race of the program on incoherent memory, and ends it.
pub fn race(text: &str) -> ! {
    unsafe extern "C" {
        fn _exit(code: i32) -> !;
    }
    record::line(&format!("race {text}"));
    eprintln!("hsa mock: race: {text}");
    // SAFETY: ends the process; its other threads may hold locks that handlers at the exit would want.
    unsafe { _exit(RACE) }
}

/// Exit code after a race.
const RACE: i32 = 135;

/// A function's result as its status.
pub fn status(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(SUCCESS)
}

/// `Err` for a null pointer.
pub fn given<T>(pointer: *const T) -> Result<(), Status> {
    if pointer.is_null() { Err(INVALID_ARGUMENT) } else { Ok(()) }
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_init() -> Status {
    if let Err(status) = asked("hsa_init") {
        return status;
    }
    STARTED.fetch_add(1, Ordering::AcqRel);
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_shut_down() -> Status {
    status(enter("hsa_shut_down").map(|()| {
        STARTED.fetch_sub(1, Ordering::AcqRel);
    }))
}

/// # Safety
/// `text` is null or valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_status_string(code: Status, text: *mut *const c_char) -> Status {
    let words = match code {
        SUCCESS => c"HSA_STATUS_SUCCESS: The function has been executed successfully.",
        ERROR => c"HSA_STATUS_ERROR: A generic error has occurred.",
        INVALID_ARGUMENT => c"HSA_STATUS_ERROR_INVALID_ARGUMENT: One of the actual arguments does not meet a precondition stated in the documentation of the corresponding formal argument.",
        OUT_OF_RESOURCES => c"HSA_STATUS_ERROR_OUT_OF_RESOURCES: The runtime failed to allocate the necessary resources. This error may also occur when the core runtime library needs to spawn threads or create internal OS-specific events.",
        NOT_INITIALIZED => c"HSA_STATUS_ERROR_NOT_INITIALIZED: An API other than hsa_init has been invoked while the reference count of the HSA runtime is zero.",
        EXCEPTION => c"HSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware exception.",
        other if (ERROR..=0x1026).contains(&other) => c"HSA_STATUS_ERROR",
        _ => return INVALID_ARGUMENT,
    };
    if text.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise.
    unsafe { text.write(words.as_ptr()) };
    SUCCESS
}

//! The table of [`crate::agents::table`] over a loaded HSA library, and what queues report on their own.

use super::code::{self, Code};
use super::discover;
use super::machine::Machine;
use super::memory;
use super::sys::{self, Event, Queue, Status};
use crate::abi::Dispatch;
use crate::agents::table::{HsaApi, QueueHead, Role, Signal};
use crate::agents::{Backing, backing, lane, stopped};
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

pub static API: HsaApi = HsaApi {
    name: "HSA",
    queue_create,
    write_index,
    ring,
    signal_create,
    signal_peek,
    signal_store,
    signal_wait_below,
    kernarg,
    code,
};

/// Slots of a ring, where the agent allows so many.
const SLOTS: u32 = lane::RING;

/// Queues made while the library was tried, with the role that they are for.
static KEPT: Mutex<Vec<(Role, &'static QueueHead)>> = Mutex::new(Vec::new());

fn machine() -> &'static Machine {
    match backing() {
        Backing::Hsa(machine) => machine,
        // Lanes name this table only where the backing is HSA.
        _ => crate::stop::fatal(format_args!("the HSA route is not open")),
    }
}

/// Keeps a queue for the lane that will want it.
pub fn keep(role: Role, queue: &'static QueueHead) {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push((role, queue));
}

fn queue_create(role: Role) -> Result<&'static QueueHead, String> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.iter().position(|(r, _)| *r == role) {
        Some(n) => Ok(kept.swap_remove(n).1),
        None => create(machine(), role),
    }
}

/// Makes a queue.
pub fn create(machine: &Machine, role: Role) -> Result<&'static QueueHead, String> {
    let agent = machine.agent(role)?;
    let slots = SLOTS.clamp(agent.queue_slots.0.max(1), agent.queue_slots.1.max(1));
    let mut queue: *mut Queue = std::ptr::null_mut();
    let data = lane::of_role(role) as *mut c_void;
    // SAFETY: the callback is a function that takes the lane's number as data.
    machine.check("hsa_queue_create", unsafe {
        (machine.functions.hsa_queue_create)(
            agent.handle,
            slots,
            sys::QUEUE_SINGLE,
            Some(on_error),
            data,
            u32::MAX,
            u32::MAX,
            &raw mut queue,
        )
    })?;
    // SAFETY: the library's queue, which is never destroyed; the type has the layout of `hsa_queue_t`.
    unsafe { queue.cast::<QueueHead>().as_ref() }.ok_or_else(|| "hsa_queue_create gave no queue".into())
}

/// Makes a signal.
pub fn signal(machine: &Machine, initial: i64) -> Result<Signal, String> {
    let mut signal = sys::Signal(0);
    // SAFETY: the library writes a handle; without consumers everyone may wait for it.
    machine.check("hsa_signal_create", unsafe {
        (machine.functions.hsa_signal_create)(initial, 0, std::ptr::null(), &raw mut signal)
    })?;
    Ok(Signal(signal.0))
}

fn signal_create(initial: i64) -> Result<Signal, String> {
    signal(machine(), initial)
}

fn write_index(queue: &QueueHead, index: u64) {
    // SAFETY: the queue is the library's.
    unsafe {
        (machine().functions.hsa_queue_store_write_index_relaxed)(std::ptr::from_ref(queue).cast(), index);
    }
}

/// An NPU's doorbell with release order has the host's cache cleaned; a GPU's always has release order, for it takes
/// what the host wrote by its packets' acquires.
fn ring(queue: &QueueHead, newest: u64, npu: bool, clean: bool) {
    let f = &machine().functions;
    let (doorbell, value) = (sys::Signal(queue.doorbell.0), newest as i64);
    // SAFETY: the doorbell is the queue's.
    unsafe {
        if npu && !clean {
            (f.hsa_signal_store_relaxed)(doorbell, value);
        } else {
            (f.hsa_signal_store_screlease)(doorbell, value);
        }
    }
}

fn signal_peek(signal: Signal) -> i64 {
    // SAFETY: the signal is from `signal`.
    unsafe { (machine().functions.hsa_signal_load_relaxed)(sys::Signal(signal.0)) }
}

fn signal_store(signal: Signal, value: i64) {
    // SAFETY: as above.
    unsafe { (machine().functions.hsa_signal_store_relaxed)(sys::Signal(signal.0), value) }
}

fn signal_wait_below(signal: Signal, than: i64, nanoseconds: u64) -> i64 {
    // SAFETY: as above. The hint is in the units of the system's time stamp, nanoseconds or coarser: waits may be
    // longer, and all waits here are in a loop.
    unsafe {
        (machine().functions.hsa_signal_wait_scacquire)(
            sys::Signal(signal.0),
            sys::CONDITION_LT,
            than,
            nanoseconds,
            sys::WAIT_BLOCKED,
        )
    }
}

fn kernarg(_: Role, bytes: usize) -> Result<*mut u8, String> {
    memory::kernarg(machine(), bytes)
}

fn code(role: Role, dispatch: &'static Dispatch) -> Result<Code, String> {
    let machine = machine();
    code::of(machine, machine.agent(role)?, dispatch)
}

/// A queue can go no further: which kernel was it, and what does the library say?
unsafe extern "C" fn on_error(status: Status, _: *mut Queue, data: *mut c_void) {
    let Backing::Hsa(machine) = backing() else { return };
    let what = discover::status_text(&machine.functions, "its queue", status);
    stopped::record_failure(
        lane::oldest(data as usize),
        lane::role(data as usize),
        &format!("the device failed: {what}"),
    );
}

/// Memory faults are reported for the whole process; the kernel is one of those that run.
///
/// # Safety
/// Called by the library, with a valid event.
pub unsafe extern "C" fn on_event(event: *const Event, _: *mut c_void) -> Status {
    // SAFETY: the library gives a valid event.
    let event = unsafe { &*event };
    if event.kind != sys::EVENT_MEMORY_FAULT {
        return sys::SUCCESS;
    }
    let Backing::Hsa(machine) = backing() else { return sys::SUCCESS };
    let device = machine.gpus.iter().position(|a| a.handle == event.agent).unwrap_or(0);
    let what = format!(
        "the device failed: a kernel touched the address {:#x}, which is no memory of its buffers",
        event.address
    );
    for queue in 0..lane::QUEUES {
        let number = lane::of_role(Role::Gpu { device: device as u8, queue: queue as u8 });
        if let Some(dispatch) = lane::oldest(number) {
            stopped::record_failure(Some(dispatch), lane::role(number), &what);
            return sys::SUCCESS;
        }
    }
    stopped::record_failure(None, Role::Gpu { device: device as u8, queue: 0 }, &what);
    sys::SUCCESS
}

//! The host executor: plays GPU and NPU with one thread for each queue.
//!
//! A thread takes its queue's packets in order, as the packets say: barrier-and packets wait for their signals, kernel
//! packets run the kernel's host form (whose loops are shared with the worker pool). The host's memory is coherent, so
//! acquire is the load of the header, release the store to the completion signal.

use super::table::{self, HsaApi, Packet, QueueHead, Role, Signal};
use super::{host_code, lane};
use crate::abi::Dispatch;
use crate::futex::{self, Spin};
use crate::hsa::code::Code;
use crate::trace;
use std::alloc::Layout;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, Ordering};

pub static API: HsaApi = HsaApi {
    name: "host executor",
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

/// Slots of a ring: few, so that starting an agent touches little memory.
const SLOTS: u32 = 256;

/// Microseconds that an agent's thread looks at its doorbell, and a waiter at a signal, before it sleeps.
const SPIN: u64 = 10;

/// A signal: the value, and a word to sleep on that changes with it while there are sleepers.
struct HostSignal {
    value: AtomicI64,
    changes: AtomicU32,
    sleepers: AtomicU32,
}

fn signal_create(initial: i64) -> Result<Signal, String> {
    Ok(new_signal(initial))
}

fn new_signal(initial: i64) -> Signal {
    let signal = Box::new(HostSignal {
        value: AtomicI64::new(initial),
        changes: AtomicU32::new(0),
        sleepers: AtomicU32::new(0),
    });
    Signal(Box::into_raw(signal) as u64)
}

fn resolve(signal: Signal) -> &'static HostSignal {
    // SAFETY: handles come from `signal_create`, and signals are never freed.
    unsafe { &*(signal.0 as *const HostSignal) }
}

fn signal_peek(signal: Signal) -> i64 {
    resolve(signal).value.load(Ordering::Acquire)
}

fn signal_store(signal: Signal, value: i64) {
    let signal = resolve(signal);
    signal.value.store(value, Ordering::SeqCst);
    notify(signal);
}

fn notify(signal: &HostSignal) {
    if signal.sleepers.load(Ordering::SeqCst) > 0 {
        signal.changes.fetch_add(1, Ordering::SeqCst);
        futex::wake(&signal.changes, i32::MAX);
    }
}

/// Waits until the value satisfies `done`; gives up after the limit (0: never).
fn wait_until(signal: &HostSignal, nanoseconds: u64, done: impl Fn(i64) -> bool) -> i64 {
    let mut spin = Spin::new(SPIN);
    loop {
        let value = signal.value.load(Ordering::Acquire);
        if done(value) {
            return value;
        }
        if spin.again() {
            continue;
        }
        signal.sleepers.fetch_add(1, Ordering::SeqCst);
        let seen = signal.changes.load(Ordering::SeqCst);
        let value = signal.value.load(Ordering::SeqCst);
        if !done(value) {
            futex::wait(&signal.changes, seen, nanoseconds);
        }
        signal.sleepers.fetch_sub(1, Ordering::SeqCst);
        if nanoseconds != 0 {
            return signal.value.load(Ordering::Acquire);
        }
    }
}

fn signal_wait_below(signal: Signal, than: i64, nanoseconds: u64) -> i64 {
    wait_until(resolve(signal), nanoseconds, |value| value < than)
}

fn queue_create(role: Role) -> Result<&'static QueueHead, String> {
    let size = SLOTS;
    let packets: Vec<Packet> = (0..size)
        .map(|_| Packet {
            header: AtomicU16::new(table::INVALID),
            setup: 0,
            body: table::Body {
                barrier: table::BarrierBody { reserved: 0, dependencies: [Signal(0); table::DEPENDENCIES] },
            },
            reserved: 0,
            completion: Signal(0),
        })
        .collect();
    let queue: &'static QueueHead = Box::leak(Box::new(QueueHead {
        kind: 1,
        features: 1,
        base: Box::leak(packets.into_boxed_slice()).as_mut_ptr(),
        doorbell: new_signal(-1),
        size,
        reserved: 0,
        id: 0,
    }));
    let name = format!("clef-{role}").to_lowercase().replace(' ', "-");
    let started = std::thread::Builder::new()
        .name(name)
        .stack_size(8 << 20)
        .spawn(move || serve(queue, lane::of_role(role)));
    started.map_err(|e| format!("no thread could be started for the {role}: {e}"))?;
    Ok(queue)
}

/// The thread looks at headers, not at the index.
fn write_index(_: &QueueHead, _: u64) {}

fn ring(queue: &QueueHead, newest: u64, _: bool, _: bool) {
    let doorbell = resolve(queue.doorbell);
    doorbell.value.store(newest as i64, Ordering::SeqCst);
    notify(doorbell);
}

fn kernarg(_: Role, bytes: usize) -> Result<*mut u8, String> {
    // Aligned by hand: the allocator gives zeroed pages untouched only where it need not align.
    const ALIGN: usize = 64;
    let layout = Layout::from_size_align(bytes.saturating_add(ALIGN), 16).map_err(|e| e.to_string())?;
    // SAFETY: the size is not zero.
    let block = unsafe { std::alloc::alloc_zeroed(layout) };
    if block.is_null() {
        return Err("out of memory".into());
    }
    Ok(block.wrapping_add(block.align_offset(ALIGN)))
}

fn code(_: Role, dispatch: &'static Dispatch) -> Result<Code, String> {
    // SAFETY: descriptors are static and well-formed.
    let n = unsafe { (*dispatch.kernel).n_params as usize };
    Ok(Code {
        object: host_code::run as *const () as u64,
        kernarg_bytes: host_code::bytes(n) as u32,
        ..Code::default()
    })
}

/// The life of a queue's thread.
fn serve(queue: &'static QueueHead, number: usize) {
    let doorbell = resolve(queue.doorbell);
    let mut read = 0_u64;
    loop {
        // SAFETY: the index is masked, the ring lives for ever.
        let packet = unsafe { queue.base.add((read & u64::from(queue.size - 1)) as usize) };
        // SAFETY: as above; the header is atomic.
        let header = unsafe { &(*packet).header };
        let word = header.load(Ordering::Acquire);
        if word & table::TYPE_MASK == table::INVALID {
            wait_until(doorbell, 0, |newest| newest >= read as i64);
            continue;
        }
        // SAFETY: the header says that the packet is complete, and its type.
        let completion = unsafe {
            if word & table::TYPE_MASK == table::BARRIER_AND {
                let begun = trace::begin();
                for signal in (*packet).body.barrier.dependencies {
                    if signal.0 != 0 {
                        signal_wait_below(signal, 1, 0);
                    }
                }
                trace::barrier(begun, number);
            } else {
                run_kernel(&(*packet).body.kernel);
            }
            (*packet).completion
        };
        header.store(table::INVALID, Ordering::Release);
        read += 1;
        let completion = resolve(completion);
        completion.value.fetch_sub(1, Ordering::SeqCst);
        notify(completion);
    }
}

unsafe fn run_kernel(body: &table::KernelBody) {
    // SAFETY: `code` made the object, and the arguments live until completion.
    unsafe {
        let run: crate::abi::HostFunction = std::mem::transmute(body.object as usize);
        run(body.kernarg as *const u8);
    }
}

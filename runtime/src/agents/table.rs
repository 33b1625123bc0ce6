//! The table behind which agents are: queues of packets and signals, in the shapes of HSA.
//!
//! What is above ([`super::lane`]) writes packets and waits for signals through this table only. The host executor
//! ([`super::executor`]) is one implementation; a loaded `libhsa-runtime64` can be another without a change above.

use std::sync::atomic::{AtomicU16, AtomicU64};

/// Who takes a queue's packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Gpu { device: u8, queue: u8 },
    Npu,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Role::Gpu { device: 0, queue: 0 } => f.write_str("GPU"),
            Role::Gpu { device, queue } => write!(f, "GPU {device}.{queue}"),
            Role::Npu => f.write_str("NPU"),
        }
    }
}

/// `hsa_signal_t`: a number that agents change and others wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Signal(pub u64);

/// Packet types, bits 7:0 of the header.
pub const INVALID: u16 = 1;
pub const KERNEL_DISPATCH: u16 = 2;
pub const BARRIER_AND: u16 = 3;
/// The type's bits.
pub const TYPE_MASK: u16 = 0xff;
/// Header of a barrier-and packet without scopes: barrier bit set.
pub const BARRIER_HEADER: u16 = BARRIER_AND | 1 << 8;

/// Dependencies of one barrier-and packet.
pub const DEPENDENCIES: usize = 5;

/// A slot of a queue's ring. The header is stored last, with release order; what is behind it depends on the type.
#[repr(C, align(64))]
pub struct Packet {
    pub header: AtomicU16,
    /// Kernel: number of dimensions.
    pub setup: u16,
    pub body: Body,
    pub reserved: u64,
    pub completion: Signal,
}

#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub union Body {
    pub kernel: KernelBody,
    pub barrier: BarrierBody,
}

/// Bytes 4..48 of `hsa_kernel_dispatch_packet_t`.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct KernelBody {
    pub workgroup: [u16; 3],
    pub reserved: u16,
    pub grid: [u32; 3],
    pub private_bytes: u32,
    pub group_bytes: u32,
    /// Host executor: address of the [`crate::abi::Dispatch`].
    pub object: u64,
    /// Address of the resolved arguments.
    pub kernarg: u64,
}

/// Bytes 4..48 of `hsa_barrier_and_packet_t`.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct BarrierBody {
    pub reserved: u32,
    pub dependencies: [Signal; DEPENDENCIES],
}

/// The visible part of a queue, as `hsa_queue_t`.
#[repr(C)]
pub struct QueueHead {
    pub kind: u32,
    pub features: u32,
    pub base: *mut Packet,
    pub doorbell: Signal,
    /// Slots; a power of two.
    pub size: u32,
    pub reserved: u32,
    pub id: u64,
    pub write_index: AtomicU64,
    pub read_index: AtomicU64,
}

// SAFETY: shared between one producer and one consumer, which hand slots over by header and indices.
unsafe impl Sync for QueueHead {}
// SAFETY: as above.
unsafe impl Send for QueueHead {}

/// The functions of an implementation.
pub struct HsaApi {
    pub name: &'static str,
    pub queue_create: fn(role: Role, size: u32) -> Result<&'static QueueHead, String>,
    pub signal_create: fn(initial: i64) -> Signal,
    /// Acquire order.
    pub signal_load: fn(Signal) -> i64,
    /// Release order; wakes waiters. On a doorbell: index of the newest packet.
    pub signal_store: fn(Signal, i64),
    /// Waits, with acquire order, until the value is below `than`, or about `nanoseconds` have passed; the value.
    pub signal_wait_below: fn(Signal, than: i64, nanoseconds: u64) -> i64,
}

const _: () = {
    assert!(size_of::<Packet>() == 64);
    assert!(std::mem::offset_of!(Packet, completion) == 56);
    assert!(std::mem::offset_of!(Packet, body) == 4);
    assert!(std::mem::offset_of!(KernelBody, kernarg) == 40 - 4);
    assert!(std::mem::offset_of!(BarrierBody, dependencies) == 8 - 4);
};

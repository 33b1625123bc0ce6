//! The table behind which agents are: queues of packets and signals, in the shapes of HSA.
//!
//! What is above ([`super::lane`]) writes packets and waits for signals through this table only. The host executor
//! ([`super::executor`]) is one implementation, a loaded `libhsa-runtime64` ([`crate::hsa`]) the other.

use crate::abi::Dispatch;
use crate::hsa::code::Code;
use std::sync::atomic::AtomicU16;

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

/// No signal.
pub const NO_SIGNAL: Signal = Signal(0);

/// Packet types, bits 7:0 of the header.
pub const INVALID: u16 = 1;
pub const KERNEL_DISPATCH: u16 = 2;
pub const BARRIER_AND: u16 = 3;
/// The type's bits.
pub const TYPE_MASK: u16 = 0xff;
/// The barrier bit: the packet starts when all before it in the queue have ended.
pub const BARRIER_BIT: u16 = 1 << 8;

/// Scopes of a packet's fences.
pub const SCOPE_NONE: u16 = 0;
pub const SCOPE_AGENT: u16 = 1;
pub const SCOPE_SYSTEM: u16 = 2;

/// The header of a packet of a type, barrier bit set, with its acquire and release scopes.
pub const fn header(kind: u16, acquire: u16, release: u16) -> u16 {
    kind | BARRIER_BIT | acquire << 9 | release << 11
}

/// Header of a barrier-and packet without scopes: what it waits for is published by the packets themselves.
pub const BARRIER_HEADER: u16 = header(BARRIER_AND, SCOPE_NONE, SCOPE_NONE);

/// Header of an NPU's packet: type 0 (ready), both scopes system. The NPU's queue looks at the type only.
pub const AIE_READY: u16 = SCOPE_SYSTEM << 9 | SCOPE_SYSTEM << 11;
/// `count` of an NPU's packet.
pub const AIE_COUNT: u16 = 24;

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
    /// What the agent's code object gave for the kernel.
    pub object: u64,
    /// Address of the kernel's arguments.
    pub kernarg: u64,
}

/// Bytes 4..48 of `hsa_barrier_and_packet_t`.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct BarrierBody {
    pub reserved: u32,
    pub dependencies: [Signal; DEPENDENCIES],
}

/// `hsa_amd_aie_kernel_dispatch_packet_t`: what an NPU's queue takes. The header is stored last here too.
#[repr(C, align(64))]
pub struct AiePacket {
    pub header: AtomicU16,
    pub opcode: u16,
    pub count: u16,
    pub reserved: u16,
    pub completion: Signal,
    pub reserved2: u32,
    pub insts_low: u32,
    pub insts_high: u32,
    pub n_kernargs: u16,
    pub reserved3: u16,
    /// `n_kernargs` addresses, then as many sizes in bytes.
    pub kernarg: u64,
    pub insts_bytes: u64,
    pub pdi: u64,
    pub reserved4: u64,
}

/// `hsa_queue_t`.
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
}

// SAFETY: shared between one producer and one consumer, which hand slots over by header and indices.
unsafe impl Sync for QueueHead {}
// SAFETY: as above.
unsafe impl Send for QueueHead {}

/// Header of a barrier-and packet that has a kernel's place where nothing is to be run: with the kernel's fences.
pub const fn in_place_of(kernel: u16) -> u16 {
    kernel & !TYPE_MASK | BARRIER_AND
}

/// The functions of an implementation.
pub struct HsaApi {
    pub name: &'static str,
    pub queue_create: fn(role: Role) -> Result<&'static QueueHead, String>,
    /// Packets below this index are written, or being written.
    pub write_index: fn(&QueueHead, u64),
    /// The doorbell: packets up to this index are there. `clean`: with the host's cache cleaned, for an NPU.
    pub ring: fn(&QueueHead, newest: u64, npu: bool, clean: bool),
    pub signal_create: fn(initial: i64) -> Result<Signal, String>,
    /// The value, without an acquire: what the agent wrote may not be visible yet.
    pub signal_peek: fn(Signal) -> i64,
    /// Before the packet that has the signal is published.
    pub signal_store: fn(Signal, i64),
    /// Waits, with acquire order, until the value is below `than`, or about `nanoseconds` have passed; the value.
    pub signal_wait_below: fn(Signal, than: i64, nanoseconds: u64) -> i64,
    /// Memory for kernel arguments that the agent can read, aligned to 64; kept as long as the process.
    pub kernarg: fn(role: Role, bytes: usize) -> Result<*mut u8, String>,
    /// The kernel of a dispatch in the agent's form.
    pub code: fn(role: Role, &'static Dispatch) -> Result<Code, String>,
}

const _: () = {
    assert!(size_of::<Packet>() == 64);
    assert!(std::mem::offset_of!(Packet, completion) == 56);
    assert!(std::mem::offset_of!(Packet, body) == 4);
    assert!(std::mem::offset_of!(KernelBody, kernarg) == 40 - 4);
    assert!(std::mem::offset_of!(BarrierBody, dependencies) == 8 - 4);
    assert!(size_of::<AiePacket>() == 64);
    assert!(std::mem::offset_of!(AiePacket, completion) == 8);
    assert!(std::mem::offset_of!(AiePacket, n_kernargs) == 28);
    assert!(std::mem::offset_of!(AiePacket, kernarg) == 32);
    assert!(std::mem::offset_of!(AiePacket, insts_bytes) == 40);
    assert!(std::mem::offset_of!(AiePacket, pdi) == 48);
    assert!(size_of::<QueueHead>() == 40);
};

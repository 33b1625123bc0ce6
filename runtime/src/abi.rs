//! The C ABI between compiled programs and the runtime: static descriptors and value layouts.
//!
//! The back end emits these structures as constants; field order and sizes are fixed here and nowhere else. A test
//! in the back end holds its copy of the offsets against this file.
//!
//! # Values
//!
//! Scalars are themselves (`bool` is one byte, `char` 32 bits). Heap objects begin with a [`Header`]; a reference is
//! the object's address. References count holders; a negative count marks a static object that is never freed. The
//! compiled code counts; runtime functions *borrow* their arguments and *give* their results, unless they say else.
//!
//! | value | layout behind the header |
//! |---|---|
//! | string | `len: i64` (bytes), the bytes, a NUL |
//! | array | `len: i64` (elements), the elements from offset 16 |
//! | closure | code address (first argument: the closure object), then the captures |
//! | boxed aggregate | its fields |
//!
//! # Calls
//!
//! An intrinsic named `a.b` in the graph is the C function `clef_a_b` with the operands as C values. Functions that
//! can stop the program take a trailing [`Loc`].

use std::ffi::c_char;

/// Head of every counted object.
#[repr(C)]
pub struct Header {
    /// Number of references; negative: static.
    pub count: i32,
    /// Chosen by the compiled code (the case of a union, the size of the cell).
    pub tag: u32,
}

/// Head of strings and arrays.
#[repr(C)]
pub struct Sequence {
    pub header: Header,
    pub len: i64,
}

/// A place in the source.
#[repr(C)]
pub struct Loc {
    pub file: *const c_char,
    pub line: u32,
    pub column: u32,
}

/// A resolved kernel argument: what kernel code on the host receives, one for each parameter.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Arg {
    /// Buffer: address of its first byte for the executing agent. Scalar: its bits, zero-extended.
    pub value: u64,
    /// Buffer: number of elements. Scalar: 0.
    pub len: u64,
}

/// Runs the whole kernel on the host; its parallel loops call `clef_parallel`.
pub type HostKernel = unsafe extern "C" fn(args: *const Arg);

/// Body of an outlined parallel loop: the items `begin..end` of the flattened domain's outermost dimension.
pub type ParallelBody = unsafe extern "C" fn(env: *const u8, begin: i64, end: i64);

/// Number of work-items in each dimension of a phase (1 for absent ones, 0 or less: nothing to do).
pub type ExtentFn = unsafe extern "C" fn(args: *const Arg, out: *mut i64);

#[repr(C)]
pub struct Kernel {
    pub name: *const c_char,
    pub params: *const Param,
    pub n_params: u32,
    /// Launches on a GPU, in order; none where the kernel has no GPU form.
    pub n_phases: u32,
    pub phases: *const Phase,
    pub host: Option<HostKernel>,
    /// Path of a prebuilt object, or null.
    pub object: *const c_char,
    /// What the NPU's own compiler made of it, or null.
    pub npu: *const NpuFiles,
}

impl Kernel {
    /// Launches on a GPU that have SPIR-V; all of a kernel's do, or none.
    pub fn vulkan_phases(&self) -> &'static [Phase] {
        if self.n_phases == 0 {
            return &[];
        }
        // SAFETY: descriptors are static and well-formed.
        let phases = unsafe { std::slice::from_raw_parts(self.phases, self.n_phases as usize) };
        if phases.iter().all(|phase| !phase.spirv.is_null()) { phases } else { &[] }
    }
}

/// A kernel for the NPU: the image of the array (PDI), and the instructions that start it. A program with some has the
/// symbol `clef_npu_kernels`.
#[repr(C)]
pub struct NpuFiles {
    pub image: *const u8,
    pub image_bytes: u64,
    pub insts: *const u8,
    pub insts_bytes: u64,
    /// 1: behind its buffers the kernel takes an [`NpuStatus`].
    pub status: u64,
}

/// What a kernel on an NPU writes at its end.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct NpuStatus {
    /// [`Status::kind`], and from bit 8 [`Status::file`].
    pub kind: u32,
    /// Line, and from bit 20 the column.
    pub place: u32,
    pub index: i32,
    pub len: i32,
}

impl From<NpuStatus> for Status {
    fn from(of: NpuStatus) -> Self {
        Self {
            kind: of.kind & 0xff,
            line: of.place & 0xf_ffff,
            column: of.place >> 20,
            file: of.kind >> 8,
            index: of.index.into(),
            len: of.len.into(),
        }
    }
}

#[repr(C)]
pub struct Param {
    /// 0 scalar, 1 buffer.
    pub kind: u8,
    /// Bytes of the scalar or of one element.
    pub size: u8,
    /// Bit 0: read, bit 1: written, bit 2: every element is written for certain when the whole buffer is given.
    /// Adversarial memory judges races by this: a parameter that is only written must not have bit 0.
    pub effect: u8,
    pub reserved: u8,
}

/// One launch of a kernel on a GPU.
#[repr(C)]
pub struct Phase {
    pub extent: Option<ExtentFn>,
    /// Null where the program has none.
    pub spirv: *const u32,
    /// Bytes.
    pub spirv_len: u64,
    /// Entry point in the SPIR-V module and in code objects.
    pub entry: *const c_char,
    /// Indices of the domain that a workgroup takes on in x, y, z.
    pub local: [u32; 3],
    /// Push constants hold, in order: each parameter (buffer: address and element count, 16 bytes; scalar: 8 bytes),
    /// the extents (3 × 8 bytes), and the address of a [`Status`] block (8 bytes). This is their length in bytes. If
    /// it exceeds 128, they hold one address (8 bytes) of a block with that content instead. On AMDGPU they are the
    /// kernel's explicit arguments, whatever their length.
    pub push_len: u32,
    /// Work-items of a workgroup in x, y, z, as packets say it; then a zero.
    pub items: [u16; 4],
}

/// What a GPU kernel that had to stop writes (the first work-item that does so; zeroed before a launch, read after
/// the wait). The work-item goes on with zeros; its results do not count. 16 bytes of zeros follow the block,
/// on a multiple of 16: what is read at an index out of range.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Status {
    /// 0: nothing happened; 1: index out of range; 2: division by zero; 3: a failed match or `failwith`.
    pub kind: u32,
    /// Place in the kernel's file.
    pub line: u32,
    pub column: u32,
    /// Index into the program's file names, see `clef_files`.
    pub file: u32,
    pub index: i64,
    pub len: i64,
}

/// What the program remembers of one dispatch in the source: the newest execution.
#[repr(C)]
#[derive(Default)]
pub struct Site {
    /// Sequence number on its queue of the newest dispatch from here; 0: none yet. Written by the runtime.
    pub sequence: u64,
    /// Queue index + 1 in the runtime's table; 0: none yet.
    pub queue: u32,
    pub reserved: u32,
}

/// One dispatch in the source, with its part of the fence plan.
#[repr(C)]
pub struct Dispatch {
    pub kernel: *const Kernel,
    pub site: *mut Site,
    /// Dispatches of other queues that this one must follow (barrier-and packets, semaphores).
    pub after: *const After,
    pub n_after: u32,
    /// 0 CPU, 1 GPU, 2 NPU.
    pub agent: u8,
    pub device: u8,
    pub queue: u8,
    /// Bit 0: clean the host's cache at the doorbell (HSA route). Bit 1: the same on the Vulkan route. Bit 2: pipeline
    /// barrier before it. Bit 3: pipeline barrier behind it.
    pub flags: u8,
    /// AQL packet header: type, barrier bit, acquire and release scopes.
    pub header: u16,
    pub reserved: [u16; 3],
    pub loc: Loc,
}

#[repr(C)]
pub struct After {
    pub site: *const Site,
    /// Routes whose plan has it: bit 0 HSA and host executor, bit 1 Vulkan.
    pub routes: u32,
    pub reserved: u32,
}

pub const FLAG_CLEAN_HSA: u8 = 1;
pub const FLAG_CLEAN_VULKAN: u8 = 2;
pub const FLAG_BARRIER_BEFORE: u8 = 4;
pub const FLAG_BARRIER_BEHIND: u8 = 8;

pub const ROUTE_HSA: u32 = 1;
pub const ROUTE_VULKAN: u32 = 2;

// Functions of the dispatch ABI (implemented in `agents`):
//
//   void clef_dispatch(const Dispatch* d, const uint64_t* args);
//       args: one word a parameter; buffers by the address that the program holds (the host's). Agent CPU: runs in
//       place. Copies what it needs from args before it returns.
//   void clef_wait(const After* sites, uint32_t n, const Loc* loc);
//       Waits until the newest dispatch of each site (whose routes include the active one) has ended.
//   void clef_batch_begin(void);  void clef_batch_end(void);
//       Between them packets are written and doorbells stay silent: for runs of dispatches with nothing between them.
//   void clef_parallel(ParallelBody body, const void* env, int64_t items, int64_t cost);
//       Runs body over 0..items, split over threads; returns when all is done. cost: estimated work of one item, in
//       scalar operations.
//   void* clef_alloc_unified(int64_t bytes, uint32_t agents, uint32_t hint, const Loc* loc);
//       agents: bit 0 CPU, 1 NPU, 8+n GPU n. hint: 0 PreferCPU, 1 PreferGPU, 2 PreferNPU, 3 BalancedAccess.
//   void clef_buffer_retain(void* address); void clef_buffer_release(void* address);
//   void clef_host_access(void* address, uint64_t bytes, uint32_t write, const Loc* loc);
//       Only in programs built for adversarial memory: before each host access of a buffer's bytes.
//   void clef_start(int argc, char** argv);  int clef_finish(int code);
//       clef_finish waits for all pending work and reports kernels that stopped; what it returns is the exit code.
//   noreturn clef_exit(int code);               clef_finish, then the end of the process.

// Functions that compiled code calls without an intrinsic's name. `Loc` is a trailing `const Loc*`:
//
//   void* clef_alloc(int64_t bytes);  void clef_free(void* p, int64_t bytes);      (never null; not zeroed)
//       bytes of clef_free: as asked for, or another number with the same multiple of 8 above it (up to 1024).
//   void* clef_realloc(void* p, int64_t old, int64_t new);
//   void clef_free_deferred(void* object, void (*destructor)(void*));
//       Runs destructor(object) now, or, from inside another such call, behind it: long chains without deep stacks.
//   Heap* clef_heap(void);    the thread's free lists, for inlined allocation: see `memory`.
//   noreturn clef_panic_bounds(int64_t index, int64_t length, Loc);
//   noreturn clef_panic_divide(Loc);            noreturn clef_panic_match(Loc);
//   noreturn clef_panic_step(Loc);              noreturn clef_panic_length(int64_t length, Loc);
//   noreturn clef_panic_fail(string* message, Loc);
//   void clef_print(string*);  void clef_eprint(string*);
//   string* clef_concat(int64_t n, string** parts);
//   string* clef_append(string* taken, int64_t n, string** parts);
//   string* clef_format_int(int64_t value, const Format*);     (value extended to 64 bits by its signedness)
//   string* clef_format_float(double value, const Format*);  string* clef_format_bool(bool, const Format*);
//   string* clef_format_char(uint32_t, const Format*);       string* clef_format_string(string*, const Format*);
//   string* clef_string_get... : `s.[i]` is compiled inline; on a byte above 127: noreturn clef_panic_not_ascii(int64_t index, Loc);
//   array* clef_args(int argc, char** argv);    an array of strings, without the program's name
//
// Intrinsics (`clef_a_b`) get their operands in order, then always a trailing Loc (which a function may leave
// undeclared: an extra register argument does no harm). A small aggregate that is not a pointer (`option<int>`) is
// passed as a pointer to it; such a result is written through a pointer given first.

/// How to format a value.
#[repr(C)]
pub struct Format {
    /// The conversion letter: `d i u x X o b f e g s c A O`...
    pub conversion: u32,
    pub width: u16,
    /// -1: none.
    pub precision: i16,
    /// Bit 0 left, 1 zero, 2 plus, 3 space.
    pub flags: u8,
    /// Of the value formatted: 8, 16, 32 or 64.
    pub bits: u8,
    /// The integer is unsigned.
    pub is_unsigned: u8,
    pub reserved: u8,
}

/// The program's kernels for one chip: `clef_code_objects` is the number of these (64 bits), and they follow. Names of
/// kernels in it are those of [`Phase::entry`]; arguments are what [`Phase::push_len`] says, in memory, and behind them
/// what the chip's ABI has there.
#[repr(C)]
pub struct CodeObject {
    /// Name of the instruction set, as HSA's agents have it.
    pub isa: *const c_char,
    pub bytes: *const u8,
    pub len: u64,
}

/// A kernel as agents with the instruction set `clef-host` take it: called with the address of its arguments.
pub type HostFunction = unsafe extern "C" fn(kernarg: *const u8);

pub const HOST_CODE: &[u8; 8] = b"CLEFHOST";

/// The "code object" of the instruction set `clef-host`: a table of functions of this process. Agents that have it are
/// those of the testing library; a real GPU's code object is an ELF file.
#[repr(C)]
pub struct HostCode {
    pub magic: [u8; 8],
    /// 1.
    pub version: u32,
    pub count: u32,
    pub entries: *const HostEntry,
}

/// A kernel in [`HostCode`]. Parameter `n` is an [`Arg`] at byte `first + 16 * n` of the arguments.
#[repr(C)]
pub struct HostEntry {
    pub name: *const c_char,
    pub entry: HostFunction,
    pub kernarg_bytes: u32,
    pub first: u32,
    pub params: *const Param,
    pub n_params: u32,
    pub reserved: u32,
}

//
// Symbols of the compiled program that the runtime reads where they exist:
//   const char* const clef_files[]; const uint32_t clef_n_files;   names for Status::file
//   const uint32_t clef_npu_kernels;   how many kernels have files for the NPU
//   const uint64_t clef_code_objects[];   see `CodeObject`
//   const char clef_default_agents[];   "vulkan", "hsa" or "any": who plays the GPU where CLEF_AGENTS does not say

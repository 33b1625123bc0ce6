//! Memory of compiled programs: size classes with a free list per thread, in front of the C library's allocator.
//!
//! - Up to [`SMALL`] bytes: rounded up to a multiple of 8, one free list for each size, cut from chunks. A block is
//!   given back with the size that was asked for (or any other that rounds to the same multiple), so it needs no head.
//!   Blocks are aligned to 8.
//! - Above: `malloc` and `free`.
//!
//! A thread's state is one [`Heap`], reached through [`clef_heap`]; compiled code may inline allocation against it:
//! load `free[class]`; if it is not null, store the block's first word there, and the block is yours. Freeing is the
//! reverse. What is alive is what was cut less what is in the free lists, counted when asked for. A block that another
//! thread frees stays with that thread. Chunks are never returned to the system, and the heap of a thread that ends is
//! kept (the runtime's own threads never end).
//!
//! Running out of memory stops the program with a message; no function here returns null.

use crate::{output, stop};
use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The largest size, in bytes, that has a free list.
pub const SMALL: usize = 1024;
/// Sizes are multiples of it.
const UNIT: usize = 8;
/// Free lists: class `n` has blocks of `8 * n` bytes. Class 0 is unused; its counter is that of large blocks.
pub const CLASSES: usize = SMALL / UNIT + 1;
/// Bytes that are cut into blocks of a size at once.
const BATCH: usize = 1024;

const FIRST_CHUNK: usize = 32 << 10;
const LARGEST_CHUNK: usize = 1 << 20;

/// A thread's memory. Layout is part of the ABI: `free` at offset 0.
#[repr(C)]
pub struct Heap {
    /// Heads of the free lists; a free block's first word is the next one.
    free: [*mut u8; CLASSES],
    /// Blocks cut so far, by class; of class 0, large blocks given out less those taken back.
    cut: [i64; CLASSES],
    bump: *mut u8,
    end: *mut u8,
    chunk: usize,
    /// The next heap in the list of all.
    next: *mut Heap,
}

/// All heaps ever made.
static HEAPS: AtomicPtr<Heap> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    static HEAP: Cell<*mut Heap> = const { Cell::new(ptr::null_mut()) };
    static DEFERRED: RefCell<Deferred> = const { RefCell::new(Deferred { active: false, waiting: Vec::new() }) };
}

/// Objects whose contents are still to be released, see [`clef_free_deferred`].
struct Deferred {
    active: bool,
    waiting: Vec<(Destructor, *mut u8)>,
}

/// Releases what an object holds and frees the object.
pub type Destructor = unsafe extern "C" fn(*mut u8);

/// This thread's heap. Valid as long as the thread is.
#[unsafe(no_mangle)]
pub extern "C" fn clef_heap() -> *mut Heap {
    let heap = HEAP.get();
    if heap.is_null() { new_heap() } else { heap }
}

#[cold]
#[inline(never)]
fn new_heap() -> *mut Heap {
    // SAFETY: a zeroed Heap is a valid one: all lists empty, no chunk.
    let heap = unsafe { libc::calloc(1, size_of::<Heap>()) }.cast::<Heap>();
    if heap.is_null() {
        out_of_memory(size_of::<Heap>());
    }
    // SAFETY: freshly made, and not yet shared.
    unsafe { (*heap).chunk = FIRST_CHUNK };
    let mut first = HEAPS.load(Ordering::Relaxed);
    loop {
        // SAFETY: as above.
        unsafe { (*heap).next = first };
        match HEAPS.compare_exchange_weak(first, heap, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(other) => first = other,
        }
    }
    HEAP.set(heap);
    heap
}

/// `bytes` of memory, not zeroed, aligned to 8.
#[unsafe(no_mangle)]
pub extern "C" fn clef_alloc(bytes: i64) -> *mut u8 {
    let bytes = bytes as usize;
    let class = bytes.wrapping_add(UNIT - 1) / UNIT;
    let heap = clef_heap();
    // SAFETY: the heap is this thread's own; blocks in a free list are unused and at least 8 bytes long.
    unsafe {
        if class.wrapping_sub(1) < CLASSES - 1 {
            let block = (*heap).free[class];
            if block.is_null() {
                return refill(heap, class);
            }
            (*heap).free[class] = block.cast::<*mut u8>().read();
            return block;
        }
        (*heap).cut[0] += 1;
        let block = libc::malloc(bytes.max(1));
        if block.is_null() {
            out_of_memory(bytes);
        }
        block.cast()
    }
}

/// Takes back what [`clef_alloc`] gave for as many bytes. Null is allowed.
///
/// # Safety
/// `block` came from `clef_alloc(bytes)` and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_free(block: *mut u8, bytes: i64) {
    if block.is_null() {
        return;
    }
    let class = (bytes as usize).wrapping_add(UNIT - 1) / UNIT;
    let heap = clef_heap();
    // SAFETY: the caller's promise.
    unsafe {
        if class.wrapping_sub(1) < CLASSES - 1 {
            block.cast::<*mut u8>().write((*heap).free[class]);
            (*heap).free[class] = block;
        } else {
            (*heap).cut[0] -= 1;
            libc::free(block.cast());
        }
    }
}

/// As `clef_alloc(new)`, a copy of what fits and `clef_free(old)`, in place where that is possible.
///
/// # Safety
/// As [`clef_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_realloc(block: *mut u8, old: i64, new: i64) -> *mut u8 {
    let (old_bytes, new_bytes) = (old as usize, new as usize);
    // SAFETY: the caller's promise.
    unsafe {
        if old_bytes > SMALL && new_bytes > SMALL {
            let moved = libc::realloc(block.cast(), new_bytes);
            if moved.is_null() {
                out_of_memory(new_bytes);
            }
            return moved.cast();
        }
        if old_bytes.div_ceil(UNIT) == new_bytes.div_ceil(UNIT) && old_bytes != 0 {
            return block;
        }
        let moved = clef_alloc(new);
        if !block.is_null() {
            ptr::copy_nonoverlapping(block, moved, old_bytes.min(new_bytes));
            clef_free(block, old);
        }
        moved
    }
}

/// As [`clef_realloc`] for a block that will grow again and again: a large one gets more room than it needs now, which
/// the C library remembers, so that growing step by step to `n` bytes copies a multiple of `n`.
///
/// # Safety
/// As [`clef_free`].
pub unsafe fn clef_grow(block: *mut u8, old: i64, new: i64) -> *mut u8 {
    let (old_bytes, new_bytes) = (old as usize, new as usize);
    // SAFETY: the caller's promise; blocks beyond `SMALL` are the C library's.
    unsafe {
        if old_bytes <= SMALL || new_bytes <= old_bytes {
            return clef_realloc(block, old, new);
        }
        if libc::malloc_usable_size(block.cast()) >= new_bytes {
            return block;
        }
        let moved = libc::realloc(block.cast(), new_bytes.max(old_bytes + old_bytes / 2));
        if moved.is_null() {
            out_of_memory(new_bytes);
        }
        moved.cast()
    }
}

/// Cuts blocks of a class from the chunk, or from a new one: gives one, and puts the others on the free list. The rest
/// of an old chunk goes to its free list.
#[cold]
#[inline(never)]
unsafe fn refill(heap: *mut Heap, class: usize) -> *mut u8 {
    let size = class * UNIT;
    // SAFETY: `bump..end` is unused memory of this thread's chunk.
    unsafe {
        let heap = &mut *heap;
        let left = heap.end as usize - heap.bump as usize;
        if left < size {
            if left >= UNIT {
                let rest = left / UNIT;
                heap.bump.cast::<*mut u8>().write(heap.free[rest]);
                heap.free[rest] = heap.bump;
                heap.cut[rest] += 1;
            }
            let bytes = heap.chunk;
            heap.chunk = (bytes * 2).min(LARGEST_CHUNK);
            heap.bump = libc::malloc(bytes).cast();
            if heap.bump.is_null() {
                out_of_memory(bytes);
            }
            heap.end = heap.bump.add(bytes);
        }
        let left = heap.end as usize - heap.bump as usize;
        let blocks = (left.min(BATCH.max(size)) / size).max(1);
        let block = heap.bump;
        heap.bump = block.add(blocks * size);
        heap.cut[class] += blocks as i64;
        for i in 1..blocks {
            let next = if i + 1 < blocks { block.add((i + 1) * size) } else { ptr::null_mut() };
            block.add(i * size).cast::<*mut u8>().write(next);
        }
        heap.free[class] = if blocks > 1 { block.add(size) } else { ptr::null_mut() };
        block
    }
}

/// Stops the program for want of memory.
#[cold]
pub fn out_of_memory(bytes: usize) -> ! {
    stop::fatal(format_args!("out of memory: {bytes} more bytes were asked for"))
}

/// Releases an object that may lie at the end of a long chain, without using the stack for the chain: runs
/// `destructor(object)` now, or after the one that is running on this thread.
///
/// # Safety
/// `destructor(object)` must be sound to call, once, later on this thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_free_deferred(object: *mut u8, destructor: Destructor) {
    let running = DEFERRED.with_borrow_mut(|d| {
        if d.active {
            d.waiting.push((destructor, object));
        }
        std::mem::replace(&mut d.active, true)
    });
    if running {
        return;
    }
    let mut next = Some((destructor, object));
    while let Some((destructor, object)) = next {
        // SAFETY: the caller's promise. No borrow of the list is held while it runs.
        unsafe { destructor(object) };
        next = DEFERRED.with_borrow_mut(|d| {
            let next = d.waiting.pop();
            d.active = next.is_some();
            next
        });
    }
}

/// Objects alive, by size in bytes (0: large ones), over all threads. Exact when no other thread runs.
pub fn live_objects() -> Vec<(usize, i64)> {
    let mut totals = [0_i64; CLASSES];
    let mut heap = HEAPS.load(Ordering::Acquire);
    while !heap.is_null() {
        // SAFETY: heaps are never freed; no other thread allocates meanwhile.
        unsafe {
            for (class, total) in totals.iter_mut().enumerate() {
                *total += (&raw const (*heap).cut[class]).read_volatile();
                let mut block = (&raw const (*heap).free[class]).read_volatile();
                while !block.is_null() {
                    *total -= 1;
                    block = block.cast::<*mut u8>().read();
                }
            }
            heap = (*heap).next;
        }
    }
    totals.iter().enumerate().filter(|(_, n)| **n != 0).map(|(class, n)| (class * UNIT, *n)).collect()
}

/// Lists what is still alive on standard error; whether there was something.
pub fn report_leaks() -> bool {
    let live = live_objects();
    for (size, n) in &live {
        let what =
            if *size == 0 { format!("of more than {SMALL} bytes") } else { format!("of {size} bytes") };
        output::message(format_args!("leak: {n} object(s) {what} never freed\n"));
    }
    !live.is_empty()
}

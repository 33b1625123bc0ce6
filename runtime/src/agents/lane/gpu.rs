//! What is special about a lane of a GPU with an instruction set of its own: a packet for each launch of a kernel, and
//! arguments as its code object has them.
//!
//! The kernel argument segment holds the words of the parameter block, as Vulkan's push constants do, and behind them the
//! implicit arguments of AMD's ABI, of which kernels read the number of workgroups. The plan's acquire is the first
//! packet's, its release the last one's; between them a launch sees what the one before it wrote, at agent scope.

use super::{Lane, Producer, header_of, note_uses};
use crate::abi::{Arg, Dispatch, FLAG_CLEAN_HSA, Phase, Status};
use crate::agents::table;
use crate::agents::{params, resolve};
use crate::hsa::code::Launch;
use crate::vulkan::push_bytes;
use crate::{buffers, trace};
use std::sync::atomic::Ordering;

/// Bytes of the implicit arguments that are written: workgroups (3 x 32 bits), their sizes (3 x 16), remainders (3 x 16),
/// and zeros up to the number of dimensions. Behind them is what kernels of this compiler never ask for.
const IMPLICIT: usize = 72;
const DIMENSIONS: usize = 64;

/// A launch that has something to do.
struct Run<'a> {
    launch: &'a Launch,
    phase: &'a Phase,
    extents: [i64; 3],
    /// Work-items of all workgroups.
    grid: [u32; 3],
}

impl Lane {
    /// Queues the launches of a kernel; the last packet's sequence number. The dispatch has been put in order.
    ///
    /// # Safety
    /// As [`super::submit`].
    pub(super) unsafe fn submit_launches(
        &self,
        producer: &mut Producer,
        number: usize,
        dispatch: &'static Dispatch,
        args: *const u64,
        launches: &[Launch],
    ) -> Result<u64, String> {
        let mut list = std::mem::take(&mut producer.args);
        let mut table = buffers::table();
        // SAFETY: the caller's promise; descriptors are static and well-formed.
        let (params, phases) = unsafe {
            let kernel = &*dispatch.kernel;
            let params = params(kernel);
            resolve(&mut table, dispatch, params, args, false, &mut list);
            (params, std::slice::from_raw_parts(kernel.phases, kernel.n_phases as usize))
        };
        let runs = runs(launches, phases, &list)?;
        if dispatch.flags & FLAG_CLEAN_HSA != 0 {
            self.clean.store(true, Ordering::Relaxed);
            trace::clean(dispatch);
        }
        let header = header_of(dispatch);
        let mut index = 0;
        for (n, run) in runs.iter().enumerate() {
            index = self.claim(producer)?;
            let at = self.at(index);
            self.slots[at].dispatch.store(std::ptr::from_ref(dispatch).cast_mut(), Ordering::Release);
            let status = self.status(index)?;
            // SAFETY: the block is the slot's, whose last packet has ended.
            unsafe { std::ptr::write_bytes(status as *mut u8, 0, size_of::<Status>() + 16) };
            let words = push_bytes(params, &list, run.extents, status);
            let kernarg = self.arguments(producer, at, &words, run)?;
            let body = table::KernelBody {
                workgroup: [run.phase.items[0], run.phase.items[1], run.phase.items[2]],
                reserved: 0,
                grid: run.grid,
                private_bytes: run.launch.private_bytes,
                group_bytes: run.launch.group_bytes,
                object: run.launch.object,
                kernarg: kernarg as u64,
            };
            let part = part(header, n == 0, n + 1 == runs.len());
            self.publish(index, part, 3, table::Body { kernel: body });
        }
        if runs.is_empty() {
            // Nothing to run; what follows may still count on the fences.
            index = self.claim(producer)?;
            self.slot(index).dispatch.store(std::ptr::null_mut(), Ordering::Release);
            let body =
                table::BarrierBody { reserved: 0, dependencies: [table::NO_SIGNAL; table::DEPENDENCIES] };
            self.publish(index, table::in_place_of(header), 0, table::Body { barrier: body });
        }
        // SAFETY: the caller's promise.
        unsafe { note_uses(&mut table, dispatch, args, number, index + 1) };
        drop(table);
        producer.args = list;
        self.announce();
        Ok(index + 1)
    }

    /// Writes the arguments of a launch into its slot's block.
    fn arguments(
        &self,
        producer: &mut Producer,
        at: usize,
        words: &[u8],
        run: &Run<'_>,
    ) -> Result<*mut u8, String> {
        let bytes = (run.launch.kernarg_bytes as usize).max(words.len() + IMPLICIT);
        let block = self.kernarg(producer, at, bytes)?;
        let mut implicit = [0_u8; IMPLICIT];
        for axis in 0..3 {
            let items = run.phase.items[axis].max(1);
            let groups = run.grid[axis] / u32::from(items);
            implicit[4 * axis..4 * axis + 4].copy_from_slice(&groups.to_le_bytes());
            implicit[12 + 2 * axis..14 + 2 * axis].copy_from_slice(&items.to_le_bytes());
        }
        implicit[DIMENSIONS] = 3;
        // SAFETY: the block has that many bytes, and its last packet has ended.
        unsafe {
            std::ptr::write_bytes(block, 0, bytes);
            std::ptr::copy_nonoverlapping(words.as_ptr(), block, words.len());
            std::ptr::copy_nonoverlapping(implicit.as_ptr(), block.add(words.len()), IMPLICIT);
        }
        Ok(block)
    }
}

/// The header of one of a kernel's packets.
fn part(header: u16, first: bool, last: bool) -> u16 {
    let acquire = if first { header >> 9 & 3 } else { table::SCOPE_AGENT };
    let release = if last { header >> 11 & 3 } else { table::SCOPE_AGENT };
    let barrier = if first { header & table::BARRIER_BIT } else { table::BARRIER_BIT };
    header & table::TYPE_MASK | barrier | acquire << 9 | release << 11
}

fn runs<'a>(launches: &'a [Launch], phases: &'a [Phase], args: &[Arg]) -> Result<Vec<Run<'a>>, String> {
    let mut runs = Vec::with_capacity(phases.len());
    for (launch, phase) in launches.iter().zip(phases) {
        let mut extents = [1_i64; 3];
        if let Some(extent) = phase.extent {
            // SAFETY: the program's function for this kernel's arguments.
            unsafe { extent(args.as_ptr(), extents.as_mut_ptr()) };
        }
        if extents.iter().all(|&e| e > 0) {
            runs.push(Run { launch, phase, extents, grid: grid(phase, extents)? });
        }
    }
    Ok(runs)
}

/// Work-items of all workgroups: a packet counts them in 32 bits. In x fewer workgroups than the work are fine, for
/// kernels stride by the grid.
fn grid(phase: &Phase, extents: [i64; 3]) -> Result<[u32; 3], String> {
    let mut grid = [1_u32; 3];
    for axis in 0..3 {
        let (local, items) = (u64::from(phase.local[axis].max(1)), u64::from(phase.items[axis].max(1)));
        let needed = (extents[axis] as u64).div_ceil(local);
        let most = u64::from(u32::MAX) / items;
        if axis > 0 && needed > most {
            return Err(format!(
                "its domain has {} indices along dimension {}, in workgroups of {local}; a GPU launches at most {most} \
                 workgroups there",
                extents[axis],
                ["x", "y", "z"][axis]
            ));
        }
        grid[axis] = (needed.min(most) * items) as u32;
    }
    Ok(grid)
}

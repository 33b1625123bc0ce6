//! Kernels that the NPU's own compiler made: the image of the array (PDI) and the instructions that start it.
//!
//! The executable carries both files. At a kernel's first dispatch they are put into memory of the NPU's own, which the
//! packet then names; the kernel's buffers follow the packet as addresses and sizes, and scalars are in the files.
//! Instructions have a header that says their length and the generation of the array: what does not fit is found here.
//! An image has none that is documented: a wrong one is the device's to refuse, and that is reported like every failure
//! of a queue. Kernels without files are the host's.

use super::code::Code;
use super::discover::AgentInfo;
use super::machine::Machine;
use super::{memory, sys};
use crate::abi::{Kernel, NpuFiles};
use crate::agents::{Backing, backing};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

/// The generation of the array in the header of instructions: XDNA2.
const GENERATION: u8 = 4;
/// Bytes of that header.
const HEADER: usize = 16;

// A symbol of the compiled program that need not be there: see `agents::stopped`.
std::arch::global_asm!(
    ".weak clef_npu_kernels",
    ".pushsection .data.rel.ro.clef_npu, \"aw\"",
    ".balign 8",
    ".globl clef_rt_npu_kernels",
    ".hidden clef_rt_npu_kernels",
    "clef_rt_npu_kernels:",
    ".quad clef_npu_kernels",
    ".popsection",
);

unsafe extern "C" {
    static clef_rt_npu_kernels: *const u32;
}

/// Whether the program carries files for an NPU.
pub fn carried() -> bool {
    // SAFETY: the word above; volatile, since what it holds is decided by the linker.
    unsafe { !(&raw const clef_rt_npu_kernels).read_volatile().is_null() }
}

/// The files of a kernel.
pub fn files(kernel: &Kernel) -> Option<&'static NpuFiles> {
    // SAFETY: descriptors are static and well-formed.
    unsafe { kernel.npu.as_ref() }
}

/// Kernels in the NPU's memory, by descriptor.
static LOADED: Mutex<Option<HashMap<usize, Result<Code, String>>>> = Mutex::new(None);

/// The kernel as the NPU takes it; put into its memory at the first use.
pub fn load(machine: &Machine, agent: &AgentInfo, files: &'static NpuFiles) -> Result<Code, String> {
    let key = std::ptr::from_ref(files) as usize;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.get_or_insert_default().entry(key).or_insert_with(|| load_now(machine, agent, files)).clone()
}

fn load_now(machine: &Machine, agent: &AgentInfo, files: &NpuFiles) -> Result<Code, String> {
    // SAFETY: the program's constants, as long as it says.
    let (image, insts) = unsafe {
        (
            std::slice::from_raw_parts(files.image, files.image_bytes as usize),
            std::slice::from_raw_parts(files.insts, files.insts_bytes as usize),
        )
    };
    fits(insts)?;
    Ok(Code {
        object: put(machine, agent, image)?,
        insts: put(machine, agent, insts)?,
        insts_bytes: files.insts_bytes,
        status: files.status != 0,
        ..Code::default()
    })
}

/// Whether these are whole instructions for this array.
fn fits(insts: &[u8]) -> Result<(), String> {
    let Some(header) = insts.get(..HEADER) else {
        return Err(format!(
            "its instructions have {} bytes, and their header alone has {HEADER}",
            insts.len()
        ));
    };
    if header[2] != GENERATION {
        return Err(format!(
            "its instructions are for generation {} of the array, not {GENERATION}",
            header[2]
        ));
    }
    let said = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
    if said != insts.len() {
        return Err(format!(
            "its instructions say that they have {said} bytes, and they have {}",
            insts.len()
        ));
    }
    Ok(())
}

/// Zeroed memory in which the NPU's kernels say that they stopped.
pub fn statuses(bytes: usize, npu: bool) -> Result<usize, String> {
    let Backing::Hsa(machine) = backing() else { return Err("the HSA route is not open".into()) };
    memory::allocate(machine, bytes, npu, false).map(|block| block.start)
}

/// Copies bytes into the NPU's own memory; they stay.
fn put(machine: &Machine, agent: &AgentInfo, bytes: &[u8]) -> Result<u64, String> {
    let own = agent.pools.iter().find(|p| p.allocatable && p.flags & sys::FLAG_KERNARG == 0);
    let pool = own.ok_or("the NPU has no memory for kernels")?;
    let length = bytes.len().max(4).next_multiple_of(pool.granule.max(4));
    let mut start: *mut c_void = std::ptr::null_mut();
    // SAFETY: the library writes an address of that many bytes, which the host can write: the pool is system memory.
    unsafe {
        machine.check(
            "hsa_amd_memory_pool_allocate",
            (machine.functions.hsa_amd_memory_pool_allocate)(pool.handle, length, 0, &raw mut start),
        )?;
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.cast::<u8>(), bytes.len());
    }
    Ok(start as u64)
}

#[cfg(test)]
mod tests {
    use super::fits;

    fn insts(generation: u8, said: u32, bytes: usize) -> Vec<u8> {
        let mut all = vec![0, 1, generation, 6, 8, 1, 0, 0, 0, 0, 0, 0];
        all.extend(said.to_le_bytes());
        all.resize(bytes, 0);
        all
    }

    #[test]
    fn instructions_that_do_not_fit_are_told_apart() {
        assert_eq!(fits(&insts(4, 32, 32)), Ok(()));
        let said = |bytes: &[u8]| fits(bytes).unwrap_err();
        assert!(said(&insts(4, 32, 28)).contains("say that they have 32 bytes, and they have 28"));
        assert!(said(&insts(3, 32, 32)).contains("generation 3"));
        assert!(said(&insts(4, 12, 12)).contains("have 12 bytes, and their header alone has 16"));
    }
}

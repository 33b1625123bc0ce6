//! Code objects of AMD's GPUs, as ROCr takes them: ELF files whose kernels have descriptors and metadata.
//!
//! Nothing here runs their instructions. An object is held against the agent's instruction set ([`elf`]), its metadata
//! is read ([`notes`]), and a packet that names one of its kernels is held against both: workgroup and grid, sizes of
//! memory, the kernel argument segment word by word as the metadata has it ([`launch`]). Then the program's own host form
//! of the kernel ([`host_form`]) runs with what stood in the segment. Anything that does not fit is told on standard
//! error and makes a packet that the queue refuses.

pub mod elf;
pub mod host_form;
pub mod launch;
pub mod notes;

/// A kernel of a loaded code object.
pub struct Kernel {
    /// As in the symbol, without `.kd`.
    pub name: String,
    pub meta: notes::Kernel,
}

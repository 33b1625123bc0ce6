//! What the driver asks of the back end, and what it gets. Both travel in postcard's format over pipes.

use crate::graph::Psg;
use crate::kernel::KernelFacts;
use crate::plan::{FencePlan, NodeSync};
use clef_frontend::span::Span;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub psg: Psg,
    /// Effects and launch shapes of the kernels.
    pub kernels: KernelFacts,
    /// Plans of the routes that the executable carries.
    pub routes: Vec<RoutePlan>,
    pub options: Options,
    pub want: Want,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoutePlan {
    pub route: Route,
    pub sync: NodeSync,
    /// For attributes in the MLIR that users read.
    pub plan: FencePlan,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Route {
    /// ROCr and the host executor.
    Hsa,
    Vulkan,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// 0, 2 or 3.
    pub opt_level: u8,
    /// LLVM's name of the processor: `x86-64-v3`.
    pub cpu: String,
    pub triple: String,
    /// Kernels get a SPIR-V form.
    pub vulkan: bool,
    /// Chips whose code objects the executable carries, by LLVM's names: `gfx1151`, `sm_90`.
    pub chips: Vec<String>,
    /// Who plays the GPU where nobody says so when the program runs: `vulkan`, `hsa`, `any`.
    pub gpu_agent: Option<String>,
    /// Hooks for adversarial memory.
    pub adversarial: bool,
    pub debug_info: bool,
    /// Dump the module after this pass.
    pub dump_after: Option<String>,
    pub time_passes: bool,
    /// Foreign libraries that the program loads when it needs them.
    pub libraries: Vec<RuntimeLibrary>,
    /// What the NPU's own compiler made of kernels.
    pub npu: Vec<NpuFiles>,
}

/// A kernel for the NPU: the image of the array (PDI), and the instructions that start it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NpuFiles {
    pub kernel: String,
    pub image: Vec<u8>,
    pub insts: Vec<u8>,
    /// Behind its buffers the kernel takes a status object.
    pub status: bool,
}

/// A foreign library that is not linked: its functions are looked up at their first call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuntimeLibrary {
    /// As in `[link.library.NAME]`.
    pub name: String,
    /// Files to try in order; one without a folder is looked for by the system.
    pub files: Vec<String>,
    /// What to install, for the message.
    pub package: Option<String>,
}

impl RuntimeLibrary {
    /// Whether `[<Extern("library")>]` means this one: by its name, with or without the `__` of generated bindings.
    pub fn is_named(&self, library: &str) -> bool {
        library == self.name || library.strip_prefix("__") == Some(&self.name)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Want {
    /// An ELF object of the whole program, with `main`.
    Object,
    /// The module as built: func, gpu, spirv, llvm dialects, the plan as attributes.
    Mlir,
    /// After all passes.
    MlirOpt,
    /// LLVM IR after optimisation.
    Llvm,
    Asm,
    /// SPIR-V modules, one file after the other in [`Answer::files`].
    Spirv,
    /// Kernels for AMD's chips: assembly and object of each.
    Amdgcn,
    /// Kernels for NVIDIA's chips.
    Ptx,
    /// Kernels that are dispatched to a GPU, for the chips of [`Options::chips`]: an object for each of AMD's, text for
    /// NVIDIA's, named by the chip.
    Device,
    /// Dispatches to the NPU, as text of the AIE dialects. The dump after `generic` is their generic form.
    Aie,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Name and content: `program.o`, `saxpy.0.spv`, `program.mlir`.
    pub files: Vec<(String, Vec<u8>)>,
    /// A compiler bug: what was going on, with MLIR's or LLVM's own words, for the report (never shown as an error of
    /// the user's program).
    pub bug: Option<String>,
    /// Pass name and microseconds.
    pub timings: Vec<(String, u64)>,
    /// From `dump_after`.
    pub dump: Option<String>,
    /// Kernels that are dispatched to a GPU and have no form for the route asked for: then there are no files. Dispatches
    /// to the NPU without a form: they are missing in the module.
    pub refused: Vec<Refused>,
}

/// A kernel without a form for a device, with the place and the reason in the user's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    pub kernel: String,
    pub span: Span,
    pub why: String,
}

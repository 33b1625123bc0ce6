//! GPU forms of kernels.
//!
//! [`spirv`] turns one launch of a kernel into a `spirv.module`, as MLIR text with a location on every operation. Text,
//! because the SPIR-V dialect has no typed builders in our bindings and because it is what `emit mlir` shows anyway; the
//! wall (`mlir/`) parses, verifies and serialises it.

pub mod llvm;
pub mod spirv;

use crate::mlir::spirv::{Source, serialise};
use clef_frontend::typed::AgentKind;
use clef_psg::graph::Psg;
use clef_psg::id::{IdVec, KernelId};
use clef_psg::job::{Job, Refused, Want};
use clef_psg::node::Op;
use std::fmt::Write as _;

/// One launch, ready to be embedded.
pub struct Form {
    pub module: spirv::Module,
    /// The SPIR-V binary; empty where the executable carries none.
    pub binary: Vec<u8>,
}

/// GPU forms of all kernels of a program, and those that have none though they are needed.
#[derive(Default)]
pub struct Forms {
    pub kernels: IdVec<KernelId, Vec<Form>>,
    pub refused: Vec<Refused>,
}

/// Makes the forms that the job needs: of kernels that are dispatched to a GPU, or of all that can have one where the
/// SPIR-V itself is wanted. An error is a bug of the compiler.
pub fn forms(job: &Job) -> Result<Forms, String> {
    let mut forms = Forms::default();
    let psg = &job.psg;
    let mut modules: IdVec<KernelId, Vec<spirv::Module>> = IdVec::filled(psg.kernels.len(), Vec::new());
    // The other routes translate the module's text: they keep the library's loops.
    let tiles = job.options.vulkan && !matches!(job.want, Want::Amdgcn | Want::Ptx | Want::Device);
    if job.options.vulkan || job.options.gpu_agent.is_some() || !job.options.chips.is_empty() {
        let mut needed: IdVec<KernelId, bool> =
            IdVec::filled(psg.kernels.len(), matches!(job.want, Want::Spirv | Want::Amdgcn | Want::Ptx));
        let mut dispatched: IdVec<KernelId, bool> = IdVec::filled(psg.kernels.len(), false);
        for (_, node) in psg.nodes.iter() {
            if let Op::Dispatch { kernel, agent: AgentKind::Gpu, .. } = node.op {
                needed[kernel] = true;
                dispatched[kernel] = true;
            }
        }
        for (kernel, declared) in psg.kernels.iter().filter(|(k, _)| needed[*k]) {
            match spirv::modules(psg, &job.kernels, kernel, tiles) {
                Ok(made) => modules[kernel] = made,
                Err(refusal) if dispatched[kernel] => forms.refused.push(Refused {
                    kernel: declared.name.to_string(),
                    span: refusal.span,
                    why: refusal.why,
                }),
                // Not dispatched to a GPU: its lack of a form concerns nobody.
                Err(_) => {}
            }
        }
    }
    let sources: Vec<Source> = modules
        .iter()
        .flat_map(|(_, list)| list)
        .filter(|_| job.options.vulkan && job.want != Want::Device)
        .map(|m| Source { name: &m.name, text: &m.text, target_env: &m.target_env })
        .collect();
    let mut binaries = serialise(&sources)?.into_iter();
    for kernel in psg.kernels.ids() {
        let list = std::mem::take(&mut modules[kernel]);
        forms.kernels.push(
            list.into_iter()
                .map(|module| Form { module, binary: binaries.next().unwrap_or_default() })
                .collect(),
        );
    }
    Ok(forms)
}

/// The module's text with each kernel's SPIR-V in its `gpu.module`, beside the function that launches name: what
/// `emit mlir` shows. (The program's own module never loads the SPIR-V dialect.)
pub fn with_spirv(text: &str, psg: &Psg, forms: &Forms) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let found = forms.kernels.iter().find(|(id, list)| {
            let name = psg.kernels[*id].name;
            let opens = |symbol: String| line.trim_start().starts_with(&format!("gpu.module @{symbol} "));
            !list.is_empty() && (opens(name.to_string()) || opens(format!("\"{name}\"")))
        });
        match (found, line.rfind('{')) {
            (Some((_, list)), Some(brace)) => {
                let _ = writeln!(out, "{}[{}] {{", &line[..brace], list[0].module.target_env);
                for form in list {
                    out.push_str(&form.module.text);
                }
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

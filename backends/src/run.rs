//! One job from beginning to end: module, passes, code.

use crate::aie;
use crate::gpu;
use crate::gpu::llvm::target as chips;
use crate::job::{Answer, Job, Want};
use crate::lower::Lower;
use crate::mlir::Cx;
use crate::mlir::emit::{Emitter, Form, Target};
use std::time::Instant;

/// Stack for lowering: deeply nested expressions recurse. Only what is touched is ever backed by memory.
const STACK: usize = 1 << 30;

/// Does the job. Whatever goes wrong is a bug of the compiler and stands in [`Answer::bug`].
pub fn run(job: &Job) -> Answer {
    let work = || {
        let mut answer = Answer::default();
        if let Err(bug) = steps(job, &mut answer) {
            answer.files.clear();
            answer.bug = Some(bug);
        }
        answer
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => bug("the back end panicked"),
            Err(e) => bug(&format!("no thread for the back end: {e}")),
        }
    })
}

fn bug(what: &str) -> Answer {
    Answer { bug: Some(what.to_string()), ..Answer::default() }
}

fn steps(job: &Job, answer: &mut Answer) -> Result<(), String> {
    let options = &job.options;
    let mut time = |what: &str, since: Instant| {
        answer.timings.push((what.to_string(), since.elapsed().as_micros() as u64));
    };
    if job.want == Want::Aie {
        return npu(job, answer);
    }
    let start = Instant::now();
    let forms = gpu::forms(job)?;
    time("spirv", start);
    if !forms.refused.is_empty() {
        answer.refused = forms.refused;
        return Ok(());
    }
    if job.want == Want::Spirv {
        let all = forms.kernels.iter().flat_map(|(_, list)| list);
        answer.files = all.map(|f| (format!("{}.spv", f.module.name), f.binary.clone())).collect();
        return Ok(());
    }
    if matches!(job.want, Want::Amdgcn | Want::Ptx) {
        return device_code(job, &forms, answer);
    }
    let start = Instant::now();
    let dispatches = !job.psg.kernels.is_empty();
    let cx = Cx::new("clefc.program", dispatches);
    time("context", start);
    let target =
        Target { triple: &options.triple, cpu: &options.cpu, features: "", opt_level: options.opt_level };
    let mut emitter = Emitter::new(&target)?;
    let module = cx.module_op();
    cx.set_attr(module, "llvm.target_triple", cx.string(&options.triple));
    cx.set_attr(module, "llvm.data_layout", cx.string(&emitter.data_layout()));
    let start = Instant::now();
    let mut cx = Lower::new(job, &forms, cx).run()?;
    time("lower", start);
    if options.dump_after.as_deref() == Some("lower") {
        answer.dump = Some(cx.print(false));
    }
    if cfg!(debug_assertions) || matches!(job.want, Want::Mlir | Want::MlirOpt) {
        cx.verify().map_err(|e| format!("{e}\n{}", cx.print(false)))?;
    }
    if job.want == Want::Mlir {
        let text = gpu::with_spirv(&cx.print(false), &job.psg, &forms);
        answer.files.push(("program.mlir".to_string(), text.into_bytes()));
        return Ok(());
    }
    if dispatches {
        crate::dispatch::lower_dispatches(&mut cx);
    }
    if options.debug_info {
        emitter.add_debug_scopes(&cx)?;
    }
    let (name, form) = match job.want {
        Want::Object => ("program.o", Form::Object),
        Want::Asm => ("program.s", Form::Assembly),
        Want::Llvm => ("program.ll", Form::LlvmText),
        Want::MlirOpt | Want::Mlir | Want::Spirv | Want::Amdgcn | Want::Ptx | Want::Aie => {
            answer.files.push(("program.mlir".to_string(), cx.print(false).into_bytes()));
            return Ok(());
        }
    };
    let bytes = emitter.emit(&cx, form).map_err(|e| format!("{e}\n{}", cx.print(false)))?;
    answer.files.push((name.to_string(), bytes));
    answer.timings.append(&mut emitter.timings);
    Ok(())
}

/// Dispatches to the NPU.
fn npu(job: &Job, answer: &mut Answer) -> Result<(), String> {
    let (module, refused) = aie::module(job)?;
    if job.options.dump_after.as_deref() == Some("generic") {
        answer.dump = Some(module.generic);
    }
    answer.files.push(("program.aie.mlir".to_string(), module.pretty.into_bytes()));
    answer.refused = refused;
    Ok(())
}

/// Assembly and objects of all kernels, for each chip of a family.
fn device_code(job: &Job, forms: &gpu::Forms, answer: &mut Answer) -> Result<(), String> {
    let (chips, kinds): (_, &[(Form, &str)]) = match job.want {
        Want::Ptx => (chips::NVIDIA, &[(Form::Assembly, "ptx")]),
        _ => (chips::AMD, &[(Form::Assembly, "s"), (Form::Object, "o")]),
    };
    let launches: Vec<_> = forms.kernels.iter().flat_map(|(_, list)| list).map(|form| &form.module).collect();
    for chip in chips {
        let start = Instant::now();
        let target = Target {
            triple: chip.triple(),
            cpu: chip.name,
            features: chip.features(),
            opt_level: job.options.opt_level,
        };
        let mut emitter = Emitter::new(&target)?;
        let text = gpu::llvm::module(chip, &launches, &emitter.data_layout())?;
        let wanted: Vec<Form> = kinds.iter().map(|(form, _)| *form).collect();
        let made = emitter.emit_text(&text, &wanted).map_err(|e| format!("{}: {e}", chip.name))?;
        for (bytes, (_, ending)) in made.into_iter().zip(kinds) {
            answer.files.push((format!("kernels.{}.{ending}", chip.name), bytes));
        }
        answer.timings.push((chip.name.to_string(), start.elapsed().as_micros() as u64));
    }
    Ok(())
}

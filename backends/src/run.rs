//! One job from beginning to end: module, passes, code.

use crate::aie;
use crate::gpu;
use crate::gpu::llvm::target::{self as chips, Chip, Family};
use crate::job::{Answer, Job, Want};
use crate::lower::Lower;
use crate::mlir::Cx;
use crate::mlir::emit::{Emitter, Form, Target};
use std::time::Instant;

/// Stack for lowering: deeply nested expressions recurse. Only what is touched is ever backed by memory.
const STACK: usize = 1 << 30;

/// Stack for a chip's code: LLVM's own passes recurse less, yet more than a thread's usual stack may hold.
const CHIP_STACK: usize = 64 << 20;

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
    if matches!(job.want, Want::Amdgcn | Want::Ptx | Want::Device) {
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
        Want::MlirOpt | Want::Mlir | Want::Spirv | Want::Amdgcn | Want::Ptx | Want::Device | Want::Aie => {
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

/// Assembly and objects of the kernels, for each chip of a family, or for those that the executable carries. A thread
/// for each chip; the order of the files is that of the chips.
fn device_code(job: &Job, forms: &gpu::Forms, answer: &mut Answer) -> Result<(), String> {
    let chips: Vec<&Chip> = match job.want {
        Want::Ptx => chips::NVIDIA.iter().collect(),
        Want::Amdgcn => chips::AMD.iter().collect(),
        _ => job.options.chips.iter().map(|name| chips::find(name)).collect::<Result<_, _>>()?,
    };
    let launches: Vec<_> = forms.kernels.iter().flat_map(|(_, list)| list).map(|form| &form.module).collect();
    if launches.is_empty() && job.want == Want::Device {
        return Ok(());
    }
    let launches = &launches;
    let made = std::thread::scope(|scope| {
        let start = |chip| {
            let work = move || for_chip(job, chip, launches);
            std::thread::Builder::new().stack_size(CHIP_STACK).spawn_scoped(scope, work)
        };
        let threads: Vec<_> = chips.into_iter().map(start).collect();
        let end = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, _>>| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err("the back end panicked".into())),
            Err(e) => Err(format!("no thread for a chip: {e}")),
        };
        threads.into_iter().map(end).collect::<Vec<Result<_, String>>>()
    });
    for one in made {
        let (files, timing) = one?;
        answer.files.extend(files);
        answer.timings.push(timing);
    }
    Ok(())
}

type Named<T> = (String, T);

fn for_chip(
    job: &Job,
    chip: &Chip,
    launches: &[&gpu::spirv::Module],
) -> Result<(Vec<Named<Vec<u8>>>, Named<u64>), String> {
    let start = Instant::now();
    let kinds: &[(Form, &str)] = match (job.want, chip.family()) {
        (_, Family::Nvidia) => &[(Form::Assembly, "ptx")],
        (Want::Device, Family::Amd) => &[(Form::Object, "o")],
        (_, Family::Amd) => &[(Form::Assembly, "s"), (Form::Object, "o")],
    };
    let target = Target {
        triple: chip.triple(),
        cpu: chip.name,
        features: chip.features(),
        opt_level: job.options.opt_level,
    };
    let mut emitter = Emitter::new(&target)?;
    let text = gpu::llvm::module(chip, launches, &emitter.data_layout())?;
    let wanted: Vec<Form> = kinds.iter().map(|(form, _)| *form).collect();
    let made = emitter.emit_text(&text, &wanted).map_err(|e| format!("{}: {e}", chip.name))?;
    let named = made.into_iter().zip(kinds).map(|(mut bytes, (form, ending))| {
        if *form == Form::Assembly && job.want != Want::Device {
            let head = gpu::llvm::occupancy::comments(chip, &String::from_utf8_lossy(&bytes));
            bytes.splice(..0, head.into_bytes());
        }
        (format!("kernels.{}.{ending}", chip.name), bytes)
    });
    Ok((named.collect(), (chip.name.to_string(), start.elapsed().as_micros() as u64)))
}

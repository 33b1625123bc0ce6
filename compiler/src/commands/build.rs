//! `clefc build`: from source to an executable; also what `run` and the code stages of `emit` share.

use super::{Program, analysed_with, bug, fence_options, show_timings, table};
use crate::aiecc;
use crate::backend::{self, Failure};
use crate::chips;
use crate::cli::{Arch, BuildArgs, CodeOptions, Input};
use crate::device_code::{self, CodeObject};
use crate::link;
use crate::npu;
use crate::project::{Npu, Project};
use crate::render;
use crate::session::Session;
use crate::stages::{self, Timings};
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_psg::audit;
use clef_psg::job::{Answer, Job, Options, Refused, Route, RoutePlan, Want};
use clef_psg::plan::NodeSync;
use clef_psg::rc;
use std::path::Path;

pub fn run(args: &BuildArgs) -> u8 {
    let project = match args.input.open() {
        Ok(project) => project,
        Err(code) => return code,
    };
    let target = args.output.clone().unwrap_or_else(|| project.output.clone());
    match executable(&args.input, &project, args.code, args.adversarial, &target) {
        Ok(()) => 0,
        Err(code) => code,
    }
}

/// Makes the executable at `target`.
pub fn executable(
    input: &Input,
    project: &Project,
    code: CodeOptions,
    adversarial: bool,
    target: &Path,
) -> Result<(), u8> {
    if code.arch == Arch::Aarch64 {
        return Err(input.fail(no_runtime()));
    }
    let request = Request { want: Want::Object, adversarial, dump_after: None, carry: true };
    let Made { answer, mut timings, foreign, code_objects } = code_for(input, project, code, request)?;
    let object = answer.files.first().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
    let parts = link::Parts { object, code_objects: &code_objects };
    let linked = timings.measure("link", || link::link(project, &parts, &foreign, target, code.release));
    if code.time_passes {
        show_timings(&timings);
    }
    linked.map_err(|diagnostic| input.fail(diagnostic))
}

fn no_runtime() -> Diagnostic {
    let text = "there is no runtime for AArch64: objects can be made for it, executables cannot";
    Diagnostic::without_place(codes::NOT_AVAILABLE, text).help(
        "`clefc emit obj --arch aarch64 -o program.o` makes the object; docs/projects.md says what it needs",
    )
}

/// What is wanted of the back end.
pub struct Request {
    pub want: Want,
    pub adversarial: bool,
    pub dump_after: Option<String>,
    /// Make the code objects that the executable carries, too.
    pub carry: bool,
}

/// What the back end made, and what linking it needs.
pub struct Made {
    pub answer: Answer,
    pub timings: Timings,
    /// Foreign functions that the program declares.
    pub foreign: Vec<link::Foreign>,
    pub code_objects: Vec<CodeObject>,
}

/// Runs all stages up to the back end's answer; shows diagnostics on the way.
pub fn code_for(input: &Input, project: &Project, code: CodeOptions, request: Request) -> Result<Made, u8> {
    let opt_level = code.opt_level.unwrap_or(if code.release { 3 } else { 2 });
    let mut program = analysed_with(input, project, stages::versions(opt_level))?;
    let mut timings = std::mem::take(&mut program.checked.timings);
    let routes = plans(input, project, code, &program, &mut timings)?;
    let Program { checked, mut analysed } = program;
    let externs = analysed.psg.externs.iter();
    let foreign = externs
        .map(|(_, x)| link::Foreign { library: x.library.to_string(), entry: x.entry.to_string() })
        .collect();
    timings.measure("counts", || rc::insert(&mut analysed.psg));
    stages::verified(&analysed.psg, "counts").map_err(bug)?;
    let mut job = Job {
        psg: analysed.psg,
        kernels: analysed.kernels,
        routes,
        options: Options {
            opt_level,
            cpu: code.arch.cpu().to_owned(),
            triple: code.arch.triple().to_owned(),
            vulkan: project.gpu.has_spirv() || matches!(request.want, Want::Spirv | Want::Amdgcn | Want::Ptx),
            chips: chips::carried(project.gpu, project.chips.as_ref())
                .iter()
                .map(|chip| chip.name().to_owned())
                .collect(),
            gpu_agent: project.gpu.agent().map(str::to_owned),
            adversarial: request.adversarial,
            debug_info: !code.release,
            dump_after: request.dump_after,
            time_passes: code.time_passes,
            libraries: link::libraries::at_run_time(&project.link, &project.folder),
            npu: Vec::new(),
        },
        want: request.want,
    };
    let failed = |failure| match failure {
        Failure::User(diagnostic) => input.fail(diagnostic),
        Failure::Bug(text) => bug(text),
    };
    let run = |job: &Job| backend::run(job).map_err(failed);
    if job.want == Want::Object {
        files_for_npu(input, project, &mut job, &checked.session, &run)?;
    }
    let device = (request.carry && !job.options.chips.is_empty()).then(|| device_code::Task::start(&job));
    let answer = timings.measure("back end", || run(&job));
    // The other task ends before anything is said of this one.
    let device = device.map(device_code::Task::finish);
    let answer = answer?;
    if !answer.refused.is_empty() {
        let refused: Vec<Diagnostic> = answer.refused.iter().map(|r| refusal(r, request.want)).collect();
        render::show(&checked.session, &render::in_order(refused), input.message_format);
        return Err(crate::output::ERRORS);
    }
    timings.0.extend(answer.timings.iter().map(|(name, micros)| (format!("  {name}"), *micros)));
    let mut code_objects = Vec::new();
    if let Some(made) = device {
        let made = made.map_err(failed)?;
        timings.0.push(("code objects, beside it".to_owned(), made.micros));
        timings.0.extend(made.timings.into_iter().map(|(name, micros)| (format!("  {name}"), micros)));
        code_objects = made.objects;
    }
    Ok(Made { answer, timings, foreign, code_objects })
}

/// What the project names for the NPU, and what the NPU's own compiler makes; a kernel whose files cannot be used or made
/// is the host's, with a warning.
fn files_for_npu(
    input: &Input,
    project: &Project,
    job: &mut Job,
    session: &Session,
    run: &dyn Fn(&Job) -> Result<Answer, u8>,
) -> Result<(), u8> {
    let (mut files, mut found) = npu::files(project, &job.psg);
    if project.npu == Npu::Xdna {
        let before = std::mem::replace(&mut job.want, Want::Aie);
        let answer = run(job)?;
        job.want = before;
        let text = answer.files.first().map(|(_, bytes)| String::from_utf8_lossy(bytes)).unwrap_or_default();
        let forms = aiecc::Forms { text: &text, refused: &answer.refused };
        let (made, warnings) = aiecc::compile(project, &job.psg, &forms);
        files.extend(made);
        found.extend(warnings);
    }
    let found = render::in_order(found);
    render::show(session, &found, input.message_format);
    job.options.npu = files;
    if found.iter().any(Diagnostic::is_error) { Err(crate::output::ERRORS) } else { Ok(()) }
}

fn refusal(refused: &Refused, want: Want) -> Diagnostic {
    if want == Want::Aie {
        let text = format!("this dispatch of `{}` has no form for the NPU's array", refused.kernel);
        return Diagnostic::error(codes::NO_NPU_FORM, refused.span, text)
            .here(&refused.why)
            .help("the host plays the NPU for it all the same; only `clefc emit aie` needs the form");
    }
    let text = format!("the kernel `{}` cannot run on the GPU through Vulkan", refused.kernel);
    Diagnostic::error(codes::NO_GPU_FORM, refused.span, text)
        .here(&refused.why)
        .help("change this part, dispatch the kernel to another agent, or build with `--gpu host`")
}

/// One accepted plan per route that the executable carries; warnings are shown once, for the first.
fn plans(
    input: &Input,
    project: &Project,
    code: CodeOptions,
    program: &Program,
    timings: &mut Timings,
) -> Result<Vec<RoutePlan>, u8> {
    let mut wanted = vec![(Route::Hsa, "hsa-gfx1151")];
    if project.gpu.has_spirv() {
        wanted.push((Route::Vulkan, "vulkan"));
    }
    let mut plans = Vec::new();
    for (route, name) in wanted {
        let costs = table(name).map_err(|diagnostic| input.fail(diagnostic))?;
        let (plan, found) =
            stages::fence(&program.analysed, &fence_options(project, costs), timings).map_err(bug)?;
        if plans.is_empty() {
            let all = program
                .checked
                .diagnostics
                .iter()
                .chain(&program.analysed.diagnostics)
                .chain(&found)
                .cloned();
            let all = render::in_order(all.collect());
            render::show(&program.checked.session, &all, input.message_format);
            if all.iter().any(Diagnostic::is_error) {
                return Err(crate::output::ERRORS);
            }
        }
        let plan = match code.mutant {
            Some(number) => audit::mutant(&plan, number)
                .ok_or_else(|| bug(stages::Bug(format!("the plan has no mutant {number}"))))?,
            None => plan,
        };
        let sync = if code.no_fences { NodeSync::default() } else { plan.node_sync() };
        plans.push(RoutePlan { route, sync, plan });
    }
    Ok(plans)
}

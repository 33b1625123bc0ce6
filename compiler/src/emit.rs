//! `clefc emit`: what each stage makes, as text or files.

use crate::cli::EmitArgs;
use crate::commands::build::{self, Request};
use crate::commands::{analysed, bug, fence_options, project_table, table};
use crate::link;
use crate::npu;
use crate::output;
use crate::project::Project;
use crate::render;
use crate::stages;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::span::FileId;
use clef_frontend::{lex, parse, typed_print};
use clef_psg::fences::view;
use clef_psg::graph::Psg;
use clef_psg::job::Want;
use clef_psg::kernel::KernelFacts;
use clef_psg::text;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Stage {
    Tokens,
    Ast,
    Typed,
    Psg,
    Facts,
    Fences,
    Mlir,
    MlirOpt,
    Llvm,
    Asm,
    Spirv,
    Amdgcn,
    Ptx,
    Aie,
    Obj,
}

pub fn run(args: &EmitArgs) -> u8 {
    match emit(args) {
        Ok(code) | Err(code) => code,
    }
}

fn emit(args: &EmitArgs) -> Result<u8, u8> {
    let project = args.input.open()?;
    match args.stage {
        Stage::Tokens | Stage::Ast | Stage::Typed => front(args, &project),
        Stage::Psg | Stage::Facts | Stage::Fences => middle(args, &project),
        Stage::Mlir => code(args, &project, Want::Mlir),
        Stage::MlirOpt => code(args, &project, Want::MlirOpt),
        Stage::Llvm => code(args, &project, Want::Llvm),
        Stage::Asm => code(args, &project, Want::Asm),
        Stage::Spirv => code(args, &project, Want::Spirv),
        Stage::Obj => code(args, &project, Want::Object),
        Stage::Amdgcn => code(args, &project, Want::Amdgcn),
        Stage::Ptx => code(args, &project, Want::Ptx),
        Stage::Aie => code(args, &project, Want::Aie),
    }
}

fn write(args: &EmitArgs, bytes: &[u8]) -> Result<(), u8> {
    match &args.output {
        Some(path) => output::write_file(path, bytes).map_err(|diagnostic| args.input.fail(diagnostic)),
        None => output::stdout(bytes).map_err(|_| output::USAGE),
    }
}

/// Stages of the front end are shown even where there are errors: that is when they are wanted.
fn front(args: &EmitArgs, project: &Project) -> Result<u8, u8> {
    let checked = stages::check(project);
    render::show(&checked.session, &checked.diagnostics, args.input.message_format);
    let mut text = String::new();
    match args.stage {
        Stage::Tokens => {
            for (id, file) in checked.session.files.iter().take(checked.session.user_files).enumerate() {
                for token in lex::lex(FileId(id as u32), &file.text).0 {
                    let (line, column) = file.lines.line_column(token.span.start);
                    let _ = writeln!(text, "{line}:{column} {:?}", token.kind);
                }
            }
        }
        Stage::Ast => {
            for tree in &checked.user_asts {
                text.push_str(&parse::print::print(tree));
            }
        }
        _ => text = typed_print::dump(&checked.program),
    }
    write(args, text.as_bytes())?;
    Ok(if checked.has_errors() { output::ERRORS } else { 0 })
}

fn middle(args: &EmitArgs, project: &Project) -> Result<u8, u8> {
    let mut program = analysed(&args.input, project)?;
    let psg = &program.analysed.psg;
    let text = match args.stage {
        Stage::Psg => text::print(psg),
        Stage::Facts => facts(psg, &program.analysed.kernels),
        _ => {
            let costs = table(project_table(project)).map_err(|diagnostic| args.input.fail(diagnostic))?;
            let mut timings = std::mem::take(&mut program.checked.timings);
            let (plan, _) = stages::fence(&program.analysed, &fence_options(project, costs), &mut timings)
                .map_err(bug)?;
            view::to_text(psg, &plan)
        }
    };
    write(args, text.as_bytes())?;
    Ok(0)
}

/// Kernels with the effects of their parameters and their launches.
fn facts(psg: &Psg, facts: &KernelFacts) -> String {
    let mut out = String::new();
    for (id, info) in facts.kernels.iter() {
        let kernel = &psg.kernels[id];
        let _ = writeln!(out, "kernel {:?}", kernel.name.as_str());
        for (param, fact) in kernel.params.iter().zip(&info.params) {
            let mode = fact.mode.map_or("-", |m| m.text());
            let covers = if fact.covers { " covers" } else { "" };
            let _ =
                writeln!(out, "  {}: {} {mode}{covers}", param.name, text::type_name(&psg.types, param.ty));
        }
        for (n, phase) in info.shape.iter().flat_map(|s| &s.phases).enumerate() {
            let _ = writeln!(out, "  launch {n}: {} dimensions", phase.loops.len());
        }
        if let Some(obstacle) = info.shape.as_ref().and_then(|s| s.obstacle.as_ref()) {
            let _ = writeln!(out, "  no GPU form: {}", obstacle.why);
        }
    }
    out
}

fn code(args: &EmitArgs, project: &Project, want: Want) -> Result<u8, u8> {
    let request = Request { want, adversarial: false, dump_after: args.dump_after.clone(), carry: false };
    let build::Made { answer, timings, .. } = build::code_for(&args.input, project, args.code, request)?;
    if args.code.time_passes {
        crate::commands::show_timings(&timings);
    }
    if let Some(dump) = &answer.dump {
        write(args, dump.as_bytes())?;
        return Ok(0);
    }
    if matches!(want, Want::Spirv | Want::Amdgcn | Want::Ptx) {
        return folder(args, &answer.files);
    }
    let bytes = answer.files.first().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
    write(args, bytes)?;
    if want == Want::Aie {
        return npu::check(bytes);
    }
    Ok(0)
}

/// One file per module, into the folder of `-o` (default: the current one). Objects for AMD's chips are linked to code
/// objects.
fn folder(args: &EmitArgs, files: &[(String, Vec<u8>)]) -> Result<u8, u8> {
    let folder = args.output.as_deref().unwrap_or(Path::new("."));
    if let Err(error) = std::fs::create_dir_all(folder) {
        let text = format!("cannot make the folder `{}`: {}", folder.display(), output::reason(&error));
        return Err(args.input.fail(Diagnostic::without_place(codes::UNWRITABLE, text)));
    }
    let mut listed = String::new();
    for (name, bytes) in files {
        let path = match name.strip_suffix(".o") {
            Some(stem) => {
                let path = folder.join(format!("{stem}.hsaco"));
                link::code_object(bytes, &path).map_err(|diagnostic| args.input.fail(diagnostic))?;
                path
            }
            None => {
                let path = folder.join(name);
                output::write_file(&path, bytes).map_err(|diagnostic| args.input.fail(diagnostic))?;
                path
            }
        };
        let _ = writeln!(listed, "{}", path.display());
    }
    output::stdout(listed.as_bytes()).map_err(|_| output::USAGE)?;
    Ok(0)
}

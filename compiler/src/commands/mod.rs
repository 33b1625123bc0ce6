//! One file per command. Each returns the process's exit code.

pub mod agents;
pub mod audit;
pub mod build;
pub mod check;
pub mod doctor;
pub mod explain;
pub mod fences;
pub mod new;
pub mod psg;
pub mod run;

use crate::cli::Input;
use crate::output;
use crate::project::{Gpu, Project, Target};
use crate::render;
use crate::stages::{self, Analysed, Bug, Checked, Timings};
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_psg::fences::FenceOptions;
use clef_psg::fences::tables;
use clef_psg::plan::CostTable;

/// Refuses tiers and routes that this version does not have.
pub fn available(project: &Project) -> Result<(), Diagnostic> {
    let refuse = |what: &str, instead: &str| {
        Err(Diagnostic::without_place(
            codes::NOT_AVAILABLE,
            format!("{what} is not available in this version"),
        )
        .help(format!("use {instead}")))
    };
    match project.target {
        Target::Cxl => return refuse("the transport tier `cxl`", "`--target hsa` or `--target cpu`"),
        Target::Rdma => return refuse("the transport tier `rdma`", "`--target hsa` or `--target cpu`"),
        Target::Cpu | Target::Hsa => {}
    }
    Ok(())
}

/// The cost table that a project's plan is measured by.
pub fn project_table(project: &Project) -> &'static str {
    match project.gpu {
        Gpu::Vulkan => "vulkan",
        Gpu::Rocm | Gpu::Any | Gpu::Host => "hsa-gfx1151",
    }
}

/// A cost table by name, or a diagnostic that lists them.
pub fn table(name: &str) -> Result<CostTable, Diagnostic> {
    tables::find(name).ok_or_else(|| {
        let known = tables::names().iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        Diagnostic::without_place(codes::NOT_AVAILABLE, format!("there is no cost table `{name}`"))
            .help(format!("the tables are {known}"))
    })
}

pub fn fence_options(project: &Project, table: CostTable) -> FenceOptions {
    FenceOptions { table, agents: project.agents.clone() }
}

/// A program that passed the front end and the kernel rules.
pub struct Program {
    pub checked: Checked,
    pub analysed: Analysed,
}

/// Checks and analyses; shows what was found. An exit code where the command cannot go on.
pub fn analysed(input: &Input, project: &Project) -> Result<Program, u8> {
    analysed_with(input, project, stages::versions(2))
}

/// The same with a choice of how often functions are copied for the functions passed to them.
pub fn analysed_with(
    input: &Input,
    project: &Project,
    options: clef_psg::build::Options,
) -> Result<Program, u8> {
    let mut checked = stages::check(project);
    if checked.has_errors() {
        return Err(failed(&checked, &checked.diagnostics, input));
    }
    let analysed = stages::analyse(&mut checked, options).map_err(bug)?;
    if analysed.diagnostics.iter().any(Diagnostic::is_error) {
        let all = checked.diagnostics.iter().chain(&analysed.diagnostics).cloned().collect();
        return Err(failed(&checked, &render::in_order(all), input));
    }
    Ok(Program { checked, analysed })
}

/// Shows diagnostics with errors among them; unusable files are a matter of usage, the rest of the program.
fn failed(checked: &Checked, diagnostics: &[Diagnostic], input: &Input) -> u8 {
    render::show(&checked.session, diagnostics, input.message_format);
    let unusable = |d: &Diagnostic| d.is_error() && d.labels.is_empty();
    if diagnostics.iter().any(unusable) { output::USAGE } else { output::ERRORS }
}

pub fn bug(Bug(text): Bug) -> u8 {
    output::bug(&text);
    output::BUG
}

/// Prints stages' durations to standard error.
pub fn show_timings(timings: &Timings) {
    for (name, micros) in &timings.0 {
        eprintln!("{micros:>9} µs  {name}");
    }
}

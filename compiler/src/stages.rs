//! Running the stages in order over one project, up to the one that is asked for.

use crate::library;
use crate::project::Project;
use crate::session::Session;
use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::{ast, check, lex, parse, typed};
use clef_psg::fences::{self, FenceOptions};
use clef_psg::graph::{FileInfo, Psg};
use clef_psg::kernel::{self, KernelFacts};
use clef_psg::plan::FencePlan;
use clef_psg::{bounds, build, certify, fold, handles, verify};
use std::time::Instant;

/// What went wrong in a way that is not the program's fault.
#[derive(Debug)]
pub struct Bug(pub String);

/// Everything known after the front end.
pub struct Checked {
    pub session: Session,
    pub user_asts: Vec<ast::File>,
    pub program: typed::Program,
    pub diagnostics: Vec<Diagnostic>,
    pub timings: Timings,
}

/// Names of stages with their duration in microseconds, in order.
#[derive(Default)]
pub struct Timings(pub Vec<(String, u64)>);

impl Timings {
    pub fn measure<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.0.push((name.to_owned(), start.elapsed().as_micros() as u64));
        result
    }
}

impl Checked {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads, parses and checks. Files that could not be read are in the diagnostics.
pub fn check(project: &Project) -> Checked {
    let mut timings = Timings::default();
    let (mut session, mut diagnostics) = timings.measure("read", || Session::load(project));
    let unreadable = diagnostics.iter().any(Diagnostic::is_error);
    let mut user_asts = Vec::new();
    let mut choice = library::Choice::new();
    timings.measure("parse", || {
        session.files.iter().for_each(|f| choice.leave_out(&f.text));
        for id in 0..session.user_files {
            let file = clef_frontend::span::FileId(id as u32);
            let text = &session.files[id].text;
            let lexed = lex::lex(file, text);
            choice.add(text, &lexed.0);
            let (tree, found) = parse::parse_lexed(file, text, lexed);
            user_asts.push(tree);
            diagnostics.extend(found);
        }
    });
    let mut library_asts = Vec::new();
    timings.measure("library", || {
        for file in choice.files() {
            let id = session.add(library::source(file));
            let (tree, found) = library::parse(id, file);
            diagnostics.extend(found);
            library_asts.push(tree);
        }
    });
    let mut program = typed::Program::default();
    if !unreadable {
        timings.measure("check", || {
            let input = check::CheckInput { files: &user_asts, library: &library_asts };
            let (checked, found) = check::check(&input);
            program = checked;
            diagnostics.extend(found);
        });
    }
    let diagnostics = crate::render::in_order(diagnostics);
    Checked { session, user_asts, program, diagnostics, timings }
}

/// The graph with its facts; made only from a program without errors.
pub struct Analysed {
    pub psg: Psg,
    pub kernels: KernelFacts,
    pub diagnostics: Vec<Diagnostic>,
}

/// How often a function may be copied for the functions passed to it, by optimisation level: not at all for code
/// that nobody waits for but its compiler, and so often that only large generated programs meet the limit otherwise.
pub fn versions(opt_level: u8) -> build::Options {
    build::Options { versions: if opt_level == 0 { 0 } else { 16 } }
}

/// Builds, verifies and analyses the graph. The trees are gone afterwards.
pub fn analyse(checked: &mut Checked, options: build::Options) -> Result<Analysed, Bug> {
    let files = checked
        .session
        .files
        .iter()
        .map(|f| FileInfo { name: f.name.clone(), lines: f.lines.clone() })
        .collect();
    // Each stage's trees make room for the next one's.
    checked.user_asts = Vec::new();
    let program = std::mem::take(&mut checked.program);
    let (mut psg, mut diagnostics) =
        checked.timings.measure("graph", || build::build(&program, files, options));
    drop(program);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Ok(Analysed { psg, kernels: KernelFacts::default(), diagnostics });
    }
    if cfg!(debug_assertions) {
        checked.timings.measure("verify", || verified(&psg, "build"))?;
    }
    checked.timings.measure("fold", || fold::globals(&mut psg));
    diagnostics.extend(checked.timings.measure("inline", || kernel::inline(&mut psg)));
    checked.timings.measure("bounds", || bounds::remove_checks(&mut psg));
    checked.timings.measure("verify", || verified(&psg, "bounds"))?;
    let (kernels, found) = checked.timings.measure("kernels", || kernel::analyse(&psg));
    diagnostics.extend(found);
    diagnostics.extend(checked.timings.measure("handles", || handles::check(&psg)));
    diagnostics.extend(checked.timings.measure("workgroups", || kernel::workgroups::workgroups(&mut psg)));
    if !diagnostics.iter().any(Diagnostic::is_error) {
        checked.timings.measure("verify", || verified(&psg, "workgroups"))?;
    }
    Ok(Analysed { psg, kernels, diagnostics })
}

/// A graph that the verifier refuses is a bug of the pass before it.
pub fn verified(psg: &Psg, pass: &str) -> Result<(), Bug> {
    verify::verify(psg).map_err(|errors| {
        let first = errors.first().map_or_else(String::new, |e| format!("{e}"));
        Bug(format!("the graph is not well formed after `{pass}`: {first} ({} problems)", errors.len()))
    })
}

/// The fence plan for one cost table, accepted by the independent checker.
pub fn fence(
    analysed: &Analysed,
    options: &FenceOptions,
    timings: &mut Timings,
) -> Result<(FencePlan, Vec<Diagnostic>), Bug> {
    let (plan, diagnostics) =
        timings.measure("fences", || fences::analyse(&analysed.psg, &analysed.kernels, options));
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Ok((plan, diagnostics));
    }
    timings.measure("certify", || certify::check(&analysed.psg, &analysed.kernels, &plan)).map_err(
        |rejection| {
            Bug(format!("the fence plan for {} was rejected by its checker: {rejection}", plan.table.name))
        },
    )?;
    Ok((plan, diagnostics))
}

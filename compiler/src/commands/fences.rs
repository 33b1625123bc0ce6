//! `clefc fences`: the fence plan for people and tools.

use super::{analysed, bug, failed, fence_options, project_table, table};
use crate::cli::{FencesArgs, FencesFormat};
use crate::output;
use crate::render;
use crate::stages;
use clef_frontend::diagnostic::Diagnostic;
use clef_psg::fences::view;

pub fn run(args: &FencesArgs) -> u8 {
    match plan(args) {
        Ok(code) | Err(code) => code,
    }
}

fn plan(args: &FencesArgs) -> Result<u8, u8> {
    let project = args.input.open()?;
    let name = args.cost.as_deref().unwrap_or_else(|| project_table(&project));
    let costs = table(name).map_err(|diagnostic| args.input.fail(diagnostic))?;
    let mut program = analysed(&args.input, &project)?;
    let mut timings = std::mem::take(&mut program.checked.timings);
    let (plan, found) =
        stages::fence(&program.analysed, &fence_options(&project, costs), &mut timings).map_err(bug)?;
    let all = program.checked.diagnostics.iter().chain(&program.analysed.diagnostics).chain(&found).cloned();
    let all = render::in_order(all.collect());
    if all.iter().any(Diagnostic::is_error) {
        return Err(failed(&program.checked, &all, &args.input));
    }
    render::show(&program.checked.session, &all, args.input.message_format);
    let text = match args.format {
        FencesFormat::Human => view::to_text(&program.analysed.psg, &plan),
        FencesFormat::Json => view::to_json(&program.analysed.psg, &plan),
    };
    output::stdout(text.as_bytes()).map_err(|_| output::USAGE)?;
    Ok(0)
}

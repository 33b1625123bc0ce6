//! `clefc audit`: is every element of the fence plan needed, and every scope as narrow as it can be?
//!
//! Each element is taken away in turn and each scope narrowed in turn; the independent checker must reject every such
//! mutant. One that it accepts is synchronisation that nothing needs.

use super::{analysed, bug, fence_options, project_table, table};
use crate::cli::AuditArgs;
use crate::output;
use crate::stages;
use clef_psg::audit;
use clef_psg::fences::view;
use std::fmt::Write as _;

pub fn run(args: &AuditArgs) -> u8 {
    match mutate(args) {
        Ok(code) | Err(code) => code,
    }
}

fn mutate(args: &AuditArgs) -> Result<u8, u8> {
    let project = args.input.open()?;
    let name = args.cost.as_deref().unwrap_or_else(|| project_table(&project));
    let costs = table(name).map_err(|diagnostic| args.input.fail(diagnostic))?;
    let mut program = analysed(&args.input, &project)?;
    let mut timings = std::mem::take(&mut program.checked.timings);
    let (plan, _) =
        stages::fence(&program.analysed, &fence_options(&project, costs), &mut timings).map_err(bug)?;
    let psg = &program.analysed.psg;
    let mutants = audit::audit(psg, &program.analysed.kernels, &plan);
    let mut text = String::new();
    for mutant in &mutants {
        let element =
            plan.elements.get(mutant.element as usize).map_or_else(String::new, |e| view::element(psg, e));
        let change = if mutant.narrowed { "narrowed" } else { "taken away" };
        let verdict = match &mutant.caught {
            Some(rejection) => format!("rejected: {rejection}"),
            None => "SURVIVES: nothing needs it".to_owned(),
        };
        let _ = writeln!(text, "[{}] {element}, {change}: {verdict}", mutant.element);
    }
    let survivors = mutants.iter().filter(|m| m.caught.is_none()).count();
    let _ = writeln!(text, "{} mutants on {name}, {survivors} survive", mutants.len());
    output::stdout(text.as_bytes()).map_err(|_| output::USAGE)?;
    Ok(if survivors == 0 { 0 } else { output::ERRORS })
}

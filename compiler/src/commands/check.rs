//! `clefc check`: diagnostics only.

use super::{bug, failed, fence_options, project_table, show_timings, table};
use crate::cli::CheckArgs;
use crate::render;
use crate::stages;
use clef_frontend::diagnostic::Diagnostic;

pub fn run(args: &CheckArgs) -> u8 {
    let project = match args.input.open() {
        Ok(project) => project,
        Err(code) => return code,
    };
    let mut checked = stages::check(&project);
    let mut found = checked.diagnostics.clone();
    if !checked.has_errors() {
        let analysed = match stages::analyse(&mut checked, stages::versions(0)) {
            Ok(analysed) => analysed,
            Err(error) => return bug(error),
        };
        found.extend(analysed.diagnostics.iter().cloned());
        if !found.iter().any(Diagnostic::is_error) {
            let options = match table(project_table(&project)) {
                Ok(table) => fence_options(&project, table),
                Err(diagnostic) => return args.input.fail(diagnostic),
            };
            match stages::fence(&analysed, &options, &mut checked.timings) {
                Ok((_, warnings)) => found.extend(warnings),
                Err(error) => return bug(error),
            }
        }
    }
    if args.time_passes {
        show_timings(&checked.timings);
    }
    let found = render::in_order(found);
    if found.iter().any(Diagnostic::is_error) {
        return failed(&checked, &found, &args.input);
    }
    render::show(&checked.session, &found, args.input.message_format);
    0
}

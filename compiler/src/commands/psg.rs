//! `clefc psg`: the program semantic graph with its handoffs, as a picture or data.

use super::{analysed, bug, fence_options, project_table, table};
use crate::cli::{PsgArgs, PsgFormat};
use crate::output;
use crate::stages;
use clef_psg::view;

pub fn run(args: &PsgArgs) -> u8 {
    match print(args) {
        Ok(()) => 0,
        Err(code) => code,
    }
}

fn print(args: &PsgArgs) -> Result<(), u8> {
    let project = args.input.open()?;
    let mut program = analysed(&args.input, &project)?;
    let costs = table(project_table(&project)).map_err(|diagnostic| args.input.fail(diagnostic))?;
    let mut timings = std::mem::take(&mut program.checked.timings);
    let (plan, _) =
        stages::fence(&program.analysed, &fence_options(&project, costs), &mut timings).map_err(bug)?;
    let psg = &program.analysed.psg;
    let text = match args.format {
        PsgFormat::Dot => view::to_dot(psg, Some(&plan)),
        PsgFormat::Json => view::to_json(psg, Some(&plan)),
        PsgFormat::Html => view::to_html(psg, Some(&plan)),
    };
    output::stdout(text.as_bytes()).map_err(|_| output::USAGE)
}

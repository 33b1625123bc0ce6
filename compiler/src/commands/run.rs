//! `clefc run`: build into a temporary folder and run, or interpret.

use super::{analysed, build};
use crate::cli::{Coherence, RunArgs};
use crate::link::Scratch;
use crate::output::{self, reason};
use crate::project::Project;
use crate::render;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_psg::interp::{self, Console, World};
use std::io::{BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Instant;

pub fn run(args: &RunArgs) -> u8 {
    let project = match args.input.open() {
        Ok(project) => project,
        Err(code) => return code,
    };
    if args.interpret { interpret(args, &project) } else { native(args, &project) }
}

fn native(args: &RunArgs, project: &Project) -> u8 {
    let folder = match Scratch::new() {
        Ok(folder) => folder,
        Err(diagnostic) => return args.input.fail(diagnostic),
    };
    let adversarial = args.coherence == Coherence::Adversarial;
    let program = folder.0.join(&project.name);
    if let Err(code) = build::executable(&args.input, project, args.code, adversarial, &program) {
        return code;
    }
    let mut command = Command::new(&program);
    command.args(&args.args);
    if adversarial {
        command.env("CLEF_ADVERSARIAL", args.seed.to_string());
    }
    profile(&mut command, args);
    let status = command.status();
    if let Some(path) = args.trace.as_deref().filter(|p| status.is_ok() && !p.exists()) {
        eprintln!("no trace `{}`: {}", path.display(), nothing_to_trace(adversarial));
    }
    match status {
        // A program that a signal ended: as a shell reports it.
        Ok(status) => status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1) as u8,
        Err(error) => {
            let text = format!("cannot start `{}`: {}", program.display(), reason(&error));
            args.input.fail(Diagnostic::without_place(codes::UNREADABLE, text))
        }
    }
}

/// Asks the program for a trace and a table. A trace of an earlier run must not look like this one's.
fn profile(command: &mut Command, args: &RunArgs) {
    if let Some(path) = &args.trace {
        let _ = std::fs::remove_file(path);
        command.env("CLEF_TRACE", path);
    }
    if args.stats {
        command.env("CLEF_STATS", "1");
    }
}

fn nothing_to_trace(adversarial: bool) -> &'static str {
    if adversarial {
        "adversarial memory simulates the order of things"
    } else {
        "the program dispatched nothing, or did not reach its end"
    }
}

/// Standard input and output as the interpreter sees them.
struct Terminal {
    out: std::io::BufWriter<std::io::Stdout>,
    start: Instant,
}

impl Console for Terminal {
    fn write(&mut self, text: &str, to_stderr: bool) {
        // A closed pipe stops nothing: the program's own exit code counts.
        if to_stderr {
            let _ = self.out.flush();
            let _ = std::io::stderr().write_all(text.as_bytes());
        } else {
            let _ = self.out.write_all(text.as_bytes());
        }
    }
}

impl World for Terminal {
    fn read_line(&mut self) -> Option<String> {
        let _ = self.out.flush();
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(n) if n > 0 => Some(line.trim_end_matches(['\n', '\r']).to_owned()),
            _ => None,
        }
    }

    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|e| format!("the file \"{path}\" cannot be read: {}", reason(&e)))
    }

    fn write_file(&mut self, path: &str, content: &[u8], append: bool) -> Result<(), String> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(append).write(true).truncate(!append);
        let written = options.open(path).and_then(|mut file| file.write_all(content));
        written.map_err(|e| format!("the file \"{path}\" cannot be written: {}", reason(&e)))
    }

    fn file_exists(&mut self, path: &str) -> bool {
        std::path::Path::new(path).exists()
    }

    fn nanoseconds(&mut self) -> i64 {
        self.start.elapsed().as_nanos() as i64
    }
}

fn interpret(args: &RunArgs, project: &Project) -> u8 {
    let program = match analysed(&args.input, project) {
        Ok(program) => program,
        Err(code) => return code,
    };
    let found = render::in_order([&program.checked.diagnostics[..], &program.analysed.diagnostics].concat());
    render::show(&program.checked.session, &found, args.input.message_format);
    let mut terminal = Terminal { out: std::io::BufWriter::new(std::io::stdout()), start: Instant::now() };
    let outcome = interp::run(&program.analysed.psg, &program.analysed.kernels, &args.args, &mut terminal);
    let _ = terminal.out.flush();
    if let Some(stop) = &outcome.stopped {
        let file = program.checked.session.files.get(stop.span.file.0 as usize);
        let place = file.map_or_else(String::new, |f| {
            let (line, column) = f.lines.line_column(stop.span.start);
            format!("{}:{line}:{column}: ", f.name)
        });
        eprintln!("{place}{}", stop.text);
    }
    u8::try_from(outcome.code & 0xff).unwrap_or(output::ERRORS)
}

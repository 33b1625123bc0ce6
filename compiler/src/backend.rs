//! Starting `clefc-backend` and talking to it. A crash there is a report here.

use crate::stages::Bug;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_psg::job::{Answer, Job};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub enum Failure {
    User(Diagnostic),
    Bug(Bug),
}

/// Name of the second program.
const PROGRAM: &str = "clefc-backend";

const TUNABLES: &str = "GLIBC_TUNABLES";

/// Large pages for the back end's heap: it touches some ten megabytes even for a small kernel, and the faults of small
/// pages took a tenth of the time. What the user has set comes last, which wins.
fn tunables(set: Option<&str>) -> String {
    let ours = "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=16777216";
    set.filter(|set| !set.is_empty()).map_or_else(|| ours.to_owned(), |set| format!("{ours}:{set}"))
}

/// Where the back end is: beside this program, else on PATH.
pub fn path() -> Option<PathBuf> {
    if let Some(beside) = std::env::current_exe().ok().and_then(|p| Some(p.parent()?.join(PROGRAM))) {
        if beside.is_file() {
            return Some(beside);
        }
    }
    find_program(PROGRAM)
}

/// A program on PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|p| p.is_file())
}

/// Runs one job.
pub fn run(job: &Job) -> Result<Answer, Failure> {
    let Some(program) = path() else {
        let text = format!("`{PROGRAM}` is not beside `clefc` nor on PATH");
        return Err(Failure::User(
            Diagnostic::without_place(codes::NOT_INSTALLED, text)
                .note("`clefc` checks programs by itself; code is made by a second program")
                .help("install both programs into one folder (`./x build` puts them together)"),
        ));
    };
    let bytes = postcard::to_stdvec(job).map_err(|e| bug(format!("the job cannot be encoded: {e}")))?;
    let mut child = Command::new(&program)
        .env(TUNABLES, tunables(std::env::var(TUNABLES).ok().as_deref()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| {
            let text = format!("cannot start `{}`: {}", program.display(), crate::output::reason(&e));
            Failure::User(Diagnostic::without_place(codes::NOT_INSTALLED, text))
        })?;
    // The job is written from a thread of its own: the back end may answer, or die, before it has read all of it.
    let mut input = child.stdin.take();
    let writer = std::thread::spawn(move || {
        if let Some(pipe) = &mut input {
            let _ = pipe.write_all(&bytes);
        }
    });
    let mut errors = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(pipe) = &mut errors {
            let _ = pipe.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let output = child.wait_with_output().map_err(|e| bug(format!("the back end was lost: {e}")))?;
    let _ = writer.join();
    let said = reader.join().unwrap_or_default();
    // A back end that found a bug says so in its answer, and ends with an error.
    let answer = postcard::from_bytes::<Answer>(&output.stdout);
    if let Ok(Answer { bug: Some(text), .. }) = &answer {
        return Err(bug(text.clone()));
    }
    if !output.status.success() {
        return Err(bug(format!("the back end ended with {}: {}", output.status, last_lines(&said))));
    }
    answer.map_err(|e| bug(format!("the back end's answer cannot be read ({e}): {}", last_lines(&said))))
}

fn bug(text: String) -> Failure {
    Failure::Bug(Bug(text))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}

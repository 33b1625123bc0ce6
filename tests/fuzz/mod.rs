//! Fuzzing: broken and odd programs must never make the compiler panic, overflow its stack, take more than ten seconds
//! or more than 2 GB.
//!
//! Four targets: `lexer` (tokens and layout), `parser`, `checker`, and `pipeline` (the graph and everything up to the
//! certified fence plan, for what still checks). A case is a number: it seeds the choice of programs from the
//! repository and how they are changed (`mutate.rs`), so the same number is the same text as long as these are the same.
//!
//! Cases run in a process of their own (`worker.rs`); one that dies or falls silent is reported with its text, and the
//! next goes on behind it. Usually some thousand cases for each target; `CLEF_LONG=1` goes on for 15 minutes each,
//! `CLEF_FUZZ_SECONDS=N` for N seconds, `CLEF_FUZZ=target:first:count` runs these. `tests/fuzz/corpus/` keeps the
//! texts that once failed; they run first.

mod corpus;
mod mutate;
mod worker;

use crate::trial;
use corpus::Corpus;
use libtest_mimic::Trial;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

pub use worker::serve;

/// Longest silence of a worker. Cases that end, but took more than ten seconds of processor time, the worker tells
/// itself; this is for those that never end, on a machine with other things to do.
const LIMIT: Duration = Duration::from_secs(60);
/// Failures after which a target gives up.
const ENOUGH: usize = 12;
/// Targets with the usual number of cases and the time after which an ordinary run stops on a slow machine.
const TARGETS: [(&str, u64, u64); 4] =
    [("lexer", 100_000, 15), ("parser", 60_000, 15), ("checker", 8_000, 20), ("pipeline", 5_000, 20)];

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = TARGETS
        .iter()
        .map(|&(target, count, seconds)| {
            trial(format!("fuzz/{target}"), move || fuzz(target, count, seconds))
        })
        .collect();
    trials.push(trial("fuzz/a_crash_and_a_hang_are_noticed", noticed));
    trials
}

/// Which cases, and for how long.
struct Plan {
    first: u64,
    count: u64,
    seconds: u64,
}

fn plan(target: &str, count: u64, seconds: u64) -> Option<Plan> {
    if let Ok(asked) = std::env::var("CLEF_FUZZ") {
        let mut parts = asked.split(':');
        let (name, first, count) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        return (name == target).then_some(Plan { first, count, seconds: 3600 });
    }
    let asked = std::env::var("CLEF_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let long = std::env::var("CLEF_LONG").is_ok_and(|v| v == "1").then_some(900);
    Some(match asked.or(long) {
        Some(seconds) => Plan { first: 1, count: u64::MAX / 2, seconds },
        None => Plan { first: 1, count, seconds },
    })
}

fn fuzz(target: &'static str, count: u64, seconds: u64) -> Result<(), String> {
    let Some(plan) = plan(target, count, seconds) else { return Ok(()) };
    let start = Instant::now();
    let mut failures = Vec::new();
    let mut next = plan.first;
    let end = plan.first.saturating_add(plan.count);
    while next < end && failures.len() < ENOUGH {
        let left = plan.seconds.saturating_sub(start.elapsed().as_secs());
        if left == 0 {
            break;
        }
        match run(target, next, end - next, left)? {
            End::Done => break,
            End::Failed(case, why) => {
                failures.push(report(target, case, &why));
                next = case + 1;
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn report(target: &str, case: u64, why: &str) -> String {
    let text = Corpus::read().case(case);
    let kept = std::env::temp_dir().join(format!("clef-fuzz-{target}-{case}.clef"));
    let _ = std::fs::write(&kept, text);
    format!("CLEF_FUZZ={target}:{case}:1 {why}\ntext: {}", kept.display())
}

/// How a worker ended.
enum End {
    Done,
    /// The case that it was at, and what happened.
    Failed(u64, String),
}

fn run(target: &str, first: u64, count: u64, seconds: u64) -> Result<End, String> {
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    // Address space is bounded too, so that a case that eats memory dies before the machine suffers.
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v 8000000; exec \"$0\""])
        .arg(this)
        .env("CLEF_FUZZ_WORKER", format!("{target}:{first}:{count}:{seconds}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot start a worker: {e}"))?;
    let lines = lines(&mut child);
    let errors = tail(&mut child);
    let mut case = first;
    loop {
        match lines.recv_timeout(LIMIT) {
            Ok(line) if line == "done" => {
                let _ = child.wait();
                eprintln!("fuzz/{target}: no failure in cases {first} to {case}");
                return Ok(End::Done);
            }
            Ok(line) => case = line.parse().unwrap_or(case),
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(End::Failed(case, format!("did not end within {LIMIT:?}")));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait().map_err(|e| e.to_string())?;
                let text = errors.recv_timeout(LIMIT).unwrap_or_default();
                return Ok(End::Failed(case, died(status, &text)));
            }
        }
    }
}

fn died(status: ExitStatus, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    format!("{status}: {}", lines[lines.len().saturating_sub(8)..].join(" | "))
}

fn lines(child: &mut Child) -> Receiver<String> {
    let (send, receive) = channel();
    if let Some(out) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receive
}

fn tail(child: &mut Child) -> Receiver<String> {
    let (send, receive) = channel();
    if let Some(mut err) = child.stderr.take() {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            let _ = send.send(String::from_utf8_lossy(&text).into_owned());
        });
    }
    receive
}

/// The test of the tests: a worker that panics, one that overflows its stack, one that eats memory.
fn noticed() -> Result<(), String> {
    for target in ["panics", "recurses", "eats"] {
        match run(target, 7, 1, 60)? {
            End::Failed(7, _) => {}
            End::Failed(case, why) => return Err(format!("{target}: noticed at case {case}: {why}")),
            End::Done => return Err(format!("a worker that {target} was not noticed")),
        }
    }
    Ok(())
}

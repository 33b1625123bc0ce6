//! The trace (`CLEF_TRACE=FILE`): what each agent did when, in the format that Chrome and Perfetto read.
//!
//! One lane (thread id) for each agent, in order of first use; intervals are complete events with microseconds since
//! the first event, and carry their place in the source. Written once, when the program ends.

use crate::abi::Loc;
use crate::start;
use crate::stop::Place;
use std::fmt::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

struct Event {
    lane: usize,
    name: String,
    place: String,
    begin: Instant,
    end: Instant,
}

#[derive(Default)]
struct Trace {
    lanes: Vec<String>,
    events: Vec<Event>,
}

static TRACE: Mutex<Trace> = Mutex::new(Trace { lanes: Vec::new(), events: Vec::new() });

fn path() -> Option<&'static str> {
    static PATH: OnceLock<Option<&'static str>> = OnceLock::new();
    *PATH.get_or_init(|| start::variable_text(c"CLEF_TRACE"))
}

/// Whether a trace was asked for.
pub fn enabled() -> bool {
    path().is_some()
}

/// Something that an agent did from `begin` until now.
pub fn interval(lane: &str, name: &str, begin: Instant, loc: *const Loc) {
    let end = Instant::now();
    let mut trace = TRACE.lock().unwrap_or_else(PoisonError::into_inner);
    let lane = match trace.lanes.iter().position(|l| l == lane) {
        Some(n) => n,
        None => {
            trace.lanes.push(lane.to_owned());
            trace.lanes.len() - 1
        }
    };
    trace.events.push(Event { lane, name: name.to_owned(), place: Place(loc).to_string(), begin, end });
}

/// Writes the file, if there is to be one.
pub fn write() {
    let Some(path) = path() else { return };
    let trace = TRACE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(e) = std::fs::write(path, render(&trace)) {
        crate::output::message(format_args!("clef: cannot write the trace `{path}`: {e}\n"));
    }
}

fn render(trace: &Trace) -> String {
    let mut text = String::from("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    let mut separator = "";
    for (n, lane) in trace.lanes.iter().enumerate() {
        let _ = write!(
            text,
            "{separator}{{\"ph\":\"M\",\"pid\":1,\"tid\":{n},\"name\":\"thread_name\",\"args\":{{\"name\":{}}}}}",
            quoted(lane)
        );
        separator = ",\n";
    }
    let Some(zero) = trace.events.iter().map(|e| e.begin).min() else {
        return text + "\n]}\n";
    };
    for event in &trace.events {
        let start = event.begin.duration_since(zero).as_nanos() as f64 / 1000.0;
        let length = event.end.duration_since(event.begin).as_nanos() as f64 / 1000.0;
        let _ = write!(
            text,
            "{separator}{{\"ph\":\"X\",\"pid\":1,\"tid\":{},\"ts\":{start:.3},\"dur\":{length:.3},\"name\":{},\"args\":{{\"at\":{}}}}}",
            event.lane,
            quoted(&event.name),
            quoted(&event.place)
        );
        separator = ",\n";
    }
    text + "\n]}\n"
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if u32::from(c) < 32 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

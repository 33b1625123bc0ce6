//! The recorded events as Chrome's and Perfetto's trace-event JSON.
//!
//! Metadata names the process and each lane; what took time is a complete event (`X`), a clean of the cache an instant
//! (`i`); an arrow (`s`, `f`) leads from each dispatch to the kernel that it started. Times are microseconds since the
//! recording began. A lane's events are in order of their begin, outer ones first. Arguments: `at`, the place in the
//! source; of kernels and dispatches `acquire` and `release`, the scopes that the fence plan gave the packet.

use super::{Event, What, Who, title};
use crate::abi::Dispatch;
use crate::stop::Place;
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

pub fn render(events: &[Event], dropped: u64) -> String {
    let mut lanes: Vec<Who> = events.iter().map(|e| e.who).collect();
    lanes.sort_unstable();
    lanes.dedup();
    let mut events = events.to_vec();
    events.sort_by_key(|e| (e.who, e.begin, Reverse(e.end)));
    let mut lines = vec![meta("process_name", 0, &format!("\"name\":{}", quoted("clef program")))];
    for (n, lane) in lanes.iter().enumerate() {
        lines.push(meta("thread_name", n, &format!("\"name\":{}", quoted(&lane.to_string()))));
        lines.push(meta("thread_sort_index", n, &format!("\"sort_index\":{n}")));
    }
    let arrows = arrows(&events);
    let tid = |who: Who| lanes.binary_search(&who).unwrap_or_default();
    for (event, arrow) in events.iter().zip(arrows) {
        let tid = tid(event.who);
        lines.push(line(event, tid));
        if let Some((phase, id)) = arrow {
            let bind = if phase == 'f' { ",\"bp\":\"e\"" } else { "" };
            lines.push(format!(
                "{{\"ph\":\"{phase}\",\"pid\":1,\"tid\":{tid},\"ts\":{},\"id\":{id},\"cat\":\"dispatch\",\"name\":\"dispatch\"{bind}}}",
                micros(event.begin)
            ));
        }
    }
    let other = format!("\"otherData\":{{\"dropped_events\":{dropped}}}");
    format!("{{\"displayTimeUnit\":\"ns\",{other},\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
}

/// Which events begin or end an arrow: a lane runs its dispatches in order, so the n-th kernel of a lane is that of the
/// n-th dispatch to it. `events` are sorted by lane and begin.
fn arrows(events: &[Event]) -> Vec<Option<(char, usize)>> {
    let mut arrows = vec![None; events.len()];
    let mut submitted: HashMap<u32, Vec<usize>> = HashMap::new();
    for (n, event) in events.iter().enumerate() {
        if let What::Submit(lane) = event.what {
            submitted.entry(lane).or_default().push(n);
        }
    }
    let mut waiting: HashMap<u32, VecDeque<usize>> = HashMap::new();
    for (lane, mut list) in submitted {
        // Several host threads may dispatch to one lane.
        list.sort_by_key(|&n| events[n].begin);
        waiting.insert(lane, list.into());
    }
    let mut id = 0;
    for (n, event) in events.iter().enumerate() {
        let (Who::Agent(lane), What::Kernel) = (event.who, event.what) else { continue };
        let Some(from) = waiting.get_mut(&lane).and_then(VecDeque::pop_front) else { continue };
        // Where events were dropped, the rest does not pair up.
        if !std::ptr::eq(events[from].dispatch, event.dispatch) {
            waiting.remove(&lane);
            continue;
        }
        id += 1;
        arrows[from] = Some(('s', id));
        arrows[n] = Some(('f', id));
    }
    arrows
}

fn meta(name: &str, tid: usize, args: &str) -> String {
    format!("{{\"ph\":\"M\",\"pid\":1,\"tid\":{tid},\"ts\":0,\"name\":\"{name}\",\"args\":{{{args}}}}}")
}

fn line(event: &Event, tid: usize) -> String {
    let length = match event.what {
        What::Clean => "\"ph\":\"i\",\"s\":\"t\"".to_owned(),
        _ => format!("\"ph\":\"X\",\"dur\":{}", micros(event.end - event.begin)),
    };
    let category = match event.what {
        What::Kernel => "kernel",
        What::Submit(_) => "dispatch",
        What::Wait(_) | What::End(_) => "wait",
        What::Barrier | What::Clean => "fence",
    };
    let mut args = String::new();
    if !event.loc.is_null() {
        let _ = write!(args, "\"at\":{}", quoted(&Place(event.loc).to_string()));
    }
    if let (What::Kernel | What::Submit(_), Some(header)) = (event.what, header(event.dispatch)) {
        let scope = |bits: u16| ["none", "agent", "system", "?"][usize::from(bits & 3)];
        let _ =
            write!(args, ",\"acquire\":\"{}\",\"release\":\"{}\"", scope(header >> 9), scope(header >> 11));
    }
    format!(
        "{{{length},\"pid\":1,\"tid\":{tid},\"ts\":{},\"cat\":\"{category}\",\"name\":{},\"args\":{{{args}}}}}",
        micros(event.begin),
        quoted(&title(event.what, event.dispatch))
    )
}

/// The packet's header; none where the dispatch made no packet.
fn header(dispatch: *const Dispatch) -> Option<u16> {
    // SAFETY: null or a static descriptor.
    let dispatch = unsafe { dispatch.as_ref() }?;
    (dispatch.agent != 0).then_some(dispatch.header)
}

/// Nanoseconds as microseconds, exactly.
fn micros(nanoseconds: u64) -> String {
    format!("{}.{:03}", nanoseconds / 1000, nanoseconds % 1000)
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

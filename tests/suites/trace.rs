//! Traces and tables of `clefc run --trace FILE --stats`: held to the rules of the trace-event format.

use crate::example::{EXAMPLE, INDEPENDENT, inputs};
use crate::trial;
use clef_tests::{Done, Scratch, clefc, root, run};
use libtest_mimic::Trial;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("trace/of_the_example_follows_the_format", of_the_example),
        trial("trace/independent_kernels_of_two_agents_overlap", two_agents),
        trial("trace/without_dispatches_there_is_none", nothing),
        trial("trace/rules_can_be_broken", rules_can_be_broken),
    ]
}

/// A number of microseconds with three decimals, as nanoseconds.
fn nanoseconds(event: &Value, key: &str) -> Result<i64, String> {
    let micros = event[key].as_f64().ok_or_else(|| format!("no number `{key}`: {event}"))?;
    let ns = (micros * 1000.0).round() as i64;
    if ns < 0 { Err(format!("`{key}` is negative: {event}")) } else { Ok(ns) }
}

/// A trace that was read.
struct Trace {
    events: Vec<Value>,
    lanes: BTreeMap<u64, String>,
}

impl Trace {
    fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("no trace: {e}"))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        Self::of(json["traceEvents"].as_array().cloned().ok_or("no traceEvents")?)
    }

    /// Checks what the format demands.
    fn of(events: Vec<Value>) -> Result<Self, String> {
        let mut lanes = BTreeMap::new();
        let mut used = BTreeSet::new();
        let mut arrows: BTreeMap<u64, Vec<(String, i64)>> = BTreeMap::new();
        for event in &events {
            let phase = event["ph"].as_str().ok_or_else(|| format!("no ph: {event}"))?;
            let name = event["name"].as_str().filter(|n| !n.is_empty());
            let (Some(name), Some(_), Some(tid)) = (name, event["pid"].as_u64(), event["tid"].as_u64())
            else {
                return Err(format!("no name, pid or tid: {event}"));
            };
            let ts = nanoseconds(event, "ts")?;
            match phase {
                "M" if name == "thread_name" => {
                    let lane = event["args"]["name"].as_str().ok_or("a lane without a name")?;
                    lanes.insert(tid, lane.to_owned());
                }
                "M" => {}
                "X" => {
                    nanoseconds(event, "dur")?;
                    used.insert(tid);
                }
                "i" => {
                    used.insert(tid);
                }
                "s" | "f" => {
                    let id = event["id"].as_u64().ok_or_else(|| format!("an arrow without id: {event}"))?;
                    arrows.entry(id).or_default().push((phase.to_owned(), ts));
                }
                other => return Err(format!("unknown phase {other}: {event}")),
            }
        }
        if let Some(tid) = used.iter().find(|t| !lanes.contains_key(t)) {
            return Err(format!("no metadata names lane {tid}"));
        }
        for (id, ends) in &mut arrows {
            ends.sort_by_key(|(phase, _)| phase != "s");
            if !matches!(&ends[..], [(s, from), (f, to)] if s == "s" && f == "f" && from <= to) {
                return Err(format!("arrow {id} is not one begin and a later end: {ends:?}"));
            }
        }
        let trace = Self { events, lanes };
        trace.nests()?;
        Ok(trace)
    }

    /// On each lane a complete event lies inside the one around it, or apart from it.
    fn nests(&self) -> Result<(), String> {
        for &tid in self.lanes.keys() {
            let mut spans = Vec::new();
            for event in self.events.iter().filter(|e| e["ph"] == "X" && e["tid"] == tid) {
                let begin = nanoseconds(event, "ts")?;
                spans.push((begin, begin + nanoseconds(event, "dur")?));
            }
            spans.sort_by_key(|&(begin, end)| (begin, -end));
            let mut open: Vec<i64> = Vec::new();
            for (begin, end) in spans {
                while open.last().is_some_and(|&outer| outer <= begin) {
                    open.pop();
                }
                if open.last().is_some_and(|&outer| outer < end) {
                    return Err(format!("events of lane {tid} cross at {begin} ns"));
                }
                open.push(end);
            }
        }
        Ok(())
    }

    /// Lane, name and interval of events of a category.
    fn of_category(&self, category: &str) -> Result<Vec<(&str, &str, i64, i64)>, String> {
        let wanted = self.events.iter().filter(|e| e["cat"] == category && e["ph"] == "X");
        wanted
            .map(|e| {
                let lane = e["tid"].as_u64().and_then(|t| self.lanes.get(&t)).ok_or("no lane")?;
                let begin = nanoseconds(e, "ts")?;
                let name = e["name"].as_str().unwrap_or_default();
                Ok((lane.as_str(), name, begin, begin + nanoseconds(e, "dur")?))
            })
            .collect()
    }
}

fn traced(source: &Path, trace: &Path, arguments: &[&Path]) -> Result<Done, String> {
    let mut command = Command::new(clefc());
    command.arg("run").arg("--trace").arg(trace).arg("--stats").arg(source).arg("--").args(arguments);
    // Each kernel is made to take 20 ms, so that overlap does not depend on luck.
    command.env("CLEF_TEST_DELAY_US", "20000").env_remove("CLEF_AGENTS");
    let done = run(&mut command, "")?;
    if done.code == 0 { Ok(done) } else { Err(format!("exit code {}: {}", done.code, done.stderr)) }
}

fn of_the_example() -> Result<(), String> {
    let inputs = inputs()?;
    let path = inputs.folder.0.join("trace.json");
    // What an earlier run left must go.
    fs::write(&path, "old").map_err(|e| e.to_string())?;
    let done = traced(&root().join(EXAMPLE), &path, &[&inputs.tokens, &inputs.weights])?;
    let trace = Trace::read(&path)?;
    let lanes: BTreeSet<&str> = trace.lanes.values().map(String::as_str).collect();
    if lanes != BTreeSet::from(["CPU", "GPU", "NPU"]) {
        return Err(format!("lanes {lanes:?}"));
    }
    let mut kernels: Vec<(&str, &str)> = trace.of_category("kernel")?.iter().map(|k| (k.0, k.1)).collect();
    kernels.sort_unstable();
    let wanted = [
        ("CPU", "output_projection"),
        ("GPU", "ternary_ffn_kernel"),
        ("NPU", "latent_attention"),
        ("NPU", "mla_kv_projection"),
    ];
    if kernels != wanted {
        return Err(format!("kernels {kernels:?}"));
    }
    let arrows = trace.events.iter().filter(|e| e["ph"] == "s").count();
    if arrows != 3 || trace.of_category("wait")?.is_empty() || trace.of_category("dispatch")?.len() != 3 {
        return Err(format!("{arrows} arrows, or no waits, or not three dispatches"));
    }
    let placed = |e: &&Value| e["args"]["at"].as_str().is_some_and(|at| at.starts_with("Inference.clef:"));
    for event in
        trace.events.iter().filter(|e| e["cat"] == "kernel" || (e["cat"] == "dispatch" && e["ph"] == "X"))
    {
        if !placed(&event) {
            return Err(format!("no place: {event}"));
        }
    }
    for part in ["clef: ", "lane ", "ternary_ffn_kernel", "wait for the NPU", "Inference.clef:"] {
        if !done.stderr.contains(part) {
            return Err(format!("the table lacks `{part}`: {}", done.stderr));
        }
    }
    Ok(())
}

fn two_agents() -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("Overlap.clef", INDEPENDENT);
    let path = folder.0.join("trace.json");
    traced(&file, &path, &[])?;
    let trace = Trace::read(&path)?;
    match trace.of_category("kernel")?[..] {
        [a, b] if a.0 != b.0 && a.2 < b.3 && b.2 < a.3 => Ok(()),
        ref other => Err(format!("no overlap of two agents: {other:?}")),
    }
}

fn nothing() -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("Hello.clef", "module Hello\n\n[<EntryPoint>]\nlet main argv =\n    0\n");
    let path = folder.0.join("trace.json");
    let done = traced(&file, &path, &[])?;
    if !path.exists() && done.stderr.contains("no trace") {
        Ok(())
    } else {
        Err(format!("no word about the missing trace: {}", done.stderr))
    }
}

/// The test of the test: broken traces are refused.
fn rules_can_be_broken() -> Result<(), String> {
    let event = |ts: f64, dur: f64| serde_json::json!({"ph": "X", "pid": 1, "tid": 0, "name": "k", "ts": ts, "dur": dur});
    let lane = serde_json::json!({"ph": "M", "pid": 1, "tid": 0, "ts": 0, "name": "thread_name", "args": {"name": "CPU"}});
    let broken = [
        vec![event(0.0, 1.0)],
        vec![lane.clone(), event(0.0, 2.0), event(1.0, 2.0)],
        vec![lane.clone(), event(-1.0, 2.0)],
        vec![lane.clone(), serde_json::json!({"ph": "X", "pid": 1, "tid": 0, "ts": 0, "dur": 1})],
        vec![lane.clone(), serde_json::json!({"ph": "s", "pid": 1, "tid": 0, "name": "d", "ts": 0, "id": 1})],
    ];
    if let Some(n) = broken.into_iter().position(|events| Trace::of(events).is_ok()) {
        return Err(format!("broken trace {n} was accepted"));
    }
    Trace::of(vec![lane, event(0.0, 2.0), event(0.5, 1.0), event(2.0, 1.0)]).map(|_| ())
}

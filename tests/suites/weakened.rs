//! What a program tells the library of `tests/hsa_mock`, one thing at a time taken for less than it says: each fence of
//! a packet one scope narrower, each barrier, clean and wait left away. Every one must be noticed, as a wrong result
//! or a race that the library reports: else the plan has something that nobody needs, or the library is too lenient.
//!
//! Waits at the program's end are the runtime's, not the plan's, and no scope of an NPU's packet means anything. In a
//! program with loops, branches or calls an element of the plan is executed several times, not always with need: there
//! all executions at once are weakened, and it must be noticed on one of the ways through the branches.
//!
//! `CLEF_LONG=1` tries everything; else long programs are sampled.

use crate::example::inputs;
use crate::hsa::{build, on_mock, told};
use crate::{litmus, trial};
use clef_tests::{Scratch, clefc, files, root, run};
use libtest_mimic::Trial;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Seeds at most until something is noticed.
const SEEDS: u64 = 24;
/// Elements of a long program that an ordinary run tries.
const SAMPLE: usize = 12;

/// Programs with a weakened scope that is not noticed, where it is not yet known whether the plan has more than it needs
/// or the library sees too little. They must not become more; one that is noticed must leave the list.
const UNSETTLED: [&str; 6] = [
    "litmus/hoisted",
    "litmus/branch_one_side",
    "litmus/call_twice_read",
    "litmus/branch_then_loop",
    "run/agents_pingpong",
    "run/gpu_copies",
];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, line) in litmus::lines() {
        trials.push(trial(format!("weakened/litmus/{name}"), move || {
            settled(&format!("litmus/{name}"), litmus_line(&line)?)
        }));
    }
    for path in files(&root().join("tests/run"), "clef") {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().take_while(|l| l.starts_with("//")).any(|l| l.trim() == "// agents") {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            trials.push(trial(format!("weakened/run/{name}"), move || {
                settled(&format!("run/{name}"), program(&path)?)
            }));
        }
    }
    trials.push(trial("weakened/example", || settled("example", example()?)));
    trials
}

fn long() -> bool {
    std::env::var_os("CLEF_LONG").is_some_and(|v| v == "1")
}

/// Something that a program told, by the words of `CLEF_HSA_MOCK_WEAKEN`, and its line of the record.
struct Element {
    weaken: String,
    line: String,
    /// Executions of the same thing in the source.
    group: String,
}

/// The elements of a record.
fn elements(record: &str) -> Vec<Element> {
    let mut kernels: BTreeMap<String, usize> = BTreeMap::new();
    let mut waits = 0;
    let mut found = Vec::new();
    for line in record.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let queue = words.get(1).and_then(|w| w.split('.').next()).unwrap_or_default();
        let number = kernels.get(queue).copied().unwrap_or_default();
        let mut add = |weaken: String, group: &str| {
            found.push(Element { weaken, line: line.to_owned(), group: group.to_owned() });
        };
        match words[..] {
            ["packet", _, "kernel", header, name, ..] => {
                let header = u16::from_str_radix(header.trim_start_matches("header=0x"), 16).unwrap_or(0);
                for (word, scope) in [("acquire", header >> 9 & 3), ("release", header >> 11 & 3)] {
                    if scope > 0 {
                        add(
                            format!("{word} {queue} {number}"),
                            &format!("{word} {queue} {header:#x} {name}"),
                        );
                    }
                }
                kernels.insert(queue.to_owned(), number + 1);
            }
            ["packet", _, "npu", ..] => {
                kernels.insert(queue.to_owned(), number + 1);
            }
            ["packet", _, "barrier-and", ..] => {
                add(format!("barrier {queue} {number}"), &format!("barrier {queue}"));
            }
            ["doorbell", queue, newest, "release"] if queue.starts_with("npu") => {
                let newest = newest.trim_start_matches("newest=");
                add(format!("clean {queue} {newest}"), &format!("clean {queue}"));
            }
            ["wait", owner, "acquire"] => {
                add(
                    format!("wait {waits}"),
                    &format!("wait {}", owner.split('.').next().unwrap_or_default()),
                );
                waits += 1;
            }
            _ => {}
        }
    }
    // The last wait for each queue that was used is that of the program's end.
    for _ in 0..kernels.len() {
        if let Some(last) = found.iter().rposition(|e| e.weaken.starts_with("wait ")) {
            found.remove(last);
        }
    }
    found
}

/// A program with its right result.
struct Subject<'a> {
    folder: &'a Scratch,
    program: &'a Path,
    args: Vec<String>,
    result: String,
    code: i32,
}

impl Subject<'_> {
    /// Whether some seed shows that the element is weakened.
    fn noticed(&self, element: &Element) -> Result<bool, String> {
        for seed in 0..SEEDS {
            let seed = seed.to_string();
            let wishes = [("CLEF_HSA_MOCK_SEED", seed.as_str()), ("CLEF_HSA_MOCK_WEAKEN", &element.weaken)];
            let done = run(on_mock(self.program, &wishes).args(&self.args), "")?;
            if done.code != self.code || done.stdout != self.result {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Elements that nobody misses, by name. `each`: every execution by itself.
    fn survivors(&self, each: bool) -> Result<Vec<String>, String> {
        let mut all = elements(&told(self.folder, self.program, &self.args)?);
        if !long() && all.len() > SAMPLE {
            // Executions of the same thing stay together; every group keeps its first ones.
            let mut kept: BTreeMap<String, usize> = BTreeMap::new();
            let groups = all.iter().map(|e| &e.group).collect::<BTreeSet<_>>().len();
            let most = SAMPLE.div_ceil(groups.max(1));
            all.retain(|e| {
                let n = kept.entry(e.group.clone()).or_default();
                *n += 1;
                *n <= most
            });
        }
        let mut survivors: BTreeMap<&str, Vec<&Element>> = BTreeMap::new();
        let mut caught = BTreeSet::new();
        for element in &all {
            if !each && caught.contains(&element.group) {
                continue;
            }
            if self.noticed(element)? {
                caught.insert(&element.group);
            } else {
                survivors.entry(&element.group).or_default().push(element);
            }
        }
        let left = survivors.into_iter().filter(|(group, _)| each || !caught.iter().any(|c| c == group));
        Ok(left.flat_map(|(_, e)| e).map(|e| format!("{} ({})", e.weaken, e.line)).collect())
    }
}

fn settled(name: &str, survivors: Vec<String>) -> Result<(), String> {
    match (survivors.is_empty(), UNSETTLED.contains(&name)) {
        (true, false) | (false, true) => Ok(()),
        (true, true) => Err(format!("{name} is noticed now: take it off the list UNSETTLED")),
        (false, false) => Err(format!("nobody misses, with {SEEDS} seeds:\n{}", survivors.join("\n"))),
    }
}

fn litmus_line(line: &str) -> Result<Vec<String>, String> {
    let text = line.split('|').nth(1).unwrap_or_default().trim();
    if text.contains('X') {
        return Ok(Vec::new()); // foreign functions look at nothing here
    }
    let folder = Scratch::new();
    let file = folder.file("Litmus.clef", litmus::expand(text)?);
    let program = folder.0.join("program");
    build(&file, &program, &[])?;
    let branches: &[&[&str]] = if text.contains("if {") { &[&[], &["other"]] } else { &[&[]] };
    let mut survivors = Vec::new();
    for args in branches {
        let mut meaning = Command::new(clefc());
        let meaning = run(meaning.args(["run", "--interpret"]).arg(&file).arg("--").args(*args), "")?;
        let args = args.iter().map(|a| (*a).to_owned()).collect();
        let subject =
            Subject { folder: &folder, program: &program, args, result: meaning.stdout, code: meaning.code };
        survivors.extend(subject.survivors(!text.contains('{'))?);
    }
    Ok(survivors)
}

fn on_host(folder: &Scratch, program: &Path, args: Vec<String>) -> Result<Vec<String>, String> {
    let host = run(Command::new(program).args(&args).env("CLEF_AGENTS", "host"), "")?;
    let subject = Subject { folder, program, args, result: host.stdout, code: host.code };
    subject.survivors(false)
}

fn program(path: &Path) -> Result<Vec<String>, String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(path, &program, &[])?;
    on_host(&folder, &program, Vec::new())
}

fn example() -> Result<Vec<String>, String> {
    let inputs = inputs()?;
    let args = [&inputs.tokens, &inputs.weights].map(|f| f.to_string_lossy().into_owned());
    let program = inputs.folder.0.join("program");
    build(&root().join(crate::example::EXAMPLE), &program, &[])?;
    on_host(&inputs.folder, &program, args.to_vec())
}

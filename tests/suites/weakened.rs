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
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Seeds at most until something is noticed.
const SEEDS: u64 = 24;
/// Groups of a program's elements that an ordinary run tries.
const SAMPLE: usize = 12;

/// By program: what another branch than the one that is taken needs. After an NPU's dispatch, `reduce` would have to
/// acquire at system scope; after the GPU's, it is one scope more than it must be.
const NEEDLESS: &[(&str, &str)] = &[("agents_pingpong", "acquire gpu1 0x1502 name=reduce")];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, line) in litmus::lines() {
        trials.push(trial(format!("weakened/litmus/{name}"), move || litmus_line(&line)));
    }
    for path in files(&root().join("tests/run"), "clef") {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().take_while(|l| l.starts_with("//")).any(|l| l.trim() == "// agents") {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            trials.push(trial(format!("weakened/run/{name}"), move || program(&path)));
        }
    }
    trials.push(trial("weakened/example", example));
    trials
}

fn long() -> bool {
    std::env::var_os("CLEF_LONG").is_some_and(|v| v == "1")
}

/// Something that a program told, by the words and the number of `CLEF_HSA_MOCK_WEAKEN`, and its line of the record.
struct Element {
    what: String,
    number: u64,
    line: String,
    /// Executions of the same thing in the source.
    group: String,
}

/// The elements of a record.
fn elements(record: &str) -> Vec<Element> {
    let mut kernels: BTreeMap<String, u64> = BTreeMap::new();
    let mut waits = 0_u64;
    let mut found = Vec::new();
    for line in record.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let queue = words.get(1).and_then(|w| w.split('.').next()).unwrap_or_default();
        let number = kernels.get(queue).copied().unwrap_or_default();
        let mut add = |what: String, number: u64, group: &str| {
            found.push(Element { what, number, line: line.to_owned(), group: group.to_owned() });
        };
        match words[..] {
            ["packet", _, "kernel", header, name, ..] => {
                let header = u16::from_str_radix(header.trim_start_matches("header=0x"), 16).unwrap_or(0);
                for (word, scope) in [("acquire", header >> 9 & 3), ("release", header >> 11 & 3)] {
                    if scope > 0 {
                        add(format!("{word} {queue}"), number, &format!("{word} {queue} {header:#x} {name}"));
                    }
                }
                kernels.insert(queue.to_owned(), number + 1);
            }
            ["packet", _, "npu", ..] => {
                kernels.insert(queue.to_owned(), number + 1);
            }
            ["packet", _, "barrier-and", ..] => {
                add(format!("barrier {queue}"), number, &format!("barrier {queue}"));
            }
            ["doorbell", queue, newest, "release"] if queue.starts_with("npu") => {
                let newest = newest.trim_start_matches("newest=").parse().unwrap_or_default();
                add(format!("clean {queue}"), newest, &format!("clean {queue}"));
            }
            ["wait", owner, "acquire"] => {
                add(
                    "wait".to_owned(),
                    waits,
                    &format!("wait {}", owner.split('.').next().unwrap_or_default()),
                );
                waits += 1;
            }
            _ => {}
        }
    }
    // The last wait for each queue that was used is that of the program's end.
    for _ in 0..kernels.len() {
        if let Some(last) = found.iter().rposition(|e| e.what == "wait") {
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
    /// Whether some seed shows that this is weakened.
    fn noticed(&self, weaken: &str) -> Result<bool, String> {
        for seed in 0..SEEDS {
            let seed = seed.to_string();
            let wishes = [("CLEF_HSA_MOCK_SEED", seed.as_str()), ("CLEF_HSA_MOCK_WEAKEN", weaken)];
            let done = run(on_mock(self.program, &wishes).args(&self.args), "")?;
            if done.code != self.code || done.stdout != self.result {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds what was told, by group, and whether it was noticed. `each`: every execution is a group of its own.
    fn tell(&self, each: bool, groups: &mut BTreeMap<String, bool>) -> Result<(), String> {
        let mut lists: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for element in elements(&told(self.folder, self.program, &self.args)?) {
            let group = if each { format!("{} ({})", element.what, element.line) } else { element.group };
            lists.entry(format!("{}|{group}", element.what)).or_default().push(element.number);
        }
        let most = if long() { usize::MAX } else { SAMPLE };
        // Taken evenly from a list in a fixed order.
        let step = lists.len().div_ceil(most.min(lists.len().max(1)));
        for (group, numbers) in lists.into_iter().step_by(step.max(1)) {
            if groups.get(&group) == Some(&true) {
                continue;
            }
            let what = group.split('|').next().unwrap_or_default();
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            let noticed = self.noticed(&format!("{what} {}", numbers.join(",")))?;
            groups.insert(group, noticed);
        }
        Ok(())
    }
}

/// `needless`: groups that the run does not need, though the program does.
fn verdict(groups: &BTreeMap<String, bool>, needless: &[&str]) -> Result<(), String> {
    let excused = |group: &str| needless.iter().any(|n| group.split('|').nth(1) == Some(n));
    let survivors: Vec<&str> =
        groups.iter().filter(|(g, noticed)| !**noticed && !excused(g)).map(|(g, _)| g.as_str()).collect();
    if let Some((group, _)) = groups.iter().find(|(g, noticed)| **noticed && excused(g)) {
        return Err(format!("{group} is noticed: take it off the list NEEDLESS"));
    }
    if survivors.is_empty() {
        Ok(())
    } else {
        Err(format!("nobody misses, with {SEEDS} seeds:\n{}", survivors.join("\n")))
    }
}

fn litmus_line(line: &str) -> Result<(), String> {
    let text = line.split('|').nth(1).unwrap_or_default().trim();
    if text.contains('X') {
        return Ok(()); // foreign functions look at nothing here
    }
    let folder = Scratch::new();
    let file = folder.file("Litmus.clef", litmus::expand(text)?);
    let program = folder.0.join("program");
    build(&file, &program, &[])?;
    let branches: &[&[&str]] = if text.contains("if {") { &[&[], &["other"]] } else { &[&[]] };
    let mut groups = BTreeMap::new();
    for args in branches {
        let mut meaning = Command::new(clefc());
        let meaning = run(meaning.args(["run", "--interpret"]).arg(&file).arg("--").args(*args), "")?;
        let args = args.iter().map(|a| (*a).to_owned()).collect();
        let subject =
            Subject { folder: &folder, program: &program, args, result: meaning.stdout, code: meaning.code };
        subject.tell(!text.contains('{'), &mut groups)?;
    }
    verdict(&groups, &[])
}

fn on_host(folder: &Scratch, program: &Path, args: Vec<String>, needless: &[&str]) -> Result<(), String> {
    let host = run(Command::new(program).args(&args).env("CLEF_AGENTS", "host"), "")?;
    let subject = Subject { folder, program, args, result: host.stdout, code: host.code };
    let mut groups = BTreeMap::new();
    subject.tell(false, &mut groups)?;
    verdict(&groups, needless)
}

fn program(path: &Path) -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(path, &program, &[])?;
    let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let needless: Vec<&str> = NEEDLESS.iter().filter(|(n, _)| *n == name).map(|(_, group)| *group).collect();
    on_host(&folder, &program, Vec::new(), &needless)
}

fn example() -> Result<(), String> {
    let inputs = inputs()?;
    let args = [&inputs.tokens, &inputs.weights].map(|f| f.to_string_lossy().into_owned());
    let program = inputs.folder.0.join("program");
    build(&root().join(crate::example::EXAMPLE), &program, &[])?;
    on_host(&inputs.folder, &program, args.to_vec(), &[])
}

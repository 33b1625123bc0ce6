//! The process that runs cases: it prints the number of each before it begins, and dies of the first that fails.

use super::corpus::Corpus;
use clef_frontend::ast;
use clef_frontend::check::{self, CheckInput};
use clef_frontend::span::{FileId, LineIndex};
use clef_frontend::{layout, lex, parse};
use clef_psg::fences::{self, FenceOptions};
use clef_psg::graph::FileInfo;
use clef_psg::{bounds, build, certify, fold, handles, kernel, verify};
use clef_tests::{files, root};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

/// Most memory of a worker, in KiB.
const MEMORY: u64 = 2 << 20;

/// Most processor time of a case, in hundredths of a second.
const TICKS: u64 = 1000;

/// Runs cases if this process was started for that. True where it was.
pub fn serve() -> bool {
    let Ok(asked) = std::env::var("CLEF_FUZZ_WORKER") else { return false };
    let mut parts = asked.split(':');
    let target = parts.next().unwrap_or_default().to_owned();
    let mut number = || parts.next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let (first, count, seconds) = (number(), number(), number());
    // The stack that the compiler runs on.
    let thread = std::thread::Builder::new().stack_size(2 * clef_frontend::deep::STACK);
    let ended =
        thread.spawn(move || cases(&target, first, count, seconds)).map(std::thread::JoinHandle::join);
    if !matches!(ended, Ok(Ok(()))) {
        std::process::exit(101);
    }
    true
}

fn cases(target: &str, first: u64, count: u64, seconds: u64) {
    let corpus = Corpus::read();
    let library = Library::read();
    let start = Instant::now();
    let mut out = std::io::stdout();
    for case in first..first.saturating_add(count) {
        if start.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        let _ = writeln!(out, "{case}");
        let _ = out.flush();
        let text = corpus.case(case);
        let before = processor_ticks();
        one(target, &text, &library);
        let ticks = processor_ticks() - before;
        assert!(ticks <= TICKS, "the case took {} seconds of processor time", ticks / 100);
        if peak() > MEMORY {
            panic!("more than {} MiB in use", MEMORY >> 10);
        }
    }
    let _ = writeln!(out, "done");
}

/// Processor time of this process, in hundredths of a second.
fn processor_ticks() -> u64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name is in brackets and may hold blanks; user and system time are fields 14 and 15.
    let behind = text.rsplit(')').next().unwrap_or_default();
    behind.split(' ').skip(12).take(2).filter_map(|n| n.parse::<u64>().ok()).sum()
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn one(target: &str, text: &str, library: &Library) {
    match target {
        "lexer" => {
            let (tokens, _) = lex::lex(FileId(0), text);
            let _ = layout::layout(tokens);
        }
        "parser" => drop(parse::parse(FileId(0), text)),
        "checker" => drop(library.check(text)),
        "pipeline" => pipeline(text, library),
        "recurses" => println!("{}", endless(1)),
        "eats" => drop(std::hint::black_box(vec![1u8; (MEMORY as usize + 1024) << 10])),
        other => panic!("there is no target `{other}`"),
    }
}

/// For the test of the tests.
#[expect(unconditional_recursion, reason = "it must overflow the stack")]
fn endless(n: u64) -> u64 {
    std::hint::black_box(endless(std::hint::black_box(n + 1)) + 1)
}

/// The library's trees, read once.
struct Library {
    trees: Vec<ast::File>,
    files: Vec<(String, String)>,
}

impl Library {
    fn read() -> Self {
        let folder = root().join("stdlib");
        let mut paths = files(&folder, "clef");
        paths.sort_by_key(|p| (!p.ends_with("Core.clef"), p.clone()));
        let files: Vec<(String, String)> = paths
            .iter()
            .map(|p| {
                let name = p.strip_prefix(&folder).unwrap_or(p).to_string_lossy().into_owned();
                (name, fs::read_to_string(p).unwrap_or_default())
            })
            .collect();
        let parsed = |(n, (_, text)): (usize, &(String, String))| parse::parse(FileId(n as u32 + 1), text).0;
        let trees = files.iter().enumerate().map(parsed).collect();
        Self { trees, files }
    }

    /// The checked program; nothing where there are errors.
    fn check(&self, text: &str) -> Option<clef_frontend::typed::Program> {
        let (tree, found) = parse::parse(FileId(0), text);
        let wrong = found.iter().any(clef_frontend::diagnostic::Diagnostic::is_error);
        let input = CheckInput { files: std::slice::from_ref(&tree), library: &self.trees };
        let (program, found) = check::check(&input);
        let wrong = wrong || found.iter().any(clef_frontend::diagnostic::Diagnostic::is_error);
        (!wrong).then_some(program)
    }
}

/// What `clefc check` does after the front end.
fn pipeline(text: &str, library: &Library) {
    let Some(program) = library.check(text) else { return };
    let main = [("Main.clef", text)];
    let all = main.into_iter().chain(library.files.iter().map(|(n, t)| (n.as_str(), t.as_str())));
    let infos = all.map(|(name, text)| FileInfo { name: name.into(), lines: LineIndex::new(text) }).collect();
    let error = clef_frontend::diagnostic::Diagnostic::is_error;
    let (mut psg, found) = build::build(&program, infos, build::Options { versions: 16 });
    if found.iter().any(error) {
        return;
    }
    verify_after(&psg, "build");
    fold::globals(&mut psg);
    let mut found = kernel::inline(&mut psg);
    bounds::remove_checks(&mut psg);
    verify_after(&psg, "bounds");
    let (kernels, more) = kernel::analyse(&psg);
    found.extend(more);
    found.extend(handles::check(&psg));
    found.extend(kernel::workgroups::workgroups(&mut psg));
    if found.iter().any(error) {
        return;
    }
    verify_after(&psg, "workgroups");
    let Some(table) = fences::tables::find("hsa-gfx1151") else { panic!("no cost table") };
    let (plan, found) =
        fences::analyse(&psg, &kernels, &FenceOptions { table: table, agents: BTreeMap::new() });
    if found.iter().any(error) {
        return;
    }
    if let Err(rejection) = certify::check(&psg, &kernels, &plan) {
        panic!("the fence plan was rejected: {rejection}");
    }
}

fn verify_after(psg: &clef_psg::graph::Psg, pass: &str) {
    if let Err(errors) = verify::verify(psg) {
        let first = errors.first().map_or_else(String::new, ToString::to_string);
        panic!("the graph is not well formed after `{pass}`: {first}");
    }
}

//! Every code has a page; every example on it behaves as the page says.
//!
//! A ```` ```clef ```` block on the page of a code must get that code; a ```` ```clef fixed ```` block must not, and must
//! have no errors. Pages of codes about files and tools (08xx), of running (09xx), and those in `NO_EXAMPLE` need none.

use crate::spec::{Block, blocks};
use crate::trial;
use clef_frontend::codes;
use clef_tests::{Scratch, clefc, root, run};
use libtest_mimic::Trial;
use std::fs;
use std::process::Command;

/// Codes that no short example shows, with the reason.
const NO_EXAMPLE: &[(&str, &str)] = &[
    ("CLEF0001", "a page is text, and the example would not be"),
    ("CLEF0007", "the example would be hundreds of lines; the bad_input suite generates one"),
    ("CLEF0299", "a fault of the compiler: a program that showed it would be a bug to mend"),
    ("CLEF0701", "only `bindgen` finds it, where libclang is missing"),
    ("CLEF0702", "only `bindgen` finds it; the bindgen suite has a header"),
    ("CLEF0703", "only `bindgen` finds it; the bindgen suite has settings"),
    ("CLEF0524", "the type checker reports the same as CLEF0505 before; the graph is checked again"),
    ("CLEF0560", "only `build` finds it"),
    ("CLEF0561", "only `emit aie` finds it; the npu suite has programs"),
];

pub fn trials() -> Vec<Trial> {
    let folder = root().join("docs/diagnostics");
    codes::ALL
        .iter()
        .map(|(code, _)| {
            let (code, path) = (code.to_string(), folder.join(format!("{code}.md")));
            trial(format!("diagnostics/{code}"), move || {
                let page =
                    fs::read_to_string(&path).map_err(|_| format!("there is no page {}", path.display()))?;
                let examples = blocks(&page);
                let needs_example = !code.starts_with("CLEF08")
                    && !code.starts_with("CLEF09")
                    && !NO_EXAMPLE.iter().any(|(exempt, _)| *exempt == code);
                if needs_example && !examples.iter().any(|b| b.info.is_empty()) {
                    return Err(format!("{} has no example", path.display()));
                }
                examples.iter().try_for_each(|block| check(block, &code))
            })
        })
        .collect()
}

fn check(block: &Block, code: &str) -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("Example.clef", &block.text);
    let mut command = Command::new(clefc());
    command.args(["check", "--message-format", "short"]).arg(&file);
    let done = run(&mut command, "")?;
    let has = done.stderr.contains(&format!("[{code}]"));
    match block.info.as_str() {
        "fixed" if done.code != 0 || has => {
            Err(format!("line {}: the cured example is not fine:\n{}", block.line, done.stderr))
        }
        "" if !has => Err(format!("line {}: the example does not give {code}:\n{}", block.line, done.stderr)),
        _ => Ok(()),
    }
}

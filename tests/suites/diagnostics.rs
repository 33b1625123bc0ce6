//! Every code has a page; every example on it behaves as the page says.
//!
//! A ```` ```clef ```` block on the page of a code must get that code; a ```` ```clef fixed ```` block must not, and must
//! have no errors. Pages of codes about files and tools (08xx), of running (09xx), and of
//! what only `build` finds need no example.

use crate::spec::{Block, blocks};
use crate::trial;
use clef_frontend::codes;
use clef_tests::{Scratch, clefc, root, run};
use libtest_mimic::Trial;
use std::fs;
use std::process::Command;

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
                    && !["CLEF0001", "CLEF0560"].contains(&code.as_str());
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

//! The executed specification: Markdown files whose ```` ```clef ```` blocks are compiled and run.
//!
//! - A block followed by an ```` ```output ```` block runs on the interpreter and natively and must print exactly that.
//!   `output exit=134` also states the exit code.
//! - A line that ends in `// error: CLEF0201` (or `// warning: ..`) must get that diagnostic, and no line another error.
//! - Any other block must pass `clefc check` without errors.
//! - ```` ```clef fragment ```` blocks are not programs and are skipped.

use crate::trial;
use clef_tests::{Scratch, clefc, files, root, run, same};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let mut pages = files(&root().join("tests/spec"), "md");
    pages.extend(files(&root().join("docs/language"), "md"));
    pages.push(root().join("docs/bindings.md"));
    let mut trials = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_default();
        let name = page.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        for block in blocks(&text) {
            let title = format!("spec/{name}/{}:{}", block.heading, block.line);
            trials.push(trial(title, move || block.test()));
        }
    }
    trials
}

/// A program of a page.
#[derive(Default, Debug)]
pub struct Block {
    pub heading: String,
    /// Line of the page where it starts.
    pub line: usize,
    pub text: String,
    /// After the language in the opening fence.
    pub info: String,
    pub output: Option<(String, i32)>,
}

/// All `clef` blocks of a page that are programs.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut heading = String::new();
    let mut open: Option<(String, usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.trim().to_owned(), number + 1, String::new())),
            (Some((info, start, text)), Some(_)) => {
                let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
                if language == "clef" && rest != "fragment" {
                    let text = std::mem::take(text);
                    found.push(Block {
                        heading: heading.clone(),
                        line: *start,
                        text,
                        info: rest.into(),
                        output: None,
                    });
                } else if let ("output", Some(last)) = (language, found.last_mut()) {
                    let code = rest.strip_prefix("exit=").and_then(|c| c.parse().ok()).unwrap_or(0);
                    last.output = Some((std::mem::take(text), code));
                }
                open = None;
            }
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix('#') {
                    heading = title.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                }
            }
        }
    }
    found
}

impl Block {
    fn test(&self) -> Result<(), String> {
        let folder = Scratch::new();
        let file = folder.file("Example.clef", &self.text);
        self.expect_diagnostics(&file)?;
        let Some((output, code)) = &self.output else { return Ok(()) };
        let mut interpret = Command::new(clefc());
        interpret.args(["run", "--interpret"]).arg(&file);
        let program = folder.0.join("program");
        let mut build = Command::new(clefc());
        build.arg("build").arg(&file).arg("-o").arg(&program);
        let built = run(&mut build, "")?;
        if built.code != 0 {
            return Err(format!("build: exit code {}\n{}", built.code, built.stderr));
        }
        for (how, mut command) in [("interpreter", interpret), ("native", Command::new(&program))] {
            command.env("CLEF_DEBUG_LEAKS", "1");
            let done = run(&mut command, "")?;
            same(how, output, &done.stdout).map_err(|e| format!("{e}\n{}", done.stderr))?;
            if done.code != *code {
                return Err(format!("{how}: exit code {}, expected {code}\n{}", done.code, done.stderr));
            }
        }
        Ok(())
    }

    /// Every marked line gets its diagnostic; no other line gets an error.
    fn expect_diagnostics(&self, file: &Path) -> Result<(), String> {
        let mut expected: Vec<(usize, String)> = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            for kind in ["error", "warning"] {
                if let Some((_, code)) = line.split_once(&format!("// {kind}: ")) {
                    expected.push((number + 1, format!("{kind}[{}]", code.trim())));
                }
            }
        }
        let mut command = Command::new(clefc());
        command.args(["check", "--message-format", "short"]).arg(file);
        let done = run(&mut command, "")?;
        let found: Vec<(usize, String)> = done.stderr.lines().filter_map(place).collect();
        for wanted in &expected {
            if !found.contains(wanted) {
                return Err(format!("line {}: expected {}, got:\n{}", wanted.0, wanted.1, done.stderr));
            }
        }
        let surprise = found.iter().find(|f| f.1.starts_with("error") && !expected.contains(f));
        match surprise {
            Some(f) => Err(format!("line {}: unexpected {}:\n{}", f.0, f.1, done.stderr)),
            None => Ok(()),
        }
    }
}

/// Line and `error[CODE]` of one line of short diagnostics.
fn place(line: &str) -> Option<(usize, String)> {
    let mut parts = line.splitn(4, ':');
    let (_, number, _, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let kind = rest.trim_start().split_once(']').map(|(k, _)| format!("{k}]"))?;
    Some((number.parse().ok()?, kind))
}

//! The design's listings: each compiles, and differs from its published text by the edits of docs/listings.md only.
//!
//! The page is the record. What it says is applied to `examples/listings/NAME.clef`, and the result must be the file
//! that is compiled; an edit without a reason in front of it is none.

use crate::trial;
use clef_tests::{Scratch, clefc, files, root, run, same};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A listing, the file that is compiled in its place, and what is given to `clefc check`.
struct Listing {
    name: &'static str,
    compiled: &'static str,
    checked: &'static str,
}

const NATIVE: &str = "tests/listings/native";

/// Not yet compiled: `ExternDispatch` and `mlir { .. }` are missing.
const MISSING: &str = "Alex.Bindings.LLM.LlamaBindings";

const LISTINGS: &[Listing] = &[
    Listing {
        name: "BAREWire.HSA",
        compiled: "stdlib/BAREWire/HSA.clef",
        // A program that allocates with it.
        checked: "examples/ternary_inference",
    },
    Listing {
        name: "TernaryInference",
        compiled: "examples/ternary_inference/Inference.clef",
        checked: "examples/ternary_inference",
    },
    Listing {
        name: "Fidelity.LLM.Native",
        compiled: "tests/listings/native/Fidelity.LLM.Native.clef",
        checked: NATIVE,
    },
    Listing {
        name: "Fidelity.Speech.Native",
        compiled: "tests/listings/native/Fidelity.Speech.Native.clef",
        checked: NATIVE,
    },
    Listing {
        name: "VoiceAssistant",
        compiled: "tests/listings/voice/VoiceAssistant.clef",
        checked: "tests/listings/voice/VoiceAssistant.clef",
    },
    Listing {
        name: "Fidelity.Refinery",
        compiled: "tests/listings/refinery/Fidelity.Refinery.clef",
        checked: "tests/listings/refinery",
    },
    Listing {
        name: "RunInference",
        compiled: "tests/listings/run_inference/RunInference.clef",
        checked: "tests/listings/run_inference",
    },
];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("listings/every_listing_has_its_section", sections),
        trial("listings/a_pointer_for_a_struct_is_refused_beside_the_header", pointer_is_refused),
    ];
    for listing in LISTINGS {
        trials.push(trial(format!("listings/edits_of_{}", listing.name), move || edits(listing)));
        trials.push(trial(format!("listings/compiles_{}", listing.name), move || compiles(listing)));
    }
    trials
}

fn read(path: impl AsRef<Path>) -> Result<String, String> {
    let path = root().join(path);
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The page has a section for each published listing, and names the file that is compiled in its place.
fn sections() -> Result<(), String> {
    let page = read("docs/listings.md")?;
    let published: Vec<String> = files(&root().join("examples/listings"), "clef")
        .iter()
        .map(|p| p.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    for name in published.iter().filter(|n| *n != MISSING) {
        let Some(listing) = LISTINGS.iter().find(|l| l.name == name) else {
            return Err(format!("nothing compiles the listing {name}"));
        };
        section(&page, name)?;
        let row = format!("| `{name}` | `{}` |", listing.compiled);
        if !page.contains(&row) {
            return Err(format!("docs/listings.md has no row `{row}`"));
        }
    }
    if published.len() == LISTINGS.len() + 1 { Ok(()) } else { Err("a listing is not published".into()) }
}

fn section<'a>(page: &'a str, name: &str) -> Result<&'a str, String> {
    let head = format!("\n## `{name}`\n");
    let start = page.find(&head).ok_or(format!("docs/listings.md has no section `{name}`"))? + head.len();
    let rest = &page[start..];
    Ok(rest.find("\n## ").map_or(rest, |end| &rest[..end]))
}

/// One edit: the line of the published text, the lines that go, those that come.
#[derive(Debug, Default)]
struct Edit {
    line: usize,
    gone: Vec<String>,
    new: Vec<String>,
}

/// The edits of a section, each with a reason: a paragraph in front of it that begins with `**`.
fn recorded(section: &str) -> Result<Vec<Edit>, String> {
    let mut edits = Vec::new();
    let mut parts = section.split("\n```diff\n");
    let mut before = parts.next().unwrap_or_default();
    for part in parts {
        let (block, after) = part.split_once("\n```").ok_or("a block has no end")?;
        if !before.split("\n\n").any(|paragraph| paragraph.trim_start().starts_with("**")) {
            return Err(format!("this edit has no reason in front of it:\n{block}"));
        }
        before = after;
        let mut lines = block.lines();
        let head = lines.next().unwrap_or_default();
        let line = head.trim_matches(['@', ' ']).parse().map_err(|_| format!("`{head}` names no line"))?;
        let mut edit = Edit { line, ..Edit::default() };
        for line in lines {
            match line.split_at_checked(1) {
                Some(("-", text)) => edit.gone.push(text.to_owned()),
                Some(("+", text)) => edit.new.push(text.to_owned()),
                _ => return Err(format!("`{line}` is neither a line that goes nor one that comes")),
            }
        }
        edits.push(edit);
    }
    Ok(edits)
}

/// The text after its edits.
fn edited(published: &str, edits: &[Edit]) -> Result<String, String> {
    let lines: Vec<&str> = published.lines().collect();
    let (mut text, mut at) = (String::new(), 0);
    let keep = |text: &mut String, lines: &[&str]| lines.iter().for_each(|l| *text += &format!("{l}\n"));
    for edit in edits {
        let start = edit.line - 1;
        let end = start + edit.gone.len();
        let untouched = lines.get(at..start).ok_or(format!("line {} is out of order", edit.line))?;
        keep(&mut text, untouched);
        if lines.get(start..end).is_none_or(|l| l != edit.gone) {
            return Err(format!("line {} of the published text is not {:?}", edit.line, edit.gone));
        }
        edit.new.iter().for_each(|l| text += &format!("{l}\n"));
        at = end;
    }
    keep(&mut text, &lines[at..]);
    Ok(text)
}

fn edits(listing: &Listing) -> Result<(), String> {
    let page = read("docs/listings.md")?;
    let edits = recorded(section(&page, listing.name)?)?;
    let published = read(format!("examples/listings/{}.clef", listing.name))?;
    same(listing.compiled, &edited(&published, &edits)?, &read(listing.compiled)?)
}

/// The project of both bindings, with the library's generated modules under names of their own.
fn native(scratch: &Scratch) -> Result<PathBuf, String> {
    for entry in fs::read_dir(root().join(NATIVE)).map_err(|e| e.to_string())?.flatten() {
        fs::copy(entry.path(), scratch.0.join(entry.file_name())).map_err(|e| e.to_string())?;
    }
    for (folder, name) in [("LLM", "Llama"), ("Speech", "Whisper")] {
        let generated = read(format!("stdlib/Fidelity/{folder}/Native.clef"))?;
        let own = format!("module Fidelity.{folder}.Native\n");
        if !generated.contains(&own) {
            return Err(format!("the generated module has no `{own}`"));
        }
        let text = generated.replacen(&own, &format!("module Fidelity.Headers.{name}\n"), 1);
        scratch.file(&format!("{name}.clef"), text);
    }
    Ok(scratch.0.clone())
}

fn compiles(listing: &Listing) -> Result<(), String> {
    let scratch = Scratch::new();
    let project = if listing.checked == NATIVE { native(&scratch)? } else { root().join(listing.checked) };
    let done = run(Command::new(clefc()).arg("check").arg(project), "")?;
    if done.code == 0 { Ok(()) } else { Err(format!("exit code {}\n{}", done.code, done.stderr)) }
}

/// The published declaration, beside the functions of the header, is an error: the suite would see a wrong edit.
fn pointer_is_refused() -> Result<(), String> {
    let scratch = Scratch::new();
    let project = native(&scratch)?;
    let file = project.join("Fidelity.Speech.Native.clef");
    let text = fs::read_to_string(&file).map_err(|e| e.to_string())?;
    fs::write(&file, text.replace("params: WhisperFullParams", "params: nativeptr<WhisperFullParams>"))
        .map_err(|e| e.to_string())?;
    let done = run(Command::new(clefc()).arg("check").arg(project), "")?;
    if done.code == 1 && done.stderr.contains("WhisperFullParams") {
        Ok(())
    } else {
        Err(format!("exit code {}\n{}", done.code, done.stderr))
    }
}

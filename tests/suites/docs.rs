//! The documentation is held to the tree: pages are listed, links lead somewhere, commands exist.

use crate::trial;
use clef_tests::{clefc_run, files, root};
use libtest_mimic::Trial;
use std::fs;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("docs/every_page_is_listed", listed),
        trial("docs/links_lead_somewhere", links),
        trial("docs/commands_exist", commands),
    ]
}

fn listed() -> Result<(), String> {
    let index =
        fs::read_to_string(root().join("docs/README.md")).map_err(|e| format!("docs/README.md: {e}"))?;
    let missing: Vec<String> = files(&root().join("docs"), "md")
        .iter()
        .filter_map(|p| p.strip_prefix(root().join("docs")).ok().map(|p| p.display().to_string()))
        .filter(|name| {
            name != "README.md" && !name.starts_with("diagnostics/") && !index.contains(name.as_str())
        })
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("docs/README.md does not name {missing:?}")) }
}

/// Relative links of all pages, without their anchors.
fn links() -> Result<(), String> {
    let mut broken = Vec::new();
    let mut pages = files(&root().join("docs"), "md");
    pages.push(root().join("README.md"));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_default();
        for part in text.split("](").skip(1) {
            let Some(target) = part.split(')').next() else { continue };
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains("://") || file.contains(' ') {
                continue;
            }
            if !page.parent().is_some_and(|folder| folder.join(file).exists()) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

/// Each `clefc WORD` in the documentation is a command of the program.
fn commands() -> Result<(), String> {
    let help = clefc_run(&["--help"])?.stdout;
    let mut unknown = Vec::new();
    let mut pages = files(&root().join("docs"), "md");
    pages.push(root().join("README.md"));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_default();
        for part in text.split("`clefc ").skip(1) {
            let word: String = part.chars().take_while(char::is_ascii_lowercase).collect();
            if !word.is_empty()
                && !help.lines().any(|l| l.trim_start().starts_with(&format!("{word} ")) || l.trim() == word)
            {
                unknown.push(format!("{}: clefc {word}", page.display()));
            }
        }
    }
    if unknown.is_empty() { Ok(()) } else { Err(unknown.join("\n")) }
}

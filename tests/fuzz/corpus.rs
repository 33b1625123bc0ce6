//! What fuzzing starts from: the repository's programs, whole and in pieces.

use super::mutate;
use clef_tests::random::Random;
use clef_tests::{files, root};
use std::fs;

/// Longest program to start from, in bytes: small ones change more for each change.
const LONGEST: usize = 6_000;

/// Programs, and the tokens that occur in them.
pub struct Corpus {
    pub programs: Vec<String>,
    pub tokens: Vec<String>,
    /// Texts that once failed, unchanged: the first cases.
    pub kept: Vec<String>,
}

impl Corpus {
    pub fn read() -> Self {
        let root = root();
        let mut programs = Vec::new();
        for folder in ["tests/run", "tests/snapshots", "stdlib", "examples"] {
            programs
                .extend(files(&root.join(folder), "clef").iter().filter_map(|p| fs::read_to_string(p).ok()));
        }
        for folder in ["tests/spec", "docs"] {
            for page in files(&root.join(folder), "md") {
                let text = fs::read_to_string(page).unwrap_or_default();
                programs.extend(crate::spec::blocks(&text).into_iter().map(|b| b.text));
            }
        }
        programs.extend((1..=12).map(|seed| crate::random_language::one(seed)));
        let mut programs: Vec<String> = programs.iter().flat_map(|p| pieces(p)).collect();
        programs.sort();
        programs.dedup();
        let mut tokens: Vec<String> =
            programs.iter().flat_map(|p| mutate::tokens(p)).map(str::to_owned).collect();
        tokens.sort();
        tokens.dedup();
        let kept = files(&root.join("tests/fuzz/corpus"), "clef");
        let kept = kept.iter().filter_map(|p| fs::read(p).ok());
        let kept = kept.map(|b| String::from_utf8_lossy(&b).into_owned()).collect();
        Self { programs, tokens, kept }
    }

    /// The text of a case, counted from 1.
    pub fn case(&self, number: u64) -> String {
        if let Some(text) = self.kept.get(number.saturating_sub(1) as usize) {
            return text.clone();
        }
        mutate::mutated(self, &mut Random::new(number))
    }
}

/// A program, or for a long one its parts between top-level lines.
fn pieces(text: &str) -> Vec<String> {
    if text.len() <= LONGEST {
        return vec![text.to_owned()];
    }
    let mut out = vec![String::new()];
    for line in text.split_inclusive('\n') {
        let top = !line.starts_with([' ', '\n', '|', '}']);
        if top && out.last().is_some_and(|p| p.len() > LONGEST / 2) {
            out.push(String::new());
        }
        if let Some(last) = out.last_mut() {
            last.push_str(line);
        }
    }
    out
}

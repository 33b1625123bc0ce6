//! From C's names to Clef's: `llama_model_params` is the type `LlamaModelParams`, `llama_decode` the function
//! `llamaDecode`, `n_ctx` the field `NCtx`. Constants keep their names.

use std::collections::HashSet;

/// Words that Clef keeps for itself, and those that F# does.
const KEYWORDS: &[&str] = &[
    "abstract",
    "and",
    "as",
    "assert",
    "base",
    "begin",
    "class",
    "const",
    "default",
    "delegate",
    "do",
    "done",
    "downcast",
    "downto",
    "elif",
    "else",
    "end",
    "exception",
    "extern",
    "false",
    "finally",
    "fixed",
    "for",
    "fun",
    "function",
    "global",
    "if",
    "in",
    "inherit",
    "inline",
    "interface",
    "internal",
    "lazy",
    "let",
    "match",
    "member",
    "module",
    "mutable",
    "namespace",
    "new",
    "not",
    "null",
    "of",
    "open",
    "or",
    "override",
    "parallel",
    "private",
    "public",
    "rec",
    "return",
    "sig",
    "static",
    "struct",
    "then",
    "to",
    "true",
    "try",
    "type",
    "upcast",
    "use",
    "val",
    "void",
    "when",
    "while",
    "with",
    "yield",
];

/// `llama_model_params` → `LlamaModelParams`; capitals inside of a part stay.
pub fn pascal(c_name: &str) -> String {
    let mut out = String::with_capacity(c_name.len());
    for part in c_name.split('_').filter(|p| !p.is_empty()) {
        let mut letters = part.chars();
        // `1_0` must not become `10`.
        let digits = part.starts_with(|c: char| c.is_ascii_digit());
        if digits && out.ends_with(|c: char| c.is_ascii_digit()) {
            out.push('_');
        }
        out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        out.extend(letters);
    }
    // `deflateInit_` is not `deflateInit`.
    if c_name.ends_with('_') {
        out.push('_');
    }
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// `llama_decode` → `llamaDecode`. A name in capitals only becomes small altogether.
pub fn camel(c_name: &str) -> String {
    let name = pascal(c_name);
    let shouting = !name.chars().any(|c| c.is_ascii_lowercase());
    let small = if shouting {
        name.to_ascii_lowercase()
    } else {
        let mut letters = name.chars();
        let first = letters.next().map(|c| c.to_ascii_lowercase());
        first.into_iter().chain(letters).collect()
    };
    if KEYWORDS.contains(&small.as_str()) { small + "_" } else { small }
}

/// Names of one space, each given once.
#[derive(Default)]
pub struct Names(HashSet<String>);

impl Names {
    /// The name, or one like it where it is taken.
    pub fn take(&mut self, mut name: String) -> String {
        while !self.0.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

/// Text of a C comment, line by line, without its marks.
pub fn doc_lines(comment: &str) -> Vec<String> {
    let mut lines: Vec<String> = comment.lines().map(|l| doc_line(l).to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let empty = lines.iter().take_while(|l| l.is_empty()).count();
    lines.drain(..empty);
    lines
}

fn doc_line(line: &str) -> &str {
    let line = line.trim();
    let opened = ["/**<", "/*!<", "/**", "/*!", "/*", "///<", "//!<", "///", "//!", "//"]
        .iter()
        .find_map(|mark| line.strip_prefix(mark));
    let inside = match opened {
        Some(rest) => rest,
        None => line.strip_prefix("*/").unwrap_or_else(|| line.trim_start_matches('*')),
    };
    let inside = inside.strip_suffix("*/").unwrap_or(inside);
    // Rows of stars and dashes are ornament.
    let inside = inside.trim_end();
    let inside = inside.strip_prefix(' ').unwrap_or(inside);
    if inside.chars().all(|c| matches!(c, '*' | '-' | '=' | '/' | '#')) { "" } else { inside }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_functions_and_types() {
        assert_eq!(camel("llama_load_model_from_file"), "llamaLoadModelFromFile");
        assert_eq!(camel("vkCreateInstance"), "vkCreateInstance");
        assert_eq!(camel("sqlite3_open_v2"), "sqlite3OpenV2");
        assert_eq!(camel("deflateInit_"), "deflateInit_");
        assert_eq!(camel("type"), "type_");
        assert_eq!(camel("N"), "n");
        assert_eq!(pascal("llama_model_params"), "LlamaModelParams");
        assert_eq!(pascal("VkExtent2D"), "VkExtent2D");
        assert_eq!(pascal("v_1_0"), "V1_0");
        assert_eq!(pascal("_"), "_");
    }

    #[test]
    fn a_name_is_given_once() {
        let mut names = Names::default();
        assert_eq!(names.take("a".into()), "a");
        assert_eq!(names.take("a".into()), "a_");
    }

    #[test]
    fn comments_lose_their_marks() {
        assert_eq!(doc_lines("/**\n * One.\n *\n * Two.\n */"), ["One.", "", "Two."]);
        assert_eq!(doc_lines("// a\n//   b"), ["a", "  b"]);
        assert_eq!(doc_lines("/* x */"), ["x"]);
    }
}

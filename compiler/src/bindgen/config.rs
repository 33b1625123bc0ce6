//! The generator's settings: a TOML file, and what the command line adds to it.
//!
//! ```toml
//! module = "Fidelity.LLM.Native"
//! library = "__llama"
//! include = ["ggml.h"]             # bound as well: headers that the first one includes
//! clang = ["-DLLAMA_SHARED"]
//! [filter]
//! only = ["llama_*"]               # functions and constants; of types, those that they need
//! skip = ["llama_internal_*"]
//! [rename]
//! llama_load_model_from_file = "llamaLoadModel"
//! [effects]
//! "llama_decode.batch" = "reads"   # reads, writes, readswrites
//! [text]
//! "sqlite3_open_v2.zVfs" = "pointer"   # a `const char *` parameter that may be null
//! sqlite3_errmsg = "string"            # a `const char *` result that is copied
//! ```

use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub module: Option<String>,
    pub library: Option<String>,
    #[serde(default)]
    pub include: Vec<String>,
    #[serde(default)]
    pub clang: Vec<String>,
    #[serde(default)]
    pub filter: Filter,
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    #[serde(default)]
    pub effects: BTreeMap<String, Effect>,
    #[serde(default)]
    pub text: BTreeMap<String, Text>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    #[serde(default)]
    pub only: Vec<String>,
    #[serde(default)]
    pub skip: Vec<String>,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Reads,
    Writes,
    ReadsWrites,
    Releases,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Text {
    String,
    Pointer,
}

impl Config {
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let text = format!("cannot read `{}`: {}", path.display(), crate::output::reason(&e));
            Diagnostic::without_place(codes::UNREADABLE, text)
        })?;
        toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or_else(String::new, |span| {
                format!(":{}", text[..span.start.min(text.len())].matches('\n').count() + 1)
            });
            let what = e.message().lines().next().unwrap_or("malformed").to_owned();
            Diagnostic::without_place(
                codes::BAD_BINDGEN_CONFIG,
                format!("`{}{line}`: {what}", path.display()),
            )
            .help("docs/bindings.md lists what a settings file may hold")
        })
    }

    /// Whether a function or constant is to be bound.
    pub fn wants(&self, c_name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|p| fits(p, c_name));
        (self.filter.only.is_empty() || any(&self.filter.only)) && !any(&self.filter.skip)
    }

    /// Settings that name nothing in the header: a typing mistake that would otherwise do nothing in silence.
    pub fn unused<'a>(&'a self, known: &dyn Fn(&str) -> bool) -> Vec<&'a str> {
        let keys = self.rename.keys().chain(self.effects.keys()).chain(self.text.keys());
        keys.map(String::as_str).filter(|k| !known(k)).collect()
    }
}

/// Whether a pattern with `*` for any letters describes all of a name.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            tail.char_indices().map(|(i, _)| i).chain([tail.len()]).any(|i| fits(rest, &tail[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(fits("llama_*", "llama_decode"));
        assert!(fits("*_free", "llama_free"));
        assert!(fits("a*b*c", "a1b2c"));
        assert!(!fits("llama_*", "ggml_init"));
        assert!(!fits("llama", "llama_decode"));
    }

    #[test]
    fn filters() {
        let filter = Filter { only: vec!["a_*".into()], skip: vec!["a_x*".into()] };
        let config = Config { filter, ..Config::default() };
        assert!(config.wants("a_b") && !config.wants("a_xy") && !config.wants("b"));
    }
}

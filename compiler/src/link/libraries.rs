//! Libraries of a project: from `[link]` to the linker's arguments.
//!
//! What a setting names (a folder, a kind, a package of pkg-config) is looked up before the linker starts, so that
//! what is missing is reported by library, setting and package. What only has a name is left to the linker.

use crate::backend::find_program;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use clef_psg::job::RuntimeLibrary;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The table `[link]`.
#[derive(Deserialize, Default, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Libraries by name, without `lib`.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// Folders to look in before the system's, relative to the project file.
    #[serde(default)]
    pub search: Vec<PathBuf>,
    /// Where the program looks for shared libraries when it starts.
    #[serde(default)]
    pub rpath: Vec<String>,
    /// Packages that pkg-config knows.
    #[serde(default, rename = "pkg-config")]
    pub pkg_config: Vec<String>,
    /// Settings of single libraries.
    #[serde(default)]
    pub library: BTreeMap<String, Library>,
}

/// `[link.library.NAME]`
#[derive(Deserialize, Default, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Library {
    /// The folder that holds it, relative to the project file; or the file itself.
    pub path: Option<PathBuf>,
    #[serde(default)]
    pub kind: Kind,
    /// When the program looks for it.
    #[serde(default)]
    pub load: Load,
    /// The file to load at run time, where it is not `libNAME.so`: `libsqlite3.so.0`.
    pub file: Option<String>,
    /// Its package, to be named where it is missing.
    pub package: Option<String>,
    /// Ask pkg-config under this name instead.
    #[serde(rename = "pkg-config")]
    pub pkg_config: Option<String>,
    /// Libraries that it needs itself (a static library does not say).
    #[serde(default)]
    pub needs: Vec<String>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Shared,
    Static,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// When it starts: it does not start without.
    #[default]
    Start,
    /// At the first call of one of its functions.
    Runtime,
}

/// The libraries that the program loads when it needs them. A path of the project file becomes an absolute one, whether
/// the library is there yet or not.
pub fn at_run_time(link: &Link, folder: &Path) -> Vec<RuntimeLibrary> {
    let chosen = link.library.iter().filter(|(_, library)| library.load == Load::Runtime);
    chosen
        .map(|(name, library)| {
            let file = library.file.clone().unwrap_or_else(|| format!("lib{name}.so"));
            let mut files = Vec::new();
            if let Some(path) = &library.path {
                let path = folder.join(path);
                let path = std::path::absolute(&path).unwrap_or(path);
                // A folder that is not there yet has no ending of a library's file.
                let is_file = path.is_file() || path.to_string_lossy().contains(".so");
                files.push(if is_file { path } else { path.join(&file) }.display().to_string());
            }
            files.push(file);
            RuntimeLibrary { name: name.clone(), files, package: library.package.clone() }
        })
        .collect()
}

/// Settings of one library that contradict each other.
fn contradiction(name: &str, library: &Library) -> Option<Diagnostic> {
    let at_run_time = library.load == Load::Runtime;
    let (text, help) = if at_run_time && library.kind == Kind::Static {
        (
            "a static library cannot be loaded at run time",
            "take away `kind = \"static\"` or `load = \"runtime\"`",
        )
    } else if at_run_time && !library.needs.is_empty() {
        (
            "`needs` is for the linker, and this library is not linked",
            "take away `needs`: a shared library says itself what it needs",
        )
    } else if !at_run_time && library.file.is_some() {
        ("`file` names what is loaded at run time", "add `load = \"runtime\"`, or use `path`")
    } else {
        return None;
    };
    let text = format!("`[link.library.{name}]`: {text}");
    Some(Diagnostic::without_place(codes::BAD_PROJECT, text).help(help))
}

/// The linker's arguments for all libraries. `folder` is the project file's.
pub fn arguments(link: &Link, folder: &Path) -> Result<Vec<String>, Diagnostic> {
    let mut args = Vec::new();
    let mut rpaths: Vec<String> = link.rpath.clone();
    for search in &link.search {
        let search = folder.join(search);
        if !search.is_dir() {
            let text = format!("the folder `{}` does not exist", search.display());
            return Err(Diagnostic::without_place(codes::LIBRARY_MISSING, text)
                .help("correct `[link] search` in the project file"));
        }
        args.push(format!("-L{}", search.display()));
    }
    let settings = |name: &String| link.library.get(name).cloned().unwrap_or_default();
    let listed = link.libraries.iter().chain(link.library.keys().filter(|n| !link.libraries.contains(n)));
    for name in listed {
        library(name, &settings(name), folder, &mut args, &mut rpaths)?;
    }
    for package in &link.pkg_config {
        let words = ask(package, Kind::Shared, "`[link] pkg-config`", None)?;
        rpaths.extend(folders(&words));
        args.extend(words);
    }
    let mut seen = std::collections::HashSet::new();
    rpaths.retain(|path| seen.insert(path.clone()));
    args.extend(rpaths.iter().map(|path| format!("-Wl,-rpath,{path}")));
    Ok(args)
}

fn library(
    name: &str,
    library: &Library,
    folder: &Path,
    args: &mut Vec<String>,
    rpaths: &mut Vec<String>,
) -> Result<(), Diagnostic> {
    if let Some(diagnostic) = contradiction(name, library) {
        return Err(diagnostic);
    }
    let setting = format!("`[link.library.{name}]`");
    if library.load == Load::Runtime {
        // Only where to look is of interest.
        if let Some(package) = &library.pkg_config {
            rpaths.extend(folders(&ask(package, library.kind, &setting, library.package.as_deref())?));
        }
        return Ok(());
    }
    if let Some(package) = &library.pkg_config {
        let words = ask(package, library.kind, &setting, library.package.as_deref())?;
        if library.kind == Kind::Shared {
            rpaths.extend(folders(&words));
        }
        args.extend(words);
    } else if let Some(path) = &library.path {
        let file = found(name, library, &folder.join(path), &setting)?;
        if library.kind == Kind::Shared
            && let Some(parent) = file.parent().and_then(|p| std::fs::canonicalize(p).ok())
        {
            rpaths.push(parent.display().to_string());
        }
        args.push(file.display().to_string());
    } else if library.kind == Kind::Static {
        args.push(format!("-l:lib{name}.a"));
    } else {
        args.push(format!("-l{name}"));
    }
    args.extend(library.needs.iter().map(|n| format!("-l{n}")));
    Ok(())
}

/// The library's file: `path` itself, or in the folder `path`.
fn found(name: &str, library: &Library, path: &Path, setting: &str) -> Result<PathBuf, Diagnostic> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let file = path.join(match library.kind {
        Kind::Shared => format!("lib{name}.so"),
        Kind::Static => format!("lib{name}.a"),
    });
    if file.is_file() {
        return Ok(file);
    }
    let text = format!("the library `{name}` is missing: there is no `{}`", file.display());
    Err(missing(text, setting, "path", library.package.as_deref()))
}

fn missing(text: String, setting: &str, key: &str, package: Option<&str>) -> Diagnostic {
    let install = package.map_or_else(String::new, |p| format!("install the package `{p}`, or "));
    Diagnostic::without_place(codes::LIBRARY_MISSING, text)
        .help(format!("{install}correct `{key}` under {setting} in the project file"))
}

/// Folders of shared libraries that the system does not look in by itself: pkg-config names no others.
fn folders(words: &[String]) -> Vec<String> {
    words.iter().filter_map(|w| w.strip_prefix("-L")).map(str::to_owned).collect()
}

/// What pkg-config says to link a package.
fn ask(package: &str, kind: Kind, setting: &str, debian: Option<&str>) -> Result<Vec<String>, Diagnostic> {
    let Some(program) = find_program("pkg-config") else {
        let text = format!("pkg-config is not installed, and {setting} asks it for `{package}`");
        return Err(Diagnostic::without_place(codes::LIBRARY_MISSING, text)
            .help("install it: `apt-get install pkg-config`"));
    };
    let mut command = Command::new(program);
    command.arg("--libs").arg("--print-errors");
    if kind == Kind::Static {
        command.arg("--static");
    }
    // `name >= 1.2` is one argument.
    let output = command.arg("--").arg(package).output().map_err(|e| {
        let text = format!("pkg-config cannot be started: {}", crate::output::reason(&e));
        Diagnostic::without_place(codes::LIBRARY_MISSING, text)
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().next().unwrap_or("it gave no reason").to_owned();
        let text = format!("pkg-config does not know the package `{package}`");
        return Err(missing(text, setting, "pkg-config", debian).note(why));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
    if kind == Kind::Static
        && let Some(first) = words.iter_mut().find(|w| w.starts_with("-l"))
    {
        // The package's own library as an archive; what it needs may be shared.
        *first = format!("-l:lib{}.a", &first[2..]);
    }
    Ok(words)
}

//! Linking an object with the runtime by driving `cc` (or `clang`), with `lld` where it is installed.

mod carried;
mod device;
pub mod libraries;

pub use device::{code_object, link_object};

use crate::backend::find_program;
use crate::device_code::CodeObject;
use crate::output::{Pending, reason};
use crate::project::Project;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The runtime's static library, embedded when the compiler was built.
static RUNTIME: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/runtime.a"));

/// Drivers that can link, in order of preference.
const DRIVERS: &[&str] = &["cc", "clang-22", "clang", "gcc"];

/// Linkers, as `-fuse-ld=` names them, with the program that must be there.
const LINKERS: &[(&str, &str)] = &[("lld", "ld.lld"), ("mold", "ld.mold")];

/// A foreign function, as `[<Extern(library, EntryPoint = entry)>]` declares it.
pub struct Foreign {
    pub library: String,
    pub entry: String,
}

/// What an executable is made of, beside the runtime.
pub struct Parts<'a> {
    pub object: &'a [u8],
    pub code_objects: &'a [CodeObject],
}

/// Writes the executable, whole or not at all.
pub fn link(
    project: &Project,
    parts: &Parts<'_>,
    foreign: &[Foreign],
    target: &Path,
    strip: bool,
) -> Result<(), Diagnostic> {
    let pending = Pending::new(target)?;
    let driver = DRIVERS.iter().find_map(|d| find_program(d)).ok_or_else(no_linker)?;
    let runtime = runtime_archive()?;
    let folder = Scratch::new()?;
    // The name is fixed: it ends up in the executable's symbol table.
    let object_path = folder.0.join("program.o");
    folder.write(&object_path, parts.object)?;
    let mut command = Command::new(&driver);
    command.arg("-o").arg(pending.path()).arg(&object_path);
    if !parts.code_objects.is_empty() {
        command.arg(carried::assembly(&folder, parts.code_objects)?);
    }
    command.arg(&runtime);
    command.args(["-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--as-needed", "-lm", "-lpthread", "-ldl"]);
    if let Some((name, path)) = LINKERS.iter().find_map(|(name, program)| Some((name, find_linker(program)?)))
    {
        command.arg(format!("-fuse-ld={name}"));
        if let Some(folder) = path.parent() {
            command.arg(format!("-B{}", folder.display()));
        }
    }
    if strip {
        command.arg("-Wl,--strip-all");
    }
    command.args(libraries::arguments(&project.link, &project.folder)?);
    let output = command.output().map_err(|e| {
        let text = format!("cannot start the linker driver `{}`: {}", driver.display(), reason(&e));
        Diagnostic::without_place(codes::NO_LINKER, text)
    })?;
    if !output.status.success() {
        return Err(link_failed(&String::from_utf8_lossy(&output.stderr), project, foreign));
    }
    pending.commit()
}

fn no_linker() -> Diagnostic {
    Diagnostic::without_place(codes::NO_LINKER, "there is no linker: none of `cc`, `clang`, `gcc` is on PATH")
        .help("install one: `apt-get install gcc` (or `clang`); `clefc doctor` lists what is missing")
}

/// `ld.lld` on PATH, or where Debian's versioned package puts it.
fn find_linker(program: &str) -> Option<PathBuf> {
    find_program(program).or_else(|| {
        let versioned = Path::new("/usr/lib/llvm-22/bin").join(program);
        versioned.is_file().then_some(versioned)
    })
}

/// Turns the linker's complaints into missing symbols and libraries by name.
fn link_failed(said: &str, project: &Project, foreign: &[Foreign]) -> Diagnostic {
    let mut missing: Vec<String> = Vec::new();
    let mut libraries: Vec<String> = Vec::new();
    for line in said.lines() {
        if let Some((_, rest)) =
            line.split_once("undefined symbol: ").or_else(|| line.split_once("undefined reference to `"))
        {
            missing.push(rest.trim_end_matches('\'').trim().to_owned());
        } else if let Some((_, rest)) =
            line.split_once("unable to find library -l").or_else(|| line.split_once("cannot find -l"))
        {
            let name = rest.trim_start_matches(':').split([':', ' ']).next().unwrap_or(rest);
            libraries.push(name.to_owned());
        }
    }
    missing.sort();
    missing.dedup();
    if let Some(first) = libraries.first() {
        return library_missing(first, &libraries, project);
    }
    if !missing.is_empty() {
        return functions_missing(&missing, project, foreign);
    }
    let first = said.lines().next().unwrap_or("it gave no reason").to_owned();
    Diagnostic::without_place(codes::LINK_FAILED, "the linker could not make the executable").note(first)
}

/// Functions that no library has, with the library that their declaration names, and its setting.
fn functions_missing(missing: &[String], project: &Project, foreign: &[Foreign]) -> Diagnostic {
    let library = |entry: &String| foreign.iter().find(|f| f.entry == *entry).map(|f| f.library.as_str());
    let plain = |name: &'_ str| name.strip_prefix("__").unwrap_or(name).to_owned();
    let quoted: Vec<String> = missing.iter().map(|m| format!("`{m}`")).collect();
    let text = format!("no library defines: {}", quoted.join(", "));
    let mut diagnostic = Diagnostic::without_place(codes::LINK_FAILED, text);
    let mut libraries: Vec<String> = missing.iter().filter_map(library).map(plain).collect();
    libraries.sort();
    libraries.dedup();
    if libraries.is_empty() {
        return diagnostic.note("no declaration of the program names these functions");
    }
    for name in &libraries {
        let own = missing.iter().filter(|m| library(m).map(plain).as_ref() == Some(name));
        let own: Vec<String> = own.map(|m| format!("`{m}`")).collect();
        let settings = project.link.library.get(name);
        let listed = settings.is_some() || project.link.libraries.contains(name);
        let package =
            settings.and_then(|l| l.package.as_deref()).map_or_else(String::new, |p| format!(" of `{p}`"));
        diagnostic = if listed {
            let setting =
                if settings.is_some() { format!("[link.library.{name}]") } else { "[link] libraries".into() };
            diagnostic
                .note(format!(
                    "{} should be in the library `{name}`, and the one that is linked lacks it",
                    own.join(", ")
                ))
                .help(format!(
                    "install a version{package} that has it, or correct `{setting}` in the project file"
                ))
        } else {
            diagnostic
                .note(format!("{} should be in the library `{name}`, which is not linked", own.join(", ")))
                .help(format!("add `[link.library.{name}]` to the project file (docs/projects.md)"))
        };
    }
    diagnostic
}

/// Libraries that the linker did not find by name.
fn library_missing(first: &str, all: &[String], project: &Project) -> Diagnostic {
    let names: Vec<String> =
        all.iter().map(|l| if l.starts_with("lib") { l.clone() } else { format!("lib{l}") }).collect();
    let text = format!("the linker did not find: {}", names.join(", "));
    let plain = first.strip_prefix("lib").and_then(|n| n.strip_suffix(".a")).unwrap_or(first);
    let settings = project.link.library.get(plain);
    let package = match settings.and_then(|l| l.package.as_deref()) {
        Some(package) => format!("install the package `{package}`"),
        None => format!("install the library's development package (on Debian mostly `lib{plain}-dev`)"),
    };
    let setting =
        if settings.is_some() { format!("[link.library.{plain}]") } else { "[link] libraries".into() };
    Diagnostic::without_place(codes::LINK_FAILED, text)
        .help(format!("{package}, or correct `{setting}` in the project file"))
}

/// The archive on disk: beside this program, or the embedded copy in the user's cache.
fn runtime_archive() -> Result<PathBuf, Diagnostic> {
    const NAME: &str = "libclef_runtime.a";
    if let Some(beside) = env::current_exe().ok().and_then(|p| Some(p.parent()?.join(NAME))) {
        if beside.is_file() {
            return Ok(beside);
        }
    }
    if RUNTIME.is_empty() {
        let text = format!("this `clefc` was built without the runtime, and `{NAME}` is not beside it");
        return Err(
            Diagnostic::without_place(codes::NOT_INSTALLED, text).help("build the compiler with `./x build`")
        );
    }
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(RUNTIME);
    let folder = cache_folder().join(format!("runtime-{:016x}", hasher.finish()));
    let path = folder.join(NAME);
    let complete = fs::metadata(&path).is_ok_and(|m| m.len() == RUNTIME.len() as u64);
    if !complete {
        fs::create_dir_all(&folder).map_err(|e| {
            let text = format!("cannot make the cache folder `{}`: {}", folder.display(), reason(&e));
            Diagnostic::without_place(codes::UNWRITABLE, text)
                .help("set XDG_CACHE_HOME to a folder that you may write to")
        })?;
        crate::output::write_file(&path, RUNTIME)?;
    }
    Ok(path)
}

fn cache_folder() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("clefc")
}

/// A temporary folder that goes with its owner.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Result<Self, Diagnostic> {
        let base = env::temp_dir();
        for attempt in 0..64_u32 {
            let path = base.join(format!("clefc-{}-{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    let text = format!("cannot make a folder in `{}`: {}", base.display(), reason(&e));
                    return Err(Diagnostic::without_place(codes::UNWRITABLE, text)
                        .help("set TMPDIR to a folder that you may write to"));
                }
            }
        }
        Err(Diagnostic::without_place(
            codes::UNWRITABLE,
            format!("`{}` is full of old folders of clefc", base.display()),
        ))
    }
}

impl Scratch {
    /// Writes a file of the folder.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
        fs::write(path, bytes).map_err(|e| {
            let text = format!("cannot write to the temporary folder `{}`: {}", self.0.display(), reason(&e));
            Diagnostic::without_place(codes::UNWRITABLE, text)
                .help("set TMPDIR to a folder that you may write to")
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! `clefc bindgen`: from a C header to a Clef module of externs.
//!
//! [`read`] and [`records`] ask libclang for declarations and layouts, [`constants`] for the values of macros;
//! [`emit`] prints the module, [`assertions`] a C file that proves its layouts. What has no binding is listed at the
//! module's end with the reason, never dropped in silence. libclang is loaded here only.

mod assertions;
mod clang;
mod config;
mod constants;
mod emit;
mod model;
mod names;
mod order;
mod read;
mod records;

use crate::cli::BindgenArgs;
use crate::output::{self, reason};
use crate::render;
use crate::session::Session;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use config::Config;
use std::path::Path;

pub fn run(args: &BindgenArgs) -> u8 {
    match generate(args) {
        Ok(()) => 0,
        Err(diagnostic) => {
            render::show(&Session::default(), &[*diagnostic], args.message_format);
            output::USAGE
        }
    }
}

fn generate(args: &BindgenArgs) -> Result<(), Box<Diagnostic>> {
    let config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    let path = std::fs::canonicalize(&args.header).map_err(|e| {
        let text = format!("cannot read the header `{}`: {}", args.header.display(), reason(&e));
        Diagnostic::without_place(codes::NO_SUCH_FILE, text)
    })?;
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let shown = path.file_name().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let module = args.module.clone().or(config.module.clone()).unwrap_or_else(|| names::pascal(&stem));
    let library = args.library.clone().or(config.library.clone()).unwrap_or_else(|| format!("__{stem}"));
    let header = header(args, &config, &path)?;
    let known = |key: &str| {
        let name = key.split('.').next().unwrap_or(key);
        mentioned(&header, name)
    };
    if let Some(key) = config.unused(&known).first() {
        let text = format!("the settings name `{key}`, which `{shown}` does not declare");
        return Err(Box::new(Diagnostic::without_place(codes::BAD_BINDGEN_CONFIG, text)));
    }
    let text = emit::print(&header, &config, &shown, &module, &library);
    match &args.output {
        Some(target) => output::write_file(target, text.as_bytes())?,
        None => output::stdout(text.as_bytes()).map_err(|e| {
            let text = format!("cannot write to standard output: {}", reason(&e));
            Diagnostic::without_place(codes::UNWRITABLE, text)
        })?,
    }
    if let Some(target) = &args.assertions {
        let include = format!("#include \"{shown}\"\n");
        output::write_file(target, assertions::print(&header, &include).as_bytes())?;
    }
    Ok(())
}

fn header(args: &BindgenArgs, config: &Config, path: &Path) -> Result<model::Header, Diagnostic> {
    let clang = clang::Clang::load().map_err(|why| {
        let why = why.lines().next().unwrap_or_default().to_owned();
        Diagnostic::without_place(codes::NO_LIBCLANG, "libclang, which reads C headers, is not there")
            .note(why)
            .help("install it: `apt-get install libclang-22-dev`; LIBCLANG_PATH names another folder to look in")
    })?;
    let full = path.to_string_lossy().into_owned();
    let include = format!("#include \"{full}\"\n");
    let mut arguments: Vec<String> =
        ["-xc", "-std=gnu11", "-fparse-all-comments", "-ferror-limit=0", "-Wno-everything"]
            .map(str::to_owned)
            .to_vec();
    arguments.extend(args.include.iter().map(|folder| format!("-I{}", folder.display())));
    arguments.extend(config.clang.iter().cloned());
    let bad = |why: String| {
        let text = format!("clang cannot read `{}`", args.header.display());
        Diagnostic::without_place(codes::BAD_HEADER, text)
            .note(why)
            .help("name folders of included headers with `-I`, macros under `clang` in the settings file")
    };
    let unit = clang.parse("clefc-bindgen.c", &include, &arguments).map_err(bad)?;
    if let Some(first) = unit.errors().into_iter().next() {
        return Err(bad(first));
    }
    let wanted = |file: &str| {
        let name = Path::new(file).file_name().map(|n| n.to_string_lossy().into_owned());
        file == full || name.is_some_and(|n| config.include.contains(&n))
    };
    read::read(&clang, unit.root(), &wanted, config, &include, &arguments).map_err(bad)
}

/// Whether the header has something of this name.
fn mentioned(header: &model::Header, name: &str) -> bool {
    header.functions.iter().any(|f| f.c_name == name)
        || header.constants.iter().any(|c| c.c_name == name)
        || header.aliases.iter().any(|a| a.c_name == name)
        || header.left.iter().any(|l| l.c_name == name)
        || header.records.iter().any(|r| r.c_name == name || r.c_name.ends_with(&format!(" {name}")))
        || header.enums.iter().any(|e| {
            e.c_name == name
                || e.c_name.ends_with(&format!(" {name}"))
                || e.cases.iter().any(|case| case.0 == name)
        })
}

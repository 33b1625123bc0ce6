//! `clefc new`: a project that builds and runs.

use crate::output::{self, reason};
use crate::render::{self, Format};
use crate::session::Session;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use std::fs;
use std::path::Path;

const MAIN: &str = r#"module Main

open BAREWire.HSA

/// y <- a*x + y, one work-item per element
[<Kernel("saxpy")>]
let saxpy (a: float32) (x: UnifiedBuffer<float32>) (y: UnifiedBuffer<float32>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- a * x.[i] + y.[i]

[<EntryPoint>]
let main argv =
    let n = 1024
    let agents = [CPU; GPU_RDNA 0]
    let x = allocateUnified<float32> (n * 4<bytes>) agents BalancedAccess
    let y = allocateUnified<float32> (n * 4<bytes>) agents BalancedAccess
    for i = 0 to n - 1 do
        x.[i] <- float32 i
        y.[i] <- 1.0f
    GPU.dispatch "saxpy" {| A = 2.0f; X = x.Address; Y = y.Address |}
    printfn "y.[10] = %.1f" y.[10]
    0
"#;

pub fn run(name: &str) -> u8 {
    match create(name) {
        Ok(()) => {
            let text = format!("made {name}/{name}.fidproj and {name}/Main.clef; try: clefc run {name}\n");
            match output::stdout(text.as_bytes()) {
                Ok(()) => 0,
                Err(_) => output::USAGE,
            }
        }
        Err(diagnostic) => {
            render::show(&Session::default(), &[diagnostic], Format::Human);
            output::USAGE
        }
    }
}

fn create(name: &str) -> Result<(), Diagnostic> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) || name.starts_with('-') {
        let text = format!("`{name}` cannot be a project's name");
        return Err(Diagnostic::without_place(codes::BAD_PROJECT, text)
            .help("use letters, digits, `-` and `_`, and begin with a letter, digit or `_`"));
    }
    let folder = Path::new(name);
    if folder.exists() {
        let text = format!("`{name}` exists already");
        return Err(Diagnostic::without_place(codes::ALREADY_THERE, text).help("choose another name"));
    }
    fs::create_dir(folder).map_err(|e| {
        let text = format!("cannot make the folder `{name}`: {}", reason(&e));
        Diagnostic::without_place(codes::UNWRITABLE, text)
    })?;
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n\n[compilation]\ntarget = \"hsa\"\ngpu = \"host\"\n\n\
         [build]\nsources = [\"Main.clef\"]\noutput = \"{name}\"\n"
    );
    output::write_file(&folder.join(format!("{name}.fidproj")), manifest.as_bytes())?;
    output::write_file(&folder.join("Main.clef"), MAIN.as_bytes())
}

//! What the NPU's own compiler makes: its tools, where they are installed, and files that a project brings.
//!
//! [`files`] reads the image and the instructions of each `[npu.kernel.NAME]`. What cannot be used is a warning, and the
//! host plays the kernel: a program must build where the NPU's tools never were.
//!
//! `aie-opt` reads what `clefc emit aie` wrote, if it is on the PATH; else a line on standard error says that nothing but
//! `clefc` has looked at it. Compiling it (`aiecc`) is the user's next step. Nothing else is started.

use crate::commands::bug;
use crate::output;
use crate::project::Project;
use crate::stages;
use clef_frontend::codes;
use clef_frontend::diagnostic::{Diagnostic, Severity};
use clef_psg::graph::Psg;
use clef_psg::job::NpuFiles;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Gives the text to `aie-opt`; the exit code.
pub fn check(text: &[u8]) -> Result<u8, u8> {
    let started = Command::new("aie-opt")
        .args(["-", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        eprintln!("clefc: emitted, not compiled here: no aie-opt on the PATH (from mlir-aie)");
        return Ok(0);
    };
    if let Some(mut input) = child.stdin.take() {
        // A tool that ends early says why on its own.
        let _ = input.write_all(text);
    }
    // The text has passed our own check: what the tool refuses all the same is a mistake of the compiler.
    let fail = |what: String| bug(stages::Bug(format!("aie-opt refuses the module for the NPU: {what}")));
    match child.wait_with_output() {
        Ok(done) if done.status.success() => Ok(0),
        Ok(done) => Err(fail(String::from_utf8_lossy(&done.stderr).trim().to_owned())),
        Err(error) => Err(fail(output::reason(&error))),
    }
}

/// Bytes of the header of instructions.
const HEADER: usize = 16;
/// The array's generation in it: XDNA2.
const GENERATION: u8 = 4;

/// The files that the project names for its kernels, and what is wrong with them.
pub fn files(project: &Project, psg: &Psg) -> (Vec<NpuFiles>, Vec<Diagnostic>) {
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for (name, named) in &project.npu_kernels {
        let Some((_, kernel)) = psg.kernels.iter().find(|(_, k)| k.name == name.as_str()) else {
            let text = format!("`[npu.kernel.{name}]`: the program dispatches no kernel `{name}`");
            found.push(
                Diagnostic::without_place(codes::BAD_PROJECT, text)
                    .help("a kernel's name is the text in its attribute `[<Kernel(\"name\")>]`"),
            );
            continue;
        };
        if let Some(scalar) = kernel.params.iter().find(|p| p.element.is_none()) {
            found.push(unusable(
                name,
                format!(
                    "its parameter `{}` is no buffer, and files for the NPU take buffers only",
                    scalar.name
                ),
                "make it a constant of the kernel",
            ));
            continue;
        }
        let read = |path: &std::path::Path| {
            fs::read(project.folder.join(path))
                .map_err(|e| format!("`{}` cannot be read: {}", path.display(), output::reason(&e)))
        };
        let both = read(&named.pdi).and_then(|image| {
            let insts = read(&named.instructions)?;
            fits(
                &named.pdi.display().to_string(),
                &image,
                &named.instructions.display().to_string(),
                &insts,
            )?;
            Ok(NpuFiles { kernel: name.clone(), image, insts, status: named.status })
        });
        match both {
            Ok(both) => files.push(both),
            Err(why) => found.push(unusable(
                name,
                why,
                "make both files anew with `aiecc` of mlir-aie from what `clefc emit aie` writes, for `npu2`",
            )),
        }
    }
    (files, found)
}

/// A warning: the host plays the kernel.
fn unusable(kernel: &str, why: String, help: &str) -> Diagnostic {
    let text = format!("the files for the NPU of kernel `{kernel}` cannot be used");
    let mut warning = Diagnostic::without_place(codes::NPU_FILES, text)
        .note(why)
        .note("the program is built without them: the host runs this kernel in the NPU's place")
        .help(help);
    warning.severity = Severity::Warning;
    warning
}

/// Whether an image and instructions are whole and for this array.
pub fn fits(pdi: &str, image: &[u8], name: &str, insts: &[u8]) -> Result<(), String> {
    if image.is_empty() || !image.len().is_multiple_of(4) {
        return Err(format!("`{pdi}` has {} bytes; an image is some words of 4 bytes", image.len()));
    }
    if insts.len() < HEADER {
        return Err(format!(
            "`{name}` has {} bytes, and the header of instructions alone has {HEADER}",
            insts.len()
        ));
    }
    if insts[2] != GENERATION {
        let generation = insts[2];
        return Err(format!("`{name}` is for generation {generation} of the array; XDNA2 is {GENERATION}"));
    }
    let said = u32::from_le_bytes([insts[12], insts[13], insts[14], insts[15]]) as usize;
    if said != insts.len() {
        return Err(format!("`{name}` says that it has {said} bytes, and it has {}", insts.len()));
    }
    Ok(())
}

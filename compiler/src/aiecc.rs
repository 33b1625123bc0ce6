//! The NPU's own compiler: `npu = "xdna"` has it make image and instructions of the program's NPU dispatches.
//!
//! Each device of the module goes through `aie-opt`, where that is installed, and `aiecc`. A kernel is compiled if all its
//! dispatches have one and the same form; every other one, and all of them without the tools, are left to the host, with
//! a warning. Files that the project names ([`super::npu::files`]) come first.

use crate::backend::find_program;
use crate::link::Scratch;
use crate::npu;
use crate::project::Project;
use clef_frontend::codes;
use clef_frontend::diagnostic::{Diagnostic, Severity};
use clef_psg::graph::Psg;
use clef_psg::job::{NpuFiles, Refused};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the back end made of the NPU dispatches.
pub struct Forms<'a> {
    /// The module of the AIE dialects.
    pub text: &'a str,
    pub refused: &'a [Refused],
}

/// The files of each kernel that can be compiled, and warnings for the others.
pub fn compile(project: &Project, psg: &Psg, forms: &Forms<'_>) -> (Vec<NpuFiles>, Vec<Diagnostic>) {
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for refused in forms.refused {
        let text = format!("this dispatch of `{}` has no form for the NPU's array", refused.kernel);
        let mut warning = Diagnostic::warning(codes::NO_NPU_FORM, refused.span, text).here(&refused.why);
        warning.help = Some("the host runs this kernel in the NPU's place".into());
        found.push(warning);
    }
    let devices = devices(forms.text);
    let Some(aiecc) = find_program("aiecc").or_else(|| find_program("aiecc.py")) else {
        if !devices.is_empty() {
            found.push(host_instead(
                "`npu = \"xdna\"`: there is no `aiecc` on the PATH, so kernels for the NPU are not compiled here".into(),
                "install mlir-aie, or name files that it made under `[npu.kernel.NAME]`",
            ));
        }
        return (files, found);
    };
    for (kernel, list) in by_kernel(psg, &devices) {
        let refused = forms.refused.iter().any(|r| r.kernel == kernel);
        if refused || project.npu_kernels.contains_key(&kernel) {
            continue;
        }
        match one(&aiecc, &kernel, &list) {
            Ok(made) => files.push(made),
            Err((why, help)) => {
                found.push(host_instead(
                    format!("kernel `{kernel}` is not compiled for the NPU: {why}"),
                    help,
                ));
            }
        }
    }
    (files, found)
}

fn host_instead(text: String, help: &str) -> Diagnostic {
    let mut warning = Diagnostic::without_place(codes::NPU_FILES, text)
        .note("the host runs such kernels in the NPU's place")
        .help(help);
    warning.severity = Severity::Warning;
    warning
}

/// Name and text of each device of a module, as the back end prints it.
fn devices(module: &str) -> Vec<(&str, &str)> {
    const HEAD: &str = "  aie.device(";
    const END: &str = "\n  }\n";
    let mut found = Vec::new();
    let mut rest = module;
    while let Some(at) = rest.find(HEAD) {
        rest = &rest[at..];
        let length = rest.find(END).map_or(rest.len(), |end| end + END.len());
        let name = rest.split_once('@').map_or("", |(_, r)| r.split(' ').next().unwrap_or(""));
        found.push((name, &rest[..length]));
        rest = &rest[length..];
    }
    found
}

/// The devices of each kernel: one is named as the kernel, others have a number behind it.
fn by_kernel<'a>(psg: &Psg, devices: &[(&str, &'a str)]) -> BTreeMap<String, Vec<&'a str>> {
    let clean = |name: &str| -> String {
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
    };
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (_, kernel) in psg.kernels.iter() {
        let symbol = clean(&kernel.name);
        let numbered = |name: &str| {
            name.strip_prefix(&symbol)
                .and_then(|n| n.strip_prefix('_'))
                .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
        };
        let own = devices.iter().filter(|(name, _)| *name == symbol || numbered(name));
        let list: Vec<&str> = own.map(|(_, text)| *text).collect();
        if !list.is_empty() {
            found.insert(kernel.name.to_string(), list);
        }
    }
    found
}

type Why = (String, &'static str);

fn one(aiecc: &Path, kernel: &str, devices: &[&str]) -> Result<NpuFiles, Why> {
    let [device] = devices else {
        return Err((
            format!("its dispatches have {} forms, and files hold one", devices.len()),
            "give each size or scalar a kernel of its own",
        ));
    };
    const SHOW: &str = "`clefc emit aie` writes the module, to be tried by hand";
    let folder = Scratch::new().map_err(|d| (d.headline, "set TMPDIR to a folder that you may write to"))?;
    let module = folder.0.join("kernel.mlir");
    fs::write(&module, format!("module {{\n{device}}}\n"))
        .map_err(|e| (format!("its module cannot be written: {}", crate::output::reason(&e)), SHOW))?;
    if let Some(aie_opt) = find_program("aie-opt") {
        started(Command::new(aie_opt).arg(&module).args(["-o", "/dev/null"]), "aie-opt")
            .map_err(|w| (w, SHOW))?;
    }
    let (image, insts): (PathBuf, PathBuf) = (folder.0.join("kernel.pdi"), folder.0.join("kernel.insts"));
    let mut command = Command::new(aiecc);
    command
        .current_dir(&folder.0)
        .args(["--no-xchesscc", "--no-xbridge", "--aie-generate-pdi", "--pdi-name=kernel.pdi"])
        .args(["--aie-generate-npu-insts", "--npu-insts-name=kernel.insts"])
        .arg(&module);
    started(&mut command, "aiecc").map_err(|w| (w, SHOW))?;
    let read = |path: &Path, what: &str| {
        fs::read(path).map_err(|_| (format!("`aiecc` wrote no {what}"), "use the aiecc of mlir-aie"))
    };
    let made = NpuFiles {
        kernel: kernel.to_owned(),
        image: read(&image, "image (--pdi-name)")?,
        insts: read(&insts, "instructions (--npu-insts-name)")?,
        status: device.contains("@clef_status"),
    };
    npu::fits("the image of `aiecc`", &made.image, "the instructions of `aiecc`", &made.insts)
        .map_err(|why| (why, "use the aiecc of mlir-aie for XDNA2"))?;
    Ok(made)
}

/// Runs a tool; its own words stay with it.
fn started(command: &mut Command, name: &str) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output();
    match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(match done.status.code() {
            Some(code) => format!("`{name}` refuses its module (exit code {code})"),
            None => format!("`{name}` was ended by a signal"),
        }),
        Err(e) => Err(format!("`{name}` cannot be started: {}", crate::output::reason(&e))),
    }
}

//! The library's kernels on odd sizes: interpreter, host, Vulkan and adversarial memory, each against NumPy in double
//! precision; their SPIR-V accepted by `spirv-val`.

use crate::example::python;
use crate::trial;
use clef_tests::{Scratch, clefc, files, root, run};
use libtest_mimic::Trial;
use std::path::PathBuf;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("kernels/interpreter", || checked(&mut compiler(&["run", "--interpret"]))),
        trial("kernels/host", || checked(&mut compiler(&["run", "--release"]))),
        trial("kernels/vulkan", || checked(&mut compiler(&["run", "--gpu", "vulkan"]))),
        trial("kernels/vulkan_with_copies", || {
            checked(compiler(&["run", "--gpu", "vulkan"]).env("CLEF_VULKAN_MEMORY", "device"))
        }),
        trial("kernels/adversarial", || {
            checked(&mut compiler(&["run", "--coherence", "adversarial", "--seed", "1"]))
        }),
        trial("kernels/spirv_is_valid", spirv),
        trial("kernels/a_domain_must_be_whole_workgroups", whole),
    ]
}

fn source() -> PathBuf {
    root().join("tests/kernels/kernels.clef")
}

fn compiler(options: &[&str]) -> Command {
    let mut command = Command::new(clefc());
    command.args(options).arg(source());
    command
}

fn checked(command: &mut Command) -> Result<(), String> {
    let done = run(command, "")?;
    if done.code != 0 {
        return Err(format!("exit code {}: {}", done.code, done.stderr));
    }
    let check = run(Command::new(python()).arg(root().join("tests/kernels/check.py")), &done.stdout)?;
    if check.code == 0 { Ok(()) } else { Err(check.stderr) }
}

fn spirv() -> Result<(), String> {
    let folder = Scratch::new();
    let emitted = run(compiler(&["emit", "spirv"]).current_dir(&folder.0), "")?;
    if emitted.code != 0 {
        return Err(emitted.stderr);
    }
    let modules = files(&folder.0, "spv");
    if modules.len() < 14 {
        return Err(format!("{} modules for eleven kernels with fourteen launches", modules.len()));
    }
    for module in modules {
        let done = run(Command::new("spirv-val").args(["--target-env", "vulkan1.2"]).arg(&module), "")?;
        if done.code != 0 {
            return Err(format!("{}: {}{}", module.display(), done.stdout, done.stderr));
        }
    }
    Ok(())
}

const PART: &str = r#"
open BAREWire.HSA

[<Kernel("part")>]
[<WorkgroupSize(8)>]
let part (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        let tile: int[] = workgroup 8
        tile.[i % 8] <- i
        barrier ()
        z.[i] <- tile.[7 - i % 8]

let z = allocateUnified<int> 40<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "part" {| Z = z.Address |}
printfn "%d" z.[0]
"#;

/// Ten items do not make groups of eight: each agent says so and stops.
fn whole() -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("part.clef", PART);
    for options in [&["run", "--interpret"][..], &["run"], &["run", "--gpu", "vulkan"]] {
        let done = run(Command::new(clefc()).args(options).arg(&file), "")?;
        if done.code != 134 || !done.stderr.contains("not a multiple of its workgroup size") {
            return Err(format!("{options:?}: exit code {}: {}", done.code, done.stderr));
        }
    }
    Ok(())
}

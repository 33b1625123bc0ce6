//! The library's kernels on odd sizes: interpreter, host, Vulkan and adversarial memory, each against NumPy in double
//! precision; their SPIR-V accepted by `spirv-val`; their code objects for AMD's chips and their PTX read back.

use crate::example::python;
use crate::trial;
use clef_tests::{Scratch, clefc, files, hsa_mock, root, run};
use libtest_mimic::Trial;
use std::path::PathBuf;
use std::process::Command;

/// Launches of the library's kernels: ten have one, `sum` and `ternary_gemv` two, `scan` and `mla` three each.
const LAUNCHES: usize = 22;

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
        trial("kernels/hsa", || hsa("")),
        trial("kernels/hsa_incoherent", || hsa("1")),
        trial("kernels/spirv_is_valid", spirv),
        trial("kernels/code_objects_stand_for_themselves", code_objects),
        trial("kernels/ptx_has_an_entry_for_each_launch", ptx),
        trial("kernels/too_much_workgroup_memory", too_much),
        trial("kernels/a_workgroup_of_too_many", too_many),
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

/// On the agents of a loaded library; with a seed its memory is incoherent.
fn hsa(seed: &str) -> Result<(), String> {
    let mut command = compiler(&["run", "--release"]);
    command.env("CLEF_AGENTS", "hsa").env("CLEF_HSA_LIBRARY", hsa_mock()).env("CLEF_HSA_MOCK_SEED", seed);
    checked(&mut command)
}

fn spirv() -> Result<(), String> {
    let folder = Scratch::new();
    let emitted = run(compiler(&["emit", "spirv"]).current_dir(&folder.0), "")?;
    if emitted.code != 0 {
        return Err(emitted.stderr);
    }
    let modules = files(&folder.0, "spv");
    if modules.len() != LAUNCHES {
        return Err(format!("{} modules for {LAUNCHES} launches", modules.len()));
    }
    for module in modules {
        // Minor version of SPIR-V: 6, where a module has matrices, belongs to Vulkan 1.3.
        let newer = std::fs::read(&module).is_ok_and(|bytes| bytes.get(5) == Some(&6));
        let environment = if newer { "vulkan1.3" } else { "vulkan1.2" };
        let done = run(Command::new("spirv-val").args(["--target-env", environment]).arg(&module), "")?;
        // Debian's validator is older than SPV_KHR_cooperative_matrix.
        let unknown = format!("{}{}", done.stdout, done.stderr).contains("Invalid capability operand: 6022");
        if done.code != 0 && !unknown {
            return Err(format!("{}: {}{}", module.display(), done.stdout, done.stderr));
        }
    }
    Ok(())
}

/// Each chip with the wavefront it runs, and the flag of its ELF header.
const CHIPS: [(&str, u32, &str); 4] = [
    ("gfx1151", 32, "EF_AMDGPU_MACH_AMDGCN_GFX1151 "),
    ("gfx1100", 32, "EF_AMDGPU_MACH_AMDGCN_GFX1100 "),
    ("gfx942", 64, "EF_AMDGPU_MACH_AMDGCN_GFX942 "),
    ("gfx1201", 32, "EF_AMDGPU_MACH_AMDGCN_GFX1201 "),
];

/// What a loader needs of a code object: the right chip, a descriptor for each kernel, nothing undefined, and notes whose
/// argument layout is the runtime's parameter block.
fn code_objects() -> Result<(), String> {
    let folder = Scratch::new();
    let emitted = run(compiler(&["emit", "amdgcn"]).current_dir(&folder.0), "")?;
    if emitted.code != 0 {
        return Err(emitted.stderr);
    }
    for (chip, wave, flag) in CHIPS {
        let file = folder.0.join(format!("kernels.{chip}.hsaco"));
        let read = run(
            Command::new("llvm-readobj-22").args(["--notes", "--file-headers", "--dyn-symbols"]).arg(&file),
            "",
        )?;
        if read.code != 0 || !read.stdout.contains(flag) {
            return Err(format!("{chip}: not a code object of the chip: {}", read.stderr));
        }
        let undefined = read.stdout.matches("Section: Undefined").count();
        if undefined != 1 {
            return Err(format!("{chip}: {undefined} undefined symbols, where only the empty one should be"));
        }
        notes(&read.stdout, wave).map_err(|what| format!("{chip}: {what}"))?;
        let assembly = std::fs::read_to_string(folder.0.join(format!("kernels.{chip}.s")));
        occupancy(&assembly.map_err(|e| e.to_string())?).map_err(|what| format!("{chip}: {what}"))?;
    }
    Ok(())
}

/// The table at the head of the assembly has for each kernel what LLVM counted behind its code, and why it is not more.
fn occupancy(assembly: &str) -> Result<(), String> {
    let rows: Vec<Vec<&str>> = assembly
        .lines()
        .map_while(|line| line.strip_prefix("; "))
        .filter(|line| line.starts_with("std_"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    if rows.len() != LAUNCHES {
        return Err(format!("the occupancy of {} kernels for {LAUNCHES} launches", rows.len()));
    }
    for row in &rows {
        let &[name, vgprs, sgprs, shared, scratch, _, waves, why, ..] = &row[..] else {
            return Err(format!("a row without all figures: {row:?}"));
        };
        let code = assembly.split_once(&format!("\n{name}:")).ok_or(format!("there is no code of {name}"))?.1;
        // On some chips ordinary and accumulation registers are counted together.
        let all = if code.contains("; TotalNumVgprs") { "; TotalNumVgprs" } else { "; NumVgprs" };
        let counted = |key: &str| {
            let line = code.split_once(&format!("{key}: "))?.1.lines().next()?;
            line.split(' ').next()
        };
        let figures = [
            (all, vgprs),
            ("; TotalNumSgprs", sgprs),
            ("; LDSByteSize", shared),
            ("; ScratchSize", scratch),
            ("; Occupancy", waves),
        ];
        for (key, ours) in figures {
            if counted(key) != Some(ours) {
                return Err(format!("{name}: {ours} for `{key}`, and LLVM counted {:?}", counted(key)));
            }
        }
        let full = waves == if assembly.contains("gfx942") { "8" } else { "16" };
        if full != (why == "nothing") {
            return Err(format!("{name}: {waves} wavefronts, limited by {why}"));
        }
    }
    Ok(())
}

/// The metadata of a code object as `llvm-readobj` prints it.
fn notes(text: &str, wave: u32) -> Result<(), String> {
    let list = text.split_once("amdhsa.kernels:").ok_or("there are no notes of kernels")?.1;
    let list = list.split_once("amdhsa.target:").ok_or("the notes name no target")?.0;
    if !text.contains("ABIVersion: 3\n") {
        return Err("it is not of code object version 5".into());
    }
    let kernels: Vec<&str> = list.split("\n  - ").skip(1).collect();
    if kernels.len() != LAUNCHES {
        return Err(format!("{} kernels for {LAUNCHES} launches", kernels.len()));
    }
    for kernel in kernels {
        let name = field(kernel, "name:           std_").unwrap_or_default();
        let number = |key: &str| -> Result<u32, String> {
            let found = field(kernel, &format!("{key}: ")).ok_or(format!("std_{name} has no {key}"))?;
            found.trim().parse().map_err(|_| format!("std_{name}: {key} is `{found}`"))
        };
        if number("wavefront_size")? != wave {
            return Err(format!("std_{name} is not for wavefronts of {wave}"));
        }
        if number("group_segment_fixed_size")? > 32768 {
            return Err(format!("std_{name} has more workgroup memory than the language allows"));
        }
        if number("max_flat_workgroup_size")? > 1024 || number("vgpr_count")? > 512 {
            return Err(format!("std_{name} cannot be launched"));
        }
        if !kernel.contains(&format!(".symbol:         std_{name}.kd")) {
            return Err(format!("std_{name} has no descriptor"));
        }
        arguments(kernel).map_err(|what| format!("std_{name}: {what}"))?;
    }
    Ok(())
}

/// What follows `key` on its line.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_once(&format!(".{key}"))?.1.lines().next()
}

/// The arguments by value are words of eight bytes without gaps, and the hidden ones follow at once.
fn arguments(kernel: &str) -> Result<(), String> {
    let given = kernel.matches("by_value").count();
    for word in 0..given {
        let expected =
            format!("arg{word}\n        .offset:         {}\n        .size:           8\n", word * 8);
        if !kernel.contains(&expected) {
            return Err(format!("argument {word} is not at {}", word * 8));
        }
    }
    let hidden = format!(
        ".offset:         {}\n        .size:           4\n        .value_kind:     hidden_block_count_x",
        given * 8
    );
    if given == 0 || (kernel.contains("hidden_block_count_x") && !kernel.contains(&hidden)) {
        return Err(format!("the hidden arguments do not follow {given} words"));
    }
    Ok(())
}

/// PTX with an entry of the right size for each launch and no call: every function is expanded. Where `ptxas` is, it must
/// accept the file.
fn ptx() -> Result<(), String> {
    let folder = Scratch::new();
    let emitted = run(compiler(&["emit", "ptx"]).current_dir(&folder.0), "")?;
    if emitted.code != 0 {
        return Err(emitted.stderr);
    }
    let file = folder.0.join("kernels.sm_90.ptx");
    let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
    let (entries, sized) = (text.matches(".visible .entry ").count(), text.matches(".reqntid ").count());
    if entries != LAUNCHES || sized != LAUNCHES || !text.contains(".target sm_90") {
        return Err(format!("{entries} entries, {sized} of them with a size, for {LAUNCHES} launches"));
    }
    if text.contains("call.uni") || text.contains(".extern .func") {
        return Err("the PTX calls functions that nobody brings".into());
    }
    let checker = Command::new("ptxas").arg("--version").output();
    if checker.is_ok_and(|done| done.status.success()) {
        let mut command = Command::new("ptxas");
        let done = run(command.args(["-arch=sm_90", "-o"]).arg(folder.0.join("k.cubin")).arg(&file), "")?;
        if done.code != 0 {
            return Err(format!("ptxas: {}{}", done.stdout, done.stderr));
        }
    }
    Ok(())
}

/// The bad program of a test, with what differs.
fn turned(size: &str, elements: &str) -> String {
    PART.replace("WorkgroupSize(8)", size).replace("workgroup 8", elements)
}

fn too_much() -> Result<(), String> {
    refused(&turned("WorkgroupSize(8)", "workgroup 16384"), "CLEF0560", "a workgroup has 32768")
}

fn too_many() -> Result<(), String> {
    refused(&turned("WorkgroupSize(2048)", "workgroup 8"), "CLEF", "product is at most 1024")
}

/// A program that no Vulkan code is made for: a code, the reason, the line, and no crash.
fn refused(text: &str, code: &str, why: &str) -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("part.clef", text);
    let done = run(Command::new(clefc()).args(["run", "--gpu", "vulkan"]).arg(&file), "")?;
    let said = done.stderr.contains(code) && done.stderr.contains(why) && done.stderr.contains("part.clef:");
    if done.code != 1 || !said {
        return Err(format!("exit code {}: {}", done.code, done.stderr));
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

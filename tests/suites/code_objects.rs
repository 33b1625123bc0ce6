//! Programs that carry code objects, on GPUs of the HSA stand-in that have the instruction sets of AMD's chips: the object
//! that fits is loaded, its kernels get arguments as its metadata has them, and programs give the results that they
//! give on the host. What the stand-in checks of a packet is said in `tests/hsa_mock/src/amd`.

use crate::example::python;
use crate::hsa::{build, on_mock};
use crate::litmus;
use crate::trial;
use clef_tests::{Done, Scratch, clefc, files, root, run, same};
use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Chips by the instruction sets that agents have them under.
const AGENTS: [(&str, &str); 5] = [
    ("gfx1151", "gfx1151"),
    ("gfx1100", "gfx1100"),
    ("gfx942", "gfx942:sramecc+:xnack-"),
    ("gfx942_xnack", "gfx942:sramecc-:xnack+"),
    ("gfx1201", "gfx1201"),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for path in files(&root().join("tests/run"), "clef") {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().take_while(|l| l.starts_with("//")).any(|l| l.trim() == "// agents") {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            trials.push(trial(format!("hsa/objects/run/{name}"), move || same_as_host(&path)));
        }
    }
    for (name, line) in litmus::lines() {
        trials.push(trial(format!("hsa/objects/litmus/{name}"), move || {
            let text = line.split('|').nth(1).unwrap_or_default().trim();
            let folder = Scratch::new();
            same_as_host(&folder.file("Litmus.clef", litmus::expand(text)?))
        }));
    }
    trials.push(trial("hsa/objects/kernels", || kernels("")));
    trials.push(trial("hsa/objects/kernels_incoherent", || kernels("1")));
    trials.push(trial("hsa/objects/each_chip", each_chip));
    trials.push(trial("hsa/objects/packets", packets));
    trials.push(trial("hsa/objects/another_chip", another_chip));
    trials.push(trial("hsa/objects/a_chip_that_is_not_carried", not_carried));
    trials.push(trial("hsa/objects/any_agent", any_agent));
    trials.push(trial("hsa/objects/a_kernel_that_stops", stops));
    trials.push(trial("hsa/objects/the_same_bytes_again", same_bytes));
    trials.push(trial("hsa/objects/an_unknown_chip", unknown));
    trials.push(trial("hsa/objects/one_plan_for_all_chips", one_plan));
    trials
}

/// A program on a stand-in with a GPU of this instruction set.
fn on_chip(program: &Path, isa: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = on_mock(program, environment);
    command.env("CLEF_HSA_MOCK_AGENTS", format!("cpu gpu=amdgcn-amd-amdhsa--{isa} npu"));
    command
}

fn same_as_host(path: &Path) -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(path, &program, &["--gpu", "rocm", "--chips", "gfx1151"])?;
    let host = run(Command::new(&program).env("CLEF_AGENTS", "host"), "")?;
    for seed in ["", "1", "2"] {
        let done = run(&mut on_chip(&program, "gfx1151", &[("CLEF_HSA_MOCK_SEED", seed)]), "")?;
        if done.code != host.code {
            let (is, was) = (done.code, host.code);
            return Err(format!("seed {seed}: exit code {is} instead of {was}: {}", done.stderr));
        }
        same(&format!("seed {seed}"), &host.stdout, &done.stdout)?;
    }
    Ok(())
}

/// The library's kernels, against NumPy.
fn kernels(seed: &str) -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(&root().join("tests/kernels/kernels.clef"), &program, &["--gpu", "rocm", "--chips", "gfx942"])?;
    let seed = [("CLEF_HSA_MOCK_SEED", seed)];
    let done = run(&mut on_chip(&program, "gfx942:sramecc+:xnack-", &seed), "")?;
    if done.code != 0 {
        return Err(format!("exit code {}: {}", done.code, done.stderr));
    }
    let check = run(Command::new(python()).arg(root().join("tests/kernels/check.py")), &done.stdout)?;
    if check.code == 0 { Ok(()) } else { Err(check.stderr) }
}

fn saxpy() -> std::path::PathBuf {
    root().join("tests/run/agents_saxpy.clef")
}

/// What `agents_saxpy` prints.
const SAXPY: &str = "21.0 1.0 2047.0\n";

fn is(done: &Done, code: i32, stdout: &str, said: &[&str]) -> Result<(), String> {
    let missing: Vec<&&str> = said.iter().filter(|s| !done.stderr.contains(**s)).collect();
    if done.code != code || done.stdout != stdout || !missing.is_empty() {
        return Err(format!(
            "exit code {}, {:?}, lacks {missing:?}: {}",
            done.code, done.stdout, done.stderr
        ));
    }
    if said.is_empty() && !done.stderr.is_empty() {
        return Err(format!("it says {}", done.stderr));
    }
    Ok(())
}

/// One executable with all code objects, on a GPU of each chip, with the features that they can have.
fn each_chip() -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(&saxpy(), &program, &["--gpu", "rocm", "--chips", "all"])?;
    for (name, isa) in AGENTS {
        let log = folder.0.join(name);
        let log = [("CLEF_HSA_MOCK_LOG", log.to_str().unwrap_or_default())];
        is(&run(&mut on_chip(&program, isa, &log), "")?, 0, SAXPY, &[])
            .map_err(|why| format!("{name}: {why}"))?;
        let packets = fs::read_to_string(log[0].1).unwrap_or_default();
        if !packets.contains("name=saxpy_0 ") {
            return Err(format!("{name}: its GPU ran nothing: {packets}"));
        }
    }
    Ok(())
}

/// A kernel with three launches: the plan's acquire on the first packet, its release on the last, agent scope and the
/// barrier bit between them. One that has nothing to do is a barrier with the fences.
fn packets() -> Result<(), String> {
    let text = r#"open BAREWire.HSA
[<Kernel("steps")>]
let steps (n: int) (x: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. n - 1) do
        x.[i] <- i
    for i in parallel (0 .. n - 1) do
        x.[i] <- x.[i] * 2
    for i in parallel (0 .. n - 1) do
        x.[i] <- x.[i] + 1
let a = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] BalancedAccess
a.[0] <- 5
GPU.dispatch "steps" {| N = 100; X = a.Address |}
printfn "%d" a.[99]
GPU.dispatch "steps" {| N = 0; X = a.Address |}
printfn "%d" a.[99]
"#;
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(&folder.file("Steps.clef", text), &program, &["--gpu", "rocm", "--chips", "gfx1151"])?;
    let log = folder.0.join("log");
    let log = [("CLEF_HSA_MOCK_LOG", log.to_str().unwrap_or_default())];
    is(&run(&mut on_chip(&program, "gfx1151", &log), "")?, 0, "199\n199\n", &[])?;
    let packets = fs::read_to_string(log[0].1).unwrap_or_default();
    let packets = packets.lines().filter(|l| l.starts_with("packet"));
    let heads: Vec<String> = packets
        .map(|line| {
            let words: Vec<&str> = line.split(' ').skip(2).collect();
            words[..words.len().min(3)].join(" ")
        })
        .collect();
    let wanted = [
        "kernel header=0x0d02 name=steps_0",
        "kernel header=0x0b02 name=steps_1",
        "kernel header=0x1302 name=steps_2",
        "barrier-and header=0x1303 after=",
    ];
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    if heads == wanted { Ok(()) } else { Err(format!("{heads:#?}")) }
}

/// A GPU that the program carries nothing for: what there is, what is carried, and what to do.
fn another_chip() -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(&saxpy(), &program, &["--gpu", "rocm", "--chips", "gfx942,gfx1100"])?;
    let said = [
        "this program was built for AMD agents through HSA, but",
        "no code for the GPU mock-gpu (amdgcn-amd-amdhsa--gfx1101)",
        "it carries amdgcn-amd-amdhsa--gfx1100, amdgcn-amd-amdhsa--gfx942;",
        "--chips",
        "CLEF_AGENTS=host",
    ];
    let mut command = on_chip(&program, "gfx1101", &[]);
    is(&run(command.env_remove("CLEF_AGENTS"), "")?, 2, "", &said)?;
    let said = ["CLEF_AGENTS=hsa asks for AMD agents through HSA, but", said[1]];
    is(&run(&mut on_chip(&program, "gfx1101", &[]), "")?, 2, "", &said)?;
    is(&run(Command::new(&program).env("CLEF_AGENTS", "host"), "")?, 0, SAXPY, &[])
}

/// The same for a chip that code could have been made for, and an executable without any.
fn not_carried() -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(&saxpy(), &program, &["--gpu", "rocm", "--chips", "none"])?;
    let done = run(on_chip(&program, "gfx1151", &[]).env_remove("CLEF_AGENTS"), "")?;
    is(&done, 2, "", &["no code for the GPU mock-gpu (amdgcn-amd-amdhsa--gfx1151)"])?;
    // Vulkan was not asked for when it was built.
    let done = run(Command::new(&program).env("CLEF_AGENTS", "vulkan"), "")?;
    is(&done, 134, "", &["kernel `saxpy` could not be dispatched: it has no form for a GPU through Vulkan"])
}

/// A program for any agent: an AMD GPU that it has code for, else a GPU through Vulkan, else the host.
fn any_agent() -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(&saxpy(), &program, &["--gpu", "any", "--chips", "gfx1151"])?;
    let log = folder.0.join("log");
    let log = [("CLEF_HSA_MOCK_LOG", log.to_str().unwrap_or_default())];
    let any = |isa: &str| {
        let mut command = on_chip(&program, isa, &log);
        command.env_remove("CLEF_AGENTS");
        command
    };
    is(&run(&mut any("gfx1151"), "")?, 0, SAXPY, &[])?;
    if !fs::read_to_string(log[0].1).unwrap_or_default().contains("name=saxpy_0 ") {
        return Err("the GPU ran nothing".into());
    }
    let said = ["no code for the GPU mock-gpu (amdgcn-amd-amdhsa--gfx1100)"];
    is(&run(&mut any("gfx1100"), "")?, 0, SAXPY, &said)?;
    // Lavapipe is no GPU, unless it is named.
    let plain = || {
        let mut command = Command::new(&program);
        command.env("CLEF_AGENTS", "any").env_remove("CLEF_HSA_LIBRARY");
        command
    };
    is(&run(&mut plain(), "")?, 0, SAXPY, &[])?;
    is(&run(plain().env("CLEF_VULKAN_DEVICE", "0"), "")?, 0, SAXPY, &[])
}

/// A launch that writes its status block is reported with kernel, place, index and length.
fn stops() -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(&saxpy(), &program, &["--gpu", "rocm", "--chips", "gfx1151"])?;
    for seed in ["", "1"] {
        let wishes = [("CLEF_HSA_MOCK_FAULT", "status:saxpy_0"), ("CLEF_HSA_MOCK_SEED", seed)];
        let done = run(&mut on_chip(&program, "gfx1151", &wishes), "")?;
        let said = [
            "agents_saxpy.clef:3:5: index 7 is out of range",
            "in kernel `saxpy` on the GPU, dispatched at agents_saxpy.clef:21:",
        ];
        is(&done, 134, "", &said)?;
    }
    Ok(())
}

/// Threads for chips and for linking leave no trace in the executable.
fn same_bytes() -> Result<(), String> {
    let folder = Scratch::new();
    let made = ["a", "b"].map(|name| {
        let program = folder.0.join(name);
        build(&saxpy(), &program, &["--gpu", "any", "--chips", "all"])?;
        fs::read(program).map_err(|e| e.to_string())
    });
    let [first, second] = made;
    if first? == second? { Ok(()) } else { Err("two builds differ".into()) }
}

/// A chip that no code is made for.
fn unknown() -> Result<(), String> {
    let done = run(Command::new(clefc()).args(["build", "--chips", "gfx906"]).arg(saxpy()), "")?;
    is(&done, 2, "", &["gfx906"])
}

/// An executable with code for several chips has one plan for its HSA route, that of gfx1151. Every correct plan is
/// correct on each of them, for scopes are what HSA's packets say; only costs differ, and here nothing that they choose.
fn one_plan() -> Result<(), String> {
    let folder = Scratch::new();
    let mut programs = files(&root().join("tests/run"), "clef");
    programs.retain(|p| fs::read_to_string(p).is_ok_and(|t| t.contains("// agents")));
    for (name, line) in litmus::lines() {
        let text = line.split('|').nth(1).unwrap_or_default().trim();
        programs.push(folder.file(&format!("{name}.clef"), litmus::expand(text)?));
    }
    for program in &programs {
        let plan = |table: &str| {
            let mut command = Command::new(clefc());
            let done = run(command.args(["fences", "--format", "json", "--cost", table]).arg(program), "")?;
            let mut plan: Value =
                serde_json::from_str(&done.stdout).map_err(|e| format!("{e}: {}", done.stderr))?;
            without_costs(&mut plan);
            Ok::<_, String>(plan)
        };
        let first = plan("hsa-gfx1151")?;
        for table in ["hsa-gfx942", "hsa-gfx1201"] {
            if plan(table)? != first {
                return Err(format!("{}: another plan with {table}", program.display()));
            }
        }
    }
    if programs.len() > 50 { Ok(()) } else { Err(format!("{} programs only", programs.len())) }
}

fn without_costs(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !matches!(key.as_str(), "cost" | "target"));
            fields.values_mut().for_each(without_costs);
        }
        Value::Array(list) => list.iter_mut().for_each(without_costs),
        _ => {}
    }
}

//! The ternary example from end to end: same tokens on interpreter, host executor and Vulkan; logits against NumPy;
//! markers that mean nothing; adversarial memory; overlap; determinism; the emitted code accepted by other tools.

use crate::trial;
use clef_tests::{Done, Scratch, clefc, root, run};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const EXAMPLE: &str = "examples/ternary_inference";

/// Adversarial seeds in an ordinary run; `CLEF_TEST_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("CLEF_TEST_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5)
}

pub fn trials() -> Vec<Trial> {
    vec![
        trial("example/same_result_on_every_agent_and_against_numpy", same_results),
        trial("example/markers_change_nothing", markers),
        trial("example/handoffs_are_named_with_both_lines", handoffs),
        trial("example/every_element_is_needed", audit),
        trial("example/adversarial_memory_is_survived", adversarial),
        trial("example/missing_fences_are_caught", missing_fences),
        trial("example/independent_agents_overlap", overlap),
        trial("example/same_input_same_bytes", determinism),
        trial("example/spirv_is_valid", spirv),
        trial("example/mlir_is_accepted", mlir),
        trial("example/first_project_runs", first_project),
    ]
}

/// Made-up weights and tokens for the example.
pub struct Inputs {
    pub folder: Scratch,
    pub tokens: PathBuf,
    pub weights: PathBuf,
}

pub fn inputs() -> Result<Inputs, String> {
    let folder = Scratch::new();
    let script = root().join(EXAMPLE).join("generate.py");
    let done = run(Command::new(python()).arg(script).arg(&folder.0), "")?;
    if done.code != 0 {
        return Err(done.stderr);
    }
    Ok(Inputs { tokens: folder.0.join("tokens.txt"), weights: folder.0.join("weights.bin"), folder })
}

/// Python with NumPy: the one on PATH, else Debian's.
pub fn python() -> PathBuf {
    let has_numpy =
        |p: &Path| Command::new(p).args(["-c", "import numpy"]).output().is_ok_and(|o| o.status.success());
    let usual = PathBuf::from("python3");
    if has_numpy(&usual) { usual } else { PathBuf::from("/usr/bin/python3") }
}

impl Inputs {
    pub fn build(&self, name: &str, source: &Path, options: &[&str]) -> Result<PathBuf, String> {
        let program = self.folder.0.join(name);
        let mut command = Command::new(clefc());
        command.arg("build").arg(source).arg("-o").arg(&program).args(options);
        let done = run(&mut command, "")?;
        if done.code == 0 { Ok(program) } else { Err(format!("build {options:?}: {}", done.stderr)) }
    }

    fn run(&self, program: &Path, environment: &[(&str, &str)]) -> Result<Done, String> {
        let mut command = Command::new(program);
        command.arg(&self.tokens).arg(&self.weights).envs(environment.iter().copied());
        run(&mut command, "")
    }

    /// Runs and demands success.
    fn output(&self, program: &Path, environment: &[(&str, &str)]) -> Result<String, String> {
        let done = self.run(program, environment)?;
        if done.code == 0 {
            Ok(done.stdout)
        } else {
            Err(format!("exit code {}: {}", done.code, done.stderr))
        }
    }

    /// Against NumPy in float64.
    fn check(&self, how: &str, output: &str) -> Result<(), String> {
        let file = self.folder.file("output.txt", output);
        let mut command = Command::new(python());
        command.arg(root().join(EXAMPLE).join("check.py")).args([&self.tokens, &self.weights, &file]);
        let done = run(&mut command, "")?;
        println!("{how}: {}", done.stdout.trim());
        if done.code == 0 { Ok(()) } else { Err(format!("{how}: {}{}", done.stdout, done.stderr)) }
    }
}

fn example() -> PathBuf {
    root().join(EXAMPLE)
}

fn same_results() -> Result<(), String> {
    let inputs = inputs()?;
    let mut interpret = Command::new(clefc());
    interpret.args(["run", "--interpret"]).arg(example()).arg("--").args([&inputs.tokens, &inputs.weights]);
    let interpreted = run(&mut interpret, "")?;
    if interpreted.code != 0 {
        return Err(format!("interpreter: exit code {}: {}", interpreted.code, interpreted.stderr));
    }
    let host = inputs.output(&inputs.build("host", &example(), &["--release"])?, &[])?;
    let vulkan = inputs.build("vulkan", &example(), &["--gpu", "vulkan"])?;
    let copied = inputs.output(&vulkan, &[("CLEF_AGENTS", "vulkan"), ("CLEF_VULKAN_MEMORY", "device")])?;
    let vulkan = inputs.output(&vulkan, &[("CLEF_AGENTS", "vulkan")])?;
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let results = [
        ("interpreter", &interpreted.stdout),
        ("host executor", &host),
        ("Vulkan", &vulkan),
        ("Vulkan with copies", &copied),
    ];
    for (how, output) in results {
        inputs.check(how, output)?;
        if first(output) != first(&host) {
            return Err(format!("{how}: other tokens: {}", first(output)));
        }
    }
    Ok(())
}

/// A copy of the example without its markers.
fn without_markers(folder: &Scratch) -> Result<PathBuf, String> {
    let copy = folder.0.join("unmarked");
    fs::create_dir_all(&copy).map_err(|e| e.to_string())?;
    let mut removed = 0;
    for entry in fs::read_dir(example()).map_err(|e| e.to_string())?.flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        // A blank line stands for each, so that the lines of everything else stay.
        let kept: String = text
            .lines()
            .map(|l| {
                if l.trim_start().starts_with("signalCompletion") {
                    removed += 1;
                    "\n".to_owned()
                } else {
                    format!("{l}\n")
                }
            })
            .collect();
        fs::write(copy.join(entry.file_name()), kept).map_err(|e| e.to_string())?;
    }
    if removed == 0 { Err("the example has no markers".into()) } else { Ok(copy) }
}

fn fences_json(source: &Path) -> Result<serde_json::Value, String> {
    let done = run(Command::new(clefc()).args(["fences", "--format", "json"]).arg(source), "")?;
    serde_json::from_str(&done.stdout).map_err(|e| format!("{e}: {}{}", done.stdout, done.stderr))
}

fn markers() -> Result<(), String> {
    let inputs = inputs()?;
    let bare = without_markers(&inputs.folder)?;
    let (with, without) = (fences_json(&example())?, fences_json(&bare)?);
    for key in ["accesses", "handoffs", "plan", "cost"] {
        if with[key] != without[key] {
            return Err(format!("`{key}` differs: {} against {}", with[key], without[key]));
        }
    }
    if with["markers"].as_array().is_none_or(Vec::is_empty)
        || without["markers"].as_array().is_none_or(|m| !m.is_empty())
    {
        return Err("markers are not listed as they are in the source".into());
    }
    let a = inputs.output(&inputs.build("marked", &example(), &[])?, &[])?;
    let b = inputs.output(&inputs.build("unmarked_program", &bare, &[])?, &[])?;
    if a == b { Ok(()) } else { Err("the results differ".into()) }
}

fn handoffs() -> Result<(), String> {
    let json = fences_json(&example())?;
    let accesses = json["accesses"].as_array().cloned().unwrap_or_default();
    let handoffs = json["handoffs"].as_array().cloned().unwrap_or_default();
    let place = |id: &serde_json::Value| {
        let access = accesses.iter().find(|a| a["id"] == *id)?;
        Some((access["agent"].as_str()?.to_owned(), access["line"].as_u64()?))
    };
    let mut pairs = Vec::new();
    for handoff in &handoffs {
        let (from, to) = (place(&handoff["from"]), place(&handoff["to"]));
        let (Some((a, _)), Some((b, _))) = (from, to) else { return Err(format!("no lines for {handoff}")) };
        pairs.push(format!("{a} -> {b}"));
    }
    for wanted in ["CPU -> NPU", "NPU -> GPU0.0", "GPU0.0 -> CPU", "CPU -> GPU0.0"] {
        if !pairs.iter().any(|p| p == wanted) {
            return Err(format!("no handoff {wanted} among {pairs:?}"));
        }
    }
    let text = run(Command::new(clefc()).arg("fences").arg(example()), "")?.stdout;
    for line in ["Inference.clef:39", "Inference.clef:22", "Inference.clef:62"] {
        if !text.contains(line) {
            return Err(format!("the text does not name {line}:\n{text}"));
        }
    }
    Ok(())
}

fn audit() -> Result<(), String> {
    for table in ["hsa-gfx1151", "hsa-gfx942", "vulkan"] {
        let done = run(Command::new(clefc()).args(["audit", "--cost", table]).arg(example()), "")?;
        let rejected = done.stdout.lines().filter(|l| l.contains("rejected: handoff #")).count();
        if done.code != 0 || rejected < 4 {
            return Err(format!("{table}: {}{}", done.stdout, done.stderr));
        }
    }
    Ok(())
}

fn adversarial() -> Result<(), String> {
    let inputs = inputs()?;
    let program = inputs.build("adversarial", &example(), &["--adversarial"])?;
    let expected = inputs.output(&inputs.build("plain", &example(), &[])?, &[])?;
    for seed in 1..=seeds() {
        let found = inputs.output(&program, &[("CLEF_ADVERSARIAL", &seed.to_string())])?;
        if found != expected {
            return Err(format!("seed {seed}: another result"));
        }
    }
    Ok(())
}

/// The check that adversarial memory can fail at all.
fn missing_fences() -> Result<(), String> {
    let inputs = inputs()?;
    let program = inputs.build("unfenced", &example(), &["--adversarial", "--no-fences"])?;
    let expected = inputs.output(&inputs.build("plain", &example(), &[])?, &[])?;
    for seed in 1..=10 {
        let done = inputs.run(&program, &[("CLEF_ADVERSARIAL", &seed.to_string())])?;
        if done.code != 0 || done.stdout != expected {
            println!("caught with seed {seed}: {}", done.stderr.lines().next().unwrap_or("another result"));
            return Ok(());
        }
    }
    Err("ten seeds without fences, and nothing was wrong".into())
}

pub const INDEPENDENT: &str = "module M
open BAREWire.HSA

[<Kernel(\"fill\")>]
let fill (v: int) (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- v

[<EntryPoint>]
let main argv =
    let a = allocateUnified<int> 4096<bytes> [CPU; NPU_XDNA] PreferNPU
    let b = allocateUnified<int> 4096<bytes> [CPU; GPU_RDNA 0] PreferGPU
    NPU.dispatch \"fill\" {| V = 1; Z = a.Address |}
    GPU.dispatch \"fill\" {| V = 2; Z = b.Address |}
    printfn \"%d\" (a.[0] + b.[0])
    0
";

fn overlap() -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("Overlap.clef", INDEPENDENT);
    let program = folder.0.join("program");
    let built = run(Command::new(clefc()).arg("build").arg(&file).arg("-o").arg(&program), "")?;
    if built.code != 0 {
        return Err(built.stderr);
    }
    let trace = folder.0.join("trace.json");
    // Each kernel is made to take 50 ms, so that overlap does not depend on luck.
    let mut command = Command::new(&program);
    command.env("CLEF_TRACE", &trace).env("CLEF_TEST_DELAY_US", "50000");
    let done = run(&mut command, "")?;
    if done.stdout != "3\n" {
        return Err(format!("printed {:?} {}", done.stdout, done.stderr));
    }
    let text = fs::read_to_string(&trace).map_err(|e| format!("no trace: {e}"))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let events = json["traceEvents"].as_array().or(json.as_array()).cloned().unwrap_or_default();
    let spans: Vec<(f64, f64)> = events
        .iter()
        .filter(|e| e["name"] == "fill" && e["cat"] == "kernel")
        .filter_map(|e| Some((e["ts"].as_f64()?, e["ts"].as_f64()? + e["dur"].as_f64()?)))
        .collect();
    match spans[..] {
        [a, b] if a.0 < b.1 && b.0 < a.1 => Ok(()),
        _ => Err(format!("no overlap: {spans:?}")),
    }
}

fn determinism() -> Result<(), String> {
    let (one, two) = (Scratch::new(), Scratch::new());
    let mut programs = Vec::new();
    for folder in [&one, &two] {
        let copy = folder.0.join("example");
        fs::create_dir_all(&copy).map_err(|e| e.to_string())?;
        for entry in fs::read_dir(example()).map_err(|e| e.to_string())?.flatten() {
            fs::copy(entry.path(), copy.join(entry.file_name())).map_err(|e| e.to_string())?;
        }
        let output = folder.0.join("program");
        let done = run(
            Command::new(clefc()).arg("build").arg(&copy).args(["--gpu", "vulkan", "-o"]).arg(&output),
            "",
        )?;
        if done.code != 0 {
            return Err(done.stderr);
        }
        programs.push(fs::read(&output).map_err(|e| e.to_string())?);
    }
    if programs[0] == programs[1] { Ok(()) } else { Err("two builds in different folders differ".into()) }
}

fn spirv() -> Result<(), String> {
    let folder = Scratch::new();
    let done = run(Command::new(clefc()).args(["emit", "spirv", "-o"]).arg(&folder.0).arg(example()), "")?;
    if done.code != 0 || done.stdout.lines().count() < 4 {
        return Err(format!("emit spirv: {} {}", done.stdout, done.stderr));
    }
    for file in done.stdout.lines() {
        let checked = run(Command::new("spirv-val").args(["--target-env", "vulkan1.2", file]), "")?;
        if checked.code != 0 {
            return Err(format!("{file}: {}{}", checked.stdout, checked.stderr));
        }
    }
    Ok(())
}

fn mlir() -> Result<(), String> {
    let folder = Scratch::new();
    for stage in ["mlir", "mlir-opt"] {
        let done = run(Command::new(clefc()).args(["emit", stage, "--gpu", "vulkan"]).arg(example()), "")?;
        if done.code != 0 {
            return Err(format!("emit {stage}: {}", done.stderr));
        }
        if stage == "mlir" && !done.stdout.contains("gpu.launch_func") {
            return Err("no gpu.launch_func in the MLIR".into());
        }
        let file = folder.file("module.mlir", &done.stdout);
        let checked = run(Command::new("mlir-opt-22").arg("--allow-unregistered-dialect").arg(&file), "")?;
        if checked.code != 0 {
            return Err(format!("mlir-opt refuses emit {stage}: {}", checked.stderr));
        }
    }
    Ok(())
}

fn first_project() -> Result<(), String> {
    let folder = Scratch::new();
    let made = run(Command::new(clefc()).args(["new", "first"]).current_dir(&folder.0), "")?;
    let done = run(Command::new(clefc()).args(["run", "first"]).current_dir(&folder.0), "")?;
    if made.code == 0 && done.stdout == "y.[10] = 21.0\n" {
        Ok(())
    } else {
        Err(format!("{} {}", done.stdout, done.stderr))
    }
}

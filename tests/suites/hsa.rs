//! The HSA route of whole programs through a loaded library, that of `tests/hsa_mock`: programs give the same results
//! on its agents, coherent and incoherent; plans with something missing do not; packets and waits are those of the
//! handoff table.

use crate::example::inputs;
use crate::litmus;
use crate::trial;
use clef_tests::{Done, Scratch, clefc, files, hsa_mock, root, run, same};
use libtest_mimic::Trial;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds of incoherent memory for programs that must work, and at most for mutants that must not.
const SEEDS: u64 = 3;
const MUTANT_SEEDS: u64 = 24;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for path in files(&root().join("tests/run"), "clef") {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().take_while(|l| l.starts_with("//")).any(|l| l.trim() == "// agents") {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            trials.push(trial(format!("hsa/run/{name}"), move || same_as_host(&path)));
        }
    }
    for (name, line) in litmus::lines() {
        trials.push(trial(format!("hsa/litmus/{name}"), move || litmus_line(&line)));
    }
    trials.push(trial("hsa/run/hello", || same_as_host(&root().join("examples/hello/hello.clef"))));
    trials.push(trial("hsa/sixteen_queues_of_two_gpus", sixteen_queues));
    trials.push(trial("hsa/conformance", conformance));
    trials.push(trial("hsa/agents_are_listed", listing));
    trials.push(trial("hsa/example", example));
    trials.push(trial("hsa/a_loop_of_dispatches_rings_once", batches));
    for row in ROWS {
        trials.push(trial(format!("hsa/handoff/{}", row.name), || sequence(row)));
    }
    trials
}

pub fn build(source: &Path, program: &Path, options: &[&str]) -> Result<(), String> {
    let built = run(Command::new(clefc()).arg("build").arg(source).arg("-o").arg(program).args(options), "")?;
    if built.code == 0 { Ok(()) } else { Err(format!("build {options:?}: {}", built.stderr)) }
}

/// A program on the library's agents.
pub fn on_mock(program: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env("CLEF_AGENTS", "hsa").env("CLEF_HSA_LIBRARY", hsa_mock()).envs(environment.iter().copied());
    command
}

fn seeded(program: &Path, seed: u64, args: &[&str]) -> Result<Done, String> {
    run(on_mock(program, &[("CLEF_HSA_MOCK_SEED", &seed.to_string())]).args(args), "")
}

fn same_as_host(path: &Path) -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("program");
    build(path, &program, &[])?;
    let host = run(Command::new(&program).env("CLEF_AGENTS", "host"), "")?;
    let check = |how: &str, done: &Done| {
        if done.code != host.code {
            return Err(format!("{how}: exit code {} instead of {}: {}", done.code, host.code, done.stderr));
        }
        same(how, &host.stdout, &done.stdout)
    };
    check("coherent", &run(&mut on_mock(&program, &[]), "")?)?;
    for seed in 1..=SEEDS {
        check(&format!("seed {seed}"), &seeded(&program, seed, &[])?)?;
    }
    Ok(())
}

/// The program, the same result on incoherent memory, and a wrong one of every mutant of its plan.
fn litmus_line(line: &str) -> Result<(), String> {
    let text = line.split('|').nth(1).unwrap_or_default().trim();
    let folder = Scratch::new();
    let file = folder.file("Litmus.clef", litmus::expand(text)?);
    same_as_host(&file)?;
    // With an argument, `if` takes its other branch.
    let branches: &[&[&str]] = if text.contains("if {") { &[&[], &["other"]] } else { &[&[]] };
    let mut meanings = Vec::new();
    for args in branches {
        let mut command = Command::new(clefc());
        meanings.push(run(command.args(["run", "--interpret"]).arg(&file).arg("--").args(*args), "")?.stdout);
    }
    let run_one = |program: &Path, seed: u64| {
        for (args, meaning) in branches.iter().zip(&meanings) {
            let done = seeded(program, seed, args)?;
            if done.code != 0 || done.stdout != *meaning {
                return Ok(false);
            }
        }
        Ok(true)
    };
    mutants(&folder, &file, &[], &run_one)
}

/// Every mutant of a program's plan must fail with some seed. `right`: whether one run of a program is right.
fn mutants(
    folder: &Scratch,
    source: &Path,
    args: &[String],
    right: &dyn Fn(&Path, u64) -> Result<bool, String>,
) -> Result<(), String> {
    let audit = run(Command::new(clefc()).args(["audit", "--cost", "hsa-gfx1151"]).arg(source), "")?;
    let original = &folder.0.join("original");
    build(source, original, &[])?;
    for (number, mutant) in audit.stdout.lines().filter(|l| l.starts_with('[')).enumerate() {
        let program = folder.0.join(format!("mutant{number}"));
        build(source, &program, &["--mutant", &number.to_string()])?;
        let mut caught = false;
        for seed in 1..=MUTANT_SEEDS {
            if !right(&program, seed)? {
                caught = true;
                break;
            }
        }
        // The library sees no reads of the host. Where one too early finds the right value by chance, what is left to
        // see is that the wait is not there.
        if !caught && mutant.contains("host waits") {
            caught = told(folder, &program, args)? != told(folder, original, args)?;
        }
        if !caught {
            return Err(format!("not caught by {MUTANT_SEEDS} seeds: {mutant}"));
        }
    }
    Ok(())
}

/// The ternary example: as on the host, and with every mutant caught.
fn example() -> Result<(), String> {
    let inputs = inputs()?;
    let files = [inputs.tokens.to_string_lossy().into_owned(), inputs.weights.to_string_lossy().into_owned()];
    let source = root().join(crate::example::EXAMPLE);
    let program = inputs.folder.0.join("program");
    build(&source, &program, &[])?;
    let host = run(Command::new(&program).args(&files).env("CLEF_AGENTS", "host"), "")?;
    let right = |program: &Path, seed: u64| {
        let done = run(on_mock(program, &[("CLEF_HSA_MOCK_SEED", &seed.to_string())]).args(&files), "")?;
        Ok(done.code == 0 && done.stdout == host.stdout)
    };
    let coherent = run(on_mock(&program, &[]).args(&files), "")?;
    same(&format!("coherent: {}", coherent.stderr), &host.stdout, &coherent.stdout)?;
    for seed in 0..=SEEDS {
        if !right(&program, seed)? {
            return Err(format!("seed {seed}: another result than on the host"));
        }
    }
    mutants(&inputs.folder, &source, &files, &right)
}

/// A compiled loop that only dispatches rings once behind it; one with more than a ring of packets still ends; with two
/// queues each rings once, and what the host waits for inside is rung before.
fn batches() -> Result<(), String> {
    let folder = Scratch::new();
    let check = |name: &str, body: &str, right: &str, wanted: &dyn Fn(&[&str]) -> bool| {
        let text = format!("{BATCH}{body}    0\n");
        let file = folder.file("Batch.clef", text);
        let program = folder.0.join("batch");
        build(&file, &program, &[])?;
        let done = run(&mut on_mock(&program, &[]), "")?;
        same(&format!("{name}: {}", done.stderr), right, &done.stdout)?;
        let record = told(&folder, &program, &[])?;
        let doorbells: Vec<&str> = record.lines().filter(|l| l.starts_with("doorbell ")).collect();
        if wanted(&doorbells) { Ok(()) } else { Err(format!("{name}: {}", doorbells.join("\n"))) }
    };
    let loop_of = |n: usize| {
        format!(
            "    for i in 1 .. {n} do\n        GPU.dispatch \"add\" {{| V = i; Z = a.Address |}}\n    printfn \"%d\" a.[0]\n"
        )
    };
    check("thousand", &loop_of(1000), "500500\n", &|d| d == ["doorbell gpu0 newest=999 release"])?;
    check("more than a ring", &loop_of(5000), "12502500\n", &|d| d.len() > 1)?;
    check(
        "two queues",
        "    let mutable i = 0
    while i < 100 do
        GPU.dispatch \"add\" {| V = i; Z = a.Address |}
        GPU.dispatchOn 1 \"add\" {| V = 1; Z = b.Address |}
        i <- i + 1
    printfn \"%d %d\" a.[0] b.[0]\n",
        "4950 100\n",
        &|d| d == ["doorbell gpu0 newest=99 release", "doorbell gpu1 newest=99 release"],
    )?;
    check(
        "waits inside",
        "    for i in 1 .. 3 do
        GPU.dispatch \"add\" {| V = i; Z = a.Address |}
        NPU.dispatch \"add\" {| V = 1; Z = a.Address |}
    printfn \"%d\" a.[0]\n",
        "9\n",
        &|d| d.len() == 6,
    )
}

/// A chain through all queues of two GPUs: more contexts than any program had that was analysed as a whole before.
fn sixteen_queues() -> Result<(), String> {
    let mut chain = String::new();
    for i in 0..16 {
        let (from, to) = if i % 2 == 0 { ("a", "b") } else { ("b", "a") };
        let _ = writeln!(
            chain,
            "    GPU.dispatchAt {} {} \"next\" {{| X = {from}.Address; Z = {to}.Address |}}",
            i / 8,
            i % 8
        );
    }
    let folder = Scratch::new();
    let text = format!("{CHAIN}{chain}    printfn \"%d %d\" a.[0] b.[15]\n    0\n");
    let file = folder.file("Chain.clef", text);
    let program = folder.0.join("program");
    build(&file, &program, &[])?;
    let log = folder.0.join("log").to_string_lossy().into_owned();
    for seed in 0..8_u32 {
        let seed = seed.to_string();
        let wishes = [
            ("CLEF_HSA_MOCK_AGENTS", "cpu gpu gpu npu"),
            ("CLEF_HSA_MOCK_SEED", seed.as_str()),
            ("CLEF_HSA_MOCK_LOG", log.as_str()),
        ];
        let _ = fs::remove_file(&log);
        let done = run(&mut on_mock(&program, &wishes), "")?;
        same(&format!("seed {seed}: {}", done.stderr), "16 15\n", &done.stdout)?;
    }
    let record = fs::read_to_string(&log).map_err(|e| e.to_string())?;
    let queues = record.lines().filter(|l| l.starts_with("queue ")).count();
    // The NPU's queue is made when the library is tried.
    same("queues", "17", &queues.to_string())
}

const CHAIN: &str = "module Chain
open BAREWire.HSA

[<Kernel(\"next\")>]
let next (x: UnifiedBuffer<int>) (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- x.[i] + 1

[<EntryPoint>]
let main argv =
    let a = allocateUnified<int> 64<bytes> [CPU; GPU_RDNA 0; GPU_RDNA 1] BalancedAccess
    let b = allocateUnified<int> 64<bytes> [CPU; GPU_RDNA 0; GPU_RDNA 1] BalancedAccess
";

const BATCH: &str = "module Batch
open BAREWire.HSA

[<Kernel(\"add\")>]
let add (v: int) (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- z.[i] + v

[<EntryPoint>]
let main argv =
    let a = allocateUnified<int> 64<bytes> [CPU; GPU_RDNA 0; NPU_XDNA] BalancedAccess
    let b = allocateUnified<int> 64<bytes> [CPU; GPU_RDNA 0; NPU_XDNA] BalancedAccess
";

/// A row of the handoff table: a program, and what the library must be told.
struct Row {
    name: &'static str,
    program: &'static str,
    told: &'static [&'static str],
}

/// The rows of the table in docs/fences.md's model, and of the same queue. Waits at the end are those of the program's
/// end, for each queue that was used; the NPU's come first.
const ROWS: &[Row] = &[
    Row {
        name: "cpu_to_gpu",
        program: "C w a; G r a w b",
        told: &[
            "packet gpu0.0 kernel header=0x0502 name=rw",
            "doorbell gpu0 newest=0 release",
            "wait gpu0.0 acquire",
        ],
    },
    Row {
        name: "gpu_to_cpu",
        program: "G w a; C r a",
        told: &[
            "packet gpu0.0 kernel header=0x1102 name=w",
            "doorbell gpu0 newest=0 release",
            "wait gpu0.0 acquire",
            "wait gpu0.0 acquire",
        ],
    },
    Row {
        name: "gpu_to_gpu_same_queue",
        program: "G w a; G r a w b",
        told: &[
            "packet gpu0.0 kernel header=0x0902 name=w",
            "doorbell gpu0 newest=0 release",
            "packet gpu0.1 kernel header=0x0302 name=rw",
            "doorbell gpu0 newest=1 release",
            "wait gpu0.1 acquire",
        ],
    },
    Row {
        name: "gpu_to_gpu_other_queue",
        program: "G w a; H r a w b",
        told: &[
            "packet gpu0.0 kernel header=0x0902 name=w",
            "doorbell gpu0 newest=0 release",
            "packet gpu1.0 barrier-and header=0x0103 after=gpu0.0",
            "packet gpu1.1 kernel header=0x0302 name=rw",
            "doorbell gpu1 newest=1 release",
            "wait gpu0.0 acquire",
            "wait gpu1.1 acquire",
        ],
    },
    Row {
        name: "cpu_to_npu",
        program: "C w a; N r a w b",
        told: &[
            "packet npu0.0 npu header=0x1400 name=rw buffers=2",
            "doorbell npu0 newest=0 release",
            "wait npu0.0 acquire",
        ],
    },
    Row {
        name: "npu_to_cpu",
        program: "N w a; C r a",
        told: &[
            "packet npu0.0 npu header=0x1400 name=w buffers=1",
            "doorbell npu0 newest=0 relaxed",
            "wait npu0.0 acquire",
            "wait npu0.0 acquire",
        ],
    },
    Row {
        name: "gpu_to_npu",
        program: "G w a; N r a w b",
        told: &[
            "packet gpu0.0 kernel header=0x1102 name=w",
            "doorbell gpu0 newest=0 release",
            "wait gpu0.0 acquire",
            "packet npu0.0 npu header=0x1400 name=rw buffers=2",
            "doorbell npu0 newest=0 relaxed",
            "wait npu0.0 acquire",
            "wait gpu0.0 acquire",
        ],
    },
    Row {
        name: "npu_to_gpu",
        program: "N w a; G r a w b",
        told: &[
            "packet npu0.0 npu header=0x1400 name=w buffers=1",
            "doorbell npu0 newest=0 relaxed",
            "wait npu0.0 acquire",
            "packet gpu0.0 kernel header=0x0502 name=rw",
            "doorbell gpu0 newest=0 release",
            "wait npu0.0 acquire",
            "wait gpu0.0 acquire",
        ],
    },
    Row {
        name: "npu_to_npu_same_queue",
        program: "N w a; N r a w b",
        told: &[
            "packet npu0.0 npu header=0x1400 name=w buffers=1",
            "doorbell npu0 newest=0 relaxed",
            "packet npu0.1 npu header=0x1400 name=rw buffers=2",
            "doorbell npu0 newest=1 relaxed",
            "wait npu0.1 acquire",
        ],
    },
];

fn sequence(row: &Row) -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("Litmus.clef", litmus::expand(row.program)?);
    let program = folder.0.join("program");
    build(&file, &program, &[])?;
    let found = told(&folder, &program, &[])?;
    same(row.program, &row.told.join("\n"), &found)
}

/// Packets, doorbells and waits, without the packets' bytes.
pub fn told(folder: &Scratch, program: &Path, args: &[String]) -> Result<String, String> {
    let log: PathBuf = folder.0.join("log");
    let _ = fs::remove_file(&log);
    // A seed with which nothing runs before it is waited for.
    let log_text = log.to_string_lossy().into_owned();
    let environment = [("CLEF_HSA_MOCK_LOG", log_text.as_str()), ("CLEF_HSA_MOCK_SEED", "0")];
    let done = run(on_mock(program, &environment).args(args), "")?;
    if done.code != 0 {
        return Err(format!("exit code {}: {}", done.code, done.stderr));
    }
    // A program that calls nothing of the library on its way makes no record.
    let text =
        if log.exists() { fs::read_to_string(&log).map_err(|e| e.to_string())? } else { String::new() };
    let lines = text
        .lines()
        .filter(|l| ["packet ", "doorbell ", "wait "].iter().any(|w| l.starts_with(w)))
        .map(|l| l.split(" bytes=").next().unwrap_or_default());
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Debian's headers and a C program hold the library against the specification.
fn conformance() -> Result<(), String> {
    let folder = Scratch::new();
    let program = folder.0.join("conformance");
    let library = hsa_mock();
    let source = root().join("tests/hsa_mock/conformance/conformance.c");
    let mut command = Command::new("cc");
    command.args(["-Wall", "-Werror", "-O1", "-o"]).arg(&program).arg(source).arg(&library).arg("-lpthread");
    let built = run(&mut command, "")?;
    if built.code != 0 {
        return Err(format!("(hsa.h: apt-get install libhsa-runtime-dev) {}", built.stderr));
    }
    let folder_of = library.parent().map(Path::to_path_buf).unwrap_or_default();
    let done = run(Command::new(&program).env("LD_LIBRARY_PATH", folder_of), "")?;
    if done.code == 0 {
        Ok(())
    } else {
        Err(format!("exit code {}: {}{}", done.code, done.stdout, done.stderr))
    }
}

/// `clefc agents` says what the library exports, and what is missing without one.
fn listing() -> Result<(), String> {
    let list = |environment: &[(&str, &str)]| -> Result<String, String> {
        let done = run(Command::new(clefc()).arg("agents").envs(environment.iter().copied()), "")?;
        if done.code == 0 {
            Ok(done.stdout)
        } else {
            Err(format!("exit code {}: {}", done.code, done.stderr))
        }
    };
    let library = hsa_mock().to_string_lossy().into_owned();
    let found = list(&[("CLEF_HSA_LIBRARY", &library)])?;
    let section: Vec<&str> = found
        .lines()
        .skip_while(|l| !l.starts_with("HSA: "))
        .take_while(|l| !l.starts_with("Driver "))
        .collect();
    let expected = format!(
        "HSA: {library}, version 1.1, build mock
  0 CPU Mock CPU, of clef
      memory fine-grained, 64 GiB
      memory fine-grained for kernel arguments, 64 GiB
      memory coarse-grained, 64 GiB
  1 GPU mock-gpu (Mock GPU), of clef
      instruction set clef-host
      2 compute units, 128 queues of 64 to 131072 packets
      memory coarse-grained, 16 GiB
  2 NPU mock-npu (Mock NPU), of clef
      instruction set clef-host
      2 compute units, 128 queues of 64 to 4096 packets
      memory coarse-grained, 16 GiB
  memory can be mapped at one address for CPU, GPU and NPU"
    );
    same("agents", &expected, &section.join("\n"))?;
    let only = list(&[
        ("CLEF_HSA_LIBRARY", &library),
        ("CLEF_HSA_MOCK_AGENTS", "cpu gpu=amdgcn-amd-amdhsa--gfx1151"),
    ])?;
    for part in ["instruction set amdgcn-amd-amdhsa--gfx1151", "no NPU"] {
        if !only.contains(part) {
            return Err(format!("`{part}` is not in:\n{only}"));
        }
    }
    let none = list(&[("CLEF_HSA_LIBRARY", "/none")])?;
    if !none.contains("HSA: `/none` cannot be loaded") {
        return Err(none);
    }
    let failing = list(&[("CLEF_HSA_LIBRARY", &library), ("CLEF_HSA_MOCK_FAIL", "hsa_iterate_agents")])?;
    if !failing.contains("HSA: hsa_iterate_agents returned 0x1000 (HSA_STATUS_ERROR)") {
        return Err(failing);
    }
    // The library of this machine, whatever it has.
    list(&[]).map(|_| ())
}

//! Vulkan devices that can do less than a program wants, or fail: each is a report with the source line, and no hang.
//! The device is lavapipe (or what is there) behind the layer of `tests/vulkan_faults`, so that the runtime's own calls
//! of Vulkan meet smaller limits, missing features, failing allocations and lost devices.

use crate::trial;
use clef_tests::{Done, Scratch, clefc, run, vulkan_faults};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a case wants: the program, the layer's faults, what must be printed before, the exit code, what must be said.
struct Case {
    name: &'static str,
    program: &'static str,
    faults: &'static str,
    printed: &'static str,
    code: i32,
    said: &'static [&'static str],
}

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = cases()
        .into_iter()
        .map(|case| trial(format!("device/{}", case.name), move || check(&case)))
        .collect();
    trials.push(trial("device/lost_with_copies_of_buffers", lost_with_copies));
    trials.push(trial("device/pipelines_are_cached", pipelines_are_cached));
    trials
}

/// Three dispatches that depend on each other; the host reads after the second and after the third.
const CHAIN: &str = r#"open BAREWire.HSA
[<Kernel("next")>]
let next (x: UnifiedBuffer<int>) (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- x.[i] + 1
let a = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
let b = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "next" {| X = a.Address; Y = b.Address |}
GPU.dispatch "next" {| X = b.Address; Y = a.Address |}
printfn "%d" a.[99]
GPU.dispatch "next" {| X = a.Address; Y = b.Address |}
printfn "%d" b.[99]
"#;

/// Nothing waits but the program's end.
const NO_WAIT: &str = r#"open BAREWire.HSA
[<Kernel("fill")>]
let fill (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- 1
let a = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "fill" {| Y = a.Address |}
"#;

const TWO_QUEUES: &str = r#"open BAREWire.HSA
[<Kernel("next")>]
let next (x: UnifiedBuffer<int>) (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- x.[i] + 1
let a = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
let b = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "next" {| X = a.Address; Y = b.Address |}
GPU.dispatchOn 1 "next" {| X = b.Address; Y = a.Address |}
printfn "%d" a.[99]
"#;

const GROUPS: &str = r#"open BAREWire.HSA
[<Kernel("grid")>]
[<WorkgroupSize(16, 8)>]
let grid (w: int) (y: UnifiedBuffer<int>) : unit =
    for j in parallel (0 .. Buffer.length y / w - 1) do
        for i in parallel (0 .. w - 1) do
            y.[j * w + i] <- j * 1000 + i
let a = allocateUnified<int> 12000<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "grid" {| W = 100; Y = a.Address |}
printfn "%d %d" a.[0] a.[2999]
"#;

const SHARED: &str = r#"open BAREWire.HSA
[<Kernel("turn")>]
[<WorkgroupSize(64)>]
let turn (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        let tile: int[] = workgroup 1024
        tile.[i % 64] <- i
        barrier ()
        y.[i] <- tile.[63 - i % 64]
let a = allocateUnified<int> 1024<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "turn" {| Y = a.Address |}
printfn "%d" a.[0]
"#;

const DOUBLES: &str = r#"open BAREWire.HSA
[<Kernel("halve")>]
let halve (y: UnifiedBuffer<float>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- y.[i] * 0.5
let a = allocateUnified<float> 800<bytes> [CPU; GPU_RDNA 0] PreferGPU
a.[3] <- 3.0
GPU.dispatch "halve" {| Y = a.Address |}
printfn "%.1f" a.[3]
"#;

const HALVES: &str = r#"open BAREWire.HSA
[<Kernel("double")>]
let double (y: UnifiedBuffer<float16>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- y.[i] + y.[i]
let a = allocateUnified<float16> 200<bytes> [CPU; GPU_RDNA 0] PreferGPU
a.[3] <- float16 1.5
GPU.dispatch "double" {| Y = a.Address |}
printfn "%.1f" (float a.[3])
"#;

const BYTES: &str = r#"open BAREWire.HSA
[<Kernel("add")>]
let add (x: UnifiedBuffer<sbyte>) (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- y.[i] + int x.[i]
let a = allocateUnified<sbyte> 100<bytes> [CPU; GPU_RDNA 0] PreferGPU
let b = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
a.[3] <- -7y
GPU.dispatch "add" {| X = a.Address; Y = b.Address |}
printfn "%d" b.[3]
"#;

const SUBGROUPS: &str = r#"open BAREWire.HSA
[<Kernel("sums")>]
let sums (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- Subgroup.sum 1
let a = allocateUnified<int> 1024<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "sums" {| Y = a.Address |}
printfn "%b" (a.[0] > 0)
"#;

const OUT_OF_RANGE: &str = r#"open BAREWire.HSA
[<Kernel("shift")>]
let shift (by: int) (x: UnifiedBuffer<int>) (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- x.[i + by]
let a = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
let b = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "shift" {| By = 1; X = a.Address; Y = b.Address |}
printfn "%d" b.[0]
"#;

/// Two dispatches in one batch stop, the first one below the buffer; one behind them is fine.
const BELOW: &str = r#"open BAREWire.HSA
[<Kernel("shift")>]
let shift (by: int) (x: UnifiedBuffer<int>) (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        y.[i] <- x.[i + by]
let a = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
let b = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "shift" {| By = -1; X = a.Address; Y = b.Address |}
GPU.dispatch "shift" {| By = 5; X = b.Address; Y = a.Address |}
GPU.dispatch "shift" {| By = 0; X = a.Address; Y = b.Address |}
printfn "%d" b.[0]
"#;

/// A write behind the end of a workgroup array, in front of a barrier.
const OUT_OF_GROUP: &str = r#"open BAREWire.HSA
[<Kernel("turn")>]
[<WorkgroupSize(64)>]
let turn (by: int) (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length y - 1) do
        let tile: int[] = workgroup 64
        tile.[i % 64 + by] <- i
        barrier ()
        y.[i] <- tile.[63 - i % 64]
let a = allocateUnified<int> 1024<bytes> [CPU; GPU_RDNA 0] PreferGPU
GPU.dispatch "turn" {| By = 1; Y = a.Address |}
printfn "%d" a.[0]
"#;

/// Launches without work: in one dimension, in the outer of two, and on a buffer of no bytes.
const NOTHING: &str = r#"open BAREWire.HSA
[<Kernel("fill")>]
let fill (n: int) (y: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. n - 1) do
        y.[i] <- 7
[<Kernel("grid")>]
let grid (m: int) (n: int) (y: UnifiedBuffer<int>) : unit =
    for j in parallel (0 .. m - 1) do
        for i in parallel (0 .. n - 1) do
            y.[j * n + i] <- 9
let a = allocateUnified<int> 400<bytes> [CPU; GPU_RDNA 0] PreferGPU
let none = allocateUnified<int> 0<bytes> [CPU; GPU_RDNA 0] PreferGPU
a.[0] <- 5
GPU.dispatch "fill" {| N = 0; Y = a.Address |}
GPU.dispatch "fill" {| N = -3; Y = a.Address |}
GPU.dispatch "grid" {| M = 0; N = 10; Y = a.Address |}
GPU.dispatch "grid" {| M = 10; N = 0; Y = a.Address |}
GPU.dispatch "fill" {| N = Buffer.length none; Y = none.Address |}
printfn "%d" a.[0]
GPU.dispatch "fill" {| N = 2; Y = a.Address |}
printfn "%d %d %d" a.[0] a.[1] a.[2]
"#;

const LOST: &str = "the GPU was lost";

fn cases() -> Vec<Case> {
    let case =
        |name, program, faults, printed, code, said| Case { name, program, faults, printed, code, said };
    vec![
        case("as_it_is", CHAIN, "", "2\n3\n", 0, &[]),
        case(
            "index_out_of_range",
            OUT_OF_RANGE,
            "",
            "",
            134,
            &[
                "program.clef:5:18: index 100 is out of range: the length is 100",
                "in kernel `shift` on the GPU, dispatched at",
                "program.clef:8:",
            ],
        ),
        case(
            "index_below_in_a_batch",
            BELOW,
            "",
            "",
            134,
            &["program.clef:5:18: index -1 is out of range: the length is 100", "program.clef:8:1"],
        ),
        case(
            "index_out_of_range_in_workgroup_memory",
            OUT_OF_GROUP,
            "",
            "",
            134,
            &["program.clef:7:9: index 64 is out of range: the length is 64", "in kernel `turn` on the GPU"],
        ),
        case("domains_of_nothing", NOTHING, "", "5\n7 7 0\n", 0, &[]),
        case("few_groups_along_x", CHAIN, "groups=1", "2\n3\n", 0, &[]),
        case(
            "too_many_groups_along_y",
            GROUPS,
            "groups=3",
            "",
            134,
            &[
                "program.clef:9:1: kernel `grid` could not be dispatched",
                "30 indices",
                "at most 3 workgroups",
            ],
        ),
        case(
            "too_many_work_items",
            GROUPS,
            "invocations=64",
            "",
            134,
            &[
                "program.clef:9:1: kernel `grid` could not be dispatched: its workgroups have 128 work-items (16 x 8 x 1)",
                "allows 64",
            ],
        ),
        case(
            "too_much_workgroup_memory",
            SHARED,
            "shared=1024",
            "",
            134,
            &[
                "program.clef:11:1: kernel `turn` could not be dispatched: its workgroup arrays take 4096 bytes",
                "has 1024 for a workgroup",
            ],
        ),
        case("enough_workgroup_memory", SHARED, "shared=4096", "63\n", 0, &[]),
        case(
            "no_doubles",
            DOUBLES,
            "without=f64",
            "",
            134,
            &[
                "program.clef:8:1: kernel `halve` could not be dispatched: it needs arithmetic on 64-bit floating-point",
            ],
        ),
        case(
            "no_halves",
            HALVES,
            "without=f16",
            "",
            134,
            &[
                "program.clef:8:1: kernel `double` could not be dispatched: it needs arithmetic on 16-bit floating-point",
            ],
        ),
        case(
            "no_buffers_of_halves",
            HALVES,
            "without=store16",
            "",
            134,
            &["program.clef:8:1:", "buffers of 16-bit"],
        ),
        case(
            "no_bytes",
            BYTES,
            "without=i8",
            "",
            134,
            &["program.clef:9:1:", "arithmetic on 8-bit integers"],
        ),
        case(
            "no_buffers_of_bytes",
            BYTES,
            "without=store8",
            "",
            134,
            &["program.clef:9:1:", "buffers of 8-bit"],
        ),
        case(
            "no_subgroups",
            SUBGROUPS,
            "without=subgroups",
            "",
            134,
            &["program.clef:7:1:", "over subgroups"],
        ),
        case("features_that_are_there", DOUBLES, "without=f16,i8", "1.5\n", 0, &[]),
        case("no_long_integers", DOUBLES, "without=i64", "", 2, &["lacks 64-bit integers in shaders"]),
        case(
            "no_memory",
            CHAIN,
            "memory=100",
            "",
            134,
            &["a buffer of 400 bytes could not be allocated: the GPU is out of memory"],
        ),
        case(
            "lost_at_the_first_submission",
            CHAIN,
            "lose=submit:1",
            "",
            134,
            &["program.clef:8:1: ", LOST, "noticed at", "in kernel `next` on the GPU, dispatched at"],
        ),
        case(
            "lost_at_the_second_submission",
            CHAIN,
            "lose=submit:2",
            "2\n",
            134,
            &["program.clef:11:1: ", LOST],
        ),
        case("lost_at_the_first_wait", CHAIN, "lose=wait:1", "", 134, &["program.clef:8:1: ", LOST]),
        case("lost_at_the_second_wait", CHAIN, "lose=wait:2", "2\n", 134, &["program.clef:11:1: ", LOST]),
        case(
            "lost_at_the_end",
            NO_WAIT,
            "lose=wait:1",
            "",
            134,
            &["program.clef:7:1: ", LOST, "kernel `fill`"],
        ),
        case("lost_between_queues", TWO_QUEUES, "lose=submit:1", "", 134, &["program.clef:8:1: ", LOST]),
        case(
            "lost_on_the_second_queue",
            TWO_QUEUES,
            "lose=submit:2",
            "",
            134,
            &["program.clef:", LOST, "kernel `next`"],
        ),
    ]
}

/// Builds and runs a program behind the layer.
fn behind(program: &str, faults: &str, memory: Option<&str>) -> Result<Done, String> {
    let folder = Scratch::new();
    let binary = built(program, &folder)?;
    run_behind(&binary, faults, memory, &folder)
}

fn built(program: &str, folder: &Scratch) -> Result<PathBuf, String> {
    let source = folder.file("program.clef", program);
    let binary = folder.0.join("program");
    let mut build = Command::new(clefc());
    build.args(["build", "--gpu", "vulkan"]).arg(&source).arg("-o").arg(&binary);
    let built = run(&mut build, "")?;
    if built.code != 0 {
        return Err(built.stderr);
    }
    Ok(binary)
}

/// Runs a program behind the layer, with its caches in a folder.
fn run_behind(binary: &Path, faults: &str, memory: Option<&str>, folder: &Scratch) -> Result<Done, String> {
    folder.file("faults.json", manifest());
    let mut command = Command::new(binary);
    command
        .env("VK_LAYER_PATH", &folder.0)
        .env("VK_INSTANCE_LAYERS", "VK_LAYER_CLEF_faults")
        .env("CLEF_VULKAN_FAULTS", faults)
        .env("XDG_CACHE_HOME", &folder.0);
    if let Some(memory) = memory {
        command.env("CLEF_VULKAN_MEMORY", memory);
    }
    run(&mut command, "")
}

/// What the Vulkan loader wants to know of the layer.
fn manifest() -> String {
    format!(
        r#"{{"file_format_version": "1.1.2", "layer": {{"name": "VK_LAYER_CLEF_faults", "type": "GLOBAL",
"library_path": "{}", "api_version": "1.3.0", "implementation_version": "1", "description": "Faults for tests"}}}}"#,
        vulkan_faults().display()
    )
}

fn check(case: &Case) -> Result<(), String> {
    let done = behind(case.program, case.faults, None)?;
    let told = format!("exit code {}, printed {:?}, said: {}", done.code, done.stdout, done.stderr);
    if done.code != case.code || done.stdout != case.printed {
        return Err(told);
    }
    match case.said.iter().find(|part| !done.stderr.contains(**part)) {
        Some(part) => Err(format!("`{part}` is not said; {told}")),
        None => Ok(()),
    }
}

/// The host reads a buffer whose newest bytes are on the device: the copy finds the device lost.
fn lost_with_copies() -> Result<(), String> {
    let fine = behind(CHAIN, "", Some("device"))?;
    if fine.code != 0 || fine.stdout != "2\n3\n" {
        return Err(fine.stderr);
    }
    for faults in ["lose=submit:1", "lose=submit:2", "lose=submit:3", "lose=submit:4", "lose=wait:1"] {
        let done = behind(CHAIN, faults, Some("device"))?;
        if done.code != 134
            || !done.stderr.contains("the GPU was lost")
            || !done.stderr.contains("program.clef:")
        {
            return Err(format!("{faults}: exit code {}, {:?}, {}", done.code, done.stdout, done.stderr));
        }
    }
    Ok(())
}

/// The second run gets the first one's pipelines back; a damaged or foreign file reaches no driver and is replaced.
fn pipelines_are_cached() -> Result<(), String> {
    const MADE: &str = "pipeline cache: given nothing\npipeline cache: made\n";
    const SERVED: &str = "pipeline cache: given 1\npipeline cache: served\n";
    let folder = Scratch::new();
    let binary = built(CHAIN, &folder)?;
    let expect = |when: &str, told: &str| {
        let done = run_behind(&binary, "cache=told", None, &folder)?;
        if done.code == 0 && done.stdout == "2\n3\n" && done.stderr == told {
            return Ok(());
        }
        Err(format!("{when}: exit code {}, {:?}, told {:?}", done.code, done.stdout, done.stderr))
    };
    expect("first run", MADE)?;
    let files: Vec<PathBuf> = std::fs::read_dir(folder.0.join("clef"))
        .and_then(|folder| folder.map(|entry| Ok(entry?.path())).collect())
        .map_err(|error| error.to_string())?;
    let [file] = &files[..] else { return Err(format!("files beside the cache: {files:?}")) };
    let good = std::fs::read(file).map_err(|error| error.to_string())?;
    expect("second run", SERVED)?;
    let flip = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damaged = [
        ("magic", flip(0)),
        ("version", flip(8)),
        ("driver", flip(40)),
        ("length", flip(56)),
        ("checksum", flip(64)),
        ("last byte", flip(good.len() - 1)),
        ("cut short", good[..good.len() - 1].to_vec()),
        ("cut in the header", good[..20].to_vec()),
        ("longer", [&good[..], b"x"].concat()),
        ("empty", Vec::new()),
        ("the driver's data alone", good[72..].to_vec()),
    ];
    for (what, bytes) in damaged {
        std::fs::write(file, bytes).map_err(|error| error.to_string())?;
        expect(what, MADE)?;
        if std::fs::read(file).ok().as_deref() != Some(&good) {
            return Err(format!("{what}: the file was not replaced"));
        }
    }
    expect("last run", SERVED)
}

//! Kernels that the NPU's own compiler made: a project names image and instructions, the executable carries them, and the
//! HSA stand-in plays them on an NPU that takes nothing else. Files that cannot be used leave the kernel to the host,
//! with a warning; what only the device can judge ends with a report of kernel and line.

use crate::hsa::{build, on_mock, told};
use crate::trial;
use clef_tests::{Done, Scratch, clefc, run, same};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A GPU that calls host functions, and an NPU that does not.
const AGENTS: (&str, &str) = ("CLEF_HSA_MOCK_AGENTS", "cpu gpu npu=aie2p");

pub fn trials() -> Vec<Trial> {
    vec![
        trial("npu/files/run_on_the_npu", on_the_npu),
        trial("npu/files/the_image_decides", image_decides),
        trial("npu/files/a_new_image_is_cleaned_once", cleaned_once),
        trial("npu/files/unusable_ones_leave_the_host", unusable),
        trial("npu/files/a_refused_image_is_reported", refused),
        trial("npu/files/no_memory_for_the_image", no_memory),
        trial("npu/files/of_no_kernel", of_no_kernel),
        trial("npu/files/a_kernel_that_stops_is_reported", stops),
        trial("npu/tools/make_the_files", tools_make),
        trial("npu/tools/that_fail_leave_the_host", tools_fail),
        trial("npu/tools/several_forms_leave_the_host", several_forms),
        trial("npu/tools/check_what_is_emitted", tools_check),
    ]
}

const PROGRAM: &str = "module Program

open BAREWire.HSA

[<Kernel(\"twice\")>]
let twice (x: UnifiedBuffer<int8>) (z: UnifiedBuffer<int8>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- x.[i] + x.[i]

[<Kernel(\"minus\")>]
let minus (x: UnifiedBuffer<int8>) (z: UnifiedBuffer<int8>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- x.[i] - 1y

let make () = allocateUnified<int8> 64<bytes> [CPU; GPU_RDNA 0; NPU_XDNA] PreferNPU

[<EntryPoint>]
let main argv =
    let a = make ()
    let b = make ()
    let c = make ()
    for i in 0 .. 63 do
        a.[i] <- int8 i
    NPU.dispatch \"twice\" {| X = a.Address; Z = b.Address |}
    GPU.dispatch \"minus\" {| X = b.Address; Z = c.Address |}
    NPU.dispatch \"minus\" {| X = c.Address; Z = a.Address |}
    NPU.dispatch \"twice\" {| X = a.Address; Z = b.Address |}
    GPU.dispatch \"minus\" {| X = b.Address; Z = c.Address |}
    printfn \"%d %d %d\" c.[0] c.[1] c.[20]
    0
";

/// Writes a project with the files of `twice`.
fn project(folder: &Scratch, program: &str, image: &[u8], insts: &[u8]) -> PathBuf {
    folder.file("Program.clef", program);
    folder.file("twice.pdi", image);
    folder.file("twice.insts", insts);
    folder.file(
        "program.fidproj",
        "[package]\nname = \"program\"\n[build]\nsources = [\"Program.clef\"]\n[npu.kernel.twice]\npdi = \"twice.pdi\"\ninstructions = \"twice.insts\"\n",
    )
}

/// The image of `twice`: it reads `b[0]` and writes `b[1]`.
fn image(folder: &Scratch, each: &str) -> Result<Vec<u8>, String> {
    image_of(folder, "{1, 1, 1, 0}, {1, 1, 6, 0}", 2, each)
}

/// What the stand-in plays: a kernel in C, as a shared library in the envelope that it knows. It computes each element
/// of its last buffer.
fn image_of(folder: &Scratch, params: &str, n: usize, each: &str) -> Result<Vec<u8>, String> {
    let last = n - 1;
    let all = format!("for (uint64_t i = 0; i < b[{last}].length; i++) b[{last}].at[i] = (int8_t)({each});");
    image_with(folder, params, n, &all)
}

fn image_with(folder: &Scratch, params: &str, n: usize, body: &str) -> Result<Vec<u8>, String> {
    let bytes = 8 + 16 * n;
    let source = folder.file(
        "image.c",
        format!(
            "#include <stdint.h>
struct param {{ uint8_t kind, size, effect, reserved; }};
struct entry {{ const char *name; void (*run)(const uint8_t *); uint32_t bytes, first; const struct param *params; uint32_t n, reserved; }};
struct buffer {{ int8_t *at; uint64_t length; }};
static void run(const uint8_t *arguments) {{
    const struct buffer *b = (const struct buffer *)(arguments + 8);
    {body}
}}
static const struct param params[{n}] = {{{params}}};
const struct entry clef_pdi = {{\"twice\", run, {bytes}, 8, params, {n}, 0}};
"
        ),
    );
    let library = folder.0.join("image.so");
    let built =
        run(Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source), "")?;
    if built.code != 0 {
        return Err(built.stderr);
    }
    let library = fs::read(library).map_err(|e| e.to_string())?;
    let mut image = b"CLEFPDI1".to_vec();
    image.extend((library.len() as u64).to_le_bytes());
    image.extend(&library);
    image.extend(b"CLEFPDIE");
    image.resize(image.len().next_multiple_of(4), 0);
    Ok(image)
}

/// Instructions without operations, for a generation of the array.
fn instructions(generation: u8) -> Vec<u8> {
    let mut all = vec![0, 1, generation, 6, 8, 1, 0, 0, 0, 0, 0, 0];
    all.extend(16_u32.to_le_bytes());
    all
}

fn on_npu(program: &Path, environment: &[(&str, &str)]) -> Result<Done, String> {
    run(on_mock(program, environment).env(AGENTS.0, AGENTS.1), "")
}

/// As [`on_npu`], where nobody asked for AMD agents.
fn unasked(program: &Path, environment: &[(&str, &str)]) -> Result<Done, String> {
    run(on_mock(program, environment).env(AGENTS.0, AGENTS.1).env_remove("CLEF_AGENTS"), "")
}

/// Packets, doorbells and waits for the NPU.
fn record(folder: &Scratch, program: &Path) -> Result<Vec<String>, String> {
    let log = folder.0.join("record");
    let _ = fs::remove_file(&log);
    let done = on_npu(program, &[("CLEF_HSA_MOCK_LOG", &log.to_string_lossy())])?;
    if done.code != 0 {
        return Err(done.stderr);
    }
    let text = fs::read_to_string(&log).map_err(|e| e.to_string())?;
    Ok(text.lines().filter(|l| l.contains(" npu0")).map(str::to_owned).collect())
}

fn on_the_npu() -> Result<(), String> {
    let folder = Scratch::new();
    let image = image(&folder, "2 * b[0].at[i]")?;
    let project = project(&folder, PROGRAM, &image, &instructions(4));
    let program = folder.0.join("program");
    build(&project, &program, &[])?;
    let host = run(Command::new(&program).env("CLEF_AGENTS", "host"), "")?;
    same("host", "-5 -1 75\n", &host.stdout)?;
    for seed in 0..8 {
        let done = on_npu(&program, &[("CLEF_HSA_MOCK_SEED", &format!("{seed}"))])?;
        same(&format!("seed {seed}: {}", done.stderr), &host.stdout, &done.stdout)?;
    }
    for done in [on_npu(&program, &[])?, unasked(&program, &[])?] {
        same(&format!("coherent: {}", done.stderr), &host.stdout, &done.stdout)?;
        same("standard error", "", &done.stderr)?;
    }
    // `minus` has no files: the host runs it, and only `twice` reaches the queue.
    let lines = record(&folder, &program)?;
    let packets: Vec<&str> =
        lines.iter().filter(|l| l.starts_with("packet ")).filter_map(|l| l.split(" bytes=").next()).collect();
    let expected =
        ["0", "1"].map(|n| format!("packet npu0.{n} npu header=0x1400 name=twice buffers=2 image"));
    same("packets", &expected.join("\n"), &packets.join("\n"))?;
    let bytes = lines.iter().find_map(|l| l.split(" bytes=").nth(1)).unwrap_or_default();
    let at = |from: usize, to: usize| bytes.get(2 * from..2 * to).unwrap_or_default();
    // Header, opcode, count; number of arguments; bytes of the instructions; nothing behind the image.
    for (what, found, right) in [
        ("head", at(0, 8), "0014000018000000"),
        ("arguments", at(28, 32), "02000000"),
        ("instructions' bytes", at(40, 48), "1000000000000000"),
        ("end", at(56, 64), "0000000000000000"),
    ] {
        same(what, right, found)?;
    }
    Ok(())
}

/// What runs is the image, not the kernel of the program.
fn image_decides() -> Result<(), String> {
    let folder = Scratch::new();
    let image = image(&folder, "b[0].at[i] + 5")?;
    let project = project(&folder, PROGRAM, &image, &instructions(4));
    let program = folder.0.join("program");
    build(&project, &program, &[])?;
    for seed in 0..3 {
        let done = on_npu(&program, &[("CLEF_HSA_MOCK_SEED", &format!("{seed}"))])?;
        same(&done.stderr, "7 8 27\n", &done.stdout)?;
    }
    Ok(())
}

/// The NPU's first doorbell is one with a clean for the image's sake; the plan has none.
fn cleaned_once() -> Result<(), String> {
    let program_text = PROGRAM
        .replace(
            "    for i in 0 .. 63 do\n        a.[i] <- int8 i\n",
            "    GPU.dispatch \"minus\" {| X = b.Address; Z = a.Address |}\n",
        )
        .replace("    NPU.dispatch \"minus\"", "    GPU.dispatch \"minus\"");
    let folder = Scratch::new();
    let image = image(&folder, "2 * b[0].at[i]")?;
    let project = project(&folder, &program_text, &image, &instructions(4));
    let program = folder.0.join("program");
    build(&project, &program, &[])?;
    let lines = record(&folder, &program)?;
    let doorbells: Vec<&str> =
        lines.iter().filter(|l| l.starts_with("doorbell ")).map(String::as_str).collect();
    let expected = "doorbell npu0 newest=0 release\ndoorbell npu0 newest=1 relaxed";
    same("doorbells", expected, &doorbells.join("\n"))
}

/// What the build can see: a warning, and the host.
fn unusable() -> Result<(), String> {
    let folder = Scratch::new();
    let whole = image(&folder, "b[0].at[i] + 5")?;
    let insts = instructions(4);
    let check = |image: &[u8], insts: &[u8], program: &str, part: &str| {
        let project = project(&folder, program, image, insts);
        if image.is_empty() {
            fs::remove_file(folder.0.join("twice.pdi")).map_err(|e| e.to_string())?;
        }
        let program = folder.0.join("program");
        let built = run(Command::new(clefc()).arg("build").arg(&project).arg("-o").arg(&program), "")?;
        if built.code != 0 || !built.stderr.contains("CLEF0814") || !built.stderr.contains(part) {
            return Err(format!("`{part}`: exit code {}: {}", built.code, built.stderr));
        }
        let done = unasked(&program, &[])?;
        same(&format!("{part}: {}", done.stderr), "-5 -1 75\n", &done.stdout)?;
        if told(&folder, &program, &[])?.contains("image") {
            return Err(format!("{part}: the image reached a queue"));
        }
        Ok(())
    };
    check(&[], &insts, PROGRAM, "`twice.pdi` cannot be read")?;
    check(&whole[..9], &insts, PROGRAM, "`twice.pdi` has 9 bytes")?;
    check(&whole, &insts[..12], PROGRAM, "`twice.insts` has 12 bytes")?;
    check(&whole, &instructions(3), PROGRAM, "generation 3")?;
    let mut longer = insts.clone();
    longer.extend([0; 4]);
    check(&whole, &longer, PROGRAM, "says that it has 16 bytes, and it has 20")?;
    let scalar = PROGRAM
        .replace("let twice (x", "let twice (n: int8) (x")
        .replace("x.[i] + x.[i]", "x.[i] + n * x.[i]")
        .replace("\"twice\" {| ", "\"twice\" {| N = 1y; ");
    check(&whole, &insts, &scalar, "its parameter `n` is no buffer")
}

/// What only the device can see: it refuses the packet, and the report names kernel and line.
fn refused() -> Result<(), String> {
    let folder = Scratch::new();
    let whole = image(&folder, "2 * b[0].at[i]")?;
    let cut = whole.len() / 8 * 4;
    for (what, image) in [("truncated", &whole[..cut]), ("of something else", b"no image".as_slice())] {
        let project = project(&folder, PROGRAM, image, &instructions(4));
        let program = folder.0.join("program");
        build(&project, &program, &[])?;
        for seed in [None, Some("1")] {
            let environment: Vec<_> = seed.iter().map(|s| ("CLEF_HSA_MOCK_SEED", *s)).collect();
            let done = on_npu(&program, &environment)?;
            let parts = [
                "Program.clef:24:5: the device failed: its queue returned 0x1009",
                "in kernel `twice` on the NPU",
            ];
            if done.code != 134 || parts.iter().any(|p| !done.stderr.contains(p)) {
                return Err(format!("{what}: exit code {}: {}", done.code, done.stderr));
            }
        }
    }
    Ok(())
}

/// The NPU has no room for the image: a report and the host, or an error where AMD agents were asked for.
fn no_memory() -> Result<(), String> {
    let folder = Scratch::new();
    let image = image(&folder, "2 * b[0].at[i]")?;
    let project = project(&folder, PROGRAM, &image, &instructions(4));
    let program = folder.0.join("program");
    build(&project, &program, &[])?;
    let full = [("CLEF_HSA_MOCK_FAIL", "hsa_amd_memory_pool_allocate:npu=0x1008")];
    let why = "hsa_amd_memory_pool_allocate returned 0x1008 (HSA_STATUS_ERROR_OUT_OF_RESOURCES)";
    let done = unasked(&program, &full)?;
    same(&done.stderr, "-5 -1 75\n", &done.stdout)?;
    let line =
        format!("clef: Program.clef:24:5: the NPU cannot run kernel `twice`: {why}; the host runs it\n");
    same("report", &line, &done.stderr)?;
    for seed in 0..3 {
        let done = unasked(&program, &[full[0], ("CLEF_HSA_MOCK_SEED", &format!("{seed}"))])?;
        same(&format!("seed {seed}: {}", done.stderr), "-5 -1 75\n", &done.stdout)?;
    }
    let forced = on_npu(&program, &full)?;
    if forced.code != 134
        || !forced.stderr.contains(&format!("kernel `twice` could not be dispatched: {why}"))
    {
        return Err(format!("forced: exit code {}: {}", forced.code, forced.stderr));
    }
    Ok(())
}

fn of_no_kernel() -> Result<(), String> {
    let folder = Scratch::new();
    let project = project(&folder, &PROGRAM.replace("\"twice\"", "\"double\""), b"1234", &instructions(4));
    let built = run(Command::new(clefc()).arg("build").arg(project), "")?;
    let part = "the program dispatches no kernel `twice`";
    if built.code == 1 && built.stderr.contains("CLEF0805") && built.stderr.contains(part) {
        Ok(())
    } else {
        Err(format!("exit code {}: {}", built.code, built.stderr))
    }
}

const IN_PLACE: &str = "module Program

open BAREWire.HSA

[<Kernel(\"twice\")>]
let twice (z: UnifiedBuffer<int8>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- z.[i] + z.[i]

[<Kernel(\"fill\")>]
let fill (z: UnifiedBuffer<int8>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- 4y

[<EntryPoint>]
let main argv =
    let a = allocateUnified<int8> 64<bytes> [CPU; NPU_XDNA] PreferNPU
    NPU.dispatch \"fill\" {| Z = a.Address |}
    NPU.dispatch \"twice\" {| Z = a.Address |}
    printfn \"%d %d\" a.[0] a.[63]
    0
";

/// Small programs in the place of mlir-aie's, in a folder of their own.
struct Tools {
    folder: Scratch,
    bin: PathBuf,
    project: PathBuf,
}

impl Tools {
    /// `opt` and `cc`: shell commands that end the tools; `$module` is the module's file.
    fn new(program: &str, opt: &str, cc: &str) -> Result<Self, String> {
        let folder = Scratch::new();
        let bin = folder.0.join("bin");
        fs::create_dir_all(&bin).map_err(|e| e.to_string())?;
        let image = image_of(&folder, "{1, 1, 3, 0}", 1, "b[0].at[i] + 1")?;
        folder.file("right.pdi", image);
        folder.file("right.insts", instructions(4));
        folder.file("old.insts", instructions(3));
        let log = folder.0.join("log");
        let at = folder.0.display();
        for (name, end) in [("aie-opt", opt), ("aiecc", cc)] {
            let text = format!(
                "#!/bin/sh\nat='{at}'\nfor module; do case $module in *.mlir) break;; esac; done\necho {name} \"$@\" >> '{}'\n{end}\n",
                log.display()
            );
            let tool = folder.file(&format!("bin/{name}"), text);
            let done = run(Command::new("chmod").arg("+x").arg(tool), "")?;
            if done.code != 0 {
                return Err(done.stderr);
            }
        }
        folder.file("Program.clef", program);
        let project = folder.file(
            "program.fidproj",
            "[package]\nname = \"program\"\n[compilation]\nnpu = \"xdna\"\n[build]\nsources = [\"Program.clef\"]\n",
        );
        Ok(Self { folder, bin, project })
    }

    fn clefc(&self, with_tools: bool) -> Command {
        let mut command = Command::new(clefc());
        if with_tools {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", self.bin.display()));
        }
        command
    }

    /// Builds; what the build said, and the program.
    fn build(&self, with_tools: bool) -> Result<(String, PathBuf), String> {
        let program = self.folder.0.join("program");
        let built = run(self.clefc(with_tools).arg("build").arg(&self.project).arg("-o").arg(&program), "")?;
        if built.code == 0 { Ok((built.stderr, program)) } else { Err(built.stderr) }
    }
}

const MAKE: &str = "grep -q '@twice' \"$module\" || exit 3\ncp \"$at/right.pdi\" kernel.pdi\ncp \"$at/right.insts\" kernel.insts";

/// `aie-opt` looks at each kernel's device, `aiecc` makes its files, and the NPU runs them. A kernel that it cannot make is
/// the host's.
fn tools_make() -> Result<(), String> {
    let tools = Tools::new(IN_PLACE, "grep -q 'aie.device(npu2)' \"$module\"", MAKE)?;
    let (said, program) = tools.build(true)?;
    let part = "kernel `fill` is not compiled for the NPU: `aiecc` refuses its module (exit code 3)";
    if !said.contains("CLEF0814") || !said.contains(part) || said.contains("`twice`") {
        return Err(said);
    }
    let log = fs::read_to_string(tools.folder.0.join("log")).map_err(|e| e.to_string())?;
    let names: Vec<&str> = log.lines().filter_map(|l| l.split(' ').next()).collect();
    same("tools", "aie-opt aiecc aie-opt aiecc", &names.join(" "))?;
    for word in
        ["--aie-generate-pdi --pdi-name=kernel.pdi", "--aie-generate-npu-insts --npu-insts-name=kernel.insts"]
    {
        if !log.contains(word) {
            return Err(log);
        }
    }
    for seed in 0..4 {
        let done = on_npu(&program, &[("CLEF_HSA_MOCK_SEED", &format!("{seed}"))])?;
        same(&done.stderr, "5 5\n", &done.stdout)?;
    }
    let host = run(Command::new(&program).env("CLEF_AGENTS", "host"), "")?;
    same("host", "8 8\n", &host.stdout)
}

/// A tool that is not there, refuses, or makes nothing that fits: a warning, and the host.
fn tools_fail() -> Result<(), String> {
    let check = |opt: &str, cc: &str, with_tools: bool, part: &str| {
        let tools = Tools::new(IN_PLACE, opt, cc)?;
        let (said, program) = tools.build(with_tools)?;
        if !said.contains("CLEF0814") || !said.contains(part) {
            return Err(format!("`{part}` is not in: {said}"));
        }
        let done = unasked(&program, &[])?;
        same(part, "8 8\n", &done.stdout)
    };
    check("exit 1", MAKE, true, "kernel `twice` is not compiled for the NPU: `aie-opt` refuses its module")?;
    check("exit 0", "exit 0", true, "`aiecc` wrote no image")?;
    check("exit 0", "cp \"$at/right.pdi\" kernel.pdi", true, "`aiecc` wrote no instructions")?;
    let old = "cp \"$at/right.pdi\" kernel.pdi\ncp \"$at/old.insts\" kernel.insts";
    check("exit 0", old, true, "generation 3 of the array")?;
    check("exit 0", "kill -9 $$", true, "`aiecc` was ended by a signal")?;
    if std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|f| f.join("aiecc").is_file()))
    {
        return Ok(()); // a machine with the real tools
    }
    check("exit 0", MAKE, false, "there is no `aiecc` on the PATH")
}

/// Dispatches of one kernel with two sizes, and a dispatch without a form.
fn several_forms() -> Result<(), String> {
    let two = IN_PLACE.replace(
        "    printfn",
        "    let b = allocateUnified<int8> 32<bytes> [CPU; NPU_XDNA] PreferNPU\n    NPU.dispatch \"twice\" {| Z = b.Address |}\n    printfn",
    );
    let none = two.replace("32<bytes>", "((argv.Length + 1) * 4<bytes>)");
    for (text, part) in [(&two, "its dispatches have 2 forms"), (&none, "CLEF0561")] {
        let tools = Tools::new(text, "exit 0", MAKE)?;
        let (said, program) = tools.build(true)?;
        if !said.contains(part) {
            return Err(format!("`{part}` is not in: {said}"));
        }
        same(part, "8 8\n", &unasked(&program, &[])?.stdout)?;
    }
    Ok(())
}

/// `clefc emit aie` gives its module to `aie-opt`, and says where that is missing.
fn tools_check() -> Result<(), String> {
    const TAKES: &str = "grep -q 'aie.device(npu2) @twice'";
    for (opt, code, part) in
        [(TAKES, 0, ""), ("cat > /dev/null; echo wrong >&2; exit 1", 101, "aie-opt refuses")]
    {
        let tools = Tools::new(IN_PLACE, opt, "exit 9")?;
        let done = run(tools.clefc(true).args(["emit", "aie"]).arg(&tools.project), "")?;
        if done.code != code || !done.stderr.contains(part) || (code == 0 && !done.stderr.is_empty()) {
            return Err(format!("{opt}: exit code {}: {}", done.code, done.stderr));
        }
    }
    Ok(())
}

/// A kernel says by its status object that it stopped, and where: behind its own end, and only where it did.
fn stops() -> Result<(), String> {
    let body = "int32_t *s = (int32_t *)b[1].at;
    b[0].at[0]++;
    s[0] = s[1] = s[2] = s[3] = 0;
    if (b[0].at[0] == 3) { s[0] = 1; s[1] = 7 | 9 << 20; s[2] = 64; s[3] = 63; }";
    let program_text = IN_PLACE.replace(
        "    printfn",
        "    for i in 1 .. argv.Length do\n        NPU.dispatch \"twice\" {| Z = a.Address |}\n    printfn",
    );
    let folder = Scratch::new();
    let image = image_with(&folder, "{1, 1, 3, 0}, {1, 4, 6, 0}", 2, body)?;
    let project = project(&folder, &program_text.replace("<- 4y", "<- 0y"), &image, &instructions(4));
    let text = fs::read_to_string(&project).map_err(|e| e.to_string())?;
    fs::write(&project, format!("{text}status = true\n")).map_err(|e| e.to_string())?;
    let program = folder.0.join("program");
    build(&project, &program, &[])?;
    for seed in [None, Some("0"), Some("1"), Some("2"), Some("3")] {
        let environment: Vec<_> = seed.iter().map(|s| ("CLEF_HSA_MOCK_SEED", *s)).collect();
        let run_with =
            |args: &[&str]| run(on_mock(&program, &environment).env(AGENTS.0, AGENTS.1).args(args), "");
        let fine = run_with(&["x"])?;
        same(&format!("{seed:?}: {}", fine.stderr), "2 0\n", &fine.stdout)?;
        let stopped = run_with(&["x", "x"])?;
        let parts = [
            ":7:9: index 64 is out of range: the length is 63",
            "in kernel `twice` on the NPU, dispatched at Program.clef:",
        ];
        if stopped.code != 134 || parts.iter().any(|p| !stopped.stderr.contains(p)) {
            return Err(format!(
                "{seed:?}: exit code {}: {}{}",
                stopped.code, stopped.stdout, stopped.stderr
            ));
        }
    }
    Ok(())
}

//! The C ABI under torture: random functions over random structs, called from Clef and calling Clef.
//!
//! A seed gives structs of 1 to 320 bytes (integers, floats, booleans, addresses, arrays, structs in structs) and
//! functions over them. For each function there is one that C defines and Clef calls, and one that Clef defines and C
//! calls through its address. Whoever is called checks every scalar of every parameter; whoever called checks every
//! scalar of the result. The same programs run here and, by AArch64's rules, in qemu. `CLEF_TEST_ABI=2000` makes that
//! many functions on each instead of the usual hundred, `CLEF_TEST_ABI_SEED` starts elsewhere.

mod program;

use crate::trial;
use clef_tests::{Scratch, clefc, root, run};
use libtest_mimic::Trial;
use program::{BATCH, Program};
use std::path::Path;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let number = |name: &str, usual| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual);
    let (count, first) = (number("CLEF_TEST_ABI", 100), number("CLEF_TEST_ABI_SEED", 1));
    let mut trials = Vec::new();
    for machine in [Machine::Host, Machine::Aarch64] {
        let name = machine.name();
        for seed in first..first + count / BATCH {
            let program = move || agrees(machine, seed, &Program::random(seed).print());
            trials.push(trial(format!("abi/{name}random_functions_{seed}"), program));
        }
        trials.push(trial(format!("abi/{name}a_wrong_value_is_noticed"), move || wrong_is_noticed(machine)));
        trials.push(trial(format!("abi/{name}unused_bits_are_not_read"), move || unused_bits(machine)));
    }
    for program in KERNELS {
        trials.push(trial(format!("abi/aarch64_kernels_{program}"), move || kernels_on_aarch64(program)));
    }
    trials.push(trial("abi/aarch64_executables_are_refused", executables_are_refused));
    trials
}

/// Where the two sides run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    /// Here: a whole executable with the runtime.
    Host,
    /// In qemu: Clef's object with C objects, one of which stands for the runtime.
    Aarch64,
}

impl Machine {
    fn name(self) -> &'static str {
        match self {
            Self::Host => "",
            Self::Aarch64 => "aarch64_",
        }
    }

    /// A C compiler; by turns another than the one whose code generator is under test.
    fn compiler(self, seed: u64) -> Command {
        let (own, other) = match self {
            Self::Host => ("clang-22", "cc"),
            Self::Aarch64 => ("clang-22", CROSS),
        };
        let mut command = Command::new(if seed.is_multiple_of(2) { own } else { other });
        if self == Self::Aarch64 && seed.is_multiple_of(2) {
            // Its headers are where Debian's package has them.
            command.args(["--target=aarch64-linux-gnu", "-isystem", "/usr/aarch64-linux-gnu/include"]);
        }
        command
    }
}

/// The compiler of Debian's package `gcc-aarch64-linux-gnu`.
const CROSS: &str = "aarch64-linux-gnu-gcc";

/// The test of the tests: where one side expects something else, the program says so.
fn wrong_is_noticed(machine: Machine) -> Result<(), String> {
    let (c, clef) = Program::random(1).print();
    let in_c = (c.replacen("if (!(", "if (!(0 && ", 1), clef.clone());
    let in_clef = (c, clef.replacen(" <> ", " = ", 1));
    match (agrees(machine, 1, &in_c), agrees(machine, 1, &in_clef)) {
        (Err(a), Err(b)) if a.contains("exit code 1") && b.contains("wrong: ") => Ok(()),
        other => Err(format!("not noticed: {other:?}")),
    }
}

/// Bits of a register that a small integer does not use may be anything: on AArch64 in arguments and results, on x86-64
/// in results. C lies about the types to put something there.
fn unused_bits(machine: Machine) -> Result<(), String> {
    let c = "#include <stdint.h>\n\
        int wrongs(void) { return 0; }\n\
        uint32_t give_byte(void) { return 0xABCDEFC8u; }\n\
        uint32_t give_signed(void) { return 0x12345680u; }\n\
        uint64_t give_short(void) { return 0x123456789ABC8001u; }\n\
        uint32_t give_bool(void) { return 0xABCDEF01u; }\n\
        int call(int (*f)(uint8_t, int8_t, int16_t, uint16_t, int32_t, _Bool)) {\n    \
        int (*lying)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t) = (void *)f;\n    \
        return EXACT ? f(200, -128, -32767, 65535, -5, 1)\n        \
        : lying(0xFFFFFFFFABCDEFC8u, 0x1234567880u, 0x12345678001u, 0xABCDEFFFFu, 0x12FFFFFFFBu, 0xABCDEF01u);\n}\n";
    let exact = if machine == Machine::Host { "1" } else { "0" };
    let clef = "module Main\n\n\
        [<Extern(\"abi\", EntryPoint = \"give_byte\")>]\nextern byte giveByte()\n\n\
        [<Extern(\"abi\", EntryPoint = \"give_signed\")>]\nextern sbyte giveSigned()\n\n\
        [<Extern(\"abi\", EntryPoint = \"give_short\")>]\nextern int16 giveShort()\n\n\
        [<Extern(\"abi\", EntryPoint = \"give_bool\")>]\nextern bool giveBool()\n\n\
        [<Extern(\"abi\", EntryPoint = \"call\")>]\n\
        extern int call(f: byte -> sbyte -> int16 -> uint16 -> int -> bool -> int)\n\n\
        let f (a: byte) (b: sbyte) (c: int16) (d: uint16) (e: int) (g: bool) : int =\n    \
        let right = int a = 200 && int b = -128 && int c = -32767 && int d = 65535 && int64 e = -5L && g\n    \
        if right then 42 else 0\n\n\
        [<EntryPoint>]\nlet main (args: string array) : int =\n    \
        let results = int (giveByte ()) = 200 && int (giveSigned ()) = -128 && int (giveShort ()) = -32767\n    \
        if results && giveBool () && call f = 42 then\n        printfn \"agreed\"\n        0\n    else\n        1\n";
    for seed in 1..=4 {
        agrees(machine, seed, &(c.replace("EXACT", exact), clef.to_string()))?;
    }
    Ok(())
}

/// Builds and runs the two sides of a seed's functions.
fn agrees(machine: Machine, seed: u64, (c_text, clef_text): &(String, String)) -> Result<(), String> {
    let folder = Scratch::new();
    let c = folder.file("abi.c", c_text);
    let main = folder.file("Main.clef", clef_text);
    let object = folder.0.join("abi.o");
    let level = ["-O0", "-O1", "-O2"][(seed % 3) as usize];
    let mut compiler = machine.compiler(seed);
    ok(compiler.args(["-std=gnu11", "-w", level, "-c"]).arg(&c).arg("-o").arg(&object))?;
    let optimise = if seed.is_multiple_of(4) { "-O2" } else { "-O0" };
    let program = folder.0.join("abi");
    let done = match machine {
        Machine::Host => {
            let manifest = "[package]\nname = \"abi\"\n[build]\nsources = [\"Main.clef\"]\n\
                            [link.library.abi]\npath = \".\"\nkind = \"static\"\n";
            folder.file("abi.fidproj", manifest);
            ok(Command::new("ar").arg("rcs").arg(folder.0.join("libabi.a")).arg(&object))?;
            ok(Command::new(clefc()).arg("build").arg(&folder.0).arg("-o").arg(&program).arg(optimise))?;
            run(Command::new(&program).env("CLEF_DEBUG_LEAKS", "1"), "")?
        }
        Machine::Aarch64 => {
            let own = folder.0.join("program.o");
            let mut emit = Command::new(clefc());
            ok(emit.args(["emit", "obj", "--arch", "aarch64", optimise]).arg(&main).arg("-o").arg(&own))?;
            link_for_aarch64(&[&own, &object, &root().join("tests/abi/runtime.c")], &program)?;
            run(Command::new("qemu-aarch64").arg(&program), "").map_err(missing)?
        }
    };
    if done.code == 0 && done.stdout == "agreed\n" {
        return Ok(());
    }
    Err(format!("seed {seed}: exit code {}\n{}{}", done.code, done.stdout, done.stderr))
}

/// An executable without shared libraries, so that qemu needs none.
fn link_for_aarch64(parts: &[&Path], program: &Path) -> Result<(), String> {
    let mut link = Command::new(CROSS);
    ok(link.args(["-static", "-O1", "-w"]).args(parts).arg("-o").arg(program)).map_err(missing)
}

/// A tool that could not be started is in a package.
fn missing(why: String) -> String {
    if why.contains("exit code") {
        return why;
    }
    format!(
        "{why}\nthis needs Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user: ./x setup"
    )
}

/// Programs of `tests/run/` with kernels, by what they ask of the runtime: `tests/abi/agents.c` has it.
const KERNELS: &[&str] = &[
    "agents_equal_bytes",
    "agents_inside_and_outside",
    "agents_pingpong",
    "agents_saxpy",
    "found_by_random_agents",
    "gpu_copies",
    "groups",
];

/// The host code of kernels, for AArch64 and in qemu, prints what the program promises, vectorised and not.
fn kernels_on_aarch64(name: &str) -> Result<(), String> {
    let source = root().join("tests/run").join(format!("{name}.clef"));
    let text = std::fs::read_to_string(&source).map_err(|e| format!("{name}: {e}"))?;
    let promised: String =
        text.lines().filter_map(|l| l.strip_prefix("// expect: ")).map(|l| format!("{l}\n")).collect();
    let folder = Scratch::new();
    let (object, program) = (folder.0.join("program.o"), folder.0.join("program"));
    for level in ["-O0", "--release"] {
        let mut emit = Command::new(clefc());
        ok(emit.args(["emit", "obj", "--arch", "aarch64", level]).arg(&source).arg("-o").arg(&object))?;
        let stubs = root().join("tests/abi");
        link_for_aarch64(&[&object, &stubs.join("runtime.c"), &stubs.join("agents.c")], &program)?;
        let done = run(Command::new("qemu-aarch64").arg(&program), "").map_err(missing)?;
        if done.code != 0 || promised.is_empty() || done.stdout != promised {
            return Err(format!("{level}: exit code {}\n{}{}", done.code, done.stdout, done.stderr));
        }
    }
    Ok(())
}

/// There is no runtime for AArch64, so no executable; the message says what can be made.
fn executables_are_refused() -> Result<(), String> {
    let folder = Scratch::new();
    let main = folder.file("Main.clef", "module Main\n\nprintfn \"hello\"\n");
    for command in ["build", "run"] {
        let done = run(Command::new(clefc()).args([command, "--arch", "aarch64"]).arg(&main), "")?;
        let words = ["CLEF0809", "AArch64", "clefc emit obj --arch aarch64"];
        if done.code != 2 || words.iter().any(|w| !done.stderr.contains(w)) {
            return Err(format!("{command}: exit code {}\n{}", done.code, done.stderr));
        }
    }
    Ok(())
}

fn ok(command: &mut Command) -> Result<(), String> {
    let done = run(command, "")?;
    if done.code == 0 {
        Ok(())
    } else {
        Err(format!("{command:?}: exit code {}\n{}", done.code, done.stderr))
    }
}

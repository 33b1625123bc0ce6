//! NPU dispatches as MLIR of the AIE dialects: the example's and a small program's against golden text, their generic form
//! through MLIR's own parser, and dispatches that have no form.

use crate::trial;
use clef_tests::{Scratch, clefc, golden, root, run};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name, declarations and dispatch, and a part of the message; none where there is a form.
struct Case {
    name: &'static str,
    kernel: &'static str,
    run: &'static str,
    why: Option<&'static str>,
}

const FILL: &str = "[<Kernel(\"k\")>]\nlet k (z: UnifiedBuffer<int>) : unit =\n    for i in parallel (0 .. Buffer.length z - 1) do\n        z.[i] <- i\n";
const COPY: &str = "[<Kernel(\"k\")>]\nlet k (x: UnifiedBuffer<int>) (z: UnifiedBuffer<int>) : unit =\n    for i in parallel (0 .. Buffer.length z - 1) do\n        z.[i] <- x.[i]\n";

const CASES: &[Case] = &[
    Case {
        name: "constant_size",
        kernel: FILL,
        run: "let z = make 64\n    NPU.dispatch \"k\" {| Z = z.Address |}",
        why: None,
    },
    Case {
        name: "size_of_the_command_line",
        kernel: FILL,
        run: "let z = make argv.Length\n    NPU.dispatch \"k\" {| Z = z.Address |}",
        why: Some("the size of `z` is not the same constant"),
    },
    Case {
        name: "two_sizes_at_one_dispatch",
        kernel: FILL,
        run: "let z = if argv.Length = 0 then make 16 else make 32\n    NPU.dispatch \"k\" {| Z = z.Address |}",
        why: Some("the size of `z` is not the same constant"),
    },
    Case {
        name: "helper_with_two_sizes",
        kernel: COPY,
        run: "let x = make 64\n    let z = make 32\n    NPU.dispatch \"k\" {| X = x.Address; Z = z.Address |}",
        why: None,
    },
    Case {
        name: "the_same_buffer_twice",
        kernel: COPY,
        run: "let z = make 64\n    NPU.dispatch \"k\" {| X = z.Address; Z = z.Address |}",
        why: Some("may be the same buffer"),
    },
    Case {
        name: "too_large_for_a_core",
        kernel: FILL,
        run: "let z = make 20000\n    NPU.dispatch \"k\" {| Z = z.Address |}",
        why: Some("of a core's memory"),
    },
    Case {
        name: "changing_scalar",
        kernel: "[<Kernel(\"k\")>]\nlet k (n: int) (z: UnifiedBuffer<int>) : unit =\n    for i in parallel (0 .. Buffer.length z - 1) do\n        z.[i] <- n\n",
        run: "let z = make 64\n    NPU.dispatch \"k\" {| N = argv.Length; Z = z.Address |}",
        why: Some("the value of `n` is not the same constant"),
    },
    Case {
        name: "double_precision",
        kernel: "[<Kernel(\"k\")>]\nlet k (z: UnifiedBuffer<int>) : unit =\n    for i in parallel (0 .. Buffer.length z - 1) do\n        z.[i] <- int (float i * 1.5)\n",
        run: "let z = make 64\n    NPU.dispatch \"k\" {| Z = z.Address |}",
        why: Some("float64"),
    },
];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, program) in programs() {
        let (one, two) = (program.clone(), program);
        trials.push(trial(format!("npu/golden/{name}"), move || {
            let text = emit(&one, &[])?;
            golden(&root().join(format!("tests/npu/{name}.aie")), &text)
        }));
        trials.push(trial(format!("npu/generic/{name}"), move || parses(&two)));
    }
    for case in CASES {
        trials.push(trial(format!("npu/form/{}", case.name), || form(case)));
    }
    trials
}

fn programs() -> [(&'static str, PathBuf); 2] {
    [
        ("ternary_inference", root().join("examples/ternary_inference")),
        ("operations", root().join("tests/npu/operations.clef")),
    ]
}

fn emit(program: &Path, options: &[&str]) -> Result<String, String> {
    let done = run(Command::new(clefc()).args(["emit", "aie"]).arg(program).args(options), "")?;
    if done.code == 0 { Ok(done.stdout) } else { Err(format!("exit code {}\n{}", done.code, done.stderr)) }
}

/// MLIR's parser and verifier accept the generic form: it knows `scf`, `arith`, `math` and `memref` in the cores.
fn parses(program: &Path) -> Result<(), String> {
    let text = emit(program, &["--dump-after", "generic"])?;
    if !text.contains("\"aie.objectfifo\"(") {
        return Err(format!("this is not the generic form:\n{text}"));
    }
    let options = ["--allow-unregistered-dialect", "-", "-o", "/dev/null"];
    let done = run(Command::new("mlir-opt-22").args(options), &text)?;
    if done.code == 0 { Ok(()) } else { Err(done.stderr) }
}

fn form(case: &Case) -> Result<(), String> {
    let text = format!(
        "module Program\n\nopen BAREWire.HSA\n\n{}\nlet make (n: int) = allocateUnified<int> (n * 4<bytes>) [CPU; NPU_XDNA] PreferNPU\n\n[<EntryPoint>]\nlet main argv =\n    {}\n    0\n",
        case.kernel, case.run
    );
    let folder = Scratch::new();
    let file = folder.file("Program.clef", text);
    let done = run(Command::new(clefc()).args(["emit", "aie"]).arg(&file), "")?;
    match case.why {
        None if done.code == 0 && done.stdout.contains("aie.device(npu2) @k {") => Ok(()),
        Some(why) if done.code == 1 && done.stderr.contains("CLEF0561") && done.stderr.contains(why) => {
            Ok(())
        }
        _ => Err(format!("exit code {}\n{}{}", done.code, done.stdout, done.stderr)),
    }
}

//! Bad input of every kind gives a diagnostic with a code, exit 1 or 2, quickly; never a panic, never LLVM's words.

use crate::trial;
use clef_tests::{Scratch, clefc, run};
use libtest_mimic::Trial;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Generous: a hang is what this is about, not speed.
const LIMIT: Duration = Duration::from_secs(10);

const KERNEL: &str = "module M\nopen BAREWire.HSA\n[<Kernel(\"fill\")>]\nlet fill (z: UnifiedBuffer<int>) : unit =\n    \
    for i in parallel (0 .. Buffer.length z - 1) do\n        z.[i] <- i\n\
    let b = allocateUnified<int> 64<bytes> [CPU; GPU_RDNA 0] PreferGPU\n\
    let f = allocateUnified<float32> 64<bytes> [CPU; GPU_RDNA 0] PreferGPU\n";

/// Name, content of the file, code expected.
fn texts() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let with_kernel = |line: &str| format!("{KERNEL}{line}\n").into_bytes();
    let source = |text: &str| text.as_bytes().to_vec();
    vec![
        ("not_utf8", b"let x = \xff\xfe\n".to_vec(), "CLEF0001"),
        (
            "nested_parentheses",
            format!("let x = {}1{}\n", "(".repeat(10_000), ")".repeat(10_000)).into_bytes(),
            "CLEF0007",
        ),
        ("nested_lists", format!("let x = {}", "[".repeat(10_000)).into_bytes(), "CLEF00"),
        ("unterminated_string", source("let x = \"abc\n"), "CLEF0003"),
        ("unterminated_comment", source("(* let x = 1\n"), "CLEF0003"),
        ("truncated", source("module M\nlet f (x: int) : int =\n    match x with\n    | 0 ->"), "CLEF00"),
        ("bad_character", source("let x = 1 \u{1} 2\n"), "CLEF0002"),
        ("number_too_large", source("let x = 99999999999999999999\n"), "CLEF0004"),
        ("unknown_name", source("let x = wibble + 1\n"), "CLEF01"),
        ("type_mismatch", source("let x : int = \"a\"\n"), "CLEF02"),
        ("unit_mismatch", source("[<Measure>] type m\n[<Measure>] type s\nlet x = 1<m> + 1<s>\n"), "CLEF02"),
        ("unknown_kernel", with_kernel("GPU.dispatch \"fil\" {| Z = b.Address |}"), "CLEF05"),
        ("wrong_field", with_kernel("GPU.dispatch \"fill\" {| Y = b.Address |}"), "CLEF05"),
        ("missing_field", with_kernel("GPU.dispatch \"fill\" {| |}"), "CLEF0"),
        ("float_buffer_for_int", with_kernel("GPU.dispatch \"fill\" {| Z = f.Address |}"), "CLEF05"),
        ("unsupported_try", source("let x = try 1 with _ -> 2\n"), "CLEF04"),
        ("zeros", vec![0; 4096], "CLEF00"),
        (
            "deep_types",
            format!("let f (x: {}int{}) = 1\n", "list<".repeat(5_000), ">".repeat(5_000)).into_bytes(),
            "CLEF00",
        ),
    ]
}

pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = texts()
        .into_iter()
        .map(|(name, bytes, code)| {
            trial(format!("bad_input/{name}"), move || {
                let folder = Scratch::new();
                let file = folder.file("Bad.clef", bytes);
                let output = folder.0.join("out");
                let mut command = Command::new(clefc());
                command.arg("build").arg(&file).arg("-o").arg(&output);
                refused(&mut command, code)?;
                if output.exists() { Err("an output was written".into()) } else { Ok(()) }
            })
        })
        .collect();
    trials.push(trial("bad_input/empty_file_is_fine_to_check", || {
        let folder = Scratch::new();
        let file = folder.file("Empty.clef", "");
        let done = run(Command::new(clefc()).arg("check").arg(file), "")?;
        if done.code == 0 { Ok(()) } else { Err(done.stderr) }
    }));
    trials.push(trial("bad_input/missing_file", || {
        refused(Command::new(clefc()).args(["build", "no/such/File.clef"]), "CLEF0801")
    }));
    trials.push(trial("bad_input/folder_without_project", || {
        let folder = Scratch::new();
        refused(Command::new(clefc()).arg("check").arg(&folder.0), "CLEF0804")
    }));
    trials.push(trial("bad_input/bad_project", || {
        let folder = Scratch::new();
        folder.file("a.fidproj", "[package]\nname = 3\n");
        refused(Command::new(clefc()).arg("check").arg(&folder.0), "CLEF0805")
    }));
    trials.push(trial("bad_input/output_is_a_folder", || {
        with_hello(|file, folder| {
            refused(Command::new(clefc()).arg("build").arg(file).arg("-o").arg(&folder.0), "CLEF0803")
        })
    }));
    trials.push(trial("bad_input/output_folder_is_not_there", || {
        with_hello(|file, folder| {
            refused(
                Command::new(clefc()).arg("build").arg(file).arg("-o").arg(folder.0.join("no/out")),
                "CLEF0803",
            )
        })
    }));
    trials.push(trial("bad_input/no_linker", || {
        with_hello(|file, folder| {
            let mut command = Command::new(clefc());
            command.arg("build").arg(file).arg("-o").arg(folder.0.join("out")).env("PATH", &folder.0);
            refused(&mut command, "CLEF0806")
        })
    }));
    trials.push(trial("bad_input/failing_linker", || {
        with_hello(|file, folder| {
            let cc = folder
                .file("cc", "#!/bin/sh\necho 'ld: error: unable to find library -lwibble' >&2\nexit 1\n");
            fs::set_permissions(&cc, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
            let path = format!("{}:/usr/bin:/bin", folder.0.display());
            let output = folder.0.join("out");
            let mut command = Command::new(clefc());
            command.arg("build").arg(file).arg("-o").arg(&output).env("PATH", path);
            refused(&mut command, "CLEF0807")?;
            if output.exists() { Err("an output was written".into()) } else { Ok(()) }
        })
    }));
    trials.push(trial("bad_input/bad_option", || {
        let done = run(Command::new(clefc()).args(["build", "--wibble"]), "")?;
        if done.code == 2 { Ok(()) } else { Err(format!("exit code {}", done.code)) }
    }));
    trials
}

fn with_hello(test: impl FnOnce(&std::path::Path, &Scratch) -> Result<(), String>) -> Result<(), String> {
    let folder = Scratch::new();
    let file = folder.file("Hello.clef", "module Hello\nprintfn \"hello\"\n");
    test(&file, &folder)
}

/// The command fails as it should: the code is named, exit 1 or 2, in time, without a panic or LLVM's words.
fn refused(command: &mut Command, code: &str) -> Result<(), String> {
    let start = Instant::now();
    let done = run(command, "")?;
    let took = start.elapsed();
    let said = format!("exit code {}\n{}", done.code, done.stderr);
    if done.code != 1 && done.code != 2 {
        return Err(said);
    }
    if !done.stderr.contains(code) {
        return Err(format!("expected {code}; {said}"));
    }
    if let Some(word) =
        ["panicked", "LLVM", "MLIR", "llvm.", "RUST_BACKTRACE"].iter().find(|w| done.stderr.contains(**w))
    {
        return Err(format!("says `{word}`; {said}"));
    }
    if took > LIMIT { Err(format!("took {took:?}")) } else { Ok(()) }
}

//! Litmus programs: small orders of accesses with the cost of their cheapest fence plan, see the head of
//! `tests/litmus/classics.litmus`. Each is turned into a Clef program; its plan must cost what is written down, no
//! element of it may be superfluous, and it must give the interpreter's result under adversarial memory.

use crate::trial;
use clef_tests::{Scratch, clefc, root, run, same};
use libtest_mimic::Trial;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

const TABLES: [&str; 3] = ["hsa-gfx1151", "hsa-gfx942", "vulkan"];

const HEAD: &str = "module Litmus
open BAREWire.HSA

[<FidelityExtern(\"c\", \"memcmp\")>]
let outside (x: nativeint) (y: nativeint) (n: int64) : int = NativeDefault.zeroed ()

[<Kernel(\"w\")>]
let fill (v: int) (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- v + i

[<Kernel(\"u\")>]
let update (v: int) (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- z.[i] * 3 + v

[<Kernel(\"p\")>]
let part (v: int) (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. 3) do
        z.[2 * i] <- v + i

[<Kernel(\"r\")>]
let look (v: int) (x: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length x - 1) do
        if x.[i] = v - 1000000000 then failwith \"impossible\"

[<Kernel(\"rw\")>]
let copy (v: int) (x: UnifiedBuffer<int>) (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- x.[i] + v

[<Kernel(\"ru\")>]
let mix (v: int) (x: UnifiedBuffer<int>) (z: UnifiedBuffer<int>) : unit =
    for i in parallel (0 .. Buffer.length z - 1) do
        z.[i] <- z.[i] + x.[i] * v

[<EntryPoint>]
let main argv =
    let everyone = [CPU; GPU_RDNA 0; NPU_XDNA]
    let a = allocateUnified<int> 64<bytes> everyone BalancedAccess
    let b = allocateUnified<int> 64<bytes> everyone BalancedAccess
    let c = allocateUnified<int> 64<bytes> everyone BalancedAccess
    let mutable sum = 0
";

pub fn trials() -> Vec<Trial> {
    lines().into_iter().map(|(name, line)| trial(format!("litmus/{name}"), move || test(&line))).collect()
}

/// All litmus lines, with their names.
pub fn lines() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("tests/litmus/classics.litmus")).unwrap_or_default();
    text.lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
        .map(|line| (line.split('|').next().unwrap_or_default().trim().to_owned(), line.to_owned()))
        .collect()
}

fn test(line: &str) -> Result<(), String> {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, program, costs] = parts[..] else { return Err(format!("bad line: {line}")) };
    let source = expand(program)?;
    let folder = Scratch::new();
    let file = folder.file("Litmus.clef", &source);
    let mut cheaper = Vec::new();
    for (table, wanted) in TABLES.iter().zip(costs.split_whitespace()) {
        let done =
            run(Command::new(clefc()).args(["fences", "--cost", table, "--format", "json"]).arg(&file), "")?;
        let json: serde_json::Value =
            serde_json::from_str(&done.stdout).map_err(|e| format!("{e}: {}", done.stderr))?;
        if wanted != "-" && json["cost"].to_string() != wanted {
            cheaper.push(format!("{table}: the plan costs {}, not {wanted}: {}", json["cost"], json["plan"]));
        }
    }
    if !cheaper.is_empty() {
        return Err(cheaper.join("\n"));
    }
    for table in TABLES {
        let audit = run(Command::new(clefc()).args(["audit", "--cost", table]).arg(&file), "")?;
        if audit.code != 0 {
            return Err(format!("{table}: {}{}", audit.stdout, audit.stderr));
        }
    }
    if program.contains('X') {
        return Ok(()); // the interpreter does not call foreign functions
    }
    let meaning = run(Command::new(clefc()).args(["run", "--interpret"]).arg(&file), "")?;
    let binary = folder.0.join("program");
    let built =
        run(Command::new(clefc()).args(["build", "--adversarial"]).arg(&file).arg("-o").arg(&binary), "")?;
    if meaning.code != 0 || built.code != 0 {
        return Err(format!("{}{}\n{source}", meaning.stderr, built.stderr));
    }
    for seed in 1..=3 {
        let done = run(Command::new(&binary).env("CLEF_ADVERSARIAL", seed.to_string()), "")?;
        same(&format!("seed {seed}: {}", done.stderr), &meaning.stdout, &done.stdout)?;
    }
    with_copies(&file, &folder, &meaning.stdout)
}

/// On Vulkan with a copy of each buffer on both sides.
fn with_copies(file: &Path, folder: &Scratch, wanted: &str) -> Result<(), String> {
    let binary = folder.0.join("vulkan");
    let mut build = Command::new(clefc());
    let built = run(build.args(["build", "--gpu", "vulkan"]).arg(file).arg("-o").arg(&binary), "")?;
    if built.code != 0 {
        return Err(built.stderr);
    }
    let mut program = Command::new(&binary);
    let done = run(program.env("CLEF_AGENTS", "vulkan").env("CLEF_VULKAN_MEMORY", "device"), "")?;
    same(&format!("memory of the device: {}", done.stderr), wanted, &done.stdout)
}

/// The Clef program of a litmus line's middle part.
pub fn expand(program: &str) -> Result<String, String> {
    let mut out = String::from(HEAD);
    let mut depth = 1;
    let mut value = 0;
    // Open blocks: the number of the function that is called twice at its end.
    let mut calls: Vec<Option<i32>> = Vec::new();
    let separated = program.replace('{', " { ; ").replace('}', " ; } ; ");
    for statement in separated.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        let words: Vec<&str> = statement.split_whitespace().collect();
        value += 1;
        let pad = "    ".repeat(depth);
        match words[..] {
            ["loop", "{"] => {
                let _ = writeln!(out, "{pad}for round = 1 to 3 do");
                calls.push(None);
                depth += 1;
            }
            ["if", "{"] => {
                let _ = writeln!(out, "{pad}if argv.Length = 0 then");
                calls.push(None);
                depth += 1;
            }
            ["else", "{"] => {
                let _ = writeln!(out, "{pad}else");
                calls.push(None);
                depth += 1;
            }
            ["twice", "{"] => {
                calls.push(Some(value));
                let _ = writeln!(out, "{pad}let again{value} () =");
                depth += 1;
                continue;
            }
            ["}"] => {
                depth -= 1;
                if let Some(Some(name)) = calls.pop() {
                    let pad = "    ".repeat(depth);
                    let _ = writeln!(out, "{pad}again{name} ()\n{pad}again{name} ()");
                }
                continue;
            }
            ["X", buffer] => {
                let _ = writeln!(out, "{pad}sum <- sum + outside {buffer}.Address {buffer}.Address 0L");
            }
            ["C", what, buffer] => {
                let text = match what {
                    "r" => format!("sum <- sum * 7 + {buffer}.[0] + 3 * {buffer}.[1]"),
                    "u" => format!("{buffer}.[0] <- {buffer}.[0] + {value}"),
                    _ => format!("{buffer}.[0] <- {value}"),
                };
                let _ = writeln!(out, "{pad}{text}");
            }
            [agent, what, buffer] => {
                let field = if what == "r" { "X" } else { "Z" };
                let (call, agent) = dispatch(agent)?;
                let _ = writeln!(
                    out,
                    "{pad}{agent}.{call} \"{what}\" {{| V = {value}; {field} = {buffer}.Address |}}"
                );
            }
            [agent, "r", from, what, to] => {
                let (call, agent) = dispatch(agent)?;
                let _ = writeln!(
                    out,
                    "{pad}{agent}.{call} \"r{what}\" {{| V = {value}; X = {from}.Address; Z = {to}.Address |}}"
                );
            }
            _ => return Err(format!("bad statement `{statement}`")),
        }
    }
    out.push_str("    printfn \"%d\" sum\n    0\n");
    Ok(out)
}

fn dispatch(agent: &str) -> Result<(&'static str, &'static str), String> {
    Ok(match agent {
        "K" => ("dispatch", "CPU"),
        "G" => ("dispatch", "GPU"),
        "H" => ("dispatchOn 1", "GPU"),
        "N" => ("dispatch", "NPU"),
        _ => return Err(format!("no agent `{agent}`")),
    })
}

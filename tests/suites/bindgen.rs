//! `clefc bindgen`: a header with every shape against golden modules, its layouts against C compilers, and a program
//! that calls the library through the module; whole headers of the system where they are installed.

use crate::trial;
use clef_tests::{Scratch, clefc, golden, root, run, same};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Headers of Debian's packages, with the least number of functions that they have.
const SYSTEM: &[(&str, usize)] = &[
    ("/usr/include/zlib.h", 70),
    ("/usr/include/sqlite3.h", 250),
    ("/usr/include/vulkan/vulkan_core.h", 500),
];

/// What the program of `tests/bindgen/Main.clef` prints.
const PRINTED: &str = "2.0 4.0\n\
                       5 5.0\n\
                       [|1.5; 2.5; 3.5; 4.5; 5.5; 6.5|] -2\n\
                       4.50\n\
                       4.0 [|250uy; 251uy; 252uy; 253uy; 254uy|] [|0us; 1000us; 2000us; 3000us; 4000us; 5000us|] true -5 77 9 3\n\
                       15013\n\
                       [|0us; 0us; 0us; 0us; 0us; 0us|] 128\n\
                       [true; true; false] 2\n\
                       3 8\n";

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("bindgen/every_shape", every_shape),
        trial("bindgen/settings", settings),
        trial("bindgen/same_text_twice", same_twice),
        trial("bindgen/library_is_called", library_is_called),
        trial("bindgen/mistakes_have_codes", mistakes),
        trial("bindgen/link_settings", link_settings),
        trial("bindgen/missing_functions_name_their_library", missing_functions),
        trial("bindgen/ways_to_find_a_library", ways_to_find),
        trial("bindgen/loaded_at_run_time", loaded_at_run_time),
        trial("bindgen/callbacks_capture_nothing", callbacks_capture_nothing),
        trial("bindgen/used_handles_are_freed_once", used_handles),
    ];
    for (header, least) in SYSTEM {
        let name =
            Path::new(header).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        trials.push(trial(format!("bindgen/system_header_{name}"), move || system_header(header, *least)));
    }
    trials
}

fn folder() -> PathBuf {
    root().join("tests/bindgen")
}

fn ok(command: &mut Command) -> Result<String, String> {
    let done = run(command, "")?;
    if done.code == 0 {
        Ok(done.stdout)
    } else {
        Err(format!("{command:?}: exit code {}\n{}{}", done.code, done.stdout, done.stderr))
    }
}

/// Generates module and assertions into a folder; C compilers and `clefc check` must accept them. The module's text.
fn generate(header: &Path, scratch: &Scratch, more: &[&str]) -> Result<String, String> {
    let (module, assertions) = (scratch.0.join("module.clef"), scratch.0.join("assertions.c"));
    let mut command = Command::new(clefc());
    command.arg("bindgen").arg(header).arg("-o").arg(&module).arg("--assertions").arg(&assertions).args(more);
    ok(&mut command)?;
    let include = header.parent().unwrap_or(Path::new("/")).display().to_string();
    for compiler in ["cc", "clang-22"] {
        let mut command = Command::new(compiler);
        command.args(["-std=gnu11", "-w", "-c", "-o", "/dev/null", "-I"]).arg(&include).arg(&assertions);
        ok(&mut command)?;
    }
    ok(Command::new(clefc()).arg("check").arg(&module))?;
    std::fs::read_to_string(&module).map_err(|e| e.to_string())
}

fn every_shape() -> Result<(), String> {
    let scratch = Scratch::new();
    let text = generate(&folder().join("shapes.h"), &scratch, &[])?;
    golden(&folder().join("shapes.golden"), &text)?;
    // The assertions can fail: with another number the compiler refuses them.
    let assertions = std::fs::read_to_string(scratch.0.join("assertions.c")).map_err(|e| e.to_string())?;
    let wrong = scratch.file("wrong.c", assertions.replacen("== 8", "== 9", 1));
    let mut command = Command::new("cc");
    command.args(["-w", "-c", "-o", "/dev/null", "-I"]).arg(folder()).arg(&wrong);
    match ok(&mut command) {
        Ok(_) => Err("a wrong assertion was accepted".into()),
        Err(_) => Ok(()),
    }
}

fn settings() -> Result<(), String> {
    let settings = folder().join("settings.toml").display().to_string();
    let text = generate(&folder().join("shapes.h"), &Scratch::new(), &["--config", &settings])?;
    golden(&folder().join("settings.golden"), &text)
}

fn same_twice() -> Result<(), String> {
    let header = folder().join("shapes.h");
    let once = ok(Command::new(clefc()).arg("bindgen").arg(&header))?;
    let again = ok(Command::new(clefc()).arg("bindgen").arg(&header))?;
    same("the second run", &once, &again)
}

fn library_is_called() -> Result<(), String> {
    let scratch = Scratch::new();
    let header = folder().join("shapes.h");
    ok(Command::new(clefc()).arg("bindgen").arg(&header).arg("-o").arg(scratch.0.join("Shapes.clef")))?;
    std::fs::copy(folder().join("Main.clef"), scratch.0.join("Main.clef")).map_err(|e| e.to_string())?;
    let library = scratch.0.join("libshapes.so");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-w", "-o"]).arg(&library).arg(folder().join("shapes.c"));
    ok(&mut command)?;
    let manifest = "[package]\nname = \"shapes\"\n[build]\nsources = [\"Shapes.clef\", \"Main.clef\"]\n\
                    [link.library.shapes]\npath = \".\"\n";
    scratch.file("shapes.fidproj", manifest);
    let program = scratch.0.join("program");
    for level in ["-O0", "--release"] {
        ok(Command::new(clefc()).arg("build").arg(&scratch.0).arg("-o").arg(&program).arg(level))?;
        let printed = ok(Command::new(&program).env("CLEF_DEBUG_LEAKS", "1"))?;
        same(&format!("{level}: standard output"), PRINTED, &printed)?;
    }
    Ok(())
}

/// A program with `load = "runtime"` starts without the library, says what it misses, and works with it.
fn loaded_at_run_time() -> Result<(), String> {
    let scratch = Scratch::new();
    scratch.file(
        "Main.clef",
        "module Main\n\n\
         type Pair = { First: int64; Second: float; Third: int64 }\n\n\
         [<Extern(\"__twice\", EntryPoint = \"twice\")>]\n\
         extern Pair twice(pair: Pair, by: int)\n\n\
         [<Extern(\"__twice\", EntryPoint = \"absent\")>]\n\
         extern int absent(n: int)\n\n\
         [<EntryPoint>]\nlet main (args: string array) : int =\n    \
         printfn \"started\"\n    \
         if args.Length > 0 then\n        \
         let p = twice({ First = 20L; Second = 1.5; Third = 3L }, args.Length + 1)\n        \
         printfn \"%d %g %d\" p.First p.Second p.Third\n    \
         if args.Length > 1 then printfn \"%d\" (absent(1))\n    0\n",
    );
    scratch.file(
        "p.fidproj",
        "[package]\nname = \"p\"\n[build]\nsources = [\"Main.clef\"]\n\
         [link.library.twice]\nload = \"runtime\"\npath = \"lib\"\nfile = \"libtwice.so.2\"\n\
         package = \"the package libtwice2\"\n",
    );
    let program = scratch.0.join("p");
    let library = scratch.0.join("lib/libtwice.so.2");
    let source = scratch.file(
        "twice.c",
        "struct pair { long a; double b; long c; };\n\
         struct pair twice(struct pair p, int n) { p.a *= n; p.b *= n; p.c *= n; return p; }\n",
    );
    for level in ["-O0", "--release"] {
        let _ = std::fs::remove_file(&library);
        ok(Command::new(clefc()).arg("build").arg(&scratch.0).arg("-o").arg(&program).arg(level))?;
        same("without the library", "started\n", &ok(&mut Command::new(&program))?)?;
        let stopped = |args: &[&str], words: &[&str]| -> Result<(), String> {
            let done = run(Command::new(&program).args(args), "")?;
            match words.iter().find(|w| !done.stderr.contains(**w)) {
                None if done.code == 134 => Ok(()),
                _ => Err(format!("{args:?}: exit code {}\n{}", done.code, done.stderr)),
            }
        };
        let words = ["Main.clef:15:17", "`twice`", "libtwice.so.2", "install the package libtwice2"];
        stopped(&["a"], &words)?;
        std::fs::create_dir_all(scratch.0.join("lib")).map_err(|e| e.to_string())?;
        ok(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source))?;
        let printed = ok(Command::new(&program).arg("a").env("CLEF_DEBUG_LEAKS", "1"))?;
        same("with the library", "started\n40 3 6\n", &printed)?;
        stopped(&["a", "b"], &["Main.clef:17", "`absent` is not in the library `twice`", "libtwice2"])?;
    }
    Ok(())
}

fn system_header(header: &str, least: usize) -> Result<(), String> {
    if !Path::new(header).is_file() {
        return Ok(());
    }
    let text = generate(Path::new(header), &Scratch::new(), &["-I", "/usr/include"])?;
    let functions = text.lines().filter(|l| l.starts_with("extern ")).count();
    if functions < least { Err(format!("{functions} functions only, of {least}")) } else { Ok(()) }
}

/// Runs `clefc`, which must fail with this code and these words.
fn refused(command: &mut Command, code: &str, words: &[&str]) -> Result<(), String> {
    let done = run(command, "")?;
    let missing = [&[code], words].concat().into_iter().find(|w| !done.stderr.contains(w));
    match missing {
        None if done.code == 2 => Ok(()),
        None => Err(format!("{command:?}: exit code {}", done.code)),
        Some(word) => Err(format!("{command:?}: `{word}` is not in:\n{}", done.stderr)),
    }
}

fn mistakes() -> Result<(), String> {
    let scratch = Scratch::new();
    let bindgen = || {
        let mut command = Command::new(clefc());
        command.arg("bindgen");
        command
    };
    refused(bindgen().arg("no_such.h"), "CLEF0801", &["no_such.h"])?;
    let broken = scratch.file("broken.h", "#include \"not_there.h\"\nint f(int);\n");
    refused(bindgen().arg(&broken), "CLEF0702", &["not_there.h"])?;
    let header = folder().join("shapes.h");
    let unknown = scratch.file("unknown.toml", "[rename]\nshapes_subtract = \"sub\"\n");
    refused(bindgen().arg(&header).arg("--config").arg(&unknown), "CLEF0703", &["shapes_subtract"])?;
    let malformed = scratch.file("malformed.toml", "[effects]\na = \"maybe\"\n");
    refused(bindgen().arg(&header).arg("--config").arg(&malformed), "CLEF0703", &["malformed.toml:2"])?;
    // Without libclang the reason and the package are named.
    let mut command = bindgen();
    command.arg(&header).env("LIBCLANG_PATH", scratch.0.join("nowhere"));
    let done = run(&mut command, "")?;
    if done.code != 0 && !done.stderr.contains("libclang-22-dev") {
        return Err(format!("libclang's package is not named:\n{}", done.stderr));
    }
    Ok(())
}

/// `use` of records around handles gives each back once, at the end of its block, the newest first.
fn used_handles() -> Result<(), String> {
    let scratch = Scratch::new();
    scratch.file(
        "Main.clef",
        "module Main\n\n\
         [<Extern(\"things\", EntryPoint = \"thing_open\")>]\nextern nativeint thingOpen(n: int)\n\n\
         [<Extern(\"things\", EntryPoint = \"thing_number\")>]\nextern int thingNumber(thing: nativeint)\n\n\
         [<Extern(\"things\", EntryPoint = \"thing_free\")>]\n\
         extern int thingFree([<Releases>] thing: nativeint)\n\n\
         type Thing =\n    { Handle: nativeint }\n    with\n        \
         member this.Dispose () : unit = printfn \"free %d\" (thingFree this.Handle)\n\n\
         let work (rounds: int) : int =\n    \
         use first = { Handle = thingOpen 1 }\n    \
         use second = { Handle = thingOpen 2 }\n    \
         let mutable sum = 0\n    \
         for i in 1 .. rounds do\n        \
         use inner = { Handle = thingOpen (10 * i) }\n        \
         sum <- sum + thingNumber inner.Handle\n    \
         sum + thingNumber first.Handle + thingNumber second.Handle\n\n\
         [<EntryPoint>]\nlet main (args: string array) : int =\n    \
         printfn \"%d\" (work 2)\n    printfn \"%d open\" (thingNumber 0n)\n    0\n",
    );
    let c = scratch.file(
        "things.c",
        "#include <stdlib.h>\nstatic int open;\n\
         int *thing_open(int n) { int *t = malloc(sizeof n); *t = n; open++; return t; }\n\
         int thing_number(int *t) { return t ? *t : open; }\n\
         int thing_free(int *t) { int n = *t; *t = -1; open--; return n; }\n",
    );
    ok(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(scratch.0.join("libthings.so")).arg(&c))?;
    let manifest = "[package]\nname = \"p\"\n[build]\nsources = [\"Main.clef\"]\n\
                    [link.library.things]\npath = \".\"\n";
    scratch.file("p.fidproj", manifest);
    for level in ["-O0", "--release"] {
        let printed = ok(Command::new(clefc()).arg("run").arg(&scratch.0).arg(level))?;
        let wanted = "free 10\nfree 20\nfree 2\nfree 1\n33\n0 open\n";
        same(&format!("{level}: standard output"), wanted, &printed)?;
    }
    Ok(())
}

/// A function that C is to call must be code alone; what C calls through a parameter is allowed.
fn callbacks_capture_nothing() -> Result<(), String> {
    let scratch = Scratch::new();
    let sort = "module Main\n\n\
        [<Extern(\"c\", EntryPoint = \"qsort\")>]\n\
        extern unit qsort(base_: nativeptr<int>, count: unativeint, size: unativeint, \
        compare: nativeptr<int> -> nativeptr<int> -> int)\n\n";
    let rest = "    let numbers: nativeptr<int> = NativePtr.stackalloc 4\n    \
        for i in 0 .. 3 do NativePtr.set numbers i ((i * 7 + 3) % 5)\n    \
        qsort(numbers, 4un, 4un, COMPARE)\n    \
        for i in 0 .. 3 do printf \"%d \" (NativePtr.get numbers i)\n    0\n";
    let downwards = "let compare (a: nativeptr<int>) (b: nativeptr<int>) : int = NativePtr.read b - NativePtr.read a\n\n\
        [<EntryPoint>]\nlet main (args: string array) : int =\n";
    let good = scratch.file("good.clef", format!("{sort}{downwards}{}", rest.replace("COMPARE", "compare")));
    let printed = ok(Command::new(clefc()).arg("run").arg(&good))?;
    same("numbers sorted by C", "4 3 2 0 ", &printed)?;
    let lambda = "(fun a b -> compare a b + args.Length)";
    let bad = scratch.file("bad.clef", format!("{sort}{downwards}{}", rest.replace("COMPARE", lambda)));
    let done = run(Command::new(clefc()).arg("check").arg(&bad), "")?;
    if done.code == 1 && done.stderr.contains("CLEF0291") && done.stderr.contains("capture nothing") {
        return Ok(());
    }
    Err(format!("a capturing callback: exit code {}\n{}", done.code, done.stderr))
}

fn link_settings() -> Result<(), String> {
    let scratch = Scratch::new();
    scratch.file("Main.clef", "module Main\n\nprintfn \"hello\"\n");
    let build = |link: &str| {
        let manifest = format!("[package]\nname = \"p\"\n[build]\nsources = [\"Main.clef\"]\n{link}\n");
        scratch.file("p.fidproj", manifest);
        let mut command = Command::new(clefc());
        command.arg("build").arg(&scratch.0).arg("-o").arg(scratch.0.join("p"));
        command
    };
    let path = "[link.library.nothing]\npath = \"lib\"\npackage = \"libnothing-dev\"";
    refused(&mut build(path), "CLEF0813", &["libnothing.so", "libnothing-dev", "[link.library.nothing]"])?;
    refused(&mut build("[link]\nsearch = [\"nowhere\"]"), "CLEF0813", &["nowhere", "[link] search"])?;
    refused(&mut build("[link]\npkg-config = [\"no-such-package\"]"), "CLEF0813", &["pkg-config"])?;
    let named = "[link]\nlibraries = [\"clefnothing\"]";
    refused(&mut build(named), "CLEF0807", &["libclefnothing", "[link] libraries"])?;
    let named = "[link.library.clefnothing]\nkind = \"static\"\npackage = \"libclefnothing-dev\"";
    refused(&mut build(named), "CLEF0807", &["libclefnothing-dev", "[link.library.clefnothing]"])?;
    let both = "[link.library.nothing]\nload = \"runtime\"\nkind = \"static\"";
    refused(&mut build(both), "CLEF0805", &["[link.library.nothing]", "static"])?;
    ok(&mut build("[link]\nlibraries = [\"m\"]\nrpath = [\"$ORIGIN/lib\"]"))?;
    same("what it prints", "hello\n", &ok(&mut Command::new(scratch.0.join("p")))?)
}

const CALLS_TWICE: &str = "module Main\n\n\
    [<Extern(\"__twice\", EntryPoint = \"twice\")>]\nextern int twice(n: int)\n\n\
    [<EntryPoint>]\nlet main (args: string array) : int =\n    printfn \"%d\" (twice 21)\n    0\n";

/// A project that calls `twice` of the library `twice`, with these settings.
fn calls_twice(scratch: &Scratch, link: &str) -> Command {
    scratch.file("Main.clef", CALLS_TWICE);
    let manifest = format!("[package]\nname = \"p\"\n[build]\nsources = [\"Main.clef\"]\n{link}\n");
    scratch.file("p.fidproj", manifest);
    let mut command = Command::new(clefc());
    command.arg("build").arg(&scratch.0).arg("-o").arg(scratch.0.join("p"));
    command
}

/// A function that no library has is reported with the library and the setting, in no linker's words.
fn missing_functions() -> Result<(), String> {
    let scratch = Scratch::new();
    let unlinked = ["`twice`", "which is not linked", "add `[link.library.twice]`"];
    refused(&mut calls_twice(&scratch, ""), "CLEF0807", &unlinked)?;
    let source = scratch.file("thrice.c", "int thrice(int n) { return 3 * n; }\n");
    let library = scratch.0.join("libtwice.so");
    ok(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source))?;
    let link = "[link.library.twice]\npath = \".\"\npackage = \"libtwice-dev\"";
    let lacks = ["`twice`", "lacks it", "`libtwice-dev`", "[link.library.twice]"];
    refused(&mut calls_twice(&scratch, link), "CLEF0807", &lacks)?;
    let done = run(&mut calls_twice(&scratch, link), "")?;
    if done.stderr.contains("ld.") || done.stderr.contains("undefined") {
        return Err(format!("the linker's own words:\n{}", done.stderr));
    }
    Ok(())
}

/// By path, by search folder and by pkg-config, shared and static: the program runs with each.
fn ways_to_find() -> Result<(), String> {
    let scratch = Scratch::new();
    let source = scratch.file("twice.c", "int twice(int n) { return 2 * n; }\n");
    let folder = scratch.0.join("lib");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let (shared, hidden) = (folder.join("libtwice.so"), folder.join("hidden.so"));
    let object = scratch.0.join("twice.o");
    ok(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shared).arg(&source))?;
    ok(Command::new("cc").args(["-c", "-o"]).arg(&object).arg(&source))?;
    ok(Command::new("ar").arg("rcs").arg(folder.join("libtwice.a")).arg(&object))?;
    let described =
        format!("Name: twice\nDescription: d\nVersion: 1\nLibs: -L{} -ltwice\n", folder.display());
    scratch.file("twice.pc", described);
    // What is linked in needs no library when the program runs; what is shared does.
    let ways = [
        ("[link.library.twice]\npath = \"lib\"", false),
        ("[link.library.twice]\npath = \"lib/libtwice.so\"", false),
        ("[link.library.twice]\npath = \"lib\"\nkind = \"static\"", true),
        ("[link]\nlibraries = [\"twice\"]\nsearch = [\"lib\"]\nrpath = [\"$ORIGIN/lib\"]", false),
        ("[link]\npkg-config = [\"twice\"]", false),
        ("[link.library.twice]\npkg-config = \"twice\"", false),
        ("[link.library.twice]\npkg-config = \"twice\"\nkind = \"static\"", true),
    ];
    for (link, inside) in ways {
        ok(calls_twice(&scratch, link).env("PKG_CONFIG_PATH", &scratch.0))?;
        let program = scratch.0.join("p");
        let printed = ok(&mut Command::new(&program)).map_err(|e| format!("{link}\n{e}"))?;
        same(link, "42\n", &printed)?;
        std::fs::rename(&shared, &hidden).map_err(|e| e.to_string())?;
        let without = run(&mut Command::new(&program), "")?;
        std::fs::rename(&hidden, &shared).map_err(|e| e.to_string())?;
        if (without.code == 0) != inside {
            return Err(format!("{link}\nwithout the shared library: exit code {}", without.code));
        }
    }
    Ok(())
}

//! Programs from source through graph and native code, linked with the runtime: they do what the interpreter does.
//!
//! `CLEF_RUNTIME_ARCHIVE` names the runtime's static library (`./x build` makes it); without it there is nothing to link
//! and the test says so. `CLEFC_TRY=FILE [CLEFC_ARGS="a b"] [CLEFC_LEVEL=0] ... one_file` runs one program.

#[path = "../../../psg/tests/support/mod.rs"]
mod support;

use clef_backends::job::{Job, Options, Route, RoutePlan, Want};
use clef_psg::fences::{self, FenceOptions};
use clef_psg::graph::Psg;
use clef_psg::{bounds, fold, kernel, verify};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// The job of a program, as the driver makes it but for counts.
fn job(mut psg: Psg, opt_level: u8, want: Want) -> Job {
    fold::globals(&mut psg);
    let found = kernel::inline(&mut psg);
    assert!(found.is_empty(), "{found:?}");
    bounds::remove_checks(&mut psg);
    verify::verify(&psg).unwrap_or_else(|e| panic!("{}", e[0]));
    let (kernels, _) = kernel::analyse(&psg);
    let options = Options {
        opt_level,
        cpu: "x86-64-v3".to_owned(),
        triple: "x86_64-unknown-linux-gnu".to_owned(),
        vulkan: false,
        chips: Vec::new(),
        gpu_agent: None,
        adversarial: false,
        debug_info: true,
        dump_after: None,
        time_passes: false,
        libraries: Vec::new(),
        npu: Vec::new(),
    };
    let table = fences::tables::find("hsa-gfx1151").expect("the table of the default GPU");
    let (plan, _) = fences::analyse(&psg, &kernels, &FenceOptions { table, agents: BTreeMap::new() });
    let routes = vec![RoutePlan { route: Route::Hsa, sync: plan.node_sync(), plan }];
    Job { psg, kernels, routes, options, want }
}

/// Compiles, links and runs.
fn native(job: &Job, runtime: &Path, args: &[&str]) -> Result<Output, String> {
    let answer = clef_backends::run(job);
    if let Some(bug) = answer.bug {
        return Err(bug);
    }
    if env::var("CLEFC_TIMES").is_ok() {
        eprintln!("{:?}", answer.timings);
    }
    let folder = env::temp_dir().join(format!("clef-source-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let (object, program) = (folder.join("program.o"), folder.join("program"));
    fs::write(&object, &answer.files[0].1).map_err(|e| e.to_string())?;
    let mut cc = Command::new("cc");
    cc.arg(&object).arg(runtime).args(["-Wl,--gc-sections", "-lm", "-lpthread", "-ldl", "-o"]).arg(&program);
    let linked = cc.output().map_err(|e| e.to_string())?;
    if !linked.status.success() {
        return Err(String::from_utf8_lossy(&linked.stderr).into_owned());
    }
    Command::new(&program).args(args).output().map_err(|e| e.to_string())
}

fn runtime() -> Option<PathBuf> {
    let path = env::var_os("CLEF_RUNTIME_ARCHIVE").map(PathBuf::from);
    if path.is_none() {
        eprintln!("CLEF_RUNTIME_ARCHIVE is not set: nothing is linked or run");
    }
    path
}

#[test]
fn native_code_does_what_the_interpreter_does() {
    let Some(runtime) = runtime() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    for folder in ["psg/tests/programs", "tests/run"] {
        let mut paths: Vec<_> =
            fs::read_dir(root.join(folder)).expect("a folder").flatten().map(|e| e.path()).collect();
        paths.retain(|p| p.extension().is_some_and(|e| e == "clef"));
        paths.sort();
        for path in paths {
            if fs::read_to_string(&path).is_ok_and(|text| text.starts_with("// native-only")) {
                continue; // the interpreter has nothing to compare with; the suites run these
            }
            for level in [0, 2] {
                if let Err(difference) = compare(&path, level, &runtime) {
                    wrong.push(format!("{} at level {level}: {difference}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare(path: &Path, level: u8, runtime: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let psg = support::build(&path.to_string_lossy(), &text)?;
    let (expected, code) = support::run(&psg, &[]);
    let output = native(&job(psg, level, Want::Object), runtime, &[])?;
    let out = String::from_utf8_lossy(&output.stdout);
    // What a stop prints to the error stream is worded by each side.
    if output.status.code() != Some(code) || !expected.starts_with(&*out) {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{:?} instead of {code}\n--- interpreter\n{expected}--- native\n{out}{errors}",
            output.status
        ));
    }
    Ok(())
}

#[test]
fn one_file() {
    let (Ok(path), Some(runtime)) = (env::var("CLEFC_TRY"), runtime()) else { return };
    let text = fs::read_to_string(&path).expect("a text");
    let psg = support::build(&path, &text).unwrap_or_else(|e| panic!("{e}"));
    let level = env::var("CLEFC_LEVEL").map_or(2, |l| l.parse().expect("a level"));
    if let Ok(form) = env::var("CLEFC_SHOW") {
        let want = match form.as_str() {
            "mlir" => Want::Mlir,
            "asm" => Want::Asm,
            _ => Want::Llvm,
        };
        let answer = clef_backends::run(&job(psg.clone(), level, want));
        eprintln!("{}", String::from_utf8_lossy(&answer.files[0].1));
    }
    let args = env::var("CLEFC_ARGS").unwrap_or_default();
    let args: Vec<&str> = args.split_whitespace().collect();
    let output = native(&job(psg, level, Want::Object), &runtime, &args).unwrap_or_else(|e| panic!("{e}"));
    eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{}", output.status);
}

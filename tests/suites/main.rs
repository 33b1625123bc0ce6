//! All whole-compiler tests, one trial per case, named by suite and file.

mod abi;
mod bad_input;
mod bindgen;
mod code_objects;
mod device;
mod diagnostics;
mod docs;
mod example;
#[path = "../fuzz/mod.rs"]
mod fuzz;
mod hsa;
mod kernels;
mod listings;
mod litmus;
mod managed;
mod npu;
mod npu_files;
mod programs;
mod random_agents;
mod random_language;
mod snapshots;
mod spec;
mod sync;
mod tidy;
mod trace;
mod validation;
mod voice;
mod weakened;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if fuzz::serve() {
        return;
    }
    let arguments = Arguments::from_args();
    let compiler = clef_tests::clefc();
    if !compiler.is_file() {
        eprintln!("there is no compiler at {}: run ./x build, or set CLEFC", compiler.display());
        std::process::exit(2);
    }
    let mut trials = Vec::new();
    trials.extend(tidy::trials());
    trials.extend(programs::trials());
    trials.extend(spec::trials());
    trials.extend(snapshots::trials());
    trials.extend(diagnostics::trials());
    trials.extend(bad_input::trials());
    trials.extend(docs::trials());
    trials.extend(litmus::trials());
    trials.extend(listings::trials());
    trials.extend(managed::trials());
    trials.extend(device::trials());
    trials.extend(example::trials());
    trials.extend(trace::trials());
    trials.extend(code_objects::trials());
    trials.extend(hsa::trials());
    trials.extend(weakened::trials());
    trials.extend(kernels::trials());
    trials.extend(npu::trials());
    trials.extend(npu_files::trials());
    trials.extend(abi::trials());
    trials.extend(random_agents::trials());
    trials.extend(validation::trials());
    trials.extend(random_language::trials());
    trials.extend(fuzz::trials());
    trials.extend(sync::trials());
    trials.extend(voice::trials());
    trials.extend(bindgen::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

/// A trial from a function that returns a reason for failure.
pub fn trial(name: impl Into<String>, test: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    Trial::test(name, move || test().map_err(Into::into))
}

/// First seed and number of cases of a suite of random programs: `NAME=first:count`, else from 1, and more with
/// `CLEF_LONG=1`.
pub fn seeds(name: &str, usual: u64, long: u64) -> (u64, u64) {
    let asked = std::env::var(name).ok();
    let pair = asked.as_deref().and_then(|text| text.split_once(':'));
    if let Some((first, count)) = pair
        && let (Ok(first), Ok(count)) = (first.parse(), count.parse())
    {
        return (first, count);
    }
    let is_long = std::env::var("CLEF_LONG").is_ok_and(|v| v == "1");
    (1, if is_long { long } else { usual })
}

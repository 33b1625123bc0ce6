//! Libraries that do not work: each way to fail gives a report and the host executor, or an error where HSA was forced.

#![allow(unsafe_code)]

mod support;

use clef_runtime::hsa::sys;
use std::path::PathBuf;
use std::process::Command;
use support::*;

/// A dispatch that works on any agents.
fn work() {
    let a = ints(16);
    let fill = at(10, fill_kernel(), GPU, 0, header(0, 2));
    fill.run(&[a as u64, 3]);
    fill.wait();
    assert_eq!((0..16).map(|i| get(5, a, i)).collect::<Vec<_>>(), [3; 16]);
}

/// Unasked, the host takes over with one line that has `part`; asked for HSA, the program ends with 2 and `part`.
#[track_caller]
fn reports(name: &str, environment: &[(&str, &str)], part: &str) {
    let ended = scenario(name, environment, work);
    ended.ends(0, part);
    ended.ends(0, "; the host plays the agents");
    assert!(is_child() || ended.errors.lines().count() == 1, "{}", ended.errors);
    let mut forced = environment.to_vec();
    forced.push(("CLEF_AGENTS", "hsa"));
    let ended = scenario(&format!("{name}-forced"), &forced, work);
    ended.ends(2, part);
    ended.ends(2, "clef: CLEF_AGENTS=hsa asks for AMD agents through HSA, but ");
}

/// A folder for what a test writes; kept until its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("clef-hsa-start-{name}"));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !is_child() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

#[test]
fn nobody_asked_and_nothing_is_there() {
    let ended = scenario("quiet", &[], work);
    ended.fine();
    assert!(is_child() || ended.errors.is_empty(), "{}", ended.errors);
    // A library that works is used without a word too.
    let library = hsa_mock();
    let ended = scenario("quiet-mock", &[("CLEF_HSA_LIBRARY", &library)], work);
    ended.fine();
    assert!(is_child() || ended.errors.is_empty(), "{}", ended.errors);
    // The host when it is asked for, with a library or without.
    let broken = [("CLEF_HSA_LIBRARY", "/none"), ("CLEF_AGENTS", "host")];
    let ended = scenario("quiet-host", &broken, work);
    ended.fine();
    assert!(is_child() || ended.errors.is_empty(), "{}", ended.errors);
}

#[test]
fn a_library_that_cannot_be_loaded() {
    let folder = Folder::new("load");
    let text = folder.0.join("text.so");
    std::fs::write(&text, "no library").unwrap();
    for (name, library) in [("absent", "/none/libhsa.so"), ("text", text.to_str().unwrap())] {
        reports(name, &[("CLEF_HSA_LIBRARY", library)], &format!("`{library}` cannot be loaded: "));
    }
}

#[test]
fn a_library_without_one_of_the_functions() {
    let folder = Folder::new("symbols");
    for missing in sys::REQUIRED {
        let library = folder.0.join(format!("without_{missing}.so"));
        if !is_child() {
            let others: String = sys::REQUIRED
                .iter()
                .filter(|name| *name != missing)
                .map(|name| format!("int {name}(void) {{ return 0x1000; }}\n"))
                .collect();
            let file = library.with_extension("c");
            std::fs::write(&file, others).unwrap();
            let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&file).status();
            assert!(built.unwrap().success());
        }
        reports(
            missing,
            &[("CLEF_HSA_LIBRARY", library.to_str().unwrap())],
            &format!("has no function `{missing}`: it is no usable HSA library"),
        );
    }
}

/// Functions without a status, and those that a program can do without.
const NO_MATTER: &[&str] = &[
    "hsa_shut_down",
    "hsa_status_string",
    "hsa_amd_agent_memory_pool_get_info",
    "hsa_signal_load_relaxed",
    "hsa_signal_store_relaxed",
    "hsa_signal_store_screlease",
    "hsa_signal_wait_scacquire",
    "hsa_queue_store_write_index_relaxed",
    "hsa_queue_load_read_index_scacquire",
];

#[test]
fn each_call_fails_in_turn() {
    let library = hsa_mock();
    for call in sys::REQUIRED.iter().chain(sys::OPTIONAL).filter(|c| !NO_MATTER.contains(c)) {
        let environment = [("CLEF_HSA_LIBRARY", library.as_str()), ("CLEF_HSA_MOCK_FAIL", call)];
        reports(call, &environment, &format!("{call} returned 0x1000 (HSA_STATUS_ERROR)"));
    }
}

#[test]
fn a_library_that_hangs() {
    let library = hsa_mock();
    for call in ["hsa_init", "hsa_iterate_agents", "hsa_queue_create", "hsa_amd_memory_fill"] {
        let environment = [
            ("CLEF_HSA_LIBRARY", library.as_str()),
            ("CLEF_HSA_MOCK_HANG", call),
            ("CLEF_HSA_TIMEOUT_MS", "300"),
        ];
        reports(call, &environment, "did not start within 300 ms");
    }
}

#[test]
fn no_driver_and_no_agents() {
    let library = hsa_mock();
    let with = |name: &str, variable: (&str, &str), part: &str| {
        let environment = [("CLEF_HSA_LIBRARY", library.as_str()), variable];
        // The usual case: no word where nobody asked.
        let ended = scenario(name, &environment, work);
        ended.fine();
        assert!(is_child() || ended.errors.is_empty(), "{}", ended.errors);
        let forced = [environment[0], environment[1], ("CLEF_AGENTS", "hsa")];
        scenario(&format!("{name}-forced"), &forced, work).ends(2, part);
    };
    with(
        "driver",
        ("CLEF_HSA_MOCK_FAIL", "hsa_init=0x1008"),
        "cannot start: hsa_init returned 0x1008 (HSA_STATUS_ERROR_OUT_OF_RESOURCES); there is no AMD driver",
    );
    with("cpu-only", ("CLEF_HSA_MOCK_AGENTS", "cpu"), "knows no GPU and no NPU");
    with(
        "foreign",
        ("CLEF_HSA_MOCK_AGENTS", "cpu gpu=amdgcn-amd-amdhsa--gfx1151"),
        "this program has no code for the GPU mock-gpu (amdgcn-amd-amdhsa--gfx1151)",
    );
}

/// ROCr from Debian, on a machine without its driver.
#[test]
fn the_real_library_without_hardware() {
    if std::path::Path::new("/dev/kfd").exists() {
        return;
    }
    let name = "libhsa-runtime64.so.1";
    let ended = scenario("real", &[("CLEF_HSA_LIBRARY", name)], work);
    ended.fine();
    assert!(is_child() || ended.errors.is_empty(), "{}", ended.errors);
    let forced = scenario("real-forced", &[("CLEF_HSA_LIBRARY", name), ("CLEF_AGENTS", "hsa")], work);
    forced.ends(
        2,
        "hsa_init returned 0x1008 (HSA_STATUS_ERROR_OUT_OF_RESOURCES); there is no AMD driver (/dev/kfd)",
    );
}

#[test]
fn a_machine_with_only_one_of_the_agents() {
    let library = hsa_mock();
    for agents in ["cpu gpu", "cpu npu", "cpu gpu gpu npu", "cpu gpu=amdgcn-amd-amdhsa--gfx1151 npu"] {
        let environment = [
            ("CLEF_HSA_LIBRARY", library.as_str()),
            ("CLEF_HSA_MOCK_AGENTS", agents),
            ("CLEF_AGENTS", "hsa"),
        ];
        scenario(agents, &environment, || {
            let (a, b, c) = (ints(16), ints(16), ints(16));
            let first = at(10, fill_kernel(), GPU, 0, header(0, 2));
            let second = at(11, next_kernel(), NPU, 0, 0).flags(1).after(&[&first]);
            let third = at(12, next_kernel(), GPU, 1, header(2, 2)).after(&[&second]);
            first.run(&[a as u64, 3]);
            second.run(&[a as u64, b as u64]);
            third.run(&[b as u64, c as u64]);
            third.wait();
            assert_eq!((0..16).map(|i| get(5, c, i)).collect::<Vec<_>>(), [5; 16]);
        })
        .fine();
    }
    let environment = [("CLEF_HSA_LIBRARY", library.as_str()), ("CLEF_AGENTS", "hsa")];
    let ended = scenario("device-1", &environment, || {
        let fill = at(10, fill_kernel(), GPU, 0, header(0, 2));
        fill.dispatch.device = 1;
        fill.run(&[ints(4) as u64, 1]);
    });
    ended.ends(134, "test.clef:10:5: kernel `fill` could not be dispatched: there is 1 GPU; GPU 1 was named");
}

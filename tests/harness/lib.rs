//! What all suites share: where things are, running the compiler, comparing with golden files.

pub mod agent_programs;
pub mod random;
pub mod reference;
pub mod shrink;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// No program of the tests may take longer than this.
const LIMIT: Duration = Duration::from_secs(120);

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_else(|_| PathBuf::from(".."))
}

/// The compiler under test: `$CLEFC`, else the release build.
pub fn clefc() -> PathBuf {
    std::env::var_os("CLEFC").map_or_else(|| root().join("target/release/clefc"), PathBuf::from)
}

/// The stand-in for ROCr's library that tests load (`tests/hsa_mock`): cargo builds it beside the test programs.
pub fn hsa_mock() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name("libhsa_runtime64.so")
}

/// The Vulkan layer of faults (`tests/vulkan_faults`), built by cargo in the same way.
pub fn vulkan_faults() -> PathBuf {
    hsa_mock().with_file_name("libclef_vulkan_faults.so")
}

/// Whether golden files are to be rewritten.
pub fn blessing() -> bool {
    std::env::var_os("CLEFC_BLESS").is_some_and(|v| v == "1")
}

/// What a process did.
#[derive(Clone, Debug)]
pub struct Done {
    /// Exit code; 128 + signal where a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, with standard input from a string.
pub fn run(command: &mut Command, stdin: &str) -> Result<Done, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot start {command:?}: {e}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input closes the pipe: that is its right.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    let stop = {
        let id = child.id();
        let (send, receive) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            if receive.recv_timeout(LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").arg("-9").arg(id.to_string()).status();
            }
        });
        send
    };
    let start = Instant::now();
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    drop(stop);
    if start.elapsed() >= LIMIT {
        return Err(format!("{command:?} did not end within {LIMIT:?}"));
    }
    use std::os::unix::process::ExitStatusExt;
    Ok(Done {
        code: output.status.code().or_else(|| output.status.signal().map(|s| 128 + s)).unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs `clefc` with these arguments in the repository's root.
pub fn clefc_run<S: AsRef<OsStr>>(args: &[S]) -> Result<Done, String> {
    run(Command::new(clefc()).args(args).current_dir(root()), "")
}

/// A folder that goes with its owner.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("clef-tests-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        Self(path)
    }

    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// All files with an extension below a folder, sorted.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Compares, naming the first line that differs.
pub fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let (mut wanted, mut got) = (expected.lines(), found.lines());
    let mut line = 1;
    loop {
        match (wanted.next(), got.next()) {
            (a, b) if a == b && a.is_some() => line += 1,
            (a, b) => {
                return Err(format!(
                    "{what}: line {line} differs\n  expected: {}\n  found:    {}\nall that was found:\n{found}",
                    a.unwrap_or("(end)"),
                    b.unwrap_or("(end)")
                ));
            }
        }
    }
}

/// Compares with a golden file; with CLEFC_BLESS=1 writes it.
pub fn golden(path: &Path, found: &str) -> Result<(), String> {
    if blessing() {
        return fs::write(path, found).map_err(|e| format!("cannot write {}: {e}", path.display()));
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    same(&path.display().to_string(), &expected, found)
        .map_err(|text| format!("{text}\nif this is right: CLEFC_BLESS=1 ./x test"))
}

//! `clefc doctor`: what this machine has for the compiler and its programs, and how to get what is missing.

use super::agents;
use crate::backend;
use crate::output;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

struct Tool {
    what: &'static str,
    needed_for: &'static str,
    /// Without it programs cannot be built.
    required: bool,
    package: &'static str,
    find: fn() -> Option<PathBuf>,
}

const TOOLS: &[Tool] = &[
    Tool {
        what: "clefc-backend",
        needed_for: "building programs",
        required: true,
        package: "",
        find: backend::path,
    },
    Tool {
        what: "C compiler driver (cc)",
        needed_for: "linking",
        required: true,
        package: "gcc",
        find: || ["cc", "clang-22", "clang", "gcc"].iter().find_map(|p| backend::find_program(p)),
    },
    Tool {
        what: "lld",
        needed_for: "faster linking",
        required: false,
        package: "lld-22",
        find: || any(&["ld.lld", "ld.lld-22"]),
    },
    Tool {
        what: "Vulkan loader",
        needed_for: "GPU kernels through Vulkan",
        required: false,
        package: "libvulkan1 mesa-vulkan-drivers",
        find: || library("libvulkan.so.1"),
    },
    Tool {
        what: "spirv-val",
        needed_for: "checking SPIR-V",
        required: false,
        package: "spirv-tools",
        find: || any(&["spirv-val"]),
    },
    Tool {
        what: "mlir-opt",
        needed_for: "reading emitted MLIR",
        required: false,
        package: "mlir-22-tools",
        find: || any(&["mlir-opt-22", "mlir-opt"]),
    },
    Tool {
        what: "aie-opt and aiecc (mlir-aie)",
        needed_for: "compiling kernels for the NPU",
        required: false,
        package: "",
        find: || any(&["aie-opt"]).and(any(&["aiecc", "aiecc.py"])),
    },
    Tool {
        what: "libclang",
        needed_for: "clefc bindgen",
        required: false,
        package: "libclang-22-dev",
        find: libclang,
    },
    Tool {
        what: "ROCr (libhsa-runtime64)",
        needed_for: "AMD devices",
        required: false,
        package: "libhsa-runtime64-1",
        find: || library("libhsa-runtime64.so.1"),
    },
];

pub fn run() -> u8 {
    let mut text = format!("clefc {}\n", env!("CARGO_PKG_VERSION"));
    let mut missing = false;
    for tool in TOOLS {
        match (tool.find)() {
            Some(path) => {
                let _ = writeln!(text, "  found    {}: {}", tool.what, path.display());
            }
            None => {
                missing |= tool.required;
                let word = if tool.required { "MISSING " } else { "not here" };
                let _ = write!(text, "  {word} {} (for {})", tool.what, tool.needed_for);
                if tool.package.is_empty() {
                    text.push('\n');
                } else {
                    let _ = writeln!(text, ": apt-get install {}", tool.package);
                }
            }
        }
    }
    text.push_str("Agents (`clefc agents` lists only these):\n");
    for line in agents::text().lines() {
        let _ = writeln!(text, "  {line}");
    }
    match output::stdout(text.as_bytes()) {
        Ok(()) if !missing => 0,
        _ => output::USAGE,
    }
}

fn any(programs: &[&str]) -> Option<PathBuf> {
    programs.iter().find_map(|p| {
        backend::find_program(p).or_else(|| {
            let path = Path::new("/usr/lib/llvm-22/bin").join(p);
            path.is_file().then_some(path)
        })
    })
}

/// libclang, where Debian puts it.
fn libclang() -> Option<PathBuf> {
    let configured = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    let folders = configured.into_iter().chain([PathBuf::from("/usr/lib/llvm-22/lib")]);
    folders.map(|folder| folder.join("libclang.so")).find(|p| p.exists()).or_else(|| library("libclang.so"))
}

/// A shared library in the places where Debian and the dynamic loader look.
fn library(name: &str) -> Option<PathBuf> {
    let configured = std::env::var_os("LD_LIBRARY_PATH");
    let listed = configured.iter().flat_map(std::env::split_paths);
    let usual = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/opt/rocm/lib"];
    listed.chain(usual.iter().map(PathBuf::from)).map(|folder| folder.join(name)).find(|p| p.exists())
}

//! Projects: a `.fidproj` file, or a single `.clef` file that needs none.

use crate::chips::Chips;
use crate::link::libraries::Link;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What to compile and for what, after defaults and command line.
#[derive(Clone, Debug)]
pub struct Project {
    pub name: String,
    /// Source files in order: how to open them, and the name shown and recorded (relative to the project's folder).
    pub sources: Vec<(PathBuf, String)>,
    pub target: Target,
    pub gpu: Gpu,
    /// Chips whose code the executable carries, where the project or the command line lists them.
    pub chips: Option<Chips>,
    pub npu: Npu,
    /// Agents of externs by entry point.
    pub agents: BTreeMap<String, String>,
    pub link: Link,
    /// What the NPU's own compiler made of kernels, by the kernel's name; paths as in the project file.
    pub npu_kernels: BTreeMap<String, NpuKernel>,
    /// The folder that the paths of the project file are relative to.
    pub folder: PathBuf,
    /// The executable's default path.
    pub output: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    Cpu,
    #[default]
    Hsa,
    Cxl,
    Rdma,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Gpu {
    Vulkan,
    /// An AMD GPU through HSA, with a code object for each of the project's chips
    Rocm,
    /// The first that is there when the program runs: an AMD GPU through HSA, a GPU through Vulkan, the host
    Any,
    #[default]
    Host,
}

impl Gpu {
    /// Whether executables carry SPIR-V, and the plan that Vulkan needs.
    pub fn has_spirv(self) -> bool {
        matches!(self, Self::Vulkan | Self::Any)
    }

    /// Who plays the GPU where nobody says so when the program runs, as the runtime knows it; none: the host.
    pub fn agent(self) -> Option<&'static str> {
        match self {
            Self::Vulkan => Some("vulkan"),
            Self::Rocm => Some("hsa"),
            Self::Any => Some("any"),
            Self::Host => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Npu {
    Xdna,
    #[default]
    Host,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    package: Package,
    #[serde(default)]
    compilation: Compilation,
    #[serde(default)]
    agents: BTreeMap<String, AgentName>,
    build: Build,
    #[serde(default)]
    link: Link,
    #[serde(default)]
    npu: NpuTable,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct NpuTable {
    #[serde(default)]
    kernel: BTreeMap<String, NpuKernel>,
}

/// `[npu.kernel.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpuKernel {
    /// The image of the array.
    pub pdi: PathBuf,
    /// The instructions that start it.
    pub instructions: PathBuf,
    /// Its last object is `clef_status`.
    #[serde(default)]
    pub status: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    name: String,
    #[serde(default, rename = "version")]
    _version: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Compilation {
    #[serde(default)]
    target: Target,
    #[serde(default)]
    gpu: Gpu,
    chips: Option<Chips>,
    #[serde(default)]
    npu: Npu,
}

#[derive(Deserialize)]
enum AgentName {
    #[serde(rename = "CPU")]
    Cpu,
    #[serde(rename = "GPU")]
    Gpu,
    #[serde(rename = "NPU")]
    Npu,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    sources: Vec<String>,
    output: Option<String>,
}

/// Finds what a path on the command line means: a source file, a project file, or a folder with one project file.
pub fn open(path: &Path) -> Result<Project, Diagnostic> {
    if path.is_dir() {
        return open_manifest(&find_manifest(path)?);
    }
    if !path.exists() {
        let text = format!("there is no file or folder `{}`", path.display());
        return Err(Diagnostic::without_place(codes::NO_SUCH_FILE, text)
            .help("give a `.clef` file, a `.fidproj` file, or a folder that holds one"));
    }
    match path.extension().and_then(|e| e.to_str()) {
        Some("fidproj") => open_manifest(path),
        _ => Ok(single_file(path)),
    }
}

fn single_file(path: &Path) -> Project {
    let name = path.file_stem().map_or_else(|| "program".to_owned(), |s| s.to_string_lossy().into_owned());
    let shown = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Project {
        output: PathBuf::from(&name),
        name,
        sources: vec![(path.to_owned(), shown)],
        target: Target::default(),
        gpu: Gpu::default(),
        chips: None,
        npu: Npu::default(),
        agents: BTreeMap::new(),
        link: Link::default(),
        npu_kernels: BTreeMap::new(),
        folder: PathBuf::new(),
    }
}

fn find_manifest(folder: &Path) -> Result<PathBuf, Diagnostic> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|e| {
            let text =
                format!("cannot read the folder `{}`: {}", folder.display(), crate::output::reason(&e));
            Diagnostic::without_place(codes::UNREADABLE, text)
        })?
        .flatten()
        .map(|entry| entry.path())
        .filter(|p| p.extension().is_some_and(|e| e == "fidproj"))
        .collect();
    found.sort();
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(Diagnostic::without_place(
            codes::NO_PROJECT,
            format!("the folder `{}` holds no project file (`NAME.fidproj`)", folder.display()),
        )
        .help("name a `.clef` file, or make a project with `clefc new NAME`")),
        n => Err(Diagnostic::without_place(
            codes::NO_PROJECT,
            format!("the folder `{}` holds {n} project files", folder.display()),
        )
        .help(format!("name one of them: {}", names(&found)))),
    }
}

fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| format!("`{}`", p.display())).collect::<Vec<_>>().join(", ")
}

fn open_manifest(path: &Path) -> Result<Project, Diagnostic> {
    let text = fs::read_to_string(path).map_err(|e| {
        let text = format!("cannot read `{}`: {}", path.display(), crate::output::reason(&e));
        Diagnostic::without_place(codes::UNREADABLE, text)
    })?;
    let manifest: Manifest = toml::from_str(&text).map_err(|e| bad_manifest(path, &text, &e))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    if manifest.build.sources.is_empty() {
        let text = format!("`{}` lists no source files", path.display());
        return Err(Diagnostic::without_place(codes::BAD_PROJECT, text)
            .help("add them to `[build] sources`, in order"));
    }
    let sources = manifest.build.sources.iter().map(|s| (folder.join(s), s.clone())).collect();
    let output = folder.join(manifest.build.output.unwrap_or_else(|| manifest.package.name.clone()));
    let agents = manifest
        .agents
        .into_iter()
        .map(|(entry, agent)| {
            let agent = match agent {
                AgentName::Cpu => "CPU",
                AgentName::Gpu => "GPU",
                AgentName::Npu => "NPU",
            };
            (entry, agent.to_owned())
        })
        .collect();
    Ok(Project {
        name: manifest.package.name,
        sources,
        target: manifest.compilation.target,
        gpu: manifest.compilation.gpu,
        chips: manifest.compilation.chips,
        npu: manifest.compilation.npu,
        agents,
        link: manifest.link,
        npu_kernels: manifest.npu.kernel,
        folder: folder.to_owned(),
        output,
    })
}

fn bad_manifest(path: &Path, text: &str, error: &toml::de::Error) -> Diagnostic {
    let place = error.span().map_or_else(String::new, |span| {
        let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
        format!(":{line}")
    });
    let what = error.message().lines().next().unwrap_or("malformed").to_owned();
    Diagnostic::without_place(codes::BAD_PROJECT, format!("`{}{place}`: {what}", path.display()))
        .help("the keys of a project file are listed in docs/projects.md")
}

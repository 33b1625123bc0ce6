//! The command line: what can be asked, and who answers.

use crate::chips::{self, Chips};
use crate::commands;
use crate::emit::Stage;
use crate::output;
use crate::project::{self, Gpu, Npu, Project, Target};
use crate::render::{self, Format};
use crate::session::Session;
use clap::{Args, Parser, Subcommand};
use clef_frontend::diagnostic::Diagnostic;
use std::path::PathBuf;

/// Ahead-of-time compiler for Clef programs that span CPU, GPU and NPU.
#[derive(Parser)]
#[command(name = "clefc", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a project that builds and runs
    New { name: String },
    /// Report errors and warnings only
    Check(CheckArgs),
    /// Make an executable
    Build(BuildArgs),
    /// Build and run
    Run(RunArgs),
    /// Print what a stage made
    Emit(EmitArgs),
    /// Show every handoff between agents, its synchronisation and its cost
    Fences(FencesArgs),
    /// Show that each element of the fence plan is needed: take each away, narrow each scope
    Audit(AuditArgs),
    /// Make a Clef module of a C header
    Bindgen(BindgenArgs),
    /// Print the program semantic graph
    Psg(PsgArgs),
    /// Explain a diagnostic
    Explain { code: String },
    /// Show the tools found, and what is missing
    Doctor,
    /// List who can play CPU, GPU and NPU on this machine: devices, drivers, memory
    Agents,
}

#[derive(Args)]
pub struct Input {
    /// A `.clef` file, a `.fidproj` file, or a folder that holds one
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// How to show diagnostics
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub message_format: Format,
    #[command(flatten)]
    routes: Routes,
}

#[derive(Args)]
struct Routes {
    /// Transport tier
    #[arg(long, value_enum)]
    target: Option<Target>,
    /// Route to the GPU
    #[arg(long, value_enum)]
    gpu: Option<Gpu>,
    /// Chips whose code the executable carries for its GPU: gfx1151,gfx942, or `all`, `none`
    #[arg(long, value_name = "LIST", value_parser = chips::parse)]
    chips: Option<Chips>,
    /// Route to the NPU
    #[arg(long, value_enum)]
    npu: Option<Npu>,
}

#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub input: Input,
    /// Show how long each stage took
    #[arg(long)]
    pub time_passes: bool,
}

#[derive(Args, Clone, Copy)]
pub struct CodeOptions {
    /// Optimise as far as possible
    #[arg(long)]
    pub release: bool,
    /// Optimisation level: 0, 2 or 3 (default 2; with --release 3)
    #[arg(short = 'O', value_parser = clap::value_parser!(u8).range(0..=3))]
    pub opt_level: Option<u8>,
    /// Processor that host code is made for
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    pub arch: Arch,
    /// Insert no synchronisation: for tests that show what it is needed for
    #[arg(long, hide = true)]
    pub no_fences: bool,
    /// Build with the mutant of the fence plan that has this number in the output of `audit`: for tests
    #[arg(long, hide = true)]
    pub mutant: Option<usize>,
    /// Show how long each stage took
    #[arg(long)]
    pub time_passes: bool,
}

/// Processors of hosts. Linux on all of them.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Arch {
    /// With AVX2, as every machine with an NPU has it
    #[value(name = "x86-64")]
    X86_64,
    /// Objects only: the runtime is not built for it
    #[value(name = "aarch64")]
    Aarch64,
}

impl Arch {
    /// LLVM's name of the platform.
    pub fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// LLVM's name of the least processor that code must run on.
    pub fn cpu(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64-v3",
            Self::Aarch64 => "generic",
        }
    }
}

#[derive(Args)]
pub struct BuildArgs {
    #[command(flatten)]
    pub input: Input,
    /// The executable's path
    #[arg(short)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub code: CodeOptions,
    /// Build with hooks for adversarial memory
    #[arg(long, hide = true)]
    pub adversarial: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Coherence {
    /// As the machine has it
    Native,
    /// Each agent works on its own copy of memory; only the fence plan moves data
    Adversarial,
}

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub code: CodeOptions,
    /// Memory model to run under
    #[arg(long, value_enum, default_value_t = Coherence::Native)]
    pub coherence: Coherence,
    /// Seed of the adversarial order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Run in the interpreter, the reference meaning, without making code
    #[arg(long)]
    pub interpret: bool,
    /// Write what each agent did when, in the format that Chrome and Perfetto read
    #[arg(long, value_name = "FILE", conflicts_with = "interpret")]
    pub trace: Option<PathBuf>,
    /// Show at the end what each agent spent its time on
    #[arg(long, conflicts_with = "interpret")]
    pub stats: bool,
    /// Arguments of the program
    #[arg(last = true)]
    pub args: Vec<String>,
}

#[derive(Args)]
pub struct EmitArgs {
    /// What to print
    #[arg(value_enum)]
    pub stage: Stage,
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub code: CodeOptions,
    /// A file, or for spirv a folder; standard output otherwise
    #[arg(short)]
    pub output: Option<PathBuf>,
    /// Print the module after this pass instead
    #[arg(long, value_parser = ["lower", "generic"])]
    pub dump_after: Option<String>,
}

#[derive(Args)]
pub struct FencesArgs {
    #[command(flatten)]
    pub input: Input,
    /// Cost table: hsa-gfx1151, hsa-gfx942, vulkan (default: the project's)
    #[arg(long)]
    pub cost: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = FencesFormat::Human)]
    pub format: FencesFormat,
}

#[derive(Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub input: Input,
    /// Cost table whose plan is audited (default: the project's)
    #[arg(long)]
    pub cost: Option<String>,
}

#[derive(Args)]
pub struct BindgenArgs {
    /// The header
    pub header: PathBuf,
    /// The module's file; standard output otherwise
    #[arg(short)]
    pub output: Option<PathBuf>,
    /// Settings: what to bind, names, effects (docs/bindings.md)
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// A folder in which included headers are looked up; may repeat
    #[arg(short = 'I', value_name = "FOLDER")]
    pub include: Vec<PathBuf>,
    /// The module's name
    #[arg(long)]
    pub module: Option<String>,
    /// The library's name in `[<Extern>]`
    #[arg(long)]
    pub library: Option<String>,
    /// Also write a C file of static assertions that proves sizes and offsets
    #[arg(long, value_name = "FILE")]
    pub assertions: Option<PathBuf>,
    /// How to show diagnostics
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub message_format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FencesFormat {
    Human,
    Json,
}

#[derive(Args)]
pub struct PsgArgs {
    #[command(flatten)]
    pub input: Input,
    #[arg(long, value_enum, default_value_t = PsgFormat::Dot)]
    pub format: PsgFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PsgFormat {
    Dot,
    Json,
    Html,
}

/// Parses the command line and runs the command; the process's exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with code 0, the rest to standard error with code 2.
            let _ = error.print();
            return if error.use_stderr() { output::USAGE } else { 0 };
        }
    };
    match cli.command {
        Command::New { name } => commands::new::run(&name),
        Command::Check(args) => commands::check::run(&args),
        Command::Build(args) => commands::build::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Emit(args) => crate::emit::run(&args),
        Command::Fences(args) => commands::fences::run(&args),
        Command::Audit(args) => commands::audit::run(&args),
        Command::Bindgen(args) => crate::bindgen::run(&args),
        Command::Psg(args) => commands::psg::run(&args),
        Command::Explain { code } => commands::explain::run(&code),
        Command::Doctor => commands::doctor::run(),
        Command::Agents => commands::agents::run(),
    }
}

impl Input {
    /// Opens the project and applies the command line to it. What cannot be used is shown; then the exit code.
    pub fn open(&self) -> Result<Project, u8> {
        let opened = project::open(&self.path).and_then(|mut project| {
            project.target = self.routes.target.unwrap_or(project.target);
            project.gpu = self.routes.gpu.unwrap_or(project.gpu);
            project.chips = self.routes.chips.clone().or(project.chips);
            project.npu = self.routes.npu.unwrap_or(project.npu);
            commands::available(&project)?;
            Ok(project)
        });
        opened.map_err(|diagnostic| self.fail(diagnostic))
    }

    /// Shows a diagnostic about the command line, a file or the machine.
    pub fn fail(&self, diagnostic: Diagnostic) -> u8 {
        render::show(&Session::default(), &[diagnostic], self.message_format);
        output::USAGE
    }
}

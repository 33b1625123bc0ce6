//! Chips whose code an executable can carry, and which of them it does.
//!
//! A program that is built for a GPU of AMD's carries a code object for each chip of a list; which one is loaded is
//! decided when it runs, by the instruction set of the agent that is there. The list is a setting. It has no effect on
//! programs whose GPU is the host.

use crate::project::Gpu;
use serde::Deserialize;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chip {
    Gfx1151,
    Gfx1100,
    Gfx942,
    Gfx1201,
    #[serde(rename = "sm_90")]
    Sm90,
}

impl Chip {
    pub const ALL: [Self; 5] = [Self::Gfx1151, Self::Gfx1100, Self::Gfx942, Self::Gfx1201, Self::Sm90];

    /// LLVM's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gfx1151 => "gfx1151",
            Self::Gfx1100 => "gfx1100",
            Self::Gfx942 => "gfx942",
            Self::Gfx1201 => "gfx1201",
            Self::Sm90 => "sm_90",
        }
    }

    /// The name of its instruction set, as the runtime compares it with an agent's.
    pub fn isa(self) -> String {
        match self {
            Self::Sm90 => format!("nvptx64-nvidia-cuda--{}", self.name()),
            _ => format!("amdgcn-amd-amdhsa--{}", self.name()),
        }
    }

    /// Chips that a GPU agent of this version can be: nothing runs PTX.
    pub fn has_agent(self) -> bool {
        self != Self::Sm90
    }
}

/// A list on the command line: names with commas, `all`, or `none`.
pub fn parse(text: &str) -> Result<Chips, String> {
    match text {
        "all" => return Ok(Chips(Chip::ALL.to_vec())),
        "none" => return Ok(Chips(Vec::new())),
        _ => {}
    }
    let one = |name: &str| {
        Chip::ALL.into_iter().find(|chip| chip.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Chip::ALL.iter().map(|chip| chip.name()).collect();
            format!("`{name}` is not a chip that code is made for: {}, or `all`, `none`", known.join(", "))
        })
    };
    text.split(',').map(|name| one(name.trim())).collect::<Result<Vec<_>, _>>().map(Chips)
}

/// A list as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Chips(pub Vec<Chip>);

/// The chips whose code a program carries, each once, in the order of [`Chip::ALL`].
pub fn carried(gpu: Gpu, listed: Option<&Chips>) -> Vec<Chip> {
    let wanted = |chip: &Chip| match (gpu, listed) {
        (Gpu::Host, _) => false,
        (_, Some(list)) => list.0.contains(chip),
        (Gpu::Rocm | Gpu::Any, None) => chip.has_agent(),
        (Gpu::Vulkan, None) => false,
    };
    Chip::ALL.into_iter().filter(wanted).collect()
}

//! How many wavefronts of each kernel a SIMD of an AMD chip can hold at once, and what limits them.
//!
//! What a kernel takes is read from the assembly's metadata, which is what the loader gets. What a chip has is in
//! [`limits`]. The figures are those of a compute unit that runs nothing else; LLVM counts the same ones for its own
//! comment (`; Occupancy:` in the assembly), and a test holds both together.

use super::target::Chip;
use std::fmt::Write as _;

/// What wavefronts of a chip share.
struct Limits {
    /// Wavefronts that a SIMD keeps.
    waves: u32,
    /// SIMDs that the wavefronts of a workgroup are spread over, and what those are called together.
    simds: u32,
    unit: &'static str,
    /// Vector registers of each lane of a SIMD, and the block that they are given out in.
    vgprs: u32,
    vgpr_block: u32,
    /// Scalar registers limit wavefronts (from RDNA on each has its own set).
    sgprs: bool,
    /// Bytes of workgroup memory in the unit.
    lds: u32,
    /// Workgroups of more than one wavefront in the unit: each takes a barrier.
    barriers: u32,
}

/// Sources: AMD's ISA references "RDNA3" and "RDNA3.5" (sections on wavefront resources), "RDNA4", and "CDNA3" (MI300);
/// LLVM's `AMDGPU.td` and `AMDGPUBaseInfo.cpp` for the blocks of registers, which the references give for the larger
/// chips only. gfx1151 has the 1,536 registers of the larger RDNA3 chips. LLVM compiles RDNA in WGP mode: a workgroup
/// may use both compute units of a work-group processor, four SIMDs and 128 KiB.
fn limits(chip: &Chip) -> Option<Limits> {
    match chip.name {
        "gfx1100" | "gfx1151" | "gfx1201" => Some(Limits {
            waves: 16,
            simds: 4,
            unit: "work-group processor",
            vgprs: 1536,
            vgpr_block: 24,
            sgprs: false,
            lds: 128 << 10,
            barriers: 32,
        }),
        // Ordinary and accumulation registers come from one file of 512.
        "gfx942" => Some(Limits {
            waves: 8,
            simds: 4,
            unit: "compute unit",
            vgprs: 512,
            vgpr_block: 8,
            sgprs: true,
            lds: 64 << 10,
            barriers: 16,
        }),
        _ => None,
    }
}

/// What a kernel takes.
#[derive(Default, Debug, PartialEq, Eq)]
struct Use {
    name: String,
    vgprs: u32,
    sgprs: u32,
    /// Bytes of workgroup memory, for a workgroup; of memory for spilled values, for a work-item.
    lds: u32,
    scratch: u32,
    items: u32,
    wave: u32,
}

impl Use {
    /// Wavefronts of a SIMD, and why not more.
    fn waves(&self, limits: &Limits) -> (u32, &'static str) {
        let by_vgprs = limits.vgprs / self.vgprs.max(1).next_multiple_of(limits.vgpr_block);
        let by_sgprs = match self.sgprs {
            _ if !limits.sgprs => limits.waves,
            0..=100 => 8,
            _ => 7,
        };
        let group = self.items.max(1).div_ceil(self.wave.max(1));
        let waves_of = |groups: u32| (groups * group).div_ceil(limits.simds);
        let by_barriers = if group > 1 { waves_of(limits.barriers) } else { limits.waves };
        let by_lds = limits.lds.checked_div(self.lds).map_or(limits.waves, waves_of);
        // Whole workgroups only.
        let by_groups = waves_of((limits.waves * limits.simds / group).max(1));
        [
            (limits.waves, "nothing"),
            (by_groups, "whole workgroups"),
            (by_barriers, "barriers"),
            (by_lds, "workgroup memory"),
            (by_sgprs, "SGPRs"),
            (by_vgprs.max(1), "VGPRs"),
        ]
        .into_iter()
        .min_by_key(|&(waves, _)| waves)
        .unwrap_or((limits.waves, "nothing"))
    }
}

/// A table as comments of the assembly; empty for chips without figures.
pub fn comments(chip: &Chip, assembly: &str) -> String {
    let Some(limits) = limits(chip) else { return String::new() };
    let kernels = kernels(assembly);
    let width = kernels.iter().map(|kernel| kernel.name.len()).max().unwrap_or(0).max("kernel".len());
    let mut text = format!(
        "; Occupancy on {}: a SIMD holds {} wavefronts of {} at most and has {} VGPRs; a {} has {} SIMDs and {} KiB of \
         workgroup memory\n; {:width$}  VGPRs  SGPRs  workgroup bytes  scratch bytes  work-items  wavefronts of a SIMD  \
         limited by\n",
        chip.name,
        limits.waves,
        chip.wave,
        limits.vgprs,
        limits.unit,
        limits.simds,
        limits.lds >> 10,
        "kernel",
    );
    for kernel in kernels {
        let (waves, why) = kernel.waves(&limits);
        let Use { name, vgprs, sgprs, lds, scratch, items, .. } = kernel;
        let _ = writeln!(
            text,
            "; {name:width$}  {vgprs:5}  {sgprs:5}  {lds:15}  {scratch:13}  {items:10}  {waves:20}  {why}"
        );
    }
    text
}

/// The kernels of the metadata at the assembly's end.
fn kernels(assembly: &str) -> Vec<Use> {
    let mut found = Vec::new();
    let Some((_, metadata)) = assembly.split_once("amdhsa.kernels:") else { return found };
    for line in metadata.lines().skip(1).take_while(|line| line.starts_with(' ')) {
        // Entries begin at the first depth; arguments lie deeper.
        if line.starts_with("  - ") {
            found.push(Use::default());
        }
        let (Some(kernel), Some(entry)) = (found.last_mut(), line.get(4..)) else { continue };
        let Some((key, value)) = entry.split_once(':') else { continue };
        let value = value.trim();
        let number = || value.parse().unwrap_or(0);
        match key {
            ".name" => kernel.name = value.to_owned(),
            ".vgpr_count" => kernel.vgprs = number(),
            ".sgpr_count" => kernel.sgprs = number(),
            ".group_segment_fixed_size" => kernel.lds = number(),
            ".private_segment_fixed_size" => kernel.scratch = number(),
            ".max_flat_workgroup_size" => kernel.items = number(),
            ".wavefront_size" => kernel.wave = number(),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::llvm::target::AMD;

    fn waves(chip: &str, vgprs: u32, sgprs: u32, lds: u32, items: u32) -> (u32, &'static str) {
        let chip = AMD.iter().find(|c| c.name == chip).unwrap();
        let kernel = Use { vgprs, sgprs, lds, items, wave: chip.wave, ..Use::default() };
        kernel.waves(&limits(chip).unwrap())
    }

    #[test]
    fn every_chip_has_figures() {
        assert!(AMD.iter().all(|chip| limits(chip).is_some()));
    }

    #[test]
    fn registers_come_in_blocks() {
        assert_eq!(waves("gfx1151", 96, 100, 0, 64), (16, "nothing"));
        assert_eq!(waves("gfx1151", 97, 100, 0, 64), (12, "VGPRs"));
        assert_eq!(waves("gfx1100", 256, 30, 0, 64), (5, "VGPRs"));
        assert_eq!(waves("gfx942", 64, 30, 0, 64), (8, "nothing"));
        assert_eq!(waves("gfx942", 65, 30, 0, 64), (7, "VGPRs"));
        assert_eq!(waves("gfx942", 512, 30, 0, 64), (1, "VGPRs"));
        assert_eq!(waves("gfx942", 8, 102, 0, 64), (7, "SGPRs"));
    }

    #[test]
    fn workgroups_share_memory_and_run_whole() {
        // Two workgroups of 8 wavefronts in 128 KiB, over four SIMDs.
        assert_eq!(waves("gfx1201", 8, 30, 65536, 256), (4, "workgroup memory"));
        assert_eq!(waves("gfx942", 8, 30, 65536, 256), (1, "workgroup memory"));
        // 32 wavefronts are room for two workgroups of 12.
        assert_eq!(waves("gfx942", 8, 30, 0, 768), (6, "whole workgroups"));
        assert_eq!(waves("gfx1151", 8, 30, 0, 1024), (16, "nothing"));
    }

    #[test]
    fn metadata_is_read_without_what_lies_around_it() {
        let text = "amdhsa.kernels:\n  - .args:\n      - .name: x\n        .size: 8\n    .name:           k\n    \
                    .vgpr_count:     12\namdhsa.version:\n  - 1\n  - 2\n";
        assert_eq!(kernels(text), [Use { name: "k".into(), vgprs: 12, ..Use::default() }]);
    }
}

//! Chips, and what their families spell differently.

use super::Body;

/// A device that code is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chip {
    /// LLVM's name of the processor.
    pub name: &'static str,
    /// Work-items that run in step.
    pub wave: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    Amd,
    Nvidia,
}

/// AMD's chips, the first one first.
pub const AMD: &[Chip] = &[
    Chip { name: "gfx1151", wave: 32 },
    Chip { name: "gfx1100", wave: 32 },
    Chip { name: "gfx942", wave: 64 },
    Chip { name: "gfx1201", wave: 32 },
];

pub const NVIDIA: &[Chip] = &[Chip { name: "sm_90", wave: 32 }];

/// A chip by its name; one that the driver offers and that is not here is a bug of the compiler.
pub fn find(name: &str) -> Result<&'static Chip, String> {
    let mut all = AMD.iter().chain(NVIDIA);
    all.find(|chip| chip.name == name).ok_or_else(|| format!("no code is made for `{name}`"))
}

impl Chip {
    pub fn family(&self) -> Family {
        if self.name.starts_with("gfx") { Family::Amd } else { Family::Nvidia }
    }

    pub fn triple(&self) -> &'static str {
        match self.family() {
            Family::Amd => "amdgcn-amd-amdhsa",
            Family::Nvidia => "nvptx64-nvidia-cuda",
        }
    }

    pub fn features(&self) -> &'static str {
        match self.family() {
            Family::Amd => "",
            Family::Nvidia => "+ptx80",
        }
    }

    /// Who sees an atomic operation: all of the device.
    pub fn device_scope(&self) -> &'static str {
        match self.family() {
            Family::Amd => "agent",
            Family::Nvidia => "device",
        }
    }

    /// LLVM's number of a storage class, as a pointer's type says it.
    pub fn pointer(&self, class: &str) -> Result<&'static str, String> {
        Ok(match (class, self.family()) {
            ("Function", Family::Amd) => "ptr addrspace(5)",
            ("Function", Family::Nvidia) => "ptr",
            ("Workgroup", _) => "ptr addrspace(3)",
            ("PhysicalStorageBuffer", _) => "ptr addrspace(1)",
            _ => return Err(format!("a storage class {class}")),
        })
    }
}

const AXES: [&str; 3] = ["x", "y", "z"];

impl Body<'_> {
    /// This work-item's number in its workgroup along an axis.
    pub(super) fn local_id(&mut self, axis: usize) -> String {
        match self.chip.family() {
            Family::Amd => self.call("i32", &format!("llvm.amdgcn.workitem.id.{}", AXES[axis]), &[]),
            Family::Nvidia => self.call("i32", &format!("llvm.nvvm.read.ptx.sreg.tid.{}", AXES[axis]), &[]),
        }
    }

    pub(super) fn global_id(&mut self, axis: usize) -> String {
        let group = match self.chip.family() {
            Family::Amd => self.call("i32", &format!("llvm.amdgcn.workgroup.id.{}", AXES[axis]), &[]),
            Family::Nvidia => self.call("i32", &format!("llvm.nvvm.read.ptx.sreg.ctaid.{}", AXES[axis]), &[]),
        };
        let local = self.local_id(axis);
        let first = self.put(&format!("mul i32 {group}, {}", self.local[axis]));
        self.put(&format!("add i32 {first}, {local}"))
    }

    /// Workgroups of the launch along an axis. On AMDGPU they stand behind the kernel's own arguments.
    pub(super) fn groups(&mut self, axis: usize) -> String {
        if self.chip.family() == Family::Nvidia {
            return self.call("i32", &format!("llvm.nvvm.read.ptx.sreg.nctaid.{}", AXES[axis]), &[]);
        }
        let hidden = self.call("ptr addrspace(4)", "llvm.amdgcn.implicitarg.ptr", &[]);
        let at = self.put(&format!("getelementptr i8, ptr addrspace(4) {hidden}, i64 {}", axis * 4));
        self.put(&format!("load i32, ptr addrspace(4) {at}, align 4"))
    }

    /// All of the workgroup get here; workgroup memory written before is seen behind.
    pub(super) fn barrier(&mut self) {
        match self.chip.family() {
            Family::Amd => {
                self.effect("fence syncscope(\"workgroup\") release");
                self.call("void", "llvm.amdgcn.s.barrier", &[]);
                self.effect("fence syncscope(\"workgroup\") acquire");
            }
            Family::Nvidia => {
                self.call("void", "llvm.nvvm.barrier.cta.sync.aligned.all", &[("i32", "0")]);
            }
        }
    }

    /// 32 bits of another work-item of the subgroup.
    pub(super) fn shuffle_word(&mut self, word: &str, lane: &str) -> String {
        match self.chip.family() {
            Family::Amd => {
                let place = self.put(&format!("shl i32 {lane}, 2"));
                self.call("i32", "llvm.amdgcn.ds.bpermute", &[("i32", &place), ("i32", word)])
            }
            Family::Nvidia => {
                let mask = self.present();
                let all = [("i32", mask.as_str()), ("i32", word), ("i32", lane), ("i32", "31")];
                self.call("i32", "llvm.nvvm.shfl.sync.idx.i32", &all)
            }
        }
    }

    /// A bit for each work-item that the subgroup has.
    fn present(&mut self) -> String {
        if self.items() % self.chip.wave == 0 {
            return "-1".into();
        }
        let count = self.subgroup_count();
        let whole = self.put(&format!("icmp uge i32 {count}, 32"));
        let bit = self.put(&format!("shl i32 1, {count}"));
        let mask = self.put(&format!("sub i32 {bit}, 1"));
        self.put(&format!("select i1 {whole}, i32 -1, i32 {mask}"))
    }
}

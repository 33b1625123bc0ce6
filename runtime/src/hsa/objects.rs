//! The code objects that the program carries, and which of them an agent takes.
//!
//! Names of instruction sets are target identifiers: `amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-`. A code object that
//! names no feature runs whatever the agent has switched on; one that does needs the agent to have it so. Nothing else is
//! compatible: an object for gfx1100 is not tried on gfx1101.

use crate::abi::CodeObject;
use std::ffi::CStr;

// A symbol of the compiled program that need not be there: see `agents::stopped`.
std::arch::global_asm!(
    ".weak clef_code_objects",
    ".pushsection .data.rel.ro.clef_objects, \"aw\"",
    ".balign 8",
    ".globl clef_rt_code_objects",
    ".hidden clef_rt_code_objects",
    "clef_rt_code_objects:",
    ".quad clef_code_objects",
    ".popsection",
);

unsafe extern "C" {
    static clef_rt_code_objects: *const u64;
}

/// What the program carries.
pub fn carried() -> &'static [CodeObject] {
    // SAFETY: the word above; volatile, since what it holds is decided by the linker. The table is as long as it says.
    unsafe {
        let table = (&raw const clef_rt_code_objects).read_volatile();
        if table.is_null() {
            return &[];
        }
        std::slice::from_raw_parts(table.add(1).cast(), *table as usize)
    }
}

impl CodeObject {
    /// Name of the instruction set.
    pub fn isa(&self) -> &'static str {
        // SAFETY: a NUL-terminated constant of the program.
        unsafe { CStr::from_ptr(self.isa) }.to_str().unwrap_or_default()
    }
}

/// The object for an agent with these instruction sets; the first of the program's that fits.
pub fn find(isas: &[String]) -> Option<&'static CodeObject> {
    carried().iter().find(|object| isas.iter().any(|isa| fits(object.isa(), isa)))
}

/// Names of the carried instruction sets, for reports.
pub fn names() -> String {
    let names: Vec<&str> = carried().iter().map(CodeObject::isa).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Whether code for `object` runs on an agent with the instruction set `agent`.
pub fn fits(object: &str, agent: &str) -> bool {
    let (mut object, mut agent) = (object.split(':'), agent.split(':'));
    let features: Vec<&str> = if object.next() == agent.next() { agent.collect() } else { return false };
    object.all(|feature| features.contains(&feature))
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn an_object_without_features_runs_with_any() {
        assert!(fits("amdgcn-amd-amdhsa--gfx942", "amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-"));
        assert!(fits("amdgcn-amd-amdhsa--gfx1151", "amdgcn-amd-amdhsa--gfx1151"));
    }

    #[test]
    fn a_feature_must_be_as_the_object_has_it() {
        let object = "amdgcn-amd-amdhsa--gfx942:xnack-";
        assert!(fits(object, "amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-"));
        assert!(!fits(object, "amdgcn-amd-amdhsa--gfx942:sramecc+:xnack+"));
        assert!(!fits(object, "amdgcn-amd-amdhsa--gfx942"));
    }

    #[test]
    fn a_longer_name_is_another_chip() {
        assert!(!fits("amdgcn-amd-amdhsa--gfx110", "amdgcn-amd-amdhsa--gfx1100"));
        assert!(!fits("amdgcn-amd-amdhsa--gfx1100", "amdgcn-amd-amdhsa--gfx1101"));
        assert!(!fits("amdgcn-amd-amdhsa--gfx1100", "clef-host"));
    }
}

//! The program's own host forms of kernels, found as a debugger would: by the symbols of the running executable, which
//! must not be stripped. Descriptors are as `runtime/src/abi.rs` has them.

use crate::code::Param;
use std::ffi::{CStr, c_char};
use std::fs;
use std::sync::OnceLock;

/// A kernel's descriptor.
#[repr(C)]
pub struct Kernel {
    name: *const c_char,
    params: *const Param,
    n_params: u32,
    n_phases: u32,
    phases: *const Phase,
    pub host: Option<unsafe extern "C" fn(*const [u64; 2])>,
    object: *const c_char,
    npu: *const u8,
}

/// A launch of a kernel.
#[repr(C)]
pub struct Phase {
    extent: Option<unsafe extern "C" fn(*const [u64; 2], *mut i64)>,
    spirv: *const u32,
    spirv_len: u64,
    entry: *const c_char,
    /// Indices of the domain that a workgroup takes on.
    pub local: [u32; 3],
    push_len: u32,
    items: [u16; 4],
}

impl Kernel {
    pub fn params(&self) -> &[Param] {
        if self.n_params == 0 {
            return &[];
        }
        // SAFETY: descriptors of the program are well-formed.
        unsafe { std::slice::from_raw_parts(self.params, self.n_params as usize) }
    }

    pub fn phases(&self) -> &[Phase] {
        if self.n_phases == 0 {
            return &[];
        }
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.phases, self.n_phases as usize) }
    }
}

impl Phase {
    /// Work of a launch with these arguments.
    pub fn extents(&self, args: &[[u64; 2]]) -> [i64; 3] {
        let mut extents = [1; 3];
        if let Some(extent) = self.extent {
            // SAFETY: the program's function for this kernel's arguments.
            unsafe { extent(args.as_ptr(), extents.as_mut_ptr()) };
        }
        extents
    }
}

/// The kernel whose code object has this name for one of its launches, and which of them it is.
pub fn find(entry: &str) -> Option<(&'static Kernel, usize)> {
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    let all = ALL.get_or_init(|| descriptors().unwrap_or_default());
    all.iter().find_map(|at| {
        // SAFETY: descriptors are static.
        let kernel = unsafe { &*(*at as *const Kernel) };
        let named = |phase: &Phase| {
            // SAFETY: a NUL-terminated constant.
            !phase.entry.is_null() && unsafe { CStr::from_ptr(phase.entry) }.to_bytes() == entry.as_bytes()
        };
        Some((kernel, kernel.phases().iter().position(named)?))
    })
}

/// Addresses of the symbols `clef.kernel.NAME`.
fn descriptors() -> Option<Vec<usize>> {
    let bytes = fs::read("/proc/self/exe").ok()?;
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?) as usize);
    let half = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let short = |at: usize| Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    // Position-independent executables lie behind their first mapping, others where they say.
    let base = if short(16)? == 3 { first_mapping()? } else { 0 };
    let (sections, size, count) = (word(40)?, short(58)?, short(60)?);
    let mut found = Vec::new();
    for section in (0..count).map(|n| sections + n * size) {
        // A symbol table.
        if half(section + 4)? != 2 {
            continue;
        }
        let strings = word(sections + half(section + 40)? * size + 24)?;
        for symbol in (word(section + 24)?..word(section + 24)? + word(section + 32)?).step_by(24) {
            let name = bytes.get(strings + half(symbol)?..)?.split(|b| *b == 0).next()?;
            let Some(kernel) = name.strip_prefix(b"clef.kernel.") else { continue };
            let part = [&b".params"[..], b".phases", b".npu", b".host"].iter().any(|p| kernel.ends_with(p));
            if !part && word(symbol + 16)? == size_of::<Kernel>() {
                found.push(base + word(symbol + 8)?);
            }
        }
    }
    Some(found)
}

/// Where this process's executable begins in memory.
fn first_mapping() -> Option<usize> {
    let program = fs::read_link("/proc/self/exe").ok()?;
    let program = program.to_str()?;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with(program))?;
    usize::from_str_radix(line.split('-').next()?, 16).ok()
}

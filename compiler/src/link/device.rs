//! Linking an AMDGPU object to a code object (hsaco) with `ld.lld`.
//!
//! Symbols that nothing defines (functions of a device library) are an error: a code object must stand for itself.

use super::{Scratch, find_linker};
use crate::output::{Pending, reason};
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes the code object, whole or not at all.
pub fn code_object(object: &[u8], target: &Path) -> Result<(), Diagnostic> {
    let linker = find_linker("ld.lld").ok_or_else(|| {
        Diagnostic::without_place(codes::NO_LINKER, "there is no `ld.lld`, which links code for AMD's chips")
            .help("install it: `apt-get install lld`; `clefc doctor` lists what is missing")
    })?;
    let pending = Pending::new(target)?;
    let folder = Scratch::new()?;
    let path = folder.0.join("kernels.o");
    fs::write(&path, object).map_err(|e| {
        let text = format!("cannot write to the temporary folder `{}`: {}", folder.0.display(), reason(&e));
        Diagnostic::without_place(codes::UNWRITABLE, text)
            .help("set TMPDIR to a folder that you may write to")
    })?;
    let output = Command::new(&linker)
        .args(["-shared", "--no-undefined", "--build-id=none", "-o"])
        .arg(pending.path())
        .arg(&path)
        .output()
        .map_err(|e| {
            let text = format!("cannot start the linker `{}`: {}", linker.display(), reason(&e));
            Diagnostic::without_place(codes::NO_LINKER, text)
        })?;
    if !output.status.success() {
        return Err(Diagnostic::without_place(codes::LINK_FAILED, "the code object cannot be linked")
            .note(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    pending.commit()
}

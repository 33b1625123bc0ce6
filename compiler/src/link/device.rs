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
    let pending = Pending::new(target)?;
    link(object, pending.path(), &Scratch::new()?, "kernels")?;
    pending.commit()
}

/// The code object's bytes. `name` is that of its files in the folder.
pub fn link_object(object: &[u8], folder: &Scratch, name: &str) -> Result<Vec<u8>, Diagnostic> {
    let path = folder.0.join(format!("{name}.hsaco"));
    link(object, &path, folder, name)?;
    fs::read(&path).map_err(|e| {
        let text = format!("cannot read `{}`: {}", path.display(), reason(&e));
        Diagnostic::without_place(codes::UNREADABLE, text)
    })
}

fn link(object: &[u8], to: &Path, folder: &Scratch, name: &str) -> Result<(), Diagnostic> {
    let linker = find_linker("ld.lld").ok_or_else(|| {
        Diagnostic::without_place(codes::NO_LINKER, "there is no `ld.lld`, which links code for AMD's chips")
            .help("install it: `apt-get install lld`; `clefc doctor` lists what is missing")
    })?;
    let path = folder.0.join(format!("{name}.o"));
    folder.write(&path, object)?;
    let output = Command::new(&linker)
        .args(["-shared", "--no-undefined", "--build-id=none", "-o"])
        .arg(to)
        .arg(&path)
        .output()
        .map_err(|e| {
            let text = format!("cannot start the linker `{}`: {}", linker.display(), reason(&e));
            Diagnostic::without_place(codes::NO_LINKER, text)
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Diagnostic::without_place(codes::LINK_FAILED, "the code object cannot be linked")
        .note(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

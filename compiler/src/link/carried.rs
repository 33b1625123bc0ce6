//! The code objects that an executable carries, as an assembly file with the table that the runtime reads
//! (`clef_code_objects`, see the runtime's `abi`). The compiler driver assembles it on the way to linking.

use super::Scratch;
use crate::device_code::CodeObject;
use clef_frontend::diagnostic::Diagnostic;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Writes the file and what it includes; its path.
pub fn assembly(folder: &Scratch, objects: &[CodeObject]) -> Result<PathBuf, Diagnostic> {
    let mut rows = String::new();
    let mut data = String::new();
    for (n, object) in objects.iter().enumerate() {
        let path = folder.0.join(format!("code{n}.bin"));
        folder.write(&path, &object.bytes)?;
        let _ = writeln!(rows, "\t.quad .Lisa{n}, .Lcode{n}, {}", object.bytes.len());
        let _ = writeln!(data, ".Lisa{n}:\n\t.asciz \"{}\"", object.isa);
        // Loaders of code objects want pages. What is text ends with a NUL.
        let _ = writeln!(data, "\t.balign 4096\n.Lcode{n}:\n\t.incbin \"{}\"\n\t.byte 0", path.display());
    }
    let count = objects.len();
    let text = format!(
        "\t.section .data.rel.ro.clef_code_objects, \"aw\"\n\t.balign 8\n\t.globl clef_code_objects\n\
         clef_code_objects:\n\t.quad {count}\n{rows}\
         \t.section .rodata.clef_code_objects, \"a\"\n{data}\
         \t.section .note.GNU-stack, \"\", @progbits\n"
    );
    let path = folder.0.join("code_objects.s");
    folder.write(&path, text.as_bytes())?;
    Ok(path)
}

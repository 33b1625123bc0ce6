//! The ELF side of code objects: for which chip one is, where its metadata and kernel descriptors are.

use super::Kernel;
use super::notes;

const AMDGPU: u16 = 224;
const OSABI_HSA: u8 = 64;
const SHT_NOTE: u32 = 7;
const SHT_DYNSYM: u32 = 11;

/// Chips by the low byte of the header's flags (LLVM's AMDGPU usage guide, "ELF code object").
const MACHINES: &[(u32, &str)] =
    &[(0x41, "gfx1100"), (0x46, "gfx1101"), (0x4a, "gfx1151"), (0x4c, "gfx942"), (0x4e, "gfx1201")];

/// The kernels of a code object for an agent, or why the agent does not take it.
pub fn kernels(bytes: &[u8], isa: &str) -> Result<Vec<Kernel>, Wrong> {
    let flags = header(bytes)?;
    fits(flags, isa)?;
    let meta = bytes_of_notes(bytes)?;
    let meta = notes::kernels(meta).ok_or(Wrong::Object("its metadata cannot be read"))?;
    let symbols = symbols(bytes)?;
    let mut kernels = Vec::new();
    for meta in meta {
        let Some(name) = meta.symbol.strip_suffix(".kd") else { return Err(Wrong::Object("a symbol")) };
        let Some((_, at)) = symbols.iter().find(|(symbol, _)| *symbol == meta.symbol) else {
            return Err(Wrong::Object("a kernel has no descriptor"));
        };
        descriptor(bytes, *at, &meta)?;
        kernels.push(Kernel { name: name.to_owned(), meta });
    }
    Ok(kernels)
}

/// Why a code object is not taken.
#[derive(Debug)]
pub enum Wrong {
    Object(&'static str),
    Isa,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<u64, Wrong> {
    let found = bytes.get(at..at + N).ok_or(Wrong::Object("it is cut off"))?;
    let mut word = [0; 8];
    word[..N].copy_from_slice(found);
    Ok(u64::from_le_bytes(word))
}

/// The header's flags.
fn header(bytes: &[u8]) -> Result<u32, Wrong> {
    // 64 bits, little endian, version 1, of HSA.
    let fine = bytes.starts_with(b"\x7fELF\x02\x01\x01") && bytes.get(7) == Some(&OSABI_HSA);
    if !fine || number::<2>(bytes, 16)? != 3 || number::<2>(bytes, 18)? != u64::from(AMDGPU) {
        return Err(Wrong::Object("it is no shared object for AMDGPU"));
    }
    Ok(number::<4>(bytes, 48)? as u32)
}

/// Whether an agent's instruction set is the object's: the chip, and features that the object has on or off.
fn fits(flags: u32, isa: &str) -> Result<(), Wrong> {
    let mut parts = isa.split(':');
    let chip = parts.next().and_then(|p| p.strip_prefix("amdgcn-amd-amdhsa--")).ok_or(Wrong::Isa)?;
    let known = MACHINES.iter().find(|(machine, _)| *machine == flags & 0xff);
    if known.map(|(_, name)| *name) != Some(chip) {
        return Err(Wrong::Isa);
    }
    let features: Vec<&str> = parts.collect();
    for (name, bits) in [("xnack", flags >> 8 & 3), ("sramecc", flags >> 10 & 3)] {
        let sign = match bits {
            2 => '-',
            3 => '+',
            // Not supported by the chip, or any.
            _ => continue,
        };
        if !features.contains(&format!("{name}{sign}").as_str()) {
            return Err(Wrong::Isa);
        }
    }
    Ok(())
}

/// Sections of a type: offset, size, number of the section that it links to.
fn sections(bytes: &[u8], kind: u32) -> Result<Vec<(usize, usize, usize)>, Wrong> {
    let (first, size, count) =
        (number::<8>(bytes, 40)? as usize, number::<2>(bytes, 58)? as usize, number::<2>(bytes, 60)?);
    let mut found = Vec::new();
    for n in 0..count as usize {
        let at = first + n * size;
        if number::<4>(bytes, at + 4)? == u64::from(kind) {
            found.push((
                number::<8>(bytes, at + 24)? as usize,
                number::<8>(bytes, at + 32)? as usize,
                number::<4>(bytes, at + 40)? as usize,
            ));
        }
    }
    Ok(found)
}

fn section(bytes: &[u8], n: usize) -> Result<usize, Wrong> {
    let (first, size) = (number::<8>(bytes, 40)? as usize, number::<2>(bytes, 58)? as usize);
    Ok(number::<8>(bytes, first + n * size + 24)? as usize)
}

/// The metadata: a note of AMDGPU's, of type 32.
fn bytes_of_notes(bytes: &[u8]) -> Result<&[u8], Wrong> {
    for (offset, size, _) in sections(bytes, SHT_NOTE)? {
        let mut at = offset;
        while at < offset + size {
            let (name, length, kind) = (
                number::<4>(bytes, at)? as usize,
                number::<4>(bytes, at + 4)? as usize,
                number::<4>(bytes, at + 8)?,
            );
            let data = at + 12 + name.next_multiple_of(4);
            if kind == 32 && bytes.get(at + 12..at + 12 + name) == Some(b"AMDGPU\0") {
                return bytes.get(data..data + length).ok_or(Wrong::Object("it is cut off"));
            }
            at = data + length.next_multiple_of(4);
        }
    }
    Err(Wrong::Object("it has no metadata"))
}

/// Dynamic symbols with their places in the file. (Code objects map what holds descriptors at its offset.)
fn symbols(bytes: &[u8]) -> Result<Vec<(String, usize)>, Wrong> {
    let mut found = Vec::new();
    for (offset, size, strings) in sections(bytes, SHT_DYNSYM)? {
        let strings = section(bytes, strings)?;
        for at in (offset..offset + size).step_by(24) {
            let name = strings + number::<4>(bytes, at)? as usize;
            let text = bytes.get(name..).and_then(|b| b.split(|c| *c == 0).next()).unwrap_or_default();
            found.push((String::from_utf8_lossy(text).into_owned(), number::<8>(bytes, at + 8)? as usize));
        }
    }
    Ok(found)
}

/// A kernel descriptor says what the metadata says.
fn descriptor(bytes: &[u8], at: usize, meta: &notes::Kernel) -> Result<(), Wrong> {
    let same = number::<4>(bytes, at)? == u64::from(meta.group_bytes)
        && number::<4>(bytes, at + 4)? == u64::from(meta.private_bytes)
        && number::<4>(bytes, at + 8)? == u64::from(meta.kernarg_bytes);
    if same { Ok(()) } else { Err(Wrong::Object("a descriptor is not as the metadata says")) }
}

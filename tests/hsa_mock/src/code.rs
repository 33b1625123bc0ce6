//! Code objects: readers, executables, symbols.
//!
//! A code object of the instruction set `clef-host` is a table of functions of this process, as declared here. The
//! kernel object of a symbol is the address of the function's [`Entry`], as a GPU's is that of a kernel descriptor:
//! whoever runs a packet finds there what to call and what the arguments are. For agents with another instruction set it is
//! an ELF file, see [`amd`].

use crate::amd::{self, elf::Wrong};
use crate::{
    FROZEN_EXECUTABLE, INVALID_ARGUMENT, INVALID_CODE_OBJECT, INVALID_CODE_OBJECT_READER, INVALID_EXECUTABLE,
    INVALID_EXECUTABLE_SYMBOL, INVALID_ISA, INVALID_SYMBOL_NAME, Status, agents, enter, given, lock, status,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_void};
use std::sync::Mutex;

/// `CLEFHOST`, then version, number of entries, and their address.
#[repr(C)]
struct Table {
    magic: [u8; 8],
    version: u32,
    count: u32,
    entries: *const Entry,
}

/// A kernel.
#[repr(C)]
pub struct Entry {
    pub name: *const c_char,
    pub run: unsafe extern "C" fn(kernarg: *const u8),
    pub kernarg_bytes: u32,
    /// Parameter `n` is 16 bytes at `first + 16 * n` of the arguments: value (a buffer's address), length.
    pub first: u32,
    pub params: *const Param,
    pub n_params: u32,
    reserved: u32,
}

#[repr(C)]
pub struct Param {
    /// 1: a buffer.
    pub kind: u8,
    pub size: u8,
    /// Bit 0: read, 1: written, 2: all of it is written, given the whole buffer.
    pub effect: u8,
    reserved: u8,
}

impl Entry {
    pub fn new(
        name: &'static CStr,
        run: unsafe extern "C" fn(kernarg: *const u8),
        kernarg_bytes: u32,
        first: u32,
        params: &[Param],
    ) -> Self {
        let n_params = params.len() as u32;
        Self {
            name: name.as_ptr(),
            run,
            kernarg_bytes,
            first,
            params: params.as_ptr(),
            n_params,
            reserved: 0,
        }
    }

    pub fn name(&self) -> String {
        // SAFETY: loaded tables are well-formed, and stay.
        unsafe { CStr::from_ptr(self.name) }.to_string_lossy().into_owned()
    }

    pub fn params(&self) -> &[Param] {
        if self.n_params == 0 {
            return &[];
        }
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.params, self.n_params as usize) }
    }
}

#[derive(Default)]
struct Executable {
    frozen: bool,
    /// Addresses of entries by agent and name.
    symbols: BTreeMap<(usize, String), usize>,
}

#[derive(Default)]
struct World {
    next: u64,
    readers: BTreeMap<u64, (usize, usize)>,
    executables: BTreeMap<u64, Executable>,
    /// Entries that a symbol or packet may name.
    entries: BTreeSet<usize>,
    /// The same for kernels of ELF files.
    kernels: BTreeSet<usize>,
}

static WORLD: Mutex<World> = Mutex::new(World {
    next: 0,
    readers: BTreeMap::new(),
    executables: BTreeMap::new(),
    entries: BTreeSet::new(),
    kernels: BTreeSet::new(),
});

/// The kernel that a packet's `kernel_object` names.
pub fn kernel(object: u64) -> Option<&'static Entry> {
    let known = lock(&WORLD).entries.contains(&(object as usize));
    // SAFETY: a loaded entry.
    known.then(|| unsafe { &*(object as *const Entry) })
}

/// The same where it is a kernel of an ELF file.
pub fn launch(object: u64) -> Option<&'static amd::Kernel> {
    let known = lock(&WORLD).kernels.contains(&(object as usize));
    // SAFETY: a loaded kernel, which stays.
    known.then(|| unsafe { &*(object as *const amd::Kernel) })
}

/// # Safety
/// As HSA's specification has it, here and below. The code object stays until the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_code_object_reader_create_from_memory(
    object: *const c_void,
    size: usize,
    reader: *mut u64,
) -> Status {
    status(enter("hsa_code_object_reader_create_from_memory").and_then(|()| {
        given(object)?;
        given(reader)?;
        if size == 0 {
            return Err(INVALID_ARGUMENT);
        }
        let mut world = lock(&WORLD);
        world.next += 1;
        let handle = world.next;
        world.readers.insert(handle, (object as usize, size));
        // SAFETY: the caller's promise.
        unsafe { reader.write(handle) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_code_object_reader_destroy(reader: u64) -> Status {
    status(
        enter("hsa_code_object_reader_destroy").and_then(|()| {
            lock(&WORLD).readers.remove(&reader).map(|_| ()).ok_or(INVALID_CODE_OBJECT_READER)
        }),
    )
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_executable_create_alt(
    profile: u32,
    rounding: u32,
    _options: *const c_char,
    executable: *mut u64,
) -> Status {
    status(enter("hsa_executable_create_alt").and_then(|()| {
        given(executable)?;
        if profile > 1 || rounding > 2 {
            return Err(INVALID_ARGUMENT);
        }
        let mut world = lock(&WORLD);
        world.next += 1;
        let handle = world.next;
        world.executables.insert(handle, Executable::default());
        // SAFETY: the caller's promise.
        unsafe { executable.write(handle) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_executable_destroy(executable: u64) -> Status {
    status(
        enter("hsa_executable_destroy").and_then(|()| {
            lock(&WORLD).executables.remove(&executable).map(|_| ()).ok_or(INVALID_EXECUTABLE)
        }),
    )
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_executable_load_agent_code_object(
    executable: u64,
    agent: u64,
    reader: u64,
    _options: *const c_char,
    loaded: *mut u64,
) -> Status {
    status(enter("hsa_executable_load_agent_code_object").and_then(|()| {
        let (number, agent) = agents::find(agent)?;
        let mut world = lock(&WORLD);
        let world = &mut *world;
        let &(object, size) = world.readers.get(&reader).ok_or(INVALID_CODE_OBJECT_READER)?;
        let executable = world.executables.get_mut(&executable).ok_or(INVALID_EXECUTABLE)?;
        if executable.frozen {
            return Err(FROZEN_EXECUTABLE);
        }
        match agent.isa.as_deref() {
            Some("clef-host") => {
                for (name, at) in functions(object, size)? {
                    executable.symbols.insert((number, name), at);
                    world.entries.insert(at);
                }
            }
            Some(isa) => {
                for (name, at) in kernels(object, size, isa)? {
                    executable.symbols.insert((number, name), at);
                    world.kernels.insert(at);
                }
            }
            None => return Err(INVALID_ISA),
        }
        if !loaded.is_null() {
            // SAFETY: the caller's promise.
            unsafe { loaded.write(object as u64) };
        }
        Ok(())
    }))
}

/// Names and addresses of the entries of a table of functions.
fn functions(object: usize, size: usize) -> Result<Vec<(String, usize)>, Status> {
    if size < size_of::<Table>() || !object.is_multiple_of(8) {
        return Err(INVALID_CODE_OBJECT);
    }
    // SAFETY: the reader's memory is as long as a table.
    let table = unsafe { &*(object as *const Table) };
    if &table.magic != b"CLEFHOST" || table.version != 1 || table.entries.is_null() {
        return Err(INVALID_CODE_OBJECT);
    }
    let one = |n| {
        // SAFETY: a table has as many entries as it says.
        let entry = unsafe { &*table.entries.add(n) };
        (entry.name(), std::ptr::from_ref(entry) as usize)
    };
    Ok((0..table.count as usize).map(one).collect())
}

/// Symbols and kernels of an ELF file; the kernels stay.
fn kernels(object: usize, size: usize, isa: &str) -> Result<Vec<(String, usize)>, Status> {
    // SAFETY: the reader's memory is that long.
    let bytes = unsafe { std::slice::from_raw_parts(object as *const u8, size) };
    let found = amd::elf::kernels(bytes, isa).map_err(|why| match why {
        Wrong::Isa => INVALID_ISA,
        Wrong::Object(what) => {
            eprintln!("HSA stand-in: a code object is wrong: {what}");
            INVALID_CODE_OBJECT
        }
    })?;
    let one = |kernel: amd::Kernel| {
        let symbol = kernel.meta.symbol.clone();
        (symbol, std::ptr::from_ref::<amd::Kernel>(Box::leak(Box::new(kernel))) as usize)
    };
    Ok(found.into_iter().map(one).collect())
}

#[unsafe(no_mangle)]
pub extern "C" fn hsa_executable_freeze(executable: u64, _options: *const c_char) -> Status {
    status(enter("hsa_executable_freeze").and_then(|()| {
        let mut world = lock(&WORLD);
        let executable = world.executables.get_mut(&executable).ok_or(INVALID_EXECUTABLE)?;
        if std::mem::replace(&mut executable.frozen, true) { Err(FROZEN_EXECUTABLE) } else { Ok(()) }
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_executable_get_symbol_by_name(
    executable: u64,
    name: *const c_char,
    agent: *const u64,
    symbol: *mut u64,
) -> Status {
    status(enter("hsa_executable_get_symbol_by_name").and_then(|()| {
        given(name)?;
        given(symbol)?;
        given(agent)?;
        let world = lock(&WORLD);
        let executable = world.executables.get(&executable).ok_or(INVALID_EXECUTABLE)?;
        // SAFETY: the caller's promise.
        let (name, agent) = unsafe { (CStr::from_ptr(name).to_string_lossy().into_owned(), *agent) };
        let (number, _) = agents::find(agent)?;
        let found = executable.symbols.get(&(number, name)).ok_or(INVALID_SYMBOL_NAME)?;
        // SAFETY: the caller's promise.
        unsafe { symbol.write(*found as u64) };
        Ok(())
    }))
}

/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hsa_executable_symbol_get_info(
    symbol: u64,
    attribute: u32,
    value: *mut c_void,
) -> Status {
    status(enter("hsa_executable_symbol_get_info").and_then(|()| {
        given(value)?;
        let (kernarg, group, private) = match (kernel(symbol), launch(symbol)) {
            (Some(entry), _) => (entry.kernarg_bytes, 0, 0),
            (_, Some(k)) => (k.meta.kernarg_bytes, k.meta.group_bytes, k.meta.private_bytes),
            _ => return Err(INVALID_EXECUTABLE_SYMBOL),
        };
        // SAFETY: the caller gives room for the attribute's type.
        unsafe {
            match attribute {
                // A kernel.
                0 => value.cast::<u32>().write(1),
                22 => value.cast::<u64>().write(symbol),
                11 => value.cast::<u32>().write(kernarg),
                12 => value.cast::<u32>().write(16),
                13 => value.cast::<u32>().write(group),
                14 => value.cast::<u32>().write(private),
                15 => value.cast::<u8>().write(0),
                _ => return Err(INVALID_ARGUMENT),
            }
        }
        Ok(())
    }))
}

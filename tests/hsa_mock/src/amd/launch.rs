//! What a packet that names a kernel of a code object asks for.
//!
//! Everything that the program wrote is held against the metadata and against the kernel itself. A kernel of several
//! launches runs, as a whole, at the last of them that has work; the ones before only have their fences. With
//! `CLEF_HSA_MOCK_FAULT=status:NAME` the launch of that name stops at an index out of range instead: it writes the status
//! block that its last argument points to.

use super::{Kernel, host_form};
use crate::code::Entry;
use crate::queue::Work;
use crate::{INVALID_PACKET_FORMAT, lock, memory, wishes};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Mutex;

/// The fields of a kernel dispatch packet that say how much runs.
pub struct Shape {
    pub workgroup: [u16; 3],
    pub grid: [u32; 3],
    pub private_bytes: u32,
    pub group_bytes: u32,
}

/// Arguments that were made for host functions, by kernel and content; packets are read several times.
static MADE: Mutex<BTreeMap<(usize, Vec<u64>), (usize, usize)>> = Mutex::new(BTreeMap::new());

/// Words of the first status that a kernel writes: index 7 of 4, in line 3, column 5 of the first file.
const STATUS: [u32; 8] = [1, 3, 5, 0, 7, 0, 4, 0];

/// Whether an entry was made here: its arguments are no memory of the program's.
pub fn is_launch(entry: &Entry) -> bool {
    let at = std::ptr::from_ref(entry) as usize;
    lock(&MADE).values().any(|(entry, _)| *entry == at)
}

pub fn work(agent: usize, kernel: &Kernel, shape: &Shape, kernarg: usize) -> Work {
    match checked(agent, kernel, shape, kernarg) {
        Ok((entry, kernarg)) => Work::Kernel { entry, kernarg },
        Err(why) => {
            eprintln!("HSA stand-in: a packet for `{}` is wrong: {why}", kernel.name);
            Work::Wrong(INVALID_PACKET_FORMAT)
        }
    }
}

fn checked(
    agent: usize,
    kernel: &Kernel,
    shape: &Shape,
    kernarg: usize,
) -> Result<(&'static Entry, usize), String> {
    fits(kernel, shape)?;
    let segment = readable(agent, kernarg, kernel.meta.kernarg_bytes as usize)?;
    let (program, launch) =
        host_form::find(&kernel.name).ok_or("the program has no host form of it, or no symbols")?;
    let words = words(kernel, shape, segment)?;
    let mut rest = words.iter().copied();
    let mut next = || rest.next().ok_or_else(|| "its code has fewer arguments than the kernel".to_owned());
    let mut args = Vec::new();
    for param in program.params() {
        args.push([next()?, if param.kind == 1 { next()? } else { 0 }]);
    }
    let told = [next()? as i64, next()? as i64, next()? as i64];
    let status = next()?;
    if rest.next().is_some() {
        return Err("its code has more arguments than the kernel".into());
    }
    let extents = program.phases()[launch].extents(&args);
    if told != extents {
        return Err(format!("its extents are {told:?}, the kernel's are {extents:?}"));
    }
    covers(&program.phases()[launch], shape, extents)?;
    readable(agent, status as usize, 48)?;
    let has_work = |n: usize| program.phases()[n].extents(&args).iter().all(|e| *e > 0);
    let last = !(launch + 1..program.phases().len()).any(has_work);
    let stops = wishes().fault.as_deref().and_then(|f| f.strip_prefix("status:").map(|n| n == kernel.name));
    let mut key = words;
    key.extend([u64::from(last), u64::from(stops == Some(true))]);
    let at = (std::ptr::from_ref(kernel) as usize, key);
    let (entry, block) = *lock(&MADE).entry(at).or_insert_with(|| {
        if stops == Some(true) {
            made(kernel, &[], stop, &[status])
        } else if last {
            let host = program.host.map_or(0, |host| host as usize as u64);
            let args: Vec<u64> = std::iter::once(host).chain(args.iter().flatten().copied()).collect();
            made(kernel, program.params(), run, &args)
        } else {
            made(kernel, &[], nothing, &[0])
        }
    });
    // SAFETY: entries are never freed.
    Ok((unsafe { &*(entry as *const Entry) }, block))
}

/// An entry and its arguments, which stay.
fn made(
    kernel: &Kernel,
    params: &[crate::code::Param],
    run: unsafe extern "C" fn(*const u8),
    words: &[u64],
) -> (usize, usize) {
    let name = Box::leak(Box::new(CString::new(kernel.name.as_str()).unwrap_or_default()));
    let entry = Entry::new(name, run, 8 * words.len() as u32, 8, params);
    let block: &'static [u64] = words.to_vec().leak();
    (std::ptr::from_ref::<Entry>(Box::leak(Box::new(entry))) as usize, block.as_ptr() as usize)
}

/// The packet's sizes are the metadata's.
fn fits(kernel: &Kernel, shape: &Shape) -> Result<(), String> {
    let meta = &kernel.meta;
    if meta.workgroup.is_some_and(|wanted| wanted != shape.workgroup.map(u64::from)) {
        return Err(format!("workgroups of {:?} instead of {:?}", shape.workgroup, meta.workgroup));
    }
    if shape.group_bytes < meta.group_bytes || shape.private_bytes < meta.private_bytes {
        return Err("less memory for workgroups or work-items than the kernel has".into());
    }
    for (grid, items) in shape.grid.iter().zip(shape.workgroup) {
        if grid % u32::from(items) != 0 {
            return Err(format!(
                "a grid of {:?} is not whole workgroups of {:?}",
                shape.grid, shape.workgroup
            ));
        }
    }
    Ok(())
}

/// The launch has a workgroup for every piece of its domain; in x a grid as long as can be is enough.
fn covers(phase: &host_form::Phase, shape: &Shape, extents: [i64; 3]) -> Result<(), String> {
    for axis in 0..3 {
        let items = u32::from(shape.workgroup[axis]);
        let groups = u64::from(shape.grid[axis] / items);
        let wanted = (extents[axis] as u64).div_ceil(phase.local[axis].max(1).into());
        let most = axis == 0 && shape.grid[0] > u32::MAX - items;
        if groups != wanted && !most {
            return Err(format!("{groups} workgroups along axis {axis} instead of {wanted}"));
        }
    }
    Ok(())
}

/// Memory of the program's that the agent may use.
fn readable(agent: usize, at: usize, bytes: usize) -> Result<&'static [u8], String> {
    let mut table = memory::table();
    let found =
        table.find(at).filter(|(start, a)| a.access.contains(&agent) && at + bytes <= start + a.bytes);
    found.ok_or_else(|| format!("{at:#x} is no memory of {bytes} bytes that the agent can use"))?;
    // SAFETY: the allocation is alive and so long.
    Ok(unsafe { std::slice::from_raw_parts(at as *const u8, bytes) })
}

/// The explicit arguments; the hidden ones must be what the packet's shape says.
fn words(kernel: &Kernel, shape: &Shape, segment: &[u8]) -> Result<Vec<u64>, String> {
    let mut words = Vec::new();
    for argument in &kernel.meta.arguments {
        let bytes = segment.get(argument.offset..argument.offset + argument.size);
        let bytes = bytes.filter(|b| b.len() <= 8).ok_or("an argument outside of the segment")?;
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = u64::from_le_bytes(word);
        let Some(hidden) = argument.kind.strip_prefix("hidden_") else {
            words.push(word);
            continue;
        };
        let axis = match hidden.as_bytes().last() {
            Some(b'y') => 1,
            Some(b'z') => 2,
            _ => 0,
        };
        let items = u64::from(shape.workgroup[axis]);
        let wanted = match hidden.trim_end_matches(['x', 'y', 'z']) {
            "block_count_" => u64::from(shape.grid[axis]) / items,
            "group_size_" => items,
            "remainder_" | "global_offset_" => 0,
            "grid_dims" => 3,
            _ => return Err(format!("its code wants `{}`, which nobody gives", argument.kind)),
        };
        if word != wanted {
            return Err(format!("`{}` is {word} instead of {wanted}", argument.kind));
        }
    }
    Ok(words)
}

unsafe extern "C" fn nothing(_: *const u8) {}

/// Calls the host form whose address is in front of its arguments.
unsafe extern "C" fn run(block: *const u8) {
    // SAFETY: blocks are made above.
    unsafe {
        let host = block.cast::<Option<unsafe extern "C" fn(*const [u64; 2])>>().read();
        if let Some(host) = host {
            host(block.add(8).cast());
        }
    }
}

unsafe extern "C" fn stop(block: *const u8) {
    // SAFETY: as above; the status block was found to be memory of the program's.
    unsafe {
        let status = block.cast::<u64>().read() as *mut [u32; 8];
        status.write(STATUS);
    }
}

//! Images for the NPU (PDI) and their instructions, as a packet of the NPU's queue names them.
//!
//! A real image is the business of the device. The one that is played here is a shared library in an envelope:
//! `CLEFPDI1`, the library's length in 64 bits, the library, `CLEFPDIE`. The library defines `clef_pdi`, an [`Entry`]
//! whose parameters are buffers. Instructions have the header of real ones: version, generation of the array (4), rows
//! and columns, number of operations, and bytes in all. Whatever is not so makes a packet that the queue refuses.

use crate::code::Entry;
use crate::queue::Work;
use crate::{INVALID_PACKET_FORMAT, lock, memory};
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Mutex;

const BEGIN: &[u8; 8] = b"CLEFPDI1";
const END: &[u8; 8] = b"CLEFPDIE";
const GENERATION: u8 = 4;
const RTLD_NOW: c_int = 2;

unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: u32) -> c_int;
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Addresses of entries by the image's address; none of what is no image.
static IMAGES: Mutex<BTreeMap<u64, Option<usize>>> = Mutex::new(BTreeMap::new());

/// What a packet asks for that names an image.
pub fn work(agent: usize, image: u64, insts: (u64, u64), list: (u64, u16)) -> Work {
    let known = *lock(&IMAGES).entry(image).or_insert_with(|| open(agent, image));
    // SAFETY: entries of loaded images, which stay.
    match known.map(|entry| unsafe { &*(entry as *const Entry) }) {
        Some(entry) if instructions(agent, insts) => arguments(entry, list)
            .map_or(Work::Wrong(INVALID_PACKET_FORMAT), |kernarg| Work::Kernel { entry, kernarg }),
        _ => Work::Wrong(INVALID_PACKET_FORMAT),
    }
}

/// Whether an entry is an image's: then its arguments are made here.
pub fn is_image(entry: &Entry) -> bool {
    lock(&IMAGES).values().any(|known| *known == Some(std::ptr::from_ref(entry) as usize))
}

/// The bytes from an address to the end of its allocation, if the agent may read them.
fn readable(agent: usize, address: u64) -> Option<&'static [u8]> {
    let mut table = memory::table();
    let (start, allocation) = table.find(address as usize)?;
    let length = start + allocation.bytes - address as usize;
    // SAFETY: the allocation is that long; images and instructions are never freed.
    allocation
        .access
        .contains(&agent)
        .then(|| unsafe { std::slice::from_raw_parts(address as *const u8, length) })
}

fn open(agent: usize, image: u64) -> Option<usize> {
    let bytes = readable(agent, image)?;
    let length = usize::try_from(u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?)).ok()?;
    let end = length.checked_add(16)?;
    if bytes.get(..8)? != BEGIN || bytes.get(end..end.checked_add(8)?)? != END {
        return None;
    }
    // SAFETY: a file of this process's own, and the library that a test made.
    unsafe {
        let file = memfd_create(c"clef-pdi".as_ptr(), 0);
        if file < 0 {
            return None;
        }
        let mut file = File::from_raw_fd(file);
        file.write_all(&bytes[16..end]).ok()?;
        let path = format!("/proc/self/fd/{}\0", file.as_raw_fd());
        let library = dlopen(path.as_ptr().cast(), RTLD_NOW);
        if library.is_null() {
            return None;
        }
        let entry = dlsym(library, c"clef_pdi".as_ptr());
        (!entry.is_null()).then_some(entry as usize)
    }
}

/// Whole instructions for this array, where the agent can read them.
fn instructions(agent: usize, (address, length): (u64, u64)) -> bool {
    let Some(bytes) = readable(agent, address) else { return false };
    bytes
        .get(..usize::try_from(length).unwrap_or(usize::MAX))
        .is_some_and(|b| b.len() >= 16 && b[2] == GENERATION && b[12..16] == (length as u32).to_le_bytes())
}

/// The buffers that a packet lists, as the arguments of a host function. The block stays: a packet is read several times.
fn arguments(entry: &Entry, (list, n): (u64, u16)) -> Option<usize> {
    let params = entry.params();
    if params.len() != usize::from(n) || params.iter().any(|p| p.kind != 1) || (n > 0 && list == 0) {
        return None;
    }
    let mut words = vec![0_u64; entry.first as usize / 8];
    for (i, param) in params.iter().enumerate() {
        // SAFETY: the program says that there are so many addresses, and as many sizes.
        let (address, bytes) = unsafe {
            ((list as *const u64).add(i).read(), (list as *const u64).add(usize::from(n) + i).read())
        };
        words.extend([address, bytes / u64::from(param.size.max(1))]);
    }
    (8 * words.len() == entry.kernarg_bytes as usize).then(|| words.leak().as_ptr() as usize)
}

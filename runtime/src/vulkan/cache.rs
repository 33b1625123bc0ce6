//! The driver's pipeline cache between runs of programs: one file for each driver and device.
//!
//! Drivers check little of what they are given back, so the file has a header of its own: what wrote it, for which
//! driver and device, how many bytes follow, and a checksum of it all. A file that is damaged, cut short, or of another
//! driver counts as absent, and the next program that ends well writes it anew. Files are written beside their place
//! and renamed there: a reader sees an old file or a new one, never half of one.
//!
//! Programs that end at the same time do not add their pipelines together: the last one's file stays.

use ash::vk;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"CLEFPIPE";
/// Counted up when the header's form changes.
const VERSION: u32 = 1;
/// Magic, version, key, length, checksum.
const HEADER: usize = 8 + 4 + KEY + 8 + 8;
const KEY: usize = 44;
/// More is no cache that a program of ours wrote.
const MOST: u64 = 1 << 30;

/// What the driver's data belongs to: vendor, device, versions and identifiers of the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key([u8; KEY]);

impl Key {
    pub fn of(properties: &vk::PhysicalDeviceProperties, driver: &[u8; vk::UUID_SIZE]) -> Self {
        let mut key = [0; KEY];
        key[..4].copy_from_slice(&properties.vendor_id.to_le_bytes());
        key[4..8].copy_from_slice(&properties.device_id.to_le_bytes());
        key[8..12].copy_from_slice(&properties.driver_version.to_le_bytes());
        key[12..28].copy_from_slice(&properties.pipeline_cache_uuid);
        key[28..].copy_from_slice(driver);
        Self(key)
    }

    /// The name of the file: its devices and driver versions have one each.
    fn file_name(&self) -> String {
        let part = |at: usize| {
            self.0[at..at + 4].iter().rev().fold(0_u32, |word, &byte| word << 8 | u32::from(byte))
        };
        format!("pipelines-{:x}-{:x}-{:x}.bin", part(0), part(4), part(8))
    }
}

/// The file of a device, and what was in it when the program began.
pub struct CacheFile {
    path: PathBuf,
    key: Key,
    found: Vec<u8>,
}

impl CacheFile {
    /// Reads the file; whatever is wrong with it, it is then empty. `None` where no folder for caches is known.
    pub fn open(key: Key) -> Option<Self> {
        let base = std::env::var_os("XDG_CACHE_HOME")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        let path = base.join("clef").join(key.file_name());
        let found = read(&path).as_deref().and_then(|file| unpack(key, file)).unwrap_or_default().to_vec();
        Some(Self { path, key, found })
    }

    /// The driver's data; empty if there is none.
    pub fn data(&self) -> &[u8] {
        &self.found
    }

    /// Writes the driver's data if it is not what was found. A file that cannot be written is no error.
    pub fn save(&self, data: &[u8]) {
        if self.found == data {
            return;
        }
        let Some(folder) = self.path.parent() else { return };
        let temporary = folder.join(format!(".pipelines-{}-{}.part", std::process::id(), now()));
        let write = || {
            std::fs::create_dir_all(folder)?;
            // Nobody else's file, whatever its name. Not flushed to the disk: a file that a crash of the machine cuts
            // short is seen by its length and checksum.
            let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
            file.write_all(&pack(self.key, data))?;
            std::fs::rename(&temporary, &self.path)
        };
        if write().is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
    }
}

fn now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_nanos())
}

/// The bytes of an ordinary file that is not too long (a pipe in its place would be waited for).
fn read(path: &Path) -> Option<Vec<u8>> {
    let about = std::fs::metadata(path).ok()?;
    if !about.is_file() || about.len() > MOST {
        return None;
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn pack(key: Key, data: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + data.len());
    file.extend(MAGIC);
    file.extend(VERSION.to_le_bytes());
    file.extend(key.0);
    file.extend((data.len() as u64).to_le_bytes());
    file.extend(checksum(&file, data).to_le_bytes());
    file.extend(data);
    file
}

/// The driver's data in a file, if the file is whole and belongs to this driver and device.
fn unpack(key: Key, file: &[u8]) -> Option<&[u8]> {
    let (header, data) = file.split_at_checked(HEADER)?;
    let (head, sum) = header.split_at(HEADER - 8);
    let wanted = pack(key, &[]);
    let fixed = MAGIC.len() + 4 + KEY;
    let fits = head[..fixed] == wanted[..fixed]
        && head[fixed..] == (data.len() as u64).to_le_bytes()
        && sum == checksum(head, data).to_le_bytes();
    fits.then_some(data)
}

/// FNV-1a over words of eight bytes (the last one filled up with zeros) instead of bytes: each step is reversible, so
/// a change within one word is always seen.
fn checksum(head: &[u8], data: &[u8]) -> u64 {
    let words = head.chunks(8).chain(data.chunks(8));
    words.fold(0xcbf2_9ce4_8422_2325, |sum: u64, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        // Turned, or the high bits of a word would never reach the low bits of the sum.
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Key = Key([7; KEY]);

    #[test]
    fn what_was_packed_comes_back() {
        for length in [0, 1, 7, 8, 9, 1000] {
            let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_eq!(unpack(OURS, &pack(OURS, &data)), Some(&data[..]));
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let file = pack(OURS, b"what a driver wrote");
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unpack(OURS, &damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn every_other_length_is_seen() {
        let file = pack(OURS, b"what a driver wrote");
        for length in 0..file.len() {
            assert_eq!(unpack(OURS, &file[..length]), None, "{length} bytes");
        }
        let longer = [&file[..], &[0]].concat();
        assert_eq!(unpack(OURS, &longer), None);
    }

    #[test]
    fn other_drivers_and_versions_are_refused() {
        let mut other = OURS;
        other.0[KEY - 1] += 1;
        assert_eq!(unpack(other, &pack(OURS, b"data")), None);
        let mut newer = pack(OURS, b"data");
        newer[8] += 1;
        let sum = checksum(&newer[..HEADER - 8], b"data").to_le_bytes();
        newer[HEADER - 8..HEADER].copy_from_slice(&sum);
        assert_eq!(unpack(OURS, &newer), None);
    }
}

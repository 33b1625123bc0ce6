//! Managed buffers, for devices whose fast memory the host does not reach: the device's own copy, and a shadow of the
//! same length that the program sees. [`Managed`] knows which side holds the newest bytes and copies only what the
//! other side is about to use.
//!
//! | state | shadow | device | program's view |
//! |---|---|---|---|
//! | `Fresh` | zero | undefined | read only |
//! | `Host` | newest | old | all |
//! | `Both` | newest | newest | read only |
//! | `Device` | old | newest | none |
//!
//! - A dispatch that needs a buffer's bytes and finds `Host` has them copied in its own command buffer, before it runs;
//!   one that writes leaves `Device`. A chain of dispatches finds `Device` or `Both` and copies nothing.
//! - The first access of the host to bytes that its view does not allow faults, and [`super::faults`] comes here: a
//!   write of `Both` only opens the view; an access of `Device` brings the bytes back first.
//! - The shadow is mapped twice: the program's view, which is protected, and the device's, which never is. Copies run
//!   on the second one, so a view can be closed while a copy is pending.
//!
//! It promises nothing about order: that the host does not touch what a dispatch may still write is the fence plan's
//! work. Whole buffers are copied, never parts. What the system (not the program) writes to a view that is closed
//! fails there with EFAULT.

use super::Device;
use super::memory::{self, DeviceMemory};
use crate::abi;
use ash::vk;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which side holds the newest bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Newest {
    Fresh,
    Host,
    Both,
    Device,
}

/// What must happen before the device, or the host, may use the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    Nothing,
    /// The device's copy becomes zero.
    Zero,
    ToDevice,
    ToHost,
}

/// What a kernel does with a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effect {
    /// Bytes from before the kernel are still there behind it, or it reads them.
    pub needs: bool,
    pub writes: bool,
}

impl Effect {
    /// Of a parameter; `whole`: it stands for all of the buffer's bytes.
    pub fn of(param: &abi::Param, whole: bool) -> Self {
        let (reads, writes, covers) = (param.effect & 1 != 0, param.effect & 2 != 0, param.effect & 4 != 0);
        Self { needs: reads || writes && !(covers && whole), writes }
    }

    /// Of several parameters that are the same buffer.
    pub fn and(self, other: Self) -> Self {
        Self { needs: self.needs || other.needs, writes: self.writes || other.writes }
    }
}

impl Newest {
    /// A kernel on the device: what moves first, and the state behind it.
    pub fn on_device(self, effect: Effect) -> (Move, Self) {
        let (moved, then) = match self {
            _ if !effect.needs => (Move::Nothing, self),
            Self::Fresh => (Move::Zero, Self::Both),
            Self::Host => (Move::ToDevice, Self::Both),
            Self::Both | Self::Device => (Move::Nothing, self),
        };
        (moved, if effect.writes { Self::Device } else { then })
    }

    /// An access of the host that its view did not allow.
    pub fn on_host(self, write: bool) -> (Move, Self) {
        match self {
            Self::Device if write => (Move::ToHost, Self::Host),
            Self::Device => (Move::ToHost, Self::Both),
            // These views are readable, so it was a write. `Host`: another thread was first.
            Self::Fresh | Self::Both | Self::Host => (Move::Nothing, Self::Host),
        }
    }

    fn protection(self) -> libc::c_int {
        match self {
            Self::Host => libc::PROT_READ | libc::PROT_WRITE,
            Self::Fresh | Self::Both => libc::PROT_READ,
            Self::Device => libc::PROT_NONE,
        }
    }
}

/// A copy that a dispatch has recorded before it.
#[derive(Clone, Copy, Debug)]
pub enum Copy {
    Zero { to: vk::Buffer },
    Bytes { from: vk::Buffer, to: vk::Buffer, bytes: u64 },
}

/// What a dispatch must do first: a copy, and the dispatch (queue, sequence) of another queue that it must follow.
pub type Before = (Option<Copy>, Option<(usize, u64)>);

/// Bytes moved and fills since the start, for `CLEF_VULKAN_STATS`.
#[derive(Default)]
pub struct Moved {
    pub to_device: AtomicU64,
    pub bytes_to_device: AtomicU64,
    pub to_host: AtomicU64,
    pub bytes_to_host: AtomicU64,
}

/// Copies of this process.
pub static MOVED: Moved = Moved {
    to_device: AtomicU64::new(0),
    bytes_to_device: AtomicU64::new(0),
    to_host: AtomicU64::new(0),
    bytes_to_host: AtomicU64::new(0),
};

/// A buffer with two copies.
#[derive(Debug)]
pub struct Managed {
    /// The program's view of the shadow.
    pub host: usize,
    /// The device's address.
    pub device: u64,
    newest: Newest,
    own: DeviceMemory,
    /// The view that copies use, and the length of both.
    alias: usize,
    length: usize,
    /// The shadow as the device sees it; made with the first copy.
    shadow: Option<DeviceMemory>,
    /// Dispatches (queue, sequence) that hold the newest copy to the device, and the newest write.
    filled: Option<(usize, u64)>,
    written: Vec<(usize, u64)>,
}

impl Managed {
    pub fn new(device: &Device, bytes: u64) -> Result<Self, String> {
        let page = device.import_alignment.max(4096);
        let length = bytes
            .max(16)
            .checked_next_multiple_of(page)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| "it is too large".to_owned())?;
        let own = memory::device_local(device, length as u64)?;
        let views = match Self::map(length) {
            Ok(views) => views,
            Err(why) => {
                memory::free_device(device, own);
                return Err(format!("the host has no room for its shadow: {why}"));
            }
        };
        super::faults::watch(views.0, length);
        Ok(Self {
            host: views.0,
            device: own.address,
            newest: Newest::Fresh,
            own,
            alias: views.1,
            length,
            shadow: None,
            filled: None,
            written: Vec::new(),
        })
    }

    /// The program's view, read only, and the device's.
    fn map(length: usize) -> Result<(usize, usize), std::io::Error> {
        let failed = || Err(std::io::Error::last_os_error());
        // SAFETY: plain system calls; the descriptor is closed on every path, the mappings keep the memory.
        unsafe {
            let file = libc::memfd_create(c"clef-shadow".as_ptr(), libc::MFD_CLOEXEC);
            if file < 0 {
                return failed();
            }
            let map =
                |protection| libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file, 0);
            let result = 'made: {
                if libc::ftruncate(file, length as libc::off_t) != 0 {
                    break 'made failed();
                }
                let view = map(Newest::Fresh.protection());
                if view == libc::MAP_FAILED {
                    break 'made failed();
                }
                let alias = map(libc::PROT_READ | libc::PROT_WRITE);
                if alias == libc::MAP_FAILED {
                    let why = failed();
                    libc::munmap(view, length);
                    break 'made why;
                }
                Ok((view as usize, alias as usize))
            };
            libc::close(file);
            result
        }
    }

    /// Frees both copies; no pending dispatch uses them.
    pub fn free(self, device: &Device) {
        if let Some(shadow) = self.shadow {
            memory::free_device(device, shadow);
        }
        memory::free_device(device, self.own);
        // SAFETY: these are the mappings that `map` made, and nothing uses them any more.
        unsafe {
            libc::munmap(self.host as *mut libc::c_void, self.length);
            libc::munmap(self.alias as *mut libc::c_void, self.length);
        }
    }

    fn shadow(&mut self, device: &Device) -> Result<vk::Buffer, String> {
        if self.shadow.is_none() {
            self.shadow = Some(memory::import(device, self.alias, self.length as u64)?);
        }
        self.shadow.as_ref().map(|s| s.buffer).ok_or_else(|| "the shadow was not imported".to_owned())
    }

    fn enter(&mut self, newest: Newest) -> Result<(), String> {
        if newest.protection() != self.newest.protection() {
            // SAFETY: the view is this buffer's alone.
            let done =
                unsafe { libc::mprotect(self.host as *mut libc::c_void, self.length, newest.protection()) };
            if done != 0 {
                let why = std::io::Error::last_os_error();
                return Err(format!("a buffer's view could not be protected: {why}"));
            }
        }
        self.newest = newest;
        Ok(())
    }

    /// Before a dispatch on a queue: the copy that it needs, and the dispatch of another queue that it must follow.
    pub fn before_dispatch(
        &mut self,
        device: &Device,
        queue: usize,
        effect: Effect,
    ) -> Result<Before, String> {
        let (moved, then) = self.newest.on_device(effect);
        let copy = match moved {
            Move::Nothing | Move::ToHost => None,
            Move::Zero => Some(Copy::Zero { to: self.own.buffer }),
            Move::ToDevice => {
                MOVED.to_device.fetch_add(1, Ordering::Relaxed);
                MOVED.bytes_to_device.fetch_add(self.length as u64, Ordering::Relaxed);
                let bytes = self.length as u64;
                Some(Copy::Bytes { from: self.shadow(device)?, to: self.own.buffer, bytes })
            }
        };
        self.enter(then)?;
        Ok((copy, self.filled.filter(|&(other, _)| other != queue)))
    }

    /// Behind it: with its number.
    pub fn after_dispatch(&mut self, at: (usize, u64), effect: Effect, copied: bool) {
        if copied {
            self.filled = Some(at);
        }
        if effect.writes {
            self.written.retain(|w| w.0 != at.0);
            self.written.push(at);
        }
    }

    /// An access of the host at this buffer that faulted. `wait`: until a dispatch has ended.
    pub fn on_fault(&mut self, vulkan: &super::Vulkan, write: bool) -> Result<(), String> {
        let (moved, then) = self.newest.on_host(write);
        // The device may still read the shadow for the newest copy.
        if let Some((queue, sequence)) = self.filled.take() {
            vulkan.await_end(queue, sequence)?;
        }
        if moved == Move::ToHost {
            for (queue, sequence) in std::mem::take(&mut self.written) {
                vulkan.await_end(queue, sequence)?;
            }
            let (from, to) = (self.own.buffer, self.shadow(&vulkan.device)?);
            MOVED.to_host.fetch_add(1, Ordering::Relaxed);
            MOVED.bytes_to_host.fetch_add(self.length as u64, Ordering::Relaxed);
            vulkan.copy_now(from, to, self.length as u64)?;
        }
        self.enter(then)
    }
}

/// Where buffers live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// In memory that both reach.
    Host,
    /// Each in the device's memory, with a shadow.
    Device,
    /// As `Device`, but small ones in the host's memory.
    Large,
}

/// Up to this size the device reads a buffer over the bus faster than it could be copied and the copy waited for.
const SMALL: u64 = 16 << 10;

impl Policy {
    /// What `CLEF_VULKAN_MEMORY` says, else what fits the device.
    pub fn choose(device: &Device) -> Result<Self, String> {
        let policy = match std::env::var("CLEF_VULKAN_MEMORY").as_deref() {
            Ok("host") => Self::Host,
            Ok("device") if !device.imports() => {
                return Err(format!(
                    "CLEF_VULKAN_MEMORY=device needs VK_EXT_external_memory_host, which `{}` lacks",
                    device.name
                ));
            }
            Ok("device") => Self::Device,
            Ok(other) => {
                return Err(format!("CLEF_VULKAN_MEMORY is `{other}`; it must be `host` or `device`"));
            }
            Err(_) if device.discrete && device.imports() => Self::Large,
            Err(_) => Self::Host,
        };
        Ok(policy)
    }

    /// Whether a buffer gets two copies.
    pub fn splits(self, bytes: u64, near_device: bool) -> bool {
        match self {
            Self::Host => false,
            Self::Device => true,
            Self::Large => near_device || bytes > SMALL,
        }
    }
}

/// What was copied, where `CLEF_VULKAN_STATS=1` asks for it.
pub fn report() {
    if std::env::var_os("CLEF_VULKAN_STATS").is_none_or(|v| v != "1") {
        return;
    }
    let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
    crate::output::message(format_args!(
        "clef: copied {} buffers to the GPU ({} bytes), {} back ({} bytes)\n",
        get(&MOVED.to_device),
        get(&MOVED.bytes_to_device),
        get(&MOVED.to_host),
        get(&MOVED.bytes_to_host)
    ));
}

#[cfg(test)]
mod tests {
    use super::{Effect, Move, Newest};

    const READS: Effect = Effect { needs: true, writes: false };
    const UPDATES: Effect = Effect { needs: true, writes: true };
    const COVERS: Effect = Effect { needs: false, writes: true };

    fn run(steps: &[(bool, Effect)]) -> Vec<Move> {
        let mut state = Newest::Fresh;
        let mut moves = Vec::new();
        for &(device, effect) in steps {
            let allowed = match state {
                Newest::Host => true,
                Newest::Fresh | Newest::Both => !effect.writes,
                Newest::Device => false,
            };
            let (moved, then) = match (device, allowed) {
                (true, _) => state.on_device(effect),
                (false, true) => continue,
                (false, false) => state.on_host(effect.writes),
            };
            moves.push(moved);
            state = then;
        }
        moves
    }

    #[test]
    fn a_chain_on_the_device_copies_once() {
        let (host, device) = (false, true);
        let moves =
            run(&[(host, UPDATES), (device, READS), (device, UPDATES), (device, UPDATES), (host, READS)]);
        assert_eq!(moves, [Move::Nothing, Move::ToDevice, Move::Nothing, Move::Nothing, Move::ToHost]);
    }

    #[test]
    fn what_the_host_wrote_since_is_copied_again() {
        let (host, device) = (false, true);
        let moves = run(&[(host, UPDATES), (device, READS), (host, READS), (host, UPDATES), (device, READS)]);
        assert_eq!(moves, [Move::Nothing, Move::ToDevice, Move::Nothing, Move::ToDevice]);
    }

    #[test]
    fn what_is_overwritten_is_not_copied() {
        let (host, device) = (false, true);
        assert_eq!(run(&[(host, UPDATES), (device, COVERS)]), [Move::Nothing, Move::Nothing]);
        assert_eq!(run(&[(device, COVERS), (device, READS)]), [Move::Nothing, Move::Nothing]);
        assert_eq!(run(&[(device, READS), (device, UPDATES)]), [Move::Zero, Move::Nothing]);
    }
}

//! What the tests of the runtime share: kernels, descriptors as compiled code has them, and scenarios that run in a
//! process of their own (the runtime decides once per process who plays the agents, and ends it on errors).

#![allow(dead_code, reason = "each test program uses a part")]

use clef_runtime::abi::{After, Arg, Dispatch, Header, Kernel, Loc, Param, Sequence, Site};
use clef_runtime::agents::{clef_dispatch, clef_host_access, clef_wait};
use clef_runtime::buffers::{clef_alloc_unified, clef_buffer_retain};
use std::ffi::CString;
use std::process::{Command, Output};
use std::ptr;

pub const CPU: u8 = 0;
pub const GPU: u8 = 1;
pub const NPU: u8 = 2;

/// Packet headers by (acquire, release): 0 none, 1 agent, 2 system.
pub fn header(acquire: u16, release: u16) -> u16 {
    2 | 1 << 8 | acquire << 9 | release << 11
}

pub const READ: u8 = 1;
pub const WRITE: u8 = 2;
pub const COVERS: u8 = 4;

pub fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

pub fn text(text: &str) -> *const std::ffi::c_char {
    CString::new(text).unwrap().into_raw()
}

pub fn loc(line: u32) -> Loc {
    Loc { file: text("test.clef"), line, column: 5 }
}

pub fn scalar() -> Param {
    Param { kind: 0, size: 8, effect: 0, reserved: 0 }
}

pub fn buffer(effect: u8) -> Param {
    Param { kind: 1, size: 4, effect, reserved: 0 }
}

pub fn kernel(name: &str, params: Vec<Param>, host: unsafe extern "C" fn(*const Arg)) -> &'static Kernel {
    let params = params.leak();
    leak(Kernel {
        name: text(name),
        params: params.as_ptr(),
        n_params: params.len() as u32,
        // Claimed: what a kernel for Vulkan has, but no phase is looked at on the host.
        n_phases: 1,
        phases: ptr::null(),
        host: Some(host),
        object: ptr::null(),
        npu: ptr::null(),
    })
}

/// A dispatch in the source.
pub struct At {
    pub dispatch: &'static mut Dispatch,
}

pub fn at(line: u32, kernel: &'static Kernel, agent: u8, queue: u8, header: u16) -> At {
    let site: *mut Site = leak(Site::default());
    At {
        dispatch: leak(Dispatch {
            kernel,
            site,
            after: ptr::null(),
            n_after: 0,
            agent,
            device: 0,
            queue,
            flags: 0,
            header,
            reserved: [0; 3],
            loc: loc(line),
        }),
    }
}

impl At {
    pub fn flags(self, flags: u8) -> Self {
        self.dispatch.flags = flags;
        self
    }

    pub fn after(self, others: &[&At]) -> Self {
        let list: Vec<After> = others.iter().map(|o| o.element()).collect();
        self.dispatch.n_after = list.len() as u32;
        self.dispatch.after = list.leak().as_ptr();
        self
    }

    pub fn element(&self) -> After {
        After { site: self.dispatch.site, routes: 3, reserved: 0 }
    }

    pub fn run(&self, args: &[u64]) {
        unsafe { clef_dispatch(&*self.dispatch, args.as_ptr()) }
    }

    pub fn wait(&self) {
        unsafe { clef_wait(&self.element(), 1, leak(loc(90))) }
    }
}

/// A buffer of `n` 32-bit integers with one reference.
pub fn ints(n: usize) -> *mut i32 {
    let address = unsafe { clef_alloc_unified(n as i64 * 4, 3, 3, leak(loc(1))) };
    clef_buffer_retain(address);
    address.cast()
}

/// `b.[i] <- v` with the hook.
pub fn put(line: u32, b: *mut i32, i: usize, v: i32) {
    unsafe {
        clef_host_access(b.add(i).cast(), 4, 1, leak(loc(line)));
        b.add(i).write_volatile(v);
    }
}

/// `b.[i]` with the hook.
pub fn get(line: u32, b: *mut i32, i: usize) -> i32 {
    unsafe {
        clef_host_access(b.add(i).cast(), 4, 0, leak(loc(line)));
        b.add(i).read_volatile()
    }
}

unsafe fn slice<'a>(arg: &Arg) -> &'a mut [i32] {
    unsafe { std::slice::from_raw_parts_mut(arg.value as *mut i32, arg.len as usize) }
}

/// fill z v
pub unsafe extern "C" fn fill(args: *const Arg) {
    unsafe {
        let value = (*args.add(1)).value as i32;
        slice(&*args).fill(value);
    }
}

/// The first half only: fill z v
pub unsafe extern "C" fn fill_half(args: *const Arg) {
    unsafe {
        let value = (*args.add(1)).value as i32;
        let z = slice(&*args);
        let half = z.len() / 2;
        z[..half].fill(value);
    }
}

/// z.[i] <- x.[i] + 1
pub unsafe extern "C" fn next(args: *const Arg) {
    unsafe {
        for (z, x) in slice(&*args.add(1)).iter_mut().zip(slice(&*args)) {
            *z = *x + 1;
        }
    }
}

/// x.[len]
pub unsafe extern "C" fn too_far(args: *const Arg) {
    unsafe {
        let len = (*args).len as i64;
        clef_runtime::stop::clef_panic_bounds(len, len, leak(loc(77)));
    }
}

pub fn fill_kernel() -> &'static Kernel {
    kernel("fill", vec![buffer(WRITE | COVERS), scalar()], fill)
}

pub fn half_kernel() -> &'static Kernel {
    kernel("half", vec![buffer(WRITE), scalar()], fill_half)
}

pub fn next_kernel() -> &'static Kernel {
    kernel("next", vec![buffer(READ), buffer(WRITE | COVERS)], next)
}

/// The shared library with HSA's functions that these tests load: cargo builds it beside them.
pub fn hsa_mock() -> String {
    let library = std::env::current_exe().unwrap().with_file_name("libhsa_runtime64.so");
    assert!(library.is_file(), "{} is not there", library.display());
    library.to_str().unwrap().to_owned()
}

/// A file for the library's record.
pub struct Record(pub std::path::PathBuf);

impl Record {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("clef-hsa-{name}-{}.log", std::process::id()));
        if !is_child() {
            let _ = std::fs::remove_file(&path);
        }
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The lines that begin with one of these words, without the packets' bytes.
    pub fn lines(&self, words: &[&str]) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let wanted = |l: &&str| words.iter().any(|w| l.split(' ').next() == Some(w));
        let short = |l: &str| l.split(" bytes=").next().unwrap_or_default().to_owned();
        text.lines().filter(wanted).map(short).collect()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !is_child() {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

#[repr(C)]
pub struct Text {
    head: Sequence,
    bytes: [u8; 64],
}

/// A string object.
pub fn string(text: &str) -> *const Sequence {
    let mut bytes = [0; 64];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    let head = Sequence { header: Header { count: -1, tag: 0 }, len: text.len() as i64 };
    ptr::from_ref(leak(Text { head, bytes })).cast()
}

/// Whether this process is that of a scenario: then the test's own assertions do not count.
pub fn is_child() -> bool {
    std::env::var_os("CLEF_SCENARIO").is_some()
}

/// What a scenario did.
pub struct Ended {
    pub code: Option<i32>,
    pub errors: String,
}

/// Runs `body` in a process of its own, with an environment; its exit code is that of `clef_finish`.
pub fn scenario(name: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> Ended {
    if std::env::var("CLEF_SCENARIO").as_deref() == Ok(name) {
        body();
        std::process::exit(clef_runtime::start::clef_finish(0));
    }
    if is_child() {
        // Another scenario of the same test; what comes of it is not looked at.
        return Ended { code: None, errors: String::new() };
    }
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &test, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env("CLEF_SCENARIO", name);
    let ours = [
        "CLEF_AGENTS",
        "CLEF_ADVERSARIAL",
        "CLEF_TRACE",
        "CLEF_STATS",
        "CLEF_AFFINITY",
        "CLEF_RACES",
        "CLEF_THREADS",
        "CLEF_HSA_LIBRARY",
    ];
    for variable in ours {
        command.env_remove(variable);
    }
    command.envs(environment.iter().copied());
    let Output { status, stderr, .. } = command.output().unwrap();
    Ended { code: status.code(), errors: String::from_utf8_lossy(&stderr).into_owned() }
}

impl Ended {
    #[track_caller]
    pub fn fine(&self) {
        self.ends(0, "");
    }

    #[track_caller]
    pub fn ends(&self, code: i32, part: &str) {
        if is_child() {
            return;
        }
        assert_eq!(self.code, Some(code), "{}", self.errors);
        assert!(self.errors.contains(part), "`{part}` is not in:\n{}", self.errors);
    }
}

//! Dispatch: who plays the agents, and the functions that compiled code calls.
//!
//! - [`table`]: the shapes of HSA behind which agents are; [`executor`]: the embedded implementation on host threads.
//!   [`crate::hsa`]: the one over ROCr's library. [`host_code`]: kernels as host functions, for both.
//! - [`lane`]: a queue of the program: writes packets, knows what has ended.
//! - [`instead`]: the host in place of an NPU that cannot run a kernel. [`stopped`]: kernels that had to stop. `tally`: how often a program synchronised.
//!
//! Nothing starts before the first dispatch or allocation needs it.

pub mod executor;
pub mod host_code;
mod instead;
pub mod lane;
pub mod stopped;
pub mod table;
mod tally;

use crate::abi::{After, Arg, Dispatch, Kernel, Loc, Param, ROUTE_HSA, ROUTE_VULKAN};
use crate::buffers::{self, Table};
use crate::hsa::discover::{self, Missing};
use crate::hsa::machine::{self, Machine};
use crate::hsa::{npu, objects};
use crate::vulkan::Vulkan;
use crate::{adversarial, start, stop, trace};
use std::sync::OnceLock;

/// Who plays the GPU.
pub enum Backing {
    Host,
    /// Agents of a loaded HSA library; the host executor plays those that it lacks.
    Hsa(&'static Machine),
    Vulkan(Box<Vulkan>),
    /// Nobody in real time: the simulation of incoherent memory.
    Adversarial,
}

struct State {
    backing: Backing,
    route: u32,
}

static STATE: OnceLock<State> = OnceLock::new();

fn state() -> &'static State {
    STATE.get_or_init(|| {
        let state = choose();
        start::at_finish(finish);
        if !matches!(state.backing, Backing::Adversarial) {
            stop::set_before(before_stop);
        }
        state
    })
}

/// Whether somebody asked for AMD agents: then nobody else plays for them.
pub fn hsa_is_forced() -> bool {
    start::variable_text(c"CLEF_AGENTS") == Some("hsa")
}

/// Whether the program was built for AMD agents.
pub fn built_for_hsa() -> bool {
    stopped::default_agents() == Some("hsa")
}

/// Who plays the GPU in this process; decided once.
pub fn backing() -> &'static Backing {
    &state().backing
}

/// The route whose plan counts, as a bit of [`After::routes`].
pub fn route() -> u32 {
    state().route
}

fn choose() -> State {
    let forced = start::variable_text(c"CLEF_AGENTS");
    let built = stopped::default_agents();
    let host = State { backing: Backing::Host, route: ROUTE_HSA };
    let simulated = adversarial::seed().is_some();
    match forced.or(built).unwrap_or("host") {
        "host" | "hsa" | "any" if simulated => State { backing: Backing::Adversarial, route: ROUTE_HSA },
        "vulkan" if simulated => State { backing: Backing::Adversarial, route: ROUTE_VULKAN },
        "host" if forced.is_some() => host,
        "host" => found().map_or(host, |machine| State { backing: Backing::Hsa(machine), route: ROUTE_HSA }),
        "any" => first(),
        "hsa" => match machine::open() {
            Ok(machine) => State { backing: Backing::Hsa(machine), route: ROUTE_HSA },
            Err(why) => unavailable(format_args!(
                "{}, but {}; CLEF_AGENTS=host runs it without",
                cause(forced, "hsa", "AMD agents through HSA"),
                why.text()
            )),
        },
        "vulkan" => match Vulkan::open() {
            Ok(vulkan) => State { backing: Backing::Vulkan(Box::new(vulkan)), route: ROUTE_VULKAN },
            Err(why) => unavailable(format_args!(
                "{}, but {why}; CLEF_AGENTS=host runs it without one",
                cause(forced, "vulkan", "a GPU through Vulkan")
            )),
        },
        other => unavailable(format_args!(
            "CLEF_AGENTS is `{other}`; it must be `host` (no device needed), `hsa`, `vulkan`, or `any` (the first that is there)"
        )),
    }
}

fn cause(forced: Option<&str>, name: &str, what: &str) -> String {
    match forced {
        Some(_) => format!("CLEF_AGENTS={name} asks for {what}"),
        None => format!("this program was built for {what}"),
    }
}

/// The first that is there: AMD agents that the program has code for, a GPU through Vulkan, the host. A driver that
/// computes on the host's processor is no GPU.
fn first() -> State {
    match amd_agents() {
        Ok(Some(machine)) => return State { backing: Backing::Hsa(machine), route: ROUTE_HSA },
        Ok(None) => {}
        Err(why) => crate::output::message(format_args!("clef: {why}; the next agent is tried\n")),
    }
    match Vulkan::open() {
        Ok(vulkan) if !vulkan.is_software() => {
            State { backing: Backing::Vulkan(Box::new(vulkan)), route: ROUTE_VULKAN }
        }
        _ => State { backing: Backing::Host, route: ROUTE_HSA },
    }
}

/// AMD agents, where nobody chose; where a library does not work, that is reported, and the host plays.
fn found() -> Option<&'static Machine> {
    amd_agents().unwrap_or_else(|why| {
        crate::output::message(format_args!("clef: {why}; the host plays the agents\n"));
        None
    })
}

/// Without a library that was named, ROCr is looked at by programs that carry code for its agents only, where there is a
/// driver.
fn amd_agents() -> Result<Option<&'static Machine>, String> {
    let carries = npu::carried() || !objects::carried().is_empty();
    if start::variable(c"CLEF_HSA_LIBRARY").is_none() && !(carries && discover::has_driver()) {
        return Ok(None);
    }
    match machine::open() {
        Ok(machine) => Ok(Some(machine)),
        Err(Missing::Nothing(_)) => Ok(None),
        Err(Missing::Broken(why)) => Err(why),
    }
}

/// The machine is not as the user wants it: exit code 2, as with the compiler.
fn unavailable(text: std::fmt::Arguments<'_>) -> ! {
    crate::output::message(format_args!("clef: {text}\n"));
    stop::exit(2)
}

/// `Tile.offered ()`: false where the GPU is a Vulkan device without matrix instructions; other agents run the library's
/// own form.
#[unsafe(no_mangle)]
pub extern "C" fn clef_tiles_offered() -> bool {
    match backing() {
        Backing::Vulkan(vulkan) => vulkan.offers_tiles(),
        Backing::Host | Backing::Hsa(_) | Backing::Adversarial => true,
    }
}

/// Waits for all agents at the end.
fn finish() {
    match backing() {
        Backing::Adversarial => adversarial::finish(),
        Backing::Host | Backing::Hsa(_) | Backing::Vulkan(_) => lane::finish(),
    }
    trace::write();
    tally::report();
}

/// The host stops: a kernel that was dispatched before and stopped comes first.
fn before_stop() {
    if !matches!(backing(), Backing::Adversarial) {
        lane::settle(std::time::Duration::from_secs(1));
    }
    trace::write();
}

/// The parameters of a kernel.
///
/// # Safety
/// The descriptor is well-formed.
pub unsafe fn params(kernel: &Kernel) -> &[Param] {
    if kernel.n_params == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(kernel.params, kernel.n_params as usize) }
}

/// Resolves the words of a dispatch. `device`: buffers by the GPU's address.
///
/// # Safety
/// `args` has one word for each parameter.
pub unsafe fn resolve(
    table: &mut Table,
    dispatch: &Dispatch,
    params: &[Param],
    args: *const u64,
    device: bool,
    out: &mut Vec<Arg>,
) {
    out.clear();
    for (n, param) in params.iter().enumerate() {
        // SAFETY: the caller's promise.
        let value = unsafe { *args.add(n) };
        if param.kind != 1 {
            out.push(Arg { value, len: 0 });
            continue;
        }
        let address = value as usize;
        let Some(buffer) = table.find(address) else { unknown(dispatch, n, value) };
        let offset = address - buffer.start;
        let len = ((buffer.bytes - offset) / usize::from(param.size.max(1))) as u64;
        out.push(Arg { value: if device { buffer.device + offset as u64 } else { value }, len });
    }
}

#[cold]
fn unknown(dispatch: &Dispatch, n: usize, value: u64) -> ! {
    // SAFETY: descriptors are static.
    let name = stopped::kernel_name(unsafe { &*dispatch.kernel });
    stop::stop_at(
        &dispatch.loc,
        format_args!("argument {} of kernel `{name}` is no unified buffer (address {value:#x})", n + 1),
    )
}

/// Runs a kernel: on the caller for the CPU, by a packet for other agents.
///
/// # Safety
/// The descriptor is static and well-formed; `args` has one word for each parameter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_dispatch(dispatch: *const Dispatch, args: *const u64) {
    // SAFETY: the caller's promise.
    unsafe {
        let dispatch = &*dispatch;
        if matches!(backing(), Backing::Adversarial) {
            return adversarial::dispatch(dispatch, args);
        }
        if dispatch.agent != 0 {
            tally::dispatch(dispatch, route());
        }
        if dispatch.agent == 0 { run_here(dispatch, args) } else { lane::submit(dispatch, args) }
    }
}

/// `CPU.dispatch`.
unsafe fn run_here(dispatch: &Dispatch, args: *const u64) {
    // SAFETY: the caller's promise (descriptors are static).
    unsafe {
        let kernel = &*dispatch.kernel;
        let Some(run) = kernel.host else { no_host_form(dispatch) };
        lane::flush(&dispatch.loc);
        let mut resolved = take_scratch();
        resolve(&mut buffers::table(), dispatch, params(kernel), args, false, &mut resolved);
        let begun = trace::begin();
        run(resolved.as_ptr());
        trace::kernel(begun, None, dispatch);
        give_scratch(resolved);
    }
}

thread_local! {
    static SCRATCH: std::cell::RefCell<Vec<Arg>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A vector whose memory is kept between dispatches.
fn take_scratch() -> Vec<Arg> {
    SCRATCH.with_borrow_mut(std::mem::take)
}

fn give_scratch(scratch: Vec<Arg>) {
    SCRATCH.with_borrow_mut(|s| *s = scratch);
}

#[cold]
pub fn no_host_form(dispatch: &Dispatch) -> ! {
    // SAFETY: descriptors are static.
    let name = stopped::kernel_name(unsafe { &*dispatch.kernel });
    stop::stop_at(&dispatch.loc, format_args!("kernel `{name}` has no form that runs on the host"))
}

/// Waits until the newest dispatch of each site has ended. Sites that never ran, or that the active route's plan does
/// not name here, cost a test.
///
/// # Safety
/// `sites` has `n` entries; `loc` is null or a place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_wait(sites: *const After, n: u32, loc: *const Loc) {
    let route = route();
    for i in 0..n as usize {
        // SAFETY: the caller's promise; sites are static.
        let (site, routes) = unsafe { (&*(*sites.add(i)).site, (*sites.add(i)).routes) };
        if routes & route == 0 || site.queue == 0 {
            continue;
        }
        let (number, sequence) = (site.queue as usize - 1, site.sequence);
        if matches!(backing(), Backing::Adversarial) {
            adversarial::wait(number, sequence);
        } else {
            tally::wait();
            lane::wait(number, sequence, loc);
        }
    }
}

/// Before each host access of a buffer's bytes, in programs built for adversarial memory.
///
/// # Safety
/// `loc` is null or a static place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clef_host_access(address: *mut u8, bytes: u64, write: u32, loc: *const Loc) {
    if matches!(backing(), Backing::Adversarial) {
        adversarial::host_access(address as usize, bytes as usize, write != 0, loc);
    }
}

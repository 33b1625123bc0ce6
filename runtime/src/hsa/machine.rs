//! The machine behind the HSA route: which agents play GPU and NPU, and from which pools memory comes.
//!
//! Opening tries every call once that a program will need (memory, signals, queues, code), so that a library that
//! cannot do its work is found out while the host executor can still take over.

use super::discover::{self, AgentInfo, Kind, Missing, PoolInfo};
use super::sys::{self, Agent, Functions, Pool};
use super::{code, memory, npu, objects, queue};
use crate::abi::Kernel;
use crate::agents::{self, table::Role};

/// A pool with what allocating from it needs.
#[derive(Clone, Copy, Debug)]
pub struct PoolChoice {
    pub handle: Pool,
    pub granule: usize,
}

/// The open library with the choices made.
pub struct Machine {
    pub functions: Functions,
    pub cpu: Agent,
    /// GPUs whose instruction set this program has code for, in the library's order.
    pub gpus: Vec<AgentInfo>,
    /// The NPU, if it can run kernels of this program.
    pub npu: Option<AgentInfo>,
    /// The host's memory that every agent sees as it is.
    pub fine: PoolChoice,
    /// Memory for kernel arguments.
    pub kernarg: PoolChoice,
    /// The first GPU's own memory, if it has some that the host can reach.
    pub coarse: Option<PoolChoice>,
    /// One address for CPU, GPU and NPU can be had.
    pub vmem: bool,
}

/// Opens the library and tries it, under its time limit.
pub fn open() -> Result<&'static Machine, Missing> {
    discover::limited(open_now)
}

fn open_now() -> Result<&'static Machine, Missing> {
    let found = discover::open_now()?;
    let library = found.library.clone();
    let broken = |why: String| Missing::Broken(format!("`{library}`: {why}"));
    let mut gpus = Vec::new();
    let mut foreign = Vec::new();
    for agent in found.agents.iter().filter(|a| a.kind == Kind::Gpu) {
        if code::form(agent).is_some() {
            gpus.push(agent.clone());
        } else {
            foreign.push(format!("{} ({})", agent.name, agent.isas.join(", ")));
        }
    }
    let runs = |a: &AgentInfo| npu::carried() || code::form(a).is_some();
    let npu = found.agents.iter().find(|a| a.kind == Kind::Npu && found.vmem && runs(a)).cloned();
    if gpus.is_empty() && foreign.is_empty() && npu.is_none() {
        let text = format!("`{library}` knows no GPU, and its NPU cannot run this program's kernels");
        return Err(Missing::Nothing(text));
    }
    if gpus.is_empty() && !foreign.is_empty() {
        let missing = no_code(&foreign.join(", "));
        // The NPU works without a GPU, but for programs that somebody wants on one.
        let wanted = agents::built_for_hsa() || agents::hsa_is_forced() && !objects::carried().is_empty();
        match &missing {
            Missing::Broken(why) if npu.is_some() && !wanted => {
                crate::output::message(format_args!("clef: {why}; the host plays it\n"));
            }
            Missing::Nothing(_) if npu.is_some() && !wanted => {}
            _ => return Err(missing),
        }
    }
    let machine = choose(found, gpus, npu).map_err(broken)?;
    let machine: &'static Machine = Box::leak(Box::new(machine));
    machine.attempt().map_err(broken)?;
    Ok(machine)
}

/// The machine has GPUs, and the program nothing for them. Where it carries code for others, somebody wanted it to run on
/// one, and should know.
fn no_code(gpus: &str) -> Missing {
    if objects::carried().is_empty() {
        return Missing::Nothing(format!("this program has no code for the GPU {gpus}"));
    }
    Missing::Broken(format!(
        "this program has no code for the GPU {gpus}: it carries {}; build it for this chip \
         (`clefc build --chips LIST`, or `[compilation] chips` in the project file)",
        objects::names()
    ))
}

fn choose(found: discover::Found, gpus: Vec<AgentInfo>, npu: Option<AgentInfo>) -> Result<Machine, String> {
    let cpu = found.agents.iter().find(|a| a.kind == Kind::Cpu).ok_or("it has no agent for the CPU")?;
    let with = |flags: u32, without: u32| {
        let fits = |p: &&PoolInfo| p.allocatable && p.flags & flags == flags && p.flags & without == 0;
        cpu.pools.iter().find(fits).map(|p| PoolChoice { handle: p.handle, granule: p.granule })
    };
    let kernarg = with(sys::FLAG_KERNARG, 0).ok_or("the CPU has no memory pool for kernel arguments")?;
    let fine = with(sys::FLAG_FINE, sys::FLAG_KERNARG)
        .or_else(|| with(sys::FLAG_FINE, 0))
        .ok_or("the CPU has no fine-grained memory pool")?;
    let mut coarse = None;
    for gpu in &gpus {
        let own = gpu.pools.iter().find(|p| p.allocatable && p.flags & sys::FLAG_COARSE != 0);
        if let Some(pool) = own.filter(|p| reaches(&found.functions, cpu.handle, p.handle)) {
            coarse = Some(PoolChoice { handle: pool.handle, granule: pool.granule });
            break;
        }
    }
    Ok(Machine {
        functions: found.functions,
        cpu: cpu.handle,
        gpus,
        npu,
        fine,
        kernarg,
        coarse,
        vmem: found.vmem,
    })
}

/// Whether an agent may be given access to a pool.
fn reaches(functions: &Functions, agent: Agent, pool: Pool) -> bool {
    let mut access = sys::ACCESS_NEVER;
    // SAFETY: the attribute is 32 bits.
    let status = unsafe {
        (functions.hsa_amd_agent_memory_pool_get_info)(
            agent,
            pool,
            sys::AGENT_POOL_ACCESS,
            (&raw mut access).cast(),
        )
    };
    status == sys::SUCCESS && access != sys::ACCESS_NEVER
}

impl Machine {
    /// `Ok` where a call succeeded.
    pub fn check(&self, call: &str, status: sys::Status) -> Result<(), String> {
        discover::check(&self.functions, call, status)
    }

    /// The agent that plays a role.
    pub fn agent(&self, role: Role) -> Result<&AgentInfo, String> {
        match role {
            Role::Npu => self.npu.as_ref().ok_or_else(|| "there is no NPU".into()),
            Role::Gpu { device, .. } => self.gpus.get(usize::from(device)).ok_or_else(|| {
                let n = self.gpus.len();
                format!(
                    "there {} {n} GPU{}; GPU {device} was named",
                    if n == 1 { "is" } else { "are" },
                    plural(n)
                )
            }),
        }
    }

    /// Whether the NPU runs this kernel, as far as is known before it is tried.
    pub fn has_npu_form(&self, kernel: &Kernel) -> bool {
        let host = self.npu.as_ref().is_some_and(|a| code::form(a).is_some());
        npu::files(kernel).is_some() || host && kernel.host.is_some()
    }

    /// Handles of all agents that buffers are for.
    pub fn devices(&self) -> Vec<Agent> {
        self.gpus.iter().chain(&self.npu).map(|a| a.handle).collect()
    }

    /// Everything once that later has to work.
    fn attempt(&'static self) -> Result<(), String> {
        // SAFETY: the handler is a function, and needs no data.
        self.check("hsa_amd_register_system_event_handler", unsafe {
            (self.functions.hsa_amd_register_system_event_handler)(queue::on_event, std::ptr::null_mut())
        })?;
        for npu in [false, true] {
            let buffer = memory::allocate(self, 4096, npu && self.npu.is_some(), false)?;
            memory::free(self, buffer)?;
        }
        if self.coarse.is_some() {
            let buffer = memory::allocate(self, 4096, false, true)?;
            memory::free(self, buffer)?;
        }
        let gpu = Role::Gpu { device: 0, queue: 0 };
        let roles = [(!self.gpus.is_empty()).then_some(gpu), self.npu.as_ref().map(|_| Role::Npu)];
        for role in roles.into_iter().flatten() {
            let agent = self.agent(role)?;
            if let Some(form) = code::form(agent) {
                code::attempt(self, agent, form)?;
            }
            queue::keep(role, queue::create(self, role)?);
        }
        queue::signal(self, 0).map(|_| ())
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

//! `clefc agents`: who could play CPU, GPU and NPU on this machine, with driver, version, and what is missing.
//!
//! Agents of HSA are those of the library that compiled programs would load: ROCr, or the one that `CLEF_HSA_LIBRARY`
//! names. Looking never fails: what is not there is said, with the way to get it.

use crate::output;
use clef_runtime::hsa::discover::{self, AgentInfo, Found, PoolInfo};
use clef_runtime::hsa::sys;
use clef_runtime::listing;
use std::fmt::Write as _;

pub fn run() -> u8 {
    match output::stdout(text().as_bytes()) {
        Ok(()) => 0,
        Err(_) => output::USAGE,
    }
}

/// The whole listing.
pub fn text() -> String {
    let mut text = String::new();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let _ = writeln!(text, "Host: plays every agent that is not here, with {threads} threads");
    match discover::open() {
        Ok(found) => hsa(&mut text, &found),
        Err(missing) => {
            let _ = writeln!(text, "HSA: {}", missing.text());
        }
    }
    for driver in listing::DRIVERS {
        let _ = match driver.found() {
            Some(version) => {
                writeln!(text, "Driver {}, for {}: {version} ({})", driver.module, driver.of, driver.node)
            }
            None => writeln!(
                text,
                "Driver {}, for {}: no {}; {}",
                driver.module, driver.of, driver.node, driver.help
            ),
        };
    }
    vulkan(&mut text);
    text
}

fn hsa(text: &mut String, found: &Found) {
    let _ = writeln!(text, "HSA: {}, version {}", found.library, found.version);
    for (number, agent) in found.agents.iter().enumerate() {
        one_agent(text, number, agent);
    }
    if !found.agents.iter().any(|a| a.kind == discover::Kind::Npu) {
        let _ =
            writeln!(text, "  no NPU: this library knows none (newer builds of ROCr know those of Ryzen AI)");
    }
    let vmem = if found.vmem { "can" } else { "cannot" };
    let _ = writeln!(text, "  memory {vmem} be mapped at one address for CPU, GPU and NPU");
}

fn one_agent(text: &mut String, number: usize, agent: &AgentInfo) {
    let _ = write!(text, "  {number} {} {}", agent.kind, agent.name);
    if !agent.product.is_empty() && agent.product != agent.name {
        let _ = write!(text, " ({})", agent.product);
    }
    let _ = writeln!(text, ", of {}", agent.vendor);
    if !agent.isas.is_empty() {
        let _ = writeln!(text, "      instruction set {}", agent.isas.join(", "));
    }
    if agent.queues > 0 {
        let (least, most) = agent.queue_slots;
        let _ = writeln!(
            text,
            "      {} compute units, {} queues of {least} to {most} packets",
            agent.compute_units, agent.queues
        );
    }
    for pool in &agent.pools {
        let _ = writeln!(text, "      memory {}, {}", grain(pool), size(pool.bytes));
    }
}

fn grain(pool: &PoolInfo) -> String {
    let mut words = Vec::new();
    for (flag, word) in [
        (sys::FLAG_FINE, "fine-grained"),
        (sys::FLAG_COARSE, "coarse-grained"),
        (sys::FLAG_KERNARG, "for kernel arguments"),
    ] {
        if pool.flags & flag != 0 {
            words.push(word);
        }
    }
    if !pool.allocatable {
        words.push("not for programs");
    }
    words.join(" ")
}

fn size(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 => format!("{} GiB", b >> 30),
        b if b >= 1 << 20 => format!("{} MiB", b >> 20),
        b => format!("{} KiB", b >> 10),
    }
}

fn vulkan(text: &mut String) {
    match listing::vulkan() {
        Ok(devices) => {
            let _ = writeln!(text, "Vulkan:");
            for (number, device) in devices.iter().enumerate() {
                let usable = if device.usable { "" } else { "; lacks what kernels need" };
                let _ = writeln!(
                    text,
                    "  {number} {} ({}), Vulkan {}, driver {}{usable}",
                    device.name,
                    device.kind,
                    device.version,
                    device.driver.trim()
                );
            }
        }
        Err(why) => {
            let _ = writeln!(text, "Vulkan: {why}");
        }
    }
}

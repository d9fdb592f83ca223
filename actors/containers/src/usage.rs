//! Owns measuring what a container uses, from its cgroups where they tell, else by adding up its processes. It keeps
//! no history: rates are the caller's.

use crate::block_io::{self, BlockIo};
use crate::cgroups::{ContainerCgroup, value_of};
use crate::limits::{Controller, Version};
use crate::pressure::Pressure;
use crate::process::{self, Stat};
use crate::tree::Tree;
use std::io;

/// A measurement. `None` is what cannot be known on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode, in milliseconds. Without cgroups that of live processes only.
    pub cpu_user_ms: u64,
    /// CPU time in the kernel, in milliseconds.
    pub cpu_system_ms: u64,
    /// How often, and in how many of how many periods, the CFS quota stopped the container.
    pub throttling: Option<Throttling>,
    /// Anonymous memory (Mesos' `mem_rss_bytes`).
    pub memory_rss_bytes: u64,
    /// All memory charged, page cache included (Mesos' `mem_total_bytes`).
    pub memory_total_bytes: Option<u64>,
    /// The hard limit in force.
    pub memory_limit_bytes: Option<u64>,
    /// What the memory is, where the cgroup tells.
    pub memory: MemoryUse,
    /// What disks did, where the container is in that controller.
    pub block_io: Vec<BlockIo>,
    /// How often memory was short.
    pub pressure: Option<Pressure>,
    pub processes: u64,
    pub threads: u64,
}

/// Memory of a container and those within it, in bytes, under the names of Mesos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    pub cache: Option<u64>,
    pub mapped_file: Option<u64>,
    pub swap: Option<u64>,
    pub unevictable: Option<u64>,
    pub soft_limit: Option<u64>,
    /// With swap, where that is counted together.
    pub total_memsw: Option<u64>,
}

/// What the CFS quota did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_us: u64,
}

/// Measures a container. Errors: neither its cgroup nor `/proc` can be read.
pub(crate) fn measure(tree: &Tree, cgroup: Option<&ContainerCgroup>) -> io::Result<Usage> {
    let members = tree.members()?;
    let mut usage = Usage {
        processes: members.len() as u64,
        ..Usage::default()
    };
    let from_cgroup = cgroup.map_or_else(Found::default, |cgroup| read_cgroup(&mut usage, cgroup));
    if !from_cgroup.all() {
        let stats: Vec<Stat> = members
            .into_iter()
            .filter_map(|pid| process::stat(pid).ok())
            .collect();
        add_processes(&mut usage, &stats, from_cgroup);
    }
    Ok(usage)
}

/// Which figures the cgroup gave.
#[derive(Clone, Copy, Default)]
struct Found {
    cpu: bool,
    memory: bool,
    threads: bool,
}

impl Found {
    fn all(self) -> bool {
        self.cpu && self.memory && self.threads
    }
}

fn read_cgroup(usage: &mut Usage, cgroup: &ContainerCgroup) -> Found {
    let mut found = Found::default();
    match cgroup.version() {
        Version::V1 => {
            if let Ok(text) = cgroup.read(Controller::Cpuacct, "cpuacct.stat") {
                usage.cpu_user_ms = ticks_to_ms(value_of(&text, "user").unwrap_or(0));
                usage.cpu_system_ms = ticks_to_ms(value_of(&text, "system").unwrap_or(0));
                found.cpu = true;
            }
            let stat = cgroup.read(Controller::Cpu, "cpu.stat").unwrap_or_default();
            usage.throttling =
                throttling(&stat, value_of(&stat, "throttled_time").map(|ns| ns / 1000));
        }
        Version::V2 => {
            if let Ok(text) = std::fs::read_to_string(cgroup.base().join("cpu.stat")) {
                usage.cpu_user_ms = value_of(&text, "user_usec").unwrap_or(0) / 1000;
                usage.cpu_system_ms = value_of(&text, "system_usec").unwrap_or(0) / 1000;
                usage.throttling = throttling(&text, value_of(&text, "throttled_usec"));
                found.cpu = true;
            }
        }
    }
    let (rss, total, limit) = match cgroup.version() {
        Version::V1 => (
            "total_rss",
            "memory.usage_in_bytes",
            "memory.limit_in_bytes",
        ),
        Version::V2 => ("anon", "memory.current", "memory.max"),
    };
    let number = |controller, file| {
        cgroup
            .read(controller, file)
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    if let Ok(text) = cgroup.read(Controller::Memory, "memory.stat") {
        usage.memory_rss_bytes = value_of(&text, rss).unwrap_or(0);
        usage.memory_total_bytes = number(Controller::Memory, total);
        // v1 tells "unlimited" as the greatest number of pages, v2 as the word "max".
        usage.memory_limit_bytes =
            number(Controller::Memory, limit).filter(|&bytes| bytes < 1 << 62);
        found.memory = true;
    }
    usage.memory = memory_use(cgroup);
    usage.block_io = block_io(cgroup);
    if let Some(threads) = number(Controller::Pids, "pids.current") {
        usage.threads = threads;
        found.threads = true;
    }
    found
}

fn memory_use(cgroup: &ContainerCgroup) -> MemoryUse {
    let stat = cgroup.read(Controller::Memory, "memory.stat");
    let stat = stat.unwrap_or_default();
    let bytes = |name: &str| value_of(&stat, name);
    let number = |file: &str| {
        let text = cgroup.read(Controller::Memory, file).ok()?;
        // As for the hard limit.
        let bytes = text.trim().parse().ok();
        bytes.filter(|&bytes: &u64| bytes < 1 << 62)
    };
    match cgroup.version() {
        Version::V1 => MemoryUse {
            cache: bytes("total_cache"),
            mapped_file: bytes("total_mapped_file"),
            swap: bytes("total_swap"),
            unevictable: bytes("total_unevictable"),
            soft_limit: number("memory.soft_limit_in_bytes"),
            total_memsw: number("memory.memsw.usage_in_bytes"),
        },
        Version::V2 => MemoryUse {
            cache: bytes("file"),
            mapped_file: bytes("file_mapped"),
            swap: number("memory.swap.current"),
            unevictable: bytes("unevictable"),
            soft_limit: number("memory.low"),
            total_memsw: None,
        },
    }
}

fn block_io(cgroup: &ContainerCgroup) -> Vec<BlockIo> {
    let read = |file| cgroup.read(Controller::Blkio, file).unwrap_or_default();
    match cgroup.version() {
        Version::V1 => block_io::v1(
            &read("blkio.throttle.io_serviced"),
            &read("blkio.throttle.io_service_bytes"),
        ),
        Version::V2 => block_io::v2(&read("io.stat")),
    }
}

fn add_processes(usage: &mut Usage, stats: &[Stat], found: Found) {
    let sum = |value: fn(&Stat) -> u64| stats.iter().map(value).sum::<u64>();
    if !found.cpu {
        usage.cpu_user_ms = ticks_to_ms(sum(|stat| stat.user_ticks));
        usage.cpu_system_ms = ticks_to_ms(sum(|stat| stat.system_ticks));
    }
    if !found.memory {
        usage.memory_rss_bytes = sum(|stat| stat.rss_pages) * rustix::param::page_size() as u64;
    }
    if !found.threads {
        usage.threads = sum(|stat| u64::from(stat.threads));
    }
}

fn throttling(text: &str, throttled_us: Option<u64>) -> Option<Throttling> {
    Some(Throttling {
        periods: value_of(text, "nr_periods")?,
        throttled_periods: value_of(text, "nr_throttled")?,
        throttled_us: throttled_us?,
    })
}

fn ticks_to_ms(ticks: u64) -> u64 {
    ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second()
}

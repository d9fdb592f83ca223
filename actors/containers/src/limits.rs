//! Owns the arithmetic from resources to cgroup settings, v1 and v2. It never opens a file.
//!
//! Rules are those of Mesos' `cgroups/cpu` and `cgroups/mem` isolators: 1024 shares a CPU and at least 2; CFS period
//! 100 ms and quota at least 1 ms; at least 32 MiB of memory; the soft limit is the request; the hard limit is never
//! lowered while the container runs, since that would bring the OOM killer to a container that did nothing wrong.

/// The least memory a container gets, in bytes (`MIN_MEMORY` in Mesos).
pub const MIN_MEMORY_BYTES: u64 = 32 << 20;

const SHARES_PER_CPU: u64 = 1024;
const MIN_SHARES: u64 = 2;
const CFS_PERIOD_US: u64 = 100_000;
const MIN_CFS_QUOTA_US: u64 = 1_000;
/// One CPU is the kernel's default weight, so that a container of one CPU weighs as much as a plain process group.
const WEIGHT_PER_CPU: u64 = 100;
const MAX_WEIGHT: u64 = 10_000;
/// Of a process that is killed before all others.
const MAX_OOM_SCORE: u64 = 1_000;

/// What a container may use. `None` leaves a thing unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requested CPU, in thousandths of a CPU: its weight when CPUs are short.
    pub cpu_request_milli: Option<u64>,
    /// Hard CPU limit (CFS quota), in thousandths of a CPU; [`u64::MAX`] takes one away.
    pub cpu_limit_milli: Option<u64>,
    /// Requested memory: the soft limit.
    pub memory_request_bytes: Option<u64>,
    /// Memory at which the OOM killer comes: the hard limit.
    pub memory_limit_bytes: Option<u64>,
    /// Whether swap counts into the hard limit (Mesos' `--cgroups_limit_swap`).
    pub limit_swap: bool,
    /// The most processes and threads at one time.
    pub processes: Option<u64>,
}

/// A controller of which this crate makes use. The order is the order of joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    Memory,
    Pids,
    Cpuacct,
    /// Counts what is read from and written to disks.
    Blkio,
    /// Only of v1: v2 has no controller for devices.
    Devices,
    Cpuset,
    /// Last: a process that has joined it waits for CPU as the container does, no longer as the agent.
    Cpu,
}

impl Controller {
    /// All controllers.
    pub const ALL: [Self; 7] = [
        Self::Memory,
        Self::Pids,
        Self::Cpuacct,
        Self::Blkio,
        Self::Devices,
        Self::Cpuset,
        Self::Cpu,
    ];

    /// Whether containers join it only where the operator asks for it.
    pub fn is_optional(self) -> bool {
        matches!(self, Self::Blkio | Self::Devices | Self::Cpuset)
    }

    /// The kernel's name, with v1.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blkio => "blkio",
            Self::Devices => "devices",
            Self::Cpuset => "cpuset",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }

    /// The kernel's name, with v2; there is none for what it counts anyway or does otherwise.
    pub fn unified_name(self) -> Option<&'static str> {
        match self {
            Self::Blkio => Some("io"),
            Self::Cpuacct | Self::Devices => None,
            other => Some(other.name()),
        }
    }
}

/// One value for one file of a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub controller: Controller,
    pub file: &'static str,
    pub value: String,
    /// The value is a number of bytes that must not fall below what the file says now.
    pub only_raise: bool,
}

/// Which hierarchy the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// The settings of a new container, in the order in which the kernel takes them.
pub fn initial(limits: &Limits, version: Version) -> Vec<Setting> {
    let mut settings = cpu(limits, version);
    // A limit of memory and swap together must never be below that of memory alone, so memory comes first.
    settings.extend(memory_hard(limits, version, false));
    settings.extend(memory_soft(limits, version));
    settings.extend(processes(limits));
    settings
}

/// The settings that change a running container.
pub fn update(limits: &Limits, version: Version) -> Vec<Setting> {
    let mut settings = cpu(limits, version);
    // Rising limits need the other order: first room for memory and swap, then for memory.
    settings.extend(memory_hard(limits, version, true).into_iter().rev());
    settings.extend(memory_soft(limits, version));
    settings.extend(processes(limits));
    settings
}

/// How much sooner than others the processes of a container are killed when the memory of the machine is short: one that
/// may have more than it requested goes the sooner the less that was, as if it had all of the machine's already
/// (Mesos: `calculateOOMScoreAdj`). `None`: as all others.
pub fn oom_score_adj(limits: &Limits, machine_bytes: u64) -> Option<u16> {
    let request = limits.memory_request_bytes.map(memory_bytes)?;
    let limit = limits.memory_limit_bytes.map(memory_bytes)?;
    if request >= limit {
        return None;
    }
    let part = request
        .saturating_mul(MAX_OOM_SCORE)
        .checked_div(machine_bytes)?;
    u16::try_from(MAX_OOM_SCORE.saturating_sub(part)).ok()
}

fn cpu(limits: &Limits, version: Version) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |file, value| settings.push(setting(Controller::Cpu, file, value));
    if let Some(milli) = limits.cpu_request_milli {
        match version {
            Version::V1 => set("cpu.shares", shares(milli).to_string()),
            Version::V2 => set("cpu.weight", weight(milli).to_string()),
        }
    }
    if let Some(milli) = limits.cpu_limit_milli {
        let quota_us = (milli != u64::MAX).then(|| quota_us(milli).to_string());
        match version {
            Version::V1 => {
                set("cpu.cfs_period_us", CFS_PERIOD_US.to_string());
                set("cpu.cfs_quota_us", quota_us.unwrap_or_else(|| "-1".into()));
            }
            Version::V2 => {
                let quota_us = quota_us.unwrap_or_else(|| "max".into());
                set("cpu.max", format!("{quota_us} {CFS_PERIOD_US}"));
            }
        }
    }
    settings
}

fn memory_hard(limits: &Limits, version: Version, only_raise: bool) -> Vec<Setting> {
    let Some(bytes) = limits.memory_limit_bytes.map(memory_bytes) else {
        return Vec::new();
    };
    let hard = |file, value: u64| Setting {
        only_raise,
        ..setting(Controller::Memory, file, value.to_string())
    };
    let (memory, swap) = match version {
        Version::V1 => (
            hard("memory.limit_in_bytes", bytes),
            hard("memory.memsw.limit_in_bytes", bytes),
        ),
        // v2 counts swap by itself.
        Version::V2 => (
            hard("memory.max", bytes),
            setting(Controller::Memory, "memory.swap.max", "0".into()),
        ),
    };
    if limits.limit_swap {
        vec![memory, swap]
    } else {
        vec![memory]
    }
}

fn memory_soft(limits: &Limits, version: Version) -> Option<Setting> {
    let bytes = memory_bytes(limits.memory_request_bytes?);
    let file = match version {
        Version::V1 => "memory.soft_limit_in_bytes",
        Version::V2 => "memory.low",
    };
    Some(setting(Controller::Memory, file, bytes.to_string()))
}

fn processes(limits: &Limits) -> Option<Setting> {
    Some(setting(
        Controller::Pids,
        "pids.max",
        limits.processes?.to_string(),
    ))
}

fn setting(controller: Controller, file: &'static str, value: String) -> Setting {
    Setting {
        controller,
        file,
        value,
        only_raise: false,
    }
}

fn shares(milli: u64) -> u64 {
    (milli.saturating_mul(SHARES_PER_CPU) / 1000).max(MIN_SHARES)
}

fn weight(milli: u64) -> u64 {
    (milli.saturating_mul(WEIGHT_PER_CPU) / 1000).clamp(1, MAX_WEIGHT)
}

fn quota_us(milli: u64) -> u64 {
    (milli.saturating_mul(CFS_PERIOD_US) / 1000).max(MIN_CFS_QUOTA_US)
}

fn memory_bytes(bytes: u64) -> u64 {
    bytes.max(MIN_MEMORY_BYTES)
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;

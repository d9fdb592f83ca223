//! An agent's flags about what sets containers apart.

use std::{
    collections::BTreeSet,
    path::{Component, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use tepui_agent::{Controller, GidRange, Isolation, UserRange, seccomp::Profiles};
use tepui_protocol::{
    resources::{Ranges, Resources},
    v1::{CapabilityInfo, capability_info::Capability},
};

use super::{AgentFile, devices, json_or_file, machine};

/// The controllers that containers join where the operator asks for it.
const OPTIONAL: [Controller; 3] = [Controller::Devices, Controller::Cpuset, Controller::Blkio];

/// What limits nothing, the isolator that does so instead, and its controller. Where both are named the limit stands.
const UNLIMITED: [(&str, &str, Controller); 2] = [
    ("posix/cpu", "cgroups/cpu", Controller::Cpu),
    ("posix/mem", "cgroups/mem", Controller::Memory),
];

/// What is always done where the machine can, so that naming it changes nothing.
const ALWAYS: [&str; 11] = [
    "cgroups/pids",
    "cgroups/cpuacct",
    "posix/rlimits",
    "linux/capabilities",
    "filesystem/linux",
    "docker/runtime",
    "volume/host_path",
    "volume/sandbox_path",
    "volume/image",
    "volume/secret",
    "environment_secret",
];

/// Flags of an agent.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct IsolationArgs {
    /// What sets containers apart besides: namespaces/pid, namespaces/ipc, linux/nnp, linux/seccomp, linux/devices, cgroups/devices, cgroups/cpuset, cgroups/blkio, cgroups/all; or what does not limit them: posix/cpu, posix/mem [default: none]
    #[arg(long, value_name = "NAME,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation: Option<String>,
    /// The most processes and threads of a container, 0 for no bound [default: 4096]
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    container_pids_limit: Option<u64>,
    /// What /dev/shm holds where a container has its own [default: half of the memory]
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    default_container_shm_size: Option<String>,
    /// The directory of profiles of system calls, in Docker's format
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seccomp_config_dir: Option<PathBuf>,
    /// The profile, a file in that directory, of containers that name none [default: the built-in one]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seccomp_profile_name: Option<String>,
    /// What containers begin with, such as {"capabilities": ["NET_RAW"]}; or the path of a file [default: what their user has]
    #[arg(long, value_name = "JSON")]
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_capabilities: Option<String>,
    /// What containers can ever have, in the same form [default: all, with images what Docker gives without MKNOD and NET_RAW]
    #[arg(long, value_name = "JSON")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bounding_capabilities: Option<String>,
    /// Devices that containers may open besides the usual ones; or the path of a file [default: none]
    #[arg(long, value_name = "JSON")]
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_devices: Option<String>,
    /// The agent's GPUs, whole ones, by their devices [default: none]
    #[arg(long, value_name = "PATH,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_devices: Option<String>,
    /// Whether the CPUs of a task are a hard limit too [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroups_enable_cfs: Option<bool>,
    /// Whether a limit of memory is one of memory and swap together [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroups_limit_swap: Option<bool>,
    /// Whether CPUs that were only lent give way to all others [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    revocable_cpu_low_priority: Option<bool>,
    /// Users of the machine that those of containers with images are, such as 100000:65536 [default: the machine's own]
    #[arg(long, value_name = "FIRST:COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_namespace_range: Option<String>,
    /// Whether containers that ask for the machine's process ids are refused [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    disallow_sharing_agent_pid_namespace: Option<bool>,
    /// Whether containers that ask for the machine's IPC and /dev/shm are refused [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    disallow_sharing_agent_ipc_namespace: Option<bool>,
    /// Whether containers that ask for files of the machine as volumes are refused [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    disallow_host_path_volumes: Option<bool>,
    /// Directories of the machine beneath which those that volumes name are made where they are missing [default: none]
    #[arg(long, value_name = "DIR:…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    host_path_volume_force_creation: Option<String>,
    /// Groups of which each volume that several users use has one, such as [10000-20000] [default: none]
    #[arg(long, value_name = "RANGES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_gid_range: Option<String>,
}

#[cfg(test)]
impl IsolationArgs {
    pub(crate) fn named(names: &str) -> Self {
        Self {
            isolation: Some(names.to_owned()),
            ..Self::default()
        }
    }
}

pub(super) fn parse(file: &AgentFile) -> anyhow::Result<Isolation> {
    let defaults = Isolation::default();
    let mut isolation = Isolation {
        max_processes: match file.container_pids_limit {
            None => defaults.max_processes,
            Some(limit) => Some(limit).filter(|limit| *limit > 0),
        },
        shm_mb: file
            .default_container_shm_size
            .as_deref()
            .map(megabytes)
            .transpose()?,
        keep_pids: file.disallow_sharing_agent_pid_namespace.unwrap_or(false),
        keep_ipc: file.disallow_sharing_agent_ipc_namespace.unwrap_or(false),
        volume_gids: file
            .volume_gid_range
            .as_deref()
            .map(volume_gids)
            .transpose()?,
        no_host_volumes: file.disallow_host_path_volumes.unwrap_or(false),
        made_for_volumes: directories(file.host_path_volume_force_creation.as_deref())?,
        profiles: profiles(file)?,
        allowed_devices: devices::allowed(file.allowed_devices.as_deref())?,
        gpus: devices::gpus(machine::gpus(file)?.as_deref())?,
        effective: capabilities(
            "--effective-capabilities",
            file.effective_capabilities.as_deref(),
        )?,
        bounding: capabilities(
            "--bounding-capabilities",
            file.bounding_capabilities.as_deref(),
        )?,
        limit_cpus: file.cgroups_enable_cfs.unwrap_or(false),
        limit_swap: file.cgroups_limit_swap.unwrap_or(false),
        lent_cpus_give_way: file.revocable_cpu_low_priority.unwrap_or(true),
        users: file
            .user_namespace_range
            .as_deref()
            .map(users)
            .transpose()?,
        ..defaults
    };
    let names = file.isolation.as_deref().unwrap_or_default().split(',');
    let names: Vec<_> = names
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    isolation.without = unlimited(&names);
    let is_amount = |name: &str| {
        let mut amounts = UNLIMITED.iter();
        amounts.any(|(none, limit, _)| [*none, *limit].contains(&name))
    };
    for name in names {
        match name {
            "namespaces/pid" => isolation.pids = true,
            "namespaces/ipc" => isolation.ipc = true,
            "linux/nnp" => isolation.no_new_privs = true,
            "linux/seccomp" => isolation.seccomp = true,
            // Their own flags say more.
            "network/cni" | "network/ports" => {}
            "linux/devices" => isolation.device_nodes = true,
            "cgroups/all" => isolation.controllers.extend(OPTIONAL),
            "cgroups/devices" => isolation.controllers.extend([Controller::Devices]),
            "cgroups/cpuset" => isolation.controllers.extend([Controller::Cpuset]),
            "cgroups/blkio" => isolation.controllers.extend([Controller::Blkio]),
            known if ALWAYS.contains(&known) || is_amount(known) => {}
            other => bail!(
                "--isolation {other}: this agent has no such isolator; expected namespaces/pid, namespaces/ipc, linux/nnp, linux/seccomp, linux/devices, cgroups/devices, cgroups/cpuset, cgroups/blkio or cgroups/all, with commas between"
            ),
        }
    }
    if !isolation.gpus.is_empty() {
        isolation.controllers.extend([Controller::Devices]);
    }
    if let (Some(effective), Some(bounding)) = (isolation.effective, isolation.bounding)
        && effective & !bounding != 0
    {
        bail!(
            "--effective-capabilities: Allowed capabilities are not a subset of the bounding capabilites; expected none beyond --bounding-capabilities"
        );
    }
    Ok(isolation)
}

/// The controllers that containers are not to join.
fn unlimited(names: &[&str]) -> BTreeSet<Controller> {
    let is_off = |(none, limit, _): &&(&str, &str, Controller)| {
        names.contains(none) && !names.contains(limit) && !names.contains(&"cgroups/all")
    };
    let off = UNLIMITED.iter().filter(is_off);
    off.map(|(_, _, controller)| *controller).collect()
}

/// `/a:/b`.
fn directories(given: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
    let named = given.unwrap_or_default().split(':');
    let named = named.filter(|it| !it.is_empty()).map(PathBuf::from);
    let named: Vec<_> = named.collect();
    let wrong =
        |it: &&PathBuf| !it.is_absolute() || it.components().any(|it| it == Component::ParentDir);
    match named.iter().find(wrong) {
        Some(wrong) => bail!(
            "--host-path-volume-force-creation {}: expected absolute paths of directories, with colons between",
            wrong.display()
        ),
        None => Ok(named),
    }
}

fn profiles(file: &AgentFile) -> anyhow::Result<Arc<Profiles>> {
    let name = file.seccomp_profile_name.as_deref();
    let profiles = Profiles::open(file.seccomp_config_dir.clone(), name);
    profiles.map(Arc::new).map_err(anyhow::Error::msg)
}

/// Mesos' `CapabilityInfo`, of which nothing is overlooked: what is not known might be meant to be taken away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    capabilities: Vec<String>,
}

/// Mesos' `CapabilityInfo` as JSON, or a file that holds it.
fn capabilities(flag: &str, given: Option<&str>) -> anyhow::Result<Option<u64>> {
    let expected = r#"expected JSON such as {"capabilities": ["CHOWN", "NET_RAW"]}, or the path of a file that holds it"#;
    let Some(given) = given else {
        return Ok(None);
    };
    let text = json_or_file(flag, given, expected)?;
    let names: Result<Names, _> = serde_json::from_str(&text);
    let numbers = names.map_err(|error| error.to_string()).and_then(|names| {
        let numbers = names.capabilities.iter().map(|name| {
            let known = Capability::from_str_name(name);
            known
                .map(|it| it as i32)
                .ok_or_else(|| format!("there is no capability '{name}'"))
        });
        numbers.collect::<Result<Vec<_>, _>>()
    });
    let bits = numbers
        .and_then(|capabilities| tepui_agent::capability_bits(&CapabilityInfo { capabilities }));
    let bits = bits.map_err(|reason| anyhow!("{flag}: {reason}; {expected}"))?;
    Ok(Some(bits))
}

/// `100000:65536`.
fn users(text: &str) -> anyhow::Result<UserRange> {
    let parts = text.split_once(':');
    let numbers = parts.and_then(|(first, count)| Some((first.parse().ok()?, count.parse().ok()?)));
    let range = numbers.and_then(|(first, count)| UserRange::new(first, count));
    range.with_context(|| {
        format!("--user-namespace-range {text}: expected the first of them, not 0, and how many, such as 100000:65536")
    })
}

/// `[10000-20000]`, as Mesos spells ranges.
fn volume_gids(text: &str) -> anyhow::Result<GidRange> {
    let parsed = Resources::parse(&format!("gids:{text}"), "*").ok();
    let ranges = parsed.map(|it| it.ranges("gids"));
    let ranges: Vec<_> = ranges.iter().flat_map(Ranges::iter).collect();
    GidRange::new(ranges.into_iter().map(|it| (it.begin(), it.end()))).with_context(|| {
        format!("--volume-gid-range {text}: expected ranges of numbers from 1 to 4294967294, such as [10000-20000]")
    })
}

/// `64MB`, `1GB`: as Mesos spells sizes.
fn megabytes(text: &str) -> anyhow::Result<u32> {
    let factor = |unit: &str| match unit {
        "MB" => Some(1),
        "GB" => Some(1024),
        _ => None,
    };
    let digits = text.len()
        - text
            .trim_start_matches(|it: char| it.is_ascii_digit())
            .len();
    let (number, unit) = text.split_at(digits);
    let number: Option<u32> = number.parse().ok().filter(|number| *number > 0);
    let size = number.and_then(|number| number.checked_mul(factor(unit)?));
    size.with_context(|| {
        format!("--default-container-shm-size {text}: expected a size such as 64MB or 1GB")
    })
}

#[cfg(test)]
#[path = "isolation_tests.rs"]
mod tests;

//! An agent's flags about what sets containers apart.

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tepui_agent::Isolation;

use super::AgentFile;

/// What is always done where the machine can, so that naming it changes nothing.
const ALWAYS: [&str; 12] = [
    "posix/cpu",
    "posix/mem",
    "cgroups/cpu",
    "cgroups/mem",
    "cgroups/pids",
    "posix/rlimits",
    "linux/capabilities",
    "filesystem/linux",
    "docker/runtime",
    "volume/host_path",
    "volume/sandbox_path",
    "volume/image",
];

/// Flags of an agent.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct IsolationArgs {
    /// What sets containers without images apart too: namespaces/pid, namespaces/ipc, linux/nnp, linux/seccomp [default: none]
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
    /// Whether containers that ask for the machine's process ids are refused [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    disallow_sharing_agent_pid_namespace: Option<bool>,
    /// Whether containers that ask for the machine's IPC and /dev/shm are refused [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    disallow_sharing_agent_ipc_namespace: Option<bool>,
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
        ..defaults
    };
    let names = file.isolation.as_deref().unwrap_or_default().split(',');
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "namespaces/pid" => isolation.pids = true,
            "namespaces/ipc" => isolation.ipc = true,
            "linux/nnp" => isolation.no_new_privs = true,
            "linux/seccomp" => isolation.seccomp = true,
            // Their own flags say more.
            "network/cni" | "network/ports" => {}
            known if ALWAYS.contains(&known) => {}
            other => bail!(
                "--isolation {other}: this agent has no such isolator; expected namespaces/pid, namespaces/ipc, linux/nnp or linux/seccomp, with commas between"
            ),
        }
    }
    Ok(isolation)
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

//! Flags of an agent about its machine.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;
use serde::Serialize;

#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct MachineArgs {
    /// The address that others are told instead of the one it listens on [default: that]
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advertise_ip: Option<IpAddr>,
    /// The port that others are told [default: the one it listens on]
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advertise_port: Option<u16>,
    /// A command that prints the address to listen on, instead of --ip
    #[arg(long, value_name = "CMD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip_discovery_command: Option<String>,
    /// Whether commands run as the users they name, where the agent is root [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) switch_user: Option<bool>,
    /// The role of resources that name none [default: *]
    #[arg(long, value_name = "ROLE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_role: Option<String>,
    /// Where it keeps what a reboot may take away [default: in /run/tepui, else in the work directory]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// The name of its cgroup [default: tepui]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroups_root: Option<String>,
    /// How long a container may resist SIGKILL before its end counts as failed [default: 1mins]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroups_destroy_timeout: Option<String>,
    /// The longest wait before the first registration at a master; it doubles with each [default: 1secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registration_backoff_factor: Option<String>,
    /// Endpoints that are not answered: {"disabled_endpoints": {"paths": ["/files/browse"]}}, or a file [default: none]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) firewall_rules: Option<String>,
    /// Nvidia's GPUs by number, such as 0,1, instead of --gpu-devices
    #[arg(long, value_name = "NUMBER,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nvidia_gpu_devices: Option<String>,
}

//! Flags of an agent.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use clap::Args;
use serde::Serialize;

use super::{ExecutorArgs, MachineArgs, NetworkArgs, SandboxArgs};

/// Flags of an agent.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct AgentArgs {
    /// TOML file with these flags as keys (work_dir = "…")
    #[arg(long, env = "TEPUI_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Where sandboxes and checkpoints are kept (required)
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) work_dir: Option<PathBuf>,
    /// HTTP addresses of masters: host:5050[,host:5050…], or file:// and the path of a file that holds them (required)
    #[arg(long, value_name = "HOST:PORT,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) master: Option<String>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<IpAddr>,
    /// IPv6 address that containers with the machine's network are known by too; nothing listens there
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip6: Option<Ipv6Addr>,
    /// Port of the HTTP API [default: 5051]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    /// Name that clients are given [default: the address]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostname: Option<String>,
    /// Whether the name service is asked for the name of --ip where there is no --hostname [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hostname_lookup: Option<bool>,
    /// What is offered: 'cpus:4;mem:2048;ports:[31000-32000]' [default: what the machine has]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resources: Option<String>,
    /// What frameworks may look at: 'rack:a;zone:b'
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attributes: Option<String>,
    /// Region and zone, as JSON or a file of it [default: none]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<String>,
    /// What is lent until it is needed: noop, or fixed=cpus:2;mem:1024 [default: noop]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource_estimator: Option<String>,
    /// Who must give back what was lent: noop, or load=5min:8;15min:4 [default: noop]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) qos_controller: Option<String>,
    /// Between two looks at what can be lent [default: 15secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oversubscribed_resources_interval: Option<String>,
    /// Between two looks of the controller, at least [default: 0secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) qos_correction_interval_min: Option<String>,
    /// Names that people's browsers have this agent by, besides addresses, names without dots and its own: those of a proxy before it,
    /// separated by commas; by others none is let in [default: on loopback none, elsewhere any]
    #[arg(long, value_name = "NAME,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_hosts: Option<String>,
    /// File of the principals that may call and their secrets, as JSON or a line each; only its owner may read it
    /// [default: none]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_credentials: Option<String>,
    /// Whether credentials are asked for where the agent is only read [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authenticate_http_readonly: Option<bool>,
    /// Whether credentials are asked for where something can be changed [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authenticate_http_readwrite: Option<bool>,
    /// Who may do what: Mesos' ACLs as JSON, or a file [default: everybody, everything]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acls: Option<String>,
    /// Where images come from: a directory of archives and OCI layouts, or the URL of a registry [default: https://registry-1.docker.io]
    #[arg(long, value_name = "URL|DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) docker_registry: Option<String>,
    /// Logins for registries: Docker's config.json, or its path [default: none]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) docker_config: Option<String>,
    /// When unused images are removed, as JSON or a file of it [default: when PRUNE_IMAGES asks for it]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_gc_config: Option<String>,
    /// Where layers of images are kept [default: store/docker in the work directory]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) docker_store_dir: Option<PathBuf>,
    /// Whether what images say of their entrypoint, command, variables and directory is not looked at [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) docker_ignore_runtime: Option<bool>,
    /// How layers become a root file system: overlay or copy [default: what the machine does best]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_provisioner_backend: Option<String>,
    /// Where containers with an image see their sandbox [default: /mnt/mesos/sandbox]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sandbox_directory: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) engine: crate::settings::EngineArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) isolation: crate::settings::IsolationArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) fetching: crate::settings::FetchingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) sandboxes: SandboxArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) networks: NetworkArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) executors: ExecutorArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) machine: MachineArgs,
}

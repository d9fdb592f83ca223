//! The agent as a program: its settings, its wiring and its HTTP endpoints. Owns who gets which link and what is
//! told at the start; never what an agent does (`actors/agent`) or how a container runs (`actors/containers`).

mod bridge;
mod confinement;
mod doubt;
mod engine;
mod executor_socket;
mod executors;
mod exposed;
mod fetching;
mod gpus;
mod http;
mod isolation;
mod lacks;
mod leader;
mod logger;
mod machine;
pub mod networks;
mod node;
mod node_config;
mod notice;
mod numbers;
mod provisioner;
mod reaping;
mod registering;
mod reserve;
mod runtime;
mod runtime_dir;
mod sandboxes;
mod security;
mod serving;
mod start;
mod streams;
mod sweeping;
mod wiring;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use tepui_containers::images::Backend;
use tepui_http::Verbosity;
use tepui_protocol::v1::DomainInfo;

pub use engine::{DnsNetwork, DnsRule, EngineSettings};
pub use executors::ExecutorSettings;
pub use fetching::FetchSettings;
pub use isolation::Isolation;
pub use logger::ContainerLogger;
pub use machine::MachineSettings;
pub use networks::NetworkSettings;
pub use sandboxes::SandboxSettings;
pub use security::{ExecutorSecurity, Security};
pub use tepui_node::{
    compatibility::{Reconfiguration, Recovery},
    disk::DiskWatch,
    ports::{IsolatedPorts, PortsWatch},
    tokens::TokenKey,
};
/// Devices of the machine, as containers are let to have them.
pub mod devices {
    pub use tepui_containers::devices::{Access, Device};
}

/// Who ends an engine's containers when no agent comes back: what the program does under this name.
pub mod sentinel {
    pub use crate::runtime::engine::sentinel::{NAME, watch};
}

/// Profiles of system calls.
pub mod seccomp {
    pub use tepui_containers::seccomp::Profiles;
}

pub use tepui_containers::{UserRange, limits::Controller, volume_gids::GidRange};
/// Capabilities as bits, by Linux' numbers.
pub use tepui_node::confinement::bits as capability_bits;

/// How images become root file systems.
pub mod images {
    pub use tepui_containers::images::{Backend, Reference};
}

/// Where images come from and where they are kept.
#[derive(Debug, Clone)]
pub struct ImageSettings {
    /// The directory of archives and OCI layouts, or the URL of a registry.
    pub registry: String,
    /// Logins for registries, as Docker's `config.json` has them.
    pub logins: Option<String>,
    /// `None`: images are removed only when somebody asks for it.
    pub gc: Option<ImageGc>,
    /// `None`: beneath the work directory.
    pub store_dir: Option<PathBuf>,
    /// `None`: what the machine does best.
    pub backend: Option<Backend>,
    /// Entrypoint, command, variables and directory of images are not looked at (Mesos: `--docker_ignore_runtime`).
    pub ignore_runtime: bool,
    /// Where a container with an image sees its sandbox; absolute.
    pub sandbox_directory: PathBuf,
}

/// When images that no container uses are removed (Mesos: `--image_gc_config`).
#[derive(Debug, Clone, PartialEq)]
pub struct ImageGc {
    /// The share of the disk that is to be free, from 0 to 1.
    pub headroom: f64,
    pub interval: Duration,
    /// Images that stay, by name.
    pub kept: BTreeSet<String>,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            registry: "https://registry-1.docker.io".to_owned(),
            logins: None,
            gc: None,
            store_dir: None,
            backend: None,
            ignore_runtime: false,
            sandbox_directory: PathBuf::from("/mnt/mesos/sandbox"),
        }
    }
}

/// What an agent is started with.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// Memory, sandboxes and the like; made if it is missing. One agent at a time.
    pub work_dir: PathBuf,
    /// The HTTP addresses of the masters, `host:port`. Any of them tells who leads.
    pub masters: Vec<String>,
    pub ip: IpAddr,
    /// Told as an address of containers with the machine's network, besides `ip`.
    pub ip6: Option<Ipv6Addr>,
    /// 0 takes a free one.
    pub port: u16,
    pub hostname: String,
    /// Whether that was asked of the name service; only shown.
    pub hostname_lookup: bool,
    /// As Mesos' `--resources`; what is not named is what the machine has.
    pub resources: Option<String>,
    /// As Mesos' `--attributes`.
    pub attributes: Option<String>,
    /// Region and zone.
    pub domain: Option<DomainInfo>,
    pub lending: LendingSettings,
    /// Who may call, and what they may do.
    pub security: Security,
    pub images: ImageSettings,
    /// The engine for containers of type DOCKER; `None`: they are run as all others.
    pub engine: Option<EngineSettings>,
    /// What sets containers apart.
    pub isolation: Isolation,
    pub sandboxes: SandboxSettings,
    pub networks: NetworkSettings,
    pub machine: MachineSettings,
    pub executors: ExecutorSettings,
    /// Where the files of commands come from.
    pub fetching: FetchSettings,
    /// What becomes of what an earlier life left.
    pub recovery: Recovery,
    /// Which changes of these settings leave this agent the one it was.
    pub reconfiguration: Reconfiguration,
    /// What `/files/*` shows as `/slave/log`.
    pub log_file: Option<PathBuf>,
    /// How SET_LOGGING_LEVEL takes effect.
    pub verbosity: Verbosity,
}

/// How the agent lends what nobody uses, as Mesos' `--resource_estimator` and `--qos_controller` do.
#[derive(Debug, Clone)]
pub struct LendingSettings {
    /// As [`tepui_node::estimators::parse`] reads it.
    pub estimator: String,
    /// As [`tepui_node::controllers::parse`] reads it.
    pub controller: String,
    /// Between two estimates.
    pub interval: Duration,
    /// Between two looks of the controller, at least.
    pub correction_interval: Duration,
}

impl Default for LendingSettings {
    /// Nothing is lent.
    fn default() -> Self {
        Self {
            estimator: "noop".to_owned(),
            controller: "noop".to_owned(),
            interval: Duration::from_secs(15),
            correction_interval: Duration::ZERO,
        }
    }
}

/// Runs an agent until SIGTERM or SIGINT (its tasks run on), SIGUSR1 (its tasks are killed and the master forgets
/// it) or the master's shutdown.
///
/// # Errors
/// One line for people: what is wrong with the settings or the machine, what was expected, what to do.
pub fn run(settings: AgentSettings) -> anyhow::Result<()> {
    // Each container takes some of them.
    if let Err(error) = tepui_kit::descriptors::raise() {
        tracing::warn!(%error, "the soft limit of open files stays as it is");
    }
    wiring::run(start::Prepared::new(settings)?)
}

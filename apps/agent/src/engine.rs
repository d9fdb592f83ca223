//! What an agent is told of an engine, Docker's or Podman's, and whether there is one.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{anyhow, bail};
use tepui_containers::{engine::Engine, images::access::Logins};
use tepui_node::engine::EngineConfig;
pub use tepui_node::engine::{DnsNetwork, DnsRule};

use crate::{
    ImageSettings,
    runtime::engine::{EngineContainers, Keeping},
};

/// An engine that is named (Mesos: `docker` among `--containerizers`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Its Unix socket (Mesos: `--docker_socket`).
    pub socket: PathBuf,
    /// Containers of other types are refused.
    pub only: bool,
    /// What a destroyed container is given to end by itself.
    pub stop_timeout: Duration,
    /// How long the engine keeps a container that has ended.
    pub remove_delay: Duration,
    /// Whether containers of this agent that it does not know are killed.
    pub kill_orphans: bool,
    /// As `--default_container_dns` has them.
    pub dns: Vec<DnsRule>,
}

impl Default for EngineSettings {
    /// Mesos'.
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            only: false,
            stop_timeout: Duration::ZERO,
            remove_delay: Duration::from_hours(6),
            kill_orphans: true,
            dns: Vec::new(),
        }
    }
}

/// An engine that is to be used: what the node knows of it, and its containers.
pub(crate) type Opened = Option<(EngineConfig, EngineContainers)>;

/// An engine that is named and whose socket is not there is none: containers of type DOCKER are run as all others then.
///
/// # Errors
/// There is nothing else to run containers by, in one line for people.
pub(crate) fn open(
    settings: Option<&EngineSettings>,
    images: &ImageSettings,
    work_dir: &Path,
    runtime_dir: &Path,
) -> anyhow::Result<Opened> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let socket = settings.socket.display();
    if !settings.socket.exists() {
        if settings.only {
            bail!(
                "--docker-socket {socket}: there is no such socket; start the engine, or add mesos to --containerizers"
            );
        }
        tracing::warn!(
            "there is no engine at {socket}: containers of type DOCKER are run by the agent itself"
        );
        return Ok(None);
    }
    let logins = images.logins.as_deref().map(Logins::parse).transpose();
    let logins = logins.map_err(|reason| anyhow!("--docker-config: {reason}"))?;
    let engine = Engine::new(settings.socket.clone(), logins.unwrap_or_default());
    let memory_bytes = memory_bytes();
    let keeping = Keeping {
        stop_timeout: settings.stop_timeout,
        remove_delay: settings.remove_delay,
        kill_orphans: settings.kill_orphans,
    };
    let containers = EngineContainers::new(engine, runtime_dir.to_owned(), work_dir, keeping);
    let config = EngineConfig {
        only: settings.only,
        memory_bytes,
        dns: settings.dns.clone(),
    };
    Ok(Some((config, containers)))
}

/// The machine's.
fn memory_bytes() -> Option<u64> {
    let found = rustix::system::sysinfo();
    let unit = u64::from(found.mem_unit);
    found.totalram.checked_mul(unit.max(1))
}

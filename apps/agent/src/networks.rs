//! What an agent is told about networks of containers.

use std::path::{Path, PathBuf};

use tepui_containers::networks::{self, Networks};
use tepui_node::ports::PortsWatch;

/// How to look names up where a network does not say.
pub mod dns {
    pub use tepui_containers::networks::{DefaultDns, files::Dns};
}

/// Beneath the work directory: what is kept of networks there outlives a reboot.
const KEPT: &str = "networks";
/// What the directory beside the runtime directory is called after it.
const BESIDE: &str = "networks";

/// Mesos' flags of `network/cni` and `network/ports`.
#[derive(Debug, Clone)]
pub struct NetworkSettings {
    /// Directories of CNI plug-ins, as `PATH` has them.
    pub plugins_dir: Option<String>,
    /// The directory of network configurations.
    pub config_dir: Option<PathBuf>,
    /// Whether a reboot leaves what plug-ins have to be asked to undo.
    pub persist: bool,
    /// Whether statistics of containers have what went through their interfaces.
    pub metrics: bool,
    pub dns: dns::DefaultDns,
    /// The JSON of it, as given.
    pub shown_dns: Option<String>,
    /// `None`: nobody looks at which ports containers listen.
    pub ports: Option<PortsWatch>,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            plugins_dir: None,
            config_dir: None,
            persist: false,
            metrics: true,
            dns: dns::DefaultDns::default(),
            shown_dns: None,
            ports: None,
        }
    }
}

impl NetworkSettings {
    pub(crate) fn open(&self, work_dir: &Path, runtime_dir: &Path) -> anyhow::Result<Networks> {
        let dir = match self.persist {
            true => work_dir.join(KEPT),
            false => runtime_dir.with_extension(BESIDE),
        };
        Ok(Networks::open(networks::NetworkSettings {
            dir,
            plugins: self.plugins_dir.clone(),
            configs: self.config_dir.clone(),
            dns: self.dns.clone(),
            synced: self.persist,
        })?)
    }
}

#[cfg(test)]
#[path = "networks_tests.rs"]
mod tests;

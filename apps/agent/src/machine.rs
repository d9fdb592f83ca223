//! What an agent was started with about its machine: how it is reached there, whom it runs as, where it keeps what.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, time::Duration};

/// Defaults are Mesos', but for the name of the cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSettings {
    /// What others are told instead of the address and port that it listens on, as behind a translation of addresses.
    pub advertise_ip: Option<IpAddr>,
    pub advertise_port: Option<u16>,
    /// Whether commands run as the user they name, where the agent is root.
    pub switch_user: bool,
    /// The role of resources that name none.
    pub default_role: String,
    /// Absolute; `None`: on a tmpfs where there is one, else in the work directory.
    pub runtime_dir: Option<PathBuf>,
    /// The agent's cgroup beneath each hierarchy.
    pub cgroups_root: String,
    /// A container that resists SIGKILL this long hangs in the kernel.
    pub destroy_timeout: Duration,
    /// The longest wait before the first registration; it doubles with each.
    pub registration_backoff: Duration,
    /// Paths that are answered by 403.
    pub disabled_endpoints: BTreeSet<String>,
}

impl Default for MachineSettings {
    fn default() -> Self {
        Self {
            advertise_ip: None,
            advertise_port: None,
            switch_user: true,
            default_role: "*".to_owned(),
            runtime_dir: None,
            cgroups_root: "tepui".to_owned(),
            destroy_timeout: Duration::from_mins(1),
            registration_backoff: Duration::from_secs(1),
            disabled_endpoints: BTreeSet::new(),
        }
    }
}

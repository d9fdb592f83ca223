//! What an agent is told at its start. Owns defaults; reads no file and no environment.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tepui_protocol::{
    acls::Acls,
    v1::{AgentInfo, agent_info},
};

use crate::{
    compatibility::{Reconfiguration, Recovery},
    controllers::QosController,
    disk::DiskWatch,
    engine::EngineConfig,
    estimators::ResourceEstimator,
    ports::PortsWatch,
    tokens::TokenKey,
};

/// The name of the agent's own socket in [`DomainSocket::directory`].
pub const SOCKET_NAME: &str = "agent.sock";

/// A socket in the file system at which executors reach their agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainSocket {
    /// For those that see the machine's files.
    pub location: PathBuf,
    /// For the others: a directory that has nothing else in it.
    pub directory: PathBuf,
}

/// The settings of one agent. Durations' defaults are Mesos'.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Hostname, port, resources, attributes and domain; no id.
    pub info: AgentInfo,
    /// What the agent answers HTTP on, as executors and frameworks are told.
    pub ip: String,
    /// What containers with the machine's network are shown besides (`--ip6`); nothing listens there.
    pub ip6: Option<String>,
    pub work_dir: PathBuf,
    /// Where Mesos' helpers would be: shown in the generated `ExecutorInfo` of a command task.
    pub launcher_dir: PathBuf,
    /// The version of this program.
    pub version: String,
    pub capabilities: Vec<agent_info::Capability>,
    /// Differs after each boot of the machine: containers of another boot are gone.
    pub boot_id: String,
    /// The base of every container's environment; `MESOS_*` and the command's own are put on top.
    pub environment: Vec<(String, String)>,
    /// `LIBPROCESS_IP` of executors with the machine's network; `None`: they have none.
    pub libprocess_ip: Option<String>,
    /// What containers are not bound by here, as the master is told; `None`: nothing is missing.
    pub shortcoming: Option<String>,
    /// Without it there are no mounts, and no other users.
    pub is_root: bool,
    /// Whether commands run as the user they name. Without root they run as the agent does.
    pub switch_user: bool,
    /// Whether the CPUs of a task are a hard limit too (`--cgroups_enable_cfs`).
    pub limit_cpus: bool,
    /// Which limits hold here at all.
    pub enforced: Enforced,
    /// What a container without a limit can use.
    pub machine: Machine,
    /// Whether CPUs that were only lent weigh next to nothing (`--revocable_cpu_low_priority`).
    pub lent_cpus_give_way: bool,
    /// Signs the tokens that custom executors are given; `None`: they get none (`--jwt_secret_key`).
    pub token_key: Option<TokenKey>,
    /// Where executors find the agent besides (`--http_executor_domain_sockets`).
    pub domain_socket: Option<DomainSocket>,
    /// Who may run tasks as whom (Mesos: `--acls`).
    pub acls: Arc<Acls>,
    /// Where containers with an image see their sandboxes (`--sandbox_directory`).
    pub sandbox_directory: PathBuf,
    /// Of the engine that runs containers of type DOCKER; `None`: they are run as all others.
    pub engine: Option<EngineConfig>,
    /// Differs at each start: the source of uuids and of random waits.
    pub seed: [u64; 2],
    pub registration_backoff: Duration,
    pub registration_backoff_max: Duration,
    pub executor_registration_timeout: Duration,
    pub executor_reregistration_timeout: Duration,
    pub executor_shutdown_grace: Duration,
    pub recovery_timeout: Duration,
    pub update_retry_min: Duration,
    pub update_retry_max: Duration,
    /// Says what can be lent; `None`: nothing.
    pub estimator: Option<Arc<dyn ResourceEstimator>>,
    /// Says who must give back what was lent; `None`: nobody.
    pub controller: Option<Arc<dyn QosController>>,
    pub oversubscribed_resources_interval: Duration,
    /// Between two questions to the controller, at least.
    pub qos_correction_interval_min: Duration,
    pub recovery: Recovery,
    pub reconfiguration: Reconfiguration,
    /// `None`: nobody looks what containers hold.
    pub disk_watch: Option<DiskWatch>,
    /// `None`: nobody looks at which ports they listen.
    pub ports_watch: Option<PortsWatch>,
    pub max_completed_frameworks: usize,
    pub max_completed_executors_per_framework: usize,
    pub max_completed_tasks_per_executor: usize,
}

/// What containers are bound by: the kernel's controllers that they join (Mesos: the isolators `cgroups/cpu` and `cgroups/mem`,
/// as `/flags` names them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    pub cpus: bool,
    pub memory: bool,
}

impl Enforced {
    pub const ALL: Self = Self {
        cpus: true,
        memory: true,
    };
    pub const NONE: Self = Self {
        cpus: false,
        memory: false,
    };
}

/// All of a machine, whatever of it is offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Machine {
    pub cpus: u32,
    pub memory_bytes: u64,
}

impl NodeConfig {
    /// The defaults around what has none.
    pub fn new(info: AgentInfo, ip: impl Into<String>, work_dir: impl Into<PathBuf>) -> Self {
        Self {
            info,
            ip: ip.into(),
            ip6: None,
            work_dir: work_dir.into(),
            launcher_dir: PathBuf::from("/usr/libexec/mesos"),
            version: "1.11.0".to_owned(),
            capabilities: default_capabilities(),
            boot_id: String::new(),
            environment: Vec::new(),
            libprocess_ip: None,
            shortcoming: None,
            is_root: true,
            switch_user: true,
            limit_cpus: false,
            enforced: Enforced::ALL,
            machine: Machine::default(),
            lent_cpus_give_way: true,
            token_key: None,
            domain_socket: None,
            acls: Arc::default(),
            sandbox_directory: PathBuf::from("/mnt/mesos/sandbox"),
            engine: None,
            seed: [0, 0],
            registration_backoff: Duration::from_secs(1),
            registration_backoff_max: Duration::from_mins(1),
            executor_registration_timeout: Duration::from_mins(1),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_shutdown_grace: Duration::from_secs(5),
            recovery_timeout: Duration::from_mins(15),
            update_retry_min: Duration::from_secs(10),
            update_retry_max: Duration::from_mins(10),
            estimator: None,
            controller: None,
            oversubscribed_resources_interval: Duration::from_secs(15),
            qos_correction_interval_min: Duration::ZERO,
            recovery: Recovery::default(),
            reconfiguration: Reconfiguration::default(),
            disk_watch: None,
            ports_watch: None,
            max_completed_frameworks: 50,
            max_completed_executors_per_framework: 150,
            max_completed_tasks_per_executor: 200,
        }
    }

    /// Those of containers that have the machine's network.
    pub(crate) fn addresses(&self) -> Vec<String> {
        [Some(&self.ip), self.ip6.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// `ip:port`.
    pub fn endpoint(&self) -> String {
        format!("{}:{}", self.ip, self.info.port.unwrap_or(5051))
    }

    /// `slave(1)@ip:port`.
    pub fn pid(&self) -> String {
        format!("slave(1)@{}", self.endpoint())
    }
}

/// What Mesos 1.11 agents name at their registration.
pub fn default_capabilities() -> Vec<agent_info::Capability> {
    use agent_info::capability::Type;
    let types = [
        Type::MultiRole,
        Type::HierarchicalRole,
        Type::ReservationRefinement,
        Type::ResourceProvider,
        Type::ResizeVolume,
        Type::AgentOperationFeedback,
        Type::AgentDraining,
        Type::TaskResourceLimits,
    ];
    let named = types.into_iter().map(|kind| agent_info::Capability {
        r#type: Some(kind as i32),
    });
    named.collect()
}

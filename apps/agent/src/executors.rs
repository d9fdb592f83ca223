//! What an agent was started with about the programs of frameworks that run tasks.

use std::{path::PathBuf, time::Duration};

/// Durations' defaults are Mesos'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorSettings {
    /// From the launch to the subscription.
    pub registration_timeout: Duration,
    /// From a restart of the agent to the next subscription.
    pub reregistration_timeout: Duration,
    pub shutdown_grace: Duration,
    /// How long an executor is to wait for an agent that is away, as it is told.
    pub recovery_timeout: Duration,
    /// What containers' environments begin with, besides a `PATH`.
    pub environment: Option<Vec<(String, String)>>,
    /// The text of that, as `/flags` shows it.
    pub shown_environment: Option<String>,
    /// Whether executors can reach the agent at a socket in the file system too.
    pub domain_sockets: bool,
    /// Where; `None`: beside the runtime directory.
    pub domain_socket: Option<PathBuf>,
    /// Ended executors of one framework that are remembered.
    pub max_completed: usize,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            registration_timeout: Duration::from_mins(1),
            reregistration_timeout: Duration::from_secs(2),
            shutdown_grace: Duration::from_secs(5),
            recovery_timeout: Duration::from_mins(15),
            environment: None,
            shown_environment: None,
            domain_sockets: false,
            domain_socket: None,
            max_completed: 150,
        }
    }
}

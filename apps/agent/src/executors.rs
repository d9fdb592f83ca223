//! What an agent was started with about the programs of frameworks that run tasks.

use std::time::Duration;

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
    /// What containers' environments begin with; `None`: with the agent's own.
    pub environment: Option<Vec<(String, String)>>,
    /// The text of that, as `/flags` shows it.
    pub shown_environment: Option<String>,
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
            max_completed: 150,
        }
    }
}

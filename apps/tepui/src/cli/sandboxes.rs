//! Flags of an agent about sandboxes, and about what it finds at its start.

use clap::Args;
use serde::Serialize;

#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct SandboxArgs {
    /// How long a sandbox stays after its container has ended, where there is room [default: 1weeks]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gc_delay: Option<String>,
    /// The part of the disk that is to stay free of old sandboxes [default: 0.1]
    #[arg(long, value_name = "0..1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gc_disk_headroom: Option<f64>,
    /// Whether old sandboxes of containers within others, and of those that stand alone, are removed too [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gc_non_executor_container_sandboxes: Option<bool>,
    /// Between two looks for old sandboxes [default: 1mins]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk_watch_interval: Option<String>,
    /// What becomes of a container's output: sandbox (files that grow), or logrotate=max_stdout_size:10MB;max_stderr_size:10MB
    /// [default: sandbox]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container_logger: Option<String>,
    /// What becomes of containers that an agent before left: reconnect, or cleanup (they are killed, and the agent ends)
    /// [default: reconnect]
    #[arg(long, value_name = "reconnect|cleanup")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recover: Option<String>,
    /// Which changes of its settings leave an agent the one it was: equal (none), or additive (more of everything)
    /// [default: equal]
    #[arg(long, value_name = "equal|additive")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reconfiguration_policy: Option<String>,
    /// Whether a container whose files take more than its disk is ended [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enforce_container_disk_quota: Option<bool>,
    /// Between two looks at what containers' files take [default: 15secs where it is enforced, else nobody looks]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container_disk_watch_interval: Option<String>,
}

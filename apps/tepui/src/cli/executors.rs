//! Flags of an agent about the programs of frameworks that run tasks.

use clap::Args;
use serde::Serialize;

#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct ExecutorArgs {
    /// How long an executor may take from its launch until it subscribes [default: 1mins]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executor_registration_timeout: Option<String>,
    /// How long executors may take to subscribe again after a restart of the agent, at most 15secs [default: 2secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executor_reregistration_timeout: Option<String>,
    /// How long an executor may take to end when it is asked to, unless it says otherwise [default: 5secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executor_shutdown_grace_period: Option<String>,
    /// How long an executor is to wait for an agent that is away before it ends, as it is told [default: 15mins]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_timeout: Option<String>,
    /// What containers have in their environment, as JSON or a file of it [default: what the agent has, but for its own variables]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executor_environment_variables: Option<String>,
    /// How many ended executors of a framework are remembered [default: 150]
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_completed_executors_per_framework: Option<u64>,
    /// Whether executors must show the token that the agent gave them [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authenticate_http_executors: Option<bool>,
    /// File of the key that signs tokens of executors; only its owner may read it [default: none, they are given none]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_secret_key: Option<String>,
    /// Whether executors can reach the agent at a socket in the file system too [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_executor_domain_sockets: Option<bool>,
    /// Where that socket is, less than 108 characters [default: beside the runtime directory]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain_socket_location: Option<String>,
}

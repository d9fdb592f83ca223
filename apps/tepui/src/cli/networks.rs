//! Flags of an agent about networks of containers.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct NetworkArgs {
    /// Where programs of CNI plug-ins lie, such as /usr/lib/cni; several with colons between [default: none]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network_cni_plugins_dir: Option<String>,
    /// Where configurations of CNI networks lie, such as /etc/cni/net.d [default: none]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network_cni_config_dir: Option<PathBuf>,
    /// Whether what CNI plug-ins have to undo is known after a reboot too [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network_cni_root_dir_persist: Option<bool>,
    /// Whether statistics of containers have the traffic of their CNI networks [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network_cni_metrics: Option<bool>,
    /// Name servers of containers whose networks tell none: Mesos' ContainerDNSInfo as JSON, or a file of it [default: the machine's]
    #[arg(long, value_name = "JSON|PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_container_dns: Option<String>,
    /// Whether a container that listens on a port it was not given is ended [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enforce_container_ports: Option<bool>,
    /// Between two looks at which ports containers listen [default: 30secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container_ports_watch_interval: Option<String>,
    /// The only ports that are looked at: [31000-32000] [default: all]
    #[arg(long, value_name = "RANGES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container_ports_isolated_range: Option<String>,
    /// Whether only the ports that this agent offers are looked at [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check_agent_port_range_only: Option<bool>,
}

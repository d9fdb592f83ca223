//! An agent's flags about an engine for containers of type DOCKER.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tepui_agent::EngineSettings;

use super::{AgentFile, dns::ContainerDns};

/// Flags of an agent.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct EngineArgs {
    /// What runs containers: mesos, or docker,mesos where a Docker or Podman engine runs those of type DOCKER, or docker where no
    /// others are taken [default: mesos, which runs all]
    #[arg(long, value_name = "NAME,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    containerizers: Option<String>,
    /// The engine's Unix socket [default: /var/run/docker.sock]
    #[arg(long, value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_socket: Option<String>,
    /// What the engine gives a destroyed container to end by itself [default: 0secs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_stop_timeout: Option<String>,
    /// How long the engine keeps a container that has ended [default: 6hrs]
    #[arg(long, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_remove_delay: Option<String>,
    /// Whether the engine's containers that this agent made and does not know any more are killed [default: true]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_kill_orphans: Option<bool>,
}

/// `None`: no engine is named.
pub(super) fn parse(
    file: &AgentFile,
    dns: &ContainerDns,
) -> anyhow::Result<Option<EngineSettings>> {
    let named = file.containerizers.as_deref().unwrap_or("mesos");
    let names: Vec<_> = named.split(',').map(str::trim).collect();
    if let Some(other) = names.iter().find(|it| !["docker", "mesos"].contains(it)) {
        bail!(
            "--containerizers {named}: there is no containerizer `{other}`; expected mesos, docker or docker,mesos"
        );
    }
    if !names.contains(&"docker") {
        return Ok(None);
    }
    let defaults = EngineSettings::default();
    let duration = |flag: &str, given: &Option<String>, default: Duration| match given {
        None => Ok(default),
        Some(text) => tepui_protocol::durations::parse(text)
            .ok()
            .with_context(|| format!("{flag} {text}: expected a duration, such as 10secs")),
    };
    let socket = file.docker_socket.as_deref();
    let socket = socket.map(|it| it.strip_prefix("unix://").unwrap_or(it));
    if let Some(socket) = socket.filter(|it| !it.starts_with('/')) {
        bail!("--docker-socket {socket}: expected the absolute path of a Unix socket");
    }
    Ok(Some(EngineSettings {
        socket: socket.map_or(defaults.socket, Into::into),
        only: !names.contains(&"mesos"),
        stop_timeout: duration(
            "--docker-stop-timeout",
            &file.docker_stop_timeout,
            defaults.stop_timeout,
        )?,
        remove_delay: duration(
            "--docker-remove-delay",
            &file.docker_remove_delay,
            defaults.remove_delay,
        )?,
        kill_orphans: file.docker_kill_orphans.unwrap_or(defaults.kill_orphans),
        dns: dns.of_engine.clone(),
    }))
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;

//! An agent's flags about an engine for containers of type DOCKER.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use tepui_agent::{DnsNetwork, DnsRule, EngineSettings};

use super::{AgentFile, json_or_file, one_line};

const EXPECTED_DNS: &str = r#"expected JSON such as {"docker": [{"network_mode": "BRIDGE", "dns": {"nameservers": ["10.0.0.1"], "search": ["example.com"], "options": ["timeout:3"]}}]}, or the path of a file that holds it"#;

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

/// Mesos' `ContainerDNSInfo`, as far as engines have a part in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DnsConfig {
    #[serde(default)]
    docker: Vec<DnsEntry>,
    /// For networks of plug-ins: read in `networks`.
    #[serde(default, rename = "mesos")]
    _mesos: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DnsEntry {
    network_mode: Option<String>,
    network_name: Option<String>,
    dns: Dns,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dns {
    #[serde(default)]
    nameservers: Vec<String>,
    #[serde(default)]
    search: Vec<String>,
    #[serde(default)]
    options: Vec<String>,
}

/// `None`: no engine is named.
pub(super) fn parse(file: &AgentFile) -> anyhow::Result<Option<EngineSettings>> {
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
        Some(text) => tepui_http::duration::parse(text)
            .ok()
            .with_context(|| format!("{flag} {text}: expected a duration, such as 10secs")),
    };
    let socket = file.docker_socket.as_deref();
    let socket = socket.map(|it| it.strip_prefix("unix://").unwrap_or(it));
    if let Some(socket) = socket.filter(|it| !it.starts_with('/')) {
        bail!("--docker-socket {socket}: expected the absolute path of a Unix socket");
    }
    let dns = file.default_container_dns.as_deref().map(dns).transpose()?;
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
        dns: dns.unwrap_or_default(),
    }))
}

fn dns(given: &str) -> anyhow::Result<Vec<DnsRule>> {
    let text = json_or_file("--default-container-dns", given, EXPECTED_DNS)?;
    let config: DnsConfig = serde_json::from_str(&text).map_err(|error| {
        let reason = one_line(&error.to_string());
        anyhow::anyhow!("--default-container-dns: {reason}; {EXPECTED_DNS}")
    })?;
    let rules = config.docker.into_iter().map(|entry| {
        let network = match (entry.network_mode.as_deref(), entry.network_name) {
            // Mesos' own default.
            (None | Some("USER"), name) => DnsNetwork::User(name),
            (Some("BRIDGE"), None) => DnsNetwork::Bridge,
            (Some(other), _) => bail!(
                "--default-container-dns: network_mode {other}: expected BRIDGE, or USER with or without a network_name"
            ),
        };
        let Dns {
            nameservers,
            search,
            options,
        } = entry.dns;
        Ok(DnsRule {
            network,
            nameservers,
            search,
            options,
        })
    });
    rules.collect()
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;

//! An agent's flags about networks of containers.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use tepui_agent::{
    IsolatedPorts, NetworkSettings, PortsWatch,
    networks::dns::{DefaultDns, Dns},
};
use tepui_protocol::resources::Resources;

use super::{AgentFile, json_or_file, sandboxes};

/// `ContainerDNSInfo` of Mesos.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContainerDns {
    #[serde(default)]
    mesos: Vec<Mesos>,
    #[serde(default)]
    docker: Vec<Docker>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mesos {
    network_mode: MesosMode,
    network_name: Option<String>,
    #[serde(default)]
    dns: Dns,
}

#[derive(Debug, Deserialize)]
enum MesosMode {
    #[serde(rename = "CNI")]
    Cni,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Docker {
    network_mode: DockerMode,
    network_name: Option<String>,
    #[serde(default)]
    dns: Dns,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum DockerMode {
    Bridge,
    User,
}

pub(super) fn parse(file: &AgentFile) -> anyhow::Result<NetworkSettings> {
    let plugins_dir = file.network_cni_plugins_dir.clone();
    let config_dir = file.network_cni_config_dir.clone();
    // In the words of Mesos.
    match (&plugins_dir, &config_dir) {
        (Some(_), None) => bail!(
            "Missing required '--network_cni_config_dir' flag: expected the directory of network configurations"
        ),
        (None, Some(_)) => bail!(
            "Missing required '--network_cni_plugins_dir' flag: expected the directory of CNI plug-ins, such as /usr/lib/cni"
        ),
        (_, Some(dir)) if !dir.is_dir() => bail!(
            "The CNI network configuration directory '{}' does not exist",
            dir.display()
        ),
        _ => {}
    }
    let defaults = NetworkSettings::default();
    let given = file.default_container_dns.as_deref();
    let shown_dns = given
        .map(|given| json_or_file("--default-container-dns", given, EXPECTED_DNS))
        .transpose()?;
    Ok(NetworkSettings {
        plugins_dir,
        config_dir,
        persist: file
            .network_cni_root_dir_persist
            .unwrap_or(defaults.persist),
        metrics: file.network_cni_metrics.unwrap_or(defaults.metrics),
        dns: shown_dns.as_deref().map_or(Ok(defaults.dns), dns)?,
        shown_dns,
        ports: ports(file)?,
    })
}

const EXPECTED_DNS: &str = r#"expected JSON such as {"mesos": [{"network_mode": "CNI", "network_name": "net1", "dns": {"nameservers": ["192.0.2.53"]}}]}, or the path of a file that holds it"#;

/// Names of networks once each, and one entry for all others, as Mesos wants it.
fn dns(text: &str) -> anyhow::Result<DefaultDns> {
    let parsed: ContainerDns = serde_json::from_str(text)
        .map_err(|error| anyhow!("--default-container-dns: {error}; {EXPECTED_DNS}"))?;
    let mut all = DefaultDns::default();
    for entry in parsed.mesos {
        let MesosMode::Cni = entry.network_mode;
        let is_new = match entry.network_name {
            Some(name) => all.of_networks.insert(name, entry.dns).is_none(),
            None => all.of_others.replace(entry.dns).is_none(),
        };
        if !is_new {
            bail!(
                "--default-container-dns: Multiple DNS configuration without network name or with the same name"
            );
        }
    }
    for entry in parsed.docker {
        // Docker's networks are CNI networks here; what is said of those by their own name comes first.
        let name = match (entry.network_mode, entry.network_name) {
            (DockerMode::Bridge, _) => "bridge".to_owned(),
            (DockerMode::User, Some(name)) => name,
            (DockerMode::User, None) => continue,
        };
        all.of_networks.entry(name).or_insert(entry.dns);
    }
    Ok(all)
}

fn ports(file: &AgentFile) -> anyhow::Result<Option<PortsWatch>> {
    let names = file.isolation.as_deref().unwrap_or_default().split(',');
    let is_named = names.map(str::trim).any(|name| name == "network/ports");
    let interval = file.container_ports_watch_interval.as_deref();
    let interval =
        interval.map(|text| sandboxes::interval("--container-ports-watch-interval", text));
    let interval: Option<Duration> = interval.transpose()?;
    let enforced = file.enforce_container_ports.unwrap_or(false);
    let only_offered = file.check_agent_port_range_only.unwrap_or(false);
    let range = file.container_ports_isolated_range.as_deref();
    let isolated = match (only_offered, range) {
        (true, Some(_)) => bail!(
            "Only one of `--check_agent_port_range_only` or `--container_ports_isolated_range` should be specified"
        ),
        (true, None) => IsolatedPorts::Offered,
        (false, None) => IsolatedPorts::All,
        (false, Some(text)) => {
            let parsed = Resources::parse(&format!("ports:{text}"), "*").ok();
            let parsed = parsed.map(|it| it.ports()).filter(|it| !it.is_empty());
            IsolatedPorts::Within(parsed.with_context(|| {
                format!(
                    "--container-ports-isolated-range {text}: expected ranges such as [31000-32000]"
                )
            })?)
        }
    };
    // Who names one of its flags wants to see who listens where.
    let is_on = is_named || interval.is_some() || enforced;
    Ok(is_on.then(|| PortsWatch {
        interval: interval.unwrap_or(PortsWatch::DEFAULT_INTERVAL),
        enforced,
        isolated,
    }))
}

#[cfg(test)]
#[path = "networks_tests.rs"]
mod tests;

//! An agent's flags about networks of containers.

use std::time::Duration;

use anyhow::{Context, bail};
use tepui_agent::{IsolatedPorts, NetworkSettings, PortsWatch};
use tepui_protocol::resources::Resources;

use super::{AgentFile, dns::ContainerDns, sandboxes};

pub(super) fn parse(file: &AgentFile, dns: &ContainerDns) -> anyhow::Result<NetworkSettings> {
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
    Ok(NetworkSettings {
        plugins_dir,
        config_dir,
        persist: file
            .network_cni_root_dir_persist
            .unwrap_or(defaults.persist),
        metrics: file.network_cni_metrics.unwrap_or(defaults.metrics),
        dns: dns.of_networks.clone(),
        shown_dns: dns.text.clone(),
        ports: ports(file)?,
    })
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

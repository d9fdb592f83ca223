//! `--default-container-dns` of an agent: Mesos' `ContainerDNSInfo` (`src/messages/flags.proto`), once for all who connect
//! containers.

use anyhow::anyhow;
use serde::Deserialize;
use tepui_agent::{
    DnsNetwork, DnsRule,
    networks::dns::{DefaultDns, Dns},
};

use super::{json_or_file, one_line};

const EXPECTED: &str = r#"expected JSON such as {"mesos": [{"network_mode": "CNI", "network_name": "net1", "dns": {"nameservers": ["192.0.2.53"]}}], "docker": [{"network_mode": "BRIDGE", "dns": {"nameservers": ["192.0.2.53"]}}]}, or the path of a file that holds it"#;

/// What is said, and of whom.
#[derive(Debug, Default)]
pub(super) struct ContainerDns {
    /// As it was given, or stands in the file.
    pub(super) text: Option<String>,
    /// Of the agent's own containers. Docker's networks are CNI networks there; what is said of those by their own
    /// name comes first.
    pub(super) of_networks: DefaultDns,
    /// Of an engine's containers.
    pub(super) of_engine: Vec<DnsRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    mesos: Vec<Mesos>,
    #[serde(default)]
    docker: Vec<Docker>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mesos {
    network_mode: MesosMode,
    network_name: Option<String>,
    #[serde(default)]
    dns: Dns,
}

#[derive(Deserialize)]
enum MesosMode {
    #[serde(rename = "CNI")]
    Cni,
    #[serde(rename = "HOST")]
    Host,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Docker {
    #[serde(default)]
    network_mode: DockerMode,
    network_name: Option<String>,
    #[serde(default)]
    dns: Dns,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum DockerMode {
    Bridge,
    #[default]
    User,
    Host,
}

/// In the words of Mesos.
fn host() -> anyhow::Error {
    anyhow!(
        "--default-container-dns: Configuring DNS for HOST network with `--default_container_dns` is not yet supported; {EXPECTED}"
    )
}

fn twice(what: &str) -> anyhow::Error {
    anyhow!(
        "--default-container-dns: Multiple DNS configuration {what} in `--default_container_dns` is not allowed; name each network once"
    )
}

/// Names of networks once each, and one entry for all others, as Mesos wants it.
pub(super) fn parse(given: Option<&str>) -> anyhow::Result<ContainerDns> {
    let Some(given) = given else {
        return Ok(ContainerDns::default());
    };
    let text = json_or_file("--default-container-dns", given, EXPECTED)?;
    let File { mesos, docker } = serde_json::from_str(&text).map_err(|error| {
        let reason = one_line(&error.to_string());
        anyhow!("--default-container-dns: {reason}; {EXPECTED}")
    })?;
    let mut of_networks = DefaultDns::default();
    for entry in mesos {
        if let MesosMode::Host = entry.network_mode {
            return Err(host());
        }
        match entry.network_name {
            Some(name) => {
                if of_networks.of_networks.contains_key(&name) {
                    let what = format!("with the same network name '{name}' for CNI network");
                    return Err(twice(&what));
                }
                of_networks.of_networks.insert(name, entry.dns);
            }
            None => {
                if of_networks.of_others.replace(entry.dns).is_some() {
                    return Err(twice("without network name for CNI network"));
                }
            }
        }
    }
    let mut of_engine = Vec::new();
    for Docker {
        network_mode,
        network_name,
        dns,
    } in docker
    {
        let (network, name) = match network_mode {
            DockerMode::Host => return Err(host()),
            DockerMode::Bridge => (DnsNetwork::Bridge, Some("bridge".to_owned())),
            DockerMode::User => (DnsNetwork::User(network_name.clone()), network_name),
        };
        if of_engine
            .iter()
            .any(|known: &DnsRule| known.network == network)
        {
            return Err(twice(&match &network {
                DnsNetwork::Bridge => "for Docker default bridge network".to_owned(),
                DnsNetwork::User(None) => {
                    "without network name for user-defined CNM network".to_owned()
                }
                DnsNetwork::User(Some(name)) => {
                    format!("with the same network name '{name}' for user-defined CNM network")
                }
            }));
        }
        if let Some(name) = name {
            let of_networks = of_networks.of_networks.entry(name);
            of_networks.or_insert_with(|| dns.clone());
        }
        of_engine.push(DnsRule {
            network,
            nameservers: dns.nameservers,
            search: dns.search,
            options: dns.options,
        });
    }
    Ok(ContainerDns {
        text: Some(text),
        of_networks,
        of_engine,
    })
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;

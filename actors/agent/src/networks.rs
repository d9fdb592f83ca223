//! Networks of containers: which ones they ask for, and under which addresses they are then known (Mesos: the isolator
//! `network/cni`, and `docker run --network`). Whether a network exists is known where it is joined.

use tepui_messages::containers::NetworkOrder;
use tepui_protocol::v1::{
    ContainerInfo, NetworkInfo, Resource,
    container_info::{
        self, DockerInfo,
        docker_info::{self, Network},
    },
    network_info,
};

use crate::core::NodeCore;

/// The network that stands for the mode BRIDGE of containers of type DOCKER.
pub(crate) const BRIDGE: &str = "bridge";

/// What the container is to have instead of the machine's network, or of that of the container around it.
///
/// Errors: what cannot be had, in words for the framework.
pub(crate) fn of(container: &ContainerInfo) -> Result<Option<NetworkOrder>, String> {
    let docker = container.docker.as_ref();
    if container.r#type() == container_info::Type::Docker
        && let Some(docker) = docker
    {
        return of_docker(docker, container);
    }
    let networks = container.network_infos.iter();
    let networks: Vec<_> = networks.filter(|it| it.name.is_some()).cloned().collect();
    Ok((!networks.is_empty()).then_some(NetworkOrder {
        networks,
        hostname: container.hostname.clone(),
        maps_ports: false,
    }))
}

/// In the words of Mesos.
fn of_docker(
    docker: &DockerInfo,
    container: &ContainerInfo,
) -> Result<Option<NetworkOrder>, String> {
    let network = docker.network();
    let mut info = match network {
        Network::Host | Network::None => NetworkInfo::default(),
        Network::Bridge => NetworkInfo {
            name: Some(BRIDGE.to_owned()),
            ..NetworkInfo::default()
        },
        Network::User => match container.network_infos.as_slice() {
            [] => return Err("No network info found in container info".to_owned()),
            [info] if info.name.is_none() => {
                return Err("No network name found in network info".to_owned());
            }
            [info] => info.clone(),
            _ => return Err("Only a single network can be defined in Docker run".to_owned()),
        },
    };
    let joins = matches!(network, Network::Bridge | Network::User);
    if !joins && !docker.port_mappings.is_empty() {
        return Err(
            "Port mappings are only supported for bridge and user-defined networks".to_owned(),
        );
    }
    if network == Network::Host {
        return match container.hostname {
            Some(_) => Err("Unable to set hostname with host network mode".to_owned()),
            None => Ok(None),
        };
    }
    let mapped = docker.port_mappings.iter().map(mapping);
    info.port_mappings.extend(mapped);
    Ok(Some(NetworkOrder {
        hostname: container.hostname.clone(),
        maps_ports: !info.port_mappings.is_empty(),
        networks: if joins { vec![info] } else { Vec::new() },
    }))
}

/// Whether the ports of the machine that a container of type DOCKER asks for are the task's (Mesos: `docker/docker.cpp`).
///
/// Errors: they are not, in the words of Mesos.
pub(crate) fn check_ports(docker: &DockerInfo, resources: &[&Resource]) -> Result<(), String> {
    if docker.port_mappings.is_empty() {
        return Ok(());
    }
    let own = resources.iter().filter(|it| it.name == "ports");
    let ranges: Vec<_> = own
        .filter_map(|it| it.ranges.as_ref())
        .flat_map(|it| &it.range)
        .collect();
    if ranges.is_empty() {
        return Err("Port mappings require port resources".to_owned());
    }
    let ports = docker
        .port_mappings
        .iter()
        .map(|it| u64::from(it.host_port));
    let mut others =
        ports.filter(|port| !ranges.iter().any(|it| (it.begin..=it.end).contains(port)));
    match others.next() {
        Some(port) => Err(format!("Port [{port}] not included in resources")),
        None => Ok(()),
    }
}

fn mapping(of_docker: &docker_info::PortMapping) -> network_info::PortMapping {
    network_info::PortMapping {
        host_port: of_docker.host_port,
        container_port: of_docker.container_port,
        protocol: of_docker.protocol.clone(),
    }
}

/// What was found to be possible, so it is no error now.
pub(crate) fn order(container: Option<&ContainerInfo>) -> Option<NetworkOrder> {
    container.and_then(|it| of(it).ok().flatten())
}

/// A container with the machine's network has the agent's `own` addresses.
pub(crate) fn shown(networks: &[NetworkInfo], own: &[String]) -> Vec<NetworkInfo> {
    if !networks.is_empty() {
        return networks.to_vec();
    }
    let addresses = own.iter().map(|ip| {
        let protocol = match ip.contains(':') {
            true => network_info::Protocol::IPv6,
            false => network_info::Protocol::IPv4,
        };
        network_info::IpAddress {
            protocol: Some(protocol as i32),
            ip_address: Some(ip.clone()),
        }
    });
    vec![NetworkInfo {
        ip_addresses: addresses.collect(),
        ..NetworkInfo::default()
    }]
}

/// The address under which others find a container.
pub(crate) fn address<'a>(networks: &'a [NetworkInfo], agent_ip: &'a str) -> &'a str {
    let addresses = networks.iter().flat_map(|it| &it.ip_addresses);
    let mut addresses = addresses.filter_map(|it| it.ip_address.as_deref());
    addresses.next().unwrap_or(agent_ip)
}

impl NodeCore {
    /// Of an executor's container, or of one that a client asked for; comes before it has started.
    pub(crate) fn networked(&mut self, container_id: &str, networks: Vec<NetworkInfo>) {
        if let Some(guest) = self.guests.get_mut(container_id) {
            guest.networks = networks;
        } else if let Some(key) = self.containers.get(container_id).cloned()
            && let Some(executor) = self.executor_mut(&key)
        {
            executor.networks = networks;
        }
    }

    /// As far as a container does not have the machine's network: its own, or that of the container around it.
    pub(crate) fn networks_of(&self, container_id: &str) -> &[NetworkInfo] {
        let mut id = container_id;
        loop {
            let own = match self.guests.get(id) {
                Some(guest) => Some(&guest.networks),
                None => {
                    let key = self.containers.get(id);
                    key.and_then(|key| Some(&self.executor(key)?.networks))
                }
            };
            match (own.filter(|own| !own.is_empty()), id.rsplit_once('.')) {
                (Some(own), _) => return own,
                (None, Some((outer, _))) => id = outer,
                (None, None) => return &[],
            }
        }
    }
}

#[cfg(test)]
#[path = "networks_tests.rs"]
mod tests;

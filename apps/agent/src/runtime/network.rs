//! Networks of containers in the launcher's terms: who joins what, what is shown of it, and when it is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    os::fd::OwnedFd,
};

use tepui_containers::{
    LaunchSpec, Mount,
    networks::{Joined, NetworkError, Networks, Wanted, config::PortMapping},
    ports::Listeners,
};
use tepui_kit::crash_point;
use tepui_messages::containers::{LaunchOrder, NetworkOrder};
use tepui_protocol::{
    codec::{Limits, json},
    v1::{NetworkInfo, ResourceStatistics, network_info},
};
use tokio::runtime::Handle;

use super::{Containers, Inner};

/// What stands for the mode BRIDGE.
const BRIDGE: &str = "bridge";

impl Containers {
    /// Takes back the networks of containers of an agent before that never came to their start, or ended by a reboot; in
    /// the background, since a plug-in may take its time.
    pub(crate) fn sweep_networks(&self) {
        let inner = &self.0;
        let Ok(networks) = inner.networks.clone() else {
            return;
        };
        let known = networks.containers().into_iter();
        let orphans: Vec<_> = known.filter(|id| !inner.dir(id).exists()).collect();
        if orphans.is_empty() {
            return;
        }
        let sweep = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    for container_id in orphans {
                        tracing::info!(container_id, "the network of an orphan is taken back");
                        told(&container_id, networks.detach(&container_id).await);
                    }
                });
            }
        };
        // A thread that the agent's end does not wait for: the next agent goes on with it.
        let thread = std::thread::Builder::new().name("old-networks".to_owned());
        if let Err(error) = thread.spawn(sweep) {
            tracing::warn!(%error, "networks of orphans are not taken back");
        }
    }
}

impl Inner {
    /// The network that a container is given now, or else that of a container around it; `None`: the machine's.
    pub(super) async fn join(&self, order: &LaunchOrder) -> Result<Option<Joined>, String> {
        let Some(network) = order.network.clone() else {
            return self.network_around(&order.container_id);
        };
        let networks = self.networks.clone()?;
        let container_id = order.container_id.clone();
        crash_point("runtime", || "BeforeNetwork");
        let joined = off_thread(async move { join(&networks, &container_id, network).await });
        let joined = joined.await??;
        crash_point("runtime", || "NetworkJoined");
        Ok(Some(joined))
    }

    /// The network that a container which is not given one has.
    fn network_around(&self, container_id: &str) -> Result<Option<Joined>, String> {
        // Only what is within another one shares its network.
        let networks = self.networks.as_ref().ok();
        let networks = networks.filter(|_| container_id.contains('.'));
        let found = networks.map_or(Ok(None), |networks| networks.of(container_id));
        found.map_err(|error| error.to_string())
    }

    /// The network of a running container; a damaged record is told and counts as none.
    pub(super) fn network(&self, container_id: &str) -> Option<Joined> {
        let networks = self.networks.as_ref().ok()?;
        networks.of(container_id).unwrap_or_else(|error| {
            tracing::error!(container_id, "its network is not known: {error}");
            None
        })
    }

    /// What statuses show of a container with a network of its own.
    pub(super) fn network_infos(&self, container_id: &str) -> Vec<NetworkInfo> {
        let joined = self.network(container_id);
        let joined = joined.filter(|joined| joined.container == container_id);
        joined.as_ref().map_or_else(Vec::new, infos)
    }

    /// Takes a container that has ended from its networks. What fails is told, and tried again when the container is
    /// forgotten and when an agent starts.
    pub(super) async fn leave(&self, container_id: &str) {
        let Ok(networks) = &self.networks else {
            return;
        };
        if !networks.has(container_id) {
            return;
        }
        let (networks, id) = (networks.clone(), container_id.to_owned());
        crash_point("runtime", || "BeforeNetworkLeft");
        // It fails only while the runtime shuts down.
        if let Ok(left) = off_thread(async move { networks.detach(&id).await }).await {
            told(container_id, left);
        }
    }

    /// A container of an agent before goes on: so does its network.
    pub(super) fn keep_network(&self, container_id: &str, pid: u32) {
        if let Ok(networks) = &self.networks
            && let Err(error) = networks.hold(container_id, pid)
        {
            tracing::warn!(container_id, %error, "its network namespace is not held");
        }
    }

    pub(super) async fn socket(
        &self,
        container_id: String,
        v6: bool,
    ) -> std::io::Result<Option<OwnedFd>> {
        let Some(joined) = self.network(&container_id) else {
            return Ok(None);
        };
        let made = tokio::task::spawn_blocking(move || joined.socket(v6)).await;
        made.map_err(std::io::Error::other)?.map(Some)
    }

    /// Ports of the machine at which these containers listen. Blocks: there may be many processes with many files.
    pub(super) fn ports_of(&self, containers: Vec<String>) -> BTreeMap<String, BTreeSet<u16>> {
        let listeners = Listeners::read().unwrap_or_default();
        let seen = containers.into_iter().filter_map(|container_id| {
            let processes = self.handle(&container_id)?.processes().ok()?;
            let ports = listeners.of(processes);
            (!ports.is_empty()).then_some((container_id, ports))
        });
        seen.collect()
    }

    /// What went through the interfaces of a container with a network of its own (`--network_cni_metrics`).
    pub(super) fn add_traffic(&self, container_id: &str, statistics: &mut ResourceStatistics) {
        if !self.network_metrics {
            return;
        }
        let joined = self.network(container_id);
        let Some(joined) = joined.filter(|it| it.container == container_id) else {
            return;
        };
        let pid = self.handle(container_id).map(|it| it.command().pid);
        let traffic =
            pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok());
        if let Some(traffic) = traffic {
            count(&traffic, &joined, statistics);
        }
    }
}

/// Shows a command the network of its container, whose loopback and names are its own.
pub(super) fn show(joined: &Joined, spec: &mut LaunchSpec) {
    spec.network = Some(joined.namespace());
    spec.namespaces.names = true;
    if spec.namespaces.hostname.is_none() {
        spec.namespaces.hostname = Some(joined.hostname.clone().into());
    }
    let variable = std::ffi::OsString::from("LIBPROCESS_IP");
    // So that it does not bind to the agent's address.
    spec.env.entry(variable).or_insert_with(|| "0.0.0.0".into());
    // An image gets what it has not; of the machine's files there are those that there are.
    let has_root = spec.root.is_some();
    let shown = joined.files().filter(|(_, at)| has_root || at.exists());
    let shown = shown.map(|(source, target)| Mount {
        source,
        target,
        read_only: true,
        no_links: true,
        propagates: false,
        keeps_owners: false,
        overlay: None,
    });
    let shown: Vec<_> = shown.collect();
    // First, so that the container's own volumes lie on them.
    spec.mounts.splice(0..0, shown);
}

async fn join(
    networks: &Networks,
    container_id: &str,
    order: NetworkOrder,
) -> Result<Joined, String> {
    let NetworkOrder {
        networks: infos,
        hostname,
        maps_ports,
    } = order;
    for info in infos.iter().filter(|_| maps_ports) {
        let name = info.name();
        if !networks
            .maps_ports(name)
            .map_err(|error| unknown(name, &error))?
        {
            return Err(format!(
                "The CNI network '{name}' maps no ports of this machine: expected a plug-in with the capability \
                 'portMappings' in its configuration"
            ));
        }
    }
    let wanted: Vec<Wanted> = infos.iter().map(wanted).collect::<Result<_, _>>()?;
    let joined = networks.attach(container_id, hostname.as_deref(), wanted);
    let joined = joined.await;
    joined.map_err(|error| match infos.as_slice() {
        [info] => unknown(info.name(), &error),
        _ => error.to_string(),
    })
}

/// A framework that asks for BRIDGE does not know that there is a network of that name.
fn unknown(name: &str, error: &NetworkError) -> String {
    match error {
        NetworkError::Unknown(_) if name == BRIDGE => format!(
            "{error}: on this agent the network BRIDGE of Docker containers is the CNI network of that name; \
             configure it in the directory of --network-cni-config-dir, or ask for HOST"
        ),
        _ => error.to_string(),
    }
}

fn wanted(info: &NetworkInfo) -> Result<Wanted, String> {
    let text = json::encode(info).map_err(|error| error.to_string())?;
    let mappings = info.port_mappings.iter().map(mapping);
    Ok(Wanted {
        name: info.name().to_owned(),
        info: serde_json::from_slice(&text).map_err(|error| error.to_string())?,
        port_mappings: mappings.collect::<Result<_, _>>()?,
    })
}

fn mapping(mapping: &network_info::PortMapping) -> Result<PortMapping, String> {
    let port = |number: u32| {
        let port = u16::try_from(number).ok().filter(|port| *port > 0);
        port.ok_or_else(|| format!("{number} in a port mapping is no port: expected 1 to 65535"))
    };
    let protocol = mapping.protocol.as_deref().unwrap_or("tcp");
    Ok(PortMapping {
        host_port: port(mapping.host_port)?,
        container_port: port(mapping.container_port)?,
        protocol: protocol.to_ascii_lowercase(),
    })
}

pub(super) fn infos(joined: &Joined) -> Vec<NetworkInfo> {
    let infos = joined.networks.iter().map(|network| {
        let text = network.info.to_string();
        let known: NetworkInfo = json::decode(text.as_bytes(), &Limits::HTTP).unwrap_or_default();
        let addresses = network.addresses.iter().map(|address| {
            let protocol = match address.is_ipv4() {
                true => network_info::Protocol::IPv4,
                false => network_info::Protocol::IPv6,
            };
            network_info::IpAddress {
                protocol: Some(protocol as i32),
                ip_address: Some(address.to_string()),
            }
        });
        NetworkInfo {
            ip_addresses: addresses.collect(),
            name: Some(network.name.clone()),
            ..known
        }
    });
    infos.collect()
}

/// Adds up `/proc/<pid>/net/dev` (`proc(5)`) for the interfaces that plug-ins made.
fn count(table: &str, joined: &Joined, statistics: &mut ResourceStatistics) {
    let lines = table.lines().filter_map(|line| line.split_once(':'));
    let own = lines.filter(|(name, _)| {
        let mut networks = joined.networks.iter();
        networks.any(|network| network.interface == name.trim())
    });
    for (_, numbers) in own {
        let numbers: Vec<u64> = numbers
            .split_ascii_whitespace()
            .map_while(|it| it.parse().ok())
            .collect();
        let mut add = |field: fn(&mut ResourceStatistics) -> &mut Option<u64>, at: usize| {
            if let Some(number) = numbers.get(at) {
                let sum = field(statistics).get_or_insert(0);
                *sum = sum.saturating_add(*number);
            }
        };
        add(|it| &mut it.net_rx_bytes, 0);
        add(|it| &mut it.net_rx_packets, 1);
        add(|it| &mut it.net_rx_errors, 2);
        add(|it| &mut it.net_rx_dropped, 3);
        add(|it| &mut it.net_tx_bytes, 8);
        add(|it| &mut it.net_tx_packets, 9);
        add(|it| &mut it.net_tx_errors, 10);
        add(|it| &mut it.net_tx_dropped, 11);
    }
}

fn told(container_id: &str, left: Result<(), NetworkError>) {
    if let Err(error) = left {
        tracing::error!(container_id, %error, "a container is not taken from its networks; the next start of the agent tries again");
    }
}

/// Runs what starts programs and waits for disks where nobody else waits for it.
async fn off_thread<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work)).await;
    done.map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;

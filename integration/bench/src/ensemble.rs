//! Three nodes of one replicated store on this machine, as it is deployed: processes of their own, each with a directory on
//! the same disk. They end with the value, and their directories with them.

mod clients;
mod etcd;
mod tepui;
mod zookeeper;

use std::{
    collections::BTreeMap,
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use tempfile::TempDir;

pub(crate) use clients::Client;

/// Nodes of an ensemble.
pub(crate) const NODES: usize = 3;
/// Bytes of each write: key and value of ours, the value alone of the others.
pub(crate) const PAYLOAD_BYTES: usize = 200;
/// Keys that ZooKeeper has ready; the others make them as they are written.
pub(crate) const MAX_KEYS: usize = 1_024;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const READY_LOOK: Duration = Duration::from_millis(20);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum System {
    /// Three masters; UPDATE_WEIGHTS over HTTP
    Tepui,
    /// Debian's etcd; Put over gRPC
    Etcd,
    /// The same etcd; Put over its JSON gateway
    EtcdJson,
    /// Debian's ZooKeeper; setData
    Zookeeper,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Tepui => "tepui",
            System::Etcd => "etcd",
            System::EtcdJson => "etcd-json",
            System::Zookeeper => "zookeeper",
        }
    }

    /// What must be installed to measure it, where something must.
    pub(crate) fn missing(self) -> Option<String> {
        let (found, what) = match self {
            System::Tepui => (tepui::program().is_file(), {
                let shown = tepui::program();
                format!(
                    "no tepui at {}: run `make build`, or let TEPUI_BIN name one",
                    shown.display()
                )
            }),
            System::Etcd | System::EtcdJson => (
                etcd::program().is_some(),
                "etcd is not installed: run `apt-get install etcd-server`".to_owned(),
            ),
            System::Zookeeper => (
                zookeeper::is_installed(),
                "ZooKeeper is not installed: run `apt-get install zookeeper`".to_owned(),
            ),
        };
        (!found).then_some(what)
    }
}

/// Timeouts that differ from the system's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Between two signs of life of a leader. Ours follow from the other.
    pub(crate) heartbeat_ms: u64,
    pub(crate) election_ms: u64,
}

/// Where one node listens: for clients, for others, and for their elections where that is another port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) client: u16,
    pub(crate) peer: u16,
    pub(crate) election: u16,
}

/// What every node of an ensemble is told.
pub(crate) struct Plan {
    pub(crate) ports: [Ports; NODES],
    /// The first so many are run.
    pub(crate) nodes: usize,
    pub(crate) timeouts: Option<Timeouts>,
}

pub(crate) struct Ensemble {
    pub(crate) system: System,
    plan: Plan,
    dir: TempDir,
    nodes: [Option<Child>; NODES],
}

impl Ensemble {
    /// Starts three nodes below `base` and waits until one of them leads.
    pub(crate) async fn start(
        system: System,
        timeouts: Option<Timeouts>,
        base: &Path,
    ) -> anyhow::Result<Ensemble> {
        Self::start_of(NODES, system, timeouts, base).await
    }

    /// One master alone, as it is deployed without others.
    pub(crate) async fn start_alone(base: &Path) -> anyhow::Result<Ensemble> {
        Self::start_of(1, System::Tepui, None, base).await
    }

    async fn start_of(
        nodes: usize,
        system: System,
        timeouts: Option<Timeouts>,
        base: &Path,
    ) -> anyhow::Result<Ensemble> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("tepui-bench-{}-", system.name()))
            .tempdir_in(base)?;
        let plan = Plan {
            ports: free_ports()?,
            nodes,
            timeouts,
        };
        let mut ensemble = Ensemble {
            system,
            plan,
            dir,
            nodes: Default::default(),
        };
        for node in 0..nodes {
            ensemble.run(node)?;
        }
        ensemble.settle().await?;
        if system == System::Zookeeper {
            ensemble.make_keys().await?;
        }
        Ok(ensemble)
    }

    /// A leader of ZooKeeper that says it leads may still close a session or two: they are made when it takes them.
    async fn make_keys(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let leader = self.leader().await?;
            match zookeeper::make_keys(self.address(leader)).await {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(READY_LOOK).await,
                made => return made,
            }
        }
    }

    pub(crate) fn address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.plan.ports[node].client)
    }

    /// Of all nodes, those that are down too.
    pub(crate) fn addresses(&self) -> Vec<String> {
        (0..self.plan.nodes)
            .map(|node| self.address(node))
            .collect()
    }

    /// The process of a node that runs.
    pub(crate) fn pid(&self, node: usize) -> anyhow::Result<u32> {
        let child = self.nodes[node].as_ref();
        Ok(child.context("this node does not run")?.id())
    }

    fn home(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("n{node}"))
    }

    fn run(&mut self, node: usize) -> anyhow::Result<()> {
        let home = self.home(node);
        std::fs::create_dir_all(&home)?;
        let mut command = match self.system {
            System::Tepui => tepui::command(node, &self.plan, &home),
            System::Etcd | System::EtcdJson => etcd::command(node, &self.plan, &home)?,
            System::Zookeeper => zookeeper::command(node, &self.plan, &home)?,
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.join("output.log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        self.nodes[node] = Some(child);
        Ok(())
    }

    /// Kills a node as `kill -9` does, and returns when it is gone.
    pub(crate) fn kill(&mut self, node: usize) -> anyhow::Result<Instant> {
        let mut child = self.nodes[node].take().context("this node does not run")?;
        let killed = Instant::now();
        child.kill()?;
        child.wait()?;
        Ok(killed)
    }

    /// Starts a node that was killed, and waits until all three are one group again.
    pub(crate) async fn restart(&mut self, node: usize) -> anyhow::Result<()> {
        self.run(node)?;
        self.settle().await
    }

    /// The node that leads.
    pub(crate) async fn leader(&self) -> anyhow::Result<usize> {
        for node in 0..NODES {
            // One that does not answer does not lead.
            let runs = self.nodes[node].is_some();
            if runs && self.place(node).await.unwrap_or(Place::Lost) == Place::Leads {
                return Ok(node);
            }
        }
        bail!("nobody leads {}", self.system.name())
    }

    async fn place(&self, node: usize) -> anyhow::Result<Place> {
        let address = self.address(node);
        match self.system {
            System::Tepui => tepui::place(&address).await,
            System::Etcd | System::EtcdJson => etcd::place(&address).await,
            System::Zookeeper => zookeeper::place(&address).await,
        }
    }

    /// Waits until one node leads and all others that run follow it.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let mut leaders = 0;
            let mut settled = true;
            for node in 0..NODES {
                let Some(child) = &mut self.nodes[node] else {
                    continue;
                };
                if let Some(status) = child.try_wait()? {
                    bail!(
                        "a node of {} ended with {status}: {}",
                        self.system.name(),
                        self.last_words(node)
                    );
                }
                // One that is not up yet has no place.
                match self.place(node).await {
                    Ok(Place::Leads) => leaders += 1,
                    Ok(Place::Follows) => {}
                    _ => settled = false,
                }
            }
            if settled && leaders == 1 {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{} did not become ready within {} s: {}",
                self.system.name(),
                READY_TIMEOUT.as_secs(),
                self.last_words(0)
            );
            tokio::time::sleep(READY_LOOK).await;
        }
    }

    fn last_words(&self, node: usize) -> String {
        let text = std::fs::read_to_string(self.home(node).join("output.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// A connection to `node` on which writes are made one after another.
    pub(crate) async fn connect(&self, node: usize) -> anyhow::Result<Client> {
        Client::connect(self.system, &self.address(node)).await
    }

    /// How often the log of `node` was synced since it started, as it counts itself.
    pub(crate) async fn syncs(&self, node: usize) -> anyhow::Result<u64> {
        let address = self.address(node);
        match self.system {
            System::Tepui => metric(&address, "mesos_registry_syncs").await,
            System::Etcd | System::EtcdJson => {
                metric(&address, "etcd_disk_wal_fsync_duration_seconds_count").await
            }
            System::Zookeeper => zookeeper::syncs(&address).await,
        }
    }

    /// What is stored: the value of each key, read where all that was acknowledged must show.
    pub(crate) async fn values(&self) -> anyhow::Result<BTreeMap<usize, u64>> {
        let address = self.address(self.leader().await?);
        match self.system {
            System::Tepui => tepui::values(&address).await,
            System::Etcd | System::EtcdJson => etcd::values(&address).await,
            System::Zookeeper => zookeeper::values(&address).await,
        }
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            // It may be gone; nothing of it is needed any more.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The part a node plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Leads,
    Follows,
    /// It knows of no leader.
    Lost,
}

/// Ports nobody listens on. They are all held at once, so that none comes twice.
fn free_ports() -> anyhow::Result<[Ports; NODES]> {
    let mut held = Vec::new();
    let mut next = || -> anyhow::Result<u16> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        held.push(listener);
        Ok(port)
    };
    let mut ports = || -> anyhow::Result<Ports> {
        Ok(Ports {
            client: next()?,
            peer: next()?,
            election: next()?,
        })
    };
    Ok([ports()?, ports()?, ports()?])
}

/// A counter out of Prometheus' text.
async fn metric(address: &str, name: &str) -> anyhow::Result<u64> {
    let text = tepui_client::Client::default()
        .get(address, "/metrics")
        .await?;
    let text = String::from_utf8_lossy(&text);
    let value = text.lines().find_map(|line| {
        let (found, value) = line.split_once(' ')?;
        (found == name).then(|| value.parse::<f64>().ok()).flatten()
    });
    let value = value.with_context(|| format!("{address} counts no {name}"))?;
    Ok(value as u64)
}

/// The name of a key, all of one length and in order.
pub(crate) fn key_name(key: usize) -> String {
    format!("bench-{key:06}")
}

fn key_of(name: &str) -> Option<usize> {
    name.strip_prefix("bench-")?.get(..6)?.parse().ok()
}

/// A value as bytes: its digits, filled up.
fn payload(value: u64) -> Vec<u8> {
    let mut bytes = format!("{value}.").into_bytes();
    bytes.resize(PAYLOAD_BYTES, b'x');
    bytes
}

fn payload_value(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.split(|byte| *byte == b'.').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The command with the environment that matters to none of them left out.
fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("RUST_LOG");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_read_as_they_were_written() {
        assert_eq!(key_of(&key_name(37)), Some(37));
        assert_eq!(key_of("other-000037"), None);
        let bytes = payload(12_345);
        assert_eq!(bytes.len(), PAYLOAD_BYTES);
        assert_eq!(payload_value(&bytes), Some(12_345));
    }

    #[test]
    fn free_ports_are_all_different() {
        let ports = free_ports().unwrap();
        let mut all: Vec<u16> = ports
            .iter()
            .flat_map(|it| [it.client, it.peer, it.election])
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3 * NODES);
    }
}

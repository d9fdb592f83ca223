//! Owns the networks of containers that do not have the machine's: each has a namespace of its own, which plug-ins of the
//! CNI specification connect (Mesos: `isolators/network/cni`).
//!
//! ```text
//! <dir>/<container>/ns          its namespace, mounted: it stays while no process is in it
//! <dir>/<container>/networks    what plug-ins are told and have answered; written before any of them is called
//! <dir>/<container>/call        what a plug-in reads, locked for as long as one runs
//! <dir>/<container>/hosts, hostname, resolv.conf    what the container has in /etc
//! ```
//!
//! All that has to be undone is in there before it is done, so any later agent can undo it.

pub mod config;
pub mod files;
mod namespace;
mod plugin;
pub mod result;
mod state;

use crate::networks::config::{Network, PortMapping};
use crate::networks::files::Dns;
use crate::networks::plugin::{Call, Plugins};
use crate::networks::result::Answer;
use crate::networks::state::{Joining, State};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The most networks that one container joins.
pub const MAX_NETWORKS: usize = 16;

const NAMESPACE: &str = "ns";

/// Where networks are found and what is kept of them.
#[derive(Clone, Debug, Default)]
pub struct NetworkSettings {
    /// One directory a container lies here.
    pub dir: PathBuf,
    /// Directories of plug-ins, as `PATH` has them (`--network_cni_plugins_dir`).
    pub plugins: Option<String>,
    /// The directory of configurations (`--network_cni_config_dir`).
    pub configs: Option<PathBuf>,
    /// What names are looked up by where a network does not say (`--default_container_dns`).
    pub dns: DefaultDns,
    /// Whether `dir` is to outlive the machine's kernel.
    pub synced: bool,
}

/// [`Dns`] of networks whose plug-ins tell none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultDns {
    pub of_networks: BTreeMap<String, Dns>,
    /// Of all others.
    pub of_others: Option<Dns>,
}

/// A network that a container is to join.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub name: String,
    /// The `NetworkInfo` of Mesos, for plug-ins that look for it and for whoever asks after the container.
    pub info: Value,
    pub port_mappings: Vec<PortMapping>,
}

/// The network of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// Whose network it is: the container itself, or one around it.
    pub container: String,
    dir: PathBuf,
    /// What the machine is called there.
    pub hostname: String,
    /// In the order of their interfaces: `eth0` …
    pub networks: Vec<Attached>,
}

/// One network that a container has joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    pub name: String,
    pub interface: String,
    /// As in [`Wanted`].
    pub info: Value,
    pub addresses: Vec<IpAddr>,
}

impl Joined {
    /// The file by which a process enters its namespace.
    pub fn namespace(&self) -> PathBuf {
        self.dir.join(NAMESPACE)
    }

    /// Files of the container's own, and where in its `/etc` they are shown.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, PathBuf)> {
        let made = files::NAMES.into_iter();
        let made = made.map(|name| (self.dir.join(name), Path::new("/etc").join(name)));
        made.filter(|(file, _)| file.exists())
    }

    /// A TCP socket within it. Blocks for the length of a few system calls.
    pub fn socket(&self, v6: bool) -> io::Result<OwnedFd> {
        namespace::socket(&self.namespace(), v6)
    }
}

/// Why a container has no network, or why it could not be taken back.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("Unknown CNI network '{0}'")]
    Unknown(String),
    #[error("Attempted to join CNI network '{0}' multiple times")]
    Twice(String),
    #[error("A container joins at most {MAX_NETWORKS} networks; {0} were asked for")]
    TooMany(usize),
    #[error("{0}")]
    Config(String),
    #[error(
        "Unable to find the plugin {plugin} required to {action} {container} to network '{network}'"
    )]
    NoPlugin {
        plugin: String,
        action: &'static str,
        container: String,
        network: String,
    },
    #[error(
        "The CNI plugin '{}' failed to {action} container {container} {} CNI network '{network}': {reason}",
        .plugin.display(), if *.action == "attach" { "to" } else { "from" }
    )]
    Plugin {
        plugin: PathBuf,
        action: &'static str,
        container: String,
        network: String,
        reason: String,
    },
    #[error("Failed to parse the output of the CNI plugin '{}': {reason}", .plugin.display())]
    Output { plugin: PathBuf, reason: String },
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the agent is ending")]
    Ending,
}

impl NetworkError {
    fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}

/// Networks of containers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Networks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: NetworkSettings,
    plugins: Plugins,
    /// What is done to one container is done in turn.
    turns: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Networks {
    /// Makes the directory.
    pub fn open(settings: NetworkSettings) -> Result<Self, NetworkError> {
        make_directory(&settings.dir)?;
        let plugins = Plugins::new(settings.plugins.clone().unwrap_or_default());
        Ok(Self(Arc::new(Inner {
            settings,
            plugins,
            turns: Mutex::default(),
        })))
    }

    /// Whether the network of that name, as it is configured now, maps ports of the machine. Blocks.
    pub fn maps_ports(&self, name: &str) -> Result<bool, NetworkError> {
        let found = self.configured(&[name.to_owned()])?;
        Ok(found.iter().any(Network::maps_ports))
    }

    /// Gives a container a network of its own, in which only it can be reached under its addresses; without any
    /// `wanted` it has only a loopback. On an error, [`Networks::detach`] takes back what was done.
    pub async fn attach(
        &self,
        container: &str,
        hostname: Option<&str>,
        wanted: Vec<Wanted>,
    ) -> Result<Joined, NetworkError> {
        let turn = self.turn(container);
        let _turn = turn.lock().await;
        let names: Vec<String> = wanted.iter().map(|it| it.name.clone()).collect();
        let networks = self.clone();
        let found = blocking(move || networks.configured(&names)).await?;
        // What cannot be done could not be undone either.
        for network in &found {
            self.has_plugins(container, network)?;
        }
        let dir = self.dir(container);
        make_directory(&dir)?;
        let namespace = dir.join(NAMESPACE);
        namespace::make(&namespace).map_err(NetworkError::file(
            "make a network namespace at",
            &namespace,
        ))?;
        let own = container.rsplit('.').next().unwrap_or(container);
        let mut state = State {
            hostname: files::hostname(hostname.unwrap_or(own)),
            networks: Vec::new(),
        };
        self.keep(&dir, &state)?;
        for (number, (wanted, network)) in wanted.into_iter().zip(found).enumerate() {
            state.networks.push(Joining {
                name: wanted.name,
                interface: format!("eth{number}"),
                plugins: network.calls(&wanted.info, &wanted.port_mappings)?,
                info: wanted.info,
                answer: None,
            });
            // Before anything is done: so it will be undone.
            self.keep(&dir, &state)?;
            if let Some(joining) = state.networks.last_mut() {
                joining.answer = Some(self.add(container, &dir, joining).await?);
            }
            self.keep(&dir, &state)?;
        }
        let joined = joined(container, dir, state)?;
        self.write_files(&joined)?;
        Ok(joined)
    }

    fn has_plugins(&self, container: &str, network: &Network) -> Result<(), NetworkError> {
        let missing = |name: &&str| self.0.plugins.find(name).is_none();
        match network.plugin_names().find(missing) {
            None => Ok(()),
            Some(name) => Err(NetworkError::NoPlugin {
                plugin: name.to_owned(),
                action: "attach",
                container: container.to_owned(),
                network: network.name.clone(),
            }),
        }
    }

    async fn add(
        &self,
        container: &str,
        dir: &Path,
        joining: &Joining,
    ) -> Result<Value, NetworkError> {
        let mut answer = None;
        for plugin in &joining.plugins {
            let call = Call {
                command: "ADD",
                container,
                network: &joining.name,
                interface: &joining.interface,
                namespace: Some(dir.join(NAMESPACE)),
                plugin,
                previous: answer.as_ref(),
            };
            let (program, text) = self.0.plugins.call(dir, &call).await?;
            let parsed = serde_json::from_slice(&text).map_err(|error| error.to_string());
            let parsed = parsed.and_then(|answer| Answer::parse(&answer).map(|_| answer));
            answer = Some(parsed.map_err(|reason| NetworkError::Output {
                plugin: program,
                reason,
            })?);
        }
        Ok(answer.unwrap_or_default())
    }

    /// Takes a container from its networks and its namespace away; one without is no error. What fails is tried again by
    /// the next call: nothing that was done is forgotten before it is undone.
    pub async fn detach(&self, container: &str) -> Result<(), NetworkError> {
        let dir = self.dir(container);
        if !dir.exists() {
            return Ok(());
        }
        let turn = self.turn(container);
        let _turn = turn.lock().await;
        let state = state::read(&dir)?;
        // A plug-in that an earlier agent began may still be at it.
        plugin::until_idle(&dir).await?;
        let mut failed = None;
        if let Some(mut state) = state {
            for number in (0..state.networks.len()).rev() {
                match self.delete(container, &dir, &state.networks[number]).await {
                    Ok(()) => {
                        state.networks.remove(number);
                        self.keep(&dir, &state)?;
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let namespace = dir.join(NAMESPACE);
        namespace::remove(&namespace).map_err(NetworkError::file("unmount", &namespace))?;
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(NetworkError::file("remove the directory", dir)),
        }
    }

    async fn delete(
        &self,
        container: &str,
        dir: &Path,
        joining: &Joining,
    ) -> Result<(), NetworkError> {
        let namespace = dir.join(NAMESPACE);
        // After a reboot there is none: plug-ins still give addresses back.
        let namespace = namespace::is_one(&namespace).then_some(namespace);
        for plugin in joining.plugins.iter().rev() {
            let call = Call {
                command: "DEL",
                container,
                network: &joining.name,
                interface: &joining.interface,
                namespace: namespace.clone(),
                plugin,
                previous: joining.answer.as_ref(),
            };
            self.0.plugins.call(dir, &call).await?;
        }
        Ok(())
    }

    /// The network that a container has: its own, or that of the nearest container around it. `None`: the machine's.
    pub fn of(&self, container: &str) -> Result<Option<Joined>, NetworkError> {
        let mut owner = container;
        loop {
            let dir = self.dir(owner);
            if let Some(state) = state::read(&dir)? {
                return joined(owner, dir, state).map(Some);
            }
            match owner.rsplit_once('.') {
                Some((outer, _)) => owner = outer,
                None => return Ok(None),
            }
        }
    }

    /// Mounts the namespace of a container once more where its mount is lost, as that of an agent that had mounts of its
    /// own; `pid` is a process in it. Blocks.
    pub fn hold(&self, container: &str, pid: u32) -> io::Result<()> {
        let namespace = self.dir(container).join(NAMESPACE);
        match !namespace.exists() || namespace::is_one(&namespace) {
            true => Ok(()),
            false => namespace::hold(&namespace, pid),
        }
    }

    /// Whether the container has a network of its own.
    pub fn has(&self, container: &str) -> bool {
        self.dir(container).exists()
    }

    /// Containers with a network of their own.
    pub fn containers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0.settings.dir);
        let names = entries.into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn dir(&self, container: &str) -> PathBuf {
        self.0.settings.dir.join(container)
    }

    fn turn(&self, container: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(container).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(container.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// The configurations of these names, as they are now. Blocks.
    fn configured(&self, names: &[String]) -> Result<Vec<Network>, NetworkError> {
        if names.len() > MAX_NETWORKS {
            return Err(NetworkError::TooMany(names.len()));
        }
        let again = names.iter().enumerate();
        let mut again = again.filter(|(at, name)| names[..*at].contains(name));
        if let Some((_, name)) = again.next() {
            return Err(NetworkError::Twice(name.clone()));
        }
        let Some(first) = names.first() else {
            return Ok(Vec::new());
        };
        let Some(dir) = &self.0.settings.configs else {
            return Err(NetworkError::Unknown(first.clone()));
        };
        let mut known = config::read_all(dir).map_err(NetworkError::file(
            "read the CNI configuration directory",
            dir,
        ))?;
        let names = names.iter();
        let found = names.map(|name| {
            let network = known.remove(name);
            let network = network.ok_or_else(|| NetworkError::Unknown(name.clone()))?;
            Ok(network.with_port_mapper(|plugin| self.0.plugins.find(plugin).is_some()))
        });
        found.collect()
    }

    fn keep(&self, dir: &Path, state: &State) -> Result<(), NetworkError> {
        state::write(dir, state, self.0.settings.synced)
    }

    fn write_files(&self, joined: &Joined) -> Result<(), NetworkError> {
        let state = state::read(&joined.dir)?.unwrap_or_default();
        let mut dns = Dns::default();
        for network in &state.networks {
            let answer = network.answer.as_ref().map(Answer::parse);
            let told = answer.and_then(Result::ok).map(|answer| answer.dns);
            let told = told.filter(|dns| !dns.nameservers.is_empty());
            let defaults = &self.0.settings.dns;
            let default = defaults.of_networks.get(&network.name);
            let default = default.or(defaults.of_others.as_ref());
            if let Some(more) = told.or_else(|| default.cloned()) {
                dns.merge(more);
            }
        }
        let addresses = joined.networks.iter().flat_map(|it| &it.addresses);
        let addresses: Vec<IpAddr> = addresses.copied().collect();
        let texts = files::texts(&joined.hostname, &addresses, &dns);
        for (name, text) in texts {
            let path = joined.dir.join(name);
            let readable = Permissions::from_mode(0o644);
            let written = std::fs::write(&path, text);
            let written = written.and_then(|()| std::fs::set_permissions(&path, readable));
            written.map_err(NetworkError::file("write", path))?;
        }
        Ok(())
    }
}

fn joined(container: &str, dir: PathBuf, state: State) -> Result<Joined, NetworkError> {
    let attached = state.networks.into_iter().map(|joining| {
        let answer = joining.answer.as_ref().map(Answer::parse);
        let answer = answer.and_then(Result::ok).unwrap_or_default();
        Attached {
            name: joining.name,
            interface: joining.interface,
            info: joining.info,
            addresses: answer.addresses,
        }
    });
    Ok(Joined {
        container: container.to_owned(),
        networks: attached.collect(),
        hostname: state.hostname,
        dir,
    })
}

fn make_directory(dir: &Path) -> Result<(), NetworkError> {
    let mut directory = DirBuilder::new();
    let made = directory.recursive(true).mode(0o711).create(dir);
    made.map_err(NetworkError::file("make the directory", dir))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NetworkError> + Send + 'static,
) -> Result<T, NetworkError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| NetworkError::Ending)?
}

#[cfg(test)]
#[path = "networks_tests.rs"]
mod tests;

//! A daemon's settings from where users put them: flag, then `TEPUI_…`, then `MESOS_…`, then the TOML file.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use anyhow::{Context, bail};
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::cli::{AgentArgs, MasterArgs};

/// Flags of a master that Mesos' master has under the same name.
const MASTER_TWINS: &[&str] = &[
    "work_dir",
    "ip",
    "port",
    "hostname",
    "cluster",
    "roles",
    "root_submissions",
];
const MASTER_KEYS: &[&str] = &[
    "work_dir",
    "ip",
    "port",
    "bridge_port",
    "zk_port",
    "zk_path",
    "hostname",
    "cluster",
    "roles",
    "root_submissions",
    "name",
    "peers",
];
const AGENT_TWINS: &[&str] = &[
    "work_dir",
    "ip",
    "port",
    "hostname",
    "master",
    "resources",
    "attributes",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MasterFile {
    work_dir: Option<PathBuf>,
    ip: Option<IpAddr>,
    port: Option<u16>,
    bridge_port: Option<u16>,
    zk_port: Option<u16>,
    zk_path: Option<String>,
    hostname: Option<String>,
    cluster: Option<String>,
    roles: Option<String>,
    root_submissions: Option<bool>,
    name: Option<String>,
    peers: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentFile {
    work_dir: Option<PathBuf>,
    master: Option<String>,
    ip: Option<IpAddr>,
    port: Option<u16>,
    hostname: Option<String>,
    resources: Option<String>,
    attributes: Option<String>,
}

fn load<T: DeserializeOwned>(
    file: Option<&PathBuf>,
    flags: &impl Serialize,
    keys: &'static [&str],
    twins: &'static [&str],
) -> anyhow::Result<T> {
    let mut figment = Figment::new();
    if let Some(path) = file {
        if !path.is_file() {
            bail!("--config {}: there is no such file", path.display());
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    let figment = figment
        .merge(Env::prefixed("MESOS_").only(twins))
        .merge(Env::prefixed("TEPUI_").only(keys))
        .merge(Serialized::defaults(flags));
    figment.extract().map_err(|error| {
        // One line: the first problem, with where it came from.
        let first = error
            .into_iter()
            .next()
            .map_or_else(|| "unreadable".to_string(), |error| error.to_string());
        anyhow::anyhow!("configuration: {}", one_line(&first))
    })
}

/// A text of several lines as one, without the excerpt of the file (its lines are marked by a bar).
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.contains('|'))
        .collect();
    lines.join("; ")
}

pub(crate) fn master(args: &MasterArgs) -> anyhow::Result<tepui_master::MasterSettings> {
    let file: MasterFile = load(args.config.as_ref(), args, MASTER_KEYS, MASTER_TWINS)?;
    let ip = file.ip.unwrap_or_else(|| IpAddr::from([127, 0, 0, 1]));
    if let Some(peers) = file.peers.as_deref().filter(|peers| peers.contains(',')) {
        bail!(
            "--peers {peers}: groups of several masters are not supported by this version of Tepui; start one master without --peers"
        );
    }
    Ok(tepui_master::MasterSettings {
        work_dir: file.work_dir.context("--work-dir is missing: expected a directory for the registry, such as --work-dir /var/lib/tepui/master")?,
        ip,
        port: file.port.unwrap_or(5050),
        bridge_port: file.bridge_port.unwrap_or(5060),
        zk_port: file.zk_port,
        zk_path: file.zk_path.unwrap_or_else(|| "/mesos".to_string()),
        hostname: file.hostname.unwrap_or_else(|| ip.to_string()),
        cluster: file.cluster,
        roles: file.roles.as_deref().map(roles).transpose()?,
        root_submissions: file.root_submissions.unwrap_or(true),
        name: file.name.unwrap_or_else(|| "m1".to_string()),
        log_file: None,
        verbosity: Default::default(),
    })
}

pub(crate) fn agent(args: &AgentArgs) -> anyhow::Result<tepui_agent::AgentSettings> {
    let file: AgentFile = load(args.config.as_ref(), args, AGENT_TWINS, AGENT_TWINS)?;
    let ip = file.ip.unwrap_or_else(|| IpAddr::from([127, 0, 0, 1]));
    let masters = file
        .master
        .context("--master is missing: expected the HTTP address of a master, such as --master 127.0.0.1:5050")?;
    Ok(tepui_agent::AgentSettings {
        work_dir: file.work_dir.context("--work-dir is missing: expected a directory for sandboxes, such as --work-dir /var/lib/tepui/agent")?,
        masters: addresses(&masters)?,
        ip,
        port: file.port.unwrap_or(5051),
        hostname: file.hostname.unwrap_or_else(|| ip.to_string()),
        resources: file.resources,
        attributes: file.attributes,
        log_file: None,
        verbosity: Default::default(),
    })
}

/// `role[,role…]`, checked for form.
fn roles(list: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut roles = BTreeSet::new();
    for role in list.split(',').map(str::trim) {
        if let Err(reason) = tepui_protocol::roles::validate(role) {
            bail!("--roles {list}: {reason}; expected roles separated by commas, such as dev,prod");
        }
        roles.insert(role.to_string());
    }
    Ok(roles)
}

/// `host:port[,host:port…]`, checked for form.
pub(crate) fn addresses(list: &str) -> anyhow::Result<Vec<String>> {
    let mut addresses = Vec::new();
    for address in list.split(',').map(str::trim) {
        let port = address
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty())
            .map(|(_, port)| port.parse::<u16>());
        match port {
            Some(Ok(port)) if port != 0 => addresses.push(address.to_string()),
            _ => bail!(
                "--master {list}: '{address}' is no address; expected host:port, such as 127.0.0.1:5050"
            ),
        }
    }
    Ok(addresses)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;

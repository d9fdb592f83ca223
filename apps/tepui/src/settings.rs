//! A daemon's settings from where users put them: flag, then `TEPUI_…`, then `MESOS_…`, then the TOML file.

mod agent;
mod allocation;
mod devices;
mod dns;
mod domain;
mod engine;
mod executors;
mod fetching;
mod hostname;
mod images;
mod isolation;
pub(crate) mod legacy;
mod lending;
mod machine;
mod networks;
mod patience;
mod rates;
mod sandboxes;
mod security;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use tepui_master::{
    MAX_MASTERS,
    naming::{EXPECTED_NAME, is_address, is_member_name},
};

use crate::cli::MasterArgs;

/// A group that waits longer for a leader is better told that it has none.
const MAX_ELECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Flags of a master that Mesos' master has under the same name.
const MASTER_TWINS: &[&str] = &[
    "work_dir",
    "ip",
    "port",
    "hostname",
    "hostname_lookup",
    "cluster",
    "agent_removal_rate_limit",
    "roles",
    "root_submissions",
    "offer_timeout",
    "domain",
    "require_agent_domain",
    "whitelist",
    "allocator",
    "allocation_interval",
    "min_allocatable_resources",
    "fair_sharing_excluded_resource_names",
    "registry_gc_interval",
    "registry_max_agent_age",
    "registry_max_agent_count",
    "agent_reregister_timeout",
    "agent_ping_timeout",
    "max_agent_ping_timeouts",
    "max_completed_frameworks",
    "max_completed_tasks_per_framework",
    "max_unreachable_tasks_per_framework",
    "rate_limits",
    "credentials",
    "authenticate_http_readonly",
    "authenticate_http_readwrite",
    "authenticate_http_frameworks",
    "http_framework_authenticators",
    "acls",
];
/// Those that it has not.
const MASTER_OWN: &[&str] = &[
    "bridge_port",
    "zk_port",
    "zk_path",
    "http_hosts",
    "shadow_allocator",
    "name",
    "peers",
    "election_timeout_ms",
];

use agent::AgentFile;
pub(crate) use agent::agent;
pub(crate) use engine::EngineArgs;
pub(crate) use fetching::FetchingArgs;
pub(crate) use isolation::IsolationArgs;
use rates::{rate_limits, removal_rate};
use text::{json_or_file, one_line};

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
    hostname_lookup: Option<bool>,
    cluster: Option<String>,
    agent_removal_rate_limit: Option<String>,
    roles: Option<String>,
    root_submissions: Option<bool>,
    offer_timeout: Option<String>,
    domain: Option<String>,
    require_agent_domain: Option<bool>,
    whitelist: Option<String>,
    allocator: Option<String>,
    shadow_allocator: Option<String>,
    allocation_interval: Option<String>,
    min_allocatable_resources: Option<String>,
    fair_sharing_excluded_resource_names: Option<String>,
    registry_gc_interval: Option<String>,
    registry_max_agent_age: Option<String>,
    registry_max_agent_count: Option<u64>,
    agent_reregister_timeout: Option<String>,
    agent_ping_timeout: Option<String>,
    max_agent_ping_timeouts: Option<u32>,
    max_completed_frameworks: Option<usize>,
    max_completed_tasks_per_framework: Option<usize>,
    max_unreachable_tasks_per_framework: Option<usize>,
    rate_limits: Option<String>,
    http_hosts: Option<String>,
    credentials: Option<String>,
    authenticate_http_readonly: Option<bool>,
    authenticate_http_readwrite: Option<bool>,
    authenticate_http_frameworks: Option<bool>,
    http_framework_authenticators: Option<String>,
    acls: Option<String>,
    name: Option<String>,
    peers: Option<String>,
    election_timeout_ms: Option<u64>,
}

fn load<T: DeserializeOwned>(
    file: Option<&PathBuf>,
    flags: &impl Serialize,
    twins: &'static [&str],
    own: &'static [&str],
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
        .merge(Env::prefixed("TEPUI_").only(twins))
        .merge(Env::prefixed("TEPUI_").only(own))
        .merge(Serialized::defaults(flags));
    extract(figment).map_err(|error| {
        // One line: the first problem, with where it came from.
        let first = error
            .into_iter()
            .next()
            .map_or_else(|| "unreadable".to_string(), |error| error.to_string());
        anyhow!("configuration: {}", one_line(&first))
    })
}

/// Figment takes a variable that looks like a number for one, also where a text is wanted (`TEPUI_CLUSTER=2024`).
fn extract<T: DeserializeOwned>(mut figment: Figment) -> Result<T, Box<figment::Error>> {
    loop {
        match figment.extract() {
            Ok(settings) => return Ok(settings),
            Err(error) => match text_taken_for_another(&error) {
                // Each is a text from now on, so this ends.
                Some(text) => figment = figment.merge(text),
                None => return Err(Box::new(error)),
            },
        }
    }
}

/// The setting and its text, if that is what is wrong.
fn text_taken_for_another(error: &figment::Error) -> Option<(String, String)> {
    let figment::error::Kind::InvalidType(found, wanted) = &error.kind else {
        return None;
    };
    let name = error.path.first()?;
    if wanted != "a string" || matches!(found, figment::error::Actual::Str(_)) {
        return None;
    }
    let variable = |prefix| std::env::var(format!("{prefix}{}", name.to_uppercase())).ok();
    let text = variable("TEPUI_").or_else(|| variable("MESOS_"))?;
    Some((name.clone(), text))
}

pub(crate) fn master(args: &MasterArgs) -> anyhow::Result<tepui_master::MasterSettings> {
    let file: MasterFile = load(args.config.as_ref(), args, MASTER_TWINS, MASTER_OWN)?;
    let forgetting = forgetting(&file)?;
    let (patience, kept) = (patience::patience(&file)?, patience::kept(&file));
    let domain = domain::parse(file.domain.as_deref())?;
    let allocation = allocation::config(&file, domain.as_ref())?;
    let security = security::of_master(&file)?;
    let offer_timeout = allocation::offer_timeout(file.offer_timeout.as_deref())?;
    let ip = file.ip.unwrap_or_else(|| IpAddr::from([127, 0, 0, 1]));
    let name = file.name.unwrap_or_else(|| "m1".to_string());
    if !is_member_name(&name) {
        bail!("--name {name}: {EXPECTED_NAME}");
    }
    let peers = file.peers.as_deref().map(peers).transpose()?;
    let peers = peers.unwrap_or_default();
    // A master that is not among them waits to be added to their group.
    let own = peers.get(&name).and_then(|own| own.rsplit_once(':'));
    let own_port = own.and_then(|(_, port)| port.parse().ok());
    let own_host = own.map(|(host, _)| host.to_string());
    Ok(tepui_master::MasterSettings {
        work_dir: file.work_dir.context("--work-dir is missing: expected a directory for the registry, such as --work-dir /var/lib/tepui/master")?,
        ip,
        port: file.port.unwrap_or(5050),
        bridge_port: file.bridge_port.or(own_port).unwrap_or(5060),
        zk_port: file.zk_port,
        zk_path: file.zk_path.unwrap_or_else(|| "/mesos".to_string()),
        hostname: hostname::hostname(file.hostname.or(own_host), file.hostname_lookup, ip)?,
        hostname_lookup: file.hostname_lookup.unwrap_or(false),
        cluster: file.cluster,
        removal_rate: file
            .agent_removal_rate_limit
            .as_deref()
            .map(removal_rate)
            .transpose()?,
        roles: file.roles.as_deref().map(roles).transpose()?,
        root_submissions: file.root_submissions.unwrap_or(true),
        offer_timeout,
        domain,
        require_agent_domain: file.require_agent_domain.unwrap_or(false),
        whitelist: file.whitelist.as_deref().and_then(allocation::whitelist),
        allocation,
        forgetting,
        patience,
        kept,
        rate_limits: rate_limits(file.rate_limits.as_deref())?,
        security,
        name,
        peers,
        election_timeout: election_timeout(file.election_timeout_ms)?,
        log_file: None,
        verbosity: Default::default(),
    })
}

/// How long absent agents are remembered; Mesos' defaults where nothing is given.
fn forgetting(file: &MasterFile) -> anyhow::Result<tepui_master::Forgetting> {
    let mut forgetting = tepui_master::Forgetting::default();
    for (flag, given, taken) in [
        (
            "--registry-gc-interval",
            &file.registry_gc_interval,
            &mut forgetting.interval,
        ),
        (
            "--registry-max-agent-age",
            &file.registry_max_agent_age,
            &mut forgetting.max_age,
        ),
    ] {
        let Some(text) = given else {
            continue;
        };
        *taken = tepui_protocol::durations::parse(text)
            .ok()
            .filter(|duration| !duration.is_zero())
            .with_context(|| format!("{flag} {text}: expected a duration, such as 15mins"))?;
    }
    if let Some(count) = file.registry_max_agent_count {
        forgetting.max_agents = count;
    }
    Ok(forgetting)
}

/// `role[,role…]`, checked for form.
fn roles(list: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut roles = BTreeSet::new();
    // Mesos lets commas stand beside each other and at the ends.
    let named = list.split(',').map(str::trim).filter(|it| !it.is_empty());
    for role in named {
        if let Err(reason) = tepui_protocol::roles::validate(role) {
            bail!("--roles {list}: {reason}; expected roles separated by commas, such as dev,prod");
        }
        roles.insert(role.to_string());
    }
    Ok(roles)
}

/// `name=host:port[,name=host:port…]`, checked for form.
fn peers(list: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let expected = "expected name=host:port of each master's bridge, such as m1=10.0.0.1:5060,m2=10.0.0.2:5060";
    let mut peers = BTreeMap::new();
    for entry in list.split(',').map(str::trim) {
        let Some((name, address)) = entry.split_once('=') else {
            bail!("--peers {list}: '{entry}' has no name; {expected}");
        };
        let (name, address) = (name.trim(), address.trim());
        if !is_member_name(name) {
            bail!("--peers {list}: '{name}' is no name of a master; {expected}");
        }
        if !is_address(address) {
            bail!("--peers {list}: '{address}' is no address; {expected}");
        }
        if peers
            .insert(name.to_string(), address.to_string())
            .is_some()
        {
            bail!("--peers {list}: {name} is named twice; {expected}");
        }
    }
    if peers.len() > MAX_MASTERS {
        bail!(
            "--peers {list}: {} masters; expected at most {MAX_MASTERS}",
            peers.len()
        );
    }
    Ok(peers)
}

fn election_timeout(given_ms: Option<u64>) -> anyhow::Result<Duration> {
    let least = tepui_master::MIN_ELECTION_TIMEOUT;
    match given_ms.map(Duration::from_millis) {
        None => Ok(tepui_master::DEFAULT_ELECTION_TIMEOUT),
        Some(timeout) if (least..=MAX_ELECTION_TIMEOUT).contains(&timeout) => Ok(timeout),
        Some(timeout) => bail!(
            "--election-timeout-ms {}: expected {} to {}",
            timeout.as_millis(),
            least.as_millis(),
            MAX_ELECTION_TIMEOUT.as_millis()
        ),
    }
}

/// `host:port[,host:port…]`, checked for form.
pub(crate) fn addresses(list: &str) -> anyhow::Result<Vec<String>> {
    let mut addresses = Vec::new();
    for given in list.split(',') {
        let address = address(given).map_err(|problem| anyhow!("--master {list}: {problem}"))?;
        addresses.push(address);
    }
    Ok(addresses)
}

/// One of a master's HTTP API, also as it stands before the path in a browser.
pub(crate) fn address(given: &str) -> Result<String, String> {
    let given = given.trim();
    if given.starts_with("zk://") {
        return Err(format!(
            "'{given}' is of ZooKeeper, which masters do not need here; expected their own addresses, host:port[,host:port…]"
        ));
    }
    let address = given.strip_prefix("http://").unwrap_or(given);
    let address = address.strip_suffix('/').unwrap_or(address);
    match is_address(address) {
        true => Ok(address.to_string()),
        false => Err(format!(
            "'{given}' is no address; expected host:port, such as 127.0.0.1:5050"
        )),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;

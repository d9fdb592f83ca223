//! The master as a program: its settings, its wiring and its HTTP endpoints. Owns who gets which link and what is
//! told at the start; never what a master decides (`actors/master`).

pub mod actors;
pub mod backup;
mod bridge;
mod chosen;
mod cluster;
mod counted;
mod dial;
pub mod entrance;
mod gate;
mod ground;
mod group;
pub mod http;
mod join;
mod joining;
pub mod leadership;
pub mod naming;
mod readers;
mod reign;
mod room;
mod roster;
mod run;
mod security;
pub mod steward;
pub mod succession;
mod throne;
mod unversioned;
mod whitelist;
mod wiring;
mod zookeeper;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::Value;
pub use tepui_allocator::{Config as AllocationConfig, policy::names as allocation_policies};
use tepui_http::Verbosity;
use tepui_kit::{Asker, Directory};
pub use tepui_master_actor::{Forgetting, Patience, RateLimits, RemovalRate};
pub use tepui_messages::change::Kept;
use tepui_messages::view::Query;
use tepui_protocol::v1::DomainInfo;

pub use run::run;
pub use security::{Guarded, Security, ShownSecurity};
/// Masters of one group.
pub use tepui_registry::MAX_MASTERS;

/// How long the others wait at least for a leader, unless told otherwise.
pub const DEFAULT_ELECTION_TIMEOUT: Duration = tepui_consensus::Options::DEFAULT_ELECTION_TIMEOUT;
/// The least they can be told.
pub const MIN_ELECTION_TIMEOUT: Duration = tepui_consensus::Options::MIN_ELECTION_TIMEOUT;

/// What a master is started with.
#[derive(Debug, Clone)]
pub struct MasterSettings {
    /// Where the registry is kept; made if it is missing. One master at a time.
    pub work_dir: PathBuf,
    pub ip: IpAddr,
    /// Of the HTTP API.
    pub port: u16,
    /// Of the bridge to agents and other masters; 0 takes a free one.
    pub bridge_port: u16,
    /// Of the endpoint for clients of ZooKeeper, which there is only where this is given; 0 takes a free one.
    pub zk_port: Option<u16>,
    /// Where that endpoint shows the masters.
    pub zk_path: String,
    pub hostname: String,
    /// Whether that was asked of the name service; only shown.
    pub hostname_lookup: bool,
    pub cluster: Option<String>,
    /// How fast agents that do not come back become unreachable; `None` is this program's own rule.
    pub removal_rate: Option<RemovalRate>,
    /// The roles frameworks may have besides `*`; `None` is any.
    pub roles: Option<BTreeSet<String>>,
    /// Whether frameworks may run as root.
    pub root_submissions: bool,
    /// How long an offer may stand; `None` is for ever.
    pub offer_timeout: Option<Duration>,
    /// Where this master is; `None`: nobody has a domain.
    pub domain: Option<DomainInfo>,
    /// Whether agents without a domain are refused.
    pub require_agent_domain: bool,
    /// A file of the hostnames of agents that are offered; `None` is all.
    pub whitelist: Option<PathBuf>,
    /// Who decides who is offered what, and by which rules.
    pub allocation: AllocationConfig,
    /// How long absent agents are remembered, and how many of them.
    pub forgetting: Forgetting,
    /// How long agents may be away before they are unreachable.
    pub patience: Patience,
    /// How much is remembered of what has ended.
    pub kept: Kept,
    /// How fast calls of schedulers are taken.
    pub rate_limits: RateLimits,
    /// Who may call, and what they may do.
    pub security: Security,
    /// This master's name in its group.
    pub name: String,
    /// Masters of the group: name and `host:port` of the bridge. With this one among them it is a founder, without
    /// it waits to be added; empty for one that leads alone. Where the directory has an owner, only a hint where
    /// others may be found.
    pub peers: BTreeMap<String, String>,
    /// How long the others wait at least before they elect another leader.
    pub election_timeout: Duration,
    /// What `/files/*` shows as `/master/log`.
    pub log_file: Option<PathBuf>,
    /// How SET_LOGGING_LEVEL takes effect.
    pub verbosity: Verbosity,
}

/// The mailboxes of agents, of each its name and their statistics as JSON, and how many agents were not asked.
pub type AgentsMailboxes =
    Arc<dyn Fn() -> BoxFuture<'static, (Vec<(String, Value)>, usize)> + Send + Sync>;

/// What pages beside the API, such as the web admin, may read from.
#[derive(Clone)]
pub struct Readable {
    pub directory: Directory,
    pub view: Asker<Query>,
    /// The number of the last change: read before asking the view.
    pub changes: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub agents_mailboxes: AgentsMailboxes,
    /// Whether this master leads at this moment, confirmed by a majority; of one that does not, the view is empty or old.
    pub leads: Arc<dyn Fn() -> bool + Send + Sync>,
    pub cluster: Option<String>,
}

//! Who gets which link, capacity, arbiter and restart policy: every actor of a master is named here.

use std::sync::Arc;

use tepui_deadletters::DeadLetters;
use tepui_framework::Proxies;
use tepui_kit::{Arbiter, Directory, OnPanic, Random, Spawn};
use tepui_master_actor::MasterConfig;
use tepui_protocol::v1::{Address, MasterInfo, master_info};
use tepui_registrar::Beginning;

use crate::{
    MasterSettings,
    actors::{Actors, Making, Places},
    bridge::Agents,
    ground::Ground,
    reign::Reign,
    succession::Announce,
    whitelist,
};

const DEADLETTERS_CAPACITY: usize = 64;

/// Threads.
pub(crate) struct Arbiters {
    pub(crate) master: Arbiter,
    pub(crate) allocator: Arbiter,
    pub(crate) view: Arbiter,
    /// Where framework proxies live.
    pub(crate) streams: Arbiter,
}

impl Arbiters {
    pub(crate) fn new() -> Arbiters {
        Arbiters {
            master: Arbiter::new(),
            allocator: Arbiter::new(),
            view: Arbiter::new(),
            streams: Arbiter::new(),
        }
    }
}

/// Starts what outlives every reign.
pub(crate) fn start_deadletters(directory: &Directory, arbiters: &Arbiters) {
    let recorded = directory.clone();
    Spawn::new(directory)
        .capacity(DEADLETTERS_CAPACITY)
        .arbiter(&arbiters.view.handle())
        .start(move || DeadLetters::new(recorded.clone()));
}

impl Reign {
    /// Makes the actors; the registrar tells `announce` when they may lead.
    pub(crate) fn begin(ground: &Ground, number: u64, announce: Announce) -> anyhow::Result<Reign> {
        let directory = &ground.directory;
        // Ids of offers, frameworks and agents begin with it: no two reigns may give the same.
        let info = master_info(&ground.settings, uuid::Uuid::new_v4().to_string());
        let traffic = Arc::default();
        let making = Making {
            directory: directory.clone(),
            on_panic: OnPanic::ExitProcess,
            places: Places {
                master: Some(ground.arbiters.master.handle()),
                allocator: Some(ground.arbiters.allocator.handle()),
                view: Some(ground.arbiters.view.handle()),
            },
            master: MasterConfig {
                info: info.clone(),
                cluster: ground.settings.cluster.clone(),
                started_at: ground.started_at,
                patience: ground.settings.patience,
                removal_rate: ground.settings.removal_rate,
                roles: ground.settings.roles.clone(),
                root_submissions: ground.settings.root_submissions,
                require_agent_domain: ground.settings.require_agent_domain,
                offer_timeout: ground.settings.offer_timeout,
                allocation_interval: ground.settings.allocation.interval,
                forgetting: ground.settings.forgetting,
                kept: ground.settings.kept,
                rate_limits: ground.settings.rate_limits.clone(),
                traffic: Arc::clone(&traffic),
                acls: Arc::clone(&ground.settings.security.acls),
            },
            view: ground.view_config.clone(),
            allocation: ground.settings.allocation.clone(),
            random: Random::seeded(uuid::Uuid::new_v4().as_u64_pair().0),
            consensus: ground.consensus.clone(),
            reader: ground.reader.clone(),
            lease: Arc::clone(&ground.lease),
            room: ground.disk.room(),
            beginning: Beginning {
                cluster_id: ground.new_cluster_id.clone(),
                settle: number > 0,
            },
            elected: Arc::new(announce),
        };
        let actors = Actors::begin(making, |links| links)?;
        let streams = Some(ground.arbiters.streams.handle());
        Ok(Reign {
            agents: Arc::new(Agents::new(&actors.master, directory)),
            proxies: Proxies::new(
                directory.clone(),
                streams,
                // Each stream is lost once, and only its proxy knows.
                actors.master.past_bound().teller(),
                Arc::clone(&traffic),
            ),
            lists: (ground.listed.clone())
                .map(|listed| whitelist::tell(listed, actors.allocator.teller())),
            actors,
            traffic,
            info,
        })
    }
}

/// As Mesos prints it; `ip` is the address' four bytes in network order, read as a little-endian number.
fn master_info(settings: &MasterSettings, id: String) -> MasterInfo {
    use master_info::{Capability, capability::Type};
    let capability = |kind: Option<Type>| Capability {
        r#type: kind.map(|kind| kind as i32),
    };
    let ip = match settings.ip {
        std::net::IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        std::net::IpAddr::V6(_) => 0,
    };
    MasterInfo {
        id,
        ip,
        port: u32::from(settings.port),
        pid: Some(format!("master@{}:{}", settings.ip, settings.port)),
        hostname: Some(settings.hostname.clone()),
        version: Some(tepui_http::MESOS_VERSION.to_string()),
        address: Some(Address {
            hostname: Some(settings.hostname.clone()),
            ip: Some(settings.ip.to_string()),
            port: i32::from(settings.port),
        }),
        domain: settings.domain.clone(),
        // Mesos 1.11.0 writes its third capability, QUOTA_V2, as an empty object.
        capabilities: vec![
            capability(Some(Type::AgentUpdate)),
            capability(Some(Type::AgentDraining)),
            capability(None),
        ],
    }
}

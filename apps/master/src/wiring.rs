//! Who gets which link, capacity, arbiter and restart policy: every actor of a master is named here.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tepui_allocator::{Allocator, AllocatorCore};
use tepui_deadletters::DeadLetters;
use tepui_framework::Proxies;
use tepui_kit::{Arbiter, Directory, OnPanic, Random, Spawn};
use tepui_master_actor::{Master, MasterConfig, MasterLinks};
use tepui_protocol::v1::{Address, MasterInfo, master_info};
use tepui_registrar::{Beginning, Registrar};
use tepui_view::View;
use tokio::sync::mpsc;

use crate::{
    MasterSettings,
    bridge::Agents,
    ground::Ground,
    reign::{Announce, Elected, Reign},
};

/// Calls, updates and proposals that may wait for the master.
const MASTER_CAPACITY: usize = 100_000;
/// Changes that may wait for the allocator. It is told of the world only once, so nothing may be refused.
const ALLOCATOR_CAPACITY: usize = 1_000_000;
/// Batches of changes and queries that may wait for the view.
const VIEW_CAPACITY: usize = 100_000;
const REGISTRAR_CAPACITY: usize = 16_384;

/// Mesos: `--agent_reregister_timeout`.
const AGENT_REREGISTER_TIMEOUT: Duration = Duration::from_secs(600);
/// Mesos: five pings of 15 s each.
const AGENT_SILENCE_TIMEOUT: Duration = Duration::from_secs(75);
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
    /// Makes the actors; the registrar says on `elections` when they may lead.
    pub(crate) fn begin(
        ground: &Ground,
        number: u64,
        elections: &mpsc::UnboundedSender<Elected>,
    ) -> anyhow::Result<Reign> {
        let directory = &ground.directory;
        // Ids of offers, frameworks and agents begin with it: no two reigns may give the same.
        let info = master_info(&ground.settings, uuid::Uuid::new_v4().to_string());
        let changes = Arc::new(AtomicU64::new(0));
        let master = Spawn::new(directory)
            .capacity(MASTER_CAPACITY)
            .on_panic(OnPanic::ExitProcess)
            .arbiter(&ground.arbiters.master.handle())
            .prepare::<Master>();
        let core = AllocatorCore::new(
            &tepui_allocator::Config::default(),
            Random::seeded(uuid::Uuid::new_v4().as_u64_pair().0),
        )?;
        let proposals = master.link().teller();
        let allocator = Spawn::new(directory)
            .capacity(ALLOCATOR_CAPACITY)
            .on_panic(OnPanic::ExitProcess)
            .arbiter(&ground.arbiters.allocator.handle())
            .start_once(move || Allocator::new(core, proposals));
        let view_config = ground.view_config.clone();
        let view = Spawn::new(directory)
            .capacity(VIEW_CAPACITY)
            .on_panic(OnPanic::ExitProcess)
            .arbiter(&ground.arbiters.view.handle())
            .start_once(move || View::new(view_config));
        let registrar = Spawn::new(directory)
            .capacity(REGISTRAR_CAPACITY)
            .on_panic(OnPanic::ExitProcess)
            .arbiter(&ground.arbiters.master.handle())
            .prepare::<Registrar>();
        let links = MasterLinks {
            allocator: allocator.teller(),
            view: view.teller(),
            registrar: registrar.link().asker(),
            changes: Arc::clone(&changes),
            lease: Arc::clone(&ground.lease),
        };
        let traffic = Arc::default();
        let config = MasterConfig {
            info: info.clone(),
            cluster: ground.settings.cluster.clone(),
            started_at: ground.started_at,
            agent_reregister_timeout: AGENT_REREGISTER_TIMEOUT,
            agent_silence_timeout: AGENT_SILENCE_TIMEOUT,
            removal_rate: ground.settings.removal_rate,
            roles: ground.settings.roles.clone(),
            root_submissions: ground.settings.root_submissions,
            forgetting: ground.settings.forgetting,
            rate_limits: ground.settings.rate_limits.clone(),
            traffic: Arc::clone(&traffic),
        };
        let master = master.start_once(move || Master::new(config, links));
        let announce = Announce {
            reign: number,
            elections: elections.clone(),
        };
        let beginning = Beginning {
            cluster_id: ground.new_cluster_id.clone(),
            settle: number > 0,
        };
        let (member, reader) = (ground.consensus.clone(), ground.reader.clone());
        let room = ground.disk.room();
        let registrar = registrar.start_once(move || {
            Registrar::new(member, reader, Arc::new(announce), beginning).within(room)
        });
        Ok(Reign {
            number,
            agents: Arc::new(Agents::new(&master, directory)),
            proxies: Proxies::new(
                directory.clone(),
                Some(ground.arbiters.streams.handle()),
                master.teller(),
            ),
            master,
            allocator,
            view,
            registrar,
            changes,
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
        domain: None,
        // Mesos 1.11.0 writes its third capability, QUOTA_V2, as an empty object.
        capabilities: vec![
            capability(Some(Type::AgentUpdate)),
            capability(Some(Type::AgentDraining)),
            capability(None),
        ],
    }
}

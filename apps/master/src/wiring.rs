//! Who gets which link, capacity, arbiter and restart policy. Everything a master is made of is named here.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use anyhow::Context;
use tepui_allocator::{Allocator, AllocatorCore};
use tepui_bridge::{Bridge, Listener, Settings};
use tepui_consensus::{Consensus, NoPeers, Options};
use tepui_deadletters::DeadLetters;
use tepui_engine::{RocksEngine, SharedEngine, keys};
use tepui_kit::{Arbiter, Clock, Directory, Link, OnPanic, Random, Spawn};
use tepui_master_actor::{Master, MasterConfig, MasterLinks};
use tepui_messages::UnixNanos;
use tepui_protocol::v1::{Address, MasterInfo, master_info};
use tepui_registrar::Registrar;
use tepui_registry::RegistryMachine;
use tepui_view::{View, ViewConfig};

use crate::{
    MasterSettings, Readable,
    bridge::Agents,
    leadership::{Announce, Leadership, Standing},
};

/// Calls, updates and proposals that may wait for the master.
const MASTER_CAPACITY: usize = 100_000;
/// Changes that may wait for the allocator. It is told of the world only once, so nothing may be refused.
const ALLOCATOR_CAPACITY: usize = 1_000_000;
/// Batches of changes and queries that may wait for the view.
const VIEW_CAPACITY: usize = 100_000;
const REGISTRAR_CAPACITY: usize = 16_384;
const DEADLETTERS_CAPACITY: usize = 64;

/// The first of a group's members.
const ONLY_VOTER: u64 = 1;
/// Mesos: `--agent_reregister_timeout`.
const AGENT_REREGISTER_TIMEOUT: Duration = Duration::from_secs(600);
/// Mesos: five pings of 15 s each.
const AGENT_SILENCE_TIMEOUT: Duration = Duration::from_secs(75);

/// A master's parts that outlive their making.
pub(crate) struct Parts {
    pub(crate) master: Link<Master>,
    pub(crate) view: Link<View>,
    pub(crate) changes: Arc<AtomicU64>,
    pub(crate) directory: Directory,
    pub(crate) leadership: Leadership,
    pub(crate) info: MasterInfo,
    pub(crate) listener: Listener,
    pub(crate) agents: Arc<Agents>,
    pub(crate) consensus: Consensus,
    /// Where framework proxies live.
    pub(crate) streams: Arbiter,
    _arbiters: Vec<Arbiter>,
}

pub(crate) async fn assemble(
    settings: &MasterSettings,
    view_config: ViewConfig,
) -> anyhow::Result<Parts> {
    let clock = Clock::system();
    let started_at = clock.unix_nanos() as UnixNanos;
    let directory = Directory::new("master", clock.clone());
    let info = master_info(settings, uuid::Uuid::new_v4().to_string());

    let path = settings.work_dir.join("registry");
    let engine: SharedEngine = Arc::new(
        RocksEngine::open(
            &path,
            &keys::MASTER_FAMILIES,
            &tepui_engine::Options::default(),
        )
        .with_context(|| format!("--work-dir {}", settings.work_dir.display()))?,
    );
    let machine = RegistryMachine::new();
    let reader = machine.reader();
    let consensus = Consensus::start(
        Options::new(ONLY_VOTER, &[ONLY_VOTER]),
        engine,
        machine,
        Arc::new(NoPeers),
    )?;

    let arbiters: Vec<Arbiter> = (0..3).map(|_| Arbiter::new()).collect();
    let [master_arbiter, allocator_arbiter, view_arbiter] = &arbiters[..] else {
        unreachable!("three were made")
    };
    let streams = Arbiter::new();
    let changes = Arc::new(AtomicU64::new(0));

    let master = Spawn::new(&directory)
        .capacity(MASTER_CAPACITY)
        .on_panic(OnPanic::ExitProcess)
        .arbiter(&master_arbiter.handle())
        .prepare::<Master>();
    let seed = started_at as u64 ^ u64::from(std::process::id());
    let core = AllocatorCore::new(&tepui_allocator::Config::default(), Random::seeded(seed))?;
    let proposals = master.link().teller();
    let allocator = Spawn::new(&directory)
        .capacity(ALLOCATOR_CAPACITY)
        .on_panic(OnPanic::ExitProcess)
        .arbiter(&allocator_arbiter.handle())
        .start_once(move || Allocator::new(core, proposals));
    let view = Spawn::new(&directory)
        .capacity(VIEW_CAPACITY)
        .on_panic(OnPanic::ExitProcess)
        .arbiter(&view_arbiter.handle())
        .start_once(move || View::new(view_config));
    let leadership = Leadership::new(Standing::Recovering);
    let announce = Arc::new(Announce::new(master.link(), leadership.clone()));
    let member = consensus.clone();
    let registrar = Spawn::new(&directory)
        .capacity(REGISTRAR_CAPACITY)
        .on_panic(OnPanic::ExitProcess)
        .arbiter(&master_arbiter.handle())
        .prepare::<Registrar>();
    let links = MasterLinks {
        allocator: allocator.teller(),
        view: view.teller(),
        registrar: registrar.link().asker(),
        changes: Arc::clone(&changes),
    };
    let config = MasterConfig {
        info: info.clone(),
        cluster: settings.cluster.clone(),
        started_at,
        agent_reregister_timeout: AGENT_REREGISTER_TIMEOUT,
        agent_silence_timeout: AGENT_SILENCE_TIMEOUT,
        roles: settings.roles.clone(),
        root_submissions: settings.root_submissions,
    };
    let master = master.start_once(move || Master::new(config, links));
    registrar.start_once(move || Registrar::new(member, reader, announce));

    let recorded = directory.clone();
    Spawn::new(&directory)
        .capacity(DEADLETTERS_CAPACITY)
        .arbiter(&view_arbiter.handle())
        .start(move || DeadLetters::new(recorded.clone()));

    let agents = Arc::new(Agents::new(&master, &directory, settings));
    let bridge = Bridge::new(Settings::default(), Arc::clone(&agents) as Arc<_>);
    let listener = bridge
        .listen(SocketAddr::new(settings.ip, settings.bridge_port))
        .await
        .with_context(|| format!("--bridge-port {}", settings.bridge_port))?;
    Ok(Parts {
        master,
        view,
        changes,
        directory,
        leadership,
        info,
        listener,
        agents,
        consensus,
        streams,
        _arbiters: arbiters,
    })
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

impl Parts {
    pub(crate) fn readable(&self, cluster: Option<String>) -> Readable {
        let agents = Arc::clone(&self.agents);
        Readable {
            directory: self.directory.clone(),
            view: self.view.asker(),
            changes: Arc::clone(&self.changes),
            agents_mailboxes: Arc::new(move || agents.mailboxes()),
            cluster,
        }
    }

    /// Says farewell to the agents and closes what lasts.
    pub(crate) async fn end(self) {
        self.listener.close("the master ends").await;
        self.consensus.shutdown();
    }
}

//! What outlives elections: the registry and its member of the group, threads, the ways to agents and other masters.

use std::{cmp::Reverse, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use tepui_bridge::{Bridge, Listener, Membership};
use tepui_consensus::{Consensus, ConsensusError, Identity, Options, Role, Status};
use tepui_engine::{RocksEngine, SharedEngine, keys};
use tepui_http::{Attached, Files, Logging, metrics::Limiter};
use tepui_kit::{Clock, Directory};
use tepui_messages::{UnixNanos, master::Lease};
use tepui_protocol::v1::VersionInfo;
use tepui_registry::{RegistryMachine, RegistryReader};
use tepui_view::ViewConfig;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    MasterSettings, Readable,
    dial::Dialers,
    gate::{self, Gate},
    group::Group,
    join,
    leadership::{Leadership, Standing},
    reign::CurrentView,
    room::Disk,
    steward,
    throne::Throne,
    whitelist::{self, Listed},
    wiring::{Arbiters, start_deadletters},
};

/// Agents that hear nothing for longer ask who leads, other masters connect anew: a leader that was stopped is
/// noticed by that.
pub(crate) const BEAT: Duration = Duration::from_secs(2);
/// A leader that ends asks another to lead first, and waits so long for it.
const HAND_OVER: Duration = Duration::from_secs(1);

/// What outlives elections.
pub(crate) struct Ground {
    pub(crate) settings: MasterSettings,
    pub(crate) view_config: ViewConfig,
    pub(crate) version: VersionInfo,
    pub(crate) started_at: UnixNanos,
    pub(crate) directory: Directory,
    pub(crate) arbiters: Arbiters,
    pub(crate) consensus: Consensus,
    pub(crate) reader: RegistryReader,
    pub(crate) lease: Lease,
    pub(crate) leadership: Leadership,
    pub(crate) group: Arc<Group>,
    /// For a cluster that has none.
    pub(crate) new_cluster_id: String,
    pub(crate) files: Files,
    pub(crate) logging: Logging,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) disk: Arc<Disk>,
    /// Agents that are offered, if not all are.
    pub(crate) listed: Option<Listed>,
}

/// A master's parts.
pub(crate) struct Parts {
    pub(crate) ground: Arc<Ground>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) throne: Throne,
    pub(crate) listener: Listener,
    dialers: Dialers,
    /// Tasks that end with it.
    tasks: [JoinHandle<()>; 2],
}

pub(crate) async fn assemble(
    settings: MasterSettings,
    view_config: ViewConfig,
    version: VersionInfo,
) -> anyhow::Result<Parts> {
    let clock = Clock::system();
    let started_at = clock.unix_nanos() as UnixNanos;
    let directory = Directory::new("master", clock.clone());
    let path = settings.work_dir.join("registry");
    let shown = format!("--work-dir {}", settings.work_dir.display());
    let options = tepui_engine::Options::default();
    let engine = RocksEngine::open(&path, &keys::MASTER_FAMILIES, &options);
    let engine = engine.map_err(ConsensusError::from);
    let engine: SharedEngine = Arc::new(engine.with_context(|| shown.clone())?);
    let machine = RegistryMachine::new();
    let reader = machine.reader();

    let listed = settings.whitelist.as_deref().map(whitelist::watch);
    let listed = listed.transpose()?;
    let identity = identify(&settings, &engine).await?;
    let group = Arc::new(Group::new(
        identity.clone(),
        &engine,
        reader.clone(),
        membership(&settings, &identity),
        &settings.peers,
    ));
    let options = Options::new(identity.node_id, &identity.first_voters())
        .with_election_timeout(settings.election_timeout);
    let consensus = Consensus::start(options, engine, machine, Arc::clone(&group) as Arc<_>);
    let consensus = consensus.with_context(|| shown.clone())?;
    group.attach(consensus.clone());
    expect_members(&settings, &group).with_context(|| shown.clone())?;

    let lease = lease(&consensus, clock);
    let leadership = Leadership::new(Standing::NoLeader, Arc::clone(&lease));
    let attached = settings
        .log_file
        .iter()
        .map(|path| ("/master/log".to_string(), path.clone()));
    let ground = Arc::new(Ground {
        files: Files::new(Attached(attached.collect())),
        logging: Logging::new(settings.verbosity.clone()),
        limiter: Arc::default(),
        disk: Disk::new(&settings.work_dir),
        listed,
        new_cluster_id: uuid::Uuid::new_v4().to_string(),
        arbiters: Arbiters::new(),
        settings,
        view_config,
        version,
        started_at,
        directory,
        consensus,
        reader,
        lease,
        leadership,
        group,
    });
    start_deadletters(&ground.directory, &ground.arbiters);
    let gate = Arc::new(Gate::new(
        Arc::clone(&ground.group),
        ground.leadership.clone(),
    ));
    connect(ground, gate).await
}

/// Opens the ways to agents and other masters.
async fn connect(ground: Arc<Ground>, gate: Arc<Gate>) -> anyhow::Result<Parts> {
    let (ip, port) = (ground.settings.ip, ground.settings.bridge_port);
    let listener = Bridge::new(gate::settings(), Arc::clone(&gate) as Arc<_>)
        .listen(SocketAddr::new(ip, port))
        .await
        .with_context(|| format!("--bridge-port {port}"))?;
    ground.group.listens_at(listener.address());
    let dialers = Dialers::start(&ground.group).context("the thread for other masters")?;
    let tasks = [
        tokio::task::spawn_local(steward::serve(Arc::clone(&ground))),
        tokio::task::spawn_local(Arc::clone(&ground.disk).watch()),
    ];
    Ok(Parts {
        throne: Throne::new(Arc::clone(&ground), Arc::clone(&gate))?,
        ground,
        gate,
        listener,
        dialers,
        tasks,
    })
}

/// Whose directory it is; a new one is a founder's, or waits to be let into the group.
async fn identify(settings: &MasterSettings, engine: &SharedEngine) -> anyhow::Result<Identity> {
    let shown = || format!("--work-dir {}", settings.work_dir.display());
    let fresh = uuid::Uuid::new_v4().to_string();
    let is_stranger = !settings.peers.is_empty() && !settings.peers.contains_key(&settings.name);
    if is_stranger && !Identity::is_owned(engine).with_context(shown)? {
        let disk = Identity::draw_disk(engine, &fresh).with_context(shown)?;
        return join::join(settings, engine, disk).await;
    }
    let mut founders: Vec<&str> = settings.peers.keys().map(String::as_str).collect();
    if founders.is_empty() {
        founders.push(&settings.name);
    }
    Identity::open(engine, &settings.name, &founders, &fresh).with_context(shown)
}

/// Refuses a group in `--peers` that this member cannot be of. A member with others may know less than `--peers`.
fn expect_members(settings: &MasterSettings, group: &Group) -> anyhow::Result<()> {
    let Some(status) = group.status() else {
        return Ok(());
    };
    let identity = group.identity();
    let alone = status.voters == [identity.node_id];
    let roster = group.roster();
    let names = || settings.peers.keys().map(String::as_str);
    let is_founder = identity.founders.contains_key(&identity.node_id);
    let founding = is_founder && !group.is_founded();
    if founding || alone && names().any(|name| roster.id_of(name).is_none()) {
        identity.expect_founders(names())?;
    }
    Ok(())
}

/// How this master presents itself to others.
fn membership(settings: &MasterSettings, identity: &Identity) -> Membership {
    let bridge = settings.peers.get(&settings.name).cloned();
    Membership {
        group: identity.group(),
        disk: identity.disk.clone(),
        http: format!("{}:{}", settings.hostname, settings.port),
        bridge: bridge.unwrap_or_default(),
        id: Some(identity.node_id),
        last_index: None,
    }
}

fn lease(consensus: &Consensus, clock: Clock) -> Lease {
    let status = consensus.status();
    Arc::new(move || {
        let status = status.borrow();
        status
            .may_lead(clock.now().into_std())
            .then_some(status.term)
    })
}

impl Parts {
    pub(crate) fn readable(&self) -> Readable {
        let door = self.throne.door();
        let leadership = self.ground.leadership.clone();
        Readable {
            directory: self.ground.directory.clone(),
            view: CurrentView::asker(&door),
            changes: Arc::new(move || door.change_number()),
            agents_mailboxes: gate::mailboxes(&self.gate),
            leads: Arc::new(move || {
                matches!(leadership.confirmed(), Some(Standing::Leading { .. }))
            }),
            cluster: self.ground.settings.cluster.clone(),
        }
    }

    /// Lets another master lead, where there is one, says farewell and closes what lasts.
    pub(crate) async fn end(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        hand_over(&self.ground).await;
        self.throne.end().await;
        self.listener.close("the master ends").await;
        self.ground.consensus.shutdown();
        drop(self.dialers);
    }
}

async fn hand_over(ground: &Ground) {
    let mut status = ground.consensus.status();
    if status.borrow().role != Role::Leader {
        return;
    }
    let next = heir(&status.borrow(), &ground.group.reachable());
    let Some(next) = next else {
        return;
    };
    tracing::info!(to = next, "another master is asked to lead");
    let _ = ground.consensus.transfer_leader(next);
    let given = status.wait_for(|status| status.role != Role::Leader);
    if timeout(HAND_OVER, given).await.is_err() {
        tracing::info!("no other master leads yet; this one ends all the same");
    }
}

/// Who can lead soonest after this one: the voter that can be reached and has acknowledged most.
fn heir(status: &Status, reachable: &[u64]) -> Option<u64> {
    let acknowledged = status.acknowledged.iter();
    let able = acknowledged.filter(|(id, _)| status.voters.contains(id) && reachable.contains(id));
    able.max_by_key(|(id, index)| (*index, Reverse(*id)))
        .map(|(id, _)| *id)
}

#[cfg(test)]
#[path = "ground_tests.rs"]
mod tests;

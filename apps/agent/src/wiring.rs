//! Who gets which link: memory, containers and the node on an arbiter of their own; the bridge and HTTP around it.
//! Owns the order of start and end.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use futures_util::{FutureExt, future::abortable};
use tepui_bridge::{Bridge, Connector};
use tepui_containers::volume_gids::VolumeGids;
use tepui_engine::DiskFailed;
use tepui_http::{Logging, metrics::Limiter, version};
use tepui_kit::{Arbiter, Clock, Directory, Link, OnPanic, Spawn, System, Tell};
use tepui_messages::agent::EndNode;
use tepui_node::{
    actor::{NodeActor, NodeParts},
    durable,
    effect::Ending,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    bridge::{self, AgentService},
    confinement::HostFiles,
    doubt,
    http::{self, Api, Circumstances, Facts},
    lacks,
    leader::LeaderFinder,
    notice::Notices,
    provisioner, reaping,
    runtime::{Containers, Equipment, volume_groups},
    runtime_dir,
    serving::Servers,
    start::Prepared,
    sweeping::{self, AllowedAge},
};

/// Orders and calls that wait for the node.
const NODE_MAILBOX: usize = 16_384;
/// How long the node may take to end when it is asked to: it has only to let go.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// What is queued for the master may take so long to be written.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs until the agent has ended.
pub(crate) fn run(prepared: Prepared) -> anyhow::Result<()> {
    System::new().block_on(serve(prepared))
}

async fn serve(prepared: Prepared) -> anyhow::Result<()> {
    let clock = Clock::system();
    let facts = Arc::new(facts(&prepared, &clock));
    let host_files = host_files(&prepared);
    let Prepared {
        settings,
        configured_work_dir,
        config,
        engine,
        reserve,
        listener,
        launcher,
        sandboxes,
        presence,
        is_root,
        images,
        engine_containers,
        networks,
        fetcher,
        volume_gids,
        unix_listeners,
    } = prepared;
    let endpoint = config.endpoint();
    let directory = Directory::new(endpoint.clone(), clock);
    lacks::say(launcher.cgroups(), is_root);
    launcher.warm_up();
    sandboxes.warm_up();

    let (memory, remembered) =
        durable::open(engine, config.boot_id.clone()).context("the agent's memory")?;
    let sockets = http::Sockets::new(presence.dir().to_owned());
    let provisioner = images.as_ref().ok().cloned();
    let equipment = Equipment {
        logger: settings.sandboxes.logger,
        images,
        isolation: settings.isolation.clone(),
        host_files,
        engine: engine_containers.clone(),
        networks,
        volume_gids: volume_gids.clone(),
        destroy_deadline: settings.machine.destroy_timeout,
        network_metrics: settings.networks.metrics,
    };
    let errors = Arc::clone(&facts.launch_errors);
    let containers = Containers::new(launcher, sandboxes, presence, errors, equipment);
    let known = remembered.container_ids();
    if let Some(engine) = &engine_containers {
        engine.forget_unknown(&known);
    }
    clear_up(&containers, volume_gids, known, &settings.work_dir).await;

    let obeyed = remembered.term;
    let (ended, mut end) = oneshot::channel();
    let parts = NodeParts {
        config,
        memory: Arc::new(memory),
        remembered,
        runtime: Arc::new(containers),
        fetcher,
        // Nobody waits only if the process is ending already.
        on_end: Box::new(|ending| drop(ended.send(ending))),
    };
    let arbiter = Arbiter::new();
    let node = Spawn::new(&directory)
        .capacity(NODE_MAILBOX)
        .on_panic(OnPanic::ExitProcess)
        .arbiter(&arbiter.handle())
        .start_once(move || NodeActor::new(parts));

    let api = Api {
        node: Arc::new(node.clone()),
        facts: Arc::clone(&facts),
        files: http::Sandboxes::new(
            settings.work_dir.clone(),
            configured_work_dir,
            settings.log_file.clone(),
        ),
        logging: Logging::new(settings.verbosity.clone()),
        directory: directory.clone(),
        limiter: Arc::new(Limiter::default()),
        sockets,
        images: provisioner.clone(),
        only_executors: false,
    };
    let servers = Servers::start(api, listener, unix_listeners, &settings)?;

    let notices = Arc::new(Notices::default());
    let service = AgentService::new(
        node.clone(),
        &directory,
        endpoint.clone(),
        Arc::clone(&notices),
    );
    let service = Arc::new(service);
    let finder = LeaderFinder::new(&settings.masters, obeyed, notices);
    let mut chores = Chores::default();
    chores.begin(doubt::watch(Arc::clone(&service), finder.clone()));
    chores.begin(sweeping::sweep(
        node.clone(),
        settings.work_dir.clone(),
        settings.sandboxes.gc,
        Arc::clone(&facts.allowed_age),
        Arc::clone(&facts.removals),
    ));
    chores.begin(reserve.watch());
    if reaping::is_first() {
        chores.begin(reaping::reap());
    }
    if let Some(images) = provisioner {
        chores.begin(images.keep_headroom());
    }
    if let Some(engine) = engine_containers {
        chores.begin(engine.keep());
    }
    let bridge = Bridge::new(bridge::settings(), Arc::clone(&service) as Arc<_>);
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    // On the node's own thread: what it says and hears there changes no threads on its way.
    let (connector, stop_connector) = abortable(Connector::new(bridge, seed).run(move || {
        let finder = finder.clone();
        async move { finder.find().await }
    }));
    arbiter.spawn(connector.map(drop));
    let masters = settings.masters.join(", ");
    tracing::info!("ready: agent on http://{endpoint}, looking for the leader at {masters}");

    let ending = until_end(&node, &mut end).await;
    chores.abort();
    stop_connector.abort();
    // The connector's end closes the connection; what was queued goes out first.
    let _ = timeout(FAREWELL_TIMEOUT, service.parted()).await;
    servers.stop().await;
    node.stop();
    arbiter.stop();
    // The node's memory must be closed before the process runs its last handlers: RocksDB has some of its own.
    if arbiter.join().is_err() {
        tracing::error!("the node's thread panicked while it ended");
    }
    tracing::info!("the agent has ended");
    match ending? {
        Ending::Asked => Ok(()),
        Ending::Refused(text) => Err(anyhow!("{text}")),
        Ending::DiskFailed(text) => Err(DiskFailed(text).into()),
    }
}

/// What HTTP tells of this agent, and what others write there for it.
fn facts(prepared: &Prepared, clock: &Clock) -> Facts {
    let (settings, config) = (&prepared.settings, &prepared.config);
    let found = Circumstances {
        enforced: config.enforced,
        is_root: prepared.is_root,
        runtime_dir: prepared.presence.dir(),
        socket: config.domain_socket.as_ref(),
        work_dir: &prepared.configured_work_dir,
    };
    Facts {
        pid: config.pid(),
        capabilities: config.capabilities.clone(),
        flags: http::flags(settings, &found),
        version: version::own(),
        started_at: i64::try_from(clock.unix_nanos()).unwrap_or(i64::MAX),
        launch_errors: Arc::default(),
        allowed_age: Arc::new(AllowedAge::new(&settings.sandboxes.gc)),
        removals: Arc::default(),
        fetcher: prepared.fetcher.clone(),
        volume_gids: prepared.volume_gids.clone(),
        security: settings.security.clone(),
        disabled_endpoints: http::rules(&settings.machine.disabled_endpoints),
    }
}

/// The files of this host, with the directories that no container may see.
fn host_files(prepared: &Prepared) -> HostFiles {
    let settings = &prepared.settings;
    let hidden = vec![
        settings.work_dir.clone(),
        provisioner::store_dir(&settings.images, &settings.work_dir),
        settings.fetching.cache_dir(&settings.work_dir),
        runtime_dir::RUNTIME_ROOT.into(),
        prepared.presence.dir().to_owned(),
    ];
    HostFiles::new(&settings.isolation, hidden)
}

/// Ends and removes what an earlier life left, of which nobody knows; before the node launches anything.
async fn clear_up(
    containers: &Containers,
    volume_gids: Option<Arc<VolumeGids>>,
    known: BTreeSet<String>,
    work_dir: &Path,
) {
    containers.end_strays(&known).await;
    if let Some(gids) = volume_gids {
        volume_groups::recover(gids, known).await;
    }
    containers.sweep_roots().await;
    containers.sweep_volumes(work_dir);
    containers.sweep_networks();
}

/// What runs beside the node until the agent ends.
#[derive(Default)]
struct Chores(Vec<JoinHandle<()>>);

impl Chores {
    fn begin<T>(&mut self, chore: impl Future<Output = T> + 'static) {
        let chore = tokio::task::spawn_local(async move { drop(chore.await) });
        self.0.push(chore);
    }

    fn abort(self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Waits for the node's own end, or for a signal and then for its end.
async fn until_end(
    node: &Link<NodeActor>,
    end: &mut oneshot::Receiver<Ending>,
) -> anyhow::Result<Ending> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut leave = signal(SignalKind::user_defined1()).context("SIGUSR1")?;
    loop {
        tokio::select! {
            ending = &mut *end => return ending.context("the node has ended without a word"),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = leave.recv() => {
                tracing::info!("leaving the cluster: all tasks are killed");
                let _ = node.control().tell(EndNode { leave: true });
            }
        }
    }
    tracing::info!("stopping; tasks run on");
    let _ = node.control().tell(EndNode { leave: false });
    match timeout(END_TIMEOUT, end).await {
        Ok(ending) => ending.context("the node has ended without a word"),
        // Its memory is on disk: nothing is lost by ending without it.
        Err(_) => Ok(Ending::Asked),
    }
}

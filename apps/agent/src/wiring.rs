//! Who gets which link: memory, containers and the node on an arbiter of their own; the bridge and HTTP around it.
//! Owns the order of start and end.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use futures_util::{FutureExt, future::abortable};
use tepui_bridge::{Bridge, Connector};
use tepui_engine::DiskFailed;
use tepui_http::{Logging, Names, metrics::Limiter, server, version};
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
    time::timeout,
};

use crate::{
    bridge::{self, AgentService},
    confinement::HostFiles,
    doubt,
    http::{self, Api, Facts},
    lacks,
    leader::LeaderFinder,
    notice::Notices,
    provisioner, reaping,
    runtime::{Containers, Equipment, Errors, volume_groups},
    runtime_dir,
    start::Prepared,
    sweeping::{self, AllowedAge, Removals},
};

/// Orders and calls that wait for the node.
const NODE_MAILBOX: usize = 16_384;
const HTTP_WORKERS: usize = 2;
/// How long the node may take to end when it is asked to: it has only to let go.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// What is queued for the master may take so long to be written.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs until the agent has ended.
pub(crate) fn run(prepared: Prepared) -> anyhow::Result<()> {
    System::new().block_on(serve(prepared))
}

async fn serve(prepared: Prepared) -> anyhow::Result<()> {
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
    let clock = Clock::system();
    let directory = Directory::new(config.endpoint(), clock.clone());
    lacks::say(launcher.cgroups(), is_root);
    launcher.warm_up();
    sandboxes.warm_up();
    let errors = Arc::new(Errors::default());
    let allowed_age = Arc::new(AllowedAge::new(&settings.sandboxes.gc));
    let removals = Arc::new(Removals::default());
    let mut flags = http::flags(
        &settings,
        config.domain_socket.as_ref(),
        presence.dir(),
        config.enforced,
        is_root,
    );
    let shown_work_dir = configured_work_dir.display().to_string();
    flags.insert("work_dir".to_owned(), shown_work_dir);
    let facts = Facts {
        pid: config.pid(),
        capabilities: config.capabilities.clone(),
        flags,
        version: version::own(),
        started_at: i64::try_from(clock.unix_nanos()).unwrap_or(i64::MAX),
        launch_errors: Arc::clone(&errors),
        allowed_age: Arc::clone(&allowed_age),
        removals: Arc::clone(&removals),
        fetcher: fetcher.clone(),
        volume_gids: volume_gids.clone(),
        security: settings.security.clone(),
        disabled_endpoints: http::rules(&settings.machine.disabled_endpoints),
    };
    let endpoint = config.endpoint();
    let masters = settings.masters.join(", ");

    let (memory, remembered) =
        durable::open(engine, config.boot_id.clone()).context("the agent's memory")?;
    let (ended, mut end) = oneshot::channel();
    let host_files = HostFiles::new(
        &settings.isolation,
        vec![
            settings.work_dir.clone(),
            provisioner::store_dir(&settings.images, &settings.work_dir),
            settings.fetching.cache_dir(&settings.work_dir),
            runtime_dir::RUNTIME_ROOT.into(),
            presence.dir().to_owned(),
        ],
    );
    let sockets = http::Sockets::new(presence.dir().to_owned());
    let provisioner = images.as_ref().ok().cloned();
    let containers = Containers::new(
        launcher,
        sandboxes,
        presence,
        errors,
        Equipment {
            logger: settings.sandboxes.logger,
            images,
            isolation: settings.isolation.clone(),
            host_files,
            engine: engine_containers.clone(),
            networks,
            volume_gids: volume_gids.clone(),
            destroy_deadline: settings.machine.destroy_timeout,
            network_metrics: settings.networks.metrics,
        },
    );
    if let Some(engine) = &engine_containers {
        engine.forget_unknown(&remembered.container_ids());
    }
    containers.end_strays(&remembered.container_ids()).await;
    if let Some(gids) = volume_gids {
        volume_groups::recover(gids, remembered.container_ids()).await;
    }
    containers.sweep_roots().await;
    containers.sweep_volumes(&settings.work_dir);
    containers.sweep_networks();
    let obeyed = remembered.term;
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
        facts: Arc::new(facts),
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
    let unix = match unix_listeners.is_empty() {
        true => None,
        false => {
            let api = api.clone().only_executors();
            Some(server::serve_unix(unix_listeners, 1, api.configure()).context("domain sockets")?)
        }
    };
    let unix_handle = unix.as_ref().map(|it| it.handle());
    let unix = unix.map(tokio::task::spawn_local);
    let address = listener.local_addr().context("the HTTP listener")?;
    let security = &settings.security;
    let names = Names::new(address, &settings.hostname, &security.http_hosts);
    if !address.ip().is_loopback() && !security.readwrite.is_guarded() {
        tracing::warn!(
            %address,
            "whoever reaches this agent may run programs in its containers: expected --http-credentials with \
             --authenticate-http-readwrite, or --ip 127.0.0.1"
        );
    }
    let http = server::serve(listener, names, HTTP_WORKERS, api.configure()).context("HTTP")?;
    let http_handle = http.handle();
    let http = tokio::task::spawn_local(http);

    let notices = Arc::new(Notices::default());
    let service = AgentService::new(
        node.clone(),
        &directory,
        endpoint.clone(),
        Arc::clone(&notices),
    );
    let service = Arc::new(service);
    let bridge = Bridge::new(bridge::settings(), Arc::clone(&service) as Arc<_>);
    let finder = LeaderFinder::new(&settings.masters, obeyed, notices);
    let doubt = tokio::task::spawn_local(doubt::watch(Arc::clone(&service), finder.clone()));
    let work_dir = settings.work_dir.clone();
    let sweeper = tokio::task::spawn_local(sweeping::sweep(
        node.clone(),
        work_dir,
        settings.sandboxes.gc,
        allowed_age,
        removals,
    ));
    let reserve = tokio::task::spawn_local(reserve.watch());
    let reaper = reaping::is_first().then(|| tokio::task::spawn_local(reaping::reap()));
    let headroom = provisioner.map(|images| tokio::task::spawn_local(images.keep_headroom()));
    let keeper = engine_containers.map(|it| tokio::task::spawn_local(it.keep()));
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    // On the node's own thread: what it says and hears there changes no threads on its way.
    let (connector, stop_connector) = abortable(Connector::new(bridge, seed).run(move || {
        let finder = finder.clone();
        async move { finder.find().await }
    }));
    arbiter.spawn(connector.map(drop));
    tracing::info!("ready: agent on http://{endpoint}, looking for the leader at {masters}");

    let ending = until_end(&node, &mut end).await;
    doubt.abort();
    sweeper.abort();
    reserve.abort();
    for task in [headroom, keeper, reaper].into_iter().flatten() {
        task.abort();
    }
    stop_connector.abort();
    // The connector's end closes the connection; what was queued goes out first.
    let _ = timeout(FAREWELL_TIMEOUT, service.parted()).await;
    http_handle.stop(false).await;
    let _ = http.await;
    if let (Some(handle), Some(server)) = (unix_handle, unix) {
        handle.stop(false).await;
        let _ = server.await;
    }
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

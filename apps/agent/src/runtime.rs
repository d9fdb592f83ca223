//! The launcher as the node knows it: orders become launch specs, exits become verdicts. Owns where runtime
//! directories lie and the handles of running containers; what must last is in the shims' records.

mod amounts;
mod apart;
mod clearing;
mod directories;
mod ending;
pub(crate) mod engine;
mod equipment;
mod leftovers;
mod looking;
mod network;
mod specs;
mod unfinished;
mod users;
pub(crate) mod volume_groups;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::future::{BoxFuture, FutureExt};
use rustix::process::Signal;
use tepui_containers::{Launcher, Running, disk, patience::Presence, sandboxes::Sandboxes};
use tepui_kit::{blocking, crash_point};
use tepui_messages::containers::{
    Amounts, ContainerExit, ContainerRuntime, Forked, ImageOrder, LaunchOrder, NestedSandbox,
    Provisioned, RecoveredContainer, RootDirectory, RunningContainer, Seccomp, VolumeDirectory,
    VolumeLink,
};
use tepui_messages::engine::EngineOrder;
use tepui_protocol::v1::ResourceStatistics;
use tokio::sync::oneshot;

use clearing::Clearing;
use ending::Nesting;
use engine::EngineContainers;
pub(crate) use equipment::Equipment;
use leftovers::empty;
use looking::end_of;
use unfinished::clean;
pub(crate) use unfinished::{Hung, Step, Unfinished};
use users::Users;
pub(crate) use words::told;

use crate::{
    gpus::Gpus,
    numbers::{mark, statistics, verdict},
    streams,
};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Containers(Arc<Inner>);

struct Inner {
    launcher: Launcher,
    sandboxes: Sandboxes,
    /// Its directory holds one a container.
    presence: Presence,
    /// Handles only: they can be made again from the records.
    running: Mutex<BTreeMap<String, Running>>,
    nesting: Mutex<Nesting>,
    clearing: Arc<Clearing>,
    users: Arc<Users>,
    errors: Arc<Errors>,
    gpus: Mutex<Gpus>,
    equipment: Equipment,
}

/// What went wrong since the start, and what still does.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    pub(crate) launch: AtomicU64,
    pub(crate) destroy: AtomicU64,
    pub(crate) unfinished: Unfinished,
}

impl Containers {
    /// The directory of `presence` is best on a tmpfs, and the same after a restart of the agent.
    pub(crate) fn new(
        launcher: Launcher,
        sandboxes: Sandboxes,
        presence: Presence,
        errors: Arc<Errors>,
        equipment: Equipment,
    ) -> Self {
        Self(Arc::new(Inner {
            launcher,
            sandboxes,
            presence,
            running: Mutex::new(BTreeMap::new()),
            nesting: Mutex::default(),
            clearing: Arc::default(),
            users: Arc::default(),
            gpus: Mutex::new(Gpus::new(equipment.isolation.gpus.clone())),
            errors,
            equipment,
        }))
    }
}

impl Inner {
    fn dir(&self, container_id: &str) -> PathBuf {
        self.presence.dir().join(container_id)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, container_id: &str) -> Option<Running> {
        self.running().get(container_id).cloned()
    }

    /// Takes a running container in, and says how its end will be known.
    fn adopt(self: &Arc<Self>, running: Running) -> RunningContainer {
        let container_id = running.container_id().to_owned();
        self.running().insert(container_id.clone(), running.clone());
        let inner = Arc::clone(self);
        let (shim, pid) = (running.shim(), running.command().pid);
        let networks = self.network_infos(&container_id);
        let exited = async move {
            let exit = end_of(&running).await;
            inner.running().remove(&container_id);
            let is_lost = exit.as_ref().is_ok_and(|exit| exit.raw_status.is_none());
            inner.sweep_ended(&container_id, exit.as_ref().ok()).await;
            inner.leave(&container_id).await;
            match exit {
                Ok(_) if is_lost && streams::were_kept(&inner.dir(&container_id)) => {
                    streams::lost()
                }
                // The cgroup stays until the container is forgotten.
                Ok(exit) => verdict(exit, || running.memory_report()),
                Err(error) => {
                    tracing::error!(container_id, "its exit is not known: {}", told(&error));
                    ContainerExit::default()
                }
            }
        };
        RunningContainer {
            shim: mark(shim),
            pid,
            inspected: None,
            networks,
            exited: exited.boxed(),
        }
    }

    /// The engine, if it runs this container.
    fn engine_of(&self, container_id: &str) -> Option<EngineContainers> {
        let engine = self.engine.as_ref();
        engine.filter(|it| it.holds(container_id)).cloned()
    }

    async fn launch(
        self: &Arc<Self>,
        mut order: LaunchOrder,
        forked: oneshot::Sender<Forked>,
    ) -> Result<RunningContainer, String> {
        if let Some(mut wanted) = order.engine.take() {
            let engine = self.engine.as_ref().ok_or("this agent has no engine")?;
            let rotation = self.logger.rotation(&order.env)?;
            let owner = self.users.credentials(order.user.as_deref())?;
            self.give_gpus(&order, &mut wanted.create)?;
            let gids = self.volume_gids.clone();
            return engine.launch(order, *wanted, owner, gids, rotation).await;
        }
        if let Some(engine) = self.engine.as_ref().filter(|it| it.is_around(&order)) {
            return engine.launch_beside(order).await;
        }
        let reads_profile = matches!(order.confinement.seccomp, Some(Seccomp::Profile(_)));
        let joined = self.join(&order).await?;
        let networks = self.network_infos(&order.container_id);
        // Who is let into volumes may have to wait for a walk over them.
        let is_admitted = self.volume_gids.is_some() && !order.volumes.is_empty();
        let is_plain =
            order.root.is_none() && order.view_of.is_none() && !reads_profile && !is_admitted;
        let spec = if order.confinement.mounts.is_empty() && is_plain {
            self.spec(order, joined)?
        } else {
            // What they name may lie on a disk that does not answer: nobody else waits for it.
            let inner = Arc::clone(self);
            let spec = tokio::task::spawn_blocking(move || inner.spec(order, joined));
            spec.await.map_err(|error| error.to_string())??
        };
        crash_point("runtime", || "BeforeLaunch");
        let (tell, heard) = oneshot::channel();
        let launched = self.launcher.launch(spec, tell);
        let (launched, ()) = tokio::join!(launched, async {
            if let Ok(pid) = heard.await {
                // Who does not listen has given it up.
                let _ = forked.send(Forked { pid, networks });
            }
        });
        crash_point("runtime", || "Launched");
        self.sandboxes.refill();
        Ok(self.adopt(launched.map_err(|error| told(&error))?))
    }
}

impl ContainerRuntime for Containers {
    fn recovery_ended(&self) {
        if let Err(error) = self.0.presence.announce() {
            tracing::warn!(%error, "containers will take this agent for the one before, should it end soon");
        }
        if let Some(engine) = &self.0.equipment.engine {
            engine.recovery_ended();
        }
    }

    fn prepare(
        &self,
        sandbox: PathBuf,
        user: Option<String>,
    ) -> BoxFuture<'static, Result<(), String>> {
        let inner = Arc::clone(&self.0);
        // On this thread, as the spawn later: handing it on would cost more.
        async move {
            let owner = inner.users.credentials(user.as_deref())?;
            let prepared = inner.sandboxes.prepare(&sandbox, owner.as_ref());
            prepared.map_err(|error| told(&error))
        }
        .boxed()
    }

    fn prepare_nested(&self, sandbox: NestedSandbox) -> BoxFuture<'static, Result<(), String>> {
        directories::prepare_nested(Arc::clone(&self.0.users), sandbox).boxed()
    }

    fn remove_nested(&self, root: PathBuf, name: String) -> BoxFuture<'static, Result<(), String>> {
        directories::remove_nested(root, name).boxed()
    }

    fn change_volumes(
        &self,
        make: Vec<VolumeDirectory>,
        remove: Vec<VolumeDirectory>,
    ) -> BoxFuture<'static, Result<(), String>> {
        let (gids, clearing) = (self.0.volume_gids.clone(), Arc::clone(&self.0.clearing));
        directories::change_volumes(gids, clearing, make, remove).boxed()
    }

    fn link_volumes(
        &self,
        sandbox: PathBuf,
        user: Option<String>,
        links: Vec<VolumeLink>,
    ) -> BoxFuture<'static, Result<(), String>> {
        let (users, gids) = (Arc::clone(&self.0.users), self.0.volume_gids.clone());
        directories::link_volumes(users, gids, sandbox, user, links).boxed()
    }

    fn provision(
        &self,
        container_id: String,
        image: ImageOrder,
    ) -> BoxFuture<'static, Result<Provisioned, String>> {
        let images = self.0.images.clone();
        async move { images?.provision(container_id, image).await }.boxed()
    }

    fn pull(&self, order: EngineOrder) -> BoxFuture<'static, Result<(), String>> {
        let engine = self.0.engine.clone();
        async move { engine.ok_or("this agent has no engine")?.pull(order).await }.boxed()
    }

    fn provision_volume(
        &self,
        container_id: String,
        number: usize,
        name: String,
        cached: bool,
    ) -> BoxFuture<'static, Result<RootDirectory, String>> {
        let images = self.0.images.clone();
        async move {
            images?
                .provision_volume(container_id, number, name, cached)
                .await
        }
        .boxed()
    }

    fn unprovision(&self, container_id: String) -> BoxFuture<'static, ()> {
        let images = self.0.images.clone();
        async move {
            if let Ok(images) = images {
                images.remove(container_id).await;
            }
        }
        .boxed()
    }

    fn launch(
        &self,
        order: LaunchOrder,
        forked: oneshot::Sender<Forked>,
    ) -> BoxFuture<'static, Result<RunningContainer, String>> {
        let inner = Arc::clone(&self.0);
        let container_id = order.container_id.clone();
        async move {
            let launched = inner.launch(order, forked).await;
            if launched.is_err() {
                inner.errors.launch.fetch_add(1, Ordering::Relaxed);
                inner.leave(&container_id).await;
                inner.gpus().release(&container_id);
                if let Ok(images) = &inner.images {
                    images.remove(container_id).await;
                }
            }
            launched
        }
        .boxed()
    }

    fn recover(&self, container_id: String) -> BoxFuture<'static, RecoveredContainer> {
        let inner = Arc::clone(&self.0);
        async move {
            let recovered = inner.recover(&container_id).await;
            inner.nesting().found(&container_id);
            recovered
        }
        .boxed()
    }

    fn signal(&self, container_id: String, signal: i32) -> BoxFuture<'static, Result<(), String>> {
        let inner = Arc::clone(&self.0);
        async move {
            if let Some(engine) = inner.engine_of(&container_id) {
                return engine.signal(&container_id, signal).await;
            }
            let signal = Signal::from_named_raw(signal)
                .ok_or_else(|| format!("{signal} is the number of no signal"))?;
            // Without a handle it has ended, or its launch has not: then it is the launch that is ended.
            let Some(running) = inner.handle(&container_id) else {
                return Ok(());
            };
            let sent = blocking(move || running.signal_tree(signal).map_err(|error| told(&error)));
            sent.await.map(drop)
        }
        .boxed()
    }

    fn signal_command(
        &self,
        container_id: String,
        signal: i32,
    ) -> BoxFuture<'static, Result<(), String>> {
        // Without a handle it is as above; an engine tells its first process alone.
        let (Some(running), Some(signal)) =
            (self.0.handle(&container_id), Signal::from_named_raw(signal))
        else {
            return self.signal(container_id, signal);
        };
        async move {
            let sent =
                blocking(move || running.signal_command(signal).map_err(|error| told(&error)));
            sent.await
        }
        .boxed()
    }

    fn update(
        &self,
        container_id: String,
        amounts: Amounts,
    ) -> BoxFuture<'static, Result<(), String>> {
        let inner = Arc::clone(&self.0);
        async move {
            match inner.engine_of(&container_id) {
                Some(engine) => engine.update(&container_id, &amounts).await,
                // Files of the kernel and of the disk are written: the agent's actor does not wait for them.
                None => blocking(move || inner.update(&container_id, &amounts)).await,
            }
        }
        .boxed()
    }

    fn destroy(&self, container_id: String) -> BoxFuture<'static, Result<(), String>> {
        let inner = Arc::clone(&self.0);
        async move {
            let destroyed = match inner.engine_of(&container_id) {
                Some(engine) => engine.destroy(&container_id).await,
                None => {
                    let dir = inner.dir(&container_id);
                    let launcher = &inner.launcher;
                    let destroyed = launcher.destroy(&container_id, &dir, inner.destroy_deadline);
                    destroyed.await.map_err(|error| told(&error))
                }
            };
            inner.errors.destroyed(&container_id, &destroyed);
            destroyed
        }
        .boxed()
    }

    fn usage(&self, container_id: String) -> BoxFuture<'static, Option<ResourceStatistics>> {
        let inner = Arc::clone(&self.0);
        async move {
            if let Some(engine) = inner.engine_of(&container_id) {
                return engine.usage(&container_id).await;
            }
            let running = inner.handle(&container_id)?;
            // Many files of the kernel are read: the agent's actor does not wait for them.
            let measured = blocking(move || {
                let usage = running.usage().map_err(|error| told(&error))?;
                let mut measured = statistics(&usage);
                inner.add_traffic(&container_id, &mut measured);
                Ok(measured)
            });
            measured.await.ok()
        }
        .boxed()
    }

    fn socket(
        &self,
        container_id: String,
        v6: bool,
    ) -> BoxFuture<'static, std::io::Result<Option<OwnedFd>>> {
        let inner = Arc::clone(&self.0);
        async move {
            match inner.engine_of(&container_id) {
                Some(engine) => engine.socket(&container_id, v6).await,
                None => inner.socket(container_id, v6).await,
            }
        }
        .boxed()
    }

    fn disk_use(&self, directories: Vec<PathBuf>) -> BoxFuture<'static, BTreeMap<PathBuf, u64>> {
        // One after the other: a walk over many files keeps a disk busy.
        let weighed = tokio::task::spawn_blocking(move || {
            let used = directories.into_iter().filter_map(|directory| {
                // One that has just gone, or is not there yet.
                let used = disk::used(&directory).ok()?;
                Some((directory, used))
            });
            used.collect()
        });
        async move { weighed.await.unwrap_or_default() }.boxed()
    }

    fn listening_ports(
        &self,
        containers: Vec<String>,
    ) -> BoxFuture<'static, BTreeMap<String, BTreeSet<u16>>> {
        let inner = Arc::clone(&self.0);
        let seen = tokio::task::spawn_blocking(move || inner.ports_of(containers));
        async move { seen.await.unwrap_or_default() }.boxed()
    }

    fn forget(&self, container_id: String) -> BoxFuture<'static, ()> {
        let inner = Arc::clone(&self.0);
        async move {
            inner.errors.unfinished.goes_on(&container_id);
            if let Some(engine) = inner.engine_of(&container_id) {
                crash_point("runtime", || "BeforeCleanup");
                inner.gpus().release(&container_id);
                return engine.forget(&container_id);
            }
            inner.running().remove(&container_id);
            if inner.nesting().forget(&container_id) {
                empty(&inner, &container_id).await;
            }
            inner.gpus().release(&container_id);
            crash_point("runtime", || "BeforeCleanup");
            clean(&inner, &container_id).await;
            inner.leave(&container_id).await;
            inner.take_volume_gids(&container_id).await;
            if let Ok(images) = &inner.images {
                images.remove(container_id).await;
            }
        }
        .boxed()
    }
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;

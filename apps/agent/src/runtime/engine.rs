//! Containers that an engine runs: how they are begun, found again, followed to their end and removed. Owns the record
//! of each, a file beside those of other containers; what an engine says is `tepui_containers::engine`.

mod ends;
mod exec;
mod keeper;
mod record;
pub(crate) mod sentinel;

use std::{
    collections::BTreeMap,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use rustix::process::Signal;
use serde_json::Value;
use tepui_containers::{
    Credentials, ProcessId,
    engine::{Done, Engine, EngineError, Follower, Inspection, Sink, State, beside},
    rotation::Rotation,
    volume_gids::VolumeGids,
};
use tepui_kit::{blocking, crash_point};
use tepui_messages::{
    containers::{
        Amounts, ContainerExit, LaunchOrder, ProcessMark, RecoveredContainer, RunningContainer,
    },
    engine::{EngineOrder, Inspected},
};
use tepui_protocol::{signal::SIGTERM, v1::ResourceStatistics};
use tokio::{sync::watch, time::timeout};

use super::volume_groups;
use crate::numbers::{mark, statistics};
use exec::Beside;
pub(crate) use keeper::Keeping;
use record::Record;
use sentinel::Sentinel;

/// A label of our containers: whose they are, by the work directory; and which of them.
const AGENT_LABEL: &str = "tepui.agent";
const CONTAINER_LABEL: &str = "tepui.container";
/// After a silent call figures are not asked for so long.
const SILENCE: Duration = Duration::from_secs(10);
/// What is left of the output of a container that ended while no agent watched is read for so long.
const LAST_OUTPUT: Duration = Duration::from_secs(30);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct EngineContainers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    /// Holds one directory a container.
    runtime_dir: PathBuf,
    /// Says whose containers these are.
    agent: String,
    keeping: Keeping,
    /// Handles only.
    live: Mutex<BTreeMap<String, Live>>,
    /// Commands that run beside containers' own, by our ids.
    execs: Mutex<BTreeMap<String, Beside>>,
    sentinel: Sentinel,
}

/// A container that runs, as far as is known.
#[derive(Debug, Clone, Default)]
struct Live {
    process: Option<ProcessId>,
    stop_signal: Option<String>,
}

/// Mesos' name of a container's.
fn name_of(container_id: &str) -> String {
    format!("mesos-{container_id}")
}

/// In words for the framework.
fn told(error: &EngineError) -> String {
    let mut text = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        text = format!("{text}: {cause}");
    }
    text
}

impl EngineContainers {
    pub(crate) fn new(
        engine: Engine,
        runtime_dir: PathBuf,
        work_dir: &Path,
        keeping: Keeping,
    ) -> Self {
        Self(Arc::new(Inner {
            engine,
            runtime_dir,
            agent: work_dir.display().to_string(),
            keeping,
            live: Mutex::default(),
            execs: Mutex::default(),
            sentinel: Sentinel::default(),
        }))
    }

    /// Whether a container, or a command beside one, is run by the engine.
    pub(super) fn holds(&self, container_id: &str) -> bool {
        self.live().contains_key(container_id)
            || self.execs().contains_key(container_id)
            || record::exists(&self.dir(container_id))
    }

    pub(super) async fn pull(&self, order: EngineOrder) -> Result<(), String> {
        let pulled = self.0.engine.pull(&order.image, order.force_pull).await;
        pulled.map_err(|error| told(&error))
    }

    /// `owner` has the sandbox, and the volumes that have no group.
    pub(super) async fn launch(
        &self,
        order: LaunchOrder,
        engine: EngineOrder,
        owner: Option<Credentials>,
        gids: Option<Arc<VolumeGids>>,
        rotation: Option<Rotation>,
    ) -> Result<RunningContainer, String> {
        let container_id = order.container_id;
        let dir = self.dir(&container_id);
        let record = Record::new(order.sandbox, owner.as_ref(), rotation, order.patience);
        // First of all: what the engine makes of it is looked for under this record.
        record.write(&dir)?;
        if order.patience.is_some() {
            self.watch_over();
        }
        crash_point("runtime", || "BeforeLaunch");
        let name = name_of(&container_id);
        let begun = async {
            give(engine.volumes, owner, gids).await?;
            self.begin(&container_id, &name, engine.create, &record)
                .await
        };
        match begun.await {
            Ok(running) => {
                crash_point("runtime", || "Launched");
                Ok(running)
            }
            Err(error) => {
                self.live().remove(&container_id);
                // One that cannot be removed now is an orphan once its record is gone.
                if let Err(error) = self.0.engine.remove(&name).await {
                    tracing::warn!(container_id, %error, "a container that did not start is not removed yet");
                }
                record::remove(&dir);
                Err(error)
            }
        }
    }

    async fn begin(
        &self,
        container_id: &str,
        name: &str,
        mut create: Value,
        record: &Record,
    ) -> Result<RunningContainer, String> {
        let engine = &self.0.engine;
        create["Labels"][AGENT_LABEL] = self.0.agent.clone().into();
        create["Labels"][CONTAINER_LABEL] = container_id.into();
        let failed = |error: EngineError| told(&error);
        engine.create(name, &create).await.map_err(failed)?;
        crash_point("runtime", || "EngineCreated");
        let sink = self.sink(container_id, record).await?;
        engine.start(name).await.map_err(failed)?;
        crash_point("runtime", || "EngineStarted");
        let found = engine.inspect(name).await.map_err(failed)?;
        let found = found.ok_or("it was removed as soon as it was started")?;
        let mut record = record.clone();
        let process = found.pid.and_then(|pid| ProcessId::of(pid).ok());
        record.process = process.into();
        record.write(&self.dir(container_id))?;
        Ok(self.adopt(container_id, process, Some(found), sink))
    }

    async fn sink(&self, container_id: &str, record: &Record) -> Result<Sink, String> {
        let (dir, record) = (self.dir(container_id), record.clone());
        let opened = tokio::task::spawn_blocking(move || {
            Sink::open(
                &record.sandbox,
                record.owner(),
                record.rotation(),
                &dir.join(record::OUTPUT),
            )
        });
        let opened = opened.await.map_err(|error| error.to_string())?;
        opened.map_err(|error| told(&error))
    }

    /// Takes a container in, and says how its end will be known.
    fn adopt(
        &self,
        container_id: &str,
        process: Option<ProcessId>,
        found: Option<Inspection>,
        sink: Sink,
    ) -> RunningContainer {
        let live = Live {
            process,
            stop_signal: found.as_ref().and_then(|it| it.stop_signal.clone()),
        };
        self.live().insert(container_id.to_owned(), live);
        let (end, ended) = watch::channel(false);
        let follower = Follower::new(self.0.engine.clone(), name_of(container_id), sink, ended);
        let follower = tokio::spawn(follower.run());
        let (this, id) = (self.clone(), container_id.to_owned());
        let exited = async move {
            let exit = this.end_of(&id, process).await;
            // Nobody reads only if reading has ended.
            let _ = end.send(true);
            if let Ok(Err(error)) = follower.await {
                tracing::warn!(container_id = id, %error, "some of its output is not in its sandbox");
            }
            this.live().remove(&id);
            exit
        };
        running(process, found, exited.boxed())
    }

    /// Looks for a container that has a record.
    pub(super) async fn recover(&self, container_id: &str) -> RecoveredContainer {
        let record = match Record::read(&self.dir(container_id)) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(container_id, error, "not recovered");
                return RecoveredContainer::Gone;
            }
        };
        if record.is_session {
            self.end_left_over(container_id, record).await;
            return RecoveredContainer::Gone;
        }
        let name = name_of(container_id);
        let found = match self.0.engine.inspect(&name).await {
            Ok(Some(found)) => Some(found),
            Ok(None) => return RecoveredContainer::Gone,
            // It may run: who waits for its end waits for the engine.
            Err(error) => {
                tracing::warn!(container_id, %error, "what became of it is not known yet");
                None
            }
        };
        let sink = match self.sink(container_id, &record).await {
            Ok(sink) => sink,
            Err(error) => {
                tracing::error!(container_id, error, "its output is lost");
                return self.without_output(container_id, found).await;
            }
        };
        match found.as_ref().map(|it| it.state) {
            Some(State::Created) => {
                // It was never started, and shall not be later.
                let _ = self.0.engine.remove(&name).await;
                RecoveredContainer::Gone
            }
            Some(exit @ State::Exited { .. }) => {
                let limit = found.and_then(|it| it.memory_limit_bytes);
                let (_end, ended) = watch::channel(true);
                let follower = Follower::new(self.0.engine.clone(), name, sink, ended);
                if let Ok(Err(error)) = timeout(LAST_OUTPUT, follower.run()).await {
                    tracing::warn!(container_id, %error, "some of its output is not in its sandbox");
                }
                let is_forsaken = sentinel::is_forsaken(&self.dir(container_id));
                RecoveredContainer::Exited(ends::exit(exit, limit, is_forsaken))
            }
            Some(State::Running) | None => {
                let process: Option<ProcessId> = record.process.into();
                // It may have been started without a record of it.
                let pid = found.as_ref().and_then(|it| it.pid);
                let process = process.or_else(|| ProcessId::of(pid?).ok());
                RecoveredContainer::Running(self.adopt(container_id, process, found, sink))
            }
        }
    }

    async fn without_output(
        &self,
        container_id: &str,
        found: Option<Inspection>,
    ) -> RecoveredContainer {
        if let Some(Inspection {
            state: exit @ State::Exited { .. },
            memory_limit_bytes,
            ..
        }) = found
        {
            let is_forsaken = sentinel::is_forsaken(&self.dir(container_id));
            return RecoveredContainer::Exited(ends::exit(exit, memory_limit_bytes, is_forsaken));
        }
        let _ = self.0.engine.remove(&name_of(container_id)).await;
        RecoveredContainer::Gone
    }

    /// The agent has recovered: who waited for one has it now.
    pub(super) fn recovery_ended(&self) {
        if !self.live().is_empty() {
            self.watch_over();
        }
    }

    fn watch_over(&self) {
        let Inner {
            runtime_dir,
            engine,
            agent,
            ..
        } = &*self.0;
        self.0.sentinel.stand(runtime_dir, engine.socket(), agent);
    }

    /// Asks a container's first process to end, in its own image's way where that is named.
    pub(super) async fn signal(&self, container_id: &str, signal: i32) -> Result<(), String> {
        if self.signal_beside(container_id, signal).await? {
            return Ok(());
        }
        let live = self.live().get(container_id).cloned();
        // It has ended, or its launch has not.
        let Some(live) = live else { return Ok(()) };
        let own = live.stop_signal.filter(|_| signal == SIGTERM);
        let signal_name = own.unwrap_or_else(|| signal.to_string());
        let sent = self
            .0
            .engine
            .kill(&name_of(container_id), &signal_name)
            .await;
        match sent {
            Ok(_) => Ok(()),
            // The engine is not there: its containers may be.
            Err(error) if error.is_of_engine() && send(live.process, signal) => Ok(()),
            Err(error) => Err(told(&error)),
        }
    }

    pub(super) async fn update(&self, container_id: &str, amounts: &Amounts) -> Result<(), String> {
        let name = name_of(container_id);
        let failed = |error: EngineError| told(&error);
        let Some(found) = self.0.engine.inspect(&name).await.map_err(failed)? else {
            return Ok(());
        };
        let mut limits = tepui_node::engine::limits(amounts, None);
        if let Some(host) = limits.as_object_mut() {
            let memory = host.get("Memory").and_then(Value::as_u64);
            let has = found.memory_limit_bytes;
            match memory {
                // Less could end what runs.
                Some(memory) if has.is_none_or(|has| memory < has) => {
                    host.remove("Memory");
                }
                // What Docker gives by itself, which must not be below the limit of memory.
                Some(memory) => {
                    host.insert("MemorySwap".to_owned(), memory.saturating_mul(2).into());
                }
                None => {}
            }
        }
        let updated = self.0.engine.update(&name, &limits).await;
        updated.map(|_: Done| ()).map_err(failed)
    }

    pub(super) async fn usage(&self, container_id: &str) -> Option<ResourceStatistics> {
        if !self.live().contains_key(container_id) || self.0.engine.is_silent(SILENCE) {
            return None;
        }
        let figures = self.0.engine.statistics(&name_of(container_id)).await;
        figures.ok().flatten().as_ref().map(statistics)
    }

    /// Its container stays with the engine for a while.
    pub(super) fn forget(&self, container_id: &str) {
        self.execs().remove(container_id);
        self.live().remove(container_id);
        record::remove(&self.dir(container_id));
    }

    /// A socket in the network that the container has.
    pub(super) async fn socket(&self, container_id: &str, v6: bool) -> io::Result<Option<OwnedFd>> {
        let live = self.live().get(container_id).cloned();
        let process = live.and_then(|it| it.process);
        let process = process.ok_or_else(|| io::Error::other("it does not run"))?;
        let made = tokio::task::spawn_blocking(move || beside::socket(process, v6));
        made.await.map_err(io::Error::other)?.map(Some)
    }

    fn dir(&self, container_id: &str) -> PathBuf {
        self.0.runtime_dir.join(container_id)
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execs(&self) -> MutexGuard<'_, BTreeMap<String, Beside>> {
        self.0.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A container, or a command beside one, with what is known of it.
fn running(
    process: Option<ProcessId>,
    found: Option<Inspection>,
    exited: BoxFuture<'static, ContainerExit>,
) -> RunningContainer {
    let none = ProcessMark {
        pid: 0,
        start_time_ticks: 0,
    };
    let inspected = found.map(|it| Inspected {
        json: it.json,
        ip: it.ip,
        ip6: it.ip6,
    });
    RunningContainer {
        shim: process.map_or(none, mark),
        pid: process.map_or(0, |it| it.pid),
        inspected: inspected.map(Box::new),
        // What was inspected tells its addresses.
        networks: Vec::new(),
        exited,
    }
}

/// Gives persistent volumes to the task's user (Mesos: `mountPersistentVolumes`).
async fn give(
    volumes: Vec<PathBuf>,
    owner: Option<Credentials>,
    gids: Option<Arc<VolumeGids>>,
) -> Result<(), String> {
    blocking(move || {
        let mut volumes = volumes.iter();
        volumes.try_for_each(|it| volume_groups::give(gids.as_deref(), it, owner.as_ref()))
    })
    .await
}

/// Whether this very process was there and took the signal.
fn send(process: Option<ProcessId>, signal: i32) -> bool {
    let process = process.filter(|it| it.exists());
    let pid = process.and_then(|it| rustix::process::Pid::from_raw(i32::try_from(it.pid).ok()?));
    let signal = Signal::from_named_raw(signal);
    match (pid, signal) {
        (Some(pid), Some(signal)) => rustix::process::kill_process(pid, signal).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;

//! Owns a handle to a container that runs: waiting for its end, signals, limits and usage. The handle holds no truth:
//! dropping it changes nothing, and `Launcher::recover` makes it again.

use crate::cgroups::{ContainerCgroup, MemoryReport};
use crate::devices::DeviceRule;
use crate::error::Error;
use crate::limits::Limits;
use crate::pressure::{Counters, Pressure};
use crate::process::ProcessId;
use crate::record::{self, Fate, LaunchFailure, MAX_RECORD_BYTES, RECORD_FILE, SWEPT};
use crate::tree::{self, Tree};
use crate::usage::{self, Usage};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// The pause between two passes of killing, growing by doubling.
const KILL_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Before that it is not asked whether those that are left wait for others only.
const SPENT_AFTER: Duration = Duration::from_secs(1);

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The command's status as `waitpid` gave it; `None` if its supervisor was killed and nobody saw the end.
    pub raw_status: Option<i32>,
    /// The kernel killed one of its processes for memory.
    pub out_of_memory: bool,
    /// The shim has seen that nothing is left of it. Only the agent that launched it can be told.
    pub is_swept: bool,
    /// Its shim ended it, because no agent was there for too long.
    pub is_forsaken: bool,
}

impl Exit {
    /// The status as the standard library reads it.
    pub fn status(&self) -> Option<ExitStatus> {
        self.raw_status.map(ExitStatus::from_raw)
    }
}

/// What an agent finds of a container it launched in an earlier life.
#[derive(Debug)]
pub enum Recovered {
    Running(Running),
    Exited(Exit),
    /// The command never ran.
    Failed(LaunchFailure),
    /// Nobody knows: it was never started, the machine was restarted, or the shim was killed. Processes may be left:
    /// call `Launcher::destroy`.
    Lost,
}

/// A container whose shim is alive, or was a moment ago. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Running {
    pub(crate) container_id: String,
    pub(crate) runtime_dir: PathBuf,
    pub(crate) shim: ProcessId,
    pub(crate) command: ProcessId,
    pub(crate) cgroup: Option<ContainerCgroup>,
    pub(crate) supervisor: Arc<Supervisor>,
    /// Made when somebody first measures the container; `None` in it: the kernel does not tell.
    pub(crate) pressure: Arc<OnceLock<Option<Counters>>>,
}

/// The process that supervises a container: one descriptor, however many wait for its end.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pidfd: Arc<OwnedFd>,
    /// Made when somebody first waits.
    watched: OnceCell<AsyncFd<Arc<OwnedFd>>>,
    /// What it said by its end, which is taken from the kernel once.
    is_swept: OnceLock<bool>,
}

impl From<OwnedFd> for Supervisor {
    fn from(pidfd: OwnedFd) -> Self {
        Self {
            pidfd: Arc::new(pidfd),
            watched: OnceCell::new(),
            is_swept: OnceLock::new(),
        }
    }
}

impl Supervisor {
    /// Waits for its end; whether it has seen that nothing is left of the container.
    async fn ended(&self) -> io::Result<bool> {
        let watch = || async { watch(Arc::clone(&self.pidfd)) };
        let watched = self.watched.get_or_try_init(watch).await?;
        let _ended = watched.readable().await?;
        Ok(*self
            .is_swept
            .get_or_init(|| reap(&self.pidfd) == Some(i32::from(SWEPT))))
    }
}

impl Running {
    pub fn container_id(&self) -> &str {
        &self.container_id
    }

    /// The supervisor.
    pub fn shim(&self) -> ProcessId {
        self.shim
    }

    /// The command's process.
    pub fn command(&self) -> ProcessId {
        self.command
    }

    /// Waits until the container has ended and its shim has swept up. May be called again, and at any time later, in
    /// the same runtime. Errors: the command never ran, which only a recovered container can have ahead of it; the
    /// record is none; the runtime has no I/O driver, or it could not be looked ([`Error::is_blind`]: it may run on).
    pub async fn wait(&self) -> Result<Exit, Error> {
        let ended = self.supervisor.ended().await;
        let is_swept = ended.map_err(Error::kernel("watch a shim"))?;
        let fate = read_fate(&self.runtime_dir)?.unwrap_or_default();
        if let Some(failure) = fate.failed {
            return Err(failure.into());
        }
        Ok(Exit {
            is_swept,
            ..exit_of(&fate, self.cgroup.as_ref())
        })
    }

    /// Sends a signal to every process of the container; says how many took it.
    pub fn signal_tree(&self, signal: Signal) -> Result<usize, Error> {
        self.tree()
            .signal(signal)
            .map_err(Error::kernel("find the processes of a container"))
    }

    /// Sends a signal to the command's process alone. One that has ended is no error.
    pub fn signal_command(&self, signal: Signal) -> Result<(), Error> {
        let sent = tree::signal_one(self.command, signal);
        sent.map_err(Error::kernel("send a signal to a command"))
    }

    /// Kills every process of the container and returns when none is left. [`Running::wait`] then tells the exit.
    /// Errors: some survive the deadline.
    pub async fn destroy(&self, deadline: Duration) -> Result<(), Error> {
        kill_all(&self.container_id, &self.tree(), deadline).await
    }

    /// Its processes that live.
    pub fn processes(&self) -> Result<BTreeSet<u32>, Error> {
        self.tree()
            .members()
            .map_err(Error::kernel("find the processes of a container"))
    }

    /// Changes limits. Without cgroups it changes nothing.
    pub fn update_limits(&self, limits: &Limits) -> Result<(), Error> {
        self.cgroup
            .as_ref()
            .map_or(Ok(()), |cgroup| cgroup.update(limits))
    }

    /// Changes which devices a running container may open. Without that controller it changes nothing.
    pub fn change_devices(&self, allow: &[DeviceRule], deny: &[DeviceRule]) -> Result<(), Error> {
        let cgroup = self.cgroup.as_ref();
        cgroup.map_or(Ok(()), |cgroup| cgroup.change_devices(allow, deny))
    }

    /// Measures what the container uses now.
    pub fn usage(&self) -> Result<Usage, Error> {
        let usage = usage::measure(&self.tree(), self.cgroup.as_ref());
        let usage = usage.map_err(Error::kernel("measure a container"))?;
        Ok(Usage {
            pressure: self.pressure(),
            ..usage
        })
    }

    fn pressure(&self) -> Option<Pressure> {
        let cgroup = self.cgroup.as_ref()?;
        if self.pressure.get().is_none() {
            let counters = match cgroup.count_pressure() {
                // Asked again when others have given their descriptors back.
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => return None,
                counted => counted.ok(),
            };
            // Somebody else may have been faster: then these are dropped.
            let _ = self.pressure.set(counters);
        }
        let counters = self.pressure.get().and_then(Option::as_ref);
        counters.map(Counters::read)
    }

    /// What the kernel says of its memory.
    pub fn memory_report(&self) -> MemoryReport {
        let report = self.cgroup.as_ref().map(ContainerCgroup::memory_report);
        report.unwrap_or_default()
    }

    /// Whether the kernel has killed one of its processes for memory.
    pub fn out_of_memory(&self) -> bool {
        self.cgroup
            .as_ref()
            .is_some_and(ContainerCgroup::out_of_memory)
    }

    fn tree(&self) -> Tree {
        tree(self.cgroup.as_ref(), Some(self.shim), Some(self.command))
    }
}

pub(crate) fn tree(
    cgroup: Option<&ContainerCgroup>,
    shim: Option<ProcessId>,
    command: Option<ProcessId>,
) -> Tree {
    Tree {
        cgroup: cgroup.map(|cgroup| cgroup.base().to_owned()),
        shim,
        command,
    }
}

#[allow(
    deprecated,
    reason = "tokio deprecates it for types whose descriptor may change; an OwnedFd's cannot, and the successor is unsafe"
)]
fn watch(pidfd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

/// Repeats kill passes until nobody is left.
pub(crate) async fn kill_all(
    container_id: &str,
    tree: &Tree,
    deadline: Duration,
) -> Result<(), Error> {
    let begun = Instant::now();
    let (mut pause, longest_pause) = KILL_PAUSE;
    loop {
        let left = kill_pass(tree)
            .await?
            .map_err(Error::kernel("find the processes of a container"))?;
        if left == 0 {
            return Ok(());
        }
        let waited = begun.elapsed();
        if waited >= SPENT_AFTER && tree.is_spent() {
            return Ok(());
        }
        if waited >= deadline {
            return Err(Error::Survivors {
                container_id: container_id.to_owned(),
                left,
                waited_ms: waited.as_millis(),
                who: survivors(tree).await?,
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest_pause);
    }
}

async fn survivors(tree: &Tree) -> Result<String, Error> {
    let tree = tree.clone();
    let told = tokio::task::spawn_blocking(move || tree.told());
    told.await.map_err(|_| Error::Runtime)
}

/// Without a cgroup all processes of the machine are looked at, which is no work for the thread of an actor.
async fn kill_pass(tree: &Tree) -> Result<io::Result<usize>, Error> {
    if tree.cgroup.is_some() {
        return Ok(tree.kill_pass());
    }
    let tree = tree.clone();
    let passed = tokio::task::spawn_blocking(move || tree.kill_pass());
    passed.await.map_err(|_| Error::Runtime)
}

/// Takes the shim's own exit code, so that it does not stay a zombie. `None`: it was killed, or is no child of this process:
/// after a restart of the agent init takes it.
pub(crate) fn reap(pidfd: impl AsFd) -> Option<i32> {
    let reaped = rustix::process::waitid(
        WaitId::PidFd(pidfd.as_fd()),
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
    );
    reaped.ok()??.exit_status()
}

pub(crate) fn exit_of(fate: &Fate, cgroup: Option<&ContainerCgroup>) -> Exit {
    Exit {
        raw_status: fate.exited,
        out_of_memory: cgroup.is_some_and(ContainerCgroup::out_of_memory),
        is_swept: false,
        is_forsaken: fate.forsaken,
    }
}

/// The record of a container; `None` if there is none yet.
pub(crate) fn read_fate(runtime_dir: &Path) -> Result<Option<Fate>, Error> {
    let bytes = read_record(runtime_dir)?;
    Ok(bytes.map(|bytes| record::parse(&bytes)).transpose()?)
}

/// The same as it stands there.
pub(crate) fn read_record(runtime_dir: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = runtime_dir.join(RECORD_FILE);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::file("open the record", &path))?,
    };
    let mut bytes = Vec::new();
    let mut bounded = file.take(MAX_RECORD_BYTES as u64);
    bounded
        .read_to_end(&mut bytes)
        .map_err(Error::file("read the record", &path))?;
    Ok(Some(bytes))
}

//! Owns bringing one shim to life, and its answer. It leaves no process behind when it fails.
//!
//! The agent never forks: `std::process::Command`, given nothing to do between fork and exec, uses `posix_spawn`,
//! whose cost does not grow with the agent's memory. All of it runs on the thread that asked, since handing it to
//! another would cost more than the half millisecond it takes on a busy machine; only the shim's answer is awaited.

use crate::cgroups::ContainerCgroup;
use crate::error::Error;
use crate::launch::LaunchSpec;
use crate::process::{ProcessId, open_pidfd};
use crate::record::{self, Fate, LaunchFailure, MAX_RECORD_BYTES, Stage};
use crate::running::{Running, tree};
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::{self, PipeReader, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

/// How long a shim may take to start a command. Only a machine in great distress needs more than some milliseconds.
pub(crate) const LAUNCH_DEADLINE: Duration = Duration::from_secs(10);

/// A shim that has its orders, or waits for them.
#[derive(Debug)]
pub(crate) struct Shim {
    child: Child,
    answer: PipeReader,
}

impl Shim {
    /// Spawns one that reads its orders, to their end, from `orders`.
    pub(crate) fn spawn(program: &Path, orders: impl Into<Stdio>) -> Result<Self, Error> {
        let (answer, answer_writer) = io::pipe().map_err(Error::kernel("make a pipe"))?;
        // The temporary `Command` takes our writing end along, so the pipe can end.
        let spawned = Command::new(program)
            .env_clear()
            .stdin(orders)
            .stdout(answer_writer)
            .stderr(Stdio::inherit())
            .spawn();
        let child = spawned.map_err(|source| Error::Shim {
            path: program.to_owned(),
            source,
        })?;
        Ok(Self { child, answer })
    }

    /// Spawns one that finds its orders waiting.
    pub(crate) fn with_orders(program: &Path, orders: &[u8]) -> Result<Self, Error> {
        Self::spawn(program, orders_file(orders)?)
    }

    /// Whether it has not ended; reaps it if it has.
    pub(crate) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// Waits until the command of a shim that has its orders runs. Errors: it does not; then both are gone.
pub(crate) async fn start(
    shim: Shim,
    spec: &LaunchSpec,
    cgroup: Option<&ContainerCgroup>,
    forked: oneshot::Sender<u32>,
) -> Result<Running, Error> {
    let Shim { child, answer } = shim;
    match await_start(&spec.container_id, &child, answer.into(), forked).await {
        Ok((shim, command, pidfd)) => Ok(Running {
            container_id: spec.container_id.clone(),
            runtime_dir: spec.runtime_dir.clone(),
            shim,
            command,
            cgroup: cgroup.cloned(),
            supervisor: Arc::new(pidfd.into()),
            pressure: Arc::default(),
        }),
        Err(error) => {
            let not_ours = matches!(
                &error,
                Error::Launch(LaunchFailure {
                    stage: Stage::Claim,
                    ..
                })
            );
            let cgroup = cgroup.filter(|_| !not_ours).cloned();
            let abandoned = tokio::task::spawn_blocking(move || abandon(child, cgroup.as_ref()));
            // It fails only while the runtime shuts down; then init inherits the shim.
            let _ = abandoned.await;
            Err(error)
        }
    }
}

/// The shim, the command and the shim's pidfd, once the command runs.
async fn await_start(
    container_id: &str,
    child: &Child,
    answer: OwnedFd,
    forked: oneshot::Sender<u32>,
) -> Result<(ProcessId, ProcessId, OwnedFd), Error> {
    // Nobody has reaped the shim yet, so its id is certain.
    let pidfd = open_pidfd(child.id()).map_err(Error::kernel("open the pidfd of a shim"))?;
    let fate = tokio::time::timeout(LAUNCH_DEADLINE, read_answer(answer, forked))
        .await
        .map_err(|_| Error::ShimTimeout {
            container_id: container_id.to_owned(),
            waited_ms: LAUNCH_DEADLINE.as_millis(),
        })??;
    match fate {
        Fate {
            failed: Some(failure),
            ..
        } => Err(failure.into()),
        Fate {
            shim: Some((_, shim)),
            started: Some(command),
            ..
        } => Ok((shim, command, pidfd)),
        _ => Err(Error::ShimDied {
            container_id: container_id.to_owned(),
        }),
    }
}

/// Reads until both shim and command have let go of the pipe: see `record`. The shim names the command's process when it
/// has forked it, long before that.
async fn read_answer(answer: OwnedFd, forked: oneshot::Sender<u32>) -> Result<Fate, Error> {
    let answer = Receiver::from_owned_fd(answer).map_err(Error::kernel("watch a pipe"))?;
    let mut bytes = Vec::with_capacity(256);
    let mut bounded = answer.take(MAX_RECORD_BYTES as u64);
    let mut forked = Some(forked);
    loop {
        let read = bounded.read_buf(&mut bytes).await;
        let is_end = read.map_err(Error::kernel("read the shim's answer"))? == 0;
        let fate = record::parse(&bytes)?;
        if let Some(command) = fate.started
            && let Some(forked) = forked.take()
        {
            // Not everybody wants to hear it.
            let _ = forked.send(command.pid);
        }
        if is_end {
            return Ok(fate);
        }
    }
}

/// The orders in memory: never on a disk, since they hold the task's environment, and without the bound of a pipe.
fn orders_file(orders: &[u8]) -> Result<File, Error> {
    let failed = Error::kernel("hand the launch spec to the shim");
    let written = || -> io::Result<File> {
        let mut file = File::from(rustix::fs::memfd_create(
            "tepui-launch",
            MemfdFlags::CLOEXEC,
        )?);
        file.write_all(orders)?;
        file.rewind()?;
        Ok(file)
    };
    written().map_err(failed)
}

/// Ends a launch that failed: usually the shim is ending already.
fn abandon(mut child: Child, cgroup: Option<&ContainerCgroup>) {
    let shim = ProcessId::of(child.id()).ok();
    // What the shim may have forked dies first, while it can still be found beneath it.
    let _ = tree(cgroup, shim, None).kill_pass();
    let _ = child.kill();
    let _ = child.wait();
    if cgroup.is_some() {
        let _ = tree(cgroup, None, None).kill_pass();
    }
}

//! Owns starting shims and finding them again. It keeps no list of containers: the agent's checkpoint names them, and
//! each container's record tells the rest.
//!
//! The agent never forks. `std::process::Command`, given nothing to do between fork and exec, uses `posix_spawn`,
//! whose cost does not grow with the agent's memory. A launch runs on one blocking thread from the first directory to
//! the shim's answer, so that the actor which ordered it pays one hand-off and waits for no disk.

use crate::cgroups::{Cgroups, ContainerCgroup};
use crate::error::Error;
use crate::launch::{LaunchSpec, check_id};
use crate::process::ProcessId;
use crate::record::{self, CANCELLED, Fate, MAX_RECORD_BYTES, RECORD_FILE};
use crate::running::{Recovered, Running, exit_of, kill_all, read_fate, tree};
use crate::spec::{self, MAX_SPEC_BYTES};
use crate::user;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::{DirBuilder, File};
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long a shim may take to start a command. Only a machine in great distress needs more than some milliseconds.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(10);

/// Launches under way at one time; more wait in order of arrival.
const MAX_LAUNCHES_AT_ONCE: usize = 8;

/// How long a recovering agent pauses before it looks again at a launch that is not decided yet.
const RECOVER_PAUSE: Duration = Duration::from_millis(2);

/// How often, and with what pause, a cgroup that the kernel still calls busy is tried again: the last process may be
/// on its way out.
const REMOVE_TRIES: (u32, Duration) = (50, Duration::from_millis(10));

/// Starts containers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Launcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shim: PathBuf,
    cgroups: Cgroups,
    boot_id: String,
    launches: Semaphore,
}

impl Launcher {
    /// A launcher that uses the program `shim`. Errors: the boot id cannot be read.
    pub fn new(shim: PathBuf, cgroups: Cgroups) -> Result<Self, Error> {
        let path = "/proc/sys/kernel/random/boot_id";
        let boot_id = std::fs::read_to_string(path)
            .map_err(Error::file("read", path))?
            .trim()
            .to_owned();
        let launches = Semaphore::new(MAX_LAUNCHES_AT_ONCE);
        Ok(Self {
            inner: Arc::new(Inner {
                shim,
                cgroups,
                boot_id,
                launches,
            }),
        })
    }

    /// Which isolation containers get.
    pub fn cgroups(&self) -> &Cgroups {
        &self.inner.cgroups
    }

    /// Starts a container and returns once its command runs (`exec` succeeded). A launch whose future is dropped goes
    /// on; `recover` finds it. On an error no process and no cgroup is left; the runtime directory stays.
    pub async fn launch(&self, spec: LaunchSpec) -> Result<Running, Error> {
        let permit = self
            .inner
            .launches
            .acquire()
            .await
            .map_err(|_| Error::Runtime)?;
        let inner = Arc::clone(&self.inner);
        let launched = tokio::task::spawn_blocking(move || inner.launch(&spec)).await;
        drop(permit);
        launched.map_err(|_| Error::Runtime)?
    }

    /// Finds a container again after a restart of the agent. A launch that no shim has taken up is cancelled by this,
    /// so that it cannot begin later. Errors: the record cannot be read or is of another version.
    pub async fn recover(
        &self,
        container_id: &str,
        runtime_dir: &Path,
    ) -> Result<Recovered, Error> {
        let inner = Arc::clone(&self.inner);
        let (id, runtime_dir) = (checked(container_id)?, runtime_dir.to_owned());
        let recovered = tokio::task::spawn_blocking(move || inner.recover(id, runtime_dir)).await;
        recovered.map_err(|_| Error::Runtime)?
    }

    /// Kills whatever is left of a container, whether or not its shim lives and its launch was finished, and returns
    /// when nothing is. Errors: some processes survive the deadline.
    pub async fn destroy(
        &self,
        container_id: &str,
        runtime_dir: &Path,
        deadline: Duration,
    ) -> Result<(), Error> {
        let id = checked(container_id)?;
        let fate = read_fate(runtime_dir)?.unwrap_or_default();
        let this_boot = fate
            .shim
            .filter(|(boot_id, _)| *boot_id == self.inner.boot_id);
        let command = fate.started.filter(|_| this_boot.is_some());
        let cgroup = self.inner.cgroups.container(&id);
        kill_all(
            &id,
            &tree(cgroup.as_ref(), this_boot.map(|(_, shim)| shim), command),
            deadline,
        )
        .await
    }

    /// Forgets a container that has ended: removes its cgroups and its runtime directory with the record. Errors: it
    /// has processes still; destroy it first.
    pub async fn cleanup(&self, container_id: &str, runtime_dir: &Path) -> Result<(), Error> {
        let id = checked(container_id)?;
        if let Some(cgroup) = self.inner.cgroups.container(&id) {
            remove_cgroup(&cgroup).await?;
        }
        match std::fs::remove_dir_all(runtime_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(Error::file("remove the directory", runtime_dir)),
        }
    }
}

impl Inner {
    fn launch(&self, spec: &LaunchSpec) -> Result<Running, Error> {
        let refuse = |reason| Error::Invalid {
            container_id: spec.container_id.clone(),
            reason,
        };
        spec.check().map_err(refuse)?;
        let credentials = user::switch_to(spec.user.as_deref())?;
        let cgroup = self.cgroups.container(&spec.container_id);
        let orders = spec::encode(&spec.plan(&self.boot_id, credentials, cgroup.as_ref()));
        if orders.len() > MAX_SPEC_BYTES {
            return Err(refuse(format!(
                "command and environment have more than {MAX_SPEC_BYTES} bytes together"
            )));
        }
        let mut runtime_dir = DirBuilder::new();
        runtime_dir.recursive(true).mode(0o700);
        runtime_dir
            .create(&spec.runtime_dir)
            .map_err(Error::file("make the directory", &spec.runtime_dir))?;
        if let Some(cgroup) = &cgroup {
            cgroup.create(&spec.limits)?;
        }
        let started = self.start(spec, &orders, cgroup.clone());
        if let (Err(_), Some(cgroup)) = (&started, &cgroup) {
            // What is told is why the launch failed; an empty directory that stays behind harms nobody.
            let _ = cgroup.remove();
        }
        started
    }

    fn start(
        &self,
        spec: &LaunchSpec,
        orders: &[u8],
        cgroup: Option<ContainerCgroup>,
    ) -> Result<Running, Error> {
        let (answer, answer_writer) = io::pipe().map_err(Error::kernel("make a pipe"))?;
        let spawned = Command::new(&self.shim)
            .arg(&spec.container_id)
            .env_clear()
            .stdin(orders_file(orders)?)
            .stdout(answer_writer)
            .stderr(Stdio::inherit())
            .spawn();
        let mut child = spawned.map_err(|source| Error::Shim {
            path: self.shim.clone(),
            source,
        })?;
        let decided = await_start(&spec.container_id, &child, answer);
        match decided {
            Ok((shim, command, pidfd)) => Ok(Running {
                container_id: spec.container_id.clone(),
                runtime_dir: spec.runtime_dir.clone(),
                shim,
                command,
                cgroup,
                pidfd: Arc::new(pidfd),
            }),
            Err(error) => {
                abandon(&mut child, cgroup.as_ref());
                Err(error)
            }
        }
    }

    fn recover(&self, container_id: String, runtime_dir: PathBuf) -> Result<Recovered, Error> {
        let give_up = Instant::now() + LAUNCH_DEADLINE;
        loop {
            let Some(fate) = read_fate(&runtime_dir)? else {
                if cancel(&runtime_dir)? {
                    return Ok(Recovered::Lost);
                }
                continue;
            };
            let cgroup = self.cgroups.container(&container_id);
            if fate.exited.is_some() {
                return Ok(Recovered::Exited(exit_of(&fate, cgroup.as_ref())));
            }
            if let Some(failure) = fate.failed {
                return Ok(Recovered::Failed(failure));
            }
            let other_boot = fate
                .shim
                .as_ref()
                .is_some_and(|(boot_id, _)| *boot_id != self.boot_id);
            if fate.cancelled || other_boot || Instant::now() >= give_up {
                return Ok(Recovered::Lost);
            }
            if let Some((_, shim)) = fate.shim {
                match (open_live(shim), fate.started) {
                    (Some(pidfd), Some(command)) => {
                        let pidfd = Arc::new(pidfd);
                        let running = Running {
                            container_id,
                            runtime_dir,
                            shim,
                            command,
                            cgroup,
                            pidfd,
                        };
                        return Ok(Recovered::Running(running));
                    }
                    (Some(_), None) => {}
                    // It may have written its last line just before it ended.
                    (None, _) if read_fate(&runtime_dir)?.is_none_or(|last| last == fate) => {
                        return Ok(Recovered::Lost);
                    }
                    (None, _) => continue,
                }
            }
            std::thread::sleep(RECOVER_PAUSE);
        }
    }
}

fn checked(container_id: &str) -> Result<String, Error> {
    let refuse = |reason| Error::Invalid {
        container_id: container_id.to_owned(),
        reason,
    };
    check_id(container_id).map_err(refuse)?;
    Ok(container_id.to_owned())
}

/// The shim, the command and the shim's pidfd, once the command runs.
fn await_start(
    container_id: &str,
    child: &Child,
    answer: PipeReader,
) -> Result<(ProcessId, ProcessId, OwnedFd), Error> {
    // Nobody has reaped the shim yet, so its id is certain.
    let pidfd = open_pidfd(child.id()).map_err(Error::kernel("open the pidfd of a shim"))?;
    match read_answer(answer, container_id)? {
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

/// Ends a launch that failed: usually the shim is ending already.
fn abandon(child: &mut Child, cgroup: Option<&ContainerCgroup>) {
    let shim = ProcessId::of(child.id()).ok();
    // What the shim may have forked dies first, while it can still be found beneath it.
    let _ = tree(cgroup, shim, None).kill_pass();
    let _ = child.kill();
    let _ = child.wait();
    let _ = tree(cgroup, None, None).kill_pass();
}

/// The orders in memory: never on a disk, since they hold the task's environment, and without the bound of a pipe.
fn orders_file(orders: &[u8]) -> Result<File, Error> {
    let kernel = |source: io::Error| Error::Kernel {
        action: "hand the launch spec to the shim",
        source,
    };
    let memfd = rustix::fs::memfd_create("tepui-launch", MemfdFlags::CLOEXEC)
        .map_err(|errno| kernel(errno.into()))?;
    let mut file = File::from(memfd);
    file.write_all(orders)
        .and_then(|()| file.rewind())
        .map_err(kernel)?;
    Ok(file)
}

/// Reads until the shim says that the command started or failed, or is gone.
fn read_answer(mut answer: PipeReader, container_id: &str) -> Result<Fate, Error> {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let mut chunk = [0; 256];
    loop {
        let waited = begun.elapsed();
        let timeout = || Error::ShimTimeout {
            container_id: container_id.to_owned(),
            waited_ms: waited.as_millis(),
        };
        let left = LAUNCH_DEADLINE.checked_sub(waited).ok_or_else(timeout)?;
        let left = Timespec::try_from(left).expect("ten seconds fit a timespec");
        match poll(&mut [PollFd::new(&answer, PollFlags::IN)], Some(&left)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            polled => polled.map_err(|errno| Error::kernel("wait for the shim")(errno.into()))?,
        };
        let length = answer
            .read(&mut chunk)
            .map_err(Error::kernel("read the shim's answer"))?;
        bytes.extend_from_slice(&chunk[..length]);
        let fate = record::parse(&bytes)?;
        if length == 0 || fate.launch_is_decided() || bytes.len() > MAX_RECORD_BYTES {
            return Ok(fate);
        }
    }
}

fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// A pidfd of this very process, if it lives. Checked after opening, so that the id cannot change hands in between.
fn open_live(process: ProcessId) -> Option<OwnedFd> {
    let pidfd = open_pidfd(process.pid).ok()?;
    let is_it =
        crate::process::stat(process.pid).is_ok_and(|stat| stat.id == process && !stat.is_dead());
    is_it.then_some(pidfd)
}

/// Takes the container from a shim that has not claimed it. `false`: the shim was faster.
fn cancel(runtime_dir: &Path) -> Result<bool, Error> {
    let path = runtime_dir.join(RECORD_FILE);
    match File::create_new(&path) {
        Ok(mut file) => {
            file.write_all(CANCELLED.as_bytes())
                .map_err(Error::file("write the record", &path))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // Without its directory no shim can claim it either.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::file("write the record", &path)(error)),
    }
}

async fn remove_cgroup(cgroup: &ContainerCgroup) -> Result<(), Error> {
    let (tries, pause) = REMOVE_TRIES;
    for _ in 1..tries {
        if cgroup.remove().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    cgroup.remove()
}

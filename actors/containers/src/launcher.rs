//! Owns starting shims and finding them again. It keeps no list of containers: the agent's checkpoint names them, and
//! each container's record tells the rest.

use crate::cgroups::{Cgroups, ContainerCgroup};
use crate::error::Error;
use crate::launch::{LaunchSpec, check_id};
use crate::limits::{self, Controller};
use crate::process::{ProcessId, is_ended, open_pidfd};
use crate::record::{self, CANCELLED, LaunchFailure, RECORD_FILE, Stage};
use crate::running::{Recovered, Running, exit_of, kill_all, read_fate, read_record, tree};
use crate::sealed::Sealed;
use crate::spares::{self, Spare};
use crate::spec::{self, MAX_SPEC_BYTES};
use crate::start::{LAUNCH_DEADLINE, Shim, start};
use crate::stock::{REFILL_PAUSE, Stock};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Launches at one time that have no process of their command yet; more wait in order of arrival.
const MAX_LAUNCHES_AT_ONCE: usize = 8;

/// A command that joins another's namespaces has its process only when it is there, which may take for ever: so long it
/// counts among [`MAX_LAUNCHES_AT_ONCE`].
const JOIN_PATIENCE: Duration = Duration::from_secs(1);

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
    spares: Stock<Spare>,
    /// For containers that see files of strangers; made for the first of them.
    sealed: OnceLock<Sealed>,
}

impl Launcher {
    /// A launcher that uses the program `shim`, and keeps `spares` of them waiting from the first launch or
    /// [`Launcher::warm_up`] on: so many launches at once find their process begun. Errors: the boot id cannot be read.
    pub fn new(shim: PathBuf, cgroups: Cgroups, spares: usize) -> Result<Self, Error> {
        let path = "/proc/sys/kernel/random/boot_id";
        let boot_id = std::fs::read_to_string(path)
            .map_err(Error::file("read", path))?
            .trim()
            .to_owned();
        let launches = Semaphore::new(MAX_LAUNCHES_AT_ONCE);
        let spares = spares::stock(shim.clone(), spares);
        Ok(Self {
            inner: Arc::new(Inner {
                shim,
                cgroups,
                boot_id,
                launches,
                spares,
                sealed: OnceLock::new(),
            }),
        })
    }

    /// The program `tepui-shim`.
    pub fn shim(&self) -> &Path {
        &self.inner.shim
    }

    /// Which isolation containers get.
    pub fn cgroups(&self) -> &Cgroups {
        &self.inner.cgroups
    }

    /// Starts a container and returns once its command runs (`exec` succeeded); `forked` hears the command's process id
    /// before that. A launch whose future is dropped goes
    /// on; `recover` finds it. On an error no process and no cgroup is left; the runtime directory stays.
    pub async fn launch(
        &self,
        spec: LaunchSpec,
        forked: oneshot::Sender<u32>,
    ) -> Result<Running, Error> {
        let permit = self.inner.launches.acquire().await;
        let permit = permit.map_err(|_| Error::Runtime)?;
        let (begun, mut pid) = oneshot::channel();
        let launching = Box::pin(self.inner.launch(&spec, begun));
        let joins = spec.enter.is_some() || spec.view.is_some();
        let heard = async {
            let early = match joins {
                true => timeout(JOIN_PATIENCE, &mut pid).await.ok(),
                false => Some((&mut pid).await),
            };
            // From here on it is the command's own files that can take long, which must not hold up others.
            drop(permit);
            let pid = match early {
                Some(pid) => pid,
                None => pid.await,
            };
            if let Ok(pid) = pid {
                let _ = forked.send(pid);
            }
        };
        let (launched, ()) = tokio::join!(launching, heard);
        self.inner.spares.refill(REFILL_PAUSE);
        launched
    }

    /// Brings up the spare shims, in the background.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn warm_up(&self) {
        self.inner.spares.refill(Duration::ZERO);
    }

    /// Finds a container again after a restart of the agent. A launch that no shim has taken up is cancelled by this,
    /// so that it cannot begin later. Errors: the record is of another version; or it could not be looked at, which says
    /// nothing of the container ([`Error::is_blind`]).
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
    /// when nothing is. Of a record that cannot be understood it takes what can be. Errors: some processes survive the
    /// deadline, or could not be looked for.
    pub async fn destroy(
        &self,
        container_id: &str,
        runtime_dir: &Path,
        deadline: Duration,
    ) -> Result<(), Error> {
        let id = checked(container_id)?;
        let fate = read_record(runtime_dir)?;
        let fate = fate
            .map(|bytes| record::parse_known(&bytes))
            .unwrap_or_default();
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
    /// has processes still, then destroy it first, or the kernel holds a cgroup of it for another reason. Its record
    /// stays, so that whoever comes next can try again.
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
    async fn launch(
        &self,
        spec: &LaunchSpec,
        forked: oneshot::Sender<u32>,
    ) -> Result<Running, Error> {
        let refuse = |reason| Error::Invalid {
            container_id: spec.container_id.clone(),
            reason,
        };
        spec.check().map_err(refuse)?;
        let cgroup = self.cgroups.container(&spec.container_id);
        let mut plan = spec.plan(&self.boot_id, cgroup.as_ref());
        if spec.root.is_some() {
            plan.cgroups_shown = self.cgroups.shown(&spec.container_id, &spec.limits);
        }
        plan.oom_score_adj = oom_score_adj(spec, cgroup.as_ref());
        let orders = spec::encode(&plan);
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
            cgroup.create(&spec.limits, spec.devices.as_deref())?;
        }
        let started = self.start(spec, &orders, cgroup.as_ref(), forked).await;
        match &started {
            // The record is another shim's: then so are the cgroups.
            Ok(_)
            | Err(Error::Launch(LaunchFailure {
                stage: Stage::Claim,
                ..
            })) => {}
            Err(_) => {
                if let Some(cgroup) = &cgroup {
                    // What is told is why the launch failed; an empty directory left behind harms nobody.
                    let _ = cgroup.remove();
                }
            }
        }
        started
    }

    async fn start(
        &self,
        spec: &LaunchSpec,
        orders: &[u8],
        cgroup: Option<&ContainerCgroup>,
        forked: oneshot::Sender<u32>,
    ) -> Result<Running, Error> {
        let sees_strangers = spec.root.is_some() || spec.view.is_some();
        let spare = match sees_strangers {
            true => None,
            false => spares::take(&self.spares, orders),
        };
        let shim = match spare {
            Some(shim) => shim,
            None if sees_strangers => Shim::with_orders(&self.sealed()?.path(), orders)?,
            None => Shim::with_orders(&self.shim, orders)?,
        };
        start(shim, spec, cgroup, forked).await
    }

    fn sealed(&self) -> Result<&Sealed, Error> {
        if let Some(sealed) = self.sealed.get() {
            return Ok(sealed);
        }
        let sealed = Sealed::copy_of(&self.shim)?;
        // Another launch may have been faster: then this one is dropped.
        Ok(self.sealed.get_or_init(|| sealed))
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
            if let Some(failure) = fate.failed {
                return Ok(Recovered::Failed(failure));
            }
            if fate.exited.is_some() {
                return Ok(Recovered::Exited(exit_of(&fate, cgroup.as_ref())));
            }
            let other_boot = fate
                .shim
                .as_ref()
                .is_some_and(|(boot_id, _)| *boot_id != self.boot_id);
            if fate.cancelled || other_boot || Instant::now() >= give_up {
                return Ok(Recovered::Lost);
            }
            if let Some((_, shim)) = fate.shim {
                let pidfd =
                    open_live(shim).map_err(Error::kernel("look at the shim of a container"))?;
                match (pidfd, fate.started) {
                    // Its namespaces, root and user are not the command's yet, and it may fail: that is told then.
                    (Some(_), Some(command)) if is_before_exec(command) => {}
                    (Some(pidfd), Some(command)) => {
                        let running = Running {
                            container_id,
                            runtime_dir,
                            shim,
                            command,
                            cgroup,
                            supervisor: Arc::new(pidfd.into()),
                            pressure: Arc::default(),
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

/// A holder has no memory of its own to speak of, and its end would be that of all within it.
fn oom_score_adj(spec: &LaunchSpec, cgroup: Option<&ContainerCgroup>) -> Option<u16> {
    if spec.is_holder() || !cgroup?.has(Controller::Memory) {
        return None;
    }
    let machine = rustix::system::sysinfo();
    let machine_bytes = machine.totalram.saturating_mul(machine.mem_unit.into());
    limits::oom_score_adj(&spec.limits, machine_bytes)
}

fn checked(container_id: &str) -> Result<String, Error> {
    let refuse = |reason| Error::Invalid {
        container_id: container_id.to_owned(),
        reason,
    };
    check_id(container_id).map_err(refuse)?;
    Ok(container_id.to_owned())
}

/// Whether a command is not what it is to become yet.
fn is_before_exec(command: ProcessId) -> bool {
    crate::process::stat(command.pid)
        .is_ok_and(|stat| stat.id == command && stat.is_before_exec && !stat.is_dead())
}

/// A pidfd of this very process, if it lives. Checked after opening, so that the id cannot change hands in between.
/// Errors: whether it lives could not be seen.
fn open_live(process: ProcessId) -> io::Result<Option<OwnedFd>> {
    let looked =
        open_pidfd(process.pid).and_then(|pidfd| Ok((pidfd, crate::process::stat(process.pid)?)));
    match looked {
        Ok((pidfd, stat)) => Ok((stat.id == process && !stat.is_dead()).then_some(pidfd)),
        Err(error) if is_ended(&error) => Ok(None),
        Err(error) => Err(error),
    }
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

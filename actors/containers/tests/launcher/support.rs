//! A place to launch containers in, which leaves nothing behind: no process, no cgroup, no file.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests: clippy knows only test functions as such"
)]

use rustix::process::{Pid, Signal};
use std::collections::BTreeSet;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tepui_containers::launch::{Command, LaunchSpec};
use tepui_containers::limits::Controller;
use tepui_containers::process::ProcessId;
use tepui_containers::tree::cgroup_members;
use tepui_containers::{Cgroups, Error, Launcher, Running, sandbox};
use tokio::sync::oneshot;

/// No step of a test takes this long on a healthy machine, however loaded.
const PATIENCE: Duration = Duration::from_secs(30);

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) launcher: Launcher,
    dir: tempfile::TempDir,
    containers: AtomicU32,
}

impl Bench {
    /// With the cgroups of this machine, if it has any.
    pub(crate) fn with_cgroups() -> Self {
        Self::new("detected", Cgroups::detect(&root_name()))
    }

    /// With every controller that containers can be in.
    pub(crate) fn with_all_controllers() -> Self {
        let all = Controller::ALL.into_iter().collect();
        let cgroups = Cgroups::detect_with(&root_name(), &all, &BTreeSet::new());
        Self::new("all controllers", cgroups)
    }

    /// As an agent without rights has it.
    pub(crate) fn bare() -> Self {
        Self::new("no cgroups", Cgroups::none("the test wants none".into()))
    }

    /// With the unified hierarchy, whatever controllers it has here.
    pub(crate) fn unified() -> Self {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = tepui_containers::mounts::parse(&mountinfo).v2;
        let cgroups = mount.and_then(|mount| Cgroups::v2(&mount, &root_name()).ok());
        Self::new(
            "unified",
            cgroups.unwrap_or_else(|| Cgroups::none("no unified hierarchy here".into())),
        )
    }

    /// With shims that wait for orders.
    pub(crate) fn with_spares(spares: usize) -> Self {
        Self::made("detected", Cgroups::detect(&root_name()), spares)
    }

    fn new(name: &'static str, cgroups: Cgroups) -> Self {
        Self::made(name, cgroups, 0)
    }

    fn made(name: &'static str, cgroups: Cgroups, spares: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Other users have to reach their sandboxes.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Self {
            name,
            launcher: Launcher::new(shim(), cgroups, spares).unwrap(),
            dir,
            containers: AtomicU32::new(0),
        }
    }

    /// A launch of a shell command in a fresh sandbox with a `PATH`.
    pub(crate) fn shell(&self, command: &str) -> LaunchSpec {
        let id = format!("c{}", self.containers.fetch_add(1, Ordering::Relaxed));
        let sandbox = self.dir.path().join("sandboxes").join(&id);
        sandbox::prepare_sandbox(&sandbox, None).unwrap();
        let runtime_dir = self.dir.path().join("run").join(&id);
        let mut spec = LaunchSpec::new(id, sandbox, runtime_dir, Command::Shell(command.into()));
        spec.env
            .insert("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
        spec
    }

    /// Where a container that [`Self::shell`] described has its record and its socket.
    pub(crate) fn runtime_dir(&self, container_id: &str) -> PathBuf {
        self.dir.path().join("run").join(container_id)
    }

    pub(crate) fn sandbox(&self, container_id: &str) -> PathBuf {
        self.dir.path().join("sandboxes").join(container_id)
    }

    pub(crate) async fn launch(&self, spec: LaunchSpec) -> Result<Running, Error> {
        if let Some(owner) = &spec.credentials {
            sandbox::prepare_sandbox(&spec.sandbox, Some(owner)).unwrap();
        }
        bounded(self.launcher.launch(spec, oneshot::channel().0)).await
    }

    fn cgroup_roots(&self) -> Vec<PathBuf> {
        match self.launcher.cgroups() {
            Cgroups::V1 { roots, .. } => roots.values().cloned().collect(),
            Cgroups::V2 { root, .. } => vec![root.clone()],
            Cgroups::None { .. } => Vec::new(),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Also after a failed assertion: whoever is in the test's cgroups, and whoever the records name.
        for _ in 0..500 {
            let members: Vec<u32> = self
                .cgroup_roots()
                .iter()
                .flat_map(|root| cgroup_members(root).unwrap_or_default())
                .collect();
            for pid in &members {
                let _ = rustix::process::kill_process(
                    Pid::from_raw(*pid as i32).unwrap(),
                    Signal::KILL,
                );
            }
            if members.is_empty() && self.launcher.cgroups().remove_roots().is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for record in std::fs::read_dir(self.dir.path().join("run"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let bytes = std::fs::read(record.path().join("record")).unwrap_or_default();
            let fate = tepui_containers::record::parse(&bytes).unwrap_or_default();
            let shim = fate.shim.map(|(_, shim)| shim);
            let tree = tepui_containers::tree::Tree {
                cgroup: None,
                shim,
                command: fate.started,
            };
            for _ in 0..500 {
                if tree.kill_pass().is_ok_and(|left| left == 0) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// The time bound of everything that is awaited.
pub(crate) async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("no step of a test takes that long")
}

/// Waits until a fact holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    bounded(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) async fn appears(path: &Path) {
    until(|| std::fs::metadata(path).is_ok_and(|file| file.len() > 0)).await;
}

/// Waits until a process is no more, or only a zombie of somebody else's.
pub(crate) async fn gone(process: ProcessId) {
    until(|| {
        tepui_containers::process::stat(process.pid)
            .map_or(true, |stat| stat.id != process || stat.is_dead())
    })
    .await;
}

/// The live process whose id stands in a file.
pub(crate) fn process_in(path: &Path) -> ProcessId {
    ProcessId::of(text(path).trim().parse().unwrap()).unwrap()
}

pub(crate) fn kill(process: ProcessId) {
    signal(process, Signal::KILL);
}

pub(crate) fn signal(process: ProcessId, signal: Signal) {
    assert!(process.exists());
    rustix::process::kill_process(Pid::from_raw(process.pid as i32).unwrap(), signal).unwrap();
}

pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root_name() -> String {
    format!(
        "tepui-test-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn shim() -> PathBuf {
    if let Some(path) = std::env::var_os("TEPUI_SHIM") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let beside = test
        .ancestors()
        .skip(1)
        .map(|dir| dir.join("tepui-shim"))
        .find(|path| path.is_file());
    beside.expect(
        "tepui-shim is not built: run `cargo build -p tepui-shim`, or name it by TEPUI_SHIM",
    )
}

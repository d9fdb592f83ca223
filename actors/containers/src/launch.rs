//! Owns what an agent orders, and turning it into what the shim is told. Pure.

use crate::cgroups::ContainerCgroup;
use crate::devices::{DeviceNode, DeviceRule};
use crate::limits::Limits;
use crate::namespaces::{Namespaces, UserRange};
use crate::patience::Patience;
use crate::process::ProcessId;
use crate::rotation::Rotation;
use crate::spec::{
    Capabilities, Credentials, HOLDER, Mount, Rlimit, Root, SecretFile, ShimSpec, View,
    is_plain_name,
};
use crate::switchboard::Switchboard;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest container id: the most a directory name may have.
const MAX_ID_BYTES: usize = 255;

/// What to execute, in the two forms of Mesos' `CommandInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `shell: true`: the value is given to `/bin/sh -c`.
    Shell(OsString),
    /// `shell: false`: the program, looked up in the task's `PATH` if it has no slash, and the whole argument vector,
    /// its first element included. An empty vector stands for the program's own name.
    Program {
        program: OsString,
        argv: Vec<OsString>,
    },
}

/// One container to launch.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// Names the container's cgroups: letters, digits, `.`, `_` and `-`, at most 255.
    pub container_id: String,
    /// Must exist already; see `sandbox::prepare_sandbox`.
    pub sandbox: PathBuf,
    /// A directory for this container alone, best on a tmpfs. It is made here, and removed by `Launcher::cleanup`.
    pub runtime_dir: PathBuf,
    pub command: Command,
    /// Where the command starts, as it sees it; `None` is the sandbox.
    pub working_dir: Option<PathBuf>,
    /// The whole environment of the command.
    pub env: BTreeMap<OsString, OsString>,
    /// Whom the command runs as (`user::lookup`); `None`: the agent's own user.
    pub credentials: Option<Credentials>,
    pub limits: Limits,
    /// Which devices it may open, where the agent limits that; `None`: those of the container around it.
    pub devices: Option<Vec<DeviceRule>>,
    /// More than the usual ones in a `/dev` of its own.
    pub device_nodes: Vec<DeviceNode>,
    pub rlimits: Vec<Rlimit>,
    /// File names within the sandbox.
    pub stdout: OsString,
    pub stderr: OsString,
    pub umask: u32,
    /// Set-user-id programs give the command no rights.
    pub no_new_privs: bool,
    /// `None` leaves all to the user.
    pub capabilities: Option<Capabilities>,
    /// As `mountpoints::find` gives them. They need root, and Linux 5.12.
    pub mounts: Vec<Mount>,
    /// They need root. Their places are there, or in an image, where the shim makes them.
    pub secrets: Vec<SecretFile>,
    /// Keeps the standard streams for clients: a terminal, or a session. `None`: they are files.
    pub switchboard: Option<Switchboard>,
    /// Bounds the files; `None`: they grow with what the command says.
    pub rotation: Option<Rotation>,
    /// A process, usually another container's command, whose mounts the command sees as its own.
    pub enter: Option<ProcessId>,
    /// As `images::Roots::make` gives it, with the place of the sandbox. It needs root.
    pub root: Option<Root>,
    /// Whose view of the file system the command has, instead of a root of its own.
    pub view: Option<View>,
    /// They need root. With `enter` or `view` the command has those of that process, whatever is here.
    pub namespaces: Namespaces,
    /// The command of the container around it, where some of these are that one's.
    pub outer: Option<ProcessId>,
    /// Whose users the command's are, with a root of its own; `None`: the machine's.
    pub users: Option<UserRange>,
    /// As `seccomp::Profile::filters` gives them. They need root, or `no_new_privs`.
    pub seccomp: Vec<Vec<u8>>,
    /// The file on which the command's network namespace is mounted. It needs root. With `enter` or `view` the command has
    /// that of that process.
    pub network: Option<PathBuf>,
    /// `None`: it outlives its agent for as long as it likes.
    pub patience: Option<Patience>,
}

impl LaunchSpec {
    /// A launch with Mesos' defaults: files `stdout` and `stderr`, umask 022, no limits, the agent's user.
    pub fn new(
        container_id: impl Into<String>,
        sandbox: PathBuf,
        runtime_dir: PathBuf,
        command: Command,
    ) -> Self {
        Self {
            container_id: container_id.into(),
            sandbox,
            runtime_dir,
            command,
            working_dir: None,
            env: BTreeMap::new(),
            credentials: None,
            limits: Limits::default(),
            devices: None,
            device_nodes: Vec::new(),
            rlimits: Vec::new(),
            stdout: "stdout".into(),
            stderr: "stderr".into(),
            umask: 0o022,
            no_new_privs: false,
            capabilities: None,
            mounts: Vec::new(),
            secrets: Vec::new(),
            switchboard: None,
            rotation: None,
            enter: None,
            root: None,
            view: None,
            namespaces: Namespaces::default(),
            outer: None,
            users: None,
            seccomp: Vec::new(),
            network: None,
            patience: None,
        }
    }

    /// Why this cannot be launched, if so: forms that the kernel or a file system cannot take.
    pub fn check(&self) -> Result<(), String> {
        check_id(&self.container_id)?;
        for (name, path) in [
            ("sandbox", &self.sandbox),
            ("runtime directory", &self.runtime_dir),
        ] {
            if !path.is_absolute() {
                return Err(format!("the {name} must be an absolute path"));
            }
        }
        for (stream, name) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !is_plain_name(name) {
                return Err(format!(
                    "the file for {stream} must be a name within the sandbox, without a slash"
                ));
            }
        }
        let (program, argv) = self.program();
        if program.is_empty() {
            return Err("the command names no program".into());
        }
        if std::iter::once(&program)
            .chain(&argv)
            .any(|text| has_nul(text))
        {
            return Err("the command holds a NUL character, which no argument can have".into());
        }
        // Values may be secrets, names are not: only names are shown.
        for (name, value) in &self.env {
            let shown = name.to_string_lossy();
            if name.is_empty() || has_nul(name) || name.as_bytes().contains(&b'=') {
                return Err(format!(
                    "the environment name '{shown}' is empty or holds '=' or NUL"
                ));
            }
            if has_nul(value) {
                return Err(format!(
                    "the value of environment variable '{shown}' holds a NUL character"
                ));
            }
        }
        match self
            .rlimits
            .iter()
            .find(|limit| above(limit.soft, limit.hard))
        {
            Some(limit) => Err(format!(
                "the soft limit of {:?} is above its hard limit",
                limit.kind
            )),
            None => Ok(()),
        }
    }

    /// Whether it is the process that stands for a container without a command.
    pub(crate) fn is_holder(&self) -> bool {
        let argv0 = match &self.command {
            Command::Shell(_) => None,
            Command::Program { argv, .. } => argv.first(),
        };
        argv0.is_some_and(|name| name == HOLDER)
    }

    /// The orders of the shim.
    pub(crate) fn plan(&self, boot_id: &str, cgroup: Option<&ContainerCgroup>) -> ShimSpec {
        let (program, argv) = self.program();
        ShimSpec {
            boot_id: boot_id.to_owned(),
            runtime_dir: self.runtime_dir.clone(),
            sandbox: self.sandbox.clone(),
            working_dir: self.working_dir().to_owned(),
            program,
            argv,
            env: self
                .env
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            credentials: self.credentials.clone(),
            cgroup_join: cgroup.map(ContainerCgroup::join_files).unwrap_or_default(),
            cgroup_kill: cgroup.map(|cgroup| cgroup.base().to_owned()),
            cgroup_memory: cgroup.and_then(ContainerCgroup::watched_memory),
            oom_score_adj: None,
            rlimits: self.rlimits.clone(),
            stdout: self.stdout.clone(),
            stderr: self.stderr.clone(),
            umask: self.umask,
            no_new_privs: self.no_new_privs,
            capabilities: self.capabilities,
            mounts: self.mounts.clone(),
            secrets: self.secrets.clone(),
            switchboard: self.switchboard,
            rotation: self.rotation,
            enter: self.enter,
            root: self.root.clone(),
            cgroups_shown: Vec::new(),
            view: self.view.clone(),
            namespaces: self.namespaces.clone(),
            outer: self.outer,
            seccomp: self.seccomp.clone(),
            network: self.network.clone(),
            device_nodes: self.device_nodes.clone(),
            users: self.users,
            patience: self.patience.clone(),
        }
    }

    /// As the command sees it.
    fn working_dir(&self) -> &Path {
        let of_root = self.root.as_ref().map(|root| &root.sandbox);
        let of_view = self.view.as_ref().map(|view| &view.sandbox);
        let sandbox = of_root.or(of_view).unwrap_or(&self.sandbox);
        self.working_dir.as_ref().unwrap_or(sandbox)
    }

    fn program(&self) -> (OsString, Vec<OsString>) {
        match &self.command {
            Command::Shell(text) => (
                "/bin/sh".into(),
                vec!["sh".into(), "-c".into(), text.clone()],
            ),
            Command::Program { program, argv } if argv.is_empty() => {
                (program.clone(), vec![program.clone()])
            }
            Command::Program { program, argv } => (program.clone(), argv.clone()),
        }
    }
}

/// Whether an id can name directories.
pub(crate) fn check_id(container_id: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let good = (1..=MAX_ID_BYTES).contains(&container_id.len())
        && container_id.bytes().all(allowed)
        && container_id != "."
        && container_id != "..";
    if good {
        return Ok(());
    }
    Err(format!(
        "a container id has 1 to {MAX_ID_BYTES} letters, digits, '.', '_' or '-'"
    ))
}

fn has_nul(text: &OsStr) -> bool {
    text.as_bytes().contains(&0)
}

fn above(soft: Option<u64>, hard: Option<u64>) -> bool {
    soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;

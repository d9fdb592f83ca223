//! To whatever runs containers: the contract between the agent and the launcher, which the wiring joins.
//!
//! The agent decides when; the launcher knows how. Every answer is a future that never blocks the caller's
//! thread, and none is needed for a container that the agent has forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    path::PathBuf,
    time::Duration,
};

use futures_util::future::BoxFuture;
use tepui_protocol::v1::{NetworkInfo, Resource, ResourceStatistics, task_status::Reason};
use tokio::sync::oneshot;

pub use crate::confinement::{
    Capabilities, Confinement, Ipc, MountOrder, MountSource, Seccomp, SecretData,
};
use crate::engine::{EngineOrder, Inspected};

/// A command and all that surrounds it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LaunchOrder {
    /// `outer.inner` for a container within another one, which must run.
    pub container_id: String,
    /// As [`ContainerRuntime::prepare`] made it; the command starts in it, `stdout` and `stderr` lie in it.
    pub sandbox: PathBuf,
    /// Other containers are launched within it, and it has no command: a process of the launcher's own stands for it
    /// until SIGTERM.
    pub is_holder: bool,
    /// Without a slash it is looked up in the `PATH` of `env`.
    pub program: String,
    /// The whole argument vector, its first element included.
    pub argv: Vec<String>,
    /// The whole environment, sorted by name: nothing is inherited.
    pub env: Vec<(String, String)>,
    /// A name of this machine, or `uid:gid[:group,…]` in numbers. `None` keeps the agent's user.
    pub user: Option<String>,
    /// A container within another one has a part of its limits where these are none.
    pub amounts: Amounts,
    /// Shown in the sandbox before files are fetched into it.
    pub volumes: Vec<VolumeLink>,
    pub confinement: Confinement,
    /// Keeps the standard streams for clients that attach to them; `None`: they are files.
    pub switchboard: Option<Switchboard>,
    /// Whose files the command sees instead of the machine's.
    pub image: Option<ImageOrder>,
    /// What [`ContainerRuntime::provision`] made of the image.
    pub root: Option<RootDirectory>,
    /// Where the command starts, as it sees it; `None`: in the sandbox.
    pub working_dir: Option<PathBuf>,
    /// A running container whose files the command sees, instead of an image of its own, and with whose user and
    /// variables it begins where it has none itself.
    pub view_of: Option<String>,
    /// An engine runs it, which knows command, user and limits from here alone.
    pub engine: Option<Box<EngineOrder>>,
    /// `None`: the network of the container around it, or of the machine.
    pub network: Option<NetworkOrder>,
    /// `None`: it outlives the agent for as long as it likes.
    pub patience: Option<Patience>,
}

/// How long a container outlives its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub timeout: Duration,
    /// Between SIGTERM and SIGKILL then; where containers are within it, what those have of it.
    pub grace: Duration,
}

/// A network that only one container and those within it have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkOrder {
    /// Those with a name, in the order of their interfaces; none: it reaches nothing but itself.
    pub networks: Vec<NetworkInfo>,
    /// What the machine is called there; `None`: as the container.
    pub hostname: Option<String>,
    /// Whether ports that no network can map are an error (containers of type DOCKER).
    pub maps_ports: bool,
}

/// How the standard streams of a container are kept for clients that attach to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switchboard {
    /// The streams are one terminal; else pipes.
    pub terminal: Option<Terminal>,
    /// The container is within another one, whose mounts and sandbox it uses, for one client: it ends with the
    /// connection over which that client reads.
    pub is_session: bool,
}

/// A terminal to be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Rows and columns; unknown until a client tells.
    pub size: Option<(u16, u16)>,
}

/// An image, and what of it a command takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOrder {
    /// `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
    pub name: String,
    /// Whether one that is there already will do.
    pub cached: bool,
    /// What the command says of itself; the image completes it.
    pub command: ImageCommand,
    pub user: ImageUser,
    /// Where the command sees its sandbox.
    pub sandbox: PathBuf,
}

/// `CommandInfo` as far as an image completes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageCommand {
    pub shell: bool,
    pub value: Option<String>,
    pub arguments: Vec<String>,
    /// Completed as `docker run` does it: what the command says of itself follows the image's entrypoint.
    pub is_docker: bool,
    /// Instead of the image's own.
    pub entrypoint: Option<String>,
    /// Instead of the image's own.
    pub working_dir: Option<PathBuf>,
}

/// Whom an image's command runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageUser {
    /// The task's.
    Task,
    /// The image's own, in its own words.
    Image,
    /// This one, in the image's words.
    Named(String),
}

/// A user without a name on this machine, as [`LaunchOrder::user`] may have it: `uid:gid[:group,…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserNumbers {
    pub uid: u32,
    pub gid: u32,
    /// All supplementary groups.
    pub groups: Vec<u32>,
}

impl UserNumbers {
    /// `None` for the name of a user: none has a colon in it.
    pub fn parse(user: &str) -> Option<Self> {
        let mut parts = user.splitn(3, ':');
        let (uid, gid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let groups = parts.next().filter(|groups| !groups.is_empty());
        let groups = groups.map_or_else(
            || Ok(Vec::new()),
            |groups| groups.split(',').map(str::parse).collect(),
        );
        Some(Self {
            uid,
            gid,
            groups: groups.ok()?,
        })
    }
}

impl std::fmt::Display for UserNumbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        write!(f, "{}:{}:{}", self.uid, self.gid, groups.join(","))
    }
}

/// What was made of an image for one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    pub root: RootDirectory,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    pub working_dir: Option<PathBuf>,
    /// In numbers, where the order asks for the image's.
    pub user: Option<String>,
}

/// Where a container's root file system lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDirectory {
    pub dir: PathBuf,
    /// The options of an overlay, with names relative to `dir`.
    pub overlay: Option<String>,
}

/// What a container may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Request of CPU, in thousandths: its weight beside others, less for what was only lent.
    pub cpu_milli: Option<u64>,
    /// Hard limit of CPU, in thousandths; [`u64::MAX`]: it may take all; `None`: none beyond what the launcher was configured to set.
    pub cpu_limit_milli: Option<u64>,
    pub memory_bytes: Option<u64>,
    /// Hard limit of memory; `None`: the request.
    pub memory_limit_bytes: Option<u64>,
    /// Whole GPUs of its own, which no container around it has.
    pub gpus: u32,
}

/// The sandbox of a container within another one's: `containers/<name>` beneath `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedSandbox {
    /// The outer container's sandbox.
    pub root: PathBuf,
    /// The last part of the container's id.
    pub name: String,
    /// Also shown as `tasks/<task>`.
    pub task: Option<String>,
    pub user: Option<String>,
    /// Directories of the outer sandbox that are shown in this one, made where they are missing.
    pub shared: Vec<SharedDirectory>,
}

/// A directory that containers of one executor share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedDirectory {
    /// Relative to the outer sandbox.
    pub path: String,
    /// Where it appears, relative to the inner one.
    pub container_path: String,
}

/// The directory of a persistent volume: it outlives the tasks that write to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeDirectory {
    pub path: PathBuf,
    /// A whole disk is mounted there: at its end it is emptied, not removed.
    pub is_mount: bool,
}

/// A volume as a container sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeLink {
    /// Its directory.
    pub source: PathBuf,
    /// Where it appears, relative to the sandbox.
    pub container_path: String,
    /// The container is not to write there. A link cannot see to that.
    pub read_only: bool,
}

/// A process told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessMark {
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks since boot.
    pub start_time_ticks: u64,
}

/// A container whose command has a process, and is about to run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forked {
    pub pid: u32,
    /// As [`RunningContainer::networks`].
    pub networks: Vec<NetworkInfo>,
}

/// A container whose command runs.
pub struct RunningContainer {
    /// The supervisor. All 0 where there is none, or an engine has not told it.
    pub shim: ProcessMark,
    /// The command; 0 as well.
    pub pid: u32,
    /// Where an engine runs it.
    pub inspected: Option<Box<Inspected>>,
    /// With its addresses; empty where it has the network of the container around it, or of the machine.
    pub networks: Vec<NetworkInfo>,
    /// Resolves once, after the last process of the container is gone.
    pub exited: BoxFuture<'static, ContainerExit>,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerExit {
    /// The raw wait status of the command; `None` where nobody could read it.
    pub status: Option<i32>,
    /// A limit that ended it.
    pub limitation: Option<Limitation>,
    /// It was ended because the agent was away for too long.
    pub is_forsaken: bool,
}

/// The limit a container ran into.
#[derive(Debug, Clone, PartialEq)]
pub struct Limitation {
    pub reason: Reason,
    pub message: String,
    /// What was exceeded, as the framework is told.
    pub resources: Vec<Resource>,
}

/// What became of a container while no agent watched.
pub enum RecoveredContainer {
    Running(RunningContainer),
    Exited(ContainerExit),
    /// Its command never ran; why, in words.
    Failed(String),
    /// Nothing is known of it: it never started, or another kernel runs.
    Gone,
}

/// Runs containers. Implementations are cheap to call from an actor's thread.
pub trait ContainerRuntime: Send + Sync {
    /// What was there at the start of the agent is looked after again: containers that waited for that have it.
    fn recovery_ended(&self) {}

    /// Makes the sandbox and gives it to `user`: comes before the launch, and before files are fetched into it.
    fn prepare(
        &self,
        sandbox: PathBuf,
        user: Option<String>,
    ) -> BoxFuture<'static, Result<(), String>>;

    /// As [`Self::prepare`] for a container within another one. Tasks can write to all of the outer sandbox, so none of
    /// its names is followed.
    fn prepare_nested(&self, sandbox: NestedSandbox) -> BoxFuture<'static, Result<(), String>>;

    /// Removes a sandbox that [`Self::prepare_nested`] made beneath `root`, or a directory `containers/<name>` of the
    /// agent's own.
    fn remove_nested(&self, root: PathBuf, name: String) -> BoxFuture<'static, Result<(), String>>;

    /// Makes and removes directories of persistent volumes; what is done already is no error.
    fn change_volumes(
        &self,
        make: Vec<VolumeDirectory>,
        remove: Vec<VolumeDirectory>,
    ) -> BoxFuture<'static, Result<(), String>>;

    /// Shows volumes in a sandbox and gives them to `user`.
    fn link_volumes(
        &self,
        sandbox: PathBuf,
        user: Option<String>,
        volumes: Vec<VolumeLink>,
    ) -> BoxFuture<'static, Result<(), String>>;

    /// Makes a root file system for a container, fetching the image where it is not there. Unless implemented, there
    /// are no images.
    fn provision(
        &self,
        _container_id: String,
        _image: ImageOrder,
    ) -> BoxFuture<'static, Result<Provisioned, String>> {
        Box::pin(async { Err("this launcher makes no root file systems".to_owned()) })
    }

    /// Sees to it that an engine has the image of this container; who lets go of the future ends it. Unless implemented,
    /// there is no engine.
    fn pull(&self, _order: EngineOrder) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("this launcher has no engine".to_owned()) })
    }

    /// Makes the files of an image for the volume of that number, after [`Self::provision`] where the container has an
    /// image itself.
    fn provision_volume(
        &self,
        _container_id: String,
        _number: usize,
        _name: String,
        _cached: bool,
    ) -> BoxFuture<'static, Result<RootDirectory, String>> {
        Box::pin(async { Err("this launcher makes no root file systems".to_owned()) })
    }

    /// Removes what [`Self::provision`] and [`Self::provision_volume`] made for a container that does not start after all.
    fn unprovision(&self, _container_id: String) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    /// Starts the command, and tells `forked` its process id as soon as it has one, a moment before it runs. The error is
    /// a text for people; nothing of the container is left then.
    fn launch(
        &self,
        order: LaunchOrder,
        forked: oneshot::Sender<Forked>,
    ) -> BoxFuture<'static, Result<RunningContainer, String>>;

    /// Looks for a container of an earlier life of the agent.
    fn recover(&self, container_id: String) -> BoxFuture<'static, RecoveredContainer>;

    /// Sends a signal to every process of the container; an error only if it could not be tried.
    fn signal(&self, container_id: String, signal: i32) -> BoxFuture<'static, Result<(), String>>;

    /// The same to the command's own process alone, where one can be told from the others.
    fn signal_command(
        &self,
        container_id: String,
        signal: i32,
    ) -> BoxFuture<'static, Result<(), String>> {
        self.signal(container_id, signal)
    }

    /// Changes what a running container may use; a hard limit of memory is only ever raised. One that is gone is no
    /// error.
    fn update(
        &self,
        container_id: String,
        amounts: Amounts,
    ) -> BoxFuture<'static, Result<(), String>>;

    /// Kills every process with SIGKILL until none is left.
    fn destroy(&self, container_id: String) -> BoxFuture<'static, Result<(), String>>;

    /// A TCP socket in the network that the container has, which does not block; `None`: any of this process will do.
    /// Unless implemented, all have the machine's network.
    fn socket(
        &self,
        _container_id: String,
        _v6: bool,
    ) -> BoxFuture<'static, std::io::Result<Option<OwnedFd>>> {
        Box::pin(async { Ok(None) })
    }

    /// What the container uses now; `None` if it is gone.
    fn usage(&self, container_id: String) -> BoxFuture<'static, Option<ResourceStatistics>>;

    /// How many bytes the files in these directories take, as `du` counts them: no link is followed. Those that cannot
    /// be looked at are left out. It may take its time. Unless implemented, nothing is known.
    fn disk_use(&self, _directories: Vec<PathBuf>) -> BoxFuture<'static, BTreeMap<PathBuf, u64>> {
        Box::pin(async { BTreeMap::new() })
    }

    /// Ports of the machine at which processes of these containers listen for TCP. Unless implemented, nothing is known.
    fn listening_ports(
        &self,
        _containers: Vec<String>,
    ) -> BoxFuture<'static, BTreeMap<String, BTreeSet<u16>>> {
        Box::pin(async { BTreeMap::new() })
    }

    /// The exit was recorded: the launcher may remove its own records. Not the sandbox.
    fn forget(&self, container_id: String) -> BoxFuture<'static, ()>;
}

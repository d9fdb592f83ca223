//! Owns the launch spec: everything the shim must know, and its bytes. It never touches a file or a process.
//!
//! The format is `TPSH`, a version byte, then fields of `tag: u8, length: u32 LE, bytes`; lists repeat their tag. An
//! unknown tag is refused, not skipped: a shim that ignored a restriction it does not know would start a container
//! that is less contained than ordered.

use crate::devices::DeviceNode;
use crate::namespaces::{Namespaces, UserRange};
use crate::patience::Patience;
use crate::process::ProcessId;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::rotation::Rotation;
use crate::switchboard::Switchboard;

mod values;
mod wire;

pub use wire::{decode, encode, is_plain_name};
pub(crate) use wire::{path, path_bytes};

/// The most bytes an encoded spec may have. The kernel takes 2 MiB of arguments and environment with the default
/// stack limit, so a bigger spec could not be executed anyway.
pub const MAX_SPEC_BYTES: usize = 4 << 20;

/// The name under which the shim is started as the process that stands for a container without a command.
pub const HOLDER: &str = "tepui-pod";

const MAGIC: &[u8; 5] = b"TPSH\x01";

/// Whom the command runs as, already resolved to numbers, because the shim must not load name services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    /// All supplementary groups; the set replaces what the agent had.
    pub groups: Vec<u32>,
}

/// A resource limit's name; the discriminant is Linux's `RLIMIT_*` number, and what crosses to the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RlimitKind {
    Cpu = 0,
    FileSize = 1,
    Data = 2,
    Stack = 3,
    Core = 4,
    Rss = 5,
    Processes = 6,
    OpenFiles = 7,
    LockedMemory = 8,
    AddressSpace = 9,
    Locks = 10,
    PendingSignals = 11,
    MessageQueue = 12,
    Nice = 13,
    RealtimePriority = 14,
    RealtimeTime = 15,
}

impl RlimitKind {
    /// All kinds, in order of their number.
    pub const ALL: [Self; 16] = [
        Self::Cpu,
        Self::FileSize,
        Self::Data,
        Self::Stack,
        Self::Core,
        Self::Rss,
        Self::Processes,
        Self::OpenFiles,
        Self::LockedMemory,
        Self::AddressSpace,
        Self::Locks,
        Self::PendingSignals,
        Self::MessageQueue,
        Self::Nice,
        Self::RealtimePriority,
        Self::RealtimeTime,
    ];
}

/// One resource limit of the command; `None` means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    pub kind: RlimitKind,
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// Capabilities as bits, by Linux' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What the command and its descendants can ever have.
    pub bounding: u64,
    /// What the command begins with, its user being whoever; `None` leaves that to its user.
    pub effective: Option<u64>,
}

/// A directory or file that the command sees in another place, alone with its descendants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// As the target, a relative one lies in the sandbox, and no link is followed there.
    pub source: PathBuf,
    /// Where it appears.
    pub target: PathBuf,
    /// With all that is mounted beneath it.
    pub read_only: bool,
    /// Whether a link on the way to an absolute source is an error: others own parts of that way.
    pub no_links: bool,
    /// Its owners stay the machine's, where the command has users of its own.
    pub keeps_owners: bool,
    /// What the command mounts there appears on the machine too, if the source lies in a shared mount.
    pub propagates: bool,
    /// The options of an overlay that is to be mounted in `source` and shown instead of it, as [`Root::overlay`].
    pub overlay: Option<OsString>,
}

/// A file in memory that only the command and its descendants see, and nobody else reads.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Where it appears, on a file that is there; a relative one lies in the sandbox.
    pub target: PathBuf,
    pub read_only: bool,
    pub data: Vec<u8>,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({})", self.target.display())
    }
}

/// A root file system of the command's own, mounted for it and its descendants alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// An absolute path; `root` in it is where the file system is mounted.
    pub dir: PathBuf,
    /// The options of its overlay, with names relative to `dir`; `None` where `root` has everything already.
    pub overlay: Option<OsString>,
    /// Where the sandbox appears in it, absolute.
    pub sandbox: PathBuf,
}

/// A cgroup that a command with a root of its own sees, to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCgroup {
    pub dir: PathBuf,
    /// Its name below `/sys/fs/cgroup`, or empty: it is that directory itself. A second name of the same directory is a
    /// link to the first.
    pub name: OsString,
}

/// The view of the file system that another command has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub of: ProcessId,
    /// Where the sandbox appears in it, absolute.
    pub sandbox: PathBuf,
}

/// What the shim is told, once, on its standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShimSpec {
    /// The boot the record belongs to (`/proc/sys/kernel/random/boot_id`): process ids mean nothing after another.
    pub boot_id: String,
    /// An existing directory of the agent's own, in which the shim writes `record`.
    pub runtime_dir: PathBuf,
    /// The directory that holds `stdout` and `stderr`.
    pub sandbox: PathBuf,
    /// Where the command starts.
    pub working_dir: PathBuf,
    /// The file to execute; without a slash it is looked up in the `PATH` of `env`.
    pub program: OsString,
    /// The whole argument vector, its first element included.
    pub argv: Vec<OsString>,
    /// The whole environment: nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// `None` keeps the agent's user.
    pub credentials: Option<Credentials>,
    /// Files into which the child writes `0` to enter its cgroups, in this order.
    pub cgroup_join: Vec<PathBuf>,
    /// The cgroup whose processes are what is left of the container when the command ended.
    pub cgroup_kill: Option<PathBuf>,
    /// The v1 directory of the container's memory: when the kernel kills one of its processes for want of it, all end.
    pub cgroup_memory: Option<PathBuf>,
    /// How much sooner than others its processes are killed when the machine's memory is short: at most 1000.
    pub oom_score_adj: Option<u16>,
    pub rlimits: Vec<Rlimit>,
    /// File name within the sandbox, no path.
    pub stdout: OsString,
    /// File name within the sandbox, no path.
    pub stderr: OsString,
    pub umask: u32,
    /// Set-user-id programs give no rights to the command.
    pub no_new_privs: bool,
    pub capabilities: Option<Capabilities>,
    /// In this order.
    pub mounts: Vec<Mount>,
    /// After the mounts.
    pub secrets: Vec<SecretFile>,
    /// `None`: standard output and error are the files, and there is no input.
    pub switchboard: Option<Switchboard>,
    /// Bounds the files; `None`: they grow with what the command says.
    pub rotation: Option<Rotation>,
    /// The process whose mounts the command sees as its own.
    pub enter: Option<ProcessId>,
    /// `None`: it sees the machine's.
    pub root: Option<Root>,
    /// With a root: nothing else of cgroups is seen there. Those of one directory follow each other.
    pub cgroups_shown: Vec<ShownCgroup>,
    /// Instead of a root and mounts of its own.
    pub view: Option<View>,
    /// With `enter` or `view` they are those of that process instead.
    pub namespaces: Namespaces,
    /// The command of the container around it, where some namespaces are to be those of that.
    pub outer: Option<ProcessId>,
    /// Filters of system calls, each a program of the kernel's `struct sock_filter`s; all of them must agree to a call.
    pub seccomp: Vec<Vec<u8>>,
    /// The file on which the command's network namespace is mounted; `None`: it has the machine's, or with `enter` or
    /// `view` that of that process.
    pub network: Option<PathBuf>,
    /// More than the usual ones, in the `/dev` of a root of its own.
    pub device_nodes: Vec<DeviceNode>,
    /// Whose users the command's are, where it has a root of its own; `None`: the machine's. With `view` they are those
    /// of that process instead.
    pub users: Option<UserRange>,
    /// `None`: it outlives its agent for as long as it likes.
    pub patience: Option<Patience>,
}

impl ShimSpec {
    /// Where the command itself finds the sandbox.
    pub fn inner_sandbox(&self) -> &Path {
        let of_root = self.root.as_ref().map(|root| &root.sandbox);
        let of_view = self.view.as_ref().map(|view| &view.sandbox);
        of_root.or(of_view).unwrap_or(&self.sandbox)
    }
}

/// Why bytes are not a spec.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error(
        "the launch spec does not open as this version's does; install agent and shim from one release"
    )]
    Version,
    #[error("the launch spec ends in the middle of a field")]
    Truncated,
    #[error(
        "the launch spec has a field {0} this shim does not know; install agent and shim from one release"
    )]
    UnknownField(u8),
    #[error("the field {0} of the launch spec has a value of the wrong form")]
    BadField(u8),
    #[error("the launch spec has no field {0}, which is required")]
    Missing(u8),
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;

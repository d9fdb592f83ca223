//! Owns the launch spec: everything the shim must know, and its bytes. It never touches a file or a process.
//!
//! The format is `TPSH`, a version byte, then fields of `tag: u8, length: u32 LE, bytes`; lists repeat their tag. An
//! unknown tag is refused, not skipped: a shim that ignored a restriction it does not know would start a container
//! that is less contained than ordered.

use crate::devices::DeviceNode;
use crate::namespaces::{Namespaces, UserRange};
use crate::process::ProcessId;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::rotation::Rotation;
use crate::switchboard::Switchboard;

mod values;

use values::{capabilities, credentials, is_filter, mount, process, rlimit, root, secret, view};

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
    /// Instead of a root and mounts of its own.
    pub view: Option<View>,
    /// With `enter` or `view` they are those of that process instead.
    pub namespaces: Namespaces,
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

/// Field tags. Numbers are never used twice.
mod tag {
    pub(super) const BOOT_ID: u8 = 1;
    pub(super) const RUNTIME_DIR: u8 = 2;
    pub(super) const SANDBOX: u8 = 3;
    pub(super) const WORKING_DIR: u8 = 4;
    pub(super) const PROGRAM: u8 = 5;
    pub(super) const ARG: u8 = 6;
    pub(super) const ENV: u8 = 7;
    pub(super) const CREDENTIALS: u8 = 8;
    pub(super) const CGROUP_JOIN: u8 = 9;
    pub(super) const CGROUP_KILL: u8 = 10;
    pub(super) const RLIMIT: u8 = 11;
    pub(super) const STDOUT: u8 = 12;
    pub(super) const STDERR: u8 = 13;
    pub(super) const UMASK: u8 = 14;
    pub(super) const NO_NEW_PRIVS: u8 = 15;
    pub(super) const CAPABILITIES: u8 = 16;
    pub(super) const MOUNT: u8 = 17;
    pub(super) const SWITCHBOARD: u8 = 24;
    pub(super) const ENTER: u8 = 25;
    pub(super) const ROOT: u8 = 18;
    pub(super) const VIEW: u8 = 19;
    pub(super) const NAMESPACES: u8 = 30;
    pub(super) const SECCOMP: u8 = 31;
    pub(super) const ROTATION: u8 = 32;
    pub(super) const NETWORK: u8 = 44;
    pub(super) const DEVICE_NODE: u8 = 40;
    pub(super) const USERS: u8 = 41;
    pub(super) const SECRET: u8 = 42;
}

/// The spec as bytes for the shim's standard input.
pub fn encode(spec: &ShimSpec) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    field(&mut out, tag::BOOT_ID, spec.boot_id.as_bytes());
    field(&mut out, tag::RUNTIME_DIR, path_bytes(&spec.runtime_dir));
    field(&mut out, tag::SANDBOX, path_bytes(&spec.sandbox));
    field(&mut out, tag::WORKING_DIR, path_bytes(&spec.working_dir));
    field(&mut out, tag::PROGRAM, spec.program.as_bytes());
    for arg in &spec.argv {
        field(&mut out, tag::ARG, arg.as_bytes());
    }
    for (name, value) in &spec.env {
        field(
            &mut out,
            tag::ENV,
            &[name.as_bytes(), b"=", value.as_bytes()].concat(),
        );
    }
    if let Some(credentials) = &spec.credentials {
        let mut bytes = Vec::with_capacity(8 + 4 * credentials.groups.len());
        bytes.extend_from_slice(&credentials.uid.to_le_bytes());
        bytes.extend_from_slice(&credentials.gid.to_le_bytes());
        for group in &credentials.groups {
            bytes.extend_from_slice(&group.to_le_bytes());
        }
        field(&mut out, tag::CREDENTIALS, &bytes);
    }
    for path in &spec.cgroup_join {
        field(&mut out, tag::CGROUP_JOIN, path_bytes(path));
    }
    if let Some(path) = &spec.cgroup_kill {
        field(&mut out, tag::CGROUP_KILL, path_bytes(path));
    }
    for rlimit in &spec.rlimits {
        let mut bytes = vec![rlimit.kind as u8];
        bytes.extend_from_slice(&rlimit.soft.unwrap_or(u64::MAX).to_le_bytes());
        bytes.extend_from_slice(&rlimit.hard.unwrap_or(u64::MAX).to_le_bytes());
        field(&mut out, tag::RLIMIT, &bytes);
    }
    field(&mut out, tag::STDOUT, spec.stdout.as_bytes());
    field(&mut out, tag::STDERR, spec.stderr.as_bytes());
    field(&mut out, tag::UMASK, &spec.umask.to_le_bytes());
    field(&mut out, tag::NO_NEW_PRIVS, &[u8::from(spec.no_new_privs)]);
    if let Some(capabilities) = &spec.capabilities {
        let sets = [Some(capabilities.bounding), capabilities.effective];
        let sets = sets.into_iter().flatten();
        let bytes: Vec<u8> = sets.flat_map(u64::to_le_bytes).collect();
        field(&mut out, tag::CAPABILITIES, &bytes);
    }
    for mount in &spec.mounts {
        let source = path_bytes(&mount.source);
        // No path holds a NUL.
        let overlay = mount.overlay.as_deref().unwrap_or_default().as_bytes();
        let paths = [source, path_bytes(&mount.target), overlay].join(&0);
        let flags = [mount.read_only, mount.no_links, mount.propagates];
        let flags = flags
            .iter()
            .rev()
            .fold(0, |all, it| all << 1 | u8::from(*it));
        let bytes = [&[flags], paths.as_slice()].concat();
        field(&mut out, tag::MOUNT, &bytes);
    }
    for secret in &spec.secrets {
        let flags = [u8::from(secret.read_only)];
        let bytes = [&flags, path_bytes(&secret.target), &[0], &secret.data].concat();
        field(&mut out, tag::SECRET, &bytes);
    }
    if let Some(switchboard) = &spec.switchboard {
        field(&mut out, tag::SWITCHBOARD, &switchboard.to_bytes());
    }
    if let Some(rotation) = spec.rotation {
        field(&mut out, tag::ROTATION, &rotation.to_bytes());
    }
    if let Some(process) = spec.enter {
        let pid = process.pid.to_le_bytes();
        let bytes = [&pid[..], &process.start_ticks.to_le_bytes()].concat();
        field(&mut out, tag::ENTER, &bytes);
    }
    if let Some(root) = &spec.root {
        let overlay = root.overlay.as_deref().unwrap_or_default().as_bytes();
        let texts = [path_bytes(&root.dir), path_bytes(&root.sandbox), overlay];
        field(&mut out, tag::ROOT, &texts.join(&0));
    }
    if let Some(view) = &spec.view {
        let pid = view.of.pid.to_le_bytes();
        let start = view.of.start_ticks.to_le_bytes();
        let bytes = [&pid, start.as_slice(), path_bytes(&view.sandbox)].concat();
        field(&mut out, tag::VIEW, &bytes);
    }
    field(&mut out, tag::NAMESPACES, &spec.namespaces.to_bytes());
    for filter in &spec.seccomp {
        field(&mut out, tag::SECCOMP, filter);
    }
    if let Some(path) = &spec.network {
        field(&mut out, tag::NETWORK, path_bytes(path));
    }
    for node in &spec.device_nodes {
        field(&mut out, tag::DEVICE_NODE, &node.to_bytes());
    }
    if let Some(users) = spec.users {
        field(&mut out, tag::USERS, &users.to_bytes());
    }
    out
}

/// The spec that `encode` made. Refuses other versions, unknown fields, broken fields and a missing program.
pub fn decode(bytes: &[u8]) -> Result<ShimSpec, SpecError> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(SpecError::Version)?;
    let mut spec = ShimSpec::default();
    while let Some((&tag, after_tag)) = rest.split_first() {
        let (length, after_length) = after_tag
            .split_first_chunk::<4>()
            .ok_or(SpecError::Truncated)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (value, after_value) = after_length
            .split_at_checked(length)
            .ok_or(SpecError::Truncated)?;
        set_field(&mut spec, tag, value)?;
        rest = after_value;
    }
    let required = [
        (tag::BOOT_ID, spec.boot_id.is_empty()),
        (tag::RUNTIME_DIR, spec.runtime_dir.as_os_str().is_empty()),
        (tag::SANDBOX, spec.sandbox.as_os_str().is_empty()),
        (tag::WORKING_DIR, spec.working_dir.as_os_str().is_empty()),
        (tag::PROGRAM, spec.program.is_empty()),
        (tag::ARG, spec.argv.is_empty()),
        (tag::STDOUT, spec.stdout.is_empty()),
        (tag::STDERR, spec.stderr.is_empty()),
    ];
    match required.into_iter().find(|(_, missing)| *missing) {
        Some((tag, _)) => Err(SpecError::Missing(tag)),
        None => Ok(spec),
    }
}

/// Whether a name is one plain file name: what `stdout` and `stderr` must be.
pub fn is_plain_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes != b"."
        && bytes != b".."
        && !bytes.contains(&b'/')
        && !bytes.contains(&0)
}

fn set_field(spec: &mut ShimSpec, tag: u8, value: &[u8]) -> Result<(), SpecError> {
    match tag {
        tag::BOOT_ID => {
            spec.boot_id =
                String::from_utf8(value.to_vec()).map_err(|_| SpecError::BadField(tag))?;
        }
        tag::RUNTIME_DIR => spec.runtime_dir = path(value),
        tag::SANDBOX => spec.sandbox = path(value),
        tag::WORKING_DIR => spec.working_dir = path(value),
        tag::PROGRAM => spec.program = os(value),
        tag::ARG => spec.argv.push(os(value)),
        tag::ENV => {
            let equals = value.iter().position(|&byte| byte == b'=');
            let equals = equals
                .filter(|&at| at > 0)
                .ok_or(SpecError::BadField(tag))?;
            let pair = (os(&value[..equals]), os(&value[equals + 1..]));
            spec.env.push(pair);
        }
        tag::CREDENTIALS => {
            spec.credentials = Some(credentials(value).ok_or(SpecError::BadField(tag))?)
        }
        tag::CGROUP_JOIN => spec.cgroup_join.push(path(value)),
        tag::CGROUP_KILL => spec.cgroup_kill = Some(path(value)),
        tag::RLIMIT => spec
            .rlimits
            .push(rlimit(value).ok_or(SpecError::BadField(tag))?),
        tag::STDOUT | tag::STDERR => {
            let name = os(value);
            if !is_plain_name(&name) {
                return Err(SpecError::BadField(tag));
            }
            match tag {
                tag::STDOUT => spec.stdout = name,
                _ => spec.stderr = name,
            }
        }
        tag::UMASK => {
            let bytes = value.try_into().map_err(|_| SpecError::BadField(tag))?;
            spec.umask = u32::from_le_bytes(bytes);
        }
        tag::NO_NEW_PRIVS => match value {
            [0] => spec.no_new_privs = false,
            [1] => spec.no_new_privs = true,
            _ => return Err(SpecError::BadField(tag)),
        },
        tag::CAPABILITIES => {
            spec.capabilities = Some(capabilities(value).ok_or(SpecError::BadField(tag))?);
        }
        tag::MOUNT => spec
            .mounts
            .push(mount(value).ok_or(SpecError::BadField(tag))?),
        tag::SECRET => spec
            .secrets
            .push(secret(value).ok_or(SpecError::BadField(tag))?),
        tag::SWITCHBOARD => {
            let switchboard = Switchboard::from_bytes(value);
            spec.switchboard = Some(switchboard.ok_or(SpecError::BadField(tag))?);
        }
        tag::ROTATION => {
            let rotation = Rotation::from_bytes(value);
            spec.rotation = Some(rotation.ok_or(SpecError::BadField(tag))?);
        }
        tag::ENTER => spec.enter = Some(process(value).ok_or(SpecError::BadField(tag))?),
        tag::ROOT => spec.root = Some(root(value).ok_or(SpecError::BadField(tag))?),
        tag::VIEW => spec.view = Some(view(value).ok_or(SpecError::BadField(tag))?),
        tag::NAMESPACES => {
            let namespaces = Namespaces::from_bytes(value);
            spec.namespaces = namespaces.ok_or(SpecError::BadField(tag))?;
        }
        tag::SECCOMP if is_filter(value) => spec.seccomp.push(value.to_vec()),
        tag::NETWORK => spec.network = Some(path(value)),
        tag::SECCOMP => return Err(SpecError::BadField(tag)),
        tag::USERS => {
            let users = UserRange::from_bytes(value);
            spec.users = Some(users.ok_or(SpecError::BadField(tag))?);
        }
        tag::DEVICE_NODE => {
            let node = DeviceNode::from_bytes(value);
            spec.device_nodes
                .push(node.ok_or(SpecError::BadField(tag))?);
        }
        unknown => return Err(SpecError::UnknownField(unknown)),
    }
    Ok(())
}

fn field(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("a field of a spec is far below 4 GiB");
    out.push(tag);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(os(bytes))
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;

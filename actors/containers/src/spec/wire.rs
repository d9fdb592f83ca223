//! The bytes of a launch spec: its fields by tag. The format is told in the module above.

use super::values::{
    capabilities, credentials, is_filter, mount, process, rlimit, root, secret, shown_cgroup, view,
};
use super::{MAGIC, ShimSpec, SpecError};
use crate::devices::DeviceNode;
use crate::namespaces::{Namespaces, UserRange};
use crate::patience::Patience;
use crate::rotation::Rotation;
use crate::switchboard::Switchboard;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Field tags. Numbers are never used twice.
pub(super) mod tag {
    pub(in crate::spec) const BOOT_ID: u8 = 1;
    pub(in crate::spec) const RUNTIME_DIR: u8 = 2;
    pub(in crate::spec) const SANDBOX: u8 = 3;
    pub(in crate::spec) const WORKING_DIR: u8 = 4;
    pub(in crate::spec) const PROGRAM: u8 = 5;
    pub(in crate::spec) const ARG: u8 = 6;
    pub(in crate::spec) const ENV: u8 = 7;
    pub(in crate::spec) const CREDENTIALS: u8 = 8;
    pub(in crate::spec) const CGROUP_JOIN: u8 = 9;
    pub(in crate::spec) const CGROUP_KILL: u8 = 10;
    pub(in crate::spec) const RLIMIT: u8 = 11;
    pub(in crate::spec) const STDOUT: u8 = 12;
    pub(in crate::spec) const STDERR: u8 = 13;
    pub(in crate::spec) const UMASK: u8 = 14;
    pub(in crate::spec) const NO_NEW_PRIVS: u8 = 15;
    pub(in crate::spec) const CAPABILITIES: u8 = 16;
    pub(in crate::spec) const MOUNT: u8 = 17;
    pub(in crate::spec) const SWITCHBOARD: u8 = 24;
    pub(in crate::spec) const ENTER: u8 = 25;
    pub(in crate::spec) const ROOT: u8 = 18;
    pub(in crate::spec) const VIEW: u8 = 19;
    pub(in crate::spec) const NAMESPACES: u8 = 30;
    pub(in crate::spec) const SECCOMP: u8 = 31;
    pub(in crate::spec) const ROTATION: u8 = 32;
    pub(in crate::spec) const NETWORK: u8 = 44;
    pub(in crate::spec) const DEVICE_NODE: u8 = 40;
    pub(in crate::spec) const USERS: u8 = 41;
    pub(in crate::spec) const SECRET: u8 = 42;
    pub(in crate::spec) const CGROUP_SHOWN: u8 = 50;
    pub(in crate::spec) const OUTER: u8 = 51;
    pub(in crate::spec) const CGROUP_MEMORY: u8 = 52;
    pub(in crate::spec) const OOM_SCORE_ADJ: u8 = 53;
    pub(in crate::spec) const PATIENCE: u8 = 54;
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
    if let Some(path) = &spec.cgroup_memory {
        field(&mut out, tag::CGROUP_MEMORY, path_bytes(path));
    }
    if let Some(score) = spec.oom_score_adj {
        field(&mut out, tag::OOM_SCORE_ADJ, &score.to_le_bytes());
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
        let flags = [
            mount.read_only,
            mount.no_links,
            mount.propagates,
            mount.keeps_owners,
        ];
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
    for (tag, process) in [(tag::ENTER, spec.enter), (tag::OUTER, spec.outer)] {
        if let Some(process) = process {
            let pid = process.pid.to_le_bytes();
            let bytes = [&pid[..], &process.start_ticks.to_le_bytes()].concat();
            field(&mut out, tag, &bytes);
        }
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
    for shown in &spec.cgroups_shown {
        let texts = [path_bytes(&shown.dir), shown.name.as_bytes()];
        field(&mut out, tag::CGROUP_SHOWN, &texts.join(&0));
    }
    if let Some(users) = spec.users {
        field(&mut out, tag::USERS, &users.to_bytes());
    }
    if let Some(patience) = &spec.patience {
        field(&mut out, tag::PATIENCE, &patience.to_bytes());
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
        (
            tag::OUTER,
            spec.namespaces.shares_outer() && spec.outer.is_none(),
        ),
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
        tag::CGROUP_MEMORY => spec.cgroup_memory = Some(path(value)),
        tag::OOM_SCORE_ADJ => {
            let bytes = value.try_into().map_err(|_| SpecError::BadField(tag))?;
            spec.oom_score_adj = Some(u16::from_le_bytes(bytes));
        }
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
        tag::OUTER => spec.outer = Some(process(value).ok_or(SpecError::BadField(tag))?),
        tag::ROOT => spec.root = Some(root(value).ok_or(SpecError::BadField(tag))?),
        tag::CGROUP_SHOWN => spec
            .cgroups_shown
            .push(shown_cgroup(value).ok_or(SpecError::BadField(tag))?),
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
        tag::PATIENCE => {
            let patience = Patience::from_bytes(value);
            spec.patience = Some(patience.ok_or(SpecError::BadField(tag))?);
        }
        unknown => return Err(SpecError::UnknownField(unknown)),
    }
    Ok(())
}

pub(super) fn field(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("a field of a spec is far below 4 GiB");
    out.push(tag);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
}

pub(crate) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(os(bytes))
}

pub(super) fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

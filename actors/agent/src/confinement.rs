//! What a container asks for besides its amounts: resource limits, capabilities, directories of the host. Checked
//! before anything is made (Mesos: the isolators `posix/rlimits`, `linux/capabilities`, `volume/host_path` and
//! `volume/sandbox_path`). Pure.

use std::path::PathBuf;

use tepui_messages::containers::{
    Capabilities, Confinement, Ipc, MountOrder, MountSource, Seccomp, SecretData,
};
use tepui_protocol::v1::{
    CapabilityInfo, ContainerInfo, LinuxInfo, Secret, Volume,
    capability_info::Capability,
    linux_info::IpcMode,
    mount_propagation,
    r_limit_info::{RLimit, r_limit},
    volume::{
        self,
        source::{Type, sandbox_path},
    },
};

use crate::images;

/// The number of the first capability in the protocol; Linux' is 0.
const FIRST_CAPABILITY: i32 = 1000;

/// What the container is to have.
///
/// Errors: what cannot be understood or had, in words for the framework.
pub(crate) fn of(container: &ContainerInfo) -> Result<Confinement, String> {
    let rlimits = container.rlimit_info.as_ref();
    let rlimits = rlimits.map_or(&[][..], |it| &it.rlimits);
    rlimits.iter().try_for_each(check_rlimit)?;
    let linux = container.linux_info.as_ref();
    let mounts = container.volumes.iter();
    let mounts = mounts.filter(|volume| shared_with_parent(volume).is_none());
    Ok(Confinement {
        rlimits: rlimits.to_vec(),
        capabilities: linux.map_or(Ok(None), capabilities)?,
        mounts: mounts.map(mount).collect::<Result<_, _>>()?,
        shares_pids: linux.and_then(|it| it.share_pid_namespace),
        ipc: linux.map_or(Ok(None), ipc)?,
        hostname: container.hostname.as_deref().map(hostname).transpose()?,
        seccomp: linux.map_or(Ok(None), seccomp)?,
    })
}

/// What the process has that holds a group of tasks: what they can share with each other.
pub(crate) fn of_holder(container: &ContainerInfo) -> Confinement {
    let linux = container.linux_info.as_ref();
    Confinement {
        shares_pids: linux.and_then(|it| it.share_pid_namespace),
        // What is wrong with it was told before.
        ipc: linux.and_then(|it| ipc(it).unwrap_or_default()),
        ..Confinement::default()
    }
}

/// In the words of Mesos.
fn ipc(linux: &LinuxInfo) -> Result<Option<Ipc>, String> {
    match (linux.ipc_mode(), linux.shm_size) {
        (IpcMode::Private, shm_mb) => Ok(Some(Ipc::Private { shm_mb })),
        (_, Some(_)) => {
            Err("Only support setting the size of /dev/shm when the IPC mode is PRIVATE".to_owned())
        }
        (IpcMode::ShareParent, None) => Ok(Some(Ipc::Shared)),
        (IpcMode::Unknown, None) => Ok(None),
    }
}

/// The most that `sethostname` takes.
const MAX_HOSTNAME_BYTES: usize = 64;

fn hostname(name: &str) -> Result<String, String> {
    let good = (1..=MAX_HOSTNAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_'));
    match good {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "The hostname of a container has 1 to {MAX_HOSTNAME_BYTES} letters, digits, '-', '.' or '_'"
        )),
    }
}

/// In the words of Mesos.
fn seccomp(linux: &LinuxInfo) -> Result<Option<Seccomp>, String> {
    let Some(info) = &linux.seccomp else {
        return Ok(None);
    };
    match (info.unconfined.unwrap_or(false), &info.profile_name) {
        (true, Some(_)) => Err(
            "Invalid Seccomp configuration: 'profile_name' given even though 'unconfined' Seccomp setting is enabled"
                .to_owned(),
        ),
        (true, None) => Ok(Some(Seccomp::All)),
        (false, Some(name)) => Ok(Some(Seccomp::Profile(name.clone()))),
        (false, None) => Err("Missing Seccomp profile name".to_owned()),
    }
}

fn check_rlimit(limit: &RLimit) -> Result<(), String> {
    let name = limit.r#type();
    if name == r_limit::Type::Unknown {
        return Err("Unknown rlimit type".to_owned());
    }
    let name = name.as_str_name();
    match (limit.soft, limit.hard) {
        (Some(soft), Some(hard)) if soft > hard => Err(format!(
            "The soft limit {soft} of {name} is above its hard limit {hard}"
        )),
        (Some(_), Some(_)) | (None, None) => Ok(()),
        _ => Err(format!(
            "Invalid rlimit values: {name} needs a soft and a hard limit, or neither for no limit"
        )),
    }
}

/// An effective set is the bounding set too where there is no other.
fn capabilities(linux: &LinuxInfo) -> Result<Option<Capabilities>, String> {
    let effective = linux.effective_capabilities.as_ref();
    if effective.is_some() && linux.capability_info.is_some() {
        return Err(
            "Only one of 'capability_info' or 'effective_capabilities' is allowed".to_owned(),
        );
    }
    // The old name of the same.
    let effective = effective.or(linux.capability_info.as_ref());
    let effective = effective.map(bits).transpose()?;
    let bounding = linux.bounding_capabilities.as_ref().map(bits).transpose()?;
    let Some(bounding) = bounding.or(effective) else {
        return Ok(None);
    };
    if effective.is_some_and(|effective| effective & !bounding != 0) {
        return Err(
            "The effective capabilities are not all within the bounding capabilities".to_owned(),
        );
    }
    Ok(Some(Capabilities {
        bounding,
        effective,
    }))
}

/// As bits by Linux' numbers. Errors: one that nobody knows, in words.
pub fn bits(info: &CapabilityInfo) -> Result<u64, String> {
    info.capabilities.iter().try_fold(0, |bits, &number| {
        let known = Capability::try_from(number).ok();
        let known = known.filter(|it| *it != Capability::Unknown);
        known.ok_or_else(|| format!("{number} is the number of no capability"))?;
        Ok(bits | 1 << (number - FIRST_CAPABILITY))
    })
}

/// The path below the sandbox of an executor that a volume of its task shows; `None` if it is a volume of another kind.
pub(crate) fn shared_with_parent(volume: &Volume) -> Option<&str> {
    let source = volume.source.as_ref()?;
    let sandbox_path = source.sandbox_path.as_ref()?;
    let is_parents = sandbox_path.r#type() == sandbox_path::Type::Parent;
    let shared = is_parents && volume.host_path.is_none() && volume.image.is_none();
    shared.then_some(sandbox_path.path.as_str())
}

/// What the volume of an executor that runs nothing shows to its tasks, as they see the files around them: a directory of
/// the host, at a path of the machine. `None`: it is another kind of volume.
pub(crate) fn shown_within(volume: &Volume) -> Option<MountOrder> {
    let mount = mount(volume).ok()?;
    let is_shown =
        matches!(mount.source, MountSource::Host(_)) && mount.container_path.is_absolute();
    is_shown.then_some(mount)
}

fn mount(volume: &Volume) -> Result<MountOrder, String> {
    Ok(MountOrder {
        source: source(volume)?,
        container_path: volume.container_path.clone().into(),
        read_only: volume.mode() == volume::Mode::Ro,
        propagates: propagates(volume),
    })
}

fn source(volume: &Volume) -> Result<MountSource, String> {
    let refused = || Err("This agent does not give containers volumes of this kind yet".to_owned());
    if let Some(image) = &volume.image {
        let alone = volume.host_path.is_none() && volume.source.is_none();
        return if alone {
            images::of_volume(image)
        } else {
            refused()
        };
    }
    let Some(source) = &volume.source else {
        return match &volume.host_path {
            // A relative one lies in the sandbox, as it did before there were sources.
            Some(path) if path.starts_with('/') => Ok(MountSource::Host(path.into())),
            Some(path) => Ok(MountSource::Sandbox(path.into())),
            None => refused(),
        };
    };
    match (source.r#type(), &source.host_path, &source.sandbox_path) {
        (Type::HostPath, Some(host), _) if host.path.starts_with('/') => {
            Ok(MountSource::Host(PathBuf::from(&host.path)))
        }
        (Type::HostPath, Some(host), _) => Err(format!(
            "Path '{}' in HOST_PATH volume is not absolute",
            host.path
        )),
        (Type::SandboxPath, _, Some(own)) if own.r#type() == sandbox_path::Type::Self_ => {
            Ok(MountSource::Sandbox(PathBuf::from(&own.path)))
        }
        (Type::Secret, _, _) => match &source.secret {
            Some(secret) => secret_data(secret).map(MountSource::Secret),
            None => refused(),
        },
        _ => refused(),
    }
}

fn propagates(volume: &Volume) -> bool {
    let host = volume.source.as_ref().and_then(|it| it.host_path.as_ref());
    let propagation = host.and_then(|it| it.mount_propagation.as_ref());
    propagation.is_some_and(|it| it.mode() == mount_propagation::Mode::Bidirectional)
}

/// What a secret holds.
///
/// Errors: this agent has nobody to ask for it, in the words of Mesos' default resolver.
pub(crate) fn secret_data(secret: &Secret) -> Result<SecretData, String> {
    if secret.reference.is_some() {
        return Err("Default secret resolver cannot resolve references".to_owned());
    }
    let value = secret.value.as_ref().ok_or("Secret has no value")?;
    Ok(SecretData(value.data.to_vec()))
}

#[cfg(test)]
#[path = "confinement_tests.rs"]
mod tests;

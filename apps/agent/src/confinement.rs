//! What sets a container apart from its machine, in the launcher's terms; makes the places of its mounts.

use std::{
    ffi::OsString,
    path::{Component, Path},
};

use tepui_containers::{
    Capabilities, LaunchSpec, Mount, Rlimit, RlimitKind, SecretFile, images::roots as images,
    mountpoints, volume_gids::VolumeGids,
};
use tepui_messages::containers::{Confinement, MountOrder, MountSource, SecretData};
use tepui_protocol::v1::r_limit_info::{RLimit, r_limit::Type};

use crate::runtime::{told, volume_groups};

pub(crate) use host::HostFiles;

mod host;

/// Completes `spec`, whose sandbox is there.
///
/// Errors: what of it this agent or its machine cannot do, in words for the framework.
pub(crate) fn apply(
    confinement: &Confinement,
    host: &HostFiles,
    gids: Option<&VolumeGids>,
    spec: &mut LaunchSpec,
) -> Result<(), String> {
    let is_root = rustix::process::geteuid().is_root();
    let is_confined = confinement.capabilities.is_some() || !confinement.mounts.is_empty();
    let needs_root = is_confined || spec.root.is_some();
    if needs_root && !is_root {
        return Err(
            "Images, volumes of the host, secrets in files and capabilities need an agent that runs as root"
                .to_owned(),
        );
    }
    let rlimits = confinement.rlimits.iter();
    spec.rlimits = rlimits.filter_map(rlimit).collect();
    spec.capabilities = confinement.capabilities.map(|it| Capabilities {
        bounding: it.bounding,
        effective: it.effective,
    });
    for order in &confinement.mounts {
        match &order.source {
            MountSource::Secret(data) => {
                let secret = secret(spec, order, data)?;
                spec.secrets.push(secret);
            }
            source => {
                // Before the directory of another sandbox is made for the user alone.
                volume_groups::admit(gids, spec, source)?;
                spec.mounts.extend(mount(spec, order, host, gids)?);
            }
        }
    }
    // Over a file of the host that programs with rights of their own trust, a user could put one of his; and an image
    // may bring programs with any rights.
    let mounts = spec.mounts.iter().map(|it| &it.target);
    let mut targets = mounts.chain(spec.secrets.iter().map(|it| &it.target));
    let over_host = targets.any(|it| it.is_absolute());
    let is_user = spec.credentials.as_ref().is_some_and(|it| it.uid != 0);
    spec.no_new_privs |= (over_host && spec.credentials.is_some() && spec.root.is_none())
        || (is_user && (spec.root.is_some() || spec.view.is_some()));
    Ok(())
}

fn rlimit(limit: &RLimit) -> Option<Rlimit> {
    let kind = match limit.r#type() {
        Type::Unknown => return None,
        Type::RlmtAs => RlimitKind::AddressSpace,
        Type::RlmtCore => RlimitKind::Core,
        Type::RlmtCpu => RlimitKind::Cpu,
        Type::RlmtData => RlimitKind::Data,
        Type::RlmtFsize => RlimitKind::FileSize,
        Type::RlmtLocks => RlimitKind::Locks,
        Type::RlmtMemlock => RlimitKind::LockedMemory,
        Type::RlmtMsgqueue => RlimitKind::MessageQueue,
        Type::RlmtNice => RlimitKind::Nice,
        Type::RlmtNofile => RlimitKind::OpenFiles,
        Type::RlmtNproc => RlimitKind::Processes,
        Type::RlmtRss => RlimitKind::Rss,
        Type::RlmtRtprio => RlimitKind::RealtimePriority,
        Type::RlmtRttime => RlimitKind::RealtimeTime,
        Type::RlmtSigpending => RlimitKind::PendingSignals,
        Type::RlmtStack => RlimitKind::Stack,
    };
    Some(Rlimit {
        kind,
        soft: limit.soft,
        hard: limit.hard,
    })
}

/// A file that is in memory only, and the place for it.
fn secret(spec: &LaunchSpec, order: &MountOrder, data: &SecretData) -> Result<SecretFile, String> {
    let place = &order.container_path;
    check_place(place)?;
    if place.is_relative() {
        let made = mountpoints::file(&spec.sandbox, spec.credentials.as_ref(), place);
        made.map_err(|error| told(&error))?;
    } else if spec.root.is_none() && !place.exists() {
        let place = place.display();
        return Err(format!("Absolute container path '{place}' does not exist"));
    }
    Ok(SecretFile {
        target: place.clone(),
        read_only: order.read_only,
        data: data.0.clone(),
    })
}

/// `None`: what is ordered is seen there already.
fn mount(
    spec: &LaunchSpec,
    order: &MountOrder,
    host: &HostFiles,
    gids: Option<&VolumeGids>,
) -> Result<Option<Mount>, String> {
    let owner = spec.credentials.as_ref();
    let place = &order.container_path;
    let has_root = spec.root.is_some();
    let directory = |sandbox: &Path, path: &Path| {
        let made = mountpoints::directory(sandbox, owner, path);
        made.map_err(|error| told(&error))
    };
    let (mut overlay, mut is_there, mut keeps_owners) = (None, false, false);
    let (source, no_links) = match &order.source {
        MountSource::Image { name, .. } => {
            return Err(format!("the image '{name}' of a volume was not fetched"));
        }
        MountSource::Root(root) => {
            overlay = root.overlay.clone().map(OsString::from);
            let copy = root.dir.join(images::ROOT);
            (overlay.as_ref().map_or(copy, |_| root.dir.clone()), true)
        }
        MountSource::Secret(_) => return Ok(None),
        MountSource::Host(path) => {
            let real = host.admit(path, &spec.sandbox)?;
            // What is there already needs no mount.
            is_there = path == place;
            keeps_owners = true;
            (real, true)
        }
        MountSource::Own(path) => {
            keeps_owners = true;
            (host::real_place(path)?, true)
        }
        MountSource::Sandbox(path) => {
            directory(&spec.sandbox, path)?;
            (path.clone(), true)
        }
        MountSource::Persistent(path) => {
            volume_groups::give(gids, path, owner)?;
            (host::real_place(path)?, true)
        }
        MountSource::Outer { sandbox, path } => {
            directory(sandbox, path)?;
            (sandbox.join(path), true)
        }
    };
    check(&source, place, has_root)?;
    if order.propagates {
        host::check_shared(&source)?;
    }
    if (is_there || source == *place) && !order.read_only && !has_root {
        return Ok(None);
    }
    let found = match has_root && place.is_absolute() {
        // The shim makes it where the image has no such place.
        true => Mount {
            source,
            target: place.clone(),
            read_only: order.read_only,
            no_links,
            propagates: order.propagates,
            keeps_owners,
            overlay,
        },
        false => {
            let found = mountpoints::find(&spec.sandbox, owner, &source, place, order.read_only);
            Mount {
                no_links,
                propagates: order.propagates,
                keeps_owners,
                overlay,
                ..found.map_err(|error| told(&error))?
            }
        }
    };
    Ok(Some(found))
}

/// In the words of Mesos.
fn check(source: &Path, place: &Path, has_root: bool) -> Result<(), String> {
    if source.is_absolute() && !source.exists() {
        let source = source.display();
        return Err(format!(
            "Path '{source}' in HOST_PATH volume does not exist"
        ));
    }
    if place.is_absolute() && !place.exists() && !has_root {
        let place = place.display();
        return Err(format!(
            "Mount point '{place}' is an absolute path. It must exist if the container shares the host filesystem"
        ));
    }
    check_place(place)
}

fn check_place(place: &Path) -> Result<(), String> {
    if place.components().any(|it| it == Component::ParentDir) {
        let place = place.display();
        return Err(format!(
            "cannot make the mount point '{place}': it leads out of its container by '..'"
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "confinement_tests.rs"]
mod tests;

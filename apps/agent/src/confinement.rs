//! What sets a container apart from its machine, in the launcher's terms; makes the places of its mounts.

use std::path::Path;

use tepui_containers::{Capabilities, LaunchSpec, Mount, Rlimit, RlimitKind, mountpoints};
use tepui_messages::containers::{Confinement, MountOrder, MountSource};
use tepui_protocol::v1::r_limit_info::{RLimit, r_limit::Type};

use crate::runtime::told;

/// Completes `spec`, whose sandbox is there.
///
/// Errors: what of it this agent or its machine cannot do, in words for the framework.
pub(crate) fn apply(confinement: &Confinement, spec: &mut LaunchSpec) -> Result<(), String> {
    let is_root = rustix::process::geteuid().is_root();
    let needs_root = confinement.capabilities.is_some() || !confinement.mounts.is_empty();
    if needs_root && !is_root {
        return Err(
            "Volumes of the host and capabilities need an agent that runs as root".to_owned(),
        );
    }
    let rlimits = confinement.rlimits.iter();
    spec.rlimits = rlimits.filter_map(rlimit).collect();
    spec.capabilities = confinement.capabilities.map(|it| Capabilities {
        bounding: it.bounding,
        effective: it.effective,
    });
    let mounts = confinement.mounts.iter();
    let mounts = mounts.filter_map(|it| mount(spec, it).transpose());
    spec.mounts = mounts.collect::<Result<_, _>>()?;
    // Over a file of the host that programs with rights of their own trust, a user could put one of his.
    let over_host = spec.mounts.iter().any(|it| it.target.is_absolute());
    spec.no_new_privs |= over_host && spec.credentials.is_some();
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

/// `None`: what is ordered is seen there already.
fn mount(spec: &LaunchSpec, order: &MountOrder) -> Result<Option<Mount>, String> {
    let owner = spec.credentials.as_ref();
    let place = &order.container_path;
    let source = match &order.source {
        MountSource::Host(path) => path,
        MountSource::Sandbox(path) => {
            let made = mountpoints::directory(&spec.sandbox, owner, path);
            made.map_err(|error| told(&error))?;
            path
        }
    };
    check(source, place)?;
    if source == place && !order.read_only {
        return Ok(None);
    }
    let found = mountpoints::find(&spec.sandbox, owner, source, place, order.read_only);
    found.map(Some).map_err(|error| told(&error))
}

/// In the words of Mesos.
fn check(source: &Path, place: &Path) -> Result<(), String> {
    if source.is_absolute() && !source.exists() {
        let source = source.display();
        return Err(format!(
            "Path '{source}' in HOST_PATH volume does not exist"
        ));
    }
    if place.is_absolute() && !place.exists() {
        let place = place.display();
        return Err(format!(
            "Mount point '{place}' is an absolute path. It must exist if the container shares the host filesystem"
        ));
    }
    Ok(())
}

//! The groups that commands have so that they can use volumes which are others' too (Mesos: `--volume_gid_range`).

use std::{collections::BTreeSet, path::Path, sync::Arc};

use tepui_containers::{Credentials, Error, LaunchSpec, volume_gids::VolumeGids, volumes};
use tepui_messages::containers::MountSource;

use super::{Inner, told};

/// Gives a persistent volume to the task's user, unless it has a group: then it is shared, and nobody's own.
pub(crate) fn give(
    gids: Option<&VolumeGids>,
    volume: &Path,
    owner: Option<&Credentials>,
) -> Result<(), String> {
    let is_shared = gids.is_some_and(|gids| gids.holds(volume));
    let given = volumes::give(volume, owner.filter(|_| !is_shared));
    given.map_err(|error| told(&error))
}

/// Lets the command's user into what is mounted, where others may be there too.
pub(crate) fn admit(
    gids: Option<&VolumeGids>,
    spec: &mut LaunchSpec,
    source: &MountSource,
) -> Result<(), String> {
    let (Some(gids), Some(user)) = (gids, &mut spec.credentials) else {
        return Ok(());
    };
    let admitted = match source {
        MountSource::Persistent(path) => gids.admit(user, path),
        MountSource::Outer { sandbox, path } => match spec.container_id.rsplit_once('.') {
            Some((outer, _)) => gids.admit_within(user, sandbox, path, outer),
            // A persistent volume that is another container's too: nothing else is around this one.
            None => gids.admit(user, &sandbox.join(path)),
        },
        _ => Ok(None),
    };
    if let Some(gid) = admitted.map_err(|error| told(&error))?
        && !user.groups.contains(&gid)
    {
        user.groups.push(gid);
    }
    Ok(())
}

impl Inner {
    /// A check or a session of a task's user has the groups that the task has for its volumes.
    pub(super) fn share_groups(&self, spec: &mut LaunchSpec) {
        let Some(gids) = self.volume_gids.as_deref() else {
            return;
        };
        let outer = spec.container_id.rsplit_once('.');
        let outer = outer.and_then(|(outer, _)| self.handle(outer));
        let (Some(outer), Some(user)) = (outer, &mut spec.credentials) else {
            return;
        };
        let status = format!("/proc/{}/status", outer.command().pid);
        // It has just ended: so does what is beside it.
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let numbers = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let numbers = line.unwrap_or_default().split_ascii_whitespace();
            numbers
                .filter_map(|it| it.parse().ok())
                .collect::<Vec<u32>>()
        };
        if numbers("Uid:").first() == Some(&user.uid) {
            let of_volumes = numbers("Groups:").into_iter();
            let of_volumes = of_volumes.filter(|gid| gids.range().contains(*gid));
            user.groups.extend(of_volumes);
        }
    }

    /// The container has ended: what lies in its sandbox is nobody's but its owner's.
    pub(super) async fn take_volume_gids(&self, container_id: &str) {
        let Some(gids) = self.volume_gids.as_ref().map(Arc::clone) else {
            return;
        };
        if !gids.is_shared(container_id) {
            return;
        }
        let container = container_id.to_owned();
        let taken = move || say_untaken(&gids.ended(&container));
        // It fails only while the runtime shuts down: then the next agent does it.
        let _ = tokio::task::spawn_blocking(taken).await;
    }
}

/// Takes back the groups of volumes and containers that are gone since an earlier life of the agent, of which `known` may
/// still run.
pub(crate) async fn recover(gids: Arc<VolumeGids>, known: BTreeSet<String>) {
    let recovered = move || say_untaken(&gids.recover(&known));
    let _ = tokio::task::spawn_blocking(recovered).await;
}

fn say_untaken(errors: &[Error]) {
    for error in errors {
        let error = told(error);
        tracing::warn!(
            error,
            "the group of a volume is not taken back until the next start"
        );
    }
}

#[cfg(test)]
#[path = "volume_groups_tests.rs"]
mod tests;

//! Directories of containers: sandboxes within others, and volumes.

use std::{path::PathBuf, sync::Arc};

use tepui_containers::{Error, nested, volume_gids::VolumeGids, volumes};
use tepui_messages::containers::{NestedSandbox, VolumeDirectory, VolumeLink};

use super::{clearing::Clearing, told, users::Users};

pub(super) async fn prepare_nested(
    users: Arc<Users>,
    sandbox: NestedSandbox,
) -> Result<(), String> {
    let owner = users.credentials(sandbox.user.as_deref())?;
    let shared = sandbox.shared.iter();
    let shared: Vec<_> = shared
        .map(|it| (it.path.as_str(), it.container_path.as_str()))
        .collect();
    let prepared = nested::prepare(&nested::NestedSandbox {
        root: &sandbox.root,
        name: &sandbox.name,
        task: sandbox.task.as_deref(),
        owner: owner.as_ref(),
        shared: &shared,
    });
    prepared.map_err(|error| told(&error))
}

/// A sandbox may hold much: its removal takes its time.
pub(super) async fn remove_nested(root: PathBuf, name: String) -> Result<(), String> {
    let removed = tokio::task::spawn_blocking(move || nested::remove(&root, &name));
    let removed = removed.await.map_err(|error| error.to_string())?;
    removed.map_err(|error| told(&error))
}

/// A volume that cannot be removed is no reason to stop: the next life of the agent could not remove it either. Errors: one
/// cannot be made.
pub(super) async fn change_volumes(
    gids: Option<Arc<VolumeGids>>,
    clearing: Arc<Clearing>,
    make: Vec<VolumeDirectory>,
    remove: Vec<VolumeDirectory>,
) -> Result<(), String> {
    let changed = tokio::task::spawn_blocking(move || {
        let made = make.iter().try_for_each(|it| volumes::make(&it.path));
        for volume in &remove {
            if let Err(error) = end(volume, gids.as_deref()) {
                let volume = volume.path.display();
                tracing::error!(
                    %volume,
                    "its data stays, and who makes a volume of that name finds it; remove it by hand: {}",
                    told(&error)
                );
            }
        }
        let all = make.iter().chain(&remove).filter(|it| !it.is_mount);
        let removed = all.filter_map(|it| volumes::removed_beside(&it.path));
        clearing.clear(removed.collect());
        made
    });
    let changed = changed.await.map_err(|error| error.to_string())?;
    changed.map_err(|error| told(&error))
}

fn end(volume: &VolumeDirectory, gids: Option<&VolumeGids>) -> Result<(), Error> {
    match volume.is_mount {
        true => volumes::empty(&volume.path),
        false => volumes::take_away(&volume.path),
    }?;
    gids.map_or(Ok(()), |gids| gids.destroyed(&volume.path))
}

/// Errors: which of them cannot be shown, and why; the others are.
pub(super) async fn link_volumes(
    users: Arc<Users>,
    gids: Option<Arc<VolumeGids>>,
    sandbox: PathBuf,
    user: Option<String>,
    links: Vec<VolumeLink>,
) -> Result<(), String> {
    let owner = users.credentials(user.as_deref())?;
    let linked = links.iter().map(|link| {
        let VolumeLink {
            source,
            container_path,
            ..
        } = link;
        // One that has a group is shared, and nobody's own.
        let is_shared = gids.as_ref().is_some_and(|gids| gids.holds(source));
        volumes::link(&sandbox, owner.as_ref(), source, container_path, !is_shared)
    });
    let problems = linked.filter_map(|it| Some(told(&it.err()?)));
    let problems: Vec<String> = problems.collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("; ")),
    }
}

#[cfg(test)]
#[path = "directories_tests.rs"]
mod tests;

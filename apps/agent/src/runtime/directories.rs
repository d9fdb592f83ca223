//! Directories of containers: sandboxes within others, and volumes.

use std::{path::PathBuf, sync::Arc};

use tepui_containers::{Error, nested, volume_gids::VolumeGids, volumes};
use tepui_messages::containers::{NestedSandbox, VolumeDirectory, VolumeLink};

use super::{credentials, told};

pub(super) async fn prepare_nested(sandbox: NestedSandbox) -> Result<(), String> {
    let owner = credentials(sandbox.user.as_deref())?;
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

/// A volume may hold much: its removal takes its time.
pub(super) async fn change_volumes(
    gids: Option<Arc<VolumeGids>>,
    make: Vec<VolumeDirectory>,
    remove: Vec<VolumeDirectory>,
) -> Result<(), String> {
    let changed = tokio::task::spawn_blocking(move || {
        let make = make.iter().map(|it| volumes::make(&it.path));
        let remove = remove.iter().map(|it| {
            match it.is_mount {
                true => volumes::empty(&it.path),
                false => volumes::remove(&it.path),
            }?;
            let gids = gids.as_deref();
            gids.map_or(Ok(()), |gids| gids.destroyed(&it.path))
        });
        make.chain(remove).collect::<Result<(), Error>>()
    });
    let changed = changed.await.map_err(|error| error.to_string())?;
    changed.map_err(|error| told(&error))
}

pub(super) async fn link_volumes(
    gids: Option<Arc<VolumeGids>>,
    sandbox: PathBuf,
    user: Option<String>,
    links: Vec<VolumeLink>,
) -> Result<(), String> {
    let owner = credentials(user.as_deref())?;
    for VolumeLink {
        source,
        container_path,
        ..
    } in links
    {
        // One that has a group is shared, and nobody's own.
        let is_shared = gids.as_ref().is_some_and(|gids| gids.holds(&source));
        let linked = volumes::link(
            &sandbox,
            owner.as_ref(),
            &source,
            &container_path,
            !is_shared,
        );
        linked.map_err(|error| told(&error))?;
    }
    Ok(())
}

//! Where persistent volumes lie and what a container sees of them (INTERNALS 7). Pure.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use tepui_messages::containers::{VolumeDirectory, VolumeLink};
use tepui_protocol::{
    resources::{Entry, Resources},
    v1::{Resource, resource::disk_info::source::Type, volume},
};

use crate::unsupported::names_directory;

/// The directory of a volume; `None` for what is no volume of the agent's own, or has an id that names no directory.
pub(crate) fn directory(work_dir: &Path, entry: &Entry) -> Option<VolumeDirectory> {
    let id = entry.persistence_id()?;
    // A role has no blank, and so no other role has this name.
    let role = entry.reservation_role()?.replace('/', " ");
    if entry.provider_id().is_some() || !names_directory(id) || !names_directory(&role) {
        return None;
    }
    let source = entry.disk().and_then(|disk| disk.source.as_ref());
    let at = |root: Option<&String>| root.map_or_else(|| work_dir.to_owned(), PathBuf::from);
    let below = |root: PathBuf| VolumeDirectory {
        path: root.join("volumes/roles").join(role).join(id),
        is_mount: false,
    };
    match source.map(|source| (source.r#type(), source)) {
        None => Some(below(work_dir.to_owned())),
        Some((Type::Path, source)) => {
            let root = source.path.as_ref().and_then(|path| path.root.as_ref());
            // A relative root lies in the work directory.
            Some(below(work_dir.join(at(root))))
        }
        Some((Type::Mount, source)) => {
            let root = source.mount.as_ref().and_then(|mount| mount.root.as_ref());
            Some(VolumeDirectory {
                path: work_dir.join(root?),
                is_mount: true,
            })
        }
        Some(_) => None,
    }
}

/// The directories of all volumes in `resources`.
pub(crate) fn directories(work_dir: &Path, resources: &Resources) -> BTreeSet<VolumeDirectory> {
    let entries = resources.iter();
    entries.filter_map(|it| directory(work_dir, it)).collect()
}

/// What the container of a task with these resources sees.
pub(crate) fn links<'a>(
    work_dir: &Path,
    resources: impl Iterator<Item = &'a Resource>,
) -> Vec<VolumeLink> {
    let volumes = resources.filter_map(|resource| {
        let entry = Entry::from_proto(resource).ok()?;
        let source = directory(work_dir, &entry)?.path;
        let volume = resource.disk.as_ref()?.volume.as_ref()?;
        let container_path = volume.container_path.clone();
        Some(VolumeLink {
            source,
            container_path,
            read_only: volume.mode() == volume::Mode::Ro,
        })
    });
    volumes.collect()
}

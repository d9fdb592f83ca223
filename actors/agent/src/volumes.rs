//! Where persistent volumes lie and what a container sees of them (Mesos: `slave/paths.cpp`,
//! `getPersistentVolumePath`). Pure.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use tepui_messages::{
    agent::{ExecutorPhase, ExecutorState, NestedState},
    containers::{MountOrder, MountSource, SharedDirectory, VolumeDirectory, VolumeLink},
};
use tepui_protocol::{
    resources::{Entry, Resources},
    v1::{Resource, resource::disk_info::source::Type, volume},
};

use crate::{
    config::NodeConfig,
    confinement::shared_with_parent,
    images,
    tables::{Executor, Framework, Stage},
    unsupported::names_directory,
};

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
        // Few have one, and the rest need not be understood.
        let volume = resource.disk.as_ref()?.volume.as_ref()?;
        let entry = Entry::from_proto(resource).ok()?;
        let source = directory(work_dir, &entry)?.path;
        let container_path = volume.container_path.clone();
        Some(VolumeLink {
            source,
            container_path,
            read_only: volume.mode() == volume::Mode::Ro,
        })
    });
    volumes.collect()
}

/// What a container has of its own.
pub(crate) struct Own {
    /// Its alone.
    pub(crate) linked: Vec<VolumeLink>,
    /// Those that others may use too, each with whether one does already. They are mounted: a link would change with what
    /// others do, and a check of the task has to find what the task sees.
    pub(crate) shared: Vec<(VolumeLink, bool)>,
}

impl Own {
    /// `sequence`: when the container came.
    pub(crate) fn of<'a>(
        config: &NodeConfig,
        framework: &Framework,
        sequence: u64,
        resources: impl Iterator<Item = &'a Resource>,
    ) -> Self {
        // Without root there are no mounts, and no owner ever changes.
        let is_shared = |it: &&Resource| config.is_root && it.shared.is_some();
        let (shared, own): (Vec<_>, Vec<_>) = resources.partition(is_shared);
        let work_dir = &config.work_dir;
        let shared = links(work_dir, shared.into_iter()).into_iter();
        let shared = shared.map(|it| {
            // The way to other disks may have links, which [`keeping_owner`] does not follow.
            let is_known = it.source.starts_with(work_dir);
            let is_used = is_known && is_used_before(work_dir, framework, sequence, &it.source);
            (it, is_used)
        });
        Self {
            linked: links(work_dir, own.into_iter()),
            shared: shared.collect(),
        }
    }

    /// Where nothing is mounted. A volume that another container uses is left out, since a link would give it away.
    pub(crate) fn unmounted(self) -> Vec<VolumeLink> {
        let shared = self.shared.into_iter();
        let free = shared.filter_map(|(it, is_used)| (!is_used).then_some(it));
        self.linked.into_iter().chain(free).collect()
    }

    /// Which to link, and which to mount.
    pub(crate) fn mounted(self) -> (Vec<VolumeLink>, Vec<MountOrder>) {
        let mounts = self.shared.into_iter().map(|(it, is_used)| match is_used {
            true => keeping_owner(it),
            false => images::mounted_volume(it),
        });
        (self.linked, mounts.collect())
    }
}

/// Whether a container of the framework that came before, and has not ended, has the volume (Mesos: `isVolumeInUse`).
fn is_used_before(work_dir: &Path, framework: &Framework, sequence: u64, directory: &Path) -> bool {
    framework.executors.values().any(|executor| {
        let lives = executor.phase != ExecutorPhase::Terminated;
        let own = executor.info.resources.iter();
        let own = own.filter(|_| lives && executor.sequence < sequence);
        let tasks = executor.tasks.values();
        let tasks = tasks.filter(|it| it.stage != Stage::Terminated && it.sequence < sequence);
        let of_tasks = tasks.flat_map(|it| &it.info.resources);
        let all = links(work_dir, own.chain(of_tasks));
        all.iter().any(|it| it.source == directory)
    })
}

/// All that the sandbox of an executor shows: its own, and those of its tasks that have not ended (Mesos mounts them all
/// there).
pub(crate) fn of_sandbox(work_dir: &Path, executor: &Executor) -> Vec<VolumeLink> {
    let tasks = executor.tasks.values();
    let tasks = tasks.filter(|it| it.stage != Stage::Terminated);
    let of_tasks = tasks.flat_map(|it| &it.info.resources);
    links(work_dir, executor.info.resources.iter().chain(of_tasks))
}

/// Mounts a volume that is another container's too: it is not given to this one's user.
pub(crate) fn keeping_owner(volume: VolumeLink) -> MountOrder {
    MountOrder {
        source: as_it_is(&volume.source),
        container_path: volume.container_path.into(),
        read_only: volume.read_only,
        propagates: false,
    }
}

/// The same volumes for a command beside the container that they were given to.
pub(crate) fn keep_owners(mounts: &mut [MountOrder]) {
    for mount in mounts {
        if let MountSource::Persistent(directory) = &mount.source {
            mount.source = as_it_is(directory);
        }
    }
}

/// Like a directory of another sandbox, which keeps its owner.
fn as_it_is(directory: &Path) -> MountSource {
    MountSource::Outer {
        sandbox: directory.parent().unwrap_or(directory).to_owned(),
        path: directory.file_name().unwrap_or_default().into(),
    }
}

/// A volume where clients look for it: the way to it in an executor's sandbox. There may be a link that leads out of the
/// sandbox, or the empty directory it is mounted at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownVolume {
    pub at: PathBuf,
    pub directory: PathBuf,
}

/// The volumes that an executor and its tasks see, those of tasks in containers of their own by both names of these.
pub fn shown(work_dir: &Path, executor: &ExecutorState) -> Vec<ShownVolume> {
    let of_all = links(work_dir, executor.resources());
    let nested = executor.nested.iter();
    let nested = nested.flat_map(|it| shown_within(work_dir, &of_all, it));
    let shown = of_all.iter().cloned();
    let shown = shown.filter_map(|it| shown_at(Path::new(""), it));
    shown.chain(nested).collect()
}

fn shown_within(work_dir: &Path, around: &[VolumeLink], nested: &NestedState) -> Vec<ShownVolume> {
    let task = &nested.task;
    let volumes = task.container.as_ref().map_or(&[][..], |it| &it.volumes);
    let directories = volumes.iter().filter_map(|volume| {
        let directory = SharedDirectory {
            path: shared_with_parent(volume)?.to_owned(),
            container_path: volume.container_path.clone(),
        };
        Some((directory, true, ()))
    });
    let (mut all, _) = shared(around, directories);
    all.extend(links(work_dir, task.resources.iter()));
    let names = [("containers", &nested.name), ("tasks", &task.task_id.value)];
    let shown = names.into_iter().flat_map(|(above, name)| {
        let sandbox = Path::new(above).join(name);
        let shown = all.clone().into_iter();
        shown.filter_map(move |it| shown_at(&sandbox, it))
    });
    shown.collect()
}

/// `None`: it is not in the sandbox, but elsewhere among the files of the container.
fn shown_at(sandbox: &Path, volume: VolumeLink) -> Option<ShownVolume> {
    let path = Path::new(&volume.container_path);
    let is_name = |it: &Component<'_>| matches!(it, Component::Normal(_) | Component::CurDir);
    let is_within = path.components().all(|it| is_name(&it)) && path.file_name().is_some();
    let names = path.components().filter(|it| *it != Component::CurDir);
    is_within.then(|| ShownVolume {
        at: sandbox.join(names.collect::<PathBuf>()),
        directory: volume.source,
    })
}

/// Of what containers share of the sandbox around them: the persistent volumes in it, and the rest. There may be but a link
/// to a volume, so each container is shown the volume itself. With each directory comes whether it is read only.
pub(crate) fn shared<T>(
    around: &[VolumeLink],
    directories: impl Iterator<Item = (SharedDirectory, bool, T)>,
) -> (Vec<VolumeLink>, Vec<T>) {
    let (mut volumes, mut rest) = (Vec::new(), Vec::new());
    for (directory, read_only, it) in directories {
        let path = Path::new(&directory.path);
        match around
            .iter()
            .find(|volume| Path::new(&volume.container_path) == path)
        {
            Some(volume) => volumes.push(VolumeLink {
                container_path: directory.container_path,
                read_only: read_only || volume.read_only,
                source: volume.source.clone(),
            }),
            None => rest.push(it),
        }
    }
    (volumes, rest)
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;

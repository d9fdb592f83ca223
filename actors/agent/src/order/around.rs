//! What a container within another one sees of that one's sandbox. Pure.

use std::path::Path;

use tepui_messages::containers::{
    LaunchOrder, MountOrder, MountSource, SharedDirectory, VolumeLink,
};
use tepui_protocol::v1::{ContainerInfo, TaskInfo, Volume, volume};

use super::{image_of, user_of};
use crate::{
    config::NodeConfig,
    confinement,
    guests::Outer,
    tables::{Executor, Framework},
    volumes,
};

/// A directory of the sandbox around a container, as that sees it.
struct Shared {
    directory: SharedDirectory,
    read_only: bool,
}

impl Shared {
    fn of(volume: &Volume) -> Option<Self> {
        Some(Self {
            directory: SharedDirectory {
                path: confinement::shared_with_parent(volume)?.to_owned(),
                container_path: volume.container_path.clone(),
            },
            read_only: volume.mode() == volume::Mode::Ro,
        })
    }

    fn all(container: Option<&ContainerInfo>) -> Vec<Self> {
        let volumes = container.map_or(&[][..], |it| &it.volumes);
        volumes.iter().filter_map(Self::of).collect()
    }

    fn mount(self, sandbox: &Path) -> MountOrder {
        MountOrder {
            source: MountSource::Outer {
                sandbox: sandbox.to_owned(),
                path: self.directory.path.into(),
            },
            container_path: self.directory.container_path.into(),
            read_only: self.read_only,
            propagates: false,
        }
    }
}

/// What is linked and mounted in a container's sandbox.
pub(super) struct Seen {
    /// Directories of the sandbox around it.
    pub(super) links: Vec<SharedDirectory>,
    pub(super) volumes: Vec<VolumeLink>,
    pub(super) mounts: Vec<MountOrder>,
}

impl Seen {
    fn of(config: &NodeConfig, outer: &Outer, shared: Vec<Shared>, can_link: bool) -> Self {
        let (volumes, rest) = split(&outer.volumes, shared);
        let volumes = volumes.into_iter();
        let (mounted, volumes): (Vec<_>, Vec<_>) = volumes.partition(|_| config.is_root);
        let is_link = |it: &Shared| {
            let path = Path::new(&it.directory.container_path);
            can_link && !it.read_only && path.is_relative()
        };
        let (links, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_link);
        let mounted = mounted.into_iter().map(volumes::keeping_owner);
        let rest = rest.into_iter().map(|it| it.mount(&outer.sandbox));
        Self {
            links: links.into_iter().map(|it| it.directory).collect(),
            volumes,
            mounts: mounted.chain(rest).collect(),
        }
    }
}

/// The volumes among them, and the rest.
fn split(volumes: &[VolumeLink], shared: Vec<Shared>) -> (Vec<VolumeLink>, Vec<Shared>) {
    let shared = shared.into_iter();
    let described = shared.map(|it| (it.directory.clone(), it.read_only, it));
    volumes::shared(volumes, described)
}

/// Links to the outer sandbox lead nowhere in an image, can be written through, and other users than its own cannot follow
/// them.
fn can_link(has_image: bool, user: Option<&String>, outer: &Outer) -> bool {
    !has_image && user == outer.user.as_ref()
}

/// What a task of a default executor sees: its own volumes, and what it shares with others.
pub(super) fn of_child(
    config: &NodeConfig,
    framework: &Framework,
    executor: &Executor,
    task: &TaskInfo,
    user: Option<&String>,
) -> Seen {
    let container = task.container.as_ref();
    let entry = executor.tasks.get(&task.task_id.value);
    let sequence = entry.map_or(u64::MAX, |it| it.sequence);
    let own = volumes::Own::of(config, framework, sequence, task.resources.iter());
    let (mut volumes, mut mounts) = own.mounted();
    let of_executor = volumes::links(&config.work_dir, executor.info.resources.iter());
    let (shown, rest) = split(&of_executor, Shared::all(container));
    volumes.extend(shown);
    if rest.is_empty() {
        // Few look around, and to look costs as much as there are tasks.
        return Seen {
            volumes,
            mounts,
            links: Vec::new(),
        };
    }
    let command = executor.info.command.clone().unwrap_or_default();
    let outer = Outer {
        sandbox: executor.sandbox.clone(),
        user: user_of(config, framework, &command),
        volumes: volumes::of_sandbox(&config.work_dir, executor),
    };
    let can_link = can_link(image_of(container).is_some(), user, &outer);
    let around = Seen::of(config, &outer, rest, can_link);
    volumes.extend(around.volumes);
    mounts.extend(around.mounts);
    Seen {
        volumes,
        mounts,
        ..around
    }
}

/// Completes the order of a container that a client asks for within another one. Gives back what is linked in its sandbox.
pub(crate) fn show_around(
    config: &NodeConfig,
    order: &mut LaunchOrder,
    outer: &Outer,
    container: Option<&ContainerInfo>,
) -> Vec<SharedDirectory> {
    let can_link = can_link(order.image.is_some(), order.user.as_ref(), outer);
    let around = Seen::of(config, outer, Shared::all(container), can_link);
    order.confinement.mounts.extend(around.mounts);
    order.volumes.extend(around.volumes);
    around.links
}

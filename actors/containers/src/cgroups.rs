//! Owns the cgroups of containers: which hierarchy this machine has, and making, limiting, reading and removing one
//! directory a container. It never moves a process: the shim's child joins by itself before it executes the command.
//!
//! v1 is used when the unified hierarchy lacks `cpu` or `memory`, as on hosts that mount both; a host without either,
//! or without the right to write there, runs containers on process groups and rlimits, and [`Cgroups::None`] says why.

use crate::error::Error;
use crate::limits::{self, Controller, Limits, Setting, Version};
use crate::mounts;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// The cgroup hierarchy that containers of this agent use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// One hierarchy a controller: the agent's root directory in each.
    V1 {
        roots: BTreeMap<Controller, PathBuf>,
    },
    /// The agent's root directory, and the controllers its children have.
    V2 {
        root: PathBuf,
        controllers: BTreeSet<Controller>,
    },
    /// Process groups and rlimits only. The reason is for people.
    None { reason: String },
}

impl Cgroups {
    /// Looks at this machine and makes the agent's root directory, `name` (usually `tepui`), where containers get
    /// theirs. Never fails: what does not work becomes the reason of [`Cgroups::None`].
    pub fn detect(name: &str) -> Self {
        let mountinfo = match std::fs::read_to_string("/proc/self/mountinfo") {
            Ok(text) => text,
            Err(error) => {
                return Self::none(format!("/proc/self/mountinfo cannot be read: {error}"));
            }
        };
        let mounts = mounts::parse(&mountinfo);
        if let Some(mount) = &mounts.v2 {
            let available = available(mount);
            if available.contains(&Controller::Cpu) && available.contains(&Controller::Memory) {
                return Self::v2(mount, name).unwrap_or_else(Self::unusable);
            }
        }
        if mounts.v1.is_empty() {
            return Self::none("no cgroup hierarchy with cpu and memory is mounted".into());
        }
        Self::v1(&mounts.v1, name).unwrap_or_else(Self::unusable)
    }

    /// The v1 hierarchies, whatever else is mounted.
    pub fn v1(mounts: &BTreeMap<Controller, PathBuf>, name: &str) -> Result<Self, Error> {
        let roots: BTreeMap<_, _> = mounts
            .iter()
            .map(|(controller, mount)| (*controller, mount.join(name)))
            .collect();
        for root in distinct(&roots) {
            make_dir(root)?;
        }
        Ok(Self::V1 { roots })
    }

    /// The unified hierarchy, with those of our controllers it has.
    pub fn v2(mount: &Path, name: &str) -> Result<Self, Error> {
        let root = mount.join(name);
        make_dir(&root)?;
        let controllers = available(mount);
        for controller in &controllers {
            for dir in [mount, &root] {
                write(
                    &dir.join("cgroup.subtree_control"),
                    &format!("+{}", controller.name()),
                )?;
            }
        }
        Ok(Self::V2 { root, controllers })
    }

    /// No cgroups, by choice or because they do not work.
    pub fn none(reason: String) -> Self {
        Self::None { reason }
    }

    fn unusable(error: Error) -> Self {
        let why = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        Self::none(format!(
            "{error}: {why}; containers run on process groups and rlimits"
        ))
    }

    /// The place of a container; nothing is made yet. The parts of an id `outer.inner` are cgroups within one another;
    /// which characters they may have `LaunchSpec` checks.
    pub fn container(&self, container_id: &str) -> Option<ContainerCgroup> {
        // No part holds a point, so none is `..`.
        let container_id: PathBuf = container_id.split('.').collect();
        match self {
            Self::V1 { roots } => Some(ContainerCgroup {
                version: Version::V1,
                dirs: roots
                    .iter()
                    .map(|(controller, root)| (*controller, root.join(&container_id)))
                    .collect(),
                base: roots
                    .get(&Controller::Pids)
                    .or_else(|| roots.values().next())?
                    .join(&container_id),
            }),
            Self::V2 { root, controllers } => {
                let base = root.join(&container_id);
                let dirs = controllers
                    .iter()
                    .map(|controller| (*controller, base.clone()))
                    .collect();
                Some(ContainerCgroup {
                    version: Version::V2,
                    dirs,
                    base,
                })
            }
            Self::None { .. } => None,
        }
    }

    /// Removes the agent's root directories, if no container is left in them.
    pub fn remove_roots(&self) -> Result<(), Error> {
        let roots = match self {
            Self::V1 { roots } => distinct(roots),
            Self::V2 { root, .. } => BTreeSet::from([root.as_path()]),
            Self::None { .. } => BTreeSet::new(),
        };
        roots.into_iter().try_for_each(remove_dir)
    }
}

/// The cgroup directories of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerCgroup {
    version: Version,
    /// By controller; several may share a directory.
    dirs: BTreeMap<Controller, PathBuf>,
    /// The directory whose member list speaks for the container.
    base: PathBuf,
}

impl ContainerCgroup {
    /// Makes the directories and writes the limits. On an error what was made is removed again.
    pub fn create(&self, limits: &Limits) -> Result<(), Error> {
        let made = self.directories().into_iter().try_for_each(make_dir);
        let created = made.and_then(|()| {
            limits::initial(limits, self.version)
                .iter()
                .try_for_each(|setting| self.apply(setting))
        });
        if created.is_err() {
            // The first error is the one to tell.
            let _ = self.remove();
        }
        created
    }

    /// Changes the limits of a running container. A hard memory limit is only ever raised.
    pub fn update(&self, limits: &Limits) -> Result<(), Error> {
        limits::update(limits, self.version)
            .iter()
            .try_for_each(|setting| self.apply(setting))
    }

    /// The files into which a process writes `0` to join.
    ///
    /// In v1 that is `tasks`, not `cgroup.procs`: for the calling thread alone the kernel takes no lock over all
    /// forks and exits of the machine, and the shim's child has but one thread.
    pub fn join_files(&self) -> Vec<PathBuf> {
        let file = match self.version {
            Version::V1 => "tasks",
            Version::V2 => "cgroup.procs",
        };
        let mut files: Vec<PathBuf> = Vec::new();
        for dir in self.dirs.values().chain([&self.base]) {
            let file = dir.join(file);
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files
    }

    /// The directory whose members are the container's processes.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Whether the kernel killed a process of the container for memory.
    pub fn out_of_memory(&self) -> bool {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        self.read(Controller::Memory, file)
            .is_ok_and(|text| value_of(&text, "oom_kill").is_some_and(|kills| kills > 0))
    }

    /// The hard limit of memory that a process of the container meets: its own, or that of the container around it.
    pub fn memory_limit_bytes(&self) -> Option<u64> {
        let file = match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        let own = self.dirs.get(&Controller::Memory)?;
        let around = [Some(own.as_path()), own.parent()].into_iter().flatten();
        let limits = around.filter_map(|dir| {
            let text = std::fs::read_to_string(dir.join(file)).ok()?;
            text.trim().parse().ok()
        });
        // v1 tells "unlimited" as the greatest number of pages, v2 as the word "max".
        limits.filter(|&bytes: &u64| bytes < 1 << 62).min()
    }

    /// Removes the directories, also those that the container made within. Errors: processes are left.
    pub fn remove(&self) -> Result<(), Error> {
        self.directories().into_iter().try_for_each(remove_dir)
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// The text of a controller's file. Errors: the controller is not there, or the file.
    pub(crate) fn read(&self, controller: Controller, file: &str) -> io::Result<String> {
        let dir = self.dirs.get(&controller).ok_or(io::ErrorKind::NotFound)?;
        std::fs::read_to_string(dir.join(file))
    }

    fn directories(&self) -> BTreeSet<&Path> {
        distinct(&self.dirs)
            .into_iter()
            .chain([self.base.as_path()])
            .collect()
    }

    fn apply(&self, setting: &Setting) -> Result<(), Error> {
        // A controller the machine does not have limits nothing: `Cgroups` tells which there are.
        let Some(dir) = self.dirs.get(&setting.controller) else {
            return Ok(());
        };
        let path = dir.join(setting.file);
        if setting.only_raise {
            let now = std::fs::read_to_string(&path).map_err(Error::cgroup("read", &path))?;
            // "max" is not a number, and nothing is higher.
            let now = now.trim().parse::<u64>().unwrap_or(u64::MAX);
            if setting
                .value
                .parse::<u64>()
                .is_ok_and(|wanted| wanted <= now)
            {
                return Ok(());
            }
        }
        write(&path, &setting.value)
    }
}

/// The number behind a name in a file of lines `name number`.
pub(crate) fn value_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

/// Our controllers that a v2 directory may give to its children. CPU time is counted there without a controller.
fn available(mount: &Path) -> BTreeSet<Controller> {
    let text = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
    Controller::ALL
        .into_iter()
        .filter(|ours| {
            text.split_ascii_whitespace()
                .any(|name| name == ours.name())
        })
        .collect()
}

fn distinct(dirs: &BTreeMap<Controller, PathBuf>) -> BTreeSet<&Path> {
    dirs.values().map(PathBuf::as_path).collect()
}

fn make_dir(dir: &Path) -> Result<(), Error> {
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(Error::cgroup("make the cgroup", dir)),
    }
}

fn write(path: &Path, value: &str) -> Result<(), Error> {
    std::fs::write(path, value).map_err(Error::cgroup("write the cgroup file", path))
}

/// Removes a cgroup, the innermost first. One that is gone already is no error.
fn remove_dir(dir: &Path) -> Result<(), Error> {
    match std::fs::remove_dir(dir) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Usually busy: cgroups within, made by the container.
        Err(_) => {}
    }
    for entry in std::fs::read_dir(dir)
        .map_err(Error::cgroup("list the cgroup", dir))?
        .flatten()
    {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_dir(&entry.path())?;
        }
    }
    std::fs::remove_dir(dir).map_err(Error::cgroup("remove the cgroup", dir))
}

#[cfg(test)]
#[path = "cgroups_tests.rs"]
mod tests;

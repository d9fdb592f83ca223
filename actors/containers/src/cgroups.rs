//! Owns the cgroups of containers: which hierarchy this machine has, and making, limiting, reading and removing one
//! directory a container. It never moves a process: the shim's child joins by itself before it executes the command.
//!
//! v1 is used when the unified hierarchy lacks `cpu` or `memory`, as on hosts that mount both; a host without either,
//! or without the right to write there, runs containers on process groups and rlimits, and [`Cgroups::None`] says why.

use crate::devices::DeviceRule;
use crate::error::Error;
use crate::limits::{self, Controller, Limits, Setting, Version};
use crate::mounts;
use crate::pressure::Counters;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

mod files;
mod shown;

use files::{
    check_writable, distinct, hand_down, inherit_cpuset, make_dir, make_dir_within, making_way,
    remove_dir, write,
};

/// The cgroup hierarchy that containers of this agent use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// One hierarchy a controller: the agent's root directory in each.
    V1 {
        roots: BTreeMap<Controller, PathBuf>,
        /// Such directories in hierarchies that an agent before used and this one does not: containers of that one have
        /// theirs there, which are to be removed with them.
        left: BTreeSet<PathBuf>,
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
        Self::detect_with(name, &BTreeSet::new(), &BTreeSet::new())
    }

    /// As [`Cgroups::detect`], with those optional controllers of `more` that the machine has, and without those of `without`.
    pub fn detect_with(
        name: &str,
        more: &BTreeSet<Controller>,
        without: &BTreeSet<Controller>,
    ) -> Self {
        let mountinfo = match std::fs::read_to_string("/proc/self/mountinfo") {
            Ok(text) => text,
            Err(error) => {
                return Self::none(format!("/proc/self/mountinfo cannot be read: {error}"));
            }
        };
        let mounts = mounts::parse(&mountinfo);
        let is_wanted =
            |it: &Controller| !without.contains(it) && (!it.is_optional() || more.contains(it));
        if let Some(mount) = &mounts.v2 {
            let available = available(mount);
            if available.contains(&Controller::Cpu) && available.contains(&Controller::Memory) {
                let wanted = available.into_iter().filter(is_wanted).collect();
                return Self::v2_with(mount, name, wanted).unwrap_or_else(Self::unusable);
            }
        }
        let is_used = |it: &(Controller, PathBuf)| is_wanted(&it.0);
        let (used, others): (Vec<_>, Vec<_>) = mounts.v1.into_iter().partition(is_used);
        if used.is_empty() {
            return Self::none("no cgroup hierarchy with cpu and memory is mounted".into());
        }
        let (used, others) = (used.into_iter().collect(), others.into_iter().collect());
        Self::v1(&used, &others, name).unwrap_or_else(Self::unusable)
    }

    /// The v1 hierarchies `mounts`, whatever else is mounted. `others`: those that are not used.
    pub fn v1(
        mounts: &BTreeMap<Controller, PathBuf>,
        others: &BTreeMap<Controller, PathBuf>,
        name: &str,
    ) -> Result<Self, Error> {
        let roots: BTreeMap<_, _> = mounts
            .iter()
            .map(|(controller, mount)| (*controller, mount.join(name)))
            .collect();
        let left = others.values().map(|mount| mount.join(name));
        let left = left.filter(|root| root.exists() && !roots.values().any(|it| it == root));
        let left = left.collect();
        for root in distinct(&roots) {
            make_dir(root)?;
            check_writable(root)?;
        }
        if let Some(root) = roots.get(&Controller::Cpuset) {
            inherit_cpuset(root)?;
        }
        Ok(Self::V1 { roots, left })
    }

    /// The unified hierarchy, with those of our controllers it has.
    pub fn v2(mount: &Path, name: &str) -> Result<Self, Error> {
        Self::v2_with(mount, name, available(mount))
    }

    fn v2_with(mount: &Path, name: &str, controllers: BTreeSet<Controller>) -> Result<Self, Error> {
        let root = mount.join(name);
        make_dir(&root)?;
        check_writable(&root)?;
        for dir in [mount, &root] {
            hand_down(dir, &controllers)?;
        }
        Ok(Self::V2 { root, controllers })
    }

    /// Whether containers are in this controller.
    pub fn has(&self, controller: Controller) -> bool {
        match self {
            Self::V1 { roots, .. } => roots.contains_key(&controller),
            Self::V2 { controllers, .. } => controllers.contains(&controller),
            Self::None { .. } => false,
        }
    }

    /// Whether memory and swap together can be limited.
    pub fn can_limit_swap(&self) -> bool {
        match self {
            Self::V1 { roots, .. } => roots
                .get(&Controller::Memory)
                .is_some_and(|root| root.join("memory.memsw.limit_in_bytes").exists()),
            Self::V2 { root, .. } => root.join("memory.swap.max").exists(),
            Self::None { .. } => false,
        }
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
            Self::V1 { roots, left } => Some(ContainerCgroup {
                version: Version::V1,
                dirs: roots
                    .iter()
                    .map(|(controller, root)| (*controller, root.join(&container_id)))
                    .collect(),
                base: roots
                    .get(&Controller::Pids)
                    // As the first, one that no agent leaves out: the next agent looks there too.
                    .or_else(|| roots.get(&Controller::Cpuacct))
                    .or_else(|| roots.values().next())?
                    .join(&container_id),
                left: left.iter().map(|root| root.join(&container_id)).collect(),
                is_inner: container_id.components().count() > 1,
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
                    left: Vec::new(),
                    is_inner: container_id.components().count() > 1,
                })
            }
            Self::None { .. } => None,
        }
    }

    /// Removes the agent's root directories, if no container is left in them.
    pub fn remove_roots(&self) -> Result<(), Error> {
        let roots = match self {
            Self::V1 { roots, .. } => distinct(roots),
            Self::V2 { root, .. } => BTreeSet::from([root.as_path()]),
            Self::None { .. } => BTreeSet::new(),
        };
        roots.into_iter().try_for_each(remove_dir)
    }
}

/// What the kernel says of the memory of a container; `None`: it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// The hard limit that a process of the container meets.
    pub limit_bytes: Option<u64>,
    /// The most it ever had.
    pub peak_bytes: Option<u64>,
    /// A line for each figure: `name number`.
    pub statistics: Option<String>,
}

/// The cgroup directories of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerCgroup {
    version: Version,
    /// By controller; several may share a directory.
    dirs: BTreeMap<Controller, PathBuf>,
    /// The directory whose member list speaks for the container.
    base: PathBuf,
    /// Directories of controllers that it may have joined and others do no longer.
    left: Vec<PathBuf>,
    /// Whether it is within that of another container.
    is_inner: bool,
}

/// Where the processes of a container are with v2, within its own directory: one that hands controllers down to the
/// containers within it can have no processes itself. No container is called so.
const OWN: &str = "own:";
const LOCAL_EVENTS: &str = "memory.events.local";
const GROUP_KILL: &str = "memory.oom.group";

impl ContainerCgroup {
    /// Makes the directories and writes the limits. `devices`: which it may open where that controller is joined; `None`:
    /// those of the container around it. On an error what was made is removed again.
    pub fn create(&self, limits: &Limits, devices: Option<&[DeviceRule]>) -> Result<(), Error> {
        let created = self.make().and_then(|()| {
            self.end_together();
            limits::initial(limits, self.version)
                .iter()
                .try_for_each(|setting| self.apply(setting))?;
            devices.map_or(Ok(()), |rules| self.limit_devices(rules))
        });
        if created.is_err() {
            // The first error is the one to tell.
            let _ = self.remove();
        }
        created
    }

    fn make(&self) -> Result<(), Error> {
        match self.version {
            Version::V1 => {
                let cpuset = self.dirs.get(&Controller::Cpuset).map(PathBuf::as_path);
                let mut dirs = self.directories().into_iter();
                dirs.try_for_each(|dir| make_dir_within(dir, cpuset == Some(dir)))
            }
            Version::V2 => {
                if let Some(outer) = self.base.parent().filter(|_| self.is_inner) {
                    let controllers = self.dirs.keys().copied().collect();
                    making_way(outer, || hand_down(outer, &controllers))?;
                }
                make_dir(&self.base)?;
                make_dir(&self.base.join(OWN))
            }
        }
    }

    /// The kernel kills for memory all processes of the container or none. Those of containers within are not its own:
    /// as soon as there are such, its leaf has that property instead. Linux before 4.19 has none, and kills one process.
    fn end_together(&self) {
        if self.version != Version::V2 || !self.has(Controller::Memory) {
            return;
        }
        let set = |dir: &Path, value: &str| {
            let _ = write(&dir.join(GROUP_KILL), value);
        };
        set(&self.base, "1");
        if let Some(outer) = self.base.parent().filter(|_| self.is_inner) {
            set(outer, "0");
            set(&outer.join(OWN), "1");
        }
    }

    /// What is not allowed is refused, also what the container around it may have.
    fn limit_devices(&self, rules: &[DeviceRule]) -> Result<(), Error> {
        let Some(dir) = self.dirs.get(&Controller::Devices) else {
            return Ok(());
        };
        write(&dir.join("devices.deny"), "a")?;
        let allow = dir.join("devices.allow");
        let mut rules = rules.iter();
        rules.try_for_each(|rule| write(&allow, &rule.to_string()))
    }

    /// Changes which devices may be opened, the refusals last.
    pub(crate) fn change_devices(
        &self,
        allow: &[DeviceRule],
        deny: &[DeviceRule],
    ) -> Result<(), Error> {
        let Some(dir) = self.dirs.get(&Controller::Devices) else {
            return Ok(());
        };
        for (file, rules) in [("devices.allow", allow), ("devices.deny", deny)] {
            let path = dir.join(file);
            rules
                .iter()
                .try_for_each(|rule| write(&path, &rule.to_string()))?;
        }
        Ok(())
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
            Version::V2 => return vec![self.base.join(OWN).join("cgroup.procs")],
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
        let kills = |file: &str| {
            let text = self.read(Controller::Memory, file).ok()?;
            value_of(&text, "oom_kill")
        };
        let kills = match self.version {
            Version::V1 => kills("memory.oom_control"),
            // Those of containers within are theirs; kernels before 5.2 do not tell them apart.
            Version::V2 => match kills(LOCAL_EVENTS) {
                // As soon as there are such containers, the leaf has numbers of its own.
                Some(local) => {
                    let leaf = kills(&format!("{OWN}/{LOCAL_EVENTS}"));
                    Some(local.saturating_add(leaf.unwrap_or_default()))
                }
                None => kills("memory.events"),
            },
        };
        kills.is_some_and(|kills| kills > 0)
    }

    /// Where the shim is told that memory is short, which v2 leaves to the kernel.
    pub(crate) fn watched_memory(&self) -> Option<PathBuf> {
        let dir = self.dirs.get(&Controller::Memory);
        dir.filter(|_| self.version == Version::V1).cloned()
    }

    pub(crate) fn has(&self, controller: Controller) -> bool {
        self.dirs.contains_key(&controller)
    }

    /// The hard limit of memory that a process of the container meets: its own, or that of the container around it.
    fn memory_limit_bytes(&self) -> Option<u64> {
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

    /// What the kernel says of the memory of a container that ran out of it.
    pub fn memory_report(&self) -> MemoryReport {
        let peak = match self.version {
            Version::V1 => "memory.max_usage_in_bytes",
            // Since Linux 5.19.
            Version::V2 => "memory.peak",
        };
        let read = |file| self.read(Controller::Memory, file).ok();
        MemoryReport {
            limit_bytes: self.memory_limit_bytes(),
            peak_bytes: read(peak).and_then(|text| text.trim().parse().ok()),
            statistics: read("memory.stat"),
        }
    }

    /// Removes the directories, also those that the container made within. Errors: processes are left, or the kernel holds
    /// one for another reason; all others are removed.
    pub fn remove(&self) -> Result<(), Error> {
        let left = self.left.iter().map(PathBuf::as_path);
        let dirs = self.directories().into_iter().chain(left);
        dirs.map(remove_dir).fold(Ok(()), Result::and)
    }

    /// Counts from now on how often memory is short. Errors: v2, or a kernel that does not tell.
    pub(crate) fn count_pressure(&self) -> io::Result<Counters> {
        match (self.version, self.dirs.get(&Controller::Memory)) {
            (Version::V1, Some(dir)) => Counters::new(dir),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
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
                .any(|name| Some(name) == ours.unified_name())
        })
        .collect()
}

#[cfg(test)]
#[path = "cgroups_tests.rs"]
mod tests;

//! Owns which cgroups a container with a root file system of its own sees below `/sys/fs/cgroup`: its own ones, so that
//! programs in it find the limits they run into where they look for them (Mesos: `isolators/cgroups/cgroups.cpp`,
//! container-specific cgroups mounts), and nothing of other containers.

use super::Cgroups;
use crate::limits::{self, Controller, Limits, Version};
use crate::spec::ShownCgroup;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

/// What a container within another one has limits of, or shares with it.
const SHARED: [Controller; 2] = [Controller::Cpu, Controller::Memory];

impl Cgroups {
    /// What the container sees. One within another that has no limits of its own for CPU or memory sees the cgroup of
    /// that, since what is written there holds for it.
    pub(crate) fn shown(&self, container_id: &str, limits: &Limits) -> Vec<ShownCgroup> {
        let Some(own) = self.container(container_id) else {
            return Vec::new();
        };
        let outer = container_id.rsplit_once('.');
        let outer = outer.and_then(|(outer, _)| self.container(outer));
        let settings = limits::initial(limits, own.version);
        let limited: BTreeSet<_> = settings.iter().map(|it| it.controller).collect();
        let shares = |of: &BTreeSet<Controller>| {
            let mut shared = SHARED.iter().filter(|it| of.contains(it)).peekable();
            shared.peek().is_some() && !shared.any(|it| limited.contains(it))
        };
        let outer_of = |of: &BTreeSet<Controller>| outer.as_ref().filter(|_| shares(of));
        match self {
            Self::None { .. } => Vec::new(),
            Self::V2 { .. } => {
                let all = own.dirs.keys().copied().collect();
                let dir = outer_of(&all).unwrap_or(&own).base.clone();
                let name = Default::default();
                vec![ShownCgroup { dir, name }]
            }
            Self::V1 { roots, .. } => {
                debug_assert_eq!(own.version, Version::V1);
                let mut shown = Vec::new();
                for root in super::distinct(roots) {
                    let of = roots.iter().filter(|(_, it)| it.as_path() == root);
                    let of: BTreeSet<_> = of.map(|(controller, _)| *controller).collect();
                    let Some(first) = of.first() else { continue };
                    let Some(dir) = outer_of(&of).unwrap_or(&own).dirs.get(first) else {
                        continue;
                    };
                    // Hierarchies of several controllers are called after all of them.
                    let whole = root.parent().and_then(Path::file_name);
                    let names = of.iter().map(|it| OsStr::new(it.name()));
                    let names = whole
                        .into_iter()
                        .chain(names.filter(|it| Some(*it) != whole));
                    shown.extend(names.map(|name| ShownCgroup {
                        dir: dir.clone(),
                        name: name.to_owned(),
                    }));
                }
                shown
            }
        }
    }
}

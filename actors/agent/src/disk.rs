//! The disk of containers: what their sandboxes and volumes may hold, what they were found to hold, and the end of those
//! that hold more (Mesos' `disk/du` isolator, `posix/disk.cpp`). Containers within others count with the outermost.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use tepui_protocol::{
    resources::Entry,
    sizes,
    v1::{
        DiskStatistics, Resource, ResourceStatistics, TaskResourceLimitation, TaskState,
        resource::DiskInfo, task_status::Reason,
    },
};

use crate::{
    core::{NodeCore, Timer, Turn},
    effect::{Effect, ExecutorKey},
    status::Verdict,
    tables::{Executor, Stage},
    volumes,
};

const MEGABYTE: f64 = 1_048_576.0;

/// How disks are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskWatch {
    /// Between the end of one look and the next (`--container_disk_watch_interval`).
    pub interval: Duration,
    /// Whether a container that holds more than it may is ended (`--enforce_container_disk_quota`).
    pub enforced: bool,
}

impl DiskWatch {
    /// Mesos'.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);
}

/// What one directory of a container may hold.
struct Quota {
    directory: PathBuf,
    limit_bytes: u64,
    resources: Vec<Resource>,
    is_sandbox: bool,
}

impl Quota {
    fn disk(&self) -> Option<&DiskInfo> {
        self.resources.first()?.disk.as_deref()
    }

    /// A disk of its own is bounded by its size.
    fn is_enforced(&self) -> bool {
        let source = self.disk().and_then(|disk| disk.source.as_ref());
        use tepui_protocol::v1::resource::disk_info::source::Type::Mount;
        source.is_none_or(|source| source.r#type() != Mount)
    }
}

impl NodeCore {
    /// From the end of recovery on, for as long as the agent lives.
    pub(crate) fn watch_disks(&mut self, turn: &mut Turn<'_>) {
        let Some(watch) = self.config.disk_watch else {
            return;
        };
        let executors = self
            .frameworks
            .values()
            .flat_map(|it| it.executors.values());
        let quotas = executors.flat_map(|executor| self.quotas(executor));
        let directories: BTreeSet<_> = quotas.map(|quota| quota.directory).collect();
        if directories.is_empty() {
            return self.set_timer(turn.now.monotonic + watch.interval, Timer::Disks);
        }
        turn.out.push(Effect::WeighDisks {
            directories: directories.into_iter().collect(),
        });
    }

    /// The answer to [`Effect::WeighDisks`].
    pub(crate) fn disks_weighed(&mut self, turn: &mut Turn<'_>, used: BTreeMap<PathBuf, u64>) {
        let Some(watch) = self.config.disk_watch else {
            return;
        };
        self.disk_used = used;
        if watch.enforced {
            for (key, verdict) in self.over_quota() {
                self.end_with(turn, &key, &verdict);
            }
        }
        self.set_timer(turn.now.monotonic + watch.interval, Timer::Disks);
    }

    fn over_quota(&self) -> Vec<(ExecutorKey, Verdict)> {
        let mut over = Vec::new();
        for (framework_id, framework) in &self.frameworks {
            for (executor_id, executor) in &framework.executors {
                let mut quotas = self.quotas(executor).into_iter();
                let verdict = quotas.find_map(|quota| self.verdict_on(&quota));
                over.extend(verdict.map(|verdict| {
                    let key = ExecutorKey {
                        framework_id: framework_id.clone(),
                        executor_id: executor_id.clone(),
                    };
                    (key, verdict)
                }));
            }
        }
        over
    }

    fn verdict_on(&self, quota: &Quota) -> Option<Verdict> {
        let used = *self.disk_used.get(&quota.directory)?;
        if used <= quota.limit_bytes || !quota.is_enforced() {
            return None;
        }
        let message = format!(
            "Disk usage ({}) exceeds quota ({})",
            sizes::text(used),
            sizes::text(quota.limit_bytes)
        );
        let reason = Reason::ContainerLimitationDisk;
        Some(Verdict {
            limitation: Some(TaskResourceLimitation {
                resources: quota.resources.clone(),
            }),
            ..Verdict::agent(TaskState::TaskFailed, reason, message)
        })
    }

    /// What a container's directories may hold, each directory once; empty where it has no disk, or has ended.
    fn quotas(&self, executor: &Executor) -> Vec<Quota> {
        if !self.containers.contains_key(&executor.container_id) {
            return Vec::new();
        }
        let entries = executor.tasks.values();
        let live = entries.filter(|entry| entry.stage != Stage::Terminated);
        let of_tasks = live.flat_map(|entry| &entry.info.resources);
        let disks = executor.info.resources.iter().chain(of_tasks);
        let mut quotas: Vec<Quota> = Vec::new();
        for resource in disks.filter(|resource| resource.name == "disk") {
            let is_sandbox = resource.disk.as_ref().is_none_or(|it| it.volume.is_none());
            let directory = match is_sandbox {
                true => Some(executor.sandbox.clone()),
                false => Entry::from_proto(resource)
                    .ok()
                    .and_then(|entry| volumes::directory(&self.config.work_dir, &entry))
                    .map(|volume| volume.path),
            };
            let Some(directory) = directory else {
                continue;
            };
            match quotas.iter_mut().find(|it| it.directory == directory) {
                // A volume that is shared is no larger for being used twice.
                Some(known) if known.is_sandbox => {
                    known.limit_bytes += bytes(resource);
                    known.resources.push(resource.clone());
                }
                Some(_) => {}
                None => quotas.push(Quota {
                    directory,
                    limit_bytes: bytes(resource),
                    resources: vec![resource.clone()],
                    is_sandbox,
                }),
            }
        }
        quotas
    }

    /// Completes what was measured of a container.
    pub(crate) fn add_disk_statistics(
        &self,
        key: &ExecutorKey,
        statistics: &mut ResourceStatistics,
    ) {
        let executor = self
            .executor(key)
            .filter(|_| self.config.disk_watch.is_some());
        for quota in executor.map_or_else(Vec::new, |executor| self.quotas(executor)) {
            let used = self.disk_used.get(&quota.directory).copied();
            if quota.is_sandbox {
                statistics.disk_limit_bytes = Some(quota.limit_bytes);
                statistics.disk_used_bytes = Some(used.unwrap_or(0));
            }
            let disk = quota.disk();
            statistics.disk_statistics.push(DiskStatistics {
                source: disk.and_then(|disk| disk.source.clone()),
                persistence: disk.and_then(|disk| disk.persistence.clone()),
                limit_bytes: Some(quota.limit_bytes),
                used_bytes: used,
            });
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an amount of a disk, from the master"
)]
fn bytes(disk: &Resource) -> u64 {
    let megabytes = disk.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
    (megabytes * MEGABYTE) as u64
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;

//! Tasks: `/tasks`, and their part of `/state`.

use serde::{Serialize, Serializer, ser::SerializeMap};
use tepui_protocol::{
    roles,
    v1::{ContainerStatus, NetworkInfo, Task, TaskStatus},
};

use super::values::{Entries, Fields, List, Object, Summed, labels, optional, parsed};
use crate::world::World;

/// `/tasks`: by the time of the first status, of all frameworks or one.
pub struct Tasks<'a> {
    pub world: &'a World,
    pub framework_id: Option<&'a str>,
    pub task_id: Option<&'a str>,
    pub limit: usize,
    pub offset: usize,
    pub ascending: bool,
}

impl Serialize for Tasks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let frameworks = self.world.all_frameworks().filter(|framework| {
            let wanted = self.framework_id;
            wanted.is_none_or(|wanted| wanted == framework.id())
        });
        let tasks = frameworks
            .flat_map(|framework| framework.all_tasks())
            .filter(|task| {
                self.task_id
                    .is_none_or(|wanted| wanted == task.task_id.value)
            });
        let tasks = self.page_of(tasks);
        let page = || tasks.iter().map(|task| TaskObject(task));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("tasks", &List(page))?;
        map.end()
    }
}

impl Tasks<'_> {
    /// Those that are asked for, in order. Of many tasks only these are sorted.
    fn page_of<'t>(&self, tasks: impl Iterator<Item = &'t Task>) -> Vec<&'t Task> {
        // With its place, so that tasks of one moment are in the same order whatever page is asked for.
        let tasks = tasks.enumerate();
        let mut tasks: Vec<_> = tasks
            .map(|(at, task)| (first_status(task), at, task))
            .collect();
        let order = |a: &(f64, usize, &Task), b: &(f64, usize, &Task)| {
            let by_time = a.0.total_cmp(&b.0);
            let by_time = if self.ascending {
                by_time
            } else {
                by_time.reverse()
            };
            by_time.then(a.1.cmp(&b.1))
        };
        let end = self.offset.saturating_add(self.limit);
        if end < tasks.len() {
            tasks.select_nth_unstable_by(end, order);
            tasks.truncate(end);
        }
        tasks.sort_unstable_by(order);
        let page = tasks.into_iter().skip(self.offset);
        page.map(|(_, _, task)| task).collect()
    }
}

/// Tasks without a status count as the oldest.
fn first_status(task: &Task) -> f64 {
    let first = task.statuses.first();
    first.map_or(f64::NEG_INFINITY, |status| status.timestamp())
}

/// One task.
pub(super) struct TaskObject<'a>(pub(super) &'a Task);

impl Serialize for TaskObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let task = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &task.task_id.value)?;
        map.serialize_entry("name", &task.name)?;
        map.serialize_entry("framework_id", &task.framework_id.value)?;
        let executor = task.executor_id.as_ref().map_or("", |id| &id.value);
        map.serialize_entry("executor_id", executor)?;
        map.serialize_entry("slave_id", &task.agent_id.value)?;
        map.serialize_entry("state", task.state().as_str_name())?;
        let resources = parsed(&task.resources);
        map.serialize_entry("resources", &Summed(&resources))?;
        if !task.limits.is_empty() {
            let limits = || {
                task.limits
                    .iter()
                    .map(|(name, limit)| (name, Limit(limit.value)))
            };
            map.serialize_entry("limits", &Entries(limits))?;
        }
        // All resources of a task are allocated to one role (MESOS-6636).
        let role = resources
            .iter()
            .next()
            .and_then(|entry| entry.allocation_role());
        map.serialize_entry("role", role.unwrap_or(roles::ANY))?;
        let statuses = || task.statuses.iter().map(|status| Object(Status(status)));
        map.serialize_entry("statuses", &List(statuses))?;
        optional(&mut map, "user", task.user.as_ref())?;
        optional(&mut map, "labels", labels(&task.labels))?;
        optional(&mut map, "discovery", task.discovery.as_ref())?;
        optional(&mut map, "container", task.container.as_ref())?;
        optional(&mut map, "health_check", task.health_check.as_ref())?;
        map.end()
    }
}

/// A number, or `"Infinity"`: no limit.
struct Limit(f64);

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_infinite() {
            return serializer.serialize_str("Infinity");
        }
        serializer.serialize_f64(self.0)
    }
}

struct Status<'a>(&'a TaskStatus);

impl Fields for Status<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let status = self.0;
        map.serialize_entry("state", status.state().as_str_name())?;
        map.serialize_entry("timestamp", &status.timestamp())?;
        optional(map, "labels", labels(&status.labels))?;
        let container = status.container_status.as_ref();
        optional(
            map,
            "container_status",
            container.map(|status| Object(Container(status))),
        )?;
        optional(map, "healthy", status.healthy)
    }
}

struct Container<'a>(&'a ContainerStatus);

impl Fields for Container<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let status = self.0;
        optional(map, "container_id", status.container_id.as_ref())?;
        if !status.network_infos.is_empty() {
            let networks = || {
                status
                    .network_infos
                    .iter()
                    .map(|info| Object(Network(info)))
            };
            map.serialize_entry("network_infos", &List(networks))?;
        }
        optional(map, "cgroup_info", status.cgroup_info.as_ref())
    }
}

struct Network<'a>(&'a NetworkInfo);

impl Fields for Network<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let info = self.0;
        map.serialize_entry("ip_addresses", &info.ip_addresses)?;
        optional(map, "name", info.name.as_ref())?;
        if !info.groups.is_empty() {
            map.serialize_entry("groups", &info.groups)?;
        }
        optional(map, "labels", labels(&info.labels))?;
        if !info.port_mappings.is_empty() {
            map.serialize_entry("port_mappings", &info.port_mappings)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tepui_protocol::v1::TaskId;

    use super::*;

    /// Of forty tasks the first statuses are of five moments; each sixth has none.
    fn tasks() -> Vec<Task> {
        let task = |number: u32| {
            let status = TaskStatus {
                timestamp: Some(f64::from(number * 7 % 5)),
                ..TaskStatus::default()
            };
            let has_status = !number.is_multiple_of(6);
            Task {
                task_id: TaskId {
                    value: number.to_string(),
                },
                statuses: has_status.then_some(status).into_iter().collect(),
                ..Task::default()
            }
        };
        (0..40).map(task).collect()
    }

    #[test]
    fn a_page_is_that_part_of_all_in_order() {
        let (tasks, world) = (tasks(), World::default());
        for ascending in [true, false] {
            let mut all: Vec<&Task> = tasks.iter().collect();
            all.sort_by(|a, b| {
                let by_time = first_status(a).total_cmp(&first_status(b));
                if ascending {
                    by_time
                } else {
                    by_time.reverse()
                }
            });
            for (offset, limit) in
                (0..42).flat_map(|offset| [0, 1, 9, 40, usize::MAX].map(|limit| (offset, limit)))
            {
                let question = Tasks {
                    world: &world,
                    framework_id: None,
                    task_id: None,
                    limit,
                    offset,
                    ascending,
                };
                let expected: Vec<&Task> = all.iter().skip(offset).take(limit).copied().collect();
                assert_eq!(question.page_of(tasks.iter()), expected, "{offset} {limit}");
            }
        }
    }
}

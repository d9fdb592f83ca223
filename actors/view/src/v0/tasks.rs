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
        let mut tasks: Vec<&Task> = frameworks
            .flat_map(|framework| framework.all_tasks())
            .filter(|task| {
                self.task_id
                    .is_none_or(|wanted| wanted == task.task_id.value)
            })
            .collect();
        if self.ascending {
            tasks.sort_by(|a, b| first_status(a).total_cmp(&first_status(b)));
        } else {
            tasks.sort_by(|a, b| first_status(b).total_cmp(&first_status(a)));
        }
        let page = || {
            let page = tasks.iter().skip(self.offset).take(self.limit);
            page.map(|task| TaskObject(task))
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("tasks", &List(page))?;
        map.end()
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

//! Frameworks: `/frameworks`, and their part of `/state` and `/state-summary`.

use serde::{Serialize, Serializer, ser::SerializeMap};
use tepui_protocol::{
    roles,
    v1::{CommandInfo, ExecutorInfo, Offer, scheduler::OfferConstraints},
};

use super::{
    tasks::TaskObject,
    values::{Fields, List, Object, Summed, labels, optional, parsed, seconds},
};
use crate::world::{Framework, World};

/// `/frameworks`, all of them or one.
pub struct Frameworks<'a> {
    pub world: &'a World,
    pub id: Option<&'a str>,
}

impl Serialize for Frameworks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        frameworks(self.world, self.id, &mut map)?;
        map.serialize_entry("unregistered_frameworks", &[(); 0])?;
        map.end()
    }
}

/// The fields `frameworks` and `completed_frameworks`.
pub(super) fn frameworks<M: SerializeMap>(
    world: &World,
    id: Option<&str>,
    map: &mut M,
) -> Result<(), M::Error> {
    let wanted = |framework: &&Framework| id.is_none_or(|wanted| wanted == framework.id());
    let registered = || world.frameworks.values().filter(wanted).map(full);
    let completed = || world.completed.iter().filter(wanted).map(full);
    map.serialize_entry("frameworks", &List(registered))?;
    map.serialize_entry("completed_frameworks", &List(completed))
}

fn full(framework: &Framework) -> Object<FullFramework<'_>> {
    Object(FullFramework(framework))
}

/// What `/state-summary` shows of a framework beside the counts.
pub(super) struct Summary<'a>(pub(super) &'a Framework);

impl Fields for Summary<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let framework = self.0;
        let record = &*framework.record;
        map.serialize_entry("id", framework.id())?;
        map.serialize_entry("name", &record.info.name)?;
        map.serialize_entry("used_resources", &Summed(&framework.used.sum()))?;
        map.serialize_entry("offered_resources", &Summed(&framework.offered.sum()))?;
        let capabilities = || {
            let capabilities = record.info.capabilities.iter();
            capabilities.map(|capability| capability.r#type().as_str_name())
        };
        map.serialize_entry("capabilities", &List(capabilities))?;
        map.serialize_entry("hostname", record.info.hostname())?;
        map.serialize_entry("webui_url", record.info.webui_url())?;
        map.serialize_entry("active", &record.active)?;
        map.serialize_entry("connected", &record.connected)?;
        map.serialize_entry("recovered", &record.recovered)
    }
}

struct FullFramework<'a>(&'a Framework);

impl Fields for FullFramework<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let framework = self.0;
        let record = &*framework.record;
        let info = &record.info;
        Summary(framework).write(map)?;
        map.serialize_entry("user", &info.user)?;
        map.serialize_entry("failover_timeout", &info.failover_timeout())?;
        map.serialize_entry("checkpoint", &info.checkpoint())?;
        map.serialize_entry("registered_time", &seconds(record.registered_at))?;
        map.serialize_entry("unregistered_time", &seconds(framework.unregistered_at))?;
        optional(map, "principal", info.principal.as_ref())?;
        let sum = framework.used.sum() + framework.offered.sum();
        map.serialize_entry("resources", &Summed(&sum))?;
        let again = record.reregistered_at;
        let again = again.filter(|at| *at != record.registered_at);
        optional(map, "reregistered_time", again.map(seconds))?;
        if framework.is_multi_role() {
            map.serialize_entry("roles", &info.roles)?;
        } else {
            map.serialize_entry("role", info.role.as_deref().unwrap_or(roles::ANY))?;
        }
        let tasks = || framework.tasks.values().map(|task| TaskObject(task));
        map.serialize_entry("tasks", &List(tasks))?;
        let unreachable = || framework.unreachable.values().map(|task| TaskObject(task));
        map.serialize_entry("unreachable_tasks", &List(unreachable))?;
        let completed = || framework.completed.iter().map(|task| TaskObject(task));
        map.serialize_entry("completed_tasks", &List(completed))?;
        let offers = || {
            framework
                .offers
                .values()
                .map(|open| Object(OfferFields(&open.offer)))
        };
        map.serialize_entry("offers", &List(offers))?;
        let executors = || {
            let executors = framework.executors.iter();
            executors.map(|((agent, _), info)| Object(Executor { info, agent }))
        };
        map.serialize_entry("executors", &List(executors))?;
        optional(map, "labels", labels(&info.labels))?;
        match &record.offer_constraints {
            Some(constraints) => map.serialize_entry("offer_constraints", constraints),
            None => map.serialize_entry("offer_constraints", &OfferConstraints::default()),
        }
    }
}

struct OfferFields<'a>(&'a Offer);

impl Fields for OfferFields<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let offer = self.0;
        map.serialize_entry("id", &offer.id.value)?;
        map.serialize_entry("framework_id", &offer.framework_id.value)?;
        optional(map, "allocation_info", offer.allocation_info.as_ref())?;
        map.serialize_entry("slave_id", &offer.agent_id.value)?;
        let resources = parsed(&offer.resources);
        map.serialize_entry("resources", &Summed(&resources))
    }
}

struct Executor<'a> {
    info: &'a ExecutorInfo,
    agent: &'a str,
}

impl Fields for Executor<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let info = self.info;
        map.serialize_entry("executor_id", &info.executor_id.value)?;
        map.serialize_entry("name", info.name())?;
        let framework = info.framework_id.as_ref().map_or("", |id| &id.value);
        map.serialize_entry("framework_id", framework)?;
        let nothing = CommandInfo::default();
        let command = info.command.as_ref().unwrap_or(&nothing);
        map.serialize_entry("command", &Object(Command(command)))?;
        let resources = parsed(&info.resources);
        map.serialize_entry("resources", &Summed(&resources))?;
        let role = resources.iter().next().map(|entry| entry.allocation_role());
        optional(map, "role", role.map(|role| role.unwrap_or(roles::ANY)))?;
        optional(map, "labels", labels(&info.labels))?;
        let kind = info.r#type.map(|_| info.r#type().as_str_name());
        optional(map, "type", kind)?;
        map.serialize_entry("slave_id", self.agent)
    }
}

struct Command<'a>(&'a CommandInfo);

impl Fields for Command<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let command = self.0;
        optional(map, "shell", command.shell)?;
        optional(map, "value", command.value.as_ref())?;
        map.serialize_entry("argv", &command.arguments)?;
        optional(map, "environment", command.environment.as_ref())?;
        let uris = || {
            command
                .uris
                .iter()
                .map(|uri| Object(Uri(&uri.value, uri.executable())))
        };
        map.serialize_entry("uris", &List(uris))
    }
}

struct Uri<'a>(&'a str, bool);

impl Fields for Uri<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("value", self.0)?;
        map.serialize_entry("executable", &self.1)
    }
}

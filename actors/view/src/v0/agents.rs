//! Agents: `/slaves`, and their part of `/state` and `/state-summary`.

use std::ops::Bound;

use serde::{Serialize, Serializer, ser::SerializeMap};
use tepui_protocol::v1::AgentInfo;

use super::values::{Attributes, Entries, Fields, List, Object, Summed, optional, seconds};
use crate::world::{Agent, Usage, World};

/// `/slaves`, of all agents or of one.
pub struct Slaves<'a> {
    pub world: &'a World,
    pub id: Option<&'a str>,
}

impl Serialize for Slaves<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wanted: (Bound<&str>, Bound<&str>) = match self.id {
            Some(id) => (Bound::Included(id), Bound::Included(id)),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(
            "slaves",
            &List(|| {
                let agents = self.world.agents.range::<str, _>(wanted);
                agents.map(|(id, agent)| Object(FullAgent(agent, self.world.usage_of(id))))
            }),
        )?;
        map.serialize_entry(
            "recovered_slaves",
            &List(|| {
                let agents = self.world.recovered.range::<str, _>(wanted);
                agents.map(|(_, info)| Object(Info(info)))
            }),
        )?;
        map.end()
    }
}

/// What an agent says of itself.
pub(super) struct Info<'a>(pub(super) &'a AgentInfo);

impl Fields for Info<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let info = self.0;
        let id = info.id.as_ref().map_or("", |id| &id.value);
        map.serialize_entry("id", id)?;
        map.serialize_entry("hostname", &info.hostname)?;
        map.serialize_entry("port", &info.port())?;
        map.serialize_entry("attributes", &Attributes(&info.attributes))?;
        optional(map, "domain", info.domain.as_ref())
    }
}

/// A registered agent, as in `/state`.
pub(super) struct PlainAgent<'a>(pub(super) &'a Agent, pub(super) &'a Usage);

impl Fields for PlainAgent<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(agent, usage) = self;
        let record = &*agent.record;
        Info(&record.info).write(map)?;
        map.serialize_entry("pid", &record.pid)?;
        map.serialize_entry("registered_time", &seconds(record.registered_at))?;
        optional(
            map,
            "reregistered_time",
            record.reregistered_at.map(seconds),
        )?;
        map.serialize_entry("resources", &Summed(&agent.total))?;
        map.serialize_entry("used_resources", &Summed(&usage.used))?;
        map.serialize_entry("offered_resources", &Summed(&usage.offered))?;
        let reserved = || {
            agent
                .reserved
                .iter()
                .map(|(role, part)| (role, Summed(part)))
        };
        map.serialize_entry("reserved_resources", &Entries(reserved))?;
        map.serialize_entry("unreserved_resources", &Summed(&agent.unreserved))?;
        map.serialize_entry("active", &record.active)?;
        map.serialize_entry("deactivated", &record.deactivated)?;
        map.serialize_entry("version", &record.version)?;
        let capabilities = || {
            let capabilities = record.capabilities.iter();
            capabilities.map(|capability| capability.r#type().as_str_name())
        };
        map.serialize_entry("capabilities", &List(capabilities))?;
        optional(map, "drain_info", record.drain_info.as_ref())?;
        let draining = record.drain_started_at.map(seconds);
        optional(map, "estimated_drain_start_time_seconds", draining)
    }
}

/// A registered agent, as in `/slaves`: every single resource beside the sums.
struct FullAgent<'a>(&'a Agent, &'a Usage);

impl Fields for FullAgent<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(agent, usage) = self;
        PlainAgent(agent, usage).write(map)?;
        let reserved = || {
            let parts = agent.reserved.iter();
            parts.map(|(role, part)| (role, part.to_endpoint()))
        };
        map.serialize_entry("reserved_resources_full", &Entries(reserved))?;
        map.serialize_entry("unreserved_resources_full", &agent.unreserved.to_endpoint())?;
        map.serialize_entry("used_resources_full", &usage.used.to_endpoint())?;
        map.serialize_entry("offered_resources_full", &usage.offered.to_endpoint())
    }
}

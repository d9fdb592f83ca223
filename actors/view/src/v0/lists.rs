//! `/roles`, `/weights` and `/maintenance/*`.

use serde::{Serialize, Serializer, ser::SerializeMap};
use tepui_protocol::v1::{
    MachineId, Unavailability, allocator::InverseOfferStatus,
    maintenance::cluster_status::DrainingMachine, quota::QuotaConfig, value,
};

use super::values::{Entries, Fields, List, Object, Plain, optional};
use crate::{
    api,
    roles::{KnownRole, known_roles},
    world::World,
};

/// `/roles`.
pub struct Roles<'a> {
    pub world: &'a World,
}

impl Serialize for Roles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let roles = known_roles(self.world);
        let objects = || {
            roles
                .iter()
                .map(|(name, role)| Object(RoleFields(name, role)))
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("roles", &List(objects))?;
        map.end()
    }
}

struct RoleFields<'a>(&'a str, &'a KnownRole<'a>);

impl Fields for RoleFields<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(name, role) = self;
        map.serialize_entry("name", name)?;
        map.serialize_entry("weight", &role.weight)?;
        map.serialize_entry("quota", &Object(QuotaFields(name, role)))?;
        map.serialize_entry("resources", &Plain(&role.allocated_and_offered()))?;
        map.serialize_entry("allocated", &Plain(&role.totals.allocated))?;
        map.serialize_entry("offered", &Plain(&role.totals.offered))?;
        map.serialize_entry("reserved", &Plain(&role.totals.reserved))?;
        map.serialize_entry("frameworks", &role.frameworks)
    }
}

struct QuotaFields<'a>(&'a str, &'a KnownRole<'a>);

impl Fields for QuotaFields<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(name, role) = self;
        let nothing = QuotaConfig::default();
        let quota = role.quota.unwrap_or(&nothing);
        let amount = |(name, scalar): (_, &value::Scalar)| (name, scalar.value);
        map.serialize_entry("role", name)?;
        let guarantees = || quota.guarantees.iter().map(amount);
        map.serialize_entry("guarantee", &Entries(guarantees))?;
        let limits = || quota.limits.iter().map(amount);
        map.serialize_entry("limit", &Entries(limits))?;
        map.serialize_entry("consumed", &Plain(&role.consumed()))
    }
}

/// `/weights`.
pub struct Weights<'a> {
    pub world: &'a World,
}

impl Serialize for Weights<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let weights = self.world.weights.iter();
        serializer.collect_seq(weights.map(|(role, weight)| Object(Weight(role, *weight))))
    }
}

struct Weight<'a>(&'a str, f64);

impl Fields for Weight<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("role", self.0)?;
        map.serialize_entry("weight", &self.1)
    }
}

/// `/maintenance/schedule`, keys in alphabetical order.
pub struct MaintenanceSchedule<'a> {
    pub world: &'a World,
}

impl Serialize for MaintenanceSchedule<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let windows = &self.world.maintenance.schedule.windows;
        let mut map = serializer.serialize_map(None)?;
        if !windows.is_empty() {
            let objects = || {
                windows
                    .iter()
                    .map(|w| Object(Window(&w.machine_ids, &w.unavailability)))
            };
            map.serialize_entry("windows", &List(objects))?;
        }
        map.end()
    }
}

struct Window<'a>(&'a [MachineId], &'a Unavailability);

impl Fields for Window<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("machine_ids", self.0)?;
        map.serialize_entry("unavailability", &Object(During(self.1)))
    }
}

struct During<'a>(&'a Unavailability);

impl Fields for During<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        optional(map, "duration", self.0.duration.as_ref())?;
        map.serialize_entry("start", &self.0.start)
    }
}

/// `/maintenance/status`, keys in alphabetical order.
pub struct MaintenanceStatus<'a> {
    pub world: &'a World,
}

impl Serialize for MaintenanceStatus<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = api::cluster_status(self.world);
        let mut map = serializer.serialize_map(None)?;
        if !status.down_machines.is_empty() {
            map.serialize_entry("down_machines", &status.down_machines)?;
        }
        if !status.draining_machines.is_empty() {
            let machines = || status.draining_machines.iter();
            let machines = || machines().map(|machine| Object(DrainingFields(machine)));
            map.serialize_entry("draining_machines", &List(machines))?;
        }
        map.end()
    }
}

struct DrainingFields<'a>(&'a DrainingMachine);

impl Fields for DrainingFields<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("id", &self.0.id)?;
        if self.0.statuses.is_empty() {
            return Ok(());
        }
        let statuses = || self.0.statuses.iter();
        let statuses = || statuses().map(|status| Object(StatusFields(status)));
        map.serialize_entry("statuses", &List(statuses))
    }
}

struct StatusFields<'a>(&'a InverseOfferStatus);

impl Fields for StatusFields<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("framework_id", &self.0.framework_id)?;
        map.serialize_entry("status", self.0.status().as_str_name())?;
        map.serialize_entry("timestamp", &self.0.timestamp)
    }
}

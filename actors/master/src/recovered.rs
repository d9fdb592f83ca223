//! What a newly elected master begins with, read from the registry.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message;
use tepui_messages::{UnixNanos, change::MaintenanceRecord};
use tepui_protocol::v1::{
    AgentInfo, DrainInfo, FrameworkId, FrameworkInfo, maintenance::Schedule, quota::QuotaConfig,
};
use tepui_registry::{Maintenance, Registry, RemovedFramework};

use crate::refusals::{self, Refusal, Refusals};

/// What the registry held when this master was elected.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    pub agents: Vec<AgentInfo>,
    /// Agent id and since when.
    pub unreachable: Vec<(String, UnixNanos)>,
    pub gone: Vec<(String, UnixNanos)>,
    /// Of the admitted and the unreachable, those that are out of offers.
    pub deactivated: BTreeSet<String>,
    /// Of those, the ones that drain or are drained.
    pub draining: BTreeMap<String, DrainInfo>,
    pub frameworks: Vec<RecoveredFramework>,
    /// Nanoseconds counted by leaders and, since the last that was written, by this member.
    pub counted_nanos: i64,
    /// Oldest first.
    pub completed_frameworks: Vec<CompletedFramework>,
    pub weights: BTreeMap<String, f64>,
    pub quota: Vec<QuotaConfig>,
    pub maintenance: MaintenanceRecord,
}

#[derive(Debug, Clone)]
pub struct RecoveredFramework {
    pub info: FrameworkInfo,
    pub suppressed_roles: Vec<String>,
    /// When its failover time ends, in counted time. Absent where it was connected when the last leader ended.
    pub deadline: Option<i64>,
    /// What it refused for long.
    pub(crate) refusals: Refusals,
}

/// One that has ended.
#[derive(Debug, Clone)]
pub struct CompletedFramework {
    /// With its id.
    pub info: FrameworkInfo,
    pub at: UnixNanos,
}

impl Recovered {
    /// What a newly elected master begins with. A record that cannot be read is left out, and said so.
    pub fn from_registry(registry: &Registry) -> Recovered {
        Recovered {
            agents: decode_all(
                "agent",
                registry.agents.iter().map(|(id, agent)| (id, &agent.info)),
            ),
            unreachable: registry
                .unreachable
                .iter()
                .map(|(id, agent)| (id.clone(), agent.at_nanos))
                .collect(),
            gone: registry
                .gone
                .iter()
                .map(|(id, at)| (id.clone(), *at))
                .collect(),
            deactivated: deactivated(registry),
            draining: draining(registry),
            frameworks: frameworks(registry),
            counted_nanos: registry.counted_nanos,
            completed_frameworks: registry
                .removed_frameworks
                .values()
                .map(completed_framework)
                .collect(),
            weights: registry.weights.clone(),
            quota: decode_all("quota", registry.quotas.iter()),
            maintenance: maintenance(&registry.maintenance),
        }
    }
}

fn deactivated(registry: &Registry) -> BTreeSet<String> {
    let admitted = registry.agents.iter();
    let admitted = admitted.filter(|(_, agent)| agent.deactivated);
    let unreachable = registry.unreachable.iter();
    let unreachable = unreachable.filter(|(_, agent)| agent.deactivated);
    let ids = admitted.map(|(id, _)| id);
    ids.chain(unreachable.map(|(id, _)| id)).cloned().collect()
}

fn draining(registry: &Registry) -> BTreeMap<String, DrainInfo> {
    let admitted = registry.agents.iter().map(|(id, it)| (id, &it.drain));
    let unreachable = registry.unreachable.iter().map(|(id, it)| (id, &it.drain));
    let records = admitted.chain(unreachable);
    records
        .filter_map(|(id, drain)| Some((id.clone(), decode("drain info", id, drain.as_ref()?)?)))
        .collect()
}

fn frameworks(registry: &Registry) -> Vec<RecoveredFramework> {
    let records = registry.frameworks.iter();
    records
        .filter_map(|(id, record)| {
            Some(RecoveredFramework {
                info: decode("framework", id, &record.info)?,
                suppressed_roles: record.suppressed.iter().cloned().collect(),
                deadline: record.failover_ends_nanos,
                refusals: refusals_of(registry, id),
            })
        })
        .collect()
}

/// Those that cannot be read are left out: they are only offered once more.
fn refusals_of(registry: &Registry, framework: &str) -> Refusals {
    let mut refusals = Refusals::new();
    for (agent, roles) in registry.refusals.get(framework).into_iter().flatten() {
        for (role, record) in roles {
            let Some(resources) = refusals::decode(&record.resources) else {
                continue;
            };
            let refusal = Refusal {
                until: record.until_nanos,
                resources: resources.into(),
                untold: true,
            };
            refusals.insert((agent.clone(), role.clone()), refusal);
        }
    }
    refusals
}

/// Its id is remembered also where the rest cannot be read.
fn completed_framework(removed: &RemovedFramework) -> CompletedFramework {
    let info: Option<FrameworkInfo> = decode("framework", &removed.id, &removed.info);
    CompletedFramework {
        info: FrameworkInfo {
            id: Some(FrameworkId {
                value: removed.id.clone(),
            }),
            ..info.unwrap_or_default()
        },
        at: removed.at_nanos,
    }
}

fn maintenance(maintenance: &Maintenance) -> MaintenanceRecord {
    let machines: BTreeMap<&String, &Bytes> = maintenance
        .machines
        .iter()
        .map(|(name, machine)| (name, &machine.info))
        .collect();
    let schedule: Option<Schedule> = maintenance
        .schedule
        .as_ref()
        .and_then(|bytes| decode("maintenance", "schedule", bytes));
    MaintenanceRecord {
        schedule: schedule.unwrap_or_default(),
        machines: decode_all("machine", machines.into_iter()),
    }
}

fn decode_all<'a, T: Message + Default>(
    what: &str,
    records: impl Iterator<Item = (&'a String, &'a Bytes)>,
) -> Vec<T> {
    records
        .filter_map(|(id, bytes)| decode(what, id, bytes))
        .collect()
}

fn decode<T: Message + Default>(what: &str, id: &str, bytes: &Bytes) -> Option<T> {
    T::decode(bytes.clone())
        .inspect_err(|error| tracing::error!(what, id, %error, "a record of the registry cannot be read and is left out"))
        .ok()
}

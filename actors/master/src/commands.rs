//! Between the master's tables and the registry, which keeps protocol messages as their bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use tepui_messages::change::MaintenanceRecord;
use tepui_protocol::v1::{
    AgentInfo, FrameworkId, FrameworkInfo, MachineInfo, machine_info, maintenance::Schedule,
    quota::QuotaConfig,
};
use tepui_registry::{
    Command, MachineMode, MachineRecord, Maintenance, Registry, RemovedFramework,
};

use crate::{
    core::{CompletedFramework, Recovered, RecoveredFramework},
    refusals::{self, Refusal, Refusals},
};

fn bytes(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

pub(crate) fn admit_framework(info: &FrameworkInfo, suppressed: Vec<String>) -> Command {
    Command::AdmitFramework {
        id: framework_id(info),
        info: bytes(info),
        suppressed,
    }
}

pub(crate) fn update_framework(info: &FrameworkInfo, suppressed: Vec<String>) -> Command {
    Command::UpdateFramework {
        id: framework_id(info),
        info: bytes(info),
        suppressed,
    }
}

fn framework_id(info: &FrameworkInfo) -> String {
    info.id.clone().unwrap_or_default().value
}

fn agent_id(info: &AgentInfo) -> String {
    info.id.clone().unwrap_or_default().value
}

pub(crate) fn admit_agent(info: &AgentInfo) -> Command {
    Command::AdmitAgent {
        id: agent_id(info),
        info: bytes(info),
    }
}

pub(crate) fn update_agent(info: &AgentInfo) -> Command {
    Command::UpdateAgent {
        id: agent_id(info),
        info: bytes(info),
    }
}

pub(crate) fn mark_reachable(info: &AgentInfo) -> Command {
    Command::MarkReachable {
        id: agent_id(info),
        info: bytes(info),
    }
}

/// What changes `old` into `new`.
pub(crate) fn change_quota(old: &[QuotaConfig], new: &[QuotaConfig]) -> Command {
    let set = new.iter().filter(|config| !old.contains(config));
    let removed = old
        .iter()
        .filter(|config| new.iter().all(|other| other.role != config.role));
    Command::UpdateQuota {
        set: set
            .map(|config| (config.role.clone(), bytes(config)))
            .collect(),
        remove: removed.map(|config| config.role.clone()).collect(),
    }
}

pub(crate) fn change_maintenance(record: &MaintenanceRecord) -> Command {
    let machines = record.machines.iter().map(|machine| {
        let name = format!("{}/{}", machine.id.hostname(), machine.id.ip());
        (
            name,
            MachineRecord {
                mode: mode(machine),
                info: bytes(machine),
            },
        )
    });
    Command::UpdateSchedule {
        maintenance: Maintenance {
            schedule: (!record.schedule.windows.is_empty()).then(|| bytes(&record.schedule)),
            machines: machines.collect(),
        },
    }
}

fn mode(machine: &MachineInfo) -> MachineMode {
    match machine.mode() {
        machine_info::Mode::Up => MachineMode::Up,
        machine_info::Mode::Draining => MachineMode::Draining,
        machine_info::Mode::Down => MachineMode::Down,
    }
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
                resources,
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

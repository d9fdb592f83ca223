//! The operator API: GET_* answers and the events of the operator stream, in JSON and protobuf.
//!
//! Owns how the world becomes messages of `mesos.v1.master`. Tasks, of which there may be very many, are
//! written from where they stand; all else is built and then encoded. Never answers what is not of the
//! world: flags, version, logging, files.

mod events;
mod models;
mod snapshot;

use bytes::Bytes;
use prost::Message;
use serde::Serialize;
use tepui_messages::view::Encoding;
use tepui_protocol::{
    codec,
    v1::{
        Operation, WeightInfo,
        machine_info::Mode,
        maintenance::{ClusterStatus, cluster_status::DrainingMachine},
        master::{Response, call, response},
        quota::{QuotaInfo, QuotaStatus},
    },
};

pub use events::{HEARTBEAT_INTERVAL, event, event_for, heartbeat, subscribed};

use crate::{
    roles::{role_messages, scalar},
    v0::seconds,
    world::{World, machine_key},
};

/// The body of the answer to a GET_* call; `None` if the world does not know it.
///
/// # Errors
/// Only what serde_json cannot write, which no type of the schema is.
pub fn response(
    world: &World,
    kind: call::Type,
    encoding: Encoding,
) -> Result<Option<Bytes>, serde_json::Error> {
    use response::Type;
    let mut answer = Response::default();
    let kind = match kind {
        call::Type::GetState => return snapshot::state_answer(world, encoding).map(Some),
        call::Type::GetTasks => return snapshot::tasks_answer(world, encoding).map(Some),
        call::Type::GetAgents => {
            answer.get_agents = Some(models::agents(world));
            Type::GetAgents
        }
        call::Type::GetFrameworks => {
            answer.get_frameworks = Some(models::frameworks(world));
            Type::GetFrameworks
        }
        call::Type::GetExecutors => {
            answer.get_executors = Some(models::executors(world));
            Type::GetExecutors
        }
        call::Type::GetOperations => {
            let operations = world.operations.values();
            let operations = operations.map(|it| Operation::clone(it)).collect();
            answer.get_operations = Some(response::GetOperations { operations });
            Type::GetOperations
        }
        call::Type::GetRoles => {
            let roles = role_messages(world);
            answer.get_roles = Some(response::GetRoles { roles });
            Type::GetRoles
        }
        call::Type::GetWeights => {
            answer.get_weights = weights(world);
            Type::GetWeights
        }
        call::Type::GetQuota => {
            let status = quota_status(world);
            answer.get_quota = Some(response::GetQuota { status });
            Type::GetQuota
        }
        call::Type::GetMaster => {
            answer.get_master = Some(master(world));
            Type::GetMaster
        }
        call::Type::GetMaintenanceStatus => {
            let status = cluster_status(world);
            answer.get_maintenance_status = Some(response::GetMaintenanceStatus { status });
            Type::GetMaintenanceStatus
        }
        call::Type::GetMaintenanceSchedule => {
            let schedule = world.maintenance.schedule.clone();
            answer.get_maintenance_schedule = Some(response::GetMaintenanceSchedule { schedule });
            Type::GetMaintenanceSchedule
        }
        _ => return Ok(None),
    };
    answer.r#type = Some(kind as i32);
    encode(&answer, encoding).map(Some)
}

pub(crate) fn encode<T: Message + Serialize>(
    message: &T,
    encoding: Encoding,
) -> Result<Bytes, serde_json::Error> {
    Ok(match encoding {
        Encoding::Json => codec::json::encode(message)?.into(),
        Encoding::Protobuf => message.encode_to_vec().into(),
    })
}

fn weights(world: &World) -> Option<response::GetWeights> {
    if world.weights.is_empty() {
        return None;
    }
    let weight = |(role, weight): (&String, &f64)| WeightInfo {
        weight: *weight,
        role: Some(role.clone()),
    };
    let weight_infos = world.weights.iter().map(weight).collect();
    Some(response::GetWeights { weight_infos })
}

fn master(world: &World) -> response::GetMaster {
    let master = world.master.as_deref();
    response::GetMaster {
        master_info: master.map(|master| master.info.clone()),
        start_time: master.map(|master| seconds(master.started_at)),
        elected_time: master.map(|master| seconds(master.elected_at)),
    }
}

/// Quotas, and in the old form what they guarantee.
#[allow(deprecated)]
pub(crate) fn quota_status(world: &World) -> QuotaStatus {
    let info = |config: &tepui_protocol::v1::quota::QuotaConfig| QuotaInfo {
        role: Some(config.role.clone()),
        principal: None,
        guarantee: config
            .guarantees
            .iter()
            .map(|(name, amount)| scalar(name, amount.value))
            .collect(),
    };
    QuotaStatus {
        infos: world.quota.iter().map(info).collect(),
        configs: world.quota.to_vec(),
    }
}

/// Machines that are draining, with what frameworks said to inverse offers of their agents, and machines that are down.
pub(crate) fn cluster_status(world: &World) -> ClusterStatus {
    let machines = world.maintenance.machines.iter();
    let draining = machines.filter(|machine| machine.mode() == Mode::Draining);
    let mut answers = world.answers_by_machine();
    ClusterStatus {
        draining_machines: draining
            .map(|machine| DrainingMachine {
                id: machine.id.clone(),
                statuses: answers
                    .remove(&machine_key(&machine.id))
                    .unwrap_or_default(),
            })
            .collect(),
        down_machines: world.machines_down().cloned().collect(),
    }
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;

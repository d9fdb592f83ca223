//! `/registrar(1)/registry`: what Mesos would keep in its registry, told from ours. Frameworks, documents and masters
//! of the group, which Mesos keeps nowhere, are left out.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tepui_http::{Incoming, Reply};
use tepui_protocol::{
    acls::{Action, Subject},
    codec::{Limits, json as codec, protobuf},
    resources::{Resources, downgrade},
    v1::{
        AgentInfo, DrainInfo, MachineInfo, Resource, WeightInfo, maintenance::Schedule,
        quota::QuotaConfig,
    },
};
use tepui_registry::{AdmittedAgent, Backup, MachineMode, Registry, UnreachableAgent};

use super::super::{ClusterCall, MasterHttp};
use crate::{
    leadership::Standing,
    unversioned::{self, sorted},
};

/// What was admitted once is read, however large. What cannot be read is left out.
const LIMITS: &Limits = &Limits::REGISTRATION;
/// Of an agent that named none.
const DEFAULT_PORT: i32 = 5051;

impl MasterHttp {
    /// Keys in alphabetical order; nothing on a master that does not lead, since only a leader has recovered it.
    pub(in crate::http) async fn registry(&self, request: &Incoming) -> Result<Reply, Reply> {
        let leads = matches!(self.leadership.standing(), Standing::Leading { .. });
        let body = if leads {
            self.kept(self.subject(request)).await?
        } else {
            "{}".to_string()
        };
        Ok(Reply::json(body, request.parameter("jsonp")))
    }

    async fn kept(&self, subject: Subject) -> Result<String, Reply> {
        let backup = self.of_cluster(ClusterCall::Backup).await?;
        let master = unversioned::master_info(&self.facts.master);
        // Of many agents this takes a while.
        let told = tokio::task::spawn_blocking(move || {
            let (_, registry) = Backup::decode(&backup).map_err(|error| error.to_string())?;
            Ok(told(&registry, master, &subject).to_string())
        });
        let told = told.await.unwrap_or_else(|error| Err(error.to_string()));
        told.map_err(|why: String| Reply::text(500, format!("Failed to read the registry: {why}")))
    }
}

/// Mesos' `Registry`, with what `subject` may see of it. What there is none of is absent, but for agents.
fn told(registry: &Registry, master: Value, subject: &Subject) -> Value {
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| told.insert(name.to_string(), value);
    put("master", json!({ "info": master }));
    let admitted = registry.agents.values();
    let admitted: Vec<Value> = admitted.filter_map(|it| agent(it, subject)).collect();
    put("slaves", listed("slaves", admitted));
    for (name, list, values) in [
        ("unreachable", "slaves", unreachable(registry)),
        ("gone", "slaves", gone(registry)),
        ("machines", "machines", machines(registry, subject)),
    ] {
        if !values.is_empty() {
            put(name, listed(list, values));
        }
    }
    let capabilities = registry.minimum_capabilities.iter();
    let capabilities = capabilities.map(|name| json!({ "capability": name }));
    for (name, values) in [
        ("schedules", schedules(registry, subject)),
        ("quota_configs", quotas(registry, subject)),
        ("weights", weights(registry, subject)),
        ("minimum_capabilities", capabilities.collect()),
    ] {
        if !values.is_empty() {
            put(name, values.into());
        }
    }
    sorted(told.into())
}

fn listed(name: &str, values: Vec<Value>) -> Value {
    if values.is_empty() {
        return json!({});
    }
    json!({ name: values })
}

fn agent(agent: &AdmittedAgent, subject: &Subject) -> Option<Value> {
    let mut info: AgentInfo = protobuf::decode(&agent.info, LIMITS).ok()?;
    info.resources.retain(|resource| sees(subject, resource));
    // What is refined has no older format and stays as it is.
    let _ = downgrade(&mut info.resources);
    // Mesos tells defaults.
    info.port.get_or_insert(DEFAULT_PORT);
    info.checkpoint.get_or_insert(false);
    let mut told = json!({ "info": value(&info) });
    put_standing(&mut told, agent.drain.as_ref(), agent.deactivated);
    Some(told)
}

/// All roles it is reserved for must be seen, as everywhere.
fn sees(subject: &Subject, resource: &Resource) -> bool {
    let parsed = Resources::from_proto_unchecked(std::slice::from_ref(resource));
    let mut roles = parsed.iter().flat_map(|it| &it.terms().reservations);
    roles.all(|it| subject.may(Action::ViewRoles, Some(&it.role)))
}

fn put_standing(told: &mut Value, drain: Option<&Bytes>, deactivated: bool) {
    let drain = drain.and_then(|drain| protobuf::decode::<DrainInfo>(drain, LIMITS).ok());
    if let Some(mut drain) = drain {
        // Mesos tells defaults.
        drain.config.mark_gone.get_or_insert(false);
        told["drain_info"] = value(&drain);
    }
    told["deactivated"] = deactivated.into();
}

fn absent(id: &str, at_nanos: i64) -> Value {
    json!({"id": {"value": id}, "timestamp": {"nanoseconds": at_nanos}})
}

/// Those that were lost first come first.
fn unreachable(registry: &Registry) -> Vec<Value> {
    let mut lost: Vec<(&String, &UnreachableAgent)> = registry.unreachable.iter().collect();
    lost.sort_by_key(|(_, agent)| agent.at_nanos);
    let lost = lost.into_iter().map(|(id, agent)| {
        let mut told = absent(id, agent.at_nanos);
        put_standing(&mut told, agent.drain.as_ref(), agent.deactivated);
        told
    });
    lost.collect()
}

fn gone(registry: &Registry) -> Vec<Value> {
    let mut gone: Vec<(&String, &i64)> = registry.gone.iter().collect();
    gone.sort_by_key(|(_, at_nanos)| **at_nanos);
    gone.into_iter().map(|(id, at)| absent(id, *at)).collect()
}

fn machines(registry: &Registry, subject: &Subject) -> Vec<Value> {
    if !subject.may(Action::GetMaintenanceStatuses, None) {
        return Vec::new();
    }
    let machines = registry.maintenance.machines.values();
    // Mesos forgets those that are up again.
    let machines = machines.filter(|it| it.mode != MachineMode::Up);
    let infos = machines.filter_map(|it| protobuf::decode::<MachineInfo>(&it.info, LIMITS).ok());
    infos.map(|info| json!({ "info": value(&info) })).collect()
}

fn schedules(registry: &Registry, subject: &Subject) -> Vec<Value> {
    let schedule = registry.maintenance.schedule.as_ref();
    let schedule = schedule.filter(|_| subject.may(Action::GetMaintenanceSchedules, None));
    let schedule = schedule.and_then(|it| protobuf::decode::<Schedule>(it, LIMITS).ok());
    schedule.iter().map(value).collect()
}

fn quotas(registry: &Registry, subject: &Subject) -> Vec<Value> {
    let configs = registry.quotas.values();
    let configs = configs.filter_map(|it| protobuf::decode::<QuotaConfig>(it, LIMITS).ok());
    let seen = configs.filter(|it| subject.may(Action::GetQuotas, Some(&it.role)));
    seen.map(|config| value(&config)).collect()
}

fn weights(registry: &Registry, subject: &Subject) -> Vec<Value> {
    let weights = registry.weights.iter();
    let seen = weights.filter(|(role, _)| subject.may(Action::ViewRoles, Some(role)));
    let infos = seen.map(|(role, weight)| WeightInfo {
        weight: *weight,
        role: Some(role.clone()),
    });
    infos.map(|info| json!({ "info": value(&info) })).collect()
}

fn value<T: Serialize>(message: &T) -> Value {
    let encoded = codec::encode(message).unwrap_or_default();
    serde_json::from_slice(&encoded).unwrap_or_default()
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;

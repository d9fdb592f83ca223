//! The agent's v0 JSON: `/state`, `/containers`, `/monitor/statistics` (Mesos: `slave/http.cpp`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tepui_http::{Incoming, Reply};
use tepui_messages::{
    UnixNanos,
    agent::{ContainerUsageRecord, ExecutorPhase, ExecutorState, FrameworkState, NodeState},
};
use tepui_protocol::{
    resources::Resources,
    v1::{
        ContainerId, ContainerStatus, ExecutorInfo, ResourceStatistics, agent_info, executor_info,
        framework_info,
    },
};

use super::values::{
    attributes, by_role, full, labels, object, optional, parsed, proto, role, sorted, summed, task,
};
use crate::runtime::{Hung, Step};

const MEGABYTE: f64 = 1_048_576.0;
pub(super) const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// What `/state` shows beside what the node knows.
pub(super) struct Around<'a> {
    /// The fields of `/version`, in the order of `/state`.
    pub(super) version: Map<String, Value>,
    pub(super) started_at: UnixNanos,
    pub(super) pid: &'a str,
    pub(super) capabilities: &'a [agent_info::Capability],
    pub(super) flags: Value,
}

/// `/state`.
pub(super) fn state(node: &NodeState, around: Around<'_>) -> Value {
    let info = &node.info;
    let total = parsed(&node.total);
    let executors = node.frameworks.iter().flat_map(|it| &it.executors);
    let allocated = parsed(executors.flat_map(ExecutorState::resources));
    let capabilities = around.capabilities.iter();
    let capabilities: Vec<&str> = capabilities.map(|it| it.r#type().as_str_name()).collect();
    let mut state = around.version;
    state.extend(object(json!({
        "start_time": seconds(around.started_at),
        "id": info.id.as_ref().map_or("", |id| &id.value),
        "pid": around.pid,
        "hostname": info.hostname,
        "capabilities": capabilities,
    })));
    optional(&mut state, "domain", info.domain.as_ref().map(proto));
    if let Some(draining) = &node.draining {
        state.insert("drain_config".to_owned(), proto(&draining.config));
        let since = whole_seconds(draining.since);
        state.insert(
            "estimated_drain_start_time_seconds".to_owned(),
            json!(since),
        );
    }
    state.extend(object(json!({
        "resources": summed(&total),
        "reserved_resources": by_role(&total, summed),
        "unreserved_resources": summed(&total.unreserved()),
        "reserved_resources_full": by_role(&total, full),
        "unreserved_resources_full": full(&total.unreserved()),
        "reserved_resources_allocated": by_role(&allocated, summed),
        "unreserved_resources_allocated": summed(&allocated.unreserved()),
        "resource_providers": [],
        "attributes": attributes(&info.attributes),
    })));
    let master = node.master.as_ref().and_then(|it| it.hostname.as_ref());
    optional(&mut state, "master_hostname", master.map(|it| json!(it)));
    let log_dir = around.flags.get("log_dir").cloned();
    optional(&mut state, "log_dir", log_dir);
    state.insert("flags".to_owned(), around.flags);
    let frameworks = node.frameworks.iter().map(framework);
    state.insert("frameworks".to_owned(), frameworks.collect());
    let completed = node.completed_frameworks.iter().map(framework);
    state.insert("completed_frameworks".to_owned(), completed.collect());
    Value::Object(state)
}

fn framework(framework: &FrameworkState) -> Value {
    let info = &framework.info;
    let mut shown = object(json!({
        "id": info.id.as_ref().map_or("", |id| &id.value),
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "hostname": info.hostname(),
    }));
    optional(
        &mut shown,
        "principal",
        info.principal.as_ref().map(|it| json!(it)),
    );
    let multi_role = framework_info::capability::Type::MultiRole;
    if info.capabilities.iter().any(|it| it.r#type() == multi_role) {
        shown.insert("roles".to_owned(), json!(info.roles));
    } else {
        shown.insert("role".to_owned(), json!(info.role()));
    }
    let executors = framework.executors.iter().map(executor);
    shown.insert("executors".to_owned(), executors.collect());
    let completed = framework.completed_executors.iter().map(executor);
    shown.insert("completed_executors".to_owned(), completed.collect());
    Value::Object(shown)
}

fn executor(executor: &ExecutorState) -> Value {
    let info = &executor.info;
    let resources = parsed(executor.resources());
    let own = parsed(&info.resources);
    let allocated = if resources.is_empty() {
        &own
    } else {
        &resources
    };
    let mut shown = object(json!({
        "id": info.executor_id.value,
        "name": info.name(),
        "source": source(info),
        "container": executor.container_id.value,
        "directory": executor.sandbox,
        "resources": summed(&resources),
        "role": role(allocated),
    }));
    optional(&mut shown, "labels", labels(&info.labels));
    let kind = info
        .r#type
        .and_then(|it| executor_info::Type::try_from(it).ok());
    optional(&mut shown, "type", kind.map(|it| json!(it.as_str_name())));
    let live = executor.launched_tasks.iter();
    shown.insert("tasks".to_owned(), live.map(|it| task(it)).collect());
    let queued = executor.queued_tasks.iter().map(|it| task(it));
    shown.insert("queued_tasks".to_owned(), queued.collect());
    // Those whose end is not acknowledged yet are among them, as with Mesos.
    let completed = executor.completed_tasks.iter();
    let completed = completed.chain(&executor.terminated_tasks);
    let completed = completed.map(|it| task(it));
    shown.insert("completed_tasks".to_owned(), completed.collect());
    Value::Object(shown)
}

/// A container with what it may use written beside what it uses.
pub(super) struct Measured {
    pub(super) record: ContainerUsageRecord,
    pub(super) status: ContainerStatus,
}

impl Measured {
    pub(super) fn is_nested(&self) -> bool {
        self.record.container_id.parent.is_some()
    }

    /// Neither an executor's nor within another one.
    pub(super) fn is_alone(&self) -> bool {
        !self.is_nested() && self.record.framework_id.value.is_empty()
    }
}

/// Joins the measurements with the limits that the node's state gives.
pub(super) fn measured(records: Vec<ContainerUsageRecord>, node: &NodeState) -> Vec<Measured> {
    let with_limits = records.into_iter().map(|mut record| {
        let allotted = allotted(node, &record.container_id);
        if let (Some(allotted), Some(statistics)) = (allotted, &mut record.statistics) {
            fill_limits(statistics, &allotted);
        }
        let status = ContainerStatus {
            container_id: Some(record.container_id.clone()),
            executor_pid: record.pid,
            network_infos: record.networks.clone(),
            ..ContainerStatus::default()
        };
        Measured { record, status }
    });
    with_limits.collect()
}

/// What a container may use, one within another one included.
fn allotted(node: &NodeState, id: &ContainerId) -> Option<Resources> {
    let mut executors = node.frameworks.iter().flat_map(|it| &it.executors);
    let Some(outer) = id.parent.as_deref() else {
        let executor = executors.find(|it| it.container_id == *id);
        return executor.map(|it| parsed(it.resources()));
    };
    let executor = executors.find(|it| it.container_id == *outer)?;
    let nested = executor.nested.iter().find(|it| it.name == id.value)?;
    Some(parsed(&nested.task.resources))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an amount of memory"
)]
fn fill_limits(statistics: &mut ResourceStatistics, resources: &Resources) {
    // What nobody asked for has no limit to be shown.
    let cpus = Some(resources.cpus().to_f64()).filter(|cpus| *cpus > 0.0);
    let memory = Some(resources.mem().to_f64()).filter(|megabytes| *megabytes > 0.0);
    let bytes = memory.map(|megabytes| (megabytes * MEGABYTE) as u64);
    statistics.cpus_soft_limit = statistics.cpus_soft_limit.or(cpus);
    // The kernel's default, in a cgroup of its own within its executor's.
    let measured = statistics.mem_soft_limit_bytes.filter(|bytes| *bytes > 0);
    statistics.mem_soft_limit_bytes = measured.or(bytes);
    statistics.mem_limit_bytes = statistics.mem_limit_bytes.or(bytes);
}

/// `/containers`.
pub(super) fn containers(measured: &[Measured]) -> Value {
    let outer = measured
        .iter()
        .filter(|it| !it.is_nested() && !it.is_alone());
    let shown = outer.map(|container| {
        let mut shown = about(&container.record);
        let id = &container.record.container_id.value;
        shown.insert("container_id".to_owned(), json!(id));
        shown.insert("status".to_owned(), proto(&container.status));
        sorted(Value::Object(shown))
    });
    shown.collect()
}

/// Which of the containers `/containers` is asked for.
pub(super) struct Chosen<'a> {
    container_id: Option<&'a str>,
    framework_id: Option<&'a str>,
    executor_id: Option<&'a str>,
}

impl<'a> Chosen<'a> {
    /// # Errors
    /// The 400 to answer.
    pub(super) fn of(request: &'a Incoming) -> Result<Self, Reply> {
        let chosen = Self {
            container_id: request.parameter("container_id"),
            framework_id: request.parameter("framework_id"),
            executor_id: request.parameter("executor_id"),
        };
        let is_odd = match chosen.container_id {
            Some(_) => chosen.framework_id.is_some() || chosen.executor_id.is_some(),
            None => chosen.executor_id.is_some() && chosen.framework_id.is_none(),
        };
        if is_odd {
            return Err(Reply::bad_request(
                "Supported query parameters are container_id only, framework_id only, or executor_id and framework_id only",
            ));
        }
        Ok(chosen)
    }

    pub(super) fn is(&self, measured: &Measured) -> bool {
        let record = &measured.record;
        let same = |wanted: Option<&str>, id: &str| wanted.is_none_or(|wanted| wanted == id);
        same(self.container_id, &record.container_id.value)
            && same(self.framework_id, &record.framework_id.value)
            && same(self.executor_id, &record.info.executor_id.value)
    }
}

/// Containers of executors that are on their way: files are fetched, images pulled, commands started. Which step takes so
/// long is in the log. Then those whose end hangs, with what holds them and since when.
pub(super) fn pending(node: &NodeState, hung: &BTreeMap<String, Hung>) -> Value {
    let executors = node.frameworks.iter().flat_map(|it| &it.executors);
    let begun = executors.filter(|it| it.phase == ExecutorPhase::Registering && it.pid.is_none());
    let shown = begun
        .map(|it| json!({"operation": "launch", "args": {"containerId": it.container_id.value}}));
    let ending = hung.iter().map(|(container_id, hung)| {
        let operation = match hung.step {
            Step::Destroy => "destroy",
            Step::Cleanup => "cleanup",
        };
        let seconds = hung.since.elapsed().as_secs();
        json!({
            "operation": operation,
            "args": {"containerId": container_id, "stuckSeconds": seconds, "reason": hung.why},
        })
    });
    shown.chain(ending).collect()
}

/// `/monitor/statistics`, which has no containers without figures.
pub(super) fn statistics(measured: &[Measured]) -> Value {
    let outer = measured
        .iter()
        .filter(|it| !it.is_nested() && !it.is_alone());
    let records = outer.map(|container| &container.record);
    let known = records.filter(|record| record.statistics.is_some());
    known.map(|it| sorted(Value::Object(about(it)))).collect()
}

fn about(record: &ContainerUsageRecord) -> Map<String, Value> {
    let info = &record.info;
    let mut shown = object(json!({
        "executor_id": info.executor_id.value,
        "executor_name": info.name(),
        "framework_id": record.framework_id.value,
        "source": source(info),
    }));
    optional(
        &mut shown,
        "statistics",
        record.statistics.as_ref().map(proto),
    );
    shown
}

#[allow(deprecated, reason = "old tools read it")]
fn source(info: &ExecutorInfo) -> &str {
    info.source()
}

/// Without its fraction, as the time of a drain is shown.
pub(super) fn whole_seconds(at: UnixNanos) -> i64 {
    at / NANOS_PER_SECOND
}

#[expect(clippy::cast_precision_loss, reason = "as Mesos prints times")]
fn seconds(at: UnixNanos) -> f64 {
    at as f64 / 1e9
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

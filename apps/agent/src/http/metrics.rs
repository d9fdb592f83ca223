//! The agent's numbers under Mesos' names. Only what is known to be so: what this agent does not count is left out.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use serde_json::{Map, Value};
use tepui_http::{Reply, metrics as common};
use tepui_messages::agent::{
    ExecutorPhase, ExecutorState, GetNodeState, NodeCounts, NodePhase, NodeState,
};
use tepui_protocol::{resources::Resources, v1::TaskState};

use super::{Api, values::parsed};
use crate::runtime::Step;

/// Things of Mesos' agent that this one has none of: their counts are zero by nature.
const NONE_OF: [&str; 6] = [
    "containerizer/mesos/provisioner/bind/remove_rootfs_errors",
    "containerizer/mesos/provisioner/remove_container_errors",
    "resource_provider_manager/events/disconnect",
    "resource_provider_manager/events/subscribe",
    "resource_provider_manager/subscribed",
    "slave/recovery_errors",
];

/// Ends of tasks that a metric counts.
const ENDED: [(&str, TaskState); 5] = [
    ("failed", TaskState::TaskFailed),
    ("finished", TaskState::TaskFinished),
    ("gone", TaskState::TaskGone),
    ("killed", TaskState::TaskKilled),
    ("lost", TaskState::TaskLost),
];

/// All numbers, those of the machine among them, sorted by name.
pub(super) async fn all(api: &Api) -> Result<Map<String, Value>, Reply> {
    let state = api.ask(GetNodeState).await?;
    let mut own = of_node(&state);
    let errors = &api.facts.launch_errors;
    let count = |errors: &std::sync::atomic::AtomicU64| as_f64(errors.load(Ordering::Relaxed));
    own.insert(
        "slave/container_launch_errors".into(),
        count(&errors.launch),
    );
    own.insert(
        "containerizer/mesos/container_destroy_errors".into(),
        count(&errors.destroy),
    );
    let fetcher = api.facts.fetcher.numbers();
    for (name, number) in [
        ("task_fetches_succeeded", fetcher.succeeded),
        ("task_fetches_failed", fetcher.failed),
        ("cache_size_total_bytes", fetcher.cache_bytes),
        ("cache_size_used_bytes", fetcher.cache_used_bytes),
    ] {
        own.insert(format!("containerizer/fetcher/{name}"), as_f64(number));
    }
    own.insert(
        "slave/executor_directory_max_allowed_age_secs".into(),
        api.facts.allowed_age.get().as_secs_f64(),
    );
    let removals = &api.facts.removals;
    for (name, number) in [
        ("pending", &removals.pending),
        ("succeeded", &removals.succeeded),
        ("failed", &removals.failed),
    ] {
        own.insert(format!("gc/path_removals_{name}"), count(number));
    }
    if let Some(gids) = &api.facts.volume_gids {
        let names = [("total", gids.total()), ("free", gids.free())];
        for (name, number) in names {
            let name = format!("volume_gid_manager/volume_gids_{name}");
            own.insert(name, as_f64(number));
        }
    }
    if let Some(images) = &api.images {
        let name = "containerizer/mesos/filesystem/containers_new_rootfs";
        own.insert(name.into(), as_f64(images.roots().await));
    }
    let now = i64::try_from(api.directory.clock().unix_nanos()).unwrap_or(i64::MAX);
    let uptime = u64::try_from(now - api.facts.started_at).unwrap_or(0);
    own.insert("slave/uptime_secs".into(), as_f64(uptime) / 1e9);
    let own = serde_json::to_vec(&own);
    let own = own.map_err(|error| Reply::text(500, format!("Failed to write metrics: {error}")))?;
    Ok(common::all(&own, []))
}

/// Ends that hang now: `/metrics` has them beside what Mesos has.
pub(super) fn stuck(api: &Api) -> impl Iterator<Item = (String, Value)> {
    let unfinished = &api.facts.launch_errors.unfinished;
    let counted = [("kills", Step::Destroy), ("cleanups", Step::Cleanup)];
    counted.into_iter().map(|(name, step)| {
        let number = as_f64(unfinished.count(step));
        (format!("containers/stuck_{name}"), number.into())
    })
}

/// What follows from the node's state alone.
pub(super) fn of_node(state: &NodeState) -> BTreeMap<String, f64> {
    let mut metrics: BTreeMap<String, f64> = NONE_OF
        .iter()
        .map(|name| ((*name).to_owned(), 0.0))
        .collect();
    let preempted = as_f64(state.counts.preempted_executors);
    metrics.insert("slave/executors_preempted".into(), preempted);
    happened(&mut metrics, &state.counts);
    let executors = || state.frameworks.iter().flat_map(|it| &it.executors);
    let total = parsed(&state.total);
    let used = parsed(executors().flat_map(ExecutorState::resources));
    let revocable = (total.revocable(), used.revocable());
    let (total, used) = (total.non_revocable(), used.non_revocable());
    for name in ["cpus", "disk", "gpus", "mem"] {
        amounts(&mut metrics, name, "", &total, &used);
        amounts(&mut metrics, name, "_revocable", &revocable.0, &revocable.1);
    }
    for (name, phase) in [
        ("registering", ExecutorPhase::Registering),
        ("running", ExecutorPhase::Running),
        ("terminating", ExecutorPhase::Terminating),
    ] {
        let count = executors().filter(|it| it.phase == phase).count();
        metrics.insert(format!("slave/executors_{name}"), as_f64(count as u64));
    }
    for (name, wanted) in [
        ("staging", TaskState::TaskStaging),
        ("starting", TaskState::TaskStarting),
        ("running", TaskState::TaskRunning),
        ("killing", TaskState::TaskKilling),
    ] {
        let live = executors().flat_map(|it| it.queued_tasks.iter().chain(&it.launched_tasks));
        let count = live.filter(|task| task.state() == wanted).count();
        metrics.insert(format!("slave/tasks_{name}"), as_f64(count as u64));
    }
    let frameworks = state.frameworks.len() as u64;
    metrics.insert("slave/frameworks_active".into(), as_f64(frameworks));
    let registered = state.phase == NodePhase::Running;
    metrics.insert("slave/registered".into(), f64::from(u8::from(registered)));
    metrics
}

/// Since the start.
fn happened(metrics: &mut BTreeMap<String, f64>, counts: &NodeCounts) {
    for (name, state) in ENDED {
        let count = counts.ended_tasks.get(&state).copied().unwrap_or(0);
        metrics.insert(format!("slave/tasks_{name}"), as_f64(count));
    }
    let (updates, messages) = (counts.updates, counts.framework_messages);
    for (name, count) in [
        ("executors_terminated", counts.terminated_executors),
        ("valid_status_updates", updates.valid),
        ("invalid_status_updates", updates.invalid),
        ("valid_framework_messages", messages.valid),
        ("invalid_framework_messages", messages.invalid),
    ] {
        metrics.insert(format!("slave/{name}"), as_f64(count));
    }
    // As in Mesos it is there from the end of the recovery on.
    if let Some(recovery) = counts.recovery {
        metrics.insert("slave/recovery_time_secs".into(), recovery.as_secs_f64());
    }
}

fn amounts(
    metrics: &mut BTreeMap<String, f64>,
    name: &str,
    suffix: &str,
    total: &Resources,
    used: &Resources,
) {
    let (total, used) = (total.scalar(name).to_f64(), used.scalar(name).to_f64());
    let percent = if total > 0.0 { used / total } else { 0.0 };
    for (what, value) in [("total", total), ("used", used), ("percent", percent)] {
        metrics.insert(format!("slave/{name}{suffix}_{what}"), value);
    }
}

#[expect(clippy::cast_precision_loss, reason = "every metric is a double")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

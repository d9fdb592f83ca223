//! A task as it is kept and told of, made of what it was launched with (Mesos: `protobuf::createTask`).

use crate::{
    redact,
    v1::{FrameworkId, Task, TaskInfo, TaskState},
};

/// The task of `framework_id` before anything is known of it: it is staging, and has no secrets of its `info`.
#[must_use]
pub fn staging(framework_id: &str, info: &TaskInfo) -> Task {
    let executor = info.executor.as_ref();
    let command = info.command.as_ref();
    let command = command.or_else(|| executor?.command.as_ref());
    let container = info.container.as_ref().map(redact::container);
    let health_check = info.health_check.as_ref().map(redact::health_check);
    Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id: FrameworkId {
            value: framework_id.to_owned(),
        },
        executor_id: executor.map(|executor| executor.executor_id.clone()),
        agent_id: info.agent_id.clone(),
        state: TaskState::TaskStaging as i32,
        resources: info.resources.clone(),
        labels: info.labels.clone(),
        discovery: info.discovery.clone(),
        container: container.map(Box::new),
        health_check: health_check.map(Box::new),
        kill_policy: info.kill_policy,
        user: command.and_then(|command| command.user.clone()),
        limits: info.limits.clone(),
        ..Task::default()
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;

//! A task as it is kept and told of, made of what it was launched with (Mesos: `protobuf::createTask`).

use crate::{
    codec::protobuf,
    redact,
    v1::{FrameworkId, Task, TaskInfo, TaskState, TaskStatus},
};

/// Statuses kept with a task; runs of one state are folded into their newest.
pub const MAX_STATUSES: usize = 100;
/// Bytes of them all.
pub const MAX_STATUSES_BYTES: usize = 64 << 10;
/// Bytes of one; a larger one is kept without what executors may fill at will.
const MAX_STATUS_BYTES: usize = 8 << 10;
/// Bytes of the message of such a one.
const MAX_MESSAGE_BYTES: usize = 1 << 10;

/// Whether a task in this state has ended for good (Mesos: `protobuf::isTerminalState`). UNREACHABLE and UNKNOWN are no ends.
#[must_use]
pub fn is_terminal(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFinished
            | TaskState::TaskFailed
            | TaskState::TaskKilled
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
    )
}

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

/// Keeps a status with its task, as Mesos does: runs of one state folded, without `data`. The oldest give way.
pub fn keep_status(task: &mut Task, status: &TaskStatus) {
    let statuses = &mut task.statuses;
    statuses.pop_if(|last| last.state == status.state);
    statuses.push(kept(status));
    let mut beyond = statuses.len().saturating_sub(MAX_STATUSES);
    let mut bytes = statuses_bytes(&statuses[beyond..]);
    while bytes > MAX_STATUSES_BYTES {
        bytes -= protobuf::size(&statuses[beyond]);
        beyond += 1;
    }
    statuses.drain(..beyond);
}

/// Takes the bytes of the statuses off `room`; if there are too few left, only the last status stays.
pub fn fit_statuses(statuses: &mut Vec<TaskStatus>, room: &mut usize) {
    match room.checked_sub(statuses_bytes(statuses)) {
        Some(left) => *room = left,
        None => drop(statuses.drain(..statuses.len() - 1)),
    }
}

/// Bytes of the statuses together.
fn statuses_bytes(statuses: &[TaskStatus]) -> usize {
    statuses.iter().map(protobuf::size).sum()
}

fn kept(status: &TaskStatus) -> TaskStatus {
    let mut kept = TaskStatus {
        data: None,
        ..status.clone()
    };
    if protobuf::size(&kept) > MAX_STATUS_BYTES {
        kept = TaskStatus {
            labels: None,
            check_status: None,
            container_status: None,
            limitation: None,
            ..kept
        };
        if let Some(message) = &mut kept.message {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        }
    }
    kept
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;

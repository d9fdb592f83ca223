//! Statuses the master makes itself: no uuid, so no acknowledgement and no retry.

use tepui_messages::UnixNanos;
use tepui_protocol::v1::{
    AgentId, ExecutorId, Task, TaskId, TaskState, TaskStatus, TimeInfo,
    scheduler::{Event, event},
    task_status::{Reason, Source},
};

use crate::tables::is_terminal;

/// Builds a status with `source: SOURCE_MASTER`.
pub(crate) struct MasterStatus(TaskStatus);

impl MasterStatus {
    pub(crate) fn new(state: TaskState) -> MasterStatus {
        MasterStatus(TaskStatus {
            state: state as i32,
            source: Some(Source::Master as i32),
            ..Default::default()
        })
    }

    pub(crate) fn reason(mut self, reason: Reason) -> MasterStatus {
        self.0.reason = Some(reason as i32);
        self
    }

    pub(crate) fn message(mut self, message: impl Into<String>) -> MasterStatus {
        self.0.message = Some(message.into());
        self
    }

    pub(crate) fn unreachable_since(mut self, at: UnixNanos) -> MasterStatus {
        self.0.unreachable_time = Some(TimeInfo { nanoseconds: at });
        self
    }

    /// What was last heard of the container. An end that its executor did not tell says nothing of it.
    pub(crate) fn with_container(mut self, task: &Task) -> MasterStatus {
        if let Some(last) = task.statuses.last() {
            self.0.healthy = last.healthy;
            self.0.check_status = last.check_status;
        }
        let mut newest = task.statuses.iter().rev();
        self.0.container_status = newest.find_map(|it| it.container_status.clone());
        self
    }

    /// Of a task that has ended its end stays what it is.
    pub(crate) fn unless_ended(mut self, task: &Task) -> MasterStatus {
        if is_terminal(task.state()) {
            self.0.state = task.state;
        }
        self
    }

    /// For a task in the tables: with its agent and executor.
    pub(crate) fn build(mut self, task: &Task, now: UnixNanos) -> TaskStatus {
        self.0.executor_id = task.executor_id.clone();
        self.for_task(&task.task_id, Some(&task.agent_id), now)
    }

    /// For a task that is not in the tables.
    pub(crate) fn for_task(
        mut self,
        task_id: &TaskId,
        agent_id: Option<&AgentId>,
        now: UnixNanos,
    ) -> TaskStatus {
        self.0.task_id = task_id.clone();
        self.0.agent_id = agent_id.cloned();
        self.0.timestamp = Some(seconds(now));
        self.0
    }
}

/// Seconds since the epoch, as JSON shows times.
pub(crate) fn seconds(at: UnixNanos) -> f64 {
    at as f64 / 1e9
}

pub(crate) fn update_event(status: TaskStatus) -> Event {
    Event {
        r#type: Some(event::Type::Update as i32),
        update: Some(event::Update { status }),
        ..Default::default()
    }
}

/// FAILURE: of an executor where one is named, else of the agent.
pub(crate) fn failure_event(agent_id: &str, executor: Option<(&ExecutorId, i32)>) -> Event {
    Event {
        r#type: Some(event::Type::Failure as i32),
        failure: Some(event::Failure {
            agent_id: Some(AgentId {
                value: agent_id.to_string(),
            }),
            executor_id: executor.map(|(id, _)| id.clone()),
            status: executor.map(|(_, status)| status),
        }),
        ..Default::default()
    }
}

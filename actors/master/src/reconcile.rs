//! RECONCILE: what the master knows of tasks (Mesos: `Master::reconcile`, whose comment has the cases; docs/reconciliation.md).

use tepui_protocol::v1::{
    AgentId, TaskId, TaskState,
    scheduler::{Event, call},
    task_status::Reason,
};

use crate::{
    core::{MasterCore, Turn},
    status::{MasterStatus, update_event},
    tables::TaskEntry,
};

impl MasterCore {
    pub(crate) fn reconcile(
        &mut self,
        framework: &str,
        reconcile: &call::Reconcile,
        turn: &mut Turn<'_>,
    ) {
        let Some(stream_id) = self.frameworks[framework].stream_id.clone() else {
            return;
        };
        if reconcile.tasks.is_empty() {
            for entry in self.frameworks[framework].tasks.values() {
                turn.event(&stream_id, latest_state(entry, turn.now));
            }
            return;
        }
        for task in &reconcile.tasks {
            if let Some(event) =
                self.reconcile_task(framework, &task.task_id, task.agent_id.as_ref(), turn)
            {
                turn.event(&stream_id, event);
            }
        }
    }

    /// The first of Mesos' cases that fits; `None` where there is no answer yet.
    fn reconcile_task(
        &self,
        framework: &str,
        task_id: &TaskId,
        agent_id: Option<&AgentId>,
        turn: &Turn<'_>,
    ) -> Option<Event> {
        if let Some(entry) = self.frameworks[framework].tasks.get(&task_id.value) {
            return Some(latest_state(entry, turn.now));
        }
        let agent = agent_id.map(|id| id.value.as_str());
        let returning = agent.map_or(!self.recovered_agents.is_empty(), |id| {
            self.recovered_agents.contains_key(id)
        });
        if returning {
            return None;
        }
        let (state, message, since) = match agent {
            Some(id) if self.agents.contains_key(id) => (
                TaskState::TaskGone,
                "Reconciliation: Task is unknown to the agent",
                None,
            ),
            Some(id) if self.unreachable_agents.contains_key(id) => (
                TaskState::TaskUnreachable,
                "Reconciliation: Task is unreachable",
                self.unreachable_agents.get(id),
            ),
            Some(id) if self.gone_agents.contains_key(id) => (
                TaskState::TaskGoneByOperator,
                "Reconciliation: Task is gone",
                None,
            ),
            _ => (
                TaskState::TaskUnknown,
                "Reconciliation: Task is unknown",
                None,
            ),
        };
        let state = if self.is_partition_aware(framework) {
            state
        } else {
            TaskState::TaskLost
        };
        let mut status = MasterStatus::new(state)
            .reason(Reason::Reconciliation)
            .message(message);
        if let Some(at) = since {
            status = status.unreachable_since(*at);
        }
        Some(update_event(status.for_task(task_id, agent_id, turn.now)))
    }

    /// KILL of a task the master does not know is a question about it.
    pub(crate) fn reconcile_killed(
        &mut self,
        framework: &str,
        kill: &call::Kill,
        turn: &mut Turn<'_>,
    ) {
        let task = call::reconcile::Task {
            task_id: kill.task_id.clone(),
            agent_id: kill.agent_id.clone(),
        };
        self.reconcile(framework, &call::Reconcile { tasks: vec![task] }, turn);
    }
}

/// The state that was last sent to the scheduler, with what is known of the container.
fn latest_state(entry: &TaskEntry, now: tepui_messages::UnixNanos) -> Event {
    let task = &entry.task;
    let state = task
        .status_update_state
        .and_then(|state| TaskState::try_from(state).ok())
        .unwrap_or_else(|| task.state());
    let status = MasterStatus::new(state)
        .reason(Reason::Reconciliation)
        .message("Reconciliation: Latest task state")
        .with_container(task)
        .build(task, now);
    update_event(status)
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;

//! Agents that are unreachable, and their tasks: what is remembered of them, and what becomes of them if the agent or the framework
//! does not come back.

use std::sync::Arc;

use tepui_messages::{
    UnixNanos,
    change::{Change, TaskKept},
};
use tepui_protocol::v1::{AgentId, Task, TaskId, TaskState, task_status::Reason};

use crate::{
    core::{MasterCore, Turn},
    frameworks::framework_id,
    losses::Loss,
    status::{MasterStatus, update_event},
    tasks::note_status,
};

impl MasterCore {
    /// Agents that an earlier leader gave up.
    pub(crate) fn recall_unreachable(
        &mut self,
        known: Vec<(String, UnixNanos)>,
        turn: &mut Turn<'_>,
    ) {
        for (id, at) in &known {
            let agent_id = AgentId { value: id.clone() };
            self.change(turn, Change::AgentStillUnreachable { agent_id, at: *at });
        }
        self.unreachable_agents = known.into_iter().collect();
    }

    pub(crate) fn remember_unreachable(&mut self, framework: &str, task: Arc<Task>) {
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.unreachable.push_back(task);
            if framework.unreachable.len() > self.config.kept.unreachable_tasks {
                framework.unreachable.pop_front();
            }
        }
    }

    /// What was on an agent that is back, and did not come with it.
    pub(crate) fn forget_what_did_not_return(&mut self, agent_id: &str, turn: &mut Turn<'_>) {
        for (framework, task) in self.unreachable_on(agent_id) {
            self.forget_unreachable(&framework, &task.task_id.value, turn);
        }
    }

    /// Whether the task was unreachable.
    pub(crate) fn forget_unreachable(
        &mut self,
        framework: &str,
        task_id: &str,
        turn: &mut Turn<'_>,
    ) -> bool {
        let was_unreachable = self.take_unreachable(framework, task_id).is_some();
        if was_unreachable {
            let change = Change::TaskRemoved {
                framework_id: framework_id(framework),
                task_id: TaskId {
                    value: task_id.to_string(),
                },
                kept: TaskKept::No,
            };
            self.change(turn, change);
        }
        was_unreachable
    }

    /// Their agent will not come back (Mesos: `Master::markGone`).
    pub(crate) fn end_unreachable_on(&mut self, agent_id: &str, loss: &Loss, turn: &mut Turn<'_>) {
        for (framework, task) in self.unreachable_on(agent_id) {
            let status = loss.status(self.is_partition_aware(&framework));
            let status = status.unless_ended(&task).build(&task, turn.now);
            if let Some(stream_id) = self.frameworks[&framework].stream_id.as_deref() {
                turn.event(stream_id, update_event(status.clone()));
            }
            self.end_unreachable(&framework, &task, status, turn);
        }
    }

    /// Their framework is removed (Mesos: `Master::removeFramework`).
    pub(crate) fn end_unreachable_of(&mut self, framework: &str, turn: &mut Turn<'_>) {
        let Some(entry) = self.frameworks.get(framework) else {
            return;
        };
        for task in entry.unreachable.clone() {
            let status = MasterStatus::new(TaskState::TaskKilled)
                .reason(Reason::FrameworkRemoved)
                .message(format!("Framework {framework} removed"))
                .unless_ended(&task)
                .build(&task, turn.now);
            self.end_unreachable(framework, &task, status, turn);
        }
    }

    fn end_unreachable(
        &mut self,
        framework: &str,
        task: &Arc<Task>,
        status: tepui_protocol::v1::TaskStatus,
        turn: &mut Turn<'_>,
    ) {
        if self
            .take_unreachable(framework, &task.task_id.value)
            .is_none()
        {
            return;
        }
        let mut ended = Task::clone(task);
        note_status(&mut ended, &status, status.state());
        let change = Change::TaskEndedAway {
            task: Arc::new(ended),
            status: Arc::new(status),
        };
        self.change(turn, change);
    }

    fn unreachable_on(&self, agent_id: &str) -> Vec<(String, Arc<Task>)> {
        let mut found = Vec::new();
        for (id, framework) in &self.frameworks {
            let there = framework.unreachable.iter();
            let there = there.filter(|task| task.agent_id.value == agent_id);
            found.extend(there.map(|task| (id.clone(), Arc::clone(task))));
        }
        found
    }

    fn take_unreachable(&mut self, framework: &str, task_id: &str) -> Option<Arc<Task>> {
        let unreachable = &mut self.frameworks.get_mut(framework)?.unreachable;
        let at = unreachable
            .iter()
            .position(|task| task.task_id.value == task_id)?;
        unreachable.remove(at)
    }
}

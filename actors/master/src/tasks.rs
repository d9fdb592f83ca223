//! Tasks: their states, updates on the way to schedulers, acknowledgements, kills (Mesos: `master/master.cpp`,
//! `statusUpdate`, `updateTask`, `acknowledge` and `kill`).

use std::sync::Arc;

use tepui_messages::{
    allocator::{Allocation, WorldChange},
    change::{Change, TaskKept},
    master::AgentMessage,
    master::PeerId,
    traffic::Count,
};
use tepui_protocol::{
    node,
    v1::{
        Task, TaskId, TaskState, TaskStatus,
        scheduler::{Event, call, event},
        task_status::Reason,
    },
};

use crate::{
    core::{MasterCore, Order, Turn},
    frameworks::framework_id,
    status::{failure_event, update_event},
    tables::{TaskEntry, allocation_role, is_terminal, without_allocation},
};

impl MasterCore {
    pub(crate) fn agent_says(&mut self, peer: PeerId, what: AgentMessage, turn: &mut Turn<'_>) {
        self.count_word(&what);
        let Some(agent_id) = self.peers.get(&peer).cloned() else {
            return self.count_word_of_nobody(&what);
        };
        match what {
            AgentMessage::StatusUpdate(update) => self.status_update(&agent_id, *update, turn),
            AgentMessage::OperationUpdate(update) => {
                self.operation_update(&agent_id, *update, turn);
            }
            AgentMessage::Oversubscribed(told) => self.oversubscribed(&agent_id, &told, turn),
            AgentMessage::ExecutorExited(exited) => self.executor_exited(&agent_id, &exited, turn),
            AgentMessage::ToFramework(message) => {
                self.message_to_framework(&agent_id, message, turn)
            }
            AgentMessage::Leaves(_) => self.agent_leaves(&agent_id, turn),
        }
    }

    fn status_update(&mut self, agent_id: &str, update: node::StatusUpdate, turn: &mut Turn<'_>) {
        let framework = update.framework_id.value.as_str();
        let latest = update.latest_state();
        let status = update.status;
        let Some(entry) = self.frameworks.get(framework) else {
            return self.count(Count::InvalidStatusUpdate);
        };
        if let Some(stream_id) = entry.stream_id.as_deref() {
            turn.event(stream_id, update_event(status.clone()));
        }
        let task_id = status.task_id.value.clone();
        let task = entry.tasks.get(&task_id);
        let is_known = task.is_some_and(|task| task.task.agent_id.value == agent_id);
        self.count(if is_known && entry.stream_id.is_some() {
            Count::ValidStatusUpdate
        } else {
            Count::InvalidStatusUpdate
        });
        if is_known {
            self.set_task_state(framework, &task_id, status, latest, turn);
        }
    }

    /// Records a status; frees the task's resources when its newest state needs none.
    pub(crate) fn set_task_state(
        &mut self,
        framework: &str,
        task_id: &str,
        status: TaskStatus,
        latest: TaskState,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self
            .frameworks
            .get_mut(framework)
            .and_then(|f| f.tasks.get_mut(task_id))
        else {
            return;
        };
        let task = Arc::make_mut(&mut entry.task);
        let is_news = is_news(task, &status);
        note_status(task, &status, latest);
        let frees = entry.holds_resources
            && (is_terminal(task.state()) || task.state() == TaskState::TaskUnreachable);
        let task = Arc::clone(&entry.task);
        if frees {
            entry.holds_resources = false;
            self.config.traffic.tally.ended(&status);
            self.recover_task_resources(framework, &task, turn);
        }
        self.change(
            turn,
            Change::TaskUpdated {
                task,
                status: Arc::new(status),
                is_news,
            },
        );
    }

    fn recover_task_resources(&self, framework: &str, task: &Task, turn: &mut Turn<'_>) {
        turn.allocator(WorldChange::Recovered {
            agent_id: task.agent_id.clone(),
            allocation: Allocation {
                framework_id: framework_id(framework),
                role: allocation_role(&task.resources),
                resources: without_allocation(&task.resources),
            },
            refused_for: None,
        });
    }

    pub(crate) fn add_task(&mut self, framework: &str, task: Arc<Task>, turn: &mut Turn<'_>) {
        let key = (framework.to_string(), task.task_id.value.clone());
        if let Some(agent) = self.agents.get_mut(&task.agent_id.value) {
            agent.tasks.insert(key.clone());
        }
        let holds_resources =
            !is_terminal(task.state()) && task.state() != TaskState::TaskUnreachable;
        let entry = TaskEntry {
            task: Arc::clone(&task),
            holds_resources,
        };
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.tasks.insert(key.1, entry);
        }
        self.change(turn, Change::TaskAdded(task));
    }

    /// Takes a task off the live tables.
    pub(crate) fn remove_task(
        &mut self,
        framework: &str,
        task_id: &str,
        kept: TaskKept,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self
            .frameworks
            .get_mut(framework)
            .and_then(|f| f.tasks.remove(task_id))
        else {
            return;
        };
        let key = (framework.to_string(), task_id.to_string());
        if let Some(agent) = self.agents.get_mut(&entry.task.agent_id.value) {
            agent.tasks.remove(&key);
            agent.killed.remove(&key);
        }
        if entry.holds_resources {
            self.recover_task_resources(framework, &entry.task, turn);
        }
        self.change(
            turn,
            Change::TaskRemoved {
                framework_id: framework_id(framework),
                task_id: entry.task.task_id.clone(),
                kept,
            },
        );
        self.look_at_drain(&entry.task.agent_id.value, turn);
    }

    pub(crate) fn acknowledge(
        &mut self,
        framework: &str,
        acknowledge: call::Acknowledge,
        turn: &mut Turn<'_>,
    ) {
        let Some(peer) = self
            .agents
            .get(&acknowledge.agent_id.value)
            .and_then(|agent| agent.peer)
        else {
            return self.count(Count::InvalidAcknowledgement);
        };
        let task_id = acknowledge.task_id.value.clone();
        let task = self.frameworks[framework].tasks.get(&task_id);
        let ended = match task.filter(|entry| entry.task.agent_id == acknowledge.agent_id) {
            Some(entry) => {
                // Not the update this master sent last: the agent will send it again.
                if entry.task.status_update_uuid.as_ref() != Some(&acknowledge.uuid) {
                    return self.count(Count::InvalidAcknowledgement);
                }
                is_terminal(entry.task.status_update_state())
            }
            None => false,
        };
        self.count(Count::ValidAcknowledgement);
        turn.order(
            peer,
            Order::AcknowledgeUpdate(node::AcknowledgeUpdate {
                framework_id: framework_id(framework),
                task_id: acknowledge.task_id,
                uuid: acknowledge.uuid,
                term: self.term,
            }),
        );
        if ended {
            self.remove_task(framework, &task_id, TaskKept::Completed, turn);
        }
    }

    /// Forwarded each time; remembered so that an agent that returns hears of it. True if the task is known.
    pub(crate) fn kill(&mut self, framework: &str, kill: &call::Kill, turn: &mut Turn<'_>) -> bool {
        let Some(entry) = self.frameworks[framework].tasks.get(&kill.task_id.value) else {
            return false;
        };
        let agent_id = entry.task.agent_id.clone();
        if kill.agent_id.as_ref().is_some_and(|id| *id != agent_id) {
            return true;
        }
        if let Some(agent) = self.agents.get_mut(&agent_id.value) {
            agent
                .killed
                .insert((framework.to_string(), kill.task_id.value.clone()));
            if let Some(peer) = agent.peer {
                turn.order(
                    peer,
                    self.kill_order(framework, &kill.task_id, kill.kill_policy),
                );
            }
        }
        true
    }

    pub(crate) fn kill_order(
        &self,
        framework: &str,
        task_id: &TaskId,
        kill_policy: Option<tepui_protocol::v1::KillPolicy>,
    ) -> Order {
        Order::KillTask(node::KillTask {
            framework_id: framework_id(framework),
            task_id: task_id.clone(),
            kill_policy,
            term: self.term,
        })
    }

    fn executor_exited(
        &mut self,
        agent_id: &str,
        exited: &node::ExecutorExited,
        turn: &mut Turn<'_>,
    ) {
        let framework = exited.framework_id.value.as_str();
        self.remove_executor(framework, agent_id, &exited.executor_id.value, turn);
        let stream = self
            .frameworks
            .get(framework)
            .and_then(|framework| framework.stream_id.as_deref());
        if let Some(stream_id) = stream {
            turn.event(
                stream_id,
                failure_event(agent_id, Some((&exited.executor_id, exited.status))),
            );
        }
    }

    fn message_to_framework(
        &mut self,
        agent_id: &str,
        message: node::ToFramework,
        turn: &mut Turn<'_>,
    ) {
        let stream = self
            .frameworks
            .get(&message.framework_id.value)
            .and_then(|framework| framework.stream_id.as_deref());
        self.count(match stream {
            Some(_) => Count::ValidExecutorToFramework,
            None => Count::InvalidExecutorToFramework,
        });
        if let Some(stream_id) = stream {
            turn.event(
                stream_id,
                Event {
                    r#type: Some(event::Type::Message as i32),
                    message: Some(event::Message {
                        agent_id: tepui_protocol::v1::AgentId {
                            value: agent_id.to_string(),
                        },
                        executor_id: message.executor_id,
                        data: message.data,
                    }),
                    ..Default::default()
                },
            );
        }
    }
}

/// What the task was told by a status; its newest state is `latest`.
pub(crate) fn note_status(task: &mut Task, status: &TaskStatus, latest: TaskState) {
    task.status_update_state = Some(status.state);
    task.status_update_uuid = status.uuid.clone();
    // A terminal state is final: an older update that arrives late does not undo it.
    if !is_terminal(task.state()) {
        task.state = latest as i32;
    }
    tepui_protocol::task::keep_status(task, status);
}

/// Retries and repetitions are none (Mesos: `Master::updateTask`, `sendSubscribersUpdate`).
fn is_news(task: &Task, status: &TaskStatus) -> bool {
    let is_of_a_check = matches!(
        status.reason(),
        Reason::TaskCheckStatusUpdated | Reason::TaskHealthCheckStatusUpdated
    );
    let last = task.statuses.last();
    is_of_a_check || last.is_none_or(|last| last.state != status.state)
}

#[cfg(test)]
#[path = "tasks_tests.rs"]
mod tests;

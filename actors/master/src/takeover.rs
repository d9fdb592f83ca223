//! What an agent brings when it registers: tasks, executors and frameworks, against what the master believes.

use std::{collections::BTreeSet, sync::Arc};

use tepui_messages::{
    allocator::Allocation,
    change::{Change, FrameworkRecord},
};
use tepui_protocol::{
    node, redact,
    v1::{AgentId, ExecutorInfo, FrameworkInfo, Resource, Task, task_status::Reason},
};

use crate::{
    away::{SECOND, failover_time, failover_timer},
    core::{CompletedFramework, MasterCore, Turn},
    frameworks::framework_id,
    status::{MasterStatus, update_event},
    tables::{allocation_role, is_terminal, without_allocation},
};

/// What was thought of an agent before it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comes {
    /// It was never given up, though perhaps awaited since the election.
    Awaited,
    Unreachable,
    /// It is new, or was removed.
    Unknown,
}

/// Nobody knows since when a framework that is found on an agent alone is away: it may be one that was torn down while the
/// agent was away, too. Mesos lets its tasks run for ever.
const STRANGERS_PATIENCE: i64 = 600 * SECOND;

impl MasterCore {
    /// A framework this master has not seen, found on an agent.
    pub(crate) fn know_framework(&mut self, info: &FrameworkInfo, turn: &mut Turn<'_>) {
        let id = info.id.clone().unwrap_or_default().value;
        if !self.frameworks.contains_key(&id) && !self.completed_frameworks.contains(&id) {
            self.add_unsubscribed(info.clone(), Vec::new(), turn);
            if let Some(framework) = self.frameworks.get_mut(&id) {
                framework.registered = false;
                // Nothing is counted for it but by this master.
                let patience = failover_time(framework).max(STRANGERS_PATIENCE);
                let at = turn.now.saturating_add(patience);
                self.timers.set(at, failover_timer(&id));
            }
        }
    }

    /// What ended under earlier leaders is shown and refused again.
    pub(crate) fn recall_frameworks(
        &mut self,
        completed: Vec<CompletedFramework>,
        turn: &mut Turn<'_>,
    ) {
        for CompletedFramework { info, at } in completed {
            let id = info.id.clone().unwrap_or_default().value;
            self.remember_completed(id);
            let record = FrameworkRecord {
                info,
                active: false,
                connected: false,
                recovered: false,
                registered_at: 0,
                reregistered_at: None,
                suppressed_roles: Vec::new(),
                offer_constraints: None,
            };
            let record = Arc::new(record);
            self.change(turn, Change::FrameworkCompleted { record, at });
        }
    }

    /// Tasks that ended under earlier leaders, from an agent that is back from there.
    pub(crate) fn recall_tasks(&mut self, request: &node::RegisterAgent, turn: &mut Turn<'_>) {
        for completed in &request.completed {
            let id = completed.framework_info.id.clone().unwrap_or_default();
            let is_known = self.frameworks.contains_key(&id.value)
                || self.completed_frameworks.contains(&id.value);
            if !is_known {
                continue;
            }
            // The newest comes last, as everywhere.
            for task in completed.tasks.iter().rev() {
                if is_terminal(task.state()) && task.framework_id == id {
                    self.change(turn, Change::TaskCompleted(Arc::new(task.clone())));
                }
            }
        }
    }

    pub(crate) fn ended_frameworks(
        &self,
        request: &node::RegisterAgent,
    ) -> Vec<tepui_protocol::v1::FrameworkId> {
        let ids = request
            .frameworks
            .iter()
            .filter_map(|framework| framework.id.clone());
        ids.filter(|id| !self.frameworks.contains_key(&id.value))
            .collect()
    }

    /// Believes the tasks and executors an agent brings; what they use, by framework and role.
    pub(crate) fn take_over(
        &mut self,
        id: &str,
        request: &node::RegisterAgent,
        comes: Comes,
        turn: &mut Turn<'_>,
    ) -> Vec<Allocation> {
        let mut used = Vec::new();
        let agent = self.agents.get_mut(id);
        let told_lost = agent
            .map(|agent| std::mem::take(&mut agent.told_lost))
            .unwrap_or_default();
        for task in &request.tasks {
            let framework = task.framework_id.value.clone();
            if !self.is_new_task(task) {
                continue;
            }
            // Its agent may have been forgotten meanwhile.
            let key = (framework.clone(), task.task_id.value.clone());
            let was_told = self.forget_unreachable(&framework, &key.1, turn)
                || comes == Comes::Unreachable
                || told_lost.contains(&key);
            if comes == Comes::Unknown {
                self.forget_completed(task, turn);
            }
            if !is_terminal(task.state()) {
                used.push(allocation(&framework, &task.resources));
            }
            self.add_task(&framework, Arc::new(task.clone()), turn);
            if was_told {
                self.announce_return(&framework, task, "Unreachable agent re-reregistered", turn);
            } else if comes == Comes::Unknown {
                self.announce_return(&framework, task, "Unknown agent reregistered", turn);
            }
        }
        if comes == Comes::Unreachable {
            self.forget_what_did_not_return(id, turn);
        }
        for executor in &request.executors {
            if let Some(framework) = self.framework_of_new_executor(id, executor) {
                used.push(allocation(&framework, &executor.resources));
                self.add_executor(id, &framework, executor, turn);
            }
        }
        used
    }

    /// Of a framework that lives, and the only one with its id. A second task with the id of a live one can only
    /// come from a time this master does not know of; [`Self::kill_copies`] ends it.
    pub(crate) fn is_new_task(&self, task: &Task) -> bool {
        let framework = self.frameworks.get(&task.framework_id.value);
        framework.is_some_and(|framework| !framework.tasks.contains_key(&task.task_id.value))
    }

    /// `None` where the executor is known, or its framework is not.
    pub(crate) fn framework_of_new_executor(
        &self,
        id: &str,
        executor: &ExecutorInfo,
    ) -> Option<String> {
        let framework = executor.framework_id.clone().unwrap_or_default().value;
        let key = (id.to_string(), executor.executor_id.value.clone());
        let known = &self.frameworks.get(&framework)?.executors;
        (!known.contains_key(&key)).then_some(framework)
    }

    /// Tasks whose ids live on another agent, too.
    pub(crate) fn kill_copies(&self, id: &str, request: &node::RegisterAgent, turn: &mut Turn<'_>) {
        let Some(peer) = self.agents[id].peer else {
            return;
        };
        for task in request
            .tasks
            .iter()
            .filter(|task| !is_terminal(task.state()))
        {
            let framework = &task.framework_id.value;
            let live = self.frameworks.get(framework);
            let live = live.and_then(|framework| framework.tasks.get(&task.task_id.value));
            if live.is_some_and(|live| live.task.agent_id.value != id) {
                tracing::warn!(
                    agent = id,
                    framework,
                    task = task.task_id.value,
                    "a task with this id lives on another agent; the copy is killed"
                );
                turn.order(peer, self.kill_order(framework, &task.task_id, None));
            }
        }
    }

    pub(crate) fn add_executor(
        &mut self,
        id: &str,
        framework: &str,
        executor: &ExecutorInfo,
        turn: &mut Turn<'_>,
    ) {
        let executor_id = executor.executor_id.value.clone();
        let executor = Arc::new(executor.clone());
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework
                .executors
                .insert((id.to_string(), executor_id.clone()), Arc::clone(&executor));
        }
        if let Some(agent) = self.agents.get_mut(id) {
            agent.executors.insert((framework.to_string(), executor_id));
        }
        self.change(
            turn,
            Change::ExecutorAdded {
                framework_id: framework_id(framework),
                agent_id: AgentId {
                    value: id.to_string(),
                },
                executor: redact::executor(&executor),
            },
        );
    }

    /// A scheduler that was told its task is lost or unreachable hears that it is back, or how it ended. The words are
    /// Mesos'.
    pub(crate) fn announce_return(
        &self,
        framework: &str,
        task: &Task,
        message: &str,
        turn: &mut Turn<'_>,
    ) {
        if let Some(stream_id) = self.frameworks[framework].stream_id.as_deref() {
            let status = MasterStatus::new(task.state())
                .reason(Reason::AgentReregistered)
                .message(message)
                .with_container(task)
                .build(task, turn.now);
            turn.event(stream_id, update_event(status));
        }
    }

    /// It was told of as lost with an agent that was removed, and lives.
    fn forget_completed(&mut self, task: &Task, turn: &mut Turn<'_>) {
        let change = Change::CompletedTaskForgotten {
            framework_id: task.framework_id.clone(),
            task_id: task.task_id.clone(),
        };
        self.change(turn, change);
    }

    /// An executor the agent no longer has: its resources are free (Mesos: `Master::reconcileKnownSlave`).
    pub(crate) fn drop_executors_not_listed(
        &mut self,
        id: &str,
        request: &node::RegisterAgent,
        turn: &mut Turn<'_>,
    ) {
        let listed: BTreeSet<(String, String)> = request
            .executors
            .iter()
            .map(|e| {
                (
                    e.framework_id.clone().unwrap_or_default().value,
                    e.executor_id.value.clone(),
                )
            })
            .collect();
        for (framework, executor) in self.agents[id].executors.clone() {
            if !listed.contains(&(framework.clone(), executor.clone())) {
                self.remove_executor(&framework, id, &executor, turn);
            }
        }
    }

    /// Tasks the master believes on the agent and the agent did not list: it will say what became of them.
    pub(crate) fn missing_tasks(
        &self,
        id: &str,
        request: &node::RegisterAgent,
    ) -> Vec<node::TaskKey> {
        let listed: BTreeSet<(&str, &str)> = request
            .tasks
            .iter()
            .map(|t| (t.framework_id.value.as_str(), t.task_id.value.as_str()))
            .collect();
        let tasks = self.agents[id].tasks.iter();
        tasks
            .filter(|(framework, task)| !listed.contains(&(framework.as_str(), task.as_str())))
            .map(|(framework, task)| node::TaskKey {
                framework_id: framework_id(framework),
                task_id: tepui_protocol::v1::TaskId {
                    value: task.clone(),
                },
                partition_aware: Some(self.is_partition_aware(framework)),
            })
            .collect()
    }

    pub(crate) fn repeat_kills(&self, id: &str, turn: &mut Turn<'_>) {
        let agent = &self.agents[id];
        if let Some(peer) = agent.peer {
            for (framework, task) in &agent.killed {
                let task_id = tepui_protocol::v1::TaskId {
                    value: task.clone(),
                };
                turn.order(peer, self.kill_order(framework, &task_id, None));
            }
        }
    }
}

fn allocation(framework: &str, resources: &[Resource]) -> Allocation {
    Allocation {
        framework_id: framework_id(framework),
        role: allocation_role(resources),
        resources: without_allocation(resources),
    }
}

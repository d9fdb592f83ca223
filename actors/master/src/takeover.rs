//! What an agent brings when it registers: tasks, executors and frameworks, against what the master believes.

use std::{collections::BTreeSet, sync::Arc};

use tepui_messages::{
    allocator::Allocation,
    change::{Change, FrameworkRecord, TaskKept},
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
        was_unreachable: bool,
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
            let told_unreachable = self.forget_unreachable(&framework, &key.1, turn)
                || was_unreachable
                || told_lost.contains(&key);
            if !is_terminal(task.state()) {
                used.push(allocation(&framework, &task.resources));
            }
            self.add_task(&framework, Arc::new(task.clone()), turn);
            if told_unreachable {
                self.announce_return(&framework, task, turn);
            }
        }
        if was_unreachable {
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

    /// An agent is back with all it has: its other tasks are not unreachable any more, they are nowhere, and their ids
    /// are free again (Mesos: `Master::___reregisterSlave`).
    fn forget_what_did_not_return(&mut self, agent_id: &str, turn: &mut Turn<'_>) {
        let mut gone = Vec::new();
        for (framework, entry) in &self.frameworks {
            let tasks = entry.unreachable.iter();
            let tasks = tasks.filter(|task| task.agent_id == agent_id);
            gone.extend(tasks.map(|task| (framework.clone(), task.task_id.clone())));
        }
        for (framework, task_id) in gone {
            self.forget_unreachable(&framework, &task_id, turn);
        }
    }

    /// Whether the task was unreachable.
    pub(crate) fn forget_unreachable(
        &mut self,
        framework: &str,
        task_id: &str,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        let before = entry.unreachable.len();
        entry.unreachable.retain(|task| task.task_id != task_id);
        let was_unreachable = entry.unreachable.len() < before;
        if was_unreachable {
            let task_id = tepui_protocol::v1::TaskId {
                value: task_id.to_string(),
            };
            self.change(
                turn,
                Change::TaskRemoved {
                    framework_id: framework_id(framework),
                    task_id,
                    kept: TaskKept::No,
                },
            );
        }
        was_unreachable
    }

    /// A scheduler that was told its task is lost or unreachable hears that it is back, or how it ended. The words are
    /// Mesos'.
    pub(crate) fn announce_return(&self, framework: &str, task: &Task, turn: &mut Turn<'_>) {
        if let Some(stream_id) = self.frameworks[framework].stream_id.as_deref() {
            let status = MasterStatus::new(task.state())
                .reason(Reason::AgentReregistered)
                .message("Unreachable agent re-reregistered")
                .build(task, turn.now);
            turn.event(stream_id, update_event(status));
        }
    }

    /// An executor the agent no longer has: its resources are free (INTERNALS 9).
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

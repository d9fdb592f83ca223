//! What a framework without checkpoints has on an agent whose connection broke. An agent that ended takes it along:
//! what comes back after it has nothing of such a framework. One that only lost its connection has everything still.
//! Which of the two it was shows when the agent returns, so it has a moment for that; then the tasks are lost, as
//! schedulers of such frameworks expect it long before an agent is given up. Mesos does not wait (`Master::exited`),
//! and with each connection that breaks it tells of tasks as lost that run on (MESOS-7911).

use std::collections::BTreeSet;

use tepui_messages::{UnixNanos, change::TaskKept};
use tepui_protocol::v1::{TaskState, task_status::Reason};

use crate::{
    core::{MasterCore, Turn},
    status::{MasterStatus, update_event},
    tables::is_terminal,
    timers::Timer,
};

impl MasterCore {
    /// Gives the agent time to return before what it does not keep is lost.
    pub(crate) fn lose_unkept_later(&mut self, agent_id: &str, now: UnixNanos) {
        let Some(agent) = self.agents.get(agent_id) else {
            return;
        };
        let ids = agent.tasks.iter().chain(&agent.executors);
        if ids.map(|(id, _)| id).any(|id| self.keeps_nothing(id)) {
            // One that lives is back within a second or two.
            let returns_within = self.config.patience.ping;
            let at = now.saturating_add(returns_within.as_nanos() as i64);
            let agent_id = agent_id.to_string();
            self.timers.set(at, Timer::Disconnected { agent_id });
        }
    }

    /// The agent is not back: what it would not have kept is lost (Mesos: `Master::removeFramework` of an agent).
    pub(crate) fn lose_unkept(&mut self, agent_id: &str, turn: &mut Turn<'_>) {
        if self
            .agents
            .get(agent_id)
            .is_none_or(|agent| agent.peer.is_some())
        {
            return;
        }
        let frameworks = self.unkept_frameworks(agent_id);
        let Some(agent) = self.agents.get(agent_id) else {
            return;
        };
        let message = format!("Agent {} disconnected", agent.record.info.hostname);
        let is_unkept = |it: &&(String, String)| frameworks.contains(&it.0);
        let tasks: Vec<_> = agent.tasks.iter().filter(is_unkept).cloned().collect();
        let executors: Vec<_> = agent.executors.iter().filter(is_unkept).cloned().collect();
        for (framework, task_id) in tasks {
            self.lose_unkept_task(&framework, &task_id, &message, turn);
        }
        for (framework, executor) in executors {
            self.remove_executor(&framework, agent_id, &executor, turn);
        }
    }

    fn unkept_frameworks(&self, agent_id: &str) -> BTreeSet<String> {
        let Some(agent) = self.agents.get(agent_id) else {
            return BTreeSet::new();
        };
        let ids = agent.tasks.iter().chain(&agent.executors);
        let ids: BTreeSet<&String> = ids.map(|(id, _)| id).collect();
        let unkept = ids.into_iter().filter(|id| self.keeps_nothing(id));
        unkept.cloned().collect()
    }

    fn keeps_nothing(&self, framework: &str) -> bool {
        let framework = self.frameworks.get(framework);
        framework.is_some_and(|it| !it.info().checkpoint())
    }

    /// TASK_LOST also to those who know of partitions: the task may run on, or have ended (as in Mesos).
    fn lose_unkept_task(
        &mut self,
        framework: &str,
        task_id: &str,
        message: &str,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self.frameworks.get(framework) else {
            return;
        };
        let Some(task) = entry.tasks.get(task_id).map(|it| it.task.clone()) else {
            return;
        };
        if !is_terminal(task.state()) {
            let status = MasterStatus::new(TaskState::TaskLost)
                .reason(Reason::AgentDisconnected)
                .message(message)
                .build(&task, turn.now);
            if let Some(stream_id) = entry.stream_id.as_deref() {
                turn.event(stream_id, update_event(status.clone()));
            }
            self.set_task_state(framework, task_id, status, TaskState::TaskLost, turn);
            if let Some(agent) = self.agents.get_mut(&task.agent_id.value) {
                let key = (framework.to_string(), task_id.to_string());
                agent.told_lost.insert(key);
            }
        }
        self.remove_task(framework, task_id, TaskKept::Completed, turn);
    }
}

#[cfg(test)]
#[path = "disconnections_tests.rs"]
mod tests;

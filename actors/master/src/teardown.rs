//! The end of frameworks and executors: by themselves, an operator, or time.

use tepui_messages::{
    UnixNanos,
    allocator::{Allocation, WorldChange},
    change::{Change, TaskKept},
    master::Answer,
    registrar::WriteRefusal,
};
use tepui_protocol::{
    node,
    v1::{AgentId, TaskState, task_status::Reason},
};
use tepui_registry::Command;

use crate::{
    away::{LOOK_AGAIN, failover_timer},
    core::{MasterCore, Order, Pending, Token, Turn},
    frameworks::framework_id,
    status::MasterStatus,
    tables::is_terminal,
};

impl MasterCore {
    /// TEARDOWN by itself or an operator, or the end of the failover time.
    pub(crate) fn end_framework(
        &mut self,
        id: &str,
        answer: Option<(Token, Answer)>,
        turn: &mut Turn<'_>,
    ) {
        let pending = Pending::FrameworkRemoved {
            framework_id: id.to_string(),
            answer,
            at: turn.now,
        };
        self.write(
            turn,
            Command::RemoveFramework {
                id: id.to_string(),
                at_nanos: turn.now,
            },
            pending,
        );
    }

    /// One that the registry does not know ends here alone; of any other a refusal means that it is still there, and
    /// the next leader would bring it back.
    pub(crate) fn framework_removed_written(
        &mut self,
        id: &str,
        at: UnixNanos,
        answer: Option<(Token, Answer)>,
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        let is_recorded = self.frameworks.get(id).is_some_and(|it| it.registered);
        let refused = refused.filter(|_| is_recorded);
        let Some(reason) = refused else {
            self.remove_framework(id, at, turn);
            if let Some((token, answer)) = answer {
                turn.answer(token, answer);
            }
            return;
        };
        match answer {
            Some((token, _)) => {
                let text = format!("The framework is not removed: {reason}; try again");
                turn.answer(token, Answer::refused(503, text));
            }
            None => {
                tracing::warn!(
                    framework = id,
                    %reason,
                    "a framework's time is over, but it is not removed yet"
                );
                let later = turn.now.saturating_add(LOOK_AGAIN);
                self.timers.set(later, failover_timer(id));
            }
        }
    }

    pub(crate) fn remove_framework(&mut self, id: &str, at: UnixNanos, turn: &mut Turn<'_>) {
        if !self.frameworks.contains_key(id) {
            return;
        }
        let order = node::ShutdownFramework {
            framework_id: framework_id(id),
            term: self.term,
        };
        for peer in self.agents.values().filter_map(|agent| agent.peer) {
            turn.order(peer, Order::ShutdownFramework(order.clone()));
        }
        self.discard_offers(id, turn);
        self.forget_inverse_offers(id, turn);
        self.end_tasks_of(id, turn);
        self.end_unreachable_of(id, turn);
        let executors: Vec<(String, String)> =
            self.frameworks[id].executors.keys().cloned().collect();
        for (agent_id, executor_id) in executors {
            self.remove_executor(id, &agent_id, &executor_id, turn);
        }
        turn.allocator(WorldChange::FrameworkRemoved {
            framework_id: framework_id(id),
        });
        self.timers.cancel(&failover_timer(id));
        let framework = self.frameworks.remove(id).expect("checked above");
        if let Some(stream_id) = framework.stream_id {
            self.streams.remove(&stream_id);
            turn.effects
                .push(crate::core::Effect::EndStream { stream_id });
        }
        self.remember_completed(id.to_string());
        self.end_operations_of(id, turn);
        self.change(
            turn,
            Change::FrameworkRemoved {
                framework_id: framework_id(id),
                at,
            },
        );
    }

    /// Its id is refused from now on.
    pub(crate) fn remember_completed(&mut self, id: String) {
        self.completed_frameworks.push_back(id);
        if self.completed_frameworks.len() > self.config.kept.frameworks {
            self.completed_frameworks.pop_front();
        }
    }

    fn end_tasks_of(&mut self, id: &str, turn: &mut Turn<'_>) {
        let tasks: Vec<String> = self.frameworks[id].tasks.keys().cloned().collect();
        for task_id in tasks {
            let entry = &self.frameworks[id].tasks[&task_id];
            if !is_terminal(entry.task.state()) {
                let status = MasterStatus::new(TaskState::TaskKilled)
                    .reason(Reason::FrameworkRemoved)
                    .message(format!("Framework {id} removed"))
                    .build(&entry.task, turn.now);
                self.set_task_state(id, &task_id, status, TaskState::TaskKilled, turn);
            }
            self.remove_task(id, &task_id, TaskKept::Completed, turn);
        }
    }

    /// The executor is gone from the tables; its resources are free.
    pub(crate) fn remove_executor(
        &mut self,
        framework: &str,
        agent: &str,
        executor: &str,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self.frameworks.get_mut(framework).and_then(|f| {
            f.executors
                .remove(&(agent.to_string(), executor.to_string()))
        }) else {
            return;
        };
        let key = (framework.to_string(), executor.to_string());
        if self
            .agents
            .get_mut(agent)
            .is_some_and(|agent| agent.executors.remove(&key))
            && !entry.resources.is_empty()
        {
            turn.allocator(WorldChange::Recovered {
                agent_id: AgentId {
                    value: agent.to_string(),
                },
                allocation: Allocation {
                    framework_id: framework_id(framework),
                    role: crate::tables::allocation_role(&entry.resources),
                    resources: crate::tables::without_allocation(&entry.resources),
                },
                refused_for: None,
            });
        }
        self.change(
            turn,
            Change::ExecutorRemoved {
                framework_id: framework_id(framework),
                agent_id: AgentId {
                    value: agent.to_string(),
                },
                executor_id: entry.executor_id.clone(),
            },
        );
    }
}

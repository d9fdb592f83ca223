//! How agents are lost, and what becomes of what ran on them (INTERNALS 4.1).

use std::sync::Arc;

use tepui_messages::{
    UnixNanos,
    allocator::WorldChange,
    change::{AgentEnd, Change, TaskKept},
    master::{Answer, PeerId},
    traffic::Count,
};
use tepui_protocol::{
    node,
    v1::{AgentId, AgentInfo, Task, TaskState, task_status::Reason},
};
use tepui_registry::Command;

use crate::{
    away::LOOK_AGAIN,
    core::{MasterCore, Order, Pending, Token, Turn},
    removals::Removal,
    status::{MasterStatus, failure_event, update_event},
    tables::{UnreachableTask, is_terminal},
    timers::Timer,
};

/// Why an agent leaves the registry for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    Unregistered,
    /// A new one came in its place.
    Replaced,
    MachineDown,
}

impl Leaving {
    fn as_str(self) -> &'static str {
        match self {
            Leaving::Unregistered => "the agent unregistered",
            Leaving::Replaced => "a new agent registered from the same address",
            Leaving::MachineDown => "its machine is down for maintenance",
        }
    }
}

impl MasterCore {
    pub(crate) fn agent_lost(&mut self, peer: PeerId, silent: bool, turn: &mut Turn<'_>) {
        for pending in self.pending.values_mut() {
            if let Pending::AgentAdmission(admission) = pending
                && admission.peer == peer
            {
                admission.lost = true;
            }
        }
        let Some(id) = self.peers.remove(&peer) else {
            return;
        };
        let Some(agent) = self
            .agents
            .get_mut(&id)
            .filter(|agent| agent.peer == Some(peer))
        else {
            return;
        };
        agent.peer = None;
        agent.record.connected = false;
        agent.record.active = false;
        let record = Arc::new(agent.record.clone());
        let timer = Timer::Unreachable {
            agent_id: id.clone(),
        };
        let patience = if silent {
            self.config.patience.silence()
        } else {
            self.config.patience.reregister
        };
        self.timers
            .set(turn.now.saturating_add(patience.as_nanos() as i64), timer);
        self.lose_unkept_later(&id, turn.now);
        turn.allocator(WorldChange::AgentActive {
            agent_id: AgentId { value: id.clone() },
            active: false,
        });
        self.rescind_offers_of_agent(&id, turn);
        self.end_inverse_offers_of_agent(&id, turn);
        self.change(turn, Change::AgentUpdated(record));
    }

    /// In the registry, not back yet: it has as long as one that was lost.
    pub(crate) fn recover_agent(&mut self, info: AgentInfo, turn: &mut Turn<'_>) {
        let id = info.id.clone().unwrap_or_default().value;
        self.change(turn, Change::AgentRecovered(Arc::new(info.clone())));
        self.recovered_agents.insert(id.clone(), info);
        let at = turn
            .now
            .saturating_add(self.config.patience.reregister.as_nanos() as i64);
        self.timers.set(at, Timer::Unreachable { agent_id: id });
    }

    pub(crate) fn timer(&mut self, timer: Timer, turn: &mut Turn<'_>) {
        match timer {
            Timer::Failover { framework_id } => self.failover_over(&framework_id, turn),
            Timer::Disconnected { agent_id } => self.lose_unkept(&agent_id, turn),
            Timer::CountTime => self.write_counted_time(turn),
            Timer::NoteAbsent => self.note_absent(turn),
            Timer::Throttled { lane } => self.take_throttled(lane, turn),
            Timer::WriteRefusals => self.write_refusals(turn),
            Timer::Hold => self.end_hold(turn),
            Timer::OfferTimeout => self.time_out_offers(turn),
            Timer::InverseRefusal => self.end_inverse_refusals(turn.now),
            Timer::Forget => self.forget_absent_agents(turn),
            Timer::Unreachable { agent_id } => {
                if !self.is_lost(&agent_id) {
                    return;
                }
                if self.given_up.insert(agent_id.clone()) {
                    self.count(Count::UnreachableScheduled);
                }
                if self.agents_in_transition.contains(&agent_id) {
                    return self.give_up_later(agent_id, turn.now);
                }
                if self.may_give_up(&agent_id, turn.now) {
                    self.write_unreachable(agent_id, turn);
                }
            }
        }
    }

    /// Registered and not connected, or in the registry and not back yet.
    fn is_lost(&self, agent_id: &str) -> bool {
        match self.agents.get(agent_id) {
            Some(agent) => agent.peer.is_none(),
            None => self.recovered_agents.contains_key(agent_id),
        }
    }

    /// What is being written of it may be refused, or bring nothing back: then it must not be lost for ever.
    fn give_up_later(&mut self, agent_id: String, now: UnixNanos) {
        let timer = Timer::Unreachable { agent_id };
        self.timers.set(now.saturating_add(LOOK_AGAIN), timer);
    }

    fn write_unreachable(&mut self, agent_id: String, turn: &mut Turn<'_>) {
        self.agents_in_transition.insert(agent_id.clone());
        let (id, at) = (agent_id.clone(), turn.now);
        let command = Command::MarkUnreachable { id, at_nanos: at };
        self.write(turn, command, Pending::AgentUnreachable { agent_id, at });
    }

    /// Whether a lost agent may become unreachable now; if not, it is looked at again when it may.
    fn may_give_up(&mut self, agent_id: &str, now: UnixNanos) -> bool {
        // Its own timer has just run out.
        let absent = self.timers.absent() + 1;
        let known = self.agents.len() + self.recovered_agents.len();
        let removal = self.removals.ask(now, absent, known);
        let mass = matches!(removal, Removal::Mass(_));
        if mass != std::mem::replace(&mut self.holds_back, mass) {
            if mass {
                tracing::warn!(
                    absent,
                    known,
                    "more than a quarter of all agents are away: none is given up before some are back; \
                     look at the network, or mark those gone that will not return (MARK_AGENT_GONE)"
                );
            } else {
                tracing::info!(
                    absent,
                    known,
                    "agents that do not come back are given up again"
                );
            }
        }
        match removal {
            Removal::Now => true,
            Removal::At(at) | Removal::Mass(at) => {
                let agent_id = agent_id.to_string();
                self.timers.set(at, Timer::Unreachable { agent_id });
                false
            }
        }
    }

    pub(crate) fn unreachable_written(
        &mut self,
        id: &str,
        at: UnixNanos,
        refused: Option<String>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(reason) = refused {
            self.agents_in_transition.remove(id);
            tracing::warn!(agent = id, reason, "agent not marked unreachable");
            if self.is_lost(id) {
                self.give_up_later(id.to_string(), turn.now);
            }
            // Its last task may have ended meanwhile.
            return self.look_at_drain(id, turn);
        }
        self.unreachable_agents.insert(id.to_string(), at);
        // What goes with it has not ended: an agent that drains does not end that here.
        self.remove_agent(id, AgentEnd::Unreachable, at, turn);
        self.agents_in_transition.remove(id);
    }

    /// MARK_AGENT_GONE: written first, then told.
    pub(crate) fn mark_gone(&mut self, token: Token, id: &str, turn: &mut Turn<'_>) {
        if self.gone_agents.contains_key(id) {
            return turn.answer(token, Answer::OK);
        }
        let known = self.agents.contains_key(id)
            || self.recovered_agents.contains_key(id)
            || self.unreachable_agents.contains_key(id);
        if !known {
            return turn.answer(
                token,
                Answer::refused(404, format!("Agent '{id}' not found")),
            );
        }
        if self.agents_in_transition.contains(id) {
            return turn.answer(
                token,
                Answer::refused(503, format!("Agent '{id}' is being changed; try again")),
            );
        }
        self.write_gone(Some(token), id, turn);
    }

    pub(crate) fn write_gone(&mut self, token: Option<Token>, id: &str, turn: &mut Turn<'_>) {
        self.agents_in_transition.insert(id.to_string());
        let command = Command::MarkGone {
            id: id.to_string(),
            at_nanos: turn.now,
        };
        self.write(
            turn,
            command,
            Pending::AgentGone {
                agent_id: id.to_string(),
                token,
                at: turn.now,
            },
        );
    }

    pub(crate) fn gone_written(
        &mut self,
        id: &str,
        token: Option<Token>,
        at: UnixNanos,
        refused: Option<String>,
        turn: &mut Turn<'_>,
    ) {
        self.agents_in_transition.remove(id);
        if let Some(reason) = refused {
            tracing::warn!(agent = id, reason, "agent not marked gone");
            if let Some(token) = token {
                turn.answer(token, Answer::refused(409, reason));
            }
            return;
        }
        self.gone_agents.insert(id.to_string(), at);
        self.unreachable_agents.remove(id);
        self.shutdown_agent(id, "Agent has been marked gone", turn);
        self.remove_agent(id, AgentEnd::Gone, at, turn);
        if let Some(token) = token {
            turn.answer(token, Answer::OK);
        }
    }

    pub(crate) fn shutdown_agent(&self, id: &str, reason: &str, turn: &mut Turn<'_>) {
        if let Some(peer) = self.agents.get(id).and_then(|agent| agent.peer) {
            turn.order(
                peer,
                Order::ShutdownAgent(node::ShutdownAgent {
                    reason: reason.to_string(),
                    term: self.term,
                }),
            );
        }
    }

    pub(crate) fn agent_leaves(&mut self, id: &str, turn: &mut Turn<'_>) {
        self.leave(id, Leaving::Unregistered, turn);
    }

    pub(crate) fn leave(&mut self, id: &str, leaving: Leaving, turn: &mut Turn<'_>) {
        if self.agents_in_transition.insert(id.to_string()) {
            let pending = Pending::AgentRemoved {
                agent_id: id.to_string(),
                leaving,
            };
            self.write(turn, Command::RemoveAgent { id: id.to_string() }, pending);
        }
    }

    /// One that stays in the registry stays here: it could not come back under its id, nor be given up.
    pub(crate) fn agent_removed_written(
        &mut self,
        id: &str,
        leaving: Leaving,
        refused: Option<String>,
        turn: &mut Turn<'_>,
    ) {
        self.agents_in_transition.remove(id);
        let reason = leaving.as_str();
        if let Some(refusal) = refused {
            tracing::warn!(agent = id, reason, refusal, "agent not removed");
            return;
        }
        tracing::info!(agent = id, reason, "agent removed");
        match leaving {
            Leaving::Unregistered => self.count(Count::AgentUnregistered),
            Leaving::Replaced => self.count(Count::AgentReplaced),
            // Mesos has no reason for it.
            Leaving::MachineDown => {}
        }
        self.remove_agent(id, AgentEnd::Removed, turn.now, turn);
    }

    /// Takes an agent off the tables, with all that was on it, and tells every scheduler.
    pub(crate) fn remove_agent(
        &mut self,
        id: &str,
        end: AgentEnd,
        at: UnixNanos,
        turn: &mut Turn<'_>,
    ) {
        let was_awaited = self.recovered_agents.remove(id).is_some();
        if was_awaited && end == AgentEnd::Unreachable {
            self.count(Count::RecoveredAgentLost);
        }
        if self.given_up.remove(id) && end != AgentEnd::Unreachable {
            self.count(Count::UnreachableCanceled);
        }
        if end != AgentEnd::Unreachable {
            self.deactivated.remove(id);
            self.draining.remove(id);
        }
        self.timers.cancel(&Timer::Unreachable {
            agent_id: id.to_string(),
        });
        self.timers.cancel(&Timer::Disconnected {
            agent_id: id.to_string(),
        });
        if self.agents.contains_key(id) {
            self.rescind_offers_of_agent(id, turn);
            self.unschedule_agent(id, turn);
            for (framework, task) in self.agents[id].tasks.clone() {
                self.lose_task(&framework, &task, end, at, turn);
            }
            self.lose_operations(id, end, turn);
            for (framework, executor) in self.agents[id].executors.clone() {
                self.remove_executor(&framework, id, &executor, turn);
            }
            if let Some(peer) = self.agents.remove(id).and_then(|agent| agent.peer) {
                self.peers.remove(&peer);
            }
            turn.allocator(WorldChange::AgentRemoved {
                agent_id: AgentId {
                    value: id.to_string(),
                },
            });
        }
        self.change(
            turn,
            Change::AgentRemoved {
                agent_id: AgentId {
                    value: id.to_string(),
                },
                end,
                at,
            },
        );
        for framework in self.frameworks.values() {
            if let Some(stream_id) = &framework.stream_id {
                turn.event(stream_id, failure_event(id, None));
            }
        }
    }

    pub(crate) fn lose_task(
        &mut self,
        framework: &str,
        task_id: &str,
        end: AgentEnd,
        at: UnixNanos,
        turn: &mut Turn<'_>,
    ) {
        let Some(entry) = self
            .frameworks
            .get(framework)
            .and_then(|f| f.tasks.get(task_id))
        else {
            return;
        };
        let task = Arc::clone(&entry.task);
        if is_terminal(task.state()) {
            // Nobody has acknowledged its end: if the agent returns, it brings the task and tells the end again.
            let kept = if end == AgentEnd::Unreachable {
                self.remember_unreachable(framework, &task);
                TaskKept::Unreachable
            } else {
                TaskKept::Completed
            };
            return self.remove_task(framework, task_id, kept, turn);
        }
        let aware = self.is_partition_aware(framework);
        let (state, reason, message) = match (end, aware) {
            (AgentEnd::Unreachable, true) => (
                TaskState::TaskUnreachable,
                Reason::AgentRemoved,
                "Agent became unreachable",
            ),
            (AgentEnd::Gone, true) => (
                TaskState::TaskGoneByOperator,
                Reason::AgentRemovedByOperator,
                "Agent was marked gone",
            ),
            (AgentEnd::Removed, true) => {
                (TaskState::TaskGone, Reason::AgentRemoved, "Agent removed")
            }
            (_, false) => (TaskState::TaskLost, Reason::AgentRemoved, "Agent removed"),
        };
        let mut status = MasterStatus::new(state).reason(reason).message(message);
        if end == AgentEnd::Unreachable {
            status = status.unreachable_since(at);
        }
        let status = status.build(&task, turn.now);
        if let Some(stream_id) = self.frameworks[framework].stream_id.as_deref() {
            turn.event(stream_id, update_event(status.clone()));
        }
        self.set_task_state(framework, task_id, status, state, turn);
        let unreachable = end == AgentEnd::Unreachable;
        if unreachable {
            self.remember_unreachable(framework, &task);
        }
        let kept = if unreachable {
            TaskKept::Unreachable
        } else {
            TaskKept::Completed
        };
        self.remove_task(framework, task_id, kept, turn);
    }

    pub(crate) fn remember_unreachable(&mut self, framework: &str, task: &Task) {
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.unreachable.push_back(UnreachableTask {
                task_id: task.task_id.value.clone(),
                agent_id: task.agent_id.value.clone(),
            });
            if framework.unreachable.len() > self.config.kept.unreachable_tasks {
                framework.unreachable.pop_front();
            }
        }
    }
}

#[cfg(test)]
#[path = "losses_tests.rs"]
mod tests;

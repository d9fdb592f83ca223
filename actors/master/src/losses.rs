//! How agents are lost, and what becomes of what ran on them (Mesos: `Master::markUnreachable`, `markGone`
//! and `_removeSlave`).

use std::sync::Arc;

use tepui_messages::{
    UnixNanos,
    allocator::WorldChange,
    change::{AgentEnd, Change, TaskKept},
    master::{Answer, PeerId},
    registrar::WriteRefusal,
    traffic::Count,
};
use tepui_protocol::{
    durations::duration_text,
    node,
    v1::{AgentId, AgentInfo, TaskState, task_status::Reason},
};
use tepui_registry::Command;

use crate::{
    away::LOOK_AGAIN,
    core::{MasterCore, Order, Pending, Token, Turn},
    removals::Removal,
    status::{MasterStatus, failure_event, update_event},
    tables::is_terminal,
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
    /// Mesos' words: schedulers are told.
    fn as_str(self) -> &'static str {
        match self {
            Leaving::Unregistered => "the agent unregistered",
            Leaving::Replaced => "a new agent registered at the same address",
            Leaving::MachineDown => "Operator initiated 'Machine DOWN'",
        }
    }
}

pub(crate) const MARKED_GONE: &str = "Agent has been marked gone";

/// How an agent is lost, for those who had something on it.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) end: AgentEnd,
    pub(crate) at: UnixNanos,
    /// What statuses say.
    pub(crate) why: String,
}

impl Loss {
    pub(crate) fn gone(at: UnixNanos) -> Loss {
        Loss {
            end: AgentEnd::Gone,
            at,
            why: MARKED_GONE.to_string(),
        }
    }

    /// What becomes of a task, for a scheduler that knows of partitions or not (Mesos: `_removeSlave`, `__removeSlave`).
    pub(crate) fn status(&self, is_aware: bool) -> MasterStatus {
        let (state, reason) = match self.end {
            AgentEnd::Unreachable if is_aware => (TaskState::TaskUnreachable, Reason::AgentRemoved),
            AgentEnd::Gone if is_aware => (
                TaskState::TaskGoneByOperator,
                Reason::AgentRemovedByOperator,
            ),
            _ => (TaskState::TaskLost, Reason::AgentRemoved),
        };
        let status = MasterStatus::new(state).reason(reason).message(&self.why);
        match self.end {
            AgentEnd::Unreachable => status.unreachable_since(self.at),
            _ => status,
        }
    }
}

impl MasterCore {
    pub(crate) fn agent_lost(&mut self, peer: PeerId, silent: bool, turn: &mut Turn<'_>) {
        let ticket = self.admissions.get(&peer);
        let under_way = ticket.and_then(|ticket| self.pending.get_mut(ticket));
        if let Some(Pending::AgentAdmission(admission)) = under_way {
            admission.lost = true;
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
        match silent {
            true => tracing::warn!(agent = id, "an agent has fallen silent"),
            // As each agent does that ends in order.
            false => tracing::info!(agent = id, "an agent has closed its connection"),
        }
        agent.peer = None;
        agent.is_silent = silent;
        let record = Arc::make_mut(&mut agent.record);
        record.connected = false;
        record.active = false;
        let record = Arc::clone(&agent.record);
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
        let info = Arc::new(info);
        self.change(turn, Change::AgentRecovered(Arc::clone(&info)));
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
            Timer::Drain { agent_id } => self.look_at_drain(&agent_id, turn),
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
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(reason) = refused {
            self.agents_in_transition.remove(id);
            tracing::warn!(agent = id, %reason, "agent not marked unreachable");
            if self.is_lost(id) {
                self.give_up_later(id.to_string(), turn.now);
            }
            // Its last task may have ended meanwhile.
            return self.look_at_drain(id, turn);
        }
        self.unreachable_agents.insert(id.to_string(), at);
        // What goes with it has not ended: an agent that drains does not end that here.
        let loss = Loss {
            end: AgentEnd::Unreachable,
            at,
            why: self.why_unreachable(id),
        };
        self.remove_agent(id, &loss, turn);
        self.agents_in_transition.remove(id);
    }

    /// In Mesos' words.
    fn why_unreachable(&self, id: &str) -> String {
        if self.agents.get(id).is_some_and(|agent| agent.is_silent) {
            return "health check timed out".to_string();
        }
        let patience = duration_text(self.config.patience.reregister);
        format!("agent did not reregister within {patience} after disconnecting")
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
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        self.agents_in_transition.remove(id);
        if let Some(reason) = refused {
            tracing::warn!(agent = id, %reason, "agent not marked gone");
            match token {
                Some(token) => {
                    turn.answer(token, Answer::refused(reason.status(), reason.to_string()));
                }
                None => self.look_at_drain_later(id, &reason, turn.now),
            }
            return;
        }
        self.gone_agents.insert(id.to_string(), at);
        let loss = Loss::gone(at);
        if self.unreachable_agents.remove(id).is_some() {
            self.end_unreachable_on(id, &loss, turn);
        }
        self.shutdown_agent(id, MARKED_GONE, turn);
        self.remove_agent(id, &loss, turn);
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
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        self.agents_in_transition.remove(id);
        let reason = leaving.as_str();
        if let Some(refusal) = refused {
            tracing::warn!(agent = id, reason, %refusal, "agent not removed");
            return;
        }
        tracing::info!(agent = id, reason, "agent removed");
        match leaving {
            Leaving::Unregistered => self.count(Count::AgentUnregistered),
            Leaving::Replaced => self.count(Count::AgentReplaced),
            // Mesos has no reason for it.
            Leaving::MachineDown => {}
        }
        let agent = self.agents.get(id).map(|agent| &agent.record.info);
        let hostname = agent.or_else(|| self.recovered_agents.get(id));
        let hostname = hostname.map_or("", |info| &info.hostname);
        let loss = Loss {
            end: AgentEnd::Removed,
            at: turn.now,
            why: format!("Agent {hostname} removed: {reason}"),
        };
        self.remove_agent(id, &loss, turn);
    }

    /// Takes an agent off the tables, with all that was on it, and tells every scheduler that did not know it lost.
    fn remove_agent(&mut self, id: &str, loss: &Loss, turn: &mut Turn<'_>) {
        let (end, at) = (loss.end, loss.at);
        let was_awaited = self.recovered_agents.remove(id).is_some();
        let was_there = was_awaited || self.agents.contains_key(id);
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
                self.lose_task(&framework, &task, loss, turn);
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
        if !was_there {
            return;
        }
        for framework in self.frameworks.values() {
            if let Some(stream_id) = &framework.stream_id {
                turn.event(stream_id, failure_event(id, None));
            }
        }
    }

    fn lose_task(&mut self, framework: &str, task_id: &str, loss: &Loss, turn: &mut Turn<'_>) {
        let tasks = self.frameworks.get(framework).map(|it| &it.tasks);
        let Some(entry) = tasks.and_then(|tasks| tasks.get(task_id)) else {
            return;
        };
        let task = Arc::clone(&entry.task);
        let is_unreachable = loss.end == AgentEnd::Unreachable;
        let status = loss.status(self.is_partition_aware(framework));
        // Nobody has acknowledged its end: an agent that returns tells it again, and for one that does not the master
        // does.
        if !(is_terminal(task.state()) && is_unreachable) {
            let status = status.unless_ended(&task).build(&task, turn.now);
            if let Some(stream_id) = self.frameworks[framework].stream_id.as_deref() {
                turn.event(stream_id, update_event(status.clone()));
            }
            let state = status.state();
            self.set_task_state(framework, task_id, status, state, turn);
        }
        let kept = match is_unreachable {
            true => TaskKept::Unreachable,
            false => TaskKept::Completed,
        };
        let task = Arc::clone(&self.frameworks[framework].tasks[task_id].task);
        self.remove_task(framework, task_id, kept, turn);
        if is_unreachable {
            self.remember_unreachable(framework, task);
        }
    }
}

#[cfg(test)]
#[path = "losses_tests.rs"]
mod tests;

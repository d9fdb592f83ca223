//! DRAIN_AGENT: an agent leaves the offers, its tasks are killed, and when the last of them is gone and acknowledged it
//! is drained, or marked as gone (Mesos: docs/maintenance.md; `Http::_drainAgent`, `Master::checkAndTransitionDrainingAgent`).
//! Written first; it outlives the leader and the agent's absence, and each agent that returns meanwhile is told again.

use std::sync::Arc;

use prost::Message;
use tepui_messages::{UnixNanos, change::Change, master::Answer, registrar::WriteRefusal};
use tepui_protocol::{
    node,
    v1::{
        DrainConfig, DrainInfo, DrainState, DurationInfo, agent_info::capability::Type,
        master::call,
    },
};
use tepui_registry::Command;

use crate::{
    away::LOOK_AGAIN,
    core::{MasterCore, Order, Pending, Token, Turn},
    deactivation::gone_meanwhile,
    timers::Timer,
};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl MasterCore {
    pub(crate) fn drain_agent(
        &mut self,
        token: Token,
        call: call::DrainAgent,
        turn: &mut Turn<'_>,
    ) {
        let id = call.agent_id.value.as_str();
        let refusal = self
            .refusal_to_deactivate(id)
            .or_else(|| self.refusal_to_drain(id));
        if let Some(refusal) = refusal {
            return turn.answer(token, refusal);
        }
        let Some(config) = config_of(&call) else {
            let text = "'max_grace_period' is negative, or longer than 292 years";
            return turn.answer(token, Answer::refused(400, text));
        };
        let info = DrainInfo {
            state: DrainState::Draining as i32,
            config,
        };
        let command = Command::DrainAgent {
            id: id.to_owned(),
            drain: info.encode_to_vec().into(),
        };
        let pending = Pending::Draining {
            token,
            agent_id: id.to_owned(),
            info,
        };
        self.write(turn, command, pending);
    }

    /// Of agents that are away nothing of this is known.
    fn refusal_to_drain(&self, id: &str) -> Option<Answer> {
        let agent = self.agents.get(id)?;
        if let Some(machine) = self.scheduled_machine_of(id) {
            let text =
                format!("Agent {id} is part of a maintenance schedule under Machine {machine}");
            return Some(Answer::refused(400, text));
        }
        let mut capabilities = agent.record.capabilities.iter();
        let can = capabilities.any(|it| it.r#type() == Type::AgentDraining);
        (!can).then(|| Answer::refused(400, format!("Agent {id} is not capable of draining")))
    }

    pub(crate) fn draining_written(
        &mut self,
        token: Token,
        id: &str,
        info: DrainInfo,
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(reason) = refused {
            tracing::info!(agent = id, %reason, "the agent does not drain");
            self.look_at_drain(id, turn);
            return turn.answer(token, gone_meanwhile(&reason));
        }
        tracing::info!(agent = id, "the agent drains");
        self.draining.insert(id.to_owned(), info);
        self.deactivated.insert(id.to_owned());
        self.settle_deactivation(id, turn);
        self.show_drain(id, turn);
        turn.answer(token, Answer::OK);
        self.go_on_draining(id, turn);
    }

    /// Tells the agent to drain, if it does, and looks whether it has.
    pub(crate) fn go_on_draining(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some(info) = self.draining.get(id).filter(|it| is_draining(it)) else {
            return;
        };
        if let Some(peer) = self.agents.get(id).and_then(|agent| agent.peer) {
            let order = node::DrainAgent {
                config: info.config,
                term: self.term,
            };
            turn.order(peer, Order::DrainAgent(order));
        }
        self.look_at_drain(id, turn);
    }

    /// With its last task or operation an agent is drained.
    pub(crate) fn look_at_drain(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some(info) = self.draining.get(id).filter(|it| is_draining(it)) else {
            return;
        };
        let agent = self.agents.get(id);
        let done = agent.is_some_and(|it| it.tasks.is_empty() && it.operations.is_empty());
        if !done || self.ends_drain_of(id) {
            return;
        }
        if info.config.mark_gone() {
            return self.write_gone(None, id, turn);
        }
        let mut info = *info;
        info.set_state(DrainState::Drained);
        let command = Command::MarkDrained {
            id: id.to_owned(),
            drain: info.encode_to_vec().into(),
        };
        let agent_id = id.to_owned();
        self.write(turn, command, Pending::Drained { agent_id, info });
    }

    /// What ends a drain was not taken into the registry: a rule forbids it for ever, else it is tried again.
    pub(crate) fn look_at_drain_later(&mut self, id: &str, refusal: &WriteRefusal, now: UnixNanos) {
        if matches!(refusal, WriteRefusal::NotNow(_)) {
            let agent_id = id.to_owned();
            let later = now.saturating_add(LOOK_AGAIN);
            self.timers.set(later, Timer::Drain { agent_id });
        }
    }

    /// What is left to be written is under way.
    pub(crate) fn ends_drain_of(&self, id: &str) -> bool {
        let mut pending = self.pending.values();
        let is_marked =
            pending.any(|it| matches!(it, Pending::Drained { agent_id, .. } if agent_id == id));
        is_marked || self.agents_in_transition.contains(id) || self.begins_to_drain(id)
    }

    /// An order to drain is being written; what comes after it looks anew.
    pub(crate) fn begins_to_drain(&self, id: &str) -> bool {
        let mut pending = self.pending.values();
        pending.any(|it| matches!(it, Pending::Draining { agent_id, .. } if agent_id == id))
    }

    pub(crate) fn drained_written(
        &mut self,
        id: &str,
        info: DrainInfo,
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(reason) = refused {
            tracing::info!(agent = id, %reason, "the agent is not marked as drained");
            return self.look_at_drain_later(id, &reason, turn.now);
        }
        // An order that was written meanwhile has the last word.
        let before = DrainInfo {
            state: DrainState::Draining as i32,
            ..info
        };
        let Some(known) = self.draining.get_mut(id).filter(|it| **it == before) else {
            return;
        };
        tracing::info!(agent = id, "the agent is drained");
        *known = info;
        self.show_drain(id, turn);
    }

    /// Brings what is shown of the agent to what is true of it.
    pub(crate) fn show_drain(&mut self, id: &str, turn: &mut Turn<'_>) {
        let info = self.draining.get(id).copied();
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        if agent.record.drain_info == info {
            return;
        }
        let record = Arc::make_mut(&mut agent.record);
        let since = record.drain_started_at.unwrap_or(turn.now);
        record.drain_started_at = info.is_some().then_some(since);
        record.drain_info = info;
        let record = Arc::clone(&agent.record);
        self.change(turn, Change::AgentUpdated(record));
    }
}

pub(crate) fn is_draining(info: &DrainInfo) -> bool {
    info.state() == DrainState::Draining
}

fn config_of(call: &call::DrainAgent) -> Option<DrainConfig> {
    let grace = match &call.max_grace_period {
        Some(grace) => {
            let nanoseconds = grace.seconds.checked_mul(NANOS_PER_SECOND)?;
            let nanoseconds = nanoseconds.checked_add(grace.nanos.into())?;
            if nanoseconds < 0 {
                return None;
            }
            Some(DurationInfo { nanoseconds })
        }
        None => None,
    };
    Some(DrainConfig {
        max_grace_period: grace,
        mark_gone: Some(call.mark_gone()),
    })
}

#[cfg(test)]
#[path = "draining_tests.rs"]
mod tests;

//! DEACTIVATE_AGENT and REACTIVATE_AGENT: an agent that is there, runs what it runs, and is offered to nobody
//! (Mesos: docs/maintenance.md). Written first; it outlives the leader, and the agent's absence.

use std::sync::Arc;

use tepui_messages::{
    allocator::WorldChange, change::Change, master::Answer, registrar::WriteRefusal,
};
use tepui_protocol::v1::AgentId;
use tepui_registry::Command;

use crate::{
    core::{MasterCore, Pending, Token, Turn},
    draining::is_draining,
};

impl MasterCore {
    pub(crate) fn deactivate_agent(&mut self, token: Token, id: &str, turn: &mut Turn<'_>) {
        if let Some(refusal) = self.refusal_to_deactivate(id) {
            return turn.answer(token, refusal);
        }
        let command = Command::DeactivateAgent { id: id.to_string() };
        self.write_deactivation(token, id, (command, true), turn);
    }

    pub(crate) fn refusal_to_deactivate(&self, id: &str) -> Option<Answer> {
        let known = self.agents.contains_key(id)
            || self.recovered_agents.contains_key(id)
            || self.unreachable_agents.contains_key(id);
        if !known {
            return Some(Answer::refused(400, "Unknown agent"));
        }
        let text = "Agent is currently being marked gone";
        let ends = self.is_being_marked_gone(id);
        ends.then(|| Answer::refused(409, text))
    }

    pub(crate) fn reactivate_agent(&mut self, token: Token, id: &str, turn: &mut Turn<'_>) {
        if !self.deactivated.contains(id) {
            return turn.answer(token, Answer::refused(400, "Agent is not deactivated"));
        }
        if self.draining.get(id).is_some_and(is_draining) || self.begins_to_drain(id) {
            let text = "Agent is still in the DRAINING state";
            return turn.answer(token, Answer::refused(400, text));
        }
        let command = Command::ReactivateAgent { id: id.to_string() };
        self.write_deactivation(token, id, (command, false), turn);
    }

    fn write_deactivation(
        &mut self,
        token: Token,
        id: &str,
        (command, deactivated): (Command, bool),
        turn: &mut Turn<'_>,
    ) {
        let pending = Pending::Deactivated {
            token,
            agent_id: id.to_string(),
            deactivated,
        };
        self.write(turn, command, pending);
    }

    fn is_being_marked_gone(&self, id: &str) -> bool {
        let mut pending = self.pending.values();
        pending.any(|it| matches!(it, Pending::AgentGone { agent_id, .. } if agent_id == id))
    }

    pub(crate) fn deactivation_written(
        &mut self,
        token: Token,
        id: &str,
        deactivated: bool,
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(reason) = refused {
            tracing::info!(
                agent = id,
                %reason,
                "the agent is neither in nor out of offers"
            );
            return turn.answer(token, gone_meanwhile(&reason));
        }
        if deactivated {
            self.deactivated.insert(id.to_string());
        } else {
            self.deactivated.remove(id);
            self.draining.remove(id);
        }
        self.settle_deactivation(id, turn);
        self.show_drain(id, turn);
        turn.answer(token, Answer::OK);
    }

    pub(crate) fn settle_deactivation(&mut self, id: &str, turn: &mut Turn<'_>) {
        let deactivated = self.deactivated.contains(id);
        let Some(agent) = self.agents.get_mut(id) else {
            return;
        };
        if agent.record.deactivated == deactivated {
            return;
        }
        let record = Arc::make_mut(&mut agent.record);
        record.deactivated = deactivated;
        record.active = record.connected && !deactivated;
        let record = Arc::clone(&agent.record);
        turn.allocator(WorldChange::AgentActive {
            agent_id: AgentId {
                value: id.to_string(),
            },
            active: record.active,
        });
        if deactivated {
            self.rescind_offers_of_agent(id, turn);
            self.end_inverse_offers_of_agent(id, turn);
        } else {
            self.inverse.mark(id);
        }
        self.change(turn, Change::AgentUpdated(record));
    }
}

/// The registry knows the agent no more, or does not take the change now.
pub(crate) fn gone_meanwhile(refusal: &WriteRefusal) -> Answer {
    let text = match refusal {
        WriteRefusal::Rule(_) => "Agent removed while processing the call",
        WriteRefusal::NotNow(reason) => reason,
    };
    Answer::refused(refusal.status(), text)
}

#[cfg(test)]
#[path = "deactivation_tests.rs"]
mod tests;

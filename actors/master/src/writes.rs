//! What is written to the registry first, and believed after: each decision waits under its ticket for the registry's
//! answer. Answers come in the order of the writes, which is that of the registry's log.

use tepui_messages::{master::Answer, registrar::WriteRefusal};
use tepui_registry::Command;

use crate::core::{Effect, MasterCore, Pending, Ticket, Turn};

impl MasterCore {
    pub(crate) fn write(
        &mut self,
        turn: &mut Turn<'_>,
        command: Command,
        pending: Pending,
    ) -> Ticket {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        self.pending.insert(ticket, pending);
        turn.effects.push(Effect::Write { ticket, command });
        ticket
    }

    pub(crate) fn written(
        &mut self,
        ticket: Ticket,
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        let Some(pending) = self.pending.remove(&ticket) else {
            return;
        };
        match pending {
            Pending::Subscribe { request, lost } => {
                self.subscribe_written(*request, lost, refused, turn)
            }
            Pending::AgentAdmission(admission) => self.admission_written(*admission, refused, turn),
            Pending::AgentUnreachable { agent_id, at } => {
                self.unreachable_written(&agent_id, at, refused, turn)
            }
            Pending::AgentGone {
                agent_id,
                token,
                at,
            } => self.gone_written(&agent_id, token, at, refused, turn),
            Pending::Deactivated {
                token,
                agent_id,
                deactivated,
            } => self.deactivation_written(token, &agent_id, deactivated, refused, turn),
            Pending::AgentRemoved { agent_id, leaving } => {
                self.agent_removed_written(&agent_id, leaving, refused, turn)
            }
            Pending::FrameworkRemoved {
                framework_id,
                answer,
                at,
            } => self.framework_removed_written(&framework_id, at, answer, refused, turn),
            Pending::FrameworkUpdated { token, .. }
            | Pending::Weights { token, .. }
            | Pending::Quota { token, .. }
            | Pending::Maintenance { token, .. } => {
                let answer = match refused {
                    Some(refusal) => Answer::refused(refusal.status(), refusal.to_string()),
                    None => {
                        self.set(pending, turn);
                        Answer::OK
                    }
                };
                turn.answer(token, answer);
            }
            Pending::Draining {
                token,
                agent_id,
                info,
            } => self.draining_written(token, &agent_id, info, refused, turn),
            Pending::Drained { agent_id, info } => {
                self.drained_written(&agent_id, info, refused, turn)
            }
            Pending::Forgotten(bounds) => self.forgotten_written(bounds, refused, turn),
            Pending::Nothing => {}
        }
    }

    /// What was asked for is written, so it is true.
    fn set(&mut self, pending: Pending, turn: &mut Turn<'_>) {
        match pending {
            Pending::FrameworkUpdated {
                framework_id,
                request,
                ..
            } => self.framework_updated(&framework_id, *request, turn),
            Pending::Weights { changed, .. } => {
                self.weights_changed(&changed, turn);
            }
            Pending::Quota { changed, .. } => self.quota_changed(&changed, turn),
            Pending::Maintenance { maintenance, .. } => {
                self.set_maintenance(maintenance, turn);
                self.end_agents_that_are_down(turn);
            }
            _ => {}
        }
    }

    /// The newest write under way of one kind: what comes after it builds on it, or it would undo it.
    pub(crate) fn planned<T>(&self, kind: impl Fn(&Pending) -> Option<&T>) -> Option<&T> {
        self.pending.values().rev().find_map(kind)
    }
}

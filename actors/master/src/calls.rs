//! Scheduler calls but SUBSCRIBE: who may call, and to whom each goes (Mesos: `master/http.cpp`, `Http::scheduler`, from
//! the look-up of the framework on).

use std::{collections::BTreeSet, sync::Arc};

use tepui_messages::{allocator::WorldChange, change::Change, master::Answer, traffic::Count};
use tepui_protocol::{
    node, roles,
    v1::{
        allocator::inverse_offer_status::Status,
        scheduler::{Call, call, call::Type},
    },
    validate,
};

use crate::{
    commands,
    core::{MasterCore, Order, Pending, SubscribeRequest, Token, Turn},
    frameworks::framework_id,
};

impl MasterCore {
    /// A call of a scheduler that may call.
    pub(crate) fn scheduler_call(
        &mut self,
        token: Token,
        id: &str,
        stream_id: Option<&str>,
        call: Call,
        turn: &mut Turn<'_>,
    ) {
        let Ok(kind) = Type::try_from(call.r#type.unwrap_or_default()) else {
            return turn.answer(token, Answer::refused(501, "501 Not Implemented."));
        };
        match kind {
            Type::Unknown | Type::Subscribe => {
                return turn.answer(token, Answer::refused(501, "501 Not Implemented."));
            }
            Type::UpdateFramework => {
                let update = call.update_framework.unwrap_or_default();
                let request = SubscribeRequest {
                    info: update.framework_info,
                    suppressed_roles: update.suppressed_roles,
                    offer_constraints: update.offer_constraints,
                    stream_id: stream_id.unwrap_or_default().to_string(),
                };
                return self.update_framework(token, id, Box::new(request), turn);
            }
            // Answered when the registry has it, so that whoever reads next finds it gone.
            Type::Teardown => {
                self.count(Count::UnregisterFramework);
                return self.end_framework(id, Some((token, Answer::ACCEPTED)), turn);
            }
            _ => turn.answer(token, Answer::ACCEPTED),
        }
        self.perform(id, kind, call, turn);
    }

    /// Who calls for a framework must be who subscribed it, where callers are known.
    pub(crate) fn check_principal(&self, id: &str, principal: Option<&str>) -> Result<(), Answer> {
        let framework = self.frameworks.get(id).map(|framework| framework.info());
        let claimed = framework.map(|info| info.principal.as_deref());
        match (principal, claimed) {
            (Some(principal), Some(claimed)) if claimed != Some(principal) => {
                let claimed = claimed.unwrap_or_default();
                let text = format!(
                    "Authenticated principal '{principal}' does not match principal '{claimed}' set in `FrameworkInfo`"
                );
                Err(Answer::refused(400, text))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_caller(&self, id: &str, stream_id: Option<&str>) -> Result<(), Answer> {
        let framework = self
            .frameworks
            .get(id)
            .ok_or_else(|| Answer::refused(400, "Framework cannot be found"))?;
        if !framework.record.connected {
            return Err(Answer::refused(403, "Framework is not subscribed"));
        }
        let Some(given) = stream_id else {
            return Err(Answer::refused(
                400,
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
            ));
        };
        if framework.stream_id.as_deref() != Some(given) {
            return Err(Answer::refused(
                400,
                format!(
                    "The stream ID '{given}' included in this request didn't match the stream ID currently associated with framework ID {id}"
                ),
            ));
        }
        Ok(())
    }

    fn perform(&mut self, id: &str, kind: Type, call: Call, turn: &mut Turn<'_>) {
        self.count_call(kind, &call);
        match kind {
            Type::Accept => self.accept(id, call.accept.unwrap_or_default(), turn),
            Type::Decline => {
                let decline = call.decline.unwrap_or_default();
                let refuse = decline.filters.and_then(|filters| filters.refuse_seconds);
                self.decline(id, &decline.offer_ids, refuse, turn);
            }
            Type::Revive => {
                let roles = call.revive.unwrap_or_default().roles;
                self.revive_or_suppress(id, roles, true, turn);
            }
            Type::Suppress => {
                let roles = call.suppress.unwrap_or_default().roles;
                self.revive_or_suppress(id, roles, false, turn);
            }
            Type::Kill => {
                let kill = call.kill.unwrap_or_default();
                if !self.kill(id, &kill, turn) {
                    self.reconcile_killed(id, &kill, turn);
                }
            }
            Type::Acknowledge => self.acknowledge(id, call.acknowledge.unwrap_or_default(), turn),
            Type::Reconcile => self.reconcile(id, &call.reconcile.unwrap_or_default(), turn),
            Type::ReconcileOperations => {
                self.reconcile_operations(id, &call.reconcile_operations.unwrap_or_default(), turn);
            }
            Type::Message => self.to_executor(id, call.message.unwrap_or_default(), turn),
            Type::Shutdown => self.shutdown_executor(id, call.shutdown.unwrap_or_default(), turn),
            Type::AcknowledgeOperationStatus => {
                let acknowledge = call.acknowledge_operation_status.unwrap_or_default();
                self.acknowledge_operation(id, &acknowledge, turn);
            }
            Type::AcceptInverseOffers => {
                let accept = call.accept_inverse_offers.unwrap_or_default();
                let refuse = accept.filters.and_then(|filters| filters.refuse_seconds);
                let answer = (Status::Accept, accept.inverse_offer_ids.as_slice());
                self.answer_inverse_offers(id, answer, refuse, turn);
            }
            Type::DeclineInverseOffers => {
                let decline = call.decline_inverse_offers.unwrap_or_default();
                let refuse = decline.filters.and_then(|filters| filters.refuse_seconds);
                let answer = (Status::Decline, decline.inverse_offer_ids.as_slice());
                self.answer_inverse_offers(id, answer, refuse, turn);
            }
            // REQUEST is counted and ignored by Mesos' allocator.
            Type::Request
            | Type::Unknown
            | Type::Subscribe
            | Type::Teardown
            | Type::UpdateFramework => {}
        }
    }

    /// One bad role drops the whole call, silently, as Mesos does.
    fn revive_or_suppress(
        &mut self,
        id: &str,
        roles: Vec<String>,
        revive: bool,
        turn: &mut Turn<'_>,
    ) {
        let subscribed = validate::framework::roles(self.frameworks[id].info());
        let is_wrong =
            |role: &String| roles::validate(role).is_err() || !subscribed.contains(role.as_str());
        if roles.iter().any(is_wrong) {
            tracing::info!(
                framework = id,
                ?roles,
                "revive or suppress dropped: a role is not subscribed"
            );
            return;
        }
        let concerned: BTreeSet<String> = if roles.is_empty() {
            subscribed.into_iter().map(str::to_string).collect()
        } else {
            roles.iter().cloned().collect()
        };
        let framework_id = framework_id(id);
        if revive {
            self.ask_again(id);
            self.forget_refusals(id, &concerned, turn);
            turn.allocator(WorldChange::Revive {
                framework_id,
                roles,
            });
        } else {
            turn.allocator(WorldChange::Suppress {
                framework_id,
                roles,
            });
        }
        self.set_suppressed(id, &concerned, !revive, turn);
    }

    /// Here, and in what the framework is about to become: the registry has that first, and must have the same at the end.
    fn set_suppressed(
        &mut self,
        id: &str,
        concerned: &BTreeSet<String>,
        suppressed: bool,
        turn: &mut Turn<'_>,
    ) {
        let framework = self.frameworks.get_mut(id).expect("the caller was checked");
        let record = &mut framework.record;
        let mut changed = mark(&mut record.suppressed_roles, concerned, suppressed);
        let told = changed.then(|| Arc::new(record.clone()));
        let mut newest = (&record.info, &record.suppressed_roles);
        for pending in self.pending.values_mut() {
            let (Pending::Subscribe { request, .. } | Pending::FrameworkUpdated { request, .. }) =
                pending
            else {
                continue;
            };
            if request.info.id.as_ref().is_some_and(|it| it.value == id) {
                let roles = validate::framework::roles(&request.info);
                let mut left = concerned.clone();
                left.retain(|role| roles.contains(role.as_str()));
                changed = mark(&mut request.suppressed_roles, &left, suppressed);
                newest = (&request.info, &request.suppressed_roles);
            }
        }
        let command = changed.then(|| commands::update_framework(newest.0, newest.1.clone()));
        if let Some(record) = told {
            self.change(turn, Change::FrameworkMarked(record));
        }
        if let Some(command) = command {
            self.write(turn, command, Pending::Nothing);
        }
    }

    fn to_executor(&self, id: &str, message: call::Message, turn: &mut Turn<'_>) {
        let agent = self.agents.get(&message.agent_id.value);
        let Some(peer) = agent.and_then(|agent| agent.peer) else {
            return self.count(Count::InvalidFrameworkToExecutor);
        };
        self.count(Count::ValidFrameworkToExecutor);
        turn.order(
            peer,
            Order::ToExecutor(node::ToExecutor {
                framework_id: framework_id(id),
                executor_id: message.executor_id,
                data: message.data,
                term: Some(self.term),
            }),
        );
    }

    fn shutdown_executor(&self, id: &str, shutdown: call::Shutdown, turn: &mut Turn<'_>) {
        if let Some(peer) = self
            .agents
            .get(&shutdown.agent_id.value)
            .and_then(|agent| agent.peer)
        {
            turn.order(
                peer,
                Order::ShutdownExecutor(node::ShutdownExecutor {
                    framework_id: framework_id(id),
                    executor_id: shutdown.executor_id,
                    term: self.term,
                }),
            );
        }
    }
}

/// Whether it changed anything.
fn mark(list: &mut Vec<String>, concerned: &BTreeSet<String>, suppressed: bool) -> bool {
    let before = list.len();
    if suppressed {
        let known: BTreeSet<&String> = list.iter().collect();
        let new = concerned.iter().filter(|role| !known.contains(role));
        let new: Vec<String> = new.cloned().collect();
        list.extend(new);
    } else {
        list.retain(|role| !concerned.contains(role));
    }
    list.len() != before
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;

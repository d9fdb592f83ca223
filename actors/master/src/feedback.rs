//! What becomes of operations: the agents' word on them, the schedulers' acknowledgements and questions, and what
//! remains of them when agents and frameworks come and go (Mesos: `master/master.cpp`, `updateOperationStatus`,
//! `acknowledgeOperationStatus` and `reconcileOperations`). Their states: docs/architecture.md.

use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::{
    UnixNanos,
    change::{AgentEnd, Change, OperationKey},
    master::PeerId,
    traffic::Count,
};
use tepui_protocol::{
    node,
    resources::{self, Conversion, Resources},
    v1::{
        AgentId, FrameworkId, Operation, OperationId, OperationState, OperationStatus, Resource,
        scheduler::{Event, call, event},
    },
};

use crate::{
    conversions::MAX_OPERATIONS,
    core::{MasterCore, Order, Turn},
    losses::MARKED_GONE,
    tables::Agent,
};

/// How long a framework that is not known may take to ask for its operations, after their agent came (Mesos).
const ORPHAN_PATIENCE: UnixNanos = 600 * 1_000_000_000;
/// Statuses kept with an operation.
const MAX_STATUSES: usize = 10;

impl MasterCore {
    pub(crate) fn add_operation(
        &mut self,
        agent_id: &str,
        key: OperationKey,
        operation: Operation,
        turn: &mut Turn<'_>,
    ) {
        let operation = Arc::new(operation);
        if let Some(framework) = asks_for_feedback(&operation) {
            let entry = (framework.value.clone(), agent_id.to_string(), key);
            self.operations_of_frameworks.insert(entry);
        }
        let agent = self.agents.get_mut(agent_id).expect("the caller knows it");
        agent.operations.insert(key, Arc::clone(&operation));
        self.change(turn, Change::OperationAdded(operation));
    }

    fn remove_operation(&mut self, agent_id: &str, key: &OperationKey, turn: &mut Turn<'_>) {
        self.take_out_operation(agent_id, key, turn);
        self.look_at_drain(agent_id, turn);
    }

    /// As one that comes again at once: nothing has ended.
    fn take_out_operation(&mut self, agent_id: &str, key: &OperationKey, turn: &mut Turn<'_>) {
        let agent = self.agents.get_mut(agent_id);
        let Some(operation) = agent.and_then(|agent| agent.operations.remove(key)) else {
            return;
        };
        if let Some(framework) = asks_for_feedback(&operation) {
            let entry = (framework.value.clone(), agent_id.to_string(), *key);
            self.operations_of_frameworks.remove(&entry);
        }
        let uuid = *key;
        self.change(
            turn,
            Change::OperationRemoved {
                agent_id: AgentId {
                    value: agent_id.to_string(),
                },
                uuid,
            },
        );
    }

    pub(crate) fn operation_update(
        &mut self,
        agent_id: &str,
        update: node::OperationUpdate,
        turn: &mut Turn<'_>,
    ) {
        let Ok(key) = OperationKey::try_from(update.uuid.as_ref()) else {
            return self.count(Count::InvalidOperationUpdate);
        };
        let agent = self.agents.get_mut(agent_id).expect("its peer is known");
        let status = update.status;
        let Some(known) = agent.operations.get_mut(&key) else {
            // It was acknowledged, and the agent has not heard it.
            self.count(Count::InvalidOperationUpdate);
            return self.acknowledge_to_agent(agent_id, &key, &status, turn);
        };
        let was_pending = known.latest_status.state() == OperationState::OperationPending;
        let operation = Arc::make_mut(known);
        if operation.latest_status != status {
            operation.latest_status = status.clone();
            operation.statuses.truncate(MAX_STATUSES - 1);
            operation.statuses.push(status.clone());
        }
        let operation = Arc::clone(known);
        self.count(Count::ValidOperationUpdate);
        self.change(turn, Change::OperationUpdated(Arc::clone(&operation)));
        if was_pending && status.state() != OperationState::OperationFinished {
            tracing::warn!(
                agent = agent_id,
                message = status.message(),
                "an agent could not do what was booked already; its own word counts"
            );
            self.believe_total(agent_id, &update.checkpointed_resources, turn);
        }
        match asks_for_feedback(&operation) {
            Some(framework) if self.waits_for_feedback(agent_id, framework, turn.now) => {
                self.tell_operation_status(&framework.value, status, turn);
            }
            _ => self.acknowledge_to_agent(agent_id, &key, &status, turn),
        }
    }

    /// Whether the framework is, or may still be, there to acknowledge.
    fn waits_for_feedback(&self, agent_id: &str, framework: &FrameworkId, now: UnixNanos) -> bool {
        if self.frameworks.contains_key(&framework.value) {
            return true;
        }
        let record = &self.agents[agent_id].record;
        let since = record.reregistered_at.unwrap_or(record.registered_at);
        let may_come = now.saturating_sub(since) < ORPHAN_PATIENCE;
        may_come && !self.completed_frameworks.contains(&framework.value)
    }

    fn tell_operation_status(&self, framework: &str, status: OperationStatus, turn: &mut Turn<'_>) {
        let framework = self.frameworks.get(framework);
        if let Some(stream_id) = framework.and_then(|framework| framework.stream_id.as_deref()) {
            turn.event(stream_id, operation_event(status));
        }
    }

    fn acknowledge_to_agent(
        &mut self,
        agent_id: &str,
        key: &OperationKey,
        status: &OperationStatus,
        turn: &mut Turn<'_>,
    ) {
        let peer = self.agents.get(agent_id).and_then(|agent| agent.peer);
        if let (Some(peer), Some(uuid)) = (peer, &status.uuid) {
            let order = node::AcknowledgeOperation {
                uuid: key.to_vec().into(),
                status_uuid: uuid.value.clone(),
                term: self.term,
            };
            turn.order(peer, Order::AcknowledgeOperation(order));
            self.remove_operation(agent_id, key, turn);
        }
    }

    /// ACKNOWLEDGE_OPERATION_STATUS: of anything but the status that was sent last it is dropped.
    pub(crate) fn acknowledge_operation(
        &mut self,
        framework: &str,
        acknowledge: &call::AcknowledgeOperationStatus,
        turn: &mut Turn<'_>,
    ) {
        let Some(agent_id) = &acknowledge.agent_id else {
            return self.count(Count::InvalidOperationAcknowledgement);
        };
        let found = self.operations_named(framework, &acknowledge.operation_id);
        let found = found.into_iter().find(|(agent, _, operation)| {
            let uuid = operation.latest_status.uuid.as_ref();
            *agent == agent_id.value && uuid.is_some_and(|uuid| uuid.value == acknowledge.uuid)
        });
        let connected = |agent: &str| self.agents.get(agent).is_some_and(|it| it.peer.is_some());
        let found = found.filter(|(agent, _, _)| connected(agent));
        let Some((agent, key, operation)) = found else {
            return self.count(Count::InvalidOperationAcknowledgement);
        };
        self.count(Count::ValidOperationAcknowledgement);
        self.acknowledge_to_agent(&agent, &key, &operation.latest_status, turn);
    }

    /// The framework's operations with this id: with their agents, oldest first on each.
    fn operations_named(
        &self,
        framework: &str,
        id: &OperationId,
    ) -> Vec<(String, OperationKey, Arc<Operation>)> {
        let all = self.operations_of(framework);
        all.filter(|(_, _, operation)| operation.info.id.as_ref() == Some(id))
            .map(|(agent, key, operation)| (agent.clone(), *key, Arc::clone(operation)))
            .collect()
    }

    /// Those of which the framework wants to hear.
    fn operations_of<'a>(
        &'a self,
        framework: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a OperationKey, &'a Arc<Operation>)> {
        let first = (framework.to_string(), String::new(), [0; 16]);
        let entries = self.operations_of_frameworks.range(first..);
        let entries = entries.take_while(move |(of, _, _)| of == framework);
        entries.filter_map(|(_, agent, key)| {
            let operation = self.agents.get(agent)?.operations.get(key)?;
            Some((agent, key, operation))
        })
    }

    /// RECONCILE_OPERATIONS: all of them, or those named (Mesos: docs/reconciliation.md).
    pub(crate) fn reconcile_operations(
        &self,
        id: &str,
        reconcile: &call::ReconcileOperations,
        turn: &mut Turn<'_>,
    ) {
        let Some(stream_id) = self.frameworks[id].stream_id.clone() else {
            return;
        };
        if reconcile.operations.is_empty() {
            for (_, _, operation) in self.operations_of(id) {
                turn.event(&stream_id, operation_event(last_status(operation)));
            }
            return;
        }
        // Gone through once, however many are asked for; of several with one id the newest counts.
        let named = self.operations_of(id);
        let named =
            named.filter_map(|(_, _, operation)| Some((operation.info.id.as_ref()?, operation)));
        let named: BTreeMap<&str, &Operation> = named
            .map(|(id, operation)| (id.value.as_str(), &**operation))
            .collect();
        for asked in &reconcile.operations {
            let status = match named.get(asked.operation_id.value.as_str()) {
                Some(operation) => last_status(operation),
                None => self.status_of_unknown(asked),
            };
            turn.event(&stream_id, operation_event(status));
        }
    }

    fn status_of_unknown(&self, asked: &call::reconcile_operations::Operation) -> OperationStatus {
        let agent = asked.agent_id.as_ref().map(|id| id.value.as_str());
        let (state, message) = match agent {
            None => (
                OperationState::OperationUnknown,
                "Reconciliation: Operation is unknown and no 'agent_id' was provided",
            ),
            Some(id) if self.recovered_agents.contains_key(id) => (
                OperationState::OperationRecovering,
                "Reconciliation: Agent is recovered but has not re-registered",
            ),
            Some(id) if self.agents.contains_key(id) => (
                OperationState::OperationUnknown,
                "Reconciliation: Operation is unknown",
            ),
            Some(id) if self.unreachable_agents.contains_key(id) => (
                OperationState::OperationUnreachable,
                "Reconciliation: Agent is unreachable",
            ),
            Some(id) if self.gone_agents.contains_key(id) => (
                OperationState::OperationGoneByOperator,
                "Reconciliation: Agent marked gone by operator",
            ),
            Some(_) => (
                OperationState::OperationUnknown,
                "Reconciliation: Both operation and agent are unknown",
            ),
        };
        OperationStatus {
            operation_id: Some(asked.operation_id.clone()),
            state: state as i32,
            message: Some(message.to_string()),
            agent_id: asked.agent_id.clone(),
            resource_provider_id: asked.resource_provider_id.clone(),
            ..Default::default()
        }
    }

    /// Nobody will acknowledge the operations of a framework that has ended: the master does. Those the agent has not
    /// answered yet are acknowledged when it does.
    pub(crate) fn end_operations_of(&mut self, framework: &str, turn: &mut Turn<'_>) {
        let all = self.operations_of(framework);
        let all: Vec<_> = all
            .map(|(agent, key, operation)| (agent.clone(), *key, Arc::clone(operation)))
            .collect();
        for (agent, key, operation) in all {
            self.acknowledge_to_agent(&agent, &key, &operation.latest_status, turn);
        }
    }

    /// The agent is lost with its operations; who asked for feedback hears it.
    pub(crate) fn lose_operations(&mut self, agent_id: &str, end: AgentEnd, turn: &mut Turn<'_>) {
        let operations = self.agents[agent_id].operations.clone();
        let (state, message) = match end {
            AgentEnd::Unreachable => (
                OperationState::OperationUnreachable,
                "Agent was marked unreachable",
            ),
            AgentEnd::Gone => (OperationState::OperationGoneByOperator, MARKED_GONE),
            // Nobody hears of it in Mesos, and who asks is told that it is unknown.
            AgentEnd::Removed => {
                for key in operations.into_keys() {
                    self.remove_operation(agent_id, &key, turn);
                }
                return;
            }
        };
        for (key, operation) in operations {
            self.end_operation(agent_id, &key, &operation, (state, message), turn);
        }
    }

    /// What an agent has that says it has these reservations and volumes, with what it was ordered and has not done
    /// yet.
    fn believe_total(&mut self, agent_id: &str, kept: &[Resource], turn: &mut Turn<'_>) {
        let agent = &self.agents[agent_id];
        let total = match total_of(&agent.record.info.resources, kept) {
            Ok(total) => total + &agent.lent,
            Err(reason) => {
                tracing::error!(
                    agent = agent_id,
                    reason,
                    "what the agent says it has does not fit"
                );
                return;
            }
        };
        let total = pending(agent)
            .into_iter()
            .fold(total, |total, (_, conversions)| {
                total.apply_all(&conversions).unwrap_or(total)
            });
        self.rescind_offers_of_agent(agent_id, turn);
        self.replace_total(agent_id, &total, turn);
    }

    /// Takes the operations of an agent that came back: its own list, and what it was ordered and has not listed.
    /// Of that, what a framework waits to hear of is dropped, for it can ask for it again; what nobody would miss is
    /// ordered again. Gives what the agent has when all that is done.
    pub(crate) fn take_over_operations(
        &mut self,
        id: &str,
        peer: PeerId,
        request: &node::RegisterAgent,
        turn: &mut Turn<'_>,
    ) -> Resources {
        // What was ordered on this very connection may still be on its way.
        let is_new_connection = self.agents[id].peer != Some(peer);
        let listed = request.operations.iter().take(MAX_OPERATIONS);
        let listed: Vec<(OperationKey, &Operation)> = listed
            .filter_map(|operation| {
                let key = OperationKey::try_from(operation.uuid.value.as_ref());
                Some((key.ok()?, operation))
            })
            .collect();
        for (key, operation) in &listed {
            self.take_out_operation(id, key, turn);
            self.add_operation(id, *key, (*operation).clone(), turn);
        }
        let mut total = total_of(
            &request.agent_info.resources,
            &request.checkpointed_resources,
        )
        .unwrap_or_else(|_| Resources::from_proto_unchecked(&request.agent_info.resources));
        total += &self.agents[id].lent;
        let forgotten: Vec<OperationKey> = self.agents[id]
            .operations
            .iter()
            .filter(|(_, operation)| !is_pending(operation))
            .map(|(key, _)| *key)
            .filter(|key| !listed.iter().any(|(known, _)| known == key))
            .collect();
        for key in forgotten {
            self.remove_operation(id, &key, turn);
        }
        if is_new_connection {
            self.drop_unheard(id, turn);
        }
        for (key, conversions) in pending(&self.agents[id]) {
            match total.apply_all(&conversions) {
                Ok(applied) => total = applied,
                Err(error) => self.drop_operation(id, &key, &error.to_string(), turn),
            }
        }
        total
    }

    /// The orders that were lost with the agent's last connection, as far as somebody waits to hear of them.
    fn drop_unheard(&mut self, id: &str, turn: &mut Turn<'_>) {
        let operations = self.agents[id].operations.iter();
        let unheard = operations.filter(|(_, operation)| {
            is_pending(operation) && asks_for_feedback(operation).is_some()
        });
        let unheard: Vec<OperationKey> = unheard.map(|(key, _)| *key).collect();
        for key in unheard {
            self.drop_operation(id, &key, "The operation did not reach the agent", turn);
        }
    }

    fn drop_operation(&mut self, id: &str, key: &OperationKey, why: &str, turn: &mut Turn<'_>) {
        let operation = Arc::clone(&self.agents[id].operations[key]);
        let state = OperationState::OperationDropped;
        self.end_operation(id, key, &operation, (state, why), turn);
    }

    /// Forgets an operation of which the agent will not say more; who asked for feedback hears why.
    fn end_operation(
        &mut self,
        agent_id: &str,
        key: &OperationKey,
        operation: &Operation,
        (state, message): (OperationState, &str),
        turn: &mut Turn<'_>,
    ) {
        let status = OperationStatus {
            state: state as i32,
            message: Some(message.to_string()),
            ..last_status(operation)
        };
        if is_pending(operation) {
            let ended = Operation {
                latest_status: status.clone(),
                ..operation.clone()
            };
            self.change(turn, Change::OperationUpdated(Arc::new(ended)));
        }
        self.remove_operation(agent_id, key, turn);
        if let Some(framework) = asks_for_feedback(operation) {
            self.tell_operation_status(&framework.value, status, turn);
        }
    }

    /// What the agent was ordered, has not listed and nobody would miss did not reach it, or comes twice, which it
    /// notices.
    pub(crate) fn repeat_operations(&self, id: &str, peer: PeerId, turn: &mut Turn<'_>) {
        let operations = self.agents[id].operations.iter();
        for (key, operation) in operations.filter(|(_, operation)| is_pending(operation)) {
            turn.order(peer, self.operation_order(key, operation));
        }
    }
}

/// What an agent has that is configured so and keeps these reservations and volumes.
///
/// # Errors
/// The configuration does not have what was reserved.
pub(crate) fn total_of(configured: &[Resource], kept: &[Resource]) -> Result<Resources, String> {
    let configured = Resources::from_proto_unchecked(configured);
    let kept = Resources::from_proto(kept).map_err(|error| error.to_string())?;
    let total = configured.apply_checkpointed(&kept);
    total.map_err(|error| error.to_string())
}

fn is_pending(operation: &Operation) -> bool {
    operation.latest_status.state() == OperationState::OperationPending
}

/// What the agent has not answered yet, oldest first, and what it converts.
fn pending(agent: &Agent) -> Vec<(OperationKey, Vec<Conversion>)> {
    let operations = agent.operations.iter();
    let conversions = |operation: &Operation| {
        let conversions = resources::conversions(&operation.info).unwrap_or_default();
        conversions.iter().map(Conversion::unallocated).collect()
    };
    operations
        .filter(|(_, operation)| is_pending(operation))
        .map(|(key, operation)| (*key, conversions(operation)))
        .collect()
}

/// The framework that wants to hear of the operation, if one does.
fn asks_for_feedback(operation: &Operation) -> Option<&FrameworkId> {
    let framework = operation.framework_id.as_ref();
    framework.filter(|_| operation.info.id.is_some())
}

/// As the master tells it by itself: nobody acknowledges it.
fn last_status(operation: &Operation) -> OperationStatus {
    OperationStatus {
        uuid: None,
        ..operation.latest_status.clone()
    }
}

pub(crate) fn operation_event(status: OperationStatus) -> Event {
    Event {
        r#type: Some(event::Type::UpdateOperationStatus as i32),
        update_operation_status: Some(event::UpdateOperationStatus { status }),
        ..Default::default()
    }
}

#[cfg(test)]
#[path = "feedback_tests.rs"]
mod tests;

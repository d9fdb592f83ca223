//! Operations that change what an agent has: booked here at once, ordered of the agent after (Mesos: `Master::_apply`).
//! The agent applies each once and says so. An agent that comes back without it is ordered again, unless a framework
//! waits to hear of it: [`crate::feedback`] then drops it. All states are in docs/architecture.md.

use std::sync::Arc;

use tepui_messages::{
    allocator::WorldChange,
    change::{Change, OperationKey},
};
use tepui_protocol::{
    node,
    resources::{Conversion, Resources},
    v1::{
        AgentId, Operation, OperationState, OperationStatus, Uuid,
        offer::{self, operation::Type},
    },
};

use crate::{
    accept::Pool,
    core::{MasterCore, Order, Turn},
    frameworks::framework_id,
    tables::{Agent, without_allocation},
};

/// Operations an agent may have that nobody has acknowledged.
pub(crate) const MAX_OPERATIONS: usize = 1_000;
/// Reservations and volumes an agent may have: each kind of resource costs every look at the agent.
pub(crate) const MAX_KEPT_RESOURCES: usize = 500;

impl MasterCore {
    /// Books a valid operation of a framework, whose offers are in the pool.
    ///
    /// # Errors
    /// Why it cannot be applied.
    pub(crate) fn convert_offered(
        &mut self,
        framework: &str,
        operation: offer::Operation,
        conversions: &[Conversion],
        pool: &mut Pool,
        turn: &mut Turn<'_>,
    ) -> Result<(), String> {
        let applied = pool.remaining.apply_all(conversions);
        let applied = applied.map_err(|error| error.to_string())?;
        let total = self.converted_total(&pool.agent_id.value, conversions)?;
        let (consumed, converted) = Conversion::net(conversions);
        debug_assert_eq!(consumed, &pool.remaining - &applied);
        debug_assert_eq!(converted, &applied - &pool.remaining);
        let destroys_shared = self.rescind_destroyed(&pool.agent_id.value, conversions, turn);
        turn.allocator(WorldChange::Converted {
            agent_id: pool.agent_id.clone(),
            consumed: pool.allocation(framework, &consumed),
            converted: without_allocation(&converted.to_proto_copies()),
            total: total.to_proto(),
        });
        if destroys_shared {
            self.forbid_earlier_proposals(&pool.agent_id.value, turn);
        }
        // Mesos does not let the same call use a volume that was resized.
        if matches!(operation.r#type(), Type::GrowVolume | Type::ShrinkVolume) {
            pool.remaining -= &consumed;
            pool.resized += &converted;
        } else {
            pool.remaining = applied;
        }
        let agent_id = pool.agent_id.clone();
        self.set_total(&agent_id.value, &total, turn);
        self.count_operation(framework, operation.r#type());
        self.order_operation(&agent_id, Some(framework), operation, turn);
        Ok(())
    }

    /// What the agent has after the conversions.
    pub(crate) fn converted_total(
        &self,
        agent_id: &str,
        conversions: &[Conversion],
    ) -> Result<Resources, String> {
        let agent = &self.agents[agent_id];
        if agent.operations.len() >= MAX_OPERATIONS {
            return Err(format!(
                "Agent {agent_id} has {MAX_OPERATIONS} operations that are not acknowledged; acknowledge them first"
            ));
        }
        let conversions: Vec<Conversion> =
            conversions.iter().map(Conversion::unallocated).collect();
        let total = Resources::from_proto_unchecked(&agent.record.total);
        let total = total.apply_all(&conversions);
        let total = total.map_err(|error| error.to_string())?;
        if total.to_checkpoint().len() > MAX_KEPT_RESOURCES {
            return Err(format!(
                "Agent {agent_id} would have more than {MAX_KEPT_RESOURCES} different reservations and volumes"
            ));
        }
        Ok(total)
    }

    /// Shared volumes may be in several offers; those that are destroyed must be in none. True if there are any.
    pub(crate) fn rescind_destroyed(
        &mut self,
        agent_id: &str,
        conversions: &[Conversion],
        turn: &mut Turn<'_>,
    ) -> bool {
        let shared = |conversion: &Conversion| {
            let gone = conversion.unallocated().gone;
            gone.filter(|volume| volume.is_shared())
        };
        let gone: Vec<_> = conversions.iter().filter_map(shared).collect();
        if gone.is_empty() {
            return false;
        }
        for number in self.agents[agent_id].offers.clone() {
            let offered = Resources::from_proto_unchecked(&self.offers[&number].resources);
            if gone.iter().any(|volume| offered.contains_entry(volume)) {
                self.rescind_offer(number, turn);
            }
        }
        true
    }

    /// The agent has something else than before, whatever was proposed or written down of it.
    pub(crate) fn replace_total(&mut self, agent_id: &str, total: &Resources, turn: &mut Turn<'_>) {
        turn.allocator(WorldChange::AgentTotal {
            agent_id: AgentId {
                value: agent_id.to_string(),
            },
            total: total.to_proto(),
        });
        self.forbid_earlier_proposals(agent_id, turn);
        self.set_total(agent_id, total, turn);
    }

    /// What the allocator proposes of the agent before it has heard of the last change may not be there any more.
    pub(crate) fn forbid_earlier_proposals(&mut self, agent_id: &str, turn: &Turn<'_>) {
        if let Some(agent) = self.agents.get_mut(agent_id) {
            agent.converted_at = turn.told();
        }
    }

    /// Writes down what the agent has; the allocator is told by the caller.
    pub(crate) fn set_total(&mut self, agent_id: &str, total: &Resources, turn: &mut Turn<'_>) {
        let agent = self.agents.get_mut(agent_id).expect("the caller knows it");
        Arc::make_mut(&mut agent.record).total = total.to_proto();
        let record = Arc::clone(&agent.record);
        self.change(turn, Change::AgentUpdated(record));
    }

    pub(crate) fn order_operation(
        &mut self,
        agent_id: &AgentId,
        framework: Option<&str>,
        info: offer::Operation,
        turn: &mut Turn<'_>,
    ) {
        let key = self.next_operation_key();
        let status = OperationStatus {
            operation_id: info.id.clone(),
            state: OperationState::OperationPending as i32,
            agent_id: Some(agent_id.clone()),
            ..Default::default()
        };
        let operation = Operation {
            framework_id: framework.map(framework_id),
            agent_id: Some(agent_id.clone()),
            info,
            latest_status: status,
            statuses: Vec::new(),
            uuid: Uuid {
                value: key.to_vec().into(),
            },
        };
        if let Some(peer) = self.agents[&agent_id.value].peer {
            turn.order(peer, self.operation_order(&key, &operation));
        }
        self.add_operation(&agent_id.value, key, operation, turn);
    }

    pub(crate) fn operation_order(&self, key: &OperationKey, operation: &Operation) -> Order {
        Order::ApplyOperation(Box::new(node::ApplyOperation {
            framework_id: operation.framework_id.clone(),
            operation: operation.info.clone(),
            uuid: key.to_vec().into(),
            term: self.term,
        }))
    }

    /// Term and count in the shape of a random uuid: unique in the cluster, and in the order of the orders.
    fn next_operation_key(&mut self) -> OperationKey {
        self.next_operation += 1;
        let mut key = [0; 16];
        key[..6].copy_from_slice(&self.term.to_be_bytes()[2..]);
        key[6] = 0x40;
        key[8] = 0x80;
        key[9..].copy_from_slice(&self.next_operation.to_be_bytes()[1..]);
        key
    }
}

/// What is not used by tasks and executors, `used`, and not offered.
pub(crate) fn free_on(agent: &Agent, used: &Resources, offered: &Resources) -> Resources {
    let total = Resources::from_proto_unchecked(&agent.record.total);
    total - &used.unallocated() - &offered.unallocated()
}

#[cfg(test)]
#[path = "conversions_tests.rs"]
mod tests;

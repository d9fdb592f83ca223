//! What agents were ordered to reserve or create: those of the moment, and how many ended how.

use std::{collections::BTreeMap, sync::Arc};

use tepui_protocol::v1::{AgentId, Operation, OperationState, offer::operation::Type};

use super::World;

/// How many operations of each kind reached each terminal state since this master leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationCounts(BTreeMap<(Type, OperationState), u64>);

impl OperationCounts {
    pub fn of(&self, kind: Type, state: OperationState) -> u64 {
        self.0.get(&(kind, state)).copied().unwrap_or(0)
    }
}

impl World {
    pub(super) fn put_operation(&mut self, operation: &Arc<Operation>) {
        let agent = operation.agent_id.clone().unwrap_or_default().value;
        let key = (agent, operation.uuid.value.to_vec());
        let before = self.operations.insert(key, Arc::clone(operation));
        // One that was told of as ended from the first came back with its agent.
        let was_under_way = before.is_some_and(|before| !is_terminal(&before));
        if was_under_way && is_terminal(operation) {
            let ended = (operation.info.r#type(), operation.latest_status.state());
            *self.counters.operations.0.entry(ended).or_default() += 1;
        }
    }

    pub(super) fn remove_operation(&mut self, agent_id: &AgentId, uuid: &[u8]) -> bool {
        let key = (agent_id.value.clone(), uuid.to_vec());
        self.operations.remove(&key).is_some()
    }

    /// How many operations of each kind are in each state that is not the last.
    pub fn operations_under_way(&self) -> BTreeMap<(Type, OperationState), u64> {
        let mut counts = BTreeMap::new();
        for operation in self.operations.values().filter(|it| !is_terminal(it)) {
            let at = (operation.info.r#type(), operation.latest_status.state());
            *counts.entry(at).or_default() += 1;
        }
        counts
    }
}

fn is_terminal(operation: &Operation) -> bool {
    matches!(
        operation.latest_status.state(),
        OperationState::OperationFinished
            | OperationState::OperationFailed
            | OperationState::OperationError
            | OperationState::OperationDropped
            | OperationState::OperationGoneByOperator
    )
}

//! Reservations and volumes of this node: orders applied once, kept before they are answered, answered until
//! acknowledged (Mesos: `Slave::applyOperation`; `status_update_manager/operation.cpp`). Owns what the node has in all.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tepui_messages::agent::NodePhase;
use tepui_protocol::{
    node,
    resources::{self, Conversion, ResourceError, Resources},
    v1::{Operation, OperationState, OperationStatus, Resource, TaskInfo, Uuid},
};

use crate::{
    core::{NodeCore, Timer, Turn},
    effect::{Effect, Ending, Keep},
    tables::beyond,
    volumes,
};

/// The 16 bytes that name an operation.
pub(crate) type OperationKey = [u8; 16];

/// Acknowledged operations that are remembered: an order that was on its way for long must not be applied again.
const MAX_REMEMBERED: usize = 1_000;

/// The operations of one node.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// Not acknowledged, in the order of their orders.
    pub(crate) open: BTreeMap<OperationKey, Entry>,
    acknowledged: VecDeque<OperationKey>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) operation: Arc<Operation>,
    again_at: Option<Duration>,
    next_wait: Duration,
}

impl NodeCore {
    /// Takes back what an earlier life kept. False if the configuration no longer has it, and the agent ends.
    pub(crate) fn restore_resources(&mut self, turn: &mut Turn<'_>, kept: &[Resource]) -> bool {
        let kept = Resources::from_proto_unchecked(kept);
        match self.total.apply_checkpointed(&kept) {
            Ok(total) => self.total = total,
            Err(error) => {
                let text = format!(
                    "the agent's resources lack what was reserved or created on it ({error}); restart it with \
                     resources that have it, or with another work directory to make it a new agent"
                );
                self.exit(turn, Ending::Refused(text));
                return false;
            }
        }
        let make = volumes::directories(&self.config.work_dir, &self.total);
        if !make.is_empty() {
            turn.out.push(Effect::ChangeVolumes {
                make: make.into_iter().collect(),
                remove: Vec::new(),
            });
        }
        true
    }

    pub(crate) fn restore_operation(&mut self, turn: &mut Turn<'_>, operation: Operation) {
        let Ok(key) = OperationKey::try_from(operation.uuid.value.as_ref()) else {
            return;
        };
        // The agent may have died before it removed what was destroyed.
        if let Some(destroyed) = &operation.info.destroy {
            let gone = Resources::from_proto_unchecked(&destroyed.volumes);
            let present = volumes::directories(&self.config.work_dir, &self.total);
            let mut remove = volumes::directories(&self.config.work_dir, &gone);
            remove.retain(|directory| !present.contains(directory));
            if operation.latest_status.state() == OperationState::OperationFinished {
                turn.out.push(Effect::ChangeVolumes {
                    make: Vec::new(),
                    remove: remove.into_iter().collect(),
                });
            }
        }
        self.operations.open.insert(key, self.entry(operation));
    }

    fn entry(&self, operation: Operation) -> Entry {
        Entry {
            operation: Arc::new(operation),
            again_at: None,
            next_wait: self.config.update_retry_min,
        }
    }

    pub(crate) fn apply_operation(&mut self, turn: &mut Turn<'_>, order: node::ApplyOperation) {
        let Ok(key) = OperationKey::try_from(order.uuid.as_ref()) else {
            return;
        };
        if let Some(known) = self.operations.open.get_mut(&key) {
            // The master has not heard of it.
            known.again_at = None;
            return self.forward_operation(turn, key);
        }
        if self.operations.acknowledged.contains(&key) {
            return;
        }
        let before = self.total.clone();
        let applied = conversions(&order).and_then(|all| before.apply_all(&all));
        let (state, message) = match applied {
            Ok(total) => {
                self.total = total;
                (OperationState::OperationFinished, None)
            }
            Err(error) => (OperationState::OperationFailed, Some(error.to_string())),
        };
        let status = OperationStatus {
            operation_id: order.operation.id.clone(),
            state: state as i32,
            message,
            uuid: Some(uuid(self.ids.uuid())),
            agent_id: self.info.id.clone(),
            ..OperationStatus::default()
        };
        let operation = Operation {
            framework_id: order.framework_id,
            agent_id: self.info.id.clone(),
            info: order.operation,
            latest_status: status.clone(),
            statuses: vec![status],
            uuid: uuid(key),
        };
        if self.total != before {
            turn.keep_synced(Keep::Resources(self.kept_resources()));
            self.change_volumes(turn, &before);
        }
        let entry = self.entry(operation);
        turn.keep_synced(Keep::Operation(Arc::clone(&entry.operation)));
        self.operations.open.insert(key, entry);
        self.forward_operation(turn, key);
    }

    fn change_volumes(&self, turn: &mut Turn<'_>, before: &Resources) {
        let before = volumes::directories(&self.config.work_dir, before);
        let now = volumes::directories(&self.config.work_dir, &self.total);
        let make: Vec<_> = now.difference(&before).cloned().collect();
        let remove: Vec<_> = before.difference(&now).cloned().collect();
        if !make.is_empty() || !remove.is_empty() {
            turn.out.push(Effect::ChangeVolumes { make, remove });
        }
    }

    /// What must not be forgotten of what the node has.
    pub(crate) fn kept_resources(&self) -> Vec<Resource> {
        self.total.to_checkpoint().to_proto()
    }

    /// Tells the master what became of the operation, if it is time.
    pub(crate) fn forward_operation(&mut self, turn: &mut Turn<'_>, key: OperationKey) {
        let now = turn.now.monotonic;
        let Some(entry) = self.operations.open.get_mut(&key) else {
            return;
        };
        if self.phase != NodePhase::Running || entry.again_at.is_some_and(|at| at > now) {
            return;
        }
        let at = now + entry.next_wait;
        entry.again_at = Some(at);
        entry.next_wait = (entry.next_wait * 2).min(self.config.update_retry_max);
        let operation = Arc::clone(&entry.operation);
        self.set_timer(at, Timer::Operation(key));
        let failed = operation.latest_status.state() != OperationState::OperationFinished;
        turn.out.push(Effect::SendOperationUpdate(Box::new(
            node::OperationUpdate {
                framework_id: operation.framework_id.clone(),
                uuid: operation.uuid.value.clone(),
                status: operation.latest_status.clone(),
                checkpointed_resources: if failed {
                    self.kept_resources()
                } else {
                    Vec::new()
                },
            },
        )));
    }

    /// There is a master again: it hears everything that is not acknowledged.
    pub(crate) fn forward_all_operations(&mut self, turn: &mut Turn<'_>) {
        let keys: Vec<OperationKey> = self.operations.open.keys().copied().collect();
        for key in keys {
            if let Some(entry) = self.operations.open.get_mut(&key) {
                entry.again_at = None;
                entry.next_wait = self.config.update_retry_min;
            }
            self.forward_operation(turn, key);
        }
    }

    pub(crate) fn acknowledge_operation(
        &mut self,
        turn: &mut Turn<'_>,
        order: &node::AcknowledgeOperation,
    ) {
        let Ok(key) = OperationKey::try_from(order.uuid.as_ref()) else {
            return;
        };
        let status = self.operations.open.get(&key);
        let status = status.and_then(|entry| entry.operation.latest_status.uuid.as_ref());
        if status.is_none_or(|uuid| uuid.value != order.status_uuid) {
            return;
        }
        if let Some(entry) = self.operations.open.remove(&key) {
            self.clear_timer(entry.again_at, Timer::Operation(key));
        }
        self.operations.acknowledged.push_back(key);
        beyond(&mut self.operations.acknowledged, MAX_REMEMBERED);
        turn.keep(Keep::ForgetOperation(key));
    }

    /// Who was promised what this node does not have, reservations and volumes it knows nothing of: the task or its
    /// executor. Both may use one shared volume.
    pub(crate) fn lacks_resources_of(&self, task: &TaskInfo) -> Option<&'static str> {
        let is_lacking = |used: &[Resource]| {
            let used = Resources::from_proto_unchecked(used).unallocated();
            !self.total.contains(&used.to_checkpoint())
        };
        if is_lacking(&task.resources) {
            return Some("task or task group");
        }
        let executor = task.executor.as_ref();
        executor
            .is_some_and(|it| is_lacking(&it.resources))
            .then_some("executor")
    }
}

fn conversions(order: &node::ApplyOperation) -> Result<Vec<Conversion>, ResourceError> {
    let conversions = resources::conversions(&order.operation)?;
    Ok(conversions.iter().map(Conversion::unallocated).collect())
}

fn uuid(bytes: [u8; 16]) -> Uuid {
    Uuid {
        value: bytes.to_vec().into(),
    }
}

#[cfg(test)]
#[path = "operations_tests.rs"]
mod tests;

//! What the master took and refused, and why tasks ended: counted by the master under Mesos' names, read by whoever
//! shows metrics.
//!
//! Owns integers only: to count is to add one. Never decides what is valid.

use std::{
    array,
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tepui_protocol::v1::{
    TaskState, TaskStatus,
    task_status::{Reason, Source},
};

/// One more than the largest number of a task state.
const STATES: usize = TaskState::TaskUnknown as usize + 1;

macro_rules! counts {
    ($($count:ident => $name:literal,)*) => {
        /// What is counted; the names are Mesos', without `master/`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Count {
            $($count,)*
        }

        const NAMES: &[&str] = &[$($name,)*];
    };
}

counts! {
    // Messages that no master took: what was not held for a master without a lease. Who sent them repeats them.
    Dropped => "dropped_messages",
    // Calls of schedulers.
    RegisterFramework => "messages_register_framework",
    ReregisterFramework => "messages_reregister_framework",
    UnregisterFramework => "messages_unregister_framework",
    LaunchTasks => "messages_launch_tasks",
    DeclineOffers => "messages_decline_offers",
    ReviveOffers => "messages_revive_offers",
    SuppressOffers => "messages_suppress_offers",
    KillTask => "messages_kill_task",
    ReconcileTasks => "messages_reconcile_tasks",
    ReconcileOperations => "messages_reconcile_operations",
    ResourceRequest => "messages_resource_request",
    FrameworkToExecutor => "messages_framework_to_executor",
    ValidFrameworkToExecutor => "valid_framework_to_executor_messages",
    InvalidFrameworkToExecutor => "invalid_framework_to_executor_messages",
    Acknowledgement => "messages_status_update_acknowledgement",
    ValidAcknowledgement => "valid_status_update_acknowledgements",
    InvalidAcknowledgement => "invalid_status_update_acknowledgements",
    OperationAcknowledgement => "messages_operation_status_update_acknowledgement",
    ValidOperationAcknowledgement => "valid_operation_status_update_acknowledgements",
    InvalidOperationAcknowledgement => "invalid_operation_status_update_acknowledgements",
    // Words of agents.
    RegisterAgent => "messages_register_slave",
    ReregisterAgent => "messages_reregister_slave",
    UnregisterAgent => "messages_unregister_slave",
    UpdateAgent => "messages_update_slave",
    ExitedExecutor => "messages_exited_executor",
    ExecutorToFramework => "messages_executor_to_framework",
    ValidExecutorToFramework => "valid_executor_to_framework_messages",
    InvalidExecutorToFramework => "invalid_executor_to_framework_messages",
    StatusUpdate => "messages_status_update",
    ValidStatusUpdate => "valid_status_updates",
    InvalidStatusUpdate => "invalid_status_updates",
    OperationUpdate => "messages_operation_status_update",
    ValidOperationUpdate => "valid_operation_status_updates",
    InvalidOperationUpdate => "invalid_operation_status_updates",
    // What became of agents.
    RecoveredAgentLost => "recovery_slave_removals",
    AgentReplaced => "slave_removals/reason_registered",
    AgentUnregistered => "slave_removals/reason_unregistered",
    UnreachableScheduled => "slave_unreachable_scheduled",
    UnreachableCanceled => "slave_unreachable_canceled",
}

/// See the module.
#[derive(Debug)]
pub struct Tally {
    counts: [AtomicU64; NAMES.len()],
    /// Tasks that were refused before they were tasks, by the state their scheduler was told.
    refused: [AtomicU64; STATES],
    /// By state, source and reason; there are only so many of each.
    ended: Mutex<BTreeMap<(TaskState, Source, Reason), u64>>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            counts: array::from_fn(|_| AtomicU64::new(0)),
            refused: array::from_fn(|_| AtomicU64::new(0)),
            ended: Mutex::default(),
        }
    }
}

impl Tally {
    pub fn count(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, Relaxed);
    }

    /// A task was refused: its scheduler is told this status.
    pub fn refused(&self, status: &TaskStatus) {
        self.refused[status.state() as usize].fetch_add(1, Relaxed);
        self.ended(status);
    }

    /// A task ended or became unreachable, which this status says.
    pub fn ended(&self, status: &TaskStatus) {
        let reason = status.reason.map(Reason::try_from);
        if let Some(Ok(reason)) = reason {
            let key = (status.state(), status.source(), reason);
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            *ended.entry(key).or_default() += 1;
        }
    }

    /// How often that was counted.
    pub fn of(&self, what: Count) -> u64 {
        self.counts[what as usize].load(Relaxed)
    }

    /// Names and values. `master/tasks_error` and its like are those of refused tasks alone.
    pub fn all(&self) -> Vec<(String, f64)> {
        let counts = NAMES.iter().zip(&self.counts);
        let mut all: Vec<_> = counts
            .map(|(name, count)| (format!("master/{name}"), count.load(Relaxed) as f64))
            .collect();
        let states = (0..STATES as i32).filter_map(|state| TaskState::try_from(state).ok());
        for state in states {
            let refused = self.refused[state as usize].load(Relaxed);
            if refused > 0 {
                let name = lower(state.as_str_name());
                let name = name.trim_start_matches("task_");
                all.push((format!("master/tasks_{name}"), refused as f64));
            }
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(ended.iter().map(|((state, source, reason), count)| {
            let (state, source) = (lower(state.as_str_name()), lower(source.as_str_name()));
            let name = format!("master/{state}/{source}/{}", lower(reason.as_str_name()));
            (name, *count as f64)
        }));
        all
    }
}

/// As the API before v1 spells it, which metrics keep to: agents are slaves.
fn lower(name: &str) -> String {
    name.to_ascii_lowercase().replace("agent", "slave")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: TaskState, source: Source, reason: Option<Reason>) -> TaskStatus {
        TaskStatus {
            state: state as i32,
            source: Some(source as i32),
            reason: reason.map(|reason| reason as i32),
            ..TaskStatus::default()
        }
    }

    #[test]
    fn reasons_are_named_as_mesos_names_them() {
        let tally = Tally::default();
        let (failed, lost) = (TaskState::TaskFailed, TaskState::TaskLost);
        let launch = Reason::ContainerLaunchFailed;
        for _ in 0..2 {
            tally.ended(&status(failed, Source::Agent, Some(launch)));
        }
        tally.ended(&status(failed, Source::Executor, None));
        tally.refused(&status(lost, Source::Master, Some(Reason::AgentRemoved)));
        tally.count(Count::KillTask);
        let all: BTreeMap<String, f64> = tally.all().into_iter().collect();
        let counted = all.into_iter().filter(|(_, value)| *value > 0.0);
        let expected = [
            ("master/messages_kill_task", 1.0),
            (
                "master/task_failed/source_slave/reason_container_launch_failed",
                2.0,
            ),
            ("master/task_lost/source_master/reason_slave_removed", 1.0),
            ("master/tasks_lost", 1.0),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(counted.collect::<Vec<_>>(), expected);
    }
}

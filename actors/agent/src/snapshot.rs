//! The agent's state for those who ask: shared parts, put together on demand.

use std::{path::PathBuf, sync::Arc};

use tepui_messages::agent::{ExecutorState, FrameworkState, NestedState, NodeState};
use tepui_protocol::{
    redact,
    v1::{ContainerId, Task},
};

use crate::{
    core::NodeCore,
    tables::{Executor, Framework, Stage, TaskEntry},
};

impl NodeCore {
    /// Everything, as it is now.
    pub fn state(&self) -> NodeState {
        let live = self.frameworks.values().map(framework_state);
        let completed = self.completed_frameworks.iter().map(framework_state);
        NodeState {
            info: Arc::clone(&self.info),
            phase: self.phase,
            master: self.master.clone(),
            registered_at: self.registered_at,
            total: self.total_with_oversubscribed(),
            counts: self.counts.clone(),
            operations: self
                .operations
                .open
                .values()
                .map(|entry| Arc::clone(&entry.operation))
                .collect(),
            draining: self.drain,
            guests: self.running_guests(),
            inner_sandboxes: self.inner_sandboxes(),
            frameworks: live.collect(),
            completed_frameworks: completed.collect(),
        }
    }

    fn inner_sandboxes(&self) -> Vec<PathBuf> {
        let children = self.children.iter().filter_map(|(container_id, (key, _))| {
            let (_, name) = container_id.rsplit_once('.')?;
            Some(self.executor(key)?.sandbox.join("containers").join(name))
        });
        let guests = self.guests.values().filter(|guest| guest.end.is_none());
        children
            .chain(guests.filter_map(|guest| guest.sandbox.clone()))
            .collect()
    }
}

fn framework_state(framework: &Framework) -> FrameworkState {
    let mut executors: Vec<_> = framework.executors.values().collect();
    executors.sort_by_key(|executor| executor.sequence);
    FrameworkState {
        info: Arc::clone(&framework.info),
        executors: executors.into_iter().map(executor_state).collect(),
        completed_executors: framework.completed.iter().map(executor_state).collect(),
    }
}

fn executor_state(executor: &Executor) -> ExecutorState {
    ExecutorState {
        info: redact::executor(&executor.info),
        command_task: executor.command_task,
        phase: executor.phase,
        container_id: ContainerId {
            value: executor.container_id.clone(),
            parent: None,
        },
        sandbox: executor.sandbox.clone(),
        pid: executor.running(),
        queued_tasks: tasks(executor, Stage::Queued),
        launched_tasks: tasks(executor, Stage::Launched),
        terminated_tasks: tasks(executor, Stage::Terminated),
        completed_tasks: executor.completed.iter().cloned().collect(),
        nested: executor
            .at(Stage::Launched)
            .into_iter()
            .filter_map(nested)
            .collect(),
    }
}

fn nested(entry: &TaskEntry) -> Option<NestedState> {
    let child = entry.child.as_ref()?;
    Some(NestedState {
        name: child.name().to_owned(),
        pid: child.pid?,
        task: Arc::clone(&entry.task),
    })
}

fn tasks(executor: &Executor, stage: Stage) -> Vec<Arc<Task>> {
    let entries = executor.at(stage).into_iter();
    entries.map(|entry| Arc::clone(&entry.task)).collect()
}

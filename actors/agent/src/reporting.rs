//! Telling the master: an update's way into its stream, its task's record and the checkpoint, and what its
//! acknowledgement sets free.

use std::{sync::Arc, time::Duration};

use tepui_protocol::{node, v1::TaskStatus};

use crate::{
    core::{NodeCore, Timer, Turn, task_key},
    effect::{Effect, ExecutorKey, Keep, TaskKey},
    status,
    tables::framework_id,
    updates::{self, Acknowledged, Appended},
};

impl NodeCore {
    /// Takes an update of a task: into its stream, its record and, if it is the head, to the master. False only
    /// if it could not be taken and may be tried again.
    pub(crate) fn update(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &str,
        executor: Option<&str>,
        mut status: TaskStatus,
    ) -> bool {
        self.complete_status(turn, framework, executor, &mut status);
        let mut known = self.frameworks.get_mut(framework);
        let terminating = known.as_ref().is_some_and(|known| known.terminating);
        let status = Arc::new(status);
        let key = task_key(framework, &status.task_id);
        if !terminating {
            match self.streams.append(&key, Arc::clone(&status)) {
                Appended::Taken => {}
                Appended::Duplicate | Appended::Closed => return true,
                Appended::Refused => return false,
            }
        }
        let executors = known.as_mut().map(|known| &mut known.executors);
        let executor = executors.and_then(|known| known.get_mut(executor?));
        let ends = updates::is_terminal(status.state());
        self.counts.updates.count(!terminating);
        if terminating {
            // It is over, but what was last told of it stays (Mesos: `Slave::statusUpdate`).
            if let Some(executor) = executor.filter(|_| ends) {
                executor.end(&status.task_id.value);
            }
            return true;
        }
        if executor.is_some_and(|executor| executor.apply(&status)) {
            *self.counts.ended_tasks.entry(status.state()).or_default() += 1;
        }
        // A task's end is the one thing that cannot be told again from what a rebooted machine finds.
        let change = Keep::Update {
            framework_id: framework.to_owned(),
            status,
        };
        if ends {
            turn.keep_synced(change);
        } else {
            turn.keep(change);
        }
        self.forward(turn, &key);
        true
    }

    /// Passes on what an executor tells of a task that is not here, or not any more: it is not repeated, and nothing of it
    /// is kept, so that who invents tasks fills no disk.
    pub(crate) fn tell_once(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &str,
        executor: &str,
        mut status: TaskStatus,
    ) {
        self.complete_status(turn, framework, Some(executor), &mut status);
        let latest_state = status.state;
        turn.out
            .push(Effect::SendUpdate(Box::new(node::StatusUpdate {
                framework_id: framework_id(framework),
                status,
                latest_state,
            })));
    }

    fn complete_status(
        &mut self,
        turn: &Turn<'_>,
        framework: &str,
        executor: Option<&str>,
        status: &mut TaskStatus,
    ) {
        self.tell_of_drain(framework, status);
        status.agent_id.clone_from(&self.info.id);
        let at = || status::timestamp(turn.now.unix_nanos);
        status.timestamp = Some(status.timestamp.unwrap_or_else(at));
        if status.uuid.is_none() {
            status.uuid = Some(status::uuid_bytes(self.ids.uuid()));
        }
        if let Some(executor) = executor {
            status.executor_id = Some(crate::tables::executor_id(executor));
        }
    }

    /// Sends the head of a stream if it is due.
    pub(crate) fn forward(&mut self, turn: &mut Turn<'_>, key: &TaskKey) {
        let Some(due) = self.streams.due(key, turn.now.monotonic) else {
            return;
        };
        self.set_timer(due.again_at, Timer::Update(key.clone()));
        let framework = self.frameworks.get(&key.framework_id);
        let executor = framework.and_then(|framework| framework.executor_of(&key.task_id));
        let entry = executor.and_then(|(_, executor)| executor.tasks.get(&key.task_id));
        let latest_state = entry.map_or(due.status.state, |entry| entry.task.state);
        turn.out
            .push(Effect::SendUpdate(Box::new(node::StatusUpdate {
                framework_id: framework_id(&key.framework_id),
                status: (*due.status).clone(),
                latest_state,
            })));
    }

    /// Heads that need not wait any longer, each with the time that it waited for.
    pub(crate) fn forward_at_once(
        &mut self,
        turn: &mut Turn<'_>,
        heads: Vec<(TaskKey, Option<Duration>)>,
    ) {
        for (key, again_at) in heads {
            self.clear_timer(again_at, Timer::Update(key.clone()));
            self.forward(turn, &key);
        }
    }

    pub(crate) fn acknowledge(&mut self, turn: &mut Turn<'_>, order: &node::AcknowledgeUpdate) {
        let key = task_key(&order.framework_id.value, &order.task_id);
        let Ok(uuid) = <[u8; 16]>::try_from(order.uuid.as_ref()) else {
            return;
        };
        let Acknowledged::Head {
            ended,
            replaces,
            again_at,
        } = self.streams.acknowledge(&key, uuid)
        else {
            return;
        };
        self.clear_timer(again_at, Timer::Update(key.clone()));
        if !ended {
            turn.keep(Keep::Acknowledged {
                key: key.clone(),
                uuid,
                replaces,
            });
            self.forward(turn, &key);
            return;
        }
        turn.keep(Keep::ForgetStream(key.clone()));
        self.complete_task(turn, &key);
    }

    /// Moves a task whose end is acknowledged to the completed ones, and what is done with it.
    fn complete_task(&mut self, turn: &mut Turn<'_>, key: &TaskKey) {
        let bound = self.config.max_completed_tasks_per_executor;
        let Some(framework) = self.frameworks.get_mut(&key.framework_id) else {
            return;
        };
        let found = framework.executor_of(&key.task_id);
        let Some(executor_id) = found.map(|(id, _)| id.clone()) else {
            self.remove_framework_if_idle(turn, &key.framework_id);
            return;
        };
        let executor = framework.executors.get_mut(&executor_id);
        if let Some(executor) = executor
            && let Some(entry) = executor.tasks.remove(&key.task_id)
        {
            turn.keep(Keep::ForgetTask(key.clone()));
            executor.complete(turn, &key.framework_id, entry.task, bound);
        }
        let executor = ExecutorKey {
            framework_id: key.framework_id.clone(),
            executor_id,
        };
        self.remove_executor_if_done(turn, &executor);
    }
}

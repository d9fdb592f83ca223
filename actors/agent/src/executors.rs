//! The agent's half of the executor API: subscriptions, updates and messages of custom executors.

use tepui_messages::agent::{ExecutorPhase, NodePhase};
use tepui_protocol::{
    node,
    v1::{ContainerId, TaskId, TaskInfo, TaskState, TaskStatus, executor, task_status::Reason},
};

use crate::{
    core::{NodeCore, Timer, Turn, executor_key, task_key},
    effect::{Effect, ExecutorKey, Keep},
    kills::shutdown_event,
    networks, order,
    pods::group_event,
    status::{self, Verdict},
    tables::{Executor, Framework, Stage},
    updates, volumes,
};

impl NodeCore {
    /// A framework's message; best effort.
    pub(crate) fn message_to_executor(&mut self, turn: &mut Turn<'_>, order: node::ToExecutor) {
        let key = executor_key(&order.framework_id, &order.executor_id);
        let stream_id = self
            .executor(&key)
            .filter(|executor| executor.phase == ExecutorPhase::Running)
            .and_then(|executor| executor.stream_id);
        self.counts.framework_messages.count(stream_id.is_some());
        if let Some(stream_id) = stream_id {
            turn.deliver(
                stream_id,
                executor::Event {
                    r#type: Some(executor::event::Type::Message as i32),
                    message: Some(executor::event::Message { data: order.data }),
                    ..executor::Event::default()
                },
            );
        }
    }

    pub(crate) fn executor_subscribed(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        stream_id: u64,
        unacknowledged_tasks: &[TaskInfo],
        unacknowledged_updates: Vec<TaskStatus>,
    ) {
        let agent_ends = self.phase == NodePhase::Terminating;
        let framework = self.frameworks.get(&key.framework_id);
        let framework_ends = framework.is_none_or(|framework| framework.terminating);
        let Some(executor) = self.executor_mut(key) else {
            turn.out.push(Effect::EndStream { stream_id });
            return;
        };
        if let Some(stream_id) = executor.stream_id.take() {
            turn.out.push(Effect::EndStream { stream_id });
        }
        let lives = matches!(
            executor.phase,
            ExecutorPhase::Registering | ExecutorPhase::Running
        );
        if agent_ends || framework_ends || !lives {
            turn.deliver(stream_id, shutdown_event());
            turn.out.push(Effect::EndStream { stream_id });
            return;
        }
        let first = executor.phase == ExecutorPhase::Registering;
        executor.phase = ExecutorPhase::Running;
        executor.stream_id = Some(stream_id);
        let deadline = executor.deadline.take();
        let container_id = executor.container_id.clone();
        self.clear_timer(deadline, Timer::Executor(container_id));
        self.send_subscribed(turn, key, stream_id);
        for status in unacknowledged_updates {
            self.executor_update(turn, key, status);
        }
        if !first {
            self.drop_undelivered(turn, key, unacknowledged_tasks);
        }
        self.deliver_queued(turn, key);
        self.end_if_useless(turn, key);
        self.finish_recovery(turn);
    }

    fn send_subscribed(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, stream_id: u64) {
        let Some(framework) = self.frameworks.get(&key.framework_id) else {
            return;
        };
        let Some(executor) = framework.executors.get(&key.executor_id) else {
            return;
        };
        let subscribed = executor::event::Subscribed {
            executor_info: (*executor.info).clone(),
            framework_info: (*framework.info).clone(),
            agent_info: (*self.info).clone(),
            container_id: Some(ContainerId {
                value: executor.container_id.clone(),
                parent: None,
            }),
        };
        turn.deliver(
            stream_id,
            executor::Event {
                r#type: Some(executor::event::Type::Subscribed as i32),
                subscribed: Some(subscribed),
                ..executor::Event::default()
            },
        );
    }

    /// Ends an executor that has no task and never had one: most wait for their first without end (MESOS-8411).
    fn end_if_useless(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let useless =
            |it: &Executor| !it.ever_sent_task && !it.served && it.live_tasks().is_empty();
        if self.executor(key).is_some_and(useless) {
            self.shutdown_executor(turn, key);
        }
    }

    /// Tasks whose LAUNCH the executor never saw, since agent or connection broke down in between.
    fn drop_undelivered(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, known: &[TaskInfo]) {
        let Some(framework) = self.frameworks.get(&key.framework_id) else {
            return;
        };
        let state = status::dropped(&framework.info);
        let Some(executor) = framework.executors.get(&key.executor_id) else {
            return;
        };
        let is_known = |id: &str| known.iter().any(|task| task.task_id.value == id);
        let launched = executor.at(Stage::Launched).into_iter();
        let staging = launched.filter(|entry| entry.task.state() == TaskState::TaskStaging);
        let ids = staging.map(|entry| entry.info.task_id.value.clone());
        let lost: Vec<_> = ids.filter(|id| !is_known(id)).collect();
        for id in lost {
            let text = "Task launched during agent restart";
            let verdict = Verdict::agent(state, Reason::AgentRestarted, text);
            let framework = key.framework_id.clone();
            self.update(
                turn,
                &framework,
                Some(&key.executor_id),
                verdict.status(&id),
            );
        }
    }

    /// Hands queued tasks to an executor that is there.
    pub(crate) fn deliver_queued(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        turn.out.extend(self.links_of_queued(key));
        let hears = |it: &Executor| it.phase == ExecutorPhase::Running && it.stream_id.is_some();
        let queued = |it: &Executor| !it.at(Stage::Queued).is_empty();
        if self.executor(key).is_some_and(|it| hears(it) && queued(it)) {
            self.update_limits(turn, key);
        }
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if executor.phase != ExecutorPhase::Running {
            return;
        }
        let Some(stream_id) = executor.stream_id else {
            return;
        };
        let queued = executor.at(Stage::Queued).into_iter();
        let queued: Vec<_> = queued
            .map(|entry| (entry.info.task_id.value.clone(), entry.group))
            .collect();
        let mut handed_over = None;
        for (id, group) in queued {
            // The first of a group takes the others along.
            if let Some(group) = group.filter(|group| handed_over != Some(*group)) {
                turn.deliver(stream_id, group_event(executor, group));
                handed_over = Some(group);
            }
            let Some(entry) = executor.tasks.get_mut(&id) else {
                continue;
            };
            entry.stage = Stage::Launched;
            executor.ever_sent_task = true;
            if group.is_some() {
                continue;
            }
            let launch = executor::event::Launch {
                task: (*entry.info).clone(),
            };
            turn.deliver(
                stream_id,
                executor::Event {
                    r#type: Some(executor::event::Type::Launch as i32),
                    launch: Some(launch),
                    ..executor::Event::default()
                },
            );
        }
    }

    /// The volumes of tasks that are about to be handed to a running executor: each task expects its own in the sandbox.
    fn links_of_queued(&self, key: &ExecutorKey) -> Vec<Effect> {
        let framework = self.frameworks.get(&key.framework_id);
        let executor =
            framework.and_then(|known| Some((known, known.executors.get(&key.executor_id)?)));
        let Some((framework, executor)) = executor.filter(|(_, it)| it.stream_id.is_some()) else {
            return Vec::new();
        };
        let command = executor.info.command.clone().unwrap_or_default();
        let queued = executor.at(Stage::Queued).into_iter();
        let links = queued.filter_map(|entry| {
            let volumes = volumes::links(&self.config.work_dir, entry.info.resources.iter());
            (!volumes.is_empty()).then(|| Effect::LinkVolumes {
                container_id: executor.container_id.clone(),
                sandbox: executor.sandbox.clone(),
                user: order::user_of(&self.config, framework, &command),
                volumes,
            })
        });
        links.collect()
    }

    pub(crate) fn executor_called(&mut self, turn: &mut Turn<'_>, call: executor::Call) {
        let key = executor_key(&call.framework_id, &call.executor_id);
        if let Some(update) = call.update {
            let ends = updates::is_terminal(update.status.state());
            let told = turn.out.len();
            let owner = self.executor_update(turn, &key, update.status);
            // What the task had is others' now.
            if let Some(owner) = owner.filter(|_| ends)
                && let Some(executor) = self.executor(&owner)
                && executor.phase == ExecutorPhase::Running
            {
                self.update_limits_before(turn, &owner, told);
            }
        }
        let is_heard = |known: &Framework| !known.terminating;
        if let Some(message) = call.message
            && self.phase == NodePhase::Running
            && self.frameworks.get(&key.framework_id).is_some_and(is_heard)
        {
            turn.out.push(Effect::SendToFramework(node::ToFramework {
                framework_id: call.framework_id,
                executor_id: call.executor_id,
                data: message.data,
            }));
        }
    }

    /// An executor's update: acknowledged to it as soon as it is kept, whatever the scheduler does. Gives back whose the
    /// task is.
    fn executor_update(
        &mut self,
        turn: &mut Turn<'_>,
        teller: &ExecutorKey,
        mut status: TaskStatus,
    ) -> Option<ExecutorKey> {
        let framework = self.frameworks.get(&teller.framework_id);
        let Some(framework) = framework.filter(|framework| !framework.terminating) else {
            self.counts.updates.count(false);
            return None;
        };
        let uuid = status.uuid.clone()?;
        let task_id = status.task_id.clone();
        let owner = framework.executor_of(&task_id.value);
        let stream = task_key(&teller.framework_id, &task_id);
        let is_unknown = owner.is_none() && !self.streams.contains(&stream);
        let mut key = teller.clone();
        if let Some((id, owner)) = owner.filter(|(id, _)| **id != teller.executor_id) {
            if !may_be_told_by_others(owner, &task_id.value) {
                let (executor, task) = (&teller.executor_id, &task_id.value);
                let text =
                    format!("executor '{executor}' tells of task '{task}', which is another's");
                turn.out.push(Effect::Note(text));
                return None;
            }
            key.executor_id.clone_from(id);
        }
        let key = &key;
        let addresses = self.config.addresses();
        if let Some(executor) = self.executor(key) {
            let own = status::container_status(
                &executor.container_id,
                executor.pid,
                networks::shown(&executor.networks, &addresses),
            );
            let shown = status.container_status.get_or_insert_default();
            shown.container_id = shown.container_id.take().or(own.container_id);
            shown.executor_pid = shown.executor_pid.or(own.executor_pid);
            if shown.network_infos.is_empty() {
                shown.network_infos = own.network_infos;
            }
        }
        let framework = key.framework_id.clone();
        let is_taken = if is_unknown {
            self.tell_once(turn, &framework, &key.executor_id, status);
            true
        } else {
            self.update(turn, &framework, Some(&key.executor_id), status)
        };
        if is_taken {
            if let Some(executor) = self.executor_mut(teller).filter(|it| !it.served) {
                executor.served = true;
                turn.keep(Keep::Container(executor.kept(&teller.framework_id)));
            }
            let executor = self.executor(teller);
            if let Some(stream_id) = executor.and_then(|executor| executor.stream_id) {
                turn.deliver(stream_id, acknowledged_event(task_id, uuid));
            }
        }
        Some(key.clone())
    }

    /// The stream of the executor whose container this is.
    pub(crate) fn stream_of(&self, container_id: &str) -> Option<u64> {
        let key = self.containers.get(container_id)?;
        self.executor(key)?.stream_id
    }

    /// Whether the update is of a task of the executor whose container this is.
    pub(crate) fn is_of(&self, container_id: &str, update: &node::StatusUpdate) -> bool {
        self.containers.get(container_id).is_some_and(|key| {
            let executor_id = update.status.executor_id.as_ref();
            key.framework_id == update.framework_id.value
                && executor_id.is_some_and(|id| id.value == key.executor_id)
        })
    }

    pub(crate) fn executor_stream_lost(&mut self, key: &ExecutorKey, stream_id: u64) {
        if let Some(executor) = self.executor_mut(key)
            && executor.stream_id == Some(stream_id)
        {
            executor.stream_id = None;
        }
    }
}

/// Executors of a framework tell of each other's tasks if they like (Mesos: `Slave::statusUpdate`). What the agent itself
/// runs ends when its process does, and what nobody has yet seen does not run.
fn may_be_told_by_others(owner: &Executor, task_id: &str) -> bool {
    let entry = owner.tasks.get(task_id);
    owner.is_custom() && entry.is_some_and(|entry| entry.stage != Stage::Queued)
}

fn acknowledged_event(task_id: TaskId, uuid: bytes::Bytes) -> executor::Event {
    executor::Event {
        r#type: Some(executor::event::Type::Acknowledged as i32),
        acknowledged: Some(executor::event::Acknowledged { task_id, uuid }),
        ..executor::Event::default()
    }
}

#[cfg(test)]
#[path = "executors_tests.rs"]
mod tests;

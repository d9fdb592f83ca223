//! Coming back: from what was kept and what the containers' supervisors tell to the state before, with every
//! exit that fell in between told. Owns the phase RECOVERING.

use std::{sync::Arc, time::Duration};

use tepui_messages::agent::{ExecutorPhase, NodePhase};
use tepui_protocol::{
    durations::duration_text,
    v1::{ExecutorInfo, TaskState, task_status::Reason},
};

use crate::{
    compatibility::{self, Recovery},
    core::{NodeCore, Timer, Turn},
    effect::{
        Effect, Ending, ExecutorKey, Fate, Keep, KeptContainer, KeptKill, KeptTask, Remembered,
        TaskKey,
    },
    status::{self, Verdict},
    tables::{Child, Executor, Framework, Kill, Stage, TaskEntry},
};

/// A kill of an earlier life, before its grace begins again.
fn undated(kept: &KeptKill) -> Kill {
    Kill {
        started: Duration::ZERO,
        deadline: kept.grace,
    }
}

impl NodeCore {
    pub(crate) fn recover(&mut self, turn: &mut Turn<'_>, remembered: Remembered) {
        if self.remembered {
            return;
        }
        self.remembered = true;
        self.term = self.term.max(remembered.term);
        self.drain = remembered.drain;
        if !self.restore_resources(turn, &remembered.resources) {
            return;
        }
        let Some((info, boot_id)) = remembered.agent else {
            self.give_up_guests(turn, remembered.guests);
            if !remembered.frameworks.is_empty() || !remembered.past.is_empty() {
                // The record of whose they were is damaged: a new agent has no part in them.
                turn.keep_synced(Keep::ForgetAgent);
            }
            return self.finish_recovery(turn);
        };
        let rebooted = boot_id != self.config.boot_id;
        let policy = self.config.reconfiguration;
        let problem = compatibility::problem(policy, &info, &self.config.info);
        // What is to be cleaned up may be of any kind.
        let cleans_up = self.config.recovery == Recovery::Cleanup;
        if let Some(problem) = problem.filter(|_| !cleans_up) {
            if rebooted {
                turn.keep_synced(Keep::ForgetAgent);
                self.give_up_guests(turn, remembered.guests);
                // They were ordered of the agent that is forgotten; what came of them stays.
                for operation in remembered.operations {
                    if let Ok(key) = operation.uuid.value.as_ref().try_into() {
                        turn.keep(Keep::ForgetOperation(key));
                    }
                }
                return self.finish_recovery(turn);
            }
            let text = format!(
                "{problem} since it was registered, and its tasks may still run; restart it with the old settings, \
                 with --recover=cleanup to end them, or with another work directory to make it a new agent"
            );
            return self.exit(turn, Ending::Refused(text));
        }
        let is_changed = !compatibility::is_same(&info, &self.config.info);
        Arc::make_mut(&mut self.info).id = info.id;
        if rebooted || is_changed {
            turn.keep_synced(Keep::Agent(Arc::clone(&self.info)));
        }
        for operation in remembered.operations {
            self.restore_operation(turn, operation);
        }
        for info in remembered.frameworks {
            self.restore_framework(info);
        }
        for kept in remembered.containers {
            self.restore_container(kept);
        }
        self.restore_past(turn, remembered.past);
        let mut orphans = Vec::new();
        for kept in remembered.tasks {
            orphans.extend(self.restore_task(kept));
        }
        let mut acknowledged = remembered.acknowledged;
        for (key, updates) in remembered.streams {
            let framework = self.frameworks.get_mut(&key.framework_id);
            let terminating = framework.as_ref().is_some_and(|known| known.terminating);
            let executors = framework
                .into_iter()
                .flat_map(|known| known.executors.values_mut());
            let holds = |executor: &&mut Executor| executor.tasks.contains_key(&key.task_id);
            if let Some(executor) = executors.into_iter().find(holds) {
                updates.iter().for_each(|(status, _)| {
                    executor.apply(status);
                });
            }
            if !terminating {
                let earlier = acknowledged.remove(&key).unwrap_or_default();
                self.streams.restore(key, earlier, updates);
            }
        }
        for (container_id, guest) in remembered.guests {
            self.restore_guest(container_id, guest);
        }
        for kept in orphans {
            self.orphan_ended(turn, &kept);
        }
        self.ask_for_containers(turn, rebooted);
    }

    fn restore_framework(&mut self, info: tepui_protocol::v1::FrameworkInfo) {
        let Some(id) = info.id.as_ref().map(|id| id.value.clone()) else {
            return;
        };
        let mut framework = Framework::new(info);
        // The master gave its tasks up when it lost the agent.
        framework.terminating = !framework.checkpoints();
        self.frameworks.insert(id, framework);
    }

    fn restore_container(&mut self, kept: KeptContainer) {
        let sequence = self.next_sequence();
        let Some(framework) = self.frameworks.get_mut(&kept.framework_id) else {
            return;
        };
        let command_task = is_generated(&kept.info);
        let executor_id = kept.info.executor_id.value.clone();
        let info = (*kept.info).clone();
        let mut executor = Executor::new(
            info,
            command_task,
            kept.container_id.clone(),
            kept.sandbox,
            sequence,
        );
        executor.shim = kept.shim;
        executor.served = kept.served;
        executor.ever_sent_task = kept.served || !executor.is_custom();
        executor.phase = ExecutorPhase::Running;
        framework.executors.insert(executor_id.clone(), executor);
        let key = ExecutorKey {
            framework_id: kept.framework_id,
            executor_id,
        };
        self.containers.insert(kept.container_id, key);
    }

    /// Gives the task back if its executor was not kept.
    fn restore_task(&mut self, kept: KeptTask) -> Option<KeptTask> {
        let sequence = self.next_sequence();
        let agent_id = self.info.id.clone();
        let key = ExecutorKey {
            framework_id: kept.framework_id.clone(),
            executor_id: kept.executor_id.clone(),
        };
        let Some(executor) = self.executor_mut(&key) else {
            return Some(kept);
        };
        let is_pod = executor.is_pod();
        let decided = kept.container_id.is_some();
        let mut entry = TaskEntry::new(
            &kept.framework_id,
            agent_id.as_ref(),
            Arc::clone(&kept.info),
            // The agent itself launches the tasks of a pod, so what it had not begun it can begin now.
            if is_pod && !decided {
                Stage::Queued
            } else {
                Stage::Launched
            },
            sequence,
        );
        entry.group = kept.group;
        entry.unhealthy = kept.kill.as_ref().is_some_and(|kill| kill.is_unhealthy);
        entry.child = kept.container_id.map(Child::new);
        // The grace begins again when the container is found alive.
        let kill = kept.kill.as_ref();
        let verdict = kill.filter(|it| it.is_overdue).map(|_| status::overdue());
        let kill = kill.map(undated);
        if let Some(child) = &mut entry.child {
            (child.kill, child.verdict) = (kill, verdict);
        } else if executor.command_task {
            (executor.kill, executor.verdict) = (kill, verdict);
        }
        let id = kept.info.task_id.value.clone();
        executor.tasks.insert(id, entry);
        // Numbers of groups go on behind those of the earlier life.
        self.sequence = self.sequence.max(kept.group.unwrap_or(0));
        None
    }

    /// A task whose executor's record could not be read.
    fn orphan_ended(&mut self, turn: &mut Turn<'_>, kept: &KeptTask) {
        let key = TaskKey {
            framework_id: kept.framework_id.clone(),
            task_id: kept.info.task_id.value.clone(),
        };
        turn.keep(Keep::ForgetTask(key));
        let framework = self.frameworks.get(&kept.framework_id);
        let Some(state) = framework.map(|framework| status::gone(&framework.info)) else {
            return;
        };
        let verdict = Verdict::agent(state, Reason::ExecutorTerminated, "Executor terminated");
        let status = verdict.status(&kept.info.task_id.value);
        self.update(turn, &kept.framework_id, None, status);
    }

    fn ask_for_containers(&mut self, turn: &mut Turn<'_>, rebooted: bool) {
        self.restore_children(turn);
        let containers = self.containers.keys().chain(self.children.keys());
        let containers = containers.chain(self.guests.keys());
        let containers: Vec<_> = containers.cloned().collect();
        self.recovering.extend(containers.iter().cloned());
        self.window_open = !rebooted && self.absent_executors().next().is_some();
        if self.window_open {
            let at = turn.now.monotonic + self.config.executor_reregistration_timeout;
            self.set_timer(at, Timer::RecoveryWindow);
        }
        for container_id in containers {
            if rebooted {
                self.container_recovered(turn, &container_id, Fate::Gone);
            } else {
                turn.out.push(Effect::Recover { container_id });
            }
        }
        let frameworks: Vec<_> = self.frameworks.keys().cloned().collect();
        for framework_id in frameworks {
            self.remove_framework_if_idle(turn, &framework_id);
        }
        self.finish_recovery(turn);
    }

    /// Which containers of tasks within their executors' may not have ended.
    fn restore_children(&mut self, turn: &mut Turn<'_>) {
        for (framework_id, framework) in &self.frameworks {
            for (executor_id, executor) in &framework.executors {
                for (task_id, entry) in &executor.tasks {
                    let Some(child) = &entry.child else { continue };
                    let container_id = child.container_id.clone();
                    if entry.stage == Stage::Terminated {
                        // Its end was told, so at most its records are left.
                        turn.out.push(Effect::Forget { container_id });
                        continue;
                    }
                    let key = ExecutorKey {
                        framework_id: framework_id.clone(),
                        executor_id: executor_id.clone(),
                    };
                    self.children.insert(container_id, (key, task_id.clone()));
                }
            }
        }
    }

    pub(crate) fn container_recovered(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        fate: Fate,
    ) {
        if !self.recovering.remove(container_id) {
            return;
        }
        if self.guests.contains_key(container_id) {
            self.guest_recovered(turn, container_id, fate);
            return self.finish_recovery(turn);
        }
        if self.children.contains_key(container_id) {
            self.child_recovered(turn, container_id, fate);
            return self.finish_recovery(turn);
        }
        match fate {
            Fate::Running { shim, pid } => {
                if let Some(key) = self.containers.get(container_id).cloned() {
                    if let Some(executor) = self.executor_mut(&key) {
                        executor.started = true;
                        executor.shim = Some(shim);
                        executor.pid = Some(pid);
                    }
                    self.container_found(turn, &key);
                }
            }
            Fate::Exited(exit) => self.executor_ended(turn, container_id, Some(&exit)),
            Fate::Failed(message) => self.launch_failed(turn, container_id, &message),
            Fate::Gone => self.executor_ended(turn, container_id, None),
        }
        self.finish_recovery(turn);
    }

    /// A container that runs on.
    fn container_found(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let framework = self.frameworks.get(&key.framework_id);
        let unwanted = framework.is_none_or(|framework| framework.terminating);
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let container_id = executor.container_id.clone();
        let idle = executor.command_task && executor.live_tasks().is_empty();
        if unwanted || idle {
            executor.phase = ExecutorPhase::Terminating;
            turn.out.push(Effect::Destroy { container_id });
            return;
        }
        if executor.is_pod() {
            return if executor.live_tasks().is_empty() {
                self.end_pod(turn, key);
            } else {
                self.pod_started(turn, key);
            };
        }
        if !executor.command_task {
            return;
        }
        let killed = executor.kill.take();
        let Some((_, entry)) = executor.command_task() else {
            return;
        };
        match entry.task.state() {
            TaskState::TaskStaging | TaskState::TaskStarting => self.command_started(turn, key),
            _ => {
                let task_id = entry.info.task_id.value.clone();
                self.restore_completion(turn, key);
                self.begin_checks(turn.now.monotonic, key, &task_id);
            }
        }
        if let Some(kill) = killed {
            self.kill_command_within(turn, key, kill.grace());
        }
    }

    /// The time a task may take goes on from its first update.
    fn restore_completion(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let now = turn.now;
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let Some((_, entry)) = executor.command_task() else {
            return;
        };
        let Some(left) = status::completion_left(entry, now.unix_nanos) else {
            return;
        };
        let deadline = now.monotonic + left;
        executor.completion_deadline = Some(deadline);
        let container_id = executor.container_id.clone();
        self.set_timer(deadline, Timer::MaxCompletion(container_id));
    }

    /// The executors of frameworks that did not subscribe since the start.
    fn absent_executors(&self) -> impl Iterator<Item = &ExecutorKey> {
        self.containers.values().filter(|key| {
            self.executor(key).is_some_and(|executor| {
                let live = executor.phase == ExecutorPhase::Running;
                live && executor.is_custom() && executor.stream_id.is_none()
            })
        })
    }

    pub(crate) fn recovery_window_closed(&mut self, turn: &mut Turn<'_>) {
        if !self.window_open {
            return;
        }
        self.window_open = false;
        let timeout = duration_text(self.config.executor_reregistration_timeout);
        let absent: Vec<_> = self.absent_executors().cloned().collect();
        for key in absent {
            let Some(framework) = self.frameworks.get_mut(&key.framework_id) else {
                continue;
            };
            let state = status::gone(&framework.info);
            let Some(executor) = framework.executors.get_mut(&key.executor_id) else {
                continue;
            };
            executor.phase = ExecutorPhase::Terminating;
            executor.verdict = Some(Verdict::agent(
                state,
                Reason::ExecutorReregistrationTimeout,
                format!("Executor did not reregister within {timeout}"),
            ));
            let container_id = executor.container_id.clone();
            turn.out.push(Effect::Destroy { container_id });
        }
        self.finish_recovery(turn);
    }

    /// Goes on to registration once every container's fate is known and every executor had its time.
    pub(crate) fn finish_recovery(&mut self, turn: &mut Turn<'_>) {
        if self.phase != NodePhase::Recovering || !self.recovering.is_empty() {
            return;
        }
        if self.config.recovery == Recovery::Cleanup {
            self.window_open = false;
            return self.shut_down(turn, Ending::Asked);
        }
        if self.window_open && self.absent_executors().next().is_some() {
            return;
        }
        self.window_open = false;
        self.counts.recovery = Some(turn.now.monotonic);
        self.phase = NodePhase::Disconnected;
        turn.out.push(Effect::RecoveryEnded);
        self.begin_oversubscription(turn);
        // Also those whose executors came back only now.
        self.kill_drained(turn);
        self.watch_disks(turn);
        self.watch_ports(turn);
        self.register(turn);
    }
}

/// Whether the agent made this executor for a task with a command.
pub(crate) fn is_generated(info: &ExecutorInfo) -> bool {
    let named = info.name.as_deref().unwrap_or_default();
    let arguments = info
        .command
        .as_ref()
        .map_or(&[][..], |command| &command.arguments);
    named.starts_with("Command Executor (Task: ")
        && arguments
            .first()
            .is_some_and(|first| first == "mesos-executor")
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;

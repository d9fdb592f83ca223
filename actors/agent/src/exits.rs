//! What follows from the end of a container: the last updates, the news for the master, and the removal of what
//! nobody needs any more.

use std::time::Duration;

use tepui_messages::{
    agent::{ExecutorPhase, NodePhase},
    containers::{ContainerExit, Limitation},
};
use tepui_protocol::{
    durations::duration_text,
    node,
    v1::{
        TaskResourceLimitation, TaskState,
        task_status::{Reason, Source},
    },
};

use crate::{
    core::{NodeCore, Timer, Turn},
    effect::{Effect, ExecutorKey, Keep},
    engine, guests,
    status::{self, Verdict},
    tables::{executor_id, framework_id},
};

impl NodeCore {
    pub(crate) fn container_exited(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        exit: &ContainerExit,
    ) {
        self.executor_ended(turn, container_id, Some(exit));
    }

    /// `exit` is `None` where the container never ran, or nothing is known of it.
    pub(crate) fn executor_ended(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        exit: Option<&ContainerExit>,
    ) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let Some(executor) = self.executor(&key) else {
            return;
        };
        let command_task = executor.command_task;
        if self.awaits_children(turn, &key, exit) {
            return;
        }
        let Some(executor) = self.executor(&key) else {
            return;
        };
        let verdict = if command_task {
            let mut verdict =
                command_verdict(executor.verdict.as_ref(), executor.kill.is_some(), exit);
            let task = executor.command_task();
            let container = task.and_then(|(_, entry)| entry.info.container.as_ref());
            if engine::of(&self.config, container).is_some() {
                status::of_container(&mut verdict);
            }
            verdict
        } else {
            executor_verdict(executor.verdict.as_ref(), exit)
        };
        let live = executor.live_tasks();
        for task_id in &live {
            self.end_checks(turn, &key, task_id);
        }
        // What a command executor would have said stands with its container.
        let says_itself = command_task && verdict.source == Source::Executor;
        let nobody_asks = self.is_terminating(&key.framework_id);
        for task_id in &live {
            let status = verdict.status(task_id);
            if says_itself {
                self.command_update(turn, &key, status);
            } else if nobody_asks {
                self.end_silently(&key, task_id);
            } else {
                let framework = key.framework_id.clone();
                self.update(turn, &framework, Some(&key.executor_id), status);
            }
        }
        self.outer_ended(turn, container_id);
        self.containers.remove(container_id);
        let now = turn.now.monotonic;
        self.ends.pass(now, container_id, guests::end_of(exit));
        self.ends.pass_within(now, container_id);
        self.bury(turn, &key);
        if !command_task {
            let status = exit.and_then(|exit| exit.status).unwrap_or(-1);
            self.send_exited(turn, &key.framework_id, &key.executor_id, status);
        }
        turn.out.push(Effect::Forget {
            container_id: container_id.to_owned(),
        });
        self.remove_executor_if_done(turn, &key);
    }

    /// Whether the framework is being shut down.
    fn is_terminating(&self, framework_id: &str) -> bool {
        let framework = self.frameworks.get(framework_id);
        framework.is_some_and(|known| known.terminating)
    }

    /// A task of a framework that is being shut down keeps the state it was last in (Mesos: `Slave::executorTerminated`).
    fn end_silently(&mut self, key: &ExecutorKey, task_id: &str) {
        if let Some(executor) = self.executor_mut(key) {
            executor.end(task_id);
        }
    }

    /// Marks the executor as terminated: no timers, no stream, no process.
    fn bury(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let is_first = executor.phase != ExecutorPhase::Terminated;
        executor.phase = ExecutorPhase::Terminated;
        executor.pid = None;
        let container_id = executor.container_id.clone();
        let stream = executor.stream_id.take();
        let kill = executor.kill.take();
        let deadline = executor.deadline.take();
        let completion = executor.completion_deadline.take();
        if let Some(stream_id) = stream {
            turn.out.push(Effect::EndStream { stream_id });
        }
        self.counts.terminated_executors += u64::from(is_first);
        self.clear_timer(deadline, Timer::Executor(container_id.clone()));
        let kill = kill.map(|kill| kill.deadline);
        self.clear_timer(kill, Timer::Kill(container_id.clone()));
        self.clear_timer(completion, Timer::MaxCompletion(container_id));
    }

    /// The time to subscribe, or to end after a shutdown, is over.
    pub(crate) fn executor_overdue(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        at: Duration,
    ) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let timeout = duration_text(self.config.executor_registration_timeout);
        let Some(executor) = self.executor_mut(&key) else {
            return;
        };
        if executor.deadline != Some(at) {
            return;
        }
        executor.deadline = None;
        if executor.phase == ExecutorPhase::Registering {
            executor.phase = ExecutorPhase::Terminating;
            // One whose files are still being fetched was never launched.
            let reason = match executor.started {
                true => Reason::ExecutorRegistrationTimeout,
                false => Reason::ContainerLaunchFailed,
            };
            executor.verdict = Some(Verdict::agent(
                TaskState::TaskFailed,
                reason,
                format!("Executor did not register within {timeout}"),
            ));
        }
        turn.out.push(Effect::Destroy {
            container_id: container_id.to_owned(),
        });
    }

    pub(crate) fn send_exited(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &str,
        executor: &str,
        status: i32,
    ) {
        let exited = node::ExecutorExited {
            framework_id: framework_id(framework),
            executor_id: executor_id(executor),
            status,
        };
        match self.phase {
            NodePhase::Running => turn.out.push(Effect::SendExited(exited)),
            _ => self.registration.keep_exit(exited),
        }
    }

    /// An executor is done when its container has ended and every update of its tasks is acknowledged.
    pub(crate) fn remove_executor_if_done(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let bound = self.config.max_completed_executors_per_framework;
        let bound_tasks = self.config.max_completed_tasks_per_executor;
        let Some(framework) = self.frameworks.get_mut(&key.framework_id) else {
            return;
        };
        let terminating = framework.terminating;
        let Some(executor) = framework.executors.get(&key.executor_id) else {
            return;
        };
        let done = executor.phase == ExecutorPhase::Terminated;
        if !done || (!executor.tasks.is_empty() && !terminating) {
            return;
        }
        if let Some(mut executor) = framework.executors.remove(&key.executor_id) {
            // What is left of a framework that was shut down is never acknowledged: it stays as it ended.
            executor.forget_oldest(bound_tasks);
            turn.keep(Keep::ForgetContainer {
                key: key.clone(),
                container_id: executor.container_id.clone(),
            });
            framework.complete(turn, &key.framework_id, executor, bound);
        }
        self.remove_framework_if_idle(turn, &key.framework_id);
    }

    /// A framework is idle when it has no executor and nothing to be told.
    pub(crate) fn remove_framework_if_idle(&mut self, turn: &mut Turn<'_>, framework_id: &str) {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        if !framework.executors.is_empty() || self.streams.has_pending(framework_id) {
            return;
        }
        if let Some(framework) = self.frameworks.remove(framework_id) {
            self.streams.remove_framework(framework_id);
            turn.keep(Keep::ForgetFramework {
                framework_id: framework_id.to_owned(),
            });
            self.complete_framework(turn, framework);
            self.reconcile_ended(turn, framework_id);
        }
        self.exit_if_empty(turn);
    }

    pub(crate) fn exit_if_empty(&mut self, turn: &mut Turn<'_>) {
        let guests_run = self.guests.values().any(|guest| guest.end.is_none());
        if self.containers.is_empty()
            && !guests_run
            && let Some(ending) = self.ending.clone()
        {
            // Its id is spent: a later start is a new agent.
            turn.keep_synced(Keep::ForgetAgent);
            self.exit(turn, ending);
        }
    }
}

/// How a command task ended.
pub(crate) fn command_verdict(
    decided: Option<&Verdict>,
    killed: bool,
    exit: Option<&ContainerExit>,
) -> Verdict {
    let Some(ended) = exit else {
        return decided.cloned().unwrap_or_else(|| terminated(exit));
    };
    let is_killed = killed && ended.status.is_some();
    if let Some(verdict) = limitation_verdict(ended).filter(|_| decided.is_none() && !is_killed) {
        return verdict;
    }
    let Some(wait_status) = ended.status else {
        return decided.cloned().unwrap_or_else(|| terminated(exit));
    };
    let message = Some(status::exit_text(wait_status));
    match decided {
        None if ended.is_forsaken && !killed => terminated(exit),
        Some(decided) => Verdict {
            message: decided.message.clone().or(message),
            ..decided.clone()
        },
        None if killed => Verdict::executor(TaskState::TaskKilled, message),
        None if status::is_success(wait_status) => {
            Verdict::executor(TaskState::TaskFinished, message)
        }
        None => Verdict::executor(TaskState::TaskFailed, message),
    }
}

/// How a task within a default executor's container ended, in the words of Mesos' default executor.
pub(crate) fn child_verdict(
    decided: Option<&Verdict>,
    killed: bool,
    exit: Option<&ContainerExit>,
) -> Verdict {
    let failed = |text: &str| Verdict::executor(TaskState::TaskFailed, Some(text.to_owned()));
    let Some(ended) = exit else {
        return match decided {
            Some(decided) => decided.clone(),
            None if killed => Verdict::executor(TaskState::TaskKilled, None),
            None => failed("Unable to retrieve command's termination information"),
        };
    };
    let of_command = ContainerExit {
        limitation: None,
        ..ended.clone()
    };
    let mut verdict = match (decided, ended.status) {
        (None, None) if !ended.is_forsaken => failed("Command terminated with unknown status"),
        _ => command_verdict(decided, killed, Some(&of_command)),
    };
    // It says more of why the container ended than its status does.
    if let Some(limit) = limitation(ended).filter(|_| decided.is_none()) {
        verdict.state = TaskState::TaskFailed;
        verdict.reason = Some(limit.reason);
        let words = verdict.message.into_iter().chain([limit.message.clone()]);
        verdict.message = Some(words.collect::<Vec<_>>().join(": "));
        verdict.limitation = Some(TaskResourceLimitation {
            resources: limit.resources.clone(),
        });
    }
    verdict
}

/// How the tasks of an executor ended that did not tell it.
fn executor_verdict(decided: Option<&Verdict>, exit: Option<&ContainerExit>) -> Verdict {
    let limitation = || exit.and_then(limitation_verdict);
    let verdict = decided.cloned().or_else(limitation);
    verdict.unwrap_or_else(|| terminated(exit))
}

/// The limit by which a container ended. Where the kernel killed some process of it for memory, and the command went on and
/// ended well, that is none: it may be long ago.
pub(crate) fn limitation(exit: &ContainerExit) -> Option<&Limitation> {
    let limit = exit.limitation.as_ref();
    limit.filter(|_| !exit.status.is_some_and(status::is_success))
}

fn limitation_verdict(exit: &ContainerExit) -> Option<Verdict> {
    let limit = limitation(exit)?;
    Some(Verdict {
        limitation: Some(TaskResourceLimitation {
            resources: limit.resources.clone(),
        }),
        ..Verdict::agent(TaskState::TaskFailed, limit.reason, limit.message.clone())
    })
}

fn terminated(exit: Option<&ContainerExit>) -> Verdict {
    let text = match exit {
        Some(exit) if exit.is_forsaken => {
            "Executor terminated: its agent was away for longer than the recovery timeout"
        }
        Some(_) => "Executor terminated",
        // After a reboot, too.
        None => "Abnormal executor termination: unknown container",
    };
    Verdict::agent(TaskState::TaskFailed, Reason::ExecutorTerminated, text)
}

#[cfg(test)]
#[path = "exits_tests.rs"]
mod tests;

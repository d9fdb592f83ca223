//! Ending things that were asked to end: tasks, executors, frameworks, the agent. Owns grace periods; SIGTERM
//! goes to the whole tree first, SIGKILL when the grace is over.

use std::time::Duration;

use tepui_messages::agent::{ExecutorPhase, NodePhase};
use tepui_protocol::{
    node,
    signal::SIGTERM,
    v1::{
        KillPolicy, TaskId, TaskState, executor, framework_info::capability, task_status::Reason,
    },
};

use crate::{
    core::{NodeCore, Timer, Turn},
    effect::{Effect, Ending, ExecutorKey, Keep},
    engine,
    patience::{self, kill_grace},
    status::{self, Verdict},
    tables::{Executor, Kill, Stage, TaskEntry},
};

/// The built-in executors' grace where neither the kill nor the task names one.
pub(crate) const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(3);
/// What Mesos' command executor keeps of its shutdown grace for reaping and for the last update.
pub(crate) const SHUTDOWN_RESERVE: Duration = Duration::from_secs(2);

impl NodeCore {
    /// Kills an executor with its tasks, which end with `verdict`. Says whether there was something to kill.
    pub(crate) fn end_with(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        verdict: &Verdict,
    ) -> bool {
        if self.phase == NodePhase::Terminating {
            return false;
        }
        let Some(executor) = self.executor_mut(key).filter(|executor| {
            let phases = [ExecutorPhase::Registering, ExecutorPhase::Running];
            phases.contains(&executor.phase)
        }) else {
            return false;
        };
        executor.phase = ExecutorPhase::Terminating;
        // Tasks within it end each with a container of their own, before it or with it.
        let entries = executor.tasks.values_mut();
        let mut containers = Vec::new();
        for child in entries.filter_map(|entry| entry.child.as_mut()) {
            child.verdict = Some(verdict.clone());
            containers.push(child.container_id.clone());
        }
        executor.verdict = Some(verdict.clone());
        let outer = executor.container_id.clone();
        containers.retain(|container_id| self.children.contains_key(container_id));
        containers.push(outer);
        let destroys = containers.into_iter();
        turn.out
            .extend(destroys.map(|container_id| Effect::Destroy { container_id }));
        true
    }

    pub(crate) fn kill_task(&mut self, turn: &mut Turn<'_>, order: &node::KillTask) {
        let Some(framework) = self.frameworks.get(&order.framework_id.value) else {
            return;
        };
        if framework.terminating {
            return;
        }
        let task_id = &order.task_id.value;
        let Some((executor_id, executor)) = framework.executor_of(task_id) else {
            let state = status::dropped(&framework.info);
            let verdict = Verdict::agent(state, Reason::ExecutorTerminated, "Cannot find executor");
            let id = order.framework_id.value.clone();
            self.update(turn, &id, None, verdict.status(task_id));
            return;
        };
        let key = ExecutorKey {
            framework_id: order.framework_id.value.clone(),
            executor_id: executor_id.clone(),
        };
        match executor.tasks.get(task_id).map(|entry| entry.stage) {
            // It ends as its executor does, which is decided.
            Some(Stage::Queued) if executor.phase == ExecutorPhase::Terminating => {}
            Some(Stage::Queued) => self.kill_queued(turn, &key, task_id),
            Some(Stage::Launched) if executor.command_task => {
                self.kill_command(turn, &key, order.kill_policy.as_ref());
            }
            Some(Stage::Launched) if executor.is_pod() => {
                self.kill_child(turn, &key, task_id, order.kill_policy.as_ref());
            }
            Some(Stage::Launched) => {
                if let Some(stream_id) = executor.stream_id {
                    let event = kill_event(&order.task_id, order.kill_policy);
                    turn.deliver(stream_id, event);
                }
            }
            Some(Stage::Terminated) | None => {}
        }
    }

    /// A task that its executor never saw. It is told of as killed at once, except where its command may start yet or
    /// has just started: whoever hears of its end gives its resources away.
    fn kill_queued(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, task_id: &str) {
        let text = match self.is_of_new_group(key, task_id) {
            true => "A task within the task group was killed before delivery to the executor",
            false => "Killed before delivery to the executor",
        };
        let reason = Reason::TaskKilledDuringLaunch;
        let verdict = Verdict::agent(TaskState::TaskKilled, reason, text);
        if self.is_starting(key, task_id) {
            return self.kill_starting(turn, key, task_id, verdict);
        }
        let framework = key.framework_id.clone();
        for id in self.queued_with(key, task_id) {
            self.update(
                turn,
                &framework,
                Some(&key.executor_id),
                verdict.status(&id),
            );
        }
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if !executor.ever_sent_task && executor.live_tasks().is_empty() {
            if executor.command_task {
                executor.phase = ExecutorPhase::Terminating;
                let container_id = executor.container_id.clone();
                turn.out.push(Effect::Destroy { container_id });
            } else {
                self.shutdown_executor(turn, key);
            }
        }
    }

    /// Whether the task is one of a group whose executor has not come yet.
    fn is_of_new_group(&self, key: &ExecutorKey, task_id: &str) -> bool {
        self.executor(key).is_some_and(|executor| {
            let entry = executor.tasks.get(task_id);
            executor.phase == ExecutorPhase::Registering
                && entry.is_some_and(|it| it.group.is_some())
        })
    }

    /// A queued task and the rest of its group, in order of launch.
    fn queued_with(&self, key: &ExecutorKey, task_id: &str) -> Vec<String> {
        let queued = self.executor(key).map(|it| it.at(Stage::Queued));
        let queued = queued.unwrap_or_default();
        let is_asked = |entry: &&TaskEntry| entry.info.task_id.value == task_id;
        let group = queued
            .iter()
            .find(|it| is_asked(it))
            .and_then(|it| it.group);
        let together = |entry: &&TaskEntry| group.is_some() && entry.group == group;
        let killed = queued.into_iter().filter(|it| is_asked(it) || together(it));
        killed.map(|it| it.info.task_id.value.clone()).collect()
    }

    /// Whether the files of a command task are there, so that its command comes next.
    fn is_starting(&self, key: &ExecutorKey, task_id: &str) -> bool {
        let executor = self.executor(key).filter(|it| it.command_task);
        executor.is_some_and(|it| {
            let entry = it.tasks.get(task_id);
            let is_told = |entry: &TaskEntry| entry.task.state() != TaskState::TaskStaging;
            it.prepared || entry.is_some_and(is_told)
        })
    }

    /// The end of the container says the rest.
    fn kill_starting(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        task_id: &str,
        verdict: Verdict,
    ) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if executor.phase == ExecutorPhase::Terminating {
            return;
        }
        executor.phase = ExecutorPhase::Terminating;
        executor.verdict = Some(verdict);
        let container_id = executor.container_id.clone();
        let entry = executor.tasks.get(task_id);
        let (framework, killing) = (&key.framework_id, TaskState::TaskKilling);
        // A next life of the agent is to know of the kill.
        if let Some(kept) = entry.map(|it| it.kept(framework, &key.executor_id, killing)) {
            turn.keep(Keep::Task(kept));
        }
        turn.out.push(Effect::Destroy { container_id });
    }

    /// Kills the command of a command task; a repeated kill may only shorten the grace of the first.
    pub(crate) fn kill_command(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        policy: Option<&KillPolicy>,
    ) {
        let asked = policy
            .and_then(|policy| policy.grace_period)
            .map(status::duration);
        let entry = self
            .executor(key)
            .and_then(|executor| executor.command_task());
        let own = entry.and_then(|(_, entry)| kill_grace(&entry.info));
        let container = self.executor(key).and_then(|it| it.info.container.as_ref());
        let usual = match engine::of(&self.config, container) {
            // As Mesos' docker executor.
            Some(_) => self.config.executor_shutdown_grace,
            None => DEFAULT_KILL_GRACE,
        };
        let grace = asked.or(own).unwrap_or(usual);
        self.kill_command_within(turn, key, grace);
    }

    /// SIGKILL follows so long after the first kill, or earlier if that one said so.
    pub(crate) fn kill_command_within(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        grace: Duration,
    ) {
        let now = turn.now.monotonic;
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let container_id = executor.container_id.clone();
        if let Some(kill) = executor.kill {
            let deadline = kill.started + grace;
            if deadline >= kill.deadline {
                return;
            }
            let deadline = deadline.max(now);
            executor.kill = Some(Kill { deadline, ..kill });
            let timer = Timer::Kill(container_id);
            self.clear_timer(Some(kill.deadline), timer.clone());
            self.set_timer(deadline, timer);
            return;
        }
        let deadline = now + grace;
        executor.kill = Some(Kill {
            started: now,
            deadline,
        });
        let task_id = executor.command_task().map(|(id, _)| id.clone());
        if let Some(task_id) = task_id {
            self.end_checks(turn, key, &task_id);
        }
        self.announce_kill(turn, key, grace);
        if grace.is_zero() {
            turn.out.push(Effect::Destroy { container_id });
            return;
        }
        turn.out.push(Effect::Signal {
            container_id: container_id.clone(),
            signal: SIGTERM,
        });
        self.set_timer(deadline, Timer::Kill(container_id));
    }

    /// Remembers the kill, and tells the framework if it knows the state. That its time is over is told by its end alone.
    fn announce_kill(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, grace: Duration) {
        let Some(framework) = self.frameworks.get(&key.framework_id) else {
            return;
        };
        let told = status::has_capability(&framework.info, capability::Type::TaskKillingState);
        let Some(executor) = self.executor(key) else {
            return;
        };
        let Some((task_id, entry)) = executor.command_task() else {
            return;
        };
        let task_id = task_id.clone();
        let is_overdue = status::is_overdue(executor.verdict.as_ref());
        let killing = TaskState::TaskKilling;
        let is_known = is_overdue || entry.task.state() == killing;
        let kept = entry.kept(&key.framework_id, &key.executor_id, killing);
        let kept = kept.with_kill(grace, is_overdue);
        turn.keep(Keep::Task(kept));
        if told && !is_known {
            let status = Verdict::executor(killing, None).status(&task_id);
            self.command_update(turn, key, status);
        }
    }

    /// A kill that the kernel does not carry out. Mesos says nothing of it; here a framework that knows of tasks being
    /// killed is told what it waits for, and so is whoever looks at the task.
    pub(crate) fn kill_hangs(&mut self, turn: &mut Turn<'_>, container_id: &str, why: &str) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let framework = self.frameworks.get(&key.framework_id);
        let knows = framework
            .is_some_and(|it| status::has_capability(&it.info, capability::Type::TaskKillingState));
        let executor = self.executor(&key).filter(|it| knows && it.kill.is_some());
        let killed = executor.filter(|it| !status::is_overdue(it.verdict.as_ref()));
        if let Some((task_id, _)) = killed.and_then(Executor::command_task) {
            let task_id = task_id.clone();
            let killing = Verdict::executor(TaskState::TaskKilling, Some(why.to_owned()));
            self.command_update(turn, &key, killing.status(&task_id));
        }
    }

    pub(crate) fn kill_overdue(&mut self, turn: &mut Turn<'_>, container_id: &str, at: Duration) {
        let key = self.containers.get(container_id);
        let executor = key.and_then(|key| self.executor(key));
        if executor
            .and_then(|it| it.kill)
            .is_some_and(|kill| kill.deadline == at)
        {
            let container_id = container_id.to_owned();
            turn.out.push(Effect::Destroy { container_id });
        }
    }

    pub(crate) fn completion_overdue(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        at: Duration,
    ) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let Some(executor) = self.executor_mut(&key) else {
            return;
        };
        // A kill that is under way already keeps its meaning.
        if executor.completion_deadline != Some(at) || executor.kill.is_some() {
            return;
        }
        executor.verdict = Some(status::overdue());
        self.kill_command_within(turn, &key, Duration::ZERO);
    }

    /// Asks an executor to end, and destroys it after its grace.
    pub(crate) fn shutdown_executor(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let now = turn.now.monotonic;
        let default_grace = self.config.executor_shutdown_grace;
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if !matches!(
            executor.phase,
            ExecutorPhase::Registering | ExecutorPhase::Running
        ) {
            return;
        }
        if executor.command_task {
            return self.shutdown_command(turn, key);
        }
        if executor.is_pod() {
            return self.shutdown_pod(turn, key);
        }
        let has_come = executor.phase == ExecutorPhase::Running;
        executor.phase = ExecutorPhase::Terminating;
        let container_id = executor.container_id.clone();
        let grace = executor.shutdown_grace(default_grace);
        match executor.stream_id {
            Some(stream_id) => turn.deliver(stream_id, shutdown_event()),
            // One that comes back is told then.
            None if has_come => {}
            None => {
                // There is nobody who could hear it.
                turn.out.push(Effect::Destroy { container_id });
                return;
            }
        }
        let deadline = now + grace;
        executor.deadline = Some(deadline);
        self.set_timer(deadline, Timer::Executor(container_id));
    }

    fn shutdown_command(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        let Some((task_id, entry)) = executor.command_task() else {
            return;
        };
        let task_id = task_id.clone();
        if entry.stage == Stage::Queued {
            return self.kill_queued(turn, key, &task_id);
        }
        let grace = patience::shutdown_grace(&self.config, &entry.info);
        self.kill_command_within(turn, key, grace);
    }

    /// Ends all of a framework; nobody is told of its tasks any more.
    pub(crate) fn shutdown_framework(&mut self, turn: &mut Turn<'_>, framework_id: &str) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            return;
        };
        if framework.terminating {
            return;
        }
        framework.terminating = true;
        let executors: Vec<_> = framework.executors.keys().cloned().collect();
        self.streams.remove_framework(framework_id);
        for executor_id in executors {
            let key = ExecutorKey {
                framework_id: framework_id.to_owned(),
                executor_id,
            };
            self.shutdown_executor(turn, &key);
            self.remove_executor_if_done(turn, &key);
        }
        self.remove_framework_if_idle(turn, framework_id);
    }

    /// Ends all frameworks and then the agent.
    pub(crate) fn shut_down(&mut self, turn: &mut Turn<'_>, ending: Ending) {
        self.phase = NodePhase::Terminating;
        self.end_guests(turn);
        self.ending.get_or_insert(ending);
        let frameworks: Vec<_> = self.frameworks.keys().cloned().collect();
        for framework_id in frameworks {
            self.shutdown_framework(turn, &framework_id);
        }
        self.exit_if_empty(turn);
    }
}

/// The event that asks an executor to end.
pub(crate) fn shutdown_event() -> executor::Event {
    executor::Event {
        r#type: Some(executor::event::Type::Shutdown as i32),
        ..executor::Event::default()
    }
}

fn kill_event(task_id: &TaskId, kill_policy: Option<KillPolicy>) -> executor::Event {
    executor::Event {
        r#type: Some(executor::event::Type::Kill as i32),
        kill: Some(executor::event::Kill {
            task_id: task_id.clone(),
            kill_policy,
        }),
        ..executor::Event::default()
    }
}

#[cfg(test)]
#[path = "kills_tests.rs"]
mod tests;

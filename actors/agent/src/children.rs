//! The containers of tasks within that of a default executor, from their start to what their end means for the group:
//! Mesos' default executor, played by the agent (docs/adr/0006).

use tepui_messages::{agent::ExecutorPhase, containers::ContainerExit};
use tepui_protocol::signal::SIGTERM;
use tepui_protocol::v1::{TaskState, TaskStatus, task_status::Reason};

use crate::{
    core::{NodeCore, Timer, Turn},
    effect::{Effect, ExecutorKey, Fate},
    exits, guests, networks,
    status::{self, Verdict},
    tables::{Child, Ended, Executor, Stage, TaskEntry},
};

mod kills;

impl NodeCore {
    /// The executor and the task of a container within another one.
    fn owner(&self, container_id: &str) -> Option<(ExecutorKey, String)> {
        self.children.get(container_id).cloned()
    }

    pub(crate) fn entry_mut(&mut self, key: &ExecutorKey, task_id: &str) -> Option<&mut TaskEntry> {
        self.executor_mut(key)?.tasks.get_mut(task_id)
    }

    fn child_mut(&mut self, key: &ExecutorKey, task_id: &str) -> Option<&mut Child> {
        self.entry_mut(key, task_id)?.child.as_mut()
    }

    /// Whether nothing of the executor is to run any more, so that nobody counts on what starts now.
    fn is_given_up(&self, key: &ExecutorKey) -> bool {
        let framework = self.frameworks.get(&key.framework_id);
        let ended = self.executor(key).is_none_or(|it| it.ended.is_some());
        ended || framework.is_none_or(|it| it.terminating)
    }

    pub(crate) fn child_started(&mut self, turn: &mut Turn<'_>, container_id: &str, pid: u32) {
        let Some((key, task_id)) = self.owner(container_id) else {
            return;
        };
        let given_up = self.is_given_up(&key);
        let Some(child) = self.child_mut(&key, &task_id) else {
            return;
        };
        child.started = true;
        child.pid = Some(pid);
        // A kill that came before the start could not reach it.
        if given_up || child.kill.is_some() {
            let container_id = container_id.to_owned();
            turn.out.push(Effect::Destroy { container_id });
            return;
        }
        self.tell_running(turn, &key, &task_id);
    }

    /// TASK_RUNNING for all of the group, once all of it has started.
    fn tell_running(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, task_id: &str) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        let Some(group) = executor.tasks.get(task_id).map(|entry| entry.group) else {
            return;
        };
        let live = executor.at(Stage::Launched).into_iter();
        let members: Vec<_> = live.filter(|entry| entry.group == group).collect();
        let waits = |entry: &&&TaskEntry| entry.child.as_ref().is_some_and(|it| !it.started);
        if members.iter().any(|entry| waits(&entry)) {
            return;
        }
        let started = members.into_iter().filter(|entry| is_new(entry));
        let started: Vec<_> = started.map(|it| it.info.task_id.value.clone()).collect();
        for task_id in started {
            self.child_running(turn, key, &task_id);
        }
    }

    fn child_running(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, task_id: &str) {
        let now = turn.now.monotonic;
        let Some(entry) = self.entry_mut(key, task_id) else {
            return;
        };
        let limit = status::completion_limit(&entry.info);
        let Some(child) = &mut entry.child else {
            return;
        };
        child.completion_deadline = limit.map(|limit| now + limit);
        let (deadline, container_id) = (child.completion_deadline, child.container_id.clone());
        if let Some(deadline) = deadline {
            self.set_timer(deadline, Timer::MaxCompletion(container_id));
        }
        let running = Verdict::executor(TaskState::TaskRunning, None);
        self.child_update(turn, key, running.status(task_id));
        self.begin_checks(now, key, task_id);
    }

    pub(crate) fn child_launch_failed(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        message: &str,
    ) {
        let Some((key, task_id)) = self.owner(container_id) else {
            return;
        };
        let Some(child) = self.child_mut(&key, &task_id) else {
            return;
        };
        let verdict = if child.kill.is_some() {
            Verdict {
                reason: Some(Reason::TaskKilledDuringLaunch),
                ..Verdict::executor(TaskState::TaskKilled, None)
            }
        } else {
            Verdict {
                reason: Some(Reason::ContainerLaunchFailed),
                ..Verdict::executor(
                    TaskState::TaskFailed,
                    Some(format!("Failed to launch container: {message}")),
                )
            }
        };
        child.verdict.get_or_insert(verdict);
        self.child_ended(turn, container_id, None);
    }

    /// `exit` is `None` where the container never ran, or nothing is known of it.
    pub(crate) fn child_ended(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        exit: Option<&ContainerExit>,
    ) {
        let Some((key, task_id)) = self.children.remove(container_id) else {
            return;
        };
        self.ends.keep(container_id, guests::end_of(exit));
        turn.out.push(Effect::Forget {
            container_id: container_id.to_owned(),
        });
        self.outer_ended(turn, container_id);
        let Some(child) = self.child_mut(&key, &task_id) else {
            return;
        };
        child.pid = None;
        let kill = child.kill.map(|kill| kill.deadline);
        let completion = child.completion_deadline.take();
        let verdict = exits::child_verdict(child.verdict.as_ref(), kill.is_some(), exit);
        let ran = std::mem::replace(&mut child.started, false);
        self.end_checks(turn, &key, &task_id);
        self.clear_timer(kill, Timer::Kill(container_id.to_owned()));
        self.clear_timer(completion, Timer::MaxCompletion(container_id.to_owned()));
        if self.executor(&key).is_some_and(|it| it.ended.is_some()) {
            return self.finish_pod(turn, &key);
        }
        let told = turn.out.len();
        // It ended before the rest of its group began.
        if ran && self.entry_mut(&key, &task_id).is_some_and(|it| is_new(it)) {
            let running = Verdict::executor(TaskState::TaskRunning, None);
            self.child_update(turn, &key, running.status(&task_id));
        }
        self.child_update(turn, &key, verdict.status(&task_id));
        if matches!(verdict.state, TaskState::TaskFailed | TaskState::TaskKilled) {
            self.kill_rest(turn, &key, &task_id);
        }
        if self
            .executor(&key)
            .is_some_and(|it| it.live_tasks().is_empty())
        {
            self.end_pod(turn, &key);
        } else {
            self.update_limits_before(turn, &key, told);
            self.tell_running(turn, &key, &task_id);
        }
    }

    /// Nothing runs in it any more: the executor ends by itself.
    pub(crate) fn end_pod(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let deadline = turn.now.monotonic + self.config.executor_shutdown_grace;
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        executor.phase = ExecutorPhase::Terminating;
        let container_id = executor.container_id.clone();
        let earlier = executor.deadline.replace(deadline);
        let timer = Timer::Executor(container_id.clone());
        self.clear_timer(earlier, timer.clone());
        self.set_timer(deadline, timer);
        turn.out.push(Effect::Signal {
            container_id,
            signal: SIGTERM,
        });
    }

    /// The executor's own container has ended. True if containers within it have not: they are ended too, and nobody
    /// is told before nothing runs any more.
    pub(crate) fn awaits_children(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        exit: Option<&ContainerExit>,
    ) -> bool {
        let left: Vec<_> = self.children_of(key).collect();
        let Some(executor) = self.executor_mut(key) else {
            return false;
        };
        if left.is_empty() {
            return false;
        }
        executor.phase = ExecutorPhase::Terminating;
        executor.ended = Some(Box::new(Ended(exit.cloned())));
        for container_id in left {
            turn.out.push(Effect::Destroy { container_id });
        }
        true
    }

    /// The ids of containers within an executor's that have not ended.
    fn children_of(&self, key: &ExecutorKey) -> impl Iterator<Item = String> {
        let entries = self
            .executor(key)
            .into_iter()
            .flat_map(|it| it.tasks.values());
        let ids = entries.filter_map(|entry| Some(&entry.child.as_ref()?.container_id));
        ids.filter(|id| self.children.contains_key(*id)).cloned()
    }

    fn finish_pod(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        if self.children_of(key).next().is_some() {
            return;
        }
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if let Some(ended) = executor.ended.take() {
            let container_id = executor.container_id.clone();
            self.executor_ended(turn, &container_id, ended.0.as_ref());
        }
    }

    /// What became of a task's container while no agent watched.
    pub(crate) fn child_recovered(&mut self, turn: &mut Turn<'_>, container_id: &str, fate: Fate) {
        match fate {
            Fate::Running { pid, .. } => self.child_found(turn, container_id, pid),
            Fate::Exited(exit) => {
                if let Some((key, task_id)) = self.owner(container_id)
                    && let Some(child) = self.child_mut(&key, &task_id)
                {
                    child.started = true;
                }
                self.child_ended(turn, container_id, Some(&exit));
            }
            Fate::Failed(message) => self.child_launch_failed(turn, container_id, &message),
            Fate::Gone => self.child_ended(turn, container_id, None),
        }
    }

    fn child_found(&mut self, turn: &mut Turn<'_>, container_id: &str, pid: u32) {
        let Some((key, task_id)) = self.owner(container_id) else {
            return;
        };
        let given_up = self.is_given_up(&key);
        let now = turn.now;
        let Some(entry) = self.entry_mut(&key, &task_id) else {
            return;
        };
        let left = status::completion_left(entry, now.unix_nanos);
        let untold = is_new(entry);
        let Some(child) = &mut entry.child else {
            return;
        };
        child.started = true;
        child.pid = Some(pid);
        let killed = child.kill.take();
        if given_up {
            let container_id = container_id.to_owned();
            turn.out.push(Effect::Destroy { container_id });
            return;
        }
        if untold {
            self.tell_running(turn, &key, &task_id);
        } else {
            if let Some(left) = left {
                let deadline = now.monotonic + left;
                child.completion_deadline = Some(deadline);
                self.set_timer(deadline, Timer::MaxCompletion(container_id.to_owned()));
            }
            self.begin_checks(now.monotonic, &key, &task_id);
        }
        if let Some(kill) = killed {
            self.kill_child_within(turn, &key, &task_id, kill.grace());
        }
    }

    /// An update that the agent sends in the default executor's place.
    pub(crate) fn child_update(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        mut status: TaskStatus,
    ) {
        let own = self.config.addresses();
        let executor = self.executor(key);
        if let Some((executor, entry)) =
            executor.and_then(|it| Some((it, it.tasks.get(&status.task_id.value)?)))
        {
            status.container_status = shown(executor, entry, &own);
            status::complete(&mut status, entry);
        }
        let framework = key.framework_id.clone();
        self.update(turn, &framework, Some(&key.executor_id), status);
    }
}

/// Nothing but its start was told of it.
fn is_new(entry: &TaskEntry) -> bool {
    let state = entry.task.state();
    matches!(state, TaskState::TaskStaging | TaskState::TaskStarting)
}

/// The container of a task as a status shows it: with address and process only while it runs.
fn shown(
    executor: &Executor,
    entry: &TaskEntry,
    own: &[String],
) -> Option<tepui_protocol::v1::ContainerStatus> {
    let child = entry.child.as_ref()?;
    let mut shown = status::container_status(
        child.name(),
        child.pid,
        networks::shown(&executor.networks, own),
    );
    if let Some(id) = &mut shown.container_id {
        id.parent = Some(Box::new(tepui_protocol::v1::ContainerId {
            value: executor.container_id.clone(),
            parent: None,
        }));
    }
    if child.pid.is_none() {
        shown.network_infos.clear();
    }
    Some(shown)
}

#[cfg(test)]
#[path = "children_tests.rs"]
mod tests;

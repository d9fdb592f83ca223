//! Ending tasks within a default executor, one, the rest of its group, or all with their executor.

use std::time::Duration;

use tepui_messages::agent::ExecutorPhase;
use tepui_protocol::signal::SIGTERM;
use tepui_protocol::v1::{KillPolicy, TaskState, framework_info::capability};

use crate::{
    core::{NodeCore, Timer, Turn},
    effect::{Effect, ExecutorKey, Keep},
    kills::{DEFAULT_KILL_GRACE, SHUTDOWN_RESERVE},
    patience::kill_grace,
    status::{self, Verdict},
    tables::{Kill, Stage},
};

impl NodeCore {
    /// One of a group failed or was killed: the others follow it.
    pub(super) fn kill_rest(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, task_id: &str) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        let group = executor.tasks.get(task_id).and_then(|entry| entry.group);
        let live = executor.at(Stage::Launched).into_iter();
        let rest = live.filter(|entry| entry.group.is_some() && entry.group == group);
        let rest: Vec<_> = rest.map(|it| it.info.task_id.value.clone()).collect();
        for task_id in rest {
            self.kill_child(turn, key, &task_id, None);
        }
    }

    /// Kills one task of a default executor. A kill that is under way goes on as it is, as in Mesos.
    pub(crate) fn kill_child(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        task_id: &str,
        policy: Option<&KillPolicy>,
    ) {
        let Some(entry) = self.entry_mut(key, task_id) else {
            return;
        };
        let asked = policy.and_then(|policy| policy.grace_period);
        let grace = asked
            .map(status::duration)
            .or_else(|| kill_grace(&entry.info));
        self.kill_child_within(turn, key, task_id, grace.unwrap_or(DEFAULT_KILL_GRACE));
    }

    pub(super) fn kill_child_within(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        task_id: &str,
        grace: Duration,
    ) {
        let now = turn.now.monotonic;
        let Some(child) = self.child_mut(key, task_id) else {
            return;
        };
        if child.kill.is_some() {
            return;
        }
        let deadline = now + grace;
        child.kill = Some(Kill {
            started: now,
            deadline,
        });
        let (container_id, started) = (child.container_id.clone(), child.started);
        self.end_checks(turn, key, task_id);
        if !self.children.contains_key(&container_id) {
            return;
        }
        self.announce_child_kill(turn, key, task_id, grace);
        if grace.is_zero() || !started {
            turn.out.push(Effect::Destroy { container_id });
            return;
        }
        turn.out.push(Effect::SignalCommand {
            container_id: container_id.clone(),
            signal: SIGTERM,
        });
        self.set_timer(deadline, Timer::Kill(container_id));
    }

    /// Remembers the kill, and tells the framework if it knows the state. That its time is over is told by its end alone.
    fn announce_child_kill(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        task_id: &str,
        grace: Duration,
    ) {
        let Some(framework) = self.frameworks.get(&key.framework_id) else {
            return;
        };
        let told = status::has_capability(&framework.info, capability::Type::TaskKillingState);
        let killing = TaskState::TaskKilling;
        let Some(entry) = self.executor(key).and_then(|it| it.tasks.get(task_id)) else {
            return;
        };
        let child = entry.child.as_ref();
        let is_overdue = status::is_overdue(child.and_then(|it| it.verdict.as_ref()));
        let is_known = is_overdue || entry.task.state() == killing;
        let kept = entry.kept(&key.framework_id, &key.executor_id, killing);
        turn.keep(Keep::Task(kept.with_kill(grace, is_overdue)));
        if told && !is_known {
            let status = Verdict::executor(killing, None).status(task_id);
            self.child_update(turn, key, status);
        }
    }

    pub(crate) fn child_kill_overdue(&self, turn: &mut Turn<'_>, container_id: &str, at: Duration) {
        let owner = self.children.get(container_id);
        let entry = owner.and_then(|(key, task)| self.executor(key)?.tasks.get(task));
        let kill = entry.and_then(|entry| entry.child.as_ref()?.kill);
        if kill.is_some_and(|kill| kill.deadline == at) {
            let container_id = container_id.to_owned();
            turn.out.push(Effect::Destroy { container_id });
        }
    }

    pub(crate) fn child_completion_overdue(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        at: Duration,
    ) {
        let Some((key, task_id)) = self.owner(container_id) else {
            return;
        };
        let Some(child) = self.child_mut(&key, &task_id) else {
            return;
        };
        // A kill that is under way already keeps its meaning.
        if child.completion_deadline != Some(at) || child.kill.is_some() {
            return;
        }
        child.verdict = Some(status::overdue());
        self.kill_child_within(turn, &key, &task_id, Duration::ZERO);
    }

    /// Ends a default executor: its tasks as their kill policies say, then its own container.
    pub(crate) fn shutdown_pod(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let now = turn.now.monotonic;
        let default_grace = self.config.executor_shutdown_grace;
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        executor.phase = ExecutorPhase::Terminating;
        let container_id = executor.container_id.clone();
        if !executor.started {
            turn.out.push(Effect::Destroy { container_id });
            return;
        }
        let live = executor.live_tasks();
        if live.is_empty() {
            return self.end_pod(turn, key);
        }
        let grace = executor.shutdown_grace(default_grace);
        let deadline = now + grace;
        executor.deadline = Some(deadline);
        self.set_timer(deadline, Timer::Executor(container_id));
        // They end as killed before their executor is ended with whatever is left.
        let most = grace.saturating_sub(SHUTDOWN_RESERVE);
        for task_id in live {
            let Some(entry) = self.entry_mut(key, &task_id) else {
                continue;
            };
            let own = kill_grace(&entry.info).unwrap_or(DEFAULT_KILL_GRACE);
            self.kill_child_within(turn, key, &task_id, own.min(most));
        }
    }
}

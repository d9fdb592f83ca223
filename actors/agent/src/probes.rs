//! Checks of running tasks as effects and updates: which try is begun when, and what the framework is told of its
//! outcome. What an outcome means, [`crate::checks`] says.

use std::time::Duration;

use tepui_protocol::v1::{TaskState, TaskStatus, task_status::Reason};

use crate::{
    checks::{Checks, Meaning, Outcome, ProbeKind, Trial},
    core::{NodeCore, Timer, Turn},
    effect::{Effect, ExecutorKey, Probe, Try},
    order,
    status::Verdict,
    tables::Executor,
};

impl NodeCore {
    /// A task runs, now or since an earlier life of the agent.
    pub(crate) fn begin_checks(&mut self, now: Duration, key: &ExecutorKey, task_id: &str) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let outer = executor.container_id.clone();
        let Some(entry) = executor.tasks.get_mut(task_id) else {
            return;
        };
        if entry.info.check.is_none() && entry.info.health_check.is_none() {
            return;
        }
        let container_id = entry
            .child
            .as_ref()
            .map_or(outer, |it| it.container_id.clone());
        let checks = Checks::begin(&entry.info, now, entry.task.statuses.last());
        for (kind, at) in checks.due() {
            self.set_timer(at, Timer::Probe(container_id.clone(), kind));
        }
        if let Some(entry) = self.entry_mut(key, task_id) {
            entry.checks = Some(Box::new(checks));
        }
    }

    /// The executor and the task whose container this is.
    fn checked(&self, container_id: &str) -> Option<(ExecutorKey, String)> {
        if let Some(owner) = self.children.get(container_id) {
            return Some(owner.clone());
        }
        let key = self.containers.get(container_id)?;
        let (task_id, _) = self.executor(key)?.command_task()?;
        Some((key.clone(), task_id.clone()))
    }

    fn checks_mut(&mut self, key: &ExecutorKey, task_id: &str) -> Option<&mut Checks> {
        self.entry_mut(key, task_id)?.checks.as_deref_mut()
    }

    pub(crate) fn probe_due(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        kind: ProbeKind,
        at: Duration,
    ) {
        let Some((key, task_id)) = self.checked(container_id) else {
            return;
        };
        let Some(checks) = self.checks_mut(&key, &task_id) else {
            return;
        };
        let Some(cycle) = checks.cycle(kind).filter(|cycle| cycle.due == Some(at)) else {
            return;
        };
        cycle.due = None;
        let (trial, timeout) = (cycle.trial.clone(), cycle.timeout);
        let what = match trial {
            Trial::Command(command) => {
                let name = self.ids.uuid_text();
                let framework = self.frameworks.get(&key.framework_id);
                let Some((framework, executor)) =
                    framework.and_then(|it| Some((it, it.executors.get(&key.executor_id)?)))
                else {
                    return;
                };
                let Some(entry) = executor.tasks.get(&task_id) else {
                    return;
                };
                let agent_id = self.info.id.as_ref().map_or("", |id| &id.value);
                let order = order::beside(
                    &self.config,
                    agent_id,
                    (framework, executor, Some(entry)),
                    &command,
                    format!("{container_id}.{CHECK}{name}"),
                );
                let running = order.container_id.clone();
                let order = Box::new(order);
                let checks = self.checks_mut(&key, &task_id);
                if let Some(cycle) = checks.and_then(|it| it.cycle(kind)) {
                    cycle.running = Some(running);
                }
                Try::Command(order)
            }
            Trial::Knock(knock) => Try::Knock(knock),
        };
        turn.out.push(Effect::Probe(Probe {
            container_id: container_id.to_owned(),
            kind,
            what,
            timeout,
        }));
    }

    pub(crate) fn probed(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        kind: ProbeKind,
        outcome: &Outcome,
    ) {
        let now = turn.now.monotonic;
        let Some((key, task_id)) = self.checked(container_id) else {
            return;
        };
        let is_within = self.executor(&key).is_some_and(Executor::is_pod);
        let Some(checks) = self.checks_mut(&key, &task_id) else {
            return;
        };
        let Some(cycle) = checks.cycle(kind) else {
            return;
        };
        cycle.running = None;
        let at = cycle.again(now);
        let (is_news, meaning) = match kind {
            _ if is_within && outcome.is_passing() => (false, Meaning::Known),
            ProbeKind::Check => {
                let check = checks.check.as_mut();
                (check.is_some_and(|it| it.take(outcome)), Meaning::Known)
            }
            ProbeKind::Health => {
                let health = checks.health.as_mut();
                let meaning = health.map_or(Meaning::Known, |it| it.take(outcome, now));
                (meaning != Meaning::Known, meaning)
            }
        };
        self.set_timer(at, Timer::Probe(container_id.to_owned(), kind));
        if is_news {
            self.tell_checks(turn, &key, &task_id, kind);
        }
        if meaning == Meaning::GivenUp {
            self.give_up(turn, &key, &task_id);
        }
    }

    /// TASK_RUNNING with the last outcome of each.
    fn tell_checks(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        task_id: &str,
        kind: ProbeKind,
    ) {
        let Some(entry) = self.entry_mut(key, task_id) else {
            return;
        };
        let Some(checks) = &entry.checks else { return };
        let reason = match kind {
            ProbeKind::Check => Reason::TaskCheckStatusUpdated,
            ProbeKind::Health => Reason::TaskHealthCheckStatusUpdated,
        };
        let status = TaskStatus {
            reason: Some(reason as i32),
            healthy: checks.health.as_ref().and_then(|it| it.last),
            check_status: checks.check.as_ref().map(|it| it.last),
            ..Verdict::executor(TaskState::TaskRunning, None).status(task_id)
        };
        self.played_update(turn, key, status);
    }

    /// An update in the place of the executor that the agent plays.
    fn played_update(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, status: TaskStatus) {
        if self.executor(key).is_some_and(|it| it.command_task) {
            self.command_update(turn, key, status);
        } else {
            self.child_update(turn, key, status);
        }
    }

    /// Kills a task that was unhealthy too often; its end says so.
    fn give_up(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, task_id: &str) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let command_task = executor.command_task;
        // The others of its group end with it, and say why (Mesos: of all of the executor's tasks).
        let group = executor.tasks.get(task_id).map(|entry| entry.group);
        let entries = executor.tasks.values_mut();
        let entries = entries.filter(|entry| Some(entry.group) == group);
        entries.for_each(|entry| entry.unhealthy = true);
        if command_task {
            self.kill_command(turn, key, None);
        } else {
            self.kill_child(turn, key, task_id, None);
        }
    }

    /// Nothing is told of a task's checks once it is being killed or has ended, and none goes on.
    pub(crate) fn end_checks(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, task_id: &str) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let outer = executor.container_id.clone();
        let entry = executor.tasks.get_mut(task_id);
        let Some(entry) = entry.filter(|entry| entry.checks.is_some()) else {
            return;
        };
        let container_id = entry
            .child
            .as_ref()
            .map_or(outer, |it| it.container_id.clone());
        let Some(mut checks) = entry.checks.take() else {
            return;
        };
        for (kind, at) in checks.due() {
            self.clear_timer(Some(at), Timer::Probe(container_id.clone(), kind));
        }
        // A command that is under way ends with what it looks at, and before the container around it.
        for kind in [ProbeKind::Check, ProbeKind::Health] {
            let running = checks.cycle(kind).and_then(|cycle| cycle.running.take());
            if let Some(container_id) = running {
                turn.out.push(Effect::Destroy { container_id });
            }
        }
    }
}

/// The last part of the id of a container in which a check runs begins so: no agent keeps those.
pub const CHECK: &str = "check-";

#[cfg(test)]
#[path = "probes_tests.rs"]
mod tests;

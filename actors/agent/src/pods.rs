//! Task groups: all of a group launched, or none. Owns which groups are refused, and the part of Mesos' default
//! executor up to the moment when its tasks run (docs/adr/0006); a custom executor is handed its groups whole.

use std::sync::Arc;

use tepui_messages::agent::ExecutorPhase;
use tepui_protocol::{
    node,
    v1::{TaskGroupInfo, TaskInfo, TaskState, executor, task_status::Reason},
};

use crate::{
    amounts,
    core::{NodeCore, Turn},
    effect::{Effect, ExecutorKey, Keep},
    order,
    status::{self, Verdict},
    tables::{Child, Executor, Stage},
    unsupported,
};

impl NodeCore {
    pub(crate) fn run_task_group(&mut self, turn: &mut Turn<'_>, run: node::RunTaskGroup) {
        let Some(framework_id) = self.enter_framework(turn, run.framework_info) else {
            return;
        };
        let key = ExecutorKey {
            framework_id,
            executor_id: run.executor.executor_id.value.clone(),
        };
        let tasks = run.task_group.tasks.into_iter();
        // A repeated order: the tasks' own updates tell what became of the first.
        let tasks = tasks.filter(|task| !self.knows_task(&key.framework_id, task));
        let mut tasks: Vec<TaskInfo> = tasks.collect();
        for task in &mut tasks {
            task.executor.get_or_insert_with(|| run.executor.clone());
        }
        if tasks.is_empty() {
            return self.remove_framework_if_idle(turn, &key.framework_id);
        }
        if let Some(verdict) = self.group_refusal(&key.framework_id, &tasks) {
            return self.refuse_group(turn, &key, &tasks, &verdict, run.launch_executor);
        }
        if let Some(text) = self.executor_refusal(&key, run.launch_executor) {
            let framework = self.frameworks.get(&key.framework_id);
            let state = framework.map_or(TaskState::TaskLost, |it| status::dropped(&it.info));
            let verdict = Verdict::agent(state, Reason::ExecutorTerminated, text);
            let ended = self
                .executor(&key)
                .is_none_or(|known| known.phase == ExecutorPhase::Terminated);
            self.refuse_group(turn, &key, &tasks, &verdict, run.launch_executor && ended);
            if run.launch_executor && !ended {
                self.shutdown_executor(turn, &key);
            }
            return;
        }
        if self.executor(&key).is_none() {
            self.start_executor(turn, &key.framework_id, run.executor, None);
        }
        let group = self.next_sequence();
        for task in tasks {
            self.enqueue(turn, &key, Arc::new(task), Some(group));
        }
        self.hand_over(turn, &key);
    }

    /// Why none of a group's tasks can run here.
    fn group_refusal(&self, framework_id: &str, tasks: &[TaskInfo]) -> Option<Verdict> {
        let unenforced = self.limits_unenforced(framework_id, tasks);
        let unauthorized = || self.unauthorized(framework_id, tasks, Reason::TaskGroupUnauthorized);
        let refused = unenforced.or_else(unauthorized);
        let refused = refused.or_else(|| self.draining_verdict(framework_id));
        if refused.is_some() {
            return refused;
        }
        if let Some(problem) = tasks
            .iter()
            .find_map(|task| unsupported::of_task(&self.config, task))
        {
            let (state, reason) = (TaskState::TaskFailed, Reason::ContainerLaunchFailed);
            return Some(Verdict::agent(state, reason, problem));
        }
        let mut unknown = tasks.iter();
        let unknown = unknown.find_map(|task| self.lacks_resources_of(task));
        unknown.map(|who| self.resources_unknown(framework_id, who))
    }

    fn refuse_group(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        tasks: &[TaskInfo],
        verdict: &Verdict,
        executor_expected: bool,
    ) {
        for task in tasks {
            let mut status = verdict.status(&task.task_id.value);
            status.executor_id = Some(crate::tables::executor_id(&key.executor_id));
            self.update(turn, &key.framework_id, None, status);
        }
        if executor_expected {
            self.send_exited(turn, &key.framework_id, &key.executor_id, -1);
        }
        self.remove_framework_if_idle(turn, &key.framework_id);
    }

    /// Hands what is queued to an executor that is there, whoever plays its part.
    pub(crate) fn hand_over(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        match self.executor(key) {
            Some(executor) if executor.is_pod() => self.launch_queued(turn, key),
            Some(_) => self.deliver_queued(turn, key),
            None => {}
        }
    }

    /// The executor's own container runs: its tasks' come next.
    pub(crate) fn pod_started(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        if let Some(executor) = self.executor_mut(key) {
            executor.phase = ExecutorPhase::Running;
            executor.ever_sent_task = true;
        }
        self.launch_queued(turn, key);
    }

    /// Launches the queued tasks of a default executor, each in a container within the executor's.
    fn launch_queued(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        if executor.phase != ExecutorPhase::Running {
            return;
        }
        let queued = executor.at(Stage::Queued).into_iter();
        let queued: Vec<_> = queued.map(|it| it.info.task_id.value.clone()).collect();
        if queued.is_empty() {
            return;
        }
        self.update_limits(turn, key);
        for task_id in &queued {
            self.decide_child(turn, key, task_id);
        }
        for task_id in &queued {
            let starting = Verdict::executor(TaskState::TaskStarting, None);
            self.child_update(turn, key, starting.status(task_id));
        }
        for task_id in &queued {
            self.launch_child(turn, key, task_id);
        }
    }

    /// Gives a task the id of its container, which a next life of the agent looks for.
    fn decide_child(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey, task_id: &str) {
        let name = self.ids.uuid_text();
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let container_id = format!("{}.{name}", executor.container_id);
        let Some(entry) = executor.tasks.get_mut(task_id) else {
            return;
        };
        entry.stage = Stage::Launched;
        entry.child = Some(Child::new(container_id.clone()));
        let (framework, staging) = (&key.framework_id, TaskState::TaskStaging);
        turn.keep(Keep::Task(entry.kept(framework, &key.executor_id, staging)));
        let owner = (key.clone(), task_id.to_owned());
        self.children.insert(container_id, owner);
    }

    fn launch_child(&self, turn: &mut Turn<'_>, key: &ExecutorKey, task_id: &str) {
        let framework = self.frameworks.get(&key.framework_id);
        let Some((framework, executor)) =
            framework.and_then(|known| Some((known, known.executors.get(&key.executor_id)?)))
        else {
            return;
        };
        let entry = executor.tasks.get(task_id);
        if let Some((entry, child)) = entry.and_then(|it| Some((it, it.child.as_ref()?))) {
            let info = &entry.info;
            let launch = order::child_launch(&self.config, framework, executor, child, info);
            turn.out.push(Effect::Launch(Box::new(launch)));
        }
    }

    /// As [`Self::update_limits`], ahead of the effects from `first` on: who hears of a task's end may use at once what the
    /// task had.
    pub(crate) fn update_limits_before(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        first: usize,
    ) {
        let before = turn.out.len();
        self.update_limits(turn, key);
        let added = turn.out.len() - before;
        turn.out[first..].rotate_right(added);
    }

    /// What the executor and its tasks may use together may have changed.
    pub(crate) fn update_limits(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let executor = self.executor(key).filter(|it| !it.command_task);
        let Some(executor) = executor.filter(|it| it.started) else {
            return;
        };
        let amounts = amounts::amounts(&self.config, executor);
        // One whose limits could not be set ends.
        if executor.limits == Some(amounts) {
            return;
        }
        turn.out.push(Effect::UpdateLimits {
            container_id: executor.container_id.clone(),
            amounts,
        });
        if let Some(executor) = self.executor_mut(key) {
            executor.limits = Some(amounts);
        }
    }
}

/// The event that hands a group to a custom executor.
pub(crate) fn group_event(executor: &Executor, group: u64) -> executor::Event {
    let entries = executor.at(Stage::Queued).into_iter();
    let entries = entries.filter(|entry| entry.group == Some(group));
    let tasks = entries.map(|entry| (*entry.info).clone()).collect();
    executor::Event {
        r#type: Some(executor::event::Type::LaunchGroup as i32),
        launch_group: Some(executor::event::LaunchGroup {
            task_group: TaskGroupInfo { tasks },
        }),
        ..executor::Event::default()
    }
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;

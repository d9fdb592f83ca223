//! Orders to run something, up to the moment it runs. Owns which launches are refused, and the first updates of
//! a command task, whose executor the agent plays itself.

use std::sync::Arc;

use tepui_messages::{agent::ExecutorPhase, containers::ProcessMark, engine::Inspected};
use tepui_protocol::{
    node,
    v1::{ExecutorInfo, FrameworkInfo, TaskInfo, TaskState, TaskStatus, task_status::Reason},
};

use crate::{
    command_executor,
    core::{NodeCore, Timer, Turn},
    effect::{Effect, ExecutorKey, Keep, Launch},
    networks, order,
    status::{self, Verdict},
    tables::{self, Executor, Framework, Stage, TaskEntry},
    unsupported,
};

impl NodeCore {
    pub(crate) fn run_task(&mut self, turn: &mut Turn<'_>, run: node::RunTask) {
        let Some(framework_id) = self.enter_framework(turn, run.framework_info) else {
            return;
        };
        let task = run.task;
        if self.knows_task(&framework_id, &task) {
            // A repeated order: the task's own updates tell what became of the first.
            return;
        }
        let launch_executor = run.launch_executor;
        let tasks = std::slice::from_ref(&task);
        if let Some(verdict) = self.limits_unenforced(&framework_id, tasks) {
            return self.refuse(turn, &framework_id, &task, verdict, launch_executor);
        }
        if let Some(problem) = unsupported::of_task(&self.config, &task) {
            let verdict = Verdict::agent(
                TaskState::TaskFailed,
                Reason::ContainerLaunchFailed,
                problem,
            );
            return self.refuse(turn, &framework_id, &task, verdict, launch_executor);
        }
        if let Some(verdict) = self.unauthorized(&framework_id, tasks, Reason::TaskUnauthorized) {
            return self.refuse(turn, &framework_id, &task, verdict, launch_executor);
        }
        if let Some(verdict) = self.draining_verdict(&framework_id) {
            return self.refuse(turn, &framework_id, &task, verdict, launch_executor);
        }
        if let Some(who) = self.lacks_resources_of(&task) {
            let verdict = self.resources_unknown(&framework_id, who);
            return self.refuse(turn, &framework_id, &task, verdict, launch_executor);
        }
        if task.executor.is_none() {
            self.run_command_task(turn, &framework_id, task);
        } else {
            self.run_executor_task(turn, &framework_id, task, launch_executor);
        }
        self.remove_framework_if_idle(turn, &framework_id);
    }

    /// Why none of these tasks may run here: one of them has a limit that would not hold (Mesos:
    /// `Slave::validateResourceLimitsAndIsolators`, and its reason, which is about something else).
    pub(crate) fn limits_unenforced(
        &self,
        framework_id: &str,
        tasks: &[TaskInfo],
    ) -> Option<Verdict> {
        let problem = unsupported::of_limits(self.config.enforced, tasks)?;
        let framework = self.frameworks.get(framework_id);
        let state = framework.map_or(TaskState::TaskLost, |it| status::dropped(&it.info));
        Some(Verdict::agent(state, Reason::GcError, problem))
    }

    pub(crate) fn resources_unknown(&self, framework_id: &str, who: &str) -> Verdict {
        let state = self.frameworks.get(framework_id);
        let state = state.map_or(TaskState::TaskLost, |known| status::dropped(&known.info));
        Verdict::agent(
            state,
            Reason::ResourcesUnknown,
            format!("The checkpointed resources being used by the {who} are unknown to the agent"),
        )
    }

    /// The framework of an order, as the order describes it; `None` if it is being shut down.
    pub(crate) fn enter_framework(
        &mut self,
        turn: &mut Turn<'_>,
        info: FrameworkInfo,
    ) -> Option<String> {
        let id = info.id.as_ref()?.value.clone();
        if !unsupported::names_directory(&id) {
            return None;
        }
        if let Some(known) = self.frameworks.get_mut(&id) {
            if known.terminating {
                return None;
            }
            if *known.info != info {
                known.info = Arc::new(info);
                turn.keep(Keep::Framework(Arc::clone(&known.info)));
            }
            return Some(id);
        }
        let mut framework = Framework::new(info);
        let mut completed = self.completed_frameworks.iter();
        let earlier = completed.position(|known| known.info.id == framework.info.id);
        if let Some(earlier) = earlier.and_then(|at| self.completed_frameworks.remove(at)) {
            framework.completed = earlier.completed;
        }
        turn.keep(Keep::Framework(Arc::clone(&framework.info)));
        self.frameworks.insert(id.clone(), framework);
        Some(id)
    }

    pub(crate) fn knows_task(&self, framework_id: &str, task: &TaskInfo) -> bool {
        let framework = self.frameworks.get(framework_id);
        framework.is_some_and(|known| known.executor_of(&task.task_id.value).is_some())
    }

    fn run_command_task(&mut self, turn: &mut Turn<'_>, framework_id: &str, task: TaskInfo) {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        if framework.executors.contains_key(&task.task_id.value) {
            let verdict = Verdict::agent(
                status::dropped(&framework.info),
                Reason::TaskInvalid,
                "Cannot reuse an already existing executor for a command task",
            );
            return self.refuse(turn, framework_id, &task, verdict, false);
        }
        let info = command_executor::info(&self.config, framework, &task);
        let task = Arc::new(task);
        let key = self.start_executor(turn, framework_id, info, Some(&task));
        self.enqueue(turn, &key, task, None);
    }

    /// Why an order does not fit the executor that runs, or the one that does not.
    pub(crate) fn executor_refusal(
        &self,
        key: &ExecutorKey,
        launch_executor: bool,
    ) -> Option<&'static str> {
        match self.executor(key).map(|known| known.phase) {
            None if !launch_executor => {
                Some("No executor is expected to launch and there is none running")
            }
            None => None,
            Some(_) if launch_executor => {
                Some("Master wants to launch executor, but one already exists")
            }
            Some(ExecutorPhase::Terminating) => Some("Executor terminating"),
            Some(ExecutorPhase::Terminated) => Some("Executor terminated"),
            Some(_) => None,
        }
    }

    fn run_executor_task(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        task: TaskInfo,
        launch_executor: bool,
    ) {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return;
        };
        let Some(info) = task.executor.clone() else {
            return;
        };
        let key = ExecutorKey {
            framework_id: framework_id.to_owned(),
            executor_id: info.executor_id.value.clone(),
        };
        let dropped = |text: &str| {
            let state = status::dropped(&framework.info);
            Verdict::agent(state, Reason::ExecutorTerminated, text)
        };
        let known = framework.executors.get(&key.executor_id);
        if let Some(text) = self.executor_refusal(&key, launch_executor) {
            let verdict = dropped(text);
            let ended = known.is_none_or(|known| known.phase == ExecutorPhase::Terminated);
            self.refuse(turn, framework_id, &task, verdict, launch_executor && ended);
            // The master does not know of the one that runs.
            if launch_executor && !ended {
                self.shutdown_executor(turn, &key);
            }
            return;
        }
        let task = Arc::new(task);
        if known.is_none() {
            self.start_executor(turn, framework_id, info, None);
        }
        self.enqueue(turn, &key, task, None);
        self.deliver_queued(turn, &key);
    }

    /// Tells the framework that a task will not run here.
    fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        task: &TaskInfo,
        verdict: Verdict,
        executor_expected: bool,
    ) {
        let mut status = verdict.status(&task.task_id.value);
        let executor = task.executor.as_ref();
        // That of a command task has its id.
        let id = executor.map_or(&task.task_id.value, |it| &it.executor_id.value);
        status.executor_id = Some(tables::executor_id(id));
        self.update(turn, framework_id, None, status);
        if let Some(executor) = task.executor.as_ref().filter(|_| executor_expected) {
            self.send_exited(turn, framework_id, &executor.executor_id.value, -1);
        }
        self.remove_framework_if_idle(turn, framework_id);
    }

    pub(crate) fn start_executor(
        &mut self,
        turn: &mut Turn<'_>,
        framework_id: &str,
        mut info: ExecutorInfo,
        command_task: Option<&TaskInfo>,
    ) -> ExecutorKey {
        info.framework_id = Some(tables::framework_id(framework_id));
        let key = ExecutorKey {
            framework_id: framework_id.to_owned(),
            executor_id: info.executor_id.value.clone(),
        };
        let container_id = self.ids.uuid_text();
        let agent_id = self.info.id.as_ref().map_or("", |id| &id.value);
        let sandbox = order::sandbox_path(
            &self.config.work_dir,
            agent_id,
            framework_id,
            &key.executor_id,
            &container_id,
        );
        let is_command = command_task.is_some();
        let timeout = self.config.executor_registration_timeout;
        self.sequence += 1;
        let executor = Executor::new(info, is_command, container_id, sandbox, self.sequence);
        // Only a program of the framework's has to subscribe.
        let deadline = executor.is_custom().then_some(turn.now.monotonic + timeout);
        let executor = Executor {
            deadline,
            ..executor
        };
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            return key;
        };
        let order = order::launch_order(&self.config, agent_id, framework, &executor, command_task);
        let command = command_task.and_then(|task| task.command.as_ref());
        let command = command.or(executor.info.command.as_ref());
        let uris = command.map_or_else(Vec::new, |command| command.uris.clone());
        turn.keep(Keep::Container(executor.kept(framework_id)));
        turn.out.push(Effect::Launch(Box::new(Launch {
            order,
            uris,
            nested: None,
        })));
        let container_id = executor.container_id.clone();
        framework
            .executors
            .insert(key.executor_id.clone(), executor);
        self.containers.insert(container_id.clone(), key.clone());
        if let Some(deadline) = deadline {
            self.set_timer(deadline, Timer::Executor(container_id));
        }
        key
    }

    pub(crate) fn enqueue(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        task: Arc<TaskInfo>,
        group: Option<u64>,
    ) {
        let sequence = self.next_sequence();
        let agent_id = self.info.id.clone();
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let id = task.task_id.value.clone();
        let mut entry = TaskEntry::new(
            &key.framework_id,
            agent_id.as_ref(),
            task,
            Stage::Queued,
            sequence,
        );
        entry.group = group;
        let kept = entry.kept(&key.framework_id, &key.executor_id, TaskState::TaskStaging);
        turn.keep(Keep::Task(kept));
        executor.tasks.insert(id, entry);
    }

    /// From now on its command may start at any moment.
    pub(crate) fn container_prepared(&mut self, container_id: &str) {
        if let Some(key) = self.containers.get(container_id).cloned()
            && let Some(executor) = self.executor_mut(&key)
        {
            executor.prepared = true;
        }
    }

    /// Tells of a command task as Mesos' command executor does, which has a process id by then. The launch does not wait
    /// for the acknowledgement, nor the acknowledgement for the launch.
    pub(crate) fn container_forked(&mut self, turn: &mut Turn<'_>, container_id: &str, pid: u32) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let Some(executor) = self.executor_mut(&key) else {
            return;
        };
        executor.pid = Some(pid);
        if executor.command_task && executor.phase != ExecutorPhase::Terminating {
            self.command_starting(turn, &key);
        }
    }

    /// TASK_STARTING, unless more is known of the task already.
    fn command_starting(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let task = self.executor(key).and_then(Executor::command_task);
        let Some((id, entry)) = task else { return };
        if entry.task.state() == TaskState::TaskStaging {
            let status = Verdict::executor(TaskState::TaskStarting, None).status(id);
            self.command_update(turn, key, status);
        }
    }

    pub(crate) fn container_started(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        shim: ProcessMark,
        pid: u32,
    ) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let Some(executor) = self.executor_mut(&key) else {
            return;
        };
        executor.started = true;
        executor.shim = Some(shim);
        executor.pid = Some(pid);
        turn.keep(Keep::Container(executor.kept(&key.framework_id)));
        if executor.phase == ExecutorPhase::Terminating {
            let container_id = container_id.to_owned();
            turn.out.push(Effect::Destroy { container_id });
            return;
        }
        if executor.command_task {
            self.command_started(turn, &key);
        } else if executor.is_pod() {
            self.pod_started(turn, &key);
        }
    }

    pub(crate) fn container_inspected(&mut self, container_id: &str, inspected: Box<Inspected>) {
        let key = self.containers.get(container_id).cloned();
        if let Some(executor) = key.and_then(|key| self.executor_mut(&key)) {
            executor.inspected = Some(inspected);
        }
    }

    /// What the command executor says once its command runs.
    pub(crate) fn command_started(&mut self, turn: &mut Turn<'_>, key: &ExecutorKey) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        executor.phase = ExecutorPhase::Running;
        executor.ever_sent_task = true;
        let container_id = executor.container_id.clone();
        let Some(task_id) = executor.command_task().map(|(id, _)| id.clone()) else {
            return;
        };
        let Some(entry) = executor.tasks.get_mut(&task_id) else {
            return;
        };
        entry.stage = Stage::Launched;
        let limit = status::completion_limit(&entry.info);
        let deadline = limit.map(|limit| turn.now.monotonic + limit);
        executor.completion_deadline = deadline;
        if let Some(deadline) = deadline {
            self.set_timer(deadline, Timer::MaxCompletion(container_id));
        }
        self.command_starting(turn, key);
        let status = Verdict::executor(TaskState::TaskRunning, None).status(&task_id);
        self.command_update(turn, key, status);
        self.begin_checks(turn.now.monotonic, key, &task_id);
    }

    /// An update that the agent sends in the command executor's place.
    pub(crate) fn command_update(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ExecutorKey,
        mut status: TaskStatus,
    ) {
        let own = self.config.addresses();
        if let Some(executor) = self.executor(key) {
            let entry = executor.tasks.get(&status.task_id.value);
            let mut container = status::container_status(
                &executor.container_id,
                executor.pid,
                networks::shown(&executor.networks, &own),
            );
            if let Some(inspected) = &executor.inspected {
                let described = entry.and_then(|it| it.info.container.as_ref());
                status::as_inspected(&mut status, &mut container, inspected, described);
            }
            status.container_status = Some(container);
            if let Some(entry) = entry {
                status::complete(&mut status, entry);
            }
        }
        let framework = key.framework_id.clone();
        self.update(turn, &framework, Some(&key.executor_id), status);
    }

    /// Whatever ended the launch, nothing of the container is left.
    pub(crate) fn launch_failed(&mut self, turn: &mut Turn<'_>, container_id: &str, message: &str) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let verdict = Verdict::agent(
            TaskState::TaskFailed,
            Reason::ContainerLaunchFailed,
            format!("Failed to launch container: {message}"),
        );
        if let Some(executor) = self.executor_mut(&key) {
            executor.verdict.get_or_insert(verdict);
        }
        self.executor_ended(turn, container_id, None);
    }

    /// Without a directory of its own no executor begins: its tasks are dropped, as if they had never come.
    pub(crate) fn sandbox_failed(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        message: &str,
    ) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let Some(framework) = self.frameworks.get_mut(&key.framework_id) else {
            return;
        };
        let state = status::dropped(&framework.info);
        if let Some(executor) = framework.executors.get_mut(&key.executor_id) {
            let verdict = Verdict::agent(state, Reason::ExecutorTerminated, message);
            executor.verdict.get_or_insert(verdict);
        }
        self.executor_ended(turn, container_id, None);
    }

    /// A container that may use more or less than was agreed is ended (Mesos: `Slave::___run`).
    pub(crate) fn means_not_given(
        &mut self,
        turn: &mut Turn<'_>,
        container_id: &str,
        message: &str,
    ) {
        let Some(key) = self.containers.get(container_id).cloned() else {
            return;
        };
        let Some(framework) = self.frameworks.get(&key.framework_id) else {
            return;
        };
        let verdict = Verdict::agent(
            status::gone(&framework.info),
            Reason::ContainerUpdateFailed,
            format!("Failed to update resources for container: {message}"),
        );
        self.end_with(turn, &key, &verdict);
    }
}

#[cfg(test)]
#[path = "launches_tests.rs"]
mod tests;

//! What the core knows of frameworks, executors and tasks: plain records and their small moves. Decides nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tepui_messages::{
    agent::ExecutorPhase,
    containers::{Amounts, ContainerExit, ProcessMark},
    engine::Inspected,
};
use tepui_protocol::task;
use tepui_protocol::v1::{
    AgentId, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, NetworkInfo, Task, TaskInfo,
    TaskState, TaskStatus, executor_info,
};

use crate::{
    checks::Checks,
    effect::{KeptContainer, KeptKill, KeptTask},
    status::{self, Verdict},
    updates::is_terminal,
};

/// A framework with work here.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) info: Arc<FrameworkInfo>,
    /// Being shut down: nobody is told of its tasks any more.
    pub(crate) terminating: bool,
    pub(crate) executors: BTreeMap<String, Executor>,
    pub(crate) completed: VecDeque<Executor>,
}

/// One executor: a program of the framework's, or the part of one that the agent plays for a command task.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) info: Arc<ExecutorInfo>,
    pub(crate) command_task: bool,
    pub(crate) container_id: String,
    pub(crate) sandbox: PathBuf,
    pub(crate) phase: ExecutorPhase,
    /// Its files are there, and its command comes next, or runs.
    pub(crate) prepared: bool,
    /// The command runs.
    pub(crate) started: bool,
    pub(crate) shim: Option<ProcessMark>,
    /// Known before the command runs: see [`Self::running`].
    pub(crate) pid: Option<u32>,
    /// What its container was last told that it may use.
    pub(crate) limits: Option<Amounts>,
    /// Where an engine runs it.
    pub(crate) inspected: Option<Box<Inspected>>,
    /// Of its container, where that does not have the machine's.
    pub(crate) networks: Vec<NetworkInfo>,
    /// Its subscription.
    pub(crate) stream_id: Option<u64>,
    pub(crate) ever_sent_task: bool,
    /// Whether it has told of a task.
    pub(crate) served: bool,
    /// Queued, launched and terminated ones.
    pub(crate) tasks: BTreeMap<String, TaskEntry>,
    pub(crate) completed: VecDeque<Arc<Task>>,
    /// What its tasks end with, decided before the container has ended.
    pub(crate) verdict: Option<Verdict>,
    /// When it is destroyed unless it subscribes, or ends by itself.
    pub(crate) deadline: Option<Duration>,
    pub(crate) kill: Option<Kill>,
    pub(crate) completion_deadline: Option<Duration>,
    /// Its own container has ended, some within it have not.
    pub(crate) ended: Option<Box<Ended>>,
    /// Order of start.
    pub(crate) sequence: u64,
}

/// How a container ended; `None` where nothing is known of it.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) Option<ContainerExit>);

/// The container of a task within its executor's.
#[derive(Debug)]
pub(crate) struct Child {
    /// `outer.inner`.
    pub(crate) container_id: String,
    pub(crate) started: bool,
    pub(crate) pid: Option<u32>,
    pub(crate) kill: Option<Kill>,
    pub(crate) completion_deadline: Option<Duration>,
    /// What the task ends with, decided before the container has ended.
    pub(crate) verdict: Option<Verdict>,
}

/// A kill under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) started: Duration,
    /// When SIGKILL follows.
    pub(crate) deadline: Duration,
}

impl Kill {
    /// How long it was to take.
    pub(crate) fn grace(&self) -> Duration {
        self.deadline.saturating_sub(self.started)
    }
}

/// A task that is not completed.
#[derive(Debug)]
pub(crate) struct TaskEntry {
    pub(crate) task: Arc<Task>,
    pub(crate) info: Arc<TaskInfo>,
    pub(crate) stage: Stage,
    pub(crate) sequence: u64,
    /// The group it was launched in.
    pub(crate) group: Option<u64>,
    pub(crate) child: Option<Child>,
    /// While it runs and is not being killed.
    pub(crate) checks: Option<Box<Checks>>,
    /// Its health check gave it up.
    pub(crate) unhealthy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Queued,
    Launched,
    /// Ended, the last update not acknowledged.
    Terminated,
}

impl Framework {
    pub(crate) fn new(info: FrameworkInfo) -> Self {
        Self {
            info: Arc::new(info),
            terminating: false,
            executors: BTreeMap::new(),
            completed: VecDeque::new(),
        }
    }

    /// Whether losing the agent must not lose its tasks.
    pub(crate) fn checkpoints(&self) -> bool {
        self.info.checkpoint.unwrap_or(false)
    }

    /// The executor that has the task.
    pub(crate) fn executor_of(&self, task_id: &str) -> Option<(&String, &Executor)> {
        let mut executors = self.executors.iter();
        // A command task's executor has its id.
        let named = self.executors.get_key_value(task_id);
        named
            .filter(|(_, executor)| executor.tasks.contains_key(task_id))
            .or_else(|| executors.find(|(_, executor)| executor.tasks.contains_key(task_id)))
    }
}

impl Executor {
    /// The command's process, if it runs.
    pub(crate) fn running(&self) -> Option<u32> {
        self.pid.filter(|_| self.started)
    }

    /// One whose container is about to be launched.
    pub(crate) fn new(
        info: ExecutorInfo,
        command_task: bool,
        container_id: String,
        sandbox: PathBuf,
        sequence: u64,
    ) -> Self {
        Self {
            info: Arc::new(info),
            command_task,
            container_id,
            sandbox,
            phase: ExecutorPhase::Registering,
            prepared: false,
            started: false,
            shim: None,
            pid: None,
            limits: None,
            inspected: None,
            networks: Vec::new(),
            stream_id: None,
            ever_sent_task: false,
            served: false,
            tasks: BTreeMap::new(),
            completed: VecDeque::new(),
            verdict: None,
            deadline: None,
            kill: None,
            completion_deadline: None,
            ended: None,
            sequence,
        }
    }

    /// Whether it is Mesos' default executor, whose part the agent plays: each task has a container within its own.
    pub(crate) fn is_pod(&self) -> bool {
        self.info.r#type() == executor_info::Type::Default
    }

    /// Whether a program of the framework's plays its part.
    pub(crate) fn is_custom(&self) -> bool {
        !self.command_task && !self.is_pod()
    }

    /// What it is given to end by itself; `usual`: where it does not say.
    pub(crate) fn shutdown_grace(&self, usual: Duration) -> Duration {
        let own = self.info.shutdown_grace_period.map(status::duration);
        own.unwrap_or(usual)
    }

    /// Marks what an update says about one of its tasks.
    /// Whether the task ends by it.
    pub(crate) fn apply(&mut self, status: &TaskStatus) -> bool {
        let Some(entry) = self.tasks.get_mut(&status.task_id.value) else {
            return false;
        };
        let task = Arc::make_mut(&mut entry.task);
        if is_terminal(task.state()) {
            return false;
        }
        task.state = status.state;
        task.status_update_state = Some(status.state);
        task.status_update_uuid.clone_from(&status.uuid);
        task::keep_status(task, status);
        let ends = is_terminal(status.state());
        if ends {
            entry.stage = Stage::Terminated;
        }
        ends
    }

    /// The task is over, whatever was last told of it.
    pub(crate) fn end(&mut self, task_id: &str) {
        if let Some(entry) = self.tasks.get_mut(task_id) {
            entry.stage = Stage::Terminated;
        }
    }

    /// Keeps the `bound` tasks that were launched last.
    pub(crate) fn forget_oldest(&mut self, bound: usize) {
        let mut sequences: Vec<_> = self.tasks.values().map(|it| it.sequence).collect();
        sequences.sort_unstable();
        let beyond = sequences.len().saturating_sub(bound);
        let forgotten = beyond.checked_sub(1).and_then(|at| sequences.get(at));
        if let Some(forgotten) = forgotten {
            self.tasks.retain(|_, entry| entry.sequence > *forgotten);
        }
    }

    /// Tasks at a stage, in order of launch.
    pub(crate) fn at(&self, stage: Stage) -> Vec<&TaskEntry> {
        let mut entries: Vec<_> = self
            .tasks
            .values()
            .filter(|entry| entry.stage == stage)
            .collect();
        entries.sort_by_key(|entry| entry.sequence);
        entries
    }

    /// Ids of the tasks that have not ended, in order of launch.
    pub(crate) fn live_tasks(&self) -> Vec<String> {
        let mut live: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, entry)| entry.stage != Stage::Terminated)
            .collect();
        live.sort_by_key(|(_, entry)| entry.sequence);
        live.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// The one task of a command task's executor.
    pub(crate) fn command_task(&self) -> Option<(&String, &TaskEntry)> {
        self.tasks.first_key_value().filter(|_| self.command_task)
    }

    pub(crate) fn kept(&self, framework_id: &str) -> KeptContainer {
        KeptContainer {
            framework_id: framework_id.to_owned(),
            container_id: self.container_id.clone(),
            info: Arc::clone(&self.info),
            sandbox: self.sandbox.clone(),
            shim: self.shim,
            served: self.served,
        }
    }
}

impl TaskEntry {
    pub(crate) fn new(
        framework_id: &str,
        agent_id: Option<&AgentId>,
        info: Arc<TaskInfo>,
        stage: Stage,
        sequence: u64,
    ) -> Self {
        let mut task = task::staging(framework_id, &info);
        if let Some(agent_id) = agent_id {
            task.agent_id = agent_id.clone();
        }
        Self {
            task: Arc::new(task),
            info,
            stage,
            sequence,
            group: None,
            child: None,
            checks: None,
            unhealthy: false,
        }
    }

    pub(crate) fn kept(&self, framework_id: &str, executor_id: &str, state: TaskState) -> KeptTask {
        KeptTask {
            framework_id: framework_id.to_owned(),
            executor_id: executor_id.to_owned(),
            info: Arc::clone(&self.info),
            state,
            container_id: self.child.as_ref().map(|it| it.container_id.clone()),
            group: self.group,
            kill: (state == TaskState::TaskKilling).then(|| KeptKill {
                is_unhealthy: self.unhealthy,
                ..KeptKill::default()
            }),
        }
    }
}

impl Child {
    pub(crate) fn new(container_id: String) -> Self {
        Self {
            container_id,
            started: false,
            pid: None,
            kill: None,
            completion_deadline: None,
            verdict: None,
        }
    }

    /// The last part of its id.
    pub(crate) fn name(&self) -> &str {
        let parts = self.container_id.rsplit_once('.');
        parts.map_or(&self.container_id, |(_, name)| name)
    }
}

/// The id of a framework in the schema's form.
pub(crate) fn framework_id(value: &str) -> FrameworkId {
    FrameworkId {
        value: value.to_owned(),
    }
}

/// The id of an executor in the schema's form.
pub(crate) fn executor_id(value: &str) -> ExecutorId {
    ExecutorId {
        value: value.to_owned(),
    }
}

/// Takes out all but the newest `bound` items.
pub(crate) fn beyond<T>(items: &mut VecDeque<T>, bound: usize) -> Vec<T> {
    let beyond = items.len().saturating_sub(bound);
    items.drain(..beyond).collect()
}

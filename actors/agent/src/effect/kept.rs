//! What the agent must not forget: each change of it, and all of it for the agent that comes after.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tepui_messages::{UnixNanos, agent::Draining, containers::ProcessMark};
use tepui_protocol::v1::{
    AgentInfo, ExecutorInfo, FrameworkInfo, Operation, Resource, Task, TaskInfo, TaskState,
    TaskStatus,
};

use super::{ExecutorKey, TaskKey};

/// A change of what must not be forgotten.
#[derive(Debug, Clone, PartialEq)]
pub enum Keep {
    /// With its id.
    Agent(Arc<AgentInfo>),
    /// Id, draining, frameworks, all of theirs and what has ended are forgotten; term, reservations and volumes are not.
    ForgetAgent,
    /// The highest term of a leader seen.
    Term(u64),
    /// What it is to end all its tasks for; `None`: no more.
    Drain(Option<Draining>),
    /// All that was reserved and created at run time.
    Resources(Vec<Resource>),
    /// Applied, not acknowledged.
    Operation(Arc<Operation>),
    ForgetOperation([u8; 16]),
    Framework(Arc<FrameworkInfo>),
    /// With its containers, tasks and streams; what has ended of it stays.
    ForgetFramework {
        framework_id: String,
    },
    Container(KeptContainer),
    ForgetContainer {
        key: ExecutorKey,
        container_id: String,
    },
    Task(KeptTask),
    ForgetTask(TaskKey),
    Update {
        framework_id: String,
        status: Arc<TaskStatus>,
    },
    /// With `replaces` the one acknowledged before is not shown any more.
    Acknowledged {
        key: TaskKey,
        uuid: [u8; 16],
        replaces: bool,
    },
    ForgetStream(TaskKey),
    /// Something ended at that time.
    Past(UnixNanos, Past),
    /// By [`Past::path`], with all that is below it.
    ForgetPast(Vec<String>),
    /// A container that a client of the API asked for. Without a sandbox (an empty path) it is a session.
    Guest {
        container_id: String,
        guest: KeptGuest,
    },
    ForgetGuest {
        container_id: String,
    },
}

/// What a client of the API asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptGuest {
    pub sandbox: PathBuf,
    /// Whom it runs as, and what is launched within it where it names nobody. `None`: as whoever is around it.
    pub user: Option<String>,
}

/// An executor and its container.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptContainer {
    pub framework_id: String,
    pub container_id: String,
    pub info: Arc<ExecutorInfo>,
    pub sandbox: PathBuf,
    /// `None` until it has started.
    pub shim: Option<ProcessMark>,
    /// Whether it has told of a task: one that never had any, and has none, is of no use.
    pub served: bool,
}

/// Something that has ended, for those who look later.
#[derive(Debug, Clone, PartialEq)]
pub enum Past {
    Framework(Arc<FrameworkInfo>),
    /// Without its secrets.
    Executor(KeptContainer),
    /// Ended, and acknowledged where somebody was to do so.
    Task {
        framework_id: String,
        container_id: String,
        task: Arc<Task>,
    },
}

impl Past {
    /// The framework's id, then the container's, then the task's.
    pub fn path(&self) -> Vec<String> {
        match self {
            Self::Framework(info) => {
                let id = info.id.as_ref().map(|id| id.value.clone());
                vec![id.unwrap_or_default()]
            }
            Self::Executor(kept) => vec![kept.framework_id.clone(), kept.container_id.clone()],
            Self::Task {
                framework_id,
                container_id,
                task,
            } => {
                let task_id = &task.task_id.value;
                vec![framework_id.clone(), container_id.clone(), task_id.clone()]
            }
        }
    }
}

/// A task and its latest state.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptTask {
    pub framework_id: String,
    pub executor_id: String,
    pub info: Arc<TaskInfo>,
    /// `TASK_KILLING` also where the framework was not told of it.
    pub state: TaskState,
    /// The container of its own within the executor's, once its launch is decided.
    pub container_id: Option<String>,
    /// The group it was launched in.
    pub group: Option<u64>,
    /// While it is being killed.
    pub kill: Option<KeptKill>,
}

impl KeptTask {
    pub(crate) fn with_kill(mut self, grace: Duration, is_overdue: bool) -> Self {
        let kill = self.kill.get_or_insert_default();
        (kill.grace, kill.is_overdue) = (grace, is_overdue);
        self
    }
}

/// How a task is being killed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptKill {
    pub grace: Duration,
    /// Since its time was over.
    pub is_overdue: bool,
    /// Since its health check gave it up.
    pub is_unhealthy: bool,
}

/// Everything that was kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// With its id, and the boot it was last seen in.
    pub agent: Option<(AgentInfo, String)>,
    /// The highest term of a leader seen; 0 where none was.
    pub term: u64,
    pub drain: Option<Draining>,
    /// Reservations and volumes made at run time.
    pub resources: Vec<Resource>,
    pub operations: Vec<Operation>,
    pub frameworks: Vec<FrameworkInfo>,
    pub containers: Vec<KeptContainer>,
    pub tasks: Vec<KeptTask>,
    /// By task, oldest first, with whether it is acknowledged.
    pub streams: BTreeMap<TaskKey, Vec<(TaskStatus, bool)>>,
    /// The uuids of earlier updates of these tasks, all acknowledged, oldest first.
    pub acknowledged: BTreeMap<TaskKey, Vec<[u8; 16]>>,
    /// What has ended, the oldest first.
    pub past: Vec<Past>,
    /// Containers that clients of the API asked for, by id.
    pub guests: BTreeMap<String, KeptGuest>,
}

impl Remembered {
    /// The ids of all containers, those within others included.
    pub fn container_ids(&self) -> BTreeSet<String> {
        let outer = self.containers.iter().map(|it| it.container_id.clone());
        let inner = self.tasks.iter().filter_map(|it| it.container_id.clone());
        let guests = self.guests.keys().cloned();
        outer.chain(inner).chain(guests).collect()
    }
}

//! What goes into the core and what comes out of it. Plain values; nothing here acts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::{
    checks::{Knock, Outcome, ProbeKind},
    oversubscription::Purpose,
    usage::Load,
};
use tepui_messages::{
    UnixNanos,
    agent::LaunchGuest,
    containers::{
        Amounts, ContainerExit, LaunchOrder, NestedSandbox, ProcessMark, VolumeDirectory,
        VolumeLink,
    },
    engine::Inspected,
};
use tepui_protocol::{
    node,
    v1::{
        ExecutorId, FrameworkId, NetworkInfo, ResourceStatistics, TaskInfo, TaskStatus,
        command_info, executor,
    },
};

mod kept;

pub use kept::{Keep, KeptContainer, KeptGuest, KeptKill, KeptTask, Past, Remembered};

/// The time of an input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the start of the agent; never goes back.
    pub monotonic: Duration,
    /// Wall time, for people and other machines only.
    pub unix_nanos: UnixNanos,
}

/// A task of a framework.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    pub framework_id: String,
    pub task_id: String,
}

/// An executor of a framework.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutorKey {
    pub framework_id: String,
    pub executor_id: String,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// First of all: what an earlier life of the agent kept.
    Recovered(Box<Remembered>),
    ContainerRecovered {
        container_id: String,
        fate: Fate,
    },
    MasterConnected {
        connection: u64,
    },
    MasterLost {
        connection: u64,
    },
    /// The answer to [`Effect::Register`], or why there is none.
    RegistrationAnswered {
        connection: u64,
        answer: Result<Box<node::AgentRegistration>, String>,
    },
    /// The leading master's order.
    Order(Order),
    /// Its sandbox and its files are there; its process comes next.
    ContainerPrepared {
        container_id: String,
    },
    /// Its process is there, and will be the command in a moment; or [`Self::ContainerStarted`] came first.
    ContainerForked {
        container_id: String,
        pid: u32,
    },
    /// The addresses of a container that does not have the machine's network; comes before it is told to run.
    Networked {
        container_id: String,
        networks: Vec<NetworkInfo>,
    },
    ContainerStarted {
        container_id: String,
        shim: ProcessMark,
        pid: u32,
    },
    /// What its engine says of a container; comes before it has started, or is found again.
    ContainerInspected {
        container_id: String,
        inspected: Box<Inspected>,
    },
    /// Nothing of the container is left.
    LaunchFailed {
        container_id: String,
        message: String,
    },
    /// As [`Self::LaunchFailed`], and the executor has not so much as a directory: the task was never begun.
    NoSandbox {
        container_id: String,
        message: String,
    },
    /// The container was not given what [`Effect::UpdateLimits`] or [`Effect::LinkVolumes`] asked for.
    NotGiven {
        container_id: String,
        message: String,
    },
    /// The first try of [`Effect::Destroy`] failed: what the container's processes hang in. It is tried again.
    KillHangs {
        container_id: String,
        why: String,
    },
    ContainerExited {
        container_id: String,
        exit: ContainerExit,
    },
    /// [`crate::core::NodeCore::guest_refusal`] had nothing against it.
    LaunchGuest(Box<LaunchGuest>),
    /// One that has ended.
    RemoveGuest {
        container_id: String,
    },
    SignalContainer {
        container_id: String,
        signal: i32,
    },
    /// The answer to [`Effect::Probe`].
    Probed {
        container_id: String,
        kind: ProbeKind,
        outcome: Outcome,
    },
    /// The answer to [`Effect::Measure`].
    Measured {
        purpose: Purpose,
        measured: Measured,
    },
    /// The answer to [`Effect::WeighDisks`]: bytes by directory, as far as they could be looked at.
    DisksWeighed(BTreeMap<PathBuf, u64>),
    /// The answer to [`Effect::LookAtPorts`], by container.
    PortsSeen(BTreeMap<String, BTreeSet<u16>>),
    /// [`crate::core::NodeCore::refusal`] had nothing against it.
    ExecutorSubscribed {
        framework_id: FrameworkId,
        executor_id: ExecutorId,
        unacknowledged_tasks: Vec<TaskInfo>,
        unacknowledged_updates: Vec<TaskStatus>,
        stream_id: u64,
    },
    /// As above: UPDATE, MESSAGE or HEARTBEAT.
    ExecutorCalled(Box<executor::Call>),
    ExecutorStreamLost {
        framework_id: FrameworkId,
        executor_id: ExecutorId,
        stream_id: u64,
    },
    /// The agent is to end; with `leave` everything on it too.
    End {
        leave: bool,
    },
    /// The time that [`Effect::WakeAt`] named has come.
    Woke,
}

/// What was seen of the machine.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// By container.
    pub statistics: BTreeMap<String, ResourceStatistics>,
    /// `None` where the machine does not tell.
    pub load: Option<Load>,
}

/// What the master orders.
#[derive(Debug, Clone)]
pub enum Order {
    RunTask(Box<node::RunTask>),
    RunTaskGroup(Box<node::RunTaskGroup>),
    KillTask(node::KillTask),
    ShutdownExecutor(node::ShutdownExecutor),
    ShutdownFramework(node::ShutdownFramework),
    UpdateFramework(Box<node::UpdateFramework>),
    DrainAgent(node::DrainAgent),
    ShutdownAgent(node::ShutdownAgent),
    AcknowledgeUpdate(node::AcknowledgeUpdate),
    ApplyOperation(Box<node::ApplyOperation>),
    AcknowledgeOperation(node::AcknowledgeOperation),
    ToExecutor(node::ToExecutor),
}

impl Order {
    /// The term of the leader that gave it; messages to executors had none in earlier versions.
    pub fn term(&self) -> Option<u64> {
        match self {
            Self::RunTask(order) => Some(order.term),
            Self::RunTaskGroup(order) => Some(order.term),
            Self::KillTask(order) => Some(order.term),
            Self::ShutdownExecutor(order) => Some(order.term),
            Self::ShutdownFramework(order) => Some(order.term),
            Self::UpdateFramework(order) => Some(order.term),
            Self::DrainAgent(order) => Some(order.term),
            Self::ShutdownAgent(order) => Some(order.term),
            Self::AcknowledgeUpdate(order) => Some(order.term),
            Self::ApplyOperation(order) => Some(order.term),
            Self::AcknowledgeOperation(order) => Some(order.term),
            Self::ToExecutor(order) => order.term,
        }
    }
}

/// What became of a container while no agent watched.
#[derive(Debug, Clone)]
pub enum Fate {
    Running {
        shim: ProcessMark,
        pid: u32,
    },
    Exited(ContainerExit),
    /// The command never ran; why, in words.
    Failed(String),
    Gone,
}

/// A container to be started, files first.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    pub order: LaunchOrder,
    pub uris: Vec<command_info::Uri>,
    /// The sandbox of a container within another one.
    pub nested: Option<NestedSandbox>,
}

/// One try of a check or a health check.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The task's.
    pub container_id: String,
    pub kind: ProbeKind,
    pub what: Try,
    /// `None`: it may take as long as it takes.
    pub timeout: Option<Duration>,
}

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub enum Try {
    /// In a container within the task's.
    Command(Box<LaunchOrder>),
    Knock(Knock),
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Must have succeeded before any later effect of the same input is carried out.
    Keep {
        changes: Vec<Keep>,
        /// Must outlive the kernel, not only the process.
        synced: bool,
    },
    /// Asks the master of that connection to admit this agent.
    Register {
        connection: u64,
        request: Box<node::RegisterAgent>,
    },
    SendUpdate(Box<node::StatusUpdate>),
    SendOperationUpdate(Box<node::OperationUpdate>),
    SendOversubscribed(node::OversubscribedResources),
    SendExited(node::ExecutorExited),
    SendToFramework(node::ToFramework),
    SendLeaves(node::AgentLeaves),
    /// Must have succeeded before any later effect is carried out, as [`Self::Keep`].
    ChangeVolumes {
        make: Vec<VolumeDirectory>,
        remove: Vec<VolumeDirectory>,
    },
    /// Shows volumes of a task in the sandbox of its executor, which runs already; before any later effect.
    LinkVolumes {
        container_id: String,
        sandbox: PathBuf,
        user: Option<String>,
        volumes: Vec<VolumeLink>,
    },
    /// Changes what a running container may use; before any later effect.
    UpdateLimits {
        container_id: String,
        amounts: Amounts,
    },
    Launch(Box<Launch>),
    /// Look for it; answered by [`Input::ContainerRecovered`].
    Recover {
        container_id: String,
    },
    /// Answered by [`Input::Probed`].
    Probe(Probe),
    /// Look at what these containers use, and at the machine's load; answered by [`Input::Measured`].
    Measure {
        purpose: Purpose,
        containers: Vec<String>,
    },
    /// Look how much these directories hold; answered by [`Input::DisksWeighed`].
    WeighDisks {
        directories: Vec<PathBuf>,
    },
    /// Look at which ports of the machine these containers listen; answered by [`Input::PortsSeen`].
    LookAtPorts {
        containers: Vec<String>,
    },
    /// For the log: something that nobody else is told.
    Note(String),
    /// What an earlier life left is known, and looked after again.
    RecoveryEnded,
    /// To every process of it.
    Signal {
        container_id: String,
        signal: i32,
    },
    /// To its command's own process, which passes it on as it likes (Mesos' agent: containers within another one).
    SignalCommand {
        container_id: String,
        signal: i32,
    },
    /// Ends it whatever it does; also a launch that is under way.
    Destroy {
        container_id: String,
    },
    Forget {
        container_id: String,
    },
    /// Removes `containers/<name>` beneath a sandbox, or beneath the work directory.
    RemoveSandbox {
        root: PathBuf,
        name: String,
    },
    ToExecutor {
        stream_id: u64,
        event: Arc<executor::Event>,
    },
    EndStream {
        stream_id: u64,
    },
    /// Replaces the time of an earlier one.
    WakeAt(Duration),
    /// Nothing more will come out of the core.
    Exit(Ending),
}

/// Why the agent ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Asked to.
    Asked,
    /// Someone must act; the text says what.
    Refused(String),
    /// The agent cannot remember what it does; the text says what to do.
    DiskFailed(String),
}

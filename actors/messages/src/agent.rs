//! To the agent's actor: from its HTTP endpoints, and the handles it is given. The master's orders arrive as
//! the `node` messages themselves.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use tepui_protocol::{
    message::{Ask, Message, Tell},
    node,
    v1::{
        AgentInfo, CommandInfo, ContainerId, ContainerInfo, DrainConfig, ExecutorId, ExecutorInfo,
        FrameworkId, FrameworkInfo, MasterInfo, NetworkInfo, Operation, Resource,
        ResourceStatistics, Task, TaskInfo, TaskState, TaskStatus, executor, task_status::Reason,
        value,
    },
};

use crate::UnixNanos;
pub use crate::master::Answer;

/// What the agent says to the leading master.
pub trait MasterPeer:
    Tell<node::StatusUpdate>
    + Tell<node::OperationUpdate>
    + Tell<node::OversubscribedResources>
    + Tell<node::ExecutorExited>
    + Tell<node::ToFramework>
    + Tell<node::AgentLeaves>
    + Ask<node::RegisterAgent>
{
}

impl<T> MasterPeer for T where
    T: Tell<node::StatusUpdate>
        + Tell<node::OperationUpdate>
        + Tell<node::OversubscribedResources>
        + Tell<node::ExecutorExited>
        + Tell<node::ToFramework>
        + Tell<node::AgentLeaves>
        + Ask<node::RegisterAgent>
{
}

/// A connection to the leading master stands. It replaces an older one.
pub struct MasterConnected {
    /// Rises with each connection.
    pub connection: u64,
    pub peer: Arc<dyn MasterPeer>,
}

impl Message for MasterConnected {
    type Reply = ();
}

/// The connection is gone; without effect if a newer one stands.
#[derive(Debug, Clone, Copy)]
pub struct MasterLost {
    pub connection: u64,
}

impl Message for MasterLost {
    type Reply = ();
}

/// An event for an executor, in order.
#[derive(Debug, Clone)]
pub struct DeliverExecutorEvent(pub Arc<executor::Event>);

impl Message for DeliverExecutorEvent {
    type Reply = ();
}

/// Ends an executor's stream after all that was delivered before.
#[derive(Debug, Clone, Copy)]
pub struct EndExecutorStream;

impl Message for EndExecutorStream {
    type Reply = ();
}

/// What the agent holds of an executor's subscription.
pub trait ExecutorStream: Tell<DeliverExecutorEvent> + Tell<EndExecutorStream> {}
impl<T: Tell<DeliverExecutorEvent> + Tell<EndExecutorStream>> ExecutorStream for T {}

/// Whose token came with a call of an executor: its own claims, signed by this agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorClaims {
    pub framework_id: String,
    pub executor_id: String,
    pub container_id: String,
}

/// An executor opens or reopens its event stream; an older stream of it is ended.
///
/// Answered [`Answer::OK`] once the stream is taken; otherwise with the refusal, and `stream` is dropped.
pub struct ExecutorSubscribe {
    pub framework_id: FrameworkId,
    pub executor_id: ExecutorId,
    pub unacknowledged_tasks: Vec<TaskInfo>,
    pub unacknowledged_updates: Vec<TaskStatus>,
    /// Names this stream in [`ExecutorStreamLost`]; unique within the process.
    pub stream_id: u64,
    pub stream: Arc<dyn ExecutorStream>,
    /// `None` where executors are not asked who they are.
    pub claims: Option<ExecutorClaims>,
}

impl Message for ExecutorSubscribe {
    type Reply = Answer;
}

/// Any other call of an executor, structurally valid: UPDATE, MESSAGE or HEARTBEAT.
#[derive(Debug, Clone)]
pub struct ExecutorCall {
    pub call: executor::Call,
    /// `None` where executors are not asked who they are.
    pub claims: Option<ExecutorClaims>,
}

impl Message for ExecutorCall {
    type Reply = Answer;
}

/// The connection of an executor's stream is gone, or its reader was too slow.
#[derive(Debug, Clone)]
pub struct ExecutorStreamLost {
    pub framework_id: FrameworkId,
    pub executor_id: ExecutorId,
    pub stream_id: u64,
}

impl Message for ExecutorStreamLost {
    type Reply = ();
}

/// Asks for a container of its own, within another one or standing alone.
///
/// Answered once its command runs with 200, or with 202 where the id is known already; else with the refusal.
#[derive(Debug, Clone)]
pub struct LaunchGuest {
    /// `outer.inner` within another one.
    pub container_id: String,
    pub command: Option<CommandInfo>,
    pub container: Option<ContainerInfo>,
    pub resources: Vec<Resource>,
    /// What it may use at most, where that is not what it requests.
    pub limits: BTreeMap<String, value::Scalar>,
    /// Ends with the client that asks for it, and uses the sandbox of the container around it.
    pub is_session: bool,
}

impl Message for LaunchGuest {
    type Reply = Answer;
}

/// Sends a signal to all processes of a container: 200, or 404 where none of that id runs.
#[derive(Debug, Clone)]
pub struct SignalContainer {
    pub container_id: String,
    pub signal: i32,
}

impl Message for SignalContainer {
    type Reply = Answer;
}

/// Removes what is left of a container that has ended; within one that lives nothing has to be left.
#[derive(Debug, Clone)]
pub struct RemoveGuest {
    pub container_id: String,
}

impl Message for RemoveGuest {
    type Reply = Answer;
}

/// Waits for the end of a container, whoever launched it; `None` where there is none of that id.
#[derive(Debug, Clone)]
pub struct WaitGuest {
    pub container_id: String,
}

impl Message for WaitGuest {
    type Reply = Option<ContainerEnd>;
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerEnd {
    /// The raw wait status; `None` where nobody could read it.
    pub status: Option<i32>,
    /// With the next two, where a limit ended it.
    pub reason: Option<Reason>,
    pub message: Option<String>,
    pub resources: Vec<Resource>,
}

/// Ends the agent: with `leave` its tasks are killed and the master forgets it; without, all runs on.
#[derive(Debug, Clone, Copy)]
pub struct EndNode {
    pub leave: bool,
}

impl Message for EndNode {
    type Reply = ();
}

/// Asks for everything the agent knows.
#[derive(Debug, Clone, Copy)]
pub struct GetNodeState;

impl Message for GetNodeState {
    type Reply = Arc<NodeState>;
}

/// Asks what each live container uses now.
#[derive(Debug, Clone, Copy)]
pub struct ContainerUsage;

impl Message for ContainerUsage {
    type Reply = Vec<ContainerUsageRecord>;
}

/// Where the agent stands between start and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodePhase {
    Recovering,
    /// Not registered with the leading master.
    Disconnected,
    Running,
    Terminating,
}

/// The agent as it was when asked; its parts are shared, not copied.
#[derive(Debug, Clone)]
pub struct NodeState {
    /// With its id, once there is one.
    pub info: Arc<AgentInfo>,
    pub phase: NodePhase,
    /// The master of the last registration.
    pub master: Option<Arc<MasterInfo>>,
    pub registered_at: Option<UnixNanos>,
    /// As configured, with what was reserved and created since, and what is lent.
    pub total: Vec<Resource>,
    pub counts: NodeCounts,
    /// Applied here and not acknowledged.
    pub operations: Vec<Arc<Operation>>,
    pub draining: Option<Draining>,
    /// Running containers that [`LaunchGuest`] made: `outer.inner`, and the process of the command, 0 where an
    /// engine has not told it.
    pub guests: Vec<(String, u32)>,
    /// Sandboxes within others, and of containers that stand alone, whose containers have not ended.
    pub inner_sandboxes: Vec<PathBuf>,
    pub frameworks: Vec<FrameworkState>,
    pub completed_frameworks: Vec<FrameworkState>,
}

/// What happened since the agent's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Executors that had to give back what was lent to them.
    pub preempted_executors: u64,
    pub terminated_executors: u64,
    /// Tasks that ended so.
    pub ended_tasks: BTreeMap<TaskState, u64>,
    /// Updates that were taken, and those of frameworks that are unknown or end.
    pub updates: Judged,
    /// Messages of frameworks that went to an executor, and those for which there was none.
    pub framework_messages: Judged,
    /// From the start until what an earlier life kept was taken in; `None` until then.
    pub recovery: Option<Duration>,
}

/// How many were as they should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    pub valid: u64,
    pub invalid: u64,
}

impl Judged {
    pub fn count(&mut self, is_valid: bool) {
        match is_valid {
            true => self.valid += 1,
            false => self.invalid += 1,
        }
    }
}

/// An agent that is to end what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draining {
    pub config: DrainConfig,
    pub since: UnixNanos,
}

/// A framework on this agent; executors in order of their start.
#[derive(Debug, Clone)]
pub struct FrameworkState {
    pub info: Arc<FrameworkInfo>,
    pub executors: Vec<ExecutorState>,
    pub completed_executors: Vec<ExecutorState>,
}

/// Where an executor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorPhase {
    Registering,
    Running,
    Terminating,
    Terminated,
}

/// An executor on this agent; tasks in order of their launch.
#[derive(Debug, Clone)]
pub struct ExecutorState {
    pub info: Arc<ExecutorInfo>,
    /// Made by the agent for a task with a command.
    pub command_task: bool,
    pub phase: ExecutorPhase,
    pub container_id: ContainerId,
    pub sandbox: PathBuf,
    /// The command's process, while it runs.
    pub pid: Option<u32>,
    /// Told to run, not yet with the executor.
    pub queued_tasks: Vec<Arc<Task>>,
    pub launched_tasks: Vec<Arc<Task>>,
    /// Ended, the last update not acknowledged.
    pub terminated_tasks: Vec<Arc<Task>>,
    pub completed_tasks: Vec<Arc<Task>>,
    /// Those of its tasks that run in containers of their own within its own.
    pub nested: Vec<NestedState>,
}

/// A running container within that of an executor.
#[derive(Debug, Clone)]
pub struct NestedState {
    /// The last part of its id.
    pub name: String,
    pub pid: u32,
    pub task: Arc<Task>,
}

impl ExecutorState {
    /// What the container is accounted for: the executor and its tasks that have not ended.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        let tasks = self.queued_tasks.iter().chain(&self.launched_tasks);
        let live = self.phase != ExecutorPhase::Terminated;
        let own = live.then_some(&self.info.resources).into_iter().flatten();
        own.chain(tasks.flat_map(|task| &task.resources))
    }
}

/// What one container uses. Those within another one follow it.
#[derive(Debug, Clone)]
pub struct ContainerUsageRecord {
    /// Without a value for one that [`LaunchGuest`] made.
    pub framework_id: FrameworkId,
    pub info: Arc<ExecutorInfo>,
    /// With its parent, if it is within another one.
    pub container_id: ContainerId,
    pub pid: Option<u32>,
    /// As statuses show it; empty where it has the machine's network.
    pub networks: Vec<NetworkInfo>,
    /// `None` where the launcher could not say.
    pub statistics: Option<ResourceStatistics>,
}

impl fmt::Debug for MasterConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterConnected")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ExecutorSubscribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorSubscribe")
            .field("framework_id", &self.framework_id.value)
            .field("executor_id", &self.executor_id.value)
            .field("stream_id", &self.stream_id)
            .finish_non_exhaustive()
    }
}

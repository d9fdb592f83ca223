//! The records themselves. Adding a field needs `#[serde(default)]`; any other change needs a new version.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The version every record of this crate is written with.
pub(crate) const VERSION: u8 = 1;

/// The 16 bytes of a status update's UUID.
pub type Uuid = [u8; 16];

/// Who this agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// The id the master gave, or `None` before the first registration.
    pub agent_id: Option<String>,
    /// `mesos.v1.AgentInfo` as protobuf.
    pub info: Bytes,
    /// The boot id of the kernel when this was written: another one means every container is gone.
    pub boot_id: String,
}

/// A framework with work on this agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkRecord {
    pub framework_id: String,
    /// `mesos.v1.FrameworkInfo` as protobuf.
    pub info: Bytes,
}

/// The process that supervises a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimRecord {
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`, in clock ticks since boot: tells a reused pid from the shim.
    pub start_time_ticks: u64,
}

/// An executor and the container it runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub framework_id: String,
    pub executor_id: String,
    pub container_id: String,
    /// `mesos.v1.ExecutorInfo` as protobuf.
    pub info: Bytes,
    /// `None` until the shim has been started.
    pub shim: Option<ShimRecord>,
    /// The sandbox directory.
    pub sandbox: String,
    /// The container's resources, encoded by the agent.
    pub resources: Bytes,
    /// Whether the executor has told of a task; `None` in records of earlier versions.
    #[serde(default)]
    pub served: Option<bool>,
}

/// A task this agent was told to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    pub framework_id: String,
    pub executor_id: String,
    pub task_id: String,
    /// `mesos.v1.TaskInfo` as protobuf.
    pub info: Bytes,
    /// The latest `mesos.v1.TaskState`, by number.
    pub state: i32,
    /// The container of its own, within the executor's, once its launch is decided.
    #[serde(default)]
    pub container_id: Option<String>,
    /// Tasks of one executor with the same number were launched as one group.
    #[serde(default)]
    pub group: Option<u64>,
    /// While it is being killed.
    #[serde(default)]
    pub kill: Option<KillRecord>,
}

/// How a task is being killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillRecord {
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Since its time was over.
    pub is_overdue: bool,
    /// Since its health check gave it up.
    pub is_unhealthy: bool,
}

/// Something that has ended, for those who look later: a framework, a container or a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRecord {
    /// The framework's id, then the container's, then the task's: as many as it takes to name it.
    pub path: Vec<String>,
    pub ended: Ended,
}

/// What is kept of something that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When, in nanoseconds since the epoch.
    pub unix_nanos: i64,
    /// `mesos.v1.FrameworkInfo`, `ExecutorInfo` or `Task` as protobuf.
    pub info: Bytes,
    /// The sandbox directory of a container.
    pub sandbox: Option<String>,
}

/// Which task a stream of status updates belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamKey {
    pub framework_id: String,
    pub task_id: String,
}

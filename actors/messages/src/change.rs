//! The change stream: what the master decided, numbered. All that reads follows this one stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tepui_protocol::v1::{
    AgentId, AgentInfo, DrainInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo,
    InverseOffer, MachineInfo, MasterInfo, Offer, OfferId, Operation, Resource, Task, TaskId,
    TaskStatus, agent_info, allocator::InverseOfferStatus, maintenance, quota::QuotaConfig,
    scheduler::OfferConstraints,
};

use crate::UnixNanos;

/// A change and its place in the stream; numbers begin at 1 in each run of a master and have no gaps.
#[derive(Debug, Clone)]
pub struct Numbered {
    pub number: u64,
    pub change: Change,
}

/// One decision of the master.
#[derive(Debug, Clone)]
pub enum Change {
    /// This master leads from now on; first of the stream.
    Elected(Arc<MasterRecord>),
    /// An agent of the registry that has not come back yet.
    AgentRecovered(Arc<AgentInfo>),
    /// Registered, or came back after this master had none of it.
    AgentAdded(Arc<AgentRecord>),
    AgentUpdated(Arc<AgentRecord>),
    /// Its tasks, executors and offers were removed by changes before this one.
    AgentRemoved {
        agent_id: AgentId,
        end: AgentEnd,
        at: UnixNanos,
    },
    /// An earlier leader gave it up, and it is not back.
    AgentStillUnreachable {
        agent_id: AgentId,
        /// When it was given up.
        at: UnixNanos,
    },
    /// It was unreachable or gone for so long that nothing is known of it any more.
    AgentForgotten {
        agent_id: AgentId,
    },
    FrameworkAdded(Arc<FrameworkRecord>),
    FrameworkUpdated(Arc<FrameworkRecord>),
    /// Its scheduler is away, or suppresses other roles than before: of that no operator is sent an event.
    FrameworkMarked(Arc<FrameworkRecord>),
    /// It moves to the completed ones.
    FrameworkRemoved {
        framework_id: FrameworkId,
        at: UnixNanos,
    },
    /// It ended under an earlier leader.
    FrameworkCompleted {
        record: Arc<FrameworkRecord>,
        at: UnixNanos,
    },
    /// It ended under an earlier leader, its agent says; of a framework that is registered or completed.
    TaskCompleted(Arc<Task>),
    ExecutorAdded {
        framework_id: FrameworkId,
        agent_id: AgentId,
        executor: Arc<ExecutorInfo>,
    },
    ExecutorRemoved {
        framework_id: FrameworkId,
        agent_id: AgentId,
        executor_id: ExecutorId,
    },
    TaskAdded(Arc<Task>),
    /// `task` is the whole task after the update; `status` is what changed it.
    TaskUpdated {
        task: Arc<Task>,
        status: Arc<TaskStatus>,
        /// Another state than before, or what a check found: the rest says nothing new to operators.
        is_news: bool,
    },
    /// It was on an agent that is unreachable, and is among the completed ones from now on.
    TaskEndedAway {
        task: Arc<Task>,
        status: Arc<TaskStatus>,
    },
    /// One of the completed ones lives after all.
    CompletedTaskForgotten {
        framework_id: FrameworkId,
        task_id: TaskId,
    },
    TaskRemoved {
        framework_id: FrameworkId,
        task_id: TaskId,
        kept: TaskKept,
    },
    OfferAdded {
        offer: Arc<Offer>,
        at: UnixNanos,
    },
    OfferRemoved {
        framework_id: FrameworkId,
        offer_id: OfferId,
        end: OfferEnd,
        at: UnixNanos,
    },
    /// Ordered of an agent, or told by one that came back.
    OperationAdded(Arc<Operation>),
    OperationUpdated(Arc<Operation>),
    /// Acknowledged, or its agent is gone.
    OperationRemoved {
        agent_id: AgentId,
        uuid: OperationKey,
    },
    /// A framework is asked to leave an agent.
    InverseOfferAdded(Arc<InverseOffer>),
    /// Answered, or void.
    InverseOfferRemoved {
        framework_id: FrameworkId,
        offer_id: OfferId,
    },
    /// All that frameworks answered about this agent; none where it is not scheduled any more.
    InverseOffersAnswered {
        agent_id: AgentId,
        answers: Arc<[InverseOfferStatus]>,
    },
    Weights(Arc<BTreeMap<String, f64>>),
    Quota(Arc<Vec<QuotaConfig>>),
    Maintenance(Arc<MaintenanceRecord>),
}

/// The uuid of an operation; those of one leader are in the order of its orders.
pub type OperationKey = [u8; 16];

/// Who leads.
#[derive(Debug, Clone)]
pub struct MasterRecord {
    pub info: MasterInfo,
    pub cluster: Option<String>,
    pub started_at: UnixNanos,
    pub elected_at: UnixNanos,
    /// The roles frameworks may have besides `*`; `None` is any (Mesos: `--roles`).
    pub roles: Option<BTreeSet<String>>,
    pub kept: Kept,
}

/// How much is remembered of what has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Ended frameworks, whose ids are refused (Mesos: `--max_completed_frameworks`).
    pub frameworks: usize,
    /// Ended tasks of each framework (`--max_completed_tasks_per_framework`).
    pub tasks: usize,
    /// Tasks of each framework on agents that are unreachable (`--max_unreachable_tasks_per_framework`).
    pub unreachable_tasks: usize,
}

impl Default for Kept {
    /// Mesos' defaults.
    fn default() -> Self {
        Self {
            frameworks: 50,
            tasks: 1_000,
            unreachable_tasks: 1_000,
        }
    }
}

/// An agent as the master knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentRecord {
    /// With its id.
    pub info: Arc<AgentInfo>,
    /// `slave(1)@ip:port`.
    pub pid: String,
    pub version: String,
    pub capabilities: Vec<agent_info::Capability>,
    pub connected: bool,
    /// Connected and not deactivated: it takes part in offers.
    pub active: bool,
    /// An operator took it out of offers.
    pub deactivated: bool,
    pub registered_at: UnixNanos,
    pub reregistered_at: Option<UnixNanos>,
    pub total: Vec<Resource>,
    pub drain_info: Option<DrainInfo>,
    pub drain_started_at: Option<UnixNanos>,
    /// What containers are not bound by there, in words for people.
    pub shortcoming: Option<String>,
}

/// How an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentEnd {
    Unreachable,
    Gone,
    Removed,
}

/// How an offer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferEnd {
    /// Something was done with it, if only with a part.
    Accepted,
    /// Refused for so long.
    Declined { refused_for: Duration },
    /// The master took it back.
    Rescinded,
    /// Its framework went away or left.
    Lost,
}

/// A framework as the master knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameworkRecord {
    /// With its id.
    pub info: FrameworkInfo,
    pub active: bool,
    pub connected: bool,
    /// Known from the registry or an agent, not subscribed since this master leads.
    pub recovered: bool,
    pub registered_at: UnixNanos,
    pub reregistered_at: Option<UnixNanos>,
    pub suppressed_roles: Vec<String>,
    pub offer_constraints: Option<OfferConstraints>,
}

/// What becomes of a task that leaves the live table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKept {
    Completed,
    Unreachable,
    /// It came back from the unreachable ones, or was never shown.
    No,
}

/// The maintenance schedule and the machines that are draining or down.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MaintenanceRecord {
    pub schedule: maintenance::Schedule,
    pub machines: Vec<MachineInfo>,
}

//! To the view: the change stream, and questions about what it has seen.

use bytes::Bytes;
use tepui_protocol::{
    acls::{Action, Subject},
    message::Message,
    v1::master,
};

use crate::{UnixNanos, change::Numbered, why::Explanation};

/// Changes in order, without a gap.
#[derive(Debug, Clone)]
pub struct Follow(pub Vec<Numbered>);

impl Message for Follow {
    type Reply = ();
}

/// A question; answered once the view has seen change number `after`, so that a client reads its own writes.
#[derive(Debug, Clone)]
pub struct Query {
    pub after: u64,
    pub question: Question,
    /// Who asks, if the answer must leave something out.
    pub viewer: Option<Subject>,
    pub seat: Option<Seat>,
}

/// A place among the few readers whom the view serves at a time; it is free when this is dropped.
pub type Seat = std::sync::Arc<tokio::sync::OwnedSemaphorePermit>;

/// Lists that leave something out of what is read. Who may do all of these sees everything.
pub const LIMITING: [Action; 8] = [
    Action::ViewFrameworks,
    Action::ViewTasks,
    Action::ViewExecutors,
    Action::ViewRoles,
    Action::ViewFlags,
    Action::GetQuotas,
    Action::GetMaintenanceSchedules,
    Action::GetMaintenanceStatuses,
];

impl Message for Query {
    /// The body of the answer.
    type Reply = Bytes;
}

#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// v0 JSON, as the endpoint of the same name gives it.
    State,
    StateSummary,
    Slaves {
        slave_id: Option<String>,
    },
    Frameworks {
        framework_id: Option<String>,
    },
    Tasks {
        framework_id: Option<String>,
        task_id: Option<String>,
        limit: usize,
        offset: usize,
        ascending: bool,
    },
    Roles,
    Weights,
    Quota,
    MaintenanceSchedule,
    MaintenanceStatus,
    /// Numbers for `/metrics/snapshot`: names and values as a JSON object, in Mesos' names (`master/tasks_running`).
    Metrics,
    /// Offers that stand and that ended lately, and who holds them, as JSON. Ages are told for the moment `now`.
    Offers {
        now: UnixNanos,
        /// Of each list, at most.
        most: usize,
    },
    /// All that is kept of what a task's executor and agent said of it, as a JSON list; Mesos' `/tasks` has less.
    TaskStatuses {
        framework_id: String,
        task_id: String,
    },
    /// Agents that the cluster knows and that are not registered, as JSON.
    AbsentAgents {
        /// Of each list, at most.
        most: usize,
    },
    /// What containers are not bound by: a JSON object of the agents of which there is something to say, by id.
    Shortcomings,
    /// What the allocator explained, with what is known of agents and offers here, as JSON.
    Why {
        now: UnixNanos,
        explanation: Box<Explanation>,
    },
    /// A GET_* call of the operator API: the whole `master::Response`.
    Call {
        kind: master::call::Type,
        encoding: Encoding,
    },
}

/// How an API answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Protobuf,
}

/// Opens an operator event stream: a snapshot and all that follows, without a gap; RecordIO, heartbeats included.
#[derive(Debug)]
pub struct Watch {
    pub encoding: Encoding,
    /// Who watches, if something must be kept from them.
    pub viewer: Option<Subject>,
    /// Bounded; a watcher that does not keep up is cut off.
    pub records: tokio::sync::mpsc::Sender<Bytes>,
    /// Bytes of the records that wait; whoever takes one takes its bytes off.
    pub waiting: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    pub seat: Option<Seat>,
}

impl Message for Watch {
    type Reply = ();
}

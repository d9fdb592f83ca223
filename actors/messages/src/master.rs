//! To the master: from schedulers and operators (through `apps/`), agents (through the bridge), allocator and registrar.

use std::{fmt, net::IpAddr, sync::Arc};

use tepui_protocol::{
    message::{Message, Tell},
    node,
    v1::{FrameworkInfo, master, scheduler},
};

use crate::framework::SchedulerStream;

/// The term in which this master may act as the leader at the moment of the call; absent while no majority has
/// confirmed it lately. Cheap: asked before every effect.
pub type Lease = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// This master leads from now on, with what the registry holds.
#[derive(Debug)]
pub struct Leads {
    pub term: u64,
    pub registry: Box<tepui_registry::Registry>,
    /// How long ago this member saw that the registry's counted time went on; zero where it does not know.
    pub counted_ago: std::time::Duration,
}

impl Message for Leads {
    type Reply = ();
}

/// A scheduler opens its event stream. All refusals arrive as ERROR events on `stream`.
pub struct Subscribe {
    pub info: FrameworkInfo,
    pub suppressed_roles: Vec<String>,
    pub offer_constraints: Option<scheduler::OfferConstraints>,
    /// The `Mesos-Stream-Id` of this subscription.
    pub stream_id: String,
    pub stream: Arc<dyn SchedulerStream>,
}

impl Message for Subscribe {
    type Reply = ();
}

/// A subscription's connection is gone, or its reader was too slow.
#[derive(Debug, Clone)]
pub struct StreamLost {
    pub stream_id: String,
}

impl Message for StreamLost {
    type Reply = ();
}

/// Any other scheduler call, structurally valid.
#[derive(Debug)]
pub struct SchedulerCall {
    /// The `Mesos-Stream-Id` header.
    pub stream_id: Option<String>,
    /// Who proved to be the caller; `None` where nobody is asked to.
    pub principal: Option<String>,
    pub call: scheduler::Call,
}

impl Message for SchedulerCall {
    type Reply = Answer;
}

/// An operator call that changes something, structurally valid. Reads go to the view.
#[derive(Debug)]
pub struct OperatorCall {
    /// Who proved to be the caller; `None` where nobody is asked to.
    pub principal: Option<String>,
    pub call: master::Call,
}

impl Message for OperatorCall {
    type Reply = Answer;
}

/// What the HTTP client is told: a status code with an empty body, or a refusal with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, 202, 400, 403, 404, 409, 429, 501 or 503.
    pub status: u16,
    /// Empty for 200 and 202.
    pub text: String,
}

impl Answer {
    pub const OK: Answer = Answer {
        status: 200,
        text: String::new(),
    };
    pub const ACCEPTED: Answer = Answer {
        status: 202,
        text: String::new(),
    };

    pub fn refused(status: u16, text: impl Into<String>) -> Answer {
        Answer {
            status,
            text: text.into(),
        }
    }
}

/// One connection of an agent; a new connection of the same agent has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// What the master may send to an agent.
pub trait AgentPeer:
    Tell<node::RunTask>
    + Tell<node::RunTaskGroup>
    + Tell<node::KillTask>
    + Tell<node::ShutdownExecutor>
    + Tell<node::ShutdownFramework>
    + Tell<node::UpdateFramework>
    + Tell<node::DrainAgent>
    + Tell<node::ShutdownAgent>
    + Tell<node::AcknowledgeUpdate>
    + Tell<node::ApplyOperation>
    + Tell<node::AcknowledgeOperation>
    + Tell<node::ToExecutor>
{
}

impl<T> AgentPeer for T where
    T: Tell<node::RunTask>
        + Tell<node::RunTaskGroup>
        + Tell<node::KillTask>
        + Tell<node::ShutdownExecutor>
        + Tell<node::ShutdownFramework>
        + Tell<node::UpdateFramework>
        + Tell<node::DrainAgent>
        + Tell<node::ShutdownAgent>
        + Tell<node::AcknowledgeUpdate>
        + Tell<node::ApplyOperation>
        + Tell<node::AcknowledgeOperation>
        + Tell<node::ToExecutor>
{
}

/// An agent asks to be admitted, or returns.
pub struct AgentRegisters {
    pub peer: PeerId,
    pub handle: Arc<dyn AgentPeer>,
    /// Where the connection comes from.
    pub address: IpAddr,
    pub request: node::RegisterAgent,
}

impl Message for AgentRegisters {
    type Reply = node::AgentRegistration;
}

/// Anything else an agent says.
#[derive(Debug, Clone)]
pub struct AgentSays {
    pub peer: PeerId,
    pub what: AgentMessage,
}

#[derive(Debug, Clone)]
pub enum AgentMessage {
    StatusUpdate(Box<node::StatusUpdate>),
    OperationUpdate(Box<node::OperationUpdate>),
    Oversubscribed(node::OversubscribedResources),
    ExecutorExited(node::ExecutorExited),
    ToFramework(node::ToFramework),
    Leaves(node::AgentLeaves),
}

impl AgentMessage {
    /// Agents repeat the rest until it is acknowledged, or tell it anew.
    pub fn is_said_once(&self) -> bool {
        matches!(self, Self::ExecutorExited(_) | Self::Leaves(_))
    }
}

impl Message for AgentSays {
    type Reply = ();
}

/// The connection to an agent is gone.
#[derive(Debug, Clone, Copy)]
pub struct AgentLost {
    pub peer: PeerId,
    /// It stopped answering heartbeats, rather than closing the connection.
    pub silent: bool,
}

impl Message for AgentLost {
    type Reply = ();
}

impl fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe")
            .field("stream_id", &self.stream_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AgentRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentRegisters")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

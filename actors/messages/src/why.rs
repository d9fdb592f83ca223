//! Why a framework is offered what it is, and what it is not: asked of the allocator, shown by the view.

use std::{collections::BTreeMap, time::Duration};

use tepui_protocol::message::Message;

/// Thousandths by name of resource, each above zero.
pub type Thousandths = BTreeMap<String, i64>;

/// What stands between a framework and each agent?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explain {
    pub framework_id: String,
    /// Of all its roles where none is named.
    pub role: Option<String>,
    /// What one offer should hold; empty: anything worth an offer.
    pub need: Thousandths,
    /// How many agents are told of one by one.
    pub most: usize,
}

impl Message for Explain {
    type Reply = Explanation;
}

/// The allocator's answer. No role: it knows no such framework, or not under the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub question: Explain,
    pub policy: &'static str,
    pub roles: Vec<RoleExplanation>,
}

/// What stands between a framework and offers under one of its roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleExplanation {
    pub role: String,
    /// These keep it from every offer.
    pub bars: Vec<Bar>,
    /// Frameworks and roles that take offers, and how many of them are asked before this one; none where the
    /// policy has no order.
    pub takers: usize,
    pub ahead: Option<usize>,
    /// Agents by what stands in the way there, some of them by several causes.
    pub counts: BTreeMap<&'static str, usize>,
    /// Agents where nothing does.
    pub open: usize,
    /// Nearest miss first, at most as many as were asked for.
    pub agents: Vec<AgentExplanation>,
}

/// What keeps a framework from every offer under a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// No agent is offered to anybody until those of the registry are back.
    Paused,
    /// The framework is away or deactivated.
    Inactive,
    /// It still holds something under the role, and left it.
    NotSubscribed,
    /// It asked for no offers.
    Suppressed,
}

/// One agent, as far as a framework is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentExplanation {
    pub agent_id: String,
    pub hostname: String,
    /// What is free there, whoever may have it.
    pub free: Thousandths,
    /// All of these have to go. None: an offer is made when it is this framework's turn.
    pub causes: Vec<Cause>,
}

/// What stands between a framework and an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Deactivated, draining or away.
    AgentInactive,
    /// Not on the list of agents that are offered.
    NotWhitelisted,
    /// Its GPUs are kept for frameworks that can use some.
    GpusKept,
    /// It is in another region than the master, and the framework knows of none.
    OtherRegion,
    /// The framework's own offer constraints.
    Constraint,
    /// The whole agent has less than is needed.
    TooSmall { missing: Thousandths },
    /// Reserved for other roles.
    Reserved {
        by_role: BTreeMap<String, Thousandths>,
    },
    /// Only for frameworks with this capability.
    Capability {
        name: &'static str,
        amounts: Thousandths,
    },
    /// Offered to others or in use, or by the framework itself.
    Held {
        missing: Thousandths,
        holders: Vec<Holder>,
    },
    /// Quota lets the framework have less than it needs: by name of resource the rule in the way.
    Quota {
        missing: Thousandths,
        rules: BTreeMap<String, QuotaRule>,
    },
    /// The framework refused as much, for so long from now.
    Refused {
        lasts: Duration,
        refused: Thousandths,
    },
}

impl Cause {
    /// As it is counted and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Cause::AgentInactive => "AGENT_INACTIVE",
            Cause::NotWhitelisted => "NOT_WHITELISTED",
            Cause::GpusKept => "GPUS_KEPT",
            Cause::OtherRegion => "OTHER_REGION",
            Cause::Constraint => "CONSTRAINT",
            Cause::TooSmall { .. } => "TOO_SMALL",
            Cause::Reserved { .. } => "RESERVED",
            Cause::Capability { .. } => "CAPABILITY",
            Cause::Held { .. } => "HELD",
            Cause::Quota { .. } => "QUOTA",
            Cause::Refused { .. } => "REFUSED",
        }
    }
}

/// Why quota lets a framework have no more of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaRule {
    /// The limit of this role: the framework's own or one above it.
    Limit(String),
    /// What is free is kept for guarantees of others.
    Headroom,
}

/// Who holds something on an agent, offered or in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub framework_id: String,
    pub role: String,
    pub amounts: Thousandths,
}

/// Which frameworks suppress which roles, and which agents their own constraints rule out?
#[derive(Debug, Clone, Copy)]
pub struct ListExclusions;

impl Message for ListExclusions {
    type Reply = Vec<Exclusions>;
}

/// What a framework keeps away from itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusions {
    pub framework_id: String,
    pub suppressed_roles: Vec<String>,
    /// Ids of agents, by role.
    pub excluded: BTreeMap<String, Vec<String>>,
}

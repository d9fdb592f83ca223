//! To the allocator, and its proposals back to the master.
//!
//! The allocator keeps its own copy of the world; the master tells it each change, in order. Resources
//! are protocol resources without `allocation_info`; the role stands beside them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tepui_protocol::{
    message::Message,
    v1::{
        AgentId, AgentInfo, FrameworkId, FrameworkInfo, Resource, quota::QuotaConfig,
        scheduler::OfferConstraints,
    },
};

/// Nobody refuses for longer (Mesos cuts `refuse_seconds` at 365 days).
pub const MAX_REFUSAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A change of the world the allocator works on.
#[derive(Debug, Clone)]
pub enum WorldChange {
    AgentAdded {
        info: Arc<AgentInfo>,
        total: Vec<Resource>,
        /// What already runs there, by framework and role.
        used: Vec<Allocation>,
        active: bool,
    },
    AgentTotal {
        agent_id: AgentId,
        total: Vec<Resource>,
    },
    /// It returned with other attributes or another domain. Nobody's refusals of other attributes stand.
    AgentDescribed {
        info: Arc<AgentInfo>,
    },
    AgentActive {
        agent_id: AgentId,
        active: bool,
    },
    /// Everything allocated or offered on it is forgotten.
    AgentRemoved {
        agent_id: AgentId,
    },
    FrameworkAdded {
        info: Arc<FrameworkInfo>,
        suppressed_roles: Vec<String>,
        offer_constraints: Option<Arc<OfferConstraints>>,
        active: bool,
        /// What it already runs, on agents added before.
        used: Vec<(AgentId, Allocation)>,
    },
    /// Roles, capabilities, suppression (replaced as a whole) or constraints changed.
    FrameworkUpdated {
        info: Arc<FrameworkInfo>,
        suppressed_roles: Vec<String>,
        offer_constraints: Option<Arc<OfferConstraints>>,
    },
    FrameworkActive {
        framework_id: FrameworkId,
        active: bool,
    },
    FrameworkRemoved {
        framework_id: FrameworkId,
    },
    /// Tasks or executors that appeared without an offer (an agent came back).
    Used {
        agent_id: AgentId,
        allocation: Allocation,
    },
    /// What a framework holds became something else, and the agent's total with it, in one step.
    Converted {
        agent_id: AgentId,
        /// What it held.
        consumed: Allocation,
        /// What it holds instead, under the same role.
        converted: Arc<[Resource]>,
        total: Vec<Resource>,
    },
    /// Offered or used resources are free again; with a filter (refused for that long) or without.
    Recovered {
        agent_id: AgentId,
        allocation: Allocation,
        refused_for: Option<Duration>,
    },
    /// What an earlier leader was told: these resources are not offered again for so long.
    Refused {
        agent_id: AgentId,
        allocation: Allocation,
        refused_for: Duration,
    },
    /// Roles empty: all roles of the framework.
    Revive {
        framework_id: FrameworkId,
        roles: Vec<String>,
    },
    Suppress {
        framework_id: FrameworkId,
        roles: Vec<String>,
    },
    Weights(Arc<BTreeMap<String, f64>>),
    Quota(Arc<Vec<QuotaConfig>>),
    /// Nothing is offered until the agents of the registry are back.
    Paused(bool),
}

impl Message for WorldChange {
    type Reply = ();
}

/// Resources in the hands of a framework under one of its roles.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    pub framework_id: FrameworkId,
    pub role: String,
    /// Where they come back as they were proposed, the very same: the allocator then need not read them.
    pub resources: Arc<[Resource]>,
}

/// From the allocator to the master: one framework's and role's share of one allocation run.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub framework_id: FrameworkId,
    pub role: String,
    /// Each agent once; resources without `allocation_info`.
    pub agents: Vec<(Arc<AgentId>, Arc<[Resource]>)>,
}

/// All proposals of one allocation run. What the master cannot offer any more it hands back by `Recovered`.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposals {
    pub proposals: Vec<Proposal>,
    /// How many changes the allocator had been told of. An agent or framework that was added by a later one is
    /// not the one that was meant: the allocator has forgotten that with what it held.
    pub seen: u64,
}

impl Message for Proposals {
    type Reply = ();
}

/// The hostnames of the agents that are offered; all, if there is no list (Mesos: `--whitelist`). Not of the master's
/// changes: those are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whitelist(pub Option<Arc<BTreeSet<String>>>);

impl Message for Whitelist {
    type Reply = ();
}

/// What does the allocator count? Mesos' names, `allocator/mesos/…`, and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AllocatorNumbers;

impl Message for AllocatorNumbers {
    type Reply = Vec<(String, f64)>;
}

/// Which policy decides, and which is only compared? Changes them first, where something is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    pub policy: Option<String>,
    /// None inside: nothing is compared any more.
    pub shadow: Option<Option<String>>,
}

impl Message for Policies {
    /// Or why nothing was changed.
    type Reply = Result<PolicyStatus, String>;
}

/// The policies of the moment, and what they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStatus {
    pub policy: &'static str,
    pub known: Vec<&'static str>,
    pub runs: u64,
    pub grants: u64,
    pub shadow: Option<ShadowStatus>,
}

/// The policy that is compared and never obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowStatus {
    pub policy: &'static str,
    pub runs: u64,
    /// Pairs of agent and client that it would have given something.
    pub grants: u64,
    /// Pairs that only one of both policies gave something.
    pub differences: u64,
}

//! The master's tables: what it knows of agents, frameworks, tasks and offers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
pub(crate) use tepui_protocol::task::is_terminal;

use tepui_messages::{
    UnixNanos,
    allocator::Allocation,
    change::{AgentRecord, FrameworkRecord, OperationKey},
    master::PeerId,
    traffic::{Counts, Requests},
};
pub(crate) use tepui_protocol::validate::framework::has_capability;
use tepui_protocol::{
    resources::Resources,
    v1::{
        ExecutorInfo, FrameworkId, FrameworkInfo, Offer, Operation, Resource, Task,
        framework_info::capability::Type as Capability,
    },
    validate::framework::{has_role, roles},
};

use crate::refusals::Refusals;

/// A framework, subscribed or not.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) record: FrameworkRecord,
    /// The number of the change by which the allocator was told of it.
    pub(crate) told_at: u64,
    /// The subscription that events go to.
    pub(crate) stream_id: Option<String>,
    /// In the registry, not only known from an agent.
    pub(crate) registered: bool,
    /// The registry knows until when it may be away.
    pub(crate) deadline_is_written: bool,
    /// Counts its calls with those of its principal.
    pub(crate) traffic: Option<Arc<Counts>>,
    /// Where what it asks for is counted; set when it is put on the table.
    pub(crate) requests: Option<Arc<Requests>>,
    /// What it refuses for long.
    pub(crate) refusals: Refusals,
    /// None of as many as may be kept ends before this.
    pub(crate) refusals_full_until: i64,
    pub(crate) tasks: BTreeMap<String, TaskEntry>,
    /// By agent and executor id.
    pub(crate) executors: BTreeMap<(String, String), Arc<ExecutorInfo>>,
    pub(crate) offers: BTreeSet<u64>,
    /// Tasks whose agents are unreachable; oldest first.
    pub(crate) unreachable: VecDeque<Arc<Task>>,
}

/// A task that is live, or whose end the scheduler has not acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct TaskEntry {
    pub(crate) task: Arc<Task>,
    /// Its resources still count as used (not terminal, not unreachable).
    pub(crate) holds_resources: bool,
}

impl Framework {
    pub(crate) fn new(record: FrameworkRecord) -> Framework {
        Framework {
            record,
            told_at: 0,
            stream_id: None,
            registered: true,
            deadline_is_written: false,
            traffic: None,
            requests: None,
            refusals: Refusals::new(),
            refusals_full_until: i64::MIN,
            tasks: BTreeMap::new(),
            executors: BTreeMap::new(),
            offers: BTreeSet::new(),
            unreachable: VecDeque::new(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        self.record
            .info
            .id
            .as_ref()
            .map_or("", |id| id.value.as_str())
    }

    pub(crate) fn info(&self) -> &FrameworkInfo {
        &self.record.info
    }

    pub(crate) fn has(&self, capability: Capability) -> bool {
        has_capability(&self.record.info, capability)
    }

    pub(crate) fn has_role(&self, role: &str) -> bool {
        has_role(self.info(), role)
    }

    /// The roles it subscribes to.
    pub(crate) fn roles(&self) -> Vec<String> {
        roles(&self.record.info)
            .into_iter()
            .map(str::to_string)
            .collect()
    }
}

/// An agent that is registered (connected or lost, not yet unreachable).
#[derive(Debug)]
pub(crate) struct Agent {
    /// Shared with whoever was told of it last: a change of it makes another one.
    pub(crate) record: Arc<AgentRecord>,
    /// The number of the change by which the allocator was told of it.
    pub(crate) told_at: u64,
    /// The number of the change since when its total is what it is: proposals of earlier ones may not fit.
    pub(crate) converted_at: u64,
    pub(crate) peer: Option<PeerId>,
    /// Why it has no connection: it said nothing more, and the connection did not end.
    pub(crate) is_silent: bool,
    /// The part of its total that it lends: revocable, and without roles.
    pub(crate) lent: Resources,
    /// Framework and task ids.
    pub(crate) tasks: BTreeSet<(String, String)>,
    /// Framework and executor ids.
    pub(crate) executors: BTreeSet<(String, String)>,
    pub(crate) offers: BTreeSet<u64>,
    /// Not answered yet, or the answer not acknowledged; oldest first.
    pub(crate) operations: BTreeMap<OperationKey, Arc<Operation>>,
    /// Tasks whose kill was asked for; told again when the agent returns.
    pub(crate) killed: BTreeSet<(String, String)>,
    /// Tasks that were told to be lost while it was away, and may run on. Forgotten when it is back.
    pub(crate) told_lost: BTreeSet<(String, String)>,
}

impl Agent {
    pub(crate) fn id(&self) -> &str {
        self.record
            .info
            .id
            .as_ref()
            .map_or("", |id| id.value.as_str())
    }
}

/// Resources in a framework's hands until it accepts or declines.
#[derive(Debug)]
pub(crate) struct OfferEntry {
    pub(crate) offer: Arc<Offer>,
    pub(crate) framework_id: String,
    pub(crate) agent_id: String,
    pub(crate) role: String,
    /// Without `allocation_info`, as the allocator gave them.
    pub(crate) resources: Arc<[Resource]>,
    pub(crate) made_at: UnixNanos,
}

impl OfferEntry {
    pub(crate) fn allocation(&self) -> Allocation {
        Allocation {
            framework_id: FrameworkId {
                value: self.framework_id.clone(),
            },
            role: self.role.clone(),
            resources: Arc::clone(&self.resources),
        }
    }
}

/// The role a task's or executor's resources were allocated to.
pub(crate) fn allocation_role(resources: &[Resource]) -> String {
    resources
        .iter()
        .find_map(|resource| resource.allocation_info.as_ref()?.role.clone())
        .unwrap_or_else(|| "*".to_string())
}

/// The resources as the allocator counts them.
pub(crate) fn without_allocation(resources: &[Resource]) -> Arc<[Resource]> {
    resources
        .iter()
        .map(|resource| Resource {
            allocation_info: None,
            ..resource.clone()
        })
        .collect()
}

//! Agents, and what is on them.

use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::{
    UnixNanos,
    change::{AgentEnd, AgentRecord},
};
use tepui_protocol::{
    resources::Resources,
    v1::{AgentInfo, TaskState},
};

use super::{TaskCounts, World, totals::Put};

/// A registered agent.
#[derive(Debug)]
pub struct Agent {
    pub record: Arc<AgentRecord>,
    pub total: Resources,
    /// Parts of `total`, by role.
    pub reserved: BTreeMap<String, Resources>,
    pub unreserved: Resources,
}

impl Agent {
    fn new(record: &Arc<AgentRecord>) -> Self {
        let total = Resources::from_proto_unchecked(&record.total);
        Self {
            record: Arc::clone(record),
            reserved: total.reservations(),
            unreserved: total.unreserved(),
            total,
        }
    }
}

/// What is on one agent, registered or not.
#[derive(Debug, Default)]
pub struct Usage {
    /// By tasks and executors of registered frameworks, as allocated.
    pub used: Resources,
    pub offered: Resources,
    /// Tasks of registered frameworks: live, unreachable and completed ones that are remembered.
    pub tasks: TaskCounts,
    /// How many of these tasks each framework has here.
    pub frameworks: BTreeMap<String, u64>,
}

/// An agent that was given up. The master forgets the oldest (`--registry_max_agent_count`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// The registry does not keep it: `None` where an earlier leader gave it up.
    pub hostname: Option<Box<str>>,
    /// When it was given up.
    pub since: UnixNanos,
}

impl Unreachable {
    pub(super) fn new(hostname: Option<Box<str>>, since: UnixNanos) -> Self {
        Unreachable { hostname, since }
    }
}

impl Usage {
    fn is_empty(&self) -> bool {
        self.used.is_empty() && self.offered.is_empty() && self.frameworks.is_empty()
    }
}

impl World {
    pub(super) fn recover_agent(&mut self, info: &Arc<AgentInfo>) {
        if let Some(id) = &info.id {
            self.recovered.insert(id.value.clone(), Arc::clone(info));
        }
    }

    pub(super) fn add_agent(&mut self, record: &Arc<AgentRecord>) {
        let id = agent_id(record);
        self.recovered.remove(&id);
        self.unreachable.remove(&id);
        if record.reregistered_at.is_some() {
            self.counters.agent_reregistrations += 1;
        } else {
            self.counters.agent_registrations += 1;
        }
        self.put_agent(id, record);
    }

    pub(super) fn update_agent(&mut self, record: &Arc<AgentRecord>) -> bool {
        let id = agent_id(record);
        if !self.agents.contains_key(&id) {
            return false;
        }
        // One that was only away is not counted as registered again (Mesos: `Master::___reregisterSlave`).
        self.put_agent(id, record);
        true
    }

    fn put_agent(&mut self, id: String, record: &Arc<AgentRecord>) {
        let agent = Box::new(Agent::new(record));
        self.totals.total(&agent.total, Put::On);
        if let Some(before) = self.agents.insert(id, agent) {
            self.totals.total(&before.total, Put::Off);
        }
    }

    /// True if it was registered.
    pub(super) fn remove_agent(&mut self, id: &str, end: AgentEnd, at: UnixNanos) -> bool {
        let recovered = self.recovered.remove(id);
        let agent = self.agents.remove(id);
        if let Some(agent) = &agent {
            self.totals.total(&agent.total, Put::Off);
        }
        self.unreachable.remove(id);
        match end {
            AgentEnd::Unreachable => {
                self.counters.agents_unreachable += 1;
                let registered = agent.as_ref().map(|agent| &agent.record.info);
                let info = registered.or(recovered.as_ref());
                let hostname = info.map(|info| info.hostname.as_str().into());
                let unreachable = Unreachable::new(hostname, at);
                self.unreachable.insert(id.to_owned(), unreachable);
            }
            AgentEnd::Gone => {}
            AgentEnd::Removed => self.counters.agents_removed += 1,
        }
        agent.is_some()
    }

    /// Changes what is used on an agent, and the sums with it.
    pub(super) fn change_used(&mut self, agent: &str, change: impl FnOnce(&mut Resources)) {
        let usage = usage(&mut self.usage, agent);
        self.totals.used(&usage.used, Put::Off);
        change(&mut usage.used);
        self.totals.used(&usage.used, Put::On);
        self.forget_if_empty(agent);
    }

    /// Changes what is offered of an agent, and the sums with it.
    pub(super) fn change_offered(&mut self, agent: &str, change: impl FnOnce(&mut Resources)) {
        let usage = usage(&mut self.usage, agent);
        self.totals.offered(&usage.offered, Put::Off);
        change(&mut usage.offered);
        self.totals.offered(&usage.offered, Put::On);
        self.forget_if_empty(agent);
    }

    /// Counts a task that is shown with a registered framework.
    pub(super) fn count(&mut self, framework: &str, agent: &str, state: TaskState) {
        self.totals.tasks.add(state);
        let usage = usage(&mut self.usage, agent);
        usage.tasks.add(state);
        *tally(&mut usage.frameworks, framework) += 1;
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.counts.add(state);
            *tally(&mut entry.agents, agent) += 1;
        }
    }

    /// Takes such a task off the counts.
    pub(super) fn discount(&mut self, framework: &str, agent: &str, state: TaskState) {
        self.totals.tasks.remove(state);
        if let Some(entry) = self.frameworks.get_mut(framework) {
            entry.counts.remove(state);
            untally(&mut entry.agents, agent);
        }
        self.leave_agent(framework, agent, state);
    }

    /// Takes a task of a framework that has ended off the counts of its agent.
    pub(super) fn leave_agent(&mut self, framework: &str, agent: &str, state: TaskState) {
        let usage = usage(&mut self.usage, agent);
        usage.tasks.remove(state);
        untally(&mut usage.frameworks, framework);
        self.forget_if_empty(agent);
    }

    fn forget_if_empty(&mut self, agent: &str) {
        if self.usage.get(agent).is_some_and(|usage| usage.is_empty()) {
            self.usage.remove(agent);
        }
    }
}

fn agent_id(record: &AgentRecord) -> String {
    record.info.id.clone().unwrap_or_default().value
}

pub(super) fn usage<'a>(usage: &'a mut BTreeMap<String, Box<Usage>>, agent: &str) -> &'a mut Usage {
    if !usage.contains_key(agent) {
        usage.insert(agent.to_owned(), Box::default());
    }
    usage
        .get_mut(agent)
        .expect("it was there or has just been put there")
}

pub(super) fn tally<'a>(counts: &'a mut BTreeMap<String, u64>, key: &str) -> &'a mut u64 {
    if !counts.contains_key(key) {
        counts.insert(key.to_owned(), 0);
    }
    counts
        .get_mut(key)
        .expect("it was there or has just been put there")
}

pub(super) fn untally(counts: &mut BTreeMap<String, u64>, key: &str) {
    let Some(count) = counts.get_mut(key) else {
        return;
    };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

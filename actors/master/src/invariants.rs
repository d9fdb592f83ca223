//! What must hold of the master after every input, whatever it was: its tables agree with each other, with what
//! the allocator was told, and with what follows the change stream.

use std::collections::{BTreeMap, BTreeSet};

use tepui_messages::{
    allocator::{Allocation, WorldChange},
    change::{AgentRecord, Change, FrameworkRecord, MaintenanceRecord, Numbered, TaskKept},
};
use tepui_protocol::{
    resources::Resources,
    v1::{Resource, Task, quota::QuotaConfig},
};

use crate::{
    core::MasterCore,
    tables::{MAX_COMPLETED_FRAMEWORKS, MAX_UNREACHABLE_TASKS, allocation_role, is_terminal},
};

/// What the allocator counts against a framework's role on an agent.
type Held = BTreeMap<(String, String, String), Resources>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Every reference between the tables leads somewhere, and back.
pub(crate) fn check_tables(core: &MasterCore) -> Result<(), String> {
    frameworks_refer_to_what_exists(core)?;
    agents_refer_to_what_exists(core)?;
    offers_refer_to_what_exists(core)?;
    connections_are_unique(core)?;
    an_agent_has_one_standing(core)
}

fn frameworks_refer_to_what_exists(core: &MasterCore) -> Result<(), String> {
    ensure(
        core.completed_frameworks.len() <= MAX_COMPLETED_FRAMEWORKS,
        || "too many completed frameworks are remembered".to_string(),
    )?;
    for (id, framework) in &core.frameworks {
        ensure(framework.id() == id, || format!("{id} has another id"))?;
        ensure(
            framework.record.connected == framework.stream_id.is_some(),
            || format!("{id}: connected, yet no stream, or the reverse"),
        )?;
        ensure(framework.unreachable.len() <= MAX_UNREACHABLE_TASKS, || {
            format!("{id} remembers too many unreachable tasks")
        })?;
        for (task_id, entry) in &framework.tasks {
            let key = (id.clone(), task_id.clone());
            let agent = core.agents.get(&entry.task.agent_id.value);
            ensure(
                agent.is_some_and(|agent| agent.tasks.contains(&key)),
                || format!("task {task_id} of {id} is not in its agent's table"),
            )?;
            ensure(
                entry.holds_resources != is_terminal(entry.task.state()),
                || format!("task {task_id} holds resources and is terminal, or neither"),
            )?;
            ensure(!framework.unreachable.contains(task_id), || {
                format!("task {task_id} is live and unreachable")
            })?;
        }
        for (agent_id, executor_id) in framework.executors.keys() {
            let key = (id.clone(), executor_id.clone());
            let agent = core.agents.get(agent_id);
            ensure(
                agent.is_some_and(|agent| agent.executors.contains(&key)),
                || format!("executor {executor_id} is not in its agent's table"),
            )?;
        }
    }
    Ok(())
}

fn agents_refer_to_what_exists(core: &MasterCore) -> Result<(), String> {
    for (id, agent) in &core.agents {
        ensure(agent.id() == id, || format!("{id} has another id"))?;
        ensure(agent.record.connected == agent.peer.is_some(), || {
            format!("{id}: connected, yet no peer, or the reverse")
        })?;
        for (framework_id, task_id) in &agent.tasks {
            let task = core
                .frameworks
                .get(framework_id)
                .and_then(|framework| framework.tasks.get(task_id));
            ensure(
                task.is_some_and(|entry| entry.task.agent_id.value == *id),
                || format!("{id} lists task {task_id}, which is not there"),
            )?;
        }
        ensure(agent.killed.is_subset(&agent.tasks), || {
            format!("{id}: a kill of a task that it does not have")
        })?;
        for (framework_id, executor_id) in &agent.executors {
            let key = (id.clone(), executor_id.clone());
            let framework = core.frameworks.get(framework_id);
            ensure(
                framework.is_some_and(|framework| framework.executors.contains_key(&key)),
                || format!("{id} lists executor {executor_id}, which is not there"),
            )?;
        }
    }
    Ok(())
}

fn offers_refer_to_what_exists(core: &MasterCore) -> Result<(), String> {
    let mut by_framework = BTreeSet::new();
    let mut by_agent = BTreeSet::new();
    for framework in core.frameworks.values() {
        by_framework.extend(&framework.offers);
    }
    for agent in core.agents.values() {
        by_agent.extend(&agent.offers);
    }
    let all: BTreeSet<&u64> = core.offers.keys().collect();
    ensure(all == by_framework && all == by_agent, || {
        "the tables of offers differ".to_string()
    })?;
    for (number, offer) in &core.offers {
        let framework = core.frameworks.get(&offer.framework_id);
        ensure(
            framework.is_some_and(|f| f.record.active && f.offers.contains(number)),
            || format!("offer {number} is in no active framework's hands"),
        )?;
        let agent = core.agents.get(&offer.agent_id);
        ensure(
            agent.is_some_and(|a| a.record.active && a.offers.contains(number)),
            || format!("offer {number} is of no active agent"),
        )?;
    }
    Ok(())
}

fn connections_are_unique(core: &MasterCore) -> Result<(), String> {
    let streams: BTreeMap<&String, &String> = core
        .frameworks
        .iter()
        .filter_map(|(id, framework)| Some((framework.stream_id.as_ref()?, id)))
        .collect();
    ensure(streams.into_iter().eq(&core.streams), || {
        "streams and frameworks disagree".to_string()
    })?;
    let peers: Vec<_> = core
        .agents
        .iter()
        .filter_map(|(id, agent)| Some((agent.peer?, id)))
        .collect();
    let count = peers.len();
    let peers: BTreeMap<_, _> = peers.into_iter().collect();
    ensure(peers.len() == count, || {
        "two agents on one connection".to_string()
    })?;
    ensure(
        peers.iter().map(|(peer, id)| (peer, *id)).eq(&core.peers),
        || "peers and agents disagree".to_string(),
    )
}

/// Registered, recovered, unreachable or gone: one of them.
fn an_agent_has_one_standing(core: &MasterCore) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let all = core
        .agents
        .keys()
        .chain(core.recovered_agents.keys())
        .chain(core.unreachable_agents.keys())
        .chain(core.gone_agents.keys());
    for id in all {
        ensure(seen.insert(id), || format!("agent {id} has two standings"))?;
    }
    Ok(())
}

/// What the tables say is offered and used.
fn held_in_tables(core: &MasterCore) -> Held {
    let mut held = Held::new();
    let mut add = |agent: &str, framework: &str, role: &str, resources: &[Resource]| {
        let key = (agent.to_string(), framework.to_string(), role.to_string());
        *held.entry(key).or_default() += &count(resources);
    };
    for offer in core.offers.values() {
        add(
            &offer.agent_id,
            &offer.framework_id,
            &offer.role,
            &offer.resources,
        );
    }
    for (id, framework) in &core.frameworks {
        for entry in framework.tasks.values().filter(|e| e.holds_resources) {
            let task = &entry.task;
            let role = allocation_role(&task.resources);
            add(&task.agent_id.value, id, &role, &task.resources);
        }
        for ((agent, _), executor) in &framework.executors {
            let role = allocation_role(&executor.resources);
            add(agent, id, &role, &executor.resources);
        }
    }
    held.retain(|_, resources| !resources.is_empty());
    held
}

fn count(resources: &[Resource]) -> Resources {
    Resources::from_proto_unchecked(resources).unallocated()
}

/// An allocator that only counts: what it was told, and what it proposed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) totals: BTreeMap<String, Resources>,
    /// How often each agent was added: what was proposed of an earlier time is void.
    pub(crate) times: BTreeMap<String, u64>,
    held: Held,
}

impl Ledger {
    /// Proposed: in a framework's hands from here on.
    pub(crate) fn hold(&mut self, agent: &str, framework: &str, role: &str, given: &[Resource]) {
        if self.totals.contains_key(agent) {
            let key = (agent.to_string(), framework.to_string(), role.to_string());
            *self.held.entry(key).or_default() += &count(given);
        }
    }

    /// What nobody has on an agent.
    pub(crate) fn free(&self, agent: &str) -> Resources {
        let mut free = self.totals.get(agent).cloned().unwrap_or_default();
        for ((_, _, _), held) in self.held.iter().filter(|((on, _, _), _)| on == agent) {
            free -= held;
        }
        free
    }

    pub(crate) fn apply(&mut self, change: &WorldChange) -> Result<(), String> {
        match change {
            WorldChange::AgentAdded {
                info, total, used, ..
            } => {
                let id = info.id.clone().unwrap_or_default().value;
                *self.times.entry(id.clone()).or_default() += 1;
                let old = self.totals.insert(id.clone(), count(total));
                ensure(old.is_none(), || format!("agent {id} was added twice"))?;
                for allocation in used {
                    self.take(&id, allocation);
                }
            }
            WorldChange::AgentTotal { agent_id, total } => {
                self.totals.insert(agent_id.value.clone(), count(total));
            }
            WorldChange::AgentRemoved { agent_id } => {
                self.totals.remove(&agent_id.value);
                self.held
                    .retain(|(agent, _, _), _| *agent != agent_id.value);
            }
            WorldChange::FrameworkRemoved { framework_id } => {
                let id = &framework_id.value;
                let left = self
                    .held
                    .iter()
                    .find(|((_, framework, _), _)| framework == id);
                ensure(left.is_none(), || format!("{id} was removed with {left:?}"))?;
            }
            WorldChange::Used {
                agent_id,
                allocation,
            } => self.take(&agent_id.value, allocation),
            WorldChange::Recovered {
                agent_id,
                allocation,
                ..
            } => return self.free_again(&agent_id.value, allocation),
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, agent: &str, allocation: &Allocation) {
        self.hold(
            agent,
            &allocation.framework_id.value,
            &allocation.role,
            &allocation.resources,
        );
    }

    fn free_again(&mut self, agent: &str, allocation: &Allocation) -> Result<(), String> {
        if !self.totals.contains_key(agent) {
            return Ok(());
        }
        let key = (
            agent.to_string(),
            allocation.framework_id.value.clone(),
            allocation.role.clone(),
        );
        let freed = count(&allocation.resources);
        let held = self.held.entry(key.clone()).or_default();
        *held = held
            .checked_sub(&freed)
            .ok_or_else(|| format!("{key:?}: {freed} freed of {held}"))?;
        if held.is_empty() {
            self.held.remove(&key);
        }
        Ok(())
    }

    /// Offered and used is what the tables hold, and with what is free it makes the total of each agent.
    pub(crate) fn check(&self, core: &MasterCore) -> Result<(), String> {
        let held: Held = self
            .held
            .iter()
            .filter(|(_, resources)| !resources.is_empty())
            .map(|(key, resources)| (key.clone(), resources.clone()))
            .collect();
        let tables = held_in_tables(core);
        ensure(held == tables, || {
            format!("the allocator counts {held:?}, the tables {tables:?}")
        })?;
        ensure(self.totals.keys().eq(core.agents.keys()), || {
            "the allocator knows other agents".to_string()
        })
    }
}

/// What a follower of the change stream knows, as the view does.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    number: u64,
    recovered: BTreeSet<String>,
    agents: BTreeMap<String, AgentRecord>,
    frameworks: BTreeMap<String, FrameworkRecord>,
    tasks: BTreeMap<(String, String), Task>,
    unreachable: BTreeSet<(String, String)>,
    executors: BTreeSet<(String, String, String)>,
    offers: BTreeSet<String>,
    weights: BTreeMap<String, f64>,
    quota: Vec<QuotaConfig>,
    maintenance: MaintenanceRecord,
}

impl Replay {
    pub(crate) fn follow(&mut self, numbered: &Numbered) -> Result<(), String> {
        self.number += 1;
        ensure(numbered.number == self.number, || {
            format!("change {} came as {}", self.number, numbered.number)
        })?;
        let first = matches!(numbered.change, Change::Elected(_));
        ensure(first == (self.number == 1), || {
            "Elected is the first change, and only the first".to_string()
        })?;
        match &numbered.change {
            Change::Elected(_) => Ok(()),
            Change::Weights(weights) => {
                self.weights = (**weights).clone();
                Ok(())
            }
            Change::Quota(quota) => {
                self.quota = (**quota).clone();
                Ok(())
            }
            Change::Maintenance(maintenance) => {
                self.maintenance = (**maintenance).clone();
                Ok(())
            }
            Change::TaskAdded(_) | Change::TaskUpdated { .. } | Change::TaskRemoved { .. } => {
                self.follow_task(&numbered.change)
            }
            other => self.follow_others(other),
        }
    }

    fn follow_task(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::TaskAdded(task) => {
                let framework = &task.framework_id.value;
                ensure(self.frameworks.contains_key(framework), || {
                    format!("a task of {framework}, which is not known")
                })?;
                let key = key(framework, &task.task_id.value);
                let new = self.tasks.insert(key, (**task).clone()).is_none();
                ensure(new, || "the task is there already".to_string())
            }
            Change::TaskUpdated { task, status } => {
                let key = key(&task.framework_id.value, &task.task_id.value);
                let old = self.tasks.insert(key, (**task).clone());
                ensure(status.task_id == task.task_id, || {
                    "the status is of another task".to_string()
                })?;
                let old = old.ok_or("an update of a task that is not there")?;
                ensure(
                    !is_terminal(old.state()) || old.state() == task.state(),
                    || "a terminal state changed".to_string(),
                )
            }
            Change::TaskRemoved {
                framework_id,
                task_id,
                kept,
            } => {
                let key = key(&framework_id.value, &task_id.value);
                let removed = self.tasks.remove(&key);
                match kept {
                    TaskKept::No => ensure(self.unreachable.remove(&key), || {
                        "no such unreachable task".to_string()
                    }),
                    TaskKept::Unreachable => {
                        self.unreachable.insert(key);
                        ensure(removed.is_some(), || "no such task".to_string())
                    }
                    TaskKept::Completed => {
                        let state = removed.ok_or("no such task")?.state();
                        ensure(is_terminal(state), || format!("completed as {state:?}"))
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn follow_others(&mut self, change: &Change) -> Result<(), String> {
        let fits = match change {
            Change::AgentRecovered(info) => self.recovered.insert(id_of(info.id.as_ref())),
            Change::AgentAdded(record) => {
                let id = id_of(record.info.id.as_ref());
                self.recovered.remove(&id);
                self.agents.insert(id, (**record).clone()).is_none()
            }
            Change::AgentUpdated(record) => {
                let id = id_of(record.info.id.as_ref());
                self.agents.insert(id, (**record).clone()).is_some()
            }
            Change::AgentRemoved { agent_id, .. } => {
                let id = &agent_id.value;
                let bare = self.tasks.values().all(|task| task.agent_id.value != *id)
                    && self.executors.iter().all(|(_, agent, _)| agent != id);
                self.recovered.remove(id);
                self.agents.remove(id);
                bare
            }
            Change::FrameworkAdded(record) => {
                let id = framework(record);
                self.frameworks.insert(id, (**record).clone()).is_none()
            }
            Change::FrameworkUpdated(record) => {
                let id = framework(record);
                self.frameworks.insert(id, (**record).clone()).is_some()
            }
            Change::FrameworkRemoved { framework_id, .. } => {
                let id = &framework_id.value;
                self.unreachable.retain(|(framework, _)| framework != id);
                self.tasks.keys().all(|(framework, _)| framework != id)
                    && self
                        .executors
                        .iter()
                        .all(|(framework, _, _)| framework != id)
                    && self.frameworks.remove(id).is_some()
            }
            Change::ExecutorAdded {
                framework_id,
                agent_id,
                executor,
            } => self.executors.insert((
                framework_id.value.clone(),
                agent_id.value.clone(),
                executor.executor_id.value.clone(),
            )),
            Change::ExecutorRemoved {
                framework_id,
                agent_id,
                executor_id,
            } => self.executors.remove(&(
                framework_id.value.clone(),
                agent_id.value.clone(),
                executor_id.value.clone(),
            )),
            Change::OfferAdded(offer) => self.offers.insert(offer.id.value.clone()),
            Change::OfferRemoved { offer_id, .. } => self.offers.remove(&offer_id.value),
            _ => true,
        };
        ensure(fits, || {
            "the change does not fit what was there".to_string()
        })
    }

    /// A follower knows what the master knows.
    pub(crate) fn check(&self, core: &MasterCore) -> Result<(), String> {
        ensure(self.number == core.changes(), || {
            "the count of changes".to_string()
        })?;
        let agents = core.agents.iter().map(|(id, agent)| (id, &agent.record));
        ensure(self.agents.iter().eq(agents), || "agents".to_string())?;
        ensure(
            self.recovered.iter().eq(core.recovered_agents.keys()),
            || "recovered agents".to_string(),
        )?;
        // Suppression is no change that anybody sees.
        let plain = |record: &FrameworkRecord| FrameworkRecord {
            suppressed_roles: Vec::new(),
            ..record.clone()
        };
        let mine = self.frameworks.iter().map(|(id, r)| (id, plain(r)));
        let its = core.frameworks.iter().map(|(id, f)| (id, plain(&f.record)));
        ensure(mine.eq(its), || "frameworks".to_string())?;
        let tasks = core.frameworks.iter().flat_map(|(id, framework)| {
            let tasks = framework.tasks.iter();
            tasks.map(move |(task, entry)| (key(id, task), &*entry.task))
        });
        let mine = self.tasks.iter().map(|(key, task)| (key.clone(), task));
        ensure(mine.eq(tasks), || "tasks".to_string())?;
        let executors: BTreeSet<_> = core
            .frameworks
            .iter()
            .flat_map(|(id, framework)| {
                let executors = framework.executors.keys();
                executors.map(move |(agent, e)| (id.clone(), agent.clone(), e.clone()))
            })
            .collect();
        ensure(self.executors == executors, || "executors".to_string())?;
        let offers: BTreeSet<_> = core
            .offers
            .values()
            .map(|o| o.offer.id.value.clone())
            .collect();
        ensure(self.offers == offers, || "offers".to_string())?;
        ensure(
            self.weights == core.weights
                && self.quota == core.quota
                && self.maintenance == core.maintenance,
            || "weights, quota or maintenance".to_string(),
        )
        .map_err(|what| format!("a follower knows otherwise: {what}"))
    }
}

fn key(framework: &str, task: &str) -> (String, String) {
    (framework.to_string(), task.to_string())
}

fn id_of(id: Option<&tepui_protocol::v1::AgentId>) -> String {
    id.map(|id| id.value.clone()).unwrap_or_default()
}

fn framework(record: &FrameworkRecord) -> String {
    record.info.id.clone().unwrap_or_default().value
}

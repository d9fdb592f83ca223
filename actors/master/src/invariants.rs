//! What must hold of the master after every input, whatever it was: its tables agree with each other, with what
//! the allocator was told, and with what follows the change stream.

use std::collections::{BTreeMap, BTreeSet};

use tepui_messages::allocator::{Allocation, WorldChange};
use tepui_protocol::{resources::Resources, v1::Resource};

use crate::{
    conversions::MAX_OPERATIONS,
    core::{MasterCore, Pending},
    draining::is_draining,
    tables::{allocation_role, is_terminal},
    timers::Timer,
};

/// What the allocator counts against a framework's role on an agent.
type Held = BTreeMap<(String, String, String), Resources>;

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Every reference between the tables leads somewhere, and back.
pub(crate) fn check_tables(core: &MasterCore) -> Result<(), String> {
    frameworks_refer_to_what_exists(core)?;
    agents_refer_to_what_exists(core)?;
    offers_refer_to_what_exists(core)?;
    connections_are_unique(core)?;
    inverse_offers_refer_to_what_exists(core)?;
    operations_are_indexed(core)?;
    an_agent_has_one_standing(core)
}

fn frameworks_refer_to_what_exists(core: &MasterCore) -> Result<(), String> {
    ensure(
        core.completed_frameworks.len() <= core.config.kept.frameworks,
        || "too many completed frameworks are remembered".to_string(),
    )?;
    for (id, framework) in &core.frameworks {
        ensure(framework.id() == id, || format!("{id} has another id"))?;
        ensure(
            framework.record.connected == framework.stream_id.is_some(),
            || format!("{id}: connected, yet no stream, or the reverse"),
        )?;
        ensure(
            framework.unreachable.len() <= core.config.kept.unreachable_tasks,
            || format!("{id} remembers too many unreachable tasks"),
        )?;
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
            let mut unreachable = framework.unreachable.iter();
            ensure(
                unreachable.all(|task| task.task_id.value != *task_id),
                || format!("task {task_id} is live and unreachable"),
            )?;
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
        let record = &agent.record;
        ensure(
            record.deactivated == core.deactivated.contains(id)
                && record.active == (record.connected && !record.deactivated),
            || format!("{id}: deactivated or not, and active or not"),
        )?;
        let drain = core.draining.get(id);
        ensure(
            record.drain_info.as_ref() == drain && (drain.is_none() || record.deactivated),
            || format!("{id}: drains or not"),
        )?;
        let done = agent.tasks.is_empty() && agent.operations.is_empty();
        let again = Timer::Drain {
            agent_id: id.clone(),
        };
        ensure(
            !done
                || !drain.is_some_and(is_draining)
                || core.ends_drain_of(id)
                || core.timers.due(&again).is_some(),
            || format!("{id}: drains with nothing left on it"),
        )?;
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

/// Whoever is asked is there and active, of agents that are active; agents are scheduled as their machines are.
fn inverse_offers_refer_to_what_exists(core: &MasterCore) -> Result<(), String> {
    let inverse = &core.inverse;
    for (id, agent) in &core.agents {
        let (hostname, pid) = (&agent.record.info.hostname, &agent.record.pid);
        let scheduled = core.machines.unavailability(hostname, pid);
        ensure(inverse.unavailability(id) == scheduled, || {
            format!("{id} is scheduled otherwise than its machine")
        })?;
    }
    let known = inverse.agents.keys();
    ensure(known.clone().all(|id| core.agents.contains_key(id)), || {
        "an agent is scheduled that is not there".to_string()
    })?;
    let asked: BTreeSet<u64> = inverse
        .agents
        .values()
        .flat_map(|agent| agent.asked.values().copied())
        .collect();
    ensure(
        inverse.offers.keys().copied().collect::<BTreeSet<_>>() == asked,
        || "the tables of inverse offers differ".to_string(),
    )?;
    for (number, standing) in &inverse.offers {
        let agent = &inverse.agents[&standing.agent_id];
        let framework = core.frameworks.get(&standing.framework_id);
        ensure(
            agent.asked.get(&standing.framework_id) == Some(number)
                && core.agents[&standing.agent_id].record.active
                && framework.is_some_and(|framework| framework.record.active),
            || format!("inverse offer {number} asks nobody"),
        )?;
    }
    let refusing: BTreeSet<_> = inverse
        .agents
        .iter()
        .flat_map(|(id, agent)| {
            let refusing = agent.refusing.iter();
            refusing.map(move |(framework, at)| (*at, id.clone(), framework.clone()))
        })
        .collect();
    ensure(inverse.refusals == refusing, || {
        "the tables of refused inverse offers differ".to_string()
    })
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
    )?;
    let admissions = core.pending.iter().filter_map(|(ticket, it)| match it {
        Pending::AgentAdmission(admission) => Some((admission.peer, *ticket)),
        _ => None,
    });
    ensure(
        admissions.collect::<BTreeMap<_, _>>() == core.admissions,
        || "the index of admissions differs from what is written".to_string(),
    )
}

/// Those of which a framework wants to hear stand in its index, and none else; there are not too many.
fn operations_are_indexed(core: &MasterCore) -> Result<(), String> {
    let mut wanted = BTreeSet::new();
    for (id, agent) in &core.agents {
        ensure(agent.operations.len() <= MAX_OPERATIONS, || {
            format!("{id} has too many operations")
        })?;
        for (key, operation) in &agent.operations {
            if let (Some(framework), Some(_)) = (&operation.framework_id, &operation.info.id) {
                wanted.insert((framework.value.clone(), id.clone(), *key));
            }
        }
    }
    ensure(wanted == core.operations_of_frameworks, || {
        "the index of operations differs from the agents' tables".to_string()
    })
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
                    .find(|((_, framework, _), held)| framework == id && !held.is_empty());
                ensure(left.is_none(), || format!("{id} was removed with {left:?}"))?;
                self.held.retain(|(_, framework, _), _| framework != id);
            }
            WorldChange::Used {
                agent_id,
                allocation,
            } => self.take(&agent_id.value, allocation),
            WorldChange::Converted {
                agent_id,
                consumed,
                converted,
                total,
            } => {
                self.free_again(&agent_id.value, consumed)?;
                let converted = Allocation {
                    resources: std::sync::Arc::clone(converted),
                    ..consumed.clone()
                };
                self.take(&agent_id.value, &converted);
                self.totals.insert(agent_id.value.clone(), count(total));
            }
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
        })?;
        for (id, agent) in &core.agents {
            let total = count(&agent.record.total);
            ensure(self.totals[id] == total, || {
                format!("{id} has {total}, the allocator counts {}", self.totals[id])
            })?;
        }
        Ok(())
    }
}

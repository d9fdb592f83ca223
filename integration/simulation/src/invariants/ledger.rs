//! I4: what runs and is offered on an agent never exceeds what it has, in the master's books and on the agent.

use std::collections::{BTreeMap, BTreeSet};

use tepui_messages::change::Change;
use tepui_protocol::{
    resources::Resources,
    v1::{Resource, TaskState},
};

use crate::history::{Check, ensure};

/// In thousandths of a CPU, and in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    pub cpu_milli: u64,
    pub memory_bytes: u64,
}

/// What a container is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contained {
    pub task: String,
    /// The id of its framework.
    pub framework: String,
    pub share: Share,
}

#[derive(Default)]
pub struct Ledger {
    /// By agent, then by container.
    containers: BTreeMap<String, BTreeMap<String, Contained>>,
    totals: BTreeMap<String, Share>,
    /// A master that removes a framework gives its resources away at once, as Mesos' does, while its tasks end within
    /// their grace: they are not counted. That they do end is part of I13.
    removed: BTreeSet<String>,
    /// How often each task was started.
    started: BTreeMap<String, u32>,
}

impl Ledger {
    /// What an agent has.
    pub fn agent(&mut self, agent: &str, total: Share) {
        self.totals.insert(agent.to_owned(), total);
    }

    /// A container starts; a task is started once (I10), and only where there is room for it.
    pub fn starts(&mut self, agent: &str, container: &str, what: Contained) -> Check {
        let times = self.started.entry(what.task.clone()).or_default();
        *times += 1;
        let times = *times;
        ensure("I10", times == 1, || {
            format!("{} is started {times} times", what.task)
        })?;
        let running = self.containers.entry(agent.to_owned()).or_default();
        running.insert(container.to_owned(), what);
        self.fits()
    }

    /// A master removes a framework.
    pub fn removed(&mut self, framework: &str) {
        self.removed.insert(framework.to_owned());
    }

    /// No agent runs more than it has.
    pub fn fits(&self) -> Check {
        for (agent, running) in &self.containers {
            let wanted = |one: &&Contained| !self.removed.contains(&one.framework);
            let counted = running.values().filter(wanted);
            let sum = counted.fold(Share::default(), |sum, one| Share {
                cpu_milli: sum.cpu_milli + one.share.cpu_milli,
                memory_bytes: sum.memory_bytes + one.share.memory_bytes,
            });
            let total = self.totals.get(agent).copied().unwrap_or_default();
            let fits = sum.cpu_milli <= total.cpu_milli && sum.memory_bytes <= total.memory_bytes;
            ensure("I4", fits, || {
                format!("{agent} has {total:?} and runs {sum:?}: {running:?}")
            })?;
        }
        Ok(())
    }

    pub fn ends(&mut self, agent: &str, container: &str) {
        if let Some(running) = self.containers.get_mut(agent) {
            running.remove(container);
        }
    }

    pub fn started_tasks(&self) -> usize {
        self.started.len()
    }

    /// The tasks that run on an agent, in the order of their ids.
    pub fn running(&self, agent: &str) -> Vec<String> {
        let running = self.containers.get(agent).into_iter().flatten();
        let mut tasks: Vec<String> = running.map(|(_, one)| one.task.clone()).collect();
        tasks.sort();
        tasks
    }
}

/// The books of one master, kept from its change stream.
#[derive(Default)]
pub struct Books {
    totals: BTreeMap<String, Resources>,
    offers: BTreeMap<String, (String, Resources)>,
    tasks: BTreeMap<(String, String), (String, TaskState, Resources)>,
}

fn count(resources: &[Resource]) -> Resources {
    Resources::from_proto_unchecked(resources).unallocated()
}

impl Books {
    pub fn follow(&mut self, change: &Change) {
        match change {
            Change::AgentAdded(agent) | Change::AgentUpdated(agent) => {
                let id = agent.info.id.clone().unwrap_or_default().value;
                self.totals.insert(id, count(&agent.total));
            }
            Change::AgentRemoved { agent_id, .. } => drop(self.totals.remove(&agent_id.value)),
            Change::OfferAdded { offer, .. } => {
                let held = (offer.agent_id.value.clone(), count(&offer.resources));
                self.offers.insert(offer.id.value.clone(), held);
            }
            Change::OfferRemoved { offer_id, .. } => drop(self.offers.remove(&offer_id.value)),
            Change::TaskAdded(task) | Change::TaskUpdated { task, .. } => {
                let key = (task.framework_id.value.clone(), task.task_id.value.clone());
                let held = (
                    task.agent_id.value.clone(),
                    task.state(),
                    count(&task.resources),
                );
                self.tasks.insert(key, held);
            }
            Change::TaskRemoved {
                framework_id,
                task_id,
                ..
            } => {
                let key = (framework_id.value.clone(), task_id.value.clone());
                self.tasks.remove(&key);
            }
            _ => {}
        }
    }

    /// Offered and running is at most what each agent has. Holds between two inputs of the master.
    pub fn balance(&self) -> Check {
        let offered = self.offers.values().map(|(agent, held)| (agent, held));
        let live = self.tasks.values().filter(|(_, state, _)| !is_over(*state));
        let mut held: BTreeMap<&String, Resources> = BTreeMap::new();
        for (agent, resources) in offered.chain(live.map(|(agent, _, held)| (agent, held))) {
            *held.entry(agent).or_default() += resources;
        }
        for (agent, held) in held {
            let Some(total) = self.totals.get(agent) else {
                continue;
            };
            ensure("I4", total.contains(&held), || {
                format!("{agent} has {total}, and {held} is offered or used")
            })?;
        }
        Ok(())
    }

    /// Another offer of the same agent, for one that stands no more.
    pub fn other_offer(&self, offer: &str, agent: &str) -> Option<String> {
        if self.offers.contains_key(offer) {
            return None;
        }
        let mut offers = self.offers.iter();
        let other = offers.find(|(_, (on, _))| on == agent);
        other.map(|(id, _)| id.clone())
    }

    /// The tasks that live on an agent, in the order of their ids.
    pub fn running(&self, agent: &str) -> Vec<String> {
        let mut tasks: Vec<String> = self
            .tasks
            .iter()
            .filter(|(_, (on, state, _))| on == agent && !is_over(*state))
            .map(|((_, task), _)| task.clone())
            .collect();
        tasks.sort();
        tasks
    }
}

fn is_over(state: TaskState) -> bool {
    use TaskState as S;
    !matches!(
        state,
        S::TaskStaging | S::TaskStarting | S::TaskRunning | S::TaskKilling
    )
}

//! Frameworks, their executors and their offers.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use indexmap::IndexMap;
use tepui_messages::{
    UnixNanos,
    change::{FrameworkRecord, OfferEnd, TaskKept},
};
use tepui_protocol::{
    resources::Resources,
    v1::{ExecutorInfo, InverseOffer, Task, framework_info::capability::Type as Capability},
};

use super::{Held, OfferHabits, OpenOffer, TaskCounts, World};

/// A framework, registered or completed.
#[derive(Debug)]
pub struct Framework {
    pub record: Arc<FrameworkRecord>,
    /// 0 as long as it is registered.
    pub unregistered_at: UnixNanos,
    pub tasks: BTreeMap<String, Arc<Task>>,
    /// Oldest first.
    pub unreachable: IndexMap<String, Arc<Task>>,
    /// Oldest first.
    pub completed: VecDeque<Arc<Task>>,
    /// By agent and executor id.
    pub executors: BTreeMap<(String, String), Arc<ExecutorInfo>>,
    pub offers: BTreeMap<String, OpenOffer>,
    /// That ask it to leave an agent.
    pub inverse_offers: BTreeMap<String, Arc<InverseOffer>>,
    /// By tasks and executors, as allocated.
    pub used: Held,
    pub offered: Held,
    /// All tasks above by state.
    pub counts: TaskCounts,
    /// How many of these tasks are on each agent.
    pub agents: BTreeMap<String, u64>,
    /// Tasks that reached each terminal state, forgotten ones too.
    pub ended: TaskCounts,
    pub offers_sent: u64,
    /// What became of them.
    pub habits: OfferHabits,
}

impl Framework {
    fn new(record: &Arc<FrameworkRecord>) -> Self {
        Self {
            record: Arc::clone(record),
            unregistered_at: 0,
            tasks: BTreeMap::new(),
            unreachable: IndexMap::new(),
            completed: VecDeque::new(),
            executors: BTreeMap::new(),
            offers: BTreeMap::new(),
            inverse_offers: BTreeMap::new(),
            used: Held::default(),
            offered: Held::default(),
            counts: TaskCounts::default(),
            agents: BTreeMap::new(),
            ended: TaskCounts::default(),
            offers_sent: 0,
            habits: OfferHabits::default(),
        }
    }

    pub fn id(&self) -> &str {
        self.record.info.id.as_ref().map_or("", |id| &id.value)
    }

    pub fn is_multi_role(&self) -> bool {
        let capabilities = &self.record.info.capabilities;
        capabilities
            .iter()
            .any(|capability| capability.r#type() == Capability::MultiRole)
    }

    /// The roles it is subscribed to.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let info = &self.record.info;
        let (one, many) = if self.is_multi_role() {
            (None, info.roles.as_slice())
        } else {
            (Some(info.role()), [].as_slice())
        };
        one.into_iter().chain(many.iter().map(String::as_str))
    }

    /// Keeps the task among the completed ones, of which there are `most`; gives one that is forgotten for it.
    pub(super) fn complete(&mut self, task: &Arc<Task>, most: usize) -> Option<Arc<Task>> {
        self.completed.push_back(Arc::clone(task));
        let is_beyond = self.completed.len() > most;
        is_beyond.then(|| self.completed.pop_front()).flatten()
    }

    /// Live, unreachable and completed tasks.
    pub fn all_tasks(&self) -> impl Iterator<Item = &Task> {
        let kept = self.unreachable.values().chain(&self.completed);
        self.tasks.values().chain(kept).map(|task| &**task)
    }
}

impl World {
    pub(super) fn put_framework(&mut self, record: &Arc<FrameworkRecord>) {
        let id = record.info.id.clone().unwrap_or_default().value;
        match self.frameworks.get_mut(&id) {
            Some(framework) => framework.record = Arc::clone(record),
            None => {
                self.frameworks.insert(id, Framework::new(record));
            }
        }
    }

    pub(super) fn remove_framework(&mut self, id: &str, at: UnixNanos) -> bool {
        let Some(framework) = self.frameworks.get(id) else {
            return false;
        };
        // The master takes these off first; what it left would else stay in the sums for ever.
        let tasks: Vec<String> = framework.tasks.keys().cloned().collect();
        let executors: Vec<_> = framework.executors.keys().cloned().collect();
        let offers: Vec<String> = framework.offers.keys().cloned().collect();
        for task in tasks {
            self.remove_task(id, &task, TaskKept::Completed);
        }
        for (agent, executor) in executors {
            self.remove_executor(id, &agent, &executor);
        }
        for offer in offers {
            self.end_offer(id, &offer, OfferEnd::Lost, at);
        }
        let Some(mut framework) = self.frameworks.remove(id) else {
            return false;
        };
        self.totals.tasks.subtract(&framework.counts);
        for task in framework.all_tasks() {
            self.leave_agent(id, &task.agent_id.value, task.state());
        }
        framework.record = Arc::new(FrameworkRecord {
            active: false,
            connected: false,
            recovered: false,
            ..(*framework.record).clone()
        });
        framework.unregistered_at = at;
        self.keep_completed(framework);
        true
    }

    /// One that ended under an earlier leader.
    pub(super) fn recall_framework(&mut self, record: &Arc<FrameworkRecord>, at: UnixNanos) {
        let mut framework = Framework::new(record);
        framework.unregistered_at = at;
        self.keep_completed(framework);
    }

    fn keep_completed(&mut self, framework: Framework) {
        self.completed.push_back(framework);
        if self.completed.len() > self.kept().frameworks {
            self.completed.pop_front();
        }
    }

    pub(super) fn add_executor(
        &mut self,
        framework: &str,
        agent: &str,
        executor: &Arc<ExecutorInfo>,
    ) -> bool {
        self.remove_executor(framework, agent, &executor.executor_id.value);
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        let resources = Resources::from_proto_unchecked(&executor.resources);
        let key = (agent.to_owned(), executor.executor_id.value.clone());
        entry.executors.insert(key, Arc::clone(executor));
        entry.used.add(agent, &resources);
        self.change_used(agent, |used| *used += &resources);
        true
    }

    pub(super) fn remove_executor(&mut self, framework: &str, agent: &str, id: &str) -> bool {
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        let key = (agent.to_owned(), id.to_owned());
        let Some(executor) = entry.executors.remove(&key) else {
            return false;
        };
        let resources = Resources::from_proto_unchecked(&executor.resources);
        entry.used.subtract(agent, &resources);
        self.change_used(agent, |used| *used -= &resources);
        true
    }
}

//! What one viewer may see of the world (Mesos: `VIEW_FRAMEWORK`, `VIEW_TASK`, `VIEW_EXECUTOR`, `VIEW_ROLE`,
//! `GET_QUOTA` and the maintenance lists). What may not be seen is left out, and not counted where tasks are counted.
//!
//! Only made for those from whom something must be kept: it copies the handles of all that they see.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tepui_messages::change::MaintenanceRecord;
use tepui_protocol::{
    acls::{Action, Subject, user_of_executor},
    resources::{Entry, Resources, conversions},
    v1::{ExecutorInfo, FrameworkInfo, Operation, Task},
};

use super::{
    Agent, Framework, Held, TaskCounts, Usage, World,
    agents::{tally, usage},
};

/// The rules of one viewer.
pub(crate) struct Sight<'a>(pub(crate) &'a Subject);

impl Sight<'_> {
    pub(crate) fn role(&self, role: &str) -> bool {
        self.0.may(Action::ViewRoles, Some(role))
    }

    pub(crate) fn framework(&self, info: &FrameworkInfo) -> bool {
        self.0.may(Action::ViewFrameworks, Some(&info.user))
    }

    /// Of a framework that is seen.
    pub(crate) fn task(&self, task: &Task, info: &FrameworkInfo) -> bool {
        let user = task.user.as_deref().unwrap_or(&info.user);
        self.0.may(Action::ViewTasks, Some(user))
    }

    fn executor(&self, executor: &ExecutorInfo, info: &FrameworkInfo) -> bool {
        let user = user_of_executor(executor, info);
        self.0.may(Action::ViewExecutors, Some(user))
    }

    /// All roles of it must be seen: those it is reserved for, one below the other, and the one that uses it.
    fn resource(&self, entry: &Entry) -> bool {
        let reserved = entry.terms().reservations.iter();
        let mut roles = reserved
            .map(|it| it.role.as_str())
            .chain(entry.allocation_role());
        roles.all(|role| self.role(role))
    }

    pub(crate) fn resources(&self, resources: &Resources) -> Resources {
        resources.filter(|entry| self.resource(entry))
    }

    pub(crate) fn agent(&self, agent: &Agent) -> Agent {
        let total = self.resources(&agent.total);
        let mut record = (*agent.record).clone();
        let info = Arc::make_mut(&mut record.info);
        info.resources = self.listed(&info.resources);
        Agent {
            record: Arc::new(record),
            reserved: total.reservations(),
            unreserved: total.unreserved(),
            total,
        }
    }

    /// Without tasks, which are counted one by one.
    pub(crate) fn usage(&self, all: &Usage) -> Usage {
        Usage {
            used: self.resources(&all.used),
            offered: self.resources(&all.offered),
            tasks: TaskCounts::default(),
            frameworks: BTreeMap::new(),
        }
    }

    fn listed(
        &self,
        resources: &[tepui_protocol::v1::Resource],
    ) -> Vec<tepui_protocol::v1::Resource> {
        let seen = |resource: &&tepui_protocol::v1::Resource| {
            let one = std::slice::from_ref(*resource);
            let parsed = Resources::from_proto_unchecked(one);
            parsed.iter().all(|entry| self.resource(entry))
        };
        resources.iter().filter(seen).cloned().collect()
    }

    /// What it consumes tells of roles.
    fn operation(&self, operation: &Operation) -> bool {
        conversions(&operation.info).is_ok_and(|conversions| {
            let mut touched = conversions
                .iter()
                .flat_map(|it| it.consumed.iter().chain(it.converted.iter()));
            touched.all(|entry| self.resource(entry))
        })
    }

    /// The framework, if it is seen, with what is seen of it.
    pub(crate) fn of_framework(&self, all: &Framework) -> Option<Framework> {
        let info = &all.record.info;
        if !self.framework(info) {
            return None;
        }
        let seen = |task: &&Arc<Task>| self.task(task, info);
        let tasks = all.tasks.iter().filter(|(_, task)| seen(task));
        let unreachable = all.unreachable.iter().filter(|(_, task)| seen(task));
        let executors = all.executors.iter();
        let executors = executors.filter(|(_, executor)| self.executor(executor, info));
        let mut framework = Framework {
            record: Arc::clone(&all.record),
            unregistered_at: all.unregistered_at,
            tasks: tasks
                .map(|(id, task)| (id.clone(), Arc::clone(task)))
                .collect(),
            unreachable: unreachable
                .map(|(id, task)| (id.clone(), Arc::clone(task)))
                .collect(),
            completed: all.completed.iter().filter(seen).cloned().collect(),
            executors: executors
                .map(|(key, executor)| (key.clone(), Arc::clone(executor)))
                .collect(),
            offers: all.offers.clone(),
            inverse_offers: all.inverse_offers.clone(),
            used: self.held(&all.used),
            offered: self.held(&all.offered),
            counts: TaskCounts::default(),
            agents: BTreeMap::new(),
            ended: TaskCounts::default(),
            offers_sent: all.offers_sent,
            habits: all.habits,
        };
        let counted: Vec<_> = framework.all_tasks().map(placed).collect();
        for (agent, state) in counted {
            framework.counts.add(state);
            *tally(&mut framework.agents, &agent) += 1;
        }
        Some(framework)
    }

    fn held(&self, all: &Held) -> Held {
        let mut seen = Held::default();
        for (agent, resources) in all.by_agent() {
            seen.add(agent, &self.resources(resources));
        }
        seen
    }
}

fn placed(task: &Task) -> (String, tepui_protocol::v1::TaskState) {
    (task.agent_id.value.clone(), task.state())
}

impl World {
    /// What `viewer` may see of it. Sums over roles and counters stay those of all: a role that is not seen is not
    /// shown with its sums, and what numbers tell is asked for by another right.
    pub fn seen_by(&self, viewer: &Subject) -> World {
        let sight = Sight(viewer);
        let agents = self.agents.iter();
        let frameworks = self.frameworks.iter();
        let frameworks =
            frameworks.filter_map(|(id, it)| Some((id.clone(), sight.of_framework(it)?)));
        let mut world = World {
            master: self.master.clone(),
            agents: agents
                .map(|(id, it)| (id.clone(), Box::new(sight.agent(it))))
                .collect(),
            recovered: self.recovered_for(&sight),
            unreachable: self.unreachable.clone(),
            usage: self
                .usage
                .iter()
                .map(|(id, it)| (id.clone(), Box::new(sight.usage(it))))
                .collect(),
            frameworks: frameworks.collect(),
            completed: self
                .completed
                .iter()
                .filter_map(|it| sight.of_framework(it))
                .collect(),
            operations: BTreeMap::new(),
            weights: Arc::new(seen_keys(&self.weights, |role| sight.role(role))),
            quota: Arc::new(self.quota_for(viewer)),
            maintenance: Arc::new(self.maintenance_for(viewer)),
            answers: self.answers.clone(),
            ended_offers: VecDeque::new(),
            totals: self.totals.clone(),
            counters: self.counters.clone(),
            viewer: Some(viewer.clone()),
        };
        world.operations = self.operations_for(&sight, &world);
        let tasks = world.frameworks.iter().flat_map(|(id, framework)| {
            let tasks = framework.all_tasks().map(placed);
            tasks.map(|(agent, state)| (id.clone(), agent, state))
        });
        for (framework, agent, state) in tasks.collect::<Vec<_>>() {
            let usage = usage(&mut world.usage, &agent);
            usage.tasks.add(state);
            *tally(&mut usage.frameworks, &framework) += 1;
        }
        world
    }

    fn recovered_for(
        &self,
        sight: &Sight<'_>,
    ) -> BTreeMap<String, Arc<tepui_protocol::v1::AgentInfo>> {
        let recovered = self.recovered.iter();
        let seen = recovered.map(|(id, info)| {
            let mut info = (**info).clone();
            info.resources = sight.listed(&info.resources);
            (id.clone(), Arc::new(info))
        });
        seen.collect()
    }

    /// Those of frameworks that are not seen tell of them.
    fn operations_for(
        &self,
        sight: &Sight<'_>,
        world: &World,
    ) -> BTreeMap<(String, Vec<u8>), Arc<Operation>> {
        let operations = self.operations.iter().filter(|(_, operation)| {
            let framework = operation.framework_id.as_ref().map(|id| &id.value);
            let known = framework.is_none_or(|id| {
                world.frameworks.contains_key(id) || !self.frameworks.contains_key(id)
            });
            known && sight.operation(operation)
        });
        operations
            .map(|(key, it)| (key.clone(), Arc::clone(it)))
            .collect()
    }

    fn quota_for(&self, viewer: &Subject) -> Vec<tepui_protocol::v1::quota::QuotaConfig> {
        let quota = self.quota.iter();
        let seen = quota.filter(|config| viewer.may(Action::GetQuotas, Some(&config.role)));
        seen.cloned().collect()
    }

    fn maintenance_for(&self, viewer: &Subject) -> MaintenanceRecord {
        let mut record = (*self.maintenance).clone();
        if !viewer.may(Action::GetMaintenanceSchedules, None) {
            record.schedule = Default::default();
        }
        if !viewer.may(Action::GetMaintenanceStatuses, None) {
            record.machines.clear();
        }
        record
    }
}

fn seen_keys(all: &BTreeMap<String, f64>, seen: impl Fn(&str) -> bool) -> BTreeMap<String, f64> {
    let entries = all.iter().filter(|(role, _)| seen(role));
    entries
        .map(|(role, weight)| (role.clone(), *weight))
        .collect()
}

#[cfg(test)]
#[path = "sight_tests.rs"]
mod tests;

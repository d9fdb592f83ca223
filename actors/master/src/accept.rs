//! ACCEPT: offers become tasks (Mesos: `Master::accept`, `_accept`). Operations run in order against what is left of the offers.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use tepui_messages::{
    allocator::{Allocation, WorldChange},
    change::{Change, OfferEnd},
};
use tepui_protocol::{
    node, redact,
    resources::{self, Resources},
    task,
    v1::{
        AgentId, ExecutorInfo, OfferId, Resource, TaskInfo, TaskState,
        offer::{Operation, operation},
        resource::AllocationInfo,
        scheduler::call,
        task_status::Reason,
    },
};

use crate::{
    core::{MasterCore, Order, Turn},
    frameworks::framework_id,
    offers::refusal,
    status::{MasterStatus, update_event},
    tables::{OfferEntry, without_allocation},
};

/// The offers of one ACCEPT, pooled: one agent, one role.
pub(crate) struct Pool {
    pub(crate) agent_id: AgentId,
    pub(crate) role: String,
    /// With `allocation_info`, as tasks ask for them.
    pub(crate) remaining: Resources,
    /// Volumes that were resized: not for this call.
    pub(crate) resized: Resources,
    /// A copy of each shared volume that a task of this call has: others may have more.
    shared: Resources,
}

/// Copies of one shared volume that one launch may ask for.
const MAX_COPIES: u32 = 100;
/// Operations of one ACCEPT that launch nothing.
const MAX_CONVERSIONS: usize = 1_000;

impl Pool {
    /// Something of it, as the allocator knows it.
    pub(crate) fn allocation(&self, framework: &str, resources: &Resources) -> Allocation {
        Allocation {
            framework_id: framework_id(framework),
            role: self.role.clone(),
            resources: without_allocation(&resources.to_proto_copies()),
        }
    }

    /// What a launch of so many users may ask for: the rest, and of what is shared a copy for each.
    pub(crate) fn on_hand(&self, users: usize) -> Cow<'_, Resources> {
        if self.shared.is_empty() && self.remaining.shared().is_empty() {
            return Cow::Borrowed(&self.remaining);
        }
        let copies = u32::try_from(users).unwrap_or(MAX_COPIES).min(MAX_COPIES);
        let mut all = self.remaining.clone();
        all.add_copies(copies);
        let mut taken = self.shared.clone();
        taken.add_copies(copies);
        all += taken;
        Cow::Owned(all)
    }

    /// Takes what is needed, and tells what of that were further copies, which the allocator did not give.
    pub(crate) fn take(&mut self, needed: &Resources) -> Resources {
        let copies = &needed.shared() - &self.remaining;
        for entry in &needed.shared() {
            if !self.shared.contains_entry(entry) {
                self.shared.add_entry(entry);
            }
        }
        self.remaining -= &(needed - &copies);
        copies
    }
}

/// Each looks at all volumes of its agent, so a call that is full of them would keep everybody waiting. Mesos has no bound.
fn check_number(operations: &[Operation]) -> Result<(), String> {
    let launches = |it: &&Operation| {
        matches!(
            it.r#type(),
            operation::Type::Launch | operation::Type::LaunchGroup
        )
    };
    let conversions = operations.len() - operations.iter().filter(launches).count();
    if conversions > MAX_CONVERSIONS {
        return Err(format!(
            "The call has {conversions} operations on reservations and volumes; at most {MAX_CONVERSIONS} are taken at once"
        ));
    }
    Ok(())
}

impl MasterCore {
    pub(crate) fn accept(&mut self, id: &str, accept: call::Accept, turn: &mut Turn<'_>) {
        let refuse = accept.filters.and_then(|filters| filters.refuse_seconds);
        let checked = self.check_offers(id, &accept.offer_ids);
        if let Err(reason) = checked.and_then(|()| check_number(&accept.operations)) {
            self.decline(id, &accept.offer_ids, Some(0.0), turn);
            return self.refuse_operations(id, &accept.operations, &reason, turn);
        }
        let numbers: Vec<u64> = accept
            .offer_ids
            .iter()
            .filter_map(|id| self.offer_number(id))
            .collect();
        let offers: Vec<OfferEntry> = numbers
            .into_iter()
            .filter_map(|number| self.take_offer(number, OfferEnd::Accepted, turn))
            .collect();
        let mut pool = pool(&offers);
        let offered = pool.remaining.clone();
        for operation in accept.operations {
            self.operation(id, operation, &mut pool, turn);
        }
        // What was reserved or created is offered again at once; the rest is declined.
        let converted = &pool.remaining - &offered;
        let declined = &pool.remaining - &converted;
        let converted = converted + &pool.resized;
        // In this order: a run in between offers what was reserved with the rest, or nothing of it.
        for (left, refused_for) in [(declined, Some(refusal(refuse))), (converted, None)] {
            if !left.is_empty() {
                turn.allocator(WorldChange::Recovered {
                    agent_id: pool.agent_id.clone(),
                    allocation: pool.allocation(id, &left),
                    refused_for,
                });
            }
        }
    }

    /// Each rule over all offers before the next (Mesos: `validation::offer::validate`).
    fn check_offers(&self, id: &str, offer_ids: &[OfferId]) -> Result<(), String> {
        if offer_ids.is_empty() {
            return Err("No offers specified".to_string());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = offer_ids.iter().find(|it| !seen.insert(&it.value)) {
            return Err(format!("Duplicate offer {} in offer list", twice.value));
        }
        let offers = offer_ids.iter().map(|offer_id| {
            let number = self.offer_number(offer_id);
            let offer = number.and_then(|number| self.offers.get(&number));
            let offer = offer.map(|offer| (&offer_id.value, offer));
            offer.ok_or_else(|| format!("Offer {} is no longer valid", offer_id.value))
        });
        let offers: Vec<(&String, &OfferEntry)> = offers.collect::<Result<_, _>>()?;
        if let Some((offer_id, offer)) = offers.iter().find(|(_, it)| it.framework_id != id) {
            return Err(format!(
                "Offer {offer_id} has invalid framework {} while framework {id} is expected",
                offer.framework_id
            ));
        }
        let (_, first) = offers[0];
        if let Some((offer_id, offer)) = offers.iter().find(|(_, it)| it.role != first.role) {
            // The quotes are Mesos'.
            return Err(format!(
                "Aggregated offers must be allocated to the same role. Offer {offer_id} uses role '{} but another is \
                 using role '{}",
                offer.role, first.role
            ));
        }
        let elsewhere = offers.iter().find(|(_, it)| it.agent_id != first.agent_id);
        if let Some((offer_id, offer)) = elsewhere {
            return Err(format!(
                "Aggregated offers must belong to one single agent. Offer {offer_id} uses agent {} and agent {}",
                offer.agent_id, first.agent_id
            ));
        }
        Ok(())
    }

    /// The whole call is poisoned by one bad offer.
    fn refuse_operations(
        &mut self,
        id: &str,
        operations: &[Operation],
        reason: &str,
        turn: &mut Turn<'_>,
    ) {
        let state = self.lost_or_dropped(id);
        for operation in operations {
            for task in tasks_of(operation) {
                let message = format!("Task launched with invalid offers: {reason}");
                self.refuse_task(id, task, state, Reason::InvalidOffers, message, turn);
            }
            if let (Some(_), true) = (&operation.id, tasks_of(operation).is_empty()) {
                self.refuse_operation(
                    id,
                    operation.id.as_ref(),
                    &format!("Operation attempted with invalid offers: {reason}"),
                    turn,
                );
            }
        }
    }

    fn operation(&mut self, id: &str, operation: Operation, pool: &mut Pool, turn: &mut Turn<'_>) {
        use operation::Type;
        if let Err(reason) = launched_resources(&operation) {
            let why = match operation.r#type() {
                Type::LaunchGroup => Reason::TaskGroupInvalid,
                _ => Reason::TaskInvalid,
            };
            for task in tasks_of(&operation) {
                self.refuse_task(id, task, TaskState::TaskError, why, reason.clone(), turn);
            }
            return;
        }
        match operation.r#type.and_then(|kind| Type::try_from(kind).ok()) {
            Some(Type::Launch) if operation.id.is_some() => {
                for task in tasks_of(&operation) {
                    let message = "The `id` field cannot be set on LAUNCH operations".to_string();
                    self.refuse_task(
                        id,
                        task,
                        TaskState::TaskError,
                        Reason::TaskInvalid,
                        message,
                        turn,
                    );
                }
            }
            Some(Type::Launch) => {
                for task in operation.launch.unwrap_or_default().task_infos {
                    self.launch(id, task, pool, turn);
                }
            }
            Some(Type::LaunchGroup) => {
                let has_id = operation.id.is_some();
                let group = operation.launch_group.unwrap_or_default();
                self.launch_group(id, group, has_id, pool, turn);
            }
            Some(kind) => self.offer_operation(id, kind, operation, pool, turn),
            None => self.refuse_operation(
                id,
                operation.id.as_ref(),
                "The operation's type is not known",
                turn,
            ),
        }
    }

    pub(crate) fn refuse_task(
        &self,
        id: &str,
        task: &TaskInfo,
        state: TaskState,
        reason: Reason,
        message: String,
        turn: &mut Turn<'_>,
    ) {
        let status = MasterStatus::new(state)
            .reason(reason)
            .message(message)
            .for_task(&task.task_id, Some(&task.agent_id), turn.now);
        self.config.traffic.tally.refused(&status);
        if let Some(stream_id) = self.frameworks[id].stream_id.as_deref() {
            turn.event(stream_id, update_event(status));
        }
    }

    fn launch(&mut self, id: &str, mut task: TaskInfo, pool: &mut Pool, turn: &mut Turn<'_>) {
        self.complete_task(id, &mut task, &pool.role);
        if let Some((reason, message)) = self.agent_away(&pool.agent_id) {
            let state = self.lost_or_dropped(id);
            return self.refuse_task(id, &task, state, reason, message.to_string(), turn);
        }
        let error = TaskState::TaskError;
        if let Err(message) = self.authorize_task(id, &task) {
            return self.refuse_task(id, &task, error, Reason::TaskUnauthorized, message, turn);
        }
        let needed = match self.check_task(id, &task, &pool.agent_id, &pool.on_hand(2)) {
            Ok(needed) => needed,
            Err(message) => {
                return self.refuse_task(id, &task, error, Reason::TaskInvalid, message, turn);
            }
        };
        self.take_from(pool, id, &needed, turn);
        self.run(id, task, &pool.agent_id, turn);
    }

    /// Takes what a launch needs; of further copies of shared volumes the allocator hears by this.
    pub(crate) fn take_from(
        &self,
        pool: &mut Pool,
        id: &str,
        needed: &Resources,
        turn: &mut Turn<'_>,
    ) {
        let copies = pool.take(needed);
        if !copies.is_empty() {
            turn.allocator(WorldChange::Used {
                agent_id: pool.agent_id.clone(),
                allocation: pool.allocation(id, &copies),
            });
        }
    }

    /// Why nothing can be launched there now.
    pub(crate) fn agent_away(&self, agent_id: &AgentId) -> Option<(Reason, &'static str)> {
        match self.agents.get(&agent_id.value) {
            None => Some((Reason::AgentRemoved, "Agent removed")),
            Some(agent) if agent.peer.is_none() => {
                Some((Reason::AgentDisconnected, "Agent disconnected"))
            }
            Some(_) => None,
        }
    }

    /// The state of a task that never began.
    pub(crate) fn lost_or_dropped(&self, id: &str) -> TaskState {
        if self.is_partition_aware(id) {
            TaskState::TaskDropped
        } else {
            TaskState::TaskLost
        }
    }

    /// What schedulers may leave out: the role of resources, the executor's framework, a health check's type.
    fn complete_task(&self, id: &str, task: &mut TaskInfo, role: &str) {
        allocate(&mut task.resources, role);
        if let Some(executor) = &mut task.executor {
            allocate(&mut executor.resources, role);
            executor
                .framework_id
                .get_or_insert_with(|| framework_id(id));
        }
        complete_health_check(task);
    }

    /// Books the task and its executor, and sends it on its way.
    fn run(&mut self, id: &str, info: TaskInfo, agent_id: &AgentId, turn: &mut Turn<'_>) {
        let launch_executor = info
            .executor
            .as_ref()
            .is_none_or(|executor| self.book_executor(id, executor, agent_id, turn));
        let task = task::staging(id, &info);
        self.add_task(id, Arc::new(task), turn);
        self.count_operation(id, operation::Type::Launch);
        if let Some(peer) = self
            .agents
            .get(&agent_id.value)
            .and_then(|agent| agent.peer)
        {
            let order = node::RunTask {
                framework_info: self.frameworks[id].info().clone(),
                task: info,
                launch_executor,
                term: self.term,
            };
            turn.order(peer, Order::RunTask(Box::new(order)));
        }
    }

    /// True if the executor is new on that agent.
    pub(crate) fn book_executor(
        &mut self,
        id: &str,
        executor: &ExecutorInfo,
        agent_id: &AgentId,
        turn: &mut Turn<'_>,
    ) -> bool {
        let key = (agent_id.value.clone(), executor.executor_id.value.clone());
        let framework = self.frameworks.get_mut(id).expect("the caller was checked");
        if framework.executors.contains_key(&key) {
            return false;
        }
        let executor = Arc::new(executor.clone());
        framework.executors.insert(key, Arc::clone(&executor));
        if let Some(agent) = self.agents.get_mut(&agent_id.value) {
            agent
                .executors
                .insert((id.to_string(), executor.executor_id.value.clone()));
        }
        self.change(
            turn,
            Change::ExecutorAdded {
                framework_id: framework_id(id),
                agent_id: agent_id.clone(),
                executor: redact::executor(&executor),
            },
        );
        true
    }
}

fn pool(offers: &[OfferEntry]) -> Pool {
    let first = offers.first().expect("checked: at least one offer");
    let mut resources: Vec<Resource> = offers
        .iter()
        .flat_map(|offer| offer.resources.iter().cloned())
        .collect();
    allocate(&mut resources, &first.role);
    Pool {
        agent_id: first.offer.agent_id.clone(),
        role: first.role.clone(),
        remaining: Resources::from_proto_unchecked(&resources),
        resized: Resources::new(),
        shared: Resources::new(),
    }
}

/// Resources of a scheduler that says nothing of roles are those of the offer's role.
pub(crate) fn allocate(resources: &mut [Resource], role: &str) {
    for resource in resources {
        resource
            .allocation_info
            .get_or_insert_with(|| AllocationInfo {
                role: Some(role.to_string()),
            });
    }
}

/// Old schedulers leave the type out where the body tells it; times and numbers that are left out are shown as they
/// will be (recorded Mesos does so too).
pub(crate) fn complete_health_check(task: &mut TaskInfo) {
    let Some(check) = &mut task.health_check else {
        return;
    };
    check.delay_seconds = Some(check.delay_seconds());
    check.interval_seconds = Some(check.interval_seconds());
    check.timeout_seconds = Some(check.timeout_seconds());
    check.consecutive_failures = Some(check.consecutive_failures());
    check.grace_period_seconds = Some(check.grace_period_seconds());
    if check.r#type.is_none() {
        use tepui_protocol::v1::health_check::Type;
        check.r#type = match (check.command.is_some(), check.http.is_some()) {
            (true, false) => Some(Type::Command as i32),
            (false, true) => Some(Type::Http as i32),
            _ => None,
        };
    }
}

/// One launch with resources that nobody understands fails the whole operation, before anything else of it is looked at
/// (Mesos: `validateAndUpgradeResources`).
fn launched_resources(operation: &Operation) -> Result<(), String> {
    let group = operation.launch_group.as_ref().map(|it| &it.executor);
    let of_group = group.map(|executor| &executor.resources);
    let of_tasks = tasks_of(operation).into_iter().flat_map(|task| {
        let executor = task.executor.as_ref().map(|it| &it.resources);
        std::iter::once(&task.resources).chain(executor)
    });
    let mut lists = of_group.into_iter().chain(of_tasks);
    lists.try_for_each(|list| resources::validate_all(list).map_err(|error| error.to_string()))
}

fn tasks_of(operation: &Operation) -> Vec<&TaskInfo> {
    let launched = operation
        .launch
        .iter()
        .flat_map(|launch| &launch.task_infos);
    let grouped = operation
        .launch_group
        .iter()
        .flat_map(|group| &group.task_group.tasks);
    launched.chain(grouped).collect()
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;

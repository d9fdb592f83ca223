//! Offer operations other than LAUNCH inside ACCEPT: whether they are valid, in Mesos' order and words
//! (`Master::_accept`; `validation::operation::validate`). What is valid is booked by [`crate::conversions`]; disks of
//! resource providers are refused as not built. What becomes of an operation is in docs/architecture.md.

use std::{collections::BTreeSet, sync::Arc};

use tepui_protocol::{
    node,
    resources::{self, Conversion, Resources},
    task,
    v1::{
        AgentId, ExecutorInfo, OperationId, OperationState, OperationStatus, Resource, TaskInfo,
        TaskState,
        framework_info::capability::Type as FrameworkCapability,
        offer::{
            Operation,
            operation::{LaunchGroup, Type},
        },
        task_status::Reason,
    },
    validate::{
        disk,
        operation::{self as rules, Asker},
    },
};

use crate::{
    accept::{Pool, allocate, complete_health_check},
    core::{MasterCore, Order, Turn},
    feedback::operation_event,
    tables::Agent,
};

/// Whose operation it is.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    /// The framework of this id.
    Framework(&'a str),
    /// An operator, who may have proved to be this principal.
    Operator(Option<&'a str>),
}

/// Resources one operation may name.
const MAX_RESOURCES: usize = 500;

impl MasterCore {
    /// LAUNCH_GROUP: all of its tasks or none.
    pub(crate) fn launch_group(
        &mut self,
        id: &str,
        mut group: LaunchGroup,
        has_id: bool,
        pool: &mut Pool,
        turn: &mut Turn<'_>,
    ) {
        if has_id {
            let message = "The `id` field cannot be set on LAUNCH_GROUP operations";
            return self.refuse_group(id, &group, Reason::TaskGroupInvalid, message, turn);
        }
        complete_group(&mut group, &pool.role);
        if let Some((reason, message)) = self.agent_away(&pool.agent_id) {
            let state = self.lost_or_dropped(id);
            for task in &group.task_group.tasks {
                self.refuse_task(id, task, state, reason, message.to_string(), turn);
            }
            return;
        }
        if let Err(message) = self.authorize_group(id, &group) {
            return self.refuse_group(id, &group, Reason::TaskGroupUnauthorized, &message, turn);
        }
        let users = group.task_group.tasks.len() + 1;
        match self.check_group(id, &group, &pool.agent_id, &pool.on_hand(users)) {
            Ok(needed) => {
                self.take_from(pool, id, &needed, turn);
                self.run_group(id, group, &pool.agent_id, turn);
            }
            Err(message) => {
                self.refuse_group(id, &group, Reason::TaskGroupInvalid, &message, turn);
            }
        }
    }

    /// Books the group and its executor, and sends it on its way.
    fn run_group(&mut self, id: &str, group: LaunchGroup, agent_id: &AgentId, turn: &mut Turn<'_>) {
        let LaunchGroup {
            executor,
            task_group,
        } = group;
        let launch_executor = self.book_executor(id, &executor, agent_id, turn);
        for info in &task_group.tasks {
            self.add_task(id, Arc::new(task::staging(id, info)), turn);
        }
        self.count_operation(id, Type::LaunchGroup);
        let agent = self.agents.get(&agent_id.value);
        if let Some(peer) = agent.and_then(|agent| agent.peer) {
            let order = node::RunTaskGroup {
                framework_info: self.frameworks[id].info().clone(),
                executor,
                task_group,
                launch_executor,
                term: self.term,
            };
            turn.order(peer, Order::RunTaskGroup(Box::new(order)));
        }
    }

    fn refuse_group(
        &self,
        id: &str,
        group: &LaunchGroup,
        reason: Reason,
        message: &str,
        turn: &mut Turn<'_>,
    ) {
        let state = TaskState::TaskError;
        for task in &group.task_group.tasks {
            self.refuse_task(id, task, state, reason, message.to_string(), turn);
        }
    }

    /// RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME, SHRINK_VOLUME, CREATE_DISK, DESTROY_DISK.
    pub(crate) fn offer_operation(
        &mut self,
        id: &str,
        kind: Type,
        mut operation: Operation,
        pool: &mut Pool,
        turn: &mut Turn<'_>,
    ) {
        let agent = match self.agents.get(&pool.agent_id.value) {
            Some(agent) if agent.peer.is_some() => agent,
            _ => {
                let away = self.agent_away(&pool.agent_id);
                let message = away.map_or("Agent removed", |(_, message)| message);
                return self.refuse_operation(id, operation.id.as_ref(), message, turn);
            }
        };
        let roles: BTreeSet<String> = self.frameworks[id].roles().into_iter().collect();
        let checked = match well_formed(&mut operation, agent, Asker::Framework(&roles)) {
            Err(reason) => Err(reason),
            Ok(()) => {
                for resource in resources_of(&mut operation) {
                    allocate(std::slice::from_mut(resource), &pool.role);
                }
                self.check_operation(id, &operation, agent, pool)
            }
        };
        let named = operation.id.clone();
        let booked = checked.and_then(|conversions| match kind {
            Type::CreateDisk | Type::DestroyDisk | Type::Unknown => Err(format!(
                "{} is not supported by this version of Tepui",
                kind.as_str_name()
            )),
            _ => self.convert_offered(id, operation, &conversions, pool, turn),
        });
        if let Err(message) = booked {
            self.refuse_operation(id, named.as_ref(), &message, turn);
        }
    }

    /// Without an id a failed operation is silent for the scheduler.
    pub(crate) fn refuse_operation(
        &self,
        id: &str,
        operation: Option<&OperationId>,
        message: &str,
        turn: &mut Turn<'_>,
    ) {
        tracing::info!(framework = id, message, "operation refused");
        let stream = self.frameworks[id].stream_id.as_deref();
        if let (Some(stream_id), Some(operation_id)) = (stream, operation) {
            let status = OperationStatus {
                operation_id: Some(operation_id.clone()),
                state: OperationState::OperationError as i32,
                message: Some(message.to_string()),
                ..Default::default()
            };
            turn.event(stream_id, operation_event(status));
        }
    }

    /// The rules of one operation, then whether the offers hold what it consumes.
    fn check_operation(
        &self,
        id: &str,
        operation: &Operation,
        agent: &Agent,
        pool: &Pool,
    ) -> Result<Vec<Conversion>, String> {
        let kind = operation.r#type();
        let able = rules::Abilities::of(&agent.record.capabilities);
        let is_disk = matches!(kind, Type::CreateDisk | Type::DestroyDisk);
        if is_disk && !able.resource_provider {
            return Err(format!(
                "Not supported on agent {} because it does not have RESOURCE_PROVIDER capability",
                shown(agent)
            ));
        }
        self.check_rules(By::Framework(id), operation, agent)
            .map_err(|reason| format!("{reason}; on agent {}", shown(agent)))?;
        self.authorize_operation(id, operation)?;
        let consumed = match kind {
            Type::CreateDisk => operation.create_disk.as_ref().map(|body| &body.source),
            Type::DestroyDisk => operation.destroy_disk.as_ref().map(|body| &body.source),
            _ => None,
        };
        if let Some(source) = consumed {
            let source = Resources::from_proto_unchecked(std::slice::from_ref(source));
            contained(&pool.remaining, &source, kind, "Operation")?;
            return Ok(Vec::new());
        }
        let conversions = resources::conversions(operation).map_err(|error| error.to_string())?;
        if matches!(kind, Type::GrowVolume | Type::ShrinkVolume) {
            conversions.iter().try_for_each(|conversion| {
                contained(&pool.remaining, &conversion.consumed, kind, "operation")
            })?;
        }
        Ok(conversions)
    }

    pub(crate) fn check_rules(
        &self,
        by: By<'_>,
        operation: &Operation,
        agent: &Agent,
    ) -> Result<(), String> {
        let able = rules::Abilities::of(&agent.record.capabilities);
        let (framework, principal) = match by {
            By::Framework(id) => {
                let framework = &self.frameworks[id];
                (Some(framework), framework.info().principal.as_deref())
            }
            By::Operator(principal) => (None, principal),
        };
        let roles: Option<BTreeSet<String>> =
            framework.map(|framework| framework.roles().into_iter().collect());
        let asker = roles.as_ref().map_or(Asker::Operator, Asker::Framework);
        let missing = || "The operation has no body".to_string();
        match operation.r#type() {
            Type::Reserve => {
                let body = operation.reserve.as_ref().ok_or_else(missing)?;
                rules::reserve(body, principal, able, asker)
            }
            Type::Unreserve => rules::unreserve(operation.unreserve.as_ref().ok_or_else(missing)?),
            Type::Create => {
                let body = operation.create.as_ref().ok_or_else(missing)?;
                let shares = framework.map(|framework| {
                    let shares = framework.has(FrameworkCapability::SharedResources);
                    (framework.id(), shares)
                });
                rules::create(body, &volumes_of(agent), principal, able, shares)
            }
            Type::Destroy => {
                let body = operation.destroy.as_ref().ok_or_else(missing)?;
                rules::destroy(body, &volumes_of(agent), &self.used_on(agent))
            }
            Type::GrowVolume => {
                rules::grow(operation.grow_volume.as_ref().ok_or_else(missing)?, able)
            }
            Type::ShrinkVolume => {
                rules::shrink(operation.shrink_volume.as_ref().ok_or_else(missing)?, able)
            }
            Type::CreateDisk => disk::create(operation.create_disk.as_ref().ok_or_else(missing)?),
            Type::DestroyDisk => {
                disk::destroy(operation.destroy_disk.as_ref().ok_or_else(missing)?)
            }
            Type::Launch | Type::LaunchGroup | Type::Unknown => Ok(()),
        }
    }

    /// What tasks and executors on the agent use.
    pub(crate) fn used_on(&self, agent: &Agent) -> Resources {
        let tasks = agent.tasks.iter().filter_map(|(framework, task)| {
            let entry = self.frameworks.get(framework)?.tasks.get(task)?;
            entry.holds_resources.then_some(&entry.task.resources)
        });
        let executors = agent.executors.iter().filter_map(|(framework, executor)| {
            let key = (agent.id().to_string(), executor.clone());
            let executor = self.frameworks.get(framework)?.executors.get(&key)?;
            Some(&executor.resources)
        });
        tasks
            .chain(executors)
            .map(|list| Resources::from_proto_unchecked(list))
            .fold(Resources::new(), |sum, part| sum + &part)
    }
}

/// What is refused before any rule of the operation is asked: resources that are none, and feedback that the
/// agent cannot give.
pub(crate) fn well_formed(
    operation: &mut Operation,
    agent: &Agent,
    asker: Asker<'_>,
) -> Result<(), String> {
    let invalid = |reason: String| format!("Operation attempted with invalid resources: {reason}");
    let named = resources_of(operation).len();
    if named > MAX_RESOURCES {
        return Err(format!(
            "The operation names {named} resources; at most {MAX_RESOURCES} are taken at once: send it in parts"
        ));
    }
    if matches!(asker, Asker::Operator) {
        return Ok(());
    }
    for resource in resources_of(operation) {
        resources::validate_all(std::slice::from_ref(resource))
            .map_err(|error| invalid(error.to_string()))?;
    }
    if let Some(reserve) = &operation.reserve
        && !reserve.source.is_empty()
    {
        let reason = "Reservation updates are not yet implemented for the scheduler API.";
        return Err(invalid(reason.to_string()));
    }
    if operation.id.is_none() {
        return Ok(());
    }
    let able = rules::Abilities::of(&agent.record.capabilities);
    if !able.resource_provider {
        return Err(format!(
            "Operation requested feedback, but agent {} does not have the required RESOURCE_PROVIDER capability",
            agent.id()
        ));
    }
    let of_agent = resources_of(operation)
        .iter()
        .all(|resource| resource.provider_id.is_none());
    if of_agent && !able.agent_operation_feedback {
        return Err(format!(
            "Operation on agent default resources requested feedback, but agent {} does not have the required AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities",
            agent.id()
        ));
    }
    Ok(())
}

/// All resources an operation names.
pub(crate) fn resources_of(operation: &mut Operation) -> Vec<&mut Resource> {
    let mut all: Vec<&mut Resource> = Vec::new();
    if let Some(body) = &mut operation.reserve {
        all.extend(body.resources.iter_mut().chain(&mut body.source));
    }
    if let Some(body) = &mut operation.unreserve {
        all.extend(&mut body.resources);
    }
    if let Some(body) = &mut operation.create {
        all.extend(&mut body.volumes);
    }
    if let Some(body) = &mut operation.destroy {
        all.extend(&mut body.volumes);
    }
    if let Some(body) = &mut operation.grow_volume {
        all.extend([&mut body.volume, &mut body.addition]);
    }
    if let Some(body) = &mut operation.shrink_volume {
        all.push(&mut body.volume);
    }
    if let Some(body) = &mut operation.create_disk {
        all.push(&mut body.source);
    }
    if let Some(body) = &mut operation.destroy_disk {
        all.push(&mut body.source);
    }
    all
}

/// The executor stands in each task; resources have the offer's role where they name none.
fn complete_group(group: &mut LaunchGroup, role: &str) {
    let allocate_executor = |executor: &mut ExecutorInfo| allocate(&mut executor.resources, role);
    allocate_executor(&mut group.executor);
    for task in &mut group.task_group.tasks {
        complete_health_check(task);
        let TaskInfo {
            executor,
            resources,
            ..
        } = task;
        allocate(resources, role);
        match executor {
            Some(executor) => allocate_executor(executor),
            None => *executor = Some(group.executor.clone()),
        }
    }
}

fn contained(pool: &Resources, consumed: &Resources, kind: Type, noun: &str) -> Result<(), String> {
    if pool.contains(consumed) {
        return Ok(());
    }
    let name = kind.as_str_name();
    Err(format!(
        "Invalid {name} {noun}: {pool} does not contain {consumed}"
    ))
}

fn volumes_of(agent: &Agent) -> Resources {
    Resources::from_proto_unchecked(&agent.record.total)
        .persistent_volumes()
        .unallocated()
}

/// As Mesos' log and messages name an agent.
pub(crate) fn shown(agent: &Agent) -> String {
    let record = &agent.record;
    format!(
        "{} at {} ({})",
        agent.id(),
        record.pid,
        record.info.hostname
    )
}

#[cfg(test)]
#[path = "operations_tests.rs"]
mod tests;

//! Tasks, executors and task groups, as far as they can be judged alone (Mesos: `master/validation.cpp`,
//! `task::validate`, `task::group::validate` and `executor::validate`).
//!
//! The master asks in this order, and puts its own questions between: [`id`](super::id::validate) of the
//! task, *is it free, is it this agent*, [`task`], [`limits`]; then [`command_or_executor`],
//! [`executor`], [`executor_framework`], [`executor_resources`], *is it compatible with the running one*,
//! [`custom_executor`], [`task_and_executor`], *is it contained in the offers*, [`not_in_a_group`].

use super::resources as lists;
use super::{Reason, checks, container, id};
use crate::resources::{Quantity, Resources};
use crate::same;
use crate::v1::{self, container_info, executor_info, health_check};

/// The least an executor of a task group may ask for: 0.01 cpus.
pub const MIN_CPUS: Quantity = Quantity(10);

/// The least an executor of a task group may ask for: 32 MB.
pub const MIN_MEM: Quantity = Quantity::from_units(32);

/// Policies, checks, resources, command and container, in this order. Resources must be allocated.
///
/// # Errors
/// The message of TASK_ERROR.
pub fn task(task: &v1::TaskInfo) -> Reason {
    let grace = task
        .kill_policy
        .as_ref()
        .and_then(|policy| policy.grace_period.as_ref());
    if grace.is_some_and(|period| period.nanoseconds < 0) {
        return Err("Task's 'kill_policy.grace_period' must be non-negative".into());
    }
    if task
        .max_completion_time
        .as_ref()
        .is_some_and(|time| time.nanoseconds < 0)
    {
        return Err("Task's `max_completion_time` must be non-negative".into());
    }
    if let Some(check) = &task.check {
        checks::check(check).map_err(|reason| format!("Task uses invalid check: {reason}"))?;
    }
    if let Some(check) = &task.health_check {
        checks::health_check(check)
            .map_err(|reason| format!("Task uses invalid health check: {reason}"))?;
    }
    if task.resources.is_empty() {
        return Err("Task uses no resources".into());
    }
    let sum = lists::validate(&task.resources)
        .map_err(|reason| format!("Task uses invalid resources: {reason}"))?;
    lists::unique_persistence_ids(&sum)
        .map_err(|reason| format!("Task uses duplicate persistence ID: {reason}"))?;
    lists::allocated_to_one_role(&sum)
        .map_err(|reason| format!("Invalid task resources: {reason}"))?;
    lists::not_both_revocable_and_not(&sum)
        .map_err(|reason| format!("Task mixes revocable and non-revocable resources: {reason}"))?;
    if let Some(command) = &task.command {
        container::command(command)
            .map_err(|reason| format!("Task's `CommandInfo` is invalid: {reason}"))?;
    }
    task.container.as_ref().map_or(Ok(()), |info| {
        container::container(info)
            .map_err(|reason| format!("Task's `ContainerInfo` is invalid: {reason}"))
    })
}

/// Step 11: limits only for `cpus` and `mem`, and not below the request.
///
/// # Errors
/// As above; also where the agent cannot limit.
pub fn limits(task: &v1::TaskInfo, agent_limits_resources: bool) -> Reason {
    if task.limits.is_empty() {
        return Ok(());
    }
    if !agent_limits_resources {
        return Err("Agent is not capable of handling task resource limits".into());
    }
    if task
        .limits
        .keys()
        .any(|name| name != "cpus" && name != "mem")
    {
        return Err("Only cpus and mem may be included in a task's resource limits".into());
    }
    let resources = Resources::from_proto_unchecked(&task.resources);
    for (name, long, short) in [("cpus", "CPU", "cpu"), ("mem", "memory", "memory")] {
        let Some(limit) = task.limits.get(name) else {
            continue;
        };
        if !resources.names().contains(name) {
            return Err(format!(
                "When a {long} limit is specified, a {long} request must also be specified"
            ));
        }
        let request = resources.scalar(name);
        let is_enough = limit.value == f64::INFINITY
            || Quantity::from_f64(limit.value).is_some_and(|limit| limit >= request);
        if !is_enough {
            return Err(format!(
                "The {short} limit must be greater than or equal to the {short} request"
            ));
        }
    }
    Ok(())
}

/// # Errors
/// Both or none.
pub fn command_or_executor(task: &v1::TaskInfo) -> Reason {
    if task.executor.is_some() == task.command.is_some() {
        return Err(
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
                .into(),
        );
    }
    Ok(())
}

/// Type, id, grace period, command and container of any executor.
///
/// # Errors
/// Names the field.
pub fn executor(executor: &v1::ExecutorInfo) -> Reason {
    match executor.r#type() {
        executor_info::Type::Default => default_executor(executor)?,
        executor_info::Type::Custom if executor.command.is_none() => {
            return Err("'ExecutorInfo.command' must be set for 'CUSTOM' executor".into());
        }
        executor_info::Type::Custom | executor_info::Type::Unknown => {}
    }
    id::validate(&executor.executor_id.value)?;
    let grace = executor.shutdown_grace_period.as_ref();
    if grace.is_some_and(|period| period.nanoseconds < 0) {
        return Err("ExecutorInfo's 'shutdown_grace_period' must be non-negative".into());
    }
    if let Some(command) = &executor.command {
        container::command(command)
            .map_err(|reason| format!("Executor's `CommandInfo` is invalid: {reason}"))?;
    }
    executor.container.as_ref().map_or(Ok(()), |info| {
        container::container(info)
            .map_err(|reason| format!("Executor's `ContainerInfo` is invalid: {reason}"))
    })
}

fn default_executor(executor: &v1::ExecutorInfo) -> Reason {
    if executor.command.is_some() {
        return Err("'ExecutorInfo.command' must not be set for 'DEFAULT' executor".into());
    }
    let Some(info) = &executor.container else {
        return Ok(());
    };
    if info.r#type() != container_info::Type::Mesos {
        return Err("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor".into());
    }
    if info
        .mesos
        .as_ref()
        .is_some_and(|mesos| mesos.image.is_some())
    {
        return Err(
            "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor".into(),
        );
    }
    Ok(())
}

/// # Errors
/// The framework's id must be set and be its own.
pub fn executor_framework(executor: &v1::ExecutorInfo, framework_id: &str) -> Reason {
    match &executor.framework_id {
        None => Err("'ExecutorInfo.framework_id' must be set".into()),
        Some(id) if id.value != framework_id => Err(format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {framework_id})",
            id.value
        )),
        Some(_) => Ok(()),
    }
}

/// # Errors
/// As for tasks, in the executor's name.
pub fn executor_resources(executor: &v1::ExecutorInfo) -> Reason {
    let sum = lists::validate(&executor.resources)
        .map_err(|reason| format!("Executor uses invalid resources: {reason}"))?;
    lists::unique_persistence_ids(&sum)
        .map_err(|reason| format!("Executor uses duplicate persistence ID: {reason}"))?;
    lists::allocated_to_one_role(&sum)
        .map_err(|reason| format!("Invalid executor resources: {reason}"))?;
    lists::not_both_revocable_and_not(&sum)
        .map_err(|reason| format!("Executor mixes revocable and non-revocable resources: {reason}"))
}

/// What LAUNCH demands of an executor beyond [`executor`].
///
/// # Errors
/// A type other than CUSTOM, no command, shared resources, shared cgroups.
pub fn custom_executor(executor: &v1::ExecutorInfo) -> Reason {
    if executor.r#type.is_some() && executor.r#type() != executor_info::Type::Custom {
        return Err("'ExecutorInfo.type' must be 'CUSTOM'".into());
    }
    if executor.command.is_none() {
        return Err("'ExecutorInfo.command' must be set".into());
    }
    let resources = Resources::from_proto_unchecked(&executor.resources);
    if !resources.shared().is_empty() {
        return Err(format!(
            "Executor resources {resources} should not contain any shared resources"
        ));
    }
    executor_cgroups(executor)
}

fn executor_cgroups(executor: &v1::ExecutorInfo) -> Reason {
    if container::share_cgroups(executor.container.as_ref()) == Some(true) {
        return Err(
            "The 'share_cgroups' field cannot be set to 'true' on executor containers".into(),
        );
    }
    Ok(())
}

/// The resources of a task and its executor together.
///
/// # Errors
/// Overlaps, persistence ids used twice, revocable beside non-revocable.
pub fn task_and_executor(task: &v1::TaskInfo) -> Reason {
    let mine = Resources::from_proto_unchecked(&task.resources);
    let Some(executor) = &task.executor else {
        return Ok(());
    };
    let its = Resources::from_proto_unchecked(&executor.resources);
    let total = &mine + &its;
    lists::validate(&total.to_proto())
        .map_err(|reason| format!("Task and its executor use invalid resources: {reason}"))?;
    if lists::overlap(&[&mine, &its]) {
        return Err(format!(
            "There are overlapping resources in the task resources {mine} and executor resources {its}"
        ));
    }
    lists::unique_persistence_ids(&total).map_err(|reason| {
        format!("Task and its executor use duplicate persistence ID: {reason}")
    })?;
    lists::not_both_revocable_and_not(&total).map_err(|reason| {
        format!("Task and its executor mix revocable and non-revocable resources: {reason}")
    })
}

/// # Errors
/// Cgroups of its own are for tasks of a group.
pub fn not_in_a_group(task: &v1::TaskInfo) -> Reason {
    if container::share_cgroups(task.container.as_ref()) == Some(false) {
        return Err("Only tasks in a task group may have 'share_cgroups' set to 'false'".into());
    }
    Ok(())
}

/// What LAUNCH_GROUP demands of each task beyond [`task`] and [`limits`]. The caller prefixes
/// `Task 't' is invalid: `.
///
/// # Errors
/// No executor, a DOCKER container, network checks without the network, limits without cgroups.
pub fn group_task(task: &v1::TaskInfo) -> Reason {
    if task.executor.is_none() {
        return Err("'TaskInfo.executor' must be set".into());
    }
    if let Some(info) = &task.container {
        let over_network = task.health_check.as_ref().is_some_and(|check| {
            matches!(
                check.r#type(),
                health_check::Type::Http | health_check::Type::Tcp
            )
        });
        if !info.network_infos.is_empty() && over_network {
            return Err("HTTP and TCP health checks are not supported for nested containers not joining parent's network".into());
        }
        if info.r#type() == container_info::Type::Docker {
            return Err("Docker ContainerInfo is not supported on the task".into());
        }
    }
    if !task.limits.is_empty() && container::share_cgroups(task.container.as_ref()) != Some(false) {
        return Err("Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.".into());
    }
    Ok(())
}

/// What LAUNCH_GROUP demands of its executor beyond [`executor`], [`executor_framework`] and
/// [`executor_resources`]: all that comes before *is it contained in the offers*.
///
/// # Errors
/// Type, container, another executor in a task, too few resources, resources that clash.
pub fn group_executor(group: &v1::TaskGroupInfo, executor: &v1::ExecutorInfo) -> Reason {
    if executor.r#type.is_none() {
        return Err("'ExecutorInfo.type' must be set".into());
    }
    if executor.r#type() == executor_info::Type::Unknown {
        return Err("Unknown executor type".into());
    }
    let info = executor.container.as_ref();
    if info.is_some_and(|info| info.r#type() == container_info::Type::Docker) {
        return Err("Docker ContainerInfo is not supported on the executor".into());
    }
    let id = &executor.executor_id.value;
    let other = |task: &&v1::TaskInfo| {
        let its = task.executor.as_ref();
        its.is_some_and(|its| !same::executor(its, executor))
    };
    if let Some(task) = group.tasks.iter().find(other) {
        return Err(format!(
            "The `ExecutorInfo` of task '{}' is different from executor '{id}'",
            task.task_id.value
        ));
    }
    let resources = Resources::from_proto_unchecked(&executor.resources);
    enough(id, &resources)?;
    group_resources(group, &resources)
}

fn enough(id: &str, resources: &Resources) -> Reason {
    let shown = |name: &str, unit: &str| match resources.names().contains(name) {
        true => format!("{}{unit}", resources.scalar(name)),
        false => "None".to_owned(),
    };
    if resources.cpus() < MIN_CPUS {
        return Err(format!(
            "Executor '{id}' uses less CPUs ({}) than the minimum required ({MIN_CPUS})",
            shown("cpus", "")
        ));
    }
    if resources.mem() < MIN_MEM {
        return Err(format!(
            "Executor '{id}' uses less memory ({}) than the minimum required ({MIN_MEM}MB)",
            shown("mem", "MB")
        ));
    }
    if resources.disk().is_zero() {
        return Err(format!("Executor '{id}' uses no disk"));
    }
    Ok(())
}

fn group_resources(group: &v1::TaskGroupInfo, executor: &Resources) -> Reason {
    let tasks: Vec<Resources> = group
        .tasks
        .iter()
        .map(|task| Resources::from_proto_unchecked(&task.resources))
        .collect();
    let total = &tasks.iter().sum::<Resources>() + executor;
    lists::unique_persistence_ids(&total).map_err(|reason| {
        format!("Task group and executor use duplicate persistence ID: {reason}")
    })?;
    lists::not_both_revocable_and_not(&total).map_err(|reason| {
        format!("Task group and executor mix revocable and non-revocable resources: {reason}")
    })?;
    let parts: Vec<&Resources> = tasks.iter().chain([executor]).collect();
    if lists::overlap(&parts) {
        let texts: Vec<String> = tasks.iter().map(Resources::to_string).collect();
        return Err(format!(
            "There are overlapping resources in the task group's task resources {{ {} }} and/or executor resources {executor}",
            texts.join(", ")
        ));
    }
    Ok(())
}

/// All tasks of a group, and `running` ones under the same executor, share cgroups or none does.
/// `running` are the containers of the tasks that are there already, unreachable ones too.
///
/// # Errors
/// Also where the executor itself asks to share.
pub fn group_cgroups<'a>(
    group: &'a v1::TaskGroupInfo,
    executor: &v1::ExecutorInfo,
    running: impl IntoIterator<Item = Option<&'a v1::ContainerInfo>>,
) -> Reason {
    executor_cgroups(executor)?;
    let share = |info: Option<&v1::ContainerInfo>| container::share_cgroups(info).unwrap_or(true);
    let new = group.tasks.iter().map(|task| task.container.as_ref());
    let mut all = new.chain(running).map(share);
    let first = all.next();
    if all.any(|other| Some(other) != first) {
        return Err("If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single executor".into());
    }
    Ok(())
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;

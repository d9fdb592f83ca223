//! Whether a task may be launched: what only the master's tables can tell, between the structural rules, in
//! Mesos' order; the first failure is reported (`master/validation.cpp`, `task::validate` and `task::group::validate`).

use std::collections::BTreeSet;

use tepui_protocol::{
    resources::Resources,
    same,
    v1::{
        AgentId, ContainerInfo, ExecutorInfo, TaskInfo, agent_info::capability::Type as Capability,
        offer::operation::LaunchGroup,
    },
    validate::{id, task as rules},
};

use crate::core::MasterCore;

impl MasterCore {
    /// What the task takes of the pool: its own resources, and its executor's where that is new on the agent.
    pub(crate) fn check_task(
        &self,
        framework: &str,
        task: &TaskInfo,
        agent_id: &AgentId,
        offered: &Resources,
    ) -> Result<Resources, String> {
        self.check_any_task(framework, task, agent_id)?;
        rules::command_or_executor(task)?;
        let mut needed = Resources::from_proto_unchecked(&task.resources);
        if let Some(executor) = &task.executor {
            let is_new = self.check_executor(framework, executor, agent_id)?;
            rules::custom_executor(executor)?;
            if is_new {
                needed += &Resources::from_proto_unchecked(&executor.resources);
            }
        }
        rules::task_and_executor(task)?;
        if !offered.contains(&needed) {
            return Err(format!(
                "Total resources {needed} required by task and its executor is more than available {offered}"
            ));
        }
        rules::not_in_a_group(task)?;
        Ok(needed)
    }

    /// What a task must be whether it is launched alone or in a group.
    fn check_any_task(
        &self,
        framework: &str,
        task: &TaskInfo,
        agent_id: &AgentId,
    ) -> Result<(), String> {
        id::validate(&task.task_id.value)?;
        self.check_task_is_new(framework, &task.task_id.value)?;
        if task.agent_id != *agent_id {
            return Err(format!(
                "Task uses invalid agent {} while agent {} is expected",
                task.agent_id.value, agent_id.value
            ));
        }
        rules::task(task)?;
        rules::limits(task, self.limits_resources(agent_id))
    }

    /// What the group takes of the pool: its tasks' resources, and its executor's where that is new on the agent.
    /// Each task carries the executor.
    pub(crate) fn check_group(
        &self,
        framework: &str,
        launch: &LaunchGroup,
        agent_id: &AgentId,
        offered: &Resources,
    ) -> Result<Resources, String> {
        let (group, executor) = (&launch.task_group, &launch.executor);
        let mut ids = BTreeSet::new();
        for task in &group.tasks {
            let id = &task.task_id.value;
            self.check_any_task(framework, task, agent_id)
                .and_then(|()| rules::group_task(task))
                .and_then(|()| match ids.insert(id) {
                    true => Ok(()),
                    false => Err(format!("Task has duplicate ID: {id}")),
                })
                .map_err(|reason| format!("Task '{id}' is invalid: {reason}"))?;
        }
        let is_new = self.check_executor(framework, executor, agent_id)?;
        rules::group_executor(group, executor)?;
        let lists = group.tasks.iter().map(|task| &task.resources);
        let lists = lists.chain(is_new.then_some(&executor.resources));
        let needed: Resources = lists
            .map(|list| Resources::from_proto_unchecked(list))
            .fold(Resources::new(), |sum, part| sum + &part);
        if !offered.contains(&needed) {
            return Err(format!(
                "Total resources {needed} required by task group and its executor are more than available {offered}"
            ));
        }
        rules::group_cgroups(
            group,
            executor,
            self.running_under(framework, executor, agent_id),
        )?;
        Ok(needed)
    }

    /// The containers of the tasks that are there already.
    fn running_under<'a>(
        &'a self,
        framework: &'a str,
        executor: &'a ExecutorInfo,
        agent_id: &AgentId,
    ) -> impl Iterator<Item = Option<&'a ContainerInfo>> {
        let known = &self.frameworks[framework].tasks;
        let agent = self.agents.get(&agent_id.value).into_iter();
        let first = (framework.to_string(), String::new());
        let here = agent.flat_map(move |agent| agent.tasks.range(first.clone()..));
        here.take_while(move |(owner, _)| owner == framework)
            .filter_map(|(_, task)| known.get(task))
            .map(|entry| &*entry.task)
            .filter(|task| task.executor_id.as_ref() == Some(&executor.executor_id))
            .map(|task| task.container.as_deref())
    }

    fn check_task_is_new(&self, framework: &str, task_id: &str) -> Result<(), String> {
        let framework = &self.frameworks[framework];
        if framework.tasks.contains_key(task_id) {
            return Err(format!("Task has duplicate ID: {task_id}"));
        }
        let mut unreachable = framework.unreachable.iter();
        if unreachable.any(|task| task.task_id.value == task_id) {
            return Err(format!(
                "Task reuses the ID of an unreachable task: {task_id}"
            ));
        }
        Ok(())
    }

    fn limits_resources(&self, agent_id: &AgentId) -> bool {
        let agent = self.agents.get(&agent_id.value);
        agent.is_some_and(|agent| {
            let mut capabilities = agent.record.capabilities.iter();
            capabilities.any(|capability| capability.r#type() == Capability::TaskResourceLimits)
        })
    }

    /// True if the executor is new on that agent, so that its resources count.
    fn check_executor(
        &self,
        framework: &str,
        executor: &ExecutorInfo,
        agent_id: &AgentId,
    ) -> Result<bool, String> {
        rules::executor(executor)?;
        rules::executor_framework(executor, framework)?;
        rules::executor_resources(executor)?;
        let key = (agent_id.value.clone(), executor.executor_id.value.clone());
        let existing = self.frameworks[framework].executors.get(&key);
        if let Some(existing) = existing.filter(|existing| !same::executor(executor, existing)) {
            return Err(format!(
                "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n\
                 ------------------------------------------------------------\n\
                 Existing ExecutorInfo:\n{existing:?}\n\
                 ------------------------------------------------------------\n\
                 ExecutorInfo:\n{executor:?}\n\
                 ------------------------------------------------------------\n"
            ));
        }
        Ok(existing.is_none())
    }
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;

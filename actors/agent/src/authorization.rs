//! Whether this agent may run a task as the user it names (Mesos: `Slave::authorizeTask`). The master has asked the same
//! of its own lists before.

use tepui_protocol::{
    acls::{Action, is_user_name, user_of_executor, user_of_task},
    v1::{TaskInfo, TaskState, task_status::Reason},
};

use crate::{core::NodeCore, status::Verdict};

impl NodeCore {
    /// Why none of these tasks may run here. Those of a group stand and fall together.
    pub(crate) fn unauthorized(
        &self,
        framework_id: &str,
        tasks: &[TaskInfo],
        reason: Reason,
    ) -> Option<Verdict> {
        let info = &self.frameworks.get(framework_id)?.info;
        let principal = info.principal.as_deref();
        let acls = &self.config.acls;
        let (task, user) = tasks.iter().find_map(|task| {
            let executor = task.executor.as_ref().filter(|it| it.command.is_some());
            let executor = executor.map(|it| user_of_executor(it, info));
            let users = [Some(user_of_task(task, info)), executor];
            let denied = |user: &&str| {
                !is_user_name(user) || !acls.allows(Action::RunTasks, principal, Some(user))
            };
            let denied = users.into_iter().flatten().find(denied);
            Some((&task.task_id.value, denied?))
        })?;
        let text = format!(
            "Framework {framework_id} is not authorized to launch task {task} under user '{user}' on this agent"
        );
        Some(Verdict::agent(TaskState::TaskError, reason, text))
    }
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;

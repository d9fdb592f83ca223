//! What rules about users are asked for: the user of a thing, which may be that of what it belongs to.

use crate::v1::{CommandInfo, ExecutorInfo, FrameworkInfo, TaskInfo};

/// As whom the task would run.
pub fn user_of_task<'a>(task: &'a TaskInfo, framework: &'a FrameworkInfo) -> &'a str {
    let executor = task.executor.as_ref();
    let own = user_of(task.command.as_ref());
    let own = own.or_else(|| user_of(executor.and_then(|it| it.command.as_ref())));
    own.unwrap_or(&framework.user)
}

/// As whom the executor runs.
pub fn user_of_executor<'a>(executor: &'a ExecutorInfo, framework: &'a FrameworkInfo) -> &'a str {
    user_of(executor.command.as_ref()).unwrap_or(&framework.user)
}

fn user_of(command: Option<&CommandInfo>) -> Option<&str> {
    command?.user.as_deref()
}

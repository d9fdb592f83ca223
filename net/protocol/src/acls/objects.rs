//! What rules about users are asked for: the user of a thing, which may be that of what it belongs to.

use crate::v1::{CommandInfo, ExecutorInfo, FrameworkInfo, TaskInfo};

/// Without a name a command runs as its agent does, which is taken for this user.
const AGENTS_USER: &str = "root";

/// As whom the task would run.
pub fn user_of_task<'a>(task: &'a TaskInfo, framework: &'a FrameworkInfo) -> &'a str {
    let executor = task.executor.as_ref();
    let own = user_of(task.command.as_ref());
    let own = own.or_else(|| user_of(executor.and_then(|it| it.command.as_ref())));
    named(own.unwrap_or(&framework.user))
}

/// As whom the executor runs.
pub fn user_of_executor<'a>(executor: &'a ExecutorInfo, framework: &'a FrameworkInfo) -> &'a str {
    named(user_of(executor.command.as_ref()).unwrap_or(&framework.user))
}

/// As whom a framework's commands run that name nobody.
pub fn user_of_framework(framework: &FrameworkInfo) -> &str {
    named(&framework.user)
}

/// Whether it can be the name of a user. What looks like numbers of the kernel's is none: rules know names.
pub fn is_user_name(user: &str) -> bool {
    !user.contains([':', '\0'])
}

fn named(user: &str) -> &str {
    if user.is_empty() { AGENTS_USER } else { user }
}

fn user_of(command: Option<&CommandInfo>) -> Option<&str> {
    command?.user.as_deref()
}

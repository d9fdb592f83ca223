//! The executor that Mesos would run for a task with a command, as frameworks and operators are shown it. Pure.

use std::time::Duration;

use tepui_protocol::v1::{
    CommandInfo, DurationInfo, ExecutorInfo, Resource, TaskInfo, resource, value,
};

use crate::{
    amounts::{OVERHEAD_CPUS, OVERHEAD_MEM_MB},
    config::NodeConfig,
    order::is_shell,
    tables::Framework,
};

/// What Mesos adds to the grace period of a task before it destroys the container: its longest time between two looks
/// for processes that ended, and a second.
const GRACE_SLACK: Duration = Duration::from_secs(2);
/// A command longer than this is cut in the executor's name, to the second number and three points.
const NAME_COMMAND_MAX: usize = 15;
const NAME_COMMAND_CUT: usize = 12;

/// The `ExecutorInfo` that an agent makes for a task with a command.
pub(crate) fn info(config: &NodeConfig, framework: &Framework, task: &TaskInfo) -> ExecutorInfo {
    let helper = |name: &str| config.launcher_dir.join(name).display().to_string();
    let role = task
        .resources
        .iter()
        .find_map(|resource| resource.allocation_info.clone());
    let empty = CommandInfo::default();
    let command = task.command.as_ref().unwrap_or(&empty);
    ExecutorInfo {
        executor_id: crate::tables::executor_id(&task.task_id.value),
        framework_id: framework.info.id.clone(),
        command: Some(CommandInfo {
            uris: command.uris.clone(),
            environment: command.environment.clone(),
            shell: Some(false),
            value: Some(helper("mesos-executor")),
            arguments: vec![
                "mesos-executor".to_owned(),
                format!("--launcher_dir={}", config.launcher_dir.display()),
            ],
            user: command.user.clone(),
        }),
        container: task.container.clone(),
        resources: vec![
            scalar("cpus", OVERHEAD_CPUS, role.clone()),
            scalar("mem", OVERHEAD_MEM_MB, role),
        ],
        name: Some(command_executor_name(task)),
        source: Some(task.task_id.value.clone()),
        discovery: task.discovery.clone(),
        labels: task.labels.clone(),
        shutdown_grace_period: shutdown_grace_period(task),
        ..ExecutorInfo::default()
    }
}

/// Only where the task has a grace period of its own.
fn shutdown_grace_period(task: &TaskInfo) -> Option<DurationInfo> {
    let grace = task.kill_policy.as_ref()?.grace_period?;
    let slack = i64::try_from(GRACE_SLACK.as_nanos()).unwrap_or(i64::MAX);
    Some(DurationInfo {
        nanoseconds: grace.nanoseconds.saturating_add(slack),
    })
}

fn scalar(name: &str, amount: f64, role: Option<resource::AllocationInfo>) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value: amount }),
        allocation_info: role,
        ..Resource::default()
    }
}

fn command_executor_name(task: &TaskInfo) -> String {
    let command = task.command.as_ref();
    let shell = command.is_none_or(is_shell);
    let value = command.and_then(|command| command.value.as_deref());
    let shown = match (shell, value) {
        (true, Some(value)) => format!("sh -c '{}'", cut(value)),
        (true, None) => "NO COMMAND".to_owned(),
        (false, Some(value)) => {
            let arguments = command.map_or_else(String::new, |it| it.arguments.join(", "));
            format!("[{value}, {}]", cut(&arguments))
        }
        (false, None) => "NO EXECUTABLE".to_owned(),
    };
    format!(
        "Command Executor (Task: {}) (Command: {shown})",
        task.task_id.value
    )
}

fn cut(text: &str) -> String {
    if text.len() <= NAME_COMMAND_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(NAME_COMMAND_CUT);
    format!("{}...", &text[..end])
}

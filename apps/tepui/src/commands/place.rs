//! Where a task runs: the words of the command line to the agent and the container.

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tepui_client::agent::Agent;
use tepui_protocol::v1::ContainerId;

use super::lists::{list, state, text};
use crate::cli::TaskArgs;

/// A task of some framework, as the leading master knows it.
pub(super) struct Place {
    pub(super) agent: Agent,
    pub(super) container_id: ContainerId,
    pub(super) framework_id: String,
    pub(super) executor_id: String,
    pub(super) has_ended: bool,
}

/// Finds a task by its id, the latest where frameworks share one.
pub(super) async fn find(args: &TaskArgs) -> anyhow::Result<Place> {
    let task = find_task(args).await?;
    let (framework_id, task_id) = (text(&task, "framework_id"), text(&task, "id"));
    let slave_id = text(&task, "slave_id");
    let slaves = state(
        &args.target,
        &format!("/slaves?slave_id={}", escaped(&slave_id)),
    )
    .await?;
    let slaves = list(&slaves, "slaves");
    let slave = slaves.iter().find(|slave| slave["id"] == slave_id.as_str());
    let pid = slave.map(|slave| text(slave, "pid"));
    let address = pid.as_ref().and_then(|pid| pid.split_once('@'));
    let (_, address) = address.with_context(|| {
        format!(
            "the agent {slave_id} of task '{}' is not there; wait until it is back",
            args.task
        )
    })?;
    let statuses = list(&task, "statuses");
    let mut containers = statuses.iter().rev();
    let container_id =
        containers.find_map(|status| container(&status["container_status"]["container_id"]));
    let container_id = container_id.with_context(|| {
        let now = text(&task, "state");
        format!(
            "task '{}' has no container yet ({now}); try again",
            args.task
        )
    })?;
    let executor_id = text(&task, "executor_id");
    Ok(Place {
        agent: Agent::new(super::client(&args.target)?, address),
        container_id,
        framework_id,
        executor_id: if executor_id.is_empty() {
            task_id
        } else {
            executor_id
        },
        has_ended: is_over(&text(&task, "state")),
    })
}

/// Whether the task of `place` has ended by now; so is one that nobody knows any more.
pub(super) async fn has_ended(args: &TaskArgs) -> anyhow::Result<bool> {
    let tasks = tasks(args).await?;
    Ok(!tasks.iter().any(|task| !is_over(&text(task, "state"))))
}

async fn tasks(args: &TaskArgs) -> anyhow::Result<Vec<Value>> {
    let mut path = format!("/tasks?task_id={}", escaped(&args.task));
    if let Some(framework) = &args.framework {
        path += &format!("&framework_id={}", escaped(framework));
    }
    let answer = state(&args.target, &path).await?;
    let tasks = list(&answer, "tasks").into_iter();
    Ok(tasks
        .filter(|task| task["id"] == args.task.as_str())
        .collect())
}

async fn find_task(args: &TaskArgs) -> anyhow::Result<Value> {
    let tasks = tasks(args).await?;
    let (ended, live): (Vec<_>, Vec<_>) = tasks
        .into_iter()
        .partition(|task| is_over(&text(task, "state")));
    let frameworks = |tasks: &[Value]| {
        let ids = tasks.iter().map(|task| text(task, "framework_id"));
        ids.collect::<Vec<_>>().join(", ")
    };
    match (&live[..], &ended[..]) {
        ([task], _) => Ok(task.clone()),
        // Newest first.
        ([], [task, ..]) => Ok(task.clone()),
        ([], []) => bail!("there is no task '{}'; tepui ps lists them", args.task),
        _ => bail!(
            "several frameworks have a task '{}'; choose one with --framework: {}",
            args.task,
            frameworks(&live)
        ),
    }
}

fn container(id: &Value) -> Option<ContainerId> {
    let value = id["value"].as_str()?.to_owned();
    let parent = container(&id["parent"]).map(Box::new);
    Some(ContainerId { value, parent })
}

fn is_over(state: &str) -> bool {
    !matches!(
        state,
        "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING" | "TASK_UNREACHABLE"
    )
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;

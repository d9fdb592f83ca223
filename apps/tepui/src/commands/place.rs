//! Where a task runs: the words of the command line to the agent and the container.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tepui_client::agent::Agent;
use tepui_protocol::v1::ContainerId;

use super::{
    ids,
    lists::{LIMIT, list, state, text},
};
use crate::cli::{Target, TaskArgs};

/// A task of some framework, as the leading master knows it.
pub(super) struct Place {
    pub(super) agent: Agent,
    pub(super) container_id: ContainerId,
    pub(super) framework_id: String,
    pub(super) task_id: String,
    pub(super) executor_id: String,
    pub(super) has_ended: bool,
}

/// Finds a task by its id or a part of it, the latest where frameworks share one.
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
        format!("the agent {slave_id} of task '{task_id}' is not there; wait until it is back")
    })?;
    let statuses = list(&task, "statuses");
    let mut containers = statuses.iter().rev();
    let container_id =
        containers.find_map(|status| container(&status["container_status"]["container_id"]));
    let container_id = container_id.with_context(|| {
        let now = text(&task, "state");
        format!("task '{task_id}' has no container yet ({now}); try again")
    })?;
    let executor_id = text(&task, "executor_id");
    Ok(Place {
        agent: Agent::new(super::client(&args.target)?, address),
        container_id,
        framework_id,
        executor_id: if executor_id.is_empty() {
            task_id.clone()
        } else {
            executor_id
        },
        task_id,
        has_ended: is_over(&text(&task, "state")),
    })
}

/// Whether the task of `place` has ended by now; so is one that nobody knows any more.
pub(super) async fn has_ended(target: &Target, place: &Place) -> anyhow::Result<bool> {
    let tasks = called(target, &place.task_id).await?;
    let mut tasks = tasks
        .iter()
        .filter(|task| task["framework_id"] == place.framework_id.as_str());
    Ok(!tasks.any(|task| !is_over(&text(task, "state"))))
}

/// The tasks of that id, of all frameworks.
async fn called(target: &Target, id: &str) -> anyhow::Result<Vec<Value>> {
    let answer = state(target, &format!("/tasks?task_id={}", escaped(id))).await?;
    let tasks = list(&answer, "tasks").into_iter();
    Ok(tasks.filter(|task| task["id"] == id).collect())
}

/// Those of the framework that is asked for.
fn of_framework(args: &TaskArgs, mut tasks: Vec<Value>) -> Vec<Value> {
    let wanted = args.framework.as_deref().unwrap_or_default();
    tasks.retain(|task| text(task, "framework_id").starts_with(wanted));
    tasks
}

/// The tasks of the id that is meant.
async fn meant(args: &TaskArgs) -> anyhow::Result<Vec<Value>> {
    let found = of_framework(args, called(&args.target, &args.task).await?);
    if !found.is_empty() {
        return Ok(found);
    }
    let all = state(&args.target, &format!("/tasks?limit={LIMIT}")).await?;
    let all = of_framework(args, list(&all, "tasks"));
    let task_id = meant_among(&args.task, &all)?;
    Ok(all
        .into_iter()
        .filter(|task| text(task, "id") == task_id)
        .collect())
}

/// Of those that run if it is one of them; only then of those that have ended.
fn meant_among(wanted: &str, tasks: &[Value]) -> anyhow::Result<String> {
    let candidates = |is_wanted: fn(&str) -> bool| {
        let mut by_id = BTreeMap::new();
        for task in tasks {
            let now = text(task, "state");
            if is_wanted(&now) {
                by_id.entry(text(task, "id")).or_insert(now);
            }
        }
        let candidates = by_id.into_iter().map(|(id, now)| ids::Candidate {
            id,
            names: Vec::new(),
            known_as: Some(now),
        });
        candidates.collect()
    };
    let live = ids::choose(ids::TASK, wanted, candidates(|now| !is_over(now)));
    let found = live.or_else(|_| ids::choose(ids::TASK, wanted, candidates(|_| true)))?;
    Ok(found.id)
}

async fn find_task(args: &TaskArgs) -> anyhow::Result<Value> {
    let tasks = meant(args).await?;
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
        ([], []) => bail!("there is no task '{}'; `tepui ps` lists them", args.task),
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

pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;

//! A task's life, from the view.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use tepui_messages::view::Question;

use crate::{
    Inner,
    error::Error,
    overview::{address, list, millis},
    sources::Sources,
};

/// States no task leaves.
const ENDS: [&str; 8] = [
    "TASK_FINISHED",
    "TASK_FAILED",
    "TASK_KILLED",
    "TASK_ERROR",
    "TASK_LOST",
    "TASK_DROPPED",
    "TASK_GONE",
    "TASK_GONE_BY_OPERATOR",
];

pub(crate) async fn life(
    path: web::Path<(String, String)>,
    inner: web::Data<Inner>,
) -> Result<HttpResponse, Error> {
    let (framework, task_id) = path.into_inner();
    let sources = &inner.sources;
    let task = find(sources, &framework, &task_id).await?;
    let agent = agent_of(sources, &task).await?;
    let said = Question::TaskStatuses {
        framework_id: framework.clone(),
        task_id: task_id.clone(),
    };
    let said = sources.ask(said).await?;
    let life: Vec<_> = said.as_array().into_iter().flatten().map(step).collect();
    let state = task["state"].as_str().unwrap_or_default();
    Ok(HttpResponse::Ok().json(json!({
        "at_ms": sources.unix_ms(),
        "id": task["id"],
        "name": task["name"],
        "state": state,
        "ended": ENDS.contains(&state),
        "framework_id": framework,
        "executor_id": task["executor_id"],
        "role": task["role"],
        "resources": task["resources"],
        "labels": task["labels"],
        "agent": agent.as_ref().map(|agent| json!({
            "id": agent["id"], "hostname": agent["hostname"], "address": address(agent),
        })),
        "life": life,
    })))
}

fn step(status: &Value) -> Value {
    json!({
        "state": status["state"],
        "at_ms": millis(&status["timestamp"]),
        "message": status["message"],
        "reason": status["reason"],
        "source": status["source"],
        "healthy": status["healthy"],
    })
}

/// The task as `/tasks` gives it.
pub(crate) async fn find(sources: &Sources, framework: &str, task: &str) -> Result<Value, Error> {
    let question = Question::Tasks {
        framework_id: Some(framework.to_owned()),
        task_id: Some(task.to_owned()),
        limit: 1,
        offset: 0,
        ascending: false,
    };
    let mut answer = sources.ask(question).await?;
    match answer["tasks"].as_array_mut().and_then(Vec::pop) {
        Some(task) => Ok(task),
        None => Err(Error::NoTask {
            framework: framework.to_owned(),
            task: task.to_owned(),
        }),
    }
}

/// The agent of a task as `/slaves` gives it, while it is connected.
pub(crate) async fn agent_of(sources: &Sources, task: &Value) -> Result<Option<Value>, Error> {
    let Some(id) = task["slave_id"].as_str() else {
        return Ok(None);
    };
    let question = Question::Slaves {
        slave_id: Some(id.to_owned()),
    };
    let answer = sources.ask(question).await?;
    let agent = list(&answer, "slaves")
        .iter()
        .find(|agent| agent["id"] == id);
    Ok(agent.cloned())
}

//! What a task writes: pieces of its stdout and stderr, read from its agent over HTTP.
//!
//! Owns where sandboxes are, as agents told it a moment ago. Never opens a file itself.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};
use tepui_client::Client;

use crate::{
    Inner,
    error::Error,
    overview::{address, list},
    sources::Sources,
    task,
};

/// Bytes of one piece, which is also the most an agent gives at once.
const MAX_PIECE_BYTES: u64 = 64 * 1024;
/// Sandboxes remembered; all are forgotten when there are more.
const MAX_SANDBOXES: usize = 256;
/// A task may start anew elsewhere.
const SANDBOX_KEPT: Duration = Duration::from_secs(30);
/// From asking an agent to its whole answer.
const AGENT_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
struct Sandbox {
    /// `ip:port` of the agent.
    agent: String,
    directory: String,
    found: Instant,
}

#[derive(Default)]
pub(crate) struct Sandboxes(Mutex<BTreeMap<(String, String), Sandbox>>);

#[derive(Deserialize)]
pub(crate) struct Asked {
    /// In bytes; without it the last piece of the file is given.
    offset: Option<u64>,
}

/// `{data, offset, next, size}`: the text from byte `offset` on, where to go on, and the file's size.
pub(crate) async fn output(
    path: web::Path<(String, String, String)>,
    from: web::Query<Asked>,
    inner: web::Data<Inner>,
) -> Result<HttpResponse, Error> {
    let (framework, task, file) = path.into_inner();
    if file != "stdout" && file != "stderr" {
        return Err(Error::BadRequest("the output is 'stdout' or 'stderr'"));
    }
    // Without what the browser proved itself with: an agent is where it says it is, and could be anybody's.
    let client = &inner.sources.client;
    let sandbox = locate(&inner, client, framework, task).await?;
    let file = format!("{}/{file}", sandbox.directory);
    // An offset of -1 tells the size; the text alone does not, where not all of it is UTF-8.
    let size = read(client, &sandbox.agent, &file, "-1").await?;
    let size = size["offset"].as_u64().unwrap_or(0);
    let offset = from
        .offset
        .unwrap_or_else(|| size.saturating_sub(MAX_PIECE_BYTES));
    let next = size.min(offset.saturating_add(MAX_PIECE_BYTES));
    let data = if next > offset {
        let range = format!("{offset}&length={}", next - offset);
        read(client, &sandbox.agent, &file, &range).await?["data"].take()
    } else {
        Value::from("")
    };
    // A file that shrank is read from its new end on.
    let body = json!({ "data": data, "offset": offset.min(next), "next": next, "size": size });
    Ok(HttpResponse::Ok().json(body))
}

async fn read(client: &Client, agent: &str, file: &str, offset: &str) -> Result<Value, Error> {
    let path = format!("/files/read?path={}&offset={offset}", percent_encode(file));
    get(client, agent, &path).await
}

async fn get(client: &Client, agent: &str, path: &str) -> Result<Value, Error> {
    let answer = tokio::time::timeout(AGENT_DEADLINE, client.get(agent, path))
        .await
        .map_err(|_| Error::Agent(format!("no answer within {} s", AGENT_DEADLINE.as_secs())))?
        .map_err(|error| match error {
            tepui_client::Error::Refused { status: 404, .. } => Error::NoSandbox,
            error => Error::Agent(error.to_string()),
        })?;
    serde_json::from_slice(&answer).map_err(|error| Error::Agent(error.to_string()))
}

async fn locate(
    inner: &Inner,
    client: &Client,
    framework: String,
    task: String,
) -> Result<Sandbox, Error> {
    let key = (framework, task);
    if let Some(known) = inner.sandboxes.get(&key) {
        return Ok(known);
    }
    let (agent, state) = agent_state(&inner.sources, client, &key.0, &key.1).await?;
    let directory = directory(&state, &key.0, &key.1).ok_or(Error::NoSandbox)?;
    let sandbox = Sandbox {
        agent,
        directory,
        found: Instant::now(),
    };
    inner.sandboxes.put(key, sandbox.clone());
    Ok(sandbox)
}

async fn agent_state(
    sources: &Sources,
    client: &Client,
    framework: &str,
    task: &str,
) -> Result<(String, Value), Error> {
    let task = task::find(sources, framework, task).await?;
    let agent = task::agent_of(sources, &task)
        .await?
        .ok_or(Error::NoAgent)?;
    let agent = address(&agent).ok_or(Error::NoAgent)?.to_owned();
    let state = get(client, &agent, "/state").await?;
    Ok((agent, state))
}

/// The sandbox of a task in an agent's `/state`; of a task group's, the one inside its executor's.
fn directory(state: &Value, framework: &str, task: &str) -> Option<String> {
    let both = |value: &'static str, completed: &'static str| {
        move |of| list(of, value).iter().chain(list(of, completed))
    };
    let frameworks = list(state, "frameworks").iter();
    let executor = frameworks
        .chain(list(state, "completed_frameworks"))
        .filter(|candidate| candidate["id"] == framework)
        .flat_map(both("executors", "completed_executors"))
        .find(|executor| {
            let tasks = ["tasks", "queued_tasks", "completed_tasks"];
            let mut tasks = tasks.iter().flat_map(|key| list(executor, key));
            tasks.any(|candidate| candidate["id"] == task)
        })?;
    let directory = executor["directory"].as_str()?;
    if executor["type"] == "DEFAULT" {
        return Some(format!("{directory}/tasks/{task}"));
    }
    Some(directory.to_owned())
}

impl Sandboxes {
    fn get(&self, key: &(String, String)) -> Option<Sandbox> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sandbox = known.get(key)?;
        (sandbox.found.elapsed() < SANDBOX_KEPT).then(|| sandbox.clone())
    }

    fn put(&self, key: (String, String), sandbox: Sandbox) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_SANDBOXES {
            known.clear();
        }
        known.insert(key, sandbox);
    }
}

/// Escapes all but what RFC 3986 calls unreserved, and the slash.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;

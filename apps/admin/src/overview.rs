//! The cluster at a glance: totals, the first rows of each table, and a history of what ran.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};
use tepui_messages::view::{Encoding, Question};
use tepui_protocol::v1::master::call;

use crate::{
    Inner,
    error::Error,
    feed::{Frame, View},
    live::event,
    mailboxes::per_s,
    sources::Sources,
};

/// Agents and frameworks sent to a page; the rest is counted.
const MAX_ROWS: usize = 200;
const RECENT_TASKS: usize = 60;
/// Seconds of history kept: ten minutes.
const MAX_HISTORY: usize = 600;
const RESOURCES: [&str; 3] = ["cpus", "mem", "disk"];
/// Endings only count up, in the metrics; the others are of now.
const TASK_STATES: [&str; 13] = [
    "staging",
    "starting",
    "running",
    "killing",
    "finished",
    "failed",
    "killed",
    "error",
    "lost",
    "unreachable",
    "gone",
    "gone_by_operator",
    "dropped",
];

/// One point of the chart.
#[derive(Debug, Clone, Serialize)]
struct Point {
    at_ms: i64,
    running: u64,
    messages_per_s: Option<f64>,
}

/// What was read at change number `number`.
#[derive(Default)]
struct Cluster {
    number: Option<u64>,
    digest: Value,
    running: u64,
}

#[derive(Default)]
pub(crate) struct Overview {
    cluster: Cluster,
    history: VecDeque<Point>,
    /// Messages finished by each mailbox of the master, at `at_ms`.
    finished: BTreeMap<u64, u64>,
    at_ms: i64,
}

impl View for Overview {
    async fn next(&mut self, inner: &Inner) -> Frame {
        let sources = &inner.sources;
        let error = self.read_cluster(sources).await.err();
        let at_ms = sources.unix_ms();
        let finished = sources.directory.snapshot();
        let finished = finished.iter().map(|stats| (stats.id, stats.finished));
        let point = self.count(at_ms, finished.collect());
        let opening = event("history", &self.history);
        self.history.push_back(point.clone());
        if self.history.len() > MAX_HISTORY {
            self.history.pop_front();
        }
        let data = json!({
            "at_ms": at_ms,
            "cluster_name": sources.cluster,
            "version": sources.version,
            "node": sources.directory.node(),
            "change": sources.change_number(),
            "leads": (sources.leads)(),
            "error": error.map(|error| error.to_string()),
            "point": point,
            "cluster": self.cluster.digest,
        });
        Frame {
            opening,
            event: event("overview", &data),
        }
    }
}

impl Overview {
    /// Asks the view only after something changed.
    async fn read_cluster(&mut self, sources: &Sources) -> Result<(), Error> {
        let number = sources.change_number();
        if self.cluster.number == Some(number) {
            return Ok(());
        }
        let summary = sources.ask(Question::StateSummary).await?;
        // The summary tells neither their users nor their roles.
        let infos = Question::Call {
            kind: call::Type::GetFrameworks,
            encoding: Encoding::Json,
        };
        let infos = sources.ask(infos).await?;
        let shortcomings = sources.ask(Question::Shortcomings).await?;
        let metrics = sources.ask(Question::Metrics).await?;
        let recent = Question::Tasks {
            framework_id: None,
            task_id: None,
            limit: RECENT_TASKS,
            offset: 0,
            ascending: false,
        };
        let recent = sources.ask(recent).await?;
        self.cluster = Cluster {
            number: Some(number),
            running: metric(&metrics, "master/tasks_running"),
            digest: digest(&summary, &infos, &shortcomings, &metrics, &recent),
        };
        Ok(())
    }

    fn count(&mut self, at_ms: i64, finished: BTreeMap<u64, u64>) -> Point {
        let elapsed_ms = at_ms - std::mem::replace(&mut self.at_ms, at_ms);
        let last = std::mem::replace(&mut self.finished, finished);
        let grown = self
            .finished
            .iter()
            .map(|(id, now)| now.saturating_sub(last.get(id).copied().unwrap_or(0)));
        let messages_per_s = if last.is_empty() {
            None
        } else {
            per_s(grown.sum(), 0, elapsed_ms)
        };
        Point {
            at_ms,
            running: self.cluster.running,
            messages_per_s,
        }
    }
}

/// What the page shows, from the view's own answers.
fn digest(
    summary: &Value,
    infos: &Value,
    shortcomings: &Value,
    metrics: &Value,
    recent: &Value,
) -> Value {
    let agent_row = |agent| agent_row(agent, shortcomings);
    let agents = list(summary, "slaves");
    let frameworks = list(summary, "frameworks");
    let infos = infos_by_id(infos);
    let framework_row = |framework| framework_row(framework, &infos);
    let resources: serde_json::Map<_, _> = RESOURCES
        .iter()
        .map(|name| ((*name).to_owned(), share(agents, name)))
        .collect();
    let tasks: serde_json::Map<_, _> = TASK_STATES
        .iter()
        .map(|state| {
            (
                (*state).to_owned(),
                json!(metric(metrics, &format!("master/tasks_{state}"))),
            )
        })
        .collect();
    let hosts = names(agents, "hostname");
    let framework_names = names(frameworks, "name");
    let recent: Vec<_> = list(recent, "tasks")
        .iter()
        .map(|task| recent_task(task, &hosts, &framework_names))
        .collect();
    json!({
        "agents": {
            "total": agents.len(),
            "active": agents.iter().filter(|agent| agent["active"] == true).count(),
            "unreachable": metric(metrics, "master/slaves_unreachable"),
            "rows": agents.iter().take(MAX_ROWS).map(agent_row).collect::<Vec<_>>(),
            "omitted": agents.len().saturating_sub(MAX_ROWS),
        },
        "frameworks": {
            "total": frameworks.len(),
            "active": frameworks.iter().filter(|framework| framework["active"] == true).count(),
            "rows": frameworks.iter().take(MAX_ROWS).map(framework_row).collect::<Vec<_>>(),
            "omitted": frameworks.len().saturating_sub(MAX_ROWS),
        },
        "tasks": tasks,
        "resources": resources,
        "recent": recent,
    })
}

fn agent_row(agent: &Value, shortcomings: &Value) -> Value {
    let one = std::slice::from_ref(agent);
    let id = agent["id"].as_str().unwrap_or_default();
    json!({
        "shortcoming": shortcomings[id],
        "id": agent["id"],
        "hostname": agent["hostname"],
        "address": address(agent),
        "active": agent["active"],
        "deactivated": agent["deactivated"],
        "drain": agent["drain_info"]["state"],
        "version": agent["version"],
        "registered_ms": millis(&agent["registered_time"]),
        "running": agent["TASK_RUNNING"],
        "cpus": share(one, "cpus"),
        "mem": share(one, "mem"),
        "disk": share(one, "disk"),
    })
}

/// What frameworks say of themselves, from GET_FRAMEWORKS.
fn infos_by_id(answer: &Value) -> BTreeMap<&str, &Value> {
    list(&answer["get_frameworks"], "frameworks")
        .iter()
        .map(|framework| &framework["framework_info"])
        .filter_map(|info| Some((info["id"]["value"].as_str()?, info)))
        .collect()
}

fn framework_row(framework: &Value, infos: &BTreeMap<&str, &Value>) -> Value {
    let info = framework["id"].as_str().and_then(|id| infos.get(id));
    let waiting =
        ["TASK_STAGING", "TASK_STARTING"].map(|state| framework[state].as_u64().unwrap_or(0));
    json!({
        "id": framework["id"],
        "name": framework["name"],
        "active": framework["active"],
        "connected": framework["connected"],
        "recovered": framework["recovered"],
        "user": info.map(|info| &info["user"]),
        "roles": info.map_or_else(Vec::new, |info| roles(info)),
        "running": framework["TASK_RUNNING"],
        "waiting": waiting.iter().sum::<u64>(),
        "cpus": framework["used_resources"]["cpus"],
        "mem": framework["used_resources"]["mem"],
    })
}

fn recent_task(
    task: &Value,
    hosts: &BTreeMap<&str, &str>,
    frameworks: &BTreeMap<&str, &str>,
) -> Value {
    let id_of = |key: &str| task[key].as_str().unwrap_or_default();
    let statuses = list(task, "statuses");
    json!({
        "id": task["id"],
        "name": task["name"],
        "state": task["state"],
        "framework_id": task["framework_id"],
        "framework": frameworks.get(id_of("framework_id")),
        "agent": hosts.get(id_of("slave_id")),
        "started_ms": statuses.first().map(|status| millis(&status["timestamp"])),
        "updated_ms": statuses.last().map(|status| millis(&status["timestamp"])),
    })
}

/// Frameworks with the MULTI_ROLE capability have `roles`, others `role`, which is `*` unless said.
fn roles(info: &Value) -> Vec<&str> {
    let is_multi = list(info, "capabilities")
        .iter()
        .any(|capability| capability["type"] == "MULTI_ROLE");
    if is_multi {
        let many = list(info, "roles").iter();
        return many.filter_map(Value::as_str).collect();
    }
    vec![info["role"].as_str().unwrap_or("*")]
}

/// Used, offered and total of one scalar resource, summed over agents.
fn share(agents: &[Value], name: &str) -> Value {
    let sum = |of: &str| -> f64 {
        let amounts = agents.iter().filter_map(|agent| agent[of][name].as_f64());
        // A sum of nothing would be below zero in print.
        amounts.fold(0.0, |sum, amount| sum + amount)
    };
    json!({ "used": sum("used_resources"), "offered": sum("offered_resources"), "total": sum("resources") })
}

fn names<'a>(rows: &'a [Value], key: &str) -> BTreeMap<&'a str, &'a str> {
    rows.iter()
        .filter_map(|row| Some((row["id"].as_str()?, row[key].as_str()?)))
        .collect()
}

/// `ip:port` of an agent, from its pid `slave(1)@ip:port`.
pub(crate) fn address(agent: &Value) -> Option<&str> {
    agent["pid"]
        .as_str()?
        .rsplit_once('@')
        .map(|(_, address)| address)
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Milliseconds of a time in seconds; of none, null.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a time after 1970 in milliseconds fits"
)]
pub(crate) fn millis(seconds: &Value) -> Option<i64> {
    seconds
        .as_f64()
        .map(|seconds| (seconds * 1_000.0).round() as i64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, written as a float"
)]
fn metric(metrics: &Value, name: &str) -> u64 {
    metrics[name].as_f64().unwrap_or(0.0) as u64
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;

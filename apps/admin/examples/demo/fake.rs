//! A made-up cluster: a view that answers, an agent that has files, mailboxes that fill and empty.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::{Value, json};
use tepui_admin::Sources;
use tepui_client::Client;
use tepui_kit::{Ask, AskError, Clock, Directory};
use tepui_messages::view::{Query, Question};

pub(crate) const FRAMEWORK: &str = "5f3c9a52-7d21-4c0e-9a61-0c9c6c0f8a11-0000";
const AGENT: &str = "5f3c9a52-7d21-4c0e-9a61-0c9c6c0f8a11-S";
const TASKS: usize = 14;
const STATES: [&str; 5] = [
    "TASK_RUNNING",
    "TASK_FINISHED",
    "TASK_RUNNING",
    "TASK_FAILED",
    "TASK_STAGING",
];

/// Answers as a master's view does, and counts the questions.
pub(crate) struct View {
    pub(crate) agent: String,
    pub(crate) asked: AtomicU64,
}

impl Ask<Query> for View {
    fn ask(&self, query: Query) -> BoxFuture<'static, Result<web::Bytes, AskError>> {
        self.asked.fetch_add(1, Relaxed);
        let answer = match query.question {
            Question::StateSummary => summary(&self.agent),
            Question::Call { .. } => infos(),
            Question::Shortcomings => json!({}),
            Question::Metrics => metrics(),
            Question::Slaves { .. } => json!({ "slaves": [agent(0, &self.agent)] }),
            Question::Tasks {
                task_id: Some(id), ..
            } => {
                let number = id.strip_prefix("job-").and_then(|id| id.parse().ok());
                let tasks: Vec<_> = number
                    .filter(|n| *n < TASKS)
                    .map(task)
                    .into_iter()
                    .collect();
                json!({ "tasks": tasks })
            }
            Question::TaskStatuses { task_id, .. } => {
                let number = task_id.strip_prefix("job-").and_then(|id| id.parse().ok());
                number.map_or(json!([]), |n| task(n)["statuses"].clone())
            }
            Question::Tasks { .. } => json!({ "tasks": (0..TASKS).map(task).collect::<Vec<_>>() }),
            other => return async move { Err(AskError::Refused(format!("{other:?}"))) }.boxed(),
        };
        async move { Ok(answer.to_string().into()) }.boxed()
    }
}

/// Everything the web admin reads from, and the number of the last change; the agent listens at `agent`.
pub(crate) fn sources(view: Arc<View>) -> (Sources, Arc<AtomicU64>) {
    let changes = Arc::new(AtomicU64::new(1));
    let number = Arc::clone(&changes);
    let sources = Sources {
        directory: Directory::new("master", Clock::system()),
        view,
        changes: Arc::new(move || number.load(Relaxed)),
        agents_mailboxes: Arc::new(|| async { (agents(), 0) }.boxed()),
        leads: Arc::new(|| true),
        client: Client::default(),
        cluster: Some("demo".to_owned()),
        version: "0.1.0".to_owned(),
    };
    (sources, changes)
}

/// An agent on a free port of the loopback: its address, and the server to be run.
pub(crate) fn start_agent() -> std::io::Result<(String, actix_web::dev::Server)> {
    let server = HttpServer::new(|| {
        App::new()
            .route("/state", web::get().to(agent_state))
            .route("/files/read", web::get().to(file))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))?;
    let address = server.addrs()[0].to_string();
    Ok((address, server.run()))
}

async fn agent_state() -> HttpResponse {
    let executors: Vec<_> = (0..TASKS)
        .map(|n| json!({ "id": format!("job-{n}"), "directory": format!("/sandbox/job {n}"), "tasks": [task(n)] }))
        .collect();
    HttpResponse::Ok().json(json!({ "frameworks": [{ "id": FRAMEWORK, "executors": executors }] }))
}

async fn file(query: web::Query<std::collections::BTreeMap<String, String>>) -> HttpResponse {
    let path = query.get("path").map_or("", String::as_str);
    let text = if path == "/sandbox/job 0/stdout" {
        let lines = 40 + seconds() as u64 % 1_000;
        (0..lines)
            .map(|n| format!("step {n:>4}: read 128 rows, wrote 128 rows, <b>no markup</b>\n"))
            .collect()
    } else if path.ends_with("stdout") {
        "hello\n".to_owned()
    } else {
        String::new()
    };
    let number = |key: &str| query.get(key).and_then(|value| value.parse::<usize>().ok());
    let Some(offset) = number("offset") else {
        return HttpResponse::Ok().json(json!({ "data": "", "offset": text.len() }));
    };
    let end = text.len().min(offset + number("length").unwrap_or(65_536));
    let data = text.get(offset..end).unwrap_or_default();
    HttpResponse::Ok().json(json!({ "data": data, "offset": offset }))
}

fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn agent(number: usize, address: &str) -> Value {
    let used = [2.6, 0.4, 3.9][number % 3];
    json!({
        "id": format!("{AGENT}{number}"), "hostname": format!("rack{number}-node{number}.example"),
        "pid": format!("slave(1)@{address}"), "active": number != 1, "deactivated": number == 1, "version": "0.1.0",
        "registered_time": seconds() - 5_400.0 * (number + 1) as f64, "TASK_RUNNING": 2 * number,
        "resources": { "cpus": 4.0, "mem": 8_192.0, "disk": 102_400.0, "ports": "[31000-32000]" },
        "used_resources": { "cpus": used, "mem": used * 1_500.0, "disk": 4_096.0 * used },
        "offered_resources": { "cpus": (4.0 - used) / 2.0, "mem": 700.0, "disk": 9_000.0 },
    })
}

fn summary(address: &str) -> Value {
    let framework = |number: usize, name: &str, active: bool| {
        json!({
            "id": format!("{}{number}", &FRAMEWORK[..FRAMEWORK.len() - 1]), "name": name,
            "active": active, "connected": active, "recovered": false, "TASK_RUNNING": 5 - number, "TASK_STAGING": 1, "TASK_STARTING": 0,
            "used_resources": { "cpus": 1.5, "mem": 3_000.0 },
        })
    };
    json!({
        "slaves": (0..3).map(|number| agent(number, address)).collect::<Vec<_>>(),
        "frameworks": [framework(0, "demo-scheduler", true), framework(1, "cron", false)],
    })
}

fn infos() -> Value {
    let info = |number: usize, name: &str| {
        json!({ "framework_info": {
            "id": { "value": format!("{}{number}", &FRAMEWORK[..FRAMEWORK.len() - 1]) }, "name": name, "user": "www",
            "roles": ["web", "batch/nightly"], "capabilities": [{ "type": "MULTI_ROLE" }],
        } })
    };
    json!({ "type": "GET_FRAMEWORKS", "get_frameworks": { "frameworks": [info(0, "demo-scheduler"), info(1, "cron")] } })
}

fn metrics() -> Value {
    json!({
        "master/tasks_running": 6.0 + (seconds() / 3.0).sin().round(), "master/tasks_staging": 2.0, "master/tasks_finished": 1_284.0,
        "master/tasks_failed": 7.0, "master/tasks_killed": 3.0, "master/slaves_unreachable": 0.0,
    })
}

fn task(number: usize) -> Value {
    let born = 1_795_382_811.195 - 7.0 * number as f64;
    let state = STATES[number % STATES.len()];
    let mut statuses = vec![
        json!({ "state": "TASK_STARTING", "timestamp": born }),
        json!({ "state": "TASK_RUNNING", "timestamp": born + 0.0384, "healthy": true }),
    ];
    match state {
        "TASK_STAGING" => statuses.clear(),
        "TASK_RUNNING" => {}
        end => statuses.push(json!({ "state": end, "timestamp": born + 2.412, "message": "Command exited with status 1" })),
    }
    json!({
        "id": format!("job-{number}"), "name": format!("render <{number}>"), "framework_id": FRAMEWORK, "executor_id": "",
        "slave_id": format!("{AGENT}0"), "state": state, "role": "web", "statuses": statuses,
        "resources": { "cpus": 0.5, "mem": 256.0, "disk": 0.0, "gpus": 0.0 },
    })
}

fn agents() -> Vec<(String, Value)> {
    let actors = ["agent", "status-updates", "containers", "bridge"];
    let of = |node: usize| -> Vec<_> {
        (0..actors.len())
            .map(|id| mailbox(node, id, actors[id]))
            .collect()
    };
    (0..3)
        .map(|node| {
            (
                format!("rack{node}-node{node}.example"),
                Value::from(of(node)),
            )
        })
        .collect()
}

fn mailbox(node: usize, id: usize, actor: &str) -> Value {
    let count = (seconds() * (7.3 * (id + 1) as f64)) as u64 % 1_000_000_000;
    let stuck = node == 2 && actor == "containers";
    let message = |name: &str, share: u64| {
        json!({
            "message": name, "count": count / share, "wait_p50_us": 3.1, "wait_p99_us": 48.0 * share as f64,
            "handle_p50_us": 0.8, "handle_p99_us": 21.5,
        })
    };
    json!({
        "id": id, "kind": actor, "actor": actor, "thread": "agent", "state": if node == 1 && id == 3 { "restarting" } else { "running" },
        "depth": if stuck { 61 } else { (count % 3) as usize * id }, "capacity": 64, "peak": 12 + 50 * usize::from(stuck), "control_depth": 0,
        "accepted": count, "finished": count - 1, "refused": if stuck { 18 } else { 0 }, "lost": 0,
        "oldest_age_ms": if stuck { 7_400 } else { 0 }, "wait_p50_us": 3.1, "wait_p99_us": if stuck { 6_800_000.0 } else { 61.0 },
        "handle_p50_us": 0.8, "handle_p99_us": if stuck { 7_400_000.0 } else { 2_150.0 }, "busy_percent": if stuck { 100.0 } else { 3.4 },
        "handling_now": stuck.then(|| json!({ "message": "LaunchContainer", "since_ms": 7_412 })),
        "restarts": u32::from(node == 1 && id == 3), "last_panic": (node == 1 && id == 3).then_some("the frame was 12 bytes short"),
        "timers": 2, "futures": 1, "per_message": [message("LaunchContainer", 4), message("StatusUpdate", 2), message("Tick", 9)],
    })
}

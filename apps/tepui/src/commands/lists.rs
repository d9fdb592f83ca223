//! `tepui ps | agents | frameworks | offers`: what the leading master knows.

use std::process::ExitCode;

use serde_json::Value;

use super::{Refusal, moments, of_leader, why};
use crate::{
    cli::{ListArgs, OffersArgs, Target},
    output,
};

/// How many tasks, and how many offers, are asked for.
pub(super) const LIMIT: usize = 10_000;

/// A column's header, and its cell for an object.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// What the leader answers.
pub(super) async fn state(target: &Target, path: &str) -> anyhow::Result<Value> {
    of_leader(target, async |operator| operator.json(path).await).await
}

/// Prints the objects: as JSON lines, or the named columns as a table.
pub(super) fn print(
    objects: &[Value],
    json: bool,
    columns: &[Column],
    empty: &str,
) -> anyhow::Result<ExitCode> {
    if json {
        output::lines(objects.iter().map(ToString::to_string))?;
        return Ok(ExitCode::SUCCESS);
    }
    let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let rows: Vec<Vec<String>> = objects
        .iter()
        .map(|object| columns.iter().map(|(_, cell)| cell(object)).collect())
        .collect();
    output::table(&header, &rows, empty)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn list(answer: &Value, key: &str) -> Vec<Value> {
    answer[key].as_array().cloned().unwrap_or_default()
}

pub(super) fn text(object: &Value, key: &str) -> String {
    match &object[key] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_string(),
        other => other.to_string(),
    }
}

/// Says where there may be more than is shown.
fn note_rest(answer: &Value, key: &str) {
    if answer[key]
        .as_array()
        .is_some_and(|them| them.len() >= LIMIT)
    {
        output::note(&format!("only {LIMIT} {key} are shown; there may be more"));
    }
}

/// What may become of an agent's resources.
fn stance(agent: &Value) -> String {
    if let Some(absent) = agent["absent"].as_str() {
        return match agent["since_nanos"].as_i64() {
            Some(since) => format!("{absent} since {}", moments::shown(since)),
            None => absent.to_string(),
        };
    }
    let draining = agent["drain_info"]["state"].as_str();
    match (draining, agent["active"].as_bool()) {
        (Some(state), _) => state.to_lowercase(),
        (None, Some(true)) => "active".to_string(),
        (None, _) if agent["deactivated"] == true => "deactivated".to_string(),
        (None, _) => "disconnected".to_string(),
    }
}

fn resources(object: &Value, key: &str) -> String {
    if object[key].is_null() {
        return "-".to_string();
    }
    let amount = |name: &str| object[key][name].as_f64().unwrap_or(0.0);
    format!("{} cpus, {} MB", amount("cpus"), amount("mem"))
}

pub(crate) async fn tasks(args: ListArgs) -> anyhow::Result<ExitCode> {
    let answer = state(&args.target, &format!("/tasks?limit={LIMIT}")).await?;
    note_rest(&answer, "tasks");
    let columns: &[Column] = &[
        ("TASK", |task| text(task, "id")),
        ("NAME", |task| text(task, "name")),
        ("STATE", |task| text(task, "state")),
        ("RESOURCES", |task| resources(task, "resources")),
        ("AGENT", |task| text(task, "slave_id")),
        ("FRAMEWORK", |task| text(task, "framework_id")),
    ];
    print(&list(&answer, "tasks"), args.json, columns, "no tasks")
}

pub(crate) async fn agents(args: ListArgs) -> anyhow::Result<ExitCode> {
    let mut agents = list(&state(&args.target, "/slaves").await?, "slaves");
    agents.extend(absent(&args.target).await?);
    let columns: &[Column] = &[
        ("AGENT", |agent| text(agent, "id")),
        ("HOST", |agent| match &agent["port"] {
            Value::Null => text(agent, "hostname"),
            port => format!("{}:{port}", text(agent, "hostname")),
        }),
        ("STATE", stance),
        ("TOTAL", |agent| resources(agent, "resources")),
        ("USED", |agent| resources(agent, "used_resources")),
        ("OFFERED", |agent| resources(agent, "offered_resources")),
    ];
    print(&agents, args.json, columns, "no agents")
}

/// Agents that are not registered: those that have not come back to a new leader, and those that were given up.
async fn absent(target: &Target) -> anyhow::Result<Vec<Value>> {
    let path = format!("/tepui/v1/absent-agents?limit={LIMIT}");
    let answer = match state(target, &path).await {
        Ok(answer) => answer,
        // A master of an earlier version has no such page.
        Err(error) if error.downcast_ref::<Refusal>().map(|it| it.status) == Some(404) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let recovered = list(&answer, "recovered").into_iter().map(|mut agent| {
        agent["absent"] = "not back yet".into();
        agent
    });
    let unreachable = list(&answer, "unreachable").into_iter().map(|mut agent| {
        let since = agent["since"].as_f64().unwrap_or(0.0);
        agent["absent"] = "unreachable".into();
        agent["since_nanos"] = ((since * 1e9) as i64).into();
        agent
    });
    Ok(recovered.chain(unreachable).collect())
}

pub(crate) async fn frameworks(args: ListArgs) -> anyhow::Result<ExitCode> {
    let answer = state(&args.target, "/frameworks").await?;
    let columns: &[Column] = &[
        ("FRAMEWORK", |framework| text(framework, "id")),
        ("NAME", |framework| text(framework, "name")),
        ("USER", |framework| text(framework, "user")),
        ("CONNECTED", |framework| text(framework, "connected")),
        ("TASKS", |framework| {
            list(framework, "tasks").len().to_string()
        }),
        ("USED", |framework| resources(framework, "used_resources")),
    ];
    print(
        &list(&answer, "frameworks"),
        args.json,
        columns,
        "no frameworks",
    )
}

pub(crate) async fn offers(args: OffersArgs) -> anyhow::Result<ExitCode> {
    let path = format!("/tepui/v1/offers?limit={LIMIT}");
    let answer = state(&args.list.target, &path).await?;
    note_rest(&answer, "offers");
    if args.history {
        return offer_history(&answer, args.list.json);
    }
    let columns: &[Column] = &[
        ("OFFER", |offer| text(offer, "id")),
        ("FRAMEWORK", |offer| text(offer, "framework_id")),
        ("AGENT", |offer| text(offer, "agent_id")),
        ("ROLE", |offer| text(offer, "role")),
        ("RESOURCES", |offer| resources(offer, "resources")),
        ("AGE", |offer| why::seconds(&offer["age_secs"])),
    ];
    print(
        &list(&answer, "offers"),
        args.list.json,
        columns,
        "no offers",
    )
}

/// Who holds most for longest, and how the last offers ended.
fn offer_history(answer: &Value, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::lines([answer.to_string()])?;
        return Ok(ExitCode::SUCCESS);
    }
    let holders: &[Column] = &[
        ("FRAMEWORK", |holder| text(holder, "framework_id")),
        ("NAME", |holder| text(holder, "framework")),
        ("HOLDS", |holder| text(holder, "standing")),
        ("OLDEST", |holder| age(holder, "oldest_secs")),
        ("SHARE x AGE", |holder| age(holder, "share_secs")),
        ("SENT", |holder| text(holder, "sent")),
        ("ACCEPTED", |holder| text(holder, "accepted")),
        ("DECLINED", |holder| text(holder, "declined")),
        ("RESCINDED", |holder| text(holder, "rescinded")),
        ("LOST", |holder| text(holder, "lost")),
        ("MEAN HELD", |holder| age(holder, "mean_held_secs")),
    ];
    print(
        &list(answer, "holders"),
        false,
        holders,
        "no framework holds an offer",
    )?;
    output::lines([String::new()])?;
    let ended: &[Column] = &[
        ("OFFER", |offer| text(offer, "id")),
        ("FRAMEWORK", |offer| text(offer, "framework")),
        ("AGENT", |offer| text(offer, "agent_id")),
        ("RESOURCES", |offer| resources(offer, "resources")),
        ("HELD", |offer| age(offer, "held_secs")),
        ("END", |offer| text(offer, "end")),
        ("REFUSED FOR", |offer| age(offer, "refused_secs")),
    ];
    print(
        &list(answer, "ended"),
        false,
        ended,
        "no offer has ended yet",
    )
}

fn age(object: &Value, key: &str) -> String {
    match &object[key] {
        Value::Null => "-".to_string(),
        seconds => why::seconds(seconds),
    }
}

//! `tepui drain | deactivate | reactivate | gone`: agents that leave, for a while or for ever.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use serde_json::Value;
use tepui_protocol::{
    schema::google::protobuf,
    v1::{
        AgentId,
        master::{
            Call,
            call::{DeactivateAgent, DrainAgent, MarkAgentGone, ReactivateAgent, Type},
        },
    },
};

use super::{
    calls, ids,
    lists::{list, state, text},
    moments,
    place::escaped,
};
use crate::{
    cli::{DrainArgs, GoneArgs, OneAgentArgs, Target},
    output,
};

/// Between two looks whether an agent is drained.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How many times as long as a look took: to count the tasks of one agent is to read about all.
const LOOK_REST: u32 = 20;
/// What was asked for is not so.
const AMISS: u8 = 1;

fn id(agent: &ids::Candidate) -> AgentId {
    AgentId {
        value: agent.id.clone(),
    }
}

pub(crate) async fn drain(args: DrainArgs) -> anyhow::Result<ExitCode> {
    let target = &args.agent.target;
    let grace = args.max_grace.as_deref();
    let grace = grace.map(|text| moments::span("--max-grace", text));
    let grace = grace.transpose()?.map(|span| protobuf::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        // Less than a billion.
        nanos: span.subsec_nanos().cast_signed(),
    });
    let agent = ids::agent(target, &args.agent.agent).await?;
    let call = Call {
        r#type: Some(Type::DrainAgent as i32),
        drain_agent: Some(DrainAgent {
            agent_id: id(&agent),
            max_grace_period: grace,
            mark_gone: Some(args.gone),
        }),
        ..Call::default()
    };
    let shown = agent.shown();
    let what = format!("agent {shown} will be given up for ever once it is drained");
    if args.gone && !calls::is_sure(&args.certainty, &what)? {
        return Ok(ExitCode::from(AMISS));
    }
    calls::change(target, &format!("drain agent {shown}"), &call).await?;
    if args.wait {
        return follow(&args, &agent).await;
    }
    let then = match args.gone {
        true => "when they have ended it is gone for ever".to_string(),
        false => format!(
            "`tepui reactivate {}` brings it back once they have ended",
            args.agent.agent
        ),
    };
    output::lines([format!(
        "agent {shown} drains: its tasks are asked to end, and it is offered to nobody; {then}"
    )])?;
    Ok(ExitCode::SUCCESS)
}

/// Where a drain is.
#[derive(Debug, PartialEq)]
enum Progress {
    Draining(u64),
    Drained,
    /// Somebody has brought it back.
    Recalled,
    /// It is not registered: away, or gone.
    Absent,
}

/// Tells how many tasks are left whenever that changes, until the drain is over.
async fn follow(args: &DrainArgs, agent: &ids::Candidate) -> anyhow::Result<ExitCode> {
    let OneAgentArgs {
        agent: wanted,
        target,
    } = &args.agent;
    let shown = agent.shown();
    let mut told = None;
    loop {
        let begun = Instant::now();
        let now = progress(target, &agent.id).await?;
        let rest = LOOK_INTERVAL.max(begun.elapsed() * LOOK_REST);
        match &now {
            Progress::Drained if !args.gone => {
                output::lines([format!(
                    "agent {shown} is drained; `tepui reactivate {wanted}` brings it back"
                )])?;
                return Ok(ExitCode::SUCCESS);
            }
            Progress::Absent if args.gone && is_gone(target, &agent.id).await? => {
                output::lines([format!("agent {shown} is gone")])?;
                return Ok(ExitCode::SUCCESS);
            }
            Progress::Recalled => {
                output::note(&format!(
                    "agent {shown} was brought back before it was drained"
                ));
                return Ok(ExitCode::from(AMISS));
            }
            Progress::Draining(_) | Progress::Drained | Progress::Absent => {}
        }
        if told.as_ref() != Some(&now) {
            output::note(&format!("agent {shown}: {}", words(&now)));
            told = Some(now);
        }
        tokio::time::sleep(rest).await;
    }
}

fn words(progress: &Progress) -> String {
    match progress {
        Progress::Draining(0) => {
            "no task runs any more; waiting until frameworks have acknowledged that".to_string()
        }
        Progress::Draining(1) => "1 task is left".to_string(),
        Progress::Draining(count) => format!("{count} tasks are left"),
        Progress::Drained => "drained".to_string(),
        Progress::Recalled => "brought back".to_string(),
        Progress::Absent => "away; it drains when it is back".to_string(),
    }
}

async fn progress(target: &Target, id: &str) -> anyhow::Result<Progress> {
    let path = format!("/slaves?slave_id={}", escaped(id));
    let agents = list(&state(target, &path).await?, "slaves");
    let Some(agent) = agents.first() else {
        return Ok(Progress::Absent);
    };
    match agent["drain_info"]["state"].as_str() {
        None => Ok(Progress::Recalled),
        Some("DRAINED") => Ok(Progress::Drained),
        Some(_) => {
            let summary = state(target, "/state-summary").await?;
            let agents = list(&summary, "slaves");
            let agent = agents.iter().find(|it| it["id"] == id);
            Ok(Progress::Draining(agent.map_or(0, live_tasks)))
        }
    }
}

/// Of an agent in `/state-summary`, which counts tasks by their states.
fn live_tasks(agent: &Value) -> u64 {
    let live = [
        "TASK_STAGING",
        "TASK_STARTING",
        "TASK_RUNNING",
        "TASK_KILLING",
    ];
    live.iter().filter_map(|state| agent[state].as_u64()).sum()
}

/// Whether an agent was given up for ever; one that is not registered may also be away.
async fn is_gone(target: &Target, id: &str) -> anyhow::Result<bool> {
    let registry = state(target, REGISTRY).await?;
    let gone = list(&registry["gone"], "slaves");
    Ok(gone.iter().any(|agent| agent["id"]["value"] == id))
}

/// Everything that outlives a leader; only there agents are told of that do not come back.
const REGISTRY: &str = "/registrar(1)/registry";

pub(crate) async fn deactivate(args: OneAgentArgs) -> anyhow::Result<ExitCode> {
    let agent = ids::agent(&args.target, &args.agent).await?;
    let call = Call {
        r#type: Some(Type::DeactivateAgent as i32),
        deactivate_agent: Some(DeactivateAgent {
            agent_id: id(&agent),
        }),
        ..Call::default()
    };
    let shown = agent.shown();
    calls::change(&args.target, &format!("deactivate agent {shown}"), &call).await?;
    output::lines([format!(
        "agent {shown} is offered to nobody; its tasks run on, and `tepui reactivate {}` brings it back",
        args.agent
    )])?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn reactivate(args: OneAgentArgs) -> anyhow::Result<ExitCode> {
    let agent = ids::agent(&args.target, &args.agent).await?;
    let call = Call {
        r#type: Some(Type::ReactivateAgent as i32),
        reactivate_agent: Some(ReactivateAgent {
            agent_id: id(&agent),
        }),
        ..Call::default()
    };
    let shown = agent.shown();
    calls::change(&args.target, &format!("reactivate agent {shown}"), &call).await?;
    output::lines([format!("agent {shown} is offered again")])?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn gone(args: GoneArgs) -> anyhow::Result<ExitCode> {
    let (target, wanted) = (&args.agent.target, &args.agent.agent);
    let mut candidates = ids::agents(target).await?;
    let registry = state(target, REGISTRY).await?;
    // These are mostly what is given up.
    let lost = list(&registry["unreachable"], "slaves").into_iter();
    candidates.extend(lost.map(|agent| ids::Candidate {
        id: text(&agent["id"], "value"),
        names: Vec::new(),
        known_as: Some("unreachable".to_string()),
    }));
    let agent = ids::choose(ids::AGENT, wanted, candidates)?;
    let shown = agent.shown();
    let what = format!(
        "agent {shown} will be given up for ever, with its tasks, and is never let in again"
    );
    if !calls::is_sure(&args.certainty, &what)? {
        return Ok(ExitCode::from(AMISS));
    }
    let call = Call {
        r#type: Some(Type::MarkAgentGone as i32),
        mark_agent_gone: Some(MarkAgentGone {
            agent_id: id(&agent),
        }),
        ..Call::default()
    };
    calls::change(target, &format!("mark agent {shown} gone"), &call).await?;
    output::lines([format!("agent {shown} is gone")])?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[path = "agents_tests.rs"]
mod tests;

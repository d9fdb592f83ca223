//! ACCEPT to TASK_RUNNING through the public API, STARTING acknowledged on the way, beside a bare spawn-and-wait
//! loop, and beside a loop that only spawns the same shim, cgroups and command.

use std::{process::Command, time::Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use tepui_client::{Client, Events, scheduler::Scheduler};
use tepui_protocol::v1::{
    CommandInfo, FrameworkInfo, Offer, Resource, TaskId, TaskInfo, TaskState,
    scheduler::{Event, event::Type},
    value,
};

use crate::{
    dev::{self, Dev},
    shims::Shims,
};

#[derive(Debug, Clone, Args)]
pub(crate) struct LaunchOptions {
    /// Tasks to launch, one after another
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// A master that runs already [default: start `tepui dev` for the run]
    #[arg(long)]
    master: Option<String>,
    /// Port for the cluster that is started
    #[arg(long, default_value_t = 27050)]
    port: u16,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(options: LaunchOptions) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let cluster = match &options.master {
        Some(_) => None,
        None => Some(Dev::start(options.port, None)?),
    };
    let master = options
        .master
        .clone()
        .unwrap_or_else(|| format!("127.0.0.1:{}", options.port));
    let mut subject = runtime.block_on(async {
        dev::ready(&master).await?;
        launches(&master, options.count).await
    })?;
    drop(cluster);
    let mut bare = spawns(options.count)?;
    let mut shim = runtime.block_on(shims(options.count))?;
    let (p50, p99) = (
        crate::quantile(&mut subject, 0.5),
        crate::quantile(&mut subject, 0.99),
    );
    let bare_p50 = crate::quantile(&mut bare, 0.5);
    let shim_p50 = crate::quantile(&mut shim, 0.5);
    Ok(json!({
        "name": "launch-latency",
        "count": options.count,
        "subject_ms": p50,
        "subject_p99_ms": p99,
        "bare_ms": bare_p50,
        "ratio": p50 / bare_p50,
        "shim_ms": shim_p50,
        "ratio_to_shim": p50 / shim_p50,
    }))
}

/// Milliseconds from ACCEPT to TASK_RUNNING, one task at a time.
pub(crate) async fn launches(master: &str, count: usize) -> anyhow::Result<Vec<f64>> {
    let client = Client::default();
    let info = FrameworkInfo {
        user: "root".into(),
        name: "launch-latency".into(),
        ..Default::default()
    };
    let (scheduler, mut events) =
        Scheduler::subscribe(&client, &[master.to_string()], info).await?;
    let mut samples = Vec::with_capacity(count);
    for index in 0..count {
        let offer = next_offer(&mut events, &scheduler).await?;
        let task = task(&offer, index);
        let start = Instant::now();
        scheduler.launch(&offer.id, vec![task], 0.0).await?;
        samples.push(running(&mut events, &scheduler, start).await?);
    }
    scheduler.teardown().await?;
    Ok(samples)
}

async fn next_offer(events: &mut Events<Event>, scheduler: &Scheduler) -> anyhow::Result<Offer> {
    loop {
        let event = events
            .next()
            .await?
            .context("the master ended the stream")?;
        if event.r#type() == Type::Update {
            scheduler
                .acknowledge(&event.update.unwrap_or_default().status)
                .await?;
        } else if let Some(offer) = event
            .offers
            .and_then(|offers| offers.offers.into_iter().next())
        {
            return Ok(offer);
        }
    }
}

/// Waits for RUNNING, then for the end; milliseconds to RUNNING.
async fn running(
    events: &mut Events<Event>,
    scheduler: &Scheduler,
    start: Instant,
) -> anyhow::Result<f64> {
    let mut sample = None;
    loop {
        let event = events
            .next()
            .await?
            .context("the master ended the stream")?;
        if let Some(offers) = event.offers {
            let ids = offers.offers.into_iter().map(|offer| offer.id).collect();
            scheduler.decline(ids, 0.0).await?;
            continue;
        }
        let Some(update) = event.update else { continue };
        if update.status.state() == TaskState::TaskRunning {
            sample = Some(start.elapsed().as_secs_f64() * 1000.0);
        }
        scheduler.acknowledge(&update.status).await?;
        match update.status.state() {
            TaskState::TaskStarting | TaskState::TaskRunning => {}
            TaskState::TaskFinished => return sample.context("the task ended without running"),
            state => bail!("{}: {}", state.as_str_name(), update.status.message()),
        }
    }
}

pub(crate) fn task(offer: &Offer, index: usize) -> TaskInfo {
    let scalar = |name: &str, value: f64| Resource {
        name: name.to_string(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Default::default()
    };
    TaskInfo {
        name: "true".into(),
        task_id: TaskId {
            value: format!("launch-{index}"),
        },
        agent_id: offer.agent_id.clone(),
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        command: Some(CommandInfo {
            shell: Some(true),
            value: Some("true".into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Milliseconds of spawning the same command and waiting for it.
fn spawns(count: usize) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let status = Command::new("/bin/sh").args(["-c", "true"]).status()?;
        samples.push(start.elapsed().as_secs_f64() * 1000.0);
        anyhow::ensure!(status.success(), "the bare command failed");
    }
    Ok(samples)
}

/// Milliseconds from making the sandbox until the command runs.
pub(crate) async fn shims(count: usize) -> anyhow::Result<Vec<f64>> {
    let shims = Shims::new()?;
    let mut samples = Vec::with_capacity(count);
    for index in 0..count {
        let start = Instant::now();
        let launched = || samples.push(start.elapsed().as_secs_f64() * 1000.0);
        shims.run(index, launched).await?;
    }
    shims.end()?;
    Ok(samples)
}

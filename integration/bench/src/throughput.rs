//! Short tasks a second on one agent, each a real process, every update acknowledged; beside a loop that starts the same
//! shim, cgroups and command, and beside HyperQueue and Slurm.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tepui_client::{Client, scheduler::Scheduler};
use tepui_protocol::v1::{
    FrameworkInfo, Offer, TaskInfo, TaskState, TaskStatus, scheduler::event::Type, value,
};
use tokio::sync::mpsc;

use crate::{
    dev::{self, Dev},
    launch::task,
    shims::Shims,
};

/// Tasks of one ACCEPT.
const MAX_PER_ACCEPT: usize = 500;
/// Tasks that the bare loop has under way: enough that no core waits.
const BARE_AT_ONCE: usize = 8;
/// More than the machine has: the tasks need little of what they ask for.
pub(crate) const ROOMY: &str = "cpus:64;mem:131072";
const HYPERQUEUE: &str = include_str!("hyperqueue.py");
const SLURM: &str = include_str!("slurm.py");
/// It takes some seconds for each hundred.
const MAX_SLURM_JOBS: usize = 500;

#[derive(Debug, Clone, Args)]
pub(crate) struct ThroughputOptions {
    /// Tasks to run
    #[arg(long, default_value_t = 2000)]
    count: usize,
    /// How often, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A Python that has the package `hyperqueue`
    #[arg(long, default_value = "python3")]
    hyperqueue_python: PathBuf,
    /// Port for the cluster that is started
    #[arg(long, default_value_t = 27150)]
    port: u16,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(options: &ThroughputOptions) -> anyhow::Result<Value> {
    ensure!(
        options.count > 0 && options.rounds > 0,
        "there must be at least one task and one round"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut subject, mut bare) = (Vec::new(), Vec::new());
    let (mut hyperqueue, mut slurm) = (Vec::new(), Vec::new());
    let mut missing = Vec::new();
    for _ in 0..options.rounds {
        subject.push(runtime.block_on(tasks(options))?);
        bare.push(runtime.block_on(shims(options.count))?);
        match peer(&options.hyperqueue_python, HYPERQUEUE, options.count) {
            Ok(rate) => hyperqueue.push(rate),
            Err(problem) => missing.push(format!(
                "HyperQueue did not run ({problem:#}): `pip install hyperqueue` into an environment, and name its \
                 Python with --hyperqueue-python"
            )),
        }
        match peer("python3".as_ref(), SLURM, options.count.min(MAX_SLURM_JOBS)) {
            Ok(rate) => slurm.push(rate),
            Err(problem) => missing.push(format!(
                "Slurm did not run ({problem:#}): as root, `apt-get install slurmctld slurmd slurm-client munge`"
            )),
        }
    }
    missing.dedup();
    for text in &missing {
        eprintln!("{text}; measured without it");
    }
    let middle = |samples: &[f64]| crate::quantile(&mut samples.to_vec(), 0.5);
    let mut result = json!({
        "name": "launch-throughput",
        "count": options.count,
        "slurm_count": options.count.min(MAX_SLURM_JOBS),
        "subject_per_s": crate::spread(subject.clone()),
        "bare_per_s": crate::spread(bare.clone()),
        "ratio": middle(&subject) / middle(&bare),
        "missing": missing,
    });
    for (name, rates) in [("hyperqueue", hyperqueue), ("slurm", slurm)] {
        if !rates.is_empty() {
            result[format!("ratio_to_{name}")] = (middle(&subject) / middle(&rates)).into();
            result[format!("{name}_per_s")] = crate::spread(rates);
        }
    }
    Ok(result)
}

/// Tasks a second from the first ACCEPT until the last TASK_FINISHED, on a cluster of their own.
async fn tasks(options: &ThroughputOptions) -> anyhow::Result<f64> {
    let _cluster = Dev::start(options.port, Some(ROOMY))?;
    let master = format!("127.0.0.1:{}", options.port);
    dev::ready(&master).await?;
    let ends = ends(&master, options.count).await?;
    Ok(options.count as f64 / ends.last().copied().unwrap_or(f64::INFINITY))
}

/// Runs so many tasks; seconds from the first ACCEPT until each TASK_FINISHED, in the order they came.
pub(crate) async fn ends(master: &str, count: usize) -> anyhow::Result<Vec<f64>> {
    let info = FrameworkInfo {
        user: "root".into(),
        name: "launch-throughput".into(),
        ..Default::default()
    };
    let (scheduler, mut events) =
        Scheduler::subscribe(&Client::default(), &[master.to_owned()], info).await?;
    let (acknowledge, updates) = mpsc::channel(count);
    let acknowledging = tokio::spawn(acknowledge_all(scheduler.clone(), updates));
    let (mut launched, mut ends) = (0, Vec::with_capacity(count));
    let mut begun = None;
    while ends.len() < count {
        let event = events
            .next()
            .await?
            .context("the master ended the stream")?;
        match event.r#type() {
            Type::Offers => {
                for offer in event.offers.unwrap_or_default().offers {
                    begun.get_or_insert_with(Instant::now);
                    let tasks = fitting(&offer, launched..count);
                    launched += tasks.len();
                    scheduler.launch(&offer.id, tasks, 0.0).await?;
                }
            }
            Type::Update => {
                let status = event.update.unwrap_or_default().status;
                match status.state() {
                    TaskState::TaskStarting | TaskState::TaskRunning => {}
                    TaskState::TaskFinished => {
                        let begun = begun.context("nothing was offered")?;
                        ends.push(begun.elapsed().as_secs_f64());
                    }
                    state => bail!("{}: {}", state.as_str_name(), status.message()),
                }
                acknowledge.send(status).await?;
            }
            _ => {}
        }
    }
    drop(acknowledge);
    acknowledging.await??;
    scheduler.teardown().await?;
    Ok(ends)
}

async fn acknowledge_all(
    scheduler: Scheduler,
    mut updates: mpsc::Receiver<TaskStatus>,
) -> anyhow::Result<()> {
    while let Some(status) = updates.recv().await {
        scheduler.acknowledge(&status).await?;
    }
    Ok(())
}

/// As many of the tasks as the offer has room for.
fn fitting(offer: &Offer, numbers: std::ops::Range<usize>) -> Vec<TaskInfo> {
    let has = |name: &str| {
        let mine = offer.resources.iter().filter(|it| it.name == name);
        let amounts = mine.filter_map(|it: &tepui_protocol::v1::Resource| it.scalar);
        amounts.map(|value::Scalar { value }| value).sum::<f64>()
    };
    let template = task(offer, 0);
    let room = template.resources.iter().map(|need| {
        let need_value = need.scalar.map_or(0.0, |it| it.value);
        (has(&need.name) / need_value) as usize
    });
    let room = room.min().unwrap_or(0).min(MAX_PER_ACCEPT);
    numbers
        .take(room)
        .map(|number| task(offer, number))
        .collect()
}

/// The same number a second in the bare loop.
async fn shims(count: usize) -> anyhow::Result<f64> {
    let shims = Shims::new()?;
    let begun = Instant::now();
    let runs = (0..count).map(|index| shims.run(index, || {}));
    stream::iter(runs)
        .buffer_unordered(BARE_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let took = begun.elapsed();
    shims.end()?;
    Ok(count as f64 / took.as_secs_f64())
}

/// Tasks a second in another system, which a script starts and ends.
fn peer(python: &Path, script: &str, count: usize) -> anyhow::Result<f64> {
    let output = Command::new(python)
        .args(["-c", script, &count.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", python.display()))?;
    let told = String::from_utf8_lossy(&output.stdout);
    let rate = told.lines().last().and_then(|line| line.parse().ok());
    rate.filter(|_| output.status.success())
        .with_context(|| format!("its script ended with {}", output.status))
}

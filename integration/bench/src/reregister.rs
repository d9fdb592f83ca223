//! The storm after a change of leaders: thousands of agents come back at once with all that runs on them, over bridges of their
//! own. How long until the new leader knows everything, and what that costs it. Beside it a loop that reads the same messages
//! from memory into plain maps.

mod fleet;
mod frameworks;
mod process;
mod words;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};
use tepui_client::{Client, operator::Operator};
use tepui_protocol::v1::{FrameworkInfo, master::call};
use tokio::{task::LocalSet, time::sleep};

use crate::{
    ensemble::{Ensemble, System},
    real_disk,
};
use fleet::{Counts, Fleet};
use frameworks::Frameworks;
use process::{cpu_seconds, memory};

const LOOK: Duration = Duration::from_millis(20);
const CALM_LOOK: Duration = Duration::from_millis(500);
/// No storm needs longer.
const GIVE_UP: Duration = Duration::from_secs(180);
/// Files of this process beside the agents': masters' outputs, frameworks, the looks of the bench.
const OTHER_FILES: u64 = 500;
/// Masters that each agent may ask at once.
const MASTERS: u64 = 3;

#[derive(Debug, Clone, Args)]
pub(crate) struct ReregisterOptions {
    /// Agents, each with a connection of its own
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Tasks that run on each
    #[arg(long, default_value_t = 10)]
    tasks_per_agent: usize,
    /// Frameworks whose tasks these are
    #[arg(long, default_value_t = 3)]
    frameworks: usize,
    /// Seconds after each storm in which no agent may be lost; longer than the 15 after which one that is silent is
    #[arg(long, default_value_t = 20)]
    calm_s: u64,
    /// Masters of the groups that are measured: 1 is killed and started again, of 3 the leader is killed
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3])]
    masters: Vec<usize>,
    /// Where the data lies, on a disk [default: the directory for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is running.
struct Cluster {
    masters: usize,
    ensemble: Ensemble,
    fleet: Fleet,
    agents: usize,
    /// On all of them together.
    tasks: usize,
    calm: Duration,
    /// Subscribed while the cluster is.
    _frameworks: Frameworks,
}

pub(crate) fn run(options: &ReregisterOptions) -> anyhow::Result<Value> {
    ensure!(options.frameworks > 0, "--frameworks: at least one");
    ensure!(
        options
            .masters
            .iter()
            .all(|masters| [1, 3].contains(masters)),
        "--masters: 1 or 3"
    );
    enough_files(options.agents)?;
    let base = real_disk(options.dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    let mut bare = None;
    for masters in &options.masters {
        let measured = Box::pin(measure(options, *masters, &base));
        let (more, infos) = LocalSet::new().block_on(&runtime, measured)?;
        rows.extend(more);
        if bare.is_none() {
            bare = Some(words::bare_loop(
                options.agents,
                options.tasks_per_agent,
                &infos,
            )?);
        }
    }
    let bare = bare.context("--masters names none")?;
    Ok(report(options, rows, &bare))
}

/// Each agent is a file here, and one of the master, which has the same limit.
fn enough_files(agents: usize) -> anyhow::Result<()> {
    tepui_kit::descriptors::raise()?;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let needed = agents as u64 + fleet::LOOKS as u64 * MASTERS + OTHER_FILES;
    ensure!(
        limit.current.is_none_or(|limit| limit >= needed),
        "{agents} agents need {needed} open files here, the limit is {}: raise the hard limit (ulimit -Hn), or take fewer",
        limit.current.unwrap_or(0)
    );
    Ok(())
}

/// All storms of one group of masters.
async fn measure(
    options: &ReregisterOptions,
    masters: usize,
    base: &Path,
) -> anyhow::Result<(Vec<Value>, Vec<FrameworkInfo>)> {
    let ensemble = match masters {
        1 => Ensemble::start_alone(base).await?,
        _ => Ensemble::start(System::Tepui, None, base).await?,
    };
    let addresses = ensemble.addresses();
    let frameworks = Frameworks::subscribe(options.frameworks, &addresses).await?;
    let infos = frameworks.infos.clone();
    let leader = ensemble.leader().await?;
    let begin = Instant::now();
    let mut cluster = Cluster {
        masters,
        tasks: 0,
        agents: options.agents,
        calm: Duration::from_secs(options.calm_s),
        fleet: Fleet::start(options.agents, addresses),
        ensemble,
        _frameworks: frameworks,
    };
    let mut first = Storm::begin("first registration", leader, &cluster.fleet, 0);
    first.begin = begin;
    let mut rows = vec![cluster.storm(first).await?];

    cluster.tasks = options.agents * options.tasks_per_agent;
    cluster.fleet.load(options.tasks_per_agent, infos.clone());
    let cut = Storm::begin("network cut", leader, &cluster.fleet, options.agents);
    cluster.fleet.cut();
    rows.push(cluster.storm(cut).await?);

    // Before all tasks were asked for, which takes memory of its own.
    let steady = rows.last().and_then(|row| row["rss_after_mib"].as_f64());
    let name = if masters == 1 { "restart" } else { "failover" };
    let mut killed = Storm::begin(name, leader, &cluster.fleet, options.agents);
    killed.begin = cluster.ensemble.kill(leader)?;
    killed.steady_mib = steady;
    match masters {
        1 => cluster.ensemble.restart(leader).await?,
        _ => killed.leader = cluster.next_leader().await?,
    }
    killed.led_ms = Some(millis(killed.begin));
    rows.push(cluster.storm(killed).await?);
    Ok((rows, infos))
}

/// All agents come at once.
struct Storm {
    name: &'static str,
    /// Where they come to.
    leader: usize,
    begin: Instant,
    before: Counts,
    /// Connections that end first.
    ends: usize,
    /// When a client that asks heard that this one follows a killed leader, and the memory of the one before.
    led_ms: Option<f64>,
    steady_mib: Option<f64>,
}

impl Storm {
    fn begin(name: &'static str, leader: usize, fleet: &Fleet, ends: usize) -> Storm {
        fleet.begin_storm();
        Storm {
            name,
            leader,
            begin: Instant::now(),
            before: fleet.counts(),
            ends,
            led_ms: None,
            steady_mib: None,
        }
    }
}

/// When the first agent was registered again, all were, and the leader showed all with all their tasks; and for how long an agent
/// heard nothing.
#[derive(Debug, Default)]
struct Course {
    first_ms: Option<f64>,
    registered_ms: Option<f64>,
    full_ms: f64,
    silence_ms: u64,
}

impl Cluster {
    async fn next_leader(&self) -> anyhow::Result<usize> {
        let begin = Instant::now();
        loop {
            if let Ok(leader) = self.ensemble.leader().await {
                return Ok(leader);
            }
            ensure!(begin.elapsed() < GIVE_UP, "no other master leads");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the leader knows all agents and all tasks, then for a while in which nobody may be lost.
    async fn storm(&self, storm: Storm) -> anyhow::Result<Value> {
        let pid = self.ensemble.pid(storm.leader)?;
        let operator = Operator::new(Client::default(), self.ensemble.address(storm.leader));
        let cpu = cpu_seconds(pid)?;
        let mut course = self.until_full(&storm, &operator).await?;
        let (cpu, peak) = (cpu_seconds(pid)? - cpu, memory(pid)?.peak_mib);
        let at_full = self.fleet.counts();
        let calm = Instant::now();
        while calm.elapsed() < self.calm {
            course.silence_ms = course.silence_ms.max(self.fleet.longest_silence_ms());
            sleep(CALM_LOOK).await;
        }
        let metrics = metrics(&operator).await?;
        let after = memory(pid)?;
        let (tasks, get_tasks_ms) = count_tasks(&operator).await?;
        let metric = |name: &str| metrics[format!("master/{name}")].as_f64();
        let row = json!({
            "storm": storm.name,
            "masters": self.masters,
            "leader_ms": storm.led_ms,
            "first_ms": course.first_ms,
            "registered_ms": course.registered_ms,
            "full_ms": course.full_ms,
            "master_cpu_s": cpu,
            "rss_steady_mib": storm.steady_mib,
            "rss_peak_mib": peak,
            "rss_peak_to_steady": storm.steady_mib.map(|steady| peak / steady),
            "rss_after_mib": after.now_mib,
            "rss_peak_with_get_tasks_mib": memory(pid)?.peak_mib,
            "tasks": tasks,
            "get_tasks_ms": get_tasks_ms,
            "during": at_full.since(&storm.before).0,
            "afterwards": self.fleet.counts().since(&at_full).0,
            "longest_silence_ms": course.silence_ms,
            "unreachable": metric("slaves_unreachable"),
            "removed": metric("slave_removals"),
            "given_up": metric("slave_unreachable_scheduled"),
            "is_full_after": self.is_full(&metrics),
        });
        eprintln!("{row}");
        Ok(row)
    }

    async fn until_full(&self, storm: &Storm, operator: &Operator) -> anyhow::Result<Course> {
        let mut course = Course::default();
        loop {
            let has_begun = self.fleet.counts().since(&storm.before).0["ended"] >= storm.ends;
            let registered = if has_begun {
                self.fleet.registered()
            } else {
                0
            };
            if registered == self.agents && course.registered_ms.is_none() {
                course.registered_ms = Some(millis(storm.begin));
            }
            if course.registered_ms.is_some() && self.is_full(&metrics(operator).await?) {
                course.full_ms = millis(storm.begin);
                let first = self.fleet.first();
                course.first_ms = first.map(|at| (at - storm.begin).as_secs_f64() * 1_000.0);
                return Ok(course);
            }
            ensure!(
                storm.begin.elapsed() < GIVE_UP,
                "{}: after {} s {registered} of {} agents are registered",
                storm.name,
                GIVE_UP.as_secs(),
                self.agents
            );
            course.silence_ms = course.silence_ms.max(self.fleet.longest_silence_ms());
            sleep(LOOK).await;
        }
    }

    fn is_full(&self, metrics: &Value) -> bool {
        let is = |name: &str, count: usize| {
            metrics[format!("master/{name}")].as_f64() == Some(count as f64)
        };
        is("slaves_active", self.agents)
            && is("slaves_connected", self.agents)
            && is("tasks_running", self.tasks)
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

async fn metrics(operator: &Operator) -> anyhow::Result<Value> {
    Ok(operator.json("/metrics/snapshot").await?)
}

/// How many tasks GET_TASKS tells, and the milliseconds until all are read.
async fn count_tasks(operator: &Operator) -> anyhow::Result<(usize, f64)> {
    let begin = Instant::now();
    let answer = operator.get(call::Type::GetTasks).await?;
    let took = millis(begin);
    let tasks = answer.get_tasks.context("GET_TASKS answers with tasks")?;
    Ok((tasks.tasks.len(), took))
}

fn report(options: &ReregisterOptions, rows: Vec<Value>, bare: &words::Bare) -> Value {
    let kills = rows
        .iter()
        .filter(|row| !row["leader_ms"].is_null())
        .filter_map(|row| row["full_ms"].as_f64());
    let subject = kills.fold(0.0, f64::max);
    let first = rows.first().and_then(|row| row["full_ms"].as_f64());
    let bare_ms = bare.seconds * 1_000.0;
    json!({
        "name": "reregister",
        "agents": options.agents,
        "tasks": options.agents * options.tasks_per_agent,
        "subject_ms": subject,
        "bare_ms": bare_ms,
        "ratio": subject / bare_ms,
        "message_bytes": bare.bytes / options.agents.max(1),
        "registrations_per_s": first.map(|ms| options.agents as f64 * 1_000.0 / ms),
        "rows": rows,
    })
}

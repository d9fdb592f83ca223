//! How long nobody can write after the leader was killed (`kill -9`): from the kill to the first accepted write, tried at each
//! survivor every few milliseconds whether or not earlier tries are answered. What was acknowledged before is looked for after.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, LocalSet},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    ensemble::{Client, Ensemble, MAX_KEYS, NODES, System, Timeouts},
    quantile, real_disk, spread,
};

/// Between two tries at one survivor.
const STEP: Duration = Duration::from_millis(5);
/// Writes go on for so long before the leader is killed.
const BEFORE: Duration = Duration::from_millis(150);
/// Longer than this no system needs.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Writes before the kill; the other keys are for the tries after it.
const MAX_BEFORE: usize = MAX_KEYS / 2;

#[derive(Debug, Clone, Args)]
pub(crate) struct FailoverOptions {
    /// How often the leader of each ensemble is killed
    #[arg(long, default_value_t = 20)]
    count: usize,
    /// What is measured [default: all that is installed]
    #[arg(long, value_delimiter = ',')]
    systems: Vec<System>,
    /// Measure the systems' own timeouts alone
    #[arg(long)]
    own_timeouts: bool,
    /// Where the data lies, on a disk [default: the directory for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

/// etcd's own timeouts, and shorter ones: an ensemble of each system with the same.
const EQUAL: [Timeouts; 2] = [
    Timeouts {
        heartbeat_ms: 100,
        election_ms: 1_000,
    },
    Timeouts {
        heartbeat_ms: 30,
        election_ms: 300,
    },
];

/// An ensemble and what was measured of it.
struct Course {
    ensemble: Ensemble,
    timeouts: Option<Timeouts>,
    gaps_ms: Vec<f64>,
    acknowledged: usize,
    lost: usize,
}

/// What one kill gave.
struct Trial {
    gap_ms: f64,
    acknowledged: usize,
    lost: usize,
}

pub(crate) fn run(options: &FailoverOptions) -> anyhow::Result<Value> {
    let all = [System::Tepui, System::Etcd, System::Zookeeper];
    let (systems, missing) = crate::present(&options.systems, &all);
    let base = real_disk(options.dir.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let courses = LocalSet::new().block_on(&runtime, measure(options, &systems, &base))?;
    report(courses, missing)
}

async fn measure(
    options: &FailoverOptions,
    systems: &[System],
    base: &Path,
) -> anyhow::Result<Vec<Course>> {
    let mut wanted = Vec::new();
    for system in systems {
        wanted.push((*system, None));
        if *system != System::Zookeeper && !options.own_timeouts {
            // The first of them is etcd's default.
            let skip = usize::from(*system == System::Etcd);
            wanted.extend(EQUAL.iter().skip(skip).map(|it| (*system, Some(*it))));
        }
    }
    let mut courses = Vec::new();
    for (system, timeouts) in wanted {
        courses.push(Course {
            ensemble: Ensemble::start(system, timeouts, base).await?,
            timeouts,
            gaps_ms: Vec::new(),
            acknowledged: 0,
            lost: 0,
        });
    }
    for number in 1..=options.count {
        for course in &mut courses {
            // A member that was just started helps nobody to lead for a while.
            sleep(course.settled_after()).await;
            let trial = kill_leader(&mut course.ensemble, number as u64).await?;
            eprintln!(
                "{number} of {}: {:<18} {:.0} ms, {} of {} acknowledged writes lost",
                options.count,
                course.name(),
                trial.gap_ms,
                trial.lost,
                trial.acknowledged
            );
            course.gaps_ms.push(trial.gap_ms);
            course.acknowledged += trial.acknowledged;
            course.lost += trial.lost;
        }
    }
    Ok(courses)
}

impl Course {
    fn name(&self) -> String {
        let system = self.ensemble.system.name();
        match self.timeouts {
            None => system.to_owned(),
            Some(timeouts) => format!("{system} at {} ms", timeouts.election_ms),
        }
    }

    fn settled_after(&self) -> Duration {
        let election = self.timeouts.map_or(1_000, |it| it.election_ms);
        Duration::from_millis(500 + election)
    }
}

/// Kills the leader under writes, waits for the next one, looks for what was acknowledged and brings the dead one back.
async fn kill_leader(ensemble: &mut Ensemble, number: u64) -> anyhow::Result<Trial> {
    let leader = ensemble.leader().await?;
    let writer = write_on(ensemble.connect(leader).await?, number);
    sleep(BEFORE).await;
    let killed = ensemble.kill(leader)?;
    let survivors: Vec<String> = (0..NODES)
        .filter(|node| *node != leader)
        .map(|node| ensemble.address(node))
        .collect();
    let accepted = first_accepted(ensemble.system, &survivors, number);
    let (key, at) = timeout(GIVE_UP, accepted)
        .await
        .with_context(|| format!("no write was accepted within {} s", GIVE_UP.as_secs()))??;
    let mut acknowledged = writer.await?;
    acknowledged.push(key);
    let found = read_back(ensemble).await?;
    let lost = acknowledged
        .iter()
        .filter(|key| found.get(key) != Some(&number));
    let trial = Trial {
        gap_ms: (at - killed).as_secs_f64() * 1_000.0,
        lost: lost.count(),
        acknowledged: acknowledged.len(),
    };
    ensemble.restart(leader).await?;
    Ok(trial)
}

/// Writes one key after another until that fails; gives those that were acknowledged.
fn write_on(mut client: Client, value: u64) -> JoinHandle<Vec<usize>> {
    tokio::task::spawn_local(async move {
        let mut acknowledged = Vec::new();
        for key in 0..MAX_BEFORE {
            if client.write(key, value).await.is_err() {
                break;
            }
            acknowledged.push(key);
        }
        acknowledged
    })
}

/// Tries at all survivors until a write is accepted; gives its key and when that was known.
async fn first_accepted(
    system: System,
    survivors: &[String],
    value: u64,
) -> anyhow::Result<(usize, Instant)> {
    let (sender, mut accepted) = mpsc::unbounded_channel();
    let mut tries: Vec<JoinHandle<()>> = Vec::new();
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut key = MAX_BEFORE;
    let first = loop {
        tokio::select! {
            Some(first) = accepted.recv() => break first,
            _ = steps.tick() => {}
        }
        for address in survivors {
            let (sender, address, own) = (sender.clone(), address.clone(), key);
            key = MAX_BEFORE + (key + 1 - MAX_BEFORE) % (MAX_KEYS - MAX_BEFORE);
            tries.push(tokio::task::spawn_local(async move {
                // Refused or broken off: the next try is under way.
                if write_once(system, &address, own, value).await.is_ok() {
                    let _ = sender.send((own, Instant::now()));
                }
            }));
        }
    };
    for task in tries {
        task.abort();
    }
    Ok(first)
}

async fn write_once(system: System, address: &str, key: usize, value: u64) -> anyhow::Result<()> {
    Client::connect(system, address)
        .await?
        .write(key, value)
        .await
}

/// The values at the new leader; it may still be busy with what waited for it.
async fn read_back(ensemble: &Ensemble) -> anyhow::Result<BTreeMap<usize, u64>> {
    let deadline = Instant::now() + GIVE_UP;
    loop {
        match ensemble.values().await {
            Ok(values) => return Ok(values),
            Err(error) => ensure!(Instant::now() < deadline, "reading back: {error:#}"),
        }
        sleep(STEP).await;
    }
}

fn report(courses: Vec<Course>, missing: Vec<String>) -> anyhow::Result<Value> {
    let median = |system: System, election: Option<u64>| {
        let course = courses.iter().find(|it| {
            it.ensemble.system == system && it.timeouts.map(|it| it.election_ms) == election
        })?;
        Some(quantile(&mut course.gaps_ms.clone(), 0.5))
    };
    let ratio = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let (subject, bare) = (median(System::Tepui, None), median(System::Etcd, None));
    let rows: Vec<Value> = courses.iter().map(row).collect();
    let lost: usize = courses.iter().map(|course| course.lost).sum();
    Ok(json!({
        "name": "failover",
        "subject_ms": subject,
        "bare_ms": bare,
        "ratio": ratio(subject, bare),
        "at_1000_ms_to_etcd": ratio(median(System::Tepui, Some(1_000)), bare),
        "at_300_ms_to_etcd": ratio(median(System::Tepui, Some(300)), median(System::Etcd, Some(300))),
        "to_zookeeper": ratio(subject, median(System::Zookeeper, None)),
        "lost": lost,
        "missing": missing,
        "rows": rows,
    }))
}

fn row(course: &Course) -> Value {
    let mut gaps = course.gaps_ms.clone();
    json!({
        "system": course.name(),
        "count": gaps.len(),
        "gap_ms": spread(gaps.clone()),
        "p99_ms": quantile(&mut gaps, 0.99),
        "acknowledged": course.acknowledged,
        "lost": course.lost,
    })
}

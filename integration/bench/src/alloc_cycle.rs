//! What an allocation cycle costs: the production core from the trigger until the master has the proposals,
//! beside a bare loop that gives the same agents away, in one run.

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use tepui_allocator::bench::{Cluster, bare_cycle};

/// Cycles after a few changes take microseconds, so more of them are timed.
const CHANGED_ROUNDS: usize = 101;
const KIB_PER_PAGE: f64 = 4.0;

#[derive(Debug, Clone, Args)]
pub(crate) struct AllocOptions {
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    #[arg(long, default_value_t = 200)]
    frameworks: usize,
    /// Cycles that offer every agent; each offer is declined for ever after each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Agents with something free again in the cycles after those
    #[arg(long, default_value_t = 100)]
    changed: usize,
    /// Sizes of agents
    #[arg(long, default_value_t = 1)]
    shapes: usize,
    /// Go on until every framework has refused every agent, and time cycles that find nothing to offer
    #[arg(long)]
    every_filter: bool,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(options: &AllocOptions) -> anyhow::Result<Value> {
    let (agents, frameworks) = (options.agents, options.frameworks);
    ensure!(
        (1..frameworks).contains(&options.rounds) && options.changed <= agents,
        "each round ends with every agent refused by one framework more, so there must be more than {} frameworks; \
         and at least {} agents",
        options.rounds,
        options.changed
    );
    let before = resident_kib()?;
    let mut cluster = Cluster::new(agents, frameworks, options.shapes);
    let told = resident_kib()?;
    let (mut subject, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        cluster.decline_all();
        subject.push(cluster.cycle().as_secs_f64() * 1e3);
        ensure!(
            cluster.offers() == agents,
            "{} of {agents} agents were offered: the cycle is not the one to be timed",
            cluster.offers()
        );
        bare.push(bare_cycle(agents, frameworks).as_secs_f64() * 1e3);
    }
    let offered = resident_kib()?;
    let mut changed = Vec::new();
    for _ in 0..CHANGED_ROUNDS {
        cluster.give_back_some(options.changed);
        changed.push(cluster.cycle().as_secs_f64() * 1e6);
    }
    let (subject_ms, bare_ms) = (median(&mut subject), median(&mut bare));
    let least = |samples: &[f64]| samples.iter().copied().fold(f64::INFINITY, f64::min);
    let mut result = json!({
        "name": "alloc-cycle",
        "agents": agents,
        "frameworks": frameworks,
        "shapes": options.shapes,
        "rounds": options.rounds,
        "subject_ms": subject_ms,
        "bare_ms": bare_ms,
        "ratio": subject_ms / bare_ms,
        "least_subject_ms": least(&subject),
        "least_bare_ms": least(&bare),
        "subject_ns_per_agent": subject_ms * 1e6 / agents as f64,
        "changed": options.changed,
        "changed_us": median(&mut changed),
        "kib_per_agent_told": (told - before) / agents as f64,
        "kib_per_agent_offered": (offered - before) / agents as f64,
    });
    if options.every_filter {
        let filtered_ms = every_filter(&mut cluster, options)?;
        result["filtered_ms"] = filtered_ms.into();
        result["filtered_ratio"] = (filtered_ms / bare_ms).into();
        result["kib_per_agent_filtered"] = ((resident_kib()? - before) / agents as f64).into();
    }
    Ok(result)
}

/// The median milliseconds of a cycle that looks at every agent, each of them refused by every framework.
fn every_filter(cluster: &mut Cluster, options: &AllocOptions) -> anyhow::Result<f64> {
    while cluster.offers() > 0 {
        cluster.decline_all();
        cluster.cycle();
    }
    let mut filtered = Vec::new();
    for _ in 0..options.rounds {
        cluster.touch_all();
        filtered.push(cluster.cycle().as_secs_f64() * 1e3);
        ensure!(
            cluster.offers() == 0,
            "{} agents were offered to frameworks that had refused them for ever",
            cluster.offers()
        );
    }
    Ok(median(&mut filtered))
}

pub(crate) fn median(samples: &mut [f64]) -> f64 {
    crate::quantile(samples, 0.5)
}

/// The memory this process has, by the kernel's count of its pages.
pub(crate) fn resident_kib() -> anyhow::Result<f64> {
    let sizes = std::fs::read_to_string("/proc/self/statm")?;
    let pages = sizes.split(' ').nth(1).unwrap_or_default();
    Ok(pages.parse::<f64>()? * KIB_PER_PAGE)
}

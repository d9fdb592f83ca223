//! What quota costs: as many roles as frameworks, each with quota, reservations on each tenth agent, and one
//! pair of framework and agent in sixteen refused; beside a bare loop that gives the same agents away.

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use tepui_allocator::bench_quota::{QuotaCluster, bare_quota_cycle};

use crate::alloc_cycle::{median, resident_kib};

const CHANGED_ROUNDS: usize = 31;

#[derive(Debug, Clone, Args)]
pub(crate) struct QuotaOptions {
    #[arg(long, default_value_t = 3_000)]
    agents: usize,
    /// Each has a role of its own
    #[arg(long, default_value_t = 3_000)]
    frameworks: usize,
    /// Cycles that give the whole cluster away; all of it is given back after each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Offers given back before each of the cycles after those
    #[arg(long, default_value_t = 100)]
    changed: usize,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(options: &QuotaOptions) -> anyhow::Result<Value> {
    let (agents, frameworks) = (options.agents, options.frameworks);
    ensure!(
        agents > 0 && frameworks > 0 && options.rounds > 0,
        "there must be at least one agent, framework and round"
    );
    let before = resident_kib()?;
    let mut cluster = QuotaCluster::new(agents, frameworks);
    let told = resident_kib()?;
    let added_ms = cluster.add_frameworks().as_secs_f64() * 1e3;
    let added = resident_kib()?;
    cluster.refuse_some();
    let refused = resident_kib()?;
    let (mut subject, mut bare) = (Vec::new(), Vec::new());
    let mut parts = 0;
    for _ in 0..options.rounds {
        cluster.give_back(usize::MAX);
        subject.push(cluster.cycle().as_secs_f64() * 1e3);
        let (took, given) = bare_quota_cycle(agents, frameworks);
        bare.push(took.as_secs_f64() * 1e3);
        parts = given;
    }
    let offered = resident_kib()?;
    ensure!(
        cluster.is_right(),
        "somebody was not offered what was there for it"
    );
    let (offers, first_ms) = (cluster.offers(), subject[0]);
    let mut changed = Vec::new();
    for _ in 0..CHANGED_ROUNDS {
        cluster.give_back(options.changed);
        changed.push(cluster.cycle().as_secs_f64() * 1e6);
    }
    ensure!(
        cluster.is_right(),
        "somebody was not offered what came back"
    );
    let (subject_ms, bare_ms) = (median(&mut subject), median(&mut bare));
    let kib_per_agent = |kib: f64| (kib - before) / agents as f64;
    Ok(json!({
        "name": "alloc-quota",
        "agents": agents,
        "frameworks": frameworks,
        "filters": cluster.filters(),
        "rounds": options.rounds,
        "added_ms": added_ms,
        "first_ms": first_ms,
        "subject_ms": subject_ms,
        "bare_ms": bare_ms,
        "ratio": subject_ms / bare_ms,
        "offers": offers,
        "bare_offers": parts,
        "changed": options.changed,
        "changed_us": median(&mut changed),
        "kib_per_agent_told": kib_per_agent(told),
        "kib_per_agent_added": kib_per_agent(added),
        "kib_per_agent_refused": kib_per_agent(refused),
        "kib_per_agent_offered": kib_per_agent(offered),
    }))
}

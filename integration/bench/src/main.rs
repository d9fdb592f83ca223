//! `tepui-bench NAME --json`: each benchmark beside a bare loop in one run, as a ratio, since machines are noisy.

mod alloc_cycle;
mod alloc_quota;
mod dev;
mod ensemble;
mod failover;
mod growth;
mod launch;
mod locality;
mod mailbox;
mod registry;
mod reregister;
mod shims;
mod throughput;
mod wire;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand};
use ensemble::System;
use serde_json::{Value, json};

/// A peer is not installed; all else was measured.
const PEER_MISSING: u8 = 3;
/// `f_type` of a tmpfs.
const TMPFS_MAGIC: i64 = 0x0102_1994;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmarks of Tepui, each beside a bare loop.
#[derive(Debug, Parser)]
#[command(name = "tepui-bench", version)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// A message through an observed mailbox, beside a raw actix one
    Mailbox(Options),
    /// Bytes and nanoseconds per message and codec, beside copying the bytes
    Wire(Options),
    /// ACCEPT to TASK_RUNNING on a running cluster, beside spawning and waiting for the same command
    LaunchLatency(launch::LaunchOptions),
    /// Short tasks a second on one agent, beside starting the same shim in a bare loop and beside HyperQueue and Slurm
    LaunchThroughput(throughput::ThroughputOptions),
    /// How launches change with the tasks that an agent has had, and with the memory of who starts them
    LaunchGrowth(growth::GrowthOptions),
    /// The share of tasks that run where their data is, by how long schedulers wait for it, in simulated time
    Locality(locality::LocalityOptions),
    /// An allocation that offers every agent, beside giving the same agents away in a bare loop
    AllocCycle(alloc_cycle::AllocOptions),
    /// Allocations where every role has quota, beside giving the same agents away in a bare loop
    AllocQuota(alloc_quota::QuotaOptions),
    /// Durable writes of 200 bytes to three masters, beside etcd, ZooKeeper and a bare loop of synced appends
    Registry(registry::RegistryOptions),
    /// From killing the leader to the next accepted write, beside etcd and ZooKeeper
    Failover(failover::FailoverOptions),
    /// From killing the leader until all agents and their tasks are known again, beside reading the same messages in a loop
    Reregister(reregister::ReregisterOptions),
}

#[derive(Debug, Clone, Args)]
struct Options {
    /// How often the measured thing is done [default: enough for a steady figure]
    #[arg(long)]
    count: Option<u64>,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let (result, json) = match Cli::parse().bench {
        Bench::Mailbox(options) => (mailbox::run(&options), options.json),
        Bench::Wire(options) => (wire::run(&options)?, options.json),
        Bench::LaunchLatency(options) => {
            let json = options.json;
            (launch::run(options)?, json)
        }
        Bench::LaunchThroughput(options) => (throughput::run(&options)?, options.json),
        Bench::LaunchGrowth(options) => (growth::run(&options)?, options.json),
        Bench::Locality(options) => (locality::run(&options), options.json),
        Bench::AllocCycle(options) => (alloc_cycle::run(&options)?, options.json),
        Bench::AllocQuota(options) => (alloc_quota::run(&options)?, options.json),
        Bench::Registry(options) => (registry::run(&options)?, options.json),
        Bench::Failover(options) => (failover::run(&options)?, options.json),
        Bench::Reregister(options) => (reregister::run(&options)?, options.json),
    };
    if json {
        println!("{result}");
    } else if let Value::Object(fields) = &result {
        for (name, value) in fields {
            println!("{name:<28} {value}");
        }
    }
    if result["lost"].as_u64().is_some_and(|lost| lost > 0) {
        bail!("acknowledged writes were lost: {}", result["lost"]);
    }
    let missing = result["missing"].as_array();
    if missing.is_some_and(|missing| !missing.is_empty()) {
        return Ok(ExitCode::from(PEER_MISSING));
    }
    Ok(ExitCode::SUCCESS)
}

/// Which of the systems that are wanted (all that can be had, where none is named) are there, and what is missing.
fn present(wanted: &[System], all: &[System]) -> (Vec<System>, Vec<String>) {
    let wanted = if wanted.is_empty() { all } else { wanted };
    let mut missing: Vec<String> = wanted.iter().filter_map(|it| it.missing()).collect();
    missing.dedup();
    for text in &missing {
        eprintln!("{text}; measured without it");
    }
    let there = wanted.iter().filter(|it| it.missing().is_none());
    (there.copied().collect(), missing)
}

/// Where data is to lie; refuses memory, which is never synced.
fn real_disk(dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = dir.map_or_else(std::env::temp_dir, Path::to_owned);
    let shown = dir.display();
    let found = rustix::fs::statfs(&dir).with_context(|| format!("--dir {shown}"))?;
    ensure!(
        found.f_type as i64 != TMPFS_MAGIC,
        "--dir {shown}: this lies in memory, where nothing is synced; name a directory on a disk"
    );
    Ok(dir)
}

/// Median, least and greatest.
fn spread(mut samples: Vec<f64>) -> Value {
    let (median, least, greatest) = (
        quantile(&mut samples, 0.5),
        quantile(&mut samples, 0.0),
        quantile(&mut samples, 1.0),
    );
    json!({ "median": median, "min": least, "max": greatest })
}

/// The median of unsorted milliseconds; zero for none.
fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let index = (samples.len() as f64 * share) as usize;
    samples
        .get(index.min(samples.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

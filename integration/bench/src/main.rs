//! `tepui-bench NAME --json`: each benchmark beside a bare loop in one run, as a ratio, since machines are noisy.

mod alloc_cycle;
mod launch;
mod locality;
mod mailbox;
mod wire;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

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
    /// The share of tasks that run where their data is, by how long schedulers wait for it, in simulated time
    Locality(locality::LocalityOptions),
    /// An allocation that offers every agent, beside giving the same agents away in a bare loop
    AllocCycle(alloc_cycle::AllocOptions),
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

fn main() -> anyhow::Result<()> {
    let (result, json) = match Cli::parse().bench {
        Bench::Mailbox(options) => (mailbox::run(&options), options.json),
        Bench::Wire(options) => (wire::run(&options)?, options.json),
        Bench::LaunchLatency(options) => {
            let json = options.json;
            (launch::run(options)?, json)
        }
        Bench::Locality(options) => (locality::run(&options), options.json),
        Bench::AllocCycle(options) => (alloc_cycle::run(&options)?, options.json),
    };
    if json {
        println!("{result}");
    } else if let Value::Object(fields) = result {
        for (name, value) in fields {
            println!("{name:<28} {value}");
        }
    }
    Ok(())
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

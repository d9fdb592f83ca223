//! `tepui-chaos`: real masters are killed, stopped and cut off under load; no acknowledged write may be lost, no task lost or
//! doubled, and what clients saw must be linearizable. `chaos.py` starts the processes and then this program.

mod draw;
mod faults;
mod framework;
mod history;
mod house;
mod lead;
mod ledger;
mod machine;
mod registers;
mod rounds;
mod seen;
mod witness;

use std::{collections::BTreeSet, path::PathBuf, process::exit, time::Duration};

use anyhow::Context;
use clap::Parser;

use faults::Fault;
use rounds::{Outcome, Rounds, shown, write_down};

/// Kills masters under load, and checks what clients saw. `chaos.py` runs it.
#[derive(Debug, Parser)]
#[command(name = "tepui-chaos", version)]
struct Cli {
    /// Addresses of the masters' HTTP, HOST:PORT
    #[arg(long, value_delimiter = ',', required = true)]
    masters: Vec<String>,
    /// Ports of the agents
    #[arg(long, value_delimiter = ',', required = true)]
    agents: Vec<String>,
    /// How often the leader is killed
    #[arg(long, default_value_t = 0)]
    kills: usize,
    /// How often it is cut off; for masters in network namespaces of their own
    #[arg(long, default_value_t = 0)]
    cuts: usize,
    /// Do this instead, as often
    #[arg(long)]
    only: Option<Fault>,
    /// Decides when
    #[arg(long)]
    seed: u64,
    /// An empty directory where tasks say that they run
    #[arg(long)]
    marks: PathBuf,
    /// Where the history of a round that failed is written
    #[arg(long)]
    history: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = tokio::task::LocalSet::new().block_on(&runtime, run(&cli));
    if let Err(error) = &done {
        eprintln!("chaos: seed {}: {error:#}", cli.seed);
    }
    // A checker that has not come to an end is not waited for.
    exit(i32::from(done.is_err()));
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    let (masters, agents) = (cli.masters.clone(), cli.agents.clone());
    let mut rounds = Rounds::prepare(masters, agents, cli.marks.clone(), cli.seed).await?;
    rounds.begin().await.context("before the first round")?;
    let mut outcomes = Vec::new();
    let count = cli.kills + cli.cuts;
    let faults = match cli.only {
        Some(fault) => vec![fault; count],
        None => [faults::kills(cli.kills), faults::cuts(cli.cuts)].concat(),
    };
    for (number, fault) in (1..).zip(faults) {
        let outcome = rounds.round(number, fault).await;
        if outcome.is_err() {
            write_down(&rounds.history, &cli.history)?;
        }
        outcomes.push(outcome.with_context(|| format!("round {number}, {fault}"))?);
    }
    let acknowledged = rounds.end().await?;
    eprintln!("{acknowledged} writes were acknowledged, none was lost");
    let kinds: BTreeSet<Fault> = outcomes.iter().map(|it| it.fault).collect();
    for fault in kinds {
        summary(fault, &outcomes);
    }
    Ok(())
}

/// Median, 99th percentile and maximum of each gap.
fn summary(fault: Fault, outcomes: &[Outcome]) {
    let own: Vec<&Outcome> = outcomes.iter().filter(|it| it.fault == fault).collect();
    let line = |what: &str, gap: &dyn Fn(&Outcome) -> Option<Duration>| {
        let mut gaps: Vec<Duration> = own.iter().filter_map(|it| gap(it)).collect();
        gaps.sort_unstable();
        // The smallest that so many of a hundred do not exceed.
        let quantile = |percent: usize| {
            let rank = (gaps.len() * percent).div_ceil(100).max(1);
            shown(gaps.get(rank - 1).copied())
        };
        eprintln!(
            "  {what:<32} p50 {:>8}  p99 {:>8}  max {:>8}",
            quantile(50),
            quantile(99),
            quantile(100)
        );
    };
    eprintln!("{fault}, {} times, until", own.len());
    line("a write was acknowledged", &|it| it.gaps.write);
    line("an offer came", &|it| it.gaps.offer);
    line("a new task was told to run", &|it| it.gaps.running);
    line("masters and agents were back", &|it| Some(it.healed));
}

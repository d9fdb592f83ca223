//! `tepui-sim`: seeds through the simulated cluster.

#[cfg(feature = "planted")]
mod hunt;
mod seeds;

use std::{ops::Range, process::ExitCode, time::Duration};

use clap::Parser;
use tepui_simulation::Run;

/// Runs whole clusters on virtual time: faults, on a schedule drawn from a seed, and invariants after every step.
#[derive(Debug, Parser)]
#[command(name = "tepui-sim", version)]
struct Cli {
    /// One seed, with all that leads to a violation
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Ends the run of --seed after so many virtual seconds and shows what happened before
    #[arg(long, value_name = "SECONDS", requires = "seed")]
    until: Option<f64>,
    /// The bug of PLANTED.md that --seed runs with
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "NAME", requires = "seed")]
    bug: Option<String>,
    /// The seeds that once failed, then these: A..B
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<Range<u64>>,
    /// No seed of --seeds is begun after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "seeds")]
    within: Option<u64>,
    /// Plants each bug of PLANTED.md and looks for it
    #[cfg(feature = "planted")]
    #[arg(long, conflicts_with_all = ["seed", "seeds"])]
    bugs: bool,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let bounds = text.split_once("..");
    let bounds = bounds.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    bounds.ok_or_else(|| "seeds are given as A..B, two numbers, B excluded".to_owned())
}

impl Cli {
    #[cfg(feature = "planted")]
    fn planted(&self) -> anyhow::Result<tepui_simulation::Planted> {
        let Some(name) = &self.bug else {
            return Ok(tepui_simulation::Planted::default());
        };
        let bug = tepui_simulation::Bug::by_name(name);
        bug.map(Into::into)
            .ok_or_else(|| anyhow::anyhow!("--bug {name}: no such bug; PLANTED.md lists them"))
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unnecessary_wraps, reason = "the other one can fail")]
    fn planted(&self) -> anyhow::Result<tepui_simulation::Planted> {
        Ok(tepui_simulation::Planted::default())
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    #[cfg(feature = "planted")]
    if cli.bugs {
        return Ok(hunt::all());
    }
    if let Some(seed) = cli.seed {
        let run = Run {
            seed,
            planted: cli.planted()?,
            until: cli.until.map(Duration::try_from_secs_f64).transpose()?,
        };
        return Ok(seeds::one(run));
    }
    let Some(range) = cli.seeds else {
        anyhow::bail!("nothing to run: name one seed with --seed N or many with --seeds A..B");
    };
    Ok(seeds::many(range, cli.within.map(Duration::from_secs)))
}

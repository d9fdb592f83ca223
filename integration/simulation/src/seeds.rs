//! Many seeds on all cores. Those that failed once are run first, whatever is asked for.

use std::{
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tepui_simulation::{Run, Summary};

const REGRESSIONS: &str = include_str!("../regressions.txt");

/// The seeds of `regressions.txt`.
fn regressions() -> Vec<u64> {
    let lines = REGRESSIONS.lines().filter_map(|it| it.split('#').next());
    lines.filter_map(|it| it.trim().parse().ok()).collect()
}

/// Runs a seed; a violation is printed with all that leads to it.
fn run(run: Run) -> Option<Summary> {
    let seed = run.seed;
    match catch_unwind(AssertUnwindSafe(|| run.run())) {
        Ok(Ok(summary)) => Some(summary),
        Ok(Err(violation)) => {
            let broken = &violation.broken;
            println!(
                "{}\nseed {seed}: {} is broken after {:?}: {}\nagain: tepui-sim --seed {seed}",
                violation.trace.join("\n"),
                broken.invariant,
                violation.at,
                broken.text
            );
            None
        }
        Err(_) => {
            println!(
                "seed {seed}: the simulation itself has panicked\nagain: tepui-sim --seed {seed}"
            );
            None
        }
    }
}

pub(crate) fn one(one: Run) -> ExitCode {
    match run(one) {
        Some(summary) => {
            println!("seed {}: {summary:?}", one.seed);
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

/// Runs `seeds` in their order until the time is over. What became of each.
fn all(seeds: &[u64], until: Option<Instant>) -> BTreeMap<u64, Option<Summary>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while until.is_none_or(|until| Instant::now() < until) {
                    let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return;
                    };
                    let seed = *seed;
                    let summary = run(Run {
                        seed,
                        ..Run::default()
                    });
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.insert(seed, summary);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Fails if a seed does, or if none was run.
pub(crate) fn many(seeds: Range<u64>, within: Option<Duration>) -> ExitCode {
    let begin = Instant::now();
    let mut done = all(&regressions(), None);
    let known = done.len();
    // Run twice, since a seed that gives another run each time could not be looked into.
    let again = all(&regressions(), None);
    let differ = done
        .iter()
        .filter(|(seed, summary)| again[seed] != **summary);
    let differ: Vec<u64> = differ.map(|(seed, _)| *seed).collect();
    let seeds: Vec<u64> = seeds.filter(|seed| !done.contains_key(seed)).collect();
    done.extend(all(&seeds, within.map(|within| begin + within)));
    let good: Vec<&Summary> = done.values().flatten().collect();
    let sum = |count: fn(&Summary) -> usize| good.iter().map(|it| count(it)).sum::<usize>();
    let healed = good.iter().map(|it| it.healed_after).max();
    println!(
        "{} seeds, {known} of them because they failed once, in {:.0} s: {} faults, {} writes acknowledged, {} reads, \
         {} tasks; the last fault was healed from within {:.1} s",
        done.len(),
        begin.elapsed().as_secs_f64(),
        sum(|it| it.faults),
        sum(|it| it.acknowledged_writes),
        sum(|it| it.reads),
        sum(|it| it.tasks),
        healed.unwrap_or_default().as_secs_f64()
    );
    let failed = done.iter().filter(|(_, summary)| summary.is_none());
    let failed: Vec<u64> = failed.map(|(seed, _)| *seed).collect();
    if !failed.is_empty() {
        println!(
            "seeds that failed: {failed:?}; once it is clear why, each gets a line in \
             integration/simulation/regressions.txt and is run for ever"
        );
        return ExitCode::FAILURE;
    }
    if !differ.is_empty() {
        println!("these seeds gave two different runs: {differ:?}");
        return ExitCode::FAILURE;
    }
    if done.is_empty() {
        println!("no seed was run");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

//! Seeds through the whole cluster. `TEPUI_SIM_SEEDS=5000` runs so many, from `TEPUI_SIM_FIRST` on (0); a seed that
//! fails goes into `regressions.txt` and is run for ever.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{env, thread};

use tepui_simulation::{Run, Summary};

/// As many as fit into a minute of two busy cores.
const SEEDS: u64 = 20;
const REGRESSIONS: &str = include_str!("../regressions.txt");

fn number(name: &str, otherwise: u64) -> u64 {
    let given = env::var(name).ok();
    given.map_or(otherwise, |it| {
        it.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, and is {it}"))
    })
}

/// Runs a seed; a violation is printed with all that leads to it.
fn run(seed: u64) -> Option<Summary> {
    let planted = None;
    match (Run { seed, planted }).run() {
        Ok(summary) => Some(summary),
        Err(violation) => {
            let broken = &violation.broken;
            println!("{}", violation.trace.join("\n"));
            println!(
                "seed {seed}: {} is broken after {:?}: {}\nagain: TEPUI_SIM_FIRST={seed} TEPUI_SIM_SEEDS=1 cargo test -p tepui-simulation --test seeds",
                broken.invariant, violation.at, broken.text
            );
            None
        }
    }
}

fn failing(seeds: impl Iterator<Item = u64> + Clone + Send) -> Vec<u64> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let own = seeds.clone().skip(worker).step_by(threads);
                scope.spawn(move || own.filter(|seed| run(*seed).is_none()).collect::<Vec<_>>())
            })
            .collect();
        let found = workers.into_iter().map(|it| it.join().unwrap());
        found.flatten().collect()
    })
}

#[test]
#[ignore = "the simulation is begun: make test-long runs it"]
fn no_seed_breaks_an_invariant() {
    let first = number("TEPUI_SIM_FIRST", 0);
    let count = number("TEPUI_SIM_SEEDS", SEEDS);
    let failed = failing(first..first.saturating_add(count));
    println!("{count} seeds from {first}: {} failed", failed.len());
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}

#[test]
#[ignore = "the simulation is begun: make test-long runs it"]
fn seeds_that_once_failed_do_not_fail_again() {
    let lines = REGRESSIONS.lines().map(|line| line.split('#').next());
    let seeds: Vec<u64> = lines
        .filter_map(|line| line.map(str::trim).filter(|line| !line.is_empty()))
        .map(|line| line.parse().unwrap())
        .collect();
    let failed = failing(seeds.into_iter());
    assert!(failed.is_empty(), "seeds that failed again: {failed:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2] {
        let (one, other) = (run(seed).unwrap(), run(seed).unwrap());
        assert_eq!(one, other);
    }
}

//! Each planted bug is found: by a violation of an invariant that `planted.tsv` names, within so many seeds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, thread};

use tepui_simulation::{Planted, Run};

/// Seeds a bug may hide in. `TEPUI_SIM_PLANTED` searches more, `TEPUI_SIM_BUG` only one bug.
const SEEDS: u64 = 40;
const TABLE: &str = include_str!("../planted.tsv");

/// The invariants that may show each bug, and the seed to begin with: the first that found it when the line was written.
fn table() -> BTreeMap<&'static str, (Vec<&'static str>, u64)> {
    let lines = TABLE.lines().skip(1);
    let rows = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    rows.map(|row| {
        (
            row[0],
            (row[3].split(' ').collect(), row[4].parse().unwrap()),
        )
    })
    .collect()
}

/// The first seed that finds it, and the invariant it breaks; or what was broken instead.
fn hunt(bug: Planted, invariants: &[&str], first: u64) -> Result<(u64, &'static str), String> {
    let given = std::env::var("TEPUI_SIM_PLANTED").ok();
    let seeds = given.map_or(SEEDS, |it| it.parse().unwrap());
    let mut others = Vec::new();
    for seed in first..first + seeds {
        let planted = Some(bug);
        let Err(violation) = (Run { seed, planted }).run() else {
            continue;
        };
        let broken = &violation.broken;
        if invariants.contains(&broken.invariant) {
            return Ok((seed, broken.invariant));
        }
        others.push(format!(
            "seed {seed}: {}: {}",
            broken.invariant, broken.text
        ));
    }
    Err(format!("not found in {seeds} seeds; instead: {others:?}"))
}

#[test]
fn every_planted_bug_stands_in_the_table() {
    let names: Vec<&str> = Planted::ALL.iter().map(|bug| bug.name()).collect();
    for line in TABLE.lines().skip(1) {
        let name = line.split('\t').next().unwrap();
        assert!(Planted::by_name(name).is_some(), "{name} is not planted");
    }
    assert_eq!(table().len(), names.len());
}

#[test]
#[ignore = "takes a minute and more: make test-long runs it"]
fn every_planted_bug_is_found() {
    let table = table();
    let only = std::env::var("TEPUI_SIM_BUG").ok();
    let wanted = |bug: &Planted| only.as_ref().is_none_or(|name| name == bug.name());
    let bugs: Vec<Planted> = Planted::ALL.into_iter().filter(wanted).collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let missed: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let (own, table) = (bugs.iter().skip(worker).step_by(threads), &table);
                scope.spawn(move || {
                    let hunted = own.filter_map(|bug| {
                        match hunt(*bug, &table[bug.name()].0, table[bug.name()].1) {
                            Ok((seed, invariant)) => {
                                println!("bug {}: {invariant} by seed {seed}", bug.name());
                                None
                            }
                            Err(text) => Some(format!("{}: {text}", bug.name())),
                        }
                    });
                    hunted.collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|it| it.join().unwrap())
            .collect()
    });
    for bug in &missed {
        println!("bug {bug}");
    }
    assert!(missed.is_empty(), "{} bugs are missed", missed.len());
}

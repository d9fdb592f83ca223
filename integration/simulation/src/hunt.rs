//! Looks for each planted bug: by a violation of an invariant that `PLANTED.md` names, within so many seeds.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tepui_simulation::{Bug, Run};

const TABLE: &str = include_str!("../PLANTED.md");

/// The invariants that may show a bug, and the seeds there are to find it.
struct Row {
    invariants: Vec<&'static str>,
    seeds: u64,
}

/// The table of `PLANTED.md`, by the names of bugs.
fn table() -> BTreeMap<&'static str, Row> {
    let lines = TABLE.lines().filter(|it| it.starts_with("| "));
    let rows = lines.filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, _, _, invariants, seeds, _] = cells[..] else {
            return None;
        };
        let invariants = invariants.split(' ').collect();
        let seeds = seeds.parse().ok()?;
        Some((name, Row { invariants, seeds }))
    });
    rows.collect()
}

/// The first seed that finds it and the invariant it breaks, or what was broken instead.
fn hunt(bug: Bug, row: &Row) -> Result<(u64, &'static str), String> {
    let mut others = Vec::new();
    for seed in 0..row.seeds {
        let run = Run {
            seed,
            planted: bug.into(),
            ..Run::default()
        };
        let Err(violation) = run.run() else { continue };
        let broken = &violation.broken;
        if row.invariants.contains(&broken.invariant) {
            return Ok((seed, broken.invariant));
        }
        others.push(format!(
            "seed {seed}: {}: {}",
            broken.invariant, broken.text
        ));
    }
    Err(format!(
        "not found in {} seeds; instead: {others:?}",
        row.seeds
    ))
}

/// Fails if a bug is not found, or if code and table differ.
pub(crate) fn all() -> ExitCode {
    let table = table();
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(0));
    let miss = |text: &str| {
        println!("{text}");
        *missed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    };
    for name in table.keys().filter(|name| Bug::by_name(name).is_none()) {
        miss(&format!("{name}: stands in the table and is not planted"));
    }
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = bug.name();
                    match table.get(name).map(|row| hunt(*bug, row)) {
                        None => miss(&format!("{name}: is planted and stands not in the table")),
                        Some(Err(text)) => miss(&format!("{name}: {text}")),
                        Some(Ok((seed, invariant))) => {
                            println!("{name}: {invariant} by seed {seed}");
                        }
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let planted = Bug::ALL.len();
    println!("{planted} bugs are planted, {missed} missed");
    match missed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

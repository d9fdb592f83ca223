//! Launches through shims that were brought up ahead. One test alone, since it looks at all children of this process.

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use std::collections::BTreeSet;
use support::{Bench, bounded, gone, kill, text, until};
use tepui_containers::Running;
use tepui_containers::process::{self, ProcessId};

/// The shims that this process has begun, by id.
fn shims() -> BTreeSet<ProcessId> {
    let children = process::all().expect("/proc").into_values().filter(|stat| {
        let comm = std::fs::read_to_string(format!("/proc/{}/comm", stat.id.pid));
        let is_shim = comm.is_ok_and(|name| name.trim() == "tepui-shim");
        stat.parent_pid == std::process::id() && !stat.is_dead() && is_shim
    });
    children.map(|stat| stat.id).collect()
}

async fn ends_well(bench: &Bench, command: &str, words: &str) -> Running {
    let spec = bench.shell(command);
    let stdout = spec.sandbox.join("stdout");
    let container = bench.launch(spec).await.expect("a launch");
    let exit = bounded(container.wait()).await.expect("an end");
    assert_eq!(exit.raw_status, Some(0));
    assert_eq!(text(&stdout), words);
    container
}

#[tokio::test]
async fn spares_serve_launches_and_end_with_their_launcher() {
    let bench = Bench::with_spares(2);
    assert!(shims().is_empty(), "none before they are asked for");
    bench.launcher.warm_up();
    until(|| shims().len() == 2).await;
    let first = shims();

    let container = ends_well(&bench, "echo one", "one\n").await;
    assert!(first.contains(&container.shim()));
    until(|| shims().len() == 2).await;

    // Of two that are killed the launch takes neither.
    let dead = shims();
    for spare in &dead {
        kill(*spare);
        gone(*spare).await;
    }
    let container = ends_well(&bench, "echo two", "two\n").await;
    assert!(!dead.contains(&container.shim()));
    until(|| shims().len() == 2).await;

    // More than the pipe of a spare holds.
    let waiting = shims();
    let mut spec = bench.shell("echo ${#LONG}");
    spec.env.insert("LONG".into(), "x".repeat(100_000).into());
    let stdout = spec.sandbox.join("stdout");
    let container = bench.launch(spec).await.unwrap();
    assert!(!waiting.contains(&container.shim()));
    bounded(container.wait()).await.unwrap();
    assert_eq!(text(&stdout), "100000\n");

    let mut running = Vec::new();
    for _ in 0..4 {
        running.push(bench.launch(bench.shell("exec sleep 1000")).await.unwrap());
    }
    until(|| shims().len() == 4 + 2).await;
    let working: BTreeSet<ProcessId> = running.iter().map(Running::shim).collect();
    drop(bench);
    // The bench has killed what it knew of; the spares, which it did not know, ended by themselves.
    until(|| shims().is_empty()).await;
    assert_eq!(working.len(), 4);
}

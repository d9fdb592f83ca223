//! Containers within one another, with the real shim and real processes (see `launcher.rs`).

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use rustix::process::Signal;
use std::time::Duration;
use support::{Bench, bounded};
use tepui_containers::launch::{Command, LaunchSpec};
use tepui_containers::spec::HOLDER;
use tepui_containers::{Cgroups, Limits};

const DEADLINE: Duration = Duration::from_secs(10);

/// The process that stands for a container without a command.
fn holder(bench: &Bench) -> LaunchSpec {
    let command = Command::Program {
        program: bench.launcher.shim().into(),
        argv: vec![HOLDER.into()],
    };
    LaunchSpec {
        command,
        ..bench.shell("")
    }
}

fn within(bench: &Bench, outer: &LaunchSpec, command: &str) -> LaunchSpec {
    let inner = bench.shell(command);
    LaunchSpec {
        container_id: format!("{}.{}", outer.container_id, inner.container_id),
        ..inner
    }
}

#[tokio::test]
async fn a_holder_ends_with_status_0_when_it_is_asked() {
    let bench = Bench::with_cgroups();
    let container = bench.launch(holder(&bench)).await.unwrap();
    container.signal_tree(Signal::TERM).unwrap();
    let exit = bounded(container.wait()).await.unwrap();
    assert_eq!(exit.raw_status, Some(0));
}

#[tokio::test]
async fn an_inner_container_ends_alone_and_with_the_outer_one() {
    let bench = Bench::with_cgroups();
    if matches!(bench.launcher.cgroups(), Cgroups::None { .. }) {
        eprintln!("left out: no cgroups here");
        return;
    }
    let spec = holder(&bench);
    let outer = bench.launch(spec.clone()).await.unwrap();
    let first = bench
        .launch(within(&bench, &spec, "sleep 600 & sleep 600"))
        .await
        .unwrap();
    let second = bench
        .launch(within(&bench, &spec, "exec sleep 600"))
        .await
        .unwrap();
    bounded(first.destroy(DEADLINE)).await.unwrap();
    assert_eq!(bounded(first.wait()).await.unwrap().raw_status, Some(9));
    // The outer one's processes are its own and those of what is left within it.
    assert_eq!(outer.usage().unwrap().processes, 2);
    bounded(outer.destroy(DEADLINE)).await.unwrap();
    assert_eq!(bounded(second.wait()).await.unwrap().raw_status, Some(9));
}

#[tokio::test]
async fn what_overflows_the_outer_limit_is_told_of_the_inner_one_that_did() {
    let bench = Bench::with_cgroups();
    if matches!(bench.launcher.cgroups(), Cgroups::None { .. }) {
        eprintln!("left out: no cgroups here");
        return;
    }
    let spec = LaunchSpec {
        limits: Limits {
            memory_limit_bytes: Some(64 << 20),
            ..Limits::default()
        },
        ..holder(&bench)
    };
    let outer = bench.launch(spec.clone()).await.unwrap();
    let modest = bench
        .launch(within(&bench, &spec, "exec sleep 600"))
        .await
        .unwrap();
    let greedy = within(&bench, &spec, "head -c 300m /dev/zero | tail >/dev/null");
    let greedy = bench.launch(greedy).await.unwrap();
    let exit = bounded(greedy.wait()).await.unwrap();
    assert!(exit.out_of_memory);
    assert_eq!(greedy.memory_limit_bytes(), Some(64 << 20));
    assert!(!modest.out_of_memory());
    bounded(outer.destroy(DEADLINE)).await.unwrap();
    assert!(!bounded(modest.wait()).await.unwrap().out_of_memory);
}

//! Containers that somebody meddles with: processes that leave, a shim that is stopped or signalled. With the real shim (see
//! `launcher.rs`).

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use std::time::Duration;

use rustix::process::Signal;
use support::{Bench, bounded};
use tepui_containers::{Cgroups, process::ProcessId};

const DEADLINE: Duration = Duration::from_secs(20);

/// Leaves every cgroup of version 1 that it is in.
const LEAVE: &str =
    "for root in /sys/fs/cgroup/*/cgroup.procs; do echo $$ > $root 2>/dev/null; done; ";

#[tokio::test]
async fn who_left_the_cgroup_is_killed_all_the_same() {
    let bench = Bench::with_cgroups();
    if !matches!(bench.launcher.cgroups(), Cgroups::V1 { .. })
        || !rustix::process::geteuid().is_root()
    {
        eprintln!("left out: only root leaves a cgroup, here of version 1");
        return;
    }
    let stray = format!("sh -c '{LEAVE} echo $$ > stray; sleep 1000' &");
    let wait = "while [ ! -s stray ]; do sleep 0.01; done; ";
    for command in [
        format!("{LEAVE} {stray} {wait} echo up > up; sleep 1000"),
        format!("{stray} {wait} echo up > up; exit 3"),
    ] {
        let spec = bench.shell(&command);
        let sandbox = spec.sandbox.clone();
        let container = bench.launch(spec).await.unwrap();
        support::appears(&sandbox.join("up")).await;
        let ends = command.ends_with("exit 3");
        if !ends {
            assert!(
                container
                    .processes()
                    .unwrap()
                    .contains(&container.command().pid)
            );
            bounded(container.destroy(DEADLINE)).await.unwrap();
        }
        let exit = bounded(container.wait()).await.unwrap();
        assert_eq!(exit.status().unwrap().code(), ends.then_some(3));
        let stray: u32 = support::text(&sandbox.join("stray"))
            .trim()
            .parse()
            .unwrap();
        assert!(ProcessId::of(stray).is_err(), "{command}");
    }
}

#[tokio::test]
async fn a_stopped_shim_tells_of_the_end_when_its_container_is_killed() {
    for bench in [Bench::with_cgroups(), Bench::bare()] {
        let container = bench.launch(bench.shell("sleep 1000")).await.unwrap();
        support::signal(container.shim(), Signal::STOP);
        bounded(container.destroy(DEADLINE)).await.unwrap();
        let exit = bounded(container.wait()).await.unwrap();
        assert_eq!(exit.raw_status, Some(9), "{}", bench.name);
    }
}

#[tokio::test]
async fn a_shim_is_deaf_to_what_is_meant_for_the_agent_and_its_command_is_not() {
    let bench = Bench::with_cgroups();
    let container = bench.launch(bench.shell("exec sleep 1000")).await.unwrap();
    for signal in [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::TERM] {
        support::signal(container.shim(), signal);
    }
    assert_eq!(container.signal_tree(Signal::USR1).unwrap(), 1);
    let exit = bounded(container.wait()).await.unwrap();
    assert_eq!(exit.raw_status, Some(10), "of the command");
}

/// One such container must not keep its agent from all others.
#[tokio::test]
async fn a_record_that_can_never_be_read_is_told_and_not_waited_for() {
    let bench = Bench::bare();
    let spec = bench.shell("sleep 1000");
    let (id, runtime_dir) = (spec.container_id.clone(), spec.runtime_dir.clone());
    std::fs::create_dir_all(runtime_dir.join("record")).unwrap();
    let recovered = bench.launcher.recover(&id, &runtime_dir).await;
    let Err(error) = recovered else {
        panic!("{recovered:?}")
    };
    assert!(!error.is_blind(), "{error}");
}

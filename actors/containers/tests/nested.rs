//! Containers within one another, with the real shim and real processes (see `launcher.rs`).

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use rustix::process::Signal;
use std::time::Duration;
use support::{Bench, bounded, text};
use tepui_containers::launch::{Command, LaunchSpec};
use tepui_containers::spec::HOLDER;
use tepui_containers::{Cgroups, Limits, Namespaces};

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

fn apart() -> Option<Bench> {
    let bench = Bench::with_cgroups();
    let is_root = rustix::process::geteuid().is_root();
    if is_root && !matches!(bench.launcher.cgroups(), Cgroups::None { .. }) {
        return Some(bench);
    }
    eprintln!("left out: namespaces and cgroups need root");
    None
}

/// One that has its own process ids, IPC and `/dev/shm`.
fn of_its_own(bench: &Bench, command: &str) -> LaunchSpec {
    LaunchSpec {
        namespaces: Namespaces {
            pids: true,
            ipc: true,
            shm_bytes: Some(8 << 20),
            ..Namespaces::default()
        },
        ..bench.shell(command)
    }
}

const OUTERS: Namespaces = Namespaces {
    pids: false,
    ipc: false,
    outer_pids: true,
    outer_ipc: true,
    names: false,
    machine_shm: false,
    shm_bytes: None,
    hostname: None,
};

#[tokio::test]
async fn an_inner_container_shares_what_the_outer_one_has_for_itself() {
    let Some(bench) = apart() else { return };
    let spec = of_its_own(&bench, "echo here > /dev/shm/mark; exec sleep 600");
    let outer = bench.launch(spec.clone()).await.unwrap();
    let script = "until test -s /dev/shm/mark; do sleep 0.05; done; cat /dev/shm/mark; readlink /proc/self/ns/pid /proc/self/ns/ipc; \
                  ls -d /proc/[0-9]* | grep -c .";
    let inner = LaunchSpec {
        namespaces: OUTERS,
        outer: Some(outer.command()),
        ..within(&bench, &spec, script)
    };
    let stdout = inner.sandbox.join("stdout");
    let inner = bench.launch(inner).await.unwrap();
    assert_eq!(bounded(inner.wait()).await.unwrap().raw_status, Some(0));
    let said = text(&stdout);
    let said: Vec<_> = said.split_whitespace().collect();
    let of_outer = |name: &str| {
        let link = format!("/proc/{}/ns/{name}", outer.command().pid);
        std::fs::read_link(link).unwrap().display().to_string()
    };
    assert_eq!(said[..3], ["here", &of_outer("pid"), &of_outer("ipc")]);
    assert!(said[3].parse::<u32>().unwrap() < 12, "{said:?}");
    assert!(!std::path::Path::new("/dev/shm/mark").exists());
    bounded(outer.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn what_an_inner_container_leaves_in_the_outer_ones_process_ids_dies_with_it() {
    let Some(bench) = apart() else { return };
    let spec = of_its_own(&bench, "exec sleep 600");
    let outer = bench.launch(spec.clone()).await.unwrap();
    let inner = LaunchSpec {
        namespaces: OUTERS,
        outer: Some(outer.command()),
        ..within(&bench, &spec, "(setsid sleep 600 &) ; exit 4")
    };
    let inner = bench.launch(inner).await.unwrap();
    assert_eq!(
        bounded(inner.wait()).await.unwrap().raw_status,
        Some(4 << 8)
    );
    assert!(inner.processes().unwrap().is_empty());
    assert_eq!(outer.processes().unwrap().len(), 2);
    bounded(outer.destroy(DEADLINE)).await.unwrap();
}

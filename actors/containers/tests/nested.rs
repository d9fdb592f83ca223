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
    assert_eq!(greedy.memory_report().limit_bytes, Some(64 << 20));
    assert!(!modest.out_of_memory());
    bounded(outer.destroy(DEADLINE)).await.unwrap();
    assert!(!bounded(modest.wait()).await.unwrap().out_of_memory);
}

/// How many ids a process has: one in each namespace of process ids that it is in.
#[allow(
    clippy::unwrap_used,
    reason = "a helper of tests: clippy knows only test functions as such"
)]
fn ids(pid: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let ids = lines.find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    ids.split_whitespace().count()
}

/// The first child of the shim that has claimed a container.
#[allow(
    clippy::unwrap_used,
    reason = "a helper of tests: clippy knows only test functions as such"
)]
async fn child_of_shim(runtime_dir: &std::path::Path) -> String {
    loop {
        let record = std::fs::read(runtime_dir.join("record")).unwrap_or_default();
        let fate = tepui_containers::record::parse(&record).unwrap_or_default();
        if let Some((_, shim)) = fate.shim {
            let children = format!("/proc/{0}/task/{0}/children", shim.pid);
            let children = std::fs::read_to_string(children).unwrap();
            if let Some(child) = children.split_whitespace().next() {
                return child.to_owned();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_joins_a_container_is_among_its_processes_as_the_command_only() {
    let bench = Bench::with_cgroups();
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can make namespaces");
        return;
    }
    let mut outer = bench.shell("sleep 1000");
    outer.namespaces.pids = true;
    let around = bench.launch(outer.clone()).await.unwrap();
    let joining = |command: &str| LaunchSpec {
        enter: Some(around.command()),
        ..within(&bench, &outer, command)
    };
    // It waits for somebody to write, with all the rights of the agent.
    let directory = tempfile::tempdir().unwrap();
    let gate = directory.path().join("gate");
    let made = rustix::fs::mkfifoat(rustix::fs::CWD, &gate, rustix::fs::Mode::RWXU);
    made.unwrap();
    let stuck = LaunchSpec {
        network: Some(gate.clone()),
        ..joining("true")
    };
    let runtime_dir = stuck.runtime_dir.clone();
    let (launched, seen) = tokio::join!(bench.launch(stuck), async {
        let child = bounded(child_of_shim(&runtime_dir)).await;
        let seen = ids(&child);
        let opened = tokio::task::spawn_blocking(move || std::fs::write(gate, ""));
        bounded(opened).await.unwrap().unwrap();
        seen
    });
    assert_eq!(seen, ids("self"), "it is not among the container's yet");
    assert!(launched.is_err(), "that is no network");
    let inside = bench.launch(joining("sleep 1000")).await.unwrap();
    let command = inside.command().pid.to_string();
    assert_eq!(ids(&command), ids("self") + 1);
    inside.signal_tree(Signal::KILL).unwrap();
    assert_eq!(bounded(inside.wait()).await.unwrap().raw_status, Some(9));
    let ended = bench.launch(joining("kill -0 1; exit 7")).await.unwrap();
    let status = bounded(ended.wait()).await.unwrap().raw_status;
    assert_eq!(status, Some(7 << 8));
    let missing = LaunchSpec {
        command: Command::Program {
            program: "/nowhere".into(),
            argv: vec!["nowhere".into()],
        },
        ..joining("")
    };
    let failed = bench.launch(missing).await;
    assert!(matches!(failed, Err(tepui_containers::Error::Launch(it)) if it.errno == 2));
    around.signal_tree(Signal::KILL).unwrap();
    bounded(around.wait()).await.unwrap();
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

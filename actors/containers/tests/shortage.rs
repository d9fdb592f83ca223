//! What becomes of a container when memory is short, with the real shim and real processes (see `launcher.rs`).

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: clippy knows only test functions as such"
)]

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use std::time::Duration;
use support::{Bench, bounded, text};
use tepui_containers::launch::{Command, LaunchSpec};
use tepui_containers::limits::Controller;
use tepui_containers::rotation::{Bound, Rotation};
use tepui_containers::spec::HOLDER;
use tepui_containers::switchboard::Switchboard;
use tepui_containers::{Exit, Limits};

const DEADLINE: Duration = Duration::from_secs(10);
const GREEDY: &str = "head -c 300m /dev/zero | tail >/dev/null";

/// `None`: nothing limits memory here.
fn bench() -> Option<Bench> {
    let bench = Bench::with_cgroups();
    if bench.launcher.cgroups().has(Controller::Memory) {
        return Some(bench);
    }
    eprintln!("left out: no cgroups of memory");
    None
}

fn limited(mut spec: LaunchSpec) -> LaunchSpec {
    spec.limits.memory_limit_bytes = Some(64 << 20);
    spec
}

fn rotated(mut spec: LaunchSpec) -> LaunchSpec {
    let bound = Bound {
        max_bytes: 1 << 20,
        kept: 1,
    };
    spec.rotation = Some(Rotation {
        stdout: bound,
        stderr: bound,
    });
    spec
}

fn attachable(mut spec: LaunchSpec) -> LaunchSpec {
    spec.switchboard = Some(Switchboard::default());
    spec
}

async fn end_of(bench: &Bench, spec: LaunchSpec) -> Exit {
    let container = bench.launch(spec).await.unwrap();
    bounded(container.wait()).await.unwrap()
}

#[tokio::test]
async fn a_container_ends_whole_when_a_part_of_it_is_killed_for_memory() {
    let Some(bench) = bench() else { return };
    let command = format!("{GREEDY} & wait; exec sleep 1000");
    for shaped in [|spec| spec, rotated, attachable] {
        let exit = end_of(&bench, shaped(limited(bench.shell(&command)))).await;
        assert!(exit.out_of_memory, "{exit:?}");
        assert_eq!(exit.raw_status, Some(9));
    }
}

#[tokio::test]
async fn a_command_that_ends_well_beside_a_part_that_was_killed_for_memory_is_told_as_killed() {
    let Some(bench) = bench() else { return };
    for shaped in [|spec| spec, rotated, attachable] {
        let command = format!("{GREEDY}; exit 0");
        let exit = end_of(&bench, shaped(limited(bench.shell(&command)))).await;
        assert!(exit.out_of_memory, "{exit:?}");
        assert_eq!(exit.raw_status, Some(9));
    }
    let exit = end_of(&bench, limited(bench.shell(&format!("{GREEDY}; exit 3")))).await;
    assert!(matches!(exit.raw_status, Some(9 | 0x300)), "{exit:?}");
}

#[tokio::test]
async fn what_gives_its_memory_back_in_time_goes_on() {
    let Some(bench) = bench() else { return };
    let command = "dd if=/dev/zero of=file bs=1M count=128 2>/dev/null; exit 0";
    let exit = end_of(&bench, limited(bench.shell(command))).await;
    assert_eq!((exit.raw_status, exit.out_of_memory), (Some(0), false));
}

#[tokio::test]
async fn of_containers_within_a_limit_the_one_that_lost_a_part_ends_whole_and_alone() {
    let Some(bench) = bench() else { return };
    let holder = Command::Program {
        program: bench.launcher.shim().into(),
        argv: vec![HOLDER.into()],
    };
    let outer_spec = LaunchSpec {
        command: holder,
        ..limited(bench.shell(""))
    };
    let within = |command: &str| {
        let inner = bench.shell(command);
        LaunchSpec {
            container_id: format!("{}.{}", outer_spec.container_id, inner.container_id),
            ..inner
        }
    };
    let outer = bench.launch(outer_spec.clone()).await.unwrap();
    let modest = bench.launch(within("exec sleep 1000")).await.unwrap();
    let exit = end_of(&bench, within(&format!("{GREEDY} & wait; exec sleep 1000"))).await;
    assert!(exit.out_of_memory && exit.raw_status == Some(9), "{exit:?}");
    assert!(modest.command().exists() && outer.command().exists());
    bounded(outer.destroy(DEADLINE)).await.unwrap();
    assert!(!bounded(modest.wait()).await.unwrap().out_of_memory);
}

#[tokio::test]
async fn who_may_have_more_memory_than_requested_tells_the_kernel() {
    let Some(bench) = bench() else { return };
    let own = text("/proc/self/oom_score_adj".as_ref());
    for (request, limit, is_sooner) in [(32, 64, true), (64, 64, false)] {
        let mut spec = bench.shell("cat /proc/self/oom_score_adj");
        spec.limits = Limits {
            memory_request_bytes: Some(request << 20),
            memory_limit_bytes: Some(limit << 20),
            ..Limits::default()
        };
        let stdout = spec.sandbox.join("stdout");
        assert_eq!(end_of(&bench, spec).await.raw_status, Some(0));
        let found = text(&stdout);
        match is_sooner {
            true => assert!(found.trim().parse::<u32>().unwrap() > 900, "{found}"),
            false => assert_eq!(found, own),
        }
    }
}

//! The end of a container on a machine where nobody reaps, with the real shim (see `launcher.rs`). On its own: this process
//! makes itself the parent of all orphans.

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use std::time::Duration;
use support::{Bench, bounded};
use tepui_containers::{Cgroups, Namespaces};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_first_process_that_waits_for_others_holds_nobody() {
    let bench = Bench::with_cgroups();
    if matches!(bench.launcher.cgroups(), Cgroups::None { .. })
        || !rustix::process::geteuid().is_root()
    {
        eprintln!("left out: namespaces and cgroups need root");
        return;
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let mut spec = bench.shell("sleep 1000 & exec sleep 1000");
    spec.namespaces = Namespaces {
        pids: true,
        ..Namespaces::default()
    };
    let (id, runtime_dir) = (spec.container_id.clone(), spec.runtime_dir.clone());
    let container = bench.launch(spec).await.unwrap();
    support::kill(container.shim());
    bounded(container.wait()).await.unwrap();
    // The command is this process' child now, which does not look after it.
    bounded(bench.launcher.destroy(&id, &runtime_dir, DEADLINE))
        .await
        .unwrap();
    support::gone(container.command()).await;
    // To some kernels it is a process of its cgroup until somebody has looked after it.
    let _ = bounded(bench.launcher.cleanup(&id, &runtime_dir)).await;
    while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {}
    bounded(bench.launcher.cleanup(&id, &runtime_dir))
        .await
        .unwrap();
    assert!(!runtime_dir.exists());
}

//! What isolators do to real processes, with the real shim and the real kernel (see `launcher.rs`).

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests: clippy knows only test functions as such"
)]

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use std::path::Path;
use std::time::Duration;
use support::{Bench, bounded, text};
use tepui_containers::devices::{Access, DEFAULTS, Device};
use tepui_containers::launch::LaunchSpec;
use tepui_containers::limits::Controller;
use tepui_containers::{Cgroups, Limits, Recovered, Root};

const DEADLINE: Duration = Duration::from_secs(10);
/// A device that is on every machine and that nobody misses.
const FUSE: &str = "/dev/fuse";

/// With cgroups v1, whose figures these are.
fn bench(controller: Controller) -> Option<Bench> {
    let bench = Bench::with_all_controllers();
    let has = bench.launcher.cgroups().has(controller);
    if has && matches!(bench.launcher.cgroups(), Cgroups::V1 { .. }) {
        return Some(bench);
    }
    eprintln!("left out: no cgroup v1 controller {}", controller.name());
    None
}

async fn output(bench: &Bench, spec: LaunchSpec) -> String {
    let stdout = spec.sandbox.join("stdout");
    let container = bench.launch(spec).await.unwrap();
    bounded(container.wait()).await.unwrap();
    text(&stdout)
}

#[tokio::test]
async fn a_container_opens_the_devices_it_was_allowed() {
    let (Some(bench), Ok(fuse)) = (bench(Controller::Devices), Device::at(Path::new(FUSE))) else {
        return;
    };
    let script = format!(
        "(exec 3<>{FUSE}) && echo both; (exec 3<{FUSE}) && echo read; (exec 3>/dev/null) && echo usual; \
         (exec 3</dev/kmsg) && echo log"
    );
    let with = |access: Option<Access>| {
        let more = access.map(|access| fuse.rule(access));
        LaunchSpec {
            devices: Some(DEFAULTS.into_iter().chain(more).collect()),
            ..bench.shell(&script)
        }
    };
    assert_eq!(output(&bench, with(None)).await, "usual\n");
    let read = Access {
        read: true,
        ..Access::default()
    };
    assert_eq!(output(&bench, with(Some(read))).await, "read\nusual\n");
    assert_eq!(
        output(&bench, with(Some(Access::ALL))).await,
        "both\nread\nusual\n"
    );
    assert!(output(&bench, bench.shell(&script)).await.contains("both"));
}

#[tokio::test]
async fn devices_are_given_and_taken_while_it_runs() {
    let (Some(bench), Ok(fuse)) = (bench(Controller::Devices), Device::at(Path::new(FUSE))) else {
        return;
    };
    let loops = format!(
        "while :; do if (exec 3<>{FUSE}) 2>/dev/null; then echo open; else echo shut; fi >now.new; mv now.new now; \
         sleep 0.05; done"
    );
    let mut spec = bench.shell(&loops);
    spec.devices = Some(DEFAULTS.to_vec());
    let now = spec.sandbox.join("now");
    let container = bench.launch(spec).await.unwrap();
    let says = |word: &'static str| {
        let now = now.clone();
        support::until(move || std::fs::read_to_string(&now).is_ok_and(|it| it.trim() == word))
    };
    says("shut").await;
    let rule = [fuse.rule(Access::ALL)];
    container.change_devices(&rule, &[]).unwrap();
    says("open").await;
    container.change_devices(&[], &rule).unwrap();
    says("shut").await;
    bounded(container.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn a_container_within_has_no_device_that_the_outer_one_has_not() {
    let (Some(bench), Ok(fuse)) = (bench(Controller::Devices), Device::at(Path::new(FUSE))) else {
        return;
    };
    let script = format!("(exec 3<>{FUSE}) && echo open; (exec 3>/dev/null) && echo usual");
    let mut outer = bench.shell("exec sleep 1000");
    outer.devices = Some(DEFAULTS.to_vec());
    let outer_id = outer.container_id.clone();
    let running = bench.launch(outer).await.unwrap();
    let mut inner = bench.shell(&script);
    inner.container_id = format!("{outer_id}.{}", inner.container_id);
    assert_eq!(output(&bench, inner.clone()).await, "usual\n");
    inner.container_id = format!("{outer_id}.more");
    inner.runtime_dir = bench.runtime_dir("more");
    inner.devices = Some(vec![fuse.rule(Access::ALL)]);
    // The kernel does not let it be asked for.
    assert!(bench.launch(inner).await.is_err());
    bounded(running.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn a_container_is_in_every_controller_with_the_cpus_of_the_agent() {
    let Some(bench) = bench(Controller::Cpuset) else {
        return;
    };
    let spec = bench.shell("cat /proc/self/cgroup; grep Cpus_allowed_list /proc/self/status");
    let id = spec.container_id.clone();
    let said = output(&bench, spec).await;
    let Cgroups::V1 { roots, .. } = bench.launcher.cgroups() else {
        unreachable!()
    };
    for controller in roots.keys() {
        let line = said.lines().find(|line| {
            let names = line.split(':').nth(1).unwrap_or_default();
            names.split(',').any(|name| name == controller.name())
        });
        let inside = line.is_some_and(|line| line.ends_with(&format!("/{id}")));
        assert!(inside, "{controller:?}: {said}");
    }
    let own = text(Path::new("/proc/self/status"));
    let allowed = own
        .lines()
        .find(|line| line.starts_with("Cpus_allowed_list"));
    assert!(said.contains(allowed.unwrap()), "{said}");
}

/// Kernels since 6.9 count for a disk only while somebody limits it; the sum is always there.
#[tokio::test]
async fn reads_and_writes_of_disks_are_told() {
    let Some(bench) = bench(Controller::Blkio) else {
        return;
    };
    let container = bench.launch(bench.shell("exec sleep 1000")).await.unwrap();
    let disks = container.usage().unwrap().block_io;
    let sum = disks.iter().find(|disk| disk.device.is_none()).unwrap();
    assert!(
        sum.serviced.total.is_some() && sum.bytes.total.is_some(),
        "{disks:?}"
    );
    bounded(container.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn memory_is_told_by_what_it_is_and_how_short_it_was() {
    let Some(bench) = bench(Controller::Memory) else {
        return;
    };
    let mut spec = bench.shell("while ! test -e go; do sleep 0.05; done; dd if=/dev/zero of=file bs=1M count=128; exec sleep 1000");
    let go = spec.sandbox.join("go");
    spec.limits = Limits {
        memory_request_bytes: Some(32 << 20),
        memory_limit_bytes: Some(48 << 20),
        ..Limits::default()
    };
    let container = bench.launch(spec).await.unwrap();
    let before = container.usage().unwrap();
    assert_eq!(before.memory.soft_limit, Some(32 << 20));
    assert_eq!(before.pressure.unwrap().critical, 0);
    std::fs::write(go, "").unwrap();
    // The page cache of more than its limit has to be given up, again and again.
    support::until(|| {
        let usage = container.usage().unwrap();
        usage.pressure.is_some_and(|it| it.low > 0) && usage.memory.cache > Some(8 << 20)
    })
    .await;
    assert!(!container.out_of_memory());
    bounded(container.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn how_short_memory_is_the_next_agent_counts_too() {
    let Some(bench) = bench(Controller::Memory) else {
        return;
    };
    let mut spec = bench.shell("while :; do dd if=/dev/zero of=file bs=1M count=128; done");
    spec.limits.memory_limit_bytes = Some(48 << 20);
    let (id, runtime_dir) = (spec.container_id.clone(), spec.runtime_dir.clone());
    let first = bench.launch(spec).await.unwrap();
    support::until(|| first.usage().unwrap().pressure.is_some_and(|it| it.low > 0)).await;
    drop(first);
    let Recovered::Running(found) = bench.launcher.recover(&id, &runtime_dir).await.unwrap() else {
        panic!("not found")
    };
    support::until(|| {
        let told = found.usage().unwrap().pressure.unwrap();
        told.low > 0 && told.low >= told.medium && told.medium >= told.critical
    })
    .await;
    bounded(found.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn a_limit_of_a_thousand_cpus_is_taken_as_it_is() {
    let Some(bench) = bench(Controller::Cpu) else {
        return;
    };
    let mut spec = bench.shell("exec sleep 1000");
    spec.limits.cpu_limit_milli = Some(1_000_000);
    let id = spec.container_id.clone();
    let container = bench.launch(spec).await.unwrap();
    let Cgroups::V1 { roots, .. } = bench.launcher.cgroups() else {
        unreachable!()
    };
    let file = |name: &str| text(&roots[&Controller::Cpu].join(&id).join(name));
    // A hundred seconds of CPU time in each tenth of a second.
    assert_eq!(file("cpu.cfs_quota_us").trim(), "100000000");
    assert_eq!(file("cpu.cfs_period_us").trim(), "100000");
    bounded(container.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn time_of_the_user_and_of_the_kernel_are_told_apart() {
    let Some(bench) = bench(Controller::Cpuacct) else {
        return;
    };
    let user = bench
        .launch(bench.shell("while :; do :; done"))
        .await
        .unwrap();
    let kernel = "exec dd if=/dev/zero of=/dev/null bs=1M";
    let kernel = bench.launch(bench.shell(kernel)).await.unwrap();
    support::until(|| {
        let (user, kernel) = (user.usage().unwrap(), kernel.usage().unwrap());
        user.cpu_user_ms >= 120 && kernel.cpu_system_ms >= 120
    })
    .await;
    for container in [user, kernel] {
        bounded(container.destroy(DEADLINE)).await.unwrap();
    }
}

#[tokio::test]
async fn a_limit_of_memory_is_one_of_swap_too_where_it_is_asked_for() {
    let Some(bench) = bench(Controller::Memory) else {
        return;
    };
    if !bench.launcher.cgroups().can_limit_swap() {
        eprintln!("left out: this kernel does not count swap");
        return;
    }
    let mut spec = bench.shell("exec sleep 1000");
    spec.limits = Limits {
        memory_limit_bytes: Some(48 << 20),
        limit_swap: true,
        ..Limits::default()
    };
    let id = spec.container_id.clone();
    let container = bench.launch(spec).await.unwrap();
    let Cgroups::V1 { roots, .. } = bench.launcher.cgroups() else {
        unreachable!()
    };
    let limit = roots[&Controller::Memory]
        .join(&id)
        .join("memory.memsw.limit_in_bytes");
    assert_eq!(text(&limit).trim(), (48 << 20).to_string());
    bounded(container.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn with_v2_containers_lie_within_one_another() {
    let bench = Bench::unified();
    if matches!(bench.launcher.cgroups(), Cgroups::None { .. }) {
        eprintln!("left out: no unified hierarchy here");
        return;
    }
    let outer = bench.shell("exec sleep 1000");
    let outer_id = outer.container_id.clone();
    let outer = bench.launch(outer).await.unwrap();
    let mut inner = bench.shell("sleep 1000 & exec sleep 1000");
    inner.container_id = format!("{outer_id}.{}", inner.container_id);
    let inner = bench.launch(inner).await.unwrap();
    support::until(|| inner.usage().unwrap().processes == 2).await;
    assert_eq!(outer.usage().unwrap().processes, 3);
    bounded(inner.destroy(DEADLINE)).await.unwrap();
    bounded(inner.wait()).await.unwrap();
    assert_eq!(outer.usage().unwrap().processes, 1);
    bounded(outer.destroy(DEADLINE)).await.unwrap();
}

/// A root file system of one program with many names.
fn with_root(bench: &Bench, script: &str) -> Option<LaunchSpec> {
    let busybox = Path::new("/bin/busybox");
    if !busybox.exists() || !rustix::process::geteuid().is_root() {
        eprintln!("left out: a root file system needs root and busybox-static");
        return None;
    }
    let mut spec = bench.shell(script);
    let dir = bench.runtime_dir("roots").join(&spec.container_id);
    std::fs::create_dir_all(dir.join("root/bin")).unwrap();
    std::fs::copy(busybox, dir.join("root/bin/busybox")).unwrap();
    for name in ["sh", "cat", "grep", "ls", "find"] {
        std::os::unix::fs::symlink("busybox", dir.join("root/bin").join(name)).unwrap();
    }
    spec.root = Some(Root {
        dir,
        overlay: None,
        sandbox: "/sandbox".into(),
    });
    Some(spec)
}

#[tokio::test]
async fn a_container_with_a_root_of_its_own_sees_its_cgroups_alone() {
    let script = "for it in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/pids/cgroup.procs '/sys/fs/cgroup/own:/cgroup.procs'; do \
                  grep -q . $it 2>/dev/null && echo own; done; find /sys/fs/cgroup | grep tepui; \
                  (echo 1 > /sys/fs/cgroup/pids/pids.max) 2>/dev/null || (echo 1 > /sys/fs/cgroup/pids.max) 2>/dev/null || echo closed";
    for bench in [Bench::with_cgroups(), Bench::unified()] {
        let Some(mut spec) = with_root(&bench, script) else {
            return;
        };
        if matches!(bench.launcher.cgroups(), Cgroups::None { .. }) {
            eprintln!("left out: {}", bench.name);
            continue;
        }
        spec.limits.processes = Some(64);
        assert_eq!(
            output(&bench, spec).await,
            "own\nclosed\n",
            "{}",
            bench.name
        );
    }
}

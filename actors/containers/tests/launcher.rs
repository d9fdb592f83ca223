//! The launcher with the real shim and real processes. Needs the program `tepui-shim`: named by `TEPUI_SHIM`, or
//! beside this test in the target directory (`cargo build -p tepui-shim`). What needs root or cgroups says that it
//! was left out.

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use support::{Bench, bounded, text};
use tepui_containers::launch::Command;
use tepui_containers::process::ProcessId;
use tepui_containers::record::Stage;
use tepui_containers::{
    Capabilities, Cgroups, Error, Exit, Limits, Mount, Recovered, Rlimit, RlimitKind, mountpoints,
};
use tokio::sync::oneshot;

/// For kills that must succeed: far above what they take.
const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn exits_are_told_as_they_were() {
    let bench = Bench::with_cgroups();
    for (command, code, signal) in [
        ("exit 0", Some(0), None),
        ("exit 3", Some(3), None),
        ("kill -9 $$", None, Some(9)),
    ] {
        let container = bench.launch(bench.shell(command)).await.unwrap();
        let exit = bounded(container.wait()).await.unwrap();
        let status = exit.status().unwrap();
        assert!(exit.is_swept, "{command}");
        assert_eq!(
            (
                status.code(),
                std::os::unix::process::ExitStatusExt::signal(&status)
            ),
            (code, signal),
            "{command}"
        );
        assert_eq!(
            bounded(container.wait()).await.unwrap(),
            exit,
            "a second wait tells the same"
        );
    }
}

#[tokio::test]
async fn a_realtime_signal_is_an_exit_like_others() {
    let bench = Bench::bare();
    let container = bench.launch(bench.shell("kill -40 $$")).await.unwrap();
    assert_eq!(
        bounded(container.wait()).await.unwrap().raw_status,
        Some(40)
    );
}

#[tokio::test]
async fn a_command_that_cannot_run_is_a_failure_and_no_exit() {
    let bench = Bench::with_cgroups();
    let program = |path: &str| Command::Program {
        program: path.into(),
        argv: vec![],
    };
    for (path, errno) in [("/nonexistent/program", 2), ("/etc/passwd", 13)] {
        let mut spec = bench.shell("");
        spec.command = program(path);
        let runtime_dir = spec.runtime_dir.clone();
        let id = spec.container_id.clone();
        let Err(Error::Launch(failure)) = bench.launch(spec).await else {
            panic!("{path} was launched")
        };
        assert_eq!((failure.stage, failure.errno), (Stage::Exec, errno));
        let recovered = bench.launcher.recover(&id, &runtime_dir).await.unwrap();
        assert!(matches!(recovered, Recovered::Failed(known) if known == failure));
        bench.launcher.cleanup(&id, &runtime_dir).await.unwrap();
    }
    let mut spec = bench.shell("true");
    spec.working_dir = Some("/nonexistent".into());
    let Err(Error::Launch(failure)) = bench.launch(spec).await else {
        panic!("launched nowhere")
    };
    assert_eq!(failure.stage, Stage::WorkingDir);

    let unknown = tepui_containers::user::lookup("no-such-user-here");
    assert!(matches!(unknown, Err(Error::UnknownUser(_))));
}

#[tokio::test]
async fn the_command_gets_exactly_what_was_ordered() {
    let bench = Bench::with_cgroups();
    let mut spec = bench.shell("");
    spec.command = Command::Program {
        program: "sh".into(),
        argv: ["zero", "-c", "env; echo $0; pwd; umask; ulimit -n; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0; echo err >&2"]
            .map(Into::into)
            .to_vec(),
    };
    spec.env = BTreeMap::from([
        ("PATH".into(), "/usr/bin:/bin".into()),
        ("A".into(), "b c=d\ne".into()),
    ]);
    spec.umask = 0o027;
    spec.rlimits = vec![Rlimit {
        kind: RlimitKind::OpenFiles,
        soft: Some(64),
        hard: Some(64),
    }];
    let sandbox = spec.sandbox.clone();
    let container = bench.launch(spec).await.unwrap();
    assert_eq!(bounded(container.wait()).await.unwrap().raw_status, Some(0));
    let out = text(&sandbox.join("stdout"));
    let lines: Vec<&str> = out
        .lines()
        .filter(|line| {
            !line.starts_with("PWD=")
                && !line.starts_with("_=")
                && !line.starts_with("SHLVL=")
                && !line.starts_with("OLDPWD=")
        })
        .collect();
    let mut env: Vec<&str> = lines[..3].to_vec();
    env.sort_unstable();
    assert_eq!(env, ["A=b c=d", "PATH=/usr/bin:/bin", "e"], "{out}");
    // `ls` has three inherited descriptors and the directory it lists.
    assert_eq!(
        lines[3..],
        [
            "zero",
            sandbox.to_str().unwrap(),
            "0027",
            "64",
            "4",
            "/dev/null"
        ],
        "{out}"
    );
    assert_eq!(text(&sandbox.join("stderr")), "err\n");
}

/// The lines of `/proc/self/status` about capabilities, in the order of the file.
fn capability_lines(status: &str) -> Vec<(&str, u64)> {
    let lines = status.lines().filter_map(|line| line.split_once(":\t"));
    let lines = lines.filter(|(name, _)| name.starts_with("Cap"));
    let numbers = lines.map(|(name, hex)| Some((name, u64::from_str_radix(hex, 16).ok()?)));
    numbers.flatten().collect()
}

#[tokio::test]
async fn capabilities_bound_root_and_go_with_any_user() {
    let bench = Bench::with_cgroups();
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root has capabilities to give");
        return;
    }
    const CHOWN: u64 = 1;
    const KILL: u64 = 1 << 5;
    let nobody = tepui_containers::user::lookup("nobody").unwrap();
    let nobody = tepui_containers::user::switch_to(nobody);
    for (user, effective, begins_with) in [
        (None, Some(CHOWN), CHOWN | KILL),
        (None, None, CHOWN | KILL),
        (nobody.clone(), Some(CHOWN), CHOWN),
        (nobody, None, 0),
    ] {
        let mut spec = bench.shell("cat /proc/self/status");
        spec.credentials = user.clone();
        spec.capabilities = Some(Capabilities {
            bounding: CHOWN | KILL,
            effective,
        });
        let sandbox = spec.sandbox.clone();
        let container = bench.launch(spec).await.unwrap();
        assert_eq!(bounded(container.wait()).await.unwrap().raw_status, Some(0));
        let status = text(&sandbox.join("stdout"));
        let sets = capability_lines(&status);
        let set = |wanted| sets.iter().find(|(name, _)| *name == wanted).unwrap().1;
        let case = format!("{user:?} {effective:?}: {sets:x?}");
        assert_eq!(set("CapBnd"), CHOWN | KILL, "{case}");
        // The kernel gives a program of root all that is bounding.
        assert_eq!(set("CapEff"), begins_with, "{case}");
        assert_eq!(set("CapPrm"), begins_with, "{case}");
    }
}

#[tokio::test]
async fn what_is_mounted_is_seen_by_the_command_alone() {
    let bench = Bench::with_cgroups();
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can mount");
        return;
    }
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("file"), "of the host\n").unwrap();
    let mut spec = bench.shell(
        "cat data/file one; echo new > data/new; ! echo x > fixed/new; ls fixed; cat /etc/hostname",
    );
    let sandbox = spec.sandbox.clone();
    let (etc, name) = (PathBuf::from("/etc/hostname"), host.path().join("file"));
    for (source, target, read_only) in [
        (host.path().to_owned(), PathBuf::from("data"), false),
        (host.path().to_owned(), PathBuf::from("fixed"), true),
        (name.clone(), PathBuf::from("one"), false),
        (name, etc.clone(), true),
    ] {
        let found = mountpoints::find(&sandbox, None, &source, &target, read_only);
        spec.mounts.push(found.unwrap());
    }
    let before = text(&etc);
    let container = bench.launch(spec).await.unwrap();
    let status = bounded(container.wait()).await.unwrap().raw_status;
    let shown = text(&sandbox.join("stdout"));
    assert_eq!(status, Some(0), "{shown} {}", text(&sandbox.join("stderr")));
    let line = "of the host\n";
    assert_eq!(shown, format!("{line}{line}file\nnew\n{line}"));
    assert_eq!(text(&host.path().join("new")), "new\n");
    assert_eq!(text(&etc), before);
    for place in ["data", "fixed"] {
        let left = std::fs::read_dir(sandbox.join(place)).unwrap().count();
        assert_eq!(left, 0, "{place} is empty outside of the container");
    }
}

#[tokio::test]
async fn no_link_of_the_sandbox_leads_a_mount_elsewhere() {
    let bench = Bench::with_cgroups();
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can mount");
        return;
    }
    for (source, target) in [("/usr", "data"), ("data", "/mnt")] {
        let mut spec = bench.shell("true");
        // As if a task had put it in the place that was made.
        std::os::unix::fs::symlink("/etc", spec.sandbox.join("data")).unwrap();
        spec.mounts.push(Mount {
            source: source.into(),
            target: target.into(),
            read_only: false,
            no_links: false,
            propagates: false,
            keeps_owners: false,
            overlay: None,
        });
        let Err(Error::Launch(failure)) = bench.launch(spec).await else {
            panic!("the link was followed")
        };
        assert_eq!(
            (failure.stage, failure.errno),
            (Stage::Mount, rustix::io::Errno::LOOP.raw_os_error())
        );
    }
}

#[tokio::test]
async fn no_link_on_the_way_to_what_others_own_leads_a_mount_elsewhere() {
    let bench = Bench::with_cgroups();
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can mount");
        return;
    }
    let around = tempfile::tempdir().unwrap();
    // As if a task had put it in the place of a directory that it shares, or of one above.
    std::os::unix::fs::symlink("/etc", around.path().join("shared")).unwrap();
    for (source, propagates) in [("shared", false), ("shared/ssl", false), ("shared", true)] {
        let mut spec = bench.shell("true");
        std::fs::create_dir(spec.sandbox.join("data")).unwrap();
        spec.mounts.push(Mount {
            source: around.path().join(source),
            target: "data".into(),
            read_only: true,
            no_links: true,
            propagates,
            keeps_owners: false,
            overlay: None,
        });
        let Err(Error::Launch(failure)) = bench.launch(spec).await else {
            panic!("the link was followed: {source}")
        };
        assert_eq!(
            (failure.stage, failure.errno),
            (Stage::Mount, rustix::io::Errno::LOOP.raw_os_error())
        );
    }
}

#[tokio::test]
async fn the_command_runs_as_its_user_and_owns_its_files() {
    let bench = Bench::with_cgroups();
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can change users");
        return;
    }
    let mut spec = bench.shell(
        "id -u; id -g; id -G; cat /proc/self/status | grep -E '^(CapEff|NoNewPrivs)'; touch made",
    );
    let nobody = tepui_containers::user::lookup("nobody").unwrap();
    spec.credentials = tepui_containers::user::switch_to(nobody.clone());
    spec.no_new_privs = true;
    let sandbox = spec.sandbox.clone();
    let container = bench.launch(spec).await.unwrap();
    assert_eq!(
        bounded(container.wait()).await.unwrap().raw_status,
        Some(0),
        "{}",
        text(&sandbox.join("stderr"))
    );
    let expected = format!(
        "{}\n{}\n{}\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n",
        nobody.uid,
        nobody.gid,
        nobody
            .groups
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    );
    assert_eq!(text(&sandbox.join("stdout")), expected);
    for name in ["stdout", "stderr", "made", "."] {
        let owner =
            std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(sandbox.join(name)).unwrap());
        assert_eq!(owner, nobody.uid, "{name}");
    }
}

#[tokio::test]
async fn outputs_never_go_through_links_or_pipes() {
    let bench = Bench::with_cgroups();
    let spec = bench.shell("echo hi");
    let victim = spec.sandbox.parent().unwrap().join("victim");
    std::fs::write(&victim, "safe").unwrap();
    std::os::unix::fs::symlink(&victim, spec.sandbox.join("stdout")).unwrap();
    let Err(Error::Launch(failure)) = bench.launch(spec).await else {
        panic!("a link was followed")
    };
    assert_eq!(failure.stage, Stage::Stdout);
    assert_eq!(text(&victim), "safe");

    let spec = bench.shell("echo hi");
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        spec.sandbox.join("stderr"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    let Err(Error::Launch(failure)) = bench.launch(spec).await else {
        panic!("a pipe was opened")
    };
    assert_eq!(failure.stage, Stage::Stderr);
}

/// A daemon: its own session, its parent gone, deaf to SIGTERM.
const DAEMON: &str = "setsid sh -c 'trap \"\" TERM; echo $$ > daemon; sleep 1000' & while [ ! -s daemon ]; do sleep 0.01; done; ";

#[tokio::test]
async fn a_kill_reaches_a_daemonised_grandchild() {
    for bench in [Bench::with_cgroups(), Bench::bare(), Bench::unified()] {
        // The command ignores SIGTERM too: its end would make the shim sweep the daemon up.
        let spec = bench.shell(&format!(
            "trap '' TERM; ({DAEMON}); echo ready > ready; sleep 1000"
        ));
        let sandbox = spec.sandbox.clone();
        let container = bench.launch(spec).await.unwrap();
        support::appears(&sandbox.join("ready")).await;
        // Two shells, and what each waits for.
        support::until(|| container.usage().is_ok_and(|usage| usage.processes == 4)).await;
        let daemon = support::process_in(&sandbox.join("daemon"));
        let told = container.signal_tree(Signal::TERM).unwrap();
        assert_eq!(told, 4, "{}", bench.name);
        assert!(daemon.exists(), "{}: SIGTERM is ignored by it", bench.name);
        bounded(container.destroy(DEADLINE)).await.unwrap();
        let exit = bounded(container.wait()).await.unwrap();
        assert!(
            exit.raw_status.is_some() && !exit.out_of_memory,
            "{}",
            bench.name
        );
        assert!(
            !daemon.exists() && !container.command().exists() && !container.shim().exists(),
            "{}",
            bench.name
        );
    }
}

#[tokio::test]
async fn what_a_command_leaves_behind_dies_with_it() {
    for bench in [Bench::with_cgroups(), Bench::bare()] {
        let spec = bench.shell(&format!("({DAEMON}); exit 7"));
        let sandbox = spec.sandbox.clone();
        let container = bench.launch(spec).await.unwrap();
        let exit = bounded(container.wait()).await.unwrap();
        assert_eq!(exit.status().unwrap().code(), Some(7), "{}", bench.name);
        assert!(exit.is_swept, "{}", bench.name);
        let daemon: u32 = text(&sandbox.join("daemon")).trim().parse().unwrap();
        assert!(ProcessId::of(daemon).is_err(), "{}", bench.name);
    }
}

#[tokio::test]
async fn a_new_agent_finds_the_same_process_and_its_end() {
    let bench = Bench::with_cgroups();
    let spec = bench.shell("while [ ! -e go ]; do sleep 0.01; done; exit 5");
    let (id, runtime_dir, sandbox) = (
        spec.container_id.clone(),
        spec.runtime_dir.clone(),
        spec.sandbox.clone(),
    );
    let first = bench.launch(spec).await.unwrap();
    let command = first.command();
    drop(first);
    let Recovered::Running(found) = bench.launcher.recover(&id, &runtime_dir).await.unwrap() else {
        panic!("not found")
    };
    assert_eq!(found.command(), command);
    assert!(command.exists());
    std::fs::write(sandbox.join("go"), "").unwrap();
    assert_eq!(
        bounded(found.wait())
            .await
            .unwrap()
            .status()
            .unwrap()
            .code(),
        Some(5)
    );
    // And one that comes after the end reads it from the record.
    let Recovered::Exited(exit) = bench.launcher.recover(&id, &runtime_dir).await.unwrap() else {
        panic!("not told")
    };
    assert_eq!(exit.status().unwrap().code(), Some(5));
}

#[tokio::test]
async fn a_launch_nobody_took_up_is_cancelled_for_good() {
    let bench = Bench::with_cgroups();
    let spec = bench.shell("echo ran > ran");
    let (id, runtime_dir, sandbox) = (
        spec.container_id.clone(),
        spec.runtime_dir.clone(),
        spec.sandbox.clone(),
    );
    std::fs::create_dir_all(&runtime_dir).unwrap();
    assert!(matches!(
        bench.launcher.recover(&id, &runtime_dir).await.unwrap(),
        Recovered::Lost
    ));
    // The shim that was only slow comes too late.
    let Err(Error::Launch(failure)) = bench.launch(spec).await else {
        panic!("a cancelled launch ran")
    };
    assert_eq!(failure.stage, Stage::Claim);
    assert!(!sandbox.join("ran").exists());
}

#[tokio::test]
async fn a_container_whose_shim_was_killed_is_lost_and_can_be_destroyed() {
    for bench in [Bench::with_cgroups(), Bench::bare()] {
        let spec = bench.shell("sleep 1000");
        let (id, runtime_dir) = (spec.container_id.clone(), spec.runtime_dir.clone());
        let container = bench.launch(spec).await.unwrap();
        support::kill(container.shim());
        let exit = bounded(container.wait()).await.unwrap();
        let told = (exit.raw_status, exit.is_swept);
        assert_eq!(told, (None, false), "{}", bench.name);
        assert!(
            matches!(
                bench.launcher.recover(&id, &runtime_dir).await.unwrap(),
                Recovered::Lost
            ),
            "{}",
            bench.name
        );
        bounded(bench.launcher.destroy(&id, &runtime_dir, DEADLINE))
            .await
            .unwrap();
        support::gone(container.command()).await;
    }
}

#[tokio::test]
async fn limits_are_written_changed_and_felt() {
    let bench = Bench::with_cgroups();
    let Cgroups::V1 { roots, .. } = bench.launcher.cgroups() else {
        eprintln!("left out: the figures below are those of cgroups v1");
        return;
    };
    let mut spec = bench.shell("sleep 1000");
    spec.limits = Limits {
        cpu_request_milli: Some(500),
        cpu_limit_milli: Some(1500),
        memory_request_bytes: Some(48 << 20),
        memory_limit_bytes: Some(64 << 20),
        limit_swap: false,
        processes: Some(20),
    };
    let id = spec.container_id.clone();
    let container = bench.launch(spec).await.unwrap();
    let value = |controller: &str, file: &str| {
        let root = roots
            .iter()
            .find(|(known, _)| known.name() == controller)
            .unwrap()
            .1;
        text(&root.join(&id).join(file)).trim().to_owned()
    };
    assert_eq!(value("cpu", "cpu.shares"), "512");
    assert_eq!(value("cpu", "cpu.cfs_quota_us"), "150000");
    assert_eq!(
        value("memory", "memory.limit_in_bytes"),
        (64 << 20).to_string()
    );
    assert_eq!(
        value("memory", "memory.soft_limit_in_bytes"),
        (48 << 20).to_string()
    );
    assert_eq!(value("pids", "pids.max"), "20");
    for controller in roots.keys() {
        let members = value(controller.name(), "cgroup.procs");
        assert!(
            members
                .lines()
                .any(|pid| pid == container.command().pid.to_string()),
            "{controller:?}"
        );
    }

    let more = Limits {
        cpu_request_milli: Some(2000),
        memory_limit_bytes: Some(96 << 20),
        ..Limits::default()
    };
    container.update_limits(&more).unwrap();
    assert_eq!(value("cpu", "cpu.shares"), "2048");
    let usage = container.usage().unwrap();
    assert_eq!(usage.memory_limit_bytes, Some(96 << 20));
    assert!(
        usage.processes >= 1 && usage.threads >= usage.processes && usage.throttling.is_some(),
        "{usage:?}"
    );
    bounded(container.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn memory_above_the_limit_is_told_as_such() {
    let bench = Bench::with_cgroups();
    if matches!(bench.launcher.cgroups(), Cgroups::None { .. }) {
        eprintln!("left out: no cgroups");
        return;
    }
    let mut spec = bench.shell("dd if=/dev/zero of=/dev/null bs=200M count=1");
    spec.limits = Limits {
        memory_limit_bytes: Some(32 << 20),
        limit_swap: true,
        ..Limits::default()
    };
    let (id, runtime_dir) = (spec.container_id.clone(), spec.runtime_dir.clone());
    let container = bench.launch(spec).await.unwrap();
    let exit = bounded(container.wait()).await.unwrap();
    assert!(
        exit.out_of_memory && !exit.status().unwrap().success(),
        "{exit:?}"
    );
    let Recovered::Exited(told_later) = bench.launcher.recover(&id, &runtime_dir).await.unwrap()
    else {
        panic!("lost")
    };
    // What its shim saw is nothing that is written down.
    let exit = Exit {
        is_swept: false,
        ..exit
    };
    assert_eq!(told_later, exit);
}

#[tokio::test]
async fn a_fork_bomb_is_destroyed_whole() {
    let bench = Bench::with_cgroups();
    if matches!(bench.launcher.cgroups(), Cgroups::None { .. }) {
        eprintln!("left out: no cgroups");
        return;
    }
    let mut spec = bench.shell("bomb() { bomb & bomb & sleep 100; }; bomb; sleep 1000");
    spec.limits = Limits {
        processes: Some(100),
        cpu_request_milli: Some(10),
        ..Limits::default()
    };
    let container = bench.launch(spec).await.unwrap();
    support::until(|| container.usage().is_ok_and(|usage| usage.threads > 50)).await;
    bounded(container.destroy(DEADLINE)).await.unwrap();
    bounded(container.wait()).await.unwrap();
    assert_eq!(container.usage().unwrap().processes, 0);
}

#[tokio::test]
async fn without_cgroups_usage_is_added_up_from_processes() {
    let bench = Bench::bare();
    let container = bench
        .launch(bench.shell("sleep 1000 & sleep 1000"))
        .await
        .unwrap();
    support::until(|| {
        container
            .usage()
            .is_ok_and(|usage| usage.processes == 3 && usage.memory_rss_bytes > 0)
    })
    .await;
    let Cgroups::None { reason } = bench.launcher.cgroups() else {
        panic!("cgroups were used")
    };
    assert!(!reason.is_empty());
    bounded(container.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn a_missing_shim_is_an_error_of_the_installation() {
    let bench = Bench::with_cgroups();
    let launcher = tepui_containers::Launcher::new(
        PathBuf::from("/nonexistent/shim"),
        bench.launcher.cgroups().clone(),
        1,
    )
    .unwrap();
    let spec = bench.shell("true");
    let runtime_dir = spec.runtime_dir.clone();
    assert!(matches!(
        launcher.launch(spec, oneshot::channel().0).await,
        Err(Error::Shim { .. })
    ));
    assert!(runtime_dir.is_dir());
    assert!(ProcessId::of(std::process::id()).unwrap().exists());
}

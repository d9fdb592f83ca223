use std::{process::Child, task::Poll};

use tepui_containers::{Cgroups, ProcessId, process};

use super::*;
use crate::{ContainerLogger, Isolation, confinement::HostFiles};

pub(super) fn containers(root: &std::path::Path) -> Containers {
    let cgroups = Cgroups::none("not here".to_owned());
    containers_within(root, cgroups, std::time::Duration::from_mins(1))
}

pub(super) fn containers_within(
    root: &std::path::Path,
    cgroups: Cgroups,
    destroy_deadline: std::time::Duration,
) -> Containers {
    let runtime_dir = root.join("run");
    std::fs::create_dir_all(&runtime_dir).unwrap();
    Containers::new(
        Launcher::new(root.join("shim"), cgroups, 0).unwrap(),
        Sandboxes::new(root.join("spare"), 0).unwrap(),
        Presence::begin(&runtime_dir).unwrap(),
        Arc::default(),
        Equipment {
            logger: ContainerLogger::default(),
            images: Err("none".to_owned()),
            isolation: Isolation::default(),
            host_files: HostFiles::default(),
            engine: None,
            networks: Err("none".to_owned()),
            volume_gids: None,
            destroy_deadline,
            network_metrics: false,
        },
    )
}

/// A process with a session of its own.
#[expect(clippy::zombie_processes, reason = "who calls it waits for it")]
pub(super) fn leader() -> (Child, ProcessId) {
    let mut command = std::process::Command::new("setsid");
    let child = command.args(["sleep", "1000"]).spawn().unwrap();
    loop {
        let stat = process::stat(child.id()).unwrap();
        if stat.session == child.id() {
            return (child, stat.id);
        }
        std::thread::yield_now();
    }
}

/// What a shim writes of a container whose command this is, and its shim as well.
pub(super) fn record(root: &std::path::Path, process: ProcessId, more: &str) {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let (boot_id, pid, start) = (boot_id.trim(), process.pid, process.start_ticks);
    let text = format!("shim 1 {boot_id} {pid} {start}\nstarted {pid} {start}\n{more}");
    std::fs::create_dir_all(root.join("run/c")).unwrap();
    std::fs::write(root.join("run/c/record"), text).unwrap();
}

#[tokio::test]
async fn an_end_is_told_when_nothing_is_left_of_the_container() {
    let root = tempfile::tempdir().unwrap();
    let (mut child, process) = leader();
    // As where the shim was killed between the line and the sweep.
    record(root.path(), process, "exited 0\n");
    let recovered = containers(root.path()).recover("c".to_owned()).await;
    let left = process::stat(process.pid).is_ok_and(|stat| !stat.is_dead());
    child.kill().unwrap();
    child.wait().unwrap();
    let RecoveredContainer::Exited(exit) = recovered else {
        panic!("it has exited")
    };
    assert_eq!((exit.status, left), (Some(0), false));
}

#[test]
fn what_reads_many_files_of_the_kernel_is_done_on_a_thread_that_may_wait() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_all();
    let runtime = runtime.build().unwrap();
    let root = tempfile::tempdir().unwrap();
    let (mut child, process) = leader();
    record(root.path(), process, "");
    runtime.block_on(async {
        let containers = containers(root.path());
        let recovered = containers.recover("c".to_owned()).await;
        assert!(matches!(recovered, RecoveredContainer::Running(_)));
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || gone.recv());
        let mut used = containers.usage("c".to_owned());
        let mut sent = containers.signal("c".to_owned(), 18);
        let waits = std::future::poll_fn(|cx| {
            let waits = used.as_mut().poll(cx).is_pending() && sent.as_mut().poll(cx).is_pending();
            Poll::Ready(waits)
        });
        assert!(waits.await);
        drop(go);
        let _ = busy.await.unwrap();
        assert!(used.await.is_some());
        assert_eq!(sent.await, Ok(()));
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_command_is_signalled_without_what_it_began() {
    let root = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("setsid");
    let command = command.args(["sh", "-c", "sleep 1000 & echo $!; wait"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut begun = String::new();
    let mut told = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut told, &mut begun).unwrap();
    let begun = process::stat(begun.trim().parse().unwrap()).unwrap().id;
    record(root.path(), ProcessId::of(child.id()).unwrap(), "");
    let containers = containers(root.path());
    let recovered = containers.recover("c".to_owned()).await;
    assert!(matches!(recovered, RecoveredContainer::Running(_)));
    assert_eq!(containers.signal_command("c".to_owned(), 15).await, Ok(()));
    let ended = std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap());
    let lives = process::stat(begun.pid).is_ok_and(|it| it.id == begun && !it.is_dead());
    // One that has ended is told nothing.
    assert_eq!(containers.signal_command("c".to_owned(), 15).await, Ok(()));
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_raw(begun.pid.try_into().unwrap()).unwrap(),
        Signal::KILL,
    );
    assert_eq!((ended, lives), (Some(15), true));
}

#[test]
fn limits_are_written_on_a_thread_that_may_wait() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    let root = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let containers = containers(root.path());
        // The only such thread is busy.
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || gone.recv());
        let mut updated = containers.update("c".to_owned(), Amounts::default());
        let waits = std::future::poll_fn(|cx| Poll::Ready(updated.as_mut().poll(cx).is_pending()));
        assert!(waits.await);
        drop(go);
        let _ = busy.await.unwrap();
        assert_eq!(updated.await, Ok(()));
    });
}

#[tokio::test]
async fn a_container_that_cannot_be_destroyed_is_counted_and_told() {
    let root = tempfile::tempdir().unwrap();
    let containers = containers(root.path());
    // Where its record should be is a directory, which nobody can read.
    std::fs::create_dir_all(root.path().join("run/c/record")).unwrap();
    let told = containers.destroy("c".to_owned()).await.unwrap_err();
    assert!(told.contains("run/c/record"), "{told}");
    let errors = &containers.0.errors;
    assert_eq!(errors.destroy.load(Ordering::Relaxed), 1);
    // One of which nothing is known is gone already.
    assert_eq!(containers.destroy("unknown".to_owned()).await, Ok(()));
    assert_eq!(errors.destroy.load(Ordering::Relaxed), 1);
}

//! What is found of a container that is only about to begin, and the end of one that cannot move, with the real shim (see
//! `launcher.rs`).

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Bench, bounded};
use tepui_containers::record::{RECORD_FILE, Stage};
use tepui_containers::{Error, ProcessId, Recovered, Running, process};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_secs(20);

/// What begins lines of a record: a shim has the container; its command has a process.
const CLAIMED: &str = "shim";
const STARTED: &str = "started";

/// Who opens it waits for who writes to it, and it is no namespace.
fn gate(bench: &Bench, name: &str) -> PathBuf {
    let gate = bench.runtime_dir(name);
    std::fs::create_dir_all(gate.parent().expect("a parent")).expect("a directory");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &gate, kind, mode, 0).expect("a fifo");
    gate
}

fn says(record: &Path, line: &str) -> bool {
    std::fs::read_to_string(record).is_ok_and(|text| text.contains(line))
}

/// Nine launches that hang at the gate, one more than begin at once, once the records of `count` say `line`.
async fn hung(
    bench: &Bench,
    gate: &Path,
    enter: Option<ProcessId>,
    (count, line): (usize, &str),
) -> JoinSet<Result<Running, Error>> {
    let mut launching = JoinSet::new();
    let mut records = Vec::new();
    for _ in 0..9 {
        let mut spec = bench.shell("true");
        spec.network = Some(gate.to_owned());
        spec.enter = enter;
        records.push(spec.runtime_dir.join(RECORD_FILE));
        let launcher = bench.launcher.clone();
        launching.spawn(async move { launcher.launch(spec, oneshot::channel().0).await });
    }
    let begun = || records.iter().filter(|it| says(it, line)).count();
    bounded(support::until(|| begun() == count)).await;
    launching
}

/// Launches another one meanwhile, and opens the gate.
async fn pass(bench: &Bench, gate: &Path, mut launching: JoinSet<Result<Running, Error>>) {
    let other = bounded(bench.launch(bench.shell("true"))).await;
    let other = other.expect("a launch");
    let ended = bounded(other.wait()).await.expect("an end");
    assert_eq!(ended.raw_status, Some(0));
    let given_up = launching.try_join_next();
    assert!(given_up.is_none(), "others began when it had failed");
    // Then it is open, and no namespace: each of them fails.
    let open = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(gate);
    let failed = bounded(launching.join_all()).await;
    assert!(failed.iter().all(Result::is_err));
    drop(open.expect("a gate"));
}

/// A command that lies on a file system that does not answer, say.
#[tokio::test]
async fn commands_that_take_long_to_begin_hold_up_no_other() {
    let bench = Bench::with_cgroups();
    let gate = gate(&bench, "gate");
    let launching = hung(&bench, &gate, None, (9, STARTED)).await;
    pass(&bench, &gate, launching).await;
}

/// They have no process of their own until they are where the other one is.
#[tokio::test]
async fn commands_that_never_come_to_where_another_is_hold_up_no_other() {
    let bench = Bench::with_cgroups();
    let gate = gate(&bench, "gate");
    let around = bench.launch(bench.shell("exec sleep 1000")).await.unwrap();
    let launching = hung(&bench, &gate, Some(around.command()), (8, CLAIMED)).await;
    pass(&bench, &gate, launching).await;
    bounded(around.destroy(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn a_process_that_is_not_its_command_yet_is_not_told_to_run() {
    let bench = Bench::with_cgroups();
    let mut spec = bench.shell("exec sleep 1000");
    let gate = gate(&bench, "gate");
    spec.network = Some(gate.clone());
    let (id, runtime_dir) = (spec.container_id.clone(), spec.runtime_dir.clone());
    let record = runtime_dir.join(RECORD_FILE);
    let opened = async {
        support::until(|| says(&record, STARTED)).await;
        let mut recovered = std::pin::pin!(bench.launcher.recover(&id, &runtime_dir));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut recovered).await;
        assert!(early.is_err(), "{early:?}");
        let open = tokio::task::spawn_blocking(move || std::fs::File::create(gate));
        drop(open.await.unwrap().unwrap());
        recovered.await.unwrap()
    };
    let (launched, recovered) = tokio::join!(bench.launch(spec), bounded(opened));
    let Err(Error::Launch(failure)) = launched else {
        panic!("{launched:?}")
    };
    assert_eq!(failure.stage, Stage::Namespaces);
    let Recovered::Failed(told) = recovered else {
        panic!("{recovered:?}")
    };
    assert_eq!(told, failure);
}

#[tokio::test]
async fn a_container_that_was_stopped_is_destroyed() {
    for bench in [Bench::with_cgroups(), Bench::unified(), Bench::bare()] {
        let spec = bench.shell("sleep 1000 & exec sleep 1000");
        let container = bench.launch(spec).await.unwrap();
        container.signal_tree(Signal::STOP).unwrap();
        let command = container.command();
        support::until(|| process::stat(command.pid).is_ok_and(|it| it.state == 'T')).await;
        bounded(container.destroy(DEADLINE)).await.unwrap();
        let exit = bounded(container.wait()).await.unwrap();
        assert_eq!(exit.raw_status, Some(9), "{}", bench.name);
        support::gone(command).await;
    }
}

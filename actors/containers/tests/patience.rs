//! What becomes of a container whose agent is away, with the real shim (see `launcher.rs`). The agent is this program
//! again, so that it can be killed.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: clippy knows only test functions as such"
)]

#[allow(dead_code, reason = "this test needs only a part of it")]
#[path = "launcher/support.rs"]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{Bench, bounded};
use tepui_containers::launch;
use tepui_containers::patience::{PRESENCE_FILE, Patience, Presence, look};
use tepui_containers::spec::HOLDER;
use tepui_containers::{LaunchSpec, Recovered, Running};

const DIR: &str = "TEPUI_TEST_PRESENCE";
const RECOVERS: &str = "TEPUI_TEST_RECOVERS";
const HERE: &str = "an agent is here";
const GENEROUS: Duration = Duration::from_secs(600);

/// Not a test of its own: the agent of the others.
#[test]
fn agent() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let presence = Presence::begin(Path::new(&dir)).unwrap();
    if std::env::var_os(RECOVERS).is_some() {
        presence.announce().unwrap();
    }
    println!("\n{HERE}");
    let _ = std::io::stdin().read(&mut [0]);
}

struct Agent(Child);

impl Agent {
    fn start(dir: &Path) -> Self {
        let mut command = Self::command(dir);
        command.env(RECOVERS, "");
        Self::run(command)
    }

    /// It comes no further than its start.
    fn stumble(dir: &Path) {
        Self::run(Self::command(dir)).kill();
    }

    fn command(dir: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "agent", "--nocapture"])
            .env(DIR, dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        assert!(told.lines().any(|line| line.unwrap() == HERE));
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn patience(dir: &Path, timeout: Duration, grace: Duration) -> Option<Patience> {
    let presence = dir.join(PRESENCE_FILE);
    Some(Patience {
        presence,
        timeout,
        grace,
    })
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn stubborn(bench: &Bench) -> LaunchSpec {
    bench.shell("trap '' TERM; touch ready; while :; do sleep 0.05; done")
}

/// Begins it, and waits until it has said what it makes of signals.
async fn launch_ready(bench: &Bench, spec: LaunchSpec) -> Running {
    let ready = spec.sandbox.join("ready");
    let container = bench.launch(spec).await.unwrap();
    let looked = async {
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    bounded(looked).await;
    container
}

#[test]
fn an_agent_is_seen_until_it_ends_and_leaves_a_mark_if_it_recovered() {
    let dir = directory();
    let presence = dir.path().join(PRESENCE_FILE);
    assert!(look(&presence).is_err());
    let agent = Agent::start(dir.path());
    let seen = look(&presence).unwrap();
    let pid = seen.pid.unwrap();
    assert!(seen.is_here);
    assert_eq!(pid.as_raw_pid().cast_unsigned(), agent.0.id());
    let second = Presence::begin(dir.path()).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
    agent.kill();
    let left = look(&presence).unwrap();
    assert_eq!((left.is_here, left.mark), (false, seen.mark));
    Agent::stumble(dir.path());
    let stumbled = look(&presence).unwrap();
    assert_eq!((stumbled.is_here, stumbled.mark), (false, left.mark));
    Agent::start(dir.path()).kill();
    assert_ne!(look(&presence).unwrap().mark, left.mark);
}

/// As a task that has it fetched would.
#[test]
fn whoever_opens_the_file_takes_nothing_from_the_agent() {
    let dir = directory();
    let held = Presence::begin(dir.path()).unwrap();
    drop(std::fs::File::open(held.path()).unwrap());
    assert!(look(held.path()).unwrap().is_here);
    drop(held);
    assert!(!look(&dir.path().join(PRESENCE_FILE)).unwrap().is_here);
}

#[tokio::test]
async fn a_container_without_an_agent_is_asked_to_end() {
    let (bench, dir) = (Bench::with_cgroups(), directory());
    let agent = Agent::start(dir.path());
    let mut spec =
        bench.shell("trap 'touch asked; exit 0' TERM; touch ready; while :; do sleep 0.05; done");
    spec.patience = patience(dir.path(), Duration::from_millis(300), GENEROUS);
    let sandbox = spec.sandbox.clone();
    let container = launch_ready(&bench, spec).await;
    agent.kill();
    let exit = bounded(container.wait()).await.unwrap();
    assert!(exit.is_forsaken && exit.is_swept);
    assert_eq!(exit.raw_status, Some(0));
    assert!(sandbox.join("asked").exists());
    let (id, dir) = (container.container_id(), bench.runtime_dir("c0"));
    let found = bounded(bench.launcher.recover(id, &dir)).await.unwrap();
    assert!(matches!(found, Recovered::Exited(exit) if exit.is_forsaken));
}

#[tokio::test]
async fn one_that_takes_no_notice_is_killed() {
    for bench in [Bench::with_cgroups(), Bench::bare()] {
        let dir = directory();
        let agent = Agent::start(dir.path());
        let mut spec = stubborn(&bench);
        spec.patience = patience(dir.path(), Duration::ZERO, Duration::from_millis(300));
        let container = launch_ready(&bench, spec).await;
        agent.kill();
        let exit = bounded(container.wait()).await.unwrap();
        assert!(exit.is_forsaken, "{}", bench.name);
        assert_eq!(exit.raw_status, Some(9), "{}", bench.name);
    }
}

#[tokio::test]
async fn an_agent_that_does_not_recover_ends_no_wait() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let (bench, dir) = (Bench::with_cgroups(), directory());
    let agent = Agent::start(dir.path());
    let mut spec = stubborn(&bench);
    spec.patience = patience(dir.path(), TIMEOUT, Duration::ZERO);
    let container = bench.launch(spec).await.unwrap();
    agent.kill();
    let path = dir.path().to_owned();
    let stumbling = tokio::task::spawn_blocking(move || {
        // More often than it would be waited for.
        for _ in 0..40 {
            Agent::stumble(&path);
            std::thread::sleep(TIMEOUT / 10);
        }
    });
    assert!(bounded(container.wait()).await.unwrap().is_forsaken);
    assert!(!stumbling.is_finished());
    stumbling.abort();
}

#[tokio::test]
async fn an_agent_that_is_back_in_time_is_waited_for_anew() {
    const TIMEOUT: Duration = Duration::from_secs(4);
    let (bench, dir) = (Bench::with_cgroups(), directory());
    let agent = Agent::start(dir.path());
    let mut spec = stubborn(&bench);
    spec.patience = patience(dir.path(), TIMEOUT, Duration::ZERO);
    let container = bench.launch(spec).await.unwrap();
    agent.kill();
    let next = Agent::start(dir.path());
    tokio::time::sleep(TIMEOUT + TIMEOUT / 2).await;
    assert_ne!(container.processes().unwrap().len(), 0);
    next.kill();
    assert!(bounded(container.wait()).await.unwrap().is_forsaken);
}

#[tokio::test]
async fn an_agent_that_cannot_be_seen_is_not_missed() {
    let (bench, dir) = (Bench::with_cgroups(), directory());
    let mut spec = bench.shell("sleep 1; exit 3");
    spec.patience = patience(dir.path(), Duration::ZERO, Duration::ZERO);
    let container = bench.launch(spec).await.unwrap();
    let exit = bounded(container.wait()).await.unwrap();
    assert_eq!((exit.raw_status, exit.is_forsaken), (Some(3 << 8), false));
}

#[tokio::test]
async fn a_holder_outlives_what_is_within_it() {
    let (bench, dir) = (Bench::with_cgroups(), directory());
    let agent = Agent::start(dir.path());
    let mut holder = bench.shell("");
    holder.command = launch::Command::Program {
        program: bench.launcher.shim().into(),
        argv: vec![HOLDER.into()],
    };
    holder.patience = patience(dir.path(), Duration::ZERO, Duration::from_secs(1));
    let outer = holder.container_id.clone();
    let mut inner = stubborn(&bench);
    inner.container_id = format!("{outer}.inner");
    inner.patience = patience(dir.path(), Duration::ZERO, Duration::from_millis(100));
    let holder = bench.launch(holder).await.unwrap();
    let inner = launch_ready(&bench, inner).await;
    agent.kill();
    let ended = bounded(inner.wait()).await.unwrap();
    assert!(ended.is_forsaken);
    let ended = bounded(holder.wait()).await.unwrap();
    assert_eq!((ended.raw_status, ended.is_forsaken), (Some(0), true));
}

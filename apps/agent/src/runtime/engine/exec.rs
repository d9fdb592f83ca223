//! Commands beside a container's own: of checks, and of sessions. What a session's client and its command say crosses the
//! agent: both end with it.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, time::Duration};

use futures_util::FutureExt;
use rustix::process::Signal;
use tepui_containers::{
    ProcessId, attach,
    engine::{Exec, Session, SessionEnd, SessionOrder},
    switchboard::{Terminal, WindowSize},
    tree::Tree,
};
use tepui_messages::containers::{
    Confinement, ContainerExit, LaunchOrder, ProcessMark, RunningContainer, Switchboard,
};
use tokio::{net::UnixListener, time::sleep};

use super::{EngineContainers, Record, name_of, record, told};
use crate::numbers::mark;

/// Between two looks at a command's process.
const PAUSE: Duration = Duration::from_millis(200);
/// What a command said last is waited for so long after its end: others may hold its streams.
const FAREWELL: Duration = Duration::from_secs(5);
/// Passes of killing, which a fork may outrun.
const KILL_PASSES: u32 = 20;
/// Looks for the process of one that does not run yet.
const LEARN_TRIES: u32 = 100;
const SIGKILL: i32 = 9;

/// A command beside a container's own.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    /// The engine's.
    id: String,
    /// Of a session, which has a record.
    process: Option<ProcessId>,
}

/// The words and variables of an order.
fn command(order: &LaunchOrder) -> (Vec<String>, Vec<String>) {
    let first = std::iter::once(order.program.clone());
    let words = first.chain(order.argv.iter().skip(1).cloned());
    let env = order.env.iter();
    let env = env.map(|(name, value)| format!("{name}={value}"));
    (words.collect(), env.collect())
}

/// The container around one.
fn outer_of(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(outer, _)| outer)
}

impl EngineContainers {
    /// Whether a command is to be run beside that of one of these containers.
    pub(in crate::runtime) fn is_around(&self, order: &LaunchOrder) -> bool {
        let outer = order.container_id.rsplit_once('.').map(|(outer, _)| outer);
        outer.is_some_and(|outer| self.holds(outer))
    }

    pub(in crate::runtime) async fn launch_beside(
        &self,
        order: LaunchOrder,
    ) -> Result<RunningContainer, String> {
        let outer = name_of(outer_of(&order.container_id));
        match (order.switchboard, &order.view_of) {
            (Some(switchboard), Some(_)) if switchboard.is_session => {
                self.launch_session(order, &outer, switchboard).await
            }
            (None, Some(_)) => self.launch_check(order, &outer).await,
            _ => Err(format!(
                "the container is run by an engine, within whose containers there are none: run a session beside its \
                 command, such as with tepui exec, or use the engine's own command, such as docker exec -it {outer} sh"
            )),
        }
    }

    async fn launch_check(
        &self,
        order: LaunchOrder,
        outer: &str,
    ) -> Result<RunningContainer, String> {
        let (words, env) = command(&order);
        let user = order.user.as_deref();
        let begun = self.0.engine.exec(outer, &words, &env, user).await;
        let exec = begun.map_err(|error| told(&error))?;
        let id = order.container_id;
        let beside = Beside {
            id: exec.id().to_owned(),
            process: None,
        };
        self.execs().insert(id.clone(), beside);
        let exited = async move { exit_of(&id, exec).await }.boxed();
        Ok(running(None, exited))
    }

    async fn launch_session(
        &self,
        order: LaunchOrder,
        outer: &str,
        switchboard: Switchboard,
    ) -> Result<RunningContainer, String> {
        if order.confinement != Confinement::default() {
            return Err(
                "a session within a container of an engine is confined as that container is, and in no other way"
                    .to_owned(),
            );
        }
        let (words, env) = command(&order);
        let size = |(rows, columns)| WindowSize { rows, columns };
        let wanted = SessionOrder {
            words: &words,
            env: &env,
            user: order.user.as_deref(),
            terminal: switchboard.terminal.map(|it| Terminal {
                size: it.size.map(size),
            }),
        };
        let id = order.container_id;
        let dir = self.dir(&id);
        let listener = listen(&dir)?;
        let begun = async {
            let begun = self.0.engine.session(outer, &wanted).await;
            let session = begun.map_err(|error| told(&error))?;
            let pid = self.0.engine.begun_pid(session.id()).await;
            let pid = pid.map_err(|error| told(&error))?;
            let process = pid.and_then(|pid| ProcessId::of(pid).ok());
            Record::of_session(process).write(&dir)?;
            Ok((session, process))
        };
        match begun.await {
            Ok((session, process)) => Ok(self.serve(id, session, listener, process)),
            Err(error) => {
                record::remove(&dir);
                Err(error)
            }
        }
    }

    fn serve(
        &self,
        id: String,
        session: Session,
        listener: UnixListener,
        process: Option<ProcessId>,
    ) -> RunningContainer {
        let beside = Beside {
            id: session.id().to_owned(),
            process,
        };
        self.execs().insert(id.clone(), beside);
        if process.is_none() {
            tokio::spawn(self.clone().learn(id.clone(), session.id().to_owned()));
        }
        // It goes on whether its end is waited for or not.
        let served = tokio::spawn(async move {
            let (end, exec) = session.serve(listener, silenced(process)).await;
            if let (SessionEnd::Left, Some(process)) = (end, process) {
                kill_tree(process).await;
            }
            exit_of(&id, exec).await
        });
        let exited = async move { served.await.unwrap_or_default() }.boxed();
        running(process, exited)
    }

    /// Notes the process of a session that took its time to run, so that the next agent can end it.
    async fn learn(self, id: String, exec: String) {
        for _ in 0..LEARN_TRIES {
            sleep(PAUSE).await;
            let pid = self.0.engine.exec_pid(&exec).await.ok().flatten();
            let process = pid.and_then(|pid| ProcessId::of(pid).ok());
            let mut execs = self.execs();
            // It may have ended, and be forgotten.
            let Some(beside) = execs.get_mut(&id) else {
                return;
            };
            if process.is_some() {
                beside.process = process;
                let written = Record::of_session(process).write(&self.dir(&id));
                if let Err(error) = written {
                    tracing::warn!(container_id = id, error, "it may outlive the agent");
                }
                return;
            }
        }
    }

    /// Whether this is a command beside a container's own; a signal to it then.
    pub(super) async fn signal_beside(&self, id: &str, signal: i32) -> Result<bool, String> {
        let Some(beside) = self.execs().get(id).cloned() else {
            return Ok(false);
        };
        let process = match beside.process {
            Some(process) => Some(process),
            None => {
                let pid = self.0.engine.exec_pid(&beside.id).await;
                let pid = pid.map_err(|error| told(&error))?;
                pid.and_then(|pid| ProcessId::of(pid).ok())
            }
        };
        match process {
            // Engines have no call for it.
            Some(process) if signal == SIGKILL => kill_tree(process).await,
            process => drop(super::send(process, signal)),
        }
        Ok(true)
    }

    /// Ends what an earlier agent left of a session, whose streams ended with it.
    pub(super) async fn end_left_over(&self, id: &str, process: Option<ProcessId>) {
        if let Some(process) = process {
            kill_tree(process).await;
        }
        record::remove(&self.dir(id));
    }
}

/// The socket where clients of a session come to, in a directory that is made.
fn listen(dir: &std::path::Path) -> Result<UnixListener, String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    attach::listen(dir).map_err(|error| crate::runtime::told(&error))
}

fn running(
    process: Option<ProcessId>,
    exited: futures_util::future::BoxFuture<'static, ContainerExit>,
) -> RunningContainer {
    let none = ProcessMark {
        pid: 0,
        start_time_ticks: 0,
    };
    RunningContainer {
        shim: process.map_or(none, mark),
        pid: process.map_or(0, |it| it.pid),
        inspected: None,
        networks: Vec::new(),
        exited,
    }
}

async fn exit_of(id: &str, exec: Exec) -> ContainerExit {
    match exec.wait().await {
        Ok(code) => ContainerExit {
            status: Some(code << 8),
            limitation: None,
        },
        Err(error) => {
            tracing::warn!(container_id = id, %error, "the end of a command is not known");
            ContainerExit::default()
        }
    }
}

/// Resolves a while after a process has ended; never where there is none.
async fn silenced(process: Option<ProcessId>) {
    let Some(process) = process else {
        return std::future::pending().await;
    };
    while process.exists() {
        sleep(PAUSE).await;
    }
    sleep(FAREWELL).await;
}

/// Kills a process, those that descend from it and those of its session, until none is left.
async fn kill_tree(process: ProcessId) {
    let tree = Tree {
        cgroup: None,
        shim: Some(process),
        command: Some(process),
    };
    for _ in 0..KILL_PASSES {
        let tree = tree.clone();
        let passed = tokio::task::spawn_blocking(move || {
            // Its own number may have been given away only once it has ended.
            let left = tree.kill_pass().unwrap_or(0);
            let itself = super::send(tree.command, Signal::KILL.as_raw());
            left > 0 || itself
        });
        if !passed.await.unwrap_or(false) {
            return;
        }
        sleep(PAUSE).await;
    }
}

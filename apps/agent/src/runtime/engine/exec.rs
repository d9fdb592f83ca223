//! Commands beside a container's own: of checks, and of sessions. What a session's client and its command say crosses the
//! agent: both end with it.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use rustix::process::Signal;
use tepui_containers::{
    ProcessId, attach,
    engine::{Engine, Exec, Life, Session, SessionEnd, SessionOrder},
    switchboard::{Terminal, WindowSize},
    tree::Tree,
};
use tepui_messages::containers::{
    Confinement, ContainerExit, LaunchOrder, RunningContainer, Switchboard,
};
use tepui_protocol::signal::SIGKILL;
use tokio::{
    net::UnixListener,
    time::{Instant, sleep, timeout},
};

use super::{EngineContainers, Record, name_of, record, running, told};

/// Between two looks at a command's process.
const PAUSE: Duration = Duration::from_millis(200);
/// What a command said last is waited for so long after its end: others may hold its streams.
const FAREWELL: Duration = Duration::from_secs(5);
/// Passes of killing, which a fork may outrun.
const KILL_PASSES: u32 = 20;
/// Between the first looks for the process of one that is only about to run, and how many these are.
const FIRST_LOOKS: (u32, Duration) = (10, Duration::from_millis(20));
/// An engine that answers says by then that a command runs, or it never did.
const BEGIN_DEADLINE: Duration = Duration::from_mins(1);
/// Before an engine that does not answer is asked again.
const SILENCE_PAUSE: Duration = Duration::from_secs(1);
/// Who wants to signal a command hears by then whether the engine has told its process.
const SIGNAL_DEADLINE: Duration = Duration::from_mins(1);
/// What an earlier agent left is looked for so long while the agent starts, and longer beside what it does then.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// A process, as soon as it is known; `None`: there is none any more.
type Learned = Shared<BoxFuture<'static, Option<ProcessId>>>;

/// A command beside a container's own.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    /// The engine's.
    id: String,
    /// Of a session.
    learned: Option<Learned>,
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
            learned: None,
        };
        self.execs().insert(id.clone(), beside);
        let exited = async move { exit_of(&id, exec).await }.boxed();
        Ok(running(None, None, exited))
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
        match self.begin_session(&id, outer, &wanted).await {
            Ok(session) => Ok(self.serve(id, session, listener)),
            Err(error) => {
                record::remove(&dir);
                Err(error)
            }
        }
    }

    /// Whoever finds what this leaves at any time knows what it is, and what the engine calls it before it runs.
    async fn begin_session(
        &self,
        id: &str,
        outer: &str,
        wanted: &SessionOrder<'_>,
    ) -> Result<Session, String> {
        let (dir, engine) = (self.dir(id), &self.0.engine);
        Record::of_session(None, None).write(&dir)?;
        let made = engine.make_session(outer, wanted).await;
        let made = made.map_err(|error| told(&error))?;
        Record::of_session(Some(&made), None).write(&dir)?;
        let begun = engine.begin_session(made, wanted.terminal).await;
        begun.map_err(|error| told(&error))
    }

    fn serve(&self, id: String, session: Session, listener: UnixListener) -> RunningContainer {
        let learned = self.clone().learn(id.clone(), session.id().to_owned());
        let learned = learned.boxed().shared();
        let beside = Beside {
            id: session.id().to_owned(),
            learned: Some(learned.clone()),
        };
        self.execs().insert(id.clone(), beside);
        // Whether anybody asks for it or not.
        tokio::spawn(learned.clone());
        // It goes on whether its end is waited for or not.
        let served = tokio::spawn(async move {
            let (end, exec) = session.serve(listener, silenced(learned.clone())).await;
            // It has not ended before its engine tells that.
            if end == SessionEnd::Left
                && let Some(process) = learned.await
            {
                kill_tree(process).await;
            }
            exit_of(&id, exec).await
        });
        let exited = async move { served.await.unwrap_or_default() }.boxed();
        running(None, None, exited)
    }

    /// Learns the process of a session, which takes its time to run, and notes it, so that the next agent can end it.
    async fn learn(self, id: String, exec: String) -> Option<ProcessId> {
        // Once it is over, it is forgotten.
        let is_wanted = || self.execs().contains_key(&id);
        let process = process_of(&self.0.engine, &exec, is_wanted).await?;
        let execs = self.execs();
        if execs.contains_key(&id) {
            let written = Record::of_session(Some(&exec), Some(process)).write(&self.dir(&id));
            if let Err(error) = written {
                tracing::warn!(container_id = id, error, "it may outlive the agent");
            }
        }
        Some(process)
    }

    /// Whether this is a command beside a container's own; a signal to it then.
    pub(super) async fn signal_beside(&self, id: &str, signal: i32) -> Result<bool, String> {
        let Some(beside) = self.execs().get(id).cloned() else {
            return Ok(false);
        };
        let process = match beside.learned {
            Some(learned) => timeout(SIGNAL_DEADLINE, learned)
                .await
                .map_err(|_| "its engine does not tell its process; try again later".to_owned())?,
            None => match self.0.engine.life_of(&beside.id).await {
                Ok(Life::Runs(pid)) => ProcessId::of(pid).ok(),
                Ok(Life::Begins | Life::Ended) => None,
                Err(error) => return Err(told(&error)),
            },
        };
        match process {
            // Engines have no call for it.
            Some(process) if signal == SIGKILL => kill_tree(process).await,
            process => drop(super::send(process, signal)),
        }
        Ok(true)
    }

    /// Ends what an earlier agent left of a session, whose streams ended with it. An engine that is not there yet is waited
    /// for, but not by the agent's start.
    pub(super) async fn end_left_over(&self, id: &str, record: Record) {
        let (this, dir) = (self.clone(), self.dir(id));
        let ended = tokio::spawn(async move {
            let process = match (record.process.into(), record.exec) {
                (None, Some(exec)) => process_of(&this.0.engine, &exec, || true).await,
                (process, _) => process,
            };
            if let Some(process) = process {
                kill_tree(process).await;
            }
            record::remove(&dir);
        });
        // It goes on in any case.
        let _ = timeout(START_DEADLINE, ended).await;
    }
}

/// The process of a command, which takes its time to run; `None`: it has ended or never began, or nobody wants it any more.
/// As long as the engine does not tell, it is asked again.
async fn process_of(
    engine: &Engine,
    exec: &str,
    is_wanted: impl Fn() -> bool,
) -> Option<ProcessId> {
    let (mut looks, mut begins) = (0, None);
    while is_wanted() {
        match engine.life_of(exec).await {
            // It may just have ended.
            Ok(Life::Runs(pid)) => return ProcessId::of(pid).ok(),
            Ok(Life::Ended) => return None,
            Ok(Life::Begins) => {
                let since: Instant = *begins.get_or_insert_with(Instant::now);
                if since.elapsed() >= BEGIN_DEADLINE {
                    return None;
                }
            }
            Err(error) if error.is_not_found() => return None,
            Err(_) => {
                begins = None;
                sleep(SILENCE_PAUSE).await;
            }
        }
        let (first, pause) = FIRST_LOOKS;
        sleep(if looks < first { pause } else { PAUSE }).await;
        looks += 1;
    }
    None
}

/// The socket where clients of a session come to, in a directory that is made.
fn listen(dir: &std::path::Path) -> Result<UnixListener, String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    attach::listen(dir).map_err(|error| crate::runtime::told(&error))
}

async fn exit_of(id: &str, exec: Exec) -> ContainerExit {
    match exec.wait().await {
        Ok(code) => ContainerExit {
            status: Some(code << 8),
            limitation: None,
            is_forsaken: false,
        },
        Err(error) => {
            tracing::warn!(container_id = id, %error, "the end of a command is not known");
            ContainerExit::default()
        }
    }
}

/// Resolves a while after a process has ended.
async fn silenced(learned: Learned) {
    if let Some(process) = learned.await {
        while process.exists() {
            sleep(PAUSE).await;
        }
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

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;

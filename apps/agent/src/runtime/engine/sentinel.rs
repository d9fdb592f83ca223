//! Ends containers of an engine whose agent stays away, as shims end theirs. Nothing of ours stands beside a container of
//! an engine, so one process waits for all of an agent's: this program by another name, started with the first container.
//! It ends when a later agent has recovered, which has a sentinel of its own, or when no container is left.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tepui_containers::{
    engine::{Engine, State},
    images::access::Logins,
    patience::{PRESENCE_FILE, look},
};
use tepui_messages::containers::Patience;
use tokio::{task::JoinSet, time::sleep};

use super::{name_of, record::Record};

/// What the program is called then.
pub const NAME: &str = "tepui-sentinel";
/// In a container's record: it was ended because no agent came back.
const FORSAKEN: &str = "forsaken";
/// Between two looks for an agent, at most and at least; and of the time it has to come back, what passes between them.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
const LOOK_SHARE: u32 = 16;

/// Starts the process, and knows whether it lives.
#[derive(Debug, Default)]
pub(super) struct Sentinel(Mutex<Option<Child>>);

impl Sentinel {
    /// To be called by an agent that has recovered: its end is what is waited for.
    pub(super) fn stand(&self, runtime_dir: &Path, socket: &Path, agent: &str) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if child
            .as_mut()
            .is_some_and(|it| matches!(it.try_wait(), Ok(None)))
        {
            return;
        }
        match start(runtime_dir, socket, agent) {
            Ok(started) => *child = Some(started),
            Err(error) => tracing::warn!(
                %error,
                "no process can be started that ends containers of the engine if this agent stays away"
            ),
        }
    }
}

fn start(runtime_dir: &Path, socket: &Path, agent: &str) -> io::Result<Child> {
    let mark = look(&runtime_dir.join(PRESENCE_FILE))?.mark;
    // Also where the file was replaced since.
    Command::new("/proc/self/exe")
        .arg0(NAME)
        .args([runtime_dir, socket])
        .arg(mark.to_string())
        // For whoever looks at processes.
        .arg(agent)
        // What ends the agent from a terminal is not meant for it.
        .process_group(0)
        .current_dir("/")
        // Whose other end is this process' alone: it closes when that ends, however it does.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Whether the container of this record was ended because no agent came back.
pub(super) fn is_forsaken(dir: &Path) -> bool {
    dir.join(FORSAKEN).exists()
}

/// What the process does: `arguments` are those after its name.
///
/// # Errors
/// The arguments are not those of an agent, or what it keeps cannot be read.
pub fn watch(arguments: Vec<OsString>) -> anyhow::Result<()> {
    let [runtime_dir, socket, mark, ..] = &arguments[..] else {
        bail!("{NAME} is started by an agent, expected RUNTIME-DIR SOCKET MARK");
    };
    let mark = mark.to_str().and_then(|mark| mark.parse().ok());
    let mark = mark.context("MARK is no number")?;
    let watched = Watched {
        runtime_dir: runtime_dir.into(),
        engine: Engine::new(socket.into(), Logins::default()),
    };
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(watched.outlive(mark))
}

/// The containers of an agent that has ended.
struct Watched {
    runtime_dir: PathBuf,
    engine: Engine,
}

impl Watched {
    /// Changes when a later agent has recovered.
    fn mark(&self) -> io::Result<u64> {
        Ok(look(&self.runtime_dir.join(PRESENCE_FILE))?.mark)
    }

    /// Those that run, as far as their agent knew, and how long each waits for one.
    fn waiting(&self) -> Vec<(String, Patience)> {
        let entries = fs::read_dir(&self.runtime_dir).into_iter().flatten();
        let records = entries.flatten().filter_map(|entry| {
            let patience = Record::read(&entry.path()).ok()?.patience()?;
            Some((entry.file_name().into_string().ok()?, patience))
        });
        records.collect()
    }

    async fn outlive(self, mark: u64) -> anyhow::Result<()> {
        let since = Instant::now();
        // Those that are asked to end, or have.
        let mut asked = BTreeSet::new();
        let mut ending = JoinSet::new();
        while self.mark()? == mark {
            while let Some(done) = ending.try_join_next() {
                if let Ok(Err(id)) = done {
                    asked.remove(&id);
                }
            }
            let mut waiting = self.waiting();
            waiting.retain(|(id, _)| !asked.contains(id));
            if waiting.is_empty() && ending.is_empty() {
                break;
            }
            let next = waiting.iter().map(|(_, patience)| patience.timeout).min();
            for (id, patience) in waiting {
                if since.elapsed() >= patience.timeout {
                    let dir = self.runtime_dir.join(&id);
                    asked.insert(id.clone());
                    ending.spawn(end(self.engine.clone(), dir, id, patience.grace));
                }
            }
            let (least, most) = LOOKS;
            let left = next.map(|it| it.saturating_sub(since.elapsed()).min(it / LOOK_SHARE));
            sleep(left.unwrap_or(least).clamp(least, most)).await;
        }
        // What was asked to end does so by its engine, also if it is not waited for.
        Ok(())
    }
}

/// Asks the container to end, has it killed after its grace, and notes for the next agent why. Errors: its id; the engine
/// is not there now, its containers may be.
async fn end(engine: Engine, dir: PathBuf, id: String, grace: Duration) -> Result<(), String> {
    let name = name_of(&id);
    match engine.inspect(&name).await {
        Ok(Some(found)) if found.state == State::Running => {
            // Without the note the next agent tells its exit status alone.
            let _ = fs::write(dir.join(FORSAKEN), "");
            let stopped = engine.stop(&name, grace).await;
            stopped.map(drop).map_err(|_| id)
        }
        Ok(_) => Ok(()),
        Err(_) => Err(id),
    }
}

#[cfg(test)]
#[path = "sentinel_tests.rs"]
mod tests;

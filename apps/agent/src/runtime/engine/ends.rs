//! How containers of an engine end, and are ended; also where the engine itself does not answer.

use std::{path::Path, time::Duration};

use tepui_containers::{
    Exit, ProcessId,
    cgroups::MemoryReport,
    engine::{Done, State},
};
use tepui_messages::containers::ContainerExit;
use tepui_protocol::signal::SIGKILL;
use tokio::time::{sleep, timeout};

use super::{EngineContainers, name_of, send, sentinel, told};
use crate::numbers::verdict;

/// Between two looks at an engine that is not there, or at a process.
const PAUSE: Duration = Duration::from_secs(1);
/// An engine that has not told of a process' end by then has missed it, or is gone for good (Mesos: the same).
const MISSED: Duration = Duration::from_mins(1);
/// Killed containers are gone by then.
const DESTROY_DEADLINE: Duration = Duration::from_mins(1);

/// As the launcher's.
pub(super) fn exit(
    state: State,
    memory_limit_bytes: Option<u64>,
    is_forsaken: bool,
) -> ContainerExit {
    let State::Exited {
        code,
        out_of_memory,
    } = state
    else {
        return ContainerExit::default();
    };
    let exit = Exit {
        raw_status: Some(code << 8),
        out_of_memory,
        is_swept: true,
        is_forsaken,
    };
    verdict(exit, || MemoryReport {
        limit_bytes: memory_limit_bytes,
        ..MemoryReport::default()
    })
}

impl EngineContainers {
    /// Waits for the end of a container. Without a status where nobody knows it.
    pub(super) async fn end_of(
        &self,
        container_id: &str,
        process: Option<ProcessId>,
    ) -> ContainerExit {
        let (name, dir) = (&name_of(container_id), &self.dir(container_id));
        tokio::select! {
            biased;
            exit = self.told_end(name, dir) => exit,
            () = missed(process) => {
                tracing::warn!(name, "the process of a container has ended, and its engine does not tell how");
                ContainerExit::default()
            }
        }
    }

    async fn told_end(&self, name: &str, dir: &Path) -> ContainerExit {
        let engine = &self.0.engine;
        loop {
            // What becomes of the wait does not matter: the container is looked at.
            let _ = engine.wait(name).await;
            match engine.inspect(name).await {
                Ok(Some(found)) if found.state != State::Running => {
                    let is_forsaken = sentinel::is_forsaken(dir);
                    return exit(found.state, found.memory_limit_bytes, is_forsaken);
                }
                Ok(None) => return ContainerExit::default(),
                Ok(Some(_)) | Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Ends a container whatever it does; also one that is being made.
    pub(in crate::runtime) async fn destroy(&self, container_id: &str) -> Result<(), String> {
        if self.signal_beside(container_id, SIGKILL).await? {
            return Ok(());
        }
        let live = self.live().get(container_id).cloned();
        let (engine, name) = (&self.0.engine, name_of(container_id));
        let Some(live) = live else {
            let removed = engine.remove(&name).await;
            return removed.map(drop).map_err(|error| told(&error));
        };
        let grace = self.0.keeping.stop_timeout;
        let ended = match grace.is_zero() {
            true => engine.kill(&name, "KILL").await,
            false => engine.stop(&name, grace).await,
        };
        match ended {
            Ok(Done::NotThere) => return Ok(()),
            Ok(Done::Done) => {}
            // The engine is not there: its containers may be.
            Err(error) if error.is_of_engine() && send(live.process, SIGKILL) => return Ok(()),
            Err(error) => return Err(told(&error)),
        }
        match timeout(DESTROY_DEADLINE, engine.wait(&name)).await {
            Ok(waited) => waited.map(drop).map_err(|error| told(&error)),
            Err(_) => Err("it still runs a minute after SIGKILL".to_owned()),
        }
    }
}

/// Resolves a while after a process has ended.
async fn missed(process: Option<ProcessId>) {
    while process.is_some_and(ProcessId::exists) {
        sleep(PAUSE).await;
    }
    sleep(MISSED).await;
}

//! What becomes of an engine's containers that the agent has forgotten: those that ended stay for a while, for people
//! who look why; those that run are nobody's, and are ended. Only containers with this agent's label are touched.

use std::{collections::BTreeSet, time::Duration};

use tepui_containers::engine::{EngineError, Listed};
use tokio::time::sleep;

use super::{AGENT_LABEL, CONTAINER_LABEL, EngineContainers, record};

/// Between two looks, at most; and at least.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// How containers of an engine are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// What a destroyed container is given to end by itself (Mesos: `--docker_stop_timeout`).
    pub(crate) stop_timeout: Duration,
    /// `--docker_remove_delay`.
    pub(crate) remove_delay: Duration,
    /// `--docker_kill_orphans`.
    pub(crate) kill_orphans: bool,
}

impl EngineContainers {
    /// Forgets what an earlier agent had of containers that are not `known`: what runs of them is an orphan then.
    pub(crate) fn forget_unknown(&self, known: &BTreeSet<String>) {
        // Without the directory there was no agent before.
        let entries = std::fs::read_dir(&self.0.runtime_dir);
        let entries = entries.into_iter().flatten().flatten();
        let ours = entries.filter(|it| record::exists(&it.path()));
        let unknown = ours.filter(|it| {
            let name = it.file_name();
            !name.to_str().is_some_and(|name| known.contains(name))
        });
        for entry in unknown {
            record::remove(&entry.path());
        }
    }

    /// Never ends.
    pub(crate) async fn keep(self) {
        let (least, most) = INTERVAL;
        let interval = self.0.keeping.remove_delay.clamp(least, most);
        let mut was_told = false;
        loop {
            match self.look_after().await {
                Ok(()) => was_told = false,
                Err(error) if !was_told => {
                    was_told = true;
                    tracing::warn!(%error, "containers of the engine are not looked after");
                }
                Err(_) => {}
            }
            sleep(interval).await;
        }
    }

    async fn look_after(&self) -> Result<(), EngineError> {
        let ours = (AGENT_LABEL, self.0.agent.as_str());
        let all = self.0.engine.list(ours, CONTAINER_LABEL).await?;
        let forgotten = all.iter().filter(|it| !self.dir(&it.label).is_dir());
        for container in forgotten {
            // One that resists does not keep the others.
            if let Err(error) = self.end_forgotten(container).await {
                tracing::warn!(container_id = container.label, %error, "a container of the engine is left");
            }
        }
        Ok(())
    }

    async fn end_forgotten(&self, container: &Listed) -> Result<(), EngineError> {
        let Listed { id, label, .. } = container;
        let engine = &self.0.engine;
        if container.is_running {
            if self.0.keeping.kill_orphans {
                tracing::warn!(container_id = label, "a container of nobody is killed");
                engine.kill(id, "KILL").await?;
            }
            return Ok(());
        }
        let Some(found) = engine.inspect(id).await? else {
            return Ok(());
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let ended = found.finished_unix_s.unwrap_or(0);
        if now.saturating_sub(ended) >= self.0.keeping.remove_delay.as_secs() {
            engine.remove(id).await?;
        }
        Ok(())
    }
}

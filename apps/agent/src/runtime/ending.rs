//! When the end of a container is told: now and after a restart of the agent. What is left of one is ended before that,
//! unless others are within it: they are to end because of it, and not by themselves.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::FutureExt;
use tepui_containers::{Exit, Recovered};
use tepui_messages::containers::{
    ContainerExit, ProcessMark, RecoveredContainer, RunningContainer,
};

use super::{
    Inner,
    leftovers::{empty, is_check, sweep},
    looking::found,
    told,
};
use crate::numbers::verdict;

/// What is found ending is given so long; an agent that starts does not wait longer for it.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// What ends of containers have to wait for.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    /// Containers of an agent before of which it is not known yet what became of them.
    awaited: BTreeSet<String>,
    /// Told as ended because others were within them: what is left of them is ended when they are forgotten.
    unswept: BTreeSet<String>,
}

impl Nesting {
    pub(super) fn await_all(&mut self, containers: BTreeSet<String>) {
        self.awaited = containers;
    }

    /// It is known what became of it.
    pub(super) fn found(&mut self, container_id: &str) {
        self.awaited.remove(container_id);
    }

    /// Whether something may be left of it.
    pub(super) fn forget(&mut self, container_id: &str) -> bool {
        self.awaited.remove(container_id);
        self.unswept.remove(container_id)
    }
}

impl Inner {
    pub(super) fn nesting(&self) -> MutexGuard<'_, Nesting> {
        self.nesting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For an attempt that an agent's start waits for.
    pub(super) fn start_deadline(&self) -> Duration {
        START_DEADLINE.min(self.destroy_deadline)
    }

    /// Whether containers run within it, or may.
    fn is_around(&self, container_id: &str) -> bool {
        let first = || format!("{container_id}.")..;
        let running = || {
            let running = self.running();
            is_one_within(container_id, running.range(first()).map(|(id, _)| id))
        };
        is_one_within(container_id, self.nesting().awaited.range(first())) || running()
    }

    /// Ends what is left of a container whose shim has ended. `exit`: how it ended, where that is known.
    pub(super) async fn sweep_ended(&self, container_id: &str, exit: Option<&Exit>) {
        let exit = exit.filter(|exit| exit.raw_status.is_some());
        if exit.is_some_and(|exit| exit.is_swept) {
            return;
        }
        if exit.is_some() && self.is_around(container_id) {
            self.nesting().unswept.insert(container_id.to_owned());
            return;
        }
        // The shim gives up on what hangs in the kernel, and may have been killed before it swept.
        empty(self, container_id).await;
    }

    /// What became of a container while no agent watched.
    pub(super) async fn recover(self: &Arc<Self>, container_id: &str) -> RecoveredContainer {
        let dir = self.dir(container_id);
        let others = self.gpus().recover(container_id, &dir);
        // A device of its container stays its own.
        if let Some(engine) = self.engine_of(container_id) {
            return engine.recover(container_id).await;
        }
        let memory = || {
            let cgroup = self.launcher.cgroups().container(container_id);
            cgroup.map(|it| it.memory_report()).unwrap_or_default()
        };
        match found(&self.launcher, container_id, &dir).await {
            Ok(Recovered::Running(running)) => {
                self.deny_gpus(&running, &others);
                self.keep_network(container_id, running.command().pid);
                RecoveredContainer::Running(self.adopt(running))
            }
            Ok(Recovered::Exited(exit)) if self.is_around(container_id) => {
                self.nesting().unswept.insert(container_id.to_owned());
                RecoveredContainer::Exited(verdict(exit, memory))
            }
            // Its shim may be sweeping still, or have been killed before it did.
            Ok(Recovered::Exited(exit)) => {
                self.ended(container_id, Some(verdict(exit, memory))).await
            }
            Ok(Recovered::Failed(failure)) => RecoveredContainer::Failed(failure.to_string()),
            Ok(Recovered::Lost) => self.ended(container_id, None).await,
            Err(error) => {
                tracing::error!(container_id, "not recovered: {}", told(&error));
                self.ended(container_id, None).await
            }
        }
    }

    /// One that has ended or is to end. What hangs in the kernel keeps its container running, and not the agent from its
    /// start.
    async fn ended(
        self: &Arc<Self>,
        container_id: &str,
        exit: Option<ContainerExit>,
    ) -> RecoveredContainer {
        if sweep(self, container_id, self.start_deadline()).await {
            return exit.map_or(RecoveredContainer::Gone, RecoveredContainer::Exited);
        }
        let (inner, container_id) = (Arc::clone(self), container_id.to_owned());
        let exited = async move {
            empty(&inner, &container_id).await;
            exit.unwrap_or_default()
        };
        RecoveredContainer::Running(RunningContainer {
            // Their numbers may be others' by now.
            shim: ProcessMark {
                pid: 0,
                start_time_ticks: 0,
            },
            pid: 0,
            inspected: None,
            networks: Vec::new(),
            exited: exited.boxed(),
        })
    }
}

/// Whether one of the ids, which come in their order, is of a container within this one. Checks are its own: they end with
/// it.
fn is_one_within<'a>(container_id: &str, ids: impl Iterator<Item = &'a String>) -> bool {
    let is_within = |id: &&String| {
        let name = id.strip_prefix(container_id);
        name.is_some_and(|name| name.starts_with('.'))
    };
    ids.take_while(is_within).any(|id| !is_check(id))
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;

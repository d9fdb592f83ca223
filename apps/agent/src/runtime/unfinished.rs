//! Containers whose end hangs: processes that the kernel does not let go, and cgroups that it does not give back. Owns what
//! people are told of them, and that a cleanup is tried again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Errors, Inner, told};

/// Between two tries to clean up, growing by doubling.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// After so many, which take a quarter of an hour at least, it is left to the next life of the agent.
const TRIES: u32 = 20;

/// What a container hangs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its processes are not all ended: it holds what it has.
    Destroy,
    /// It has ended and nobody waits for it, but its cgroup is still there.
    Cleanup,
}

/// One that hangs.
#[derive(Debug, Clone)]
pub(crate) struct Hung {
    pub(crate) step: Step,
    pub(crate) since: Instant,
    /// By the last try.
    pub(crate) why: String,
}

/// Those that hang now, by the container's id.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Mutex<BTreeMap<String, Hung>>);

impl Unfinished {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Hung>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shown(&self) -> BTreeMap<String, Hung> {
        self.all().clone()
    }

    pub(crate) fn count(&self, step: Step) -> u64 {
        let all = self.all();
        all.values().filter(|hung| hung.step == step).count() as u64
    }

    pub(crate) fn hangs(&self, container_id: &str, step: Step, why: &str) {
        let mut all = self.all();
        let known = all.get(container_id).filter(|hung| hung.step == step);
        let hung = Hung {
            step,
            since: known.map_or_else(Instant::now, |hung| hung.since),
            why: why.to_owned(),
        };
        all.insert(container_id.to_owned(), hung);
    }

    pub(crate) fn goes_on(&self, container_id: &str) {
        self.all().remove(container_id);
    }
}

impl Errors {
    /// Counts and shows a container that could not be destroyed.
    pub(super) fn destroyed(&self, container_id: &str, destroyed: &Result<(), String>) {
        match destroyed {
            Ok(()) => self.unfinished.goes_on(container_id),
            Err(error) => {
                self.destroy.fetch_add(1, Ordering::Relaxed);
                self.unfinished.hangs(container_id, Step::Destroy, error);
            }
        }
    }
}

/// Removes records and cgroups of a container that has ended. What cannot be removed now is tried again in the
/// background: neither other containers nor the start of an agent wait for it.
pub(super) async fn clean(inner: &Arc<Inner>, container_id: &str) {
    let Err(error) = try_clean(inner, container_id).await else {
        return;
    };
    tracing::warn!(container_id, error, "it is not cleaned up yet");
    let (inner, container_id) = (Arc::clone(inner), container_id.to_owned());
    tokio::spawn(async move { clean_again(&inner, &container_id).await });
}

async fn clean_again(inner: &Inner, container_id: &str) {
    let (mut pause, longest) = PAUSE;
    for _ in 0..TRIES {
        sleep(pause).await;
        pause = (pause * 2).min(longest);
        // Who came there after the end, by way of a session say, belongs to nobody.
        let dir = inner.dir(container_id);
        let launcher = &inner.launcher;
        let destroyed = launcher.destroy(container_id, &dir, inner.destroy_deadline);
        if let Err(error) = destroyed.await {
            let unfinished = &inner.errors.unfinished;
            unfinished.hangs(container_id, Step::Cleanup, &told(&error));
            continue;
        }
        if try_clean(inner, container_id).await.is_ok() {
            tracing::info!(container_id, "it is cleaned up");
            return;
        }
    }
    tracing::error!(
        container_id,
        "its cgroup cannot be removed; see who is in it and restart the agent, which tries again"
    );
}

async fn try_clean(inner: &Inner, container_id: &str) -> Result<(), String> {
    let dir = inner.dir(container_id);
    let cleaned = inner.launcher.cleanup(container_id, &dir).await;
    let cleaned = cleaned.map_err(|error| told(&error));
    let unfinished = &inner.errors.unfinished;
    match &cleaned {
        Ok(()) => unfinished.goes_on(container_id),
        Err(error) => unfinished.hangs(container_id, Step::Cleanup, error),
    }
    cleaned
}

#[cfg(test)]
#[path = "unfinished_tests.rs"]
mod tests;

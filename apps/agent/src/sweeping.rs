//! Sweeps old sandboxes away, once in an interval: asks the node which are in use, and leaves the rest to
//! `tepui_node::gc`.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use tepui_containers::{dangling, nested, removal};
use tepui_kit::Ask;
use tepui_messages::agent::{GetNodeState, NodePhase, NodeState};
use tepui_node::gc;
use tokio::time::sleep;

use crate::runtime::told;

pub(crate) async fn sweep<N: Ask<GetNodeState>>(
    node: N,
    work_dir: PathBuf,
    policy: gc::Policy,
    allowed: Arc<AllowedAge>,
    removals: Arc<Removals>,
) -> Infallible {
    let mut clocks = gc::Clocks::new(SystemTime::now(), Instant::now());
    // Until a sweep has made them all young.
    let mut is_clock_set = false;
    loop {
        sleep(policy.interval).await;
        let now = SystemTime::now();
        if clocks.look(now, Instant::now(), allowed.get()) {
            tracing::warn!("the clock was set: sandboxes of what has ended are as if it ended now");
            is_clock_set = true;
        }
        // Without an answer nothing is known to be old.
        let Ok(state) = node.ask(GetNodeState).await else {
            continue;
        };
        if state.phase == NodePhase::Recovering {
            continue;
        }
        let (used, work_dir) = (InUse::of(&state), work_dir.clone());
        let allowed = Arc::clone(&allowed);
        let swept = tokio::task::spawn_blocking(move || {
            allowed.set(policy.allowed_age(gc::used(&work_dir)?));
            let look = gc::Look {
                allowed: allowed.get(),
                is_clock_set,
                now,
                changed: gc::last_change,
                remove: remove_sandbox,
            };
            Ok(sweep_once(&work_dir, &policy, &used, &look))
        });
        match swept.await {
            Err(_) => {}
            Ok(Ok(swept)) => {
                is_clock_set = false;
                removals.count(&swept);
                let gc::Swept {
                    removed, failed, ..
                } = swept;
                if removed > 0 {
                    tracing::info!(removed, failed, "old sandboxes are removed");
                }
            }
            Ok::<io::Result<_>, _>(Err(error)) => {
                tracing::warn!(%error, "the disk of the work directory is not known")
            }
        }
    }
}

/// The age that sandboxes may reach, by the last look at the disk.
#[derive(Debug)]
pub(crate) struct AllowedAge(AtomicU64);

impl AllowedAge {
    /// Of a disk that nobody has looked at: as if it were empty.
    pub(crate) fn new(policy: &gc::Policy) -> Self {
        let age = Self(AtomicU64::new(0));
        age.set(policy.allowed_age(0.0));
        age
    }

    fn set(&self, age: Duration) {
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Relaxed);
    }

    pub(crate) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}

/// What became of the sandboxes of containers that have ended.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    /// Left by the last sweep, which will be removed once they are old enough.
    pub(crate) pending: AtomicU64,
    pub(crate) succeeded: AtomicU64,
    /// One that cannot be removed counts with each sweep that tried.
    pub(crate) failed: AtomicU64,
}

impl Removals {
    fn count(&self, swept: &gc::Swept) {
        self.pending.store(swept.pending as u64, Relaxed);
        self.succeeded.fetch_add(swept.removed as u64, Relaxed);
        self.failed.fetch_add(swept.failed as u64, Relaxed);
    }
}

/// Sandboxes that stay.
struct InUse {
    /// Of executors, which stay with the node until all of their tasks' ends are acknowledged.
    executors: BTreeSet<PathBuf>,
    /// Within others, and of containers that stand alone.
    inner: BTreeSet<PathBuf>,
}

impl InUse {
    fn of(state: &NodeState) -> Self {
        let executors = state.frameworks.iter().flat_map(|it| &it.executors);
        Self {
            executors: executors.map(|it| it.sandbox.clone()).collect(),
            inner: state.inner_sandboxes.iter().cloned().collect(),
        }
    }
}

fn sweep_once(work_dir: &Path, policy: &gc::Policy, used: &InUse, look: &gc::Look) -> gc::Swept {
    let mut swept = gc::sweep(work_dir, &used.executors, look);
    if policy.within {
        let standing = nested::path(work_dir, "");
        let alone = used
            .inner
            .iter()
            .filter(|it| it.parent() == Some(&standing));
        let roots = std::iter::once(work_dir).chain(used.executors.iter().map(PathBuf::as_path));
        for root in roots.chain(alone.map(PathBuf::as_path)) {
            remove_within(root, &used.inner, look, &mut swept);
        }
    }
    swept
}

/// What its tasks left mounted there is not theirs to be removed.
fn remove_sandbox(sandbox: &Path) -> io::Result<()> {
    let detached = dangling::detach(sandbox)?;
    if detached > 0 {
        tracing::info!(sandbox = %sandbox.display(), detached, "mounts were left in an old sandbox");
    }
    removal::remove(sandbox)
}

fn remove_within(root: &Path, live: &BTreeSet<PathBuf>, look: &gc::Look, swept: &mut gc::Swept) {
    for name in gc::leftovers(root, live, look, swept) {
        match nested::remove(root, &name) {
            Ok(()) => swept.removed += 1,
            Err(error) => {
                let sandbox = nested::path(root, &name);
                tracing::warn!(sandbox = %sandbox.display(), "not removed: {}", told(&error));
                swept.failed += 1;
            }
        }
    }
}

#[cfg(test)]
#[path = "sweeping_tests.rs"]
mod tests;

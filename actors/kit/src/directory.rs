//! All mailboxes of a node. Handed to constructors, never found in a global.
//!
//! Owns the list, and the last words of actors that have ended. A snapshot asks no actor anything; what
//! an actor tells about itself is asked for apart, with a deadline.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, Shared, join_all};
use serde::Serialize;
use serde_json::Value;

use crate::{actor::Actor, clock::Clock, link::Link, probe::Probe, stats::MailboxStats};

/// Ended actors whose numbers are kept.
const MAX_PAST: usize = 64;

/// A cheap, cloneable register of the mailboxes of one node.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    node: String,
    clock: Clock,
    next_id: AtomicU64,
    living: Mutex<BTreeMap<u64, Entry>>,
    past: Mutex<VecDeque<Arc<Probe>>>,
}

struct Entry {
    probe: Arc<Probe>,
    ask: Box<dyn Fn() -> BoxFuture<'static, Option<Value>> + Send>,
    /// The question under way: many who look share it, so that a stuck actor is asked once.
    asked: Option<Shared<BoxFuture<'static, Option<Value>>>>,
}

/// What an actor said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Observation {
    pub id: u64,
    pub actor: String,
    #[serde(flatten)]
    pub seen: Seen,
}

/// How an actor took the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "seen", content = "state", rename_all = "snake_case")]
pub enum Seen {
    /// It answered.
    Alive(Value),
    /// It did not within the deadline: stuck, overloaded or in its back-off.
    Timeout,
    /// It has ended.
    PostMortem,
}

impl Directory {
    /// An empty directory; `node` is what its mailboxes are shown under.
    pub fn new(node: impl Into<String>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            node: node.into(),
            clock,
            next_id: AtomicU64::new(1),
            living: Mutex::new(BTreeMap::new()),
            past: Mutex::new(VecDeque::new()),
        }))
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.0.node
    }

    /// The clock all actors of this directory use.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Every mailbox, oldest first; then those of the last actors that ended.
    pub fn snapshot(&self) -> Vec<MailboxStats> {
        self.probes()
            .iter()
            .map(|probe| MailboxStats::read(&self.0.node, probe))
            .collect()
    }

    /// The mailbox of one instance; of several with that name the first.
    pub fn mailbox(&self, name: &str) -> Option<MailboxStats> {
        self.probes()
            .iter()
            .find(|probe| probe.name == name)
            .map(|probe| MailboxStats::read(&self.0.node, probe))
    }

    /// Asks every living actor, on the control lane, what it has to show, and waits `limit` for all.
    pub async fn observe(&self, limit: Duration) -> Vec<Observation> {
        let asked: Vec<_> = lock(&self.0.living)
            .values_mut()
            .map(|entry| (Arc::clone(&entry.probe), entry.question()))
            .collect();
        join_all(asked.into_iter().map(|(probe, question)| async move {
            let seen = match tokio::time::timeout(limit, question).await {
                Ok(Some(state)) => Seen::Alive(state),
                Ok(None) if probe.state().is_over() => Seen::PostMortem,
                Ok(None) | Err(_) => Seen::Timeout,
            };
            Observation {
                id: probe.id,
                actor: probe.name.clone(),
                seen,
            }
        }))
        .await
    }

    /// The turns taken by all actors so far: grows as long as anybody does anything.
    #[cfg(feature = "stage")]
    pub(crate) fn turns(&self) -> u64 {
        let probes = self.probes();
        let turns = probes.iter().map(|probe| probe.done.turns.load(Relaxed));
        turns.fold(0, u64::wrapping_add)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.0.next_id.fetch_add(1, Relaxed)
    }

    pub(crate) fn enlist<A: Actor>(&self, probe: &Arc<Probe>, link: &Link<A>) {
        let link = link.clone();
        let entry = Entry {
            probe: Arc::clone(probe),
            ask: Box::new(move || link.observe().map(Result::ok).boxed()),
            asked: None,
        };
        lock(&self.0.living).insert(probe.id, entry);
    }

    pub(crate) fn retire(&self, probe: &Arc<Probe>) {
        let entry = lock(&self.0.living).remove(&probe.id);
        let mut past = lock(&self.0.past);
        if entry.is_some() {
            past.push_back(Arc::clone(probe));
            if past.len() > MAX_PAST {
                past.pop_front();
            }
        }
    }

    fn probes(&self) -> Vec<Arc<Probe>> {
        let living = lock(&self.0.living);
        let past = lock(&self.0.past);
        let living = living.values().map(|entry| &entry.probe);
        living.chain(past.iter()).map(Arc::clone).collect()
    }
}

impl Entry {
    fn question(&mut self) -> Shared<BoxFuture<'static, Option<Value>>> {
        if let Some(asked) = &self.asked {
            // One that is answered by now, though nobody looked, speaks of the past.
            if asked.clone().now_or_never().is_none() {
                return asked.clone();
            }
        }
        let asked = (self.ask)().shared();
        self.asked = Some(asked.clone());
        asked
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Directory")
            .field("node", &self.0.node)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;

//! When service came back after a fault, as clients saw it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{sync::watch, time::timeout};

/// From the fault to the first …; counts only what was asked for after it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gaps {
    fault: Option<Fault>,
    /// … write that was acknowledged.
    pub(crate) write: Option<Duration>,
    /// … offer that was of use: a task that was launched on it came to run.
    pub(crate) offer: Option<Duration>,
    /// … TASK_RUNNING of such a task.
    pub(crate) running: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    began: Instant,
    /// What was asked for until then may have been answered by who was there before.
    done: Instant,
}

impl Fault {
    /// From the fault to what was asked for then.
    fn gap(self, asked: Instant, now: Instant) -> Option<Duration> {
        (asked >= self.done).then(|| now - self.began)
    }
}

/// Shared by all clients; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    gaps: Arc<watch::Sender<Gaps>>,
    launches: Arc<watch::Sender<()>>,
    pub(crate) acknowledged: Arc<AtomicU64>,
}

impl Seen {
    pub(crate) fn new() -> Seen {
        Seen {
            gaps: Arc::new(watch::Sender::new(Gaps::default())),
            launches: Arc::new(watch::Sender::new(())),
            acknowledged: Arc::default(),
        }
    }

    /// From now on gaps are those of a fault that began then and is done now.
    pub(crate) fn fault(&self, began: Instant) {
        let done = Instant::now();
        self.gaps.send_replace(Gaps {
            fault: Some(Fault { began, done }),
            ..Gaps::default()
        });
    }

    pub(crate) fn write(&self, asked: Instant) {
        self.acknowledged.fetch_add(1, Relaxed);
        self.gaps.send_if_modified(|gaps| {
            let gap = gaps.fault.filter(|_| gaps.write.is_none());
            let gap = gap.and_then(|it| it.gap(asked, Instant::now()));
            gaps.write = gaps.write.or(gap);
            gap.is_some()
        });
    }

    /// Tasks are about to be launched.
    pub(crate) fn launching(&self) {
        self.launches.send_replace(());
    }

    /// Ends with the next launch.
    pub(crate) async fn launch(&self) {
        // The sender lives as long as this.
        let _ = self.launches.subscribe().changed().await;
    }

    /// A task was told to run that was launched then, as soon as it was offered.
    pub(crate) fn running(&self, launched: Instant) {
        self.gaps.send_if_modified(|gaps| {
            let fault = gaps.fault.filter(|_| gaps.running.is_none());
            let running = fault.and_then(|it| it.gap(launched, Instant::now()));
            gaps.running = gaps.running.or(running);
            let offer = fault.and_then(|it| it.gap(launched, launched));
            gaps.offer = gaps.offer.or(offer);
            running.is_some()
        });
    }

    /// All of them, once they are known.
    pub(crate) async fn served_again(&self, limit: Duration) -> anyhow::Result<Gaps> {
        let mut gaps = self.gaps.subscribe();
        let all = gaps.wait_for(|it| it.write.is_some() && it.running.is_some());
        let all = timeout(limit, all).await.map(|found| found.map(|it| *it));
        all.with_context(|| {
            format!(
                "not served again within {limit:?}: {:?}",
                *self.gaps.borrow()
            )
        })?
        .context("nobody notes gaps any more")
    }
}

//! The work on files for one fetch: threads that nobody can stop from outside, so each is told when it is not wanted any
//! more, and whoever gave the fetch up can wait until none of them writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// How long a thread may take to see that it is not wanted: it looks between two buffers. One that hangs in a file
/// system longer than this is left behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// Dropped, it is given up.
pub(super) struct Errand {
    part: Part,
    held: watch::Sender<()>,
}

/// Held by each thread as long as it works.
#[derive(Clone)]
pub(super) struct Part {
    is_given_up: Arc<AtomicBool>,
    _held: watch::Receiver<()>,
}

impl Errand {
    pub(super) fn new() -> Self {
        let (held, holds) = watch::channel(());
        let part = Part {
            is_given_up: Arc::default(),
            _held: holds,
        };
        Self { part, held }
    }

    pub(super) fn part(&self) -> Part {
        self.part.clone()
    }

    /// Returns when nobody works any more, or hangs.
    pub(super) async fn end(self) {
        let held = self.held.clone();
        drop(self);
        if tokio::time::timeout(PATIENCE, held.closed()).await.is_err() {
            tracing::warn!("a fetch was given up, and its work on files goes on: look at the disk");
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.part.is_given_up.store(true, Ordering::Relaxed);
    }
}

impl Part {
    pub(super) fn is_wanted(&self) -> bool {
        !self.is_given_up.load(Ordering::Relaxed)
    }

    /// An error once it is given up.
    pub(super) fn go_on(&self) -> Result<(), String> {
        match self.is_wanted() {
            true => Ok(()),
            false => Err("it is not wanted any more".to_owned()),
        }
    }
}

#[cfg(test)]
#[path = "errand_tests.rs"]
mod tests;

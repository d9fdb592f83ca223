//! What the registrar counts of itself, in Mesos' names.
//!
//! Owns the times of reads and writes. Never reads a clock.

use std::time::Duration;

use tepui_consensus::Status;
use tepui_kit::samples::{Samples, millis};

/// See the module.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Writes that are not answered yet.
    queued: u64,
    /// How long it took to have the registry, once this member could lead.
    fetch: Option<Duration>,
    store: Samples,
}

impl Numbers {
    pub fn fetched(&mut self, took: Duration) {
        self.fetch = Some(took);
    }

    /// A write begins.
    pub fn begin(&mut self) {
        self.queued += 1;
    }

    /// A write ended at `now`; only one that is on disk at a majority tells how long that takes.
    pub fn end(&mut self, now: Duration, took: Duration, stored: bool) {
        self.queued = self.queued.saturating_sub(1);
        if stored {
            self.store.add(now, took);
        }
    }

    /// Names and values, with those that follow from where consensus stands.
    pub fn all(&self, status: &Status) -> Vec<(String, f64)> {
        // A member that has led, or follows one that leads, has what was written before it began.
        let recovered = status.caught_up || (status.leader.is_some() && status.applied_index > 0);
        let mut all = vec![
            ("queued_operations".to_owned(), self.queued as f64),
            ("log/ensemble_size".to_owned(), status.voters.len() as f64),
            (
                "log/recovered".to_owned(),
                f64::from(u8::from(status.stopped.is_none() && recovered)),
            ),
        ];
        if let Some(fetch) = self.fetch {
            all.push(("state_fetch_ms".to_owned(), millis(fetch)));
        }
        self.store
            .tell("state_store_ms", |name, value| all.push((name, value)));
        let all = all.into_iter();
        all.map(|(name, value)| (format!("registrar/{name}"), value))
            .collect()
    }
}

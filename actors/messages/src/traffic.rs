//! Calls of schedulers, counted by principal: written by the master, read by whoever shows metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// The counts of all principals with a framework.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<BTreeMap<String, Weak<Counts>>>);

/// Calls of one principal's frameworks.
#[derive(Debug, Default)]
pub struct Counts {
    received: AtomicU64,
    processed: AtomicU64,
}

impl Counts {
    pub fn receive(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    pub fn process(&self) {
        self.processed.fetch_add(1, Relaxed);
    }
}

impl Traffic {
    /// The counts of a principal; they are shown as long as somebody holds them.
    pub fn of(&self, principal: &str) -> Arc<Counts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, counts| counts.strong_count() > 0);
        if let Some(counts) = all.get(principal).and_then(Weak::upgrade) {
            return counts;
        }
        let counts = Arc::new(Counts::default());
        all.insert(principal.to_string(), Arc::downgrade(&counts));
        counts
    }

    /// Principal, calls received, calls processed.
    pub fn all(&self) -> Vec<(String, u64, u64)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.iter().filter_map(|(principal, counts)| {
            let counts = counts.upgrade()?;
            let (received, processed) = (&counts.received, &counts.processed);
            Some((
                principal.clone(),
                received.load(Relaxed),
                processed.load(Relaxed),
            ))
        });
        held.collect()
    }
}

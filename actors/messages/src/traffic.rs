//! Calls of schedulers, counted by principal: written by the master, read by whoever shows metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Counts are kept for so many principals; beyond that, only of those who have a framework.
const MAX_PRINCIPALS: usize = 1000;

/// The counts of all principals that had a framework: like Mesos' of frameworks over HTTP they do not go with it, so that a
/// framework that comes back goes on counting.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<BTreeMap<String, Arc<Counts>>>);

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
    /// The counts of a principal, held by each of its frameworks.
    pub fn of(&self, principal: &str) -> Arc<Counts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = all.get(principal) {
            return Arc::clone(counts);
        }
        if all.len() >= MAX_PRINCIPALS {
            all.retain(|_, counts| Arc::strong_count(counts) > 1);
        }
        let counts = Arc::new(Counts::default());
        all.insert(principal.to_string(), Arc::clone(&counts));
        counts
    }

    /// Principal, calls received, calls processed.
    pub fn all(&self) -> Vec<(String, u64, u64)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = all.iter().map(|(principal, counts)| {
            let (received, processed) = (&counts.received, &counts.processed);
            let (received, processed) = (received.load(Relaxed), processed.load(Relaxed));
            (principal.clone(), received, processed)
        });
        counted.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_outlive_frameworks_within_a_bound() {
        let traffic = Traffic::default();
        traffic.of("gone").receive();
        assert_eq!(traffic.all(), [("gone".to_owned(), 1, 0)]);
        traffic.of("gone").receive();
        assert_eq!(traffic.all(), [("gone".to_owned(), 2, 0)]);
        let held: Vec<_> = (0..10)
            .map(|number| traffic.of(&format!("held{number}")))
            .collect();
        for number in 0..3 * MAX_PRINCIPALS {
            traffic.of(&format!("other{number}"));
        }
        let all = traffic.all();
        assert!(all.len() <= MAX_PRINCIPALS);
        let kept = all.iter().filter(|(name, ..)| name.starts_with("held"));
        assert_eq!(kept.count(), held.len());
    }
}

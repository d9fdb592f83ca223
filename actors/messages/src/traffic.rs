//! What is said to the master, counted: written by it, read by whoever shows metrics. Calls of schedulers are counted by
//! principal too.

mod requests;
mod tally;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

pub use requests::Requests;
pub use tally::{Count, Tally};

/// Counts are kept for so many principals; beyond that, only of those who have a framework.
const MAX_PRINCIPALS: usize = 1000;
/// What frameworks that ended asked for is kept of so many (Mesos `--max_completed_frameworks`).
const MAX_ENDED: usize = 50;

/// The counts of all principals that had a framework: like Mesos' of frameworks over HTTP they do not go with it, so that a
/// framework that comes back goes on counting.
#[derive(Debug, Default)]
pub struct Traffic {
    principals: Mutex<BTreeMap<String, Arc<Counts>>>,
    /// By id of framework.
    requests: Mutex<BTreeMap<String, Arc<Requests>>>,
    /// Whoever called.
    pub tally: Tally,
}

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
        let all = self.principals.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
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

    /// What a framework asks for and is told; held by the master as long as it knows the framework.
    pub fn of_framework(&self, id: &str, name: &str) -> Arc<Requests> {
        let all = self.requests.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = all.get(id) {
            return Arc::clone(requests);
        }
        let is_ended = |requests: &Arc<Requests>| Arc::strong_count(requests) == 1;
        let mut surplus = all.values().filter(|it| is_ended(it)).count();
        all.retain(|_, requests| {
            let keep = surplus <= MAX_ENDED || !is_ended(requests);
            surplus -= usize::from(!keep);
            keep
        });
        let requests = Arc::new(Requests::new(name));
        all.insert(id.to_owned(), Arc::clone(&requests));
        requests
    }

    /// As `of_framework`, of one that has them.
    pub fn known(&self, id: &str) -> Option<Arc<Requests>> {
        let all = self.requests.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        all.get(id).map(Arc::clone)
    }

    /// By id of framework.
    pub fn requests(&self) -> Vec<(String, Arc<Requests>)> {
        let all = self.requests.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        let all = all.iter().map(|(id, it)| (id.clone(), Arc::clone(it)));
        all.collect()
    }

    /// Principal, calls received, calls processed.
    pub fn all(&self) -> Vec<(String, u64, u64)> {
        let all = self.principals.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
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
    fn of_frameworks_that_ended_some_are_remembered() {
        let traffic = Traffic::default();
        let held: Vec<_> = (0..10)
            .map(|number| traffic.of_framework(&format!("a{number}"), "f"))
            .collect();
        for number in 0..3 * MAX_ENDED {
            traffic.of_framework(&format!("b{number}"), "f");
        }
        let all = traffic.requests();
        assert!(all.len() <= held.len() + MAX_ENDED + 2, "{}", all.len());
        let kept = all.iter().filter(|(id, _)| id.starts_with('a'));
        assert_eq!(kept.count(), held.len());
    }

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

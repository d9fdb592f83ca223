//! Delay scheduling: waiting a little for offers of the machines that hold a task's data, before taking others.
//!
//! Owns which of the waiting tasks an offer is for. Never talks to a master and reads no clock: ask it for each offer, launch
//! what it names, and decline the rest. Source: Zaharia et al., "Delay Scheduling", EuroSys 2010, algorithm 2 with the
//! one level of a machine; Hindman et al., "Mesos", NSDI 2011, section 6.3.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

/// The waiting tasks of one job.
///
/// ```
/// # use std::time::Duration;
/// # use tepui_client::locality::{Choice, WaitForLocal};
/// let mut waiting = WaitForLocal::new(Duration::from_secs(5));
/// waiting.add("scan block 1", ["node-1", "node-2"]);
/// let at = |seconds| Duration::from_secs(seconds);
/// assert_eq!(waiting.choose(at(0), "node-9"), None);
/// assert_eq!(waiting.choose(at(1), "node-2"), Some(Choice::Local("scan block 1")));
/// ```
#[derive(Debug)]
pub struct WaitForLocal<T> {
    wait: Duration,
    /// By number, in the order in which they came.
    tasks: BTreeMap<u64, T>,
    /// Numbers by machine, in that order; of some the task has been launched elsewhere.
    by_host: HashMap<String, VecDeque<u64>>,
    next_number: u64,
    /// Since when offers of other machines are passed over.
    passing_since: Option<Duration>,
    /// It has waited long enough, and goes on anywhere until it finds a local task again.
    anywhere: bool,
}

/// A task to launch on what was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<T> {
    /// The machine holds its data.
    Local(T),
    /// It does not, but the wait is over.
    Remote(T),
}

impl<T> Choice<T> {
    pub fn task(self) -> T {
        match self {
            Choice::Local(task) | Choice::Remote(task) => task,
        }
    }
}

impl<T> WaitForLocal<T> {
    /// A job that passes over offers of other machines for at most `wait` in a row; zero takes the first offer.
    pub fn new(wait: Duration) -> Self {
        Self {
            wait,
            tasks: BTreeMap::new(),
            by_host: HashMap::new(),
            next_number: 0,
            passing_since: None,
            anywhere: false,
        }
    }

    /// Puts in a task and the machines that hold its data, named as offers name them (`Offer.hostname`). A task without
    /// any is never local.
    pub fn add<H: Into<String>>(&mut self, task: T, hosts: impl IntoIterator<Item = H>) {
        let number = self.next_number;
        self.next_number += 1;
        for host in hosts {
            self.by_host
                .entry(host.into())
                .or_default()
                .push_back(number);
        }
        self.tasks.insert(number, task);
    }

    /// Takes out the task to launch on `host` at `now`, a time since any fixed moment. `None`: decline, and for no longer
    /// than the wait, since the machine will do later. Ask again while the offer has room.
    pub fn choose(&mut self, now: Duration, host: &str) -> Option<Choice<T>> {
        if let Some(task) = self.take_local(host) {
            self.passing_since = None;
            self.anywhere = false;
            return Some(Choice::Local(task));
        }
        if self.tasks.is_empty() {
            return None;
        }
        let since = *self.passing_since.get_or_insert(now);
        self.anywhere |= now.saturating_sub(since) >= self.wait;
        if !self.anywhere {
            return None;
        }
        self.tasks.pop_first().map(|(_, task)| Choice::Remote(task))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn take_local(&mut self, host: &str) -> Option<T> {
        let numbers = self.by_host.get_mut(host)?;
        while let Some(number) = numbers.pop_front() {
            if let Some(task) = self.tasks.remove(&number) {
                return Some(task);
            }
        }
        self.by_host.remove(host);
        None
    }
}

#[cfg(test)]
#[path = "locality_tests.rs"]
mod tests;

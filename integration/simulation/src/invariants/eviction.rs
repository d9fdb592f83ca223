//! I14: no agent is given up because masters changed or a link was down for less than Mesos' ping timeout.

use std::{collections::BTreeMap, time::Duration};

use crate::history::{Check, ensure};

/// An agent that is away for less is never given up: five pings of 15 s, less the time it takes to notice a loss.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Eviction {
    /// By agent id: since when it has no registration; absent while it has.
    away: BTreeMap<String, Option<Duration>>,
}

impl Eviction {
    pub fn registered(&mut self, agent: &str) {
        self.away.insert(agent.to_owned(), None);
    }

    pub fn left(&mut self, agent: &str, now: Duration) {
        let since = self.away.entry(agent.to_owned()).or_default();
        since.get_or_insert(now);
    }

    /// A command that gives the agent up is applied for the first time.
    pub fn given_up(&mut self, agent: &str, now: Duration) -> Check {
        let since = self.away.get(agent).copied().flatten();
        let long = since.is_some_and(|since| now >= since + PATIENCE);
        ensure("I14", long, || {
            format!("{agent} is given up at {now:?}; it was away since {since:?}")
        })
    }
}

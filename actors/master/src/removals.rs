//! How fast agents that do not come back become unreachable. One lost machine is given up when its time is over; many
//! at once are rather a network's or a master's fault than theirs, and giving them all up would move every task of the
//! cluster (what hurt: MESOS-7721; Mesos has `--agent_removal_rate_limit`, off by default).
//!
//! Owns when agents were given up lately. Never looks at an agent.

use std::{collections::VecDeque, time::Duration};

use tepui_messages::UnixNanos;

/// How many agents may become unreachable within what time (Mesos: `--agent_removal_rate_limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovalRate {
    pub agents: u32,
    pub within: Duration,
}

/// The rate where the operator says none: a twentieth of the cluster a minute, but two in any case.
const DEFAULT_SHARE: usize = 20;
const DEFAULT_LEAST: usize = 2;
const DEFAULT_WITHIN: Duration = Duration::from_secs(60);
/// While so many are away at once, and more than a quarter of all, none is given up by default.
const MASS: usize = 4;
const MASS_LOOK: Duration = Duration::from_secs(5);

/// Whether an agent may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    Now,
    /// Ask again then: so many were given up lately.
    At(UnixNanos),
    /// Ask again then: too many are away.
    Mass(UnixNanos),
}

#[derive(Debug)]
pub(crate) struct Removals {
    rate: Option<RemovalRate>,
    /// When agents were given up, oldest first; as many as may be within the time.
    lately: VecDeque<UnixNanos>,
}

impl Removals {
    pub(crate) fn new(rate: Option<RemovalRate>) -> Removals {
        Removals {
            rate,
            lately: VecDeque::new(),
        }
    }

    /// Asks for one of `absent` agents, of `known` in all, the absent ones included; a `Now` is counted.
    pub(crate) fn ask(&mut self, now: UnixNanos, absent: usize, known: usize) -> Removal {
        if self.rate.is_none() && absent >= MASS && absent * 4 > known {
            return Removal::Mass(now.saturating_add(nanos(MASS_LOOK)));
        }
        let (most, within) = match self.rate {
            Some(rate) => (rate.agents as usize, rate.within),
            None => ((known / DEFAULT_SHARE).max(DEFAULT_LEAST), DEFAULT_WITHIN),
        };
        let within = nanos(within);
        while self
            .lately
            .front()
            .is_some_and(|at| at.saturating_add(within) <= now)
        {
            self.lately.pop_front();
        }
        if self.lately.len() < most {
            self.lately.push_back(now);
            return Removal::Now;
        }
        // The newest `most` of them bound the next.
        let bound = self.lately[self.lately.len() - most];
        Removal::At(bound.saturating_add(within))
    }
}

pub(crate) fn nanos(duration: Duration) -> UnixNanos {
    UnixNanos::try_from(duration.as_nanos()).unwrap_or(UnixNanos::MAX)
}

#[cfg(test)]
#[path = "removals_tests.rs"]
mod tests;

//! When the core must be woken, and for what. Deterministic: equal times fire in the order of their keys.

use std::collections::BTreeSet;

use tepui_messages::UnixNanos;

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A disconnected framework's failover time is over, if it has not come back since (`disconnection` counts those).
    Failover {
        framework_id: String,
        disconnection: u64,
    },
    /// A lost agent has not come back, if `connection` is still its last one.
    Unreachable { agent_id: String, connection: u64 },
}

#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(UnixNanos, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at: UnixNanos, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// The next timer that is due.
    pub(crate) fn pop_due(&mut self, now: UnixNanos) -> Option<Timer> {
        if self.0.first()?.0 > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }

    pub(crate) fn next(&self) -> Option<UnixNanos> {
        self.0.first().map(|(at, _)| *at)
    }
}

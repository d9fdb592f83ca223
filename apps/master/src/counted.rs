//! How a member that does not lead goes on with the registry's counted time (`actors/master`, `away.rs`).

use std::time::Duration;

use tokio::time::Instant;

/// The newest counted time of the registry, and when this member saw it: from then on it counts by itself.
pub(crate) struct CountedTime {
    newest: i64,
    seen: Instant,
}

impl CountedTime {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            newest: 0,
            seen: now,
        }
    }

    /// How long ago the count became `newest`, as far as this member has seen.
    pub(crate) fn ago(&mut self, newest: i64, now: Instant) -> Duration {
        if newest != self.newest {
            *self = Self { newest, seen: now };
        }
        now.saturating_duration_since(self.seen)
    }
}

#[cfg(test)]
#[path = "counted_tests.rs"]
mod tests;

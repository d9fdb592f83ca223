//! How long agents may be away before they are unreachable.

use std::time::Duration;

/// The operator's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one whose connection ended, or that has not come back since another master led (Mesos:
    /// `--agent_reregister_timeout`).
    pub reregister: Duration,
    /// For what one with a broken connection keeps of frameworks without checkpoints (Mesos: `--agent_ping_timeout`).
    pub ping: Duration,
    /// For one that fell silent, in pings (Mesos: `--max_agent_ping_timeouts`).
    pub pings: u32,
}

impl Patience {
    /// For one that fell silent.
    pub fn silence(&self) -> Duration {
        self.ping.saturating_mul(self.pings)
    }
}

impl Default for Patience {
    /// Mesos' defaults.
    fn default() -> Self {
        Self {
            reregister: Duration::from_mins(10),
            ping: Duration::from_secs(15),
            pings: 5,
        }
    }
}

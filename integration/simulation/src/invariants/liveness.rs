//! I13: once the last fault is healed everybody is back within a bound: a leader, agents, frameworks, offers, updates.

use crate::history::{Check, ensure};

/// How far the world is with coming back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    pub leader: bool,
    /// Masters that are wanted and are no voters, do not run, or lag behind.
    pub masters_missing: Vec<u64>,
    /// Changes of the group that were asked for and not made.
    pub wishes: usize,
    /// Agents that are not registered.
    pub agents_missing: Vec<String>,
    /// Frameworks that should live and are not subscribed.
    pub frameworks_missing: Vec<String>,
    /// Frameworks that have not started a task since the last fault.
    pub idle: Vec<String>,
    /// Agents whose books differ from the leader's.
    pub unsettled: Vec<String>,
}

impl Recovery {
    pub fn is_whole(&self) -> bool {
        self.leader
            && self.masters_missing.is_empty()
            && self.wishes == 0
            && self.agents_missing.is_empty()
            && self.frameworks_missing.is_empty()
            && self.idle.is_empty()
            && self.unsettled.is_empty()
    }

    /// What is left after all the time there was.
    pub fn check(&self) -> Check {
        ensure("I13", self.is_whole(), || {
            format!("long after the last fault: {self:?}")
        })
    }
}

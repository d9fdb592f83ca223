//! After an election, where there is quota, nothing is offered until most agents are back: what is used is known only
//! then, and headroom for guarantees with it. Source: Mesos `hierarchical.cpp`, `recover` and `addSlave`.

use std::time::Duration;

use tepui_messages::allocator::WorldChange;

use crate::{
    core::{MasterCore, Turn},
    removals::nanos,
    timers::Timer,
};

/// Offers wait for no longer, however few agents are back.
pub(crate) const MAX_HOLD: Duration = Duration::from_secs(600);

impl MasterCore {
    /// Holds back offers, if it is called for. Once, with the agents and the quota of the registry.
    pub(crate) fn hold_offers(&mut self, turn: &mut Turn<'_>) {
        // Eight of ten are enough.
        let enough = self.recovered_agents.len() * 8 / 10;
        if self.quota.is_empty() || enough == 0 {
            return;
        }
        self.offers_wait_for = Some(enough);
        turn.allocator(WorldChange::Paused(true));
        let ends_at = turn.now.saturating_add(nanos(MAX_HOLD));
        self.timers.set(ends_at, Timer::Hold);
    }

    /// An agent is there: it may be the one that was waited for.
    pub(crate) fn look_at_hold(&mut self, turn: &mut Turn<'_>) {
        if self
            .offers_wait_for
            .is_some_and(|enough| self.agents.len() >= enough)
        {
            self.end_hold(turn);
        }
    }

    /// Offers wait no longer.
    pub(crate) fn end_hold(&mut self, turn: &mut Turn<'_>) {
        if self.offers_wait_for.take().is_some() {
            self.timers.cancel(&Timer::Hold);
            turn.allocator(WorldChange::Paused(false));
        }
    }
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;

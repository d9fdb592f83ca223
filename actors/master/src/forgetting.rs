//! Agents that have been away for long are forgotten, or the registry would grow with every machine that ever was
//! (Mesos: registry garbage collection). One that comes back after that is admitted again, with its id.
//!
//! Owns the rules of the operator and what follows from a prune that is written. Which records go is the registry's
//! rule, asked of the same function, so that master and registry forget the same.

use std::{collections::BTreeMap, time::Duration};

use tepui_messages::{UnixNanos, change::Change, registrar::WriteRefusal};
use tepui_protocol::v1::AgentId;
use tepui_registry::{Command, outdated};

use crate::{
    core::{MasterCore, Pending, Turn},
    timers::Timer,
};

/// How long absent agents are remembered, and how many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgetting {
    /// How often it is looked (Mesos: `--registry_gc_interval`).
    pub interval: Duration,
    /// Unreachable and gone agents may be forgotten once they were so for longer (Mesos: `--registry_max_agent_age`).
    pub max_age: Duration,
    /// Of the unreachable and of the gone, the oldest beyond so many (Mesos: `--registry_max_agent_count`).
    pub max_agents: u64,
}

impl Default for Forgetting {
    /// Mesos' defaults.
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(15),
            max_age: Duration::from_hours(14 * 24),
            max_agents: 102_400,
        }
    }
}

/// What a prune forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    before: UnixNanos,
    max: u64,
}

impl MasterCore {
    pub(crate) fn forget_later(&mut self, now: UnixNanos) {
        let interval = self.config.forgetting.interval.as_nanos() as i64;
        self.timers.set(now.saturating_add(interval), Timer::Forget);
    }

    /// Time to look whether some agents have been away for too long.
    pub(crate) fn forget_absent_agents(&mut self, turn: &mut Turn<'_>) {
        self.forget_later(turn.now);
        let Forgetting {
            max_age,
            max_agents: max,
            ..
        } = self.config.forgetting;
        let age = UnixNanos::try_from(max_age.as_nanos()).unwrap_or(UnixNanos::MAX);
        let bounds = Bounds {
            before: turn.now.saturating_sub(age),
            max,
        };
        let absent = [&self.unreachable_agents, &self.gone_agents];
        if absent
            .into_iter()
            .all(|known| beyond(known, bounds).is_empty())
        {
            return;
        }
        let command = Command::Prune {
            before_nanos: bounds.before,
            max,
        };
        self.write(turn, command, Pending::Forgotten(bounds));
    }

    /// An agent that came back while the prune was under way is in neither table any more, here and there.
    pub(crate) fn forgotten_written(
        &mut self,
        bounds: Bounds,
        refused: Option<WriteRefusal>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(reason) = refused {
            tracing::warn!(%reason, "absent agents are not forgotten now, but later");
            return;
        }
        let mut forgotten = Vec::new();
        for known in [&mut self.unreachable_agents, &mut self.gone_agents] {
            for id in beyond(known, bounds) {
                known.remove(&id);
                forgotten.push(id);
            }
        }
        for id in forgotten {
            tracing::info!(agent = id, "an absent agent is forgotten");
            self.deactivated.remove(&id);
            self.draining.remove(&id);
            let agent_id = AgentId { value: id };
            self.change(turn, Change::AgentForgotten { agent_id });
        }
    }
}

fn beyond(known: &BTreeMap<String, UnixNanos>, bounds: Bounds) -> Vec<String> {
    let max = usize::try_from(bounds.max).unwrap_or(usize::MAX);
    let times = known.iter().map(|(id, at)| (id.as_str(), *at));
    outdated(times, bounds.before, max)
}

#[cfg(test)]
#[path = "forgetting_tests.rs"]
mod tests;

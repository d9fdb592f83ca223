//! The rules: what is new in the counters is a loss, and only so many are kept.

use std::collections::{BTreeMap, VecDeque};

use tepui_messages::UnixNanos;

use crate::messages::Loss;

/// Losses on record; an older one makes room.
pub const MAX_LOSSES: usize = 1_000;

/// The counters of one mailbox, as they stand since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub refused: u64,
    pub lost: u64,
}

#[derive(Debug, Clone)]
pub enum Input {
    /// Every mailbox of the directory, by id, with its name: a name may be used again, an id never is.
    Looked(Vec<(u64, String, Counts)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A loss that was not known before.
    Report(Loss),
}

#[derive(Debug, Default)]
pub struct DeadLettersCore {
    seen: BTreeMap<u64, Counts>,
    losses: VecDeque<Loss>,
}

impl DeadLettersCore {
    pub fn on(&mut self, now: UnixNanos, input: Input, effects: &mut Vec<Effect>) {
        let Input::Looked(mailboxes) = input;
        let mut seen = BTreeMap::new();
        for (id, mailbox, counts) in mailboxes {
            let before = self.seen.get(&id).copied().unwrap_or_default();
            let refused = counts.refused.saturating_sub(before.refused);
            let lost = counts.lost.saturating_sub(before.lost);
            seen.insert(id, counts);
            if refused > 0 || lost > 0 {
                let loss = Loss {
                    at: now,
                    mailbox,
                    refused,
                    lost,
                };
                self.record(loss.clone());
                effects.push(Effect::Report(loss));
            }
        }
        // What has left the directory is forgotten with it.
        self.seen = seen;
    }

    fn record(&mut self, loss: Loss) {
        if self.losses.len() == MAX_LOSSES {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
    }

    /// Oldest first.
    pub fn losses(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter()
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;

//! Frameworks that are away, and how long they may be. The failover time goes on counting whoever leads (Mesos begins
//! it anew, and not before the framework is back).
//!
//! A deadline stands in the registry in *counted* time: nanoseconds that leaders have counted by their monotonic
//! clocks. Each leader goes on from where the last one was, so a clock on the wall that is wrong or jumps ends nobody.
//! While deadlines run the leader writes down the time at least every sixtieth part of what is left of the nearest
//! (within a second and a minute). Every member sees these writes and counts on by itself from the newest
//! (`apps/master`, `throne.rs`), so the time without a leader counts as well. What is not counted is what nobody
//! could count: from the last write to the start of a member that was started after it and leads, and while no
//! master ran. A deadline is then late by that much, never early.
//!
//! A framework that was connected when its leader died has its whole time from the election, as it would have had
//! from the end of its stream; one that was away goes on with what was left.

use std::sync::Arc;

use tepui_messages::{UnixNanos, allocator::WorldChange, change::Change};
use tepui_registry::Command;

use crate::{
    core::{MasterCore, Pending, RecoveredFramework, Turn},
    frameworks::framework_id,
    tables::Framework,
    timers::Timer,
};

pub(crate) const SECOND: i64 = 1_000_000_000;
/// When what could not be written as its time ended is tried again.
pub(crate) const LOOK_AGAIN: i64 = 10 * SECOND;
/// How long a subscription may wait for the registry when the failover time ends.
const SUBSCRIPTION_PATIENCE: i64 = SECOND;
/// After an election even a framework without failover time has this long to find the new leader, if it was connected.
const RESUBSCRIBE_AFTER_ELECTION: i64 = 60 * SECOND;
/// Most schedulers are back by then, and need no deadline written. When another leader is elected before, the time
/// until then is not counted.
const NOTE_ABSENT_AFTER_ELECTION: i64 = 10 * SECOND;
/// Deadlines of one write.
const MAX_DEADLINES: usize = 1_000;
/// Bounds of how often counted time is written.
const COUNT_INTERVALS: (i64, i64) = (SECOND, 60 * SECOND);
/// How often while nothing but refusals ends by it.
const REFUSALS_INTERVAL: i64 = 10 * SECOND;

impl MasterCore {
    /// Counted time at `now`.
    pub(crate) fn counted(&self, now: UnixNanos) -> i64 {
        let (counted, at) = self.counted_at;
        counted.saturating_add(now.saturating_sub(at).max(0))
    }

    /// The scheduler is gone for now: offers return, the failover time starts to count and is remembered.
    pub(crate) fn disconnect(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        tracing::info!(framework = id, "the framework is disconnected");
        framework.stream_id = None;
        framework.record.active = false;
        framework.record.connected = false;
        framework.refusals.clear();
        let at = turn.now.saturating_add(failover_time(framework));
        let record = Arc::new(framework.record.clone());
        self.timers.set(at, failover_timer(id));
        turn.allocator(WorldChange::FrameworkActive {
            framework_id: framework_id(id),
            active: false,
        });
        self.discard_offers(id, turn);
        self.discard_inverse_offers(id, turn);
        // As its refusals of offers: what comes back may be another process.
        self.ask_again(id);
        self.change(turn, Change::FrameworkMarked(record));
        self.write_deadlines(&[id.to_string()], turn);
    }

    /// A subscription that is under way comes in time: if the registry refuses it, the timer ends the framework.
    pub(crate) fn failover_over(&mut self, id: &str, turn: &mut Turn<'_>) {
        let framework = self.frameworks.get(id);
        if framework.is_none_or(|framework| framework.record.connected) {
            return;
        }
        if self.subscribes(id) {
            let later = turn.now.saturating_add(SUBSCRIPTION_PATIENCE);
            return self.timers.set(later, failover_timer(id));
        }
        self.end_framework(id, None, turn);
    }

    /// From the registry, after an election: known, not subscribed. Its failover time goes on counting.
    pub(crate) fn recover_framework(&mut self, recovered: RecoveredFramework, turn: &mut Turn<'_>) {
        let id = recovered.info.id.clone().unwrap_or_default().value;
        self.add_unsubscribed(recovered.info, recovered.suppressed_roles, turn);
        let counted = self.counted(turn.now);
        let framework = self.frameworks.get_mut(&id).expect("it was just added");
        framework.deadline_is_written = recovered.deadline.is_some();
        framework.refusals = recovered.refusals;
        let left = match recovered.deadline {
            // One whose time ended in between may be on its way.
            Some(deadline) => deadline.saturating_sub(counted).max(SUBSCRIPTION_PATIENCE),
            None => failover_time(framework).max(RESUBSCRIBE_AFTER_ELECTION),
        };
        self.timers
            .set(turn.now.saturating_add(left), failover_timer(&id));
    }

    /// After an election, with what the registry holds taken in.
    pub(crate) fn note_absent_later(&mut self, now: UnixNanos) {
        if !self.absent_without_deadline().is_empty() {
            let at = now.saturating_add(NOTE_ABSENT_AFTER_ELECTION);
            self.timers.set(at, Timer::NoteAbsent);
        }
        self.count_time_later(now);
    }

    /// Those who were connected under the last leader and are not under this one: the next leader, too, is to know
    /// since when.
    pub(crate) fn note_absent(&mut self, turn: &mut Turn<'_>) {
        let absent = self.absent_without_deadline();
        for some in absent.chunks(MAX_DEADLINES) {
            self.write_deadlines(some, turn);
        }
    }

    fn absent_without_deadline(&self) -> Vec<String> {
        let frameworks = self.frameworks.iter();
        let absent = frameworks.filter(|(id, framework)| {
            framework.registered
                && !framework.record.connected
                && !framework.deadline_is_written
                && !self.subscribes(id)
        });
        absent.map(|(id, _)| id.clone()).collect()
    }

    /// Writes until when these frameworks may be away, as their timers say.
    fn write_deadlines(&mut self, ids: &[String], turn: &mut Turn<'_>) {
        let counted = self.counted(turn.now);
        let mut deadlines = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(at) = self.timers.due(&failover_timer(id)) else {
                continue;
            };
            if let Some(framework) = self.frameworks.get_mut(id) {
                framework.deadline_is_written = true;
                // The registry forgets them with this write.
                framework.refusals.clear();
                let left = at.saturating_sub(turn.now);
                deadlines.push((id.clone(), counted.saturating_add(left)));
            }
        }
        let command = Command::FrameworksAway {
            now_nanos: counted,
            deadlines,
        };
        self.write(turn, command, Pending::Nothing);
        self.count_time_later(turn.now);
    }

    /// Until the nearest deadline has come closer by a sixtieth, or for as long as a refusal may last too long under
    /// the next leader; not at all while there is neither.
    pub(crate) fn count_time_later(&mut self, now: UnixNanos) {
        let (least, most) = COUNT_INTERVALS;
        let nearest = self.timers.next_failover();
        let nearest = nearest.map(|at| (at.saturating_sub(now) / 60).clamp(least, most));
        let refusals = self.is_refused(now).then_some(REFUSALS_INTERVAL);
        let Some(interval) = nearest.into_iter().chain(refusals).min() else {
            return self.timers.cancel(&Timer::CountTime);
        };
        self.count_time_by(now.saturating_add(interval));
    }

    /// Refusals that outlive this master may last too long by so much.
    pub(crate) fn count_refusals(&mut self, now: UnixNanos) {
        self.count_time_by(now.saturating_add(REFUSALS_INTERVAL));
    }

    fn count_time_by(&mut self, at: UnixNanos) {
        let due = self.timers.due(&Timer::CountTime);
        if due.is_none_or(|due| due > at) {
            self.timers.set(at, Timer::CountTime);
        }
    }

    pub(crate) fn write_counted_time(&mut self, turn: &mut Turn<'_>) {
        if self.timers.next_failover().is_some() || self.is_refused(turn.now) {
            let now_nanos = self.counted(turn.now);
            self.write(turn, Command::CountTime { now_nanos }, Pending::Nothing);
        }
        self.count_time_later(turn.now);
    }
}

/// In nanoseconds.
pub(crate) fn failover_time(framework: &Framework) -> i64 {
    (framework.info().failover_timeout().max(0.0) * SECOND as f64) as i64
}

pub(crate) fn failover_timer(id: &str) -> Timer {
    Timer::Failover {
        framework_id: id.to_string(),
    }
}

#[cfg(test)]
#[path = "away_tests.rs"]
mod tests;

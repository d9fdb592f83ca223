//! When the core must be woken, and for what. Deterministic: equal times fire in the order of their keys.

use std::collections::{BTreeMap, BTreeSet};

use tepui_messages::UnixNanos;

use crate::throttle::Lane;

/// What a timer is for; each runs at most once at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A disconnected framework's failover time is over.
    Failover { framework_id: String },
    /// A lost agent has not come back.
    Unreachable { agent_id: String },
    /// An agent whose connection broke is not back: what it does not keep is lost.
    Disconnected { agent_id: String },
    /// The registry did not take what ends an agent's drain.
    Drain { agent_id: String },
    /// Time to write down how much time has been counted.
    CountTime,
    /// Schedulers had the time to find this leader: who did not is away.
    NoteAbsent,
    /// Time to write down what was refused lately.
    WriteRefusals,
    /// The next of the calls that wait for their rate may be taken.
    Throttled { lane: Lane },
    /// Offers have waited long enough for agents to come back.
    Hold,
    /// The oldest offer has stood for as long as offers may.
    OfferTimeout,
    /// Frameworks that refused to be asked for an agent may be asked again.
    InverseRefusal,
    /// Time to look for agents that have been away for too long.
    Forget,
}

impl Timer {
    fn is_absence(&self) -> bool {
        matches!(self, Timer::Unreachable { .. })
    }
}

/// As many as there are disconnected frameworks and absent agents, and a few.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(UnixNanos, Timer)>,
    due: BTreeMap<Timer, UnixNanos>,
    /// Timers of absent agents among them.
    absent: usize,
}

impl Timers {
    /// Starts the timer, anew if it runs.
    pub(crate) fn set(&mut self, at: UnixNanos, timer: Timer) {
        self.cancel(&timer);
        self.absent += usize::from(timer.is_absence());
        self.due.insert(timer.clone(), at);
        self.queue.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some((timer, at)) = self.due.remove_entry(timer) {
            self.absent -= usize::from(timer.is_absence());
            self.queue.remove(&(at, timer));
        }
    }

    /// The next timer that is due.
    pub(crate) fn pop_due(&mut self, now: UnixNanos) -> Option<Timer> {
        if self.queue.first()?.0 > now {
            return None;
        }
        let (_, timer) = self.queue.pop_first()?;
        self.due.remove(&timer);
        self.absent -= usize::from(timer.is_absence());
        Some(timer)
    }

    /// Agents that are awaited.
    pub(crate) fn absent(&self) -> usize {
        self.absent
    }

    /// When the timer fires, if it runs.
    pub(crate) fn due(&self, timer: &Timer) -> Option<UnixNanos> {
        self.due.get(timer).copied()
    }

    /// When the next framework's failover time ends.
    pub(crate) fn next_failover(&self) -> Option<UnixNanos> {
        let mut queue = self.queue.iter();
        let failover = queue.find(|(_, timer)| matches!(timer, Timer::Failover { .. }));
        failover.map(|(at, _)| *at)
    }

    pub(crate) fn next(&self) -> Option<UnixNanos> {
        self.queue.first().map(|(at, _)| *at)
    }
}

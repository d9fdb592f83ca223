//! The timers of one actor: ordered by deadline, driven by one sleep, whatever their number.
//!
//! Owns what is to be done and when. Never does it: the driver in `context` takes due timers out and
//! runs them with the actor at hand.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context as Task, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::{actor::Actor, context::Context};

/// Names a timer of the actor that set it, to cancel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerHandle(u64);

pub(crate) type Once<A> = Box<dyn FnOnce(&mut A, &mut Context<A>)>;
pub(crate) type Every<A> = Box<dyn FnMut(&mut A, &mut Context<A>)>;

pub(crate) enum Action<A: Actor> {
    Once(Once<A>),
    Every(Duration, Every<A>),
}

pub(crate) struct Due<A: Actor> {
    pub(crate) handle: TimerHandle,
    pub(crate) deadline: Instant,
    pub(crate) action: Action<A>,
}

pub(crate) struct Timers<A: Actor> {
    next: u64,
    by_deadline: BTreeMap<(Instant, TimerHandle), Action<A>>,
    deadlines: BTreeMap<TimerHandle, Instant>,
    /// The interval being run; `None` once it is cancelled from within.
    running: Option<TimerHandle>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<A: Actor> Timers<A> {
    pub(crate) const fn new() -> Self {
        Self {
            next: 0,
            by_deadline: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            running: None,
            sleep: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    pub(crate) fn set(&mut self, deadline: Instant, action: Action<A>) -> TimerHandle {
        let handle = TimerHandle(self.next);
        self.next += 1;
        self.insert(handle, deadline, action);
        handle
    }

    fn insert(&mut self, handle: TimerHandle, deadline: Instant, action: Action<A>) {
        self.by_deadline.insert((deadline, handle), action);
        self.deadlines.insert(handle, deadline);
    }

    pub(crate) fn cancel(&mut self, handle: TimerHandle) -> bool {
        if self.running == Some(handle) {
            self.running = None;
            return true;
        }
        let Some(deadline) = self.deadlines.remove(&handle) else {
            return false;
        };
        self.by_deadline.remove(&(deadline, handle)).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.by_deadline.clear();
        self.deadlines.clear();
        self.running = None;
        self.sleep = None;
    }

    /// The next due timer, taken out; or arms the sleep for the next deadline.
    pub(crate) fn poll_due(&mut self, task: &mut Task<'_>) -> Poll<Option<Due<A>>> {
        let Some((&(deadline, _), _)) = self.by_deadline.first_key_value() else {
            return Poll::Ready(None);
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        if !sleep.is_elapsed() && sleep.as_mut().poll(task).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(
            self.by_deadline
                .pop_first()
                .map(|((deadline, handle), action)| {
                    self.deadlines.remove(&handle);
                    if matches!(action, Action::Every(..)) {
                        self.running = Some(handle);
                    }
                    Due {
                        handle,
                        deadline,
                        action,
                    }
                }),
        )
    }

    /// Puts an interval back after its run, unless it was cancelled in it. Missed beats are skipped.
    pub(crate) fn repeat(
        &mut self,
        due: TimerHandle,
        deadline: Instant,
        period: Duration,
        run: Every<A>,
    ) {
        if self.running.take() != Some(due) {
            return;
        }
        let beat = deadline + period;
        let now = Instant::now();
        let next = if beat > now { beat } else { now + period };
        self.insert(due, next, Action::Every(period, run));
    }
}

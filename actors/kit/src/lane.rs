//! A bounded queue beside actix's own: for control messages, and for mailboxes that drop their oldest.
//!
//! Owns the parcels that wait in it. Actix's queue then carries only a doorbell that says something
//! lies here.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use actix::dev::EnvelopeProxy;

use crate::{actor::Actor, shell::Shell};

/// A message with its handler behind it, ready for the actor.
pub(crate) type BoxedParcel<A> = Box<dyn EnvelopeProxy<Shell<A>> + Send>;

/// A queue that any thread fills and the actor empties.
pub(crate) struct Lane<A: Actor> {
    capacity: usize,
    state: Mutex<State<A>>,
}

struct State<A: Actor> {
    parcels: VecDeque<BoxedParcel<A>>,
    closed: bool,
}

/// What became of a parcel that was pushed.
pub(crate) enum Pushed<A: Actor> {
    Queued,
    /// It is queued, and this one, the oldest, had to go. Dropped by the caller, outside the lock.
    QueuedInsteadOf(BoxedParcel<A>),
    Full,
    Closed,
}

impl<A: Actor> Lane<A> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::new(State {
                parcels: VecDeque::new(),
                closed: false,
            }),
        }
    }

    /// Queues at the end; at the bound it refuses. `parcel` runs under the lock, only when there is room.
    pub(crate) fn push(&self, parcel: impl FnOnce() -> BoxedParcel<A>) -> Pushed<A> {
        let mut state = self.lock();
        if state.closed {
            return Pushed::Closed;
        }
        if state.parcels.len() >= self.capacity {
            return Pushed::Full;
        }
        state.parcels.push_back(parcel());
        Pushed::Queued
    }

    /// Queues at the end; at the bound the oldest goes, and `parcel` is told so.
    pub(crate) fn push_newest(&self, parcel: impl FnOnce(bool) -> BoxedParcel<A>) -> Pushed<A> {
        let mut state = self.lock();
        if state.closed {
            return Pushed::Closed;
        }
        let is_full = state.parcels.len() >= self.capacity;
        let oldest = if is_full {
            state.parcels.pop_front()
        } else {
            None
        };
        state.parcels.push_back(parcel(oldest.is_some()));
        oldest.map_or(Pushed::Queued, Pushed::QueuedInsteadOf)
    }

    pub(crate) fn pop(&self) -> Option<BoxedParcel<A>> {
        self.lock().parcels.pop_front()
    }

    /// Refuses everything from now on and drops what waits, so that askers hear of it.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let parcels = std::mem::take(&mut state.parcels);
        drop(state);
        drop(parcels);
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        // Nothing that can panic runs between two changes of the state, so a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

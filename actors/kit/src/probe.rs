//! The numbers of one mailbox, all of them atomics: senders and the actor write, anybody reads.
//!
//! Owns the bound: [`Probe::reserve`] is the way to a place in the queue, [`Probe::admit`] that of what must not be refused.
//! Never asks the actor anything, so an actor that is stuck can be seen to be stuck.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{
        AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use tokio::sync::Notify;

use crate::{clock::Clock, histogram::Histogram};

/// Where an actor is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum State {
    /// It has a mailbox, its first turn is still to come.
    Starting,
    Running,
    /// It panicked and waits for its back-off to end; messages queue meanwhile.
    Restarting,
    /// It ended because it was told to, or its runtime went away.
    Stopped,
    /// It panicked and its policy allowed no restart.
    Failed,
}

const STATES: [State; 5] = [
    State::Starting,
    State::Running,
    State::Restarting,
    State::Stopped,
    State::Failed,
];

impl State {
    /// Whether the mailbox is closed for good.
    pub fn is_over(self) -> bool {
        matches!(self, State::Stopped | State::Failed)
    }
}

/// The mailbox was at its bound.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) id: u64,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) capacity: u64,
    pub(crate) clock: Clock,
    /// The arbiter's thread, known from the first turn.
    pub(crate) thread: OnceLock<String>,
    pub(crate) sent: Sent,
    pub(crate) done: Done,
    /// Messages of the control lane: waiting, and accepted ever.
    pub(crate) control_waiting: AtomicUsize,
    pub(crate) control_accepted: AtomicU64,
    /// Accepted and never handled: pushed out by newer ones, or dropped at a stop.
    pub(crate) lost: AtomicU64,
    pub(crate) restarts: AtomicU32,
    state: AtomicU8,
    last_panic: Mutex<Option<String>>,
    types: Mutex<Vec<Arc<TypeProbe>>>,
    /// When each waiting message was told, by its sequence number; what makes the oldest's age exact.
    stamps: Box<[AtomicU64]>,
    /// Senders that wait for room, and their bell.
    pub(crate) waiters: AtomicUsize,
    pub(crate) room: Notify,
}

/// Written by senders, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Sent {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) peak: AtomicU64,
}

/// Written by the actor's thread only, with plain stores.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Done {
    /// Data messages taken out of the queue.
    pub(crate) taken: AtomicU64,
    /// Messages of both lanes whose handling has ended, by a return or by a panic.
    pub(crate) finished: AtomicU64,
    pub(crate) turns: AtomicU64,
    /// Index + 1 of the message type being handled; 0 between turns.
    pub(crate) handling: AtomicU32,
    pub(crate) handling_since: AtomicU64,
    /// Start of the running turn in nanoseconds + 1; 0 between turns.
    pub(crate) turn_since: AtomicU64,
    pub(crate) busy_nanos: AtomicU64,
    /// Start of the window that [`Done::busy_at_window`] was read at.
    pub(crate) window_since: AtomicU64,
    pub(crate) busy_at_window: AtomicU64,
    pub(crate) timers: AtomicUsize,
    pub(crate) futures: AtomicUsize,
}

/// The numbers of one message type at one actor.
#[derive(Debug)]
pub(crate) struct TypeProbe {
    pub(crate) name: String,
    pub(crate) count: AtomicU64,
    pub(crate) wait: Histogram,
    pub(crate) handle: Histogram,
}

impl Probe {
    pub(crate) fn new(
        id: u64,
        kind: &'static str,
        name: String,
        capacity: usize,
        clock: Clock,
    ) -> Self {
        // One slot more than can wait, so that the slot before the oldest is never overwritten. What is taken past the bound
        // overwrites it: then the oldest seems younger than it is.
        let slots = (capacity + 1).next_power_of_two();
        Self {
            id,
            kind,
            name,
            capacity: capacity as u64,
            clock,
            thread: OnceLock::new(),
            sent: Sent::default(),
            done: Done::default(),
            control_waiting: AtomicUsize::new(0),
            control_accepted: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            restarts: AtomicU32::new(0),
            state: AtomicU8::new(State::Starting as u8),
            last_panic: Mutex::new(None),
            types: Mutex::new(Vec::new()),
            stamps: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            waiters: AtomicUsize::new(0),
            room: Notify::new(),
        }
    }

    /// Takes a place in the data queue, or counts a refusal. Returns the time of telling.
    ///
    /// Exact whatever the number of links and threads: the number that left the queue only grows, so a
    /// stale reading of it can only refuse, and the exchange fails if another sender was first.
    #[inline]
    pub(crate) fn reserve(&self) -> Result<u64, Full> {
        let result = self.try_reserve();
        if result.is_err() {
            self.sent.refused.fetch_add(1, Relaxed);
        }
        result
    }

    /// As [`Probe::reserve`], for senders that will try again and count no refusal.
    #[inline]
    pub(crate) fn try_reserve(&self) -> Result<u64, Full> {
        let mut accepted = self.sent.accepted.load(Relaxed);
        loop {
            let depth = accepted.saturating_sub(self.left());
            if depth >= self.capacity {
                return Err(Full);
            }
            match self
                .sent
                .accepted
                .compare_exchange_weak(accepted, accepted + 1, Relaxed, Relaxed)
            {
                Ok(_) => return Ok(self.stamp(accepted, depth)),
                Err(actual) => accepted = actual,
            }
        }
    }

    /// Counts a message that is taken whatever waits: past the bound, or by the drop-oldest lane under its lock.
    pub(crate) fn admit(&self, pushes_out: bool) -> u64 {
        if pushes_out {
            self.lost.fetch_add(1, Relaxed);
        }
        let accepted = self.sent.accepted.fetch_add(1, Relaxed);
        self.stamp(accepted, accepted.saturating_sub(self.left()))
    }

    /// Gives back a place whose message met a closed mailbox.
    pub(crate) fn give_back(&self) {
        self.sent.accepted.fetch_sub(1, Relaxed);
    }

    #[inline]
    fn stamp(&self, sequence: u64, depth_before: u64) -> u64 {
        /// Of this many messages to a busy actor, one reads the clock: a stuck actor does not.
        const REFRESH_EVERY: u64 = 64;
        if depth_before >= self.sent.peak.load(Relaxed) {
            self.sent.peak.fetch_max(depth_before + 1, Relaxed);
        }
        let now = if depth_before == 0 || sequence.is_multiple_of(REFRESH_EVERY) {
            self.clock.refresh()
        } else {
            self.clock.coarse_nanos()
        };
        self.slot(sequence).store(now, Relaxed);
        now
    }

    fn slot(&self, sequence: u64) -> &AtomicU64 {
        let mask = self.stamps.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "masked in the same expression"
        )]
        let index = sequence as usize & mask;
        &self.stamps[index]
    }

    /// Data messages that are no longer in the queue.
    #[inline]
    fn left(&self) -> u64 {
        self.done.taken.load(Acquire) + self.lost.load(Relaxed)
    }

    /// Data messages waiting now.
    pub(crate) fn depth(&self) -> u64 {
        let left = self.left();
        self.sent.accepted.load(Relaxed).saturating_sub(left)
    }

    /// How long the oldest waiting data message has waited at `now`.
    pub(crate) fn oldest_age_nanos(&self, now: u64) -> u64 {
        if self.depth() == 0 {
            return 0;
        }
        let oldest = self.left();
        let own = self.slot(oldest).load(Relaxed);
        // A sender between its reservation and its stamp leaves an old lap's value here; nobody was
        // told before the one in front of him.
        let in_front = self.slot(oldest.wrapping_sub(1)).load(Relaxed);
        now.saturating_sub(own.max(in_front))
    }

    pub(crate) fn state(&self) -> State {
        STATES[usize::from(self.state.load(Acquire))]
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Release);
    }

    pub(crate) fn note_panic(&self, text: String) {
        *lock(&self.last_panic) = Some(text);
    }

    pub(crate) fn last_panic(&self) -> Option<String> {
        lock(&self.last_panic).clone()
    }

    /// The message types seen so far, in the order of their first arrival.
    pub(crate) fn types(&self) -> Vec<Arc<TypeProbe>> {
        lock(&self.types).clone()
    }

    pub(crate) fn add_type(&self, name: String) -> Arc<TypeProbe> {
        let probe = Arc::new(TypeProbe {
            name,
            count: AtomicU64::new(0),
            wait: Histogram::new(),
            handle: Histogram::new(),
        });
        lock(&self.types).push(Arc::clone(&probe));
        probe
    }

    /// Wakes senders that wait for room. Cheap when there are none; called at the end of a turn.
    pub(crate) fn announce_room(&self) {
        // Pairs with the fence of the waiting sender: either it sees the room, or we see it wait.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.waiters.load(Relaxed) != 0 {
            self.room.notify_waiters();
        }
    }
}

/// Adds to a counter that only this thread writes.
#[inline]
pub(crate) fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Release);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

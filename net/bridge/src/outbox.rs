//! The outgoing queue of one connection: bounded in messages and bytes, filled by anyone, drained by the writer.
//!
//! Telling is a short lock and a box: the message stays typed until the writer encodes it on its own task.
//! The writer encodes ahead of a slow socket up to the bound in bytes, so that nearly all that waits is counted
//! in exact bytes; what is still typed is bounded in messages. Order is the order of [`Outbox::push`].

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use serde::Serialize;
use tepui_protocol::{codec::msgpack, message::TellError};
use tokio::{sync::Notify, time::Instant};

use crate::{
    direct::Direct,
    error::Reason,
    frame::FrameType,
    settings::{Overflow, Settings},
    stats::{NONE, Stats, add},
};

/// Answers may exceed the bounds by this factor: who asked waits for them, and their number is bounded by `asks_in`.
const ANSWER_FACTOR: usize = 2;
/// Messages of best effort have this part of the bounds, so that however many they are, others find room.
const BEST_EFFORT_PART: usize = 2;
/// An empty queue keeps so many places: a connection at rest holds little, and there are tens of thousands.
pub(crate) const KEEP_PLACES: usize = 8;

/// A message that waits to be encoded, whatever its type.
pub(crate) trait Encode: Send {
    fn encode(&self) -> Result<Vec<u8>, msgpack::Error>;
}

impl<T: Serialize + Send> Encode for T {
    fn encode(&self) -> Result<Vec<u8>, msgpack::Error> {
        msgpack::encode(self)
    }
}

pub(crate) enum Body {
    Message(Box<dyn Encode>),
    Text(String),
    /// What is left of a frame that was begun, as it goes on.
    Rest(Bytes),
}

/// One frame to be.
pub(crate) struct Outgoing {
    pub(crate) frame_type: FrameType,
    pub(crate) kind: u16,
    pub(crate) correlation: u64,
    pub(crate) body: Body,
    pub(crate) best_effort: bool,
    pub(crate) queued_ms: u64,
}

impl Outgoing {
    /// Whether somebody relies on it and hears nothing of its loss, as the asker of a question does.
    pub(crate) fn is_owed(&self) -> bool {
        self.frame_type == FrameType::Tell && !self.best_effort
    }
}

/// Encoded bytes that the socket has not taken.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Held {
    /// Of messages of best effort.
    pub(crate) best_effort: usize,
    /// Of all others.
    pub(crate) owed: usize,
}

impl Held {
    pub(crate) fn is_empty(self) -> bool {
        self.best_effort + self.owed == 0
    }
}

/// How the writer is to end.
#[derive(Debug, Clone)]
pub(crate) enum Closing {
    /// Write what is queued, until `deadline`, and say farewell.
    Farewell { text: String, deadline: Instant },
    /// At once.
    Cut(Reason),
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Outgoing>,
    /// Messages accepted and neither written nor dropped; those in `waiting` included.
    depth: usize,
    buffered: Held,
    closing: Option<Closing>,
    /// For tellers that need not wait for the writer.
    direct: Option<Direct>,
    /// The connection is over.
    shut: bool,
}

pub(crate) struct Outbox {
    state: Mutex<State>,
    wake: Notify,
    messages: usize,
    bytes: usize,
    frame_bytes: usize,
    overflow: Overflow,
}

impl Outbox {
    pub(crate) fn new(settings: &Settings) -> Self {
        Outbox {
            state: Mutex::default(),
            wake: Notify::new(),
            messages: settings.queue_messages,
            bytes: settings.queue_bytes,
            frame_bytes: settings.frame_bytes,
            overflow: settings.overflow,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the outbox")
    }

    /// Lets tellers write by themselves while nothing else is on its way.
    pub(crate) fn open_direct(&self, direct: Option<Direct>) {
        self.lock().direct = direct;
    }

    /// Queues one frame, or writes it at once.
    pub(crate) fn push(&self, item: Outgoing, stats: &Stats) -> Result<(), TellError> {
        let mut state = self.lock();
        if state.shut || state.closing.is_some() {
            return Err(TellError::Closed);
        }
        if !self.has_room(&item, &state) {
            add(&stats.refused, 1);
            if self.overflow == Overflow::CutPeer && item.is_owed() {
                state.closing = Some(Closing::Cut(Reason::Overflow));
                self.wake.notify_one();
            }
            return Err(TellError::Full);
        }
        add(&stats.accepted, 1);
        let idle = state.depth == 0;
        let item = match &state.direct {
            Some(direct) if idle && state.buffered.is_empty() => {
                match direct.send(item, self.frame_bytes, stats) {
                    Some(left) => left,
                    None => {
                        add(&stats.finished, 1);
                        return Ok(());
                    }
                }
            }
            _ => item,
        };
        if idle {
            stats.oldest_ms.store(item.queued_ms, Relaxed);
        }
        state.depth += 1;
        state.waiting.push_back(item);
        // A writer that found something waiting looks again by itself.
        if state.waiting.len() == 1 {
            self.wake.notify_one();
        }
        Ok(())
    }

    fn has_room(&self, item: &Outgoing, state: &State) -> bool {
        if item.best_effort {
            return state.depth < self.messages / BEST_EFFORT_PART
                && state.buffered.best_effort < self.best_effort_bytes();
        }
        let factor = match item.frame_type {
            FrameType::Answer | FrameType::Failure => ANSWER_FACTOR,
            _ => 1,
        };
        state.depth < self.messages * factor && state.buffered.owed < self.bytes * factor
    }

    /// Of messages of best effort; the one that crosses the bound is still taken.
    pub(crate) fn best_effort_bytes(&self) -> usize {
        self.bytes / BEST_EFFORT_PART
    }

    /// Ends the connection if that is what the loss of a message means.
    pub(crate) fn lose(&self, text: String) {
        if self.overflow == Overflow::CutPeer {
            self.close(Closing::Cut(Reason::Unsendable(text)));
        }
    }

    /// Asks the writer to end. The first call counts.
    pub(crate) fn close(&self, closing: Closing) {
        let mut state = self.lock();
        if state.closing.is_none() {
            state.closing = Some(closing);
            self.wake.notify_one();
        }
    }

    /// The connection is over: nothing is taken any more, what waits is dropped.
    pub(crate) fn shut(&self, stats: &Stats) {
        let mut state = self.lock();
        state.shut = true;
        state.direct = None;
        let dropped = std::mem::take(&mut state.waiting);
        add(&stats.finished, state.depth);
        state.depth = 0;
        stats.oldest_ms.store(NONE, Relaxed);
        drop(state);
        drop(dropped);
    }

    /// Moves up to `count` messages to `batch`.
    pub(crate) fn take(&self, batch: &mut VecDeque<Outgoing>, count: usize) {
        let mut state = self.lock();
        let count = count.min(state.waiting.len());
        batch.extend(state.waiting.drain(..count));
        if state.waiting.is_empty() {
            state.waiting.shrink_to(KEEP_PLACES);
        }
    }

    pub(crate) fn closing(&self) -> Option<Closing> {
        self.lock().closing.clone()
    }

    /// Whether the writer may make `bytes` of its own; no teller writes before they have left. Not while messages wait.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        let idle = state.depth == 0;
        if idle {
            state.buffered.owed = bytes;
        }
        idle
    }

    /// The writer's accounts: messages that left since the last call, bytes it still holds, and when the oldest
    /// message that it holds was told.
    pub(crate) fn settle(&self, left: usize, held: Held, oldest_ms: Option<u64>, stats: &Stats) {
        let mut state = self.lock();
        state.depth = state.depth.saturating_sub(left);
        state.buffered = held;
        add(&stats.finished, left);
        let oldest = oldest_ms.or_else(|| state.waiting.front().map(|item| item.queued_ms));
        stats.oldest_ms.store(oldest.unwrap_or(NONE), Relaxed);
    }

    /// Resolves when there is something new: a message to take (unless `full`), or a wish to close that the
    /// writer has not seen yet. For one waiter.
    pub(crate) async fn ready(&self, full: bool, closing_seen: bool) {
        loop {
            {
                let state = self.lock();
                let message = !full && !state.waiting.is_empty();
                if message || state.closing.is_some() && !closing_seen {
                    return;
                }
            }
            self.wake.notified().await;
        }
    }
}

//! Questions that wait for the peer's answer. Bounded; each is answered once, forgotten by its asker, or
//! failed when the connection ends.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use tepui_protocol::message::AskError;

/// Decodes and hands over the answer; called on the reader's task.
pub(crate) type Resolve = Box<dyn FnOnce(Result<Bytes, AskError>) + Send>;

#[derive(Default)]
struct State {
    /// Correlations are never reused within a connection.
    last: u64,
    closed: bool,
    waiting: BTreeMap<u64, Resolve>,
}

pub(crate) struct Pending {
    state: Mutex<State>,
    limit: usize,
}

impl Pending {
    pub(crate) fn new(limit: usize) -> Self {
        Pending {
            state: Mutex::default(),
            limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the questions")
    }

    /// The correlation of a new question.
    pub(crate) fn add(&self, resolve: Resolve) -> Result<u64, AskError> {
        let mut state = self.lock();
        if state.closed {
            return Err(AskError::Closed);
        }
        if state.waiting.len() >= self.limit {
            return Err(AskError::Full);
        }
        state.last += 1;
        let correlation = state.last;
        state.waiting.insert(correlation, resolve);
        Ok(correlation)
    }

    /// An answer for a question that nobody waits for any more is dropped.
    pub(crate) fn resolve(&self, correlation: u64, outcome: Result<Bytes, AskError>) {
        let resolve = self.lock().waiting.remove(&correlation);
        if let Some(resolve) = resolve {
            resolve(outcome);
        }
    }

    pub(crate) fn forget(&self, correlation: u64) {
        let forgotten = self.lock().waiting.remove(&correlation);
        drop(forgotten);
    }

    /// Fails all questions, present and future, with [`AskError::Closed`].
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        for resolve in waiting.into_values() {
            resolve(Err(AskError::Closed));
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().waiting.len()
    }
}

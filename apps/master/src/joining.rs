//! Registrations that agents say in parts, until they are whole.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tepui_protocol::{
    codec::{Limits, msgpack},
    node::{RegisterAgent, RegisterAgentPart},
    parts::Parts,
};

/// Bytes that are held of all agents together.
const MAX_HELD_BYTES: usize = 1 << 30;

/// What was said so far, by connection.
#[derive(Default)]
pub(crate) struct Joining {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    parts: BTreeMap<u64, Parts>,
    /// In all of them.
    held: usize,
}

impl Joining {
    /// The whole, once this is its last part; it is not read yet.
    ///
    /// # Errors
    /// What the agent is told.
    pub(crate) fn take(
        &self,
        connection: u64,
        part: RegisterAgentPart,
    ) -> Result<Option<Bytes>, String> {
        let mut state = self.lock();
        // What is refused is forgotten: it would keep itself and others out.
        let mut parts = state.parts.remove(&connection).unwrap_or_default();
        state.held -= parts.bytes();
        let mine = if part.part == 0 { 0 } else { parts.bytes() };
        if state.held + mine + part.data.len() > MAX_HELD_BYTES {
            let text = "too many agents register in parts at the moment; try again later";
            return Err(text.to_owned());
        }
        let taken = parts.take(part.into(), Limits::REGISTRATION.bytes);
        state.held += parts.bytes();
        if parts.bytes() > 0 {
            state.parts.insert(connection, parts);
        }
        taken.map_err(|error| format!("the registration cannot be put together: {error}"))
    }

    /// The connection is over.
    pub(crate) fn forget(&self, connection: u64) {
        let mut state = self.lock();
        if let Some(parts) = state.parts.remove(&connection) {
            state.held -= parts.bytes();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole between two statements that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads it, away from the thread of the connections: it is large.
///
/// # Errors
/// What the agent is told.
pub(crate) async fn read(whole: Bytes) -> Result<RegisterAgent, String> {
    let read = move || msgpack::decode(&whole, &Limits::REGISTRATION);
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(|error| error.to_string())?;
    read.map_err(|error| format!("the registration cannot be read: {error}"))
}

#[cfg(test)]
#[path = "joining_tests.rs"]
mod tests;

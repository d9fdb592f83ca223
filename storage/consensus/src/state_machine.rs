//! What is replicated.

use bytes::Bytes;
use tepui_engine::{Batch, Engine, EngineError};

use crate::error::TO_DO_WHEN_DAMAGED;

/// The state machine cannot go on: its stored state is damaged, or a command needs a newer program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StateError(pub String);

impl StateError {
    /// The error for stored state that cannot be trusted: `found` names the record and what is wrong with it.
    pub fn damaged(found: &str) -> Self {
        Self(format!("{found}; {TO_DO_WHEN_DAMAGED}"))
    }
}

impl From<EngineError> for StateError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Damaged { reason } => Self::damaged(&reason),
            other => Self(other.to_string()),
        }
    }
}

/// Deterministic state behind the log. It lives on the consensus thread and keeps itself in memory; what it puts
/// into a batch lands together with the applied index.
///
/// No method may read a clock, draw a random number or depend on the order of a hash map: every member must
/// come to the same state and the same outcome.
pub trait StateMachine: Send + 'static {
    /// Reads the state that was written before, once, at the start.
    fn load(&mut self, engine: &dyn Engine) -> Result<(), StateError>;

    /// Says early whether a command can be applied at all. A courtesy to the proposer: `apply` must not rely on it.
    fn check(&self, command: &[u8]) -> Result<(), String> {
        let _ = command;
        Ok(())
    }

    /// Applies a committed command and writes what changed into `batch`. The outcome goes to the proposer; a
    /// refusal is an outcome. An error stops this member: it is for a command that a newer program wrote, since
    /// going on would let the members drift apart.
    fn apply(&mut self, index: u64, command: &[u8], batch: &mut Batch)
    -> Result<Bytes, StateError>;

    /// The whole state, for a member that lags too far behind.
    fn snapshot(&self) -> Bytes;

    /// Replaces the state, in memory and through `batch` on disk.
    fn restore(&mut self, snapshot: &[u8], batch: &mut Batch) -> Result<(), StateError>;
}

//! What a message is and how one is sent, whatever lies between sender and receiver.
//!
//! Owns the traits [`Message`], [`Wire`], [`Tell`] and [`Ask`] and their errors. Knows no actor, no
//! connection and no codec: `actors/kit` implements the handles for actors of this process,
//! `net/bridge` for peers on another machine. Delivery is at most once, in order per pair.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};

/// A type that can be sent, with the type of its answer (`()` where none is meant).
pub trait Message: Send + 'static {
    /// What an [`Ask`] of this message resolves to.
    type Reply: Send + 'static;
}

/// A message that may cross a machine. Its type comes from the schema and its number stands in
/// [`crate::catalogue`], which only ever grows.
pub trait Wire:
    Message<Reply: Serialize + DeserializeOwned> + Serialize + DeserializeOwned
{
    /// Number in the frame header; unique, never reused.
    const KIND: u16;
    /// Whether nothing is owed when it is lost. Such a message yields its place on a busy connection to all others.
    const BEST_EFFORT: bool = false;
}

/// Why a message was not accepted at the send site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TellError {
    /// The receiver's queue is at its bound; the message was counted as refused.
    #[error("the receiver's mailbox is full")]
    Full,
    /// The receiver has stopped or the connection is gone.
    #[error("the receiver is gone")]
    Closed,
}

/// Why an asked question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("the receiver's mailbox is full")]
    Full,
    /// The receiver stopped, or the connection broke, before it answered; whether the question had an effect is unknown.
    #[error("the receiver is gone")]
    Closed,
    #[error("no answer within the deadline")]
    Timeout,
    /// The other side refused or could not decode the question; its words.
    #[error("the other side refused: {0}")]
    Refused(String),
}

impl From<TellError> for AskError {
    fn from(error: TellError) -> Self {
        match error {
            TellError::Full => AskError::Full,
            TellError::Closed => AskError::Closed,
        }
    }
}

/// Sends without waiting for an answer.
pub trait Tell<M: Message>: Send + Sync {
    /// Queues `message`; on an error it was not queued and is lost to the receiver.
    ///
    /// # Errors
    /// [`TellError::Full`] at the bound, [`TellError::Closed`] when the receiver is gone.
    fn tell(&self, message: M) -> Result<(), TellError>;
}

/// Sends and waits for the answer.
pub trait Ask<M: Message>: Send + Sync {
    /// Queues `message` at once (not at the first poll), so that order per pair holds.
    fn ask(&self, message: M) -> BoxFuture<'static, Result<M::Reply, AskError>>;
}

/// A shared handle to anything that takes `M`, wherever it is.
pub type Teller<M> = Arc<dyn Tell<M>>;
/// A shared handle to anything that answers `M`, wherever it is.
pub type Asker<M> = Arc<dyn Ask<M>>;

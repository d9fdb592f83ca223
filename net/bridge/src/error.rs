//! Why a connection did not come about, and why one ended.

use std::{io, net::SocketAddr, time::Duration};

use crate::{frame::FrameError, handshake::HandshakeError, peer::PeerId};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot connect to {address}: {source}")]
    Unreachable {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot connect to {address}: no answer within {deadline:?}")]
    NoAnswer {
        address: SocketAddr,
        deadline: Duration,
    },
    #[error("the connection broke during the handshake: {0}")]
    Io(#[from] io::Error),
    #[error("the other side closed the connection before the handshake was done")]
    Eof,
    #[error("the handshake was not done within {0:?}")]
    Deadline(Duration),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The other side's words.
    #[error("the other side refused: {0}")]
    RefusedThere(String),
    /// Our own words, which the other side was told.
    #[error("refused the other side: {0}")]
    RefusedHere(String),
    #[error("{limit} connections are open, which is the bound: raise {setting} or close some")]
    TooMany { limit: usize, setting: &'static str },
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No byte came for `silent_after`: the machine or the network is gone, or the process is stopped.
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    /// The peer took no byte for `silent_after`.
    #[error("the peer took nothing for {0:?}")]
    Stalled(Duration),
    /// [`Peer::close`](crate::Peer::close) was called here.
    #[error("closed here: {0}")]
    ClosedHere(String),
    /// The peer said farewell; its words.
    #[error("closed by the peer: {0}")]
    ClosedThere(String),
    /// End of stream or an I/O error without a farewell, as after `kill -9`.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The queue was full and its policy is [`Overflow::CutPeer`](crate::Overflow::CutPeer).
    #[error("the outgoing queue was full")]
    Overflow,
    /// A message could not be sent, and that is the policy then too; which, and why.
    #[error("not sent: {0}")]
    Unsendable(String),
    /// What came is no frame, or none that belongs here.
    #[error("the peer broke the protocol: {0}")]
    Garbage(FrameError),
    /// The connection's task was dropped or panicked.
    #[error("the connection's task ended")]
    Aborted,
}

/// The end of a connection, told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    pub peer: PeerId,
    pub reason: Reason,
}

impl Disconnect {
    /// Whether the peer fell silent, rather than closed or was closed.
    pub fn silent(&self) -> bool {
        matches!(self.reason, Reason::Silent(_) | Reason::Stalled(_))
    }
}

//! Every bound and deadline of a connection, by name.

use std::time::Duration;

use crate::frame::MAX_FRAME_BYTES;

/// What happens when a message finds the outgoing queue at its bound. The teller sees
/// [`TellError::Full`](tepui_protocol::message::TellError::Full) either way, and it is counted. Messages of
/// [best effort](tepui_protocol::message::Wire::BEST_EFFORT) have half of each bound, and never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The message is refused; the connection lives on.
    Refuse,
    /// The message is refused and, if it was told and is owed, the connection is cut: whoever cannot keep up starts afresh. So it
    /// is where such a message turns out to be larger than a frame.
    CutPeer,
}

/// Bounds and deadlines; [`Settings::default`] holds the documented defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A side that had nothing to write for this long writes a heartbeat. Default 5 s.
    pub heartbeat: Duration,
    /// A peer of whom no byte came, or who took no byte, for this long is silent: the connection is
    /// closed. Must exceed the heartbeat of the *other* side. Default 15 s.
    pub silent_after: Duration,
    /// From the first byte awaited to the end of the handshake. Default 5 s.
    pub handshake_deadline: Duration,
    /// For one attempt to open a stream to one address. Default 1 s.
    pub connect_deadline: Duration,
    /// A closing side writes what is queued for at most this long. Default 1 s.
    pub close_deadline: Duration,
    /// From [`Ask::ask`](tepui_protocol::message::Ask::ask) to the answer. Default 10 s.
    pub ask_deadline: Duration,
    /// Messages queued and not yet taken by the socket. Default 16 384.
    pub queue_messages: usize,
    /// Encoded bytes not yet taken by the socket; the message that crosses the bound is still taken. Default 8 MiB.
    pub queue_bytes: usize,
    /// What a full queue means. Default [`Overflow::Refuse`].
    pub overflow: Overflow,
    /// Whether a message told while nothing waits is written by its teller, which costs a system call there and saves a change
    /// of threads. Only over plain TCP. Default no.
    pub write_through: bool,
    /// Questions to the peer that wait for their answer. Default 1 024.
    pub asks_out: usize,
    /// Questions of the peer that are being answered. Default 1 024.
    pub asks_in: usize,
    /// Bytes of one message, in and out. Default 16 MiB, which is also the most the decoders accept.
    pub frame_bytes: usize,
    /// Connections of one listener, but masters'. Default 10 000.
    pub max_connections: usize,
    /// Of them, from one IP address. Default 100. Loopback is exempt: a cluster on one machine has all its agents there.
    pub max_connections_per_ip: usize,
    /// Connections of one listener that are masters', wherever they come from: agents take no place from them. Default 64.
    pub max_masters: usize,
    /// Handshakes of one listener that are under way; later ones wait to be accepted. Default 1 024, of which one address may
    /// have a quarter, but for loopback.
    pub max_handshakes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            heartbeat: Duration::from_secs(5),
            silent_after: Duration::from_secs(15),
            handshake_deadline: Duration::from_secs(5),
            connect_deadline: Duration::from_secs(1),
            close_deadline: Duration::from_secs(1),
            ask_deadline: Duration::from_secs(10),
            queue_messages: 16_384,
            queue_bytes: 8 << 20,
            overflow: Overflow::Refuse,
            write_through: false,
            asks_out: 1_024,
            asks_in: 1_024,
            frame_bytes: MAX_FRAME_BYTES,
            max_connections: 10_000,
            max_connections_per_ip: 100,
            max_masters: 64,
            max_handshakes: 1_024,
        }
    }
}

//! The way to the other members.

use bytes::Bytes;

/// Carries messages to other members. One ordered stream a peer: messages may be lost, but those of an older
/// connection must never arrive behind those of a newer one, since raft-rs 0.7 does not survive reordered appends.
pub trait Transport: Send + Sync + 'static {
    /// Sends `message` to the member `to`, whose side hands it to `Consensus::step_of`. Must not block: a message
    /// that cannot be queued is dropped, and `Consensus::report_unreachable` told.
    fn send(&self, to: u64, message: Bytes);
}

/// For a group of one.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPeers;

impl Transport for NoPeers {
    fn send(&self, to: u64, _message: Bytes) {
        tracing::warn!(
            to,
            "a message to another member was dropped: there is no transport"
        );
    }
}

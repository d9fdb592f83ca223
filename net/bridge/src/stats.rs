//! What one connection counts. Written by its tasks and by those who tell, read by anyone from atomics:
//! a stuck connection is visible as stuck.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::handshake::Role;

/// "Nothing is queued" in [`Stats::oldest_ms`].
pub(crate) const NONE: u64 = u64::MAX;

/// Counters since the connection opened.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) frames_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// Messages the queue took.
    pub(crate) accepted: AtomicU64,
    /// Messages that left the queue, for the socket or for the counters below.
    pub(crate) finished: AtomicU64,
    /// Messages the queue did not take because it was full.
    pub(crate) refused: AtomicU64,
    /// Messages that were too large to be written, or could not be encoded.
    pub(crate) unsendable: AtomicU64,
    /// Messages received whose KIND no route knows.
    pub(crate) unknown_kind: AtomicU64,
    /// Messages received that are not what their KIND says.
    pub(crate) undecodable: AtomicU64,
    /// When the oldest message in the queue was told, in ms since the connection opened, or [`NONE`].
    pub(crate) oldest_ms: AtomicU64,
    /// When the last byte came, in ms since the connection opened.
    pub(crate) heard_ms: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            frames_in: AtomicU64::new(0),
            frames_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unsendable: AtomicU64::new(0),
            unknown_kind: AtomicU64::new(0),
            undecodable: AtomicU64::new(0),
            oldest_ms: AtomicU64::new(NONE),
            heard_ms: AtomicU64::new(0),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Relaxed);
}

/// One connection at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerStats {
    pub id: u64,
    pub role: Role,
    pub name: String,
    pub program_version: String,
    /// "ip:port" of the other side, absent in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    pub bridge_version: u16,
    pub open_ms: u64,
    /// Since the last byte came.
    pub heard_ago_ms: u64,
    pub frames_in: u64,
    pub frames_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub accepted: u64,
    pub refused: u64,
    pub unsendable: u64,
    pub unknown_kind: u64,
    pub undecodable: u64,
    /// Messages told and not yet taken by the socket.
    pub queue_depth: u64,
    pub queue_bound: u64,
    /// Age of the oldest of them; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_oldest_ms: Option<u64>,
    /// Questions that wait for the peer's answer.
    pub asks_waiting: u64,
}

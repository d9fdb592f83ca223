//! Messages of Raft in parts that fit into frames of the bridge, and put together again.

use bytes::{Bytes, BytesMut};
use tepui_protocol::node::RaftMessage;

/// Bytes of one part; a snapshot has many.
const PART_BYTES: usize = 1 << 20;
/// Bytes of one message of Raft put together again: more than any registry has.
const MAX_MESSAGE_BYTES: usize = 1 << 30;

pub(crate) fn split(message: &Bytes) -> impl Iterator<Item = RaftMessage> + '_ {
    let count = message.len().div_ceil(PART_BYTES).max(1);
    (0..count).map(move |part| {
        let end = message.len().min((part + 1) * PART_BYTES);
        RaftMessage {
            data: message.slice(part * PART_BYTES..end),
            part: u32::try_from(part).unwrap_or(u32::MAX),
            parts: u32::try_from(count).unwrap_or(u32::MAX),
        }
    })
}

/// Puts the parts of one message together; what does not follow is dropped with its message.
#[derive(Default)]
pub(crate) struct Parts {
    bytes: BytesMut,
    next: u32,
}

impl Parts {
    pub(crate) fn take(&mut self, part: RaftMessage) -> Option<Bytes> {
        if part.part == 0 {
            *self = Parts::default();
        }
        let follows = part.part == self.next && part.part < part.parts;
        if !follows || self.bytes.len() + part.data.len() > MAX_MESSAGE_BYTES {
            *self = Parts::default();
            return None;
        }
        if part.parts == 1 {
            return Some(part.data);
        }
        self.bytes.extend_from_slice(&part.data);
        self.next += 1;
        (self.next == part.parts).then(|| std::mem::take(self).bytes.freeze())
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;

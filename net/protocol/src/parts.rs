//! Messages that are larger than a frame of the bridge: in parts that fit, and put together again. Pure.

use bytes::{Bytes, BytesMut};

use crate::node;

/// Bytes of one part of a registration.
pub const REGISTRATION_PART_BYTES: usize = 4 << 20;

/// A part of one message; the parts of a message follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub data: Bytes,
    /// From 0.
    pub part: u32,
    pub parts: u32,
}

macro_rules! parts {
    ($($message:ty),*) => {$(
        impl From<Part> for $message {
            fn from(Part { data, part, parts }: Part) -> Self {
                Self { data, part, parts }
            }
        }
        impl From<$message> for Part {
            fn from(message: $message) -> Self {
                let part = message.part;
                Self { data: message.data, part, parts: message.parts }
            }
        }
    )*};
}
parts!(node::RaftMessage, node::RegisterAgentPart);

/// At least one part, each of at most `part_bytes`.
pub fn split(message: &Bytes, part_bytes: usize) -> impl Iterator<Item = Part> + '_ {
    let count = message.len().div_ceil(part_bytes).max(1);
    (0..count).map(move |part| {
        let end = message.len().min((part + 1) * part_bytes);
        Part {
            data: message.slice(part * part_bytes..end),
            part: u32::try_from(part).unwrap_or(u32::MAX),
            parts: u32::try_from(count).unwrap_or(u32::MAX),
        }
    })
}

/// Why a part was not taken; what there was of its message is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("part {part} of {parts} came where part {expected} was expected")]
    Misplaced {
        part: u32,
        parts: u32,
        expected: u32,
    },
    #[error("the message is larger than the limit of {limit} bytes")]
    TooLarge { limit: usize },
}

/// Puts the parts of one message after the other together.
#[derive(Debug, Default)]
pub struct Parts {
    bytes: BytesMut,
    next: u32,
}

impl Parts {
    /// What it holds.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The message, once this is its last part. A first part begins a new one.
    ///
    /// # Errors
    /// [`Rejected`] where it does not follow the part before, or the message grows beyond `limit` bytes.
    pub fn take(&mut self, taken: Part, limit: usize) -> Result<Option<Bytes>, Rejected> {
        let Part { data, part, parts } = taken;
        let mut held = std::mem::take(self);
        if part == 0 {
            held = Parts::default();
        }
        if part != held.next || part >= parts {
            let expected = held.next;
            return Err(Rejected::Misplaced {
                part,
                parts,
                expected,
            });
        }
        if held.bytes.len() + data.len() > limit {
            return Err(Rejected::TooLarge { limit });
        }
        if parts == 1 {
            return Ok(Some(data));
        }
        held.bytes.extend_from_slice(&data);
        held.next += 1;
        if held.next == parts {
            return Ok(Some(held.bytes.freeze()));
        }
        *self = held;
        Ok(None)
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;

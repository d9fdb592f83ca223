//! Frames: how requests lie in the byte stream. Sans-I/O.
//!
//! Owns the layout and its limits: an `int` of bytes and then so many. A connection may instead begin with four lower-case
//! letters, a command of its own that no length within the limit looks like.

use bytes::{Buf, Bytes, BytesMut};

/// Most bytes of a request. ZooKeeper's own clients split what re-establishes watches at 128 KiB; the rest is small.
pub const MAX_FRAME_BYTES: usize = 256 << 10;
/// Most bytes of the first frame, which opens a session: 45 in every version.
pub const MAX_CONNECT_BYTES: usize = 256;

/// Least spare room offered to a read; a connection at rest holds this much.
const READ_BYTES: usize = 1 << 10;
/// A buffer larger than this is given back once it is empty.
const KEEP_BYTES: usize = 16 << 10;

/// What is wrong with a stream; it cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error(
        "a frame of {0} bytes; expected none to {1}: does the address belong to a client of ZooKeeper?"
    )]
    Length(i32, usize),
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A command of four letters; nothing is read after it.
    Word([u8; 4]),
    /// The first frame.
    Connect(Bytes),
    Frame(Bytes),
}

/// Takes bytes as they come, gives frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    begun: bool,
}

impl Decoder {
    /// The buffer with room to read into. It doubles with what was received, whatever a length promises.
    pub fn spare(&mut self) -> &mut BytesMut {
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP_BYTES {
            self.buffer = BytesMut::new();
        }
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 2 {
            self.buffer.reserve(self.buffer.len().max(READ_BYTES));
        }
        &mut self.buffer
    }

    /// The next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`FrameError`] as soon as a length is whole and wrong; the stream is then of no more use.
    pub fn next_frame(&mut self) -> Result<Option<Incoming>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let head = *head;
        if !self.begun && head.iter().all(u8::is_ascii_lowercase) {
            self.buffer.clear();
            return Ok(Some(Incoming::Word(head)));
        }
        let limit = match self.begun {
            true => MAX_FRAME_BYTES,
            false => MAX_CONNECT_BYTES,
        };
        let claimed = i32::from_be_bytes(head);
        let length = usize::try_from(claimed)
            .ok()
            .filter(|length| *length <= limit)
            .ok_or(FrameError::Length(claimed, limit))?;
        if self.buffer.len() - head.len() < length {
            return Ok(None);
        }
        self.buffer.advance(head.len());
        let frame = self.buffer.split_to(length).freeze();
        Ok(Some(match std::mem::replace(&mut self.begun, true) {
            true => Incoming::Frame(frame),
            false => Incoming::Connect(frame),
        }))
    }

    /// Room held, in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;

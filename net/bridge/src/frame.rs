//! Frames: how messages lie in the byte stream. Sans-I/O.
//!
//! Owns the layout and its limits. Never reads a socket and never looks into a body. The layout is the same
//! in all bridge versions, so that two of them can tell each other that they do not fit:
//!
//! ```text
//!  0        4      5      6       8                16
//!  │ length │ mark │ type │ kind  │ correlation    │ body …
//!    u32      0xb7   u8     u16     u64              length bytes         (all big-endian)
//! ```
//!
//! `kind` is the KIND of a told or asked message, `correlation` ties an answer to its question; both are 0
//! elsewhere. The mark finds a stream that is none of ours, or that lost its step.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes before the body.
pub const HEADER_BYTES: usize = 16;
/// Most bytes of a body.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

const MARK: u8 = 0xb7;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// First frame of the side that connects.
    Hello = 1,
    /// The accepting side's consent.
    Welcome = 2,
    /// The accepting side's refusal; the body is its text.
    Refusal = 3,
    Tell = 4,
    Ask = 5,
    /// The reply to an ask.
    Answer = 6,
    /// Instead of a reply; the body is the text.
    Failure = 7,
    /// No body: "I am here".
    Heartbeat = 8,
    /// Last frame of a side that closes; the body is the reason's text.
    Farewell = 9,
}

impl FrameType {
    fn from_number(number: u8) -> Option<FrameType> {
        use FrameType::*;
        [
            Hello, Welcome, Refusal, Tell, Ask, Answer, Failure, Heartbeat, Farewell,
        ]
        .into_iter()
        .find(|each| *each as u8 == number)
    }
}

/// What is wrong with a stream; it cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error(
        "the stream is not one of the bridge (mark 0x{0:02x}, expected 0xb7): does the address belong to something else, such as HTTP?"
    )]
    Mark(u8),
    #[error("a frame of {size} bytes exceeds the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("frame type {0} is unknown")]
    UnknownType(u8),
    #[error("a frame of type {0:?} has no place here")]
    Misplaced(FrameType),
}

/// One frame as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub frame_type: FrameType,
    pub kind: u16,
    pub correlation: u64,
    pub body: Bytes,
}

impl Frame {
    /// The body as words for a person: lossy UTF-8 without control characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body)
            .chars()
            .map(|each| if each.is_control() { ' ' } else { each })
            .collect()
    }
}

/// Appends one frame to `buffer`. The caller has checked that `body` is within the limit.
pub fn put(buffer: &mut BytesMut, frame_type: FrameType, kind: u16, correlation: u64, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("a body within the limit fits a u32");
    buffer.reserve(HEADER_BYTES + body.len());
    buffer.put_u32(length);
    buffer.put_u8(MARK);
    buffer.put_u8(frame_type as u8);
    buffer.put_u16(kind);
    buffer.put_u64(correlation);
    buffer.put_slice(body);
}

/// Takes bytes as they come, gives frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

impl Decoder {
    /// `limit`: most bytes of a body.
    pub fn new(limit: usize) -> Self {
        Decoder {
            buffer: BytesMut::new(),
            limit,
        }
    }

    /// For the end of the handshake, before which only small frames are taken.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Appends received bytes. The buffer grows with them, whatever a length field promises.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`FrameError`] as soon as a header is whole and wrong; the stream is then of no more use.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(mut header) = self.buffer.get(..HEADER_BYTES) else {
            return Ok(None);
        };
        let length = header.get_u32() as usize;
        let mark = header.get_u8();
        if mark != MARK {
            return Err(FrameError::Mark(mark));
        }
        let number = header.get_u8();
        let frame_type = FrameType::from_number(number).ok_or(FrameError::UnknownType(number))?;
        if length > self.limit {
            return Err(FrameError::TooLarge {
                size: length,
                limit: self.limit,
            });
        }
        let kind = header.get_u16();
        let correlation = header.get_u64();
        if self.buffer.len() - HEADER_BYTES < length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let body = match self.buffer.len() == length {
            // With the room it lies in: at rest there is none.
            true => std::mem::take(&mut self.buffer),
            false => self.buffer.split_to(length),
        };
        Ok(Some(Frame {
            frame_type,
            kind,
            correlation,
            body: body.freeze(),
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

//! Owns the form of a container's output as an engine sends it: frames, each with a time. Pure.
//!
//! A frame is a byte for the stream (1 output, 2 errors), three of nothing, the length, big-endian; then the time, as
//! `2026-11-26T11:18:15.579268680Z` (Podman's have their zone's offset and no parts of seconds), a space, and a line, or a part of one. The output of a terminal has no frames.

use super::error::EngineError;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const NANOS: u64 = 1_000_000_000;
const HEAD_BYTES: usize = 8;
/// Engines cut lines at 16 KiB.
const MAX_FRAME_BYTES: usize = 1 << 20;
/// A time and the space behind it are shorter.
const MAX_TIME_BYTES: usize = 40;

/// A part of the output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) is_error: bool,
    pub(super) at_ns: u64,
    pub(super) text: Vec<u8>,
}

/// Bytes on their way to frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    pub(super) fn feed(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole one.
    ///
    /// Errors: these are no frames.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, EngineError> {
        let broken = |what: &str| EngineError::Broken(format!("{what} in a container's output"));
        let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let [stream @ 0..=2, 0, 0, 0, length @ ..] = *head else {
            return Err(broken("no frame"));
        };
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(broken("too long a frame"));
        }
        let Some(body) = self.buffer.get(HEAD_BYTES..HEAD_BYTES + length) else {
            return Ok(None);
        };
        let space = body.iter().take(MAX_TIME_BYTES).position(|it| *it == b' ');
        let space = space.ok_or_else(|| broken("no time"))?;
        let at = std::str::from_utf8(&body[..space]).ok().and_then(unix_ns);
        let frame = Frame {
            is_error: stream == 2,
            at_ns: at.ok_or_else(|| broken("no time"))?,
            text: body[space + 1..].to_owned(),
        };
        self.buffer.drain(..HEAD_BYTES + length);
        Ok(Some(frame))
    }
}

/// Nanoseconds since the epoch of a time as engines write it. `None`: it is no such time, or before that.
pub(super) fn unix_ns(at: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(at, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos()).ok()
}

/// The query parameter `since` for a time.
pub(super) fn since(at_ns: u64) -> String {
    format!("{}.{:09}", at_ns / NANOS, at_ns % NANOS)
}

//! Owns the form of a container's output as an engine sends it: frames, each with a time. Pure.
//!
//! A frame is a byte for the stream (1 output, 2 errors), three of nothing, the length, big-endian; then the time, as
//! `2026-11-26T11:18:15.579268680Z`, a space, and a line, or a part of one. The output of a terminal has no frames.

use super::error::EngineError;

const HEAD_BYTES: usize = 8;
/// Engines cut lines at 16 KiB.
const MAX_FRAME_BYTES: usize = 1 << 20;
/// A time and the space behind it are shorter.
const MAX_TIME_BYTES: usize = 40;

/// A part of the output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) is_error: bool,
    pub(super) at: String,
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
        let at = std::str::from_utf8(&body[..space]).map_err(|_| broken("no time"))?;
        let frame = Frame {
            is_error: stream == 2,
            at: at.to_owned(),
            text: body[space + 1..].to_owned(),
        };
        self.buffer.drain(..HEAD_BYTES + length);
        Ok(Some(frame))
    }
}

/// The query parameter `since` for a time: seconds since the epoch, with nanoseconds. `None`: it is no such time.
pub(super) fn since(at: &str) -> Option<String> {
    let (day, time) = at.strip_suffix('Z')?.split_once('T')?;
    let mut day = day.splitn(3, '-').map(|it| it.parse::<i64>().ok());
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let (time, nanos) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(|it| it.parse::<i64>().ok());
    let seconds = time.next()?? * 3600 + time.next()?? * 60 + time.next()??;
    if nanos.len() > 9 || !nanos.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    // Days since the epoch in the proleptic Gregorian calendar, counted in years that begin in March.
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(format!("{}.{nanos:0<9}", days * 86_400 + seconds))
}

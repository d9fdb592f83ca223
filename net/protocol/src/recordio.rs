//! RecordIO: a stream of records, each `<length in decimal>\n<bytes>`.
//!
//! Owns the framing of event streams and streaming requests, both ways, without I/O. A record may be
//! split over chunks in any way; a [`Decoder`] never holds more than one record and its header.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Digits of the longest length that is read.
const MAX_DIGITS: usize = 20;

/// Why a stream is no RecordIO. The stream cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something else than digits before the newline.
    #[error("Failed to decode length '{0}': expected decimal digits and a newline")]
    Length(String),
    /// Larger than the decoder's limit; nothing was reserved for it.
    #[error("A record of {bytes} bytes exceeds the limit of {limit} bytes")]
    TooLarge { bytes: u64, limit: usize },
}

/// One record with its header, in one buffer.
#[must_use]
pub fn encode(record: &[u8]) -> Bytes {
    let header = format!("{}\n", record.len());
    let mut framed = BytesMut::with_capacity(header.len() + record.len());
    framed.put_slice(header.as_bytes());
    framed.put_slice(record);
    framed.freeze()
}

/// Finds records in chunks as they arrive.
#[derive(Debug)]
pub struct Decoder {
    buffered: BytesMut,
    /// Length of the record whose header has been read.
    expected: Option<usize>,
    limit: usize,
    failed: Option<Error>,
}

impl Decoder {
    /// `limit`: the largest record taken, in bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffered: BytesMut::new(),
            expected: None,
            limit,
            failed: None,
        }
    }

    /// Takes a chunk and returns the records it completes.
    ///
    /// # Errors
    /// [`Error`], and the same again from then on. Records that were complete before the fault are
    /// lost with the stream: whoever sends such bytes is not to be trusted.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Bytes>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.buffered.extend_from_slice(chunk);
        let mut records = Vec::new();
        loop {
            match self.next() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => return Ok(records),
                Err(error) => {
                    self.buffered = BytesMut::new();
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// Whether the stream may end here: no record is half read.
    #[must_use]
    pub fn is_between_records(&self) -> bool {
        self.buffered.is_empty() && self.expected.is_none() && self.failed.is_none()
    }

    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let length = match self.expected {
            Some(length) => length,
            None => match self.header()? {
                Some(length) => length,
                None => return Ok(None),
            },
        };
        if self.buffered.len() < length {
            self.expected = Some(length);
            return Ok(None);
        }
        self.expected = None;
        Ok(Some(self.buffered.split_to(length).freeze()))
    }

    /// The length line, if all of it is there.
    fn header(&mut self) -> Result<Option<usize>, Error> {
        let head = &self.buffered[..self.buffered.len().min(MAX_DIGITS + 1)];
        let end = head.iter().position(|byte| *byte == b'\n');
        let digits = &head[..end.unwrap_or(head.len())];
        let is_number = digits.iter().all(u8::is_ascii_digit);
        if !is_number || end == Some(0) || (end.is_none() && head.len() > MAX_DIGITS) {
            return Err(Error::Length(digits.escape_ascii().to_string()));
        }
        let Some(end) = end else { return Ok(None) };
        let bytes = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(u64::MAX);
        match usize::try_from(bytes) {
            Ok(length) if length <= self.limit => {
                self.buffered.advance(end + 1);
                Ok(Some(length))
            }
            _ => Err(Error::TooLarge {
                bytes,
                limit: self.limit,
            }),
        }
    }
}

#[cfg(test)]
#[path = "recordio_tests.rs"]
mod tests;

//! Jute: how ZooKeeper writes its records. Sans-I/O.
//!
//! Owns the primitive forms (all big-endian): `bool` one byte, `int` four, `long` eight; a buffer and a UTF-8 string are an
//! `int` of bytes, -1 for none, and then the bytes; a vector is an `int` of elements and then the elements. Reading borrows from
//! the frame and takes no memory for a length that the frame does not hold.

use bytes::{BufMut, BytesMut};

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JuteError {
    #[error("the record ends early: {expected} more bytes expected, {found} found")]
    Short { expected: usize, found: usize },
    #[error("{0} is no length; expected -1 or more")]
    Length(i32),
    #[error("a vector of {found} elements; expected at most {limit}")]
    TooMany { found: i32, limit: usize },
    #[error("a string that must be given is missing")]
    NoString,
    #[error("a string that is not UTF-8")]
    NotUtf8,
}

/// Reads a record from the front.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, expected: usize) -> Result<&'a [u8], JuteError> {
        let found = self.rest.len();
        let (taken, rest) = self
            .rest
            .split_at_checked(expected)
            .ok_or(JuteError::Short { expected, found })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], JuteError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, JuteError> {
        Ok(self.array::<1>()?[0] != 0)
    }

    pub(crate) fn int(&mut self) -> Result<i32, JuteError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn long(&mut self) -> Result<i64, JuteError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A buffer; `None` where its length is -1.
    pub(crate) fn buffer(&mut self) -> Result<Option<&'a [u8]>, JuteError> {
        match self.int()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| JuteError::Length(length))?;
                self.take(length).map(Some)
            }
        }
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, JuteError> {
        let bytes = self.buffer()?.ok_or(JuteError::NoString)?;
        std::str::from_utf8(bytes).map_err(|_| JuteError::NotUtf8)
    }

    /// A vector of strings. Each takes four bytes at least, so a count that the rest cannot hold is refused before the first.
    pub(crate) fn strings(&mut self, limit: usize) -> Result<Vec<String>, JuteError> {
        let found = self.int()?;
        let count = match found {
            -1 => 0,
            found => usize::try_from(found).map_err(|_| JuteError::Length(found))?,
        };
        if count > limit {
            return Err(JuteError::TooMany { found, limit });
        }
        if count > self.rest.len() / 4 {
            return Err(JuteError::Short {
                expected: count * 4,
                found: self.rest.len(),
            });
        }
        let strings = (0..count).map(|_| self.string().map(str::to_owned));
        strings.collect()
    }
}

pub(crate) fn put_buffer(to: &mut BytesMut, bytes: &[u8]) {
    to.put_i32(length(bytes.len()));
    to.put_slice(bytes);
}

pub(crate) fn put_string(to: &mut BytesMut, text: &str) {
    put_buffer(to, text.as_bytes());
}

pub(crate) fn put_strings(to: &mut BytesMut, texts: &[String]) {
    to.put_i32(length(texts.len()));
    for text in texts {
        put_string(to, text);
    }
}

/// What is sent is bounded far below this.
fn length(length: usize) -> i32 {
    i32::try_from(length).expect("what this endpoint sends is bounded far below 2 GiB")
}

#[cfg(test)]
#[path = "jute_tests.rs"]
mod tests;

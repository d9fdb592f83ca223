//! Owns taking the digest of bytes that go by.

use crate::images::reference::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Knows the digest of what was read through it.
pub(crate) struct Digesting<R> {
    from: R,
    state: Sha256,
}

impl<R: Read> Digesting<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            state: Sha256::new(),
        }
    }

    /// The digest of all that was read.
    pub(crate) fn digest(self) -> Digest {
        Digest::from_bytes(&self.state.finalize())
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.state.update(&into[..count]);
        Ok(count)
    }
}

/// The digest of all bytes that are left.
pub(crate) fn digest_of(from: impl Read) -> io::Result<Digest> {
    let mut from = Digesting::new(from);
    io::copy(&mut from, &mut io::sink())?;
    Ok(from.digest())
}

//! Owns taking the digest of bytes that go by, and telling how a layer is packed.

use crate::images::reference::Digest;
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead, BufReader, Read};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 128 << 10;

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

/// A layer as a plain archive, however it is packed.
pub(crate) fn plain<'a>(packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut packed = BufReader::with_capacity(BUFFER_BYTES, packed);
    let begin = packed.fill_buf()?;
    if begin.starts_with(ZSTD) {
        return Err(io::Error::other(
            "it is packed with zstd, which this agent does not unpack; push the image with gzip",
        ));
    }
    match begin.starts_with(GZIP) {
        true => Ok(Box::new(MultiGzDecoder::new(packed))),
        false => Ok(Box::new(packed)),
    }
}

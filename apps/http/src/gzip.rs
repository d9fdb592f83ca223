//! gzip of whole bodies. Owns the bound of what a small body may become.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// Compresses; `None` only if the encoder fails, which it does not in memory.
pub(crate) fn compress(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Decompresses to at most `limit` bytes.
pub(crate) fn decompress(body: &[u8], limit: usize) -> Result<Bytes, Bomb> {
    let mut decoded = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(body)
        .take(bound)
        .read_to_end(&mut decoded)
        .map_err(|_| Bomb::Malformed)?;
    if decoded.len() > limit {
        return Err(Bomb::TooLarge);
    }
    Ok(Bytes::from(decoded))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bomb {
    Malformed,
    TooLarge,
}

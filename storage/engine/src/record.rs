//! The envelope of a stored value: one version byte, a CRC-32 of version and payload (little-endian), the
//! payload. It tells damage from a format this program does not know, record by record.

use std::io::Cursor;

use serde::{Serialize, de::DeserializeOwned};

const HEADER_BYTES: usize = 5;

/// Why a stored value could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record is cut short: {0} bytes, expected at least {HEADER_BYTES}")]
    Short(usize),
    #[error("the checksum of the record does not match its content")]
    Checksum,
    #[error(
        "the record has version {found}, this program reads up to {newest}; run a newer version"
    )]
    Version { found: u8, newest: u8 },
    #[error("the record cannot be decoded: {0}")]
    Decode(String),
}

/// Wraps `payload`.
pub fn seal(version: u8, payload: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEADER_BYTES + payload.len());
    sealed.push(version);
    sealed.extend_from_slice(&checksum(version, payload).to_le_bytes());
    sealed.extend_from_slice(payload);
    sealed
}

/// Checks the envelope; gives version and payload. `newest` is the highest version the caller can read.
pub fn unseal(newest: u8, sealed: &[u8]) -> Result<(u8, &[u8]), RecordError> {
    let Some((&[version, a, b, c, d], payload)) = sealed.split_first_chunk::<HEADER_BYTES>() else {
        return Err(RecordError::Short(sealed.len()));
    };
    if u32::from_le_bytes([a, b, c, d]) != checksum(version, payload) {
        return Err(RecordError::Checksum);
    }
    if version > newest {
        return Err(RecordError::Version {
            found: version,
            newest,
        });
    }
    Ok((version, payload))
}

/// Wraps a value as MessagePack with named fields, so that a field may be added later with `serde(default)`.
pub fn encode<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    let payload =
        rmp_serde::to_vec_named(value).expect("records are plain data, which always encodes");
    seal(version, &payload)
}

/// Reads a value written by [`encode`]; trailing bytes are an error.
pub fn decode<T: DeserializeOwned>(newest: u8, sealed: &[u8]) -> Result<T, RecordError> {
    let (_, payload) = unseal(newest, sealed)?;
    let mut cursor = Cursor::new(payload);
    let value = rmp_serde::from_read(&mut cursor)
        .map_err(|error| RecordError::Decode(error.to_string()))?;
    match payload.len() as u64 - cursor.position() {
        0 => Ok(value),
        left => Err(RecordError::Decode(format!(
            "{left} bytes follow the value"
        ))),
    }
}

fn checksum(version: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[version]);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;

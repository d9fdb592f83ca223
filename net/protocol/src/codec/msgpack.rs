//! MessagePack for the bridge and for what lasts: maps keyed by field number, raw bytes, unknown keys skipped.

use std::io::Cursor;

use serde::{Serialize, de::DeserializeOwned};

use super::{Limits, room};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("message of {size} bytes exceeds the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("messages nest deeper than {0} levels")]
    TooDeep(usize),
    #[error("message holds more than {0} items")]
    TooMany(usize),
    #[error("the lists of the message take more than {0} bytes of memory")]
    TooRoomy(usize),
    #[error("message ends early or promises more than it holds")]
    Truncated,
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    #[error("cannot encode")]
    Encode(#[from] rmp_serde::encode::Error),
    #[error("cannot decode")]
    Decode(#[from] rmp_serde::decode::Error),
}

/// # Errors
/// [`Error::Encode`] where a type cannot be written, which no type of the schema does.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(128);
    message.serialize(&mut rmp_serde::Serializer::new(&mut bytes))?;
    Ok(bytes)
}

/// # Errors
/// Everything outside `limits` is refused before anything of it is allocated; trailing bytes are refused too.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, Error> {
    scan(bytes, limits)?;
    let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(bytes));
    deserializer.set_max_depth(limits.depth * 3);
    let read = room::within(limits.memory, || T::deserialize(&mut deserializer));
    let message = read.ok_or(Error::TooRoomy(limits.memory))??;
    match bytes.len() - deserializer.position() as usize {
        0 => Ok(message),
        rest => Err(Error::Trailing(rest)),
    }
}

/// Whether [`decode`] would take it: walks the structure without building it, for depth, counts and promised lengths.
///
/// # Errors
/// What is outside `limits`.
pub fn scan(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::TooLarge {
            size: bytes.len(),
            limit: limits.bytes,
        });
    }
    let mut at = 0;
    let mut items = 0usize;
    // How many values are still expected at each level.
    let mut open: Vec<usize> = vec![1];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        items += 1;
        if items > limits.items {
            return Err(Error::TooMany(limits.items));
        }
        let (header, payload, children) = head(&bytes[at..]).ok_or(Error::Truncated)?;
        at += header;
        if payload > bytes.len() - at || children > bytes.len() - at {
            return Err(Error::Truncated);
        }
        at += payload;
        if children > 0 {
            if open.len() > limits.depth {
                return Err(Error::TooDeep(limits.depth));
            }
            open.push(children);
        }
    }
    match bytes.len() - at {
        0 => Ok(()),
        rest => Err(Error::Trailing(rest)),
    }
}

/// Header length, bytes of payload and number of child values of the value at the front.
fn head(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let length = |width: usize| -> Option<usize> {
        let mut value = 0usize;
        for byte in bytes.get(1..=width)? {
            value = value << 8 | usize::from(*byte);
        }
        Some(value)
    };
    let marker = *bytes.first()?;
    Some(match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (1, 0, 0),
        0x80..=0x8f => (1, 0, 2 * usize::from(marker & 0x0f)),
        0x90..=0x9f => (1, 0, usize::from(marker & 0x0f)),
        0xa0..=0xbf => (1, usize::from(marker & 0x1f), 0),
        0xc4 | 0xd9 => (2, length(1)?, 0),
        0xc5 | 0xda => (3, length(2)?, 0),
        0xc6 | 0xdb => (5, length(4)?, 0),
        0xc7 => (2, length(1)? + 1, 0),
        0xc8 => (3, length(2)? + 1, 0),
        0xc9 => (5, length(4)? + 1, 0),
        0xcc | 0xd0 => (1, 1, 0),
        0xcd | 0xd1 | 0xd4 => (1, 2, 0),
        0xd5 => (1, 3, 0),
        0xca | 0xce | 0xd2 => (1, 4, 0),
        0xd6 => (1, 5, 0),
        0xcb | 0xcf | 0xd3 => (1, 8, 0),
        0xd7 => (1, 9, 0),
        0xd8 => (1, 17, 0),
        0xdc => (3, 0, length(2)?),
        0xdd => (5, 0, length(4)?),
        0xde => (3, 0, 2 * length(2)?),
        0xdf => (5, 0, 2 * length(4)?),
        0xc1 => return None,
    })
}

#[cfg(test)]
#[path = "msgpack_tests.rs"]
mod tests;

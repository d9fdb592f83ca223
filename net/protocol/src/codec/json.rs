//! Mesos' JSON: snake_case, enum names, base64; lenient in, exact out.
//!
//! Decoding goes straight from bytes to the type. Only where that fails is the text read a second
//! time, slowly, to say what Mesos would say (`json_errors`).

use serde::{Serialize, de::DeserializeOwned};

use super::{Limits, json_errors, room};
use crate::descriptor::Described;

/// Why JSON was refused; the texts are those of Mesos' HTTP answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON at all, or outside the limits.
    #[error("Failed to parse body into JSON: {0}")]
    Syntax(String),
    /// JSON, but not this message.
    #[error("Failed to convert JSON into {message} protobuf: {reason}")]
    Convert {
        message: &'static str,
        reason: String,
    },
}

/// # Errors
/// Only what serde_json cannot write, which no type of the schema is.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(message)
}

/// # Errors
/// See [`Error`].
pub fn decode<T: DeserializeOwned + Described>(bytes: &[u8], limits: &Limits) -> Result<T, Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::Syntax(format!(
            "the body has {} bytes, at most {} are taken",
            bytes.len(),
            limits.bytes
        )));
    }
    check_structure(bytes, limits)?;
    let Some(read) = room::within(limits.memory, || serde_json::from_slice(bytes)) else {
        return Err(Error::Syntax(format!(
            "its lists take more than {} bytes of memory",
            limits.memory
        )));
    };
    read.map_err(|error| json_errors::explain::<T>(bytes, &error))
}

/// Depth and count of values by a walk over the bytes, before anything is built.
fn check_structure(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    let (mut depth, mut items, mut in_text, mut escaped) = (0usize, 0usize, false, false);
    for byte in bytes {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                items += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => items += 1,
            _ => {}
        }
        if depth > limits.depth {
            return Err(Error::Syntax(format!(
                "values nest deeper than {} levels",
                limits.depth
            )));
        }
        if items > limits.items {
            return Err(Error::Syntax(format!("more than {} values", limits.items)));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;

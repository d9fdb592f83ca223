//! Percent-encoding of paths, queries and forms. Malformed input is a value, never a panic (CVE-2017-7687).

use std::collections::BTreeMap;

/// Parameters one query or form may have.
const MAX_PARAMETERS: usize = 64;

/// A `%` without two hex digits, bytes that are not UTF-8, or too many parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Failed to decode the URL or form: expected percent-encoded UTF-8 and at most {MAX_PARAMETERS} parameters"
)]
pub struct Malformed;

/// Decodes one component; in queries and forms `+` is a blank.
///
/// # Errors
/// [`Malformed`].
pub fn decode(text: &str, plus_is_blank: bool) -> Result<String, Malformed> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = digit(bytes.next())?;
                high << 4 | digit(bytes.next())?
            }
            b'+' if plus_is_blank => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| Malformed)
}

fn digit(byte: Option<u8>) -> Result<u8, Malformed> {
    let digit = byte.and_then(|byte| char::from(byte).to_digit(16));
    digit
        .and_then(|digit| u8::try_from(digit).ok())
        .ok_or(Malformed)
}

/// Splits `a=1&b=2` or, as in Mesos, `a=1;b=2`; of a name given twice the last counts, one without a value has the
/// empty one.
///
/// # Errors
/// [`Malformed`].
pub fn parameters(text: &str) -> Result<BTreeMap<String, String>, Malformed> {
    split(text, &['&', ';'])
}

/// Splits `a=1&b=x;y` where values may have semicolons, as those of our own endpoints.
///
/// # Errors
/// [`Malformed`].
pub fn own_parameters(text: &str) -> Result<BTreeMap<String, String>, Malformed> {
    split(text, &['&'])
}

fn split(text: &str, between: &[char]) -> Result<BTreeMap<String, String>, Malformed> {
    let mut parameters = BTreeMap::new();
    for pair in text.split(between).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.insert(decode(name, true)?, decode(value, true)?);
        if parameters.len() > MAX_PARAMETERS {
            return Err(Malformed);
        }
    }
    Ok(parameters)
}

#[cfg(test)]
#[path = "percent_tests.rs"]
mod tests;

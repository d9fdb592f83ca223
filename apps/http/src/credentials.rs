//! Who may enter by name and secret: Mesos' file of credentials.
//!
//! Owns what is remembered of secrets, which is their digests. Never shows one: errors name the line, not what is on it.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of a file of credentials.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Rights of others than the owner and the group.
const OTHERS: u32 = 0o007;
const EXPECTED: &str = r#"expected {"credentials": [{"principal": "ops", "secret": "…"}]}, or lines of a principal and its secret"#;

/// Why a file of credentials was not taken. Says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{path}: {error}; expected a file of principals and their secrets")]
    Unreadable { path: String, error: io::Error },
    #[error("{path} has {bytes} bytes; expected at most {MAX_FILE_BYTES}")]
    TooLarge { path: String, bytes: u64 },
    #[error(
        "{path} can be read by everybody (mode {mode:o}): `chmod 600 {path}`, and give its owner new secrets"
    )]
    Open { path: String, mode: u32 },
    #[error("{path}: {reason}; {EXPECTED}")]
    Malformed { path: String, reason: String },
}

/// Principals and what is remembered of their secrets.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, [u8; 32]>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    credentials: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    principal: String,
    secret: String,
}

impl Credentials {
    /// Reads a file, of which others than its owner and group must not know.
    ///
    /// # Errors
    /// See [`CredentialsError`].
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let text = read_private(path)?;
        Self::parse(&text).map_err(|reason| CredentialsError::Malformed {
            path: path.display().to_string(),
            reason,
        })
    }

    /// Mesos' JSON, or its older form: a principal and its secret on each line.
    ///
    /// # Errors
    /// What is wrong, without the text itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = if text.trim_start().starts_with('{') {
            // The parser's own words may hold a piece of the text.
            let file: File = serde_json::from_str(text).map_err(|error| {
                format!(
                    "not the expected JSON at line {} column {}",
                    error.line(),
                    error.column()
                )
            })?;
            file.credentials
        } else {
            lines(text)?
        };
        let mut known = BTreeMap::new();
        for (index, Entry { principal, secret }) in entries.into_iter().enumerate() {
            let number = index + 1;
            if principal.is_empty()
                || principal.contains(':')
                || principal.contains(char::is_control)
            {
                return Err(format!(
                    "the principal of entry {number} is empty, or has a colon or a control character in it"
                ));
            }
            if secret.is_empty() {
                return Err(format!("the secret of entry {number} is empty"));
            }
            if known.insert(principal, digest(secret.as_bytes())).is_some() {
                return Err(format!("the principal of entry {number} was named before"));
            }
        }
        if known.is_empty() {
            return Err("nobody is named".to_string());
        }
        Ok(Credentials(known))
    }

    /// Whom the value of an `Authorization` header proves. The word before the blank is `Basic`, as Mesos has it in
    /// this spelling only. How long it takes does not tell how much of a secret was right, or who is known.
    pub fn principal(&self, authorization: &[u8]) -> Option<String> {
        let (principal, secret) = given(authorization)?;
        let known = self.0.get(&principal);
        let expected = known.copied().unwrap_or_default();
        let equal = bool::from(digest(&secret).ct_eq(&expected));
        (equal && known.is_some()).then_some(principal)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.0.len()).finish()
    }
}

/// The principal and the secret that the value of an `Authorization` header gives, whoever they are.
pub(crate) fn given(authorization: &[u8]) -> Option<(String, Vec<u8>)> {
    let encoded = authorization.strip_prefix(b"Basic ")?;
    let mut decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let secret = decoded.split_off(colon + 1);
    decoded.truncate(colon);
    Some((String::from_utf8(decoded).ok()?, secret))
}

/// A file with secrets, of which others than its owner and group must not know.
///
/// # Errors
/// All of [`CredentialsError`] but `Malformed`.
pub fn read_private(path: &Path) -> Result<String, CredentialsError> {
    String::from_utf8(read_private_bytes(path)?).map_err(|_| CredentialsError::Unreadable {
        path: path.display().to_string(),
        error: io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"),
    })
}

/// [`read_private`] of what need not be text.
///
/// # Errors
/// As there.
pub fn read_private_bytes(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    let shown = || path.display().to_string();
    let unreadable = |error| CredentialsError::Unreadable {
        path: shown(),
        error,
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(CredentialsError::Open {
            path: shown(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    // One more shows that it is too large; what it says of its length may not be so.
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(CredentialsError::TooLarge {
            path: shown(),
            bytes: metadata.len(),
        });
    }
    Ok(bytes)
}

fn lines(text: &str) -> Result<Vec<Entry>, String> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let entry = |(index, line): (usize, &str)| {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(principal), Some(secret), None) => Ok(Entry {
                principal: principal.to_string(),
                secret: secret.to_string(),
            }),
            _ => Err(format!("line {} is not two words", index + 1)),
        }
    };
    lines.map(entry).collect()
}

/// Of equal length for all secrets, so that comparing them tells nothing of the length either.
fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;

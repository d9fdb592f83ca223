//! Owns the names of images: `[REGISTRY[:PORT]/]REPOSITORY[:TAG][@DIGEST]` (Mesos: `src/docker/spec.cpp`). Pure.

use std::fmt;
use std::str::FromStr;

/// The most bytes of a whole reference; Docker takes 255 for the name and 128 for the tag.
const MAX_REFERENCE_BYTES: usize = 512;
const MAX_NAME_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;
const DEFAULT_TAG: &str = "latest";
const SHA256: &str = "sha256:";
const SHA256_HEX_BYTES: usize = 64;

/// The sha256 of some bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// From the 32 bytes a hash gave.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The 64 lower-case digits alone: a plain file name.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SHA256}{}", self.0)
    }
}

impl FromStr for Digest {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let hex = text.strip_prefix(SHA256);
        let hex = hex.filter(|hex| hex.len() == SHA256_HEX_BYTES && hex.bytes().all(is_digit));
        let hex = hex.ok_or_else(|| ReferenceError::Digest(shortened(text)))?;
        Ok(Self(hex.to_owned()))
    }
}

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("an image's name has 1 to {MAX_REFERENCE_BYTES} bytes")]
    Length,
    #[error("Multiple '@' symbols found")]
    Digests,
    #[error("'{0}' is no digest; expected sha256: and 64 digits of 0-9 and a-f")]
    Digest(String),
    #[error("'{0}' is no tag; expected at most {MAX_TAG_BYTES} letters, digits, '_', '.' and '-'")]
    Tag(String),
    #[error(
        "'{0}' is no repository; expected names of letters, digits, '_', '.' and '-', separated by '/'"
    )]
    Repository(String),
    #[error("'{0}' is no registry; expected a host, or host:port")]
    Registry(String),
}

/// The name of an image. Every part can be part of a path and of a URL as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `host` or `host:port`; `None` leaves it to the agent.
    pub registry: Option<String>,
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

impl Reference {
    /// The tag that is looked for where no digest is given.
    pub fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// What a registry is asked for: the digest where there is one.
    pub fn version(&self) -> String {
        match &self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag_or_latest().to_owned(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => write!(f, ":{}", self.tag_or_latest()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() || text.len() > MAX_REFERENCE_BYTES {
            return Err(ReferenceError::Length);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((_, digest)) if digest.contains('@') => return Err(ReferenceError::Digests),
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // Behind the last colon stands a tag, unless a slash says that it is the port of a registry.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(checked_tag(tag)?)),
            _ => (rest, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, repository)) if is_host(first) => (Some(first), repository),
            _ => (None, name),
        };
        Ok(Self {
            registry: registry.map(checked_registry).transpose()?,
            repository: checked_repository(repository)?,
            tag,
            digest,
        })
    }
}

/// As Docker tells a registry from the first part of a repository.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

fn checked_tag(tag: &str) -> Result<String, ReferenceError> {
    let begins = tag
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if begins && tag.len() <= MAX_TAG_BYTES && tag.bytes().all(is_plain) {
        return Ok(tag.to_owned());
    }
    Err(ReferenceError::Tag(shortened(tag)))
}

fn checked_repository(repository: &str) -> Result<String, ReferenceError> {
    let mut parts = repository.split('/');
    let good = |part: &str| {
        let begins = part
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        begins && part.bytes().all(is_plain)
    };
    if repository.len() <= MAX_NAME_BYTES && parts.all(good) {
        return Ok(repository.to_owned());
    }
    Err(ReferenceError::Repository(shortened(repository)))
}

pub(crate) fn checked_registry(registry: &str) -> Result<String, ReferenceError> {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    let good_port =
        port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0) && is_digits(port));
    let begins = host
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let good_host = begins && host.len() <= MAX_NAME_BYTES && host.bytes().all(is_host_byte);
    if good_host && good_port {
        return Ok(registry.to_owned());
    }
    Err(ReferenceError::Registry(shortened(registry)))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// What is shown of a text that may be anything.
fn shortened(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;

//! What a client proves itself with: a principal and its secret (Mesos: HTTP basic authentication), or the token that
//! an agent gave its executor.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::header::HeaderValue;
use serde::Deserialize;

/// Why a credential was not taken; the text of it is not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error(
        "expected {{\"principal\": \"ops\", \"secret\": \"…\"}}, or a principal and its secret on one line"
    )]
    Malformed,
    #[error("the principal is empty, or has a colon in it")]
    Principal,
}

/// Goes with every call of a client that has it. Does not show its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential(HeaderValue);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    principal: String,
    secret: String,
}

impl Credential {
    /// # Errors
    /// [`CredentialError::Principal`].
    pub fn new(principal: &str, secret: &str) -> Result<Self, CredentialError> {
        if principal.is_empty() || principal.contains(':') {
            return Err(CredentialError::Principal);
        }
        let encoded = STANDARD.encode(format!("{principal}:{secret}"));
        Self::of_header(format!("Basic {encoded}").as_bytes()).ok_or(CredentialError::Malformed)
    }

    /// Mesos' file of one credential: JSON, or two words on a line.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        if text.trim_start().starts_with('{') {
            let file: File = serde_json::from_str(text).map_err(|_| CredentialError::Malformed)?;
            return Self::new(&file.principal, &file.secret);
        }
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(principal), Some(secret), None) => Self::new(principal, secret),
            _ => Err(CredentialError::Malformed),
        }
    }

    /// What an agent gives each executor that it starts. None where it cannot be a header's.
    pub(crate) fn of_token(token: &str) -> Option<Self> {
        Self::of_header(format!("Bearer {token}").as_bytes())
    }

    /// That of somebody else, as their `Authorization` header has it: for who passes a call on.
    fn of_header(value: &[u8]) -> Option<Self> {
        let mut value = HeaderValue::from_bytes(value).ok()?;
        value.set_sensitive(true);
        Some(Credential(value))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_header_however_it_was_written() {
        let expected = Credential::new("ops", "sesame").unwrap();
        assert_eq!(expected.header(), "Basic b3BzOnNlc2FtZQ==");
        for text in [
            "ops sesame",
            "  ops\tsesame \n",
            r#"{"principal": "ops", "secret": "sesame"}"#,
        ] {
            assert_eq!(Credential::parse(text), Ok(expected.clone()), "{text}");
        }
        assert!(!format!("{expected:?}").contains("b3Bz"), "{expected:?}");
    }

    #[test]
    fn what_is_none_is_refused_without_telling_it() {
        for text in [
            "",
            "sesame",
            "ops sesame sesame",
            r#"{"principal": "sesame"}"#,
            r#"{"principal": "o", "secret": "sesame", "x": 1}"#,
            "o:ps sesame",
            r#"{"principal": "", "secret": "sesame"}"#,
        ] {
            let error = Credential::parse(text).unwrap_err().to_string();
            assert!(!error.contains("sesame"), "{error}");
        }
    }
}

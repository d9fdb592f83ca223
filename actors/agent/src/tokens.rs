//! Tokens by which an agent knows its executors again: signed claims about one container, as Mesos' agent makes them (JSON
//! Web Tokens, RFC 7519, signed by HMAC-SHA256 alone). Pure; owns neither a file nor a header of HTTP.
//!
//! A crate for tokens of every kind would bring five more signature schemes, and with them the choice of the scheme by
//! whoever presents a token. Here there is one scheme, and whatever names another is refused.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ring::hmac;
use serde::{Deserialize, Serialize};
use tepui_messages::agent::ExecutorClaims;

/// `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
/// Three ids of at most 255 characters, and what is around them, in base64.
const MAX_TOKEN_BYTES: usize = 4096;

/// What a token says of its bearer. A claim that is missing names nobody.
#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(default)]
    cid: String,
    #[serde(default)]
    eid: String,
    #[serde(default)]
    fid: String,
}

/// Signs tokens and knows its own again. Clones are the same key.
#[derive(Clone)]
pub struct TokenKey(Arc<hmac::Key>);

impl fmt::Debug for TokenKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenKey")
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood: there is none that is.
    crit: Option<serde_json::Value>,
}

impl TokenKey {
    /// A key of these bytes (Mesos: the contents of `--jwt_secret_key`).
    pub fn new(secret: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &ExecutorClaims) -> String {
        let payload = Payload {
            cid: claims.container_id.clone(),
            eid: claims.executor_id.clone(),
            fid: claims.framework_id.clone(),
        };
        let claims = serde_json::to_vec(&payload).unwrap_or_default();
        let signed = format!("{HEADER}.{}", BASE64.encode(claims));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// The claims of a token that this key has signed.
    ///
    /// # Errors
    /// What is wrong with it, without anything of it.
    pub fn verify(&self, token: &str) -> Result<ExecutorClaims, &'static str> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err("Token is too long");
        }
        let (signed, signature) = token.rsplit_once('.').ok_or("Expected 3 components")?;
        let (header, claims) = signed.split_once('.').ok_or("Expected 3 components")?;
        let header = BASE64.decode(header).ok();
        let header = header.and_then(|text| serde_json::from_slice::<Header>(&text).ok());
        let header = header.ok_or("Failed to decode token header")?;
        if header.alg != "HS256" {
            return Err("Token 'alg' value is not 'HS256'");
        }
        if header.crit.is_some() {
            return Err("Token 'crit' field is unsupported");
        }
        let signature = BASE64.decode(signature);
        let signature = signature.map_err(|_| "Failed to decode token signature")?;
        hmac::verify(&self.0, signed.as_bytes(), &signature)
            .map_err(|_| "Token signature does not match")?;
        let claims = BASE64.decode(claims).ok();
        let claims = claims.and_then(|text| serde_json::from_slice::<Payload>(&text).ok());
        let Payload { cid, eid, fid } = claims.ok_or("Failed to decode token payload")?;
        Ok(ExecutorClaims {
            framework_id: fid,
            executor_id: eid,
            container_id: cid,
        })
    }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;

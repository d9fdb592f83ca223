//! Owns how an engine comes to an image.

use super::SHORT;
use super::api::Engine;
use super::error::EngineError;
use crate::images::Reference;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use http::{HeaderName, Method};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// For the whole of it; as for images that the agent fetches itself.
const PULL_TIMEOUT: Duration = Duration::from_mins(30);
/// Between two words of progress: an engine may unpack a large layer in silence.
const PROGRESS_TIMEOUT: Duration = Duration::from_mins(5);
/// Where images come from whose names say nothing.
const HUB: &str = "registry-1.docker.io";
/// A word of progress.
const MAX_LINE_BYTES: usize = 64 << 10;

impl Engine {
    /// Sees to it that the engine has an image: where it is missing, or `force`, it is pulled. Who lets go of the future
    /// calls it off, and the engine with it.
    ///
    /// # Errors
    /// The engine cannot have it, in its words; it is silent for too long.
    pub async fn pull(&self, image: &str, force: bool) -> Result<(), EngineError> {
        let reference: Reference = image
            .parse()
            .map_err(|error| EngineError::Broken(format!("{image}: {error}")))?;
        if !force {
            let path = format!("/images/{reference}/json");
            match self.call(Method::GET, &path, None, SHORT).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let pulled = timeout(PULL_TIMEOUT, self.pull_now(&reference)).await;
        pulled.unwrap_or_else(|_| Err(self.silent("a pull".to_owned(), PULL_TIMEOUT)))
    }

    async fn pull_now(&self, reference: &Reference) -> Result<(), EngineError> {
        // With a tag always: without one all would be pulled.
        let path = format!("/images/create?fromImage={reference}");
        let host = reference.registry.as_deref().unwrap_or(HUB);
        let login = self.logins().of(host).map(auth);
        let login = login.map(|it| (HeaderName::from_static("x-registry-auth"), it));
        let asked = self.open_with(Method::POST, &path, None, login.into_iter().collect());
        let mut body = match timeout(PROGRESS_TIMEOUT, asked).await {
            Ok(answer) => answer?.into_body(),
            Err(_) => return Err(self.silent("a pull".to_owned(), PROGRESS_TIMEOUT)),
        };
        let mut lines = Lines::default();
        loop {
            let frame = match timeout(PROGRESS_TIMEOUT, body.frame()).await {
                Err(_) => return Err(self.silent("a pull".to_owned(), PROGRESS_TIMEOUT)),
                Ok(None) => break,
                Ok(Some(frame)) => frame.map_err(|error| EngineError::Broken(error.to_string()))?,
            };
            if let Some(data) = frame.data_ref() {
                lines.feed(data);
            }
        }
        lines.end();
        // A failure midway is a line of an answer that began with 200.
        match lines.error {
            Some(message) => Err(EngineError::Refused {
                status: 404,
                message,
            }),
            None => Ok(()),
        }
    }
}

/// What a pull says: a JSON object a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    pub(super) error: Option<String>,
}

impl Lines {
    pub(super) fn feed(&mut self, data: &[u8]) {
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            // A longer one is cut, and then no JSON: progress that nobody reads.
            let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end();
            }
        }
    }

    pub(super) fn end(&mut self) {
        let line: Option<Value> = serde_json::from_slice(&self.line).ok();
        self.line.clear();
        let error = line.as_ref().and_then(|it| it["error"].as_str());
        if let Some(error) = error {
            self.error = Some(error.to_owned());
        }
    }
}

/// The login `user:password` in base64 as the engine wants it.
fn auth(login: &str) -> String {
    let decoded = BASE64_STANDARD.decode(login).unwrap_or_default();
    let text = String::from_utf8_lossy(&decoded);
    let (user, password) = text.split_once(':').unwrap_or((&text, ""));
    let json = json!({"username": user, "password": password}).to_string();
    BASE64_URL_SAFE.encode(json)
}
